"""Edits that are asked for one by one at the same time: taken in by one call, each judged and answered by itself."""

import asyncio

from edits import errors
from edits.db.acceptance import Accepted, Idempotency
from edits.db.admission import Caps
from tests.factories import make_edit
from tests.integration.edits.core import Core

KEY = Idempotency(key="order-17", fingerprint="a" * 64)


async def test_those_who_come_at_once_are_taken_in_by_one_call(core: Core):
    await core.queued()
    core.scripts.watching = False
    await core.redis.config_resetstat()
    edits = [make_edit() for _ in range(50)]
    taken = await asyncio.gather(
        *(core.repository.accept(edit, None, Caps(100)) for edit in edits),
    )
    assert [one.edit.id for one in taken] == [edit.id for edit in edits]
    assert (await core.redis.info("commandstats"))["cmdstat_evalsha"]["calls"] in {1, 2}  # one may look at the clock
    assert await core.repository.get_many([edit.id for edit in edits]) == [one.edit for one in taken]


async def test_each_is_judged_by_itself(core: Core):
    edits = [make_edit() for _ in range(4)]
    asked = [
        core.repository.accept(edits[0], KEY, Caps(2)),
        core.repository.accept(edits[1], KEY, Caps(2)),
        core.repository.accept(edits[2], KEY.model_copy(update={"fingerprint": "b" * 64}), Caps(2)),
        core.repository.accept(edits[3], None, Caps(0)),
    ]
    first, again, other, refused = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(first, Accepted)
    assert again == Accepted(edit=first.edit, replayed=True)
    assert isinstance(other, errors.IdempotencyKeyReused)
    assert isinstance(refused, errors.QueueFull)
    assert await core.repository.get_many([edit.id for edit in edits]) == [first.edit]


async def test_whoever_has_gone_is_not_taken_in(core: Core):
    gone, here = make_edit(), make_edit()
    asked = [asyncio.create_task(core.repository.accept(one, None, Caps(9))) for one in (gone, here)]
    await asyncio.sleep(0)  # both have asked, and nothing is on its way yet
    asked[0].cancel()
    await asked[1]
    assert [edit.id for edit in await core.repository.get_many([gone.id, here.id])] == [here.id]
