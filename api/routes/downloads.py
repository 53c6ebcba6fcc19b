"""Serves pictures whole or by range, with the headers by which a client caches and checks them."""

import base64
import re
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from api.errors import Problem
from edits.storage.store import Storage

_RANGE: Final = re.compile(r"bytes=(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))", re.IGNORECASE)


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


async def serve(request: Request, storage: Storage, picture: Picture) -> Response:
    """200, 206 or 304. Raises Problem range_not_satisfiable, ObjectMissing or StorageError."""
    headers = picture.headers()
    if _has_it(request, picture):
        return Response(status_code=304, headers=headers)
    span = _range_of(request, picture)
    start, end = span or (0, picture.size)
    headers["Content-Length"] = str(end - start)
    if span:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{picture.size}"
    status = 206 if span else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=picture.content_type)
    first, last = span or (None, None)
    opened = await storage.open(picture.key, start=first, end=last)
    return StreamingResponse(opened.chunks, status, headers, picture.content_type)


def _has_it(request: Request, picture: Picture) -> bool:
    """If-None-Match is compared weakly: a proxy that compresses answers makes their ETags weak."""
    asked = request.headers.get("if-none-match")
    if asked is None:
        return False
    marks = {mark.strip().removeprefix("W/") for mark in asked.split(",")}
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
