"""The edits the sandbox can really do to a picture, each chosen by words of the prompt.

A brush takes a picture and a seeded random and gives a new picture of the same size, the same one for the same seed.
"""

import re
from collections.abc import Callable
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

Brush = Callable[[Image.Image, Random], Image.Image]
Colour = tuple[int, int, int]


def chosen(prompt: str) -> list[tuple[str, Brush]]:
    """Every brush whose words stand in the prompt (quoted text aside), in painting order."""
    words = re.sub(r"(?<!\w)[\"“”«»„'].*?[\"“”«»'](?!\w)", " ", prompt.lower())
    return [(name, brush) for name, pattern, brush in BRUSHES if re.search(rf"\b(?:{pattern})", words)]


def black_and_white(picture: Image.Image, _random: Random) -> Image.Image:
    return ImageOps.autocontrast(ImageOps.grayscale(picture), cutoff=1).convert("RGB")


def sepia(picture: Image.Image, _random: Random) -> Image.Image:
    gray = ImageOps.autocontrast(ImageOps.grayscale(picture), cutoff=1)
    return ImageOps.colorize(gray, black="#20130a", mid="#9a7446", white="#fff1d6")


def sketch(picture: Image.Image, _random: Random) -> Image.Image:
    gray = ImageOps.grayscale(picture)
    soft = gray.filter(ImageFilter.GaussianBlur(max(picture.width / 250, 1)))
    lines = ImageChops.subtract(soft, gray, scale=0.22)
    edges = soft.filter(ImageFilter.FIND_EDGES).point(lambda value: min(value * 5, 255))
    ImageDraw.Draw(edges).rectangle((0, 0, edges.width - 1, edges.height - 1), outline=0, width=3)
    tone = ImageOps.autocontrast(gray).point(lambda value: 200 + value * 55 // 255)
    paper = ImageChops.subtract(ImageChops.subtract(tone, lines), edges)
    return ImageOps.colorize(paper, black="#23262b", white="#fbf7ec")


def painting(picture: Image.Image, random: Random) -> Image.Image:
    small = picture.resize((max(picture.width // 3, 8), max(picture.height // 3, 8)), Image.Resampling.BOX)
    dabs = small.filter(ImageFilter.ModeFilter(5)).resize(picture.size, Image.Resampling.BICUBIC)
    strokes = _noise(picture.size, random, grain=6).filter(ImageFilter.EMBOSS)
    canvas = ImageChops.overlay(ImageEnhance.Color(dabs).enhance(1.5), Image.merge("RGB", (strokes,) * 3))
    return Image.blend(ImageEnhance.Color(dabs).enhance(1.5), canvas, 0.7)


def poster(picture: Image.Image, _random: Random) -> Image.Image:
    small = picture.resize((max(picture.width // 2, 8), max(picture.height // 2, 8)), Image.Resampling.BOX)
    smooth = small.filter(ImageFilter.GaussianBlur(2)).filter(ImageFilter.MedianFilter(3))
    flat = ImageOps.posterize(ImageEnhance.Color(ImageOps.autocontrast(smooth, cutoff=1)).enhance(1.3), 3)
    return flat.resize(picture.size, Image.Resampling.NEAREST)


def winter(picture: Image.Image, random: Random) -> Image.Image:
    """Greens turn to snow, light turns cold, flakes fall."""
    red, green, blue = picture.split()
    leaves = ImageChops.subtract(green, ImageChops.lighter(blue, _scaled(red, 0.55)))
    snow = leaves.point(lambda value: min(value * 4, 235)).filter(ImageFilter.GaussianBlur(picture.width / 400))
    pale = _tint(ImageEnhance.Color(picture).enhance(0.45), (208, 224, 255), 0.3)
    ground = ImageOps.colorize(ImageOps.autocontrast(ImageOps.grayscale(picture)), black="#8fa3bf", white="#ffffff")
    scene = Image.composite(ground, pale, snow)
    return _sprinkle(scene, random, count=260, colour=(255, 255, 255), size=picture.width / 230)


def night(picture: Image.Image, random: Random) -> Image.Image:
    dark = ImageChops.multiply(ImageEnhance.Color(picture).enhance(0.6), Image.new("RGB", picture.size, (62, 78, 138)))
    dark = ImageEnhance.Brightness(dark).enhance(0.95)
    sky = dark.crop((0, 0, dark.width, dark.height // 3))
    dark.paste(_sprinkle(sky, random, count=110, colour=(226, 232, 255), size=picture.width / 600), (0, 0))
    radius = picture.width // 16
    centre = (picture.width * 4 // 5, picture.height // 6)
    glow = Image.new("L", picture.size, 0)
    _disc(ImageDraw.Draw(glow), centre, radius * 2, 90)
    glow = glow.filter(ImageFilter.GaussianBlur(radius))
    _disc(ImageDraw.Draw(glow), centre, radius, 240)
    return Image.composite(Image.new("RGB", picture.size, (244, 240, 214)), dark, glow)


def storm(picture: Image.Image, random: Random) -> Image.Image:
    gray = _tint(ImageEnhance.Color(picture).enhance(0.35), (84, 94, 112), 0.45)
    clouds = _noise(picture.size, random, grain=picture.width // 9 or 1)
    fade = Image.linear_gradient("L").resize(picture.size).point(lambda value: max(200 - value * 2, 0))
    heavy = Image.composite(ImageOps.colorize(clouds, black="#20262f", white="#8b94a3"), gray, fade)
    rain = ImageDraw.Draw(heavy)
    length = picture.height / 28
    for _ in range(240):
        x, y = random.random() * picture.width, random.random() * picture.height
        rain.line((x, y, x - length / 4, y + length), fill=(190, 202, 218), width=max(picture.width // 700, 1))
    return heavy


def sunset(picture: Image.Image, _random: Random) -> Image.Image:
    ramp = ImageOps.colorize(
        Image.linear_gradient("L").resize(picture.size), black="#5a2a7a", mid="#ff8a3c", white="#ffd08a"
    )
    return Image.blend(picture, ImageChops.soft_light(ImageChops.multiply(picture, ramp), ramp), 0.75)


def warm(picture: Image.Image, _random: Random) -> Image.Image:
    return _channels(picture, 1.18, 1.03, 0.8)


def cold(picture: Image.Image, _random: Random) -> Image.Image:
    return _channels(picture, 0.8, 0.97, 1.2)


def blur(picture: Image.Image, _random: Random) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(max(picture.width / 90, 2)))


def mirror(picture: Image.Image, _random: Random) -> Image.Image:
    return ImageOps.mirror(picture)


def vignette(picture: Image.Image, _random: Random) -> Image.Image:
    """For prompts without a known word: still plainly another picture than before."""
    rich = ImageEnhance.Contrast(_channels(ImageEnhance.Color(picture).enhance(1.35), 1.1, 1.0, 0.88)).enhance(1.12)
    shade = Image.radial_gradient("L").resize(picture.size).point(lambda value: max(value - 110, 0) * 3 // 2)
    return Image.composite(Image.new("RGB", picture.size, (24, 14, 34)), rich, shade)


def _tint(picture: Image.Image, colour: Colour, share: float) -> Image.Image:
    return Image.blend(picture, Image.new("RGB", picture.size, colour), share)


def _scaled(channel: Image.Image, factor: float) -> Image.Image:
    return channel.point([min(int(value * factor), 255) for value in range(256)])


def _channels(picture: Image.Image, red: float, green: float, blue: float) -> Image.Image:
    factors = (red, green, blue)
    return Image.merge("RGB", [_scaled(channel, by) for channel, by in zip(picture.split(), factors, strict=True)])


def _noise(size: tuple[int, int], random: Random, *, grain: int) -> Image.Image:
    small = (max(size[0] // grain, 2), max(size[1] // grain, 2))
    return Image.frombytes("L", small, random.randbytes(small[0] * small[1])).resize(size, Image.Resampling.BICUBIC)


def _disc(draw: ImageDraw.ImageDraw, centre: tuple[float, float], radius: float, fill: Colour | int) -> None:
    x, y = centre
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _sprinkle(picture: Image.Image, random: Random, *, count: int, colour: Colour, size: float) -> Image.Image:
    scene = picture.copy()
    draw = ImageDraw.Draw(scene)
    for _ in range(count):
        place = (random.random() * picture.width, random.random() * picture.height)
        _disc(draw, place, max(size * (0.4 + random.random()), 0.6), colour)
    return scene


# Painting order: places and light first, then materials, then what touches every pixel.
BRUSHES: tuple[tuple[str, str, Brush], ...] = (
    ("winter", r"winter|snow|christmas|frozen|ice\b", winter),
    ("storm", r"storm|rain|thunder", storm),
    ("sunset", r"sunset|sunrise|golden hour|dusk", sunset),
    ("night", r"night|midnight|moon|starry", night),
    ("warm", r"warm", warm),
    ("cold", r"cold|cool\b|chilly", cold),
    ("painting", r"painting|painted|oil paint|watercolou?r|impressionis", painting),
    ("poster", r"poster|pop art|flat colou?rs", poster),
    ("sketch", r"sketch|pencil|drawing|line art", sketch),
    ("sepia", r"sepia|vintage|antique|old photo", sepia),
    ("black and white", r"black[ -](?:and|&)[ -]white|b&w|monochrome|gr[ae]yscale|noir", black_and_white),
    ("blur", r"blur|out of focus|unfocused", blur),
    ("mirror", r"mirror|flip", mirror),
)
