"""The edits the sandbox can really do to a picture, each chosen by words of the prompt.

A brush takes a picture and a seeded random and gives a new picture of the same size, the same one for the same seed.
"""

import re
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

Picture = Image.Image


class Brush(NamedTuple):
    name: str
    words: str  # as a regular expression
    paint: Callable[[Picture, Random], Picture]


def chosen(prompt: str) -> list[Brush]:
    """Every brush whose words stand in the prompt (quoted text aside), in painting order."""
    words = re.sub(r"(?<!\w)[\"“”«»„'].*?[\"“”«»'](?!\w)", " ", prompt.lower())
    return [brush for brush in BRUSHES if re.search(rf"\b(?:{brush.words})", words)]


def winter(picture: Picture, random: Random) -> Picture:
    """Greens turn to snow, light turns cold, flakes fall."""
    red, green, blue = picture.split()
    leaves = ImageChops.subtract(green, ImageChops.lighter(blue, _scaled(red, 0.55)))
    snow = leaves.point(lambda value: min(value * 4, 235)).filter(ImageFilter.GaussianBlur(picture.width / 400))
    ground = ImageOps.colorize(ImageOps.autocontrast(ImageOps.grayscale(picture)), black="#8fa3bf", white="#ffffff")
    pale = ImageEnhance.Color(picture).enhance(0.4)
    cold = Image.blend(pale, Image.new("RGB", picture.size, (208, 224, 255)), 0.3)
    return _sprinkle(Image.composite(ground, cold, snow), random, count=260, colour="#ffffff", size=picture.width / 230)


def night(picture: Picture, random: Random) -> Picture:
    dark = ImageChops.multiply(ImageEnhance.Color(picture).enhance(0.6), Image.new("RGB", picture.size, (62, 78, 138)))
    sky = dark.crop((0, 0, dark.width, dark.height // 3))
    dark.paste(_sprinkle(sky, random, count=110, colour="#e2e8ff", size=picture.width / 600))
    return dark


def vignette(picture: Picture, _random: Random) -> Picture:
    """For prompts without a known word: still plainly another picture than before."""
    rich = ImageEnhance.Contrast(_channels(ImageEnhance.Color(picture).enhance(1.35), 1.1, 1.0, 0.88)).enhance(1.12)
    shade = Image.radial_gradient("L").resize(picture.size).point(lambda value: max(value - 110, 0) * 3 // 2)
    return Image.composite(Image.new("RGB", picture.size, (24, 14, 34)), rich, shade)


def _scaled(channel: Picture, factor: float) -> Picture:
    return channel.point([min(int(value * factor), 255) for value in range(256)])


def _channels(picture: Picture, *factors: float) -> Picture:
    return Image.merge("RGB", [_scaled(channel, by) for channel, by in zip(picture.split(), factors, strict=True)])


def _sprinkle(picture: Picture, random: Random, *, count: int, colour: str, size: float) -> Picture:
    draw = ImageDraw.Draw(picture)
    for _ in range(count):
        place = (random.random() * picture.width, random.random() * picture.height)
        draw.circle(place, max(size * (0.4 + random.random()), 0.6), fill=colour)
    return picture


# Painting order: places and light first, then materials, then what touches every pixel.
BRUSHES = (
    Brush("winter", r"winter|snow|christmas|frozen|ice\b", winter),
    Brush("night", r"night|midnight|moon|starry", night),
    Brush("warm", r"warm", lambda picture, _: _channels(picture, 1.18, 1.03, 0.8)),
    Brush("cold", r"cold|cool\b|chilly", lambda picture, _: _channels(picture, 0.8, 0.97, 1.2)),
    Brush(
        "black and white",
        r"black[ -](?:and|&)[ -]white|b&w|monochrome|gr[ae]yscale|noir",
        lambda picture, _: ImageOps.autocontrast(ImageOps.grayscale(picture), cutoff=1).convert("RGB"),
    ),
    Brush(
        "blur",
        r"blur|out of focus|unfocused",
        lambda picture, _: picture.filter(ImageFilter.GaussianBlur(picture.width / 90)),
    ),
    Brush("mirror", r"mirror|flip", lambda picture, _: ImageOps.mirror(picture)),
)
RETOUCHED = Brush("retouched", "", vignette)
