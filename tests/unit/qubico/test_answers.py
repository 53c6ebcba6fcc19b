"""The table from an HTTP answer to a decision, where recorded answers leave gaps: every status, and Retry-After."""

from datetime import UTC, datetime

import httpx
import pytest

from qubico.answers import Answer, refusal, retry_after
from qubico.errors import AccountBlocked, AnswerLost, Rejected, Throttled, Unavailable

NOW = datetime(2026, 1, 15, 9, 20, 11, tzinfo=UTC)
KEY = "a-key-of-some-length"


def answer(status: int, content: bytes, **headers: str) -> Answer:
    return Answer.read(status, httpx.Headers(headers), content, api_key=KEY)


def expected(status: int, *, creating: bool, readable: bool) -> type:
    if status == 429:
        return Throttled
    if status in {401, 402} or (status == 403 and readable):
        return AccountBlocked
    final = {400, 422} | (set(range(400, 500)) - {408, 425, 499} if creating else set())
    if readable and status in final:
        return Rejected
    return AnswerLost if creating else Unavailable


@pytest.mark.parametrize("readable", [True, False], ids=["json", "html"])
@pytest.mark.parametrize("creating", [True, False], ids=["create", "read"])
def test_every_status_is_one_decision(creating, readable):
    content = b'{"message": "no"}' if readable else b"<html>no</html>"
    made = {status: type(refusal(answer(status, content), creating=creating)) for status in range(200, 600)}
    assert made == {status: expected(status, creating=creating, readable=readable) for status in range(200, 600)}


@pytest.mark.parametrize("code", [b"402", b'"402"', b"402.0"])
def test_a_code_in_the_envelope_counts_only_when_http_says_all_is_well(code):
    assert answer(200, b'{"code": ' + code + b"}").code == 402
    assert answer(500, b'{"code": ' + code + b"}").code == 500


@pytest.mark.parametrize("code", [0, 200, 10000, None, True, "x"])
def test_other_codes_in_the_envelope_do_not(code):
    assert Answer(status=200, headers={}, payload={"code": code}, api_key=KEY).code == 200


@pytest.mark.parametrize("content", [b"[" * 100_000, b"9" * 10_000, b"\xff\xfe", b'{"a":', b"null", b'"x"', b"NaN"])
def test_what_is_not_a_json_object_has_no_payload(content):
    assert answer(200, content).payload is None


def test_a_byte_order_mark_does_no_harm():
    assert answer(200, b'\xef\xbb\xbf{"code": 200}').payload == {"code": 200}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "999999999"}, 86_400.0),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Thu, 15 Jan 2026 09:20:41 GMT"}, 30.0),
        ({"retry-after": "Thu, 15 Jan 2026 09:00:00 GMT"}, 0.0),
        ({"retry-after": "Thu, 15 Jan 2026 10:00:30 GMT", "date": "Thu, 15 Jan 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Thu, 15 Jan 99999 10:00:30 GMT"}, None),
    ],
)
def test_retry_after_is_seconds_or_none(headers, seconds):
    assert retry_after(headers, now=NOW) == seconds


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_the_key_is_in_no_message_even_if_the_provider_repeats_it(status):
    said = f'{{"message": "bad key {KEY} for https://files.example.com/secret.png"}}'
    error = refusal(answer(status, said.encode()), creating=True)
    assert KEY not in str(error)
    assert "secret" not in str(error)
    assert "bad key ***" in str(error)


def test_a_failed_task_does_not_repeat_the_key_either():
    content = f'{{"data": {{"task_id": "t", "status": "failed", "error": {{"message": "key {KEY}"}}}}}}'
    task = answer(200, content.encode()).task()
    assert task is not None
    assert task.message == "key ***"
