"""The provider's callbacks: a hint to read the task now. Only the task's id is taken from one.

The caller proves itself by the token of one attempt, in the address and wherever the provider repeats it.
"""

import hmac
import json
from typing import Final

import structlog
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api import body
from api.dependencies import known_parameters, parts_of
from api.errors import Problem
from api.openapi.document import described
from qubico.errors import Unreadable
from qubico.schemas import Task, TaskStatus, parse_task

log = structlog.get_logger()

router = APIRouter(prefix="/v1/callbacks", tags=["callbacks"], dependencies=[Depends(known_parameters)])

MAX_BYTES: Final = 1024 * 1024
_BODY: Final = {"type": "object", "description": "A task of the provider. Only its id and status are read."}


@router.post(
    "/qubico/{token}",
    **described(
        *("receive_qubico_callback", "Receive a task's callback", None),
        *("malformed", "not_found", "body_too_large", "invalid", "unavailable"),
    ),
    response_class=Response,
    response_description="Received.",
    openapi_extra={"requestBody": {"required": True, "content": {body.JSON: {"schema": _BODY}}}},
)
async def receive(request: Request, token: str) -> Response:
    """No key is needed: the token in the path was made for one attempt of one edit and is verified first."""
    parts = parts_of(request)
    attempt = parts.service.attempt_of(token)
    _require_same(token, request.headers.get("x-webhook-secret"))
    task = _task(await body.read(request, max_bytes=MAX_BYTES))
    _require_same(token, task.webhook_secret.get_secret_value() if task.webhook_secret else None)
    # An unknown status may be an end.
    ended = task.is_final or task.status is TaskStatus.UNKNOWN
    await parts.service.called_back(attempt, task_id=task.task_id, ended=ended)
    log.info("callback.received", edit_id=attempt.edit_id, attempt=attempt.number)
    return Response(status_code=200)


def _require_same(token: str, repeated: str | None) -> None:
    """Each create sends its token as the webhook secret, too; the provider may leave it out of its callback."""
    if repeated and not hmac.compare_digest(repeated.encode(), token.encode()):
        raise Problem("not_found", "This callback token is not valid.")


def _task(raw: bytes) -> Task:
    try:
        return parse_task(json.loads(raw))
    except (ValueError, RecursionError, Unreadable) as exc:
        raise Problem("malformed", "The body has no task.") from exc
