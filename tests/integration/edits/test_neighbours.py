"""Two releases side by side on one Redis, as in a rolling upgrade: the frozen scripts of the older, and the present.

Whichever of them makes each step of an edit's life, every invariant holds after it. What a *later* release wrote is
left alone: this one never damages what it may not understand.
"""

import itertools
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from edits import errors
from edits.db import records
from edits.db.acceptance import Idempotency
from edits.db.sender import FOLDER, SCRIPTS
from edits.invariants.facts import moment
from edits.models import CostState, ErrorKind, Wait
from edits.storage import manifest
from tests.integration.edits.core import LEASE, ON_ONE_ENGINE, Core, WatchedScripts

OLDER: Final = Path(__file__).parents[2] / "fixtures" / "scripts_format_1"
TOMORROW: Final = "2"
"""A format that this release does not know."""

Life = Callable[[Core], Awaitable[str]]


def older(name: str) -> str | None:
    """The whole text of an older script; None for one that the older release did not have."""
    file = OLDER / f"{name}.lua"
    if not file.exists():
        return None
    shebang, _, body = file.read_text().partition("\n")
    return "\n".join([shebang, *[(OLDER / f"{part}.lua").read_text() for part in ("_record", "_limits")], body])


class Neighbours(WatchedScripts):
    """Each call is made by the release whose turn it is."""

    turns: Iterator[bool] = itertools.repeat(False)  # True: it is the older one's

    async def run(self, name: str, /, **arguments: object) -> Any:
        text = older(name) if next(self.turns) else None
        if text is None or name == "read":  # what it answers, each release reads for itself
            return await super().run(name, **arguments)
        redis, namespace = self._keys
        given = {key: value for key, value in arguments.items() if value is not None}
        if name == "accept":
            return await self._accept_one_by_one(text, given)
        answer = await redis.eval(text, 1, namespace, json.dumps(given))
        await self.look(name)
        return await self._as_its_own_worker_reads(answer) if name.startswith("claim_") else answer

    async def _accept_one_by_one(self, text: str, given: dict[str, Any]) -> str:
        """As the API of the older release asks; here the present one reads the answers."""
        redis, namespace = self._keys
        answers, alike = [], given.pop("alike")
        for edit in given.pop("edits"):
            asked = given | alike[edit.pop("like") - 1] | edit
            answers.append(json.loads(await redis.eval(text, 1, namespace, json.dumps(asked))))
            await self.look("accept")
        return json.dumps({"now": answers[0].get("now", 0), "edits": answers})

    async def _as_its_own_worker_reads(self, answer: str) -> str:
        """A worker of the older release asks for no `run`, `n` and `now`; here the present one reads for both."""
        redis, namespace = self._keys
        last = await redis.zrevrange(f"{namespace}:served", 0, 0, withscores=True)
        told = {"run": last[0][0], "n": int(last[0][1]), "now": await moment(redis, namespace)}
        return json.dumps(told | json.loads(answer))


@pytest.fixture
async def core(engine_port: int, core: Core) -> Core:
    await core.thaw()
    scripts = Neighbours(core.redis, core.namespace)
    scripts.watch.alone = False
    core.use(scripts)
    return core


def take_turns(core: Core, turns: Iterator[bool]) -> None:
    assert isinstance(core.scripts, Neighbours)
    core.scripts.turns = turns


async def succeeds(core: Core) -> str:
    claim = await core.storing(external_id="yours", key=Idempotency(key="k", fingerprint="f"))
    assert await core.succeed(claim)
    return claim.id


async def is_snoozed_and_called_back(core: Core) -> str:
    claim = await core.processing()
    assert await core.outcomes.snooze(claim, delay=30, wait=Wait.PROVIDER_RUN, started_at=None)
    await core.repository.nudge(claim.id, attempt=1, task_id=claim.task_id)
    assert await core.complete(await core.claim("poll"))
    assert await core.succeed(await core.claim("store"))
    return claim.id


async def is_throttled_then_lost_and_adopted(core: Core) -> str:
    assert await core.release(await core.submitting())
    (claim,) = await core.claim_submit()
    assert await core.outcomes.intend(claim, address="https://a.example/1.png")
    await core.pass_time(LEASE.total_seconds() + 1)  # its worker is gone
    adopted = await core.claim("adopt")
    assert await core.bought(adopted, how="history") == "taken_over"
    assert await core.complete(await core.claim("poll"))
    assert await core.succeed(await core.claim("store"))
    return claim.id


