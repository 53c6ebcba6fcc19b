"""Pictures that every browser shows are taken, and stored without what made them odd."""

import random
import struct
import zlib

import pytest
from PIL import ExifTags, Image, ImageCms

from edits.media import cleaning, sniff
from edits.media.kinds import PictureInvalid
from tests.unit.edits.samples import END, EXPECTED, SAMPLES, expected, header, picture, png, saved, turned
from tests.unit.edits.test_cleaning import near, opened

CAP = 10 * 1024 * 1024
NOISE = random.Random(1).randbytes(1_700_000)
HEADER, ROWS = header(40, 24), (b"IDAT", zlib.compress(bytes(24 * (1 + 40 * 3))))
PLAIN = png(HEADER, ROWS, END)
BROKEN = {
    b"zTXt": b"a\0\0no packed bytes", b"iTXt": b"a", b"tEXt": b"", b"iCCP": b"a\0\0no packed bytes", b"eXIf": b"\xff",
    b"pHYs": b"", b"tIME": b"\0", b"gAMA": bytes(400), b"tRNS": b"\0", b"acTL": b"", b"fcTL": b"\0", b"prVt": NOISE,
    b"sPLT": b"\0", b"CRIT": b"unknown",
}  # fmt: skip
"""Chunks by kind, whose contents make no sense."""


def packed(kind: bytes) -> bytes:
    return {b"zTXt": b"workflow\0\0", b"iTXt": b"workflow\0\1\0\0\0", b"iCCP": b"p\0\0"}[kind] + zlib.compress(NOISE)


def with_wrong_checksum(kind: bytes, body: bytes) -> bytes:
    chunk = struct.pack(">I4s", len(body), kind) + body + bytes(4)
    return PLAIN[:33] + chunk + PLAIN[33:]


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
@pytest.mark.parametrize("place", [1, 2])
def test_large_notes_of_a_png_are_dropped(kind: bytes, place: int) -> None:
    chunks = [HEADER, ROWS, END]
    chunks.insert(place, (kind, packed(kind)))
    assert cleaning.clean(png(*chunks), max_bytes=CAP) == (EXPECTED["png"], PLAIN)


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("place", [1, 2])
def test_broken_notes_of_a_png_are_dropped(kind: bytes, place: int) -> None:
    chunks = [HEADER, ROWS, END]
    chunks.insert(place, (kind, BROKEN[kind]))
    assert cleaning.clean(png(*chunks), max_bytes=CAP) == (EXPECTED["png"], PLAIN)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"tEXt", b"eXIf", b"iCCP", b"tRNS", b"vpAg"])
def test_a_wrong_checksum_in_a_note_drops_the_note(kind: bytes) -> None:
    assert cleaning.clean(with_wrong_checksum(kind, b"123456"), max_bytes=CAP) == (EXPECTED["png"], PLAIN)


def test_a_wrong_checksum_in_the_pixels_is_refused() -> None:
    with pytest.raises(PictureInvalid, match="checksum"):
        cleaning.clean(with_wrong_checksum(*ROWS), max_bytes=CAP)


def test_a_colour_profile_of_more_than_a_mebibyte_is_applied() -> None:
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = plain.replace(b"rXYZ", b"xxxx", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"xxxx", b"gXYZ", 1)
    large = struct.pack(">I", 1_150_000) + swapped[4:] + NOISE[: 1_150_000 - len(swapped)]
    data = saved(Image.new("RGB", (40, 24), "red"), "PNG", icc_profile=large)
    info, kept = cleaning.clean(data, max_bytes=CAP)
    assert (info, b"iCCP" in kept) == (EXPECTED["png"], False)
    assert near(opened(kept).getpixel((8, 8)), (0, 255, 0))


@pytest.mark.parametrize("rest", [b"\n", bytes(512), NOISE, b"RIFF\4\0\0\0WEBP", SAMPLES["png"]])
@pytest.mark.parametrize("name", ["png", "webp", "lossless webp", "jpeg", "progressive jpeg", "png in grey"])
def test_bytes_behind_the_end_are_dropped(name: str, rest: bytes) -> None:
    assert cleaning.clean(SAMPLES[name] + rest, max_bytes=CAP) == (expected(name), SAMPLES[name])


def shows_the_same(kept: bytes, whole: bytes) -> bool:
    return opened(kept).convert("RGB").tobytes() == opened(whole).convert("RGB").tobytes()


@pytest.mark.parametrize("missing", [1, 4, 8, 11, 12, 13, 16])
@pytest.mark.parametrize("name", [name for name in SAMPLES if name.startswith("png")])
def test_a_png_without_its_end_is_written_anew(name: str, missing: int) -> None:
    """Up to the checksum of its last pixels."""
    info, kept = cleaning.clean(SAMPLES[name][:-missing], max_bytes=CAP)
    whole_info, whole = cleaning.clean(SAMPLES[name], max_bytes=CAP)
    assert (info, sniff.inspect(kept)) == (whole_info, whole_info)
    assert shows_the_same(kept, whole)


