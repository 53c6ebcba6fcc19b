"""What a call to the provider can end with, one class for each decision the caller has to take.

* QubicoError
  x NotSent            create: nothing left this machine; send it again, no attempt was spent
  x AnswerLost         create: it may have been bought; never send it again, look for the task
  x Throttled          come back after `retry_after` seconds (None: the provider did not say)
  x Rejected           the provider read the request and refused it; `moderated` if for its content
  x AccountBlocked     no request of this account will do: key, credit, suspension; pause and ask the account
  x Unavailable        a read brought nothing readable; read again later
  x Unreadable         a parser's input (a callback's body) lacks the documented shape; ignore it
  x TaskGone           the provider does not know this task (any more)
  x ResultGone         the file is not there; read the task again for a fresh address, then give up
  x ResultHostRefused  the address or a redirect leads to a host that is not allowed; nothing was asked of it
  x ResultTooLarge     the file is over the byte cap

Messages may be logged and shown: they never hold the API key, nor more of an address than its host.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import httpx

from qubico import prose

# httpx-aiohttp lets aiohttp errors without a twin in httpx through, and asyncio's own deadline is an OSError.
TROUBLE = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError)

# aiohttp raises these two only while it asks its connector for a connection, before a request has one.
_NO_CONNECTION = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class QubicoError(Exception):
    """Anything the provider or the way to it did to a call."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotSent(QubicoError):
    """The create provably never left."""


class AnswerLost(QubicoError):
    """The create may have reached the provider, and no answer says what became of it."""


class Throttled(QubicoError):
    """Too many requests, or too many tasks at once."""

    def __init__(self, retry_after: float | None = None, message: str = "the provider asks us to slow down") -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Rejected(QubicoError):
    """This request never succeeds, with any key."""

    def __init__(self, message: str, provider_code: int | None = None, *, moderated: bool = False) -> None:
        super().__init__(message)
        self.provider_code = provider_code
        self.moderated = moderated


class AccountBlocked(QubicoError):
    """The key is refused, the credit is used up or the account is closed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unavailable(QubicoError):
    """A read that can simply be repeated."""


class Unreadable(QubicoError):
    """A payload that is not of the documented shape."""


class TaskGone(QubicoError):
    """Unknown or expired at the provider."""


class ResultGone(QubicoError):
    """404, 410, a page of HTML or an empty body where the picture was."""


class ResultHostRefused(QubicoError):
    """Not one of the hosts results may be fetched from."""


class ResultTooLarge(QubicoError):
    """More bytes than are allowed for a result."""


@contextmanager
def transport_trouble(lost: type[AnswerLost] | type[Unavailable]) -> Iterator[None]:
    """Turn what the transport raises into NotSent or `lost`.

    The chain is cut (`from None`): aiohttp's errors carry the request's headers and addresses in their arguments.
    """
    try:
        yield
    except TROUBLE as exc:
        if (held := _held_back(exc)) is not None:
            raise NotSent(held.message) from None
        if lost is AnswerLost and never_left(exc):
            raise NotSent(f"no connection to the provider: {_cause(exc)}") from None
        raise lost(f"no answer could be read: {_cause(exc)}") from None


def _held_back(exc: BaseException | None) -> NotSent | None:
    """The gate's own refusal (`transport`), which aiohttp wraps as trouble with writing."""
    while exc is not None and not isinstance(exc, NotSent):
        exc = exc.__cause__
    return exc


def never_left(exc: BaseException) -> bool:
    """Whether the transport failed before the request had a connection.

    Decided by the error the transport itself names as its cause. httpx's class will not do: httpx-aiohttp raises
    ConnectTimeout also when the server read the whole request and then closed. Nor will `__context__`: a call
    made while an earlier connection error is being handled has that error in its context.
    """
    return isinstance(exc, _NO_CONNECTION) or isinstance(exc.__cause__, _NO_CONNECTION)


def _cause(exc: BaseException) -> str:
    root = exc.__cause__ or exc
    return prose.shown(f"{type(root).__name__} {root}")
