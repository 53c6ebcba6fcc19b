"""Checks over plain HTTP: this host's clock against others, and whether the public address reaches the API."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from cli.doctor.results import ANSWER_WITHIN, Result, fail, ok, warn
from config import addresses
from config.settings import Settings
from edits.db import checks
from edits.errors import Unavailable
from edits.network.addresses import is_private
from qubico.transport import USER_AGENT

CLOCK_TOLERANCE = 2.0  # seconds: the provider's Date counts whole ones
CLOCK_REFUSED = 60.0  # seconds from which signatures begin to be refused


async def clock(settings: Settings, state: checks.RedisState | Unavailable) -> list[Result]:
    """This host against Redis, and against the `Date` of the provider."""
    offsets = {} if isinstance(state, Unavailable) else {"Redis": state.ahead}
    if settings.qubico.base_url:
        ahead = await _date_of(settings.qubico.base_url)
        offsets |= {} if ahead is None else {"the provider": ahead}
    if not offsets:
        return [warn("clock", "not known: neither Redis nor the provider responds")]
    named = (f"{abs(away):.1f} s {'behind' if away > 0 else 'ahead of'} {name}" for name, away in offsets.items())
    said = f"this host is {', '.join(named)}"
    worst = max(abs(seconds) for seconds in offsets.values())
    do = "set the clocks by NTP: signed links and time limits depend on them"
    if worst > CLOCK_REFUSED:
        return [fail("clock", said, do)]
    return [warn("clock", said, do) if worst > CLOCK_TOLERANCE else ok("clock", said)]


async def _date_of(url: str) -> float | None:
    """Seconds by which the server's clock is ahead; no key is sent."""
    try:
        async with _http(url) as http:
            began = datetime.now(UTC)
            answer = await http.head(url)
            half_way = began + (datetime.now(UTC) - began) / 2
        told = parsedate_to_datetime(answer.headers.get("Date", ""))
    except (httpx.HTTPError, ValueError):
        return None
    # Dates are cut to whole seconds, so what is less than one off is right.
    behind = (half_way - told).total_seconds()
    return -max(behind - 1, 0.0) if behind > 0 else -behind


async def public_url(settings: Settings) -> list[Result]:
    """As seen from this host."""
    return [*_reach(settings), await _answers(settings.public_url)]


def _reach(settings: Settings) -> Iterator[Result]:
    url, provider_url = settings.public_url, settings.qubico.base_url or ""
    outside = bool(provider_url) and not is_private(provider_url)
    if outside and is_private(url):
        lost = "callbacks, so its tasks are only polled"
        if settings.storage_url.startswith("file:"):
            lost += ", and uploads, so they are refused (input_unreachable)"
        do = "set RETOUCH_PUBLIC_URL to the public address of this API"
        yield warn("public_url", f"{url} is private: the provider cannot reach it for {lost}", do)
    elif outside and not url.startswith("https:"):
        yield warn("public_url", f"{url} is not https: callbacks and links are not encrypted", "put TLS before it")


async def _answers(url: str) -> Result:
    asked = f"{url}/healthz"
    try:
        async with _http(url) as http:
            answer = await http.get(asked)
    except httpx.HTTPError as exc:
        said = f"{asked}: {str(exc) or type(exc).__name__}"
        if is_private(url):
            return fail("public_url", said, "start the API, or set RETOUCH_PUBLIC_URL to its address")
        do = "check it from outside; start the API, check DNS and TLS"
        return warn("public_url", f"{said} (as seen from here)", do)
    if answer.status_code == 200 and '"ok"' in answer.text:
        return ok("public_url", f"{asked} answers")
    said = f"{asked} returns {answer.status_code}, which is not Retouch"
    return fail("public_url", said, "another service responds: check the proxy and RETOUCH_PUBLIC_URL")


def _http(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        timeout=ANSWER_WITHIN, headers={"User-Agent": USER_AGENT}, trust_env=not addresses.is_loopback(url)
    )
