"""What random lives are lived in: a real Valkey under a clock that only the rules move, ids and tasks by number.

Every script is called twice with the same arguments, as a client repeats a call whose reply was lost.
"""

import asyncio
import itertools
from collections.abc import Awaitable
from typing import Any, Final

from ulid import ULID

from edits.db.claims import Claim
from edits.db.connection import connect
from edits.db.scripts import Argument, Script, T
from edits.db.sender import Scripts
from edits.models import to_ms
from tests.factories import MOMENT
from tests.integration.edits.core import LEASE, Core, WatchedScripts, raw
from tests.integration.edits.dump import Dump, dump, scores

CAP: Final = 4
BEGINNING: Final = 4_102_444_800_000
"""Milliseconds: 2100-01-01. The clock was last seen later than any server's is, so it stands still."""

A_LIFE: Final = 20 * 3600 * 1000
"""Milliseconds that pass at most: keys that live for a day end by the server's own clock, which nobody moves."""

COUNT_AGAIN: Final = {"nudge", "evict"}
"""A callback that comes twice is two callbacks; and the next who ended leave."""

END_BY_THEMSELVES: Final = ("claim:", "counted")
_runs = itertools.count(1)


class RepeatedScripts(WatchedScripts):
    """The second of two equal calls changes nothing."""

    async def run(self, script: Script[T], /, **arguments: Argument) -> T:
        answer = await super().run(script, **arguments)
        before = lasting(await dump(*self._keys))
        await Scripts.run(self, script, **arguments)
        await self.look(script.name)
        changed = differences(before, lasting(await dump(*self._keys)))
        assert not changed or script.name in COUNT_AGAIN, f"{script.name} {arguments} came twice and changed {changed}"
        return answer


class World:
    """Methods wait for their answers, as rules are not coroutines."""

    def __init__(self, port: int) -> None:
        self._runner = asyncio.Runner()
        self.core = Core(connect(f"redis://127.0.0.1:{port}/0"), f"machine{next(_runs)}")
        self.core.use(RepeatedScripts(self.core.redis, self.core.namespace))
        self.core.process = self.core.worker(creates=50, reads=50, in_flight=CAP)
        self.do(self.core.freeze())
        self.do(self.core.redis.set(self.core.key("tick"), f"{BEGINNING} 0"))
        self.tasks: dict[str, str] = {}
        """Every task that was bought, and its edit."""
        self.in_doubt: set[str] = set()
        """Edits that were here before a restart, until it is known that nothing is missing."""
        self._numbers: dict[str, int] = {}
        self._restarts = itertools.count(1)
        self._earliest = 0

    def do(self, what: Awaitable[Any]) -> Any:
        async def wait() -> Any:
            return await what

        return self._runner.run(wait())

    def close(self) -> None:
        self.do(self.core.redis.flushdb())
        self.do(self.core.redis.aclose())
        self._runner.close()

    # Ids and time

    def new_id(self) -> str:
        """As ids sort by time, so these by number."""
        number = len(self._numbers) + 1
        edit_id = f"edit_{ULID.from_int((to_ms(MOMENT) << 80) + number)}"
        self._numbers[edit_id] = number
        return edit_id

    def task(self, claim: Claim, name: object) -> str:
        return f"task-{self._numbers[claim.id]}-{claim.attempt}-{name}"

    def record(self, edit_id: str) -> dict[str, str]:
        """Empty once the edit has left."""
        found: dict[str, str] = self.do(self.core.record(edit_id))
        return found

    def pass_time(self, seconds: float) -> None:
        if self.core.offset + seconds * 1000 <= self._earliest + A_LIFE:
            self.do(self.core.pass_time(seconds))
            self._earliest = min(self._earliest, self.core.offset)

    def jump(self, seconds: float) -> None:
        """The server's clock jumps, and whoever looks at it knows how long it really was."""
        seen = int(str(self.do(self.core.redis.get(self.core.key("tick")))).split()[0])
        by = round(seconds * 1000)
        self.do(self.core.scripts.run(raw("tick"), judged={"seen": seen, "raw": seen + by, "jump": by}))

    # Looking

    def dump(self) -> Dump:
        return lasting(self.do(self.core.dump()))

    def in_flight(self) -> int:
        keys = self.dump()
        return sum(len(scores(keys, name)) for name in ("due:submit", "due:adopt", "due:poll", "abandoned"))

    # A server that comes back

    def restart(self) -> None:
        """It has all its data, another run_id, and no script."""
        key = self.core.key("served")
        here, gone = self.do(self.core.redis.info("server"))["run_id"], f"gone{next(self._restarts)}"
        number = self.do(self.core.redis.zscore(key, here))
        if number is not None:
            self.do(self.core.redis.zrem(key, here))
            self.do(self.core.redis.zadd(key, {gone: number}))
        registry = self.core.process.registry
        registry.told = [pair | {"run": gone} if pair["run"] == here else pair for pair in registry.told]
        self.do(self.core.redis.script_flush())
        self.in_doubt = set(self._numbers)

    def whole_again(self) -> None:
        """To be asked after somebody has looked at who serves."""
        if not self.do(self.core.redis.exists(self.core.key("doubt"))):
            self.in_doubt = set()

    # The end

    def hold(self) -> None:
        self.do(self.core.hold())

    def what_has_ended_leaves(self) -> None:
        """Whatever its life was, an edit whose story is over leaves nothing behind: the watch looks for it."""
        self.do(self._all_leave())
        ended = {"succeeded", "failed", "canceled"}
        stay = [name for name, (_, _, content) in self.dump().items() if name[:2] == "e:" and content["st"] in ended]
        assert not stay

    async def _all_leave(self) -> None:
        await self.core.limiter.close("storage")
        await self.core.pass_time(10_000_000)  # also past what was written before the clock was set back
        for task, _ in await self.core.process.claims.abandoned(1000, lease=LEASE):
            await self.core.process.claims.settle_abandoned(task, status="failed")
        for claim in (await self.core.claims("manifest", 1000)).claims:
            await self.core.outcomes.recorded(claim)
        await self.core.scripts.run(raw("evict"), k=1000, hot=0, later=1000)


def lasting(keys: Dump) -> Dump:
    """Without what ends by itself in seconds of the server's own clock."""
    return {name: told for name, told in keys.items() if not name.startswith(END_BY_THEMSELVES)}


def differences(before: Dump, after: Dump) -> dict[str, tuple[Any, Any]]:
    names = before.keys() | after.keys()
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}
