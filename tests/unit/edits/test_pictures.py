"""Pictures: what is whole is let through with its size, all else is refused by name, and nothing else is raised."""

import base64
import io
import struct
import zlib
from itertools import pairwise
from math import log
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from edits import pictures
from edits.pictures import PictureCheck, PictureInfo, PictureInvalid


def picture(mode: str = "RGB", size: tuple[int, int] = (40, 24)) -> Image.Image:
    noise = Random(7).randbytes(size[0] * size[1] * 4)
    return Image.frombytes("RGBA", size, noise).convert(mode)


def saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


ANIMATION = {"save_all": True, "append_images": [picture("RGBA").rotate(90)], "duration": 50}

SAMPLES = {
    "png": saved(picture(), "PNG"),
    "png with alpha": saved(picture("RGBA"), "PNG"),
    "png with a palette": saved(picture("P"), "PNG"),
    "png in grey": saved(picture("L"), "PNG"),
    "png of one bit": saved(picture("1"), "PNG"),
    "png with exif": saved(picture(), "PNG", exif=turned(6)),
    "jpeg": saved(picture(), "JPEG"),
    "progressive jpeg": saved(picture(), "JPEG", progressive=True),
    "jpeg with restarts": saved(picture(), "JPEG", restart_marker_blocks=1),
    "jpeg in grey": saved(picture("L"), "JPEG"),
    "jpeg in cmyk": saved(picture("CMYK"), "JPEG"),
    "jpeg with exif and comment": saved(picture(), "JPEG", exif=turned(6), comment=b"\xff\xd9 is not the end"),
    "webp": saved(picture(), "WEBP"),
    "lossless webp": saved(picture(), "WEBP", lossless=True),
    "webp with alpha": saved(picture("RGBA"), "WEBP"),
    "webp with exif": saved(picture(), "WEBP", exif=turned(6)),
    "animated webp": saved(picture("RGBA"), "WEBP", **ANIMATION),
    "animated png": saved(picture("RGBA"), "PNG", **ANIMATION),
}
EXPECTED = {
    "png": PictureInfo("image/png", "png", 40, 24),
    "jpeg": PictureInfo("image/jpeg", "jpg", 40, 24),
    "webp": PictureInfo("image/webp", "webp", 40, 24),
}

samples = pytest.mark.parametrize("name", SAMPLES)
drawn_samples = st.sampled_from(sorted(SAMPLES))


def expected(name: str) -> PictureInfo:
    return next(info for word, info in EXPECTED.items() if word in name)


def verdict(data: bytes, cuts: list[int]) -> object:
    """What the check says of `data` fed in pieces: the picture, or why it is none."""
    check = PictureCheck()
    edges = [0, *sorted(cuts), len(data)]
    try:
        for start, end in pairwise(edges):
            check.feed(data[start:end])
        return check.finish()
    except PictureInvalid as fault:
        return str(fault), fault.code


@samples
def test_a_whole_picture_is_let_through_with_its_type_and_size(name: str):
    assert pictures.inspect(SAMPLES[name]) == expected(name)


@samples
def test_a_picture_that_came_byte_by_byte_is_the_same_picture(name: str):
    data = SAMPLES[name]
    assert verdict(data, list(range(len(data)))) == expected(name)


@given(name=drawn_samples, data=st.data())
def test_a_picture_cut_short_anywhere_is_refused(name: str, data: st.DataObject):
    whole = SAMPLES[name]
    with pytest.raises(PictureInvalid):
        pictures.inspect(whole[: data.draw(st.integers(0, len(whole) - 1))])


@pytest.mark.parametrize("name", ["png", "progressive jpeg", "webp with alpha"])
def test_no_prefix_of_a_picture_is_a_picture(name: str):
    whole = SAMPLES[name]
    for end in range(len(whole)):
        with pytest.raises(PictureInvalid):
            pictures.inspect(whole[:end])


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
    for look in (pictures.inspect, pictures.open_fully):
        try:
            info = look(data)
        except PictureInvalid:
            continue
        assert info.width * info.height <= pictures.MAX_PIXELS


@given(name=st.sampled_from([name for name in sorted(SAMPLES) if "png" in name]), data=st.data())
def test_a_png_with_any_byte_changed_is_refused(name: str, data: st.DataObject):
    changed = bytearray(SAMPLES[name])
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(PictureInvalid):
        pictures.inspect(bytes(changed))


def test_a_check_that_refused_once_refuses_for_good():
    check = PictureCheck()
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
        pytest.param(b"\0\0\0\x1cftypavif\0\0\0\0", "an AVIF", id="avif"),
        pytest.param(b"RIFF\x10\0\0\0WAVEfmt ", "another kind of file", id="wav"),
        pytest.param(b"\0" * 64, "another kind of file", id="zeros"),
    ],
)
def test_another_type_of_file_is_refused_by_its_name(data: bytes, named: str):
    with pytest.raises(PictureInvalid, match=named) as refused:
        pictures.inspect(data)
    assert refused.value.code == "unsupported_type"


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [
        struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def header(width: int, height: int, *rest: int) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, *(rest or (8, 2, 0, 0, 0)))


