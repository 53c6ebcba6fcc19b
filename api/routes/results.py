"""Pictures: results and uploads by key, and any object by a signed link without one."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from api import auth
from api.auth import Caller
from api.dependencies import Parts, as_json, known_parameters, parts_of
from api.openapi.document import Responses, described, pictures
from api.routes import downloads
from api.routes.downloads import Picture
from api.schemas.edits import AddressView
from api.schemas.queries import ResultQuery
from edits.errors import Gone, NotFound
from edits.storage.backends import ObjectMissing
from edits.storage.links import LinkExpired, LinkInvalid

_T = TypeVar("_T", bound=Callable[..., Any])

edits = APIRouter(
    prefix="/v1/edits/{edit_id}", tags=["pictures"], dependencies=[Depends(auth.principal), Depends(known_parameters)]
)
objects = APIRouter(prefix="/v1/objects", tags=["pictures"])
"""Unknown parameters are ignored: mail programs add their own to a link, and the signature stands in the path."""

_PRIVATE: Final = {"Cache-Control": "private, no-store"}
_PARTIAL: Final[Responses] = {
    206: pictures("The requested range."),
    304: {"description": "The picture is the one named in If-None-Match."},
}
_BYTES: Final[Responses] = _PARTIAL | {
    200: pictures("The picture, or its address with `?redirect=false`.", or_address=True),
    307: {"description": "A new signed address; never sent to X-API-Key."},
}
_LINKED: Final[Responses] = _PARTIAL | {200: pictures("The picture.")}
_HEADERS: Final[Responses] = _PARTIAL | {200: {"description": "As for GET."}}


def _served(router: APIRouter, path: str, name: str, what: str, answers: Responses, *codes: str) -> Callable[[_T], _T]:
    """Declares GET and HEAD of a picture. `name` goes into the operations' names."""

    def declare(endpoint: _T) -> _T:
        all_codes = (*codes, "not_found", "gone", "range_not_satisfiable", "unavailable")
        of_what = f"The headers of {what[0].lower()}{what[1:]}"
        get = described(f"get_{name}", what, None, *all_codes, also=answers)
        head = described(f"head_{name}", of_what, None, *all_codes, also=_HEADERS)
        router.get(path, **get, response_class=Response)(endpoint)
        router.head(path, **head, response_class=Response)(endpoint)
        return endpoint

    return declare


@_served(
    edits, "/result", "edit_result", "The result of an edit", _BYTES,
    "unauthorized", "invalid", "not_finished", "not_succeeded",
)  # fmt: skip
async def result(
    request: Request, caller: Caller, edit_id: str, query: Annotated[ResultQuery, Query()] = ResultQuery()
) -> Response:
    parts = parts_of(request)
    found = await parts.service.result(caller, edit_id)
    picture = Picture(key=found.key, size=found.bytes, content_type=found.content_type, sha256=found.sha256)
    return await _picture(request, parts, picture, query=query)


@_served(edits, "/input", "edit_input", "The uploaded picture", _BYTES, "unauthorized", "invalid")
async def uploaded(
    request: Request, caller: Caller, edit_id: str, query: Annotated[ResultQuery, Query()] = ResultQuery()
) -> Response:
    parts = parts_of(request)
    picture = await _stored(parts, await parts.service.input_key(caller, edit_id))
    return await _picture(request, parts, picture, query=query)


@_served(objects, "/{token}/{filename}", "object", "A picture by its signed link", _LINKED)
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
    return await downloads.serve(request, parts.storage, await _stored(parts, key))


async def _picture(request: Request, parts: Parts, picture: Picture, *, query: ResultQuery) -> Response:
    if not query.redirect:
        address = await parts.views.address(picture.key)
        return as_json(AddressView(**address._asdict()), headers=_PRIVATE)
    elsewhere = not parts.settings.storage_url.startswith("file:")
    # Clients send X-API-Key again after a redirect to another host; most drop Authorization.
    if elsewhere and request.method == "GET" and "x-api-key" not in request.headers:
        address = await parts.views.address(picture.key)
        return RedirectResponse(address.url, 307, _PRIVATE)
    return await downloads.serve(request, parts.storage, picture)


async def _stored(parts: Parts, key: str) -> Picture:
    info = await parts.storage.head(key)
    if info is None:
        raise ObjectMissing(key)
    return Picture(key=key, size=info.size, content_type=info.content_type, mark=info.etag)
