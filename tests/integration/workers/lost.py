"""Edits whose create has no answer, and the searches for their tasks."""

from edits.models import Edit, EditStatus, ErrorKind, Step
from qubico.schemas import KontextRequest
from tests.integration.workers.rounds import IMAGE, Rounds

PATIENCE = 61.0
"""Seconds: just over the quiet period."""


async def lost(rounds: Rounds, fault: str = "drop", prompt: str = "make the sky stormy", **asked: object) -> str:
    """An edit whose create had no response: `drop` buys a task, `drop_before` does not."""
    rounds.sandbox.options(next_faults={fault: 1})
    edit_id = await rounds.accept(prompt, **asked)
    await rounds.run(Step.SUBMIT)
    assert (await rounds.place(edit_id)).name == "adopt"
    return edit_id


async def looked(rounds: Rounds, edit_id: str) -> float:
    """Runs adopt when the edit is due; returns the seconds to its next due time."""
    await rounds.wait(max(0.0, (await rounds.place(edit_id)).due) + 0.01)
    assert edit_id in await rounds.run(Step.ADOPT)
    place = await rounds.place(edit_id)
    return place.due if place.name == "adopt" else 0.0


async def bought(rounds: Rounds, prompt: str = "another", **asked: object) -> str:
    """Another edit, with its task."""
    edit_id = await rounds.accept(prompt, **asked)
    await rounds.run(Step.SUBMIT)
    assert (await rounds.edit(edit_id)).task_id
    return edit_id


async def witness(rounds: Rounds) -> str:
    """Another edit, submitted well after the one searched for."""
    await rounds.wait(30)
    return await bought(rounds, "a witness")


async def ended_unknown(rounds: Rounds, edit_id: str) -> Edit:
    """The edit, ended as `submission_unknown`."""
    edit = await rounds.finish(edit_id)
    assert edit.error is not None, edit.status
    assert edit.error.kind is ErrorKind.SUBMISSION_UNKNOWN
    return edit


async def unknown(rounds: Rounds, fault: str) -> str:
    """An edit that ended with submission_unknown, because the history was late."""
    if fault == "drop":
        rounds.sandbox.options(history_lag=1000)
    edit_id = await lost(rounds, fault)
    await ended_unknown(rounds, edit_id)
    rounds.sandbox.options(history_lag=0)
    return edit_id


async def adopted(rounds: Rounds, edit_id: str) -> str:
    """The task that the edit has adopted."""
    edit = await rounds.edit(edit_id)
    assert edit.status is EditStatus.PROCESSING
    return str(edit.task_id)


async def somebody_else_buys(rounds: Rounds, **asked: object) -> str:
    """A task of another user of the account, without a callback; by default of an input like our own edits have."""
    given = {"prompt": "make the sky stormy", "image": IMAGE, "seed": 7, "width": 256, "height": 192, "steps": 28}
    return (await rounds.clients.qubico.create(KontextRequest.model_validate(given | asked))).task_id
