"""Errors of the use cases: one class per decision of the caller."""


class EditsError(Exception):
    """`str()` may be shown to the caller: it holds no secret and says what to do."""

    code: str  # the API's problem code


class NotFound(EditsError):
    code = "not_found"


class Gone(EditsError):
    """The edit was deleted after its retention."""

    code = "gone"


class NotFinished(EditsError):
    code = "not_finished"


class NotSucceeded(EditsError):
    code = "not_succeeded"


class TooLate(EditsError):
    """The edit can no longer be changed."""

    code = "too_late"


class InputRefused(EditsError):
    """The picture or a field cannot be used."""

    def __init__(self, message: str, *, code: str, pointer: str) -> None:
        """`pointer`: a JSON pointer into the request body."""
        super().__init__(message)
        self.code = code
        self.pointer = pointer


class BadCursor(EditsError):
    code = "bad_cursor"


class IdempotencyKeyReused(EditsError):
    """The key was used for another request."""

    code = "idempotency_key_reused"


class QueueFull(EditsError):
    """The queue is full, or Redis has no memory for more."""

    code = "queue_full"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds."""


class TenantQueueFull(QueueFull):
    code = "tenant_queue_full"


class AcceptUnknown(EditsError):
    """Redis may have accepted the edit; its answer was lost."""

    code = "accept_unknown"


class Unavailable(EditsError):
    code = "unavailable"


class NewerFormat(Unavailable):
    """A newer release wrote this edit; only its processes can read it."""

    def __init__(self, edit_id: str) -> None:
        super().__init__(f"{edit_id} was written by a newer release; only its processes can answer. Send it again.")


class RedisUnfit(Unavailable):
    """This Redis cannot be used until an operator changes it."""
