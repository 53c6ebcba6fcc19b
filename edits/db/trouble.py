"""Says in plain words why Redis cannot be used. It never shows an address."""

from typing import Final

from redis.exceptions import AuthenticationError, RedisError, ResponseError

REASONS: Final = {
    "NOREPLICAS": "Redis takes no writes: fewer replicas are connected than its min-replicas-to-write requires.",
    "MISCONF": "Redis takes no writes: it cannot save its data to disk. Its log has the reason.",
    "OOM": "Redis takes no new edits: its memory is full (maxmemory).",
    "READONLY": "Redis takes no writes: this server is a replica.",
    "MASTERDOWN": "Redis does not answer: this server is a replica that has lost its primary.",
    "LOADING": "Redis is loading its data after a start.",
    "BUSY": "Redis is blocked by a script that runs for too long (SCRIPT KILL ends it).",
    "CLUSTERDOWN": "Redis does not answer: its cluster is down.",
    "NOPERM": "The Redis user lacks a right; `retouch doctor` shows the ACL line that grants it.",
}
"""By the first word of the server's error."""

_STRIPPED: Final = {
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "MasterDownError": "MASTERDOWN",
    "BusyLoadingError": "LOADING",
    "ClusterDownError": "CLUSTERDOWN",
    "NoPermissionError": "NOPERM",
}
"""Errors of redis-py that no longer hold that word."""


_WITHIN_SCRIPT: Final = ("ACL failure", "user executing the script")  # how servers deny a command of a script


def code_of(exc: BaseException) -> str | None:
    """The word of REASONS that an error stands for; within a script's error it comes later in the text."""
    stripped = _STRIPPED.get(type(exc).__name__)
    if stripped:
        return stripped
    if any(text in str(exc) for text in _WITHIN_SCRIPT):
        return "NOPERM"
    words = str(exc)[:200].replace(":", " ").split()
    return next((word for word in words if word in REASONS), None)


def explain(exc: BaseException) -> str:
    """One or two sentences for an error of the client library, or of a refused script call."""
    code = code_of(exc)
    if code is not None:
        return REASONS[code]
    if isinstance(exc, AuthenticationError):
        return "Redis refuses the user or password in its address."
    if isinstance(exc, ResponseError):
        return f"Redis refuses the command: {str(exc)[:200]}"
    if isinstance(exc, RedisError | OSError):
        return _unreachable(str(exc))
    return "Redis refuses the call; the log names the script and the error."


def _unreachable(text: str) -> str:
    if "name resolution" in text or "Name or service not known" in text or "No address" in text:
        return "Redis cannot be reached: the name of its host cannot be resolved."
    if "refused" in text or "Connect call failed" in text:
        return "Redis cannot be reached: nothing listens at its address."
    return "Redis does not answer."