def test_a_png_cut_in_a_note_behind_its_pixels_is_written_anew() -> None:
    whole = png(HEADER, ROWS, (b"tEXt", b"Comment\0a note"), END)
    for size in range(len(PLAIN) - 4, len(whole)):
        info, kept = cleaning.clean(whole[:size], max_bytes=CAP)
        assert (info, b"a note" in kept) == (EXPECTED["png"], False)
        assert shows_the_same(kept, PLAIN)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.startswith("png")])
def test_a_png_that_lacks_pixels_is_refused(name: str) -> None:
    whole = SAMPLES[name]
    for size in range(len(whole) - 30, 20, -7):
        with pytest.raises(PictureInvalid, match="cut short"):
            cleaning.clean(whole[:size], max_bytes=CAP)


def test_a_png_that_lacks_a_whole_chunk_of_its_pixels_is_refused() -> None:
    first_half = zlib.compress(NOISE[: 24 * (1 + 40 * 3)])[:1000]
    for chunks in ([HEADER], [HEADER, (b"IDAT", first_half)]):
        with pytest.raises(PictureInvalid, match="cut short"):
            cleaning.clean(png(*chunks), max_bytes=CAP)


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("name", [name for name in SAMPLES if "jpeg" in name])
def test_a_jpeg_without_its_end_mark_gets_one(name: str, missing: int) -> None:
    assert cleaning.clean(SAMPLES[name][:-missing], max_bytes=CAP) == cleaning.clean(SAMPLES[name], max_bytes=CAP)


def test_a_progressive_jpeg_that_lacks_whole_scans_is_refused() -> None:
    whole = SAMPLES["progressive jpeg"]
    starts = [at for at in range(len(whole)) if whole[at : at + 2] in {b"\xff\xda", b"\xff\xc4"}]
    for start in starts:
        with pytest.raises(PictureInvalid):
            cleaning.clean(whole[:start], max_bytes=CAP)


def segments(data: bytes) -> list[int]:
    """Offsets at which a segment begins, to the first scan."""
    found, at = [], 2
    while data[at + 1] != 0xDA:
        found.append(at)
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return [*found, at]


@pytest.mark.parametrize("stray", [b"\0", b"\0" * 100, b"stray \xff\0 bytes", b"\xff" * 70_000, b"\xff\xd0"])
@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg", "jpeg in grey"])
def test_stray_bytes_between_segments_of_a_jpeg_are_dropped(name: str, stray: bytes) -> None:
    whole = SAMPLES[name]
    for at in segments(whole)[1:]:
        assert cleaning.clean(whole[:at] + stray + whole[at:], max_bytes=CAP) == (EXPECTED["jpeg"], whole)


@pytest.mark.parametrize(
    "note",
    [
        b"\xff\xe1\0\2", b"\xff\xe1\0\0", b"\xff\xe1\0\x0aExif\0\0II", b"\xff\xe2\0\5abc", b"\xff\xed\0\4ab",
        b"\xff\xee\0\4ab", b"\xff\xfe\0\2", b"\xff\xe0\0\4JF",
    ],
)  # fmt: skip
def test_odd_notes_of_a_jpeg_are_dropped(note: bytes) -> None:
    whole = SAMPLES["jpeg"]
    assert cleaning.clean(whole[:20] + note + whole[20:], max_bytes=CAP) == (EXPECTED["jpeg"], whole)


def test_notes_of_whole_pictures_are_dropped_without_decoding_them_again() -> None:
    """The place where a photograph was made must not travel on."""
    exif = turned(1)
    exif[ExifTags.Base.Make] = "Camera"
    for kind in ("PNG", "JPEG", "WEBP"):
        data, plain = saved(picture(), kind, exif=exif), saved(picture(), kind)
        kept = cleaning.clean(data, max_bytes=CAP)[1]
        assert len(kept) < len(data)
        assert opened(kept).tobytes() == opened(plain).tobytes()
        assert dict(opened(kept).getexif()) == {}


@pytest.mark.parametrize("more", [-1, 1, 8])
def test_a_webp_whose_length_counts_its_padding_or_header_wrongly_is_taken(more: int) -> None:
    data = bytearray(SAMPLES["webp"] + (b"EXIF\1\0\0\0x\0"))
    data[4:8] = struct.pack("<I", len(data) - 8 + more)
    assert cleaning.clean(bytes(data), max_bytes=CAP) == (EXPECTED["webp"], SAMPLES["webp"])


def test_a_webp_that_lacks_its_last_padding_is_taken() -> None:
    whole = saved(Image.new("RGB", (40, 24), "red"), "WEBP", lossless=True)
    body = whole[20:]
    odd = body[:-1] if struct.unpack("<I", whole[16:20])[0] % 2 else body
    data = b"RIFF" + struct.pack("<I", 12 + len(odd)) + b"WEBPVP8L" + struct.pack("<I", len(odd)) + odd
    assert cleaning.clean(data, max_bytes=CAP) == (EXPECTED["webp"], whole)
