"""Authenticates callers by a key in `Authorization: Bearer` or `X-API-Key`. Keys are compared in constant time."""

import hmac
import ipaddress
from typing import Annotated, Final

import structlog
from fastapi import Depends, Request
from pydantic import SecretStr

from api.errors import Problem, route_of
from config.settings import Settings
from edits.principal import OPERATOR, Principal

log = structlog.get_logger()

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="retouch"'}

SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The operator's key."},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key; pictures are then sent as bytes, never by a redirect.",
    },
}
"""As in OpenAPI. FastAPI's own classes for them would cost an accept a tenth of its time."""

_OF_PROXIES: Final = frozenset({"forwarded", "via", "x-real-ip"})


async def principal(request: Request) -> Principal:
    """The owner of the sent key. Raises Problem unauthorized."""
    authorization, api_key = request.headers.get("authorization"), request.headers.get("x-api-key")
    if authorization is None and api_key is None:
        raise _unauthorized("Send the key as `Authorization: Bearer KEY` or `X-API-Key: KEY`.")
    sent = api_key or ""
    if authorization is not None:
        scheme, _, sent = authorization.partition(" ")
        sent = sent.strip()
        if scheme.lower() != "bearer":
            raise _unauthorized("Authorization must be `Bearer KEY`.")
    if api_key is not None and api_key != sent:
        raise _unauthorized("Authorization and X-API-Key hold different keys. Send one of them.")
    expected: SecretStr | None = request.app.state.settings.api.admin_key
    if expected is None or not hmac.compare_digest(sent.encode(), expected.get_secret_value().encode()):
        log.info("request.unauthorized", route=route_of(request.scope))
        raise _unauthorized("This key is not valid.")
    return OPERATOR


Caller = Annotated[Principal, Depends(principal)]


def is_local(request: Request, settings: Settings) -> bool:
    """Whether the request came over loopback, to an API on loopback, through no proxy.

    The Host header counts, too: a foreign web page may resolve its own name to this machine.
    """
    sent = request.headers.keys()
    if any(name in _OF_PROXIES or name.startswith("x-forwarded-") for name in sent):
        return False
    client = request.client.host if request.client else ""
    server = request.scope.get("server") or ("", 0)
    asked = [client, server[0], settings.api.host, request.url.hostname or ""]
    return all(_is_loopback(host) for host in asked) and not _is_proxy(client, settings)


def trusted_proxies(settings: Settings) -> list[str]:
    """As exact networks: `10.0.0.1/8` becomes 10.0.0.0/8."""
    named = settings.api.trusted_proxies
    return [name if name == "*" else str(ipaddress.ip_network(name, strict=False)) for name in named]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_proxy(host: str, settings: Settings) -> bool:
    """A trusted proxy that sent no address of its client."""
    address = ipaddress.ip_address(host)
    return any(known == "*" or address in ipaddress.ip_network(known) for known in trusted_proxies(settings))


def _unauthorized(detail: str) -> Problem:
    return Problem("unauthorized", detail, headers=CHALLENGE)
