"""The program as a user runs it: `retouch up` with every part real, and the client commands beside it."""

import base64
import json
import os
import pty
import resource
import signal
import subprocess

import httpx
import pytest

from tests.parts import stack as parts
from tests.parts.stack import ROOT, environment, eventually, program, run_stack, running
from tests.parts.terminal import at_terminal
from tests.parts.valkey import free_port

PICTURE = str(ROOT / "samples" / "landscape.jpg")
UNKNOWN = "edit_03QCPC7P00PR2GCXEP2HV2F44X"
PNG = b"\x89PNG\r\n\x1a\n"


def listed(answer):
    return [json.loads(line) for line in answer.stdout.splitlines()]


# --- usage ---


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["edit", "absent.png", "Make it sepia"], b"absent.png: no such file"),
        (["edit", __file__, "Make it sepia"], b"no PNG, JPEG or WebP"),
        (["edit", PICTURE, "  "], b"/prompt"),
        (["edit", PICTURE], b"PROMPT"),
        (["edit", PICTURE, "p", "-o", PICTURE], b"nothing is overwritten"),
        (["edit", PICTURE, "https://example.com/a.png", "p", "-o", "-"], b"takes one picture"),
        (["edit", str(ROOT / "samples"), "p", "-o", str(ROOT / "samples")], b"is the folder of the pictures"),
        (["edit", str(ROOT / "config"), "p"], b"there is no PNG, JPEG or WebP picture in"),
        (["edit", PICTURE, "p", "--priority", "urgent"], b"urgent"),
        (["edit", PICTURE, "p", "--width", "100", "--height", "100"], b"/width"),
        (["edit", PICTURE, "p", "-o", "-", "--json"], b"both write to stdout"),
        (["status", UNKNOWN], UNKNOWN.encode()),
        (["cancel", ""], b"an id is needed"),
        (["worker", "--steps", "submit,beat"], b"beat is no step"),
        (["dance"], b"dance"),
    ],
)
def test_wrong_usage_ends_with_two_and_says_what_is_wrong(stack, arguments, told):
    answer = stack.program(*arguments)
    assert answer.returncode == 2, answer
    assert told in answer.stderr
    assert answer.stdout == b""


# --- finding the server ---


def test_without_a_server_the_program_says_how_to_start_one(tmp_path):
    answer = program("status", folder=tmp_path, environ=environment(tmp_path))
    assert answer.returncode == 3
    assert b"`make up`" in answer.stderr


def test_a_server_that_is_not_there_is_unreachable(tmp_path):
    address = f"http://127.0.0.1:{free_port()}"
    environ = environment(tmp_path, RETOUCH_CLIENT__URL=address, RETOUCH_CLIENT__API_KEY="k")
    answer = program("status", folder=tmp_path, environ=environ)
    assert answer.returncode == 3
    assert address.encode() in answer.stderr


def test_the_client_goes_where_it_is_told(stack, tmp_path):
    there = {"RETOUCH_CLIENT__URL": stack.api_url, "RETOUCH_CLIENT__API_KEY": stack.api_key}
    assert program("status", folder=tmp_path, environ=environment(tmp_path, **there)).returncode == 0
    refused = environment(tmp_path, **there | {"RETOUCH_CLIENT__API_KEY": "wrong"})
    assert program("status", folder=tmp_path, environ=refused).returncode == 2


# --- settings ---


def test_config_shows_every_setting_and_no_secret(stack):
    answer = stack.program("config", "--json")
    rows = {row["name"]: row for row in listed(answer)}
    assert rows["RETOUCH_SHUTDOWN_GRACE"]["value"] == "5s"
    assert rows["RETOUCH_SHUTDOWN_GRACE"]["source"] == "environment"
    assert rows["RETOUCH_REDIS_URL"]["value"] == stack.redis_url
    assert rows["RETOUCH_REDIS_URL"]["source"].startswith("up of ")
    everything = answer.stdout.decode() + stack.program("config").stdout.decode()
    for secret in (stack.api_key, stack.setting("RETOUCH_SECRET_KEY"), stack.setting("RETOUCH_FLOWER__PASSWORD")):
        assert secret not in everything


@pytest.mark.parametrize("command", ["up", "api", "worker", "flower", "sandbox", "config", "status"])
def test_faulty_settings_end_every_command_with_two_and_all_faults(command, tmp_path):
    environ = environment(tmp_path, RETOUCH_LOG__LEVEL="loud", RETOUCH_SHUTDOWN_GRACE="20", RETOUCH_WOKER="1")
    answer = program(command, folder=tmp_path, environ=environ)
    assert answer.returncode == 2
    for name in (b"RETOUCH_LOG__LEVEL", b"RETOUCH_SHUTDOWN_GRACE", b"RETOUCH_WOKER"):
        assert name in answer.stderr


