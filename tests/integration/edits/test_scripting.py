"""Calls of scripts: batches, refusals, and servers that do not have the scripts."""

import asyncio
import json
from dataclasses import replace

import pytest

from edits.db import sender
from edits.db.outcomes import Outcomes
from edits.db.sender import BATCH, SCRIPTS, NewerRecord, ScriptError, ScriptRefused, Scripts, Unsent
from tests.integration.edits.core import PRICE, Core, connected, raw
from tests.parts.patience import LONG
from tests.parts.proxy import Proxy

# Batches


async def test_calls_made_together_go_together_and_keep_their_order(core: Core):
    core.scripts.watching, core.damaged = False, True
    ids = [f"edit_{n}" for n in range(3 * BATCH + 7)]
    for edit_id in ids[::2]:
        await core.redis.hset(core.key("e", edit_id), "st", edit_id)
    answers = await asyncio.gather(*[core.scripts.run(raw("read"), ids=[edit_id]) for edit_id in ids])
    assert [row and json.loads(row)[0][1] for (row,) in answers] == [
        edit_id if n % 2 == 0 else None for n, edit_id in enumerate(ids)
    ]


async def test_calls_made_while_a_batch_is_on_its_way_share_the_next_one(core: Core, proxy: Proxy):
    async with connected(proxy.port) as redis:
        scripts = Scripts(redis, core.namespace)
        await scripts.run(raw("read"), ids=["edit_none"])
        sent: list[int] = []
        proxy.before_forwarding = lambda data: sent.append(data.count(b"EVALSHA"))
        proxy.hold()
        first = asyncio.create_task(scripts.run(raw("read"), ids=["edit_0"]))
        while not sent:  # noqa: ASYNC110 - the proxy tells it by a number
            await asyncio.sleep(0.005)
        others = [asyncio.create_task(scripts.run(raw("read"), ids=[f"edit_{n}"])) for n in range(20)]
        await asyncio.sleep(0)
        proxy.flow()
        await asyncio.gather(first, *others)
        assert sent == [1, 20]


async def test_calls_made_within_the_gap_share_a_batch(core: Core, proxy: Proxy):
    async with connected(proxy.port) as redis:
        scripts = Scripts(redis, core.namespace, gap=0.5)
        await scripts.run(raw("read"), ids=["edit_none"])
        sent: list[int] = []
        proxy.before_forwarding = lambda data: sent.append(data.count(b"EVALSHA"))
        early = asyncio.create_task(scripts.run(raw("read"), ids=["edit_1"]))
        await asyncio.sleep(0.01)
        await asyncio.gather(early, scripts.run(raw("read"), ids=["edit_2"]))
        assert sent == [2]


async def test_snoozes_that_wait_together_are_one_call_and_each_has_its_own_answer(core: Core, proxy: Proxy):
    core.scripts.watching, core.damaged = False, True
    good, old, newer = [await core.processing() for _ in range(3)]
    gone = replace(good, id="edit_gone")
    old = replace(old, fields=old.fields | {"fe": str(old.fence - 1)})
    await core.redis.hset(core.key("e", newer.id), "fm", "2")
    before = dict(await core.redis.zrange(core.key("due", "poll"), 0, -1, withscores=True))
    async with connected(proxy.port) as redis:
        scripts = Scripts(redis, core.namespace, gap=0.5)
        await scripts.run(raw("read"), ids=["edit_none"])
        sent: list[int] = []
        proxy.before_forwarding = lambda data: sent.append(data.count(b"EVALSHA"))
        calls = [Outcomes(scripts).snooze(claim, delay=30) for claim in (old, good, newer, gone)]
        answers = await asyncio.gather(*calls, scripts.run(raw("read"), ids=["edit_1"]), return_exceptions=True)
    assert sent == [2]
    assert [answers[0], answers[1], answers[3]] == [False, True, False]
    assert isinstance(answers[2], NewerRecord)
    assert answers[4] == [None]
    after = dict(await core.redis.zrange(core.key("due", "poll"), 0, -1, withscores=True))
    assert [name for name, due in after.items() if due != before[name]] == [good.id]


