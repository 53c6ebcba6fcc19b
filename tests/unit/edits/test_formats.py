"""The structure of pictures: what is whole is let through with its size, all else is refused by name."""

import io
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edits.media import cleaning, sniff
from edits.media.kinds import PictureInvalid
from edits.media.sniff import PictureInfo, Sniffer
from tests.unit.edits.samples import END, PIXELS, SAMPLES, expected, header, open_fully, picture, png, saved

CAP = 10 * 1024 * 1024
samples = pytest.mark.parametrize("name", SAMPLES)
drawn_samples = st.sampled_from(sorted(SAMPLES))


def verdict(data: bytes, cuts: list[int]) -> object:
    """What the check says of `data` fed in pieces: the picture, or why it is none."""
    check = Sniffer()
    edges = [0, *sorted(cuts), len(data)]
    try:
        for start, end in pairwise(edges):
            check.feed(data[start:end])
        return check.finish()
    except PictureInvalid as fault:
        return str(fault), fault.code


@samples
def test_a_whole_picture_is_let_through_with_its_type_and_size(name: str):
    assert sniff.inspect(SAMPLES[name]) == expected(name)


@samples
def test_a_picture_that_came_byte_by_byte_is_the_same_picture(name: str):
    data = SAMPLES[name]
    assert verdict(data, list(range(len(data)))) == expected(name)


@pytest.mark.parametrize("name", SAMPLES)
def test_no_prefix_of_a_result_is_whole(name: str):
    whole = SAMPLES[name]
    for end in range(len(whole)):
        with pytest.raises(PictureInvalid):
            sniff.inspect(whole[:end])


@given(name=drawn_samples, data=st.data())
def test_a_picture_cut_short_is_refused_or_has_all_pixels(name: str, data: st.DataObject):
    whole = SAMPLES[name]
    try:
        kept = cleaning.clean(whole[: data.draw(st.integers(0, len(whole) - 1))], max_bytes=CAP)
    except PictureInvalid:
        return
    assert decoded(kept[1]) == decoded(cleaning.clean(whole, max_bytes=CAP)[1])


def cleaned(data: bytes) -> PictureInfo:
    return cleaning.clean(data, max_bytes=CAP)[0]


def decoded(data: bytes) -> tuple[tuple[int, int], bytes]:
    with Image.open(io.BytesIO(data)) as opened:
        return opened.size, opened.convert("RGB").tobytes()


damaged = st.builds(
    lambda name, edits: bytes(edits.get(at % len(SAMPLES[name]), byte) for at, byte in enumerate(SAMPLES[name])),
    drawn_samples,
    st.dictionaries(st.integers(0, 400), st.integers(0, 255), max_size=5),
)
anything = st.one_of(
    damaged,
    st.binary(max_size=200),
    st.builds(
        lambda name, keep, rest: SAMPLES[name][:keep] + rest, drawn_samples, st.integers(2, 60), st.binary(max_size=80)
    ),
)


@given(data=anything, cuts=st.lists(st.integers(0, 600), max_size=8))
def test_however_a_file_is_cut_into_chunks_the_answer_is_the_same(data: bytes, cuts: list[int]):
    assert verdict(data, [min(cut, len(data)) for cut in cuts]) == verdict(data, [])


@given(anything)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's remarks on damaged notes
def test_whatever_comes_it_is_a_picture_or_refused_and_nothing_else_is_raised(data: bytes):
    for look in (sniff.inspect, open_fully, cleaned):
        try:
            info = look(data)
        except PictureInvalid:
            continue
        assert info.width * info.height <= sniff.MAX_PIXELS


@given(name=st.sampled_from([name for name in sorted(SAMPLES) if "png" in name]), data=st.data())
def test_a_png_with_any_byte_changed_is_refused_or_has_all_pixels(name: str, data: st.DataObject):
    changed = bytearray(SAMPLES[name])
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        kept = cleaning.clean(bytes(changed), max_bytes=CAP)[1]
    except PictureInvalid:
        return
    if not {"alpha", "exif", "palette"} & {*name.split()}:  # their notes mean something
        assert decoded(kept) == decoded(cleaning.clean(SAMPLES[name], max_bytes=CAP)[1])


