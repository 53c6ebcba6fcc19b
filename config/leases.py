"""The one table of leases and timeouts: a lease is always longer than everything its holder may wait for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field


def _seconds(number: float, meaning: str) -> timedelta:
    value: timedelta = Field(default=timedelta(seconds=number), description=meaning)
    return value


class Leases(BaseModel):
    """How long each wait may take, and for how long a claim keeps others away."""

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

    def contradictions(self, *, unknown_quiet_period: timedelta) -> Iterator[tuple[str, str]]:
        """Pairs of a name and its fault; none if the table is consistent."""
        margin = self.margin
        sums = {
            # A worker frozen inside the window must still lose its lease after its answer is due.
            "submit_lease": ("send_window + create_timeout", self.send_window + self.create_timeout + margin),
            "poll_lease": ("read_timeout", self.read_timeout + margin),
            # The store step may read the task again for a fresh address before it downloads.
            "store_lease": (
                "read_timeout + download_timeout + storage_timeout",
                self.read_timeout + self.download_timeout + self.storage_timeout + margin,
            ),
            "adopt_lease": ("read_timeout", self.read_timeout + margin),
        }
        for name, (terms, needed) in sums.items():
            lease: timedelta = getattr(self, name)
            if lease < needed:
                yield name, f"{lease.total_seconds():g}s is shorter than {terms} + margin = {needed.total_seconds():g}s"
        if not self.submit_lease < unknown_quiet_period:
            yield (
                "unknown_quiet_period",
                (
                    f"{unknown_quiet_period.total_seconds():g}s must be longer than the lease of a submit, "
                    f"{self.submit_lease.total_seconds():g}s, or a create still on its way could be taken for lost"
                ),
            )