@pytest.mark.parametrize("command", ["api", "worker", "flower"])
def test_a_part_alone_needs_a_redis_or_an_up_to_join(command, tmp_path):
    answer = program(command, folder=tmp_path, environ=environment(tmp_path))
    assert answer.returncode == 2
    assert b"RETOUCH_REDIS_URL" in answer.stderr


def test_the_template_for_production_lacks_only_what_must_be_filled_in(tmp_path):
    environ = environment(tmp_path)
    answer = program("config", "--template", "production", folder=tmp_path, environ=environ)
    assert answer.returncode == 0
    (tmp_path / ".env").write_bytes(answer.stdout)
    refused = program("doctor", "--json", folder=tmp_path, environ=environ)
    assert refused.returncode == 2
    missing = {edit["said"].split()[0] for edit in listed(refused)}
    assert missing == {
        "RETOUCH_SECRET_KEY", "RETOUCH_API__ADMIN_KEY", "RETOUCH_QUBICO__BASE_URL", "RETOUCH_QUBICO__API_KEY",
        "RETOUCH_FLOWER__PASSWORD",
    }  # fmt: skip
    assert program("config", "--template", "space", folder=tmp_path, environ=environ).returncode == 2


def test_shells_complete_commands_and_options(tmp_path):
    environ = environment(tmp_path, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    script = program("--show-completion", "bash", folder=tmp_path, environ=environ)
    assert script.returncode == 0
    assert b"complete -o default -F _retouch_completion retouch" in script.stdout
    for words, offered in (("retouch e", {"edit", "explain"}), ("retouch edit --pri", {"--priority"})):
        count = str(len(words.split()) - 1)
        asked = environ | {"_RETOUCH_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": count}
        assert set(program(folder=tmp_path, environ=asked).stdout.decode().split()) == offered


def test_help_answers_at_once(tmp_path):
    def spent():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = spent()  # in processor time, as the machine may be busy with other things
    answer = program("--help", folder=tmp_path, environ=environment(tmp_path))
    assert answer.returncode == 0
    assert spent() - before < 0.5


# --- the running system ---


def test_status_is_a_live_table_at_a_terminal_until_ctrl_c(stack):
    edit_id = stack.program("edit", PICTURE, "Make it live", "--no-wait").stdout.strip()
    code, shown = at_terminal("status", folder=stack.folder, environ=stack.environ, until=edit_id, then=signal.SIGINT)
    assert code == 130
    assert edit_id in shown
    assert b"Traceback" not in shown


def test_doctor_finds_the_running_system_well(stack):
    answer = stack.program("doctor")
    assert answer.returncode == 0, answer.stdout.decode()
    told = answer.stdout.decode()
    assert {line.split()[0] for line in told.splitlines()} == {"ok"}
    assert "every process works on each of its steps" in told
    for secret in (stack.api_key, stack.setting("RETOUCH_SECRET_KEY"), stack.setting("RETOUCH_QUBICO__API_KEY")):
        assert secret not in told


def test_doctor_tells_of_ceilings_that_processes_disagree_on(stack):
    joining = subprocess.Popen(
        [*parts.PROGRAM, "worker", "--steps", "sweep"],
        cwd=stack.folder, env=stack.environ | {"RETOUCH_QUBICO__MAX_IN_FLIGHT": "7"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        said = "processes disagree on RETOUCH_QUBICO__MAX_IN_FLIGHT: 7, 20; the lowest, 7, holds"
        eventually(lambda: said in stack.program("doctor").stdout.decode(), "doctor to tell of it", seconds=40)
        assert "17,000 edits a day; MAX_IN_FLIGHT binds" in stack.program("doctor").stdout.decode()
    finally:
        joining.terminate()
        assert joining.wait(20) == 0


def test_up_tells_its_addresses_and_what_the_ceilings_come_to(stack):
    told = (stack.folder / "up.out").read_text()
    for shown in (stack.api_url, f"{stack.api_url}/docs", stack.api_key, stack.flower_url, stack.sandbox_url):
        assert shown in told
    assert "49,000 edits a day; MAX_IN_FLIGHT binds" in stack.said()
    assert (stack.data_dir / "up.json").stat().st_mode & 0o777 == 0o600


def test_flower_asks_for_its_password(stack):
    login = ("ops", stack.setting("RETOUCH_FLOWER__PASSWORD"))
    with httpx.Client(base_url=stack.flower_url, trust_env=False, timeout=20) as flower:
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
        with httpx.Client(base_url=stack.flower_url, trust_env=False, timeout=20, auth=login) as flower:
            seen = lambda: flower.get("/api/workers", params={"refresh": 1}).json()  # noqa: E731 - asked again and again
            eventually(lambda: len(seen()) == 2, "Flower to see both workers", seconds=40)
    finally:
        joining.terminate()
        assert joining.wait(20) == 0


@pytest.mark.fault
def test_dead_parts_are_started_again_and_no_edit_is_lost(tmp_path):
    with run_stack(tmp_path, SANDBOX_LATENCY="2") as up, up.http() as api:
        _kill(up, [up.pid_of("api.app"), up.pid_of("qubico.sandbox"), up.pid_of("flower")])
        eventually(lambda: _answer(api, "/readyz") is not None, "the API to answer again", seconds=30)

        picture = base64.b64encode((ROOT / "samples" / "landscape.jpg").read_bytes()).decode()
        body = {"prompt": "Make it sepia", "image": f"data:image/jpeg;base64,{picture}"}
        edit = api.post("/v1/edits", json=body).raise_for_status().json()
        path = f"/v1/edits/{edit['id']}"
        eventually(lambda: _answer(api, path)["status"] == "processing", "the provider to have it")
        _kill(up, [*up.worker_pids(), up.pid_of("valkey-server")])
        eventually(lambda: (_answer(api, path) or edit)["status"] == "succeeded", "the edit to succeed", seconds=90)
        for name in ("api", "sandbox", "flower", "worker1", "valkey"):
            assert f"{name} died (SIGKILL), starting it again in 0.5 s" in up.said()


@pytest.mark.fault
def test_parts_that_hang_are_killed_and_started_again(tmp_path):
    with run_stack(tmp_path, RETOUCH_STALL_LIMIT="6s") as up, up.http() as api:
        hung = [up.pid_of("api.app"), *up.worker_pids(), up.pid_of("flower")]
        for pid in hung:
            os.kill(pid, signal.SIGSTOP)
        eventually(lambda: up.said().count("started again") >= len(hung), "all to be started again", seconds=60)
        for name in ("api", "worker1", "flower"):
            assert f"{name} has not been well for 6 s and is killed" in up.said()
        eventually(lambda: _answer(api, "/readyz") is not None, "the API to answer again", seconds=30)
        assert not any(running(pid) for pid in hung)


def _kill(up, pids):
    before = up.said().count("started again")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: up.said().count("started again") == before + len(pids), "all to be started again", seconds=30)


def _answer(api, path):
    """What the API says, or None while it cannot."""
    try:
        answer = api.get(path)
    except httpx.TransportError:
        return None
    return answer.json() if answer.status_code == 200 else None


@pytest.mark.fault
def test_nothing_is_left_when_up_itself_is_killed_and_the_next_one_starts(tmp_path):
    with run_stack(tmp_path) as up:
        pids = list(up.part_pids())
        assert len(pids) == 6  # Valkey, sandbox, API, worker, Flower, and the reaper
        up.process.kill()
        up.process.wait()
        eventually(lambda: not any(running(pid) for pid in pids), "every part to end", seconds=20)
        stale = up.program("status")
        assert stale.returncode == 3
        (up.data_dir / "up.json").unlink()  # so that the next start can be waited for
    with run_stack(tmp_path) as again:
        assert again.program("status").returncode == 0


def test_ctrl_c_ends_everything_with_130(tmp_path):
    with run_stack(tmp_path) as up:
        pids = list(up.part_pids())
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(30) == 130
        assert not any(running(pid) for pid in pids)


def test_the_demo_edits_a_picture_and_leaves_nothing_running(tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environ = environment(
        tmp_path, TMPDIR=str(temporary), RETOUCH_QUBICO__BASE_URL="https://api.piapi.ai", RETOUCH_QUBICO__API_KEY="real"
    )
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


def test_at_a_terminal_there_are_colours_unless_they_are_not_wanted(stack):
    def shown(**more):
        primary, secondary = pty.openpty()
        environ = (
            {name: value for name, value in stack.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"} | more
        )
        subprocess.run([*parts.PROGRAM, "explain", "x"], cwd=stack.folder, env=environ, stderr=secondary, check=False)
        os.close(secondary)
        with os.fdopen(primary, "rb", closefd=True) as screen:
            return screen.read1()

    assert b"\x1b[" in shown()
    assert b"\x1b[" not in shown(NO_COLOR="1")


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
        eventually(lambda: _well(address), f"{part} answers", seconds=40)
        started.terminate()
        assert started.wait(20) == 0
    finally:
        started.kill()
        started.wait()


def _well(address):
    try:
        return httpx.get(address, timeout=2, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
