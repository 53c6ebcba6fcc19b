"""The supervisor over small real processes: start, restart, end, and leftovers when it is killed itself."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.errors import WorkFailed
from cli.local import probes
from cli.local import supervisor as module
from cli.local.supervisor import RESTART
from tests.integration.cli.supervised import (
    SLEEPS,
    STUBBORN,
    TELLS,
    Said,
    kill_all,
    never,
    once,
    part,
    supervisor,
    until,
)
from tests.parts.stack import ROOT, eventually, running
from tests.parts.valkey import free_port


async def test_a_part_that_dies_is_started_again_and_a_line_says_so(tmp_path):
    said = Said()
    async with supervisor(tmp_path, part("sleeper", SLEEPS), said=said) as watched:
        first = watched.pids()["sleeper"]
        os.kill(first, signal.SIGKILL)
        await until(lambda: watched.pids()["sleeper"] != first, "a new process")
        assert running(watched.pids()["sleeper"])
    assert "sleeper died (SIGKILL); restart in 0.05 s" in said[0]
    assert said.count_of("restarted") == 1


async def test_a_part_that_keeps_dying_is_started_ever_more_slowly(tmp_path):
    said = Said()
    dies_later = (
        "import sys, time, pathlib; f = pathlib.Path(sys.argv[1]); d = f.exists(); f.touch(); d or time.sleep(60)"
    )
    flag = tmp_path / "started"
    async with supervisor(tmp_path, part("flaky", dies_later, flag, ready=once(flag)), said=said) as watched:
        os.kill(watched.pids()["flaky"], signal.SIGKILL)
        await until(lambda: said.count_of("in 0.2 s") >= 2, "the longest wait, twice")
    waits = [line.split("restart in ")[1].split(" s")[0] for line in said if "died" in line]
    assert waits[:4] == ["0.05", "0.1", "0.2", "0.2"]


SERVES = """
import http.server, sys, pathlib
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/" else 404)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
"""


async def test_a_part_that_hangs_is_killed_and_started_again(tmp_path, monkeypatch):
    monkeypatch.setattr(probes, "ANSWER_WITHIN", 0.8)
    said, port, looks = Said(), free_port(), []
    answers = probes.http(port, "/")

    async def well():
        looks.append(await answers())
        return looks[-1]

    async with supervisor(tmp_path, part("server", SERVES, port, ready=answers, well=well), said=said) as watched:
        first = watched.pids()["server"]
        await until(lambda: any(looks), "a look that finds it well")
        os.kill(first, signal.SIGSTOP)
        await until(lambda: watched.pids()["server"] != first, "a new process")
        assert not running(first)
        looks.clear()
        await until(lambda: any(looks), "the new process to answer")
    assert said[0] == "server failed its health check for 0.3 s and is killed"
    assert "server died (SIGKILL); restart in 0.05 s" in said[1]


async def test_a_part_that_is_unwell_now_and_then_is_left_alone(tmp_path):
    looks = 0

    async def one_in_four():
        nonlocal looks
        looks += 1
        return looks % 4 == 0

    said = Said()
    async with supervisor(tmp_path, part("busy", SLEEPS, well=one_in_four), said=said) as watched:
        first = watched.pids()["busy"]
        await until(lambda: looks > 40, "many looks")
        assert watched.pids()["busy"] == first
    assert said == []


def test_the_wait_doubles_up_to_its_limit():
    assert [RESTART.delay(deaths, lambda: 0.5) for deaths in (0, 1, 2, 6, 499)] == [0.5, 1.0, 2.0, 30.0, 30.0]


async def test_a_part_that_cannot_start_ends_the_others_and_shows_its_last_lines(tmp_path):
    fails = "import sys; print('no such database'); sys.exit(4)"
    watched = supervisor(tmp_path, part("good", SLEEPS), part("bad", fails, order=1, ready=never))
    with pytest.raises(WorkFailed, match=r"(?s)bad ended at once \(exit 4\).*no such database"):
        await watched.__aenter__()
    assert watched.pids() == {}


async def test_a_part_that_is_never_ready_is_not_waited_for_for_ever(tmp_path):
    watched = supervisor(tmp_path, part("slow", SLEEPS, ready=never, start_within=0.2))
    with pytest.raises(WorkFailed, match="slow was not ready within 0 s"):
        await watched.__aenter__()
    assert watched.pids() == {}


async def test_an_interrupted_start_leaves_nothing_behind(tmp_path):
    watched = supervisor(tmp_path, part("slow", SLEEPS, ready=never, start_within=60))
    starting = asyncio.create_task(watched.__aenter__())
    await until(watched.pids, "a process")
    pid = watched.pids()["slow"]
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not running(pid)


async def test_parts_end_in_the_reverse_of_their_order(tmp_path):
    told = tmp_path / "told"
    names = ("records", "provider", "worker")
    parts = [
        part(name, TELLS, name, told, order=order, ready=once(Path(f"{told}.{name}")))
        for order, name in enumerate(names)
    ]
    async with supervisor(tmp_path, *parts):
        pass
    assert told.read_text().split() == ["worker", "provider", "records"]


async def test_a_part_that_will_not_end_is_killed_with_what_it_started(tmp_path):
    said, told = Said(), tmp_path / "pids"
    async with supervisor(tmp_path, part("hung", STUBBORN, told, ready=once(told)), said=said, grace=0.3):
        pids = [int(pid) for pid in told.read_text().split()]
    assert not any(running(pid) for pid in pids)
    assert said == ["hung did not end in time and is killed"]


async def test_a_second_signal_hurries(tmp_path):
    told = tmp_path / "pids"
    watched = supervisor(tmp_path, part("hung", STUBBORN, told, ready=once(told)), grace=60)
    await watched.__aenter__()
    ending = asyncio.create_task(watched.stop())
    await until(lambda: watched.ending, "the end to begin")
    watched.hurry()
    async with asyncio.timeout(90):
        await ending


async def test_what_a_dead_part_leaves_in_its_group_goes_before_it_is_started_again(tmp_path):
    told = tmp_path / "pids"
    async with supervisor(tmp_path, part("parent", STUBBORN, told, ready=once(told)), grace=0.2) as watched:
        parent, child = (int(pid) for pid in told.read_text().split())
        os.kill(parent, signal.SIGKILL)
        await until(lambda: watched.pids()["parent"] != parent, "a new process")
        assert not running(child)


async def test_the_reaper_is_started_again_when_it_is_killed(tmp_path):
    async with supervisor(tmp_path, part("sleeper", SLEEPS)) as watched:
        first = watched.reaper.pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: watched.reaper.pid != first, "a new reaper")
        assert running(watched.reaper.pid)
    assert not running(watched.reaper.pid or -1)


async def test_a_stopped_reaper_does_not_hold_up_the_end(tmp_path):
    async with supervisor(tmp_path, part("sleeper", SLEEPS)) as watched:
        reaper, (sleeper,) = watched.reaper.pid, watched.pids().values()
        os.kill(reaper, signal.SIGSTOP)
    assert not running(reaper)
    assert not running(sleeper)


SUPERVISED = """
import asyncio, os, pathlib, sys
sys.path.insert(0, sys.argv[1])
from tests.integration.cli import supervised as test

