"""Idempotency keys of requests, and edits of earlier equal requests."""

import json

import httpx
import pytest

from cli.client import Client
from cli.commands import submit
from cli.commands.submit import EditRequest
from cli.sources import Picture, Source

PICTURE = Picture(b"content", "image/png")
SOURCE = Source("https://example.com/a.png")
SERVER = ("http://127.0.0.1:1", "k")


def shown(edit_id, status, *, error=None):
    return {"id": edit_id, "status": status, "created_at": "2026-11-22T12:00:00Z", "error": error}


def failed(edit_id, *, retryable):
    return shown(edit_id, "failed", error={"kind": "provider_failed", "message": "m", "retryable": retryable})


def server(edits):
    """Knows these edits by the order of their keys, and makes a new one for each key beyond."""
    keys, retried = [], []

    def answer(request):
        if request.url.path.endswith("/retry"):
            retried.append(request.url.path.split("/")[-2])
            return httpx.Response(202, json=shown(retried[-1], "queued"))
        key = request.headers["Idempotency-Key"]
        keys.append(key)
        number = len(keys) - 1
        if number < len(edits):
            return httpx.Response(202, headers={"Idempotent-Replayed": "true"}, json=edits[number])
        return httpx.Response(202, json=shown("edit_new", "queued"))

    return Client(*SERVER, transport=httpx.MockTransport(answer)), keys, retried


def test_the_same_question_has_the_same_key():
    local = Source("a.png")
    keys = [EditRequest(prompt="p", options={"steps": 5, "seed": 1}).key(local, PICTURE) for _ in range(2)]
    assert keys[0] == keys[1]
    assert EditRequest(prompt="p", options={"seed": 1, "steps": 5}).key(local, PICTURE) == keys[0]


@pytest.mark.parametrize(
    ("changed", "source", "picture"),
    [
        pytest.param(EditRequest(prompt="q"), SOURCE, None, id="another prompt"),
        pytest.param(EditRequest(prompt="p", options={"seed": 1}), SOURCE, None, id="another option"),
        pytest.param(EditRequest(prompt="p"), Source("https://example.com/b.png"), None, id="another address"),
        pytest.param(EditRequest(prompt="p", force=True), SOURCE, None, id="force"),
    ],
)
def test_another_question_has_another_key(changed, source, picture):
    assert changed.key(source, picture) != EditRequest(prompt="p").key(SOURCE, None)


def test_a_picture_counts_by_its_content_and_not_by_its_name(tmp_path):
    request = EditRequest(prompt="p")
    one, other = Source("a.png", tmp_path / "a.png"), Source("b.png", tmp_path / "b.png")
    assert request.key(one, PICTURE) == request.key(other, Picture(b"content", "image/png"))
    assert request.key(one, PICTURE) != request.key(one, Picture(b"changed", "image/png"))


def test_a_key_is_short_printable_ascii():
    key = EditRequest(prompt="ä" * 4000).key(SOURCE, None)
    assert key.isascii()
    assert key.isprintable()
    assert len(key) < 100


async def test_an_edit_that_was_made_is_taken_as_it_is():
    client, keys, retried = server([shown("edit_1", "succeeded")])
    async with client:
        edit, known = await submit.submit_picture(client, SOURCE, EditRequest(prompt="p"))
    assert (edit.id, known, len(keys), retried) == ("edit_1", True, 1, [])


async def test_a_canceled_edit_is_submitted_again_under_a_key_that_can_be_found_again():
    found = []
    for _ in range(2):
        client, keys, _ = server([shown("edit_1", "canceled"), shown("edit_2", "canceled")])
        async with client:
            edit, known = await submit.submit_picture(client, SOURCE, EditRequest(prompt="p"))
        assert (edit.id, known) == ("edit_new", False)
        assert len(set(keys)) == 3
        found.append(keys)
    assert found[0] == found[1]


async def test_a_failed_edit_is_tried_again_if_that_is_worth_it():
    client, _, retried = server([failed("edit_1", retryable=True)])
    async with client:
        assert (await submit.submit_picture(client, SOURCE, EditRequest(prompt="p")))[0].status == "queued"
    assert retried == ["edit_1"]
    client, _, retried = server([failed("edit_1", retryable=False)])
    async with client:
        assert (await submit.submit_picture(client, SOURCE, EditRequest(prompt="p")))[0].status == "failed"
    assert retried == []


def test_only_what_was_given_is_in_the_body():
    assert EditRequest(prompt="p", options={"steps": 5}).body(SOURCE) == {
        "prompt": "p", "image": "https://example.com/a.png", "steps": 5,
    }  # fmt: skip
    assert json.loads(json.dumps(EditRequest(prompt="p").body(Source("a", path=None)))) == {"prompt": "p", "image": "a"}
