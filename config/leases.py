"""The one table of leases and timeouts: each lease outlasts all waits of its holder together; a test adds them up."""

from __future__ import annotations

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
