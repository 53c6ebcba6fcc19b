"""Checks before writes: a call that lacks an argument is refused by name, and every key of Redis stays as it was."""

from typing import Any

import pytest

from edits.db.sender import SCRIPTS, ScriptRefused
from edits.models import ErrorKind
from tests.integration.edits.core import Core


async def _refused_without(core: Core, script: str, arguments: dict[str, Any], name: str) -> None:
    before = await core.dump()
    with pytest.raises(ScriptRefused, match=f"{script}.*argument {name} is missing"):
        await core.scripts.run(script, **{key: value for key, value in arguments.items() if key != name})
    assert await core.dump() == before


CLAIM: dict[str, Any] = {"nonce": "n", "k": 1, "lease": 1, "chain": "c", "idle": 1}
ASKED: dict[str, Any] = {"id": "edit_2", "like": 1, "input": "{}"}
ALIKE: dict[str, Any] = {"tenant": "t", "livemode": 0, "priority": "bulk", "shift": 0, "units": 1}
CALLS: dict[str, dict[str, Any]] = {
    "accept": {"edits": [ASKED], "alike": [ALIKE], "max_queued": 9},
    "bought": {"attempt": 1, "task": "t", "units": 1, "status": "pending", "due": 0, "how": "answer"},
    "cancel": {},
    "claim_due": CLAIM | {"step": "poll", "wakes": "poll"},
    "claim_submit": CLAIM | {"lookahead": 1, "rate": 1, "max_in_flight": 1},
    "completed": {"address": "a"},
    "evict": {"k": 1, "hot": 0, "later": 0},
    "fail": {"kind": "internal", "message": "m", "retryable": 1, "cost": "charged"},
    "heartbeat": {
        "process": "p", "steps": [], "running": [], "ttl": 1, "grace": 1, "ceilings": {}, "beat": 1, "counts": {},
    },
    "intend": {"address": "a"},
    "known": {"life": 1, "most": 1},
    "link": {"step": "poll", "slot": 0, "number": 1, "grace": 1, "nonce": "n"},
    "lost": {"cause": "c", "due": 0},
    "nudge": {"attempt": 1, "task": "t"},
    "owners": {"tasks": []},
    "rebuy": {"kind": "internal", "shift": 0},
    "recorded": {},
    "release": {"event": "throttled", "wait": "cooldown"},
    "renew": {"step": "submit", "lease": 1},
    "retry": {"shifts": {}},
    "scanned": {"began": 1, "life": 1},
    "snooze": {"due": 0, "nudge": 0},
    "succeed": {"at": 0, "result": {"ext": "png", "bytes": 1, "sha": "a", "w": 1, "h": 1}},
    "tick": {},
    "tokens": {"name": "read", "operation": "read", "ceiling": "reads_per_second", "rate": 1, "lookahead": 1},
    "unknown": {"most": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", [*ASKED, *ALIKE])
async def test_an_edit_that_lacks_a_part_is_refused_with_all_that_came_with_it(core: Core, name: str):
    def lacking(whole: dict[str, Any]) -> dict[str, Any]:
        return {part: value for part, value in whole.items() if part != name}

    before = await core.dump()
    edits, alike = [ASKED | {"id": "edit_1"}, lacking(ASKED)], [ALIKE, lacking(ALIKE)]
    with pytest.raises(ScriptRefused, match=f"accept.*part of an argument is missing: {name}"):
        await core.scripts.run("accept", edits=edits, alike=alike, max_queued=9)
    assert await core.dump() == before


@pytest.mark.parametrize(
    ("edits", "reason"),
    [([ASKED, ASKED | {"like": 2}], "like none that was told: 2"), ([ASKED] * 501, "more than 500 edits")],
    ids=["alike is not there", "too many"],
)
async def test_edits_that_cannot_all_be_taken_at_once_are_refused(core: Core, edits: list[Any], reason: str):
    before = await core.dump()
    with pytest.raises(ScriptRefused, match=reason):
        await core.scripts.run("accept", edits=edits, alike=[ALIKE], max_queued=1000)
    assert await core.dump() == before


FENCED = {"completed", "fail", "intend", "lost", "rebuy", "recorded", "release", "renew", "snooze", "succeed"}
OF_AN_EDIT = FENCED | {"bought", "cancel", "nudge", "retry"}


@pytest.mark.parametrize("script", CALLS)
async def test_a_call_that_lacks_an_argument_is_refused_and_writes_nothing(core: Core, script: str):
    steps = {"completed": core.processing, "snooze": core.processing, "succeed": core.storing, "rebuy": core.storing}
    claim = await steps.get(script, core.submitting)()
    if script == "retry":
        await core.fail(claim, ErrorKind.INTERNAL)
    await core.queued()
    own = {"id": claim.id} if script in OF_AN_EDIT else {}
    own |= {"fence": claim.fence} if script in FENCED else {}
    arguments = own | CALLS[script]
    for name in arguments:
        await _refused_without(core, script, arguments, name)


def test_no_script_that_writes_is_forgotten_here():
    """`gate`, `abandoned` and `purge` ask by their `op`; the others write nothing."""
    asking = {"page", "read", "room", "gate_state"}
    assert set(SCRIPTS) - set(CALLS) == {"gate", "abandoned", "purge", "restored"} | asking


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("gate", {"op": "close", "name": "create", "first": 1000, "most": 60_000}),
        ("gate", {"op": "open", "name": "create"}),
        ("gate", {"op": "block", "message": "no credit"}),
        ("abandoned", {"op": "claim", "nonce": "n", "k": 1, "lease": 1}),
        ("abandoned", {"op": "later", "task": "t", "due": 1}),
        ("abandoned", {"op": "settle", "task": "t", "status": "failed"}),
        ("purge", {"op": "claim", "nonce": "n", "lease": 1}),
        ("purge", {"op": "kept", "ids": ["edit_1"]}),
        ("purge", {"op": "leave", "nonce": "n"}),
    ],
    ids=lambda value: value.get("op") if isinstance(value, dict) else value,
)
async def test_an_operation_that_lacks_an_argument_is_refused(core: Core, script: str, arguments: dict[str, Any]):
    await core.limiter.close("create", after=5)
    for name in arguments.keys() - {"op"}:
        await _refused_without(core, script, arguments, name)
