"""Pictures: results and uploads with a key, and any object by a signed link without one."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from api import auth
from api.dependencies import Parts, parts_of
from api.openapi.document import Responses, pictures, problems
from api.routes import downloads
from api.routes.downloads import Picture
from api.routing import KeyRoute, OpenRoute
from api.schemas.bodies import AddressView
from api.schemas.queries import ResultQuery
from edits.errors import Gone, NotFound, Unavailable
from edits.storage.backends import ObjectMissing, StorageError
from edits.storage.links import LinkExpired, LinkInvalid

edits = APIRouter(prefix="/v1/edits/{edit_id}", tags=["pictures"], route_class=KeyRoute)
objects = APIRouter(prefix="/v1/objects", tags=["pictures"], route_class=OpenRoute)

_BYTES: Final[Responses] = {
    200: pictures("The picture, or with `?redirect=false` where it is.", or_address=True),
    206: pictures("The range asked for."),
    304: {"description": "The picture is the one named in If-None-Match."},
    307: {"description": "A fresh signed address; never answered to X-API-Key."},
}
_HEADERS: Final[Responses] = {
    200: {"description": "As for GET."},
    206: {"description": "Of the range asked for."},
    304: {"description": "The picture is the one named in If-None-Match."},
}
_WITHOUT_REDIRECT: Final[Responses] = {
    200: pictures("The picture."),
    206: _BYTES[206],
    304: _BYTES[304],
}
_PROBLEMS: Final = ("unauthorized", "not_found", "gone", "range_not_satisfiable", "invalid", "unavailable")


@edits.head(
    "/result",
    operation_id="head_edit_result",
    summary="The headers of an edit's result",
    response_class=Response,
    responses=_HEADERS | problems(*_PROBLEMS, "not_finished", "not_succeeded"),
)
@edits.get(
    "/result",
    operation_id="get_edit_result",
    summary="The result of an edit",
    response_class=Response,
    responses=_BYTES | problems(*_PROBLEMS, "not_finished", "not_succeeded"),
)
async def result(request: Request, edit_id: str, query: Annotated[ResultQuery, Query()] = ResultQuery()) -> Response:
    parts = parts_of(request)
    found = await parts.service.result(edit_id)
    picture = Picture(key=found.key, size=found.bytes, content_type=found.content_type, sha256=found.sha256)
    return await _picture(request, parts, picture, query=query)


@edits.head(
    "/input",
    operation_id="head_edit_input",
    summary="The headers of an uploaded picture",
    response_class=Response,
    responses=_HEADERS | problems(*_PROBLEMS),
)
@edits.get(
    "/input",
    operation_id="get_edit_input",
    summary="The uploaded picture",
    response_class=Response,
    responses=_BYTES | problems(*_PROBLEMS),
)
async def uploaded(request: Request, edit_id: str, query: Annotated[ResultQuery, Query()] = ResultQuery()) -> Response:
    parts = parts_of(request)
    picture = await _stored(parts, await parts.service.input_key(edit_id))
    return await _picture(request, parts, picture, query=query)


@objects.head(
    "/{token}/{filename}",
    operation_id="head_object",
    summary="The headers of a picture by its signed link",
    response_class=Response,
    responses=_HEADERS | problems("not_found", "gone", "range_not_satisfiable", "invalid", "unavailable"),
)
@objects.get(
    "/{token}/{filename}",
    operation_id="get_object",
    summary="A picture by its signed link",
    response_class=Response,
    responses=_WITHOUT_REDIRECT | problems("not_found", "gone", "range_not_satisfiable", "invalid", "unavailable"),
)
async def linked(request: Request, token: str, filename: str) -> Response:
    """No key is needed: the link itself says what may be read, and until when."""
    parts = parts_of(request)
    try:
        key = parts.links.verify(token, now=datetime.now(UTC))
    except LinkExpired as exc:
        raise Gone("This link has expired; a fresh one is in the edit.") from exc
    except LinkInvalid as exc:
        raise NotFound("This is no link of ours.") from exc
    if filename != key.rpartition("/")[2]:
        raise NotFound("This is no link of ours.")
    return await _sent(request, parts, await _stored(parts, key))


async def _picture(request: Request, parts: Parts, picture: Picture, *, query: ResultQuery) -> Response:
    if not query.redirect:
        address = await parts.views.address(picture.key)
        view = AddressView(url=address.url, expires_at=address.expires_at)
        return Response(view.model_dump_json(), 200, {"Cache-Control": "private, no-store"}, "application/json")
    elsewhere = not parts.settings.storage_url.startswith("file:")
    if elsewhere and request.method == "GET" and request.state.key_sent_in is auth.KeySentIn.AUTHORIZATION:
        address = await parts.views.address(picture.key)
        return RedirectResponse(address.url, 307, {"Cache-Control": "private, no-store"})
    return await _sent(request, parts, picture)


async def _stored(parts: Parts, key: str) -> Picture:
    try:
        info = await parts.storage.head(key)
    except StorageError as exc:
        raise Unavailable(str(exc)) from exc
    if info is None:
        raise Gone("The picture is no longer kept.")
    return Picture(key=key, size=info.size, content_type=info.content_type, mark=info.etag)


async def _sent(request: Request, parts: Parts, picture: Picture) -> Response:
    try:
        return await downloads.serve(request, parts.storage, picture)
    except ObjectMissing as exc:
        raise Gone("The picture is no longer kept.") from exc
    except StorageError as exc:
        raise Unavailable(str(exc)) from exc
