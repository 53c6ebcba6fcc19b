"""docker-compose.yml and the Dockerfile, read as data: what they start fits the settings, queues and host."""

import os
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.celery import STEPS
from config.settings import SettingsError, load
from config.tree import ENTRIES, PREFIX
from config.values import duration
from tests.compose.journey import POLLERS

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOTS = {"init", "bucket"}
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("retouch:")}
LASTING = {name: service for name, service in SERVICES.items() if name not in ONE_SHOTS}
SECRETS = "/run/retouch"
PRODUCTION = {
    "RETOUCH_ENV": "production",
    "RETOUCH_PUBLIC_URL": "https://retouch.example.com",
    "RETOUCH_QUBICO__BASE_URL": "https://api.piapi.ai",
    "RETOUCH_QUBICO__API_KEY": "a-real-key",
    "RETOUCH_QUBICO__SANDBOX": "false",
    "RETOUCH_QUBICO__RESULT_HOSTS": "img.theapi.app,storage.theapi.app",
}


def make_secrets(folder: Path, **environ: str) -> dict[str, str]:
    """What the one-shot `init` makes, by file."""
    script = ROOT / "scripts" / "make-secrets"
    subprocess.run(["sh", script, folder], check=True, env={"PATH": os.environ["PATH"], **environ})
    return {file.name: file.read_text() for file in folder.iterdir()}


def environment(service: dict[str, Any], secrets: Path, asked: dict[str, str]) -> dict[str, str]:
    """What the processes of a service see: the variables put in, and the folder of the secrets where it is here."""

    def put_in(found: re.Match[str]) -> str:
        return asked.get(found["name"]) or found["default"] or ""

    texts = {name: str(value) for name, value in service["environment"].items()}
    filled = {name: re.sub(r"\$\{(?P<name>\w+):-(?P<default>[^}]*)\}", put_in, text) for name, text in texts.items()}
    return {name: text.replace(SECRETS, str(secrets)) for name, text in filled.items()}


def settings_of(name: str, tmp_path: Path, asked: dict[str, str]):
    make_secrets(tmp_path, **asked)
    in_image = dict(re.findall(r"\b(RETOUCH_\w+)=(\S+)", DOCKERFILE))
    return load(in_image | environment(SERVICES[name], tmp_path, asked), tmp_path / ".env")


class TestSettings:
    def test_every_name_that_it_sets_or_takes_is_a_setting(self):
        known = {entry.name for entry in ENTRIES} | {f"{entry.name}_FILE" for entry in ENTRIES if entry.from_file}
        used = set(re.findall(rf"\b{PREFIX}\w+", f"{TEXT}\n{DOCKERFILE}"))
        assert len(used) > 20
        assert used <= known

    def test_every_variable_it_takes_has_a_default(self):
        assert re.findall(r"\$\{\w+\}", TEXT) == []
        assert "${RETOUCH_API__PORT:-8000}" in TEXT

    @pytest.mark.parametrize("name", ["api", "worker-poll", "flower"])
    def test_as_it_stands_it_runs_on_the_sandbox_and_buys_nothing(self, name, tmp_path):
        settings = settings_of(name, tmp_path, {})
        assert (settings.env, settings.livemode) == ("development", False)
        assert settings.qubico.api_key.get_secret_value() == (tmp_path / "sandbox-key").read_text()
        assert settings.qubico.webhooks is True

    @pytest.mark.parametrize("name", ["api", "worker-poll", "flower"])
    def test_what_its_head_says_of_the_real_provider_passes_the_guards_of_production(self, name, tmp_path):
        head = TEXT.partition("\nname:")[0]
        for setting, value in PRODUCTION.items():
            assert f"{setting}={'…' if setting.endswith('KEY') else value}" in head
        settings = settings_of(name, tmp_path, PRODUCTION)
        assert (settings.env, settings.livemode) == ("production", True)
        assert settings.qubico.api_key.get_secret_value() == "a-real-key"
        assert settings.warnings == ()

    def test_production_without_an_https_address_is_refused(self, tmp_path):
        with pytest.raises(SettingsError, match="RETOUCH_PUBLIC_URL"):
            settings_of("api", tmp_path, PRODUCTION | {"RETOUCH_PUBLIC_URL": ""})

    def test_the_keys_of_the_storage_reach_our_processes_through_the_folder_they_run_in(self, tmp_path):
        found = settings_of("worker-store", tmp_path, {}).storage_environment
        assert found["AWS_SECRET_ACCESS_KEY"] == (tmp_path / "s3-secret").read_text()
        assert found["AWS_ENDPOINT_URL"] == "http://s3:8333"
        for name, service in OURS.items():
            assert name == "init" or service["working_dir"] == SECRETS


