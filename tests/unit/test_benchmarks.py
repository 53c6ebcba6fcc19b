"""What the benchmarks rest on: the floor is a floor, and every schedule finds every end."""

import pytest

from benchmarks import growth, instructions, pacing, page, steady
from benchmarks.__main__ import RESULTS
from benchmarks.load import answer_in, request
from benchmarks.shapes import SHAPES, STEADY
from benchmarks.used import Running, busiest


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_no_schedule_gets_below_the_floor(shape):
    tasks = shape.tasks(200, seed=3)
    for make, knobs in pacing.SCHEDULES.values():
        cost = pacing.cost(pacing.run(make(knobs[1]), tasks)[100:])
        assert cost.reads > 0.85 * shape.floor(cost.lag)
        assert cost.lag > 0


def test_the_same_seed_draws_the_same_tasks():
    assert STEADY.tasks(50, seed=9) == STEADY.tasks(50, seed=9) != STEADY.tasks(50, seed=8)


def test_a_short_budget_costs_some_lag_and_no_more():
    plenty, half = (pacing.short_of_reads(share, seconds=60) for share in (2.0, 0.5))
    assert half["reads"] < 0.8 * plenty["reads"]
    assert plenty["lag"] < half["lag"] < 5 * plenty["lag"]


def test_an_answer_is_read_once_it_is_whole():
    answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello"
    assert answer_in(answer) == (202, b"hello")
    assert [answer_in(answer[:cut]) for cut in range(len(answer))] == [None] * len(answer)


def test_a_request_tells_its_length():
    sent = request("POST", "/v1/edits", host="127.0.0.1:1", key="k", body=b"{}")
    assert sent.endswith(b"Content-Length: 2\r\n\r\n{}")


@pytest.mark.parametrize(
    ("used", "named"),
    [
        pytest.param({"redis": 0.95, "machine": 1.0}, "the machine: all its cores", id="the cause goes first"),
        pytest.param({"redis": 0.95, "workers": 0.6}, "Redis: its core", id="Redis"),
        pytest.param({"workers": 0.95, "permits: poll": 1.0}, "the workers: a core each", id="the workers"),
        pytest.param({"permits: store": 0.91}, "permits to store, each held for 40 ms", id="permits"),
        pytest.param({"waiting: store": 300.0}, "claims to store: 300 edits wait, 10% of the permits", id="a crowd"),
        pytest.param({"disk": 0.5}, "nothing is used up; most: Redis: its disk, 50%", id="nothing"),
        pytest.param({"machine": 1, "others": 0.4}, "the machine: all its cores (40% by programs", id="a busy machine"),
    ],
)
def test_what_binds_first_is_what_is_used_up(used, named):
    waiting = dict.fromkeys((f"waiting: {step}" for step in steady.STEPS), 3.0)
    figures = dict.fromkeys([*growth.ORDER, "others"], 0.1) | waiting | {"processes": 2, "held_ms: store": 40.0} | used
    assert growth.binds(figures).startswith(named)


def test_the_busiest_thread_is_the_one_that_ran_in_between():
    before = {"main": Running(9.0, 1.0), "loop": Running(2.0, 0.5)}
    after = {"main": Running(9.1, 1.0), "loop": Running(4.0, 1.5), "new": Running(0.3, 0.0)}
    assert busiest(before, after) == Running(2.0, 1.0)


def test_the_page_and_readme_say_what_is_kept(tmp_path):
    written, readme = tmp_path / "performance.md", tmp_path / "README.md"
    written.write_text(page.PAGE.read_text())
    readme.write_text(page.README.read_text())
    page.write(RESULTS, page=written, readme=readme)
    assert written.read_text() == page.PAGE.read_text(), "python -m benchmarks --tables writes it anew"
    assert readme.read_text() == page.README.read_text(), "python -m benchmarks --tables writes it anew"


def test_the_page_shows_what_is_kept_however_often_it_is_written(tmp_path):
    written, readme = tmp_path / "performance.md", tmp_path / "README.md"
    written.write_text(
        "a\n<!-- tables of pacing -->\nold\n<!-- end -->\nb\n<!-- the other questions -->\n<!-- end -->\n"
    )
    readme.write_text("<!-- measured -->\nold\n<!-- end -->\n")
    page.write(RESULTS, page=written, readme=readme)
    first = written.read_text(), readme.read_text()
    assert "| with callbacks: reads" in first[0]
    assert "\nold\n" not in "".join(first)
    page.write(RESULTS, page=written, readme=readme)
    assert (written.read_text(), readme.read_text()) == first


@pytest.mark.parametrize("counted", [True, False], ids=["with valgrind", "without"])
def test_without_valgrind_the_time_of_a_step_is_told_alone(counted):
    many = {"accept": 100.0, "snooze": 130.0}
    counts = {1_000: {"accept": 400.0, "snooze": 300.0}, 100_000: {"accept": 404.0, "snooze": 390.0}}
    steps = instructions.told(counts if counted else {}, {"accept": 100.0, "snooze": 100.0}, many)
    goals = instructions.goals(steps)
    assert [row["times as long"] for row in steps] == [1.0, 1.3]
    assert [row.get("times") for row in steps] == ([1.01, 1.3] if counted else [None, None])
    met = [goal["met"] for goal in goals]
    assert met == (["NO", "yes"] if counted else ["yes"])
    assert ("snooze" in goals[0]["goal"]) is counted
