"""The output sizes that the provider allows, and the one nearest to a picture's shape. Pure."""

import math
from itertools import product
from typing import Final

SHORTEST_SIDE: Final = 128
LONGEST_SIDE: Final = 2048
LARGEST_AREA: Final = 1_048_576
SIDE_STEP: Final = 8


def nearest_size(width: int, height: int) -> tuple[int, int]:
    """The allowed output size nearest to a picture of this size, in pixels: its own, or the same shape made to fit.

    Shapes longer than 16 to 1 have no allowed size: they get the longest. Raises ValueError for no pixels.
    """
    if width < 1 or height < 1:
        raise ValueError("a picture has at least one pixel")
    if width < height:
        long, short = nearest_size(height, width)
        return short, long
    most = min(LONGEST_SIDE / width, math.sqrt(LARGEST_AREA / (width * height)))
    scale = min(max(1.0, SHORTEST_SIDE / height), most)
    ideal = width * scale, max(height * scale, float(SHORTEST_SIDE))
    around = product(_steps_around(ideal[0]), _steps_around(ideal[1]))
    allowed = [(wide, high) for wide, high in around if wide * high <= LARGEST_AREA]
    return min(allowed, key=lambda size: math.hypot(math.log(size[0] / ideal[0]), math.log(size[1] / ideal[1])))


def _steps_around(side: float) -> tuple[int, int]:
    """Allowed sides just below and just above."""
    below = max(SHORTEST_SIDE, math.floor(side / SIDE_STEP) * SIDE_STEP)
    above = min(LONGEST_SIDE, math.ceil(side / SIDE_STEP) * SIDE_STEP)
    return below, above
