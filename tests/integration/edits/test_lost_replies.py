"""Calls whose reply was lost on the way from Redis: made again, counted once, or in doubt."""

import asyncio
from collections.abc import Iterator

import pytest
import redis as redis_sync

from edits import errors
from edits.db import sender
from edits.db.acceptance import Idempotency
from edits.db.admission import Caps
from edits.db.outcomes import Outcomes
from edits.db.repository import EditRepository
from edits.db.sender import ReplyLost, ScriptError, Scripts
from tests.factories import make_edit
from tests.integration.edits.core import LEASE, PRICE, Core, Worker, raw
from tests.parts.patience import LONG
from tests.parts.proxy import Proxy


async def test_a_call_whose_reply_was_lost_is_made_again_and_counts_once(core: Core, far: Scripts, proxy: Proxy):
    claim = await core.submitting()
    proxy.lose = 1
    answer = await Outcomes(far).bought(
        claim.id, attempt=1, task_id="task-1", units=PRICE, status="pending", first_look=1, how="answer"
    )
    assert (answer, proxy.lost) == ("same", 1)
    assert await core.counter("bought") == 1
    assert (await core.edit(claim.id)).status == "processing"


@pytest.mark.parametrize("key", [None, Idempotency(key="k", fingerprint="f")], ids=["without a key", "with a key"])
async def test_an_accept_whose_reply_was_lost_takes_the_edit_once(
    core: Core, far: Scripts, proxy: Proxy, key: Idempotency | None
):
    repository = EditRepository(core.redis, namespace=core.namespace, scripts=far)
    edit = make_edit()
    proxy.lose = 1
    accepted = await repository.accept(edit, key, Caps(10))
    assert (accepted.edit.id, accepted.replayed, proxy.lost) == (edit.id, False, 1)
    assert await core.counter("accepted") == 1


async def test_a_claim_whose_reply_was_lost_is_answered_with_the_same_edits(core: Core, far: Scripts, proxy: Proxy):
    ids = [await core.queued() for _ in range(3)]
    worker = Worker.of(far, core.process.registry.ceilings)
    proxy.lose = 2 * sender.TRIES + 1  # more than the client itself repeats
    claims = (await worker.claims.submit(2, lease=LEASE)).claims
    assert proxy.lost == 2 * sender.TRIES + 1
    assert [claim.id for claim in claims] == ids[:2]
    assert all(claim.fence == 1 for claim in claims)


def refusing_writes_after_a_loss(proxy: Proxy, port: int, *, calls: int) -> None:
    """The reply to the next call is lost, and the server takes no writes for so many calls after it."""
    made = 0

    def forwarding(data: bytes) -> None:
        nonlocal made
        made += data.count(b"EVALSHA")
        if b"EVALSHA" in data and made in {2, 2 + calls}:
            with redis_sync.Redis(port=port) as client:
                client.config_set("min-replicas-to-write", int(made == 2))

    proxy.lose, proxy.before_forwarding = 1, forwarding


@pytest.fixture
def refusing(engine_port: int) -> Iterator[int]:
    yield engine_port
    with redis_sync.Redis(port=engine_port) as client:
        client.config_set("min-replicas-to-write", 0)


async def test_an_accept_that_is_refused_after_a_lost_reply_is_in_doubt(
    core: Core, far: Scripts, proxy: Proxy, refusing: int
):
    """The first of its calls took the edit; a refusal of the second says nothing of that."""
    repository = EditRepository(core.redis, namespace=core.namespace, scripts=far)
    edit = make_edit()
    refusing_writes_after_a_loss(proxy, refusing, calls=1)
    with pytest.raises(errors.AcceptUnknown):
        await repository.accept(edit, None, Caps(10))
    assert (await core.edit(edit.id)).status == "queued"


async def test_a_claim_that_is_refused_after_a_lost_reply_is_asked_for_until_it_is_answered(
    core: Core, far: Scripts, proxy: Proxy, refusing: int
):
    """As while a server that was ended in the middle of a claim loads its data."""
    ids = [await core.queued() for _ in range(3)]
    worker = Worker.of(far, core.process.registry.ceilings)
    refusing_writes_after_a_loss(proxy, refusing, calls=3)
    claims = (await worker.claims.submit(2, lease=LEASE)).claims
    assert [claim.id for claim in claims] == ids[:2]
    assert all(claim.fence == 1 for claim in claims)


async def test_a_server_that_loads_its_data_refuses_each_call_of_a_batch(core: Core, far: Scripts, proxy: Proxy):
    proxy.rewrite = lambda _: b"-LOADING Redis is loading the dataset in memory\r\n" * 3
    calls = [far.run(raw("read"), ids=[f"edit_{n}"]) for n in range(3)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [ScriptError] * 3
    assert all("LOADING" in str(answer) for answer in answers)


async def test_a_whole_batch_whose_replies_were_lost_counts_once(core: Core, far: Scripts, proxy: Proxy):
    repository = EditRepository(core.redis, namespace=core.namespace, scripts=far)
    edits = [make_edit() for _ in range(20)]
    proxy.lose = 1
    accepted = await asyncio.gather(*[repository.accept(edit, None, Caps(100)) for edit in edits])
    assert [each.edit.id for each in accepted] == [edit.id for edit in edits]
    assert await core.counter("accepted") == 20


async def test_a_reply_that_stays_away_is_in_doubt(core: Core, far: Scripts, proxy: Proxy):
    claim = await core.submitting()
    proxy.lose = 100
    with pytest.raises(ReplyLost):
        await far.run(raw("lost"), id=claim.id, fence=claim.fence, cause="AnswerLost", due=0)
    assert proxy.lost == 2
    assert (await core.record(claim.id))["pl"] == "adopt"


async def test_a_silent_server_leaves_the_call_in_doubt_in_time(core: Core, hasty: Scripts, proxy: Proxy):
    edit_id = await core.queued()
    proxy.hold()
    before = proxy.connections
    with pytest.raises(ReplyLost):
        await asyncio.wait_for(hasty.run(raw("cancel"), id=edit_id), LONG)
    assert proxy.connections - before <= 2  # each is given up after QUICK, and nobody asks a third time


async def test_an_accept_in_doubt_says_so_and_the_same_key_tells_the_truth(core: Core, far: Scripts, proxy: Proxy):
    repository = EditRepository(core.redis, namespace=core.namespace, scripts=far)
    key = Idempotency(key="k", fingerprint="f")
    edit = make_edit()
    proxy.lose = 100
    with pytest.raises(errors.AcceptUnknown, match="Idempotency-Key"):
        await repository.accept(edit, key, Caps(10))
    proxy.lose = 0
    again = await repository.accept(make_edit(), key, Caps(10))
    assert (again.replayed, again.edit.id) == (True, edit.id)


async def test_after_a_cut_the_next_call_goes_over_a_new_connection(core: Core, far: Scripts, proxy: Proxy):
    before = proxy.connections
    proxy.cut()
    assert await far.run(raw("read"), ids=["edit_none"]) == [None]
    assert proxy.connections == before + 1
