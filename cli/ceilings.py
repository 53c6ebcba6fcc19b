"""What the cluster-wide ceilings come to in edits a day, and which of them binds: arithmetic only."""

from typing import NamedTuple

from edits.ceilings import Ceilings

SECONDS_A_DAY = 86_400
READS_PER_EDIT = 6  # status reads from acceptance to notice, about what was measured under load
TASK_SECONDS = 35.0  # one Kontext task at the provider, waiting included


class Ceiling(NamedTuple):
    name: str  # as the setting is called
    edits_a_day: float


def ceilings(given: Ceilings) -> list[Ceiling]:
    """Lowest first: the first one binds."""
    rates = [
        Ceiling("MAX_IN_FLIGHT", given.max_in_flight / TASK_SECONDS * SECONDS_A_DAY),
        Ceiling("CREATES_PER_SECOND", given.creates_per_second * SECONDS_A_DAY),
        Ceiling("READS_PER_SECOND", given.reads_per_second / READS_PER_EDIT * SECONDS_A_DAY),
    ]
    return sorted(rates, key=lambda ceiling: ceiling.edits_a_day)


def sentence(given: Ceilings) -> str:
    lowest = ceilings(given)[0]
    return (
        f"{_rounded(lowest.edits_a_day):,} edits a day; {lowest.name} binds "
        f"(taking {TASK_SECONDS:.0f} s a task and {READS_PER_EDIT} reads an edit)"
    )


def _rounded(number: float) -> int:
    """Two leading digits: the assumptions carry no more."""
    size = max(len(str(int(number))) - 2, 0)
    unit: int = 10**size
    return int(number / unit) * unit
