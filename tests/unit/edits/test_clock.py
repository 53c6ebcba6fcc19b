"""What one process makes of its looks at the clock of Redis."""

from edits.db.clock import EVERY, Watch

SEEN = 1_000_000_000  # ms


def test_a_look_during_which_the_process_stood_still_is_not_held_against_the_clock():
    watch = Watch()
    watch.told(SEEN, 0, 0, sent=10.0, received=10.0)
    watch.told(SEEN + 1000, 0, 0, sent=11.0, received=71.0)  # frozen between question and answer
    assert watch.told(SEEN + 62_000, 0, SEEN + 1000, sent=72.0, received=72.0)
    assert watch.verdict == {"seen": SEEN + 1000, "raw": SEEN + 62_000, "jump": 0}


def test_a_jump_is_told_by_the_last_look_that_was_sure():
    watch = Watch()
    watch.told(SEEN, 0, 0, sent=10.0, received=10.0)
    watch.told(SEEN + EVERY * 1000, 0, 0, sent=11.0, received=31.0)
    assert watch.told(SEEN + 100_000, 0, SEEN + 1000, sent=32.0, received=32.0)
    assert watch.verdict is not None
    assert watch.verdict["jump"] == 78_000
