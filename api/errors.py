"""Answers every error as `application/problem+json` (RFC 9457), with a code from `CODES`."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from edits import errors
from edits.storage.backends import ObjectMissing, StorageError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
SHOWN = 100  # most faults listed in one answer


class FieldProblem(BaseModel, frozen=True):
    pointer: str = Field(description="JSON pointer into the body, or `query:name`, `header:name`.", examples=["/width"])
    code: str
    message: str


class ProblemView(BaseModel, frozen=True):
    """RFC 9457. Decide by `code`. `retryable`: the same request may succeed later."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    retryable: bool
    errors: list[FieldProblem]


@dataclass(frozen=True, slots=True)
class Kind:
    status: int
    title: str
    retryable: bool = False
    retry_after: int | None = None


CODES: dict[str, Kind] = {
    "malformed": Kind(400, "The request cannot be read"),
    "bad_cursor": Kind(400, "The cursor is not valid"),
    "unauthorized": Kind(401, "A valid key is required"),
    "not_found": Kind(404, "Not found"),
    "method_not_allowed": Kind(405, "Method not supported"),
    "idempotency_in_progress": Kind(409, "A request with this key is in progress", retryable=True, retry_after=1),
    "not_finished": Kind(409, "The edit has not ended yet", retryable=True),
    "not_succeeded": Kind(409, "The edit has no result"),
    "too_late": Kind(409, "The edit can no longer be changed"),
    "gone": Kind(410, "Deleted or expired"),
    "body_too_large": Kind(413, "The body is too large"),
    "image_too_large": Kind(413, "The picture is too large"),
    "unsupported_type": Kind(415, "This content type is not supported"),
    "range_not_satisfiable": Kind(416, "The range lies outside the picture"),
    "invalid": Kind(422, "The request is not valid"),
    "idempotency_key_reused": Kind(422, "The key was used for another request"),
    "image_unreadable": Kind(422, "The picture cannot be read"),
    "input_unreachable": Kind(422, "The picture cannot be fetched"),
    "headers_too_large": Kind(431, "The headers are too large"),
    "tenant_queue_full": Kind(429, "The queue of this tenant is full", retryable=True, retry_after=10),
    "queue_full": Kind(503, "The queue is full", retryable=True, retry_after=10),
    "unavailable": Kind(503, "The service is unavailable", retryable=True, retry_after=2),
    "accept_unknown": Kind(503, "The edit may have been accepted", retryable=True, retry_after=1),
    "draining": Kind(503, "This process is shutting down", retryable=True, retry_after=1),
}

# pydantic's fault types to ours, which stay when pydantic's change.
FAULTS: dict[str, str] = {
    "missing": "required",
    "extra_forbidden": "unknown_field",
    "too_long": "too_long",
    "too_short": "too_short",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
    "multiple_of": "not_a_multiple",
    "literal_error": "not_allowed",
    "enum": "not_allowed",
}

# Plain words for some of its messages.
WORDS: dict[str, str] = {
    "extra_forbidden": "is not a field of an edit",
    "int_parsing": "must be an integer",
    "bool_parsing": "must be true or false",
    "timezone_aware": "needs a time zone, as in 2026-01-15T09:20:11Z",
}


@dataclass(eq=False)
class Problem(Exception):
    """An error answer. `code` is one of `CODES`; `retry_after` is in seconds."""

    code: str
    detail: str
    faults: Sequence[FieldProblem] = ()
    _: KW_ONLY
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: float | None = None


def view(problem: Problem, *, path: str, request_id: str) -> ProblemView:
    kind = CODES[problem.code]
    return ProblemView(
        type=f"/docs#{problem.code}",
        title=kind.title,
        status=kind.status,
        detail=problem.detail,
        instance=path,
        code=problem.code,
        request_id=request_id,
        retryable=kind.retryable,
        errors=list(problem.faults[:SHOWN]),
    )


