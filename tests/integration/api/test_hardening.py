"""Headers of every answer, and requests refused before any work; on real sockets where bytes matter."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from api import middleware, server
from tests.integration.api.conftest import KEY, Api, serving, settings_for
from tests.integration.api.progress import Progress, png
from tests.parts.valkey import free_port

BODY = {"prompt": "make the sky stormy", "image": "http://example.com/house.jpg"}

SECURE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
ANSWERS = [
    pytest.param("GET", "/healthz", 200, id="open"),
    pytest.param("GET", "/openapi.json", 200, id="description"),
    pytest.param("GET", "/metrics", 200, id="metrics"),
    pytest.param("GET", "/v1/edits", 401, id="no key"),
    pytest.param("GET", "/nope", 404, id="nothing there"),
    pytest.param("POST", "/healthz", 405, id="wrong method"),
    pytest.param("OPTIONS", "/v1/edits", 405, id="preflight nobody may make"),
    pytest.param("POST", "/v1/callbacks/qubico/x", 404, id="callback"),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_every_answer_says_how_it_may_be_used(public_client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = public_client.request(method, path)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in SECURE} == SECURE
    assert answer.headers["request-id"]
    assert "strict-transport-security" not in answer.headers


def test_edits_are_kept_by_no_cache(api: Api) -> None:
    answer = api.client.post("/v1/edits", json=BODY)
    assert (answer.status_code, answer.headers["cache-control"]) == (202, "no-store")


def test_the_page_of_docs_keeps_its_own_policy(public_client: httpx.Client) -> None:
    answer = public_client.get("/docs")
    policy = answer.headers.get_list("content-security-policy")
    assert len(policy) == 1
    assert "script-src 'sha256-" in policy[0]
    assert "frame-ancestors 'none'" in policy[0]
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


async def test_a_picture_may_be_kept_by_whoever_asked(api: Api, progress: Progress) -> None:
    api.accept()
    edit_id = await progress.succeeded(png())
    answer = api.client.get(f"/v1/edits/{edit_id}/result")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "private")
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


def test_browsers_are_sent_to_https_only_where_the_public_address_is(start_api: Callable[..., Api]) -> None:
    api = start_api(RETOUCH_PUBLIC_URL="https://retouch.example.com")
    for path in ("/healthz", "/nope"):
        assert api.client.get(path).headers["strict-transport-security"] == "max-age=31536000"


# --- sizes


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([(f"X-{number}", "a") for number in range(middleware.MOST_HEADERS)], id="too many"),
        pytest.param([("X-Long", "a" * middleware.MOST_HEAD_BYTES)], id="too long"),
        pytest.param([("Cookie", "a" * 3000)] * 11, id="too long together"),
    ],
)
def test_a_head_that_is_too_large_is_refused_whatever_serves_the_app(
    public_client: httpx.Client, headers: list[tuple[str, str]]
) -> None:
    answer = public_client.get("/healthz", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (431, "headers_too_large")
    assert answer.json()["request_id"] == answer.headers["request-id"]
    assert public_client.get("/healthz").status_code == 200


def test_an_address_counts_as_head(public_client: httpx.Client) -> None:
    assert public_client.get("/" + "a" * (middleware.MOST_HEAD_BYTES - 1000)).status_code == 404
    assert public_client.get("/" + "a" * middleware.MOST_HEAD_BYTES).status_code == 431


@pytest.mark.parametrize("path", ["/healthz", "/v1/edits", "/v1/callbacks/qubico/x", "/nope"])
def test_no_address_takes_an_endless_body(api: Api, path: str) -> None:
    with raw(api) as wire:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n"
        wire.sendall(f"{head}Content-Length: 100000000000\r\n\r\n".encode())
        status, _, body = read(wire)
    assert (status, json.loads(body)["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"metadata":' * 50_000, '{"prompt": "x", "image": ' + "[" * 5_000])
def test_json_that_is_nested_too_deeply_is_malformed(api: Api, text: str) -> None:
    answer = api.client.post("/v1/edits", content=text, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


# --- below the application: the protocol that `retouch api` runs


@pytest.fixture(scope="module")
def hardened(valkey_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with hardened_by(server.Protocol, valkey_port, tmp_path_factory.mktemp("hardened")) as running:
        yield running


@pytest.fixture(scope="module")
def impatient(valkey_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """With heads alone."""

    class Impatient(server.Protocol):
        head_within = 0.3

    with hardened_by(Impatient, valkey_port, tmp_path_factory.mktemp("impatient")) as running:
        yield running


def hardened_by(
    protocol: type[server.Protocol], valkey_port: int, folder: Path, *, keep_alive: float = 90
) -> contextlib.AbstractContextManager[Api]:
    settings = settings_for(f"redis://127.0.0.1:{valkey_port}/0", folder, free_port())
    return serving(settings, http=protocol, ws="none", server_header=False, timeout_keep_alive=keep_alive)


@contextlib.contextmanager
def raw(api: Api) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", api.settings.api.port), timeout=90) as wire:
        yield wire


def read(wire: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One answer with a length, and not a byte of the next."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += (part := wire.recv(1))
        assert part, f"closed after {head!r}"
    line, *fields = head.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    return int(line.split()[1]), headers, wire.recv(int(headers["content-length"]), socket.MSG_WAITALL)


def closed(wire: socket.socket) -> bool:
    """Whether the other side ends the connection within the socket's own time, having said nothing more."""
    try:
        return wire.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS to the plain port"),
        pytest.param(b"GET / HTTP/1.1\r\nno colon\r\n\r\n", id="no header"),
        pytest.param(b"SPAM / HTTP/1.1\r\n\r\n", id="no method"),
        pytest.param(b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n", id="tunnel"),
        pytest.param(
            b"POST /v1/edits HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", id="smuggled"
        ),
    ],
)
def test_what_is_no_http_is_a_problem_with_an_id_too(hardened: Api, sent: bytes) -> None:
    with raw(hardened) as wire:
        wire.sendall(sent)
        status, headers, body = read(wire)
        assert closed(wire)
    said = json.loads(body)
    assert (status, said["code"], headers["content-type"]) == (400, "malformed", "application/problem+json")
    assert said["request_id"] == headers["request-id"]
    assert {name: headers[name] for name in SECURE} == SECURE
    assert "server" not in headers


