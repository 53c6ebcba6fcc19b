"""Rules between settings: computed defaults, contradictions, and what production refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from config import addresses
from config.tree import ENTRIES, Settings
from config.values import join_host, reached_at, show, show_duration

Problem = tuple[str, str]  # the name of a setting, and what is wrong with it

# An idle chain blocks its thread for up to 15 s.
LEAST_STALL_LIMIT = timedelta(seconds=25)
REQUIRED_IN_PRODUCTION = {
    "RETOUCH_REDIS_URL": "production has no embedded Redis; set the URL of a Redis server",
    "RETOUCH_SECRET_KEY": "required in production; set at least 32 random bytes: openssl rand -hex 32",
    "RETOUCH_API__ADMIN_KEY": "required in production; set a random key: openssl rand -hex 32",
    "RETOUCH_QUBICO__BASE_URL": "production has no embedded sandbox; set the base URL of the provider",
    "RETOUCH_QUBICO__API_KEY": "required in production; set the API key of the provider",
    "RETOUCH_FLOWER__PASSWORD": "required in production; set Flower's password",
}


def worked_out(settings: Settings) -> dict[str, str]:
    """Texts of the defaults that depend on other settings."""
    public_url = settings.public_url or f"http://{join_host(reached_at(settings.api.host), settings.api.port)}"
    defaults = {
        "RETOUCH_PUBLIC_URL": public_url,
        "RETOUCH_STORAGE_URL": (settings.data_dir / "objects").as_uri(),
        "RETOUCH_QUBICO__WEBHOOKS": show(public_url.startswith("https://")),
    }
    if settings.redis_url:
        defaults["RETOUCH_BROKER_URL"] = addresses.broker_beside(settings.redis_url)
    return defaults


def problems(settings: Settings, *, production_guards: bool) -> Iterator[Problem]:
    yield from _contradictions(settings)
    if production_guards and settings.env == "production":
        for entry in ENTRIES:
            if entry.name in REQUIRED_IN_PRODUCTION and entry.read(settings) is None:
                yield entry.name, REQUIRED_IN_PRODUCTION[entry.name]
        yield from _unfit_for_production(settings)


def _contradictions(settings: Settings) -> Iterator[Problem]:
    qubico, edits, submit_lease = settings.qubico, settings.edits, settings.leases.submit_lease
    if qubico.api_key and not qubico.base_url:
        yield "RETOUCH_QUBICO__BASE_URL", "RETOUCH_QUBICO__API_KEY is set, but this is not; set both or neither"
    if qubico.base_url and not qubico.api_key:
        yield "RETOUCH_QUBICO__API_KEY", "RETOUCH_QUBICO__BASE_URL is set, but this is not; set both or neither"
    if settings.broker_url and not settings.redis_url:
        yield "RETOUCH_BROKER_URL", "set without RETOUCH_REDIS_URL; set that too, or neither"
    if settings.broker_url and settings.redis_url and addresses.same_database(settings.redis_url, settings.broker_url):
        yield "RETOUCH_BROKER_URL", "same database as RETOUCH_REDIS_URL; use another one"
    if edits.hot > edits.retention:
        yield "RETOUCH_EDITS__HOT", "longer than RETOUCH_EDITS__RETENTION; set it to the same or less"
    if qubico.unknown_quiet_period <= submit_lease:
        least = f"must be longer than the lease of a submit, {show_duration(submit_lease)}"
        yield "RETOUCH_QUBICO__UNKNOWN_QUIET_PERIOD", f"{least}, or a create in flight could be taken for lost"


def _unfit_for_production(settings: Settings) -> Iterator[Problem]:
    if settings.storage_url.startswith("file:") and not settings.storage_shared:
        remedy = "use s3://, gs:// or az://, or set RETOUCH_STORAGE_SHARED=true if all processes share it"
        yield "RETOUCH_STORAGE_URL", f"a local folder is refused in production; {remedy}"
    if settings.webhooks.allow_private:
        yield "RETOUCH_WEBHOOKS__ALLOW_PRIVATE", "is refused in production; remove it"
    if settings.stall_limit < LEAST_STALL_LIMIT:
        least = show_duration(LEAST_STALL_LIMIT)
        yield "RETOUCH_STALL_LIMIT", f"must be at least {least}: a step may block nearly that long"
    if not settings.public_url.startswith("https:"):
        yield "RETOUCH_PUBLIC_URL", f"must be an https:// address in production, not {settings.public_url}"
    if settings.qubico.base_url and not settings.qubico.sandbox and not settings.livemode:
        remedy = "set the base URL of the provider, or RETOUCH_QUBICO__SANDBOX=true"
        yield "RETOUCH_QUBICO__BASE_URL", f"{settings.qubico.base_url} is a sandbox; {remedy}"
