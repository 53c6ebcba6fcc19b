"""One page of a tenant's edits, newest first, by filters; and where the next page begins."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from ulid import ULID

from edits.db.repository import EditRepository
from edits.models import Edit, EditStatus, to_ms

CHUNK = 200
SCANNED_AT_MOST = 2000  # records read for one page; where few match it may be short or empty, with a next one
CLOCKS_APART_MS = 300_000  # between an id's clock, the API process's, and `created_at`, that of Redis


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    statuses: frozenset[EditStatus] = frozenset()
    created_after: datetime | None = None
    created_before: datetime | None = None
    external_id: str | None = None
    ids: frozenset[str] = frozenset()  # as they are stored (`models.read_id`)

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


async def page(
    repository: EditRepository, tenant: str, filters: Filters, *, before: str | None, limit: int
) -> tuple[list[Edit], str | None]:
    """Up to `limit` edits of `tenant`, older than the id `before`; and `before` of the next page, or None."""
    size = limit + 1 if filters == Filters() else CHUNK
    found: list[Edit] = []
    scanned = 0
    async for ids in _candidates(repository, tenant, filters, before=before, size=size):
        edits = await repository.get_many(ids)
        found += [edit for edit in edits if edit.tenant == tenant and filters.match(edit)]
        scanned += len(ids)
        if len(found) > limit:
            return found[:limit], found[limit - 1].id
        if scanned >= SCANNED_AT_MOST and len(ids) == size:
            return found, ids[-1]
    return found, None


async def _candidates(
    repository: EditRepository, tenant: str, filters: Filters, *, before: str | None, size: int
) -> AsyncIterator[list[str]]:
    """Ids that may be on the page, newest first, in chunks of `size`; the last one is shorter."""
    listed = sorted(filters.ids, reverse=True) if filters.ids else None
    if listed is None and filters.external_id is not None:
        listed = await repository.by_external_id(tenant, filters.external_id)
    mark = min(filter(None, (before, _bound(filters.created_before, sooner=False))), default=None)
    oldest = _bound(filters.created_after, sooner=True)
    while True:
        if listed is None:
            ids = await repository.newest(tenant, before=mark, limit=size)
        else:
            ids = [id_ for id_ in listed if mark is None or id_ < mark][:size]
        ids = [id_ for id_ in ids if oldest is None or id_ >= oldest]
        yield ids
        if len(ids) < size:
            return
        mark = ids[-1]


def _bound(moment: datetime | None, *, sooner: bool) -> str | None:
    """An id that sorts before (`sooner`) or after every id made around `moment`."""
    if moment is None:
        return None
    ms = to_ms(moment) + (-CLOCKS_APART_MS if sooner else CLOCKS_APART_MS)
    ms = max(0, min(ms, 2**48 - 1))
    randomness = b"\0" * 10 if sooner else b"\xff" * 10
    return f"edit_{ULID(ms.to_bytes(6, 'big') + randomness)}"
