"""Really edits a picture: loads it, fits it to the requested size, paints the prompt's words, and labels it.

The same picture, prompt, size and seed give the same bytes.
"""

import io
import re
from random import Random
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps
from PIL.PngImagePlugin import PngInfo

from qubico.sandbox.faults import without_words
from qubico.sandbox.studio import brushes
from qubico.sandbox.tasks import BadPicture

INPUT_FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 50_000_000
SMALL = (64, 64)
NOISE = Image.frombytes("RGB", (36, 36), Random(0).randbytes(36 * 36 * 3))  # noqa: S311 - not a secret
QUOTED = re.compile(r"(?<!\w)[\"“«„']([^\"”»“']{1,80})[\"”»“'](?!\w)")
WRITING = re.compile(r"\b(text|write|writing|word|words|title|caption|sign|says|saying|letters)\b", re.IGNORECASE)
ENCODINGS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 2},
    "jpg": {"format": "JPEG", "quality": 90},
    "webp": {"format": "WEBP", "quality": 88, "method": 1},
}


def paint(source: bytes, *, prompt: str, size: tuple[int, int], seed: int, small: bool, file_type: str) -> bytes:
    picture = _load(source, SMALL if small else size)
    words = without_words(prompt)
    quoted = QUOTED.search(words) if WRITING.search(words) else None
    text = quoted[1].strip() if quoted else ""
    chosen = brushes.chosen(words) or ([] if text else [brushes.RETOUCHED])
    for brush in chosen:
        picture = brush.paint(picture, Random(seed))  # noqa: S311 - repeatable on purpose
    if text:
        _write_text(picture, text)
    if not small:
        done = [brush.name for brush in chosen] + ([f'text "{text}"'] if text else [])
        _write_caption(picture, f"Qubico sandbox: {', '.join(done)}")
    return _encoded(picture, **ENCODINGS[file_type])


def plain(*, mark: str) -> bytes:
    """A valid PNG of about 4 KB, another for each mark: nothing is loaded, painted or compressed."""
    comment = PngInfo()
    comment.add_text("Comment", mark)
    return _encoded(NOISE, format="PNG", compress_level=0, pnginfo=comment)


def _encoded(picture: Image.Image, **encoding: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, **encoding)
    return out.getvalue()


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


def _write_text(picture: Image.Image, text: str) -> None:
    draw = ImageDraw.Draw(picture)
    size = picture.width / 7
    width = draw.textlength(text, font=ImageFont.load_default(size))
    size *= min(1.0, picture.width * 0.9 / max(width, 1.0))
    place = (picture.width / 2, picture.height / 5)
    font, stroke = ImageFont.load_default(size), max(size / 14, 1.0)
    draw.text(place, text, font=font, fill="white", anchor="mm", stroke_width=stroke, stroke_fill="#1b1b28")


def _write_caption(picture: Image.Image, text: str) -> None:
    height = max(picture.height // 26, 14)
    top = picture.height - height
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, top, picture.width, picture.height), fill="#181820")
    font = ImageFont.load_default(height * 0.6)
    draw.text((height * 0.5, top + height / 2), text, font=font, fill="#f4f1e8", anchor="lm")
