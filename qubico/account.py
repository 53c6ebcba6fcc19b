"""What the provider tells about the account: balance, counters, list of tasks. Tolerant in, as `schemas`."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from qubico import reading
from qubico.errors import Unreadable
from qubico.status import TaskStatus


class HistoryRow(BaseModel):
    """A task in the provider's own list: no prompt, input or webhook, so read the task before believing it is ours."""

    model_config = ConfigDict(frozen=True)

    task_id: str
    status: TaskStatus
    raw_status: str = ""
    model: str = ""
    consume: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class HistoryPage(BaseModel):
    model_config = ConfigDict(frozen=True)

    rows: tuple[HistoryRow, ...]
    page: int
    size: int
    total: int | None = None
    unreadable: int = 0  # rows without a task id: a scan with such a row has not seen everything

    @property
    def is_last(self) -> bool:
        """By the page's own total; where there is none or it does not add up, only a short or an empty page ends it."""
        shown = len(self.rows) + self.unreadable
        if not shown:
            return True
        return shown < self.size if self.total is None else (self.page - 1) * self.size + shown == self.total


class Account(BaseModel):
    model_config = ConfigDict(frozen=True)

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


def parse_active_tasks(payload: object) -> dict[str, dict[str, int]]:
    """Counters by provider family (`flux`, `kling`, …); other values than numbers are left out."""
    envelope = reading.mapping(payload)
    families = reading.mapping(envelope.get("data")) or envelope
    return {
        str(family): {
            str(name): count for name, value in counters.items() if (count := reading.whole(value)) is not None
        }
        for family, counters in families.items()
        if isinstance(counters, dict)
    }


def parse_history(payload: object, *, page: int, page_size: int) -> HistoryPage:
    """Nothing is guessed: a scan that proves a task absent rests on these pages being whole."""
    outer = reading.mapping(payload).get("data")
    inner = reading.mapping(outer)
    rows = outer if isinstance(outer, list) else inner.get("data", outer)
    if rows is None and "data" in inner:
        rows = []  # an empty list of the provider's server is written as null
    if not isinstance(rows, list):
        raise Unreadable("no page of history in it: expected data.data to be a list")
    read = [row for item in rows if (row := _row(item)) is not None]
    total = reading.whole(inner.get("total"))
    size = reading.whole(inner.get("size")) or page_size
    if total is not None and not rows and total > (page - 1) * size:
        raise Unreadable(f"page {page} of history is empty, and its total says {total}")
    return HistoryPage(rows=tuple(read), page=page, size=size, total=total, unreadable=len(rows) - len(read))


def _row(item: Any) -> HistoryRow | None:
    row = reading.mapping(item)
    task_id = reading.identifier(row.get("task_id")) or reading.identifier(
        reading.mapping(row.get("detail")).get("task_id")
    )
    if not task_id:
        return None
    raw_status = reading.text(row.get("status"))
    return HistoryRow(
        task_id=task_id,
        status=TaskStatus.read(raw_status),
        raw_status=raw_status,
        model=reading.text(row.get("task_model")),
        consume=reading.whole(row.get("usage")),
        created_at=reading.moment(row.get("created_at")),
        updated_at=reading.moment(row.get("updated_at")),
    )
