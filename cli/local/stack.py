"""The whole system on one host: its services, ports and settings. Settings that are set are never overridden."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from cli.local import data_dir, programs
from cli.local.data_dir import Secrets
from cli.local.ports import Ports
from cli.local.services import Services
from cli.local.supervisor import Service
from config import local_stack, values
from config.settings import Settings, load
from config.tree import ENTRIES

MADE_BY = "made by up"
# Settings that all processes of one system share, by their first word; `up.json` holds them.
AGREED = frozenset(
    {
        "redis_url", "broker_url", "storage_url", "storage_shared", "secret_key", "secret_key_previous", "api",
        "public_url", "qubico", "edits", "webhooks", "namespace", "redis_wait_replicas", "flower",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where settings are read from: the environment of this process, or that of a separate system."""

    environ: Mapping[str, str]
    folder: Path  # where the services run, and where `.env` is looked for

    def load(self, made: Mapping[str, str] | None = None) -> Settings:
        return load(self.environ, self.folder / ".env", beneath=[(MADE_BY, made)] if made else [])

    def services(self, made: Mapping[str, str]) -> Services:
        """Makes services that see these variables over our own."""
        made = programs.environment(made, beneath=self.environ, folder=self.folder)
        return Services(environment=made, folder=self.folder)


@dataclass(frozen=True, kw_only=True)
class Stack:
    settings: Settings  # as every service will read them
    services: tuple[Service, ...]
    up: local_stack.Up  # what others on this host may know


def here() -> Environment:
    return Environment(environ=dict(os.environ), folder=Path.cwd())


def build(env: Environment, *, settings: Settings, ports: Ports) -> Stack:
    """`settings` are as they were set; missing ones are made here."""
    ports.take(settings.api.port, setting="RETOUCH_API__PORT", movable=False, host=settings.api.host)
    secrets = data_dir.keep_secrets(settings.data_dir)
    made = {
        "RETOUCH_DATA_DIR": str(settings.data_dir),
        "RETOUCH_SECRET_KEY": secrets.secret_key,
        "RETOUCH_API__ADMIN_KEY": secrets.admin_key,
        "RETOUCH_FLOWER__PASSWORD": secrets.flower_password,
        "RETOUCH_FLOWER__PORT": _movable(ports, settings, "RETOUCH_FLOWER__PORT", settings.flower.port),
    }
    embedded = []
    if settings.redis_url is None:
        port = ports.any()
        made["RETOUCH_REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
        embedded.append(env.services({}).valkey(port, data_dir=settings.data_dir))
    has_sandbox = settings.qubico.base_url is None
    if has_sandbox:
        embedded.append(_sandbox(env, settings, secrets, made, ports))
    whole = env.load(made)
    services = env.services({name: text for name, text in made.items() if name not in settings.explicit})
    rest = (services.api(whole), *services.workers(whole, ports), services.flower(whole))
    return Stack(settings=whole, services=(*embedded, *rest), up=_up(whole, has_sandbox=has_sandbox))


def _movable(ports: Ports, settings: Settings, name: str, preferred: int) -> str:
    return str(ports.take(preferred, setting=name, movable=name not in settings.explicit))


def _sandbox(env: Environment, settings: Settings, secrets: Secrets, made: dict[str, str], ports: Ports) -> Service:
    """On the port of the last start if it is free, because result addresses hold it."""
    name, folder = "RETOUCH_SANDBOX__PORT", settings.data_dir / "sandbox"
    before = None if name in settings.explicit else data_dir.kept_port(folder)
    port = _movable(ports, settings, name, before or settings.sandbox.port)
    data_dir.keep_port(folder, int(port))
    chosen = {name: text for name, text in env.environ.items() if name.startswith("SANDBOX_") and text}
    kept = {"SANDBOX_API_KEY": secrets.sandbox_key, "SANDBOX_DATA_DIR": str(folder)} | chosen
    made |= {
        "RETOUCH_SANDBOX__PORT": port,
        "RETOUCH_QUBICO__BASE_URL": f"http://127.0.0.1:{port}",
        "RETOUCH_QUBICO__API_KEY": kept["SANDBOX_API_KEY"].split(",")[0].strip(),
        "RETOUCH_QUBICO__SANDBOX": "true",
        "RETOUCH_QUBICO__WEBHOOKS": "true",
        "RETOUCH_QUBICO__RESULT_HOSTS": f"127.0.0.1:{port}",
    }
    return env.services(kept).sandbox(int(port))


def _up(settings: Settings, *, has_sandbox: bool) -> local_stack.Up:
    environment = {
        entry.name: value.get_secret_value() if isinstance(value, SecretStr) else values.show(value)
        for entry in ENTRIES
        if entry.path[0] in AGREED and (value := entry.read(settings)) is not None
    }
    return local_stack.Up(
        pid=os.getpid(),
        api_url=f"http://{values.join_host(values.reached_at(settings.api.host), settings.api.port)}",
        api_key=environment["RETOUCH_API__ADMIN_KEY"],
        flower_url=f"http://127.0.0.1:{settings.flower.port}",
        sandbox_url=settings.qubico.base_url if has_sandbox else None,
        environment=environment,
    )
