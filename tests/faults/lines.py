"""Lines between processes that can be cut, held, or drop data: proxies, on a loop in their own thread."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.parts.proxy import Proxy


class Lines:
    """All on one loop, so that one line's traffic can bring another one down in the same instant."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._proxies: list[Proxy] = []

    def to(self, port: int) -> Proxy:
        """A line to the server on this port of this machine. Touch it by `do` alone, except for its `port`."""
        proxy = Proxy(port)
        asyncio.run_coroutine_threadsafe(proxy.start(), self._loop).result(90)
        self._proxies.append(proxy)
        return proxy

    def do(self, action: Callable[[], Any]) -> None:
        """On the loop, as everything that touches a line."""
        done = threading.Event()

        def run() -> None:
            action()
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(90)

    def soon(self, action: Callable[[], Any]) -> None:
        """From the loop: when what it is doing has been done."""
        self._loop.call_soon(action)

    def end(self) -> None:
        for proxy in self._proxies:
            asyncio.run_coroutine_threadsafe(proxy.stop(), self._loop).result(90)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(90)
        self._loop.close()


@contextmanager
def laid() -> Iterator[Lines]:
    with ExitStack() as stack:
        lines = Lines()
        stack.callback(lines.end)
        yield lines
