"""Where the provider calls back. It is only a hint to look now: nothing in it is believed but the name of the task.

Whoever calls holds the token of one attempt, in the address and wherever else the provider repeats what it was given.
"""

import hmac
import json
from typing import Final

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from api import body
from api.dependencies import parts_of
from api.errors import Problem
from api.openapi.document import Responses, callback_body, problems
from api.routing import OpenRoute
from qubico.errors import Unreadable
from qubico.schemas import Task, TaskStatus, parse_task

log = structlog.get_logger()

router = APIRouter(prefix="/v1/callbacks", tags=["callbacks"], route_class=OpenRoute)

_NOTED: Final[Responses] = {200: {"description": "Noted."}}

MAX_BYTES: Final = 1024 * 1024
REPEATED_IN: Final = "x-webhook-secret"


@router.post(
    "/qubico/{token}",
    operation_id="receive_qubico_callback",
    summary="The provider says that something happened to a task",
    response_class=Response,
    openapi_extra=callback_body(),
    responses=_NOTED | problems("malformed", "not_found", "body_too_large", "invalid", "unavailable"),
)
async def receive(request: Request, token: str) -> Response:
    """No key is needed: the token in the path was made for one attempt of one edit and is verified first."""
    parts = parts_of(request)
    attempt = parts.service.attempt_of(token)
    _same(token, request.headers.get(REPEATED_IN))
    task = _task(await body.read(request, max_bytes=MAX_BYTES))
    _same(token, task.webhook_secret.get_secret_value() if task.webhook_secret else None)
    # An unknown status might be an end: it is looked at, too.
    ended = task.is_final or task.status is TaskStatus.UNKNOWN
    await parts.service.called_back(attempt, task_id=task.task_id, ended=ended)
    log.info("callback.received", edit_id=attempt.edit_id, attempt=attempt.number)
    return Response(status_code=200)


def _same(token: str, repeated: str | None) -> None:
    """Every create carries its token as the secret too; the provider may leave that out of what it sends."""
    if repeated and not hmac.compare_digest(repeated.encode(), token.encode()):
        raise Problem("not_found", "There is no such callback.")


def _task(raw: bytes) -> Task:
    try:
        return parse_task(json.loads(raw))
    except (ValueError, RecursionError, Unreadable) as exc:
        raise Problem("malformed", "There is no task in this body.") from exc
