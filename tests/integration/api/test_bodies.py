"""Bodies as clients write them: a byte order mark, gzip; decoded bodies have the same caps."""

import gzip
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from edits.attempts import Attempt, Tokens
from edits.models import new_id
from tests.integration.api.conftest import SECRET, Api
from tests.integration.api.progress import png
from tests.integration.api.test_accept import BODY

RAW = json.dumps(BODY).encode()
JSON = {"Content-Type": "application/json"}


def sent(api: Api, content: bytes, **headers: str) -> httpx.Response:
    return api.client.post("/v1/edits", content=content, headers=JSON | headers)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_byte_order_mark_before_json_is_ignored(api: Api, public_client: httpx.Client) -> None:
    assert sent(api, b"\xef\xbb\xbf" + RAW).status_code == 202
    token = Tokens("retouch", SECRET).sign(Attempt(new_id(), 1))
    body = b'\xef\xbb\xbf{"task_id": "task-9", "status": "completed"}'
    assert public_client.post(f"/v1/callbacks/qubico/{token}", content=body, headers=JSON).status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "gzip, identity"])
def test_a_gzip_body_is_decoded(api: Api, encoding: str) -> None:
    answer = sent(api, gzip.compress(RAW), **{"Content-Encoding": encoding})
    assert (answer.status_code, answer.json()["input"]["prompt"]) == (202, BODY["prompt"])


def test_gzip_may_come_in_several_members(api: Api) -> None:
    members = gzip.compress(RAW[:20]) + gzip.compress(RAW[20:])
    assert sent(api, members, **{"Content-Encoding": "gzip"}).status_code == 202


@pytest.mark.parametrize("encoding", ["", "identity"])
def test_an_encoding_that_changes_nothing_is_taken(api: Api, encoding: str) -> None:
    assert sent(api, RAW, **{"Content-Encoding": encoding}).status_code == 202


def test_a_form_may_be_gzip_too(api: Api) -> None:
    request = httpx.Request("POST", api.url, data={"prompt": "snow"}, files={"image": ("a.png", png())})
    headers = {"Content-Type": request.headers["content-type"], "Content-Encoding": "gzip"}
    answer = api.client.post("/v1/edits", content=gzip.compress(request.read()), headers=headers)
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "aws-chunked"])
def test_another_encoding_is_refused_and_says_what_to_send(api: Api, encoding: str) -> None:
    answer = sent(api, RAW, **{"Content-Encoding": encoding})
    assert code_of(answer) == (415, "unsupported_type")
    assert answer.headers["accept-encoding"] == "gzip"
    assert "gzip" in answer.json()["detail"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(RAW, id="not gzip"),
        pytest.param(gzip.compress(RAW)[:-4], id="cut in its trailer"),
        pytest.param(gzip.compress(RAW)[:30], id="cut in its data"),
        pytest.param(b"", id="nothing"),
        pytest.param(gzip.compress(RAW) + b"more", id="something after it"),
        pytest.param(gzip.compress(RAW)[:-8] + b"\0" * 8, id="a wrong checksum"),
    ],
)
def test_a_broken_gzip_body_is_malformed(api: Api, content: bytes) -> None:
    assert code_of(sent(api, content, **{"Content-Encoding": "gzip"})) == (400, "malformed")


def test_a_body_of_very_many_members_does_not_hold_up_other_calls(api: Api) -> None:
    """Decoded in one go, these would take the process's only thread for seconds."""
    members = gzip.compress(b"") * 400_000
    longest = 0.0
    with ThreadPoolExecutor(1) as thread:
        long = thread.submit(sent, api, members, **{"Content-Encoding": "gzip"})
        while not long.done():
            began = time.monotonic()
            assert api.client.get("/healthz").status_code == 200
            longest = max(longest, time.monotonic() - began)
    assert code_of(long.result()) == (400, "malformed")
    assert longest < 1.5


@pytest.mark.parametrize("path", ["/v1/edits", "/v1/callbacks/qubico/{token}"])
def test_what_gzip_decodes_to_has_the_same_cap(start_api: Callable[..., Api], path: str) -> None:
    api = start_api(RETOUCH_EDITS__MAX_INPUT_BYTES="64KiB")
    path = path.format(token=Tokens("retouch", SECRET).sign(Attempt(new_id(), 1)))
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 60_000
    answer = api.client.post(path, content=bomb, headers=JSON | {"Content-Encoding": "gzip"})
    assert code_of(answer) == (413, "body_too_large")
    assert api.client.get("/healthz").status_code == 200
