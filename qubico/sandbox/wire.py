"""The provider's envelope, its refusals, and the pages of its edge. On purpose no code is shared with our client."""

import json
from typing import Any

from starlette.responses import Response

HTML_PAGE = """<!DOCTYPE html>
<html lang="en-US"><head><title>{status} {reason}</title></head>
<body><h1>{status} {reason}</h1><p>cloudflare</p></body></html>
"""
REASONS = {200: "File expired", 404: "Not Found", 502: "Bad Gateway", 503: "Service Unavailable"}


class Answer(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


class Refused(Exception):
    """The call gets this answer instead of the route's own."""

    def __init__(self, answer: Response, text: str = "") -> None:
        super().__init__(text)
        self.answer = answer


class BadRequest(Refused):
    """The call is answered 400 with this text."""

    def __init__(self, text: str) -> None:
        super().__init__(error(400, text), text)


def success(data: Any, *, status: int = 200, code: int = 200) -> Answer:
    return Answer({"code": code, "data": data, "message": "success"}, status)


def error(status: int, message: str) -> Answer:
    return Answer({"code": status, "data": None, "message": message}, status)


def throttled() -> Answer:
    return error(429, "too many requests")


def bad_key() -> Answer:
    return Answer({"code": 401, "message": "failed to verify api key"}, 401)


def html(status: int) -> Response:
    return Response(HTML_PAGE.format(status=status, reason=REASONS[status]), status, media_type="text/html")
