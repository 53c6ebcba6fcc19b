"""Rules between settings: computed defaults, contradictions, and what production refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from config import addresses
from config.leases import Leases
from config.values import join_host, reached_at

# Parsed values by name, None if not set. Names whose values could not be parsed are missing, and no rule reports them.
Values = Mapping[str, Any]
Problem = tuple[str, str]  # the name of a setting, and what is wrong with it

# An idle chain blocks its thread for up to 15 s.
LEAST_STALL_LIMIT = timedelta(seconds=25)


def worked_out(values: Values) -> dict[str, Any]:
    """Defaults that depend on other settings; None without those."""
    host, port = values.get("RETOUCH_API__HOST"), values.get("RETOUCH_API__PORT")
    public_url = values.get("RETOUCH_PUBLIC_URL") or (host and port and f"http://{join_host(reached_at(host), port)}")
    redis_url, data_dir = values.get("RETOUCH_REDIS_URL"), values.get("RETOUCH_DATA_DIR")
    return {
        "RETOUCH_PUBLIC_URL": public_url,
        "RETOUCH_BROKER_URL": redis_url and addresses.broker_beside(redis_url),
        "RETOUCH_STORAGE_URL": data_dir and (data_dir / "objects").as_uri(),
        "RETOUCH_QUBICO__WEBHOOKS": public_url and public_url.startswith("https://"),
    }


def problems(values: Values, *, production_guards: bool) -> Iterator[Problem]:
    yield from _contradictions(values)
    if production_guards and values.get("RETOUCH_ENV") == "production":
        yield from _missing_in_production(values)
        yield from _unfit_for_production(values)


def _contradictions(values: Values) -> Iterator[Problem]:
    pair = ("RETOUCH_QUBICO__BASE_URL", "RETOUCH_QUBICO__API_KEY")
    for name, other in (pair, pair[::-1]):
        if {name, other} <= values.keys() and values[name] is None and values[other] is not None:
            yield name, f"{other} is set, but this is not; set both or neither"
    redis_url, broker_url = values.get("RETOUCH_REDIS_URL"), values.get("RETOUCH_BROKER_URL")
    if redis_url and broker_url and addresses.parse_redis(redis_url).same_database(addresses.parse_redis(broker_url)):
        yield "RETOUCH_BROKER_URL", "same database as RETOUCH_REDIS_URL; use another one"
    if broker_url and not redis_url and "RETOUCH_REDIS_URL" in values:
        yield "RETOUCH_BROKER_URL", "set without RETOUCH_REDIS_URL; set that too, or neither"
    hot, retention = values.get("RETOUCH_EDITS__HOT"), values.get("RETOUCH_EDITS__RETENTION")
    if hot and retention and hot > retention:
        yield "RETOUCH_EDITS__HOT", "longer than RETOUCH_EDITS__RETENTION; set it to the same or less"
    if quiet := values.get("RETOUCH_QUBICO__UNKNOWN_QUIET_PERIOD"):
        yield from Leases().contradictions("RETOUCH_QUBICO__UNKNOWN_QUIET_PERIOD", quiet)


def _missing_in_production(values: Values) -> Iterator[Problem]:
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


def _unfit_for_production(values: Values) -> Iterator[Problem]:
    storage_url = values.get("RETOUCH_STORAGE_URL") or ""
    if storage_url.startswith("file:") and values.get("RETOUCH_STORAGE_SHARED") is False:
        shared = "RETOUCH_STORAGE_SHARED=true if all processes share it"
        yield (
            "RETOUCH_STORAGE_URL",
            f"a local folder is refused in production; use s3://, gs:// or az://, or set {shared}",
        )
    if values.get("RETOUCH_WEBHOOKS__ALLOW_PRIVATE"):
        yield "RETOUCH_WEBHOOKS__ALLOW_PRIVATE", "is refused in production; remove it"
    stall_limit = values.get("RETOUCH_STALL_LIMIT")
    if stall_limit and stall_limit < LEAST_STALL_LIMIT:
        least = LEAST_STALL_LIMIT.total_seconds()
        yield "RETOUCH_STALL_LIMIT", f"must be at least {least:g}s: a step may block nearly that long"
    public_url = values.get("RETOUCH_PUBLIC_URL") or "https:"
    if not public_url.startswith("https:"):
        yield "RETOUCH_PUBLIC_URL", f"must be an https:// address in production, not {public_url}"
    base_url, port = values.get("RETOUCH_QUBICO__BASE_URL"), values.get("RETOUCH_SANDBOX__PORT")
    declared = values.get("RETOUCH_QUBICO__SANDBOX", True)
    if base_url and port and not declared and addresses.looks_like_sandbox(base_url, port=port):
        problem = f"{base_url} is a sandbox; set the base URL of the provider, or RETOUCH_QUBICO__SANDBOX=true"
        yield "RETOUCH_QUBICO__BASE_URL", problem
