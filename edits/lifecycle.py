"""Which status may follow which. The scripts obey this table; a test drives each of them against it."""

from typing import Final

from edits.models import EditStatus

_ = EditStatus

FOLLOWERS: Final[dict[EditStatus, frozenset[EditStatus]]] = {
    _.QUEUED: frozenset(
        {
            _.SUBMITTING,  # claimed, intent written
            _.PROCESSING,  # a task thought absent was found
            _.CANCELED,
            _.FAILED,  # expired
        }
    ),
    _.SUBMITTING: frozenset(
        {
            _.PROCESSING,  # the task exists
            _.QUEUED,  # provably not bought: throttled, not sent, absent from the provider's history
            _.FAILED,  # refused, or submission_unknown
        }
    ),
    _.PROCESSING: frozenset(
        {
            _.STORING,  # completed
            _.QUEUED,  # the task failed and may be bought again
            _.FAILED,
        }
    ),
    _.STORING: frozenset(
        {
            _.SUCCEEDED,
            _.PROCESSING,  # its file is missing, another task is paid for
            _.QUEUED,
            _.FAILED,
        }
    ),
    _.FAILED: frozenset(
        {
            _.QUEUED,  # retried, no task left to read
            _.SUBMITTING,  # retried, the lost create is searched for again
            _.PROCESSING,  # retried, the paid task is read again
        }
    ),
    _.SUCCEEDED: frozenset(),
    _.CANCELED: frozenset(),
}


def may_follow(before: EditStatus, after: EditStatus) -> bool:
    return before == after or after in FOLLOWERS[before]
