"""The fields of an edit's record, the hash `e:{id}`: the one declaration for Python and for the Lua scripts.

The hash holds only values of up to 64 bytes, so that Redis keeps it packed; longer texts stand in `x:{id}` (`Text`).
Times are ms by the clock of the scripts.
"""

from enum import StrEnum
from typing import Final


class Field(StrEnum):
    FORMAT = "fm"
    STATUS = "st"
    PLACE = "pl"  # queue, a due-set, or final
    TENANT = "tn"
    PRIORITY = "pr"
    ATTEMPT = "at"
    FENCE = "fe"
    NUDGES = "nu"
    LIVEMODE = "lm"
    CREATED = "cr"
    UPDATED = "up"
    ENDED = "en"
    EXPIRES = "ex"
    WAIT = "wt"  # what it waits for
    WAIT_SINCE = "ws"
    LAST_EVENT = "la"
    ARRIVAL = "qa"  # in the queue
    LEASE_END = "li"
    CLAIMED = "sa"  # to submit
    TASK = "ti"
    TASK_STATUS = "ts"  # as the provider says
    TASK_ACCEPTED = "ta"
    RUN_STARTED = "tr"
    NEXT_LOOK = "nl"  # when its task was to be looked at next
    OVERDUE = "ou"  # ms by which looks came too late so far, which no deadline counts
    TASKS_BOUGHT = "tb"
    FAILURES = "rt"  # of this step (workers/steps/work.py)
    AUTOMATIC = "ar"  # repurchases by setting
    STEPS = "sp"
    MAY_REPURCHASE = "hv"  # "1": a person asked for it, and it may be bought again where no paid task is found
    COST = "cu"  # units of all its tasks
    COST_STATE = "cs"
    TASK_UNITS = "tu"
    ERROR_KIND = "ek"
    ERROR_RETRYABLE = "er"
    ERROR_CODE = "ec"  # the provider's
    RESULT_EXTENSION = "rx"
    RESULT_BYTES = "rb"
    RESULT_SHA = "rs"
    RESULT_WIDTH = "rw"
    RESULT_HEIGHT = "rh"
    RESULT_ATTEMPT = "ra"


class Text(StrEnum):
    """Beside these, `task:{id}`: units and fate of another paid task."""

    MESSAGE = "msg"  # of the error
    ADDRESS = "addr"  # of the result
    SENT = "sent"  # the picture's address as it was sent
    CANDIDATE = "cand"  # task id that a callback named
    OTHERS = "extra"  # other paid tasks
    IDEMPOTENCY = "idem"  # idempotency key


NUMBERS: Final = (
    Field.FORMAT, Field.ATTEMPT, Field.FENCE, Field.NUDGES, Field.CREATED, Field.WAIT_SINCE, Field.LAST_EVENT,
    Field.ARRIVAL, Field.TASKS_BOUGHT, Field.FAILURES, Field.AUTOMATIC, Field.COST, Field.EXPIRES, Field.TASK_ACCEPTED,
    Field.RUN_STARTED, Field.LEASE_END, Field.CLAIMED, Field.ENDED, Field.TASK_UNITS, Field.NEXT_LOOK, Field.OVERDUE,
)  # fmt: skip
"""Those that the scripts calculate with."""

ALWAYS: Final = (
    Field.STATUS, Field.PLACE, Field.TENANT, Field.PRIORITY, Field.ATTEMPT, Field.FENCE, Field.NUDGES, Field.CREATED,
    Field.LAST_EVENT, Field.ARRIVAL, Field.TASKS_BOUGHT, Field.COST, Field.COST_STATE,
)  # fmt: skip
"""Those that every record has."""

POLLED: Final = (
    Field.FORMAT, Field.STATUS, Field.PLACE, Field.PRIORITY, Field.ATTEMPT, Field.FENCE, Field.NUDGES, Field.LAST_EVENT,
    Field.TASK, Field.TASK_ACCEPTED, Field.NEXT_LOOK, Field.OVERDUE, Field.FAILURES, Field.AUTOMATIC, Field.STEPS,
    Field.MAY_REPURCHASE,
)  # fmt: skip
"""Those that a read of the task needs."""
