"""Stored pictures show the pixels that a browser shows: modes, transparencies and orientations, decoded by Chromium."""

import base64
import html
import io
import json
import re
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from edits.media import cleaning
from tests.parts.browser import Browser
from tests.unit.edits.samples import END, png, saved, turned

pytestmark = pytest.mark.browser
CAP = 10 * 1024 * 1024
SIDE = 16
PAGE = """<!doctype html><pre id="shown"></pre><script>
const pictures = %s;
(async () => {
  const shown = {};
  for (const [name, source] of Object.entries(pictures)) {
    const image = new Image();
    await new Promise((loaded) => { image.onload = image.onerror = loaded; image.src = source; });
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const paper = canvas.getContext("2d");
    paper.fillStyle = "white";
    paper.fillRect(0, 0, canvas.width, canvas.height);
    paper.drawImage(image, 0, 0);
    const data = paper.getImageData(0, 0, canvas.width, canvas.height).data;
    shown[name] = [canvas.width, canvas.height, Array.from(data)];
  }
  document.getElementById("shown").textContent = JSON.stringify(shown);
})();
</script>"""


def quarters() -> Image.Image:
    """Four colours in blocks of a JPEG's own size, in a shape that shows a quarter turn."""
    painted = Image.new("RGBA", (3 * SIDE, 2 * SIDE), (250, 20, 30, 255))
    painted.paste((20, 200, 60, 255), (SIDE, 0, 3 * SIDE, SIDE))
    painted.paste((30, 40, 220, 0), (0, SIDE, SIDE, 2 * SIDE))
    painted.paste((240, 220, 40, 120), (SIDE, SIDE, 3 * SIDE, 2 * SIDE))
    return painted


def raw(depth: int, colour: int, row: bytes, clear: bytes, *, width: int = 4) -> bytes:
    header = (b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0))
    return png(header, (b"tRNS", clear), (b"IDAT", zlib.compress(b"\0" + row)), END)


def xmp(orientation: int) -> bytes:
    tiff = f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"/>'
    rdf = f'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">{tiff}</rdf:RDF>'
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{rdf}</x:xmpmeta>'.encode()


def inner(place: int) -> bool:
    """Away from the edges of a block, where JPEG blurs colours."""
    return 6 <= place % SIDE <= 9


def table() -> dict[str, bytes]:
    painted = quarters()
    made = {
        **{f"png {mode}": saved(painted.convert(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")},
        **{f"jpeg {mode}": saved(painted.convert(mode), "JPEG", quality=95) for mode in ("L", "RGB", "CMYK")},
        **{f"webp {mode}": saved(painted.convert(mode), "WEBP", lossless=True) for mode in ("RGB", "RGBA")},
        "png P with alpha": saved(painted.quantize(8), "PNG"),
        "png grey, 1 bit, clear": raw(1, 0, b"\xa0", struct.pack(">H", 0)),
        "png grey, 2 bits, clear": raw(2, 0, b"\x1b", struct.pack(">H", 1)),
        "png grey, 4 bits, clear": raw(4, 0, b"\x1b\x2f", struct.pack(">H", 11)),
        "png grey, 8 bits, clear": raw(8, 0, b"\x01\x80\x90\xff", struct.pack(">H", 0x80)),
        "png grey, 16 bits, clear": raw(
            16, 0, struct.pack(">4H", 0, 0x4000, 0x4001, 0xFFFF), struct.pack(">H", 0x4000)
        ),
        "png colour, 8 bits, clear": raw(8, 2, bytes([255, 0, 0, 9, 9, 9]), struct.pack(">3H", 9, 9, 9), width=2),
        "png colour, 16 bits, clear": raw(
            16, 2, struct.pack(">6H", 0xFFFF, 0, 0, *[0x8000] * 3), struct.pack(">3H", *[0x8000] * 3), width=2
        ),
        "jpeg turned in XMP alone": saved(painted.convert("RGB"), "JPEG", quality=95, xmp=xmp(6)),
        "webp turned in XMP alone": saved(painted.convert("RGB"), "WEBP", lossless=True, xmp=xmp(6)),
    }
    for orientation in range(1, 9):
        exif = turned(orientation)
        made[f"jpeg turned {orientation}"] = saved(painted.convert("RGB"), "JPEG", quality=95, exif=exif)
        made[f"png turned {orientation}"] = saved(painted, "PNG", exif=exif)
        made[f"webp turned {orientation}"] = saved(painted, "WEBP", lossless=True, exif=exif)
    return made


def shown_by(browser: Browser, pictures: dict[str, bytes], page: Path) -> dict[str, tuple[int, int, list[int]]]:
    sources = {
        name: f"data:image/{name.split()[0]};base64,{base64.b64encode(data).decode()}"
        for name, data in pictures.items()
    }
    page.write_text(PAGE % json.dumps(sources))
    found = re.search(r'<pre id="shown">([^<]*)</pre>', browser.document(page.as_uri()))
    assert found
    return json.loads(html.unescape(found[1]))


def test_stored_pictures_show_what_a_browser_shows(browser: Browser, tmp_path: Path) -> None:
    pictures = table()
    shown = shown_by(browser, pictures, tmp_path / "page.html")
    wrong = []
    for name, data in pictures.items():
        _, stored = cleaning.clean(data, max_bytes=CAP)
        with Image.open(io.BytesIO(stored)) as opened:
            ours = opened.convert("RGBA")
        wide, high, theirs = shown[name]
        places = [at for at in range(wide * high) if inner(at % wide) and inner(at // wide)] or range(wide)
        apart = max(abs(ours.tobytes()[n] - theirs[n]) for at in places for n in range(4 * at, 4 * at + 4))
        if (ours.width, ours.height) != (wide, high) or apart > 6:
            wrong.append(f"{name}: {ours.size} for {(wide, high)}, {apart} apart")
    assert wrong == []
