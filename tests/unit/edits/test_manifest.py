"""The manifest holds the whole edit; other bytes are recognised as none."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edits.models import CostState, Edit, EditStatus, ErrorKind, TimelineEvent, Wait
from edits.storage import manifest
from tests.factories import MOMENT, make_edit, make_error, make_result


def _events() -> list[TimelineEvent]:
    first = TimelineEvent(seq=1, at=MOMENT, type="accepted", wait=None, duration_ms=0, data={})
    later = MOMENT + timedelta(seconds=2)
    return [
        first,
        TimelineEvent(seq=2, at=later, type="submitting", wait=Wait.FAIR_SHARE, duration_ms=2000, data={"attempt": 1}),
    ]


def _succeeded() -> Edit:
    edit = make_edit(external_id="order 17", metadata={"shop": "köln"}, prompt="Nacht über 東京 \U0001f600")
    result = make_result(edit.id)
    return edit.model_copy(
        update={
            "status": EditStatus.SUCCEEDED,
            "result": result,
            "finished_at": MOMENT,
            "cost_state": CostState.CHARGED,
        }
    )


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(_succeeded(), id="succeeded"),
        pytest.param(make_edit(status="failed", error=make_error(ErrorKind.MODERATED, provider_code=400)), id="failed"),
        pytest.param(make_edit(status="canceled", cost_state="released"), id="canceled"),
    ],
)
def test_a_manifest_gives_back_the_edit_and_its_timeline(edit: Edit):
    assert manifest.read(manifest.compose(edit, _events())) == (edit, _events())


def test_a_manifest_is_readable_by_whoever_has_only_the_bucket():
    content = json.loads(manifest.compose(_succeeded(), _events()))
    assert content["format"] == 1
    assert content["edit"]["input"]["prompt"] == "Nacht über 東京 \U0001f600"
    assert content["edit"]["created_at"] == "2026-11-22T12:00:00Z"
    assert content["edit"]["result"]["sha256"]
    assert content["edit"]["livemode"] is False
    assert [event["type"] for event in content["timeline"]] == ["accepted", "submitting"]


def _changed(**changes: object) -> bytes:
    return json.dumps(json.loads(manifest.compose(_succeeded(), _events())) | changes).encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(manifest.compose(_succeeded(), _events())[:-1], id="cut short"),
        pytest.param(b"\xff\xfe{}", id="not text"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{}", id="empty"),
        pytest.param(_changed(format=2), id="a later format"),
        pytest.param(_changed(edit=None), id="no edit"),
        pytest.param(_changed(edit={"id": "x"}), id="half an edit"),
        pytest.param(_changed(timeline=None), id="no timeline"),
        pytest.param(_changed(timeline=[1]), id="no events"),
    ],
)
def test_bytes_that_are_no_manifest_are_told_apart(data: bytes):
    assert manifest.read(data) is None


@pytest.mark.parametrize(
    "place",
    [(), ("edit",), ("edit", "input"), ("edit", "result"), ("edit", "error"), ("timeline", 1)],
    ids=lambda place: ".".join(map(str, place)) or "itself",
)
def test_a_field_that_a_later_release_added_is_passed_over(place: tuple[str | int, ...]):
    edit = _succeeded().model_copy(update={"error": make_error(ErrorKind.INTERNAL)})
    content = there = json.loads(manifest.compose(edit, _events()))
    for name in place:
        there = there[name]
    there["of_tomorrow"] = {"any": ["thing"]}
    assert manifest.read(json.dumps(content).encode()) == (edit, _events())


def test_a_field_that_an_earlier_release_did_not_have_is_as_it_was_then():
    edit = _succeeded()
    content = json.loads(manifest.compose(edit, _events()))
    del content["edit"]["other_task_ids"]
    assert manifest.read(json.dumps(content).encode()) == (edit, _events())


def test_a_value_that_is_not_known_is_not_guessed():
    content = json.loads(manifest.compose(_succeeded(), _events()))
    content["edit"]["status"] = "levitating"
    assert manifest.read(json.dumps(content).encode()) is None


@given(data=st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes):
    assert manifest.read(data) is None
