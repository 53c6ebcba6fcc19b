"""Makes pictures fit for the provider: upright, opaque, eight bits, no CMYK, no notes, nothing behind the end.

A picture that is so already stays byte for byte. Decoding takes tens of milliseconds and more: call it in a thread.
"""

import io
from contextlib import suppress
from typing import Final

from PIL import Image, ImageChops, ImageCms

from edits.media import pictures
from edits.media.kinds import PictureInvalid
from edits.media.sniff import PictureInfo, inspect, sniff
from edits.media.stripping import Bare, stripped

LOSSLESS_UP_TO: Final = 4_000_000  # pixels. A larger PNG would take seconds to write: it becomes a JPEG.
JPEG_QUALITIES: Final = (95, 85, 75)  # the first that fits under the cap: a camera's own may be lower than the best
LONGEST_SIDE: Final = 65_500  # pixels: the longest side of a JPEG

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
"""Turns and flips by their EXIF orientation."""

_KEPT_MODES: Final = frozenset({"RGB", "L", "P", "1"})
_PNG_DEPTH_AT: Final = 24  # offset of the bits a sample in a PNG; Pillow's mode does not tell them


def clean(data: bytes, *, max_bytes: int) -> tuple[PictureInfo, bytes]:
    """The picture as stored, and its kind and size. Raises PictureInvalid if its pixels cannot be decoded whole.

    Applies the EXIF orientation, lays alpha on white, takes the first picture of an animation, turns CMYK and 16 bits
    into plain RGB. Pixels that stay keep their file, without notes; other files have sRGB colours.
    """
    found = sniff(data)
    if found is None:
        return inspect(data), data  # raises: it is cut short, or of another kind
    bare = stripped(data, found.info.extension)
    with pictures.opened(bare, found.info) as picture:
        turn = _TURNS.get(pictures.orientation(bare.exif))
        if turn is None and _is_plain(picture, bare):
            return found.info, bare.data
        plain = _plain(picture, bare)
    if turn is not None:
        plain = plain.transpose(turn)
    written = _written(plain, lossless=found.info.content_type != "image/jpeg", max_bytes=max_bytes)
    return inspect(written), written


def _depth(picture: Image.Image, bare: Bare) -> int:
    return bare.data[_PNG_DEPTH_AT] if picture.format == "PNG" else 8


def _is_plain(picture: Image.Image, bare: Bare) -> bool:
    is_cut = bare.is_open and picture.format == "PNG"  # its packed pixels may lack their end
    changed = is_cut or bare.clear or bare.profile or picture.has_transparency_data or _depth(picture, bare) == 16
    return picture.mode in _KEPT_MODES and not changed and not getattr(picture, "is_animated", False)


def _plain(picture: Image.Image, bare: Bare) -> Image.Image:
    if bare.profile:
        picture.info["icc_profile"] = bare.profile
    depth = _depth(picture, bare)
    if picture.mode in {"1", "L", "I;16", "I"} and (bare.clear or depth == 16):
        return _grey(picture, bare.clear, depth)
    if bare.clear:
        return _in_srgb(_without_colour(picture, bare))
    if picture.has_transparency_data:
        picture = _on_white(picture)
    return _in_srgb(picture)


def _grey(picture: Image.Image, clear: tuple[int, ...], depth: int) -> Image.Image:
    """Eight bits, and white where the sample is the transparent one."""
    if depth == 16:
        table = [(value * 255 + 32_895) >> 16 for value in range(1 << 16)]
        picture = picture.convert("I")
    else:
        table = list(range(256))
        picture = picture.convert("L")
    for value in clear:
        most = (1 << depth) - 1
        table[value & most if depth == 16 else (value & most) * 255 // most] = 255
    return picture.point(table, "L")


def _without_colour(picture: Image.Image, bare: Bare) -> Image.Image:
    """White where all three samples are the transparent ones, whole samples compared."""
    deep = _depth(picture, bare) == 16
    others = _others(picture, [value >> 8 if deep else value & 255 for value in bare.clear])
    if deep:
        low = _others(pictures.low_bytes(bare), [value & 255 for value in bare.clear])
        others = ImageChops.lighter(others, low)
    picture.paste("white", mask=ImageChops.invert(others))
    return picture


def _others(picture: Image.Image, colour: list[int]) -> Image.Image:
    """A mask of the pixels that have another colour."""
    mask = Image.new("L", picture.size)
    for band, value in zip(picture.split(), colour, strict=True):
        mask = ImageChops.lighter(mask, band.point([255] * value + [0] + [255] * (255 - value)))
    return mask


def _on_white(picture: Image.Image) -> Image.Image:
    seen = picture if picture.mode == "RGBA" else picture.convert("RGBA")
    paper = Image.new("RGB", picture.size, "white")
    paper.paste(seen, mask=seen)
    paper.info["icc_profile"] = picture.info.get("icc_profile")
    return paper


def _in_srgb(picture: Image.Image) -> Image.Image:
    """Converts by its own profile, if valid: without it, the colours of a phone's photograph fade."""
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
        reason = f"the picture must be re-encoded, and one side has more than {LONGEST_SIDE} pixels"
        raise PictureInvalid(reason, code="image_too_large")
    for quality in JPEG_QUALITIES:
        written = _saved(picture, "JPEG", quality=quality)
        if len(written) <= max_bytes:
            return written
    reason = f"the picture must be re-encoded, and then has more than {max_bytes} bytes"
    raise PictureInvalid(reason, code="image_too_large")


def _saved(picture: Image.Image, kind: str, **options: int) -> bytes:
    written = io.BytesIO()
    picture.save(written, kind, **options)
    return written.getvalue()
