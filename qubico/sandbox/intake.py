"""Reads the body of a create as strictly as the provider's Go server does: a wrong JSON type is refused."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from qubico.sandbox.wire import BadRequest

INT64 = 2**63
MAX_AREA = 1_048_576
KINDS: dict[type, str] = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
GO_TYPES: dict[type, str] = {str: "string", int: "int", dict: "map[string]interface {}"}


class Field(NamedTuple):
    """A zero value that is not valid counts as absent, as in Go."""

    type: type
    default: Any
    valid: Callable[[Any], object]
    refusal: str


class Rule(NamedTuple):
    """A bound over several fields of one input."""

    valid: Callable[[dict[str, Any]], bool]
    refusal: str


class TaskType(NamedTuple):
    fields: dict[str, Field]
    rules: tuple[Rule, ...] = ()


def _whole(low: int, high: int, *, default: int, refusal: str) -> Field:
    return Field(int, default, lambda value: low <= value <= high, refusal)


SIDE = _whole(128, 2048, default=1024, refusal="width and height must be between 128 and 2048")
CATALOGUE: dict[tuple[str, str], TaskType] = {
    ("Qubico/flux1-dev-advanced", "kontext"): TaskType(
        {
            "prompt": Field(str, "", str.strip, "prompt is required"),
            "image": Field(str, "", bool, "image is required"),
            "width": SIDE,
            "height": SIDE,
            "steps": _whole(1, 40, default=28, refusal="steps must be between 1 and 40"),
            "seed": _whole(-1, INT64, default=-1, refusal="seed must be -1 or greater"),
        },
        (Rule(lambda asked: asked["width"] * asked["height"] <= MAX_AREA, f"width*height must not exceed {MAX_AREA}"),),
    )
}
MODELS = {"Qubico/flux1-dev", "Qubico/flux1-schnell", *(model for model, _ in CATALOGUE)}


class Order(BaseModel):
    """The requested edit; its input is complete, with the provider's defaults."""

    model_config = ConfigDict(frozen=True)

    model: str
    task_type: str
    input: dict[str, Any]
    service_mode: str
    endpoint: str
    secret: str

    @property
    def prompt(self) -> str:
        return str(self.input.get("prompt", ""))

    @property
    def seed(self) -> int:
        return int(self.input.get("seed", -1))


def parse(body: bytes) -> Order:
    """Raises: BadRequest, with the server's text."""
    top = _fields(_json(body), "CreateTask", {"model": str, "task_type": str, "input": dict, "config": dict})
    model, task_type = top.get("model", ""), top.get("task_type", "")
    if model not in MODELS:
        raise BadRequest("invalid model")
    if (model, task_type) not in CATALOGUE:
        raise BadRequest("invalid task type")
    kind = CATALOGUE[model, task_type]
    types = {name: field.type for name, field in kind.fields.items()}
    asked = _fields(top.get("input", {}), "CreateTask.input", types)
    config = _fields(top.get("config", {}), "CreateTask.config", {"service_mode": str, "webhook_config": dict})
    path = "CreateTask.config.webhook_config"
    hook = _fields(config.get("webhook_config", {}), path, {"endpoint": str, "secret": str})
    service_mode = config.get("service_mode", "")
    if service_mode not in ("", "public", "private"):
        raise BadRequest("invalid service mode")
    return Order(
        model=model,
        task_type=task_type,
        input=_complete(asked, kind),
        service_mode=service_mode,
        endpoint=hook.get("endpoint", ""),
        secret=hook.get("secret", ""),
    )


def _complete(asked: dict[str, Any], kind: TaskType) -> dict[str, Any]:
    values = {}
    for name, field in kind.fields.items():
        value = asked.get(name, field.default)
        values[name] = value if value or field.valid(value) else field.default
        if not field.valid(values[name]):
            raise BadRequest(field.refusal)
    for rule in kind.rules:
        if not rule.valid(values):
            raise BadRequest(rule.refusal)
    return values


def _json(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise BadRequest("EOF")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise BadRequest(f"invalid character in request body: {exc}") from exc
    if not isinstance(value, dict):
        kind = KINDS.get(type(value), "null")
        raise BadRequest(f"json: cannot unmarshal {kind} into Go value of type CreateTask")
    return value


def _fields(value: dict[str, Any], path: str, allowed: dict[str, type]) -> dict[str, Any]:
    """The fields that are given; `null` counts as absent, as in Go."""
    given = {name: field for name, field in value.items() if field is not None or name not in allowed}
    for name, field in given.items():
        if name not in allowed:
            raise BadRequest(f'json: unknown field "{name}"')
        wanted, kind = allowed[name], KINDS[type(field)]
        if type(field) is not wanted or (isinstance(field, int) and abs(field) >= INT64):
            shown = f"{kind} {field}" if kind == "number" and wanted is int else kind
            text = f"json: cannot unmarshal {shown} into Go struct field {path}.{name} of type {GO_TYPES[wanted]}"
            raise BadRequest(text)
    return given
