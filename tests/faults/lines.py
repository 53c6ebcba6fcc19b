"""Proxies between processes that can cut, hold or drop data; they run on an event loop in one thread."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.parts.proxy import Proxy


class Lines:
    """All proxies share one loop, so that traffic on one can cut another at once."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._proxies: list[Proxy] = []

    def to(self, port: int) -> Proxy:
        """A proxy to the server on this local port. Only `port` may be read outside `do`."""
        proxy = Proxy(port)
        asyncio.run_coroutine_threadsafe(proxy.start(), self._loop).result(90)
        self._proxies.append(proxy)
        return proxy

    def do(self, action: Callable[[], Any]) -> None:
        """Runs the action on the loop; every use of a proxy needs this."""
        done = threading.Event()

        def run() -> None:
            action()
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(90)

    def soon(self, action: Callable[[], Any]) -> None:
        """Called on the loop: runs the action after the current callback."""
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
