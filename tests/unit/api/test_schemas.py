import json
from datetime import timedelta

import pytest
from pydantic import BaseModel, ValidationError, create_model

from api import errors
from api.schemas.parameters import ListQuery
from api.schemas.requests import EditRequest
from edits.models import EditStatus

GOOD = {"prompt": "make the sky stormy", "image": "https://example.com/house.jpg"}
LONG_ADDRESS = "https://example.com/"
INVISIBLE = ["\u200b", "\u200b \ufeff", "\u2060\u00ad", "\u3164", "\u2800", "\ufe0f", "\0", "\u202e\u2066"]
"""Prompts of zero-width spaces, joiners, fillers, variation selectors and controls alone."""


def faults_of(body: object) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as refused:
        EditRequest.model_validate_json(json.dumps(body))
    problem = errors.of_validation(refused.value)
    assert problem.code == "invalid"
    return [(fault.pointer, fault.code) for fault in problem.faults]


def test_null_is_an_absent_field_wherever_a_field_may_be_absent() -> None:
    optional = EditRequest.model_fields.keys() - {"prompt", "image"}
    asked = EditRequest.model_validate_json(json.dumps(GOOD | dict.fromkeys(optional)))
    assert asked == EditRequest.model_validate_json(json.dumps(GOOD))
    described = EditRequest.model_json_schema()["properties"]
    assert all({"type": "null"} in described[name]["anyOf"] for name in optional)


