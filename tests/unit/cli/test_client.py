"""The client against answers on the wire: what is repeated, what ends the program and how."""

import httpx
import pytest

from cli import client
from cli.client import Client
from cli.errors import Unreachable, WorkFailed, WrongUsage
from cli.sources import Picture

SERVER = ("http://127.0.0.1:1", "k")
EDIT = {"id": "edit_1", "status": "queued", "created_at": "2026-11-22T12:00:00Z", "new": [1]}
PROBLEM = {"title": "The request is not valid", "detail": "2 faults", "status": 422, "code": "invalid", "type": "x"}


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(client, "LONGEST_PAUSE", 0)


def answering(*answers):
    """A transport that gives these in turn, the last one for ever; what was asked is kept."""
    left = list(answers)
    asked = []

    def answer(request):
        asked.append(request)
        said = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(said, Exception):
            raise said
        return said

    return httpx.MockTransport(answer), asked


async def test_a_busy_server_is_asked_again_with_the_same_idempotency_key():
    busy = httpx.Response(503, headers={"Retry-After": "3"})
    transport, asked = answering(busy, httpx.ReadError("cut"), httpx.Response(202, json=EDIT))
    async with Client(*SERVER, transport=transport) as api:
        made = await api.create({"prompt": "p"}, picture=None, idempotency_key="one")
    assert (made[0].raw, made[1]) == (EDIT, False)
    assert [request.headers["Idempotency-Key"] for request in asked] == ["one"] * 3
    assert {request.headers["X-API-Key"] for request in asked} == {"k"}


async def test_an_edit_that_was_there_before_is_told_from_one_that_our_own_repeat_found():
    there = httpx.Response(202, headers={"Idempotent-Replayed": "true"}, json=EDIT)
    transport, _ = answering(there)
    async with Client(*SERVER, transport=transport) as api:
        assert (await api.create({}, picture=None, idempotency_key="one"))[1] is True
    transport, _ = answering(httpx.ReadError("cut"), there)
    async with Client(*SERVER, transport=transport) as api:
        assert (await api.create({}, picture=None, idempotency_key="one"))[1] is False


async def test_a_key_whose_picture_is_still_being_read_is_asked_for_again():
    reading = httpx.Response(409, json=PROBLEM | {"status": 409, "code": "idempotency_in_progress"})
    transport, asked = answering(reading, httpx.Response(202, json=EDIT))
    async with Client(*SERVER, transport=transport) as api:
        await api.create({}, picture=None, idempotency_key="one")
    assert len(asked) == 2


async def test_a_retry_of_what_is_on_its_way_already_shows_it():
    conflict = httpx.Response(409, json=PROBLEM | {"status": 409, "code": "not_finished"})
    transport, asked = answering(conflict, httpx.Response(200, json=EDIT))
    async with Client(*SERVER, transport=transport) as api:
        assert (await api.retry("edit_1")).raw == EDIT
    assert [request.method for request in asked] == ["POST", "GET"]


async def test_an_address_goes_as_json_and_a_file_as_a_form_without_its_name():
    transport, asked = answering(httpx.Response(202, json=EDIT))
    async with Client(*SERVER, transport=transport) as api:
        await api.create({"prompt": "p", "image": "https://x/a.png", "steps": 5}, picture=None, idempotency_key="one")
        await api.create({"prompt": "ä", "steps": 5}, picture=Picture(b"bytes", "image/png"), idempotency_key="two")
    assert asked[0].content == b'{"prompt":"p","image":"https://x/a.png","steps":5}'
    assert asked[1].headers["Content-Type"].startswith("multipart/form-data; boundary=")
    form = asked[1].content.decode()
    assert 'name="steps"\r\n\r\n5\r\n' in form
    assert 'name="prompt"\r\n\r\nä\r\n' in form
    assert 'name="image"; filename="image"\r\nContent-Type: image/png\r\n\r\nbytes\r\n' in form


async def test_nobody_listening_is_told_at_once():
    transport, asked = answering(httpx.ConnectError("refused"))
    async with Client(*SERVER, transport=transport) as api:
        with pytest.raises(Unreachable, match=r"http://127.0.0.1:1 \(refused\); the command is safe to repeat"):
            await api.recent(5)
    assert len(asked) == 1


async def test_a_connection_that_keeps_breaking_ends_as_unreachable():
    transport, asked = answering(httpx.ReadTimeout(""))
    async with Client(*SERVER, transport=transport) as api:
        with pytest.raises(Unreachable, match="ReadTimeout"):
            await api.recent(5)
    assert len(asked) == client.TRIES


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 415, 422])
async def test_wrong_input_is_for_the_caller_to_change(status):
    transport, _ = answering(httpx.Response(status, json=PROBLEM))
    async with Client(*SERVER, transport=transport) as api:
        with pytest.raises(WrongUsage, match="not valid: 2 faults"):
            await api.cancel("edit_1")


@pytest.mark.parametrize("status", [402, 409, 410, 500, 503])
async def test_other_refusals_are_failed_work(status):
    transport, _ = answering(httpx.Response(status, json=PROBLEM))
    async with Client(*SERVER, transport=transport) as api:
        with pytest.raises(WorkFailed):
            await api.cancel("edit_1")


def test_each_fault_of_the_body_is_shown_with_its_place():
    errors = [{"pointer": "/width", "message": "too small"}, {"pointer": "/steps", "message": "too many"}]
    said = str(client.refusal(httpx.Response(422, json=PROBLEM | {"errors": errors})))
    assert said == "The request is not valid: 2 faults\n  /width: too small\n  /steps: too many"


def test_a_fault_that_the_detail_tells_is_not_told_twice():
    errors = [{"pointer": "/width", "message": "too small"}]
    answer = httpx.Response(422, json=PROBLEM | {"detail": "/width: too small", "errors": errors})
    assert str(client.refusal(answer)) == "The request is not valid: /width: too small"


def test_a_refusal_that_is_not_ours_is_told_by_its_status():
    assert str(client.refusal(httpx.Response(502, text="<html>"))) == "the server answered 502 Bad Gateway"


class Garbled(httpx.AsyncByteStream):
    async def __aiter__(self):
        yield b"not gzip"


async def downloaded(api, edit_id):
    async with api.result(edit_id) as content:
        return [chunk async for chunk in content]


@pytest.mark.parametrize("call", [Client.edit, downloaded])
async def test_an_answer_that_cannot_be_decoded_is_no_answer(call):
    garbled = [httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Garbled()) for _ in range(client.TRIES)]
    transport, _ = answering(*garbled)
    async with Client(*SERVER, transport=transport) as api:
        with pytest.raises(Unreachable, match="Error -3"):
            await call(api, "edit_1")


@pytest.mark.parametrize("content", ["<html>", "[]", '{"id": "edit_1"}', "[" * 200_000], ids=lambda text: text[:9])
async def test_an_answer_of_another_program_names_the_server(content):
    transport, _ = answering(httpx.Response(200, text=content))
    async with Client(*SERVER, transport=transport) as api:
        with pytest.raises(WorkFailed, match=r"unexpected answer from http://127\.0\.0\.1:1; check"):
            await api.edit("edit_1")


async def test_an_id_cannot_lead_elsewhere():
    transport, asked = answering(httpx.Response(200, json=EDIT))
    async with Client(*SERVER, transport=transport) as api:
        await api.edit("../admin?x=1")
        with pytest.raises(WrongUsage, match="ID is empty"):
            await api.edit(" ")
    assert asked[0].url.raw_path == b"/v1/edits/..%2Fadmin%3Fx%3D1"
