"""A part's log: bounded, and read on for what matters."""

import json

from cli.local.logs import ServiceLog


def line(level, event, **more):
    return (json.dumps({"ts": "t", "level": level, "event": event, **more}) + "\n").encode()


def test_news_are_the_warnings_and_errors_since_the_last_look(tmp_path):
    path = tmp_path / "api.log"
    path.write_bytes(line("error", "of.an.earlier.run"))
    log = ServiceLog(path)
    with log.open() as file:
        file.write(line("info", "fine") + line("warning", "redis.away", error="Timeout") + b"plain words\n")
    assert log.news() == ["warning: redis.away error=Timeout"]
    assert log.news() == []


def test_a_line_that_is_half_written_is_told_when_it_is_whole(tmp_path):
    log = ServiceLog(tmp_path / "api.log")
    whole = line("error", "step.failed", edit_id="edit_1", step="poll")
    with log.open() as file:
        file.write(whole[:20])
        file.flush()
        assert log.news() == []
        file.write(whole[20:])
    assert log.news() == ["error: step.failed edit_id=edit_1 step=poll"]


def test_a_log_over_its_limit_moves_aside_and_its_writer_goes_on(tmp_path):
    log = ServiceLog(tmp_path / "api.log", limit=100)
    with log.open() as file:
        file.write(b"x" * 200 + b"\n")
        file.flush()
        log.bound()
        file.write(line("error", "after"))
    assert (tmp_path / "api.log.1").stat().st_size == 201
    assert log.news() == ["error: after"]
    assert log.tail(5) == [line("error", "after").decode().rstrip()]


def test_a_log_that_is_not_there_has_nothing_to_tell(tmp_path):
    log = ServiceLog(tmp_path / "api.log")
    log.bound()
    assert log.tail() == log.news() == []
