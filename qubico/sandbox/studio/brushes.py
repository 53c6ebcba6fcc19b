"""The edits the sandbox can really do to a picture, each chosen by words of the prompt.

A brush takes a picture and a seeded random and gives a new picture of the same size, the same one for the same seed.
"""

import re
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

Picture = Image.Image
Colour = tuple[int, int, int]


class Brush(NamedTuple):
    name: str
    words: str  # as a regular expression
    paint: Callable[[Picture, Random], Picture]


def chosen(prompt: str) -> list[Brush]:
    """Every brush whose words stand in the prompt (quoted text aside), in painting order."""
    words = re.sub(r"(?<!\w)[\"“”«»„'].*?[\"“”«»'](?!\w)", " ", prompt.lower())
    return [brush for brush in BRUSHES if re.search(rf"\b(?:{brush.words})", words)]


def sketch(picture: Picture, _random: Random) -> Picture:
    gray = ImageOps.grayscale(picture)
    soft = gray.filter(ImageFilter.GaussianBlur(max(picture.width / 250, 1)))
    lines = ImageChops.subtract(soft, gray, scale=0.22)
    tone = ImageOps.autocontrast(gray).point(lambda value: 200 + value * 55 // 255)
    return ImageOps.colorize(ImageChops.subtract(tone, lines), black="#23262b", white="#fbf7ec")


def painting(picture: Picture, _random: Random) -> Picture:
    small = picture.resize((max(picture.width // 3, 8), max(picture.height // 3, 8)), Image.Resampling.BOX)
    dabs = small.filter(ImageFilter.ModeFilter(5)).resize(picture.size, Image.Resampling.BICUBIC)
    return ImageEnhance.Color(dabs).enhance(1.5)


def poster(picture: Picture, _random: Random) -> Picture:
    rich = ImageEnhance.Color(ImageOps.autocontrast(_blurred(picture, 200), cutoff=1)).enhance(1.3)
    return ImageOps.posterize(rich, 3).filter(ImageFilter.MedianFilter(3))


def winter(picture: Picture, random: Random) -> Picture:
    """Greens turn to snow, light turns cold, flakes fall."""
    red, green, blue = picture.split()
    leaves = ImageChops.subtract(green, ImageChops.lighter(blue, _scaled(red, 0.55)))
    snow = _blurred(leaves.point(lambda value: min(value * 4, 235)), 400)
    ground = ImageOps.colorize(ImageOps.autocontrast(ImageOps.grayscale(picture)), black="#8fa3bf", white="#ffffff")
    scene = Image.composite(ground, _tint(picture, (208, 224, 255), 0.3), snow)
    return _sprinkle(scene, random, count=260, colour=(255, 255, 255), size=picture.width / 230)


def night(picture: Picture, random: Random) -> Picture:
    dark = ImageChops.multiply(ImageEnhance.Color(picture).enhance(0.6), Image.new("RGB", picture.size, (62, 78, 138)))
    sky = dark.crop((0, 0, dark.width, dark.height // 3))
    dark.paste(_sprinkle(sky, random, count=110, colour=(226, 232, 255), size=picture.width / 600))
    return dark


def storm(picture: Picture, random: Random) -> Picture:
    heavy = ImageEnhance.Brightness(_tint(picture, (84, 94, 112), 0.45)).enhance(0.8)
    rain = ImageDraw.Draw(heavy)
    length = picture.height / 28
    for x, y in _places(picture, random, 240):
        rain.line((x, y, x - length / 4, y + length), fill=(190, 202, 218), width=max(picture.width // 700, 1))
    return heavy


def sunset(picture: Picture, _random: Random) -> Picture:
    light = Image.linear_gradient("L").resize(picture.size)
    ramp = ImageOps.colorize(light, black="#5a2a7a", mid="#ff8a3c", white="#ffd08a")
    return Image.blend(picture, ImageChops.soft_light(ImageChops.multiply(picture, ramp), ramp), 0.75)


def sepia(picture: Picture, _random: Random) -> Picture:
    return ImageOps.colorize(_gray(picture), black="#20130a", mid="#9a7446", white="#fff1d6")


def vignette(picture: Picture, _random: Random) -> Picture:
    """For prompts without a known word: still plainly another picture than before."""
    rich = ImageEnhance.Contrast(_channels(ImageEnhance.Color(picture).enhance(1.35), 1.1, 1.0, 0.88)).enhance(1.12)
    shade = Image.radial_gradient("L").resize(picture.size).point(lambda value: max(value - 110, 0) * 3 // 2)
    return Image.composite(Image.new("RGB", picture.size, (24, 14, 34)), rich, shade)


def _gray(picture: Picture) -> Picture:
    return ImageOps.autocontrast(ImageOps.grayscale(picture), cutoff=1)


def _blurred(picture: Picture, share: float) -> Picture:
    return picture.filter(ImageFilter.GaussianBlur(picture.width / share))


def _tint(picture: Picture, colour: Colour, share: float) -> Picture:
    return Image.blend(ImageEnhance.Color(picture).enhance(0.4), Image.new("RGB", picture.size, colour), share)


def _scaled(channel: Picture, factor: float) -> Picture:
    return channel.point([min(int(value * factor), 255) for value in range(256)])


def _channels(picture: Picture, *factors: float) -> Picture:
    return Image.merge("RGB", [_scaled(channel, by) for channel, by in zip(picture.split(), factors, strict=True)])


def _places(picture: Picture, random: Random, count: int) -> list[tuple[float, float]]:
    return [(random.random() * picture.width, random.random() * picture.height) for _ in range(count)]


def _sprinkle(picture: Picture, random: Random, *, count: int, colour: Colour, size: float) -> Picture:
    draw = ImageDraw.Draw(picture)
    for place in _places(picture, random, count):
        draw.circle(place, max(size * (0.4 + random.random()), 0.6), fill=colour)
    return picture


# Painting order: places and light first, then materials, then what touches every pixel.
BRUSHES = (
    Brush("winter", r"winter|snow|christmas|frozen|ice\b", winter),
    Brush("storm", r"storm|rain|thunder", storm),
    Brush("sunset", r"sunset|sunrise|golden hour|dusk", sunset),
    Brush("night", r"night|midnight|moon|starry", night),
    Brush("warm", r"warm", lambda picture, _: _channels(picture, 1.18, 1.03, 0.8)),
    Brush("cold", r"cold|cool\b|chilly", lambda picture, _: _channels(picture, 0.8, 0.97, 1.2)),
    Brush("painting", r"painting|painted|oil paint|watercolou?r|impressionis", painting),
    Brush("poster", r"poster|pop art|flat colou?rs", poster),
    Brush("sketch", r"sketch|pencil|drawing|line art", sketch),
    Brush("sepia", r"sepia|vintage|antique|old photo", sepia),
    Brush(
        "black and white",
        r"black[ -](?:and|&)[ -]white|b&w|monochrome|gr[ae]yscale|noir",
        lambda picture, _: _gray(picture).convert("RGB"),
    ),
    Brush(
        "blur",
        r"blur|out of focus|unfocused",
        lambda picture, _: picture.filter(ImageFilter.GaussianBlur(picture.width / 90)),
    ),
    Brush("mirror", r"mirror|flip", lambda picture, _: ImageOps.mirror(picture)),
)
RETOUCHED = Brush("retouched", "", vignette)
