"""One sentence for every wait and every end of an edit."""

from datetime import datetime, timedelta

from cli.views import Edit

WAITS = {
    "fair_share": "it waits its turn in the queue; each tenant gets a fair share",
    "rate_limit": "the create rate limit is reached (RETOUCH_QUBICO__CREATES_PER_SECOND)",
    "in_flight_cap": "the limit of running tasks is reached (RETOUCH_QUBICO__MAX_IN_FLIGHT)",
    "cooldown": "the provider throttled us or was unreachable; the next try follows after a pause",
    "storage": "the storage is unavailable; it continues when the storage works (see `retouch doctor`)",
    "provider_account": "the provider refuses the key, balance or plan; it continues once the account is fixed",
    "submit": "it is being sent to the provider",
    "answer_lost": "the answer to its create was lost; its task is being looked up, so nothing is bought twice",
    "provider_queue": "the provider has accepted the task and not started it",
    "provider_run": "the provider is working on it",
    "notice": "the provider is done or nearly done; the next read is due",
    "copy": "the picture is being copied into storage",
    "restored": "Redis may have lost its last writes; purchases since then are being looked up, so that"
    " nothing is bought twice",
    "paused": "an operator has paused the work",
}
STATUSES = {
    "queued": "it is in the queue; nothing is bought yet",
    "submitting": "it is being sent to the provider",
    "processing": "the provider is working on it",
    "storing": "the picture is being copied into storage",
}


def sentence(edit: Edit, *, now: datetime) -> str:
    match edit.status:
        case "succeeded":
            return f"{edit.id} succeeded" + (f" after {duration(edit.took)}." if edit.took is not None else ".")
        case "canceled":
            return f"{edit.id} was canceled; nothing was bought for this attempt."
        case "failed" if edit.error:
            again = "a retry may succeed" if edit.error.retryable else "a retry would fail again"
            return f"{edit.id} failed: {edit.error} ({again})."
        case "failed":
            return f"{edit.id} failed: the server gives no reason."
    if edit.waiting_for is None:
        return f"{edit.id} is {edit.status}: {STATUSES.get(edit.status, 'it is in progress')}."
    reason = WAITS.get(edit.waiting_for, f"it waits for {edit.waiting_for.replace('_', ' ')}")
    since = f", for {duration(now - edit.waiting_since)} now" if edit.waiting_since else ""
    return f"{edit.id} is {edit.status}: {reason}{since}."


def duration(span: timedelta) -> str:
    """The largest one or two units that matter to a person."""
    seconds = max(span.total_seconds(), 0.0)
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
