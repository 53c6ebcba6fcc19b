"""The painter paints what the prompt names, the same way each time."""

import io
import runpy
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from qubico.sandbox.studio import brushes, painter
from qubico.sandbox.tasks import BadPicture

SAMPLE = Path("samples/landscape.jpg")


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def painted(
    prompt: str,
    *,
    source: bytes | None = None,
    size: tuple[int, int] = (256, 192),
    seed: int = 1,
    small: bool = False,
    kind: str = "png",
) -> Image.Image:
    source = SAMPLE.read_bytes() if source is None else source
    result = painter.paint(source, prompt=prompt, size=size, seed=seed, small=small, file_type=kind)
    return Image.open(io.BytesIO(result))


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(sum(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean))


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("make it black and white", ["black and white"]),
        ("a b&w photo", ["black and white"]),
        ("in MONOCHROME please", ["black and white"]),
        ("let it snow", ["winter"]),
        ("a snowy night", ["winter", "night"]),
        ("blurred background, mirrored", ["blur", "mirror"]),
        ("warmer", ["warm"]),
        ("colder", ["cold"]),
        ('write "winter night" on it', []),
        ("a knight in a train", []),
        ("add a red balloon", []),
    ],
)
def test_words_choose_brushes(prompt: str, names: list[str]) -> None:
    assert [brush.name for brush in brushes.chosen(prompt)] == names


@pytest.mark.parametrize("name", [brush.name for brush in brushes.BRUSHES])
def test_every_brush_changes_the_picture_visibly_and_keeps_its_size(name: str) -> None:
    result = painted(name)
    assert result.size == (256, 192)
    assert difference(result, painted('the word "."')) > 8


def test_a_prompt_without_a_known_word_still_changes_the_picture() -> None:
    assert difference(painted("add a red balloon"), painted('the word "."')) > 8


def test_quoted_words_are_written_on_the_picture() -> None:
    assert difference(painted('write "HELLO" on it'), painted('write "." on it')) > 1


def test_apostrophes_are_not_quotes() -> None:
    assert painted("a word on the boy's and the girl's hat").tobytes() == painted("anything").tobytes()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_snow() -> None:
    assert painted("snow").tobytes() == painted("snow").tobytes()
    assert painted("snow").tobytes() != painted("snow", seed=2).tobytes()


def test_fault_words_are_not_painted() -> None:
    assert painted("snow [fault:slow=2]").tobytes() == painted("snow").tobytes()


def test_a_picture_lying_on_its_side_is_turned_upright() -> None:
    lying = Image.new("RGB", (80, 40), "red")
    lying.paste("blue", (0, 0, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise: the left half is then on top
    result = painted('the word "."', source=encoded(lying, "JPEG", exif=exif, quality=95), size=(128, 256))
    red, green, blue = result.convert("RGB").getpixel((10, 10))  # type: ignore[misc]  # RGB has three
    assert (red < 60, blue > 190) == (True, True), (red, green, blue)


def test_transparency_becomes_white() -> None:
    result = painted('the word "."', source=encoded(Image.new("RGBA", (32, 32), (0, 0, 0, 0))))
    assert result.getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize(("kind", "name"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP")])
def test_results_come_as_the_type_asked_for(kind: str, name: str) -> None:
    assert painted("snow", kind=kind, small=True).format == name


def test_small_results_are_64_by_64() -> None:
    assert painted("snow", size=(1024, 1024), small=True).size == (64, 64)


@pytest.mark.parametrize(
    "source",
    [b"", b"<html>", SAMPLE.read_bytes()[:5000], encoded(Image.new("RGB", (9, 9)), "GIF")],
    ids=["empty", "html", "cut", "gif"],
)
def test_what_is_no_picture_is_refused(source: bytes) -> None:
    with pytest.raises(BadPicture, match="unknown format"):
        painted("snow", source=source)


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    huge = encoded(Image.new("1", (9000, 6000)))
    with pytest.raises(BadPicture, match="9000x6000"):
        painted("snow", source=huge)


def test_plain_pictures_are_valid_and_marked() -> None:
    one, other = painter.plain(mark="a"), painter.plain(mark="b")
    with Image.open(io.BytesIO(one)) as image:
        image.load()
        assert image.text == {"Comment": "a"}  # type: ignore[attr-defined]  # of PNG files
    assert one != other
    assert 3500 < len(one) < 4500


def test_the_sample_in_the_repository_is_what_its_script_paints() -> None:
    script = runpy.run_path("scripts/landscape.py")
    made = Image.open(io.BytesIO(script["jpeg"]()))
    with Image.open(SAMPLE) as kept:
        assert kept.size == made.size == (768, 768)
        assert difference(kept, made) < 1
