"""A sender that fails in any way fails its whole batch at once: no caller waits for ever or gets another's answer."""

import asyncio
import json
from collections.abc import Awaitable

import pytest
import redis as redis_sync
from redis.asyncio.connection import AbstractConnection

from edits import errors
from edits.db.admission import Caps
from edits.db.repository import EditRepository
from edits.db.sender import BatchFailed, ReplyLost, Scripts, Unsent
from tests.factories import make_edit
from tests.integration.edits.core import Core, raw
from tests.parts.patience import LONG
from tests.parts.proxy import Proxy


async def outcomes(*calls: Awaitable[object]) -> list[object]:
    async with asyncio.timeout(LONG):
        return await asyncio.gather(*calls, return_exceptions=True)


def tasks_of(name: str) -> list["asyncio.Task[object]"]:
    return [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__qualname__", "").endswith(name)]


async def test_a_reply_that_cannot_be_decoded_fails_its_batch_and_the_next_calls_get_their_own_answers(
    core: Core, far: Scripts, engine_port: int
):
    core.damaged = True
    with redis_sync.Redis(port=engine_port) as client:
        client.hset(core.key("e", "edit_odd"), "st", b"\xff\xfe")
    for edit_id in ("edit_1", "edit_2"):
        await core.redis.hset(core.key("e", edit_id), "st", edit_id)
    answers = await outcomes(*[far.run(raw("read"), ids=[edit_id]) for edit_id in ("edit_1", "edit_odd", "edit_none")])
    assert isinstance(answers[1], BatchFailed)
    assert isinstance(answers[1].__cause__, UnicodeDecodeError)
    assert isinstance(answers[2], BatchFailed)
    (row,) = await far.run(raw("read"), ids=["edit_2"])
    assert json.loads(row)[0] == ["st", "edit_2"]


@pytest.mark.parametrize("error", [ValueError("nobody expects this"), RuntimeError("a mistake of ours")], ids=repr)
async def test_an_unexpected_error_is_told_to_the_whole_batch_and_is_not_called_a_redis_that_is_away(
    core: Core, far: Scripts, error: Exception, monkeypatch: pytest.MonkeyPatch
):
    async def broken(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(AbstractConnection, "read_response", broken)
        repository = EditRepository(core.redis, namespace=core.namespace, scripts=far)
        answers = await outcomes(repository.get("edit_1"), repository.get("edit_2"), repository.cancel("edit_3"))
    assert [type(answer) for answer in answers] == [BatchFailed] * 3
    assert not isinstance(answers[0], errors.EditsError)
    assert await far.run(raw("read"), ids=["edit_none"]) == [None]


async def test_a_sender_that_is_cancelled_leaves_its_batch_in_doubt(core: Core, far: Scripts, proxy: Proxy):
    sent = asyncio.Event()
    proxy.before_forwarding = lambda _: sent.set()
    proxy.hold()
    calls = [asyncio.create_task(far.run(raw("read"), ids=[f"edit_{n}"])) for n in range(3)]
    await sent.wait()
    late = asyncio.create_task(far.run(raw("read"), ids=["edit_late"]))
    await asyncio.sleep(0)
    (sender,) = tasks_of("Scripts._send_all")
    sender.cancel()
    assert [type(answer) for answer in await outcomes(*calls, late)] == [ReplyLost] * 3 + [Unsent]
    proxy.flow()
    assert await far.run(raw("read"), ids=["edit_none"]) == [None]


async def test_accepts_that_share_a_call_are_all_answered_when_it_is_cancelled(core: Core, far: Scripts, proxy: Proxy):
    repository = EditRepository(core.redis, namespace=core.namespace, scripts=far)
    sent = asyncio.Event()
    proxy.before_forwarding = lambda _: sent.set()
    proxy.hold()
    edits = [make_edit() for _ in range(4)]
    calls = [asyncio.create_task(repository.accept(edit, None, Caps(9))) for edit in edits[:3]]
    await sent.wait()
    calls.append(asyncio.create_task(repository.accept(edits[3], None, Caps(9))))
    await asyncio.sleep(0)
    (taking,) = tasks_of("Together._take_all")
    taking.cancel()
    assert [type(answer) for answer in await outcomes(*calls)] == [errors.AcceptUnknown] * 3 + [errors.Unavailable]
    proxy.flow()
    assert (await repository.accept(make_edit(), None, Caps(9))).replayed is False
