import pytest
from fastapi import Request

from api.errors import Problem
from api.schemas import parameters


def request_with(name: str, *values: str) -> Request:
    return Request({"type": "http", "headers": [(name.encode(), value.encode("latin-1")) for value in values]})


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        pytest.param(["wait"], 55, id="no number: as long as possible"),
        pytest.param(["wait=10"], 10, id="a number"),
        pytest.param(['wait="10"'], 10, id="quoted"),
        pytest.param(["WAIT = 3"], 3, id="case and spaces do not matter"),
        pytest.param(["wait=0"], 0, id="zero"),
        pytest.param(["wait=600"], 55, id="never more than 55"),
        pytest.param(["respond-async, wait=5; foo=bar"], 5, id="among others, with a parameter"),
        pytest.param(["respond-async", "wait=7"], 7, id="in a second header"),
        pytest.param(["wait=-1"], None, id="a negative number is passed over"),
        pytest.param(["wait=soon"], None, id="a word is passed over"),
        pytest.param(["waiting=5"], None, id="another preference"),
        pytest.param([], None, id="no header"),
    ],
)
def test_prefer_says_how_long_to_wait(sent: list[str], seconds: int | None) -> None:
    assert parameters.wait_of(request_with("prefer", *sent)) == seconds


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        pytest.param("abc-123", "abc-123", id="plain"),
        pytest.param('"abc-123"', "abc-123", id="quoted is the same key"),
        pytest.param('"a\\"b"', 'a"b', id="escaped quote"),
        pytest.param('"a\\\\b"', "a\\b", id="escaped backslash"),
        pytest.param('"a\\\\"', "a\\", id="escaped backslash at the end"),
        pytest.param("a b", "a b", id="a space is printable"),
        pytest.param("x" * 255, "x" * 255, id="255 characters"),
    ],
)
def test_idempotency_key_is_read(sent: str, key: str) -> None:
    assert parameters.idempotency_key_of(request_with("idempotency-key", sent)) == key


def test_idempotency_key_may_be_missing() -> None:
    assert parameters.idempotency_key_of(request_with("accept", "*/*")) is None


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([""], id="empty"),
        pytest.param(['""'], id="empty in quotes"),
        pytest.param(["x" * 256], id="256 characters"),
        pytest.param(["schlüssel"], id="not ASCII"),
        pytest.param(["a\tb"], id="not printable"),
        pytest.param(["a", "b"], id="two keys"),
    ],
)
def test_a_bad_idempotency_key_is_refused_by_name(sent: list[str]) -> None:
    with pytest.raises(Problem) as refused:
        parameters.idempotency_key_of(request_with("idempotency-key", *sent))
    assert refused.value.code == "invalid"
    assert refused.value.faults[0].pointer == "header:Idempotency-Key"
