"""What may go wrong for whoever asks something of edits: one class per decision of the caller.

EditsError
├── NotFound               no such edit
├── Gone                   it was there, its retention is over
├── NotFinished            the call needs a finished edit
├── NotSucceeded           the call needs a result
├── TooLate                the edit is past the point where the call has a meaning
├── InputRefused           the picture or a field cannot be used
├── BadCursor              a page mark that we did not make
├── IdempotencyKeyReused   the same key came with another body
├── QueueFull              as many edits wait as may, or Redis has no room for more
│   └── TenantQueueFull    as many of this tenant
├── AcceptUnknown          Redis may have taken the edit, its answer was lost
└── Unavailable            Redis or the storage cannot be used now
    ├── NewerFormat        a newer release wrote this edit: its processes answer for it, this one must not guess
    └── RedisUnfit         this Redis must never be used: an operator must give another one, or set it right
"""


class EditsError(Exception):
    """`str()` of it may be shown to the caller: it holds no secret and says what to do."""


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
        """`code` is one of interface's problem codes, `pointer` a JSON pointer into the request body."""
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
        super().__init__(f"{edit_id} was written by a newer release, whose processes alone answer for it; ask again.")


class RedisUnfit(Unavailable):
    pass
