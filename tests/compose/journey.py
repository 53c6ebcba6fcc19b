"""What a user and an accident do to the running containers. Run where published ports are reached; a line a step.

The environment says the rest: DOCKER_HOST, COMPOSE_PROJECT_NAME, RETOUCH_API__PORT, RETOUCH_FLOWER__PORT.
"""

import base64
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from tests.compose.engine import Failed, run

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "samples" / "landscape.jpg"
PROMPT = "make it a snowy winter evening"
POLLERS = 3
STARTED = time.monotonic()


def main() -> None:
    compose("up", "--detach", "--wait", "--wait-timeout", "180")
    services = {row["Service"] for row in containers() if row["State"] == "running"}
    say(f"up and healthy: {', '.join(sorted(services))}")
    with api() as client:
        edit_one(client)
        kill_with_an_edit_in_flight(client, "worker-poll")
        edit_another_by_the_program()
        scale(client)
    stop()
    compose("down", "--volumes")
    left = containers()
    check(not left, f"still there after down: {left}")
    say("taken down: no container is left")


def edit_one(client: httpx.Client) -> None:
    began = time.monotonic()
    edit = ended(client, submit(client))
    say(f"a picture is edited in {time.monotonic() - began:.1f} s: {shown(client, edit)}")


def edit_another_by_the_program() -> None:
    """As the head of docker-compose.yml says: inside a container, with the key that is there."""
    picture = compose_bytes("exec", "-T", "api", "retouch", "edit", "/app/samples/landscape.jpg", PROMPT, "-o", "-")
    say(f"another is edited by `docker compose exec api retouch edit`: {described(picture)}")


def kill_with_an_edit_in_flight(client: httpx.Client, service: str) -> None:
    edit_id = submit(client)
    until(lambda: read(client, edit_id)["status"] == "processing", "the edit is at the provider", seconds=30)
    container = one(service)
    how = kill(container)
    check(read(client, edit_id)["status"] == "processing", "the edit ended before its worker was killed")
    edit = ended(client, edit_id)
    until(lambda: one(service)["Health"] == "healthy", f"{service} is back", seconds=60)
    say(f"{service} {how} with an edit in flight; the edit: {shown(client, edit)}")


def kill(container: dict[str, Any]) -> str:
    """As a crash, when its process is ours to kill: then the engine's restart policy brings it back."""
    inspected = json.loads(docker("inspect", container["ID"]))[0]
    pid = int(inspected["State"]["Pid"])
    with suppress(OSError):
        if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
            until(lambda: restarts(container) > inspected["RestartCount"], "the engine starts it again", seconds=30)
            return "was killed (SIGKILL) and started again by the engine"
    docker("kill", "--signal", "KILL", container["ID"])
    docker("start", container["ID"])
    return "was killed (SIGKILL) and started again by hand"


def restarts(container: dict[str, Any]) -> int:
    return int(json.loads(docker("inspect", container["ID"]))[0]["RestartCount"])


def scale(client: httpx.Client) -> None:
    compose("up", "--detach", "--no-recreate", "--scale", f"worker-poll={POLLERS}", "--wait", "--wait-timeout", "120")
    pollers = [row for row in containers() if row["Service"] == "worker-poll"]
    check([row["Health"] for row in pollers] == ["healthy"] * POLLERS, f"worker-poll={POLLERS}: {pollers}")
    until(lambda: chains(client, "poll") == POLLERS, f"{POLLERS} chains of poll live", seconds=60)
    ids = [submit(client) for _ in range(2 * POLLERS)]
    bought = sum(ended(client, edit_id)["provider"]["tasks_bought"] for edit_id in ids)
    check(bought == len(ids), f"{len(ids)} edits bought {bought} tasks")
    say(f"worker-poll={POLLERS}: all healthy, {POLLERS} chains; {len(ids)} edits at once, {bought} tasks bought")


