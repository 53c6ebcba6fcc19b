"""Another program's key stands where a line that all edits share should be: no edit is left half-way."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from edits import errors, fairness
from edits.db.claims import Claim
from edits.db.sender import ScriptRefused
from edits.models import ErrorKind, Priority
from edits.pacing.pace import Took
from tests.integration.edits.core import Core
from tests.integration.edits.invariants import Dump

SHARED = [
    "due:submit", "due:adopt", "due:poll", "due:store", "due:manifest", "retention", "abandoned", "tenants", "queued",
    "vtime", "stats", "took:28", "gate", "q:default", "idle:poll", "idle:submit",
]  # fmt: skip

SHIFTS = {priority: fairness.arrival_shift(priority) for priority in Priority}


async def of_edits(core: Core) -> Dump:
    """What is kept of each edit alone."""
    return {name: told for name, told in (await core.dump()).items() if name.partition(":")[0] in {"e", "t", "task"}}


async def hindered(core: Core, key: str, change: Callable[[], Awaitable[Any]]) -> Any:
    """While the key is another program's the change counts or changes nothing; then it is made. Returns its answer."""
    name, aside = core.key(key), f"aside:{key}"
    there, before = await core.redis.exists(name), await of_edits(core)
    if there:
        await core.redis.rename(name, aside)
    await (core.redis.set(name, "x") if key == "took:28" else core.redis.rpush(name, "x"))
    answer = None
    with contextlib.suppress(ScriptRefused, errors.Unavailable):
        answer = await change()
    if not answer:
        assert await of_edits(core) == before
    await core.redis.delete(name)
    if there:
        await core.redis.rename(aside, name)
    return answer or await change()


@pytest.mark.parametrize("key", SHARED)
async def test_a_key_of_another_program_leaves_no_edit_half_way(busy: Core, key: str):
    async def claimed(step: str) -> Claim:
        answer = busy.claim_submit if step == "submit" else lambda: _claims(busy, step)
        (claim,) = await hindered(busy, key, answer)
        return claim

    edit_id = await hindered(busy, key, busy.queued)
    for _ in range(2):
        claim = await claimed("submit")
        assert (
            await hindered(busy, key, lambda claim=claim: busy.bought(claim, f"task-{claim.attempt}")) == "taken_over"
        )
        poll = await claimed("poll")
        if poll.attempt == 1:
            assert await hindered(busy, key, lambda poll=poll: busy.fail(poll, ErrorKind.PROVIDER_FAILED))
            assert await hindered(busy, key, lambda: busy.scripts.run("retry", id=edit_id, shifts=SHIFTS)) == "ok"
    took = Took(wait=1.0, run=2.0)
    assert await hindered(busy, key, lambda: busy.complete(poll, took=took))
    store = await claimed("store")
    assert await hindered(busy, key, lambda: busy.succeed(store))
    await busy.hold(without={"overdue"} | ({"counters"} if key == "stats" else set()))


async def _claims(core: Core, step: str) -> list[Claim]:
    return (await core.claims(step)).claims
