"""The provider's wire format: tolerant in (any JSON comes out as a model or as Unreadable), strict out."""

import base64
import json
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from qubico import prose, reading
from qubico.errors import ResultGone, ResultTooLarge, Unreadable
from qubico.status import TaskStatus

__all__ = ["KontextRequest", "Task", "TaskStatus", "error_texts", "parse_task"]

MODEL = "Qubico/flux1-dev-advanced"
TASK_TYPE = "kontext"
_UNDERWAY = frozenset({TaskStatus.STAGED, TaskStatus.PENDING, TaskStatus.PROCESSING})
_URL_SAFE = str.maketrans("-_", "+/")


class KontextRequest(BaseModel):
    """One edit as the provider wants it. Numbers are real integers: its server refuses quoted ones."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    prompt: str = Field(min_length=1, repr=False)
    image: str = Field(min_length=1, repr=False)
    width: int | None = Field(default=None, ge=1)  # absent: the provider's default, which does not follow the picture
    height: int | None = Field(default=None, ge=1)
    steps: int = Field(ge=1, le=40)
    seed: int = Field(ge=-1)
    webhook_endpoint: str = Field(default="", repr=False)
    webhook_secret: str = Field(default="", repr=False)

    @field_validator("prompt", "image", "webhook_endpoint", "webhook_secret")
    @classmethod
    def _can_be_sent(cls, value: str) -> str:
        value.encode()  # a lone surrogate is a ValueError here instead of inside the call that buys
        return value

    def wire(self) -> dict[str, Any]:
        size = {"width": self.width, "height": self.height}
        return {
            "model": MODEL,
            "task_type": TASK_TYPE,
            "input": {
                "prompt": self.prompt,
                "image": self.image,
                **{name: side for name, side in size.items() if side is not None},
                "steps": self.steps,
                "seed": self.seed,
            },
            "config": {"webhook_config": {"endpoint": self.webhook_endpoint, "secret": self.webhook_secret}},
        }

    def body(self) -> bytes:
        return json.dumps(self.wire(), ensure_ascii=False, separators=(",", ":")).encode()


class Task(BaseModel):
    """A task as an answer or a callback shows it. Its repr holds no prompt, address, secret or log."""

    model_config = ConfigDict(frozen=True)

    task_id: str
    status: TaskStatus
    raw_status: str = ""
    input: dict[str, Any] = Field(default_factory=dict, repr=False)
    image_url: str | None = Field(default=None, repr=False)
    image_base64: str | None = Field(default=None, repr=False)
    created_at: datetime | None = None
    started_at: datetime | None = None  # may stay empty while the task runs: trust `status`
    ended_at: datetime | None = None
    frozen: int | None = None  # units held while the task runs, 10,000,000 to the dollar; 0 in answers before 2026
    consume: int | None = None  # units; before 2026 the price from the start, since then 0 until the task has ended
    error_code: int | None = None  # non-zero also in examples that succeeded: not a failure while `status` is not
    message: str = Field(default="", repr=False)  # why it failed, fit to be shown
    raw_message: str = Field(default="", repr=False)
    logs: tuple[str, ...] = Field(default=(), repr=False)
    webhook_endpoint: str | None = Field(default=None, repr=False)
    webhook_secret: SecretStr | None = Field(default=None, repr=False)

    @property
    def is_final(self) -> bool:
        return self.status in {TaskStatus.COMPLETED, TaskStatus.FAILED}

    @property
    def quote(self) -> int | None:
        """Units that the task costs as far as this answer shows; None if it shows no price."""
        return max(self.frozen or 0, self.consume or 0) or None

    @property
    def charge(self) -> int | None:
        """Units of a completed task; None before, and if the answer shows no price."""
        return (self.consume or self.quote) if self.status is TaskStatus.COMPLETED else None

    @property
    def moderated(self) -> bool:
        """Failed for its content."""
        return self.status is TaskStatus.FAILED and prose.speaks_of_moderation(self._texts)

    @property
    def out_of_credit(self) -> bool:
        """Failed because the account could not pay."""
        return self.status is TaskStatus.FAILED and prose.speaks_of_missing_credit(self._texts)

    @property
    def _texts(self) -> tuple[str, ...]:
        return (self.message, self.raw_message, *self.logs)

    def image_bytes(self, *, max_bytes: int) -> bytes:
        """The file that came inside the answer; whether it is a picture is for the caller to check."""
        encoded = "".join((self.image_base64 or "").rpartition("base64,")[2].split()).rstrip("=")
        if len(encoded) * 3 // 4 > max_bytes:
            raise ResultTooLarge(f"the file in output.image_base64 is over {max_bytes} bytes")
        try:
            padded = encoded.translate(_URL_SAFE) + "=" * (-len(encoded) % 4)
            decoded = base64.b64decode(padded, validate=True)
        except ValueError:
            raise ResultGone("output.image_base64 is not base64") from None
        if not decoded:
            raise ResultGone("output.image_base64 is empty")
        return decoded


def parse_task(payload: object) -> Task:
    """A create or get reply, a callback's `{timestamp, data}`, or a task's fields at the top level."""
    envelope = reading.mapping(payload)
    data = reading.mapping(envelope.get("data")) or envelope
    task_id = reading.identifier(data.get("task_id"))
    if not task_id:
        raise Unreadable("no task in it: expected an object with data.task_id")
    meta = reading.mapping(data.get("meta"))
    usage = reading.mapping(meta.get("usage"))
    hook = reading.mapping(reading.mapping(data.get("config")).get("webhook_config"))
    secret = reading.text(hook.get("secret"))
    raw_status = reading.text(data.get("status"))
    status = TaskStatus.read(raw_status)
    return Task(
        task_id=task_id,
        status=status,
        raw_status=raw_status,
        input=reading.mapping(data.get("input")),
        created_at=reading.moment(meta.get("created_at")),
        started_at=reading.moment(meta.get("started_at")),
        ended_at=reading.moment(meta.get("ended_at")),
        frozen=reading.whole(usage.get("frozen")),
        consume=reading.whole(usage.get("consume")),
        webhook_endpoint=reading.text(hook.get("endpoint")) or None,
        webhook_secret=SecretStr(secret) if secret else None,
        **({} if status in _UNDERWAY else _outcome(payload, data, status)),
    )


def _outcome(payload: object, data: dict[str, Any], status: TaskStatus) -> dict[str, Any]:
    """What only a task that has ended shows. Most reads find one underway, and cost little more than their bytes."""
    error = reading.mapping(data.get("error"))
    said = error_texts(payload) if status is not TaskStatus.COMPLETED else []
    image_url, image_base64 = _image(reading.mapping(data.get("output")))
    return {
        "image_url": image_url,
        "image_base64": image_base64,
        "error_code": reading.whole(error.get("code")) or None,
        "message": prose.shown(said[0]) if said else "",
        "raw_message": reading.text(error.get("raw_message")),
        "logs": reading.lines(data.get("logs")),
    }


def error_texts(payload: object) -> list[str]:
    """All an answer says about what went wrong, the first to be shown; the real cause may stand in the logs only."""
    envelope = reading.mapping(payload)
    data = reading.mapping(envelope.get("data")) or envelope
    error = data.get("error")
    parts = error if isinstance(error, dict) else {"message": error}
    said = [parts.get("message"), parts.get("raw_message"), parts.get("detail"), data.get("detail")]
    said += [*reversed(reading.lines(data.get("logs"))), envelope.get("message"), envelope.get("error")]
    texts = [reading.text(item) for item in said]
    return [item for item in dict.fromkeys(texts) if item and item.casefold() not in {"success", "ok"}]


def _image(output: dict[str, Any]) -> tuple[str | None, str | None]:
    """Address and base64; the key is `image_url` or `image_urls` depending on the model."""
    found = [*reading.addresses(output.get("image_url")), *reading.addresses(output.get("image_urls"))]
    inline = reading.text(output.get("image_base64"))
    address = next((item for item in found if not item.startswith("data:")), None)
    return address, inline or next((item for item in found if item.startswith("data:")), None)
