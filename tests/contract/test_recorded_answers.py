"""Every recorded answer through the real client: what each call makes of it. A file that no row names fails this."""

from datetime import UTC, datetime

import pytest

from qubico import account
from qubico.errors import (
    AccountBlocked,
    AnswerLost,
    Rejected,
    TaskGone,
    Throttled,
    Unavailable,
)
from qubico.schemas import TaskStatus
from tests.contract.wire import ANSWERS, provider, recorded, says

TASK_ID = "5b7a0c1e-52f4-4a0e-9a55-2f0f6c1d7e10"
ADDRESS = "https://img.theapi.app/temp/3f0e9f0c-0a63-4f2a-8a53-2a3d1a7e44aa.png"
JANUARY = datetime(2026, 1, 15, tzinfo=UTC)

DONE = {"status": TaskStatus.COMPLETED, "image_url": ADDRESS, "is_final": True}
RUNNING = {"status": TaskStatus.PROCESSING, "is_final": False}
FAILED = {"status": TaskStatus.FAILED, "is_final": True}

# What a create and a get alike make of an answer that shows a task.
TASKS = {
    "create-accepted": {
        "task_id": TASK_ID, "status": TaskStatus.PENDING, "is_final": False, "quote": 200_000, "charge": None,
        "error_code": None,
        "started_at": None, "ended_at": None, "created_at": datetime(2026, 1, 15, 9, 20, 11, 104593, tzinfo=UTC),
        "webhook_endpoint": "https://hooks.example.com/v1/callbacks/qubico/tok_01J9Z",
    },
    "create-frozen": {"status": TaskStatus.PENDING, "quote": 200_000, "charge": None},
    "create-failed-at-once": FAILED | {"message": "task failed", "quote": None, "charge": None, "error_code": 10000},
    "create-failed-with-500": FAILED | {"message": "task failed", "raw_message": "upstream: no worker"},
    "get-processing-capitalised-offset": RUNNING | {
        "raw_status": "Processing", "logs": (), "created_at": datetime(2026, 1, 15, 9, 20, 11, 104593, tzinfo=UTC),
        "started_at": datetime(2026, 1, 15, 9, 20, 12, 330021, tzinfo=UTC), "ended_at": None,
    },
    "get-completed": DONE | {
        "image_base64": None, "message": "", "moderated": False, "webhook_endpoint": None, "webhook_secret": None,
        "started_at": datetime(2026, 1, 15, 9, 20, 12, 330021, tzinfo=UTC),
        "ended_at": datetime(2026, 1, 15, 9, 21, 20, 751040, tzinfo=UTC),
    },
    "get-completed-echoed": DONE | {"quote": 200_000, "charge": 200_000},
    "get-completed-charged-less": DONE | {"charge": 150_000},
    "get-completed-uncharged": DONE | {"quote": 200_000, "charge": 200_000},
    "get-frozen-processing": RUNNING | {"quote": 200_000, "charge": None},
    "get-failed": FAILED | {
        "message": "task failed", "raw_message": "worker: failed to fetch image", "moderated": False,
        "logs": ("download input image: unexpected status 403",), "charge": None, "error_code": 10000,
    },
    "get-failed-with-500": FAILED | {"raw_message": "worker: failed to fetch image"},
    "get-failed-cause-in-logs": FAILED | {"message": "CUDA out of memory", "logs": ("queued", "CUDA out of memory")},
    "get-failed-error-as-text": FAILED | {"message": "task timeout", "error_code": None},
    "get-failed-no-credit": FAILED | {"out_of_credit": True, "moderated": False},
    "get-moderated": FAILED | {"moderated": True, "raw_message": "Banned Prompt: nude", "out_of_credit": False},
    "get-moderated-in-logs": FAILED | {"moderated": True},
    "get-pending-zero-times": {"status": TaskStatus.PENDING, "started_at": None, "ended_at": None, "logs": ()},
    "get-processing-not-started": RUNNING | {"started_at": None},
    "get-staged": {"status": TaskStatus.STAGED, "is_final": False},
    "get-status-empty": {"status": TaskStatus.UNKNOWN, "raw_status": "", "is_final": False, "created_at": None},
    "get-status-unheard-of": {"status": TaskStatus.UNKNOWN, "raw_status": "warming-up", "is_final": False},
    "get-status-starting": RUNNING,
    "get-status-retry": RUNNING,
    "get-status-running": RUNNING,
    "get-status-in-progress": RUNNING,
    "get-status-success": DONE,
    "get-status-cancelled": FAILED,
    "get-code-zero": DONE,
    "get-code-absent": DONE,
    "get-shape-of-a-callback": DONE,
    "get-without-envelope": DONE,
    "get-completed-error-code-1100": DONE | {"error_code": 1100, "message": ""},
    "get-completed-image-urls": DONE,
    "get-completed-base64": {"status": TaskStatus.COMPLETED, "image_url": None, "image_base64": "iVBORw0KGgo="},
    "get-completed-no-address": {"status": TaskStatus.COMPLETED, "image_url": None, "image_base64": None},
    "get-completed-output-null": {"status": TaskStatus.COMPLETED, "image_url": None, "image_base64": None},
    "get-config-stripped": RUNNING | {"webhook_endpoint": None, "webhook_secret": None},
    "get-config-blanked": RUNNING | {"webhook_endpoint": None, "webhook_secret": None},
    "callback-completed": DONE,
    "callback-flat": RUNNING | {"webhook_endpoint": "https://hooks.example.com/v1/callbacks/qubico/tok_01J9Z"},
}  # fmt: skip

