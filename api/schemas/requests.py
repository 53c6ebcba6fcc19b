"""The body of an edit. Unknown fields, numbers in quotes and `true` for 1 are refused; null means an absent field."""

import unicodedata
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    field_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, PydanticUseDefault, core_schema

from edits.media import data_uri
from edits.models import DEFAULT_STEPS, Priority
from edits.network import addresses

MAX_AREA = 1_048_576
MAX_SEED = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly."""

_UNSEEN: Final = frozenset({"Cc", "Cf", "Mc", "Me", "Mn", "Zl", "Zp", "Zs"})
_FILLERS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols without a visible glyph."""


def _visible(text: str) -> str:
    """Refuses a text of invisible characters alone, such as zero-width spaces."""
    if all(character in _FILLERS or unicodedata.category(character) in _UNSEEN for character in text):
        raise PydanticCustomError("string_too_short", "must hold at least one visible character")
    return text


class _NullIsAbsent:
    """Marks a field with a default for which null stands; its JSON schema allows null, too."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_or_default, core_schema.nullable_schema(handler(source)))


def _or_default(value: Any) -> Any:
    if value is None:
        raise PydanticUseDefault
    return value


_NULLABLE: Final = _NullIsAbsent()

Side = Annotated[int, Field(ge=128, le=2048, multiple_of=8)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Value = Annotated[str, StringConstraints(max_length=512)]


class EditFields(BaseModel):
    """The fields of an edit without its picture."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    prompt: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000), AfterValidator(_visible)
    ] = Field(description="The change to make; 1 to 4000 characters after trimming.")
    image: str | None = None
    image_fetch: Annotated[Literal["provider", "copy"], _NULLABLE] = Field(
        default="provider",
        description="Who fetches an address: the `provider` when it runs, or `copy`: Retouch, before it answers.",
    )
    width: Side | None = Field(default=None, description="With `height`, or neither; the area is at most 1,048,576.")
    height: Side | None = Field(default=None, description="With `width`, or neither.", validate_default=True)
    steps: Annotated[int, Field(ge=1, le=40), _NULLABLE] = DEFAULT_STEPS
    seed: Annotated[int, Field(ge=-1, le=MAX_SEED), _NULLABLE] = Field(
        default=-1, description="-1: drawn below 2^31 and shown."
    )
    priority: Annotated[Priority, _NULLABLE] = Priority.STANDARD
    expires_in: Annotated[int, Field(ge=1, le=604_800)] | None = Field(
        default=None, description="Seconds. If the edit is not submitted by then, it fails as `expired` at no cost."
    )
    external_id: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = Field(
        default=None, description="Your own id; the list can be filtered by it."
    )
    metadata: Annotated[dict[Key, Value], Field(max_length=16), _NULLABLE] = Field(default_factory=dict)

    @field_validator("height")
    @classmethod
    def _fits_the_width(cls, height: int | None, info: Any) -> int | None:
        if "width" not in info.data:  # it has a fault of its own
            return height
        width = info.data["width"]
        if (width is None) != (height is None):
            raise PydanticCustomError("missing", "width and height go together: send both or neither")
        if width and height and width * height > MAX_AREA:
            message = "width times height is {area}; at most 1048576 is allowed"
            raise PydanticCustomError("less_than_equal", message, {"area": width * height})
        return height


class EditRequest(EditFields):
    """One edit: a picture and a prompt."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"prompt": "make the sky stormy", "image": "https://example.com/house.jpg"}],
        },
    )

    image: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = Field(
        description="`https://…`, `http://…` or `data:image/png|jpeg|webp;base64,…`. If a signed address expires "
        "within ten seconds of the submission, the edit fails as `expired` at no cost. Pictures that we store are "
        "normalised: upright, opaque, no metadata.",
        json_schema_extra={"pattern": "^\\s*([Hh][Tt][Tt][Pp][Ss]?://|[Dd][Aa][Tt][Aa]:)"},
    )

    @field_validator("image")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        fault = None if data_uri.is_data_uri(value) else addresses.fault(value)
        if fault:
            raise PydanticCustomError("address", "{fault}", {"fault": fault})
        return value
