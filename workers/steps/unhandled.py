"""An error of our own while a step worked on an edit: put off a few times, then it ends the edit: none hangs."""

from typing import Final

from edits import retry
from edits.db.claims import Claim
from edits.models import CostState, EditError, ErrorKind, Step
from workers.clients import Clients
from workers.lease import Lease
from workers.steps import failure_counts
from workers.steps.failure_counts import Trouble

KINDS: Final = {
    Step.POLL: (ErrorKind.INTERNAL, CostState.CHARGED),
    Step.STORE: (ErrorKind.INTERNAL, CostState.CHARGED),
    Step.ADOPT: (ErrorKind.SUBMISSION_UNKNOWN, CostState.UNKNOWN),  # so that `retry` looks for its task first
}
"""What an edit ends as. Not submit: whether its create left is not known here, so its lease takes it to adopt."""


async def put_off(clients: Clients, step: Step, claim: Claim, lease: Lease) -> None:
    if step not in KINDS:
        return
    delay = retry.BROKEN.delay(failure_counts.so_far(claim, Trouble.BROKEN), clients.jitter)
    if delay is not None:
        after = failure_counts.one_more(claim, Trouble.BROKEN)
        await lease.decide(lambda: clients.outcomes.snooze(claim, delay=delay, tries=after))
        return
    kind, cost = KINDS[step]
    error = EditError(kind=kind, message=f"An error of our own in the step {step}; see the log.", retryable=True)
    await lease.decide(lambda: clients.outcomes.fail(claim, error, cost=cost, abandon=step is Step.POLL))
