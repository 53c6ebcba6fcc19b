"""Pictures made fit for the provider: upright, opaque, eight bits, no CMYK. What is so already stays byte for byte.

All of it decodes pixels for tens of milliseconds and more: call it in a thread.
"""

import io
from contextlib import suppress
from typing import Final

from PIL import Image, ImageCms, PngImagePlugin

from edits.media import pictures
from edits.media.structure import PictureInfo, PictureInvalid

LOSSLESS_UP_TO: Final = 4_000_000
"""Pixels. A larger PNG would take seconds to write: it becomes a JPEG."""

JPEG_QUALITIES: Final = (95, 85, 75)
"""The first that fits under the cap: a camera's own may be lower than the best."""

LONGEST_SIDE: Final = 65_500
"""Pixels: what is longer a JPEG cannot hold."""

_Turn = Image.Transpose
_TURNS: Final = {
    2: _Turn.FLIP_LEFT_RIGHT,
    3: _Turn.ROTATE_180,
    4: _Turn.FLIP_TOP_BOTTOM,
    5: _Turn.TRANSPOSE,
    6: _Turn.ROTATE_270,
    7: _Turn.TRANSVERSE,
    8: _Turn.ROTATE_90,
}
"""What a camera's note asks for, as EXIF numbers it."""

_KEPT_MODES: Final = frozenset({"RGB", "L", "P", "1"})
_DEEP: Final = 65536 / 256
_PNG_DEPTH_AT: Final = 24
"""Where a PNG says how many bits a sample has; of some deep ones Pillow's mode does not tell."""


def clean(data: bytes, *, max_bytes: int) -> tuple[PictureInfo, bytes]:
    """The picture as it is kept, and what it is. Raises PictureInvalid for one that cannot be opened.

    A camera's orientation is applied, alpha is laid on white, an animation becomes its first picture, CMYK and 16 bits
    become plain RGB. Whatever is written anew has sRGB colours and no metadata.
    """
    info = pictures.inspect(data)
    found = _made_plain(data, info)
    if found is None:
        return info, data
    plain, turn = found
    if turn is not None:
        plain = plain.transpose(turn)
    written = _written(plain, lossless=info.content_type != "image/jpeg", max_bytes=max_bytes)
    return pictures.inspect(written), written


def _made_plain(data: bytes, info: PictureInfo) -> tuple[Image.Image, Image.Transpose | None] | None:
    """The picture in plain pixels, and how it is to be turned; None if it is clean as it is."""
    with pictures.opened(data, info) as picture:
        turn = _TURNS.get(pictures.orientation(picture))
        if turn is None and _is_plain(picture, data):
            return None
        return _plain(picture), turn


def _is_plain(picture: Image.Image, data: bytes) -> bool:
    deep = isinstance(picture, PngImagePlugin.PngImageFile) and data[_PNG_DEPTH_AT] == 16
    several = getattr(picture, "is_animated", False)
    return picture.mode in _KEPT_MODES and not (deep or several or picture.has_transparency_data)


def _plain(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        return picture.point(lambda value: value / _DEEP).convert("L")  # a bare conversion would clip, not scale
    if picture.has_transparency_data:
        picture = _on_white(picture)
    return _in_srgb(picture)


def _on_white(picture: Image.Image) -> Image.Image:
    seen = picture if picture.mode == "RGBA" else picture.convert("RGBA")
    paper = Image.new("RGB", picture.size, "white")
    paper.paste(seen, mask=seen)
    paper.info["icc_profile"] = picture.info.get("icc_profile")
    return paper


def _in_srgb(picture: Image.Image) -> Image.Image:
    """By its own profile, where it has one that makes sense: without it, the colours of a phone's photograph fade."""
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in {"RGB", "CMYK"}:
        with suppress(ImageCms.PyCMSError, OSError, ValueError):  # a broken profile is no reason to refuse a picture
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            picture = converted or picture
    return picture if picture.mode in {"RGB", "L"} else picture.convert("RGB")


def _written(picture: Image.Image, *, lossless: bool, max_bytes: int) -> bytes:
    picture.info = {}
    if lossless and picture.width * picture.height <= LOSSLESS_UP_TO:
        written = _saved(picture, "PNG", compress_level=1)
        if len(written) <= max_bytes:
            return written
    if max(picture.size) > LONGEST_SIDE:
        reason = f"the picture has to be written anew, and a side of it has more than {LONGEST_SIDE} pixels"
        raise PictureInvalid(reason, code="image_too_large")
    for quality in JPEG_QUALITIES:
        written = _saved(picture, "JPEG", quality=quality)
        if len(written) <= max_bytes:
            return written
    reason = f"the picture has to be written anew, and has more than {max_bytes} bytes then"
    raise PictureInvalid(reason, code="image_too_large")


def _saved(picture: Image.Image, kind: str, **options: int) -> bytes:
    written = io.BytesIO()
    picture.save(written, kind, **options)
    return written.getvalue()
