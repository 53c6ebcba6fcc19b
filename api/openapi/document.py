"""The API's OpenAPI description, completed by hand: errors as problem+json, and bodies that routes read themselves."""

from collections import defaultdict
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api import auth, errors
from api.errors import ProblemView
from api.openapi import examples
from api.schemas.edits import AddressView
from api.schemas.requests import EditRequest

Responses = dict[int | str, dict[str, Any]]

CLOSED: Final = "/v1/edits"  # calls under this path need a key

_REF: Final = "#/components/schemas/{model}"
_FORM: Final = "EditForm"
_PICTURES: Final = ("image/png", "image/jpeg", "image/webp")

DESCRIPTION: Final = (
    "Edits pictures with Qubico; each edit is bought once. `POST /v1/edits` answers 202 at once and the edit runs in "
    "the background: get it until its `status` is `succeeded`, `failed` or `canceled`, or send `Prefer: wait`. "
    "Every error is `application/problem+json` (RFC 9457): decide by its `code`."
)


def described(
    name: str, summary: str, model: Any, *codes: str, also: Responses | None = None, **options: Any
) -> dict[str, Any]:
    """Options of a route: its operation id, its summary, the model of its answer, and `codes` of its problems.

    `also`: other responses by status.
    """
    responses = (also or {}) | _problems(codes)
    return {"operation_id": name, "summary": summary, "response_model": model, "responses": responses, **options}


def _problems(codes: tuple[str, ...]) -> Responses:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in codes:
        by_status[errors.CODES[code].status].append(code)
    return {
        status: {
            "description": ", ".join(f"`{code}`: {errors.CODES[code].title}" for code in named),
            "content": {errors.MEDIA_TYPE: {"schema": _ref(ProblemView)}},
            "x-codes": named,
        }
        for status, named in sorted(by_status.items())
    }


def edit_body() -> dict[str, Any]:
    """`openapi_extra` of the route that reads its body itself."""
    encoding = {"image": {"contentType": ", ".join(_PICTURES)}, "metadata": {"contentType": "application/json"}}
    form = {"schema": {"$ref": _REF.format(model=_FORM)}, "encoding": encoding}
    content = {"application/json": {"schema": _ref(EditRequest)}, "multipart/form-data": form}
    return {"requestBody": {"required": True, "content": content}}


def pictures(description: str, *, or_address: bool = False) -> dict[str, Any]:
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _PICTURES}
    response = {"description": description, "content": content}
    return response | {"model": AddressView} if or_address else response


class DescribedApp(FastAPI):
    """An app whose description is completed when it is first asked for."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            _complete(super().openapi())
        return super().openapi()


def _complete(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, never used
        schemas.pop(name, None)
    _, made = models_json_schema([(EditRequest, "validation"), (ProblemView, "serialization")], ref_template=_REF)
    schemas.update(made["$defs"])
    schemas[_FORM] = _form(schemas[EditRequest.__name__])
    described["components"]["securitySchemes"] = auth.SCHEMES
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            if "x-codes" not in responses.get("422", {"x-codes": []}):
                del responses["422"]  # FastAPI's own, never sent
            if path.startswith(CLOSED):
                operation["security"] = [{name: []} for name in auth.SCHEMES]
            examples.complete(path, operation)
            if method == "head":  # the same status and headers as for GET, without a body
                for response in responses.values():
                    response.pop("content", None)
    described["x-problems"] = {
        code: {"status": kind.status, "title": kind.title, "retryable": kind.retryable}
        for code, kind in errors.CODES.items()
    }


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a multipart edit: the picture is a file."""
    file = {"type": "string", "format": "binary", "description": "The picture: PNG, JPEG or WebP."}
    described = "One edit: a picture as a file, and a prompt. `metadata` is a JSON object as text."
    form = schema | {"title": _FORM, "description": described, "properties": schema["properties"] | {"image": file}}
    del form["examples"]
    return form
