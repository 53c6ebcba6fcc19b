"""`retouch up` with real services: its output, the processes that join it, and the view from outside."""

import signal
import subprocess

import httpx
import pytest

from tests.parts import stack as parts
from tests.parts.stack import PICTURE, environment, eventually, listed, program, run_stack, running
from tests.parts.terminal import at_terminal
from tests.parts.valkey import free_port

PNG = b"\x89PNG\r\n\x1a\n"


def test_status_is_a_live_table_at_a_terminal_until_ctrl_c(stack):
    edit_id = stack.program("edit", PICTURE, "Make it live", "--no-wait").stdout.strip()
    code, shown = at_terminal("status", folder=stack.folder, environ=stack.environ, until=edit_id, then=signal.SIGINT)
    assert code == 130
    assert edit_id in shown
    assert b"Traceback" not in shown


def test_doctor_finds_the_running_system_well(stack):
    answers = []

    def well():
        answers.append(program("doctor", folder=stack.folder, environ=stack.environ, command=parts.PATIENT))
        return {line.split()[0] for line in answers[-1].stdout.decode().splitlines()} == {"ok"}

    eventually(well, "doctor to find everything well")
    assert answers[-1].returncode == 0
    told = answers[-1].stdout.decode()
    assert "every step has a process" in told
    for secret in (stack.api_key, stack.setting("RETOUCH_SECRET_KEY"), stack.setting("RETOUCH_QUBICO__API_KEY")):
        assert secret not in told


def test_doctor_tells_of_ceilings_that_processes_disagree_on(stack):
    joining = subprocess.Popen(
        [*parts.PROGRAM, "worker", "--steps", "sweep"],
        cwd=stack.folder, env=stack.environ | {"RETOUCH_QUBICO__MAX_IN_FLIGHT": "7"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        said = "processes disagree on RETOUCH_QUBICO__MAX_IN_FLIGHT: 7, 20; the lowest, 7, applies"
        told = []
        eventually(
            lambda: told.append(stack.program("doctor").stdout.decode()) or said in told[-1],
            "doctor to tell of it",
            seconds=400,
        )
        assert "17,000 edits a day; MAX_IN_FLIGHT binds" in told[-1]
    finally:
        joining.terminate()
        assert joining.wait(90) == 0


def test_up_tells_its_addresses_and_what_the_ceilings_come_to(stack):
    eventually(lambda: stack.flower_url in (stack.folder / "up.out").read_text(), "`up` to print its addresses")
    told = (stack.folder / "up.out").read_text()
    for shown in (stack.api_url, f"{stack.api_url}/docs", stack.api_key, stack.flower_url, stack.sandbox_url):
        assert shown in told
    assert "49,000 edits a day; MAX_IN_FLIGHT binds" in stack.said()
    assert (stack.data_dir / "up.json").stat().st_mode & 0o777 == 0o600


def test_flower_asks_for_its_password(stack):
    login = ("ops", stack.setting("RETOUCH_FLOWER__PASSWORD"))
    with httpx.Client(base_url=stack.flower_url, trust_env=False, timeout=90) as flower:
        assert flower.get("/").status_code == 401
        assert flower.get("/metrics").status_code == 401
        assert flower.get("/workers", auth=login).status_code == 200


def test_a_second_up_on_the_same_folder_is_refused(stack):
    answer = stack.program("up")
    assert answer.returncode == 2
    assert f"(pid {stack.pid}) already runs".encode() in answer.stderr


def test_a_taken_api_port_is_told_with_its_setting(stack, tmp_path):
    environ = environment(tmp_path, RETOUCH_API__PORT=stack.api_url.rpartition(":")[2])
    answer = program("up", folder=tmp_path, environ=environ)
    assert answer.returncode == 2
    assert b"RETOUCH_API__PORT" in answer.stderr


def test_a_second_up_lives_beside_the_first_and_takes_its_secrets_up_again(stack, tmp_path):
    with run_stack(tmp_path) as other:
        assert other.flower_url != stack.flower_url
        assert other.sandbox_url != stack.sandbox_url
        assert other.redis_url != stack.redis_url
        assert other.program("edit", PICTURE, "Make it sepia").returncode == 0
        assert other.api_key != stack.api_key
        pids = list(other.part_pids())
    assert other.process.returncode == 0
    assert not any(running(pid) for pid in pids)
    assert not (other.data_dir / "up.json").exists()

    with run_stack(tmp_path) as again:
        assert again.api_key == other.api_key
        (edit,) = listed(again.program("status", "--json"))  # and the records are still there
        assert edit["status"] == "succeeded"


def test_a_worker_of_its_own_joins_the_up_of_its_data_dir(stack):
    joining = subprocess.Popen(
        [*parts.PROGRAM, "worker", "--steps", "poll,store"],
        cwd=stack.folder, env=stack.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    login = ("ops", stack.setting("RETOUCH_FLOWER__PASSWORD"))
    try:
        with httpx.Client(base_url=stack.flower_url, trust_env=False, timeout=90, auth=login) as flower:
            seen = lambda: flower.get("/api/workers", params={"refresh": 1}).json()  # noqa: E731 - asked again and again
            eventually(lambda: len(seen()) == 2, "Flower to see both workers")
    finally:
        joining.terminate()
        assert joining.wait(90) == 0


def test_the_demo_edits_a_picture_and_leaves_nothing_running(tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    # Other programs say in the usual temporary folder which ports they are about to take; this one looks elsewhere.
    ports = {f"RETOUCH_{part}__PORT": str(free_port()) for part in ("API", "SANDBOX", "FLOWER", "METRICS")}
    real = {"RETOUCH_QUBICO__BASE_URL": "https://api.piapi.ai", "RETOUCH_QUBICO__API_KEY": "real"}
    environ = environment(tmp_path, TMPDIR=str(temporary), **ports, **real)
    answer = program("demo", folder=tmp_path, environ=environ)
    assert answer.returncode == 0, answer.stderr.decode()
    told = answer.stdout.decode()
    before, after = tmp_path / "var/demo/before.jpg", tmp_path / "var/demo/after.png"
    assert before.as_uri() in told
    assert after.as_uri() in told
    assert after.read_bytes().startswith(PNG)
    for words in ("Where the time went", "provider_run", "sandbox: nothing was bought", "next: make up"):
        assert words in told
    assert [path.name for path in temporary.iterdir() if path.name.startswith("retouch-demo")] == []
    listing = subprocess.run(["ps", "-axwwo", "command="], capture_output=True, text=True, check=True).stdout
    assert str(temporary) not in listing


@pytest.mark.fault
@pytest.mark.parametrize("part", ["worker", "api", "flower", "sandbox"])
def test_each_part_ends_with_0_when_it_is_told_to(stack, part):
    ports = {f"RETOUCH_{name}__PORT": str(free_port()) for name in ("API", "FLOWER", "SANDBOX", "METRICS")}
    asked = {"worker": ("METRICS", "/healthz"), "api": ("API", "/healthz"), "flower": ("FLOWER", "/healthcheck")}
    name, path = asked.get(part, ("SANDBOX", "/sandbox/health"))
    address = f"http://127.0.0.1:{ports[f'RETOUCH_{name}__PORT']}{path}"
    started = subprocess.Popen(
        [*parts.PROGRAM, part],
        cwd=stack.folder, env={**stack.environ, **ports, "RETOUCH_WORKER__PROCESSES": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        eventually(lambda: _well(address), f"{part} answers")
        started.terminate()
        assert started.wait(90) == 0
    finally:
        started.kill()
        started.wait()


def _well(address):
    try:
        return httpx.get(address, timeout=2, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