def answer(problem: Problem, *, path: str, request_id: str) -> Response:
    kind = CODES[problem.code]
    headers = dict(problem.headers)
    retry_after = problem.retry_after if problem.retry_after is not None else kind.retry_after
    if retry_after is not None:
        headers["Retry-After"] = str(max(1, round(retry_after)))
    body = view(problem, path=path, request_id=request_id).model_dump_json()
    return Response(body, kind.status, headers, MEDIA_TYPE)


def invalid(*faults: tuple[str, str, str]) -> Problem:
    """Wrong fields, parameters or headers: the pointer, code and message of each."""
    shown = [FieldProblem(pointer=pointer, code=code, message=message) for pointer, code, message in faults]
    more = f" (and {len(shown) - 1} more)" if len(shown) > 1 else ""
    first = shown[0].pointer.removeprefix("header:") or "the body"
    return Problem("invalid", f"{first}: {shown[0].message}{more}", shown)


def pointer(*loc: int | str) -> str:
    """A JSON pointer. Pydantic's `[key]`, which marks a fault of a key, is left out."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in loc if part != "[key]")


def route_of(scope: Scope) -> str:
    """The path template, for logs: the real path may hold a token."""
    return getattr(scope.get("route"), "path", "unknown")


def of_domain(exc: errors.EditsError) -> Problem:
    if isinstance(exc, errors.InputRefused):
        return Problem(exc.code, str(exc), [FieldProblem(pointer=exc.pointer, code=exc.code, message=str(exc))])
    return Problem(exc.code, str(exc), retry_after=exc.retry_after if isinstance(exc, errors.QueueFull) else None)


def of_validation(exc: ValidationError) -> Problem:
    """A body that is not JSON is malformed; JSON with wrong fields is invalid, each fault named."""
    found = exc.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return Problem("malformed", f"The body is not JSON: {found[0]['msg'].removeprefix('Invalid JSON: ')}")
    return invalid(*((pointer(*fault["loc"]), *_described(fault)) for fault in found))


def of_parameters(exc: RequestValidationError) -> Problem:
    return invalid(*((":".join(map(str, fault["loc"][:2])), *_described(fault)) for fault in exc.errors()))


def install(app: FastAPI) -> None:
    """Makes `app` answer every error as a problem."""

    async def on_error(request: Request, exc: Exception) -> Response:
        problem = _problem(request, exc)
        if CODES[problem.code].status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("request.refused", code=problem.code, route=route_of(request.scope), detail=problem.detail)
        return answer(problem, path=request.url.path, request_id=request.state.request_id)

    for kind in (Problem, errors.EditsError, StorageError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, on_error)


def _problem(request: Request, exc: Exception) -> Problem:
    match exc:
        case Problem():
            return exc
        case errors.EditsError():
            return of_domain(exc)
        case StorageError():
            missing = isinstance(exc, ObjectMissing)
            return Problem("gone", "The picture has been deleted.") if missing else Problem("unavailable", str(exc))
        case RequestValidationError():
            return of_parameters(exc)
        case HTTPException(status_code=HTTPStatus.METHOD_NOT_ALLOWED):
            methods = _methods(request)
            return Problem("method_not_allowed", f"Use {methods}.", headers={"Allow": methods})
        case HTTPException(status_code=HTTPStatus.NOT_FOUND):
            return Problem("not_found", f"No call at {request.url.path}. See /docs.")
    raise exc


def _methods(request: Request) -> str:
    """All methods of an address; the router's own error names only those of the first matching route."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    matching = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for route in matching for method in route.methods or ()}))


def _described(fault: Mapping[str, Any]) -> tuple[str, str]:
    """The code and message of a fault that pydantic found."""
    kind: str = fault["type"]
    code = FAULTS.get(kind.removeprefix("string_"), "wrong_type" if kind.endswith("_type") else "invalid")
    return code, WORDS.get(kind, fault["msg"].partition(" after validation")[0])
