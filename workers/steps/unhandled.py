"""An unexpected error in a step: the edit is retried a few times and then fails, so that no edit waits for ever."""

from typing import Final

from edits import retry
from edits.db.claims import Claim
from edits.models import CostState, ErrorKind, Step
from workers.clients import Clients
from workers.lease import Lease
from workers.steps.failure_counts import Trouble
from workers.steps.work import Work

KINDS: Final = {
    Step.POLL: (ErrorKind.INTERNAL, CostState.CHARGED),
    Step.STORE: (ErrorKind.INTERNAL, CostState.CHARGED),
    Step.ADOPT: (ErrorKind.SUBMISSION_UNKNOWN, CostState.UNKNOWN),  # so that `retry` searches for its task first
}
"""What an edit fails as. Not submit: its create may have left, so the end of its lease moves it to adopt."""


async def put_off(clients: Clients, step: Step, claim: Claim, lease: Lease) -> None:
    work = Work(clients, claim, lease)
    if step in KINDS and not await work.retry(Trouble.BROKEN, retry.BROKEN):
        kind, cost = KINDS[step]
        text = f"Internal error in the step {step}; see the log."
        await work.fail(kind, text, cost=cost, retryable=True, abandon=step is Step.POLL)
