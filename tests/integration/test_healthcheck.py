"""The health check of containers, with a process of ours in the place of the container's init."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.test_supervisor import SERVES
from tests.parts.stack import ROOT, children_of, eventually, running
from tests.parts.valkey import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="containers run on Linux")


class Container:
    """A parent in the place of the init, and the part that it started."""

    def __init__(self, init: "subprocess.Popen[bytes]", port: int, kept: Path) -> None:
        self.init, self.port, self.kept = init, port, kept

    @property
    def part(self) -> int:
        return next(iter(children_of(self.init.pid)), 0)

    def check(self, *addresses: str, old_enough: float = 0.0) -> int:
        script = [sys.executable, "-IS", str(ROOT / "scripts" / "healthcheck.py")]
        options = ["--init", str(self.init.pid), "--kept", str(self.kept), "--old-enough", str(old_enough)]
        asked = [f"http://127.0.0.1:{self.port}/{address}" for address in addresses or ("",)]
        return subprocess.run([*script, *asked, *options], timeout=90, check=False, capture_output=True).returncode


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    port = free_port()
    started = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
    init = subprocess.Popen([sys.executable, "-c", started, SERVES, str(port)])
    made = Container(init, port, tmp_path / "missed")
    try:
        eventually(lambda: made.check() == 0, "the part answers")
        yield made
    finally:
        subprocess.run(["kill", "-9", str(made.part)], check=False, capture_output=True) if made.part else None
        init.kill()
        init.wait(90)


def test_what_does_not_answer_three_times_in_a_row_is_killed(container: Container) -> None:
    part = container.part
    subprocess.run(["kill", "-STOP", str(part)], check=True)
    assert [container.check() for _ in range(2)] == [1, 1]
    assert running(part)
    subprocess.run(["kill", "-CONT", str(part)], check=True)
    eventually(lambda: container.check() == 0, "the part answers again")  # and counting begins anew
    subprocess.run(["kill", "-STOP", str(part)], check=True)
    assert [container.check() for _ in range(2)] == [1, 1]
    assert running(part)
    assert container.check() == 1
    eventually(lambda: not running(part), "the part is killed")
    assert container.init.wait(90) == 0  # it ends with what it started


def test_what_is_only_not_ready_or_still_young_is_left_alone(container: Container) -> None:
    assert [container.check("", "not-ready") for _ in range(4)] == [1] * 4
    assert [container.check("no-such-path", old_enough=600) for _ in range(4)] == [1] * 4
    assert running(container.part)
