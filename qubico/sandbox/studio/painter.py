"""Really edits a picture: loads it, fits it to the requested size, paints the prompt's words, and labels it.

The same picture, prompt, size and seed give the same bytes.
"""

import io
import re
import struct
import zlib
from functools import lru_cache
from random import Random

from PIL import Image, ImageDraw, ImageFont, ImageOps

from qubico.sandbox.faults import without_words
from qubico.sandbox.studio import brushes

INPUT_FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 50_000_000
SMALL = (64, 64)
QUOTED = re.compile(r"(?<!\w)[\"“«„']([^\"”»“']{1,80})[\"”»“'](?!\w)")


class BadPicture(Exception):
    """The input cannot be loaded, or opened as a picture."""


def paint(source: bytes, *, prompt: str, size: tuple[int, int], seed: int, small: bool, file_type: str) -> bytes:
    picture = _load(source, SMALL if small else size)
    words = without_words(prompt)
    text = _text_to_write(words)
    chosen = brushes.chosen(words) or ([] if text else [("retouched", brushes.vignette)])
    for _, brush in chosen:
        picture = brush(picture, Random(seed))  # noqa: S311 - repeatable on purpose
    if text:
        _write_text(picture, text)
    if not small:
        done = [name for name, _ in chosen] + ([f'text "{text}"'] if text else [])
        _write_caption(picture, f"Qubico sandbox: {', '.join(done)}")
    return _encode(picture, file_type)


def plain(*, size_bytes: int, mark: str) -> bytes:
    """A valid PNG of about this size, another for each mark, at the price of a copy: nothing is loaded or painted."""
    head, tail = _noise_png(size_bytes)
    return head + _chunk(b"tEXt", b"Comment\0" + mark.encode()) + tail


def _load(source: bytes, size: tuple[int, int]) -> Image.Image:
    try:
        with Image.open(io.BytesIO(source), formats=INPUT_FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise BadPicture(f"decode input image: {opened.width}x{opened.height} is more than {MAX_PIXELS} pixels")
            opened.draft("RGB", size)  # JPEG only: decodes no more pixels than needed
            turned = ImageOps.exif_transpose(opened)
            return ImageOps.fit(_on_white(turned), size, Image.Resampling.BICUBIC)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as exc:
        raise BadPicture("decode input image: image: unknown format") from exc


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    paper = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(paper, layer).convert("RGB")


def _text_to_write(prompt: str) -> str | None:
    """Quoted words, if the prompt speaks of writing at all."""
    quoted = QUOTED.search(prompt)
    speaks = re.search(r"\b(text|write|writing|word|words|title|caption|sign|says|saying|letters)\b", prompt.lower())
    return quoted[1].strip() if quoted and speaks else None


def _write_text(picture: Image.Image, text: str) -> None:
    draw = ImageDraw.Draw(picture)
    size = picture.width / 7
    width = draw.textlength(text, font=ImageFont.load_default(size))
    size *= min(1.0, picture.width * 0.9 / max(width, 1.0))
    place = (picture.width / 2, picture.height / 5)
    stroke = max(size / 14, 1.0)
    font = ImageFont.load_default(size)
    draw.text(place, text, font=font, fill="white", anchor="mm", stroke_width=stroke, stroke_fill="#1b1b28")


def _write_caption(picture: Image.Image, text: str) -> None:
    height = max(picture.height // 26, 14)
    top = picture.height - height
    strip = picture.crop((0, top, picture.width, picture.height))
    picture.paste(Image.blend(strip, Image.new("RGB", strip.size, "#101018"), 0.72), (0, top))
    font = ImageFont.load_default(height * 0.6)
    ImageDraw.Draw(picture).text((height * 0.5, top + height / 2), text, font=font, fill="#f4f1e8", anchor="lm")


def _encode(picture: Image.Image, file_type: str) -> bytes:
    out = io.BytesIO()
    if file_type == "jpg":
        picture.save(out, "JPEG", quality=90)
    elif file_type == "webp":
        picture.save(out, "WEBP", quality=88, method=1)
    else:
        picture.save(out, "PNG", compress_level=2)
    return out.getvalue()


@lru_cache(maxsize=4)
def _noise_png(size_bytes: int) -> tuple[bytes, bytes]:
    """Head up to the picture data, and the end chunk: a mark fits between them."""
    side = max(int((size_bytes / 3) ** 0.5), 8)
    picture = Image.frombytes("RGB", (side, side), Random(0).randbytes(side * side * 3))  # noqa: S311 - not a secret
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=0)
    return out.getvalue()[:-12], out.getvalue()[-12:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