def test_what_is_left_out_has_the_defaults_of_the_contract() -> None:
    asked = EditRequest.model_validate_json(json.dumps(GOOD))
    assert asked.model_dump(exclude={"prompt", "image"}) == {
        "image_fetch": "provider", "width": None, "height": None, "steps": 28, "seed": -1, "priority": "standard",
        "expires_in": None, "external_id": None, "metadata": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"prompt": "x" * 4000}, id="longest prompt"),
        pytest.param({"prompt": " " + "x" * 4000 + "\n"}, id="prompt is trimmed before it is measured"),
        pytest.param({"image": "http://example.com/a.png?x=1#y"}, id="http, query, fragment"),
        pytest.param({"image": "https://bücher.example/ä.png"}, id="letters of any language"),
        pytest.param({"image": LONG_ADDRESS + "a" * (2048 - len(LONG_ADDRESS))}, id="longest address"),
        pytest.param({"image": "data:image/png;base64,AAAA"}, id="data URI, looked into later"),
        pytest.param({"image_fetch": "provider"}, id="the provider fetches"),
        pytest.param({"image_fetch": "copy"}, id="we fetch"),
        pytest.param({"width": 128, "height": 2048}, id="shortest and longest side"),
        pytest.param({"width": 1024, "height": 1024}, id="largest area"),
        pytest.param({"steps": 1}, id="fewest steps"),
        pytest.param({"steps": 40}, id="most steps"),
        pytest.param({"seed": 0}, id="seed 0"),
        pytest.param({"seed": 2**53 - 1}, id="largest seed"),
        pytest.param({"priority": "bulk"}, id="priority"),
        pytest.param({"expires_in": 604_800}, id="a week"),
        pytest.param({"external_id": "x" * 128}, id="longest external_id"),
        pytest.param({"external_id": None, "width": None, "height": None}, id="null is as if left out"),
        pytest.param({"metadata": {f"{n:064}": "v" * 512 for n in range(16)}}, id="fullest metadata"),
    ],
)
def test_what_the_contract_allows_is_taken(change: dict[str, object]) -> None:
    EditRequest.model_validate_json(json.dumps(GOOD | change))


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        pytest.param({"prompt": ""}, "/prompt", "too_short", id="empty prompt"),
        pytest.param({"prompt": " \n\t"}, "/prompt", "too_short", id="blank prompt"),
        pytest.param({"prompt": "x" * 4001}, "/prompt", "too_long", id="long prompt"),
        pytest.param({"prompt": None}, "/prompt", "wrong_type", id="null prompt"),
        *(pytest.param({"prompt": p}, "/prompt", "too_short", id=f"invisible {p!r}") for p in INVISIBLE),
        pytest.param({"prompt": 5}, "/prompt", "wrong_type", id="number as prompt"),
        pytest.param({"image": ""}, "/image", "too_short", id="empty image"),
        pytest.param({"image": "ftp://example.com/a.png"}, "/image", "invalid", id="another scheme"),
        pytest.param({"image": "file:///etc/passwd"}, "/image", "invalid", id="a file"),
        pytest.param({"image": "example.com/a.png"}, "/image", "invalid", id="no scheme"),
        pytest.param({"image": "https:///a.png"}, "/image", "invalid", id="no host"),
        pytest.param({"image": "https://user:pw@example.com/a.png"}, "/image", "invalid", id="credentials"),
        pytest.param({"image": "https://example.com:99999/a.png"}, "/image", "invalid", id="impossible port"),
        pytest.param({"image": "https://exa mple.com/a.png"}, "/image", "invalid", id="space"),
        pytest.param({"image": "https://example.com/a\n.png"}, "/image", "invalid", id="line break"),
        pytest.param({"image": "https://example.com\\a.png"}, "/image", "invalid", id="backslash"),
        pytest.param({"image": LONG_ADDRESS + "a" * 2048}, "/image", "invalid", id="long address"),
        pytest.param({"image_fetch": "both"}, "/image_fetch", "not_allowed", id="unknown image_fetch"),
        pytest.param({"width": 512}, "/height", "required", id="width alone"),
        pytest.param({"height": 512}, "/height", "required", id="height alone"),
        pytest.param({"width": 120, "height": 512}, "/width", "out_of_range", id="too narrow"),
        pytest.param({"width": 2056, "height": 128}, "/width", "out_of_range", id="too wide"),
        pytest.param({"width": 130, "height": 512}, "/width", "not_a_multiple", id="not a multiple of 8"),
        pytest.param({"width": 1032, "height": 1024}, "/height", "out_of_range", id="area too large"),
        pytest.param({"width": 512.0, "height": 512}, "/width", "wrong_type", id="float"),
        pytest.param({"steps": "28"}, "/steps", "wrong_type", id="number in quotes"),
        pytest.param({"steps": True}, "/steps", "wrong_type", id="true is not 1"),
        pytest.param({"steps": 0}, "/steps", "out_of_range", id="no steps"),
        pytest.param({"steps": 41}, "/steps", "out_of_range", id="too many steps"),
        pytest.param({"seed": -2}, "/seed", "out_of_range", id="negative seed"),
        pytest.param({"seed": 2**53}, "/seed", "out_of_range", id="seed beyond exact integers"),
        pytest.param({"priority": "urgent"}, "/priority", "not_allowed", id="unknown priority"),
        pytest.param({"expires_in": 0}, "/expires_in", "out_of_range", id="expires at once"),
        pytest.param({"expires_in": 604_801}, "/expires_in", "out_of_range", id="more than a week"),
        pytest.param({"external_id": "x" * 129}, "/external_id", "too_long", id="long external_id"),
        pytest.param({"metadata": {str(n): "" for n in range(17)}}, "/metadata", "too_long", id="17 entries"),
        pytest.param({"metadata": {"k": "v" * 513}}, "/metadata/k", "too_long", id="long value"),
        pytest.param({"metadata": {"k": 1}}, "/metadata/k", "wrong_type", id="number as value"),
        pytest.param({"metadata": {"": "v"}}, "/metadata/", "too_short", id="empty key"),
        pytest.param({"metadata": {"a/b~c": 1}}, "/metadata/a~1b~0c", "wrong_type", id="pointer is escaped"),
        pytest.param({"metadata": []}, "/metadata", "wrong_type", id="metadata as a list"),
        pytest.param({"webhook": {"url": "https://example.com"}}, "/webhook", "unknown_field", id="later work"),
        pytest.param({"Prompt": "x"}, "/Prompt", "unknown_field", id="unknown field"),
    ],
)
def test_each_wrong_field_is_named(change: dict[str, object], pointer: str, code: str) -> None:
    assert faults_of(GOOD | change) == [(pointer, code)]


