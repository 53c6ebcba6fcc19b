"""Pictures made fit for the provider: what is changed, what never is, and what they look like afterwards."""

import io
import struct
import zlib

import pytest
from PIL import Image, ImageCms, ImageOps

from edits.media import cleaning, sniff
from edits.media.kinds import PictureInvalid
from tests.unit.edits.samples import SAMPLES, png, saved, turned

CAP = 10 * 1024 * 1024
CLEAN = {
    "png", "png in grey", "png of one bit", "jpeg", "progressive jpeg", "jpeg with restarts",
    "jpeg in grey", "webp", "lossless webp",
}  # fmt: skip

QUARTERS = {"red": (0, 0), "lime": (1, 0), "blue": (0, 1), "yellow": (1, 1)}


def quarters(side: int = 32) -> Image.Image:
    """Four colours, so that each orientation differs from all others."""
    picture = Image.new("RGB", (2 * side, side * 2))
    for colour, (x, y) in QUARTERS.items():
        picture.paste(Image.new("RGB", (side, side), colour), (x * side, y * side))
    return picture


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def near(pixel: object, colour: tuple[int, int, int], most: int = 12) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(a - b) <= most for a, b in zip(pixel, colour, strict=True))


@pytest.mark.parametrize("name", sorted(CLEAN))
def test_what_is_clean_stays_byte_for_byte(name: str) -> None:
    info, kept = cleaning.clean(SAMPLES[name], max_bytes=CAP)
    assert kept == SAMPLES[name]
    assert info == sniff.inspect(kept)


@pytest.mark.parametrize("name", sorted(SAMPLES.keys() - CLEAN))
def test_all_else_becomes_plain_and_loses_its_notes(name: str) -> None:
    info, kept = cleaning.clean(SAMPLES[name], max_bytes=CAP)
    assert kept != SAMPLES[name]
    picture = opened(kept)
    assert picture.mode in {"RGB", "L"}
    assert not getattr(picture, "is_animated", False)
    assert dict(picture.getexif()) == {}
    assert {"icc_profile", "exif", "comment", "transparency"} & picture.info.keys() == set()
    assert info.content_type == ("image/jpeg" if "jpeg" in name else "image/png")
    assert (info.width, info.height) == ((24, 40) if "exif" in name else (40, 24))
    assert cleaning.clean(kept, max_bytes=CAP) == (info, kept)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_turned_upright(kind: str, orientation: int) -> None:
    data = saved(quarters(), kind, exif=turned(orientation))
    upright = ImageOps.exif_transpose(opened(data))
    found = opened(cleaning.clean(data, max_bytes=CAP)[1])
    for place in ((10, 10), (50, 10), (10, 50), (50, 50)):
        wanted = upright.getpixel(place)
        assert isinstance(wanted, tuple)
        assert near(found.getpixel(place), (int(wanted[0]), int(wanted[1]), int(wanted[2])))


def test_a_palette_without_alpha_stays_as_it_is() -> None:
    data = saved(quarters().convert("P"), "PNG")
    assert cleaning.clean(data, max_bytes=CAP)[1] == data


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_is_none_changes_no_pixel(orientation: int) -> None:
    data = saved(quarters(), "JPEG", exif=turned(orientation))
    assert cleaning.clean(data, max_bytes=CAP)[1] == saved(quarters(), "JPEG")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_is_laid_on_white(mode: str) -> None:
    picture = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (4, 0, 8, 8))
    options = {"transparency": picture.convert("P").getpixel((0, 0))} if mode == "P" else {}
    _, kept = cleaning.clean(saved(picture.convert(mode), "PNG", **options), max_bytes=CAP)
    found = opened(kept).convert("RGB")
    assert found.getpixel((0, 0)) == (255, 255, 255)
    assert found.getpixel((7, 7)) == (0, 0, 0)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    grey = Image.new("I;16", (3, 1))
    for x, value in enumerate((0, 0x8000, 0xFFFF)):
        grey.putpixel((x, 0), value)
    found = opened(cleaning.clean(saved(grey, "PNG"), max_bytes=CAP)[1])
    assert [found.getpixel((x, 0)) for x in range(3)] == [0, 128, 255]


def test_sixteen_bits_in_colour_become_eight() -> None:
    header = (b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    row = b"\0" + struct.pack(">6H", 0xFFFF, 0, 0, 0, 0, 0x8000)
    _, kept = cleaning.clean(png(header, (b"IDAT", zlib.compress(row)), (b"IEND", b"")), max_bytes=CAP)
    assert kept[24] == 8
    assert [opened(kept).getpixel((x, 0)) for x in range(2)] == [(255, 0, 0), (0, 0, 128)]


def test_an_animation_becomes_its_first_picture() -> None:
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    data = saved(first, "WEBP", save_all=True, append_images=[second], duration=50, lossless=True)
    assert opened(cleaning.clean(data, max_bytes=CAP)[1]).getpixel((4, 4)) == (255, 0, 0)


def test_colours_are_those_of_their_profile() -> None:
    """A profile that calls red what all others call green: the screen has always shown it green."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = plain.replace(b"rXYZ", b"xxxx", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"xxxx", b"gXYZ", 1)
    data = saved(Image.new("RGB", (16, 16), "red"), "PNG", exif=turned(6), icc_profile=swapped)
    assert near(opened(cleaning.clean(data, max_bytes=CAP)[1]).getpixel((8, 8)), (0, 255, 0))


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(b"no profile at all", id="broken"),
        pytest.param(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(), id="of another kind"),
    ],
)
def test_a_profile_that_makes_no_sense_changes_nothing(profile: bytes) -> None:
    data = saved(Image.new("RGB", (16, 16), "red"), "PNG", exif=turned(6), icc_profile=profile)
    assert opened(cleaning.clean(data, max_bytes=CAP)[1]).getpixel((8, 8)) == (255, 0, 0)


def test_a_picture_written_anew_obeys_the_cap() -> None:
    with pytest.raises(PictureInvalid) as refused:
        cleaning.clean(SAMPLES["png with alpha"], max_bytes=1000)
    assert refused.value.code == "image_too_large"


def test_large_pictures_are_written_as_jpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "LOSSLESS_UP_TO", 40 * 24 - 1)
    info, kept = cleaning.clean(SAMPLES["png with alpha"], max_bytes=CAP)
    assert info.content_type == "image/jpeg"
    assert kept.startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("name", ["png", "jpeg", "webp"])
def test_damaged_pictures_are_refused(name: str) -> None:
    with pytest.raises(PictureInvalid) as refused:
        cleaning.clean(SAMPLES[name][:-40], max_bytes=CAP)
    assert refused.value.code == "image_unreadable"
