"""The server's clock jumps, or is not read for long: the time of edits goes on as real time."""

import json

import pytest

from edits.db import clock
from edits.db.sender import Scripts
from tests.integration.edits.core import Core, raw

HOUR = 3600.0
NEARLY = 4.0  # seconds; so far apart may honest clocks be
UNSEEN = 5.0  # seconds by which time moves at most while nobody looks
JUMPS = [10.0, -10.0, 1800.0, -1800.0, HOUR, -HOUR, 48 * HOUR, -48 * HOUR]


@pytest.fixture
async def edit_id(core: Core, monkeypatch: pytest.MonkeyPatch) -> str:
    """Claimed to submit; `core.scripts` has looked at the clock, which no look on a busy machine is too slow for."""
    await core.thaw()
    monkeypatch.setattr(clock, "SURE_WITHIN", 60.0)
    core.scripts.watching = False
    return (await core.submitting()).id


async def gone_wrong(core: Core, edit_id: str, scripts: Scripts) -> float:
    """Seconds by which the time of edits is ahead of what it would be without any jump."""
    rows = await scripts.run(raw("read"), ids=[edit_id])
    return (int(json.loads(rows[0])[4]) - await core.now()) / 1000


def look(scripts: Scripts) -> Scripts:
    """With its next look at the clock due."""
    scripts._clock._next = 0.0
    return scripts


@pytest.mark.parametrize("seconds", JUMPS)
async def test_a_jump_is_undone_by_who_looked_before_it(core: Core, edit_id: str, seconds: float):
    await core.jump(seconds)
    assert abs(await gone_wrong(core, edit_id, look(core.scripts))) < NEARLY
    due = await core.due_in("submit", edit_id)
    assert due is not None
    assert 30 < due <= 40
    assert (await core.claims("adopt")).claims == []  # its lease goes on
    assert (await core.scripts.run(raw("tick")))[1:] == [pytest.approx(0, abs=1000), 0]


@pytest.mark.parametrize("seconds", JUMPS)
async def test_until_somebody_looks_a_jump_counts_for_a_few_seconds_at_most(core: Core, edit_id: str, seconds: float):
    await core.scripts.run(raw("read"), ids=[edit_id])
    await core.jump(seconds)
    assert -NEARLY < await gone_wrong(core, edit_id, core.scripts) < UNSEEN + NEARLY


@pytest.mark.parametrize("seconds", JUMPS)
async def test_two_who_saw_the_same_jump_undo_it_once(core: Core, edit_id: str, seconds: float):
    other = Scripts(core.redis, core.namespace)
    await other.run(raw("read"), ids=[edit_id])
    await core.jump(seconds)
    for scripts in (core.scripts, other, core.scripts):
        assert abs(await gone_wrong(core, edit_id, look(scripts))) < NEARLY


async def test_there_and_back_again(core: Core, edit_id: str):
    await core.jump(HOUR)
    await gone_wrong(core, edit_id, look(core.scripts))
    seen, stepped = (await core.redis.get(core.key("tick"))).split()
    await core.redis.set(core.key("tick"), f"{int(seen) + 1_800_000} {int(stepped) - 1_800_000}")  # half an hour back
    assert abs(await gone_wrong(core, edit_id, look(core.scripts))) < NEARLY


async def test_time_that_passed_while_nobody_looked_has_passed(core: Core, edit_id: str):
    """The machine was suspended, Redis was away, or nobody had anything to ask: each is an hour of everybody's life."""
    core.scripts._clock._at -= HOUR
    core.scripts._clock._time -= HOUR * 1000
    await core.redis.set(core.key("tick"), f"{await core.now() - round(HOUR * 1000)} 0")
    assert abs(await gone_wrong(core, edit_id, look(core.scripts))) < NEARLY
    assert (await core.redis.get(core.key("tick"))).split()[1] == "0"


async def test_who_begins_after_a_gap_takes_the_clock_as_it_stands_but_never_back(core: Core, edit_id: str):
    await core.redis.set(core.key("tick"), f"{await core.now() - round(HOUR * 1000)} 0")
    assert abs(await gone_wrong(core, edit_id, Scripts(core.redis, core.namespace))) < NEARLY
    await core.jump(-HOUR)
    assert abs(await gone_wrong(core, edit_id, Scripts(core.redis, core.namespace))) < NEARLY


async def test_a_verdict_counts_only_for_the_gap_it_was_made_for(core: Core, edit_id: str):
    await core.jump(HOUR)
    server, stepped, seen = await core.scripts.run(raw("tick"))
    verdict = {"seen": seen, "raw": server, "jump": round(HOUR * 1000)}
    assert stepped == verdict["jump"]
    for _ in range(2):
        assert (await core.scripts.run(raw("tick"), judged=verdict))[1:] == [0, 0]  # ms undone; no gap
    late = {**verdict, "seen": seen - 1}
    assert (await core.scripts.run(raw("tick"), judged=late))[1:] == [0, 0]


async def test_a_look_that_took_long_judges_nothing(core: Core, edit_id: str, monkeypatch: pytest.MonkeyPatch):
    slow = Scripts(core.redis, core.namespace)
    await slow.run(raw("read"), ids=[edit_id])
    await core.jump(HOUR)
    monkeypatch.setattr(clock, "SURE_WITHIN", 0.0)
    assert UNSEEN - NEARLY < await gone_wrong(core, edit_id, look(slow)) < UNSEEN + NEARLY
    monkeypatch.setattr(clock, "SURE_WITHIN", 60.0)
    assert abs(await gone_wrong(core, edit_id, slow)) < NEARLY


async def test_a_server_that_takes_no_writes_is_still_read(core: Core, edit_id: str):
    await core.redis.config_set("min-replicas-to-write", 1)
    try:
        assert abs(await gone_wrong(core, edit_id, look(core.scripts))) < NEARLY
    finally:
        await core.redis.config_set("min-replicas-to-write", 0)
