"""The settings as one frozen tree: each has a name, a type, a default as text, and a meaning."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal, NamedTuple, get_type_hints

from pydantic import BaseModel, ConfigDict, Field

from config import addresses, values
from config.addresses import RedisUrl, StorageUrl, WebUrl
from config.leases import Leases
from config.values import Count, CountOrNone, Duration, HeaderSecret, Port, Rate, SigningKey, Size, Switch

PREFIX = "RETOUCH_"
MASK = "******"


def setting(default: str | None, meaning: str, *, shown: str | None = None) -> Any:
    """A setting. `default` is text, parsed like the text of an operator; `shown` describes a computed default."""
    return Field(default=default, description=meaning, json_schema_extra={"shown": shown or ""})


class Section(BaseModel):
    """A part of the tree."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ApiSettings(Section):
    host: values.Host = setting("127.0.0.1", "address on which the API listens")
    port: Port = setting("8000", "port on which the API listens")
    processes: Count = setting("1", "processes of the API")
    admin_key: HeaderSecret | None = setting(
        None, "the operator's key; may also submit (tenant default)", shown="made by up, else required"
    )
    trusted_proxies: values.Networks = setting("", "IP addresses or networks whose X-Forwarded-* headers are trusted")
    cors_origins: values.Origins = setting("", "web origins that may call the API from a browser")


class QubicoSettings(Section):
    base_url: WebUrl | None = setting(
        None, "base URL of the provider; set with the key", shown="the sandbox in up, demo"
    )
    api_key: HeaderSecret | None = setting(None, "API key of the provider; set with the URL", shown="made by up, demo")
    sandbox: Switch = setting("false", "true if the base URL is a sandbox, where nothing is bought")
    creates_per_second: Rate = setting("5", "limit of creates, for the whole cluster")
    reads_per_second: Rate = setting("50", "limit of status reads, for the whole cluster")
    max_in_flight: Count = setting("20", "limit of unfinished tasks at the provider, for the whole cluster")
    result_hosts: values.ResultHosts = setting(
        "img.theapi.app,storage.theapi.app", "allowed hosts (host or host:port) of result files, also after redirects"
    )
    webhooks: Switch = setting(
        None, "ask the provider to call back", shown="true when RETOUCH_PUBLIC_URL is https, and in up with its sandbox"
    )
    rebuy_failed: CountOrNone = setting("0", "automatic repurchases of a task that failed at the provider")
    unknown_submit: Literal["adopt_or_resubmit", "adopt_or_fail"] = setting(
        "adopt_or_resubmit", "after a lost create answer, if the provider has no such task: create again, or fail"
    )
    unknown_quiet_period: Duration = setting("60s", "how long to look for the task after a lost create answer")


class EditSettings(Section):
    deadline: Duration = setting("15m", "longest wait for the provider after it has accepted the task")
    hot: Duration = setting("2d", "time in Redis after the end of an edit; later reads use its manifest")
    retention: Duration = setting("30d", "lifetime of results and manifests")
    max_queued: Count = setting("1000000", "limit of queued edits; further ones are refused")
    max_queued_per_tenant: Count | None = setting(
        None, "limit of queued edits per tenant; further ones are refused", shown="RETOUCH_EDITS__MAX_QUEUED"
    )
    max_input_bytes: Size = setting("10MiB", "largest input picture")
    max_result_bytes: Size = setting("20MiB", "largest result picture")


class WebhookSettings(Section):
    allow_private: Switch = setting("false", "allow private webhook addresses (development only)")


class WorkerSettings(Section):
    processes: Count = setting(str(os.cpu_count() or 1), "worker processes", shown="cores")


class MetricsSettings(Section):
    port: Port = setting("9464", "workers' /metrics and /healthz")


class SandboxSettings(Section):
    port: Port = setting("8001", "port of the Qubico sandbox")


class FlowerSettings(Section):
    port: Port = setting("5555", "port of Flower, on loopback")
    user: values.User = setting("ops", "user name of Flower")
    password: HeaderSecret | None = setting(None, "Flower's password", shown="made by up, else required")


class LogSettings(Section):
    format: Literal["auto", "console", "json"] = setting("auto", "auto is console at a terminal, else json")
    level: Literal["debug", "info", "warning", "error"] = setting("info", "lowest level that is written")


class ClientSettings(Section):
    url: WebUrl | None = setting(None, "API of the client commands", shown="the up of this data dir")
    api_key: HeaderSecret | None = setting(None, "API key of the client commands", shown="of the up of this data dir")