PIXELS, END = (b"IDAT", zlib.compress(b"\0\1\2\3")), (b"IEND", b"")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(PIXELS, END), id="png without a header"),
        pytest.param(png(header(1, 1), END), id="png without pixels"),
        pytest.param(png(header(1, 1), PIXELS), id="png without an end"),
        pytest.param(png(header(1, 1), header(1, 1), PIXELS, END), id="png with two headers"),
        pytest.param(png(header(1, 1), PIXELS, (b"IEND", b"x")), id="png with a filled end"),
        pytest.param(png(header(1, 1), (b"ID4T", b""), PIXELS, END), id="png with an odd name"),
        pytest.param(png(header(1, 1, 7, 2, 0, 0, 0), PIXELS, END), id="png of seven bits"),
        pytest.param(png(header(1, 1, 8, 3, 0, 0, 0), PIXELS, END), id="png lacking its palette"),
        pytest.param(png(header(1, 1, 8, 2, 1, 0, 0), PIXELS, END), id="png packed otherwise"),
        pytest.param(png(header(0, 1), PIXELS, END), id="png without width"),
        pytest.param(SAMPLES["png"] + b"x", id="png with more after it"),
        pytest.param(b"\xff\xd8\xff\xd9", id="jpeg of ends only"),
        pytest.param(b"\xff\xd8\xff\xe0\0\0\xff\xd9", id="jpeg with a segment of no length"),
        pytest.param(b"\xff\xd8\xff\xe0\0\2\xff\xd9", id="jpeg without pixels"),
        pytest.param(b"\xff\xd8\xff\xe0\0\2x\xff\xd9", id="jpeg with a byte astray"),
        pytest.param(b"\xff\xd8\xff\xd0\0\2\xff\xd9", id="jpeg with a restart astray"),
        pytest.param(b"\xff\xd8\xff\xc0\0\2\xff\xd9", id="jpeg with a short header"),
        pytest.param(SAMPLES["jpeg"].replace(b"\xff\xc0", b"\xff\xc3", 1), id="lossless jpeg"),
        pytest.param(SAMPLES["jpeg"][:-2] + SAMPLES["jpeg"][2:], id="jpeg with two headers"),
        pytest.param(SAMPLES["webp"] + b"\0\0", id="webp with more after it"),
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
        pictures.inspect(data)
    assert refused.value.code == "image_unreadable"


def test_a_wrong_checksum_is_named():
    broken = bytearray(SAMPLES["png"])
    broken[100] ^= 1
    with pytest.raises(PictureInvalid, match="checksum"):
        pictures.inspect(bytes(broken))


def test_bytes_after_the_end_of_a_jpeg_are_let_through():
    assert pictures.inspect(SAMPLES["jpeg"] + b"MotionPhoto" * 100) == EXPECTED["jpeg"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(header(2**31, 2**31), PIXELS, END), id="png"),
        pytest.param(SAMPLES["jpeg"].replace(struct.pack(">HH", 24, 40), b"\xff\xfe\xff\xfe", 1), id="jpeg"),
        pytest.param(b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6, id="webp"),
    ],
)
@pytest.mark.parametrize("look", [pictures.inspect, pictures.open_fully])
def test_too_many_pixels_are_refused_by_the_header_alone(data: bytes, look: object):
    with pytest.raises(PictureInvalid, match="million") as refused:
        look(data)
    assert refused.value.code == "image_too_large"


def test_the_cap_on_pixels_is_the_callers():
    assert pictures.inspect(SAMPLES["png"], max_pixels=40 * 24).width == 40
    with pytest.raises(PictureInvalid, match="pixels"):
        pictures.inspect(SAMPLES["png"], max_pixels=40 * 24 - 1)


@samples
def test_a_sound_picture_opens_fully(name: str):
    info = pictures.open_fully(SAMPLES[name])
    assert (info.content_type, info.width, info.height) == (expected(name).content_type, 40, 24)
    assert (info.oriented_width, info.oriented_height) == ((24, 40) if "exif" in name else (40, 24))


@pytest.mark.parametrize("orientation", range(10))
def test_a_camera_held_sideways_swaps_the_sides(orientation: int):
    info = pictures.open_fully(saved(picture(), "JPEG", exif=turned(orientation)))
    assert (info.oriented_width, info.oriented_height) == ((24, 40) if orientation in {5, 6, 7, 8} else (40, 24))


