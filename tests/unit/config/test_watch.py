"""The count of beats: what moves is left alone, what stands is named, what may stand is waited for."""

import threading
import time
from datetime import timedelta

from runtime.watchdog import Watch


def watched(limit: float = 0.3) -> tuple[Watch, list[str], threading.Event]:
    named: list[str] = []
    ended = threading.Event()
    watch = Watch(timedelta(seconds=limit))

    def end(what: list[str]) -> None:
        named.extend(what)
        ended.set()

    watch.begin(beat=lambda: watch.moved("what moves"), ended=end)
    return watch, named, ended


def test_only_what_stands_is_named():
    watch, named, ended = watched()
    watch.moved("what moves")
    watch.moved("what stands")
    assert ended.wait(90)
    assert named == ["what stands"]


def test_what_is_forgotten_excused_or_has_leave_is_not_named():
    watch, named, ended = watched(0.8)
    watch.moved("forgotten")
    watch.forget("forgotten")
    watch.moved("has leave", leave=60)
    watch.moved("excused")
    with watch.during("over soon"):
        pass
    until = time.monotonic() + 1.6
    while time.monotonic() < until:
        watch.excuse()
        assert not ended.wait(0.05)
    assert watch.quiet_for("has leave") < -50
    watch.close()
    assert named == []


def test_what_stood_for_two_thirds_of_the_limit_is_shown_before_the_end():
    watch, _, ended = watched(2.4)
    watch.moved("stands")
    while not watch.unwell():
        assert not ended.is_set()
        time.sleep(0.01)
    assert watch.unwell() == ["stands"]
    assert ended.wait(90)
