"""What a call to the provider can end with, one class for each decision the caller has to take.

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


class NotSent(QubicoError):
    """Create: nothing left this machine; send it again, no attempt was spent."""


class AnswerLost(QubicoError):
    """Create: it may have been bought; never send it again, look for the task."""


class Throttled(QubicoError):
    """Come back after `retry_after` seconds (None: the provider did not say)."""

    def __init__(self, retry_after: float | None = None, message: str = "the provider asks us to slow down") -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Rejected(QubicoError):
    """The provider read the request and refused it; `moderated` if for its content."""

    def __init__(self, message: str, provider_code: int | None = None, *, moderated: bool = False) -> None:
        super().__init__(message)
        self.provider_code = provider_code
        self.moderated = moderated


class AccountBlocked(QubicoError):
    """No request of this account will do: key, credit, suspension; pause and ask the account."""


class Unavailable(QubicoError):
    """A read brought nothing readable; read again later."""


class Unreadable(QubicoError):
    """A parser's input (a callback's body) lacks the documented shape; ignore it."""


class TaskGone(QubicoError):
    """The provider does not know this task (any more)."""


class ResultGone(QubicoError):
    """The file is not there; read the task again for a fresh address, then give up."""


class ResultHostRefused(QubicoError):
    """The address or a redirect leads to a host that is not allowed; nothing was asked of it."""


class ResultTooLarge(QubicoError):
    """The file or its headers are over the cap."""


@contextmanager
def transport_trouble(lost: type[AnswerLost] | type[Unavailable]) -> Iterator[None]:
    """Turn what the transport raises into NotSent or `lost`.

    The chain is cut (`from None`): aiohttp's errors carry the request's headers and addresses in their arguments.
    """
    try:
        yield
    except TROUBLE as exc:
        if (held := _held_back(exc)) is not None:
            raise NotSent(str(held)) from None
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
    if type(exc) is TimeoutError:  # from asyncio.timeout
        return "it took too long"
    root = exc.__cause__ or exc
    return prose.shown(f"{type(root).__name__} {root}")