# What a create, and what a get, ends with when there is no task in the answer.
REFUSALS = {
    "refused-400-task-type": (Rejected, Rejected),
    "refused-400-model": (Rejected, Rejected),
    "refused-400-json-types": (Rejected, Rejected),
    "refused-400-too-large": (Rejected, Rejected),
    "refused-400-banned-prompt": (Rejected, Rejected),
    "refused-400-inside-200": (Rejected, Rejected),
    "refused-422": (Rejected, Rejected),
    "refused-403-plan": (Rejected, AccountBlocked),
    "refused-403-model": (Rejected, AccountBlocked),
    "blocked-401": (AccountBlocked, AccountBlocked),
    "blocked-401-inside-200": (AccountBlocked, AccountBlocked),
    "blocked-402": (AccountBlocked, AccountBlocked),
    "blocked-credit-400": (AccountBlocked, AccountBlocked),
    "blocked-credit-500": (AccountBlocked, AccountBlocked),
    "blocked-credit-200": (AccountBlocked, AccountBlocked),
    "blocked-credit-in-error": (AccountBlocked, AccountBlocked),
    "blocked-403-suspended": (AccountBlocked, AccountBlocked),
    "throttled-429": (Throttled, Throttled),
    "throttled-429-seconds": (Throttled, Throttled),
    "throttled-429-date": (Throttled, Throttled),
    "throttled-429-html": (Throttled, Throttled),
    "throttled-429-inside-200": (Throttled, Throttled),
    "gone-404": (Rejected, TaskGone),
    "gone-404-inside-200": (Rejected, TaskGone),
    "garbage-404-no-route": (AnswerLost, Unavailable),
    "garbage-403-cloudflare-1010": (AnswerLost, Unavailable),
    "garbage-522-html": (AnswerLost, Unavailable),
    "garbage-502-html": (AnswerLost, Unavailable),
    "garbage-200-html": (AnswerLost, Unavailable),
    "garbage-200-empty": (AnswerLost, Unavailable),
    "garbage-200-null": (AnswerLost, Unavailable),
    "garbage-200-list": (AnswerLost, Unavailable),
    "garbage-200-no-task": (AnswerLost, Unavailable),
    "garbage-200-data-null": (AnswerLost, Unavailable),
    "garbage-500-json": (AnswerLost, Unavailable),
    "garbage-302-elsewhere": (AnswerLost, Unavailable),
}

OF_THE_ACCOUNT = {
    "account", "account-top-level", "active-tasks", "history", "history-empty-null", "history-total-contradicts",
    "get-task-of-another",
}  # fmt: skip


def test_every_recorded_answer_is_in_a_table():
    assert {path.stem for path in ANSWERS.glob("*.http")} == TASKS.keys() | REFUSALS.keys() | OF_THE_ACCOUNT


@pytest.mark.parametrize("call", ["create", "get"])
@pytest.mark.parametrize("name", TASKS)
async def test_an_answer_that_shows_a_task_is_read(name, call, client_of, request_to_buy):
    async with provider(says(recorded(name))) as qubico, client_of(qubico.base_url) as client:
        task = await (client.create(request_to_buy) if call == "create" else client.get(TASK_ID))
    assert {key: getattr(task, key) for key in TASKS[name]} == TASKS[name]


