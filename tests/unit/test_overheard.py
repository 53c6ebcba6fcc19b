"""Commands of Redis are attributed to their sender: a script's calls count for the script."""

from benchmarks.idle import CELERY, Overheard
from edits.db.sender import SCRIPTS


def test_what_a_script_calls_is_its_own_and_no_call_of_a_client():
    heard = Overheard()
    for client, command in (
        ("tcp", "MULTI"),
        ("tcp", f'EVALSHA {SCRIPTS["heartbeat"].sha} 1 retouch {{"process": "p"}}'),
        ("lua", "TIME"),
        ("lua", "HGETALL retouch:workers"),
        ("tcp", f"EVALSHA {SCRIPTS['evict'].sha} 1 retouch {{}}"),
        ("lua", "TIME"),
        ("tcp", "EVALSHA 5ecdea626ad8e7f65b2514c179abe629aa40908c 1 retouch:unacked_mutex"),  # not ours
        ("lua", "get retouch:unacked_mutex"),
        ("tcp", "BRPOP retouch:submit 1"),
    ):
        heard.note(client, command)
    assert heard.by == {"heartbeats": 3, "claims and sweeps": 2, CELERY: 4}
    assert heard.calls == 5


def test_a_script_that_no_group_has_is_told_by_its_name():
    heard = Overheard()
    heard.note("tcp", f"EVALSHA {SCRIPTS['cancel'].sha} 1 retouch {{}}")
    assert heard.by == {"cancel": 1}
