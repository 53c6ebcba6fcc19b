"""`retouch doctor` on set-ups that are broken in many ways: it names each fault, soon, and shows no secret."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis as redis_sync

from edits.db.circuits import Limiter, outages
from edits.db.connection import connect
from edits.db.sender import Scripts
from tests.parts.sandbox import Sandbox, run_sandbox
from tests.parts.stack import PATIENT, PROGRAM, environment, program
from tests.parts.valkey import free_port, server_binary, start_server

SECRET = "a-secret-of-thirty-two-bytes-or-more"
PROVIDER_KEY = "provider-key-nobody-may-see"
NOBODY = "http://127.0.0.1:{}"


def diagnosed(
    folder: Path, *options: str, command: Sequence[str] = PATIENT, **settings: str
) -> tuple[int, list[dict[str, Any]], str]:
    asked = ("doctor", "--json", *options)
    answer = program(*asked, folder=folder, environ=environment(folder, **settings), command=command)
    assert answer.returncode in {0, 1, 2}, answer.stderr.decode()
    text = answer.stdout.decode() + answer.stderr.decode()
    return answer.returncode, [json.loads(line) for line in answer.stdout.splitlines()], text


def of(findings: list[dict[str, Any]], check: str) -> dict[str, Any]:
    return next(finding for finding in findings if finding["check"] == check)


@pytest.fixture
def whole(redis_url: str, sandbox: Sandbox, tmp_path: Path) -> dict[str, str]:
    """Settings of a system whose parts are there; its API and workers are not started."""
    return {
        "RETOUCH_REDIS_URL": redis_url,
        "RETOUCH_SECRET_KEY": SECRET,
        "RETOUCH_API__ADMIN_KEY": "operators-key-for-tests",
        "RETOUCH_API__PORT": str(free_port()),
        "RETOUCH_STORAGE_URL": (tmp_path / "objects").as_uri(),
        "RETOUCH_QUBICO__BASE_URL": sandbox.base_url,
        "RETOUCH_QUBICO__API_KEY": sandbox.api_key,
    }


def test_what_is_there_is_well_and_what_is_not_started_is_told(tmp_path: Path, whole: dict[str, str]) -> None:
    code, findings, _ = diagnosed(tmp_path, **whole)
    assert code == 1
    levels = {finding["check"]: finding["level"] for finding in findings}
    assert levels == {
        "settings": "ok", "redis": "ok", "redis.durability": "ok", "redis.access": "ok", "redis.whole": "ok",
        "circuits": "ok", "broker": "ok", "storage": "ok", "provider": "ok", "provider.balance": "ok",
        "provider.limits": "ok", "clock": "ok", "public_url": "fail", "workers": "fail", "ceilings": "ok",
    }  # fmt: skip
    assert "start `retouch worker`" in of(findings, "workers")["do"]
    assert "start the API" in of(findings, "public_url")["do"]
    assert "49,000 edits a day; MAX_IN_FLIGHT binds" in of(findings, "ceilings")["said"]
    assert list((tmp_path / "objects").rglob("*.*")) == []  # the object it wrote is gone


async def test_what_the_workers_find_away_is_told_with_its_cause_and_its_next_probe(
    tmp_path: Path, whole: dict[str, str]
) -> None:
    redis = connect(whole["RETOUCH_REDIS_URL"])
    try:
        limiter = Limiter(Scripts(redis, "retouch"))
        await limiter.open("download", after=600, cause="Unavailable: no route to the host")
        _, findings, _ = await asyncio.to_thread(lambda: diagnosed(tmp_path, **whole))
        outage = (await outages(redis, "retouch"))["download"]
    finally:
        await redis.aclose()
    told = of(findings, "circuits")
    assert told["level"] == "warn"
    said = f"download has failed since {outage.since:%H:%M:%S} UTC (Unavailable: no route to the host)"
    assert told["said"] == said
    assert f"{outage.probe_at:%H:%M:%S}" in told["do"]


def test_with_everything_down_each_fault_is_named_within_seconds_and_no_secret_shown(tmp_path: Path) -> None:
    settings = {
        "RETOUCH_REDIS_URL": f"redis://:redis-password@127.0.0.1:{free_port()}/0",
        "RETOUCH_SECRET_KEY": SECRET,
        "RETOUCH_QUBICO__BASE_URL": NOBODY.format(free_port()),
        "RETOUCH_QUBICO__API_KEY": PROVIDER_KEY,
        "RETOUCH_STORAGE_URL": "s3://bucket/prefix",
        "AWS_ENDPOINT_URL": NOBODY.format(free_port()),
        "AWS_ACCESS_KEY_ID": "storage-key",
        "AWS_SECRET_ACCESS_KEY": "storage-secret",
        "AWS_REGION": "us-east-1",
        "RETOUCH_PUBLIC_URL": NOBODY.format(free_port()),
    }
    began = time.monotonic()
    code, findings, text = diagnosed(tmp_path, command=PROGRAM, **settings)
    assert time.monotonic() - began < 60  # some 2 s where nothing else runs
    assert code == 1
    failed = {finding["check"] for finding in findings if finding["level"] == "fail"}
    assert failed == {"redis", "broker", "storage", "provider", "public_url"}
    assert all(finding["do"] for finding in findings if finding["level"] == "fail")
    for secret in ("redis-password", SECRET, PROVIDER_KEY, "storage-key", "storage-secret"):
        assert secret not in text


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(listener.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(90)
        for connection in held:
            connection.close()


def test_what_hangs_is_given_up_within_seconds(tmp_path: Path) -> None:
    with silent() as port:
        settings = {
            "RETOUCH_REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "RETOUCH_SECRET_KEY": SECRET,
            "RETOUCH_QUBICO__BASE_URL": NOBODY.format(port),
            "RETOUCH_QUBICO__API_KEY": PROVIDER_KEY,
            "RETOUCH_STORAGE_URL": "s3://bucket/prefix",
            "AWS_ENDPOINT_URL": NOBODY.format(port),
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_REGION": "us-east-1",
            "RETOUCH_PUBLIC_URL": NOBODY.format(port),
        }
        began = time.monotonic()
        code, findings, _ = diagnosed(tmp_path, command=PROGRAM, **settings)
    assert time.monotonic() - began < 90  # some 8 s where nothing else runs
    assert code == 1
    failed = {finding["check"] for finding in findings if finding["level"] == "fail"}
    failed.discard("clock")  # not known, or given up: one question of it may take two thirds of the time
    assert failed == {"redis", "broker", "storage", "provider", "public_url"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "set RETOUCH_REDIS_URL or start `retouch up`"),
        ({"RETOUCH_WOKER": "1", "RETOUCH_LOG__LEVEL": "loud"}, "RETOUCH_WOKER"),
        ({"RETOUCH_REDIS_URL": "redis://127.0.0.1:1/0"}, "RETOUCH_SECRET_KEY"),
        ({"RETOUCH_ENV": "production"}, "RETOUCH_FLOWER__PASSWORD"),
    ],
)
def test_settings_that_cannot_be_used_end_it_with_two(tmp_path: Path, settings: dict[str, str], told: str) -> None:
    code, findings, _ = diagnosed(tmp_path, **settings)
    assert code == 2
    assert {finding["level"] for finding in findings} == {"fail"}
    assert any(told in finding["said"] for finding in findings)


def test_a_redis_that_may_lose_edits_is_a_fault(tmp_path: Path, whole: dict[str, str]) -> None:
    port = free_port()
    options = ["--maxmemory-policy", "allkeys-lru", "--appendfsync", "everysec"]
    process = start_server(server_binary(), tmp_path / "valkey", port, *options)
    try:
        url = f"redis://127.0.0.1:{port}/0"
        code, findings, _ = diagnosed(tmp_path, **whole | {"RETOUCH_REDIS_URL": url})
        assert code == 1
        assert "maxmemory-policy allkeys-lru" in of(findings, "redis")["said"]
        with redis_sync.Redis(port=port) as admin:
            admin.config_set("maxmemory-policy", "noeviction")
        _, findings, _ = diagnosed(tmp_path, **whole | {"RETOUCH_REDIS_URL": url, "RETOUCH_REDIS_WAIT_REPLICAS": "2"})
        assert of(findings, "redis")["level"] == "ok"
        assert "appendfsync everysec" in of(findings, "redis.durability")["said"]
        assert "0 of 2 replicas" in of(findings, "redis.replicas")["said"]
        assert of(findings, "redis.replicas")["level"] == "fail"
    finally:
        process.terminate()
        process.wait(90)


def test_a_missing_right_and_another_program_are_faults(tmp_path: Path, whole: dict[str, str]) -> None:
    url = whole["RETOUCH_REDIS_URL"]
    with redis_sync.Redis.from_url(url) as admin:
        admin.execute_command(*["ACL", "SETUSER", "app", "reset", "on", ">word", "~retouch:*", "+@all"])
        try:
            limited = whole | {"RETOUCH_REDIS_URL": url.replace("//", "//app:word@")}
            _, findings, _ = diagnosed(tmp_path, **limited)
            for name in ("redis.access", "broker"):
                assert of(findings, name)["level"] == "fail"
                assert "the Redis user may not use its channels" in of(findings, name)["said"]
                assert "ACL SETUSER app &retouch:*" in of(findings, name)["do"]
        finally:
            admin.acl_deluser("app")
        admin.set("retouch:marker", "queue")
        _, findings, _ = diagnosed(tmp_path, **whole)
    assert "another program uses the key retouch:marker" in of(findings, "redis.access")["said"]
    assert "another RETOUCH_NAMESPACE" in of(findings, "redis.access")["do"]


def test_a_folder_that_cannot_be_is_a_fault(tmp_path: Path, whole: dict[str, str]) -> None:
    (tmp_path / "objects").write_text("a file where the folder should be")
    _, findings, _ = diagnosed(tmp_path, **whole)
    assert of(findings, "storage")["level"] == "fail"


def test_a_refused_key_and_an_account_that_is_too_small_are_told(tmp_path: Path, whole: dict[str, str]) -> None:
    _, findings, _ = diagnosed(tmp_path, **whole | {"RETOUCH_QUBICO__API_KEY": "another-key"})
    assert "refuses the account" in of(findings, "provider")["said"]
    assert "another-key" not in json.dumps(findings)
    with run_sandbox(balance_usd=0.01, max_concurrent=3) as poor:
        provider = {"RETOUCH_QUBICO__BASE_URL": poor.base_url, "RETOUCH_QUBICO__API_KEY": poor.api_key}
        _, findings, _ = diagnosed(tmp_path, **whole | provider)
    assert of(findings, "provider.balance")["level"] == "fail"
    assert of(findings, "provider.limits")["level"] == "warn"
    assert "RETOUCH_QUBICO__MAX_IN_FLIGHT=3" in of(findings, "provider.limits")["do"]
