"""`python -m tests.compose`: finds or makes an engine, runs the journey on it, and leaves nothing behind."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.compose import engine, images
from tests.compose.engine import Engine, Failed, NoEngine
from tests.parts.valkey import free_port

LONGEST = 570  # seconds
STARTED = time.monotonic()


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LONGEST)
    scratch = Path(tempfile.mkdtemp(prefix="retouch-compose-"))
    left: list[int] = []
    try:
        with _ready(scratch) as found:
            code = _journey(found)
    except NoEngine as exc:
        print(f"test-compose: skipped: {exc}")
        return 0
    except Failed as exc:
        print(f"test-compose: FAILED: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        signal.alarm(0)
        left = engine.sweep(scratch)
    if left:
        print(f"test-compose: FAILED: processes were left and had to be ended: {left}", file=sys.stderr)
        return 1
    if code == 0:
        print(f"test-compose: ok in {time.monotonic() - STARTED:.0f} s, nothing was left running")
    return code


@contextlib.contextmanager
def _ready(scratch: Path) -> Iterator[Engine]:
    """An engine with every image in it."""
    found = engine.at_hand(scratch)
    if found is not None:
        print("engine: the one at hand", flush=True)
        found.environ["COMPOSE_PROJECT_NAME"] = f"retouch-test-{secrets.token_hex(4)}"
        found.docker("compose", "build", "--quiet", cwd=images.ROOT)
        yield found
        return
    engine.check_makeable()
    installed = engine.install_tools()
    environ = engine.with_compose(os.environ, scratch) | {"COMPOSE_PROJECT_NAME": "retouch-test"}
    with engine.daemon(scratch, environ, apart=False) as builder:
        version = builder.docker("version", "--format", "{{.Server.Version}}").strip()
        compose = builder.docker("compose", "version", "--short").strip()
        note = f" (installed {', '.join(installed)})" if installed else ""
        print(f"engine: {version} of Debian's packages{note}, compose {compose}", flush=True)
        images.make_all(builder, scratch)
        standins = ", ".join(images.image_of(service) for service in ("valkey", "s3"))
        print(f"images: ours on a base of Debian's packages; stand-ins for {standins}", flush=True)
    with engine.daemon(scratch, environ, apart=True) as own:
        yield own


def _journey(found: Engine) -> int:
    """In a process of its own, for it may have to enter the engine's network. The containers go whatever happens."""
    environ = {
        name: text for name, text in found.environ.items() if not name.startswith(("RETOUCH_", "SANDBOX_", "AWS_"))
    }
    for name in ("RETOUCH_API__PORT", "RETOUCH_FLOWER__PORT"):
        environ[name] = str(free_port())
    # A `.env` of whoever works here must not reach the containers.
    environ["COMPOSE_DISABLE_ENV_FILE"] = "1"
    command = [*found.enter, sys.executable, "-m", "tests.compose.journey"]
    process = subprocess.Popen(command, env=environ, cwd=images.ROOT, stdin=subprocess.DEVNULL)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        with contextlib.suppress(Failed):
            engine.run("docker", "compose", "down", "--volumes", "--timeout", "10", environ=environ, cwd=images.ROOT)


def _too_long(*_: object) -> None:
    raise Failed(f"not done after {LONGEST} s")


if __name__ == "__main__":
    sys.exit(main())
