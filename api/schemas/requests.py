"""The body of an edit. Unknown fields, numbers in quotes and `true` for 1 are refused; null means an absent field."""

import unicodedata
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator
from pydantic_core import PydanticCustomError, PydanticUseDefault

from edits.media import data_uri
from edits.models import DEFAULT_STEPS, Priority
from edits.network import addresses

MAX_AREA = 1_048_576
MAX_SEED = 2**53 - 1  # the largest integer that every JSON reader keeps exactly

_UNSEEN: Final = frozenset({"Cc", "Cf", "Mc", "Me", "Mn", "Zl", "Zp", "Zs"})
_FILLERS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols without a visible glyph


def _visible(text: str) -> str:
    """Refuses a text of invisible characters alone, such as zero-width spaces."""
    if all(character in _FILLERS or unicodedata.category(character) in _UNSEEN for character in text):
        raise PydanticCustomError("string_too_short", "must hold at least one visible character")
    return text


def _usable(address: str) -> str:
    fault = None if data_uri.is_data_uri(address) else addresses.fault(address)
    if fault:
        raise PydanticCustomError("address", "{fault}", {"fault": fault})
    return address


def _or_default(value: Any) -> Any:
    if value is None:
        raise PydanticUseDefault
    return value


_T = TypeVar("_T")
OrDefault = Annotated[_T | None, BeforeValidator(_or_default)]  # a field with a default for which null stands

Side = Annotated[int, Field(ge=128, le=2048, multiple_of=8)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Value = Annotated[str, StringConstraints(max_length=512)]


class EditRequest(BaseModel):
    """One edit: a picture and a prompt."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra={
            "examples": [{"prompt": "make the sky stormy", "image": "https://example.com/house.jpg"}],
        },
    )

    prompt: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000), AfterValidator(_visible)
    ] = Field(description="The change to make; 1 to 4000 characters after trimming.")
    image: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_usable)] = Field(
        description="`https://…`, `http://…` or `data:image/png|jpeg|webp;base64,…`. If a signed address expires "
        "within ten seconds of the submission, the edit fails as `expired` at no cost. Pictures that we store are "
        "normalised: upright, opaque, no metadata.",
        json_schema_extra={"pattern": "^\\s*([Hh][Tt][Tt][Pp][Ss]?://|[Dd][Aa][Tt][Aa]:)"},
    )
    image_fetch: OrDefault[Literal["provider", "copy"]] = Field(
        default="provider",
        description="Who fetches an address: the `provider` when it runs, or `copy`: Retouch, before it answers.",
    )
    width: Side | None = Field(default=None, description="With `height`, or neither; the area is at most 1,048,576.")
    height: Side | None = Field(default=None, description="With `width`, or neither.", validate_default=True)
    steps: OrDefault[Annotated[int, Field(ge=1, le=40)]] = DEFAULT_STEPS
    seed: OrDefault[Annotated[int, Field(ge=-1, le=MAX_SEED)]] = Field(
        default=-1, description="-1: drawn below 2^31 and shown."
    )
    priority: OrDefault[Priority] = Priority.STANDARD
    expires_in: Annotated[int, Field(ge=1, le=604_800)] | None = Field(
        default=None, description="Seconds. If the edit is not submitted by then, it fails as `expired` at no cost."
    )
    external_id: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = Field(
        default=None, description="Your own id; the list can be filtered by it."
    )
    metadata: OrDefault[Annotated[dict[Key, Value], Field(max_length=16)]] = Field(default_factory=dict)

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
