"""Normalised pictures show the pixels that Chromium shows: kinds of picture, transparency and orientation."""

import base64
import json
import re
import struct
import zlib
from pathlib import Path
from random import Random

from PIL import Image

from edits.media import cleaning
from tests.parts.browser import Browser
from tests.unit.edits.samples import END, header, png, saved, turned
from tests.unit.edits.test_cleaning import opened

WIDTH, HEIGHT = 24, 16
CAP = 10 * 1024 * 1024
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Bits a sample by a PNG's colour type."""
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)
SCRIPT = """<script>
addEventListener('load', () => {
  const shown = [...document.images].map((image) => {
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
    const brush = canvas.getContext('2d');
    brush.fillStyle = 'white';
    brush.fillRect(0, 0, canvas.width, canvas.height);
    brush.drawImage(image, 0, 0);
    const pixels = brush.getImageData(0, 0, canvas.width, canvas.height).data;
    return [canvas.width, canvas.height, btoa(String.fromCharCode(...pixels))];
  });
  document.body.textContent = JSON.stringify(shown);
});
</script>"""


def raw_png(colour: int, depth: int, *, clear: bool = False, exif: int = 0, xmp: bool = False) -> bytes:
    """Blocks of random samples; the first of them is the transparent one."""
    random = Random(colour * 100 + depth)
    blocks = [[random.randrange(1 << depth) for _ in range(CHANNELS[colour])] for _ in range(24)]
    blocks[1] = [sample ^ 1 for sample in blocks[0]]  # near the transparent one
    rows = []
    for y in range(HEIGHT):
        samples = [sample for x in range(WIDTH) for sample in blocks[x // 4 + 6 * (y // 4)]]
        bits = "".join(f"{sample:0{depth}b}" for sample in samples)
        rows.append(b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big"))
    chunks = [header(WIDTH, HEIGHT, depth, colour, 0, 0, 0)]
    if exif:
        chunks.append((b"eXIf", turned(exif).tobytes().removeprefix(b"Exif\0\0")))
    if xmp:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP))
    if colour == 3:
        chunks.append((b"PLTE", random.randbytes(3 << depth)))
    if clear:
        few = bytes([0, 128]) + random.randbytes((1 << depth) - 2)
        chunks.append((b"tRNS", few if colour == 3 else struct.pack(f">{len(blocks[0])}H", *blocks[0])))
    return png(*chunks, (b"IDAT", zlib.compress(b"".join(rows))), END)


def smooth(mode: str) -> Image.Image:
    bands = [Image.linear_gradient("L").rotate(turn).resize((96, 64)) for turn in (0, 90, 180, 270)]
    picture = Image.merge("CMYK" if mode == "YCCK" else "RGBA", bands)
    return picture if mode in {picture.mode, "YCCK"} else picture.convert(mode)


def jpeg(mode: str, **options: object) -> bytes:
    data = saved(smooth(mode), "JPEG", quality=95, subsampling=0, **options)
    at = data.find(b"Adobe") + 11
    return data[:at] + b"\2" + data[at + 1 :] if mode == "YCCK" else data  # the transform that its decoder undoes


def table() -> dict[str, bytes]:
    """WebP without EXIF: Chromium ignores it there, other browsers turn the picture."""
    made: dict[str, bytes] = {}
    for colour, depths in DEPTHS.items():
        for depth in depths:
            for clear in (False, True) if colour in {0, 2, 3} else (False,):
                name = f"png {colour} of {depth} bits{' with tRNS' * clear}"
                made[name] = raw_png(colour, depth, clear=clear)
                made[f"{name}, XMP"] = raw_png(colour, depth, clear=clear, xmp=True)
                made |= {f"{name}, EXIF {way}": raw_png(colour, depth, clear=clear, exif=way) for way in range(1, 9)}
    for mode in ("L", "RGB", "CMYK", "YCCK"):
        made |= {f"jpeg {mode}": jpeg(mode), f"jpeg {mode}, XMP": jpeg(mode, xmp=XMP)}
        made |= {f"jpeg {mode}, EXIF {way}": jpeg(mode, exif=turned(way)) for way in range(1, 9)}
    for mode in ("RGB", "RGBA"):
        for lossless in (False, True):
            name = f"webp {mode}{' lossless' * lossless}"
            made[name] = saved(smooth(mode), "WEBP", lossless=lossless, quality=95)
            made[f"{name}, XMP"] = saved(smooth(mode), "WEBP", lossless=lossless, quality=95, xmp=XMP)
    return made


def shown(browser: Browser, tmp_path: Path, pictures: dict[str, bytes]) -> dict[str, tuple[int, int, bytes]]:
    """Width, height and RGBA by name, on white paper."""
    images = [
        f'<img src="data:image/{name.split()[0]};base64,{base64.b64encode(data).decode()}">'
        for name, data in pictures.items()
    ]
    page = tmp_path / "page.html"
    page.write_text(SCRIPT + "".join(images))
    found = re.search(r"<body>(.*)</body>", browser.document(page.as_uri()))
    assert found, "the page did not end"
    rows = zip(pictures, json.loads(found[1]), strict=True)
    return {name: (width, height, base64.b64decode(pixels)) for name, (width, height, pixels) in rows}


def test_normalised_pictures_show_what_a_browser_shows(browser: Browser, tmp_path: Path) -> None:
    pictures = table()
    wrong = {}
    for name, expected in shown(browser, tmp_path, pictures).items():
        found = opened(cleaning.clean(pictures[name], max_bytes=CAP)[1]).convert("RGBA")
        if found.size != expected[:2]:
            wrong[name] = f"{found.size} for {expected[:2]}"
            continue
        differences = [abs(a - b) for a, b in zip(found.tobytes(), expected[2], strict=True)]
        most, mean = max(differences), sum(differences) / len(differences)
        if most > (2 if name.startswith("png") else 16) or mean > 2:
            wrong[name] = f"most {most}, mean {mean:.1f}"
    assert wrong == {}
