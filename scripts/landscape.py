"""Paints samples/landscape.jpg, a summer landscape: run it as `.venv/bin/python scripts/landscape.py`."""

import io
from collections.abc import Sequence
from math import pi, sin
from pathlib import Path
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

SIDE = 768
SCALE = 2  # drawn at twice the size and reduced: smooth edges
S = SIDE * SCALE
HORIZON = int(S * 0.56)
Point = tuple[float, float]


def jpeg() -> bytes:
    random = Random(7)  # noqa: S311 - repeatable on purpose
    picture = _sky(random)
    _mountains(picture)
    _meadows(picture)
    _lake(picture, random)
    _house(picture)
    _trees(picture, random)
    _flowers(picture, random)
    small = _grain(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), random)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=90, optimize=True)
    return out.getvalue()


def _sky(random: Random) -> Image.Image:
    ramp = Image.linear_gradient("L").resize((S, S)).point([min(int(value * 1.75), 255) for value in range(256)])
    sky = ImageOps.colorize(ramp, black="#3f86cf", mid="#9fcdf0", white="#fdeccb")
    _glow(sky, (S * 0.76, S * 0.2), S * 0.055)
    for x, y, size in ((0.2, 0.16, 0.075), (0.47, 0.1, 0.05), (0.55, 0.3, 0.04), (0.06, 0.34, 0.045)):
        _cloud(sky, random, (S * x, S * y), S * size)
    return sky


def _glow(sky: Image.Image, centre: Point, radius: float) -> None:
    light = Image.new("L", sky.size, 0)
    _disc(ImageDraw.Draw(light), centre, radius * 2.2, 150)
    light = light.filter(ImageFilter.GaussianBlur(radius))
    _disc(ImageDraw.Draw(light), centre, radius, 255)
    light = light.filter(ImageFilter.GaussianBlur(2))
    sky.paste(Image.new("RGB", sky.size, "#fff6cf"), (0, 0), light)


def _cloud(sky: Image.Image, random: Random, centre: Point, size: float) -> None:
    puff = Image.new("L", sky.size, 0)
    draw = ImageDraw.Draw(puff)
    for step in range(11):
        along = (step - 5) / 5
        radius = size * (0.62 - 0.4 * along**2) * (0.8 + 0.4 * random.random())
        _disc(draw, (centre[0] + along * size * 1.9, centre[1] - radius * 0.45), radius, 225)
    draw.rectangle((0, centre[1] + size * 0.12, S, S), fill=0)
    puff = puff.filter(ImageFilter.GaussianBlur(size * 0.09))
    sky.paste(Image.new("RGB", sky.size, "#ffffff"), (0, 0), puff)


def _mountains(picture: Image.Image) -> None:
    draw = ImageDraw.Draw(picture)
    draw.polygon(_ridge(0.44, (0.05, 1.3, 0.4), (0.022, 4.7, 2.1), (0.008, 13, 0.3)), fill="#8fabc8")
    draw.polygon(_ridge(0.485, (0.04, 1.7, 2.6), (0.018, 5.9, 0.8), (0.006, 17, 1.0)), fill="#6f93a9")
    draw.polygon(_ridge(0.53, (0.022, 2.3, 5.0), (0.008, 8.3, 0.5), (0.004, 31, 0.0)), fill="#5b8a7c")


def _meadows(picture: Image.Image) -> None:
    for level, waves, top, bottom in (
        (0.575, ((0.018, 1.5, 1.2),), "#8dbb5c", "#6fa24b"),
        (0.66, ((0.03, 1.1, 3.6), (0.006, 5, 1)), "#79b04c", "#4f8a3b"),
        (0.80, ((0.028, 1.3, 5.2), (0.006, 6, 2)), "#5f9c40", "#33692c"),
    ):
        mask = Image.new("L", picture.size, 0)
        ImageDraw.Draw(mask).polygon(_ridge(level, *waves), fill=255)
        ramp = Image.linear_gradient("L").resize((S, S - int(S * level) + 60))
        fill = Image.new("RGB", picture.size)
        fill.paste(ImageOps.colorize(ramp, black=top, white=bottom), (0, int(S * level) - 60))
        picture.paste(fill, (0, 0), mask)


def _lake(picture: Image.Image, random: Random) -> None:
    """Mirrors the sky above the horizon, darkened, with ripples."""
    box = (int(S * 0.36), int(S * 0.645), int(S * 1.14), int(S * 0.79))
    height = box[3] - box[1]
    sky = picture.crop((0, HORIZON - int(height * 1.9), S, HORIZON))
    water = ImageOps.flip(sky).resize((S, height)).filter(ImageFilter.GaussianBlur(5))
    water = ImageChops.multiply(water, Image.new("RGB", water.size, "#b4d2e4"))
    draw = ImageDraw.Draw(water)
    for _ in range(150):
        x, y = random.random() * S, random.random() * height
        length = 12 + random.random() * 90 * (0.3 + y / height)
        draw.line((x, y, x + length, y), fill=random.choice(("#d9ecf6", "#7fa9c4")), width=2)
    mask = Image.new("L", picture.size, 0)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    shore = mask.filter(ImageFilter.MaxFilter(11))
    picture.paste(Image.new("RGB", picture.size, "#d8c896"), (0, 0), shore.filter(ImageFilter.GaussianBlur(3)))
    whole = Image.new("RGB", picture.size)
    whole.paste(water, (0, box[1]))
    picture.paste(whole, (0, 0), mask.filter(ImageFilter.GaussianBlur(2)))


