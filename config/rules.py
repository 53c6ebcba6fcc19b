"""Rules between settings: defaults that follow from others, pairs that belong together, and what production refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from config import addresses
from config.errors import Fault
from config.leases import Leases
from config.values import join_host, reached_at

# The values that could be parsed, by name. A name that is missing here had a fault of its own, so no rule speaks of it.
Values = Mapping[str, Any]

# An idle chain sleeps for 15 s, and while all threads of a worker do, nothing new reaches it.
LEAST_STALL_LIMIT = timedelta(seconds=25)
WORKED_OUT = ("RETOUCH_PUBLIC_URL", "RETOUCH_BROKER_URL", "RETOUCH_STORAGE_URL", "RETOUCH_QUBICO__WEBHOOKS")


def worked_out(values: dict[str, Any]) -> None:
    """Fill in the defaults that depend on other settings."""
    if {"RETOUCH_API__HOST", "RETOUCH_API__PORT"} <= values.keys():
        _default(values, "RETOUCH_PUBLIC_URL", _own_url(values["RETOUCH_API__HOST"], values["RETOUCH_API__PORT"]))
    if values.get("RETOUCH_REDIS_URL"):
        _default(values, "RETOUCH_BROKER_URL", addresses.broker_beside(values["RETOUCH_REDIS_URL"]))
    if "RETOUCH_DATA_DIR" in values:
        data_dir: Path = values["RETOUCH_DATA_DIR"]
        _default(values, "RETOUCH_STORAGE_URL", (data_dir / "objects").as_uri())
    if values.get("RETOUCH_PUBLIC_URL"):
        _default(values, "RETOUCH_QUBICO__WEBHOOKS", values["RETOUCH_PUBLIC_URL"].startswith("https://"))


def faults(values: Values, sources: Mapping[str, str]) -> Iterator[Fault]:
    for name, problem in _problems(values):
        yield Fault(name, sources.get(name, "not set" if values.get(name) is None else "default"), problem)


def production_faults(values: Values, sources: Mapping[str, str]) -> Iterator[Fault]:
    if values.get("RETOUCH_ENV") != "production":
        return
    for name, problem in (*_missing_in_production(values), *_unfit_for_production(values)):
        yield Fault(name, sources.get(name, "not set" if values.get(name) is None else "default"), problem)


def _default(values: dict[str, Any], name: str, value: Any) -> None:
    if name in values and values[name] is None:
        values[name] = value


def _own_url(host: str, port: int) -> str:
    # A wildcard is where we listen, not where anybody reaches us.
    return f"http://{join_host(reached_at(host), port)}"


def _problems(values: Values) -> Iterator[tuple[str, str]]:
    pair = ("RETOUCH_QUBICO__BASE_URL", "RETOUCH_QUBICO__API_KEY")
    for name, other in (pair, pair[::-1]):
        if {name, other} <= values.keys() and values[name] is None and values[other] is not None:
            yield name, f"{other} is set, but this is not; set both or neither"
    redis_url, broker_url = values.get("RETOUCH_REDIS_URL"), values.get("RETOUCH_BROKER_URL")
    if redis_url and broker_url and addresses.parse_redis(redis_url).same_database(addresses.parse_redis(broker_url)):
        problem = "same database as RETOUCH_REDIS_URL; use another one"
        yield "RETOUCH_BROKER_URL", problem
    if broker_url and not redis_url and "RETOUCH_REDIS_URL" in values:
        yield "RETOUCH_BROKER_URL", "set without RETOUCH_REDIS_URL; set that too, or neither"
    hot, retention = values.get("RETOUCH_EDITS__HOT"), values.get("RETOUCH_EDITS__RETENTION")
    if hot and retention and hot > retention:
        yield "RETOUCH_EDITS__HOT", "longer than RETOUCH_EDITS__RETENTION; set it to the same or less"
    quiet = values.get("RETOUCH_QUBICO__UNKNOWN_QUIET_PERIOD")
    if quiet:
        for name, problem in Leases().contradictions(unknown_quiet_period=quiet):
            is_setting = name == "unknown_quiet_period"
            yield "RETOUCH_QUBICO__UNKNOWN_QUIET_PERIOD" if is_setting else f"leases.{name}", problem


def _missing_in_production(values: Values) -> Iterator[tuple[str, str]]:
    needed = {
        "RETOUCH_REDIS_URL": "production has no embedded Redis; set the URL of a Redis server",
        "RETOUCH_SECRET_KEY": "required in production; set at least 32 random bytes: openssl rand -hex 32",
        "RETOUCH_API__ADMIN_KEY": "required in production; set a random key: openssl rand -hex 32",
        "RETOUCH_QUBICO__BASE_URL": "production has no embedded sandbox; set the base URL of the provider",
        "RETOUCH_QUBICO__API_KEY": "required in production; set the API key of the provider",
        "RETOUCH_FLOWER__PASSWORD": "required in production; set Flower's password",
    }
    for name, problem in needed.items():
        if name in values and values[name] is None:
            yield name, problem


def _unfit_for_production(values: Values) -> Iterator[tuple[str, str]]:
    storage_url = values.get("RETOUCH_STORAGE_URL") or ""
    if storage_url.startswith("file:") and values.get("RETOUCH_STORAGE_SHARED") is False:
        yield (
            "RETOUCH_STORAGE_URL",
            (
                "a local folder is refused in production; use s3://, gs:// or az://, "
                "or set RETOUCH_STORAGE_SHARED=true if all processes share it"
            ),
        )
    if values.get("RETOUCH_WEBHOOKS__ALLOW_PRIVATE"):
        yield "RETOUCH_WEBHOOKS__ALLOW_PRIVATE", "is refused in production; remove it"
    stall_limit = values.get("RETOUCH_STALL_LIMIT")
    if stall_limit and stall_limit < LEAST_STALL_LIMIT:
        least = f"{LEAST_STALL_LIMIT.total_seconds():g}s"
        yield "RETOUCH_STALL_LIMIT", f"must be at least {least}: a step may block nearly that long"
    public_url = values.get("RETOUCH_PUBLIC_URL") or "https:"
    if not public_url.startswith("https:"):
        yield "RETOUCH_PUBLIC_URL", f"must be an https:// address in production, not {public_url}"
    base_url, port = values.get("RETOUCH_QUBICO__BASE_URL"), values.get("RETOUCH_SANDBOX__PORT")
    said = values.get("RETOUCH_QUBICO__SANDBOX", True)
    if base_url and port and not said and addresses.looks_like_sandbox(base_url, port=port):
        problem = f"{base_url} is a sandbox; set the base URL of the provider, or RETOUCH_QUBICO__SANDBOX=true"
        yield "RETOUCH_QUBICO__BASE_URL", problem
