"""A system that is well: every rule is checked on something, and every rule holds."""

from edits.invariants import RULES
from tests.integration.invariants.conftest import System


async def test_every_rule_holds_and_was_held_against_something(system: System) -> None:
    report = await system.check(deep=True)
    assert (report.holds, report.not_checked) == (True, []), str(report)
    assert {name for name, result in report.results.items() if result.checked} == set(RULES)
    assert report.figures == {"edits": 8, "tasks_bought": 5, "edits_submitted": 5, "rebuys": 0}


async def test_a_provider_that_keeps_us_from_reading_excuses_late_polls_alone(system: System) -> None:
    await system.redis.hset(system.key("limit:read"), "until", str(int(await system.rounds.now() * 1000) + 5000))
    assert [result.rule for result in (await system.check()).not_checked] == ["overdue"]
    await system.redis.delete(system.key("due:poll"))
    # With nobody to poll there is nothing to excuse.
    assert "overdue" not in {result.rule for result in (await system.check()).not_checked}
