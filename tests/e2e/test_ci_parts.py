"""scripts/ci-parts: installs packages before the tests in CI, and nowhere else."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


class TestPartsOfCi:
    """`apt-get`, `id` and `service` are stand-ins that write down how they were called: the real ones need root."""

    def run(self, tmp_path, *, root=True, installs=True, **environ):
        tools = tmp_path / "tools"
        tools.mkdir()
        called = tmp_path / "called"
        called.touch()
        bodies = {
            "apt-get": f'echo "apt-get $*" >> "{called}"; exit {0 if installs else 100}',
            "service": f'echo "service $*" >> "{called}"; exit 3',
            "id": f"echo {0 if root else 1000}",
            **environ.pop("tools", {}),
        }
        for name, body in bodies.items():
            (tools / name).write_text(f"#!/bin/sh\n{body}\n")
            (tools / name).chmod(0o755)
        ended = subprocess.run(
            ["/bin/sh", ROOT / "scripts" / "ci-parts"],
            env={"PATH": str(tools), **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, ended.stderr, called.read_text().splitlines()

    def test_nothing_is_installed_outside_of_ci(self, tmp_path):
        assert self.run(tmp_path) == (0, "", [])

    def test_nothing_is_installed_twice(self, tmp_path):
        there = {"redis-server": "exit 0", "chromium": "exit 0", "faketime": "exit 0"}
        assert self.run(tmp_path, CI="true", tools=there) == (0, "", [])

    def test_what_is_missing_is_installed_and_the_server_it_starts_is_stopped(self, tmp_path):
        code, told, called = self.run(tmp_path, CI="true")
        assert (code, told) == (0, "ci-parts: installing redis-server chromium faketime\n")
        assert called == [
            "service redis-server status",
            "apt-get -qq -o DPkg::Lock::Timeout=300 update",
            "apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends redis-server chromium faketime",
            "service redis-server stop",
        ]

    def test_a_server_that_ran_before_is_left_alone(self, tmp_path):
        code, _, called = self.run(tmp_path, CI="true", tools={"service": "exit 0"})
        assert code == 0
        assert [call.split()[0] for call in called] == ["apt-get", "apt-get"]

    def test_a_failed_installation_stops_the_run(self, tmp_path):
        code, told, _ = self.run(tmp_path, CI="true", installs=False)
        assert code == 1
        assert "apt-get could not install redis-server chromium faketime" in told

    def test_without_root_it_says_so_and_goes_on(self, tmp_path):
        code, told, called = self.run(tmp_path, root=False, CI="true")
        assert (code, called) == (0, [])
        assert "install them in the image" in told
