"""Single values: what is read, and that the rest is None instead of an exception."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from qubico import reading

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-01-15T12:00:00Z", NOON),
        ("2026-01-15T20:00:00+08:00", NOON),
        ("2026-01-15T12:00:00.000000000Z", NOON),
        ("2026-01-15 12:00:00", NOON),
        (int(NOON.timestamp()), NOON),
        (NOON.timestamp() * 1000, NOON),
        (str(int(NOON.timestamp())), NOON),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00-08:00", None),
        ("9999-12-31T23:59:59-08:00", None),
        (0, None),
        (-62135596800, None),
        (10**17, None),
        (True, None),
        (None, None),
        ("", None),
        ("soon", None),
        ({}, None),
    ],
)
def test_a_moment_is_utc_or_none(value, moment):
    assert reading.moment(value) == moment


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        (200_000, 200_000), (200_000.0, 200_000), ("200000", 200_000), (" -3 ", -3), (0, 0),
        (True, None), (0.5, None), (float("nan"), None), (float("inf"), None), (10**30, None), ("9" * 30, None),
        ("1_0", None), ("٣", None), (None, None), ([], None),
    ],
)  # fmt: skip
def test_a_whole_number_is_read_however_it_is_written(value, whole):
    assert reading.whole(value) == whole


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (12.34, Decimal("12.34")), ("12.34", Decimal("12.34")), (12, Decimal(12)), (-0.5, Decimal("-0.5")),
        ("sNaN", None), (float("nan"), None), ("Infinity", None), ("1e999999", None), (10**5000, None),
        (True, None), (None, None), ("twelve", None), ([], None),
    ],
    ids=lambda value: str(value)[:12] if not isinstance(value, int) or abs(value) < 10**9 else "huge",
)  # fmt: skip
def test_dollars_are_decimal_or_none(value, amount):
    assert reading.dollars(value) == amount


def test_text_can_always_be_encoded():
    assert reading.text(" a\ud800b ") == "a?b"
    assert reading.text(7) == ""


def test_lines_are_the_last_ones_and_each_is_cut():
    assert reading.lines(None) == ()
    assert reading.lines("only") == ("only",)
    assert reading.lines(["a", "", None, {"msg": "b"}, {}]) == ("a", "b", "{}")
    many = reading.lines([str(number) for number in range(80)] + ["x" * 9999])
    assert (len(many), many[-2], len(many[-1])) == (50, "79", 2000)
