"""The one table of leases and timeouts: a lease is longer than all waits of its holder together."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field


def _seconds(number: float, meaning: str) -> timedelta:
    value: timedelta = Field(default=timedelta(seconds=number), description=meaning)
    return value


class Leases(BaseModel):
    """The longest time of each wait, and the duration of each claim."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    send_window: timedelta = _seconds(5, "from before the claim: a create leaves in this time or not at all")
    create_timeout: timedelta = _seconds(20, "longest wait for the answer to a create")
    submit_lease: timedelta = _seconds(40, "others keep away from an edit claimed to submit")
    read_timeout: timedelta = _seconds(10, "longest wait for the answer to a status, history or account read")
    poll_lease: timedelta = _seconds(30, "others keep away from an edit claimed to poll")
    download_timeout: timedelta = _seconds(30, "longest time for one download of a result")
    storage_timeout: timedelta = _seconds(10, "longest time for all calls to the storage for one result")
    store_lease: timedelta = _seconds(60, "others keep away from an edit claimed to store")
    adopt_lease: timedelta = _seconds(60, "others keep away from the scan for lost answers, renewed at each page")
    margin: timedelta = _seconds(5, "for the commit and for a busy machine; part of every lease")

    def contradictions(self, quiet_name: str, quiet: timedelta) -> Iterator[tuple[str, str]]:
        """Pairs of a name and its fault. `quiet`: how long a task is looked for, the setting `quiet_name`."""
        covered = {
            # A worker frozen inside the send window must not hold its lease when the answer is due.
            "submit_lease": ("send_window", "create_timeout"),
            "poll_lease": ("read_timeout",),
            # The store step may read the task again for a fresh address before it downloads.
            "store_lease": ("read_timeout", "download_timeout", "storage_timeout"),
            "adopt_lease": ("read_timeout",),
        }
        for name, waits in covered.items():
            terms = (*waits, "margin")
            lease, needed = self._seconds(name), self._seconds(*terms)
            if lease < needed:
                yield f"leases.{name}", f"{lease:g}s is shorter than {' + '.join(terms)} = {needed:g}s"
        if quiet <= self.submit_lease:
            must = f"must be longer than the lease of a submit, {self._seconds('submit_lease'):g}s"
            yield quiet_name, f"{quiet.total_seconds():g}s {must}, or a create in flight could be taken for lost"

    def _seconds(self, *names: str) -> float:
        waits: list[timedelta] = [getattr(self, name) for name in names]
        return sum(wait.total_seconds() for wait in waits)
