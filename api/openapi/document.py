"""The API described in OpenAPI as it really answers: problems as problem+json, bodies that routes read themselves."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from api import auth, errors
from api.openapi import examples
from api.problem import ProblemView
from api.schemas.bodies import AddressView, EditRequest

Responses = dict[int | str, dict[str, Any]]

CLOSED: Final = "/v1/edits"
"""What begins so needs a key."""

_REF: Final = "#/components/schemas/{model}"

_FORM: Final = "EditForm"

_PICTURES: Final = ("image/png", "image/jpeg", "image/webp")

DESCRIPTION: Final = (
    "Edits of pictures by a slow and costly provider, bought once each. An edit is accepted at once (202) and worked "
    "on behind; look at it until its `status` is `succeeded`, `failed` or `canceled`, or send `Prefer: wait`. "
    "Every error is `application/problem+json` (RFC 9457): decide by its `code`."
)


def answers(model: Any, described: dict[int, str], *codes: str) -> Responses:
    """`responses` of a route: other statuses that show `model`, and the problems it may answer, by their codes."""
    responses: Responses = {status: {"model": model, "description": text} for status, text in described.items()}
    return responses | problems(*codes)


def problems(*codes: str) -> Responses:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in codes:
        by_status[errors.CODES[code].status].append(code)
    return {
        status: {
            "model": ProblemView,
            "description": ", ".join(f"`{code}`: {errors.CODES[code].title}" for code in named),
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


def callback_body() -> dict[str, Any]:
    """`openapi_extra` of the route whose body is the provider's own: only its name is relied on."""
    task = {
        "type": "object",
        "description": "A task as the provider shows it; all but its id and status is passed over.",
    }
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": task}}}}


def pictures(description: str, *, or_address: bool = False) -> dict[str, Any]:
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _PICTURES}
    address = {"application/json": {"schema": _ref(AddressView)}} if or_address else {}
    return {"description": description, "content": content | address}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def install(app: FastAPI) -> None:
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(generate)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way to extend its description


def _completed(generate: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    described = generate()
    schemas = described["components"]["schemas"]
    for model in (EditRequest, AddressView):  # routes that read or write their bodies themselves
        schema = model.model_json_schema(ref_template=_REF)
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    schemas[_FORM] = _form(schemas[EditRequest.__name__])
    described["components"]["securitySchemes"] = auth.SCHEMES
    problem = _ref(ProblemView)
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if path.startswith(CLOSED):
                operation["security"] = [{name: []} for name in auth.SCHEMES]
            for response in operation["responses"].values():
                shown = response.get("content", {}).get("application/json", {})
                if shown.get("schema") == problem:
                    response["content"] = {errors.MEDIA_TYPE: shown}
            examples.complete(path, operation)
            if method == "head":  # the same status and headers as for GET, and nothing behind them
                for response in operation["responses"].values():
                    response.pop("content", None)
    described["x-problems"] = {
        code: {"status": kind.status, "title": kind.title, "retryable": kind.retryable}
        for code, kind in errors.CODES.items()
    }
    return described


def _form(asked: dict[str, Any]) -> dict[str, Any]:
    """An edit's fields where the picture comes as a file."""
    file = {"type": "string", "format": "binary", "description": "The picture: PNG, JPEG or WebP."}
    described = "One edit: a picture as a file, and what to do with it; `metadata` is an object written as JSON."
    form = {name: value for name, value in asked.items() if name != "examples"}
    return form | {"title": _FORM, "description": described, "properties": asked["properties"] | {"image": file}}