def test_an_endless_head_is_cut_before_it_is_kept(hardened: Api) -> None:
    with raw(hardened) as wire:
        wire.sendall(b"GET /healthz HTTP/1.1\r\nX-Long: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                wire.sendall(b"a" * 65536)
        status, headers, body = read(wire)
    assert (status, json.loads(body)["code"], headers["connection"]) == (431, "headers_too_large", "close")


def test_a_head_that_does_not_end_is_given_up(impatient: Api) -> None:
    with raw(impatient) as wire:
        wire.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        assert closed(wire)


def test_a_connection_that_says_nothing_is_given_up(valkey_port: int, tmp_path: Path) -> None:
    with hardened_by(server.Protocol, valkey_port, tmp_path, keep_alive=0.3) as running, raw(running) as wire:
        assert closed(wire)


def test_a_slow_body_is_not_a_slow_head_and_the_connection_is_kept(impatient: Api) -> None:
    body = json.dumps(BODY).encode()
    head = f"POST /v1/edits HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n"
    with raw(impatient) as wire:
        for _ in range(2):
            wire.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:10])
            wire.settimeout(0.5)  # longer than a head may take
            with pytest.raises(TimeoutError):
                wire.recv(1)
            wire.settimeout(90)
            wire.sendall(body[10:])
            assert read(wire)[0] == 202


def test_several_requests_in_one_packet_are_answered_in_their_order(hardened: Api) -> None:
    with raw(hardened) as wire:
        wire.sendall(b"".join(b"GET /healthz HTTP/1.1\r\nHost: x\r\nRequest-Id: r%d\r\n\r\n" % n for n in range(3)))
        received = b""
        while received.count(b'{"status":"ok"}') < 3:
            received += wire.recv(65536)
    places = [received.index(b"request-id: r%d" % n) for n in range(3)]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "upgrade",
    [
        pytest.param("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAA\r\n", id="h2c"),
        pytest.param("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n", id="websocket"),
    ],
)
def test_an_offer_to_speak_otherwise_is_passed_over(hardened: Api, upgrade: str) -> None:
    """As Java's client makes it with every plain request."""
    body = json.dumps(BODY).encode()
    head = f"POST /v1/edits HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n{upgrade}"
    with raw(hardened) as wire:
        for cut in (0, 10):  # the body in one packet with its head, or some of it later
            wire.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[: cut or None])
            wire.sendall(body[cut:] if cut else b"")
            status, headers, _ = read(wire)
            assert status == 202
            assert headers["request-id"]
        wire.sendall(f"GET /healthz HTTP/1.1\r\nHost: x\r\n{upgrade}\r\nGET /nope HTTP/1.1\r\n\r\n".encode())
        assert [read(wire)[0], read(wire)[0]] == [200, 404]
