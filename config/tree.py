"""The settings as one frozen tree: a name, a type, a default as an operator would write it, and a meaning."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.fields import FieldInfo

from config import addresses, values
from config.addresses import RedisUrl, StorageUrl, WebUrl
from config.leases import Leases
from config.values import Count, CountOrNone, Duration, HeaderSecret, Port, Rate, SigningKey, Size, Switch

PREFIX = "RETOUCH_"
MASK = "******"


def setting(default: str | None, meaning: str, *, shown: str | None = None) -> Any:
    """A setting whose default is the text one would write; `shown` describes a default that is worked out."""
    return Field(default=default, description=meaning, json_schema_extra={"shown": shown or ""})


class Section(BaseModel):
    """A part of the tree. Defaults are text, so they pass the same parsers as what an operator writes."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True)


class ApiSettings(Section):
    host: values.Host = setting("127.0.0.1", "address on which the API listens")
    port: Port = setting("8000", "port on which the API listens")
    processes: Count = setting("1", "processes of the API")
    admin_key: HeaderSecret | None = setting(
        None, "the operator's key; may also submit (tenant default)", shown="made by up, else required"
    )
    trusted_proxies: values.Networks = setting("", "addresses or networks whose X-Forwarded-* headers are believed")
    cors_origins: values.Origins = setting("", "web origins that may call the API from a browser")


class QubicoSettings(Section):
    base_url: WebUrl | None = setting(None, "the provider's address; needs the key", shown="the sandbox in up and demo")
    api_key: HeaderSecret | None = setting(None, "the provider's key; needs the address", shown="made by up and demo")
    sandbox: Switch = setting("false", "says that the provider's address is a sandbox: nothing real is bought there")
    creates_per_second: Rate = setting("5", "ceiling for creates, over the whole cluster")
    reads_per_second: Rate = setting("50", "ceiling for status reads, over the whole cluster")
    max_in_flight: Count = setting("20", "tasks pending or processing at the provider, over the whole cluster")
    result_hosts: values.ResultHosts = setting(
        "img.theapi.app,storage.theapi.app", "host or host:port results may be fetched from; redirects obey it too"
    )
    webhooks: Switch = setting(
        None, "ask the provider to call back", shown="true when RETOUCH_PUBLIC_URL is https, and in up with its sandbox"
    )
    rebuy_failed: CountOrNone = setting("0", "how often a task that failed is bought again by itself")
    unknown_submit: Literal["adopt_or_resubmit", "adopt_or_fail"] = setting(
        "adopt_or_resubmit", "what to do when a create's answer was lost and the task is provably not there"
    )
    unknown_quiet_period: Duration = setting("60s", "how long to look for the task of a lost answer")


class EditSettings(Section):
    deadline: Duration = setting("15m", "longest wait for the provider, counted from its acceptance of the task")
    hot: Duration = setting("2d", "ended edits leave Redis after this and are read from their manifest")
    retention: Duration = setting("30d", "results and manifests go after this")
    max_queued: Count = setting("1000000", "edits waiting in all; beyond, new ones are refused")
    max_queued_per_tenant: Count | None = setting(
        None, "edits of one tenant waiting; beyond, its new ones are refused", shown="as many as in all"
    )
    max_input_bytes: Size = setting("10MiB", "largest picture taken in")
    max_result_bytes: Size = setting("20MiB", "largest picture stored")


class WebhookSettings(Section):
    allow_private: Switch = setting("false", "let customers' addresses be private (development)")


class WorkerSettings(Section):
    processes: Count = setting(str(os.cpu_count() or 1), "worker processes", shown="cores")


class MetricsSettings(Section):
    port: Port = setting("9464", "workers' /metrics and /healthz")


class SandboxSettings(Section):
    port: Port = setting("8001", "port of the Qubico sandbox")


class FlowerSettings(Section):
    port: Port = setting("5555", "port of Flower, on loopback")
    user: values.User = setting("ops", "who may open Flower")
    password: HeaderSecret | None = setting(None, "Flower's password", shown="made by up, else required")


class LogSettings(Section):
    format: Literal["auto", "console", "json"] = setting("auto", "auto is console at a terminal, else json")
    level: Literal["debug", "info", "warning", "error"] = setting("info", "least level that is written")


class ClientSettings(Section):
    url: WebUrl | None = setting(None, "the API that edit, status, cancel … talk to", shown="the up of this data dir")
    api_key: HeaderSecret | None = setting(None, "the key they send", shown="of the up of this data dir")


