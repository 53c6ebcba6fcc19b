"""Markers are planted in the whole running system, at debug level and through an outage, and looked for everywhere.

A secret is nowhere but where it is kept. What an edit is about is in its record, its manifest and its answers alone.
"""

import base64
import contextlib
import os
import re
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import redis
from PIL import PngImagePlugin

from edits.attempts import Attempt, Tokens
from tests.parts.stack import RunningStack, eventually, run_stack
from tests.unit.edits.samples import picture, saved

WORD = "a-prompt-that-is-nobodys-business"
SIGNATURE = "a-signature-of-an-address"
INSIDE = "a-comment-inside-an-upload"
SENT_KEY = "a-key-that-somebody-guessed"
ABOUT = (WORD, SIGNATURE, INSIDE, base64.b64encode(INSIDE.encode()).decode()[:30])
ADDRESS = f"http://example.com/house.png?X-Amz-Signature={SIGNATURE}"
FAULTS = ("moderated", "failed", "rejected", "no_address", "wrong_type_html", "drop")
SECRET_NAMES = (
    "RETOUCH_SECRET_KEY", "RETOUCH_API__ADMIN_KEY", "RETOUCH_QUBICO__API_KEY", "RETOUCH_FLOWER__PASSWORD",
)  # fmt: skip


class Overheard:
    """Every command that Redis is given, on a connection of its own, until the block ends."""

    def __init__(self, url: str) -> None:
        self.lines: list[str] = []
        self._ended = threading.Event()
        self._client = redis.Redis.from_url(url, socket_timeout=None)  # it is made to hang
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def _listen(self) -> None:
        with contextlib.suppress(redis.RedisError, OSError), self._client.monitor() as monitor:
            while not self._ended.is_set():
                said = monitor.next_command()
                self.lines.append(f"{said['db']} {said['command']}")

    def __enter__(self) -> "Overheard":
        self._thread.start()
        return self

    def of(self, database: int) -> str:
        return "\n".join(line for line in list(self.lines) if line.startswith(f"{database} "))

    def bodies(self, database: int) -> list[bytes]:
        """Of the messages that went through this database, decoded."""
        found = re.findall(r'"body": ?"([A-Za-z0-9+/=]+)"', self.of(database).replace("\\", ""))
        return [base64.b64decode(body) for body in found]

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._client.ping()  # one more command, so that the listener looks up
        self._thread.join(90)
        self._client.close()


@pytest.fixture(scope="module")
def secretive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with run_stack(tmp_path_factory.mktemp("secrecy"), RETOUCH_LOG__LEVEL="debug") as running:
        yield running


def upload() -> bytes:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", INSIDE)
    return saved(picture("RGB", (64, 48)), "PNG", pnginfo=notes)


def ask(api: httpx.Client) -> tuple[list[str], list[str]]:
    """Edits that succeed and that fail in each way; and the bodies of all that was refused."""
    inline = "data:image/png;base64," + base64.b64encode(upload()).decode()
    bodies = [{"prompt": WORD, "image": image} for image in (inline, ADDRESS)]
    bodies += [{"prompt": f"{WORD} [fault:{fault}]", "image": ADDRESS} for fault in FAULTS]
    taken = [api.post("/v1/edits", json=body) for body in bodies]
    files = {"image": (f"{WORD}.png", upload())}
    taken.append(api.post("/v1/edits", data={"prompt": WORD}, files=files))
    assert {answer.status_code for answer in taken} == {202}, [answer.text for answer in taken]
    refused = [
        api.post("/v1/edits", json={"prompt": WORD, "image": inline[:-40]}),
        api.post("/v1/edits", json={"prompt": WORD, "image": ADDRESS, "steps": WORD}),
        api.post("/v1/edits", json={"prompt": WORD, "image": f"http://127.0.0.1/{SIGNATURE}", "image_fetch": "copy"}),
        api.post("/v1/edits", content=f'{{"prompt": "{WORD}', headers={"Content-Type": "application/json"}),
        api.get("/v1/edits", headers={"X-API-Key": SENT_KEY}),
        api.post(f"/v1/callbacks/qubico/{SENT_KEY}", json={"task_id": WORD}),
        api.get(f"/v1/objects/{SENT_KEY}/result.png"),
    ]
    assert all(400 <= answer.status_code < 500 for answer in refused)
    return [answer.json()["id"] for answer in taken], [answer.text for answer in refused[:4]]


def outage(stack: RunningStack, api: httpx.Client) -> None:
    """Redis hangs while edits are asked for and worked on."""
    server = stack.pid_of("valkey-server")
    os.kill(server, signal.SIGSTOP)
    try:
        for _ in range(2):
            assert api.post("/v1/edits", json={"prompt": WORD, "image": ADDRESS}).status_code == 503
        noticed = ("claim.lost", "heartbeat.lost", "link.lost")
        eventually(lambda: any(event in written(stack) for event in noticed), "a worker gives Redis up")
    finally:
        os.kill(server, signal.SIGCONT)
    eventually(lambda: api.get("/readyz").status_code == 200, "Redis is back")


