"""Pictures opened fully, the sizes they may be edited at."""

from math import log

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edits.media import pictures, sniff
from edits.media.kinds import PictureInvalid
from tests.unit.edits.samples import END, SAMPLES, expected, header, open_fully, png

samples = pytest.mark.parametrize("name", SAMPLES)


@samples
def test_a_sound_picture_opens_fully(name: str):
    assert open_fully(SAMPLES[name]) == expected(name)


def test_damaged_pixels_are_found_only_by_opening_fully():
    broken = png(header(40, 24), (b"IDAT", b"these are no packed pixels"), END)
    assert sniff.inspect(broken).width == 40
    with pytest.raises(PictureInvalid, match="cannot be opened"):
        open_fully(broken)


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