def _house(picture: Image.Image) -> None:
    draw = ImageDraw.Draw(picture)
    x, y, unit = S * 0.135, S * 0.6, S * 0.01
    path = [(x + 6 * unit, y + 12 * unit), (x + 9 * unit, y + 12 * unit), (S * 0.34, S), (S * 0.2, S)]
    draw.polygon(path, fill="#dcc79b")
    draw.rectangle((x, y, x + 19 * unit, y + 12 * unit), fill="#f7ecd8")
    draw.rectangle((x + 13 * unit, y, x + 19 * unit, y + 12 * unit), fill="#e6d5b8")
    draw.rectangle((x + 14 * unit, y - 9 * unit, x + 16 * unit, y - 2 * unit), fill="#8f4a3a")
    roof = [(x - 2 * unit, y), (x + 4 * unit, y - 7 * unit), (x + 15.5 * unit, y - 7 * unit), (x + 21 * unit, y)]
    draw.polygon(roof, fill="#b5523c")
    draw.line((roof[0], roof[3]), fill="#8c3c2c", width=int(unit * 0.6))
    draw.rectangle((x + 6 * unit, y + 5 * unit, x + 9 * unit, y + 12 * unit), fill="#6b4630")
    for left in (1.8, 14.6):
        frame = (x + left * unit, y + 3 * unit, x + (left + 3) * unit, y + 6.5 * unit)
        draw.rectangle(frame, fill="#8fc1dd", outline="#ffffff", width=int(unit * 0.45))
        draw.line(((frame[0] + frame[2]) / 2, frame[1], (frame[0] + frame[2]) / 2, frame[3]), fill="#ffffff", width=4)


def _trees(picture: Image.Image, random: Random) -> None:
    draw = ImageDraw.Draw(picture)
    for x, y, size in (
        (0.4, 0.63, 0.05),
        (0.445, 0.635, 0.04),
        (0.62, 0.62, 0.035),
        (0.66, 0.623, 0.045),
        (0.7, 0.62, 0.03),
    ):
        _fir(draw, (S * x, S * y), S * size)
    for x, y, size in ((0.06, 0.72, 0.085), (0.875, 0.88, 0.125)):
        _leafy(draw, random, (S * x, S * y), S * size)


def _fir(draw: ImageDraw.ImageDraw, foot: Point, size: float) -> None:
    x, y = foot
    draw.rectangle((x - size * 0.07, y - size * 0.2, x + size * 0.07, y), fill="#5a4030")
    for step, colour in enumerate(("#2f5f3c", "#376d44", "#3f7b4c")):
        base, width = y - size * (0.15 + 0.42 * step), size * (0.5 - 0.11 * step)
        draw.polygon([(x - width, base), (x + width, base), (x, base - size * 0.8)], fill=colour)


def _leafy(draw: ImageDraw.ImageDraw, random: Random, foot: Point, size: float) -> None:
    x, y = foot
    trunk = [(x - size * 0.13, y), (x - size * 0.06, y - size), (x + size * 0.06, y - size), (x + size * 0.15, y)]
    draw.polygon(trunk, fill="#6a4a32")
    for colour, lift, count in (("#2f6a33", 0.0, 34), ("#438540", 0.14, 30), ("#63a54a", 0.3, 18)):
        for _ in range(count):
            turn, reach = random.random() * 2 * pi, random.random() ** 0.5 * size * (0.72 - lift * 0.8)
            place = (
                x - size * lift * 0.4 + reach * sin(turn + pi / 2),
                y - size * (1.5 + lift) + reach * 0.85 * sin(turn),
            )
            _disc(draw, place, size * (0.13 + 0.1 * random.random()), colour)


def _flowers(picture: Image.Image, random: Random) -> None:
    draw = ImageDraw.Draw(picture)
    for _ in range(190):
        x, depth = random.random() * S, random.random()
        if 0.18 * S < x < 0.36 * S:
            continue  # the path
        y = S * (0.86 + 0.14 * depth)
        colour = random.choice(("#f4d35e", "#f7f3e3", "#e4572e", "#c77dff"))
        draw.line((x, y, x, y + 12 + 10 * depth), fill="#2c5f28", width=3)
        _disc(draw, (x, y), 4 + 5 * depth, colour)


def _grain(picture: Image.Image, random: Random) -> Image.Image:
    noise = Image.frombytes("L", picture.size, random.randbytes(SIDE * SIDE)).filter(ImageFilter.GaussianBlur(0.6))
    return Image.blend(picture, ImageChops.overlay(picture, Image.merge("RGB", (noise,) * 3)), 0.1)


def _ridge(level: float, *waves: tuple[float, float, float]) -> Sequence[Point]:
    """The outline of a hill: sine waves of (height, periods, phase) around a level, closed at the bottom."""
    top = [
        (x, S * (level + sum(high * sin(periods * 2 * pi * x / S / 1.6 + phase) for high, periods, phase in waves)))
        for x in range(0, S + 8, 8)
    ]
    return [*top, (S + 8, S), (0, S)]


def _disc(draw: ImageDraw.ImageDraw, centre: Point, radius: float, fill: str | int) -> None:
    x, y = centre
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


if __name__ == "__main__":
    (Path(__file__).parents[1] / "samples" / "landscape.jpg").write_bytes(jpeg())