def stop() -> None:
    began = time.monotonic()
    compose("stop")
    took = time.monotonic() - began
    forced = [row["Name"] for row in containers("--all") if row["ExitCode"] == 137]
    check(not forced, f"these did not stop by themselves: {', '.join(forced)}")
    say(f"stopped in {took:.0f} s, every part by itself")


def chains(client: httpx.Client, step: str) -> int:
    text = client.get("/metrics", params={"scope": "cluster"}).raise_for_status().text
    found = re.search(rf'^retouch_chains_alive{{step="{step}"}} ([\d.]+)$', text, re.MULTILINE)
    return int(float(found[1])) if found else 0


def submit(client: httpx.Client) -> str:
    """A picture of ours, kept by the system and fetched by the provider through a signed address."""
    picture = base64.b64encode(SAMPLE.read_bytes()).decode()
    body = {"prompt": PROMPT, "image": f"data:image/jpeg;base64,{picture}"}
    answer = client.post("/v1/edits", json=body)
    check(answer.status_code == 202, f"not accepted: {answer.status_code} {answer.text[:500]}")
    return str(answer.json()["id"])


def read(client: httpx.Client, edit_id: str) -> dict[str, Any]:
    edit: dict[str, Any] = client.get(f"/v1/edits/{edit_id}").raise_for_status().json()
    return edit


def ended(client: httpx.Client, edit_id: str) -> dict[str, Any]:
    until(lambda: read(client, edit_id)["finished_at"], f"{edit_id} ends", seconds=90)
    edit = read(client, edit_id)
    check(edit["status"] == "succeeded", f"{edit_id}: {edit['status']}, {edit['error']}")
    return edit


def shown(client: httpx.Client, edit: dict[str, Any]) -> str:
    """The picture as it comes, checked."""
    answer = client.get(f"/v1/edits/{edit['id']}/result").raise_for_status()
    check(hashlib.sha256(answer.content).hexdigest() == edit["result"]["sha256"], "the picture is not what was stored")
    bought = edit["provider"]["tasks_bought"]
    check(bought == 1, f"{edit['id']} bought {bought} tasks")
    return f"{described(answer.content)}, {bought} task bought"


def described(picture: bytes) -> str:
    """Its shape and size; raises where it is no picture."""
    with Image.open(io.BytesIO(picture)) as opened:
        opened.load()
        return f"{opened.width}x{opened.height} {opened.format}, {len(picture)} bytes"


def api() -> httpx.Client:
    key = compose("exec", "-T", "api", "cat", "admin-key").strip()
    url = f"http://127.0.0.1:{os.environ['RETOUCH_API__PORT']}"
    return httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=90, trust_env=False)


def containers(*more: str) -> list[dict[str, Any]]:
    lines = compose("ps", "--format", "json", *more).splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def one(service: str) -> dict[str, Any]:
    found = [row for row in containers() if row["Service"] == service]
    return found[0] if found else {"Health": "gone"}


def compose(*arguments: str) -> str:
    return docker("compose", *arguments)


def compose_bytes(*arguments: str) -> bytes:
    ended = subprocess.run(("docker", "compose", *arguments), cwd=ROOT, capture_output=True, timeout=120, check=False)
    check(ended.returncode == 0, ended.stderr.decode(errors="replace")[-2000:])
    return ended.stdout


def docker(*arguments: str) -> str:
    return run("docker", *arguments, cwd=ROOT)


def until(true: Callable[[], object], what: str, *, seconds: float) -> None:
    """Waits for a state, not for a time."""
    last = time.monotonic() + seconds
    while not true():
        check(time.monotonic() < last, f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)


def check(true: object, otherwise: str) -> None:
    if not true:
        raise Failed(otherwise)


def say(text: str) -> None:
    print(f"{time.monotonic() - STARTED:6.1f} s  {text}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except (Failed, httpx.HTTPError, OSError, subprocess.SubprocessError) as exc:
        print(f"test-compose: FAILED: {exc}", file=sys.stderr)
        with suppress(Failed):
            print(compose("ps", "--all"), compose("logs", "--tail", "15"), file=sys.stderr)
        sys.exit(1)
