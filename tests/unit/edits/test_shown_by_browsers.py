"""Pictures with faults that every browser tolerates: accepted, and stored without notes and trailing bytes."""

import io
import struct
import zlib
from random import Random

import pytest
from PIL import Image

from edits.media import cleaning
from edits.media.picture import PictureInvalid
from tests.unit.edits.samples import END, EXPECTED, SAMPLES, picture, png, saved

CAP = 10 * 1024 * 1024
NOISE = Random(3).randbytes(1_600_000)


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as opened:
        return opened.convert("RGB").tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def noted(note: bytes) -> bytes:
    """The sample PNG with a chunk behind its header."""
    return SAMPLES["png"][:33] + note + SAMPLES["png"][33:]


def wrong_sum(kind: bytes, body: bytes) -> bytes:
    return chunk(kind, body)[:-4] + b"\1\2\3\4"


JPEG = SAMPLES["jpeg"]
AT_TABLES = JPEG.index(b"\xff\xdb")
WEBP = SAMPLES["webp"]

SHOWN = {
    "png with a large zTXt": noted(chunk(b"zTXt", b"workflow\0\0" + zlib.compress(NOISE))),
    "png with a large iTXt": noted(chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(NOISE))),
    "png with a large profile": noted(chunk(b"iCCP", b"icc\0\0" + zlib.compress(NOISE[:1_100_000]))),
    "png with a damaged profile": noted(chunk(b"iCCP", b"icc\0\0no zlib")),
    "png with a damaged zTXt": noted(chunk(b"zTXt", b"note\0\0no zlib")),
    "png with a wrong checksum in a note": noted(wrong_sum(b"tEXt", b"note\0text")),
    "png with a wrong checksum in a profile": noted(wrong_sum(b"iCCP", b"icc\0\0")),
    "png with a wrong checksum in its EXIF": noted(wrong_sum(b"eXIf", b"MM\0*")),
    "png with one byte behind it": SAMPLES["png"] + b"x",
    "png with zeros to a whole block": SAMPLES["png"] + bytes(-len(SAMPLES["png"]) % 4096),
    "png with the rest of a longer one": SAMPLES["png"] + SAMPLES["png with alpha"][50:],
    "png without its end": SAMPLES["png"][:-12],
    "png with a damaged end": SAMPLES["png"][:-4] + b"\0\0\0\0",
    "jpeg without its end": JPEG[:-2],
    "jpeg with half of its end": JPEG[:-1],
    "progressive jpeg without its end": SAMPLES["progressive jpeg"][:-2],
    "grey jpeg without its end": SAMPLES["jpeg in grey"][:-2],
    "jpeg with stray bytes before a segment": JPEG[:AT_TABLES] + b"stray" + JPEG[AT_TABLES:],
    "jpeg with zeros before a segment": JPEG[:AT_TABLES] + bytes(64) + JPEG[AT_TABLES:],
    "jpeg with fill bytes before a segment": JPEG[:AT_TABLES] + b"\xff" * 9 + JPEG[AT_TABLES:],
    "jpeg with damaged EXIF": JPEG[:2] + b"\xff\xe1\0\x10Exif\0\0damaged!" + JPEG[2:],
    "jpeg with bytes behind it": JPEG + b"MotionPhoto" * 100,
    "webp with bytes behind it": WEBP + bytes(100),
    "webp with an editor's part behind it": WEBP + b"PSAI\4\0\0\0abcd",
    "webp whose length leaves out its padding": WEBP[:4] + struct.pack("<I", len(WEBP) - 8 - 0) + WEBP[8:],
    "webp with an unknown part": WEBP[:4] + struct.pack("<I", len(WEBP) + 4) + WEBP[8:] + b"JUNK\4\0\0\0abcd",
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_what_browsers_show_is_accepted_and_stored_clean(name: str) -> None:
    kind = next(word for word in EXPECTED if word in name)
    special = {"progressive": "progressive jpeg", "grey": "jpeg in grey"}
    sound = SAMPLES[special.get(name.split(maxsplit=1)[0], kind)]
    info, stored = cleaning.clean(SHOWN[name], max_bytes=CAP)
    assert info == EXPECTED[kind]
    assert pixels(stored) == pixels(sound)
    assert len(stored) <= len(sound)
    assert cleaning.clean(stored, max_bytes=CAP) == (info, stored)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(JPEG[: len(JPEG) * 3 // 4], id="baseline"),
        pytest.param(JPEG[:-12], id="baseline lacking its last bytes"),
        pytest.param(SAMPLES["progressive jpeg"][: SAMPLES["progressive jpeg"].rindex(b"\xff\xda")], id="a scan"),
        pytest.param(SAMPLES["progressive jpeg"][:-12], id="progressive lacking its last bytes"),
        pytest.param(SAMPLES["jpeg in grey"][:-10], id="grey lacking its last bytes"),
        pytest.param(SAMPLES["jpeg with restarts"][:-10], id="restarts lacking their last bytes"),
    ],
)
def test_a_jpeg_that_lacks_pixels_is_refused_as_cut_short(data: bytes) -> None:
    with pytest.raises(PictureInvalid, match="cut short"):
        cleaning.clean(data, max_bytes=CAP)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_an_orientation_in_xmp_alone_turns_nothing(file_format: str) -> None:
    tiff = b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    rdf = b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">%b</rdf:RDF>' % tiff
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">%b</x:xmpmeta>' % rdf
    if file_format == "PNG":
        data = noted(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    else:
        data = saved(picture(), file_format, xmp=xmp)
    info, stored = cleaning.clean(data, max_bytes=CAP)
    assert (info.width, info.height) == (40, 24)
    assert b"xmpmeta" not in stored


def grey(depth: int, row: bytes, clear: int) -> bytes:
    header = (b"IHDR", struct.pack(">IIBBBBB", 4, 1, depth, 0, 0, 0, 0))
    return png(header, (b"tRNS", struct.pack(">H", clear)), (b"IDAT", zlib.compress(b"\0" + row)), END)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        pytest.param(grey(1, b"\xa0", 0), [255, 255, 255, 255], id="1 bit"),
        pytest.param(grey(2, b"\x1b", 0), [255, 85, 170, 255], id="2 bits, black"),
        pytest.param(grey(2, b"\x1b", 1), [0, 255, 170, 255], id="2 bits"),
        pytest.param(grey(4, b"\x1b\x2f", 11), [17, 255, 34, 255], id="4 bits"),
        pytest.param(grey(8, b"\x01\x80\x90\xff", 0x80), [1, 255, 144, 255], id="8 bits"),
        pytest.param(grey(16, struct.pack(">4H", 0, 0x4000, 0x4001, 0xFFFF), 0x4000), [0, 255, 64, 255], id="16 bits"),
    ],
)
def test_the_one_transparent_grey_becomes_white(data: bytes, shown: list[int]) -> None:
    _, stored = cleaning.clean(data, max_bytes=CAP)
    with Image.open(io.BytesIO(stored)) as opened:
        assert list(opened.convert("L").tobytes()) == shown


def test_the_one_transparent_colour_of_sixteen_bits_becomes_white() -> None:
    row = struct.pack(">6H", 0xFFFF, 0, 0, 0x8000, 0x8000, 0x8000)
    header = (b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    clear = (b"tRNS", struct.pack(">3H", 0x8000, 0x8000, 0x8000))
    _, stored = cleaning.clean(png(header, clear, (b"IDAT", zlib.compress(b"\0" + row)), END), max_bytes=CAP)
    with Image.open(io.BytesIO(stored)) as opened:
        assert opened.convert("RGB").tobytes() == b"\xff\0\0\xff\xff\xff"
