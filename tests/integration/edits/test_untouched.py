"""A script that raises has changed nothing: given absurd arguments, for edits in every status, over broken records."""

import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from edits.db.acceptance import Idempotency
from edits.db.circuits import Operation
from edits.db.connection import connect
from edits.db.sender import SCRIPTS
from edits.models import ErrorKind
from tests.integration.edits.core import Core
from tests.integration.edits.test_arguments import ALIKE, ASKED, CALLS, FENCED, OF_AN_EDIT

OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    *CALLS.items(),
    ("gate", {"op": "close", "name": "create", "after": 5, "first": 1000, "most": 60_000}),
    ("gate", {"op": "open", "name": "create"}),
    ("gate", {"op": "again", "name": "create"}),
    ("gate", {"op": "block", "message": "no credit"}),
    ("gate", {"op": "unblock"}),
    ("abandoned", {"op": "claim", "nonce": "n", "k": 5, "lease": 1}),
    ("abandoned", {"op": "later", "task": "task-extra", "due": 1}),
    ("abandoned", {"op": "settle", "task": "task-extra", "status": "failed"}),
    ("purge", {"op": "claim", "nonce": "n", "lease": 1}),
    ("purge", {"op": "kept", "ids": ["edit_1"]}),
    ("purge", {"op": "leave", "nonce": "n", "day": "2026/01/01", "again": 1}),
]
MORE: dict[str, dict[str, Any]] = {
    "accept": {
        "edits": [ASKED | {"external_id": "x", "idem": {"key": "k", "fingerprint": "f"}}, ASKED | {"id": "edit_3"}],
        "alike": [ALIKE | {"expires_in": 1000}],
    },
    "completed": {"started": 1, "ended": 2, "units": 5, "took": {"wait": 1, "run": 2}},
    "fail": {"code": 500, "task_status": "failed", "abandon": 1},
    "heartbeat": {
        "steps": ["poll"], "running": [{"step": "poll", "slot": 0, "number": 1}], "ceilings": {"max_in_flight": 5},
        "beat": 1, "counts": {"asked": 2}, "leave": 0,
    },
    "claim_due": {"k": 5, "with_input": True, "lookahead": 1, "needs": [{"name": "read", "rate": 1}]},
    "claim_submit": {"k": 5, "rate": 100, "max_in_flight": 100},
    "evict": {"k": 100},
    "link": {"number": 0},
    "nudge": {"ended": 1},
    "rebuy": {"automatic": 1},
    "release": {"data": {"cause": "x"}},
    "retry": {"shifts": {"standard": 0, "interactive": 0, "bulk": 1}},
    "snooze": {"tries": 1, "task_status": "processing", "started": 1, "wait": "provider_run", "event": "x", "data": {}},
    "tick": {"judged": {"seen": 1, "raw": 2, "jump": 3}},
}  # fmt: skip
ABSURD: list[Any] = [
    None, "", "x", "\x00", "1e5", "nan", True, False, -1, 0, 1.5, 1e300, -1e300, 2**70, [], ["x"], [[]], {}, {"x": {}},
]  # fmt: skip

SHARES = 12
STEPS = ("submit", "poll", "store", "adopt", "manifest")
BROKEN = ("e", "x", "t", "no number", "no status")
Kept = dict[bytes, tuple[bytes, int]]
DIGEST = """
local all = redis.call('KEYS', ARGV[1])
table.sort(all)
for n, name in ipairs(all) do
  local content = redis.call('DUMP', name) .. redis.call('PEXPIRETIME', name)
  all[n] = name .. redis.sha1hex(content)
end
return all
"""


