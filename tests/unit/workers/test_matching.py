"""Matches a task without a token to its edit by the input that the provider echoes."""

from datetime import UTC, datetime, timedelta

import pytest

from edits.models import EditInput
from workers.adoption.matching import Asked, Silent, Verdict, Wanted, compare, may_be_among, task_for

THEN = datetime(2026, 11, 1, tzinfo=UTC)
PICTURE = "https://example.com/in.png"
INPUT = {"prompt": "night", "image": PICTURE, "width": 512, "height": 256, "steps": 28, "seed": 42}


def wanted(sent: str = "", **changes: object) -> Wanted:
    asked = EditInput.model_validate(INPUT | changes)
    return Wanted(Asked.by_edit(asked, sent), earliest=THEN, latest=THEN + timedelta(minutes=1))


def silent(at: datetime | None = THEN, task_id: str = "t", **changes: object) -> Silent:
    return Silent(task_id, Asked.by_task(INPUT | changes), at)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, Verdict.SAME),
        ({"prompt": " night\n"}, Verdict.SAME),
        ({"seed": "42"}, Verdict.SAME),
        ({"seed": 43}, Verdict.OTHER),
        ({"prompt": "day"}, Verdict.OTHER),
        ({"steps": 10}, Verdict.OTHER),
        ({"width": 1024}, Verdict.OTHER),
        ({"image": "https://example.com/other.png"}, Verdict.UNCLEAR),
        ({"image": None}, Verdict.UNCLEAR),
        ({"prompt": ""}, Verdict.UNCLEAR),
        ({"seed": None}, Verdict.UNCLEAR),
        ({"seed": -1}, Verdict.UNCLEAR),
        ({"seed": 0}, Verdict.UNCLEAR),
        ({"steps": 0}, Verdict.UNCLEAR),
        ({"seed": True, "prompt": ["night"]}, Verdict.UNCLEAR),
        ({"image": None, "seed": 43}, Verdict.OTHER),
    ],
)
def test_each_field_is_for_it_against_it_or_silent(changes: dict[str, object], verdict: Verdict) -> None:
    assert compare(wanted(), silent(**changes)) is verdict


def test_a_size_that_was_not_asked_for_is_the_providers() -> None:
    assert compare(wanted(width=None, height=None), silent(width=1024, height=1024)) is Verdict.SAME


def test_a_seed_of_zero_that_was_asked_for_is_a_seed() -> None:
    assert compare(wanted(seed=0), silent(seed=0)) is Verdict.SAME
    assert compare(wanted(seed=0), silent(seed=5)) is Verdict.OTHER


def test_the_address_that_counts_is_the_one_that_was_sent() -> None:
    assert compare(wanted(sent="https://signed/1"), silent(image="https://signed/1")) is Verdict.SAME
    assert compare(wanted(sent="https://signed/1"), silent()) is Verdict.UNCLEAR
    assert compare(wanted(image=None), silent(image=None)) is Verdict.UNCLEAR


@pytest.mark.parametrize("seconds", [-1, 61])
def test_a_task_of_another_time_is_another(seconds: int) -> None:
    assert compare(wanted(), silent(at=THEN + timedelta(seconds=seconds))) is Verdict.OTHER


def test_a_task_without_a_time_is_never_the_same() -> None:
    assert compare(wanted(), silent(at=None)) is Verdict.UNCLEAR
    assert compare(wanted(), silent(at=None, seed=43)) is Verdict.OTHER


def test_a_task_is_matched_one_to_one_or_not_at_all() -> None:
    mine, twin = wanted(), wanted()
    assert task_for(mine, [], [silent(), silent(task_id="other", seed=43)]) == "t"
    assert task_for(mine, [twin], [silent()]) is None
    assert task_for(mine, [wanted(seed=43)], [silent()]) == "t"
    assert task_for(mine, [], [silent(), silent(task_id="second")]) is None


def test_what_fits_another_edit_wholly_hides_nothing_of_this_one() -> None:
    elsewhere = "https://example.com/other.png"
    assert may_be_among(wanted(), [], [silent(image=elsewhere)])
    assert not may_be_among(wanted(), [wanted(image=elsewhere)], [silent(image=elsewhere)])
    assert may_be_among(wanted(), [wanted()], [silent()])
    assert not may_be_among(wanted(), [], [silent(seed=43)])
