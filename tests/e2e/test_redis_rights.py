"""The whole system as a Redis user with just the rights that docs/operations.md names: nothing is denied on the way."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import redis as redis_sync

from tests.parts.stack import PICTURE, ROOT, listed, run_stack
from tests.parts.valkey import free_port, server_binary, start_server

PASSWORD = "a/pass:word@#"
GRANT = re.search(r"^ +(ACL SETUSER retouch .*)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
ACCESS = ("redis.access", "broker")
TOLERATED = {"config|get"}  # asked for by `doctor` and at start, and never needed


@pytest.fixture(params=["valkey", "redis"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    binary = server_binary() if request.param == "valkey" else shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    port = free_port()
    process = start_server(binary, tmp_path / "server", port)
    yield port
    process.terminate()
    process.wait(90)


def denied(admin: redis_sync.Redis) -> list[tuple[str, str]]:
    return [(row["reason"], row["object"]) for row in admin.acl_log(100) if row["object"] not in TOLERATED]


def test_the_documented_rights_carry_an_edit_to_its_end(tmp_path: Path, port: int) -> None:
    assert GRANT, "docs/operations.md names no least rights"
    with redis_sync.Redis(port=port, decode_responses=True) as admin:
        admin.execute_command(*[word.replace("PASSWORD", PASSWORD) for word in GRANT[1].split()])
        address = f"redis://retouch:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/0"
        with run_stack(tmp_path, RETOUCH_REDIS_URL=address) as stack:
            edited = stack.program("edit", PICTURE, "make it night", "-o", str(tmp_path / "out.png"), "--json")
            assert edited.returncode == 0, edited
            assert listed(edited)[-1]["status"] == "succeeded"
            with stack.http() as http:
                assert http.get("/readyz?verbose").json()["parts"]["redis"]["status"] == "ok"
            rules = stack.program("doctor", "--invariants", **stack.made)
            assert rules.returncode == 0, rules
            access = [
                line for line in listed(stack.program("doctor", "--json", **stack.made)) if line["check"] in ACCESS
            ]
            assert [line["level"] for line in access] == ["ok"] * len(ACCESS)
            login = ("ops", stack.setting("RETOUCH_FLOWER__PASSWORD"))
            with httpx.Client(base_url=stack.flower_url, trust_env=False, timeout=90, auth=login) as flower:
                while not flower.get("/api/workers", params={"refresh": 1}).json():
                    assert not denied(admin)
            assert not denied(admin)
        for database in (0, 1):
            with redis_sync.Redis(port=port, db=database, decode_responses=True) as client:
                assert {key.partition(":")[0] for key in client.scan_iter()} == {"retouch"}
