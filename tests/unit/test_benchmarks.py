"""What the benchmarks rest on: no schedule gets far below the floor of theory, and every one finds every end."""

import pytest

from benchmarks import growth, pacing, page, simulation
from benchmarks.__main__ import RESULTS
from benchmarks.accepting import answer_in, request
from benchmarks.shapes import SHAPES, STEADY
from benchmarks.used import Running, busiest


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_no_schedule_gets_far_below_the_floor_of_theory(shape):
    tasks = shape.tasks(200, seed=3)
    for make, knobs in pacing.SCHEDULES.values():
        cost = simulation.cost(simulation.run(make(knobs[1]), tasks)[100:])
        assert cost.reads > 0.85 * shape.floor(cost.lag)
        assert cost.lag > 0


def test_the_same_seed_draws_the_same_tasks():
    assert STEADY.tasks(50, seed=9) == STEADY.tasks(50, seed=9) != STEADY.tasks(50, seed=8)


def test_a_short_budget_is_kept_and_costs_lag_evenly():
    plenty, half = (simulation.short_of_reads(share, warm=200, seed=5, seconds=200, rate=3) for share in (2.0, 0.5))
    assert plenty["reads"] < 0.6 * plenty["reads_allowed"]
    assert half["reads"] < 1.000001 * half["reads_allowed"]
    assert plenty["lag"] < half["lag"] < 3 * plenty["lag"]
    assert half["lag_most"] < 1.5 * half["lag_least"]


def test_a_shift_is_followed():
    rows = {row["task"]: row for row in simulation.shift(warm=200, seed=5)}
    assert rows[0]["reads"] > 1.3 * rows[-50]["reads"]  # slower: read too early at first
    assert rows[200]["reads"] < 1.5 * rows[-50]["reads"]


@pytest.mark.parametrize(("lost", "reads"), [(0.0, 1.2), (0.02, 1.2), (1.0, 8.0)])
def test_callbacks_save_reads_unless_they_are_lost(lost, reads):
    row = simulation.called_back(lost, warm=200, tasks=200, seed=5)
    assert 1 <= row["reads"] < reads
    assert (row["lag_p50"] <= 0.05) == (lost < 0.5)


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
    waiting = dict.fromkeys((f"waiting: {step}" for step in growth.STEPS), 3.0)
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
