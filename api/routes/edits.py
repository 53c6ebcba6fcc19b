"""Edits: accept, get, list, cancel, retry."""

import codecs
import logging
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Depends, Query, Request
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api import auth, body, errors
from api.auth import Caller
from api.dependencies import as_json, known_parameters, parts_of
from api.openapi.document import described, edit_body
from api.schemas import forms, views
from api.schemas.edits import DryRunView, EditView, EventView, PageView, WindowView
from api.schemas.parameters import IDEMPOTENCY_KEY, PREFER, ListQuery, idempotency_key_of, wait_of
from api.schemas.requests import EditRequest
from edits.intake import NewEdit
from edits.listing import Filters
from edits.media.data_uri import most_characters
from edits.models import Edit, EditStatus
from edits.principal import Principal

log = structlog.get_logger()

router = APIRouter(
    prefix="/v1/edits", tags=["edits"], dependencies=[Depends(auth.principal), Depends(known_parameters)]
)

OTHER_FIELDS: Final = 256 * 1024  # bytes beside the picture: twice the longest prompt and metadata, all escaped
SHORT: Final = 16 * 1024  # bytes; reading a body up to this long costs less than checking the queue first
_OF_ONE: Final = ("unauthorized", "not_found", "gone", "invalid", "unavailable")  # of each call about one edit

TIMELINE: Final = TypeAdapter(list[EventView])

_SAME: Final = EditRequest.model_fields.keys() - {"image", "image_fetch"}  # fields that have the same name in `NewEdit`


