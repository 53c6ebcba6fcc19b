"""Pictures, whole or by range: results and uploads by key, and any object by a signed link without one."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from api import auth
from api.auth import Caller
from api.dependencies import Parts, as_json, known_parameters, parts_of
from api.errors import Problem
from api.openapi.document import Responses, described, pictures
from api.schemas.edits import AddressView
from edits.errors import Gone, NotFound
from edits.storage.backends import ObjectMissing
from edits.storage.links import LinkExpired, LinkInvalid
from edits.storage.store import Storage

_T = TypeVar("_T", bound=Callable[..., Any])
_Redirect = Annotated[bool, Query(description="`false`: answer the picture's address as JSON.")]

edits = APIRouter(
    prefix="/v1/edits/{edit_id}", tags=["pictures"], dependencies=[Depends(auth.principal), Depends(known_parameters)]
)
objects = APIRouter(prefix="/v1/objects", tags=["pictures"])
"""Unknown parameters are ignored: mail programs add their own to a link, and the signature stands in the path."""

_RANGE: Final = re.compile(r"bytes=(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))", re.IGNORECASE)
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


@dataclass(frozen=True, slots=True)
class Picture:
    """A stored picture to serve. Without `sha256` its ETag is the storage's own `mark`, or missing."""

    key: str
    size: int
    content_type: str
    sha256: str | None = None
    mark: str | None = None

    @property
    def etag(self) -> str | None:
        name = self.sha256 or (self.mark or "").removeprefix("W/").strip('"')
        return f'"{name}"' if name and name.isascii() and '"' not in name else None

    def headers(self) -> dict[str, str]:
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": "private",
            "Content-Disposition": f'inline; filename="{self.key.rpartition("/")[2]}"',
        }
        if self.etag:
            headers["ETag"] = self.etag
        if self.sha256:
            headers["Repr-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(self.sha256)).decode()}:"
        return headers


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
async def result(request: Request, caller: Caller, edit_id: str, *, redirect: _Redirect = True) -> Response:
    parts = parts_of(request)
    found = await parts.service.result(caller, edit_id)
    picture = Picture(key=found.key, size=found.bytes, content_type=found.content_type, sha256=found.sha256)
    return await _picture(request, parts, picture, redirect=redirect)


@_served(edits, "/input", "edit_input", "The uploaded picture", _BYTES, "unauthorized", "invalid")
async def uploaded(request: Request, caller: Caller, edit_id: str, *, redirect: _Redirect = True) -> Response:
    parts = parts_of(request)
    picture = await _stored(parts, await parts.service.input_key(caller, edit_id))
    return await _picture(request, parts, picture, redirect=redirect)


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
    return await _serve(request, parts.storage, await _stored(parts, key))


async def _picture(request: Request, parts: Parts, picture: Picture, *, redirect: bool) -> Response:
    if not redirect:
        address = await parts.views.address(picture.key)
        return as_json(AddressView(**address._asdict()), headers=_PRIVATE)
    elsewhere = not parts.settings.storage_url.startswith("file:")
    # Clients send X-API-Key again after a redirect to another host; most drop Authorization.
    if elsewhere and request.method == "GET" and "x-api-key" not in request.headers:
        address = await parts.views.address(picture.key)
        return RedirectResponse(address.url, 307, _PRIVATE)
    return await _serve(request, parts.storage, picture)


async def _stored(parts: Parts, key: str) -> Picture:
    info = await parts.storage.head(key)
    if info is None:
        raise ObjectMissing(key)
    return Picture(key=key, size=info.size, content_type=info.content_type, mark=info.etag)


async def _serve(request: Request, storage: Storage, picture: Picture) -> Response:
    """200, 206 or 304. Raises Problem range_not_satisfiable, ObjectMissing or StorageError."""
    headers = picture.headers()
    if _has_it(request, picture):
        return Response(status_code=304, headers=headers)
    status = 200
    headers["Content-Length"] = str(picture.size)
    if span := _range_of(request, picture):
        status, (start, end) = 206, span
        headers |= {"Content-Length": str(end - start), "Content-Range": f"bytes {start}-{end - 1}/{picture.size}"}
    if request.method == "HEAD":
        return Response(None, status, headers, picture.content_type)
    chunks = await storage.open(picture.key, span=span)
    return StreamingResponse(chunks, status, headers, picture.content_type)


def _has_it(request: Request, picture: Picture) -> bool:
    """If-None-Match is compared weakly: a proxy that compresses answers makes their ETags weak."""
    sent = request.headers.get("if-none-match", "")
    marks = {mark.strip().removeprefix("W/") for mark in sent.split(",")}
    return "*" in marks or picture.etag in marks


def _range_of(request: Request, picture: Picture) -> tuple[int, int] | None:
    """One range, its end excluded. None (the whole picture) for several, another unit or an outdated If-Range."""
    match = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if match is None or request.headers.get("if-range", picture.etag) != picture.etag:
        return None
    first, last, length = match.groups()
    if length is not None:
        start, end = max(0, picture.size - int(length)), picture.size
    else:
        start, end = int(first), min(int(last) + 1 if last else picture.size, picture.size)
        if last and int(last) < int(first):
            return None
    if start >= end:
        detail = f"The picture has {picture.size} bytes."
        raise Problem("range_not_satisfiable", detail, headers={"Content-Range": f"bytes */{picture.size}"})
    return start, end
