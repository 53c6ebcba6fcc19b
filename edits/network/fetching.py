"""Fetches a picture by its address and accepts what a browser accepts. It connects to hosts of the internet alone.

The guard checks each IP address when it is about to be connected to, so after DNS and after every redirect.
h11 reads the answers: it accepts what servers really send (repeated equal `Content-Length`, both framings at once).
"""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Final
from urllib.parse import urljoin

import httpcore
import httpx
from yarl import URL

from edits.errors import InputRefused, Unavailable
from edits.network import addresses
from edits.network.guard import CONNECT_WITHIN, GuardedNetwork, PrivateAddress, Resolver, resolve
from qubico.encodings import EncodingInvalid, Unpacker
from qubico.errors import ResultTooLarge

MOST_REDIRECTS: Final = 5
AT_ONCE: Final = 32  # pictures that one process fetches at a time: each may take its cap of bytes in memory
WITHIN: Final = timedelta(seconds=15)  # for all of a fetch, redirects included: the sender is waiting for the answer
MOST_HEADER_BYTES: Final = 64 * 1024  # of one answer. h11 stops reading a little later, at 100 KiB.

_SLOT_WITHIN: Final = 5  # seconds
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HEADERS: Final = ((b"Accept", b"image/*,*/*;q=0.1"), (b"Accept-Encoding", b"identity"), (b"User-Agent", b"Retouch"))
_TIMEOUT: Final = {"timeout": {"connect": CONNECT_WITHIN}}
_POINTER: Final = "/image"
_TROUBLE: Final = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError, ValueError)
"""ValueError: names that no resolver takes."""


class Fetcher:
    def __init__(
        self,
        *,
        max_bytes: int,
        trusted: Iterable[tuple[str, int]] = (),
        within: timedelta = WITHIN,
        resolver: Resolver = resolve,
    ) -> None:
        """`trusted`: hosts and ports that an operator named in the settings. They may be private."""
        self._max_bytes = max_bytes
        self._within = within.total_seconds()
        self._network = GuardedNetwork(trusted=trusted, resolver=resolver)
        self._ssl = httpx.create_ssl_context()  # with its own list of authorities: slim images have none
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def fetch(self, address: str) -> bytes:
        """The bytes at `address`, unpacked. Raises InputRefused, or Unavailable when too many fetches are running."""
        try:
            await asyncio.wait_for(self._slots.acquire(), _SLOT_WITHIN)
        except TimeoutError:
            raise Unavailable("Too many pictures are being fetched now; try again.") from None
        try:
            async with asyncio.timeout(self._within):
                return await self._followed(address)
        except TimeoutError:
            raise _unreachable(f"the picture did not arrive within {self._within:g} s") from None
        finally:
            self._slots.release()

    async def _followed(self, address: str) -> bytes:
        for _ in range(1 + MOST_REDIRECTS):
            if fault := addresses.fault(address):
                raise _unreachable(f"the address, or one it redirects to, cannot be used: {fault}")
            found = await self._requested(address)
            if isinstance(found, bytes):
                return found
            address = found
        raise _unreachable(f"the address redirects more than {MOST_REDIRECTS} times")

    async def _requested(self, address: str) -> bytes | str:
        """The picture, or the address of a redirect."""
        pool = httpcore.AsyncConnectionPool(ssl_context=self._ssl, network_backend=self._network)
        try:
            url, host = _target(address)
            headers = [(b"Host", host), *_HEADERS]
            async with pool, pool.stream("GET", url, headers=headers, extensions=_TIMEOUT) as response:
                sent = _fields(response)
                if response.status in _REDIRECTS and "location" in sent:
                    return urljoin(address, sent["location"].replace(" ", "%20"))
                return await self._read(response, sent)
        except PrivateAddress:
            raise _unreachable("the address leads into a private network; such addresses are not fetched") from None
        except _TROUBLE:
            raise _unreachable("no valid HTTP response came from the address") from None

    async def _read(self, response: httpcore.Response, sent: dict[str, str]) -> bytes:
        if response.status != 200:
            raise _unreachable(f"the address answers {response.status}")
        announced = sent.get("content-length", "").partition(",")[0]
        received = bytearray()
        try:
            unpacker = Unpacker(sent.get("content-encoding", ""), max_bytes=self._max_bytes)
            if announced.isdecimal():
                unpacker.check(int(announced))
            async for chunk in response.aiter_stream():
                received += chunk
                unpacker.check(len(received))
            return await asyncio.to_thread(unpacker.whole, bytes(received))
        except EncodingInvalid as exc:
            raise _unreachable(str(exc)) from None
        except ResultTooLarge:
            reason = f"the picture has more than {self._max_bytes} bytes"
            raise InputRefused(reason, code="image_too_large", pointer=_POINTER) from None


def _target(address: str) -> tuple[httpcore.URL, bytes]:
    """Where the request goes, and its `Host`.

    An address in ASCII goes out as it came: quoted otherwise, its signature might no longer fit.
    """
    read = URL(address, encoded=address.isascii())
    host = (read.raw_host or "").rstrip(".").lower()
    target = read.raw_path_qs.encode("ascii")
    url = httpcore.URL(scheme=read.scheme, host=host, port=read.explicit_port, target=target)
    return url, read.raw_authority.encode("ascii")


def _fields(response: httpcore.Response) -> dict[str, str]:
    """The headers by their names in lower case, repeated ones joined. Raises InputRefused for more than 64 KiB."""
    if sum(len(name) + len(value) + 4 for name, value in response.headers) > MOST_HEADER_BYTES:
        raise _unreachable(f"the address answers with more than {MOST_HEADER_BYTES // 1024} KiB of headers")
    fields: dict[str, str] = {}
    for name, value in response.headers:
        key, text = name.decode("ascii").lower(), value.decode("utf-8", "replace")
        fields[key] = f"{fields[key]},{text}" if key in fields and key != "location" else text
    return fields


def _unreachable(reason: str) -> InputRefused:
    return InputRefused(reason, code="input_unreachable", pointer=_POINTER)
