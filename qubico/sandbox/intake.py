"""Reads the body of a create as strictly as the provider's Go server does: a wrong JSON type is refused."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict

MODEL = "Qubico/flux1-dev-advanced"
TASK_TYPE = "kontext"
OTHER_MODELS = ("Qubico/flux1-dev", "Qubico/flux1-schnell")
SIDE = (128, 2048)
MAX_AREA = 1_048_576
MAX_STEPS = 40
INT64 = 2**63
KINDS: dict[type, str] = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
GO_TYPES: dict[type, str] = {str: "string", int: "int", dict: "map[string]interface {}"}


class BadRequest(Exception):
    """The create is answered 400 with this text."""


class Order(BaseModel):
    """The requested edit, with the provider's defaults."""

    model_config = ConfigDict(frozen=True)

    model: str
    task_type: str
    prompt: str
    image: str
    width: int
    height: int
    steps: int
    seed: int
    service_mode: str
    endpoint: str
    secret: str


def parse(body: bytes) -> Order:
    top = _Fields(_json(body), "CreateTask", {"model": str, "task_type": str, "input": dict, "config": dict})
    _check_kind(top)
    asked = _Fields(
        top.get("input", {}),
        "CreateTask.input",
        {"prompt": str, "image": str, "width": int, "height": int, "steps": int, "seed": int},
    )
    config = _Fields(top.get("config", {}), "CreateTask.config", {"service_mode": str, "webhook_config": dict})
    hook = _Fields(
        config.get("webhook_config", {}), "CreateTask.config.webhook_config", {"endpoint": str, "secret": str}
    )
    order = Order(
        model=top.get("model", ""),
        task_type=top.get("task_type", ""),
        prompt=asked.get("prompt", ""),
        image=asked.get("image", ""),
        width=asked.get("width", 0) or 1024,
        height=asked.get("height", 0) or 1024,
        steps=asked.get("steps", 0) or 28,
        seed=asked.get("seed", -1),
        service_mode=config.get("service_mode", ""),
        endpoint=hook.get("endpoint", ""),
        secret=hook.get("secret", ""),
    )
    _check_bounds(order)
    return order


class _Fields:
    """One JSON object with its allowed names; `null` counts as absent, as in Go."""

    def __init__(self, value: dict[str, Any], path: str, allowed: dict[str, type]) -> None:
        for name, given in value.items():
            if name not in allowed:
                raise BadRequest(f'json: unknown field "{name}"')
            if given is not None:
                _check_type(given, allowed[name], f"{path}.{name}")
        self._value = value

    def get(self, name: str, default: Any) -> Any:
        value = self._value.get(name)
        return default if value is None else value


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


def _check_type(given: Any, wanted: type, path: str) -> None:
    kind = KINDS[type(given)]
    if type(given) is wanted and not (isinstance(given, int) and abs(given) >= INT64):
        return
    shown = f"{kind} {given}" if kind == "number" and wanted is int else kind
    raise BadRequest(f"json: cannot unmarshal {shown} into Go struct field {path} of type {GO_TYPES[wanted]}")


def _check_kind(top: _Fields) -> None:
    model = top.get("model", "")
    if model != MODEL and model not in OTHER_MODELS:
        raise BadRequest("invalid model")
    if model != MODEL or top.get("task_type", "") != TASK_TYPE:
        raise BadRequest("invalid task type")


def _check_bounds(order: Order) -> None:
    low, high = SIDE
    if not order.prompt.strip():
        raise BadRequest("prompt is required")
    if not order.image:
        raise BadRequest("image is required")
    if not (low <= order.width <= high and low <= order.height <= high):
        raise BadRequest(f"width and height must be between {low} and {high}")
    if order.width * order.height > MAX_AREA:
        raise BadRequest(f"width*height must not exceed {MAX_AREA}")
    if not 1 <= order.steps <= MAX_STEPS:
        raise BadRequest(f"steps must be between 1 and {MAX_STEPS}")
    if order.seed < -1:
        raise BadRequest("seed must be -1 or greater")
    if order.service_mode not in ("", "public", "private"):
        raise BadRequest("invalid service mode")
