"""Why an edit is where it is, in a sentence: one for every wait and every end."""

from datetime import datetime, timedelta

from cli.views import Edit

WAITS = {
    "fair_share": "others are ahead of it in the queue, and every tenant gets a fair share",
    "rate_limit": "the creates a second that the provider allows are used up (RETOUCH_QUBICO__CREATES_PER_SECOND)",
    "in_flight_cap": "the provider already works on as many tasks as it may (RETOUCH_QUBICO__MAX_IN_FLIGHT)",
    "cooldown": "the provider throttled us or could not be reached, and is left alone for a moment",
    "storage": "our own storage cannot be used, and what it should keep waits until it can (`retouch doctor` says why)",
    "provider_account": "the provider refuses our key, balance or plan: it goes on once an operator has seen to that",
    "submit": "it is being sent to the provider",
    "answer_lost": "the answer to its create was lost: its task is looked for, and nothing is bought twice",
    "provider_queue": "the provider has taken it and has not started yet",
    "provider_run": "the provider is working on it",
    "notice": "the provider is done or nearly so, and we are about to look",
    "copy": "the picture is being copied into storage",
    "restored": "Redis may have lost what was written last: what was bought since is looked for, so that nothing is"
    " bought twice",
    "paused": "an operator has paused the work",
}
STATUSES = {
    "queued": "it waits in our queue; nothing is bought yet",
    "submitting": "it is being sent to the provider",
    "processing": "the provider is working on it",
    "storing": "the picture is being copied into storage",
}


def sentence(edit: Edit, *, now: datetime) -> str:
    match edit.status:
        case "succeeded":
            return f"{edit.id} succeeded {_took(edit)}; it waits for nothing."
        case "canceled":
            return f"{edit.id} was canceled; nothing was bought for this attempt."
        case "failed":
            return f"{edit.id} failed: {_why(edit)}"
    if edit.waiting is None:
        return f"{edit.id} is {edit.status}: {STATUSES.get(edit.status, 'it is on its way')}."
    reason = WAITS.get(edit.waiting.name, f"it waits for {edit.waiting.name.replace('_', ' ')}")
    since = f", for {duration(now - edit.waiting.since)} now" if edit.waiting.since else ""
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


def _took(edit: Edit) -> str:
    return f"after {duration(edit.finished_at - edit.created_at)}" if edit.finished_at else ""


def _why(edit: Edit) -> str:
    if edit.error is None:
        return "the server does not say why."
    again = "worth trying again" if edit.error.retryable else "the same again would fail too"
    return f"{edit.error.kind}: {edit.error.message} ({again})."
