"""Arguments of any bytes, streams of any encoding or none: each command ends with a named error, never a traceback."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PICTURE = os.fsencode(ROOT / "samples" / "landscape.jpg")
NOT_UTF8 = b"bad\xff\xfe\xf0\x9f"
MOUNTAIN = "\N{SNOW CAPPED MOUNTAIN}"
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
EDIT = {
    "id": "edit_01J", "status": "succeeded", "created_at": "2026-01-01T00:00:00Z",
    "finished_at": "2026-01-01T00:00:09Z", "input": {"prompt": f"{MOUNTAIN} \ud83d"}, "cost": {"usd": "0.02"},
    "result": {
        "url": "http://x/y", "content_type": "image/png", "bytes": 3,
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    },
}  # fmt: skip


class Server(BaseHTTPRequestHandler):
    """Answers every call with one edit whose prompt no ASCII stream can take, and keeps the bodies."""

    bodies: list[bytes]

    def do_GET(self):
        one = json.dumps({"data": [EDIT]} if self.path.startswith("/v1/edits?") and self.command == "GET" else EDIT)
        content = b"abc" if self.path.endswith("/result") else one.encode()
        self.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - as http.server calls it

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    handler = type("Handler", (Server,), {"bodies": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield http
        http.shutdown()


@pytest.fixture
def retouch(server, tmp_path):
    def run(*arguments, shell='exec "$@"', **environ):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "RETOUCH_DATA_DIR": str(tmp_path),
            "RETOUCH_CLIENT__URL": f"http://127.0.0.1:{server.server_port}",
            "RETOUCH_CLIENT__API_KEY": "k" * 40,
        } | environ
        kept = {name: value for name, value in environment.items() if value is not None}
        command = ["bash", "-c", shell, "-", sys.executable, "-m", "cli", *arguments]
        return subprocess.run(
            command, check=False, env=kept, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, timeout=60
        )

    return run


def ends_well(done, *codes):
    said = (done.stdout + done.stderr).decode("latin-1")
    assert "Traceback" not in said, said
    assert "Error:" not in said, said
    assert "Exception ignored" not in said, said
    assert done.returncode in codes, (done.returncode, said)


UNUSABLE = [
    ("ID", ["status", NOT_UTF8]),
    ("ID", ["cancel", NOT_UTF8]),
    ("ID", ["explain", NOT_UTF8]),
    ("PROMPT", ["edit", PICTURE, NOT_UTF8]),
    ("PROMPT", ["edit", PICTURE, NOT_UTF8, "--dry-run"]),
    ("IMAGE", ["edit", NOT_UTF8, "p"]),
    ("IMAGE", ["edit", b"https://example.com/" + NOT_UTF8, "p"]),
    ("IMAGE", ["edit", b"~" + NOT_UTF8 + b"/a.png", "p"]),
    ("IMAGE", ["edit", b"a" * 5000, "p"]),
    ("--out", ["edit", PICTURE, "p", "-o", b"~nobody-of-that-name/" + NOT_UTF8]),
    ("--out", ["edit", PICTURE, "p", "-o", b"a" * 5000]),
    ("--since", ["doctor", "--invariants", "--since", NOT_UTF8]),
    ("--steps", ["worker", "--steps", NOT_UTF8]),
    ("--template", ["config", "--template", NOT_UTF8]),
]
ONE_OF_EACH = dict(reversed(UNUSABLE)).items()


@pytest.mark.parametrize(
    ("locale", "name", "arguments"),
    [
        *((ASCII, *row) for row in UNUSABLE),
        *(({"LC_ALL": "C.UTF-8"}, *row) for row in ONE_OF_EACH),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(retouch, locale, name, arguments):
    done = retouch(*arguments, **locale)
    ends_well(done, 2)
    assert name.encode() in done.stderr


@pytest.mark.parametrize("locale", [ASCII, {"LC_ALL": "POSIX"}, {"PYTHONIOENCODING": "ascii"}], ids=str)
def test_an_emoji_is_taken_and_shown_with_escapes(retouch, server, locale):
    done = retouch("edit", PICTURE, MOUNTAIN.encode(), "--no-wait", **locale)
    ends_well(done, 0)
    assert MOUNTAIN.encode() in server.RequestHandlerClass.bodies[-1]
    shown = retouch("status", "edit_01J", **locale)
    ends_well(shown, 0)
    assert b"\\ud83d" in shown.stdout
    listed = retouch("status", "--json", **locale)
    ends_well(listed, 0)
    assert json.loads(listed.stdout) == EDIT


def test_every_page_can_be_shown_in_ascii(retouch):
    for arguments in (
        ["--help"],
        ["edit", "--help"],
        ["config"],
        ["config", "--json"],
        ["config", "--template", "production"],
    ):
        done = retouch(*arguments, **ASCII)
        ends_well(done, 0)
        done.stdout.decode("ascii")


def test_a_file_name_that_is_not_utf8_is_read_and_written(retouch, tmp_path):
    (tmp_path / os.fsdecode(NOT_UTF8)).write_bytes(Path(os.fsdecode(PICTURE)).read_bytes())
    done = retouch("edit", NOT_UTF8, "p", "-o", b"to" + NOT_UTF8, LC_ALL="C.UTF-8")
    ends_well(done, 0)
    assert (tmp_path / os.fsdecode(b"to" + NOT_UTF8)).read_bytes() == b"abc"
    assert done.stdout.decode() == "tobad\\udcff\\udcfe\\udcf0\\udc9f\n"


@pytest.mark.parametrize(
    "environ",
    [{"RETOUCH_DATA_DIR": "~nobody-of-that-name/x"}, {"RETOUCH_CLIENT__API_KEY": "bad\udcff"}, {"RETOUCH_CLIENT__URL": "http://bad\udcff/"}],
    ids=str,
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_named(retouch, environ):
    done = retouch("status", **environ)
    ends_well(done, 2)
    assert next(iter(environ)).encode() in done.stderr


CLOSED = {
    "stdin": 'exec "$@" <&-',
    "stdout": 'exec "$@" >&-',
    "stderr": 'exec "$@" 2>&-',
    "all": 'exec "$@" <&- >&- 2>&-',
}


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"], ["edit", PICTURE, "p"]], ids=str)
def test_a_closed_stream_is_no_fault(retouch, closed, arguments, tmp_path):
    done = retouch(*arguments, shell=CLOSED[closed])
    ends_well(done, 0)
    if arguments[0] == "edit":
        assert (tmp_path / "landscape-retouched.png").read_bytes() == b"abc"


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["status", "--json"],
        ["--help"],
        ["config", "--template", "production"],
        ["edit", PICTURE, "p", "-o", "-"],
    ],
    ids=str,
)
def test_a_full_disk_under_stdout_is_told_and_a_closed_pipe_ends_quietly(retouch, arguments):
    full = retouch(*arguments, shell='exec "$@" >/dev/full')
    ends_well(full, 1)
    assert b"stdout: no space left on device" in full.stderr
    ends_well(retouch(*arguments, shell='"$@" | true; exit ${PIPESTATUS[0]}'), 0, 1)


def test_notes_that_nobody_can_read_stop_nothing(retouch):
    ends_well(retouch("edit", PICTURE, "p", "-o", "there.png", shell='exec "$@" 2>/dev/full'), 0)


def test_without_a_home_every_command_works(retouch):
    ends_well(retouch("status", HOME=None), 0)
    ends_well(retouch("config", HOME=None), 0)
