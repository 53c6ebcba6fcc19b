"""One page of a tenant's edits, newest first, by filters; and where the next page begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ulid import ULID

from edits.db.repository import EditRepository
from edits.models import Edit, EditStatus, to_ms

CHUNK = 200
SCANNED_AT_MOST = 2000
"""Records read for one page. If few edits match, pages may be short or empty and still have a next one."""

CLOCKS_APART_MS = 300_000
"""An id holds the clock of the API process, `created_at` that of Redis. They may differ by this much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    statuses: frozenset[EditStatus] = frozenset()
    created_after: datetime | None = None
    created_before: datetime | None = None
    external_id: str | None = None
    ids: frozenset[str] = frozenset()
    """As they are stored (`models.read_id`)."""

    def match(self, edit: Edit) -> bool:
        return (
            (not self.statuses or edit.status in self.statuses)
            and (self.created_after is None or edit.created_at > self.created_after)
            and (self.created_before is None or edit.created_at < self.created_before)
            and (self.external_id is None or edit.external_id == self.external_id)
        )

    def describe(self) -> list[object]:
        """The filters as JSON, to tell a cursor of another list."""
        times = [None if moment is None else to_ms(moment) for moment in (self.created_after, self.created_before)]
        return [sorted(self.statuses), *times, self.external_id, sorted(self.ids)]


@dataclass(frozen=True, slots=True)
class Page:
    edits: tuple[Edit, ...]
    next_before: str | None
    """The next page holds edits older than this id. None: this is the last page."""


class _Candidates:
    """Ids that may be on the page, newest first, in chunks."""

    def __init__(self, repository: EditRepository, tenant: str, filters: Filters, before: str | None) -> None:
        self._repository = repository
        self._tenant = tenant
        self._filters = filters
        self._mark = _earlier(before, _bound(filters.created_before, sooner=False))
        self._oldest = _bound(filters.created_after, sooner=True)
        self._listed: list[str] | None = None

    async def next(self, size: int) -> Sequence[str]:
        if self._filters.ids or self._filters.external_id is not None:
            ids = (await self._from_list())[:size]
        else:
            ids = await self._repository.newest(self._tenant, before=self._mark, limit=size)
        self._mark = ids[-1] if ids else self._mark
        return [id_ for id_ in ids if self._oldest is None or id_ >= self._oldest]

    async def _from_list(self) -> list[str]:
        if self._listed is None:
            if self._filters.ids:
                self._listed = sorted(self._filters.ids, reverse=True)
            else:
                self._listed = await self._repository.by_external_id(self._tenant, self._filters.external_id or "")
        mark = self._mark
        return [id_ for id_ in self._listed if mark is None or id_ < mark]


async def page(
    repository: EditRepository, tenant: str, filters: Filters, *, before: str | None = None, limit: int
) -> Page:
    """Up to `limit` edits of `tenant`, older than the id `before`. Raises Unavailable."""
    candidates = _Candidates(repository, tenant, filters, before)
    size = limit + 1 if filters == Filters() else CHUNK
    found: list[Edit] = []
    scanned, last = 0, None
    while len(found) <= limit:
        ids = await candidates.next(size)
        edits = await repository.get_many(ids)
        found += [edit for edit in edits if edit.tenant == tenant and filters.match(edit)]
        if len(ids) < size:
            last = None
            break
        scanned, last = scanned + len(ids), ids[-1]
        if scanned >= SCANNED_AT_MOST:
            break
    if len(found) > limit:
        return Page(tuple(found[:limit]), found[limit - 1].id)
    return Page(tuple(found), last)


def _bound(moment: datetime | None, *, sooner: bool) -> str | None:
    """An id that sorts before (`sooner`) or after every id made around `moment`."""
    if moment is None:
        return None
    ms = to_ms(moment) + (-CLOCKS_APART_MS if sooner else CLOCKS_APART_MS)
    ms = max(0, min(ms, 2**48 - 1))
    randomness = b"\0" * 10 if sooner else b"\xff" * 10
    return f"edit_{ULID(ms.to_bytes(6, 'big') + randomness)}"


def _earlier(one: str | None, other: str | None) -> str | None:
    return min(one, other) if one and other else one or other
