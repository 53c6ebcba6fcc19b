"""Runs the Lua scripts: calls made while one pipeline is on its way go together in the next one.

A call is either provably not sent (`Unsent`) or may have happened (`ReplyLost`); every script may be repeated.
A sender that fails in any way fails the whole batch at once.
"""

import asyncio
import contextlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import BusyLoadingError, NoScriptError, RedisError, ResponseError
from redis.exceptions import ConnectionError as Disconnected

from edits.db.clock import Watch, boot_time
from edits.db.connection import LOST
from edits.db.keys import Key
from edits.db.loader import Composed, compose
from edits.db.scripts import Argument, Script, T
from edits.db.trouble import code_of, explain

log = structlog.get_logger()

FOLDER: Final = Path(__file__).parent / "lua"
BATCH: Final = 100  # calls a pipeline: at some 20 µs each, Redis is never held for more than a few ms
TRIES: Final = 2
REPLICATED: Final = frozenset({"accept", "claim_submit"})
_WRITTEN: Final = json.JSONEncoder(ensure_ascii=False).encode
REPLICATED_WITHIN: Final = 800  # ms; twice that is within the time an answer of the API may take


class ScriptError(Exception):
    """A call did not come back with an answer."""


class Unsent(ScriptError):
    """The call provably did not reach Redis."""


class ReplyLost(ScriptError):
    """The call may have been carried out."""


class ScriptRefused(ScriptError):
    """Redis answered with an error; the script wrote nothing."""


class NewerRecord(ScriptRefused):
    """The edit's record is of a later release: its own processes alone may change it."""


class NoMemory(ScriptError):
    """Redis uses all the memory it may, and this script is not one of those that run even then."""


class BatchFailed(ScriptError):
    """An unexpected error, its cause, ended the batch: Redis is not to blame, and the call may have happened."""


SCRIPTS: Final = {path.stem: compose(FOLDER, path.stem) for path in FOLDER.glob("[!_]*.lua")}


@dataclass(slots=True)
class _Call:
    script: Composed
    many: bool
    argument: bytes
    answer: "asyncio.Future[Any]"
    tries: int = 0


class Scripts:
    """Owns one connection of the client's pool and sends batches over it, one at a time."""

    def __init__(self, redis: Redis, namespace: str, *, replicas: int = 0, gap: float = 0.0) -> None:
        """`replicas`: so many must have an accept or an intent to buy before it counts.

        `gap`: seconds from one batch to the next. Fuller batches cost Redis and this process less CPU a call.
        """
        self._redis = redis
        self._namespace = namespace
        self._replicas = replicas
        self._waiting: list[_Call] = []
        self._sender: asyncio.Task[None] | None = None
        self._gap = gap
        self._next_at = 0.0  # by the loop's clock
        self._clock = Watch()

    async def run(self, script: Script[T], /, **arguments: Argument) -> T:
        """What `script.read` makes of the reply. Raises ScriptError, mostly one of its kinds."""
        given = {key: value for key, value in arguments.items() if value is not None}
        if script.op is not None:
            given["op"] = script.op
        # Texts of the outside world may hold lone surrogates, which no decoder of JSON takes.
        argument = _WRITTEN(given).encode("utf-8", "replace")
        call = _Call(SCRIPTS[script.name], script.many, argument, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all())
        return script.read(await call.answer)

    async def _send_all(self) -> None:
        loop, batch = asyncio.get_running_loop(), list[_Call]()
        while self._waiting:
            try:
                if loop.time() < self._next_at and len(self._waiting) < BATCH:
                    await asyncio.sleep(self._next_at - loop.time())
                self._next_at = loop.time() + self._gap
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                batch = [call for call in batch if not call.answer.done()]  # its caller may have gone
                if batch:
                    await self._send(batch)
            except Exception as exc:
                log.exception("batch.failed", calls=len(batch))
                _fail(batch, BatchFailed(f"{len(batch)} calls failed: {exc!r}"), cause=exc)
            except BaseException as exc:
                _fail(batch, ReplyLost(f"the sender ended ({type(exc).__name__})"))
                _fail(self._waiting, Unsent(f"the sender ended ({type(exc).__name__})"))
                self._waiting = []
                raise

    async def _send(self, batch: list[_Call]) -> None:
        pool = self._redis.connection_pool
        try:
            connection: AbstractConnection = await pool.get_connection()  # type: ignore[no-untyped-call] # redis-py's own
        except LOST as exc:
            _fail(batch, Unsent(explain(exc)))
            return
        try:
            if self._clock.due:
                await self._look_at_clock(connection)
            async with asyncio.timeout(connection.socket_timeout):  # one for all: for each it would cost half a call
                left = await self._exchange(connection, batch)
                if left:
                    await self._load(connection)
                    unknown = await self._exchange(connection, left)
                    _fail(unknown, ScriptRefused("Redis forgot the scripts as soon as they were loaded"))
        except LOST as exc:
            await connection.disconnect(nowait=True)
            self._again(batch, ReplyLost(f"the answer of Redis was lost ({type(exc).__name__})"))
        except BaseException:  # replies may be left on it, which the next batch would take for its own
            await connection.disconnect(nowait=True)
            raise
        finally:
            with contextlib.suppress(*LOST):
                await pool.release(connection)

    async def _exchange(self, connection: AbstractConnection, batch: list[_Call]) -> list[_Call]:
        """Sends the batch; returns the calls whose script the server does not have (they did nothing)."""
        groups = list(_grouped(batch))
        commands = [_command(group, self._namespace) for group in groups]
        await connection.send_packed_command(b"".join(commands), check_health=False)
        unknown, held = list[_Call](), list[tuple[_Call, Any]]()
        for group in groups:
            try:
                # The whole batch has a limit. After LOADING, for which redis-py would disconnect, more replies follow.
                answer = await connection.read_response(timeout=math.inf, disconnect_on_error=False)
            except NoScriptError:
                unknown += group
                continue
            except (ResponseError, BusyLoadingError) as exc:
                _refuse(group, exc)
                continue
            for call, one in zip(group, answer if group[0].many else [answer], strict=True):
                if isinstance(one, ResponseError):
                    _refuse([call], one)
                elif self._replicas and call.script.name in REPLICATED:
                    held.append((call, one))
                else:
                    _succeed(call, one)
        if held:
            await self._replicate(connection)
        for call, answer in held:
            _succeed(call, answer)
        return unknown

    async def _look_at_clock(self, connection: AbstractConnection) -> None:
        """Ahead of a batch, now and then (`clock.EVERY`), so that it knows the time; and again to judge a gap."""
        script = SCRIPTS["tick"]
        for _ in range(3):
            argument = json.dumps({"judged": self._clock.verdict} if self._clock.verdict else {})
            sent = boot_time()
            call = ("EVALSHA", script.sha, 1, f"{self._namespace}:", argument)
            await connection.send_packed_command(connection.pack_commands([call]), check_health=False)
            try:
                raw, stepped, seen = await connection.read_response(disconnect_on_error=False)
            except NoScriptError:
                await self._load(connection)
            except (ResponseError, BusyLoadingError) as exc:  # nothing can be written now, and time stands still
                log.warning("script.refused", script=script.name, error=str(exc)[:300])
                self._clock.later()
                return
            else:
                if not self._clock.told(raw, stepped, seen, sent=sent, received=boot_time()):
                    return

    async def _replicate(self, connection: AbstractConnection) -> None:
        """Until enough replicas have all that was written before. The mark is a write of this very connection.

        WAIT looks at the connection's own last write, and a repeated call may have written over another one.
        """
        mark = ("SET", Key.MARK.of(self._namespace), "")
        wait = ("WAIT", str(self._replicas), str(REPLICATED_WITHIN))
        await connection.send_packed_command(connection.pack_commands([mark, wait]), check_health=False)
        await connection.read_response()
        reached = await connection.read_response()
        if int(reached) < self._replicas:
            raise Disconnected(f"{reached} of {self._replicas} replicas have it")

    async def _load(self, connection: AbstractConnection) -> None:
        commands = [("SCRIPT", "LOAD", script.text) for script in SCRIPTS.values()]
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        for _ in commands:
            await connection.read_response()

    def _again(self, batch: Iterable[_Call], error: ReplyLost) -> None:
        """Scripts are repeatable, so a lost reply is first asked for again over a new connection."""
        for call in batch:
            if call.answer.done():
                continue
            call.tries += 1
            if call.tries < TRIES:
                self._waiting.append(call)
            else:
                _fail([call], error)


