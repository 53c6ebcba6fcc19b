"""The scenario of each fault test, and the table of all at the end of a soak."""

import pytest

from tests.faults import rows
from tests.faults.scenario import SOAK, Scenario


@pytest.fixture
def scenario(request: pytest.FixtureRequest, tmp_path) -> Scenario:
    return Scenario(_name(request.node), tmp_path)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--resume", action="store_true", help="a soak leaves out the faults whose kept row held")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if SOAK and config.getoption("--resume"):
        for item in items:
            row = rows.kept(_name(item))
            if row is not None and row.held:
                item.add_marker(pytest.mark.skip(reason=f"held before, see {rows.FOLDER}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if SOAK:
        terminalreporter.write(rows.show())


def _name(item: pytest.Item) -> str:
    """Of the fault: the test's, or that of its parameters."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.id if callspec else item.name.removeprefix("test_"))
