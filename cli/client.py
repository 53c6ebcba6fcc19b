"""The API as the program's client commands use it: an answer as JSON, or an error that ends the program."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from cli.errors import Conflict, Stop, Unreachable, WorkFailed, WrongUsage
from cli.sources import Picture
from cli.views import Problem
from config import addresses, local_stack
from config.settings import Settings

CONNECT_WITHIN = 3.0  # seconds
ANSWER_WITHIN = 75.0  # seconds: longer than the API holds an answer back for `Prefer: wait`
TRIES = 6  # of a call that is safe to repeat; about 8 s of pauses in all
PAUSE = 0.25  # seconds before the second try, doubled each time
LONGEST_PAUSE = 10.0  # seconds, also when the server asks for more
BUSY = frozenset({429, 502, 503, 504})
TRIED = "retouch.tried"  # where an answer keeps how often it was asked for
WRONG_INPUT = frozenset({400, 401, 403, 404, 413, 415, 422})


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where the API is, and the key for it."""

    url: str
    key: str


def find(settings: Settings) -> Server:
    """The server that was set, else the `up` of this data dir."""
    key = settings.client.api_key
    if settings.client.url:
        if key is None:
            raise WrongUsage("RETOUCH_CLIENT__URL is set without RETOUCH_CLIENT__API_KEY; set the key too")
        return Server(url=settings.client.url, key=key.get_secret_value())
    up = local_stack.find(settings.data_dir)
    if up is None:
        raise Unreachable(
            f"no `retouch up` runs on {settings.data_dir}; start one with `make up` (or `retouch up`), "
            "or set RETOUCH_CLIENT__URL and RETOUCH_CLIENT__API_KEY"
        )
    return Server(url=up.api_url, key=key.get_secret_value() if key else up.api_key)


class Client:
    """`async with Client(server)`: one keep-alive connection pool for one command."""

    def __init__(self, server: Server, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._server = server
        self._http = httpx.AsyncClient(
            base_url=server.url,
            headers={"X-API-Key": server.key, "User-Agent": "retouch-cli"},
            timeout=httpx.Timeout(ANSWER_WITHIN, connect=CONNECT_WITHIN),
            transport=transport,
            trust_env=not addresses.is_loopback(server.url),  # a proxy for the world knows nothing of this host
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def create(
        self, body: Mapping[str, Any], *, picture: Picture | None, idempotency_key: str
    ) -> tuple[Any, bool]:
        """The edit, and whether it was there before. Safe to repeat: the key makes every try the same edit."""
        headers = {"Idempotency-Key": idempotency_key}
        answer = await self._answer("POST", "/v1/edits", headers=headers, **_sent(body, picture))
        there = answer.headers.get("Idempotent-Replayed") == "true" and answer.extensions[TRIED] == 1
        return self._json(answer), there

    async def price(self, body: Mapping[str, Any], *, picture: Picture | None) -> Any:
        """What this edit would cost; nothing is kept."""
        return await self._call("POST", "/v1/edits", params={"dry_run": "true"}, **_sent(body, picture))

    async def edit(self, edit_id: str, *, wait: int | None = None) -> tuple[Any, float]:
        """The edit, and after how many seconds asking again is worth it."""
        headers = {"Prefer": f"wait={wait}"} if wait else {}
        answer = await self._answer("GET", _path(edit_id), headers=headers)
        return self._json(answer), retry_after(answer, default=1.0)

    async def recent(self, limit: int) -> Any:
        return (await self._call("GET", "/v1/edits", params={"limit": limit}))["data"]

    async def timeline(self, edit_id: str) -> Any:
        return await self._call("GET", _path(edit_id, "timeline"))

    async def cancel(self, edit_id: str) -> Any:
        return await self._call("POST", _path(edit_id, "cancel"))

    async def retry(self, edit_id: str) -> Any:
        """A failed edit again; one that is on its way already is taken as it is."""
        try:
            return await self._call("POST", _path(edit_id, "retry"))
        except Conflict:
            return (await self.edit(edit_id))[0]

    @asynccontextmanager
    async def result(self, edit_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of the picture as they come."""
        try:
            async with self._http.stream("GET", _path(edit_id, "result")) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    raise refusal(answer)
                yield answer.aiter_bytes()
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    async def _call(self, method: str, path: str, **request: Any) -> Any:
        return self._json(await self._answer(method, path, **request))

    async def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Repeats while the server is busy or the connection breaks; every call of ours may be repeated."""
        for attempt in range(TRIES):
            last = attempt == TRIES - 1
            pause = PAUSE * 2**attempt
            try:
                answer = await self._http.request(method, path, **request)
            except httpx.ConnectError as error:  # nothing listens there: a person should hear of it at once
                raise self._unreachable(error) from error
            except httpx.TransportError as error:
                if last:
                    raise self._unreachable(error) from error
            else:
                answer.extensions[TRIED] = attempt + 1
                if not _busy(answer) or last:
                    break
                pause = retry_after(answer, default=pause)
            await asyncio.sleep(min(pause, LONGEST_PAUSE))
        if answer.status_code >= 400:
            raise refusal(answer)
        return answer

    def _json(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError as error:
            raise WorkFailed(f"{self._server.url} did not answer in JSON; is it a Retouch API?") from error

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(f"no answer from {self._server.url} ({str(error) or type(error).__name__}); safe to repeat")


def _sent(body: Mapping[str, Any], picture: Picture | None) -> dict[str, Any]:
    """An address goes as JSON, a file as a form. Its own name stays here."""
    if picture is None:
        return {"json": dict(body)}
    fields = {name: str(value) for name, value in body.items()}
    return {"data": fields, "files": {"image": ("image", picture.content, picture.content_type)}}


def _busy(answer: httpx.Response) -> bool:
    """Whether the same call is worth repeating: the server is, or another call with the same key is being read."""
    return answer.status_code in BUSY or (answer.status_code == 409 and b"idempotency_in_progress" in answer.content)


def _path(edit_id: str, *more: str) -> str:
    if not edit_id.strip():
        raise WrongUsage("an id is needed, like edit_01J…; `retouch status` lists them")
    return "/".join(["/v1/edits", quote(edit_id.strip(), safe=""), *more])


def refusal(answer: httpx.Response) -> Stop:
    """An error answer as the end of the program: wrong input is for the caller to change, the rest is not."""
    try:
        said = str(Problem.model_validate_json(answer.content))
    except ValidationError:
        said = f"the server answered {answer.status_code} {answer.reason_phrase}"
    if answer.status_code == 409:
        return Conflict(said)
    return WrongUsage(said) if answer.status_code in WRONG_INPUT else WorkFailed(said)


def retry_after(answer: httpx.Response, *, default: float) -> float:
    """Seconds; a date or nonsense counts as not said."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else default