@dataclass
class World:
    """Edits in every status, and Redis as it was with them, to be put back after each call."""

    core: Core
    claims: dict[str, tuple[str, int]]
    raw: Any
    kept: Kept = field(default_factory=dict)
    digested: set[bytes] = field(default_factory=set)

    async def call(self, script: str, arguments: dict[str, Any]) -> bool:
        """Whether the script raised. If it did, every byte is as before; if not, it is put back so."""
        try:
            await self.raw.evalsha(SCRIPTS[script].sha, 1, self.core.namespace, json.dumps(arguments))
        except ResponseError as exc:
            raised = str(exc)
        else:
            await self.put_back()
            return False
        changed = set(await self.digest()) ^ self.digested
        assert not changed, f"{script} raised {raised} and had changed {changed}; it was given {arguments}"
        return True

    async def spoil(self, edit_id: str, how: str) -> None:
        """As another program might, that writes under our names."""
        name = f"{self.core.namespace}:{how if len(how) == 1 else 'e'}:{edit_id}"
        if how == "no number":
            await self.raw.hset(name, "tb", "many")
        elif how == "no status":
            await self.raw.hdel(name, "st")
        else:
            await self.raw.delete(name)
            await self.raw.rpush(name, "of another kind")
        self.digested = set(await self.digest())

    async def digest(self) -> list[bytes]:
        found: list[bytes] = await self.raw.eval(DIGEST, 0, f"{self.core.namespace}:*")
        return found

    async def bytes(self) -> Kept:
        names = sorted([name async for name in self.raw.scan_iter(match=f"{self.core.namespace}:*", count=1000)])
        pipe = self.raw.pipeline(transaction=False)
        for name in names:
            pipe.dump(name)
            pipe.pexpiretime(name)
        told = await pipe.execute()
        return dict(zip(names, zip(told[0::2], told[1::2], strict=True), strict=True))

    async def put_back(self) -> None:
        await self.raw.flushdb()
        pipe = self.raw.pipeline(transaction=False)
        for name, (content, expiry) in self.kept.items():
            pipe.restore(name, max(expiry, 0), content, absttl=expiry > 0)
        await pipe.execute()


@pytest.fixture
async def world(valkey_port: int) -> AsyncIterator[World]:
    client = connect(f"redis://127.0.0.1:{valkey_port}/9")
    raw = Redis(port=valkey_port, db=9)
    await raw.flushdb()
    core = Core(client, "w")
    core.scripts.watching = False
    claims = {}
    for name in ("processing", "storing", "adopting", "submitting"):
        claims[name] = await getattr(core, name)()
    await core.bought(claims["processing"], "task-extra")
    claims["succeeded"] = await core.storing()
    await core.succeed(claims["succeeded"])
    claims["failed"] = await core.processing()
    await core.fail(claims["failed"], ErrorKind.PROVIDER_TIMEOUT, abandon=True)
    unknown = claims["unknown"] = await core.adopting()
    await core.fail(unknown, ErrorKind.SUBMISSION_UNKNOWN)
    at = {name: (claim.id, int((await core.record(claim.id))["fe"])) for name, claim in claims.items()}
    canceled = await core.queued()
    await core.repository.cancel(canceled)
    at["canceled"] = (canceled, 1)
    queued = (await core.accept(key=Idempotency(key="k1", fingerprint="f"))).edit.id
    at["queued"] = (queued, 0)
    for script in SCRIPTS.values():
        await raw.script_load(script.text)
    made = World(core, at, raw)
    made.kept, made.digested = await made.bytes(), set(await made.digest())
    try:
        yield made
    finally:
        await raw.flushdb()
        await raw.aclose()
        await client.aclose(close_connection_pool=True)


def whole(script: str, arguments: dict[str, Any], edit_id: str, fence: int) -> dict[str, Any]:
    own = {"id": edit_id} if script in OF_AN_EDIT else {}
    own |= {"fence": fence} if script in FENCED else {}
    return own | arguments | MORE.get(script, {})


