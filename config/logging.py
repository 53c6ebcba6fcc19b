"""All log lines, ours and those of libraries, go to stderr without prompts, picture addresses or secrets."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from config import addresses
from config.settings import Settings
from config.tree import MASK

_FIRST_KEYS = ("ts", "level", "event", "edit_id", "tenant", "step", "request_id", "host")
_HOST_NAME = socket.gethostname()

# Values of keys that contain one of these words are masked, except numbers.
_HIDDEN = {"prompt", "image", "address", "authorization", "cookie", "password", "secret", "token", "key", "apikey"}
_MASKED = (
    (re.compile(r"\bdata:image/[^\s\"'<>]+", re.IGNORECASE), f"data:{MASK}"),
    (re.compile(r"\b(https?://[^/\s\"'<>]+)/[^\s\"'<>]+", re.IGNORECASE), rf"\1/{MASK}"),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {MASK}"),
)
# Most values are ids, counts and times. Without blanks, slashes and @ they hold nothing to mask.
_PLAIN = re.compile(r"[\w.:+-]*", re.ASCII)

# Their info lines repeat the record or hold addresses.
LIBRARIES = {
    "aiohttp.access": logging.ERROR,
    "asyncio": logging.WARNING,
    "celery.app.trace": logging.WARNING,  # one line for each slice
    "celery.worker.strategy": logging.WARNING,  # another
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,  # the whole URL of each request
    "python_multipart": logging.CRITICAL,  # faults of a client's form, which the answer names; they quote the form
    "tornado.access": logging.ERROR,
    "uvicorn.access": logging.ERROR,  # paths hold callback tokens; the API logs each request itself
}


def configure(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Sends all log lines to `stream` (default: stderr), warnings of the settings first. May be called again."""
    out = stream or sys.stderr
    level = logging.getLevelNamesMapping()[settings.log.level.upper()]
    renderer: Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if settings.log.format == "console" or (settings.log.format == "auto" and out.isatty()):
        colors = out.isatty() and not os.environ.get("NO_COLOR")
        renderer = structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="ts", sort_keys=False)
    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.StackInfoRenderer(),
    ]
    _take_over_libraries(_handler(out, chain, renderer), level)
    structlog.configure(
        processors=[*chain, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    for warning in settings.warnings:
        structlog.get_logger("config").warning("settings.unknown", what=warning)


def _hide(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Masks prompts, pictures, addresses and secrets, recognised by key name or text shape, and orders the keys."""
    shown = {"host": _HOST_NAME} | {key: _hidden(key, value) for key, value in event_dict.items()}
    return {key: shown[key] for key in _FIRST_KEYS if key in shown} | shown


def _handler(out: TextIO, chain: list[Processor], renderer: Processor) -> logging.Handler:
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,  # before `_hide`, which masks the messages in tracebacks
        _hide,
        renderer,
    ]
    handler = logging.StreamHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=chain, processors=last))
    return handler


def _hidden(key: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _is_hidden(key):
        return MASK
    if isinstance(value, Mapping):
        return {str(name): _hidden(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_hidden("", inner) for inner in value]
    return _clean(f"{len(value)} bytes" if isinstance(value, bytes) else str(value))


@lru_cache(maxsize=1024)
def _is_hidden(key: str) -> bool:
    return not _HIDDEN.isdisjoint(re.split(r"[^a-z]+", key.lower()))


def _clean(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    text = addresses.mask(text)
    for pattern, mask in _MASKED:
        text = pattern.sub(mask, text)
    return text


def _take_over_libraries(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in list(root.manager.loggerDict):
        # Removes the handlers that uvicorn and Celery add, with formats of their own.
        if name.partition(".")[0] in {"uvicorn", "celery", "tornado", "kombu"}:
            library = logging.getLogger(name)
            library.handlers.clear()
            library.propagate = True
            library.setLevel(logging.NOTSET)
    for name, quiet in LIBRARIES.items():
        logging.getLogger(name).setLevel(max(level, quiet))
    logging.captureWarnings(capture=True)
