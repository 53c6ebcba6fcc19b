"""HTTP client of the API: returns its answers as models, or raises an error that ends the program."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from cli.errors import Conflict, Stop, Unreachable, WorkFailed, WrongUsage
from cli.sources import Picture
from cli.views import Edit, Event, Page, Price, Problem
from config import addresses, local_stack
from config.settings import load

CONNECT_WITHIN = 3.0  # seconds
ANSWER_WITHIN = 75.0  # seconds: longer than the API may wait under `Prefer: wait`
TRIES = 6  # about 8 s of pauses in all; every call here is safe to repeat
PAUSE = 0.25  # seconds before the second try, doubled each time
LONGEST_PAUSE = 10.0  # seconds, also if `Retry-After` is longer
BUSY = frozenset({429, 502, 503, 504})
TRIED = "retouch.tried"  # key of the number of tries in `extensions`
WRONG_INPUT = frozenset({400, 401, 403, 404, 413, 415, 422})

_T = TypeVar("_T")


class Client:
    """`async with Client(url, key)`: one keep-alive connection pool for one command."""

    def __init__(self, url: str, key: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"X-API-Key": key, "User-Agent": "retouch-cli"},
            timeout=httpx.Timeout(ANSWER_WITHIN, connect=CONNECT_WITHIN),
            transport=transport,
            trust_env=not addresses.is_loopback(url),  # no proxy for loopback addresses
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def create(
        self, body: Mapping[str, Any], *, picture: Picture | None, idempotency_key: str
    ) -> tuple[Edit, bool]:
        """Returns the edit, and whether an earlier call had made it. The key makes repeats safe."""
        headers = {"Idempotency-Key": idempotency_key}
        answer = await self._answer("POST", "/v1/edits", headers=headers, **_sent(body, picture))
        there = answer.headers.get("Idempotent-Replayed") == "true" and answer.extensions[TRIED] == 1
        return self._read(answer, Edit), there

    async def price(self, body: Mapping[str, Any], *, picture: Picture | None) -> Price:
        return await self._call(Price, "POST", "/v1/edits", params={"dry_run": "true"}, **_sent(body, picture))

    async def edit(self, edit_id: str, *, wait: int | None = None) -> tuple[Edit, float]:
        """Returns the edit and the seconds until the next call (`Retry-After`)."""
        headers = {"Prefer": f"wait={wait}"} if wait else {}
        answer = await self._answer("GET", _path(edit_id), headers=headers)
        return self._read(answer, Edit), retry_after(answer, default=1.0)

    async def recent(self, limit: int) -> list[Edit]:
        return (await self._call(Page, "GET", "/v1/edits", params={"limit": limit})).data

    async def timeline(self, edit_id: str) -> list[Event]:
        return await self._call(list[Event], "GET", _path(edit_id, "timeline"))

    async def cancel(self, edit_id: str) -> Edit:
        return await self._call(Edit, "POST", _path(edit_id, "cancel"))

    async def retry(self, edit_id: str) -> Edit:
        """Retries a failed edit; returns a running one unchanged."""
        try:
            return await self._call(Edit, "POST", _path(edit_id, "retry"))
        except Conflict:
            return (await self.edit(edit_id))[0]

    @asynccontextmanager
    async def result(self, edit_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        try:
            async with self._http.stream("GET", _path(edit_id, "result")) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    raise refusal(answer)
                yield answer.aiter_bytes()
        except httpx.RequestError as error:
            raise self._unreachable(error) from error

    async def _call(self, shape: type[_T], method: str, path: str, **request: Any) -> _T:
        return self._read(await self._answer(method, path, **request), shape)

    async def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Repeats the call while the server is busy or the connection breaks."""
        for attempt in range(TRIES):
            last = attempt == TRIES - 1
            pause = PAUSE * 2**attempt
            try:
                answer = await self._http.request(method, path, **request)
            except httpx.ConnectError as error:  # nothing listens there: fail at once
                raise self._unreachable(error) from error
            except httpx.RequestError as error:
                if last:
                    raise self._unreachable(error) from error
            else:
                answer.extensions[TRIED] = attempt + 1
                if not _busy(answer) or last:
                    break
                pause = retry_after(answer, default=pause)
            await asyncio.sleep(min(pause, LONGEST_PAUSE))
        if answer.status_code >= 400:
            raise refusal(answer)
        return answer

    def _read(self, answer: httpx.Response, shape: type[_T]) -> _T:
        try:
            return TypeAdapter(shape).validate_python(answer.json())  # the json module reads lone surrogates, too
        except (ValueError, RecursionError) as error:
            raise WorkFailed(f"unexpected answer from {self._url}; check that it is a Retouch API") from error

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"no answer from {self._url} ({str(error) or type(error).__name__}); the command is safe to repeat"
        )


def find() -> Client:
    """The server that was set, else the `up` of this data dir."""
    settings = load(production_guards=False)
    key = settings.client.api_key
    if settings.client.url:
        if key is None:
            raise WrongUsage("RETOUCH_CLIENT__URL is set without RETOUCH_CLIENT__API_KEY; set the key too")
        return Client(settings.client.url, key.get_secret_value())
    up = local_stack.find(settings.data_dir)
    if up is None:
        raise Unreachable(
            f"no `retouch up` is running in {settings.data_dir}; start one with `make up` (or `retouch up`), "
            "or set RETOUCH_CLIENT__URL and RETOUCH_CLIENT__API_KEY"
        )
    return Client(up.api_url, key.get_secret_value() if key else up.api_key)


def _sent(body: Mapping[str, Any], picture: Picture | None) -> dict[str, Any]:
    """URLs are sent as JSON, files as a form without their names."""
    if picture is None:
        return {"json": dict(body)}
    fields = {name: str(value) for name, value in body.items()}
    return {"data": fields, "files": {"image": ("image", picture.content, picture.content_type)}}


def _busy(answer: httpx.Response) -> bool:
    """Whether to repeat the call: the server is busy, or a call with the same key is in progress."""
    return answer.status_code in BUSY or (answer.status_code == 409 and b"idempotency_in_progress" in answer.content)


def _path(edit_id: str, *more: str) -> str:
    if not edit_id.strip():
        raise WrongUsage("ID is empty; `retouch status` lists ids, such as edit_01J…")
    return "/".join(["/v1/edits", quote(edit_id.strip(), safe=""), *more])


def refusal(answer: httpx.Response) -> Stop:
    """An error answer as an exception: WrongUsage for wrong input, else WorkFailed or Conflict."""
    try:
        said = str(Problem.model_validate_json(answer.content))
    except ValidationError:
        said = f"the server answered {answer.status_code} {answer.reason_phrase}"
    if answer.status_code == 409:
        return Conflict(said)
    return WrongUsage(said) if answer.status_code in WRONG_INPUT else WorkFailed(said)


def retry_after(answer: httpx.Response, *, default: float) -> float:
    """Seconds of `Retry-After`; dates and other text give the default."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else default
