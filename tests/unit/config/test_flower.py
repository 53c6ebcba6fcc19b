"""A real Flower beside a real worker: pages, API and metrics ask for the password, and tasks show by their names."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from celery import Celery
from flower import urls
from flower.app import Flower
from flower.options import default_options as options
from flower.views import monitor
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer

from config import flower
from config.settings import SettingsError, load
from tests.parts.valkey import free_port

ROOT = Path(__file__).parents[3]
TINY = """
import sys

from celery import Celery

from config import flower
from config.celery import celery_config, leave_neighbours_alone
from config.settings import load

settings = load(dotenv=None)
app = Celery("tiny")
app.conf.update(celery_config(settings))
leave_neighbours_alone()
if "flower" in sys.argv[1:]:
    flower.configure(settings)


@app.task(name="retouch.submit")
def submit():
    pass
"""


class Running:
    def __init__(self, port, send):
        self.port = port
        self.send = send

    def get(self, path, password=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if password:
            request.add_header("Authorization", "Basic " + base64.b64encode(f"ops:{password}".encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, exc.read().decode()

    def waited(self, path, password, seen):
        until = time.monotonic() + 90
        while time.monotonic() < until:
            status, body = self.get(path, password)
            if status == 200 and seen(body):
                return body
            time.sleep(0.1)
        raise AssertionError(f"{path} never showed it: {status} {body[:500]}")


def reachable(port, process):
    until = time.monotonic() + 90
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("Flower did not start: " + process.communicate(timeout=90)[0])


@pytest.fixture
def running(tmp_path, redis_url):
    (tmp_path / "tiny.py").write_text(TINY)
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RETOUCH_", "FLOWER_"))}
    environ = kept | {
        "PYTHONPATH": f"{ROOT}:{tmp_path}",
        "RETOUCH_DATA_DIR": str(tmp_path / "var"),
        "RETOUCH_REDIS_URL": redis_url,
        "RETOUCH_NAMESPACE": "shop",
        "RETOUCH_FLOWER__PORT": str(port),
        "RETOUCH_FLOWER__PASSWORD": "letmein",
    }

    def celery(*args):
        command = [sys.executable, "-m", "celery", "-A", "tiny", *args]
        return subprocess.Popen(
            command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    shown = celery("flower")
    worker = celery("worker", "-Q", "submit", "-E")
    try:
        reachable(port, shown)
        yield Running(port, lambda: celery("call", "retouch.submit").communicate(timeout=90))
    finally:
        for process in (worker, shown):
            process.send_signal(signal.SIGTERM)
        outputs = [process.communicate(timeout=90)[0] for process in (worker, shown)]
    assert worker.returncode == 0, outputs[0]
    assert "mingle" not in outputs[0]
    assert (tmp_path / "var" / "flower").is_dir()


def test_flower_shows_nothing_without_the_password(running):
    for path in ("/metrics", "/", "/tasks", "/workers", "/api/tasks", "/api/workers"):
        assert running.get(path)[0] == 401, path
        assert running.get(path, "wrong")[0] == 401, path
    assert running.get("/healthcheck") == (200, "OK")

    assert "flower_events_total" in running.get("/metrics", "letmein")[1]
    for path in ("/", "/tasks", "/broker"):
        status, page = running.get(path, "letmein")
        assert (status, "<html" in page) == (200, True), path

    whole = ("active_queues", "stats")
    told = running.waited("/api/workers?refresh=1", "letmein", lambda body: all(part in body for part in whole))
    workers = json.loads(told)
    (worker,) = workers.values()
    assert [queue["name"] for queue in worker["active_queues"]] == ["submit"]
    assert "ThreadPool" in worker["stats"]["pool"]["implementation"] or "thread" in json.dumps(worker["stats"]["pool"])

    running.send()
    tasks = json.loads(running.waited("/api/tasks", "letmein", lambda body: "SUCCESS" in body))
    assert {task["name"] for task in tasks.values()} == {"retouch.submit"}


def test_flower_does_not_start_without_a_password():
    with pytest.raises(SettingsError, match="RETOUCH_FLOWER__PASSWORD"):
        flower.configure(load({}, None))


def test_a_folder_that_cannot_be_made_costs_only_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(urls, "handlers", list(urls.handlers))
    kept = options.as_dict()
    (tmp_path / "file").touch()
    try:
        flower.configure(load({"RETOUCH_DATA_DIR": str(tmp_path / "file"), "RETOUCH_FLOWER__PASSWORD": "x"}, None))
        assert options.persistent is False
        assert options.address == "127.0.0.1"
        assert options.basic_auth == ["ops:x"]
        assert monitor.Metrics not in [handler[1] for handler in urls.handlers if isinstance(handler, tuple)]
    finally:
        for name, value in kept.items():
            setattr(options, name, value)


async def test_a_flower_that_receives_no_events_says_so():
    flower.harden()
    app = Flower(capp=Celery("tiny", broker="memory://"), options=options)
    listening = threading.Event()
    app.events.run = listening.wait  # a thread that ends when it is told to
    port = free_port()
    server = HTTPServer(app)
    server.listen(port, "127.0.0.1")
    asked = AsyncHTTPClient()
    try:
        threading.Thread.start(app.events)
        assert (await asked.fetch(f"http://127.0.0.1:{port}/healthcheck")).body == b"OK"
        listening.set()
        app.events.join(90)
        answer = await asked.fetch(f"http://127.0.0.1:{port}/healthcheck", raise_error=False)
        assert (answer.code, answer.body.split(b":")[0]) == (503, b"no events are received")
    finally:
        server.stop()
        asked.close()
