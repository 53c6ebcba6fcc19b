"""What the provider tells about the account: balance and list of tasks. Tolerant in, as `schemas`."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from qubico import reading
from qubico.errors import Unreadable
from qubico.status import TaskStatus

LARGEST_PAGE: Final = 100


class HistoryRow(NamedTuple):
    """A task in the provider's own list: no prompt, input or webhook, so read the task before believing it is ours."""

    task_id: str
    status: TaskStatus
    created_at: datetime | None


class HistoryPage(NamedTuple):
    rows: tuple[HistoryRow, ...]
    total: int | None
    unreadable: int  # rows without a task id: a scan with such a row has not seen everything


class Account(NamedTuple):
    account_id: str | None = None
    name: str | None = None
    plan: str | None = None
    is_enabled: bool | None = None
    balance_usd: Decimal | None = None
    max_concurrent: int | None = None


def parse_account(payload: object) -> Account:
    """Under `data` or at the top level; prose and observed objects disagree on the names of name and id."""
    envelope = reading.mapping(payload)
    data = reading.mapping(envelope.get("data")) or envelope
    enabled = data.get("is_enable")
    account = Account(
        account_id=reading.identifier(data.get("id")) or reading.identifier(data.get("account_id")) or None,
        name=reading.text(data.get("name")) or reading.text(data.get("account_name")) or None,
        plan=reading.text(data.get("plan")) or None,
        is_enabled=enabled if isinstance(enabled, bool) else None,
        balance_usd=reading.dollars(data.get("equivalent_in_usd")),
        max_concurrent=reading.whole(data.get("max_concurrent_task_count")),
    )
    if account == Account():
        raise Unreadable("no account in it: expected equivalent_in_usd, plan, name or id")
    return account


def parse_history(payload: object, *, page: int) -> HistoryPage:
    """Nothing is guessed: a scan that proves a task absent rests on these pages being whole."""
    outer = reading.mapping(payload).get("data")
    inner = reading.mapping(outer)
    rows = outer if isinstance(outer, list) else inner.get("data", outer)
    if rows is None and "data" in inner:
        rows = []  # an empty list of the provider's server is written as null
    if not isinstance(rows, list):
        raise Unreadable("no page of history in it: expected data.data to be a list")
    read = tuple(row for item in rows if (row := _row(item)) is not None)
    total = reading.whole(inner.get("total"))
    size = reading.whole(inner.get("size")) or LARGEST_PAGE
    if total is not None and not rows and total > (page - 1) * size:
        raise Unreadable(f"page {page} of history is empty, and its total says {total}")
    return HistoryPage(read, total, unreadable=len(rows) - len(read))


def _row(item: Any) -> HistoryRow | None:
    row = reading.mapping(item)
    detail = reading.mapping(row.get("detail"))
    task_id = reading.identifier(row.get("task_id")) or reading.identifier(detail.get("task_id"))
    if not task_id:
        return None
    return HistoryRow(task_id, TaskStatus.read(reading.text(row.get("status"))), reading.moment(row.get("created_at")))
