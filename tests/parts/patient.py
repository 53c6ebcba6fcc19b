"""The program `retouch` with the patience of tests: `python -m tests.parts.patient doctor`."""

from tests.parts import patience  # isort: skip  # first, before any module has read how long it waits

from cli.doctor import checks, report
from cli.main import main

report.WITHIN = checks.ANSWER_WITHIN = patience.LONG

if __name__ == "__main__":
    main()
