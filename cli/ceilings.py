"""What the cluster-wide ceilings come to in edits a day, and which of them binds: arithmetic only."""

from edits.ceilings import Ceilings

SECONDS_A_DAY = 86_400
READS_PER_EDIT = 6  # status reads from acceptance to notice, about what was measured under load
TASK_SECONDS = 35.0  # one Kontext task at the provider, waiting included


def lowest(given: Ceilings) -> tuple[float, str]:
    """Edits a day by the ceiling that binds, and its name as the setting is called."""
    return min(
        (given.max_in_flight / TASK_SECONDS * SECONDS_A_DAY, "MAX_IN_FLIGHT"),
        (given.creates_per_second * SECONDS_A_DAY, "CREATES_PER_SECOND"),
        (given.reads_per_second / READS_PER_EDIT * SECONDS_A_DAY, "READS_PER_SECOND"),
    )


def sentence(given: Ceilings) -> str:
    edits_a_day, name = lowest(given)
    return (
        f"{_rounded(edits_a_day):,} edits a day; {name} binds "
        f"(taking {TASK_SECONDS:.0f} s a task and {READS_PER_EDIT} reads an edit)"
    )


def _rounded(number: float) -> int:
    """Two leading digits: the assumptions carry no more."""
    size = max(len(str(int(number))) - 2, 0)
    unit: int = 10**size
    return int(number / unit) * unit
