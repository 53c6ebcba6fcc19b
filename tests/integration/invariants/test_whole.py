"""A system that is well: every rule is checked on something, and every rule holds."""

from edits.invariants import RULES
from tests.integration.invariants.conftest import System


async def test_every_rule_holds_and_was_held_against_something(system: System) -> None:
    report = await system.check(deep=True)
    assert (report.holds, report.not_checked) == (True, []), str(report)
    assert {name for name, result in report.results.items() if result.checked} == set(RULES)
    assert report.figures == {"edits": 8, "tasks_bought": 5, "edits_submitted": 5, "rebuys": 0}


async def test_a_provider_that_keeps_us_from_reading_excuses_late_polls_alone(system: System) -> None:
    async def excused() -> bool:
        report = await system.check(within_redis=True)
        return "polls" in str(report.results["overdue"].not_checked)

    assert not await excused()
    await system.redis.hset(system.key("limit:read"), "until", str(int(await system.rounds.now() * 1000) + 5000))
    assert await excused()
    await system.redis.delete(system.key("due:poll"))
    assert not await excused()  # with nobody to poll there is nothing to excuse
