"""Up to when the provider's history is complete, by our own tasks, shown and missing."""

from edits.db.freshness import Completeness, Freshness, Known
from edits.models import ErrorKind
from tests.integration.edits.core import ON_ONE_ENGINE, Core, raw

SECOND = 1000


async def judged(
    core: Core, shown: dict[str, float], missing: dict[str, float], *, since: float = 3600
) -> Completeness:
    """A reading now, of a window that began `since` seconds ago; tasks by how many seconds ago they were claimed."""
    now = await core.now()
    tasks = {task: now - round(ago * SECOND) for task, ago in (shown | missing).items()}
    reading = Known(now=now, tasks=tasks)
    return await Freshness(core.scripts).judge(reading, shown.keys(), since=now - round(since * SECOND))


def ago(history: Completeness) -> float:
    """How many seconds before its beginning the reading is complete to."""
    return (history.began - history.until) / SECOND


async def test_a_task_vouches_for_all_before_it_and_time_for_three_lags(core: Core):
    history = await judged(core, {"a": 4, "b": 50}, {})
    assert (ago(history), history.lag) == (4, 4 * SECOND)
    await core.pass_time(60)
    history = await judged(core, {"a": 64, "b": 110}, {})
    assert (ago(history), history.lag) == (12, 4 * SECOND)
    assert history.covers(history.until - 1)
    assert not history.covers(history.until)


async def test_nothing_is_complete_beyond_the_first_missing_task(core: Core):
    assert ago(await judged(core, {"a": 1}, {"b": 30, "c": 20})) == 30


async def test_a_task_from_before_the_window_is_not_missing(core: Core):
    assert ago(await judged(core, {"a": 1}, {"b": 30}, since=29)) == 1
    assert ago(await judged(core, {"a": 1}, {"b": 30}, since=30)) == 30


async def test_a_reading_that_shows_nothing_of_ours_vouches_for_nothing(core: Core):
    assert not (await judged(core, {}, {})).covers(1)
    await judged(core, {"a": 1}, {})
    assert not (await judged(core, {}, {})).covers(1)


async def test_the_worst_lag_of_the_last_hour_counts(core: Core):
    await judged(core, {"a": 2}, {"b": 40})
    await core.pass_time(3500)
    assert (await judged(core, {"c": 100}, {})).lag == 40 * SECOND
    await core.pass_time(200)
    assert (await judged(core, {"d": 100}, {})).lag == 100 * SECOND


@ON_ONE_ENGINE
async def test_a_reading_told_twice_counts_once_and_no_more_than_some_are_kept(core: Core):
    core.scripts.watching = False
    given = {"life": 3600 * SECOND, "shown": 5}
    now = await core.now()
    assert await core.scripts.run(raw("scanned"), began=now, **given) == [5, -1]
    assert await core.scripts.run(raw("scanned"), began=now, **given) == [5, -1]
    assert await core.redis.zcard(core.key("lags")) == 1
    for n in range(510):
        await core.scripts.run(raw("scanned"), began=now + n, **given)
    assert await core.redis.zcard(core.key("lags")) == 500


async def test_known_are_the_tasks_that_must_show_sooner_or_later(core: Core):
    polled, stored, failed = await core.processing(), await core.storing(), await core.processing()
    done = await core.storing()
    await core.fail(failed, ErrorKind.PROVIDER_FAILED)
    await core.succeed(done)
    known = await Freshness(core.scripts).known()
    assert set(known.tasks) == {polled.task_id, stored.task_id, done.task_id}
    assert known.tasks[polled.task_id] == int((await core.record(polled.id))["sa"])
    await core.pass_time(3600)
    assert (await Freshness(core.scripts).known()).tasks == {}


async def test_owned_is_what_an_edit_is_known_to_have(core: Core):
    claim = await core.processing()
    assert await Freshness(core.scripts).without_edit(["x", claim.task_id, "y"]) == ["x", "y"]
