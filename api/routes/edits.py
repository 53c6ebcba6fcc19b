"""Edits: accept, look, list, cancel, retry."""

import logging
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Query, Request
from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response

from api import body, errors
from api.dependencies import Parts, parts_of
from api.openapi.document import answers, edit_body
from api.routing import KeyRoute
from api.schemas import forms, views
from api.schemas.bodies import DryRunView, EditFields, EditRequest, EditView, EventView, PageView, WindowView
from api.schemas.headers import IDEMPOTENCY_KEY, PREFER, idempotency_key_of, wait_of
from api.schemas.queries import CreateQuery, ListQuery
from edits.intake import NewEdit
from edits.listing import Filters
from edits.media.data_uri import most_characters
from edits.models import Edit, EditStatus

log = structlog.get_logger()

router = APIRouter(prefix="/v1/edits", tags=["edits"], route_class=KeyRoute)

OTHER_FIELDS: Final = 256 * 1024
"""Bytes of a body beside the picture: a prompt and metadata with every character escaped fit twice."""

SHORT: Final = 16 * 1024
"""Bytes; a body with an address in it is shorter, one with a picture mostly longer."""

TIMELINE: Final = TypeAdapter(list[EventView])

_SAME: Final = EditFields.model_fields.keys() - {"image", "image_fetch"}
"""Fields that are called the same in `NewEdit`."""

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
    openapi_extra=edit_body() | {"parameters": [PREFER, IDEMPOTENCY_KEY]},
    responses=answers(
        EditView | DryRunView,
        {200: "The edit has ended (with `Prefer: wait`), or what it would be (with `?dry_run=true`)."},
        *("malformed", "unauthorized", "body_too_large", "image_too_large", "unsupported_type", "invalid"),
        *("idempotency_key_reused", "image_unreadable", "input_unreachable", "not_found", "gone"),
        *("tenant_queue_full", "queue_full", "unavailable", "accept_unknown", "draining"),
    ),
)
async def create(request: Request, query: Annotated[CreateQuery, Query()] = CreateQuery()) -> Response:
    parts = parts_of(request)
    sent_as = body.media_type(request)
    key = idempotency_key_of(request)
    if not _is_short(request):
        await parts.service.require_room(key)
    most = parts.settings.edits.max_input_bytes
    if sent_as == body.FORM:
        form = await forms.read(request, max_picture=most, max_text=OTHER_FIELDS)
        asked = _parse(form.fields, form.picture)
    else:
        asked = _parse(await body.read(request, max_bytes=most_characters(most) + OTHER_FIELDS), None)
    if query.dry_run:
        checked = await parts.service.check(asked, idempotency_key=key)
        return _json(views.dry_run(checked, seed=asked.seed))
    accepted = await parts.service.accept(asked, idempotency_key=key)
    if logging.root.isEnabledFor(logging.DEBUG):  # structlog makes a logger even for a line that is not wanted
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
async def index(request: Request, query: Annotated[ListQuery, Query()] = ListQuery()) -> Response:
    parts = parts_of(request)
    filters = Filters(
        statuses=frozenset(query.status),
        created_after=query.created_after,
        created_before=query.created_before,
        external_id=query.external_id,
        ids=tuple(query.ids),
    )
    listed = await parts.service.page(filters, limit=query.limit, cursor=query.cursor)
    page = PageView(
        data=[parts.views.listed(edit) for edit in listed.edits],
        next_cursor=listed.next_cursor,
        window=WindowView(from_=listed.since),
    )
    return _json(page)


@router.get(
    "/{edit_id}",
    operation_id="get_edit",
    summary="Look at an edit",
    openapi_extra={"parameters": [PREFER]},
    response_model=EditView,
    responses=answers(EditView, {}, "unauthorized", "not_found", "gone", "invalid", "unavailable"),
)
async def show(request: Request, edit_id: str) -> Response:
    parts = parts_of(request)
    return await _as_it_stands(request, parts, await parts.service.get(edit_id), {}, unfinished=200)


@router.get(
    "/{edit_id}/timeline",
    operation_id="get_edit_timeline",
    summary="What happened to an edit, and what it waited for",
    response_model=list[EventView],
    responses=answers(list[EventView], {}, "unauthorized", "not_found", "gone", "invalid", "unavailable"),
)
async def timeline(request: Request, edit_id: str) -> Response:
    parts = parts_of(request)
    events = [views.event(event) for event in await parts.service.timeline(edit_id)]
    return Response(TIMELINE.dump_json(events), media_type="application/json")


@router.post(
    "/{edit_id}/cancel",
    operation_id="cancel_edit",
    summary="Cancel an edit that is still queued",
    response_model=EditView,
    responses=answers(EditView, {}, "unauthorized", "not_found", "too_late", "gone", "invalid", "unavailable"),
)
async def cancel(request: Request, edit_id: str) -> Response:
    parts = parts_of(request)
    edit = await parts.service.cancel(edit_id)
    log.info("edit.canceled", edit_id=edit.id)
    return _json(await parts.views.edit(edit))


@router.post(
    "/{edit_id}/retry",
    operation_id="retry_edit",
    summary="Try a failed edit again",
    description="What was paid for is taken if it is still to be had. Days after its end it is `too_late`.",
    response_description="The edit, on its way again.",
    status_code=202,
    response_model=EditView,
    responses=answers(
        EditView, {}, "unauthorized", "not_found", "not_finished", "too_late", "gone", "invalid", "unavailable"
    ),
)
async def retry(request: Request, edit_id: str) -> Response:
    parts = parts_of(request)
    edit = await parts.service.retry(edit_id)
    log.info("edit.retried", edit_id=edit.id, attempt=edit.attempt)
    headers = {"Location": parts.views.self_link(edit)} | _ask_again(edit)
    return _json(await parts.views.edit(edit), 202, headers)


def _is_short(request: Request) -> bool:
    """Whether reading the body costs less than asking first whether there is room for its edit."""
    announced = request.headers.get("content-length", "")
    return announced.isascii() and announced.isdecimal() and int(announced[:20]) <= SHORT


def _parse(raw: bytes, picture: bytes | None) -> NewEdit:
    """`picture`: the file that came beside the fields."""
    asked: EditFields
    image: str | bytes
    try:
        if picture is None:
            asked = whole = EditRequest.model_validate_json(raw)
            image = whole.image
        else:
            asked, image = EditFields.model_validate_json(raw), picture
    except ValidationError as exc:
        raise errors.of_validation(exc) from exc
    return NewEdit(image=image, copy=asked.image_fetch == "copy", **{name: getattr(asked, name) for name in _SAME})


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


def _json(view: EditView | PageView | DryRunView, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(view.model_dump_json(), status, headers, "application/json")
