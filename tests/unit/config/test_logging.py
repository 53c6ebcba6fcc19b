"""Every line of every logger has the same shape, and none holds a prompt, a picture's address or a secret."""

import io
import json
import logging
import warnings

import pytest
import structlog

from config import logging as log_settings
from config.settings import load

SECRET = "hunter2hunter2"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    libraries = {name: logging.getLogger(name).level for name in log_settings.LIBRARIES}
    yield
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in libraries.items():
        logging.getLogger(name).setLevel(before)


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def configured(stream=None, **environ):
    stream = stream or io.StringIO()
    log_settings.configure(load(environ, None), stream=stream)
    return stream


def test_a_line_has_its_keys_in_order():
    stream = configured()
    structlog.contextvars.bind_contextvars(request_id="req_1")
    log = structlog.get_logger().bind(step="submit", tenant="default", edit_id="edit_1", attempt=1)
    log.info("edit.submitted", extra_key="x")
    (line,) = lines(stream)
    first = ["ts", "level", "event", "edit_id", "tenant", "step", "request_id", "host"]
    assert list(line)[:8] == first
    assert (line["level"], line["event"], line["attempt"]) == ("info", "edit.submitted", 1)
    assert line["ts"].endswith("Z")


def test_libraries_write_the_same_lines():
    stream = configured()
    logging.getLogger("celery.worker").warning("lost %s", "connection", extra={"queue": "submit"})
    logging.getLogger("uvicorn.error").info("started")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("beware", stacklevel=1)
    written = lines(stream)
    assert [line["event"].splitlines()[0] for line in written[:2]] == ["lost connection", "started"]
    assert written[0]["queue"] == "submit"
    assert "beware" in written[2]["event"]
    assert all({"ts", "level", "event", "host"} <= line.keys() for line in written)


def test_handlers_that_libraries_brought_are_taken_away():
    own = logging.getLogger("uvicorn")
    own.addHandler(logging.NullHandler())
    own.propagate = False
    own.setLevel(logging.CRITICAL)
    configured()
    assert (own.handlers, own.propagate, own.level) == ([], True, logging.NOTSET)


def test_chatty_libraries_are_quiet():
    stream = configured(RETOUCH_LOG__LEVEL="debug")
    logging.getLogger("httpx").info("HTTP Request: GET https://img.example/a.png")
    logging.getLogger("uvicorn.access").info("GET /v1/callbacks/qubico/token")
    logging.getLogger("celery.app.trace").info("Task retouch.submit succeeded")
    assert lines(stream) == []


@pytest.mark.parametrize(("level", "written"), [("debug", 2), ("info", 1), ("warning", 0)])
def test_the_level_holds_for_all(level, written):
    stream = configured(RETOUCH_LOG__LEVEL=level)
    structlog.get_logger().debug("a.b")
    logging.getLogger("edits").info("c")
    assert len(lines(stream)) == written


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": SECRET},
        {"image": SECRET},
        {"image_url": SECRET},
        {"address": SECRET},
        {"api_key": SECRET},
        {"x-api-key": SECRET},
        {"Authorization": SECRET},
        {"secret_key": SECRET},
        {"attempt_token": SECRET},
        {"password": SECRET},
        {"cookie": [SECRET]},
        {"body": {"input": {"prompt": SECRET}}},
        {"items": [{"token": SECRET}]},
        {"url": f"redis://:{SECRET}@h:1/0"},
        {"url": f"https://img.example/{SECRET}.png?sig={SECRET}"},
        {"note": f"picture data:image/png;base64,{SECRET}"},
        {"header": f"Bearer {SECRET}"},
        {"error": ValueError(f"for url 'https://img.example/{SECRET}'")},
        {"raw": SECRET.encode()},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_must_not_be_written_is_not(fields):
    stream = configured()
    structlog.get_logger().warning("edit.failed", **fields)
    logging.getLogger("edits").warning("failed", extra={name.lower(): value for name, value in fields.items()})
    assert len(lines(stream)) == 2
    assert SECRET not in stream.getvalue()


def test_tracebacks_and_messages_are_cleaned_as_well():
    stream = configured()

    def fail():
        raise RuntimeError(f"cannot reach redis://u:{SECRET}@h/0 or https://img.example/{SECRET}")

    try:
        fail()
    except RuntimeError:
        structlog.get_logger().exception("redis.away")
        logging.getLogger("kombu").exception("broker redis://:%s@h/0", SECRET)
    ours, theirs = lines(stream)
    assert SECRET not in stream.getvalue()
    assert "RuntimeError: cannot reach redis://******@h/0 or https://img.example/******" in ours["exception"]
    assert theirs["event"] == "broker redis://******@h/0"


def test_numbers_stay_whatever_their_name():
    stream = configured()
    structlog.get_logger().info("limits", image=3, tokens=5, token=1, key=None, image_bytes=True)
    (line,) = lines(stream)
    assert (line["image"], line["tokens"], line["token"], line["key"]) == (3, 5, 1, None)


@pytest.mark.parametrize(
    ("format_", "stream", "is_json"),
    [
        ("auto", io.StringIO, True),
        ("auto", Terminal, False),
        ("json", Terminal, True),
        ("console", io.StringIO, False),
    ],
)
def test_people_at_a_terminal_get_text_and_machines_json(format_, stream, is_json):
    out = configured(stream(), RETOUCH_LOG__FORMAT=format_)
    structlog.get_logger().info("edit.accepted", edit_id="edit_1")
    assert out.getvalue().startswith("{") is is_json
    assert "edit.accepted" in out.getvalue()
    assert "edit_1" in out.getvalue()


def test_colour_is_for_terminals_that_want_it(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = configured(Terminal())
    structlog.get_logger().info("edit.accepted")
    assert "\x1b[" in out.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    out = configured(Terminal())
    structlog.get_logger().info("edit.accepted")
    assert "\x1b[" not in out.getvalue()


def test_softened_settings_are_told_first():
    stream = configured(RETOUCH_UNKNOWN_SETTINGS="warn", RETOUCH_ZZZ="1")
    (line,) = lines(stream)
    assert (line["event"], line["level"]) == ("settings.unknown", "warning")
    assert "RETOUCH_ZZZ" in line["what"]