def odd(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Each argument, and each part of one, replaced by everything absurd."""
    found = [arguments | {name: value} for name, value in itertools.product(arguments, ABSURD) if name != "op"]
    for name, inner in arguments.items():
        if isinstance(inner, dict):
            found += [arguments | {name: inner | {part: value}} for part, value in itertools.product(inner, ABSURD)]
        if isinstance(inner, list):
            found += [arguments | {name: [value]} for value in ABSURD]
            for one in inner:
                found += [arguments | {name: [one, absurd]} for absurd in (odd(one) if isinstance(one, dict) else [])]
    return found


@pytest.mark.parametrize(
    ("script", "arguments"), OPERATIONS, ids=lambda v: v if isinstance(v, str) else v.get("op", "")
)
async def test_absurd_arguments_leave_everything_as_it_was(
    world: World, script: str, arguments: dict[str, Any]
) -> None:
    raised = 0
    for number, (edit_id, fence) in enumerate(world.claims.values() if script in OF_AN_EDIT else [("", 0)]):
        # For each status another share of them: together they are all.
        for given in odd(whole(script, arguments, edit_id, fence))[number % SHARES :: SHARES if number else 1]:
            raised += await world.call(script, given)
    assert raised or not set(arguments) - {"op"}


@pytest.mark.parametrize(("script", "arguments"), [one for one in OPERATIONS if one[0] in OF_AN_EDIT])
async def test_a_record_that_cannot_be_read_is_left_as_it_is(
    world: World, script: str, arguments: dict[str, Any]
) -> None:
    for (edit_id, fence), broken in itertools.product(world.claims.values(), BROKEN):
        await world.spoil(edit_id, broken)
        assert await world.call(script, whole(script, arguments, edit_id, fence))
        await world.put_back()


STORAGE = {"step": "store", "wakes": "store", "needs": [{"name": "storage", "rate": 1}]}
SHARED = [
    ("completed", {}, "read"), ("tokens", {}, "read"), ("claim_submit", {"nonce": "another"}, "create"),
    ("claim_due", {"nonce": "another"}, "read"),
    ("claim_due", {"nonce": "another"} | STORAGE, "storage"),
    ("gate", {"op": "open", "name": "read"}, "read"), ("gate", {"op": "unblock"}, "create"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "arguments", "operation"), SHARED)
async def test_outages_that_cannot_be_read_are_met_before_anything_is_written(
    world: World, script: str, arguments: dict[str, Any], operation: Operation
) -> None:
    core = world.core
    await core.limiter.block("no credit")
    if script != "gate":
        await core.limiter.unblock()
    await core.limiter.close(operation)
    await core.pass_time(100)
    if script != "gate":
        await core.limiter.open(operation)
    await core.redis.delete(core.key("pauses", operation))
    await core.redis.set(core.key("pauses", operation), "of another kind")
    world.digested = set(await world.digest())
    edit_id, fence = world.claims["processing"]
    given = CALLS.get(script, {}) | MORE.get(script, {}) | arguments
    given |= {"id": edit_id, "fence": fence} if script in FENCED else {}
    assert await world.call(script, given)


@pytest.mark.parametrize(("step", "broken"), list(zip(STEPS, BROKEN, strict=True)))
async def test_a_record_that_cannot_be_read_holds_up_nobody_else(world: World, step: str, broken: str) -> None:
    core = world.core
    name = {"submit": "queued", "poll": "processing", "store": "storing", "adopt": "adopting", "manifest": "failed"}
    spoilt, _ = world.claims[name[step]]
    other = await another(world, name[step])
    await world.spoil(spoilt, broken)
    for _ in range(2):
        await core.pass_time(100)  # no lease holds
        found = await core.claim_submit(10) if step == "submit" else (await core.claims(step)).claims
        there = {claim.id for claim in found}
        assert other in there
        assert spoilt not in there
        other = other if step != "submit" else await core.queued()
    place = core.key("q", "default") if step == "submit" else core.key("due", step)
    assert await core.redis.zscore(place, spoilt) is not None, "it lost its place"


async def another(world: World, name: str) -> str:
    if name == "failed":
        return world.claims["canceled"][0]
    if name == "queued":
        return await world.core.queued()
    await world.core.repository.cancel(world.claims["queued"][0])  # else it would be the one that is claimed
    claim = await getattr(world.core, name)()
    return str(claim.id)