async def fails_and_is_retried(core: Core) -> str:
    claim = await core.processing()
    assert await core.fail(claim, ErrorKind.PROVIDER_FAILED)
    for written in (await core.claims("manifest")).claims:
        await core.outcomes.recorded(written)
    await core.repository.retry(claim.id)
    (again,) = await core.claim_submit()
    assert await core.bought(again) == "taken_over"
    assert await core.complete(await core.claim("poll"))
    assert await core.succeed(await core.claim("store"))
    return claim.id


async def is_bought_again_by_setting(core: Core) -> str:
    claim = await core.processing()
    assert await core.outcomes.rebuy(claim, kind=ErrorKind.PROVIDER_FAILED, automatic=True)
    (again,) = await core.claim_submit()
    assert await core.bought(again) == "taken_over"
    assert await core.complete(await core.claim("poll"))
    assert await core.succeed(await core.claim("store"))
    return claim.id


async def is_given_up_and_followed(core: Core) -> str:
    claim = await core.processing()
    assert await core.fail(claim, ErrorKind.PROVIDER_TIMEOUT, abandon=True)
    ((task, _),) = await core.schedule.claim_abandoned(1, lease=LEASE)
    await core.schedule.settle_abandoned(task, status="completed")
    await core.repository.retry(claim.id)
    assert await core.complete(await core.claim("poll"))
    assert await core.fail(await core.claim("store"), cost=CostState.CHARGED)
    return claim.id


async def is_canceled(core: Core) -> str:
    edit_id = await core.queued()
    assert (await core.repository.cancel(edit_id)).status == "canceled"
    return edit_id


LIVES: Final = (
    succeeds, is_snoozed_and_called_back, is_throttled_then_lost_and_adopted, fails_and_is_retried,
    is_bought_again_by_setting, is_given_up_and_followed, is_canceled,
)  # fmt: skip


@ON_ONE_ENGINE
@pytest.mark.parametrize("first", [True, False], ids=["older first", "present first"])
@pytest.mark.parametrize("every", [1, 2, 3], ids=["in turn", "two by two", "three by three"])
async def test_each_step_of_every_life_may_be_made_by_either_release(core: Core, first: bool, every: int) -> None:
    turn = [first] * every + [not first] * every
    await is_canceled(
        core
    )  # the present release has seen these data whole; what it does before that is test_restored's
    for live in LIVES:
        take_turns(core, itertools.cycle(turn))
        assert (await core.edit(await live(core))).status.is_final
    await core.hold()
    take_turns(core, itertools.cycle(turn))
    await core.pass_time(10_000)
    for claim in (await core.claims("manifest")).claims:
        await core.outcomes.recorded(claim)
    for _ in range(2):
        await core.scripts.run("evict", k=100, hot=0, later=1000)
    assert [name for name in await core.dump() if name.startswith("e:")] == []


async def test_a_record_of_an_older_release_becomes_one_of_ours_when_it_is_written(core: Core) -> None:
    take_turns(core, itertools.repeat(True))
    edit_id = await core.queued()
    assert "fm" not in await core.record(edit_id)
    take_turns(core, itertools.repeat(False))
    assert (await core.edit(edit_id)).status == "queued"
    await core.repository.cancel(edit_id)
    assert (await core.record(edit_id))["fm"] == str(records.FORMAT)


def test_scripts_and_reader_mean_the_same_format() -> None:
    assert f"local FORMAT = {records.FORMAT} " in (FOLDER / "_record.lua").read_text()
    assert set(SCRIPTS) >= {file.stem for file in OLDER.glob("[!_]*.lua")}, "processes of the older release call these"


async def of_tomorrow(core: Core, edit_id: str) -> dict[str, str]:
    core.scripts.watching = False  # the checker says of such a record that it cannot read it
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
    edit_id = await is_canceled(core)
    (written,) = (await core.claims("manifest")).claims
    await core.outcomes.recorded(written)
    before = await of_tomorrow(core, edit_id)
    await core.pass_time(1000)
    await core.scripts.run("evict", k=100, hot=0, later=1000)
    assert await core.record(edit_id) == before


def test_a_manifest_of_a_later_release_is_told_from_one_that_is_broken() -> None:
    assert manifest.is_newer(b'{"format": 2, "edit": {}}')
    assert not manifest.is_newer(b'{"format": 1}')
    assert not manifest.is_newer(b"not JSON")
