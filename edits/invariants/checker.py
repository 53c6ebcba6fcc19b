"""Walks over everything stored, applies the rules, and repeats each violated check after a moment.

A live system changes during the walk: only a violation found twice, on the same version of the record, is reported.
Nothing is written. Memory is bounded by the number of suspected violations.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from redis.asyncio import Redis

from config.settings import Settings
from edits.db.circuits import OPERATIONS, Operation
from edits.db.claims import IDLE, NEEDS
from edits.db.fields import Field
from edits.db.keys import Key
from edits.invariants import facts, objects, rules, totals
from edits.invariants.facts import DUE_SETS, Facts, Subject
from edits.invariants.history import HistoryRules, HistoryUnreadable, ProviderHistory
from edits.invariants.report import RULES, Report, Violation
from edits.models import FINAL, from_ms
from edits.storage.backends import StorageError
from edits.storage.store import Storage

MOST_SUSPECTED: Final = 2000
PATIENCE: Final = 1.0  # seconds until a violated check is repeated
BACKLOG: Final = 100  # ms by which each other edit of a set may delay one
OF_HISTORY: Final = tuple(name for name in RULES if name.startswith("history."))
OF_OBJECTS: Final = ("manifests", "results")
Check = Callable[[Sequence[Subject]], Awaitable[list[Violation]]]


async def check(
    redis: Redis,
    settings: Settings,
    *,
    storage: Storage | None = None,
    history: ProviderHistory | None = None,
    deep: bool = False,
    since: datetime | None = None,
    patience: float = PATIENCE,
) -> Report:
    """Applies every rule. Raises RedisError or OSError when Redis does not answer.

    `deep` also reads every result for its hash and every task for its token. `since`: how far back the history is read;
    by default as long as ended edits stay in Redis. `patience`: seconds until a violated check is repeated.
    """
    checker = _Checker(redis, settings, storage, deep, patience)
    await checker.prepare()
    await checker.walk()
    await checker.in_flight()
    await checker.compare_history(history, since)
    await checker.repeat()
    await checker.counters()
    return checker.report


@dataclass(slots=True)
class _Checker:
    redis: Redis
    settings: Settings
    storage: Storage | None
    deep: bool
    patience: float
    report: Report = field(default_factory=Report)
    suspected: dict[Check, list[Violation]] = field(default_factory=dict)  # by the check that is repeated for them
    longest: dict[str, float] = field(default_factory=dict)  # ms for which an edit may be due in each set
    ceiling: int = 0

    @property
    def ns(self) -> str:
        return self.settings.namespace

    async def prepare(self) -> None:
        pipe = self.redis.pipeline(transaction=False)
        pipe.hget(Key.CEILINGS.of(self.ns), "max_in_flight")
        for name in DUE_SETS:
            pipe.zcard(Key.DUE.of(self.ns, name))
        for operation in OPERATIONS:
            pipe.hget(Key.LIMIT.of(self.ns, operation), "until")
        ceiling, *found = await pipe.execute()
        self.ceiling = int(float(ceiling)) if ceiling else self.settings.qubico.max_in_flight
        sizes = dict(zip(DUE_SETS, found, strict=False))
        closed_until = {name: float(at or 0) for name, at in zip(OPERATIONS, found[len(sizes) :], strict=True)}
        self._limits(sizes, closed_until, await facts.moment(self.redis, self.ns))
        if self.storage is None:
            self.report.skip("no storage was given", *OF_OBJECTS)

    def _limits(self, sizes: dict[str, int], closed_until: Mapping[Operation, float], now: int) -> None:
        leases = self.settings.leases
        lease = {
            "submit": leases.submit_lease, "adopt": leases.adopt_lease, "poll": leases.poll_lease,
            "store": leases.store_lease, "manifest": leases.poll_lease, "expiring": leases.submit_lease,
        }  # fmt: skip
        for name, length in lease.items():
            most = (length + leases.margin + IDLE) / timedelta(milliseconds=1) + sizes.get(name, 0) * BACKLOG
            closed = [operation for operation in NEEDS.get(name, ()) if closed_until[operation] > now - most]
            if closed and sizes[name]:
                self.report.skip(f"{name}: {' and '.join(closed)} did not work lately", "overdue")
            else:
                self.longest[name] = most

    async def walk(self) -> None:
        batch: list[Subject] = []
        async for subject in facts.subjects(self.redis, self.ns, kinds=rules.RULES, zsets=rules.ZSETS):
            batch.append(subject)
            if len(batch) == facts.AT_ONCE:
                self._suspect(self._stored, await self._stored(batch, first=True))
                batch = []
        self._suspect(self._stored, await self._stored(batch, first=True))

    async def _stored(self, subjects: Sequence[Subject], *, first: bool = False) -> list[Violation]:
        found = await facts.read(self.redis, self.ns, subjects, longest=self.longest)
        violations = [
            Violation(rule, one.subject, text, one.version) for one in found for rule, text in rules.violations(one)
        ]
        unreadable = {violation.subject for violation in violations if violation.rule == "readable"}
        records = [one for one in found if one.kind == Key.RECORD]
        ended = [one for one in records if one.subject not in unreadable and one.record[Field.STATUS] in FINAL]
        if first:
            for one in found:
                self.report.count(1, *rules.RULES[one.kind])
            self._count_purchases(records)
            self.report.count(len(ended) if self.storage else 0, *OF_OBJECTS)
        if self.storage is not None:
            try:
                violations += await objects.violations(self.storage, ended, deep=self.deep)
            except StorageError as exc:
                self.report.skip(f"the storage does not answer: {exc}", *OF_OBJECTS)
        return violations

    def _count_purchases(self, records: Sequence[Facts]) -> None:
        """Tasks bought = edits submitted + repurchases that were requested or allowed."""
        bought = [int(one.record.get(Field.TASKS_BOUGHT, 0)) for one in records]
        submitted = sum(map(bool, bought))
        self.report.figures.update(
            edits=len(records), tasks_bought=sum(bought), edits_submitted=submitted, rebuys=sum(bought) - submitted
        )

    async def in_flight(self) -> None:
        self.report.count(1, "in_flight")
        for pause in (self.patience, 0):
            taken = await totals.in_flight(self.redis, self.ns, ceiling=self.ceiling)
            if taken <= self.ceiling:
                return
            await asyncio.sleep(pause)
        self._above_ceiling("submit, adopt, poll", f"{taken} edits")

    def _above_ceiling(self, where: str, found: str) -> None:
        self.report.add(Violation("in_flight", (where, ""), f"{found}, and {self.ceiling} are allowed"))

    async def compare_history(self, history: ProviderHistory | None, since: datetime | None) -> None:
        if history is None:
            self.report.skip("the provider was not asked", *OF_HISTORY)
            return
        compared = HistoryRules(self.redis, self.ns, history, self.storage, self.deep)
        now = from_ms(await facts.moment(self.redis, self.ns))
        async with self._reading_history():
            async for page in history.pages(since or now - self.settings.edits.hot):
                self.report.count(len(page), *OF_HISTORY)
                self._suspect(compared.again, await compared.violations(page))
            self.report.count(1, "in_flight")
            if len(compared.unfinished) > self.ceiling:
                running = await compared.still_unfinished()
                if running > self.ceiling:
                    self._above_ceiling("provider", f"{running} of our tasks are unfinished")
            if compared.unreadable:
                self.report.skip(f"{compared.unreadable} listed tasks cannot be read (yet)", *OF_HISTORY)

    @asynccontextmanager
    async def _reading_history(self) -> AsyncIterator[None]:
        try:
            yield
        except (HistoryUnreadable, StorageError) as exc:
            self.report.skip(f"the provider's history could not be read completely: {exc}", *OF_HISTORY)

    def _suspect(self, check: Check, found: Iterable[Violation]) -> None:
        for violation in found:
            if sum(map(len, self.suspected.values())) < MOST_SUSPECTED:
                self.suspected.setdefault(check, []).append(violation)
            else:
                self.report.skip(f"more than {MOST_SUSPECTED} suspected violations: not all were kept", violation.rule)

    async def repeat(self) -> None:
        """Reports each suspected violation that is found again."""
        if self.suspected:
            await asyncio.sleep(self.patience)
        for check, before in self.suspected.items():
            keys, found = {violation.key for violation in before}, []
            async with self._reading_history():
                subjects = list(dict.fromkeys(violation.subject for violation in before))
                for start in range(0, len(subjects), facts.AT_ONCE):
                    found += await check(subjects[start : start + facts.AT_ONCE])
            for violation in dict.fromkeys(found):
                if violation.key in keys:
                    self.report.add(violation)

    async def counters(self) -> None:
        violations, compared = await totals.counters(self.redis, self.ns, self.report.figures)
        self.report.count(compared, "counters")
        for violation in violations:
            self.report.add(violation)
