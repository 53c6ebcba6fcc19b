"""The watch: what moves is left alone, what stands is named, and of a blocked loop only the loop."""

import asyncio
import threading
import time
from datetime import timedelta

from runtime.watchdog import LOOP, Watch


class Watched:
    """A watch on this loop, and what it ended for."""

    def __init__(self, limit: float) -> None:
        self.watch = Watch(timedelta(seconds=limit))
        self.named: list[str] = []
        self.ended = threading.Event()
        self.watch.begin(asyncio.get_running_loop(), ended=self._end)

    def _end(self, what: list[str]) -> None:
        self.named = what
        self.ended.set()

    async def until_ended(self) -> None:
        assert await asyncio.to_thread(self.ended.wait, 90)


async def test_only_what_stands_is_named():
    watched = Watched(0.3)

    async def move() -> None:
        while True:
            watched.watch.moved("what moves")
            await asyncio.sleep(0.01)

    moving = asyncio.create_task(move())
    watched.watch.expect("what stands")
    await watched.until_ended()
    moving.cancel()
    assert watched.named == ["what stands"]


async def test_what_is_forgotten_or_excused_is_not_named():
    watched = Watched(0.8)
    watched.watch.moved("forgotten")
    watched.watch.forget("forgotten")
    watched.watch.moved("excused")
    with watched.watch.during("over soon"):
        pass
    until = time.monotonic() + 1.6
    while time.monotonic() < until:
        watched.watch.excuse()
        await asyncio.sleep(0.05)
        assert not watched.ended.is_set()
    watched.watch.close()
    assert watched.named == []


async def test_what_is_expected_again_keeps_its_count():
    watched = Watched(0.3)

    async def expect() -> None:
        while True:
            watched.watch.expect("never comes")
            await asyncio.sleep(0.01)

    expecting = asyncio.create_task(expect())
    await watched.until_ended()
    expecting.cancel()
    assert watched.named == ["never comes"]


async def test_while_the_loop_is_blocked_it_alone_is_named():
    watched = Watched(0.3)
    watched.watch.moved("on the loop")
    assert watched.ended.wait(90)  # in the loop's own thread
    assert watched.named == [LOOP]


async def test_what_stood_for_two_thirds_of_the_limit_is_shown_before_the_end():
    watched = Watched(2.4)
    watched.watch.moved("stands")
    while not watched.watch.unwell():
        assert not watched.ended.is_set()
        await asyncio.sleep(0.01)
    assert watched.watch.unwell() == ["stands"]
    await watched.until_ended()
