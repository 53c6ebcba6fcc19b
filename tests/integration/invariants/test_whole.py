"""A system that is well: every rule is checked on something, and every rule holds."""

import pytest

from edits.db.circuits import Operation
from edits.db.keys import Key
from edits.invariants import RULES, facts
from tests.integration.invariants.conftest import System


async def test_every_rule_holds_and_was_held_against_something(system: System) -> None:
    report = await system.check(deep=True)
    assert (report.broken, report.not_checked) == ([], []), str(report)
    assert {name for name, result in report.results.items() if result.checked} == set(RULES)
    assert report.figures == {"edits": 8, "tasks_bought": 5, "edits_submitted": 5, "rebuys": 0}


async def test_every_key_is_one_that_is_written_down(system: System) -> None:
    namespace = system.rounds.clients.settings.namespace
    names = [name async for name in facts.names(system.redis, namespace)]
    assert {name.partition(":")[0] for name in names} <= set(Key)


@pytest.mark.parametrize(("operation", "step"), [("read", "poll"), ("storage", "store"), ("download", "store")])
async def test_what_an_outage_holds_up_is_not_called_overdue(system: System, operation: Operation, step: str) -> None:
    system.rounds.not_held.add("one_place")
    edit_id = {"poll": system.processing, "store": system.storing}[step]
    long_ago = (await system.rounds.now() - 600) * 1000
    await system.redis.zadd(system.key("due", step), {edit_id: long_ago})
    await system.rounds.clients.limiter.open(operation)
    report = await system.check()
    assert not report.broken, str(report)
    assert report.results["overdue"].not_checked == f"{step}: {operation} did not work lately"
    await system.redis.delete(system.key("due", step))
    report = await system.check(within_redis=True)
    assert not report.results["overdue"].not_checked  # with nobody to look at there is nothing to excuse