class Settings(Section):
    """Everything that can be set, checked. Made by `load` alone."""

    env: Literal["development", "production"] = setting(
        "development", "production refuses embedded parts, missing secrets and whatever else is for development only"
    )
    unknown_settings: Literal["refuse", "warn"] = setting("refuse", "warn softens unknown names, for roll-backs")
    data_dir: values.Folder = setting("./var", "embedded parts keep their data here")
    secret_key: SigningKey | None = setting(
        None, "at least 32 bytes; signs file links, cursors and callback tokens", shown="made by up, else required"
    )
    secret_key_previous: SigningKey | None = setting(None, "the key before this one; still verifies")
    api: ApiSettings
    public_url: WebUrl = setting(
        None, "how Qubico and receivers of callbacks reach us", shown="http://{host}:{port} of the API"
    )
    redis_url: RedisUrl | None = setting(
        None,
        "records, schedule, limits: redis://, rediss:// (verified), unix://, sentinel://h1,h2/master/db",
        shown="embedded in up and demo, else the up of this data dir",
    )
    broker_url: RedisUrl | None = setting(
        None,
        "Celery's broker; may be emptied without losing an edit",
        shown="same server as RETOUCH_REDIS_URL, database + 1 (14 beside 15)",
    )
    storage_url: StorageUrl = setting(
        None, "file:///…, s3://bucket/prefix, gs://… or az://…; keys by AWS_* names", shown="file://{data_dir}/objects"
    )
    storage_shared: Switch = setting("false", "says that every process sees the same folder behind a file:// storage")
    qubico: QubicoSettings
    edits: EditSettings
    webhooks: WebhookSettings
    worker: WorkerSettings
    metrics: MetricsSettings
    namespace: values.Namespace = setting(
        "retouch", "prefix of keys and channels, first part of attempt tokens; differs between systems that share"
    )
    sandbox: SandboxSettings
    redis_wait_replicas: CountOrNone = setting("0", "replicas that must have an accept or a claim before it counts")
    redis_max_memory_used: values.Memory = setting(
        "80%",
        "beyond, new edits are refused: a size, or a share of Redis' maxmemory, without one of its host's memory",
    )
    flower: FlowerSettings
    log: LogSettings
    shutdown_grace: Duration = setting("20s", "time to end what is in hand at SIGTERM")
    stall_limit: Duration = setting(
        "30s", "a process whose event loop, consumer or chain has not moved for so long ends, to be started again"
    )
    client: ClientSettings

    leases: Leases = Leases()
    explicit: frozenset[str] = frozenset()  # names somebody set, in the environment, .env or a file
    sources: Mapping[str, str] = Field(default_factory=dict, repr=False)  # where each of them was set
    warnings: tuple[str, ...] = ()  # unknown names that RETOUCH_UNKNOWN_SETTINGS=warn let pass
    # What the storage's own client wants to know (AWS_*, GOOGLE_*, AZURE_*), .env beneath the environment; holds keys.
    storage_environment: Mapping[str, str] = Field(default_factory=dict, repr=False)

    @property
    def livemode(self) -> bool:
        """Whether edits cost money: false wherever the sandbox may be what answers."""
        base_url = self.qubico.base_url
        if self.qubico.sandbox or base_url is None:
            return False
        return not addresses.looks_like_sandbox(base_url, port=self.sandbox.port)

    def describe(self) -> list[Row]:
        """Every setting and lease as it stands, for people; secrets masked."""
        rows = [Row(e.name, e.show(e.read(self)), self.sources.get(e.name, "default"), e.meaning) for e in entries()]
        for name, field in Leases.model_fields.items():
            value = values.show_duration(getattr(self.leases, name))
            rows.append(Row(f"leases.{name}", value, "fixed", field.description or ""))
        return rows


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    value: str
    source: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting: its variable, its place in the tree, and its field."""

    name: str
    path: tuple[str, ...]
    field: FieldInfo

    @property
    def meaning(self) -> str:
        return self.field.description or ""

    @property
    def default(self) -> str | None:
        value: str | None = self.field.default
        return value

    @property
    def shown_default(self) -> str:
        """The default in words where it depends on something, else as it would be written."""
        extra = self.field.json_schema_extra
        return str(extra.get("shown") or "" if isinstance(extra, dict) else "") or self.default or ""

    @property
    def annotation(self) -> Any:
        """The whole type of the field, with the parsers that pydantic keeps beside it."""
        metadata = tuple(self.field.metadata)
        return Annotated[(self.field.annotation, *metadata)] if metadata else self.field.annotation

    @property
    def secret(self) -> bool:
        return SecretStr in _parts(self.annotation)

    @property
    def from_file(self) -> bool:
        return self.secret or addresses.HoldsPassword() in _parts(self.annotation)

    def read(self, tree: Settings) -> Any:
        value: Any = tree
        for part in self.path:
            value = getattr(value, part)
        return value

    def show(self, value: Any) -> str:
        if value is None or self.secret:
            return MASK if value else ""
        if Size == self.annotation:
            return values.show_size(value)
        shown = values.show(value)
        return addresses.mask(shown) if self.from_file else shown


def _parts(annotation: Any) -> list[Any]:
    inner = get_args(annotation) if get_origin(annotation) is not None else ()
    return [annotation, *(part for item in inner for part in _parts(item))]


def entries() -> tuple[Entry, ...]:
    """Every setting, in the order of the tree."""
    return _ENTRIES


def _walk(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Entry]:
    for name, field in model.model_fields.items():
        here = (*path, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _walk(field.annotation, here)
        elif field.json_schema_extra is not None:
            yield Entry(PREFIX + "__".join(here).upper(), here, field)


_ENTRIES = tuple(_walk(Settings))