def test_all_faults_are_named_at_once() -> None:
    assert faults_of({"steps": 0, "colour": "red"}) == [
        ("/prompt", "required"), ("/image", "required"), ("/steps", "out_of_range"), ("/colour", "unknown_field"),
    ]  # fmt: skip


@pytest.mark.parametrize("body", [[], "text", 1, None])
def test_a_body_that_is_no_object_is_invalid_as_a_whole(body: object) -> None:
    assert faults_of(body) == [("", "wrong_type")]


@pytest.mark.parametrize("raw", [b"", b"{", b'{"prompt": "\\ud800"}', b"\xff", b"[" * 500, b"{'a': 1}"])
def test_what_is_no_json_is_malformed(raw: bytes) -> None:
    with pytest.raises(ValidationError) as refused:
        EditRequest.model_validate_json(raw)
    assert errors.of_validation(refused.value).code == "malformed"


def test_no_fault_repeats_what_was_sent() -> None:
    with pytest.raises(ValidationError) as refused:
        EditRequest.model_validate_json(json.dumps({"prompt": 5, "image": "ftp://secret.example/a", "steps": "secret"}))
    problem = errors.of_validation(refused.value)
    assert "secret" not in problem.detail + "".join(fault.message for fault in problem.faults)


def test_lists_in_a_query_come_by_comma_or_repeated() -> None:
    query = ListQuery.model_validate({"status": ["queued, failed", "canceled"], "ids": ["a,,b"]})
    assert query.status == [EditStatus.QUEUED, EditStatus.FAILED, EditStatus.CANCELED]
    assert query.ids == ["a", "b"]


@pytest.mark.parametrize("zone", ["+02:00", " 02:00", " 0200", "+0200"])
def test_the_plus_of_a_zone_may_come_unencoded(zone: str) -> None:
    for time in ("2026-01-15T09:20:11", "2026-01-15T09:20:11.5", "2026-01-15 09:20:11"):
        query = ListQuery.model_validate({"created_after": time + zone})
        assert query == ListQuery.model_validate({"created_after": f"{time}+02:00"})
        assert query.created_after is not None
        assert query.created_after.utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize(
    "moment",
    ["2026-01-15 09:20", "0.5", "1700000000", "-1", "1e9", "nan", "inf", "", "2026-01-15", "2026-01-15T09:20:11"],
)
def test_a_moment_is_written_out_with_its_zone(moment: str) -> None:
    for name in ("created_after", "created_before"):
        with pytest.raises(ValidationError):
            ListQuery.model_validate({name: moment})


@pytest.mark.parametrize(
    ("model", "sent", "message"),
    [
        (EditRequest, GOOD | {"colour": "red"}, "is not a field of an edit"),
        (EditRequest, GOOD | {"metadata": {str(n): "" for n in range(17)}}, "Dictionary should have at most 16 items"),
        (ListQuery, {"limit": "many"}, "must be an integer"),
        (ListQuery, {"ids": [",".join("a" * 201)]}, "List should have at most 200 items"),
        (ListQuery, {"created_after": "2026-01-15T09:20:11"}, "needs a time zone, as in 2026-01-15T09:20:11Z"),
        (create_model("Switch", on=(bool, ...)), {"on": "maybe"}, "must be true or false"),
    ],
)
def test_a_fault_is_said_in_plain_words(model: type[BaseModel], sent: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(sent)
    assert [fault.message for fault in errors.of_validation(refused.value).faults] == [message]


@pytest.mark.parametrize("image", ["https://example.com/house.jpg", "data:image/png;base64,AAAA"])
@pytest.mark.parametrize("around", ["  {} ", "{}\r\n", "\t{}\u00a0"])
def test_spaces_and_line_ends_around_an_address_are_trimmed(image: str, around: str) -> None:
    assert EditRequest.model_validate_json(json.dumps(GOOD | {"image": around.format(image)})).image == image


def test_spaces_inside_an_address_are_refused() -> None:
    for inside in ("https://example.com/a b.png", "https://example.com/a\nb.png", "https:// example.com/a.png", " "):
        assert [pointer for pointer, _ in faults_of(GOOD | {"image": inside})] == ["/image"]
