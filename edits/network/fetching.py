"""Fetches a picture by its address for our own keeping. It connects to hosts of the internet and to nothing else.

Each IP address is looked at when it is about to be connected to, so after DNS and after every redirect.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final
from urllib.parse import urljoin

import aiohttp
import httpx
from aiohttp import AddrInfoType
from aiohttp.abc import AbstractResolver
from yarl import URL

from edits.errors import InputRefused, Unavailable
from edits.network import addresses

MOST_REDIRECTS: Final = 5
AT_ONCE: Final = 32
"""Pictures that one process fetches at a time: each may take its cap of bytes in memory."""

WITHIN: Final = timedelta(seconds=15)
"""For all of it, redirects included: whoever asked is waiting for his answer."""

_TURN_WITHIN: Final = 5  # seconds
_CHUNK_BYTES: Final = 64 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HEADERS: Final = {"Accept": "image/*,*/*;q=0.1", "Accept-Encoding": "identity", "User-Agent": "Retouch"}
_POINTER: Final = "/image"


class Fetcher:
    def __init__(
        self,
        *,
        max_bytes: int,
        trusted: Iterable[tuple[str, int]] = (),
        within: timedelta = WITHIN,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """`trusted`: hosts and ports that an operator named in the settings. They may be private."""
        self._max_bytes = max_bytes
        self._trusted = frozenset(trusted)
        self._within = within.total_seconds()
        self._resolver = resolver
        self._ssl = httpx.create_ssl_context()  # with its own list of authorities: slim images have none
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def fetch(self, address: str) -> bytes:
        """The bytes at `address`, whatever they are. Raises InputRefused, or Unavailable when too many are fetched."""
        async with self._turn():
            try:
                async with asyncio.timeout(self._within):
                    return await self._followed(address)
            except TimeoutError:
                raise _unreachable(f"the picture did not come within {self._within:g} s") from None

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            await asyncio.wait_for(self._turns.acquire(), _TURN_WITHIN)
        except TimeoutError:
            raise Unavailable("Too many pictures are being fetched now; ask again.") from None
        try:
            yield
        finally:
            self._turns.release()

    async def _followed(self, address: str) -> bytes:
        for _ in range(1 + MOST_REDIRECTS):
            if fault := addresses.fault(address):
                raise _unreachable(f"the address, or one it redirects to, cannot be used: {fault}")
            found = await self._asked(address)
            if isinstance(found, bytes):
                return found
            address = found
        raise _unreachable(f"the address redirects more than {MOST_REDIRECTS} times")

    async def _asked(self, address: str) -> bytes | str:
        """The picture, or the address to which we are sent on."""
        guard = _Guard(open_to_all=addresses.place(address) in self._trusted)
        connector = aiohttp.TCPConnector(
            ssl=self._ssl, resolver=self._resolver, socket_factory=guard.socket, force_close=True, use_dns_cache=False
        )
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, headers=_HEADERS
                ) as session,
                # An address in ASCII goes out as it came: quoted otherwise, its signature might no longer fit.
                session.get(URL(address, encoded=address.isascii()), allow_redirects=False) as response,
            ):
                if response.status in _REDIRECTS and "location" in response.headers:
                    return urljoin(address, response.headers["location"])
                return await self._read(response)
        except (aiohttp.ClientError, OSError, ValueError):  # ValueError: names that no resolver takes
            if guard.refused:
                raise _unreachable("the address leads into a private network, from which nothing is fetched") from None
            raise _unreachable("nothing answers there, or not as HTTP has it") from None

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        if response.status != 200:
            raise _unreachable(f"the address answers {response.status}")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _unreachable("the address answers with a content encoding that nobody asked for")
        if (response.content_length or 0) > self._max_bytes:
            raise self._too_large()
        received = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            received += chunk
            if len(received) > self._max_bytes:
                raise self._too_large()
        return bytes(received)

    def _too_large(self) -> InputRefused:
        reason = f"the picture has more than {self._max_bytes} bytes"
        return InputRefused(reason, code="image_too_large", pointer=_POINTER)


class _Guard:
    """Makes the sockets of one request, and none to a private address unless it is `open_to_all`."""

    def __init__(self, *, open_to_all: bool) -> None:
        self._open_to_all = open_to_all
        self.refused = False

    def socket(self, where: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = where
        if not (self._open_to_all or addresses.is_public(str(address[0]))):
            self.refused = True
            raise OSError("a private address")
        return socket.socket(family, kind, protocol)


def _unreachable(reason: str) -> InputRefused:
    return InputRefused(reason, code="input_unreachable", pointer=_POINTER)
