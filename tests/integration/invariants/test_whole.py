"""A system that is well: every rule is checked on something, and every rule holds."""

from edits.invariants import RULES
from tests.integration.invariants.conftest import System


async def test_every_rule_holds_and_was_held_against_something(system: System) -> None:
    report = await system.check(deep=True)
    assert (report.holds, report.not_checked) == (True, []), str(report)
    assert {name for name, result in report.results.items() if result.checked} == set(RULES)
    assert report.figures == {"edits": 8, "tasks_bought": 5, "edits_submitted": 5, "rebuys": 0}
