"""Delivers every message of Celery a second time: each one that is pushed onto a queue of a process is pushed again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import redis as redis_sync

QUEUES = "retouch:process."
END = "doubling:end"


class Doubler:
    """Watches the broker (MONITOR), so that no message passes unseen however soon it is taken."""

    def __init__(self, broker_url: str) -> None:
        self.doubled = 0
        self._redis = redis_sync.Redis.from_url(broker_url, decode_responses=True)
        self._watching = redis_sync.Redis.from_url(broker_url, decode_responses=True)
        self._pushed: set[str] = set()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._redis.publish(END, "")  # the watch sees that too
        self._thread.join(90)
        assert not self._thread.is_alive()
        self._redis.close()
        self._watching.close()

    def _watch(self) -> None:
        with self._watching.monitor() as monitor:
            for seen in monitor.listen():
                words = str(seen["command"]).split(" ", 2)
                if words[:2] == ["PUBLISH", END]:
                    return
                if len(words) == 3 and words[0] == "LPUSH" and words[1].startswith(QUEUES):
                    self._push_again(words[1], words[2])

    def _push_again(self, queue: str, message: str) -> None:
        if message in self._pushed:  # it is the copy that passes
            self._pushed.discard(message)
            return
        self._pushed.add(message)
        self._redis.lpush(queue, message)
        self.doubled += 1


@contextmanager
def doubled(broker_url: str) -> Iterator[Doubler]:
    doubler = Doubler(broker_url)
    try:
        yield doubler
    finally:
        doubler.end()
