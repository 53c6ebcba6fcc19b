"""Errors of the use cases: one class per decision of the caller.

EditsError
├── NotFound               no such edit
├── Gone                   the edit was deleted after its retention
├── NotFinished            the call needs a finished edit
├── NotSucceeded           the call needs a result
├── TooLate                the edit can no longer be changed
├── InputRefused           the picture or a field cannot be used
├── BadCursor              the cursor is not ours
├── IdempotencyKeyReused   the key was used for another request
├── QueueFull              the queue is full, or Redis has no memory for more
│   └── TenantQueueFull    the tenant's part of the queue is full
├── AcceptUnknown          Redis may have accepted the edit; its answer was lost
└── Unavailable            Redis or the storage is unavailable
    ├── NewerFormat        a newer release wrote this edit; only its processes can read it
    └── RedisUnfit         this Redis cannot be used until an operator changes it
"""


class EditsError(Exception):
    """`str()` may be shown to the caller: it holds no secret and says what to do."""


class NotFound(EditsError):
    pass


class Gone(EditsError):
    pass


class NotFinished(EditsError):
    pass


class NotSucceeded(EditsError):
    pass


class TooLate(EditsError):
    pass


class InputRefused(EditsError):
    def __init__(self, message: str, *, code: str, pointer: str) -> None:
        """`code`: a problem code of the API; `pointer`: a JSON pointer into the request body."""
        super().__init__(message)
        self.code = code
        self.pointer = pointer


class BadCursor(EditsError):
    pass


class IdempotencyKeyReused(EditsError):
    pass


class QueueFull(EditsError):
    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds."""


class TenantQueueFull(QueueFull):
    pass


class AcceptUnknown(EditsError):
    pass


class Unavailable(EditsError):
    pass


class NewerFormat(Unavailable):
    def __init__(self, edit_id: str) -> None:
        super().__init__(f"{edit_id} was written by a newer release; only its processes can answer. Send it again.")


class RedisUnfit(Unavailable):
    pass