def test_a_check_that_refused_once_refuses_for_good():
    check = Sniffer()
    with pytest.raises(PictureInvalid, match="a GIF"):
        check.feed(saved(picture("P"), "GIF"))
    with pytest.raises(PictureInvalid, match="a GIF"):
        check.feed(SAMPLES["png"])
    with pytest.raises(PictureInvalid, match="a GIF"):
        check.finish()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        pytest.param(b"", "an empty file", id="nothing"),
        pytest.param(saved(picture("P"), "GIF"), "a GIF", id="gif"),
        pytest.param(saved(picture(), "BMP"), "a BMP", id="bmp"),
        pytest.param(saved(picture(), "TIFF"), "a TIFF", id="tiff"),
        pytest.param(b"\n <!DOCTYPE html><html></html>", "a web page", id="html"),
        pytest.param(b'<?xml version="1.0"?><Error/>', "an SVG or XML", id="xml"),
        pytest.param(b'{"code": 404}', "JSON", id="json"),
        pytest.param(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "an AVIF", id="avif by its second brand"),
        pytest.param(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", "a HEIC", id="heic"),
        pytest.param(b"\0\0\0\x1cftypisom\0\0\0\0isommp42", "a video", id="mp4"),
        pytest.param(b"%PDF-1.7\n%....", "a PDF", id="pdf"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG", id="svg"),
        pytest.param(b"\0\0\0\x1cftypavif\0\0\0\0", "an AVIF", id="avif"),
        pytest.param(b"RIFF\x10\0\0\0WAVEfmt ", "an unknown kind of file", id="wav"),
        pytest.param(b"\0" * 64, "an unknown kind of file", id="zeros"),
    ],
)
def test_another_type_of_file_is_refused_by_its_name(data: bytes, named: str):
    with pytest.raises(PictureInvalid, match=named) as refused:
        sniff.inspect(data)
    assert refused.value.code == "unsupported_type"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(PIXELS, END), id="png without a header"),
        pytest.param(png(header(1, 1), END), id="png without pixels"),
        pytest.param(png(header(1, 1), header(1, 1), PIXELS, END), id="png with two headers"),
        pytest.param(png(header(1, 1), PIXELS, (b"IEND", b"x")), id="png with a filled end"),
        pytest.param(png(header(1, 1), (b"ID4T", b""), PIXELS, END), id="png with an odd name"),
        pytest.param(png(header(1, 1, 7, 2, 0, 0, 0), PIXELS, END), id="png of seven bits"),
        pytest.param(png(header(1, 1, 8, 3, 0, 0, 0), PIXELS, END), id="png lacking its palette"),
        pytest.param(png(header(1, 1, 8, 2, 1, 0, 0), PIXELS, END), id="png packed otherwise"),
        pytest.param(png(header(0, 1), PIXELS, END), id="png without width"),
        pytest.param(b"\xff\xd8\xff\xd9", id="jpeg of ends only"),
        pytest.param(b"\xff\xd8\xff\xe0\0\0\xff\xd9", id="jpeg with a segment of no length"),
        pytest.param(b"\xff\xd8\xff\xe0\0\2\xff\xd9", id="jpeg without pixels"),
        pytest.param(b"\xff\xd8\xff\xe0\0\2x\xff\xd9", id="jpeg with a byte astray"),
        pytest.param(b"\xff\xd8\xff\xd0\0\2\xff\xd9", id="jpeg with a restart astray"),
        pytest.param(b"\xff\xd8\xff\xc0\0\2\xff\xd9", id="jpeg with a short header"),
        pytest.param(SAMPLES["jpeg"].replace(b"\xff\xc0", b"\xff\xc3", 1), id="lossless jpeg"),
        pytest.param(SAMPLES["jpeg"][:-2] + SAMPLES["jpeg"][2:], id="jpeg with two headers"),
        pytest.param(b"RIFF\x04\0\0\0WEBP", id="empty webp"),
        pytest.param(b"RIFF\0\0\0\0WEBP", id="webp of no length"),
        pytest.param(b"RIFF\x10\0\0\0WEBPEXIF\4\0\0\0abcd", id="webp of notes only"),
        pytest.param(b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(10), id="webp canvas without pixels"),
        pytest.param(SAMPLES["webp"].replace(b"\x9d\x01\x2a", b"\x9d\x01\x2b", 1), id="webp with a wrong mark"),
        pytest.param(SAMPLES["webp with alpha"][:24] + b"\1" + SAMPLES["webp with alpha"][25:], id="webp of two sizes"),
    ],
)
def test_a_broken_structure_is_refused(data: bytes):
    with pytest.raises(PictureInvalid) as refused:
        cleaning.clean(data, max_bytes=CAP)
    assert refused.value.code == "image_unreadable"


def test_a_wrong_checksum_is_named():
    broken = bytearray(SAMPLES["png"])
    broken[100] ^= 1
    with pytest.raises(PictureInvalid, match="checksum"):
        cleaning.clean(bytes(broken), max_bytes=CAP)


@pytest.mark.parametrize("rest", [b"x", bytes(4096), b"MotionPhoto" * 10_000])
@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
@samples
def test_bytes_after_the_end_of_a_result_are_let_through(name: str, size: int, rest: bytes):
    data = SAMPLES[name] + rest
    assert verdict(data, list(range(0, min(len(data), 10_000), size))) == expected(name)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(header(2**31, 2**31), PIXELS, END), id="png"),
        pytest.param(SAMPLES["jpeg"].replace(struct.pack(">HH", 24, 40), b"\xff\xfe\xff\xfe", 1), id="jpeg"),
        pytest.param(b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6, id="webp"),
    ],
)
@pytest.mark.parametrize("look", [sniff.inspect, open_fully])
def test_too_many_pixels_are_refused_by_the_header_alone(data: bytes, look: object):
    with pytest.raises(PictureInvalid, match="million") as refused:
        look(data)
    assert refused.value.code == "image_too_large"
