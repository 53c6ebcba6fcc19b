"""Every call and every answer that is described has an example, and the example is what the description says."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from pydantic import BaseModel, ValidationError

from api.errors import CODES, MEDIA_TYPE, ProblemView
from api.schemas import edits, operations, requests
from api.schemas.forms import FILE
from qubico.schemas import parse_task
from tests.integration.api.conftest import Api

MODELS: dict[str, type[BaseModel]] = {
    **{name: found for module in (edits, operations, requests) for name, found in vars(module).items()},
    "EditForm": requests.EditRequest,
    "ProblemView": ProblemView,
}
REFERENCE = "#/components/schemas/"
HTTP_METHODS = {"get", "head", "post"}


class Shown(NamedTuple):
    where: str
    schema: dict[str, Any]
    value: Any


@pytest.fixture
def described(public_client: httpx.Client) -> dict[str, Any]:
    description: dict[str, Any] = public_client.get("/openapi.json").json()
    return description


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        assert methods.keys() <= HTTP_METHODS, path
        for method, operation in methods.items():
            yield path, method, operation


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """All that has a type of content: the body, then each answer."""
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield "body", kind, content
    for status, response in operation["responses"].items():
        for kind, content in response.get("content", {}).items():
            yield status, kind, content


def examples(described: dict[str, Any]) -> Iterator[Shown]:
    for _, _, operation in operations(described):
        for place, kind, content in contents(operation):
            for name, example in content["examples"].items():
                yield Shown(
                    f"{operation['operationId']} {place} {kind} {name}", content.get("schema", {}), example["value"]
                )


def fits(schema: dict[str, Any], value: Any) -> bool:
    """Whether `value` is what `schema` describes, by the models that the schemas were made from."""
    if "anyOf" in schema:
        return any(fits(one, value) for one in schema["anyOf"])
    if "$ref" in schema:
        return _fits_model(schema["$ref"].removeprefix(REFERENCE), value)
    if schema["type"] == "array":
        return isinstance(value, list) and all(fits(schema["items"], item) for item in value)
    return isinstance(value, {"string": str, "object": dict}[schema["type"]])


def _fits_model(name: str, value: Any) -> bool:
    value = value | {"image": FILE} if name == "EditForm" else value
    try:
        read = MODELS[name].model_validate_json(json.dumps(value))
    except ValidationError:
        return False
    # What goes out has every member, and no other; of what comes in, most may be left out.
    return not isinstance(read, edits.View) or read.model_dump(mode="json") == value


def test_every_call_says_what_it_does(described: dict[str, Any]) -> None:
    for path, method, operation in operations(described):
        assert operation["summary"], (path, method)
        assert operation["operationId"], (path, method)


def test_every_body_and_every_answer_has_an_example(described: dict[str, Any]) -> None:
    for path, method, operation in operations(described):
        for place, kind, content in contents(operation):
            assert content.get("examples"), (path, method, place, kind)
            assert all(example["summary"] for example in content["examples"].values()), (path, method, place)
        for status, response in operation["responses"].items():
            headers = response["headers"]
            assert headers["Request-Id"]["example"], (path, method, status)
            assert all(header["example"] for header in headers.values()), (path, method, status)


def test_every_example_is_what_its_schema_describes(described: dict[str, Any]) -> None:
    shown = list(examples(described))
    assert len(shown) > 80
    assert [example.where for example in shown if not fits(example.schema, example.value)] == []


@pytest.mark.parametrize("spoilt", [{"status": "done"}, {"colour": "red"}, {"id": None}])
def test_an_example_with_a_fault_would_be_found(described: dict[str, Any], spoilt: dict[str, Any]) -> None:
    accepted = described["paths"]["/v1/edits"]["post"]["responses"]["202"]["content"]["application/json"]
    value = accepted["examples"]["queued"]["value"]
    assert fits(accepted["schema"], value)
    assert not fits(accepted["schema"], value | spoilt)


def test_every_documented_problem_is_shown_by_its_code(described: dict[str, Any]) -> None:
    for path, method, operation in operations(described):
        for status, response in operation["responses"].items():
            problems = response.get("content", {}).get(MEDIA_TYPE)
            if problems is None:
                continue
            assert list(problems["examples"]) == response["x-codes"], (path, method, status)
            for code, example in problems["examples"].items():
                value = example["value"]
                assert (value["code"], value["status"]) == (code, int(status))
                assert value["status"] == CODES[code].status
                assert value["instance"].count("/") == path.count("/")
                assert "{" not in value["instance"]


def test_a_body_shown_is_accepted_as_it_is_shown(api: Api, described: dict[str, Any]) -> None:
    bodies = described["paths"]["/v1/edits"]["post"]["requestBody"]["content"]
    for name, example in bodies["application/json"]["examples"].items():
        if example["value"].get("image_fetch") == "copy":  # it would be fetched from the internet
            example["value"] = example["value"] | {"image_fetch": "provider"}
        answer = api.client.post("/v1/edits", json=example["value"])
        assert answer.status_code == 202, (name, answer.text)


def test_the_callback_shown_is_read_as_a_task(described: dict[str, Any]) -> None:
    body = described["paths"]["/v1/callbacks/qubico/{token}"]["post"]["requestBody"]["content"]["application/json"]
    assert parse_task(body["examples"]["ended"]["value"]).is_final


def test_problems_shown_are_those_really_answered(api: Api, described: dict[str, Any]) -> None:
    gone = "/v1/edits/edit_01JD3Q9V6T0000000000000000"
    real = {
        ("/v1/edits/{edit_id}", "get", "410", "gone"): api.client.get(gone),
        ("/v1/edits", "get", "400", "bad_cursor"): api.client.get("/v1/edits?cursor=x"),
        ("/v1/edits", "post", "422", "invalid"): api.client.post(
            "/v1/edits", json={"prompt": "p", "image": "https://example.com/a.jpg", "width": 129, "height": 128}
        ),
        ("/v1/edits/{edit_id}", "get", "422", "invalid"): api.client.get(f"{gone}?colour=red"),
        ("/v1/edits/{edit_id}", "get", "401", "unauthorized"): httpx.get(
            f"{api.url}{gone}", headers={"X-API-Key": "wrong"}, trust_env=False
        ),
    }
    for (path, method, status, code), answer in real.items():
        response = described["paths"][path][method]["responses"][status]
        shown = response["content"][MEDIA_TYPE]["examples"][code]["value"]
        assert answer.status_code == int(status)
        assert answer.json() | {"request_id": ""} == shown | {"request_id": ""}
        assert all(name in answer.headers for name in response["headers"])
