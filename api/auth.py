"""Who asks: the operator, by a key in `Authorization: Bearer` or in `X-API-Key`. Keys are compared in constant time."""

import hmac
import ipaddress
from enum import StrEnum

from fastapi import Request
from pydantic import SecretStr

from api.errors import Problem
from config.settings import Settings

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="retouch"'}

SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The operator's key."},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key; pictures then come as bytes, never by a redirect.",
    },
}
"""As in OpenAPI. FastAPI's own classes for them would cost an accept a tenth of its time."""


class KeySentIn(StrEnum):
    AUTHORIZATION = "authorization"  # most clients drop this header when a redirect leads to another host
    X_API_KEY = "x-api-key"  # this one they keep, so no redirect may be answered


def check(request: Request) -> KeySentIn:
    """Raises Problem unauthorized."""
    authorization, api_key = request.headers.get("authorization"), request.headers.get("x-api-key")
    if authorization is None and api_key is None:
        raise _unauthorized("Send the key as `Authorization: Bearer KEY` or `X-API-Key: KEY`.")
    if authorization is None:
        sent, where = api_key or "", KeySentIn.X_API_KEY
    else:
        scheme, _, sent = authorization.partition(" ")
        sent, where = sent.strip(), KeySentIn.AUTHORIZATION if api_key is None else KeySentIn.X_API_KEY
        if scheme.lower() != "bearer":
            raise _unauthorized("Authorization must be `Bearer KEY`.")
    if api_key is not None and api_key != sent:
        raise _unauthorized("Authorization and X-API-Key hold different keys; send one.")
    if not _is_key(sent, request.app.state.settings):
        raise _unauthorized("This key is not valid.")
    return where


def is_local(request: Request, settings: Settings) -> bool:
    """Whether only this machine can have sent it: asked over loopback, of an API on loopback, with no proxy between."""
    forwarded = {"forwarded", "x-forwarded-for", "x-real-ip", "via"} & set(request.headers.keys())
    server = request.scope.get("server") or ("", 0)
    asked = [request.client.host if request.client else "", server[0], settings.api.host]
    return not forwarded and all(_is_loopback(host) for host in asked)


def _is_key(sent: str, settings: Settings) -> bool:
    expected: SecretStr | None = settings.api.admin_key
    return expected is not None and hmac.compare_digest(sent.encode(), expected.get_secret_value().encode())


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unauthorized(detail: str) -> Problem:
    return Problem("unauthorized", detail, headers=CHALLENGE)
