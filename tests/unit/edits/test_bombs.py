"""Small files made to cost much, or to be taken for something else: refused by their structure, or cheap to open."""

import io
import struct
import zipfile
import zlib

import pytest
from PIL import Image

from edits.media import cleaning, sniff, stripping
from edits.media.kinds import PictureInvalid
from tests.unit.edits.samples import END, EXPECTED, SAMPLES, header, open_fully, picture, png, saved

CAP = 10 * 1024 * 1024
ROWS = (b"IDAT", zlib.compress(bytes(24 * (1 + 40 * 3))))
HEADER = header(40, 24)
NOTE = {b"zTXt": b"note\0\0", b"iTXt": b"note\0\1\0\0\0", b"iCCP": b"note\0\0"}
"""What stands before the packed bytes of each kind of note."""


def zeros(mebibytes: int) -> bytes:
    """A thousandth of them."""
    packer = zlib.compressobj(9)
    return b"".join([*[packer.compress(bytes(1 << 20)) for _ in range(mebibytes)], packer.flush()])


def most_unpacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled with the bytes of each text that Pillow unpacks."""
    told: list[int] = []
    real = zlib.decompressobj

    class Watched:
        def __init__(self) -> None:
            self._unpacker = real()

        def decompress(self, data: bytes, most: int = 0) -> bytes:
            unpacked = self._unpacker.decompress(data, most)
            told.append(len(unpacked))
            return unpacked

        def __getattr__(self, name: str) -> object:
            return getattr(self._unpacker, name)

    monkeypatch.setattr(zlib, "decompressobj", Watched)
    return told


@pytest.mark.parametrize("kind", NOTE)
@pytest.mark.parametrize("place", ["before", "behind"])
def test_a_note_that_unpacks_to_too_much_is_dropped_and_not_unpacked(
    kind: bytes, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = (kind, NOTE[kind] + zeros(50))
    chunks = [note, ROWS] if place == "before" else [ROWS, note]
    told = most_unpacked(monkeypatch)
    assert cleaning.clean(png(HEADER, *chunks, END), max_bytes=CAP) == (EXPECTED["png"], png(HEADER, ROWS, END))
    assert max(told, default=0) <= (4 << 20 if kind == b"iCCP" else 0)


def test_many_notes_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [kind for number in range(80) for kind in (b"zTXt", b"iTXt", b"iCCP")]
    notes = [(kind, NOTE[kind] + zlib.compress(bytes((1 << 20) - 1))) for kind in kinds]
    told = most_unpacked(monkeypatch)
    cleaning.clean(png(HEADER, *notes, ROWS, END), max_bytes=CAP)
    assert sum(told) <= 3 << 20


def test_pixels_beyond_the_last_row_are_not_unpacked() -> None:
    data = png(HEADER, (b"IDAT", zeros(200)), END)
    assert cleaning.clean(data, max_bytes=CAP) == (EXPECTED["png"], data)


def webp(*parts: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(struct.pack("<4sI", kind, len(body)) + body for kind, body in parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def of_many_parts(kind: str, number: int) -> bytes:
    jpeg = SAMPLES["jpeg"]
    made = {
        "chunks": lambda: png(HEADER, ROWS, *[(b"tEXT", b"")] * number, END),
        "segments": lambda: jpeg[:2] + b"\xff\xe5\0\2" * number + jpeg[2:],
        "webp parts": lambda: webp((b"VP8 ", SAMPLES["webp"][20:]), *[(b"JUNK", b"")] * number),
    }
    return made[kind]()


@pytest.mark.parametrize(
    ("kind", "most"), [("chunks", "65536 parts"), ("segments", "4096 segments"), ("webp parts", "65536 parts")]
)
def test_too_many_parts_are_not_followed_to_their_end(kind: str, most: str) -> None:
    with pytest.raises(PictureInvalid, match=most) as refused:
        cleaning.clean(of_many_parts(kind, stripping.MOST_PARTS), max_bytes=CAP)
    assert refused.value.code == "image_unreadable"
    assert cleaning.clean(of_many_parts(kind, 1000), max_bytes=CAP)[0].width == 40


def of_scans(number: int) -> bytes:
    """Its last scan again and again: a few bytes each, and each is decoded over the whole picture."""
    whole = SAMPLES["progressive jpeg"]
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * (number - whole.count(b"\xff\xda")) + whole[-2:]


def test_a_jpeg_of_many_scans_is_refused() -> None:
    most = stripping.MOST_SCANS
    assert open_fully(of_scans(most)) == EXPECTED["jpeg"]
    with pytest.raises(PictureInvalid, match="64 scans"):
        open_fully(of_scans(most + 1))


@pytest.mark.parametrize("side", [65_500, 65_501])
def test_what_is_too_long_to_be_written_anew_is_refused(side: int) -> None:
    data = saved(Image.new("RGBA", (side, 62), (255, 0, 0, 9)), "PNG")
    if side <= cleaning.LONGEST_SIDE:
        assert cleaning.clean(data, max_bytes=CAP)[0].content_type == "image/jpeg"
        return
    with pytest.raises(PictureInvalid, match="65500") as refused:
        cleaning.clean(data, max_bytes=CAP)
    assert refused.value.code == "image_too_large"


@pytest.mark.parametrize("frames", [0, 1, 2, 2**31, 2**32 - 1])
@pytest.mark.filterwarnings("ignore:Invalid APNG")
def test_the_number_of_frames_that_a_png_claims_costs_nothing(frames: int) -> None:
    claimed = (b"acTL", struct.pack(">II", frames, 0))
    frame = (b"fcTL", struct.pack(">IIIIIHHBB", 0, 40, 24, 0, 0, 1, 10, 0, 0))
    info, kept = cleaning.clean(png(HEADER, claimed, frame, ROWS, END), max_bytes=CAP)
    assert (info, len(kept) < 1000) == (EXPECTED["png"], True)


@pytest.mark.parametrize("frame", [(2**31 - 1, 2**31 - 1, 0, 0), (40, 24, 2**31, 0), (41, 24, 0, 0)])
def test_a_frame_larger_than_its_png_costs_nothing(frame: tuple[int, int, int, int]) -> None:
    larger = (b"fcTL", struct.pack(">IIIIIHHBB", 0, *frame, 1, 10, 0, 0))
    data = png(HEADER, (b"acTL", struct.pack(">II", 2, 0)), larger, ROWS, END)
    assert cleaning.clean(data, max_bytes=CAP) == (EXPECTED["png"], png(HEADER, ROWS, END))


def test_the_size_that_a_frame_of_a_webp_claims_costs_nothing() -> None:
    animated = bytearray(SAMPLES["animated webp"])
    at = animated.index(b"ANMF") + 8 + 6  # past the frame's place: its width and height, less one
    animated[at : at + 6] = b"\xff\x3f\0\xff\x3f\0"
    info, _ = cleaning.clean(bytes(animated), max_bytes=CAP)
    assert (info.width, info.height) == (40, 24)


def test_a_frame_larger_than_its_webp_is_refused() -> None:
    animated = bytearray(SAMPLES["animated webp"])
    canvas = animated.index(b"VP8X") + 8 + 4
    animated[canvas : canvas + 6] = b"\7\0\0\7\0\0"  # eight by eight
    assert sniff.inspect(bytes(animated)).width == 8
    with pytest.raises(PictureInvalid, match="cannot be opened"):
        cleaning.clean(bytes(animated), max_bytes=CAP)


def zipped(name: str = "page.html", content: str = "<script>alert(1)</script>") -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr(name, content)
    return written.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(zipped() + SAMPLES["jpeg"], id="a zip before a jpeg"),
        pytest.param(b"%PDF-1.7\n" + SAMPLES["jpeg"], id="a pdf around a jpeg"),
        pytest.param(b"GIF89a=1;/*" + SAMPLES["png"] + b"*/", id="a gif that is a script"),
        pytest.param(b"<svg/>" + SAMPLES["png"], id="a page before a png"),
        pytest.param(b"RIFF/*\0\0WEBPVP8 */" + SAMPLES["webp"][20:], id="a webp whose length is a script"),
    ],
)
def test_a_file_that_is_two_kinds_at_once_is_refused(data: bytes) -> None:
    with pytest.raises(PictureInvalid):
        cleaning.clean(data, max_bytes=CAP)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        pytest.param("jpeg", SAMPLES["jpeg"] + zipped(), id="a jpeg before a zip"),
        pytest.param("jpeg", SAMPLES["jpeg"] + SAMPLES["png"], id="a jpeg before a png"),
        pytest.param("png", SAMPLES["png"] + zipped(), id="a png before a zip"),
        pytest.param("png", SAMPLES["png"] + SAMPLES["jpeg"], id="a png before a jpeg"),
        pytest.param("webp", SAMPLES["webp"] + zipped(), id="a webp before a zip"),
        pytest.param("jpeg", saved(picture(), "JPEG", comment=b"<script>alert(1)</script>"), id="a page in a note"),
    ],
)
def test_what_a_picture_carries_along_is_dropped(name: str, data: bytes) -> None:
    assert cleaning.clean(data, max_bytes=CAP) == (EXPECTED[name], SAMPLES[name])


@pytest.mark.parametrize("name", ["animated png", "animated webp", "jpeg in cmyk", "png with alpha"])
def test_cut_short_anywhere_nothing_is_written_anew(name: str) -> None:
    whole = SAMPLES[name].partition(b"fcTL\0\0\0\1")[0]  # the first picture of an animation is all that is kept
    for end in range(0, len(whole) - 40, 97):
        with pytest.raises(PictureInvalid):
            cleaning.clean(whole[:end], max_bytes=CAP)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(header(40_000_001, 1), ROWS, END), id="a line"),
        pytest.param(png(header(6325, 6325), ROWS, END), id="a square"),
        pytest.param(png(header(1, 2**32 - 1), ROWS, END), id="the longest side"),
    ],
)
def test_one_pixel_too_many_is_refused_before_anything_is_decoded(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("it was opened")

    monkeypatch.setattr(Image, "open", opened)
    with pytest.raises(PictureInvalid, match="million") as refused:
        cleaning.clean(data, max_bytes=CAP)
    assert refused.value.code == "image_too_large"