async def main(folder):
    told = folder / "told"
    parts = [
        test.part("records", test.TELLS, "records", told, ready=test.once(folder / "told.records")),
        test.part("worker", test.TELLS, "worker", told, order=1, ready=test.once(folder / "told.worker")),
        test.part("hung", test.STUBBORN, folder / "hung", order=1, ready=test.once(folder / "hung")),
    ]
    async with test.supervisor(folder, *parts, grace=3.0) as watched:
        if sys.argv[3] == "kill the reaper first":
            os.kill(watched.reaper.pid, 9)
            first = watched.reaper.pid
            while watched.reaper.pid == first:
                await asyncio.sleep(0.02)
        hung = (folder / "hung").read_text()
        pids = [*watched.pids().values(), watched.reaper.pid, hung]
        (folder / "pids.new").write_text(" ".join(str(pid) for pid in pids))
        (folder / "pids.new").rename(folder / "pids")
        await asyncio.sleep(60)

asyncio.run(main(pathlib.Path(sys.argv[2])))
"""


@pytest.mark.fault
@pytest.mark.parametrize("before", ["nothing", "kill the reaper first"])
def test_nothing_is_left_when_the_supervisor_itself_is_killed(tmp_path, before):
    supervised = subprocess.Popen([sys.executable, "-c", SUPERVISED, ROOT, tmp_path, before])
    try:
        eventually((tmp_path / "pids").exists, "every part to run")
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert len(pids) == 6  # three parts, the reaper, and the hung one again with its child
        assert all(running(pid) for pid in pids)
    finally:
        supervised.kill()
        supervised.wait()
    eventually(lambda: not any(running(pid) for pid in pids), "every process to end")
    assert (tmp_path / "told").read_text().split() == ["worker", "records"]  # gracefully, and the records last


async def test_of_parts_that_died_together_the_next_one_starts_when_the_one_before_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STARTS_AT_ONCE", 1)
    monkeypatch.setattr(module, "TURN", 90.0)
    well, asked, said = asyncio.Event(), [], Said()
    well.set()

    async def answers():
        asked.append(well.is_set())
        return well.is_set()

    parts = (part("one", SLEEPS, ready=answers), part("two", SLEEPS, ready=answers))
    async with supervisor(tmp_path, *parts, said=said) as watched:
        well.clear()
        kill_all(watched)
        await until(lambda: said.count_of("died") == 2 and asked.count(False) > 10, "one is asked, the other waits")
        assert said.count_of("restarted") == 1
        well.set()
        await until(lambda: said.count_of("restarted") == 2, "the other one")


async def test_one_that_does_not_answer_holds_up_the_others_for_a_while_only(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STARTS_AT_ONCE", 1)
    monkeypatch.setattr(module, "TURN", 0.1)
    well, said = asyncio.Event(), Said()
    well.set()

    async def answers():
        return well.is_set()

    parts = (part("one", SLEEPS, ready=answers), part("two", SLEEPS, ready=answers))
    async with supervisor(tmp_path, *parts, said=said) as watched:
        well.clear()
        kill_all(watched)
        await until(lambda: said.count_of("restarted") == 2, "both")
