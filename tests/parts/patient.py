"""The program `retouch` with the time limits of `patience`: `python -m tests.parts.patient doctor`."""

from tests.parts import patience  # isort: skip  # first, before any module has read a limit

from cli.doctor import network, provider, report, storage
from cli.main import main

report.WITHIN = patience.LONG
for checks in (network, provider, storage):
    checks.ANSWER_WITHIN = patience.LONG

if __name__ == "__main__":
    main()
