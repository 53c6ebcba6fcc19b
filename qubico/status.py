"""The states of a task, and every word the provider has been seen to use for them."""

from enum import StrEnum
from typing import Self


class TaskStatus(StrEnum):
    STAGED = "staged"  # over the account's limit of tasks at once, parked; does not count as in flight
    PENDING = "pending"  # accepted, no worker yet
    PROCESSING = "processing"
    COMPLETED = "completed"  # final
    FAILED = "failed"  # final
    UNKNOWN = "unknown"  # not final: a word we do not know, kept in `raw_status`

    @classmethod
    def read(cls, raw: str) -> Self:
        return cls(_STATUS_WORDS.get(raw.casefold(), "unknown"))


# The schema writes them with capitals, answers in lower case; the second line is from older pages and official clients.
_STATUS_WORDS = {
    "staged": "staged", "pending": "pending", "processing": "processing", "completed": "completed", "failed": "failed",
    "starting": "processing", "retry": "processing", "running": "processing", "in_progress": "processing",
    "success": "completed", "cancelled": "failed", "canceled": "failed",
}  # fmt: skip
