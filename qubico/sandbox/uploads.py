"""The upload service: a file handed over in base64 has an address for 24 hours, as the vendor's clients use it.

At the provider it lies on a host of its own and is free of charge; here it is a route beside the others.
"""

import base64
import uuid
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qubico.sandbox import wire
from qubico.sandbox.provider import Provider
from qubico.sandbox.shelf import CONTENT_TYPES
from qubico.sandbox.storefront import base_of, body_of, check_caller
from qubico.sandbox.wire import BadRequest

LIFETIME = 24 * 3600.0
MAX_BODY_BYTES = 10 * 1024 * 1024 * 4 // 3 + 4096  # a file of 10 MiB in base64


class Upload(BaseModel):
    file_name: Annotated[str, Field(strict=True, max_length=128)]
    file_data: Annotated[str, Field(strict=True, min_length=1)]

    @property
    def extension(self) -> str:
        return self.file_name.rpartition(".")[2].lower()


async def upload(request: Request) -> Response:
    provider: Provider = request.app.state.provider
    check_caller(request, provider.options, "upload")
    body = await body_of(request, MAX_BODY_BYTES, beyond="the file is too large")
    try:
        sent = Upload.model_validate_json(body)
    except ValidationError:
        raise BadRequest("file_name and file_data are required") from None
    if sent.extension not in CONTENT_TYPES:
        raise BadRequest("invalid file name")
    name = f"{uuid.uuid4()}.{sent.extension}"
    provider.shelf.put(name, _content(sent), until=provider.clock.now() + LIFETIME)
    address = f"{base_of(request, provider.options)}/ephemeral/{name}"
    # The documentation has the address under `data`; one version of the vendor's own client reads it at the top.
    return wire.Answer({"code": 200, "data": {"url": address}, "message": "success", "url": address})


async def download(request: Request) -> Response:
    provider: Provider = request.app.state.provider
    name = request.path_params["name"]
    content = provider.shelf.get(name, now=provider.clock.now())
    if content is None:
        return wire.html(404)
    return Response(content, media_type=CONTENT_TYPES[name.rpartition(".")[2]])


def _content(sent: Upload) -> bytes:
    declared, marker, data = sent.file_data.rpartition(";base64,")
    if marker and declared != f"data:{CONTENT_TYPES[sent.extension]}":
        raise BadRequest("the type of the data does not match the file name")
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        raise BadRequest("file_data is not base64") from None


ROUTES = [
    Route("/api/ephemeral_resource", upload, methods=["POST"]),
    Route("/ephemeral/{name}", download, methods=["GET"]),
]
