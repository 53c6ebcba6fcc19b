"""The sandbox's own time: runs like the wall clock; only a control call pushes it ahead."""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

YEAR_ONE = "0001-01-01T00:00:00Z"
SHANGHAI = timezone(timedelta(hours=8))


class Clock:
    """Seconds since 1970 that never step back, even if the host's clock does."""

    def __init__(self) -> None:
        self._zero = time.time() - time.monotonic()
        self._pushed = asyncio.Event()

    def now(self) -> float:
        return self._zero + time.monotonic()

    def advance(self, seconds: float) -> None:
        self._zero += seconds
        self._pushed.set()
        self._pushed = asyncio.Event()

    async def until(self, moment: float) -> None:
        while (left := moment - self.now()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._pushed.wait()


def go_time(moment: float | None, *, shanghai: bool = False) -> str:
    """RFC 3339 as Go prints it: up to nine digits of a second, trailing zeros dropped, year 1 for "not yet"."""
    if moment is None:
        return YEAR_ONE
    whole = int(moment)
    fraction = f".{int((moment - whole) * 1e9):09d}".rstrip("0").rstrip(".")
    stamp = datetime.fromtimestamp(whole, SHANGHAI if shanghai else UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}{fraction}{'+08:00' if shanghai else 'Z'}"