def test_damaged_pixels_are_found_only_by_opening_fully():
    broken = png(header(40, 24), (b"IDAT", b"these are no packed pixels"), END)
    assert pictures.inspect(broken).width == 40
    with pytest.raises(PictureInvalid, match="cannot be opened"):
        pictures.open_fully(broken)


sides = st.integers(1, 20_000)


@given(width=sides, height=sides)
@example(width=1, height=20_000)
@example(width=1024, height=1025)
@example(width=2048, height=512)
def test_the_nearest_size_is_an_allowed_one_and_its_own_nearest(width: int, height: int):
    size = pictures.nearest_size(width, height)
    assert all(128 <= side <= 2048 and side % 8 == 0 for side in size)
    assert size[0] * size[1] <= 1_048_576
    assert pictures.nearest_size(*size) == size
    assert pictures.nearest_size(height, width) == size[::-1]


@given(width=sides, height=sides)
def test_the_nearest_size_keeps_the_shape(width: int, height: int):
    wide, high = pictures.nearest_size(width, height)
    if max(width, height) <= 16 * min(width, height):
        assert abs(log(wide / high) - log(width / height)) <= 8 / (wide - 7) + 8 / (high - 7)
    else:
        assert {wide, high} == {2048, 128}


@given(width=st.integers(128, 1016), height=st.integers(128, 1016))
def test_a_picture_that_nearly_fits_stays_nearly_as_large(width: int, height: int):
    wide, high = pictures.nearest_size(width, height)
    assert abs(wide - width) <= 4
    assert abs(high - height) <= 4


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ((1024, 1024), (1024, 1024)),
        ((4032, 3024), (1176, 888)),
        ((1920, 1080), (1360, 768)),
        ((300, 200), (304, 200)),
        ((16, 16), (128, 128)),
        ((100_000, 1), (2048, 128)),
    ],
)
def test_sizes_people_send(size: tuple[int, int], nearest: tuple[int, int]):
    assert pictures.nearest_size(*size) == nearest


def test_no_picture_has_no_nearest_size():
    with pytest.raises(ValueError, match="pixel"):
        pictures.nearest_size(0, 10)


def uri(data: bytes, content_type: str = "image/png") -> str:
    return f"data:{content_type};base64,{base64.b64encode(data).decode()}"


@given(
    data=st.binary(min_size=1, max_size=100), content_type=st.sampled_from(["image/png", "image/jpeg", "image/webp"])
)
def test_a_data_uri_gives_its_type_and_bytes(data: bytes, content_type: str):
    assert pictures.parse_data_uri(uri(data, content_type), max_bytes=len(data)) == (content_type, data)
    with pytest.raises(PictureInvalid) as refused:
        pictures.parse_data_uri(uri(data, content_type), max_bytes=len(data) - 1)
    assert refused.value.code == "image_too_large"


def test_a_data_uri_may_be_written_in_capitals():
    assert pictures.parse_data_uri("DATA:Image/PNG;Base64,AAAA", max_bytes=3) == ("image/png", b"\0\0\0")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("", "image_unreadable", id="nothing"),
        pytest.param("https://example.com/a.png", "image_unreadable", id="an address"),
        pytest.param("data:image/png;base64", "image_unreadable", id="no comma"),
        pytest.param("data:image/png;base64,", "image_unreadable", id="no bytes"),
        pytest.param("data:image/png,AAAA", "image_unreadable", id="not base64"),
        pytest.param("data:image/png;charset=utf-8;base64,AAAA", "image_unreadable", id="another parameter"),
        pytest.param("data:image/png;base64,AAA", "image_unreadable", id="no padding"),
        pytest.param("data:image/png;base64,AAAA====", "image_unreadable", id="too much padding"),
        pytest.param("data:image/png;base64,AA==AAAA", "image_unreadable", id="padding in the middle"),
        pytest.param("data:image/png;base64,AA AA", "image_unreadable", id="a space"),
        pytest.param("data:image/png;base64,AAAA\n", "image_unreadable", id="a line break"),
        pytest.param("data:image/png;base64,-_-_", "image_unreadable", id="the alphabet of links"),
        pytest.param("data:image/png;base64,ÄÄÄÄ", "image_unreadable", id="no ASCII"),
        pytest.param("data:image/gif;base64,AAAA", "unsupported_type", id="a gif"),
        pytest.param("data:image/jpg;base64,AAAA", "unsupported_type", id="a misspelt jpeg"),
        pytest.param("data:text/html;base64,AAAA", "unsupported_type", id="a page"),
        pytest.param("data:;base64,AAAA", "unsupported_type", id="no type"),
        pytest.param(
            "data:image/png;base64," + "!" * 2000, "image_too_large", id="too large is seen before it is decoded"
        ),
    ],
)
def test_a_wrong_data_uri_is_refused_by_code(text: str, code: str):
    with pytest.raises(PictureInvalid) as refused:
        pictures.parse_data_uri(text, max_bytes=1000)
    assert refused.value.code == code