async def test_a_sender_that_is_canceled_in_the_gap_fails_the_calls_that_wait(core: Core):
    scripts = Scripts(core.redis, core.namespace, gap=LONG)
    await scripts.run(raw("read"), ids=["edit_none"])
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(scripts.run(raw("read"), ids=["edit_1"]))
    await asyncio.sleep(0)
    (sender_of_it,) = asyncio.all_tasks() - before - {waiting}
    await asyncio.sleep(0)
    sender_of_it.cancel()
    with pytest.raises(Unsent):
        await asyncio.wait_for(waiting, LONG / 2)


async def test_a_refused_call_does_not_harm_its_neighbours(core: Core):
    core.scripts.watching, core.damaged = False, True
    broken = await core.queued()
    await core.redis.hset(core.key("e", broken), "at", "no number")
    calls = [
        core.scripts.run(raw("read"), ids=["edit_none"]),
        core.scripts.run(raw("cancel"), id=broken),
        core.scripts.run(raw("cancel"), id="x"),
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert answers[0] == [None]
    assert isinstance(answers[1], ScriptRefused)
    assert answers[2] == "missing"


async def test_whoever_stops_waiting_leaves_the_others_be(core: Core, far: Scripts, proxy: Proxy):
    proxy.hold()
    gone = asyncio.create_task(far.run(raw("read"), ids=["edit_1"]))
    left = asyncio.create_task(far.run(raw("read"), ids=["edit_2"]))
    await asyncio.sleep(0)
    gone.cancel()
    proxy.flow()
    assert await left == [None]
    assert gone.cancelled() or await asyncio.gather(gone, return_exceptions=True)


# Scripts that the server does not have


async def test_scripts_lost_by_the_server_are_loaded_within_the_batch(core: Core):
    """Some calls of the batch may be done already: only those that the server did not know are sent again."""
    claim = await core.submitting()
    core.scripts.watching = False
    await core.redis.script_flush()
    await core.redis.script_load(SCRIPTS["nudge"].text)
    bought = Outcomes(core.scripts).bought(
        claim.id, attempt=1, task_id="task-1", units=PRICE, status="pending", first_look=1, how="answer"
    )
    await asyncio.gather(
        core.repository.nudge(claim.id, attempt=1, task_id="task-1"),
        bought,
        core.repository.nudge(claim.id, attempt=1, task_id="task-1"),
    )
    record = await core.record(claim.id)
    assert (record["nu"], record["tb"], record["st"]) == ("2", "1", "processing")
    assert await core.counter("bought") == 1


async def test_a_script_that_the_server_never_knows_is_refused(core: Core, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(SCRIPTS, "cancel", replace(SCRIPTS["cancel"], sha="0" * 40))
    async with asyncio.timeout(90):
        with pytest.raises(ScriptRefused, match="forgot"):
            await core.scripts.run(raw("cancel"), id="x")


def test_every_script_says_what_it_includes_and_what_it_is():
    for script in SCRIPTS.values():
        lines = script.text.splitlines()
        assert lines[0] in {"#!lua", "#!lua flags=allow-oom", "#!lua flags=no-writes"}, script.name
        body = (sender.FOLDER / f"{script.name}.lua").read_text().splitlines()
        assert body[1].startswith("--- @include "), script.name
        assert body[2].startswith("-- "), script.name


async def test_a_server_that_takes_no_writes_now_has_refused_nothing(core: Core):
    """As with a full disk: what is to be decided is asked again, until the lease ends."""
    claim = await core.submitting()
    await core.redis.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(ScriptError, match="NOREPLICAS"):
            await core.bought(claim)
    finally:
        await core.redis.config_set("min-replicas-to-write", 0)
    assert await core.bought(claim) == "taken_over"
