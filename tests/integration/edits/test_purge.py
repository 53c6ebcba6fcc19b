"""Objects are deleted when the retention of their day is over: all of them, a slice at a time, and no other."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ulid import ULID

from edits import retention
from edits.retention import DELETED_AT_ONCE, NEXT_ROUND, Retention
from edits.storage import layout
from edits.storage.store import Storage
from tests.integration.edits.core import ON_ONE_ENGINE, Core, raw
from tests.integration.edits.objects import everything, open_at
from tests.integration.edits.test_storage_faults import answering

KEPT_FOR = timedelta(days=30)
LEASE = timedelta(seconds=30)
NEXT = NEXT_ROUND.total_seconds() + 1

Purge = Callable[..., Retention]


@pytest.fixture
def purging(core: Core, storage: Storage) -> Purge:
    def made(store: Storage = storage, clock: Callable[[], datetime] | None = None) -> Retention:
        given = {} if clock is None else {"clock": clock}
        return Retention(core.scripts, store, hot=timedelta(days=2), retention=KEPT_FOR, lease=LEASE, **given)

    return made


def id_of(age: timedelta) -> str:
    return f"edit_{ULID.from_datetime(datetime.now(UTC) - age)}"


def midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def edit_at(storage: Storage, edit_id: str, *names: str) -> set[str]:
    keys = {
        f"{layout.edit_folder(edit_id)}/{name}" for name in names or ("manifest.json", "result.png", "2/result.png")
    }
    for key in keys:
        await storage.put(key, b"x", content_type="image/png")
    return keys


async def rounds(purge: Retention, most: int = 50) -> int:
    """Slices until the round is over."""
    for number in range(1, most + 1):
        if not await purge.purge():
            return number
    raise AssertionError(f"more than {most} slices")


async def test_everything_of_an_old_day_goes_and_nothing_of_a_younger_one(storage: Storage, purging: Purge):
    now = datetime.now(UTC)
    first_kept = midnight() - KEPT_FOR  # its day ended less than 30 days ago
    ages = {"kept": now - first_kept, "over": now - first_kept + timedelta(seconds=1), "years": timedelta(days=800)}
    young = await edit_at(storage, id_of(timedelta())) | await edit_at(storage, id_of(ages["kept"]))
    await edit_at(storage, id_of(ages["over"]), "manifest.json", "result.png", "2/result.png", "input.webp")
    await edit_at(storage, id_of(ages["years"]))
    await rounds(purging())
    assert set(await everything(storage)) == young


async def test_an_edit_that_has_a_record_keeps_its_objects_until_it_has_left(
    core: Core, storage: Storage, purging: Purge
):
    old, other = id_of(timedelta(days=40)), id_of(timedelta(days=40))
    waiting = await core.queued(id=old)
    kept = await edit_at(storage, old, "input.png")
    await edit_at(storage, other)
    await rounds(purging())
    assert set(await everything(storage)) == kept
    await core.repository.cancel(waiting)
    await core.outcomes.recorded(await core.claim("manifest"))
    await core.pass_time(timedelta(days=3).total_seconds())
    await rounds(purging())
    assert set(await everything(storage)) == kept
    assert not await purging().evict()
    await core.pass_time(NEXT)
    await rounds(purging())
    assert await everything(storage) == {}


@ON_ONE_ENGINE
async def test_what_is_not_an_edits_is_left_alone(storage: Storage, purging: Purge):
    old, another_day = id_of(timedelta(days=100)), id_of(timedelta(days=1))
    folder = layout.edit_folder(old).rpartition("/")[0]
    foreign = {
        f"{folder}/notes.txt", f"{folder}/edit_x/result.png", f"{folder}/{another_day}/result.png", "edits/readme.md",
        "edits/2020/13/41/a.png", "edits/2020/02/31/a.png", "edits/20x0/01/01/a.png", "other/2020/01/01/a.png",
    }  # fmt: skip
    for key in foreign:
        await storage.put(key, b"x", content_type="text/plain")
    await edit_at(storage, old)
    await rounds(purging())
    assert {*await everything(storage), *await everything(storage, "other")} == foreign


@ON_ONE_ENGINE
async def test_an_empty_storage_is_no_trouble(purging: Purge):
    assert await rounds(purging()) == 1


@ON_ONE_ENGINE
async def test_many_objects_go_in_slices_and_the_next_process_goes_on(
    busy: Core, tmp_path: Path, purging: Purge, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retention, "SLICE", 0.0)  # each slice is one page
    storage = open_at(tmp_path.as_uri())
    days = [timedelta(days=60), timedelta(days=61)]
    for age in days:
        await asyncio.gather(*(edit_at(storage, id_of(age), "result.png") for _ in range(DELETED_AT_ONCE + 20)))
    left = []
    for _ in range(10):
        more = await purging(storage).purge()  # a process that knows nothing of the others
        left.append((len(await everything(storage)), (await busy.redis.hget(busy.key("purge"), "day"))))
        if not more:
            break
    oldest, newest = (str((datetime.now(UTC) - age).date()) for age in reversed(days))
    page = DELETED_AT_ONCE
    assert left == [(page + 40, oldest), (page + 20, oldest), (20, newest), (0, newest), (0, "")]


async def test_one_process_at_a_time_and_after_a_round_nobody_for_a_while(core: Core, storage: Storage, purging: Purge):
    claim = {"op": "claim", "lease": 30_000}
    for _ in range(2):  # the first answer was lost
        assert "now" in await core.scripts.run(raw("purge"), nonce="first", **claim)
    await edit_at(storage, id_of(timedelta(days=40)))
    assert not await purging().purge()
    assert await everything(storage) != {}
    await core.pass_time(31)  # it died
    assert not await purging().purge()
    assert await everything(storage) == {}
    assert await core.scripts.run(raw("purge"), op="leave", nonce="first", day="2020-01-01") == "stale"
    await edit_at(storage, id_of(timedelta(days=40)))
    assert not await purging().purge()
    assert await everything(storage) != {}
    await core.pass_time(NEXT)
    assert not await purging().purge()
    assert await everything(storage) == {}


async def test_a_clock_of_one_side_alone_deletes_nothing(core: Core, storage: Storage, purging: Purge):
    kept = await edit_at(storage, id_of(timedelta(days=1)))
    await core.pass_time(timedelta(days=400).total_seconds())
    await rounds(purging())
    assert set(await everything(storage)) == kept
    await core.pass_time(-timedelta(days=400).total_seconds())
    await rounds(purging(clock=lambda: datetime.now(UTC) + timedelta(days=400)))
    assert set(await everything(storage)) == kept
    await core.pass_time(timedelta(days=400).total_seconds())
    await rounds(purging(clock=lambda: datetime.now(UTC) + timedelta(days=400)))
    assert await everything(storage) == {}


@ON_ONE_ENGINE
async def test_trouble_with_the_storage_ends_the_slice_and_it_is_tried_again(
    core: Core, storage: Storage, purging: Purge, monkeypatch: pytest.MonkeyPatch
):
    await edit_at(storage, id_of(timedelta(days=40)))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert not await purging(open_at("s3://bucket/prefix")).purge()
    assert not await purging().purge()
    assert await everything(storage) != {}
    await core.pass_time(retention.AFTER_TROUBLE.total_seconds() + 1)
    assert not await purging().purge()
    assert await everything(storage) == {}


@ON_ONE_ENGINE
async def test_a_storage_that_hangs_holds_a_slice_for_a_bounded_time(
    core: Core, tmp_path: Path, purging: Purge, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retention, "LONGEST_SLICE", 0.3)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    async with answering(None) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        async with asyncio.timeout(3):
            assert not await purging(open_at("s3://bucket/prefix")).purge()
    assert float(await core.redis.hget(core.key("purge"), "again")) > await core.now()
