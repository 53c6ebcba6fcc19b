"""Edits sent as a form, the picture as a file: taken by the same rules as JSON, with the same faults."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.api.conftest import Api
from tests.integration.api.progress import png
from tests.integration.api.test_accept import BODY, data_uri, jpeg_on_its_side, objects_in

PROMPT = {"prompt": BODY["prompt"]}


def file(data: bytes | None = None, name: str = "house.png", kind: str = "image/png") -> dict[str, Any]:
    return {"image": (name, png() if data is None else data, kind)}


def test_a_file_and_text_fields_are_an_edit(api: Api) -> None:
    fields = {
        "prompt": "  add snow\n", "width": "640", "height": "384", "steps": "12", "seed": "7", "expires_in": "60",
        "priority": "interactive", "external_id": "42", "metadata": json.dumps({"order": "ä"}),
        "image_fetch": "provider",
    }  # fmt: skip
    data = png()
    answer = api.client.post("/v1/edits", data=fields, files=file(data))
    assert answer.status_code == 202, answer.text
    edit = answer.json()
    assert edit["input"] == {
        "prompt": "add snow", "image": f"{api.url}/v1/edits/{edit['id']}/input", "width": 640, "height": 384,
        "steps": 12, "seed": 7,
    }  # fmt: skip
    assert (edit["priority"], edit["external_id"], edit["metadata"]) == ("interactive", "42", {"order": "ä"})
    fetched = api.client.get(edit["input"]["image"])
    assert (fetched.content, fetched.headers["content-type"]) == (data, "image/png")


@pytest.mark.parametrize(("name", "kind"), [("x.gif", "image/gif"), ("", "application/octet-stream"), ("x.txt", "a/b")])
def test_the_type_is_that_of_the_bytes_whatever_the_part_says(api: Api, name: str, kind: str) -> None:
    answer = api.client.post("/v1/edits", data=PROMPT, files=file(jpeg_on_its_side(), name or "blob", kind))
    assert answer.status_code == 202, answer.text
    (stored,) = objects_in(api)
    assert stored.name == "input.jpg"
    assert (answer.json()["input"]["width"], answer.json()["input"]["height"]) == (304, 400)


def test_an_address_or_data_uri_may_stand_in_a_form_too(api: Api) -> None:
    for image in (BODY["image"], data_uri(png())):
        files = {"image": (None, image), "prompt": (None, "add snow")}
        answer = api.client.post("/v1/edits", files=files)
        assert answer.status_code == 202, answer.text
    assert len(objects_in(api)) == 1


def test_a_form_and_json_with_the_same_picture_are_one_edit(api: Api) -> None:
    headers, data = {"Idempotency-Key": "order-1"}, png()
    first = api.client.post("/v1/edits", data=PROMPT, files=file(data), headers=headers)
    again = api.client.post("/v1/edits", json=PROMPT | {"image": data_uri(data)}, headers=headers)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    other = api.client.post("/v1/edits", data=PROMPT, files=file(png()), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len(objects_in(api)) == 1


@pytest.mark.parametrize(
    ("sent", "status", "code", "pointer"),
    [
        pytest.param({"data": {}, "files": file()}, 422, "invalid", "/prompt", id="no prompt"),
        pytest.param({"files": {"prompt": (None, "snow")}}, 422, "invalid", "/image", id="no image"),
        pytest.param({"data": PROMPT | {"steps": "28.0"}}, 422, "invalid", "/steps", id="no integer"),
        pytest.param({"data": PROMPT | {"steps": ""}}, 422, "invalid", "/steps", id="an empty integer"),
        pytest.param({"data": PROMPT | {"steps": "+5"}}, 422, "invalid", "/steps", id="a sign"),
        pytest.param({"data": PROMPT | {"steps": "٤"}}, 422, "invalid", "/steps", id="digits of another script"),
        pytest.param({"data": PROMPT | {"steps": "41"}}, 422, "invalid", "/steps", id="out of range"),
        pytest.param({"data": PROMPT | {"seed": "9" * 5000}}, 422, "invalid", "/seed", id="very many digits"),
        pytest.param({"data": PROMPT | {"width": "512"}}, 422, "invalid", "/height", id="half a size"),
        pytest.param({"data": PROMPT | {"metadata": "{"}}, 422, "invalid", "/metadata", id="broken metadata"),
        pytest.param({"data": PROMPT | {"metadata": "[]"}}, 422, "invalid", "/metadata", id="metadata as a list"),
        pytest.param({"data": PROMPT | {"metadata": '{"a": 1}'}}, 422, "invalid", "/metadata/a", id="a number inside"),
        pytest.param({"data": PROMPT | {"colour": "red"}}, 422, "invalid", "/colour", id="unknown field"),
        pytest.param({"data": PROMPT, "files": {"file": file()["image"]}}, 422, "invalid", "/file", id="unknown file"),
        pytest.param({"data": {"prompt": ["a", "b"]}}, 422, "invalid", "/prompt", id="a field twice"),
        pytest.param({"data": PROMPT, "files": [*file().items()] * 2}, 422, "invalid", "/image", id="two files"),
        pytest.param({"data": PROMPT | {"image": "http://e.com/a"}}, 422, "invalid", "/image", id="file and address"),
        pytest.param({"files": {"prompt": (None, b"\xff")}}, 422, "invalid", "/prompt", id="no UTF-8"),
        pytest.param({"data": PROMPT, "files": file(b"")}, 422, "image_unreadable", "/image", id="an empty file"),
        pytest.param({"data": PROMPT, "files": file(png()[:-40])}, 422, "image_unreadable", "/image", id="a cut file"),
        pytest.param({"data": PROMPT, "files": file(b"GIF89a..")}, 415, "unsupported_type", "/image", id="a gif"),
        pytest.param(
            {"data": PROMPT, "files": file(b"x" * 65_537)}, 413, "image_too_large", "/image", id="a file over the cap"
        ),
        pytest.param({"data": PROMPT | {"external_id": "x" * 300_000}}, 413, "body_too_large", None, id="long text"),
        pytest.param({"data": PROMPT, "files": file(b"x" * 3_000_000)}, 413, None, None, id="far over every cap"),
        pytest.param({"content": b"--x"}, 400, "malformed", None, id="no form"),
    ],
)
def test_a_wrong_form_is_refused_by_name_and_leaves_nothing(
    start_api: Callable[..., Api], sent: dict[str, Any], status: int, code: str | None, pointer: str | None
) -> None:
    api = start_api(RETOUCH_EDITS__MAX_INPUT_BYTES="64KiB")
    if "content" in sent:
        sent = sent | {"headers": {"Content-Type": "multipart/form-data; boundary=x"}}
    elif "files" not in sent:
        sent = sent | {"files": file()}
    answer = api.client.post("/v1/edits", **sent)
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert code in {problem["code"], None}
    assert pointer is None or problem["errors"][0]["pointer"] == pointer
    assert api.client.get("/v1/edits").json()["data"] == []
    assert objects_in(api) == []


def test_the_connection_survives_a_file_over_the_cap(start_api: Callable[..., Api]) -> None:
    api = start_api(RETOUCH_EDITS__MAX_INPUT_BYTES="64KiB")
    for _ in range(3):
        assert api.client.post("/v1/edits", data=PROMPT, files=file(b"x" * 200_000)).status_code == 413
    assert api.client.post("/v1/edits", data=PROMPT, files=file()).status_code == 202


def test_a_file_the_provider_cannot_fetch_is_refused(start_api: Callable[..., Api]) -> None:
    api = start_api(RETOUCH_QUBICO__BASE_URL="https://api.qubico.ai")
    answer = api.client.post("/v1/edits", data=PROMPT, files=file())
    assert (answer.status_code, answer.json()["code"]) == (422, "input_unreachable")
    assert objects_in(api) == []