@pytest.mark.parametrize("name", REFUSALS)
async def test_an_answer_without_a_task_is_one_decision(name, client_of, request_to_buy):
    of_create, of_get = REFUSALS[name]
    async with provider(says(recorded(name))) as qubico, client_of(qubico.base_url) as client:
        with pytest.raises(of_create) as created:
            await client.create(request_to_buy)
        with pytest.raises(of_get) as read:
            await client.get(TASK_ID)
    assert (created.type, read.type) == (of_create, of_get)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("throttled-429", None), ("throttled-429-seconds", 12.0), ("throttled-429-date", 30.0)],
)
async def test_throttled_says_when_to_come_back(name, seconds, client_of, request_to_buy):
    async with provider(says(recorded(name))) as qubico, client_of(qubico.base_url) as client:
        with pytest.raises(Throttled) as refused:
            await client.create(request_to_buy)
    assert refused.value.retry_after == seconds


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("refused-400-task-type", ("invalid task type", 400, False)),
        ("refused-403-plan", ("Insufficient plan level", 403, False)),
        ("refused-400-banned-prompt", ("invalid request", 10003, True)),
    ],
)
async def test_rejected_says_what_the_provider_said(name, said, client_of, request_to_buy):
    async with provider(says(recorded(name))) as qubico, client_of(qubico.base_url) as client:
        with pytest.raises(Rejected) as refused:
            await client.create(request_to_buy)
    assert (str(refused.value), refused.value.provider_code, refused.value.moderated) == said


async def test_account_blocked_gives_the_reason(client_of, request_to_buy):
    async with provider(says(recorded("blocked-credit-in-error"))) as qubico, client_of(qubico.base_url) as client:
        with pytest.raises(AccountBlocked) as refused:
            await client.create(request_to_buy)
    assert str(refused.value) == "insufficient credits"


async def test_a_get_does_not_believe_an_answer_about_another_task(client_of):
    async with provider(says(recorded("get-task-of-another"))) as qubico, client_of(qubico.base_url) as client:
        with pytest.raises(Unavailable, match="received"):
            await client.get(TASK_ID)


async def test_the_echoed_secret_is_read_and_not_shown(client_of):
    async with provider(says(recorded("get-completed-echoed"))) as qubico, client_of(qubico.base_url) as client:
        task = await client.get(TASK_ID)
    assert task.webhook_secret is not None
    assert task.webhook_secret.get_secret_value() == "s3cr3t-echoed"
    for private in ("s3cr3t", "tok_01J9Z", "stormy", "img.theapi.app", "files.example.com"):
        assert private not in f"{task!r} {task}"


@pytest.mark.parametrize(
    ("name", "plan", "tasks_at_once"), [("account", "creator", 20), ("account-top-level", None, None)]
)
async def test_the_account_is_read_in_both_shapes(name, plan, tasks_at_once, client_of):
    async with provider(says(recorded(name))) as qubico, client_of(qubico.base_url) as client:
        read = await client.account()
    assert isinstance(read, account.Account)
    assert (read.account_id, read.name, str(read.balance_usd)) == ("0f0e", "studio", "12.34")
    assert (read.plan, read.max_concurrent) == (plan, tasks_at_once)


async def test_history_is_asked_by_page_window_and_family(client_of):
    async with provider(says(recorded("history"))) as qubico, client_of(qubico.base_url) as client:
        page = await client.history(start=JANUARY.replace(microsecond=5), end=JANUARY.replace(microsecond=5), page=1)
    seconds = int(JANUARY.timestamp())
    assert qubico.requests[0].target == (
        f"/api/open/tasks/histories?page=1&page_size=100&model=flux&start_time={seconds}&end_time={seconds + 1}"
    )
    assert [row.task_id[:8] for row in page.rows] == ["5b7a0c1e", "00000000"]
    assert [row.status for row in page.rows] == [TaskStatus.COMPLETED, TaskStatus.PROCESSING]
    assert (page.total, page.unreadable) == (2, 0)
    assert page.rows[0].created_at == datetime(2026, 1, 15, 9, 20, 11, 104593, tzinfo=UTC)


async def test_an_empty_page_of_history_may_be_written_as_null(client_of):
    async with provider(says(recorded("history-empty-null"))) as qubico, client_of(qubico.base_url) as client:
        page = await client.history(start=JANUARY, page=1)
    assert page.rows == ()
    assert "end_time" not in qubico.requests[0].target


@pytest.mark.parametrize("name", ["history-total-contradicts", "garbage-200-data-null", "garbage-200-empty", "account"])
async def test_a_page_of_history_that_is_not_one_is_no_proof_of_absence(name, client_of):
    async with provider(says(recorded(name))) as qubico, client_of(qubico.base_url) as client:
        with pytest.raises(Unavailable):
            await client.history(start=JANUARY, page=1)


@pytest.mark.parametrize("name", ["garbage-200-data-null", "garbage-200-html", "garbage-404-no-route", "gone-404"])
async def test_an_account_that_is_not_one_is_unavailable(name, client_of):
    async with provider(says(recorded(name))) as qubico, client_of(qubico.base_url) as client:
        with pytest.raises(Unavailable):
            await client.account()


async def test_the_account_of_a_bad_key_is_blocked(client_of):
    async with provider(says(recorded("blocked-401"))) as qubico, client_of(qubico.base_url) as client:
        with pytest.raises(AccountBlocked, match="failed to verify api key"):
            await client.account()
