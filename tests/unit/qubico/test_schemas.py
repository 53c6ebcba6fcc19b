"""The wire format: exactly what is sent, and that any JSON at all is read as a task or as nothing."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from qubico.account import parse_account, parse_history
from qubico.errors import ResultGone, ResultTooLarge, Unreadable
from qubico.schemas import KontextRequest, Task, TaskStatus, error_texts, parse_task

REQUEST = {"prompt": "make it winter", "image": "https://files.example.com/a.png", "steps": 28, "seed": 184467}

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "data", "code", "message", "task_id", "status", "config", "webhook_config", "secret", "endpoint", "input",
        "output", "image_url", "image_urls", "image_base64", "meta", "created_at", "usage", "consume", "logs", "error",
        "raw_message", "detail", "page", "size", "total", "equivalent_in_usd", "max_concurrent_task_count", "id",
    ]
)  # fmt: skip
WORDS = st.sampled_from(["failed", "Completed", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "1e999", "-0", ""])
LIKE_AN_ANSWER = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=8),
    max_leaves=30,
)


def test_a_request_is_written_to_the_letter():
    request = KontextRequest(
        **REQUEST,
        width=1216,
        height=832,
        webhook_endpoint="https://retouch.example.com/v1/callbacks/qubico/tok",
        webhook_secret="tok",
    )
    assert json.loads(request.body()) == {
        "model": "Qubico/flux1-dev-advanced",
        "task_type": "kontext",
        "input": {
            "prompt": "make it winter",
            "image": "https://files.example.com/a.png",
            "width": 1216,
            "height": 832,
            "steps": 28,
            "seed": 184467,
        },
        "config": {
            "webhook_config": {"endpoint": "https://retouch.example.com/v1/callbacks/qubico/tok", "secret": "tok"},
        },
    }


def test_what_is_not_asked_for_is_not_sent_but_the_webhook_config_always_is():
    sent = json.loads(KontextRequest(**REQUEST).body())
    assert sent["input"].keys() == {"prompt", "image", "steps", "seed"}
    assert sent["config"] == {"webhook_config": {"endpoint": "", "secret": ""}}


def test_text_is_sent_as_utf_8():
    assert "Füße 🌩".encode() in KontextRequest(**REQUEST | {"prompt": "Füße 🌩"}).body()


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": "28"}, {"steps": 28.0}, {"steps": True}, {"steps": 0}, {"steps": 41}, {"seed": -2}, {"seed": "7"},
        {"width": 0}, {"height": 832.5}, {"prompt": ""}, {"prompt": "\ud800"}, {"image": ""}, {"image": None},
        {"negative_prompt": "rain"},
    ],
    ids=str,
)  # fmt: skip
def test_a_request_that_the_provider_would_refuse_is_not_made(wrong):
    with pytest.raises(ValidationError) as refused:
        KontextRequest(**REQUEST | wrong)
    assert "winter" not in str(refused.value)


def test_neither_a_request_nor_a_task_shows_what_is_private():
    request = KontextRequest(**REQUEST, webhook_endpoint="https://e/token", webhook_secret="s3cret")
    task = parse_task(
        {
            "task_id": "t",
            "status": "completed",
            "input": {"prompt": "make it winter"},
            "output": {"image_url": "https://i/private.png", "image_base64": "cHJpdmF0ZQ"},
            "config": {"webhook_config": {"endpoint": "https://e/token", "secret": "s3cret"}},
            "logs": ["private"],
        }
    )
    for private in ("winter", "files.example.com", "token", "s3cret", "private", "cHJpdmF0ZQ"):
        assert private not in f"{request!r} {request} {task!r} {task}"


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Staged", TaskStatus.STAGED), ("staged", TaskStatus.STAGED), ("Pending", TaskStatus.PENDING),
        ("PENDING", TaskStatus.PENDING), ("Processing", TaskStatus.PROCESSING), ("starting", TaskStatus.PROCESSING),
        ("retry", TaskStatus.PROCESSING), ("running", TaskStatus.PROCESSING), ("in_progress", TaskStatus.PROCESSING),
        (" Completed ", TaskStatus.COMPLETED), ("success", TaskStatus.COMPLETED), ("Failed", TaskStatus.FAILED),
        ("cancelled", TaskStatus.FAILED), ("", TaskStatus.UNKNOWN), ("warming-up", TaskStatus.UNKNOWN),
        (None, TaskStatus.UNKNOWN), (3, TaskStatus.UNKNOWN), (["failed"], TaskStatus.UNKNOWN),
    ],
)  # fmt: skip
def test_every_word_for_a_status_has_a_meaning(word, status):
    task = parse_task({"task_id": "t", "status": word})
    assert task.status is status
    assert task.is_final is (status in {TaskStatus.COMPLETED, TaskStatus.FAILED})
    assert task.raw_status == (word.strip() if isinstance(word, str) else "")


FAILED = {"task_id": "t", "status": "failed"}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"error": {"message": "a", "raw_message": "b", "detail": "c"}, "detail": "d", "logs": ["e"]}, "a"),
        ({"error": {"message": "", "raw_message": "b", "detail": "c"}, "detail": "d", "logs": ["e"]}, "b"),
        ({"error": {"message": " ", "raw_message": None, "detail": "c"}, "detail": "d", "logs": ["e"]}, "c"),
        ({"error": {"detail": {"x": 1}}, "detail": "d", "logs": ["e"]}, "d"),
        ({"error": None, "logs": ["e", "f"]}, "f"),
        ({"error": "g"}, "g"),
        ({"logs": [{"level": "error", "message": "h"}]}, "h"),
        ({"logs": [{"step": 3}]}, '{"step": 3}'),
        ({}, ""),
    ],
)
def test_the_message_is_the_first_text_that_says_something(said, message):
    assert parse_task(FAILED | said).message == message


def test_the_envelope_speaks_last_and_success_is_no_message():
    assert parse_task({"data": FAILED, "message": "no worker"}).message == "no worker"
    assert parse_task({"data": FAILED, "message": "success"}).message == ""


def test_a_running_task_has_logs_but_no_message():
    assert parse_task({"task_id": "t", "status": "processing", "logs": ["loading"]}).message == ""


def test_a_message_holds_no_address():
    task = parse_task(
        FAILED | {"error": {"message": "fetch https://s3.example.com/in/a.png?X-Amz-Signature=abc failed"}}
    )
    assert task.message == "fetch https://s3.example.com/… failed"


@pytest.mark.parametrize(
    ("texts", "status", "moderated"),
    [
        ({"error": {"message": "Banned Prompt: ok google"}}, "failed", True),
        ({"error": {"raw_message": "content moderation"}}, "failed", True),
        ({"logs": ["NSFW content detected"]}, "failed", True),
        ({"logs": ["nsfw check passed", "out of memory"]}, "failed", False),
        ({"logs": ["NSFW content detected"]}, "completed", False),
        ({"error": {"message": "task failed"}}, "failed", False),
    ],
)
def test_moderated_is_a_failure_that_speaks_of_the_content(texts, status, moderated):
    assert parse_task({"task_id": "t", "status": status, **texts}).moderated is moderated


@pytest.mark.parametrize(
    ("output", "address", "inline"),
    [
        (None, None, None),
        ([], None, None),
        ({}, None, None),
        ({"image_url": "", "image_urls": None}, None, None),
        ({"image_url": " https://i/a.png "}, "https://i/a.png", None),
        ({"image_url": "", "image_urls": ["", "https://i/b.png", "https://i/c.png"]}, "https://i/b.png", None),
        ({"image_urls": [{"url": "https://i/d.png"}]}, "https://i/d.png", None),
        ({"image_url": ["https://i/e.png"]}, "https://i/e.png", None),
        ({"image_url": "data:image/png;base64,AAAA"}, None, "data:image/png;base64,AAAA"),
        ({"image_base64": "AAAA", "image_url": "https://i/f.png"}, "https://i/f.png", "AAAA"),
        ({"image_url": 7, "image_base64": False}, None, None),
    ],
)
def test_the_result_is_found_under_any_of_its_names(output, address, inline):
    task = parse_task({"task_id": "t", "output": output})
    assert (task.image_url, task.image_base64) == (address, inline)


@pytest.mark.parametrize("task_id", ["", " ", None, True, 1.5, [], {}, ".", "..", "x" * 513])
def test_without_a_usable_id_there_is_no_task(task_id):
    with pytest.raises(Unreadable):
        parse_task({"code": 200, "data": {"task_id": task_id, "status": "pending"}})


def test_a_number_is_taken_as_an_id():
    assert parse_task({"data": {"task_id": 12}}).task_id == "12"


PICTURE = bytes(range(256)) * 3


@pytest.mark.parametrize(
    "written",
    [
        base64.b64encode(PICTURE).decode(),
        base64.b64encode(PICTURE).decode().rstrip("="),
        base64.urlsafe_b64encode(PICTURE).decode(),
        base64.encodebytes(PICTURE).decode(),
        "data:image/png;base64," + base64.b64encode(PICTURE).decode(),
    ],
    ids=["plain", "unpadded", "urlsafe", "in lines", "data uri"],
)
def test_a_picture_in_base64_is_decoded_up_to_the_cap(written):
    task = Task(task_id="t", status=TaskStatus.COMPLETED, image_base64=written)
    assert task.image_bytes(max_bytes=len(PICTURE)) == PICTURE
    with pytest.raises(ResultTooLarge):
        task.image_bytes(max_bytes=len(PICTURE) - 1)


@pytest.mark.parametrize("written", [None, "", "data:image/png;base64,", "<html>", "AAAAA", "ÄÖÜß"])
def test_what_is_not_base64_is_no_result(written):
    with pytest.raises(ResultGone):
        Task(task_id="t", status=TaskStatus.COMPLETED, image_base64=written).image_bytes(max_bytes=100)


@given(ANY_JSON | LIKE_AN_ANSWER | st.fixed_dictionaries({"data": LIKE_AN_ANSWER}))
def test_any_json_is_a_task_or_unreadable(payload):
    error_texts(payload)
    try:
        task = parse_task(payload)
    except Unreadable:
        return
    assert task.task_id
    for moment in (task.created_at, task.started_at, task.ended_at):
        assert moment is None or (moment.tzinfo is UTC and moment.year > 1)
    assert isinstance(task.moderated, bool)
    task.message.encode()


@given(LIKE_AN_ANSWER, st.fixed_dictionaries({}, optional=dict.fromkeys(("data", "output", "meta"), LIKE_AN_ANSWER)))
def test_any_task_with_an_id_is_read(status, rest):
    assert parse_task({**rest, "data": {**rest, "task_id": "t", "status": status}}).task_id == "t"


@given(ANY_JSON | LIKE_AN_ANSWER | st.fixed_dictionaries({"data": LIKE_AN_ANSWER}))
def test_any_json_is_an_account_a_page_or_unreadable(payload):
    readers = (
        parse_account,
        lambda value: parse_history(value, page=1),
    )
    for read in readers:
        try:
            read(payload)
        except Unreadable:
            continue


def test_times_are_read_whatever_their_fraction_and_offset():
    meta = {
        "created_at": "2026-01-15T17:20:11.104593+08:00",
        "started_at": "2026-01-15T09:20:12.330021477Z",
        "ended_at": "0001-01-01T00:00:00Z",
    }
    task = parse_task({"task_id": "t", "meta": meta})
    assert task.created_at == datetime(2026, 1, 15, 9, 20, 11, 104593, tzinfo=UTC)
    assert task.started_at == datetime(2026, 1, 15, 9, 20, 12, 330021, tzinfo=UTC)
    assert task.ended_at is None