def kept_in_redis(url: str) -> dict[str, str]:
    """Every key of every database, as text."""
    found = {}
    for database in range(3):
        with redis.Redis.from_url(url, db=database, decode_responses=True) as client:
            read = {
                "hash": client.hgetall, "string": client.get, "set": client.smembers,
                "zset": lambda name, client=client: client.zrange(name, 0, -1),
                "list": lambda name, client=client: client.lrange(name, 0, -1),
            }  # fmt: skip
            for name in client.scan_iter(count=1000):
                found[f"{database} {name}"] = str(read[client.type(name)](name))
    return found


def processes_below(pid: int) -> str:
    listed = subprocess.run(["ps", "-axwwo", "pid=,ppid=,command="], capture_output=True, text=True, check=True).stdout
    rows = [(int(row[0]), int(row[1]), row[2]) for row in (line.split(None, 2) for line in listed.splitlines())]
    ours = {pid}
    for _ in range(4):
        ours |= {child for child, parent, _ in rows if parent in ours}
    return "\n".join(command for child, _, command in rows if child in ours)


def flower_says(stack: RunningStack) -> str:
    auth = ("ops", stack.setting("RETOUCH_FLOWER__PASSWORD"))
    pages = ("/", "/tasks", "/workers", "/broker", "/api/tasks", "/api/workers?refresh=true", "/metrics")
    with httpx.Client(base_url=stack.flower_url, trust_env=False, timeout=90, follow_redirects=True) as flower:
        for page in pages:
            assert flower.get(page).status_code == 401, page
        return "".join(flower.get(page, auth=auth).text for page in pages)


def test_what_is_secret_stays_where_it_is_kept(secretive: RunningStack) -> None:
    stack = secretive
    broker = int(urlsplit(stack.setting("RETOUCH_BROKER_URL")).path.strip("/") or 0)
    with stack.http() as api, Overheard(stack.redis_url) as overheard:
        ids, refusals = ask(api)
        outage(stack, api)
        ends = {"succeeded", "failed", "canceled"}
        eventually(lambda: all(api.get(f"/v1/edits/{i}").json()["status"] in ends for i in ids), "all end")
        statuses = [api.get(f"/v1/edits/{i}").json()["status"] for i in ids]
        timelines = "".join(api.get(f"/v1/edits/{i}/timeline").text for i in ids)
        shown = "".join(api.get(f"/v1/edits/{i}").text for i in ids)
        eventually(lambda: overheard.bodies(broker), "a message goes through the broker")
        pages = api.get("/metrics").text + api.get("/readyz?verbose").text + api.get("/openapi.json").text
    assert {"succeeded", "failed"} == set(statuses)

    tokens = Tokens("retouch", stack.setting("RETOUCH_SECRET_KEY"))
    secrets = [stack.setting(name) for name in SECRET_NAMES] + [tokens.sign(Attempt(i, 1)) for i in ids] + [SENT_KEY]
    in_redis = kept_in_redis(stack.redis_url)
    objects = {path.name: path.read_bytes().decode("latin-1") for path in objects_of(stack)}
    manifests = "".join(text for name, text in objects.items() if name == "manifest.json")
    assert manifests
    sent = "\n".join(overheard.lines)
    messages = overheard.of(broker) + "".join(body.decode("latin-1") for body in overheard.bodies(broker))
    published = "\n".join(line for line in overheard.lines if " PUBLISH " in line.upper())
    assert published

    logs = written(stack)
    assert "edit.accepted" in logs, "nothing is at debug level"
    open_to_people = {
        "logs": logs, "processes": processes_below(stack.pid), "flower": flower_says(stack), "pages": pages,
        "refusals": "".join(refusals), "timelines": timelines, "published": published, "broker": messages,
    }  # fmt: skip
    for where, text in open_to_people.items():
        for marker in (*secrets, *ABOUT):
            assert marker not in text, f"{marker} is in {where}: {around(text, marker)}"
    for where, text in {"redis": str(in_redis), "commands": sent, "manifests": manifests, "answers": shown}.items():
        for secret in secrets:
            assert secret not in text, f"{secret} is in {where}: {around(text, secret)}"
    holding = {name for name, text in in_redis.items() if any(marker in text for marker in ABOUT)}
    assert {name.partition(" ")[2].split(":")[1] for name in holding} <= {"i", "x", "claim"}


def test_only_its_owner_reads_what_up_keeps(secretive: RunningStack) -> None:
    for name in ("up.json", "secrets.json", "up.lock"):
        assert stat.S_IMODE((secretive.data_dir / name).stat().st_mode) == 0o600, name
    with httpx.Client(base_url=secretive.api_url, timeout=90, trust_env=False) as stranger:
        assert stranger.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 401
        assert stranger.get("/metrics", headers={"Host": "retouch.example.com"}).status_code == 401


def objects_of(stack: RunningStack) -> list[Path]:
    return [path for path in (stack.data_dir / "objects").rglob("*") if path.is_file()]


def written(stack: RunningStack) -> str:
    """All logs. What `up` says to its operator names the key of the API, as it should."""
    files = [path for path in (stack.data_dir / "logs").rglob("*") if path.is_file()]
    assert len(files) >= 4
    return "".join(path.read_text(errors="replace") for path in files)


def around(text: str, marker: str) -> Any:
    at = text.index(marker)
    return text[max(0, at - 200) : at + len(marker) + 50]
