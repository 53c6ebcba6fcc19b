"""Checks before writes: a script that meets a record it cannot read changes nothing, and holds up no other edit."""

import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from edits.db.acceptance import Idempotency
from edits.db.connection import connect
from edits.db.sender import SCRIPTS
from edits.models import ErrorKind
from tests.integration.edits.core import Core

FENCED: dict[str, dict[str, Any]] = {
    "completed": {"address": "a", "started": 1, "ended": 2, "units": 5, "took": {"wait": 1, "run": 2}},
    "fail": {"kind": "internal", "message": "m", "retryable": 1, "cost": "charged", "code": 500, "abandon": 1},
    "intend": {"address": "a"},
    "lost": {"cause": "c", "due": 0},
    "rebuy": {"kind": "internal", "shift": 0, "automatic": 1},
    "recorded": {},
    "release": {"event": "throttled", "wait": "cooldown"},
    "renew": {"step": "submit", "lease": 1},
    "snooze": {"due": 0, "nudge": 0, "looked": 1, "started": 1, "wait": "provider_run"},
    "succeed": {"at": 0, "result": {"ext": "png", "bytes": 1, "sha": "a", "w": 1, "h": 1}},
}
OF_AN_EDIT: dict[str, dict[str, Any]] = FENCED | {
    "bought": {"attempt": 1, "task": "t", "units": 1, "status": "pending", "due": 0, "how": "answer"},
    "cancel": {},
    "nudge": {"attempt": 1, "task": "t"},
    "retry": {"shifts": {"standard": 0, "interactive": 0, "bulk": 1}},
}
STEPS = ("submit", "poll", "store", "adopt", "manifest")
MANY = {"snooze"}
"""They take a list, and answer with a list in which an error is one of the replies."""

BROKEN = {"no number": ("fe", "many"), "no status": ("st", None), "of a later format": ("fm", "2")}
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
        words = json.dumps([arguments] if script in MANY else arguments)
        try:
            reply = await self.raw.evalsha(SCRIPTS[script].sha, 1, self.core.key(""), words)
            if script in MANY and isinstance(reply[0], ResponseError):
                raise reply[0]
        except ResponseError as exc:
            raised = str(exc)
        else:
            await self.put_back()
            return False
        changed = set(await self.digest()) ^ self.digested
        assert not changed, f"{script} raised {raised} and had changed {changed}; it was given {arguments}"
        return True

    async def spoil(self, edit_id: str, how: str) -> None:
        name, (field_name, value) = self.core.key("e", edit_id), BROKEN[how]
        await (self.raw.hdel(name, field_name) if value is None else self.raw.hset(name, field_name, value))
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
        await client.aclose()


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("script", OF_AN_EDIT)
async def test_a_record_that_cannot_be_read_is_left_as_it_is(world: World, script: str, broken: str) -> None:
    for edit_id, fence in world.claims.values():
        await world.spoil(edit_id, broken)
        own = {"id": edit_id} | ({"fence": fence} if script in FENCED else {})
        assert await world.call(script, own | OF_AN_EDIT[script])
        await world.put_back()


@pytest.mark.parametrize(("step", "broken"), list(itertools.product(STEPS, BROKEN)))
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