class Settings(Section):
    """All settings, checked. Only `load` makes them."""

    env: Literal["development", "production"] = setting(
        "development", "production refuses embedded services, missing secrets and development-only settings"
    )
    unknown_settings: Literal["refuse", "warn"] = setting("refuse", "warn accepts unknown names, for rollbacks")
    data_dir: values.Folder = setting("./var", "folder of the embedded services")
    secret_key: SigningKey | None = setting(
        None, "at least 32 bytes; signs file links, cursors and callback tokens", shown="made by up, else required"
    )
    secret_key_previous: SigningKey | None = setting(None, "previous key; its signatures stay valid")
    api: ApiSettings
    public_url: WebUrl = setting(
        None, "public address of this API, used in links and callbacks", shown="http://{host}:{port} of the API"
    )
    redis_url: RedisUrl | None = setting(
        None,
        "records, due-sets, limits: redis://, rediss:// (verified), unix://, sentinel://h1,h2/master/db",
        shown="embedded in up and demo, else the up of this data dir",
    )
    broker_url: RedisUrl | None = setting(
        None,
        "Celery's broker; emptying it loses no edit",
        shown="same server as RETOUCH_REDIS_URL, database + 1 (14 beside 15)",
    )
    storage_url: StorageUrl = setting(
        None, "file:///…, s3://bucket/prefix, gs://… or az://…; keys by AWS_* names", shown="file://{data_dir}/objects"
    )
    storage_shared: Switch = setting("false", "true if all processes share the folder of a file:// storage")
    qubico: QubicoSettings
    edits: EditSettings
    webhooks: WebhookSettings
    worker: WorkerSettings
    metrics: MetricsSettings
    namespace: values.Namespace = setting(
        "retouch", "prefix of Redis keys, channels and attempt tokens; unique among systems that share them"
    )
    sandbox: SandboxSettings
    redis_wait_replicas: CountOrNone = setting("0", "replicas that must confirm each accept and claim")
    redis_max_memory_used: values.Memory = setting(
        "80%", "limit for new edits: a size, or a share of Redis' maxmemory (without maxmemory: of its host's memory)"
    )
    flower: FlowerSettings
    log: LogSettings
    shutdown_grace: Duration = setting("20s", "time to finish work after SIGTERM")
    stall_limit: Duration = setting(
        "30s", "a process whose event loop or chain stands still this long exits with code 70"
    )
    client: ClientSettings

    leases: Leases = Leases()
    explicit: frozenset[str] = frozenset()  # names set in the environment, .env or a file
    sources: Mapping[str, str] = Field(default_factory=dict, repr=False)  # where each value comes from
    warnings: tuple[str, ...] = ()  # unknown names, accepted by RETOUCH_UNKNOWN_SETTINGS=warn
    # Variables of the storage client (AWS_*, GOOGLE_*, AZURE_*); the environment overrides .env. Holds keys.
    storage_environment: Mapping[str, str] = Field(default_factory=dict, repr=False)

    @property
    def livemode(self) -> bool:
        """Whether edits cost money: false if the provider may be the sandbox."""
        base_url = self.qubico.base_url
        if self.qubico.sandbox or base_url is None:
            return False
        return not addresses.looks_like_sandbox(base_url, port=self.sandbox.port)

    def describe(self) -> list[Row]:
        """Every setting and lease with its value; secrets are masked."""
        rows = [Row(e.name, e.show(e.read(self)), self.sources.get(e.name, "default"), e.meaning) for e in ENTRIES]
        for name, field in Leases.model_fields.items():
            value = values.show_duration(getattr(self.leases, name))
            rows.append(Row(f"leases.{name}", value, "fixed", field.description or ""))
        return rows


class Row(NamedTuple):
    name: str
    value: str
    source: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting: its variable, its place in the tree, and its field."""

    name: str
    path: tuple[str, ...]
    type: Any  # with its parsers
    default: str | None
    shown_default: str  # in words, if the default is computed from something else
    meaning: str

    @property
    def secret(self) -> bool:
        return self.type in (SigningKey | None, HeaderSecret | None)

    @property
    def from_file(self) -> bool:
        """Whether NAME_FILE may be set instead."""
        return self.secret or self.type == RedisUrl | None

    def read(self, tree: Settings) -> Any:
        return reduce(getattr, self.path, tree)

    def show(self, value: Any) -> str:
        if value is None or self.secret:
            return MASK if value else ""
        if self.type == Size:
            return values.show_size(value)
        return addresses.mask(values.show(value))


def _walk(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Entry]:
    types = get_type_hints(model, include_extras=True)
    for name, field in model.model_fields.items():
        here = (*path, name)
        if isinstance(types[name], type) and issubclass(types[name], Section):
            yield from _walk(types[name], here)
        elif isinstance(field.json_schema_extra, dict):
            shown = str(field.json_schema_extra["shown"] or field.default or "")
            variable = PREFIX + "__".join(here).upper()
            yield Entry(variable, here, types[name], field.default, shown, field.description or "")


ENTRIES = tuple(_walk(Settings))  # every setting, in the order of the tree
