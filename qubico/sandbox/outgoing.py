"""The requests that the sandbox itself makes: for input pictures, and to webhooks."""

import logging

import aiohttp

from qubico.sandbox.tasks import BadPicture

logger = logging.getLogger(__name__)
MAX_INPUT_BYTES = 20 * 1024 * 1024
FETCH_TIMEOUT = aiohttp.ClientTimeout(20.0)
CALLBACK_TIMEOUT = aiohttp.ClientTimeout(5.0)
FAILURES = (aiohttp.ClientError, TimeoutError, ValueError)


class Outgoing:
    def __init__(self) -> None:
        connector = aiohttp.TCPConnector(limit=64)
        self._session = aiohttp.ClientSession(connector=connector, headers={"User-Agent": "Qubico-Sandbox"})

    async def picture(self, address: str) -> bytes:
        """Raises: BadPicture."""
        try:
            async with self._session.get(address, timeout=FETCH_TIMEOUT) as answer:
                if answer.status != 200:
                    raise BadPicture(f"download input image: unexpected status {answer.status}")
                picture = bytearray()
                async for part in answer.content.iter_chunked(65_536):
                    picture += part
                    if len(picture) > MAX_INPUT_BYTES:
                        raise BadPicture(f"download input image: larger than {MAX_INPUT_BYTES} bytes")
                return bytes(picture)
        except FAILURES as exc:
            raise BadPicture(f"download input image: {type(exc).__name__}") from exc

    async def callback(self, endpoint: str, secret: str, body: bytes) -> bool:
        """True if the receiver took it."""
        headers = {"Content-Type": "application/json", **({"x-webhook-secret": secret} if secret else {})}
        try:
            async with self._session.post(
                endpoint, data=body, headers=headers, timeout=CALLBACK_TIMEOUT, allow_redirects=False
            ) as answer:
                return 200 <= answer.status < 300
        except FAILURES as exc:
            logger.info("callback.unreachable error=%s", type(exc).__name__)
            return False

    async def close(self) -> None:
        await self._session.close()
