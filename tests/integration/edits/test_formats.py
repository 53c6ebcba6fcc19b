"""A record of a later format: processes of this release leave it alone, say so, and go on with all others."""

from collections.abc import Awaitable
from typing import Final

import pytest

from edits import errors
from edits.storage import manifest
from tests.integration.edits.core import LEASE, Core, raw

TOMORROW: Final = "2"
"""A format that this release does not know."""


async def of_tomorrow(core: Core, edit_id: str) -> dict[str, str]:
    core.damaged = True
    await core.redis.hset(core.key("e", edit_id), "fm", TOMORROW)
    return await core.record(edit_id)


async def test_what_a_later_release_wrote_is_claimed_by_nobody_and_holds_up_nobody(busy: Core) -> None:
    core = busy
    ahead, edit_id = await core.queued(), await core.queued()
    before = await of_tomorrow(core, ahead)
    assert [claim.id for claim in await core.claim_submit(10)] == [edit_id]
    assert await core.claim_submit(10) == []
    assert await core.record(ahead) == before
    assert await core.redis.zscore(core.key("q:default"), ahead) is not None


@pytest.mark.parametrize("step", ["submit", "poll", "store", "adopt"])
async def test_in_every_place_it_is_left_to_newer_processes(core: Core, step: str) -> None:
    claim = await {"submit": core.submitting, "poll": core.processing, "store": core.storing, "adopt": core.adopting}[
        step
    ]()
    before = await of_tomorrow(core, claim.id)
    await core.pass_time(LEASE.total_seconds() + 1)
    assert (await core.claims("adopt" if step == "submit" else step)).claims == []
    assert await core.record(claim.id) == before
    due = await core.due_in(step, claim.id)
    assert due is not None
    assert 0 < due <= 5  # a newer process comes by before that; this one does not spin meanwhile


async def test_whoever_asks_for_it_is_told_and_nothing_is_changed(core: Core) -> None:
    edit_id = await core.queued()
    await of_tomorrow(core, edit_id)
    before = await core.dump()
    asked: list[Awaitable[object]] = [
        core.repository.get(edit_id), core.repository.cancel(edit_id), core.repository.retry(edit_id),
        core.repository.nudge(edit_id, attempt=1, task_id="task-1"),
    ]  # fmt: skip
    for asking in asked:
        with pytest.raises(errors.NewerFormat, match=f"{edit_id} was written by a newer release"):
            await asking
    after = await core.dump()
    assert {name: after[name] for name in before if name != "tick"} == {
        name: before[name] for name in before if name != "tick"
    }


async def test_it_is_not_evicted(core: Core) -> None:
    edit_id = await core.queued()
    await core.repository.cancel(edit_id)
    (written,) = (await core.claims("manifest")).claims
    await core.outcomes.recorded(written)
    before = await of_tomorrow(core, edit_id)
    await core.pass_time(1000)
    await core.scripts.run(raw("evict"), k=100, hot=0, later=1000)
    assert await core.record(edit_id) == before


def test_a_manifest_of_a_later_release_is_told_from_one_that_is_broken() -> None:
    assert manifest.is_newer(b'{"format": 2, "edit": {}}')
    assert not manifest.is_newer(b'{"format": 1}')
    assert not manifest.is_newer(b"not JSON")
