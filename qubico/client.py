"""The provider's API as five calls, each with a value or one error of `errors`. A create is sent at most once."""

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import datetime
from functools import lru_cache, partial
from typing import Self, TypeVar
from urllib.parse import quote

import httpx

from qubico import account, answers, downloads, schemas
from qubico.account import LARGEST_PAGE, Account, HistoryPage
from qubico.errors import AnswerLost, NotSent, QubicoError, TaskGone, Unavailable, Unreadable, transport_trouble
from qubico.transport import OverAiohttp, Whole, closed, gated, headers_for, request_to

_LARGEST_ANSWER = 48 * 1024 * 1024  # a picture of 32 MiB in base64, and then some

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "Content-Type": "application/json"}
_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])")

Value = TypeVar("Value")
Params = dict[str, str | int]


async def _at_once() -> None:
    """Nothing to wait for."""


class QubicoClient:
    """Use as `async with`, or close it. Timeouts are seconds for the whole call, connecting included."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        result_hosts: Collection[str] = (),
        transport: httpx.AsyncBaseTransport | None = None,
        create_timeout: float = 20.0,
        read_timeout: float = 10.0,
        download_timeout: float = 60.0,
        max_connections: int = 100,
        observe: Callable[[str, str], None] = lambda _operation, _outcome: None,
    ) -> None:
        """`observe` gets each request's operation and outcome: ok, or the error's name in snake case."""
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._hosts = downloads.ResultHosts(result_hosts)
        self._create_timeout = create_timeout
        self._read_timeout = read_timeout
        self._download_timeout = download_timeout
        self._observe = observe
        self._is_closed = False
        self._transport = transport or OverAiohttp(max_connections=max_connections)
        # A task is read some six times, and building the request costs as much as reading its answer.
        self._reading_task = lru_cache(maxsize=2048)(self._reading)
        self._headers = headers_for(httpx.URL(self._base_url), {"X-API-Key": api_key, **_HEADERS})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        self._is_closed = True
        await self._transport.aclose()

    async def create(
        self,
        request: schemas.KontextRequest,
        *,
        may_send: Callable[[], bool] = lambda: True,
        connected: Callable[[], Awaitable[None]] = _at_once,
    ) -> schemas.Task:
        """Buy a task. `may_send` is asked first and again right before the first byte; if it says no, NotSent.

        `connected` is waited for before the second time, with the connection in hand.
        """
        address = httpx.URL(f"{self._base_url}/api/v1/task")
        sent = request_to(address, headers=self._headers, within=self._create_timeout, body=request.body())
        with self._observed("create"):
            with gated(may_send, connected):
                answer = await self._ask(sent, within=self._create_timeout)
            if (task := answer.task()) is None:
                raise answers.refusal(answer, creating=True)
            return task

    async def get(self, task_id: str) -> schemas.Task:
        request = self._reading_task(f"/api/v1/task/{quote(task_id, safe='')}")
        with self._observed("get"):
            answer = await self._ask(request, within=self._read_timeout)
            task = answer.task()
            if task is not None and task.task_id.casefold() == task_id.casefold():
                return task
            if task is not None:
                raise Unavailable(f"requested task {task_id}, received {task.task_id}")
            if answer.code in {404, 410} and answer.payload is not None:
                raise TaskGone(f"the provider does not know task {task_id}")
            raise answers.refusal(answer, creating=False)

    async def account(self) -> Account:
        """Free of charge, and refused for a bad key: the way to see whether an account is well again."""
        with self._observed("account"):
            return await self._read("/account/info", account.parse_account)

    async def history(self, *, start: datetime, end: datetime | None = None, page: int = 1) -> HistoryPage:
        """One page of the tasks created between two moments (rounded outwards to seconds), in no promised order."""
        if start.tzinfo is None or (end is not None and end.tzinfo is None):
            raise ValueError("history: start and end need a time zone")
        params: Params = {
            "page": page,
            "page_size": LARGEST_PAGE,
            "model": "flux",
            "start_time": math.floor(start.timestamp()),
        }
        if end is not None:
            params["end_time"] = math.ceil(end.timestamp())
        with self._observed("history"):
            parse = partial(account.parse_history, page=page)
            return await self._read("/api/open/tasks/histories", parse, params=params)

    def download(self, address: str, *, max_bytes: int) -> AbstractAsyncContextManager[AsyncGenerator[bytes]]:
        """The result at this address, as a stream of at most `max_bytes`."""
        return downloads.opened(
            self._transport, address, hosts=self._hosts, max_bytes=max_bytes, within=self._download_timeout
        )

    @contextmanager
    def _observed(self, operation: str) -> Iterator[None]:
        try:
            yield
        except QubicoError as exc:
            self._observe(operation, _WORD_START.sub("_", type(exc).__name__).lower())
            raise
        self._observe(operation, "ok")

    async def _read(self, path: str, parse: Callable[[object], Value], *, params: Params | None = None) -> Value:
        answer = await self._ask(self._reading(path, params), within=self._read_timeout)
        if answer.payload is None or answer.code >= 300:
            raise answers.refusal(answer, creating=False)
        try:
            return parse(answer.payload)
        except Unreadable as exc:
            raise Unavailable(f"HTTP {answer.status}: {exc}") from None

    def _reading(self, path: str, params: Params | None = None) -> httpx.Request:
        address = httpx.URL(self._base_url + path, params=params)
        return request_to(address, headers=self._headers, within=self._read_timeout)

    async def _ask(self, request: httpx.Request, *, within: float) -> answers.Answer:
        """Errors of a POST are NotSent or AnswerLost, those of a GET Unavailable."""
        lost, unsent = (Unavailable, Unavailable) if request.method == "GET" else (AnswerLost, NotSent)
        if self._is_closed:
            raise unsent("the client is closed")
        with transport_trouble(lost):
            async with asyncio.timeout(within):
                response = await self._transport.handle_async_request(request)
                content = await _content(response, lost)
        return answers.Answer.read(response.status_code, response.headers, content, api_key=self._api_key)


async def _content(response: httpx.Response, lost: type[AnswerLost] | type[Unavailable]) -> bytes:
    if isinstance(response.stream, Whole):  # its connection has been given back
        return response.stream.content
    content = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > _LARGEST_ANSWER:
                raise lost(f"HTTP {response.status_code} with more than {_LARGEST_ANSWER} bytes")
    finally:
        await closed(response)
    return bytes(content)
