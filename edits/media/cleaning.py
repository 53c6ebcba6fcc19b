"""Makes pictures fit for the provider: upright, opaque, eight bits, no CMYK, no notes, nothing after their end.

A picture that is so already stays byte for byte. Decoding takes tens of milliseconds and more: call it in a thread.
"""

import io
from contextlib import suppress
from typing import Final

from PIL import Image, ImageCms, ImageMath

from edits.media import pictures, png, sniff
from edits.media.picture import PictureInfo, PictureInvalid, Stripped

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
"""By the orientation in EXIF."""

_KEPT_MODES: Final = frozenset({"RGB", "L", "P", "1"})
_DEEP: Final = 65536 / 256


def clean(data: bytes, *, max_bytes: int) -> tuple[PictureInfo, bytes]:
    """The picture as it is stored, and what it is. Raises PictureInvalid for one that cannot be decoded whole.

    EXIF orientation is applied, alpha is laid on white, an animation becomes its first picture, CMYK and 16 bits become
    plain RGB. Such a picture is encoded again, in sRGB. From any other only the notes and trailing bytes are removed.
    """
    info = sniff.look(data)
    strip = pictures.stripped(data, info)
    with pictures.opened(strip, info) as picture:
        turn = _TURNS.get(pictures.orientation(strip.exif))
        if turn is None and strip.profile is None and _is_plain(picture, strip.data):
            return info, strip.data
        plain = _plain(picture, strip)
        if turn is not None:
            plain = plain.transpose(turn)
        written = _written(plain, lossless=info.content_type != "image/jpeg", max_bytes=max_bytes)
    return sniff.look(written), written


def _is_plain(picture: Image.Image, data: bytes) -> bool:
    deep = picture.format == "PNG" and png.bits(data) > 8
    several = getattr(picture, "is_animated", False)
    return picture.mode in _KEPT_MODES and not (deep or several or picture.has_transparency_data)


def _plain(picture: Image.Image, strip: Stripped) -> Image.Image:
    if strip.profile is not None:
        picture.info["icc_profile"] = strip.profile
    if picture.mode.startswith("I"):
        return _eight_bits(picture)
    if picture.has_transparency_data:
        picture = _on_white(picture, bits=png.bits(strip.data) if picture.format == "PNG" else 8)
    return _in_srgb(picture)


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits, scaled (a bare conversion would clip), with its one transparent value in white."""
    grey = picture.point(lambda value: value / _DEEP).convert("L")
    clear = picture.info.get("transparency")
    if clear is not None:
        where = ImageMath.lambda_eval(
            lambda names: names["convert"]((names["grey"] == clear) * 255, "L"), grey=picture.convert("I")
        )
        grey.paste(255, mask=where)
    return grey


def _on_white(picture: Image.Image, *, bits: int) -> Image.Image:
    clear = picture.info.get("transparency")
    if picture.mode == "L" and bits < 8 and isinstance(clear, int):  # Pillow scales the pixels, but not this value
        picture.info["transparency"] = clear * 255 // (2**bits - 1)
    if picture.mode == "RGB" and bits > 8 and isinstance(clear, tuple):
        picture.info["transparency"] = tuple(value >> 8 for value in clear)
    seen = picture if picture.mode == "RGBA" else picture.convert("RGBA")
    paper = Image.new("RGB", picture.size, "white")
    paper.paste(seen, mask=seen)
    paper.info["icc_profile"] = picture.info.get("icc_profile")
    return paper


def _in_srgb(picture: Image.Image) -> Image.Image:
    """Converts by its own profile, if it has a valid one: without it, the colours of a phone's photograph fade."""
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
        reason = f"the picture has to be encoded again, and a side of it has more than {LONGEST_SIDE} pixels"
        raise PictureInvalid(reason, code="image_too_large")
    for quality in JPEG_QUALITIES:
        written = _saved(picture, "JPEG", quality=quality)
        if len(written) <= max_bytes:
            return written
    reason = f"the picture has to be encoded again, and then has more than {max_bytes} bytes"
    raise PictureInvalid(reason, code="image_too_large")


def _saved(picture: Image.Image, kind: str, **options: int) -> bytes:
    written = io.BytesIO()
    picture.save(written, kind, **options)
    return written.getvalue()
