"""Edits: accept, look, list, cancel, retry."""

from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from api import body, errors, views
from api.dependencies import Parts, Served
from api.documents import answers, json_body
from api.doors import KeyRoute
from api.headers import IDEMPOTENCY_KEY, PREFER, idempotency_key_of, wait_of
from api.schemas import EditRequest, EditView, EventView, ListQuery, PageView
from edits.listing import Filters
from edits.models import Edit, EditStatus
from edits.service import NewEdit

log = structlog.get_logger()

router = APIRouter(prefix="/v1/edits", tags=["edits"], route_class=KeyRoute)

OTHER_FIELDS: Final = 256 * 1024
"""Bytes of a body beside the picture: a prompt and metadata with every character escaped fit twice."""

# Seconds after which asking again is worth it, by what is still to come.
ASK_AGAIN: Final = {
    EditStatus.QUEUED: 2,
    EditStatus.SUBMITTING: 2,
    EditStatus.PROCESSING: 2,
    EditStatus.STORING: 1,
}


@router.post(
    "",
    operation_id="create_edit",
    summary="Accept one edit",
    response_description="The edit, queued.",
    status_code=202,
    response_model=EditView,
    openapi_extra=json_body(EditRequest) | {"parameters": [PREFER, IDEMPOTENCY_KEY]},
    responses=answers(
        EditView,
        {200: "The edit has ended (with `Prefer: wait`)."},
        *("malformed", "unauthorized", "body_too_large", "image_too_large", "unsupported_type", "invalid"),
        *("idempotency_key_reused", "image_unreadable", "input_unreachable"),
        *("queue_full", "unavailable", "accept_unknown", "draining"),
    ),
)
async def create(request: Request, parts: Served) -> Response:
    if parts.live.draining:
        raise errors.Problem("draining", "This process is ending; ask again, another one takes it.")
    body.require_json(request)
    key = idempotency_key_of(request)
    max_bytes = parts.settings.edits.max_input_bytes * 4 // 3 + OTHER_FIELDS
    asked = _parse(await body.read(request, max_bytes=max_bytes))
    accepted = await parts.service.accept(asked, idempotency_key=key)
    log.debug("edit.accepted", edit_id=accepted.edit.id, replayed=accepted.replayed)
    headers = {"Location": parts.views.self_link(accepted.edit)}
    if accepted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return await _as_it_stands(request, parts, accepted.edit, headers, unfinished=202)


@router.get(
    "",
    operation_id="list_edits",
    summary="List edits, newest first",
    response_model=PageView,
    responses=answers(PageView, {}, "bad_cursor", "unauthorized", "invalid", "unavailable"),
)
async def index(query: Annotated[ListQuery, Query()], parts: Served) -> Response:
    filters = Filters(
        statuses=frozenset(query.status),
        created_after=query.created_after,
        created_before=query.created_before,
        external_id=query.external_id,
        ids=tuple(query.ids),
    )
    listed = await parts.service.page(filters, limit=query.limit, cursor=query.cursor)
    page = PageView(data=[parts.views.listed(edit) for edit in listed.edits], next_cursor=listed.next_cursor)
    return _json(page)


@router.get(
    "/{edit_id}",
    operation_id="get_edit",
    summary="Look at an edit",
    openapi_extra={"parameters": [PREFER]},
    response_model=EditView,
    responses=answers(EditView, {}, "unauthorized", "not_found", "gone", "invalid", "unavailable"),
)
async def show(edit_id: str, request: Request, parts: Served) -> Response:
    return await _as_it_stands(request, parts, await parts.service.get(edit_id), {}, unfinished=200)


@router.get(
    "/{edit_id}/timeline",
    operation_id="get_edit_timeline",
    summary="What happened to an edit, and what it waited for",
    response_model=list[EventView],
    responses=answers(list[EventView], {}, "unauthorized", "not_found", "gone", "invalid", "unavailable"),
)
async def timeline(edit_id: str, parts: Served) -> list[EventView]:
    return [views.event(event) for event in await parts.service.timeline(edit_id)]


@router.post(
    "/{edit_id}/cancel",
    operation_id="cancel_edit",
    summary="Cancel an edit that is still queued",
    response_model=EditView,
    responses=answers(EditView, {}, "unauthorized", "not_found", "too_late", "gone", "invalid", "unavailable"),
)
async def cancel(edit_id: str, parts: Served) -> Response:
    edit = await parts.service.cancel(edit_id)
    log.info("edit.canceled", edit_id=edit.id)
    return _json(await parts.views.edit(edit))


@router.post(
    "/{edit_id}/retry",
    operation_id="retry_edit",
    summary="Try a failed edit again",
    response_description="The edit, on its way again.",
    status_code=202,
    response_model=EditView,
    responses=answers(
        EditView, {}, "unauthorized", "not_found", "not_finished", "too_late", "gone", "invalid", "unavailable"
    ),
)
async def retry(edit_id: str, parts: Served) -> Response:
    edit = await parts.service.retry(edit_id)
    log.info("edit.retried", edit_id=edit.id, attempt=edit.attempt)
    headers = {"Location": parts.views.self_link(edit)} | _ask_again(edit)
    return _json(await parts.views.edit(edit), 202, headers)


def _parse(raw: bytes) -> NewEdit:
    try:
        asked = EditRequest.model_validate_json(raw)
    except ValidationError as exc:
        raise errors.of_validation(exc) from exc
    return NewEdit(**{name: getattr(asked, name) for name in EditRequest.model_fields if name != "image_fetch"})


async def _as_it_stands(
    request: Request, parts: Parts, edit: Edit, headers: dict[str, str], *, unfinished: int
) -> Response:
    """The edit now, or once it has ended where `Prefer: wait` asks for that."""
    seconds = wait_of(request)
    if seconds is not None:
        headers["Preference-Applied"] = f"wait={seconds}"
        edit = await parts.live.until_ended(edit, lambda: parts.service.get(edit.id), seconds=seconds)
    ended = edit.status.is_final and (seconds is not None or unfinished == 200)
    return _json(await parts.views.edit(edit), 200 if ended else unfinished, headers | _ask_again(edit))


def _ask_again(edit: Edit) -> dict[str, str]:
    return {} if edit.status.is_final else {"Retry-After": str(ASK_AGAIN[edit.status])}


def _json(view: EditView | PageView, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(view.model_dump_json(), status, headers, "application/json")
