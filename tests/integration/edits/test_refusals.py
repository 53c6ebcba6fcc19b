"""Checks before writes: a script that refuses leaves every key of Redis exactly as it was."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from edits import errors
from edits.models import ErrorKind
from tests.integration.edits.core import Core, raw

GONE = "edit_01KAPQ0Q5XMM1DZVQJ2M4E6T9C"
RESULT = {"ext": "png", "bytes": 1, "sha": "a" * 64, "w": 1, "h": 1}
SHIFTS = {"interactive": -3_600_000, "standard": 0, "bulk": 3_600_000}

FENCED: dict[str, dict[str, Any]] = {
    "intend": {"address": "https://signed.example/1"},
    "release": {"event": "throttled", "wait": "cooldown"},
    "lost": {"cause": "AnswerLost", "due": 0},
    "snooze": {"due": 1000, "nudge": 0, "tries": 1},
    "completed": {"address": "https://img.theapi.app/1.png", "units": 5},
    "succeed": {"at": 0, "result": RESULT},
    "fail": {"kind": "internal", "message": "why", "retryable": 1, "cost": "charged", "abandon": 1},
    "rebuy": {"kind": "provider_failed", "automatic": 1, "shift": 0},
}
"""Decisions under a fence, with arguments that would do."""

WHERE: dict[str, set[str]] = {
    "intend": {"submitting"},
    "release": {"submitting", "adopting"},
    "lost": {"submitting"},
    "snooze": {"adopting", "processing", "storing"},
    "completed": {"processing"},
    "succeed": {"storing"},
    "fail": {"submitting", "adopting", "processing", "storing"},
    "rebuy": {"processing", "storing"},
}
"""The only states in which each of them counts."""


async def _queued(core: Core) -> str:
    return await core.queued()


async def _failed(core: Core) -> str:
    claim = await core.processing()
    await core.fail(claim, ErrorKind.INTERNAL)
    return claim.id


async def _succeeded(core: Core) -> str:
    claim = await core.storing()
    await core.succeed(claim)
    return claim.id


async def _canceled(core: Core) -> str:
    edit_id = await core.queued()
    await core.repository.cancel(edit_id)
    return edit_id


async def _submitting(core: Core) -> str:
    return (await core.submitting()).id


async def _adopting(core: Core) -> str:
    return (await core.adopting()).id


async def _processing(core: Core) -> str:
    return (await core.processing()).id


async def _storing(core: Core) -> str:
    return (await core.storing()).id


STATES: dict[str, Callable[[Core], Awaitable[str]]] = {
    "queued": _queued,
    "submitting": _submitting,
    "adopting": _adopting,
    "processing": _processing,
    "storing": _storing,
    "succeeded": _succeeded,
    "failed": _failed,
    "canceled": _canceled,
}


async def _refused(core: Core, script: str, answer: object, **arguments: Any) -> None:
    before = await core.dump()
    assert await core.scripts.run(raw(script, many=script == "snooze"), **arguments) == answer
    assert await core.dump() == before


@pytest.mark.parametrize("script", FENCED)
async def test_a_decision_on_a_missing_edit_writes_nothing(core: Core, script: str):
    await core.queued()
    await _refused(core, script, "stale", id=GONE, fence=1, **FENCED[script])


@pytest.mark.parametrize("state", STATES)
async def test_decisions_count_only_where_they_have_a_meaning_and_under_the_present_fence(core: Core, state: str):
    """Each is tried with an old and a coming fence, then with the right one in every state where it has no meaning."""
    edit_id = await STATES[state](core)
    fence = int((await core.record(edit_id))["fe"])
    for script, arguments in FENCED.items():
        for other in (fence - 1, fence + 1):
            await _refused(core, script, "stale", id=edit_id, fence=other, **arguments)
        if state not in WHERE[script]:
            await _refused(core, script, "stale", id=edit_id, fence=fence, **arguments)


@pytest.mark.parametrize(("script", "state"), [(script, state) for script, where in WHERE.items() for state in where])
async def test_decisions_count_once_where_they_have_a_meaning(core: Core, script: str, state: str):
    edit_id = await STATES[state](core)
    arguments = {"id": edit_id, "fence": int((await core.record(edit_id))["fe"])} | FENCED[script]
    called = raw(script, many=script == "snooze")
    assert await core.scripts.run(called, **arguments) == "ok"
    if script in {"intend", "snooze"}:  # these keep the fence: the same words again say the same again
        assert await core.scripts.run(called, **arguments) == "ok"
    else:
        await _refused(core, script, "stale", **arguments)


async def test_asking_for_a_missing_edit_writes_nothing(core: Core):
    await core.queued()
    await _refused(core, "cancel", "missing", id=GONE)
    await _refused(core, "retry", "missing", id=GONE, shifts=SHIFTS)
    await _refused(core, "nudge", "missing", id=GONE, attempt=1, task="task-1")
    await _refused(core, "recorded", "ok", id=GONE, fence=1)
    await _refused(core, "read", [None], ids=[GONE])
    await _refused(core, "abandoned", "ok", op="settle", task="task-gone", status="failed")
    await _refused(core, "abandoned", "ok", op="later", task="task-gone", due=1)
    bought = {"attempt": 1, "task": "task-1", "units": 1, "status": "pending", "due": 0, "how": "answer"}
    await _refused(core, "bought", "missing", id=GONE, **bought)


@pytest.mark.parametrize("state", ["submitting", "adopting", "processing", "storing", "succeeded", "failed"])
async def test_what_is_past_the_queue_cannot_be_canceled(core: Core, state: str):
    edit_id = await STATES[state](core)
    before = await core.dump()
    with pytest.raises(errors.TooLate):
        await core.repository.cancel(edit_id)
    assert await core.dump() == before


@pytest.mark.parametrize("state", [state for state in STATES if state != "failed"])
async def test_only_a_failed_edit_can_be_retried(core: Core, state: str):
    edit_id = await STATES[state](core)
    before = await core.dump()
    ended = state in {"succeeded", "canceled"}
    with pytest.raises(errors.TooLate if ended else errors.NotFinished):
        await core.repository.retry(edit_id)
    assert await core.dump() == before


async def test_an_edit_that_is_not_there_is_not_found(core: Core):
    for ask in (core.repository.cancel, core.repository.retry):
        with pytest.raises(errors.NotFound):
            await ask(GONE)
    assert await core.repository.get(GONE) is None
    assert await core.repository.timeline(GONE) is None