class _Direct(APIRoute):
    """Calls the endpoint with the request alone: FastAPI's own way costs an accept a tenth of its time."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in (self.methods or ()) or scope["query_string"]:
            await super().handle(scope, receive, send)
            return
        response: Response = await self.endpoint(Request(scope, receive, send), **scope["path_params"])
        await response(scope, receive, send)


DryRun = Annotated[bool, Query(description="`true`: check and price the edit; store and buy nothing.")]


async def create(request: Request, *, dry_run: DryRun = False) -> Response:
    caller = await auth.principal(request)
    parts = parts_of(request)
    sent_as = body.media_type(request)
    key = idempotency_key_of(request)
    if not 0 < body.announced(request) <= SHORT:
        await parts.service.require_room(caller, key)
    most = parts.settings.edits.max_input_bytes
    if sent_as == body.FORM:
        form = await forms.read(request, max_picture=most, max_text=OTHER_FIELDS)
        asked = _parse(form.fields, form.picture)
    else:
        asked = _parse(await body.read(request, max_bytes=most_characters(most) + OTHER_FIELDS))
    if dry_run:
        checked = await parts.service.check(caller, asked, idempotency_key=key)
        return as_json(views.dry_run(checked, seed=asked.seed))
    accepted = await parts.service.accept(caller, asked, idempotency_key=key)
    if logging.root.isEnabledFor(logging.DEBUG):  # structlog makes a logger even for a line that is not written
        log.debug("edit.accepted", edit_id=accepted.edit.id, replayed=accepted.replayed)
    headers = {"Location": parts.views.self_link(accepted.edit)}
    if accepted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return await _shown(request, caller, accepted.edit, headers, unfinished=202)


router.add_api_route(
    "",
    create,
    methods=["POST"],
    route_class_override=_Direct,
    **described(
        *("create_edit", "Accept one edit", EditView),
        *("malformed", "unauthorized", "body_too_large", "image_too_large", "unsupported_type", "invalid"),
        *("idempotency_key_reused", "image_unreadable", "input_unreachable", "not_found", "gone"),
        *("tenant_queue_full", "queue_full", "unavailable", "accept_unknown", "draining"),
        also={
            200: {
                "model": EditView | DryRunView,
                "description": "The ended edit (with `Prefer: wait`), or its price and ETA (with `?dry_run=true`).",
            }
        },
        status_code=202,
        response_description="The edit, queued.",
        openapi_extra=edit_body() | {"parameters": [PREFER, IDEMPOTENCY_KEY]},
    ),
)


@router.get(
    "",
    **described(
        *("list_edits", "List edits, newest first", PageView), "bad_cursor", "unauthorized", "invalid", "unavailable"
    ),
)
async def index(request: Request, caller: Caller, query: Annotated[ListQuery, Query()] = ListQuery()) -> Response:
    parts = parts_of(request)
    filters = Filters(
        statuses=frozenset(query.status),
        created_after=query.created_after,
        created_before=query.created_before,
        external_id=query.external_id,
        ids=frozenset(query.ids),
    )
    listed = await parts.service.page(caller, filters, limit=query.limit, cursor=query.cursor)
    page = PageView(
        data=[views.edit_view(edit, parts.views.self_link(edit)) for edit in listed.edits],
        next_cursor=listed.next_cursor,
        window=WindowView(from_=listed.since),
    )
    return as_json(page)


async def show(request: Request, edit_id: str) -> Response:
    caller = await auth.principal(request)
    edit = await parts_of(request).service.get(caller, edit_id)
    return await _shown(request, caller, edit, {}, unfinished=200)


router.add_api_route(
    "/{edit_id}",
    show,
    methods=["GET"],
    route_class_override=_Direct,
    **described("get_edit", "Get an edit", EditView, *_OF_ONE, openapi_extra={"parameters": [PREFER]}),
)


@router.get(
    "/{edit_id}/timeline",
    **described("get_edit_timeline", "Get the timeline of an edit", list[EventView], *_OF_ONE),
)
async def timeline(request: Request, caller: Caller, edit_id: str) -> Response:
    events = await parts_of(request).service.timeline(caller, edit_id)
    return Response(TIMELINE.dump_json(TIMELINE.validate_python(events)), media_type="application/json")


@router.post(
    "/{edit_id}/cancel",
    **described("cancel_edit", "Cancel an edit that is still queued", EditView, *_OF_ONE, "too_late"),
)
async def cancel(request: Request, caller: Caller, edit_id: str) -> Response:
    parts = parts_of(request)
    edit = await parts.service.cancel(caller, edit_id)
    log.info("edit.canceled", edit_id=edit.id)
    return as_json(await parts.views.edit(edit))


@router.post(
    "/{edit_id}/retry",
    **described("retry_edit", "Retry a failed edit", EditView, *_OF_ONE, "not_finished", "too_late", status_code=202),
    response_description="The edit, queued again.",
    description="Uses a paid result that the provider still has; only else is the edit bought again. "
    "`too_late` once the edit has left Redis (by default after two days).",
)
async def retry(request: Request, caller: Caller, edit_id: str) -> Response:
    parts = parts_of(request)
    edit = await parts.service.retry(caller, edit_id)
    log.info("edit.retried", edit_id=edit.id, attempt=edit.attempt)
    headers = {"Location": parts.views.self_link(edit)} | _ask_again(edit)
    return as_json(await parts.views.edit(edit), 202, headers)


def _parse(raw: bytes, picture: bytes | None = None) -> NewEdit:
    """`picture`: the bytes of a file sent beside the fields."""
    try:
        asked = EditRequest.model_validate_json(raw.removeprefix(codecs.BOM_UTF8))
    except ValidationError as exc:
        raise errors.of_validation(exc) from exc
    image = asked.image if picture is None else picture
    return NewEdit(image=image, copy=asked.image_fetch == "copy", **{name: getattr(asked, name) for name in _SAME})


async def _shown(
    request: Request, caller: Principal, edit: Edit, headers: dict[str, str], *, unfinished: int
) -> Response:
    """The edit now, or once it has ended if `Prefer: wait` was sent. `unfinished`: the status of one that has not."""
    parts = parts_of(request)
    seconds = wait_of(request)
    if seconds is not None:
        headers["Preference-Applied"] = f"wait={seconds}"
        edit = await parts.live.until_ended(edit, lambda: parts.service.get(caller, edit.id), seconds=seconds)
    ended = edit.status.is_final and (seconds is not None or unfinished == 200)
    return as_json(await parts.views.edit(edit), 200 if ended else unfinished, headers | _ask_again(edit))


def _ask_again(edit: Edit) -> dict[str, str]:
    """Seconds after which another GET is worthwhile."""
    return {} if edit.status.is_final else {"Retry-After": "1" if edit.status is EditStatus.STORING else "2"}