class TestSecrets:
    def test_they_are_made_once_and_kept(self, tmp_path):
        first = make_secrets(tmp_path)
        assert make_secrets(tmp_path) == first
        assert len(first["secret-key"]) >= 32
        assert len({first[name] for name in ("secret-key", "admin-key", "flower-password", "sandbox-key")}) == 4

    def test_two_systems_share_none(self, tmp_path):
        folders = [tmp_path / "one", tmp_path / "two"]
        for folder in folders:
            folder.mkdir()
        one, two = map(make_secrets, folders)
        assert one.keys() == two.keys()
        assert [name for name in one if one[name] == two[name]] == []

    def test_nobody_else_may_read_them(self, tmp_path):
        make_secrets(tmp_path)
        assert {file.stat().st_mode & 0o077 for file in tmp_path.iterdir()} == {0}

    def test_the_key_of_the_provider_follows_what_is_asked_for(self, tmp_path):
        assert make_secrets(tmp_path, RETOUCH_QUBICO__API_KEY="real")["qubico-key"] == "real"
        after = make_secrets(tmp_path)
        assert after["qubico-key"] == after["sandbox-key"]

    def test_the_secret_of_the_s3_server_is_its_clients(self, tmp_path):
        made = make_secrets(tmp_path)
        assert made["s3-secret"] in made["s3.json"]
        assert made["s3-secret"] in made[".env"]


class TestWorkers:
    def test_every_queue_has_a_worker_and_every_worker_a_queue(self):
        taken = [service["command"][-1] for name, service in SERVICES.items() if name.startswith("worker-")]
        assert sorted(taken) == sorted(STEPS)

    def test_any_worker_can_be_scaled(self):
        for name, service in SERVICES.items():
            assert "container_name" not in service
            assert not name.startswith("worker-") or "ports" not in service
        assert POLLERS > 1

    def test_they_are_given_longer_to_stop_than_they_take(self, tmp_path):
        grace = settings_of("worker-poll", tmp_path, {}).shutdown_grace
        for name, service in OURS.items():
            if name not in ONE_SHOTS:
                assert duration(service["stop_grace_period"]) > grace + timedelta(seconds=10)


class TestConfinement:
    def test_ports_are_on_loopback_alone(self):
        ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
        assert len(ports) == 2
        assert [port for port in ports if not port.startswith("127.0.0.1:")] == []

    @pytest.mark.parametrize("name", sorted(SERVICES))
    def test_a_service_may_do_only_what_it_must(self, name):
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
        assert "cap_add" not in service
        assert name in OURS or service["user"] == "10001:10001"

    @pytest.mark.parametrize("name", sorted(LASTING))
    def test_what_lasts_is_watched_and_comes_back(self, name):
        service = LASTING[name]
        assert service["healthcheck"]["test"]
        assert service["restart"] == "unless-stopped"
        assert service["deploy"]["resources"]["limits"]["memory"]
        assert service["depends_on"]["init"] == {"condition": "service_completed_successfully"}

    def test_versions_are_pinned(self):
        images = [service["image"] for service in SERVICES.values()]
        images += re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
        assert [image for image in images if ":" not in image or image.endswith(":latest")] == []

    def test_valkey_keeps_what_it_was_told(self):
        options = " ".join(SERVICES["valkey"]["command"])
        for option in ("--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction"):
            assert option in options


class TestImage:
    def test_it_is_built_by_any_engine(self):
        for word in ("# syntax", "--mount", "--link"):
            assert word not in DOCKERFILE

    def test_it_runs_as_nobody_special_in_production(self):
        assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
        assert "RETOUCH_ENV=production" in DOCKERFILE
        assert "--require-hashes" in DOCKERFILE

    def test_only_what_runs_goes_into_it(self):
        lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        taken = {line[1:] for line in lines if line.startswith("!")}
        assert "*" in lines
        assert {path for path in taken if not (ROOT / path).exists()} == set()
        packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
        assert packages <= taken
        assert ".env" not in taken
        parts = yaml.safe_dump(OURS)  # without the comments
        for path in set(re.findall(r"/app/([\w./-]+)", parts)):
            assert any(path == name or path.startswith(f"{name}/") for name in taken), path

    @pytest.mark.skipif(shutil.which("docker") is None, reason="docker is not installed")
    def test_compose_itself_takes_the_file(self):
        command = ["docker", "compose", "-f", ROOT / "docker-compose.yml", "config", "--quiet"]
        if subprocess.run([*command[:2], "version"], capture_output=True, check=False).returncode:
            pytest.skip("docker has no compose")
        assert subprocess.run(command, capture_output=True, text=True, check=False).stderr == ""
