"""Joins single accepts: those that come during a call are sent together in the next one.

Each is answered after it is kept, and judged by itself: what it shares with the others is the call.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from edits.db.acceptance import Asked, Taken, unknown
from edits.db.admission import Caps
from edits.errors import Unavailable

Waiting = tuple[Asked, "asyncio.Future[Taken | Exception]"]


class Together:
    def __init__(self, take_in: Callable[[Sequence[Asked], Caps], Awaitable[list[Taken]]]) -> None:
        self._take_in = take_in
        self._waiting: dict[Caps, list[Waiting]] = {}
        self._taking: asyncio.Task[None] | None = None

    async def take_in(self, asked: Asked, caps: Caps) -> Taken | Exception:
        """What became of it."""
        taken: asyncio.Future[Taken | Exception] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caps, []).append((asked, taken))
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._take_all())
        return await taken

    async def _take_all(self) -> None:
        while self._waiting:
            caps, waiting = self._waiting.popitem()
            waiting = [(asked, taken) for asked, taken in waiting if not taken.done()]  # its caller may have gone
            try:
                found: Sequence[Taken | Exception] = await self._take_in([asked for asked, _ in waiting], caps)
                _answer(waiting, found)
            except Exception as exc:  # noqa: BLE001 - each caller gets it
                _answer(waiting, [exc] * len(waiting))
            except BaseException:
                _answer(waiting, [unknown()] * len(waiting))
                ending = Unavailable("Not accepted: this process is shutting down. Send it again.")
                for others in self._waiting.values():
                    _answer(others, [ending] * len(others))
                self._waiting = {}
                raise


def _answer(waiting: Sequence[Waiting], found: Sequence[Taken | Exception]) -> None:
    for (_, taken), one in zip(waiting, found, strict=True):
        if not taken.done():
            taken.set_result(one)
