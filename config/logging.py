"""One way out for every log line, ours and our libraries': to stderr, without prompts, picture addresses or secrets."""

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

FIRST_KEYS = ("ts", "level", "event", "edit_id", "tenant", "step", "request_id", "host")

# A key that has one of these words in its name holds what must not be written. Numbers in it are harmless and stay.
_HIDDEN = {"prompt", "image", "address", "authorization", "cookie", "password", "secret", "token", "key", "apikey"}
_URL = re.compile(r"\b(https?://[^/\s\"'<>]+)/[^\s\"'<>]+", re.IGNORECASE)
_DATA_URI = re.compile(r"\bdata:image/[^\s\"'<>]+", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE)
# Most values are ids, counts and moments; without a blank, a slash or an @ there is nothing to find in them.
_PLAIN = re.compile(r"[\w.:+-]*", re.ASCII)

# Quieter than ours: their info lines repeat the record or hold addresses.
LIBRARIES = {
    "aiohttp.access": logging.ERROR,
    "asyncio": logging.WARNING,
    "celery.app.trace": logging.WARNING,  # a line for every slice
    "celery.worker.strategy": logging.WARNING,  # another
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,  # every request with its whole address
    "tornado.access": logging.ERROR,
    "uvicorn.access": logging.ERROR,  # paths hold callback tokens; the API writes its own line for a request
}


def configure(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Send everything to `stream` (stderr); may be called again. Warnings of the settings are its first lines."""
    out = stream or sys.stderr
    level = logging.getLevelNamesMapping()[settings.log.level.upper()]
    console = settings.log.format == "console" or (settings.log.format == "auto" and out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_chain(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_render(out, console=console)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    _take_over_libraries(level)
    structlog.configure(
        processors=[*_chain(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    for warning in settings.warnings:
        structlog.get_logger("config").warning("settings.unknown", what=warning)


def hide(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Masks prompts, pictures, addresses and secrets, recognised by key name or text shape."""
    return {key: _hidden(key, value) for key, value in event_dict.items()}


def _chain() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _host,
        structlog.processors.StackInfoRenderer(),
    ]


def _render(out: TextIO, *, console: bool) -> list[Processor]:
    # Tracebacks become text before `hide`, so that it sees the messages inside them.
    last: list[Processor] = [structlog.processors.format_exc_info, hide, _order]
    if console:
        colors = out.isatty() and not os.environ.get("NO_COLOR")
        return [*last, structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="ts", sort_keys=False)]
    return [*last, structlog.processors.JSONRenderer(ensure_ascii=False)]


def _host(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    event_dict.setdefault("host", _HOST_NAME)
    return event_dict


def _order(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    first = {key: event_dict[key] for key in FIRST_KEYS if key in event_dict}
    return first | {key: value for key, value in event_dict.items() if key not in first}


def _hidden(key: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _tells(key):
        return MASK
    if isinstance(value, Mapping):
        return {str(name): _hidden(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_hidden("", inner) for inner in value]
    return _clean(f"{len(value)} bytes" if isinstance(value, bytes) else str(value))


@lru_cache(maxsize=1024)
def _tells(key: str) -> bool:
    return not _HIDDEN.isdisjoint(re.split(r"[^a-z]+", key.lower()))


def _clean(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    text = _DATA_URI.sub(f"data:{MASK}", addresses.mask(text))
    return _BEARER.sub(rf"\1 {MASK}", _URL.sub(rf"\1/{MASK}", text))


def _take_over_libraries(level: int) -> None:
    for name in list(logging.root.manager.loggerDict):
        # uvicorn and Celery bring handlers of their own, in their own format.
        if name.partition(".")[0] in {"uvicorn", "celery", "tornado", "kombu"}:
            library = logging.getLogger(name)
            library.handlers.clear()
            library.propagate = True
            library.setLevel(logging.NOTSET)
    for name, quiet in LIBRARIES.items():
        logging.getLogger(name).setLevel(max(level, quiet))
    logging.captureWarnings(capture=True)


_HOST_NAME = socket.gethostname()