def _grouped(batch: Iterable[_Call]) -> Iterator[list[_Call]]:
    """The calls of one command each: one call, or all of a script that takes many."""
    many: dict[str, list[_Call]] = {}
    for call in batch:
        if call.many:
            many.setdefault(call.script.name, []).append(call)
        else:
            yield [call]
    yield from many.values()


def _command(group: list[_Call], namespace: str) -> bytes:
    arguments = [call.argument for call in group]
    argument = b"[%b]" % b",".join(arguments) if group[0].many else arguments[0]
    return b"%b$%d\r\n%b\r\n" % (_head(group[0].script.sha, namespace), len(argument), argument)


@cache
def _head(sha: str, namespace: str) -> bytes:
    """An EVALSHA without its last word. Its one key is our prefix: a user of `~{namespace}:*` may name it.

    The client's own packing, made for any command, takes ten times as long.
    """
    words = [word.encode() for word in ("EVALSHA", sha, "1", f"{namespace}:")]
    return b"*5\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _refuse(calls: Iterable[_Call], exc: RedisError) -> None:
    for call in calls:
        log.warning("script.refused", script=call.script.name, error=str(exc)[:300])
        _fail([call], _refused(call.script, exc))


def _refused(script: Composed, exc: RedisError) -> ScriptError:
    code = code_of(exc)
    text = f"{script.name}: {f'{code}: ' if code else ''}{str(exc)[:300]}"
    if code == "OOM":
        return NoMemory(text)
    if code is not None:  # no writes at present: a full disk, too few replicas, a right that was withdrawn
        return ScriptError(text)
    return NewerRecord(text) if "NEWER " in text[:150] else ScriptRefused(text)


def _succeed(call: _Call, answer: object) -> None:
    if not call.answer.done():
        call.answer.set_result(answer)


def _fail(calls: Iterable[_Call], error: ScriptError, *, cause: Exception | None = None) -> None:
    """A call whose first reply was lost may have happened: its error is ReplyLost, unless its script refused."""
    error.__cause__ = cause
    for call in calls:
        if not call.answer.done():
            unknown = call.tries and not isinstance(error, ScriptRefused | BatchFailed)
            call.answer.set_exception(ReplyLost(str(error)) if unknown else error)
