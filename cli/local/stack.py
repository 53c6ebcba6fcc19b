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
    """A system that is ready to be started."""

    settings: Settings  # as every service will read them
    services: tuple[Service, ...]
    up: local_stack.Up  # what others on this host may know


def here() -> Environment:
    return Environment(environ=dict(os.environ), folder=Path.cwd())


def build(env: Environment, *, settings: Settings, secrets: Secrets, ports: Ports) -> Stack:
    """`settings` are as they were set; missing ones are made here."""
    made = _made(settings, secrets, ports)
    embedded = []
    if settings.redis_url is None:
        embedded.append(_valkey(env, settings, made, ports))
    if settings.qubico.base_url is None:
        embedded.append(_sandbox(env, settings, secrets, made, ports))
    whole = env.load(made)
    services = env.services({name: text for name, text in made.items() if name not in settings.explicit})
    rest = (services.api(whole), *services.workers(whole, ports), services.flower(whole))
    has_sandbox = settings.qubico.base_url is None
    return Stack(settings=whole, services=(*embedded, *rest), up=_up(whole, has_sandbox=has_sandbox))


def own_url(settings: Settings) -> str:
    host = values.reached_at(settings.api.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.api.port}"


def _made(settings: Settings, secrets: Secrets, ports: Ports) -> dict[str, str]:
    ports.take(settings.api.port, setting="RETOUCH_API__PORT", movable=False, host=settings.api.host)
    return {
        "RETOUCH_DATA_DIR": str(settings.data_dir),
        "RETOUCH_SECRET_KEY": secrets.secret_key,
        "RETOUCH_API__ADMIN_KEY": secrets.admin_key,
        "RETOUCH_FLOWER__PASSWORD": secrets.flower_password,
        "RETOUCH_FLOWER__PORT": _movable(ports, settings, "RETOUCH_FLOWER__PORT", settings.flower.port),
    }


def _movable(ports: Ports, settings: Settings, name: str, preferred: int) -> str:
    return str(ports.take(preferred, setting=name, movable=name not in settings.explicit))


def _valkey(env: Environment, settings: Settings, made: dict[str, str], ports: Ports) -> Service:
    port = ports.any()
    made["RETOUCH_REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
    return env.services({}).valkey(port, data_dir=settings.data_dir)


def _sandbox(env: Environment, settings: Settings, secrets: Secrets, made: dict[str, str], ports: Ports) -> Service:
    port = _sandbox_port(ports, settings)
    chosen = {name: text for name, text in env.environ.items() if name.startswith("SANDBOX_") and text}
    kept = {"SANDBOX_API_KEY": secrets.sandbox_key, "SANDBOX_DATA_DIR": str(settings.data_dir / "sandbox")} | chosen
    made |= {
        "RETOUCH_SANDBOX__PORT": port,
        "RETOUCH_QUBICO__BASE_URL": f"http://127.0.0.1:{port}",
        "RETOUCH_QUBICO__API_KEY": kept["SANDBOX_API_KEY"].split(",")[0].strip(),
        "RETOUCH_QUBICO__SANDBOX": "true",
        "RETOUCH_QUBICO__WEBHOOKS": "true",
        "RETOUCH_QUBICO__RESULT_HOSTS": f"127.0.0.1:{port}",
    }
    return env.services(kept).sandbox(int(port))


def _sandbox_port(ports: Ports, settings: Settings) -> str:
    """The port of the last start if it is free, because result addresses hold it."""
    name, folder = "RETOUCH_SANDBOX__PORT", settings.data_dir / "sandbox"
    before = data_dir.kept_port(folder)
    preferred = settings.sandbox.port if before is None or name in settings.explicit else before
    port = _movable(ports, settings, name, preferred)
    data_dir.keep_port(folder, int(port))
    return port


def _up(settings: Settings, *, has_sandbox: bool) -> local_stack.Up:
    key = settings.api.admin_key
    agreed = {entry.name: entry.read(settings) for entry in ENTRIES if entry.path[0] in AGREED}
    return local_stack.Up(
        pid=os.getpid(),
        api_url=own_url(settings),
        api_key=key.get_secret_value() if key else "",
        flower_url=f"http://127.0.0.1:{settings.flower.port}",
        sandbox_url=settings.qubico.base_url if has_sandbox else None,
        environment={name: _written(value) for name, value in agreed.items() if value is not None},
    )


def _written(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else values.show(value)
