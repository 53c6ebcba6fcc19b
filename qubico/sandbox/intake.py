"""Reads the body of a create as strictly as the provider's Go server does: a wrong JSON type is refused."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from qubico.sandbox.wire import BadRequest

INT64 = 2**63
MAX_AREA = 1_048_576
KINDS: dict[type, str] = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
GO_TYPES: dict[type, str] = {str: "string", int: "int", dict: "map[string]interface {}"}


@dataclass(frozen=True, slots=True)
class Field:
    """A field that is absent, `null`, or an invalid zero value has the default, as in Go."""

    type: type
    default: Any
    valid: Callable[[Any], object] = lambda _value: True
    refusal: str = ""


SIDE = Field(int, 1024, lambda side: 128 <= side <= 2048, "width and height must be between 128 and 2048")
INPUT = {
    "prompt": Field(str, "", str.strip, "prompt is required"),
    "image": Field(str, "", bool, "image is required"),
    "width": SIDE,
    "height": SIDE,
    "steps": Field(int, 28, lambda steps: 1 <= steps <= 40, "steps must be between 1 and 40"),
    "seed": Field(int, -1, lambda seed: seed >= -1, "seed must be -1 or greater"),
}
KONTEXT = ("Qubico/flux1-dev-advanced", "kontext")
MODELS = {"Qubico/flux1-dev", "Qubico/flux1-schnell", KONTEXT[0]}
BODY = {
    "model": Field(str, "", MODELS.__contains__, "invalid model"),
    "task_type": Field(str, ""),
    "input": Field(dict, {}),
    "config": Field(dict, {}),
}
CONFIG = {
    "service_mode": Field(str, "", ("", "public", "private").__contains__, "invalid service mode"),
    "webhook_config": Field(dict, {}),
}
WEBHOOK = {"endpoint": Field(str, ""), "secret": Field(str, "")}


@dataclass(frozen=True, slots=True)
class Order:
    """The requested task; its input is complete, with the provider's defaults."""

    model: str
    task_type: str
    input: dict[str, Any]
    service_mode: str
    endpoint: str
    secret: str

    @property
    def prompt(self) -> str:
        return str(self.input["prompt"])


def parse(body: bytes) -> Order:
    """Raises: BadRequest, with the server's text."""
    top = _read(_json(body), "CreateTask", BODY)
    if (top["model"], top["task_type"]) != KONTEXT:
        raise BadRequest("invalid task type")
    asked = _read(top["input"], "CreateTask.input", INPUT)
    config = _read(top["config"], "CreateTask.config", CONFIG)
    webhook = _read(config["webhook_config"], "CreateTask.config.webhook_config", WEBHOOK)
    if asked["width"] * asked["height"] > MAX_AREA:
        raise BadRequest(f"width*height must not exceed {MAX_AREA}")
    return Order(top["model"], top["task_type"], asked, config["service_mode"], **webhook)


def _json(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise BadRequest("EOF")
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        raise BadRequest(f"invalid character in request body: {exc}") from exc
    if not isinstance(value, dict):
        kind = KINDS.get(type(value), "null")
        raise BadRequest(f"json: cannot unmarshal {kind} into Go value of type CreateTask")
    return value


def _read(given: dict[str, Any], path: str, fields: dict[str, Field]) -> dict[str, Any]:
    for name, value in given.items():
        if name not in fields:
            raise BadRequest(f'json: unknown field "{name}"')
        if value is not None:
            _check_type(value, fields[name].type, f"{path}.{name}")
    values = {}
    for name, field in fields.items():
        value = given.get(name)
        values[name] = value if value or (value is not None and field.valid(value)) else field.default
        if not field.valid(values[name]):
            raise BadRequest(field.refusal)
    return values


def _check_type(value: Any, wanted: type, path: str) -> None:
    if type(value) is wanted and not (isinstance(value, int) and abs(value) >= INT64):
        return
    kind = KINDS[type(value)]
    shown = f"{kind} {value}" if kind == "number" and wanted is int else kind
    raise BadRequest(f"json: cannot unmarshal {shown} into Go struct field {path} of type {GO_TYPES[wanted]}")
