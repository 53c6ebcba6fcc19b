"""Which status may follow which: the scripts obey this table, and each of them is driven against it."""

from edits.models import EditStatus

ALLOWED = """
queued      -> submitting processing canceled failed
submitting  -> processing queued failed
processing  -> storing queued failed
storing     -> succeeded processing queued failed
failed      -> queued submitting processing
succeeded   ->
canceled    ->
"""
FOLLOWERS = {
    EditStatus(before.strip()): frozenset(map(EditStatus, after.split()))
    for before, _, after in (line.partition("->") for line in ALLOWED.split("\n") if line)
}


def may_follow(before: EditStatus, after: EditStatus) -> bool:
    return before == after or after in FOLLOWERS[before]
