"""Pictures: results and uploads by key, and any object by a signed link without one."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from api import auth
from api.auth import Caller
from api.dependencies import Parts, known_parameters, parts_of
from api.openapi.document import Responses, pictures, problems
from api.routes import downloads
from api.routes.downloads import Picture
from api.schemas.edits import AddressView
from api.schemas.queries import ResultQuery
from edits.errors import Gone, NotFound, Unavailable
from edits.storage.backends import ObjectMissing, StorageError
from edits.storage.links import LinkExpired, LinkInvalid

edits = APIRouter(
    prefix="/v1/edits/{edit_id}", tags=["pictures"], dependencies=[Depends(auth.principal), Depends(known_parameters)]
)
objects = APIRouter(prefix="/v1/objects", tags=["pictures"])
"""Unknown parameters are ignored: mail programs add their own to a link, and the signature stands in the path."""

_BYTES: Final[Responses] = {
    200: pictures("The picture, or its address with `?redirect=false`.", or_address=True),
    206: pictures("The requested range."),
    304: {"description": "The picture is the one named in If-None-Match."},
    307: {"description": "A new signed address; never sent to X-API-Key."},
}
_HEADERS: Final[Responses] = {
    200: {"description": "As for GET."},
    206: {"description": "Of the requested range."},
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
async def result(
    request: Request, caller: Caller, edit_id: str, query: Annotated[ResultQuery, Query()] = ResultQuery()
) -> Response:
    parts = parts_of(request)
    found = await parts.service.result(caller, edit_id)
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
async def uploaded(
    request: Request, caller: Caller, edit_id: str, query: Annotated[ResultQuery, Query()] = ResultQuery()
) -> Response:
    parts = parts_of(request)
    picture = await _stored(parts, await parts.service.input_key(caller, edit_id))
    return await _picture(request, parts, picture, query=query)


@objects.head(
    "/{token}/{filename}",
    operation_id="head_object",
    summary="The headers of a picture by its signed link",
    response_class=Response,
    responses=_HEADERS | problems("not_found", "gone", "range_not_satisfiable", "unavailable"),
)
@objects.get(
    "/{token}/{filename}",
    operation_id="get_object",
    summary="A picture by its signed link",
    response_class=Response,
    responses=_WITHOUT_REDIRECT | problems("not_found", "gone", "range_not_satisfiable", "unavailable"),
)
async def linked(request: Request, token: str, filename: str) -> Response:
    """No key is needed: the signed link names the object and when it expires."""
    parts = parts_of(request)
    try:
        key = parts.links.verify(token, now=datetime.now(UTC))
    except LinkExpired as exc:
        raise Gone("This link has expired. Get the edit for a new one.") from exc
    except LinkInvalid as exc:
        raise NotFound("This link is not valid.") from exc
    if filename != key.rpartition("/")[2]:
        raise NotFound("This link is not valid.")
    return await _sent(request, parts, await _stored(parts, key))


async def _picture(request: Request, parts: Parts, picture: Picture, *, query: ResultQuery) -> Response:
    if not query.redirect:
        address = await parts.views.address(picture.key)
        view = AddressView(url=address.url, expires_at=address.expires_at)
        return Response(view.model_dump_json(), 200, {"Cache-Control": "private, no-store"}, "application/json")
    elsewhere = not parts.settings.storage_url.startswith("file:")
    # Clients send X-API-Key again after a redirect to another host; most drop Authorization.
    if elsewhere and request.method == "GET" and "x-api-key" not in request.headers:
        address = await parts.views.address(picture.key)
        return RedirectResponse(address.url, 307, {"Cache-Control": "private, no-store"})
    return await _sent(request, parts, picture)


async def _stored(parts: Parts, key: str) -> Picture:
    try:
        info = await parts.storage.head(key)
    except StorageError as exc:
        raise Unavailable(str(exc)) from exc
    if info is None:
        raise Gone("The picture has been deleted.")
    return Picture(key=key, size=info.size, content_type=info.content_type, mark=info.etag)


async def _sent(request: Request, parts: Parts, picture: Picture) -> Response:
    try:
        return await downloads.serve(request, parts.storage, picture)
    except ObjectMissing as exc:
        raise Gone("The picture has been deleted.") from exc
    except StorageError as exc:
        raise Unavailable(str(exc)) from exc
