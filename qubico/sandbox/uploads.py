"""The upload service: a file handed over in base64 has an address for 24 hours, as the vendor's clients use it.

At the provider it lies on a host of its own and is free of charge; here it is a route beside the others.
"""

import base64
import binascii
import json
import uuid
from collections import OrderedDict
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qubico.sandbox import wire
from qubico.sandbox.provider import Provider
from qubico.sandbox.storefront import at_the_door, body_of, counted

LIFETIME = 24 * 3600.0
LONGEST_NAME = 128
MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_BODY_BYTES = MAX_FILE_BYTES * 4 // 3 + 4096
KEPT_BYTES = 256 * 1024 * 1024
TYPES = {
    "jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp",
    "mp4": "video/mp4", "wav": "audio/wav", "mp3": "audio/mpeg",
}  # fmt: skip


class BadUpload(Exception):
    """The upload is answered 400 with this text."""


@dataclass(frozen=True, slots=True)
class File:
    content: bytes
    media_type: str
    until: float


class Uploads:
    """The newest files, up to a total size."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, File] = OrderedDict()
        self._bytes = 0

    def keep(self, name: str, file: File) -> None:
        self._files[name] = file
        self._bytes += len(file.content)
        while self._bytes > KEPT_BYTES:
            _, dropped = self._files.popitem(last=False)
            self._bytes -= len(dropped.content)

    def forget(self) -> None:
        self._files.clear()
        self._bytes = 0

    def get(self, name: str, *, now: float) -> File | None:
        file = self._files.get(name)
        return file if file is not None and now <= file.until else None


@counted
async def upload(request: Request, provider: Provider) -> Response:
    if refused := at_the_door(request, provider.options, "upload"):
        return refused
    body = await body_of(request, MAX_BODY_BYTES)
    try:
        extension, content = _parse(body)
    except BadUpload as exc:
        return wire.error(400, str(exc))
    name = f"{uuid.uuid4()}.{extension}"
    _of(request).keep(name, File(content, TYPES[extension], provider.clock.now() + LIFETIME))
    base = provider.options.public_url or f"{request.url.scheme}://{request.url.netloc}"
    address = f"{base.rstrip('/')}/ephemeral/{name}"
    # The documentation has the address under `data`; one version of the vendor's own client reads it at the top.
    return wire.Answer({"code": 200, "data": {"url": address}, "message": "success", "url": address})


async def download(request: Request) -> Response:
    provider: Provider = request.app.state.provider
    file = _of(request).get(request.path_params["name"], now=provider.clock.now())
    return wire.html(404) if file is None else Response(file.content, media_type=file.media_type)


def _of(request: Request) -> Uploads:
    uploads: Uploads = request.app.state.uploads
    return uploads


def _parse(body: bytes | None) -> tuple[str, bytes]:
    if body is None:
        raise BadUpload("the file is too large")
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        asked = None
    fields = asked if isinstance(asked, dict) else {}
    name, data = fields.get("file_name"), fields.get("file_data")
    if not isinstance(name, str) or not isinstance(data, str) or not data:
        raise BadUpload("file_name and file_data are required")
    extension = name.rpartition(".")[2].lower()
    if len(name) > LONGEST_NAME or extension not in TYPES:
        raise BadUpload("invalid file name")
    if data.startswith("data:"):
        said, _, data = data.removeprefix("data:").partition(";base64,")
        if said != TYPES[extension]:
            raise BadUpload("the type of the data does not match the file name")
    try:
        content = base64.b64decode(data, validate=True)
    except binascii.Error:
        raise BadUpload("file_data is not base64") from None
    if len(content) > MAX_FILE_BYTES:
        raise BadUpload("the file is too large")
    return extension, content


ROUTES = [
    Route("/api/ephemeral_resource", upload, methods=["POST"]),
    Route("/ephemeral/{name}", download, methods=["GET"]),
]
