"""Packed bodies: every layer is bounded, in bytes and in time."""

import gzip
import time

import pytest

from qubico.encodings import MOST_LAYERS, EncodingInvalid, Unpacker
from qubico.errors import ResultTooLarge

CAP = 1_000_000
EMPTY = gzip.compress(b"")


def unpacked(body: bytes, *, encoding: str = "gzip", step: int | None = None) -> bytes:
    unpacker = Unpacker(encoding, max_bytes=CAP)
    if step is None:
        return unpacker.whole(body)
    pieces = [piece for at in range(0, len(body), step) for piece in unpacker.feed(body[at : at + step])]
    unpacker.finish()
    return b"".join(pieces)


@pytest.mark.parametrize("step", [None, 1, 7])
def test_zeros_between_and_behind_members_are_passed_over(step: int | None) -> None:
    body = gzip.compress(b"one") + bytes(9) + gzip.compress(b"two") + bytes(20)
    assert unpacked(body, step=step) == b"onetwo"


@pytest.mark.parametrize("step", [None, 1000])
def test_the_cap_holds_between_two_layers(step: int | None) -> None:
    """The outer layer is small; the inner one has endless members, and nothing comes out of it."""
    body = gzip.compress(EMPTY * (CAP // len(EMPTY) + 1))
    assert len(body) < CAP / 10
    with pytest.raises(ResultTooLarge):
        unpacked(body, encoding="gzip, gzip", step=step)


def test_the_number_of_layers_is_bounded() -> None:
    body = b"picture"
    for _ in range(1500):
        body = gzip.compress(body)
    with pytest.raises(EncodingInvalid, match="content encodings"):
        unpacked(body, encoding=",".join(["gzip"] * 1500))
    few = b"picture"
    for _ in range(MOST_LAYERS):
        few = gzip.compress(few)
    assert unpacked(few, encoding=",".join(["gzip"] * MOST_LAYERS)) == b"picture"


def test_the_time_for_many_members_grows_with_their_number() -> None:
    few, many = (_seconds(EMPTY * number) for number in (20_000, 160_000))
    assert many < 20 * few  # by the square it would be 64 times


def _seconds(body: bytes) -> float:
    began = time.process_time()
    assert Unpacker("gzip", max_bytes=len(body)).whole(body) == b""
    return time.process_time() - began
