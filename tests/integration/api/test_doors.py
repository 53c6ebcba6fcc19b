"""Who may come in, and what every answer has in common."""

from collections.abc import Callable

import httpx
import pytest

from api.app import ROUTERS
from tests.integration.api.conftest import KEY, Api

CLOSED = [
    ("POST", "/v1/edits"), ("GET", "/v1/edits"), ("GET", "/v1/edits/edit_1"), ("GET", "/v1/edits/edit_1/result"),
    ("HEAD", "/v1/edits/edit_1/result"), ("GET", "/v1/edits/edit_1/input"), ("GET", "/v1/edits/edit_1/timeline"),
    ("POST", "/v1/edits/edit_1/cancel"), ("POST", "/v1/edits/edit_1/retry"), ("GET", "/readyz?verbose"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_without_a_key_there_is_no_answer(public_client: httpx.Client, method: str, path: str) -> None:
    answer = public_client.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    if method != "HEAD":
        assert answer.json()["code"] == "unauthorized"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Authorization": f"Bearer {KEY}"}, 200, id="bearer"),
        pytest.param({"Authorization": f"bearer  {KEY}"}, 200, id="case of the scheme, spaces"),
        pytest.param({"X-API-Key": KEY}, 200, id="x-api-key"),
        pytest.param({"Authorization": f"Bearer {KEY}", "X-API-Key": KEY}, 200, id="both, the same"),
        pytest.param({"Authorization": f"Bearer {KEY}", "X-API-Key": "other"}, 401, id="both, different"),
        pytest.param({"Authorization": "Bearer other", "X-API-Key": KEY}, 401, id="both, the other way round"),
        pytest.param({"Authorization": "Bearer other"}, 401, id="wrong key"),
        pytest.param({"Authorization": f"Bearer {KEY[:-1]}"}, 401, id="part of the key"),
        pytest.param({"Authorization": "Bearer"}, 401, id="no key"),
        pytest.param({"Authorization": f"Basic {KEY}"}, 401, id="another scheme"),
        pytest.param({"Authorization": KEY}, 401, id="no scheme"),
        pytest.param({"Authorization": f"Basic {KEY}", "X-API-Key": KEY}, 401, id="another scheme beside a good key"),
        pytest.param({"X-API-Key": ""}, 401, id="empty key"),
        pytest.param({"X-API-Key": "schlüssel"}, 401, id="not ASCII"),
    ],
)
def test_the_key_comes_in_one_of_two_headers(public_client: httpx.Client, headers: dict[str, str], status: int) -> None:
    sent = [(name, value.encode("latin-1")) for name, value in headers.items()]
    assert public_client.get("/v1/edits", headers=sent).status_code == status


def test_a_body_is_not_read_before_the_key_is_good(public_client: httpx.Client) -> None:
    answer = public_client.post("/v1/edits", content=b"{", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/nope", "/v1/edits", "/docs", "/v1/objects/x/y"])
def test_every_answer_has_a_request_id_of_its_own(public_client: httpx.Client, path: str) -> None:
    ids = {public_client.get(path).headers["request-id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("abc-123", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("ä", False), ("", False)],
)
def test_a_sent_request_id_is_kept_if_it_is_sane(public_client: httpx.Client, sent: str, kept: bool) -> None:
    answer = public_client.get("/nope", headers=[("Request-Id", sent.encode("latin-1"))])
    assert (answer.headers["request-id"] == sent) is kept
    assert answer.json()["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/edits", "GET, POST"),
        ("PUT", "/v1/edits/edit_1", "GET"),
        ("POST", "/v1/edits/edit_1/result", "GET, HEAD"),
        ("GET", "/v1/edits/edit_1/cancel", "POST"),
        ("GET", "/v1/callbacks/qubico/x", "POST"),
        ("POST", "/healthz", "GET"),
        ("POST", "/docs", "GET"),
    ],
)
def test_a_method_that_an_address_does_not_take_is_405(api: Api, method: str, path: str, allowed: str) -> None:
    answer = api.client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/", "/nope", "/v1", "/v1/edits/", "/v1/edits/a/b/c", "/redoc"])
def test_an_unknown_address_is_404_whatever_the_host_header_says(api: Api, path: str) -> None:
    answer = api.client.get(path, headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["code"], answer.json()["instance"]) == (404, "not_found", path)


def test_no_link_is_made_from_the_host_header(api: Api) -> None:
    body = {"prompt": "x", "image": "http://example.com/a.png"}
    answer = api.client.post(
        "/v1/edits", json=body, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    )
    assert "evil" not in answer.text + answer.headers["location"]


def test_unknown_parameters_are_refused_everywhere(api: Api) -> None:
    edit_id = api.accept()["id"]
    for method, path in [
        ("GET", f"/v1/edits/{edit_id}"), ("GET", f"/v1/edits/{edit_id}/timeline"),
        ("POST", f"/v1/edits/{edit_id}/cancel"),
        ("POST", f"/v1/edits/{edit_id}/retry"), ("GET", f"/v1/edits/{edit_id}/result"), ("GET", "/healthz"),
        ("GET", "/readyz"), ("GET", "/metrics"), ("POST", "/v1/callbacks/qubico/x"),
    ]:  # fmt: skip
        answer = api.client.request(method, f"{path}?colour=red")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), path
    assert api.client.get(f"/v1/edits/{edit_id}").json()["status"] == "queued"


def test_browsers_of_named_origins_may_call(start_api: Callable[..., Api]) -> None:
    api = start_api(RETOUCH_API__CORS_ORIGINS="https://app.example.com")
    named = "https://app.example.com"
    for origin, method, header, status in (
        (named, "POST", "X-API-Key, Idempotency-Key", 200), (named, "HEAD", "If-None-Match", 200),
        (named, "GET", "Range, If-Range", 200), ("https://evil.example", "POST", "X-API-Key", 400),
    ):  # fmt: skip
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": header,
        }
        answer = api.client.options("/v1/edits", headers=asked)
        assert answer.status_code == status, (origin, method, header)
        assert (answer.headers.get("access-control-allow-origin") == origin) is (origin == named)
        assert answer.headers["request-id"]
    exposed = api.client.get("/v1/edits", headers={"Origin": "https://app.example.com"}).headers
    assert "Request-Id" in exposed["access-control-expose-headers"]


def test_each_operation_has_a_name_of_its_own() -> None:
    names = [route.operation_id for router in ROUTERS for route in router.routes if route.include_in_schema]  # type: ignore[attr-defined]
    assert len(names) == len(set(names))
    assert None not in names
