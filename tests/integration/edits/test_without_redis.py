"""Calls while Redis is away, or goes away between them: each is soon reported as unsent or unknown."""

import asyncio
import contextlib

import pytest
import uvloop

from edits import errors
from edits.db.repository import EditRepository
from edits.db.sender import ReplyLost, Scripts, Unsent
from tests.integration.edits.core import Core, connected, raw
from tests.parts.patience import LONG
from tests.parts.proxy import Proxy, run_proxy
from tests.parts.valkey import free_port


async def test_without_redis_a_call_is_known_not_to_have_left_and_soon():
    async with connected(free_port()) as redis:
        with pytest.raises(Unsent):
            await asyncio.wait_for(Scripts(redis, "nowhere").run(raw("cancel"), id="x"), LONG / 2)


async def test_a_call_in_doubt_stays_in_doubt_when_redis_is_gone_at_the_second_try(core: Core, engine_port: int):
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(run_proxy(engine_port))
        redis = await stack.enter_async_context(connected(proxy.port))
        scripts = Scripts(redis, core.namespace)
        await scripts.run(raw("read"), ids=["edit_none"])
        proxy.lose = 1
        proxy.before_forwarding = lambda _: proxy.refuse()
        with pytest.raises(ReplyLost):
            await scripts.run(raw("cancel"), id=await core.queued())


async def test_without_redis_every_question_is_answered_with_unavailable():
    async with connected(free_port()) as redis:
        repository = EditRepository(redis, namespace="nowhere")
        asked = [
            repository.get("edit_1"), repository.timeline("edit_1"), repository.cancel("edit_1"),
            repository.retry("edit_1"), repository.nudge("edit_1", attempt=1, task_id="t"), repository.gate(),
            repository.newest("default", before=None, limit=1), repository.by_external_id("default", "x"),
            anext(repository.ended()),
        ]  # fmt: skip
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers] == [errors.Unavailable] * len(asked)


async def test_scripts_work_again_when_redis_is_back(core: Core, hasty: Scripts, far: Scripts, proxy: Proxy):
    proxy.hold()
    with pytest.raises(ReplyLost):
        await hasty.run(raw("read"), ids=["edit_none"])
    proxy.flow()
    assert await far.run(raw("read"), ids=["edit_none"]) == [None]


def test_a_connection_that_is_closed_while_it_is_written_to_is_replaced(engine_port: int):
    """On the event loop of the workers such a write is an error of its own kind, and no call may wait for ever."""

    async def calls() -> None:
        async with connected(engine_port) as redis:
            scripts = Scripts(redis, "closed")
            await scripts.run(raw("read"), ids=["edit_none"])
            connection = await redis.connection_pool.get_connection()
            written = connection.send_packed_command

            async def closed_first(*command: object, **options: object) -> None:
                connection.send_packed_command = written
                connection._writer.transport.abort()
                await written(*command, **options)

            connection.send_packed_command = closed_first
            await redis.connection_pool.release(connection)
            assert await asyncio.wait_for(scripts.run(raw("read"), ids=["edit_none"]), 90) == [None]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(calls())
