"""Walks over everything that is kept, holds it against the rules, and looks again at what is suspicious.

A live system changes while it is looked at: only what is still wrong a moment later, with the record at the same
version, is reported. Nothing is written; memory is bounded by the suspicions that are kept.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from redis.asyncio import Redis

from config.settings import Settings
from edits.db.circuits import OPERATIONS
from edits.db.claims import IDLE, NEEDS
from edits.db.fields import Field
from edits.db.keys import Key
from edits.invariants import facts as reading
from edits.invariants import members, objects, rules, sums
from edits.invariants.facts import Facts
from edits.invariants.history import Past, PastRules, PastUnreadable
from edits.invariants.report import RULES, Report
from edits.models import FINAL, from_ms
from edits.storage.store import Storage, StorageError

MOST_SUSPICIONS: Final = 2000
PATIENCE: Final = 1.0  # seconds until a suspicion is looked at again
BACKLOG: Final = 100  # ms by which each other edit of a set may delay one
OF_RECORDS: Final = tuple(rules.RULES)
OF_HISTORY: Final = tuple(name for name in RULES if name.startswith("history."))
OF_OBJECTS: Final = ("manifests", "results")
_T = TypeVar("_T")


class Suspicion(NamedTuple):
    rule: str
    kind: str  # edit | member | task
    subject: tuple[str, str]
    said: str
    version: str

    @property
    def key(self) -> tuple[str, tuple[str, str], str]:
        return (self.rule, self.subject, self.version)

    @property
    def shown(self) -> str:
        return " ".join(self.subject).strip()


async def check(
    redis: Redis,
    settings: Settings,
    *,
    storage: Storage | None = None,
    past: Past | None = None,
    deep: bool = False,
    since: datetime | None = None,
    patience: float | None = PATIENCE,
    without: Collection[str] = (),
) -> Report:
    """Holds everything against every rule but `without`. Raises RedisError or OSError when Redis does not answer.

    `deep` also reads every result for its hash and every task for its token. `since`: how far back the history is read
    (as long as records are kept hot). `patience` None: nothing changes meanwhile, so nothing is looked at twice.
    """
    checker = _Checker(redis, settings, storage, past, deep=deep, patience=patience, without=frozenset(without))
    await checker.look(since)
    return checker.report


@dataclass(slots=True)
class _Checker:
    redis: Redis
    settings: Settings
    storage: Storage | None
    past: Past | None
    deep: bool
    patience: float | None
    without: frozenset[str]
    report: Report = field(default_factory=Report)
    suspicions: list[Suspicion] = field(default_factory=list)
    bounds: rules.Bounds = field(default_factory=rules.Bounds)
    cap: int = 0
    past_rules: PastRules | None = None

    @property
    def ns(self) -> str:
        return self.settings.namespace

    async def look(self, since: datetime | None) -> None:
        await self.prepare()
        await self.walk()
        await self.in_flight()
        await self.history(since)
        await self.look_again()
        await self.counters()

    async def prepare(self) -> None:
        pipe = self.redis.pipeline(transaction=False)
        for name in reading.DUE_SETS:
            pipe.zcard(Key.DUE.of(self.ns, name))
        pipe.hget(Key.CEILINGS.of(self.ns), "max_in_flight")
        for operation in OPERATIONS:
            pipe.hget(Key.LIMIT.of(self.ns, operation), "until")
        told = await pipe.execute()
        sizes = dict(zip(reading.DUE_SETS, told, strict=False))
        ceiling, *closed = told[len(sizes) :]
        now = await reading.moment(self.redis, self.ns)
        self.cap = int(float(ceiling)) if ceiling else self.settings.qubico.max_in_flight
        leases = self.settings.leases
        longest = {
            "submit": leases.submit_lease, "adopt": leases.adopt_lease, "poll": leases.poll_lease,
            "store": leases.store_lease, "manifest": leases.poll_lease,
        }  # fmt: skip
        allowed = {name: _ms(longest[name] + leases.margin + IDLE) + size * BACKLOG for name, size in sizes.items()}
        allowed["expiring"] = _ms(leases.submit_lease + leases.margin + IDLE)
        until = {name: float(moment or 0) for name, moment in zip(OPERATIONS, closed, strict=True)}
        for name, operations in NEEDS.items():
            away = [operation for operation in operations if until[operation] > now - allowed[name]]
            if away and sizes[name]:  # until just now, if not longer
                del allowed[name]
                self.report.skip(["overdue"], f"{name}: {' and '.join(away)} did not work lately")
        self.bounds = rules.Bounds(overdue=allowed)
        if self.storage is None:
            self.report.skip(OF_OBJECTS, "no storage was given")

    async def walk(self) -> None:
        self.report.figures |= dict.fromkeys(("edits", "tasks_bought", "edits_submitted", "rebuys"), 0)
        async for names in members.names(self.redis, self.ns):
            edits = [name[2:] for name in names if name.startswith(f"{Key.RECORD}:")]
            for some in _batches(edits, reading.AT_ONCE):
                await self._edits(some)
            kept = [(name, "") for name in names if name.partition(":")[0] in members.KEPT_BY_NAME]
            await self._members(kept)
            for name in names:
                if name.partition(":")[0] in members.SETS_OF_EDITS or name == Key.ABANDONED:
                    async for found in members.members(self.redis, self.ns, name):
                        await self._members([(name, member) for member in found])

    async def _edits(self, ids: list[str]) -> None:
        found = await reading.read(self.redis, self.ns, ids)
        self.report.count(OF_RECORDS, len(found))
        for facts in found:
            self._sum(facts)
        self._suspect(await self._of_edits(found))

    async def _of_edits(self, found: list[Facts]) -> list[Suspicion]:
        told = [
            Suspicion(rule, "edit", (facts.id, ""), said, facts.version)
            for facts in found
            for rule, said in rules.broken(facts, self.bounds)
        ]
        unreadable = {suspicion.subject[0] for suspicion in told if suspicion.rule == "readable"}
        ended = [facts for facts in found if facts.id not in unreadable and facts.e[Field.STATUS] in FINAL]
        if self.storage is not None and ended:
            self.report.count(OF_OBJECTS, len(ended))
            try:
                wrong = await objects.doubts(self.storage, ended, deep=self.deep)
            except StorageError as exc:
                self.report.skip(OF_OBJECTS, f"the storage does not tell: {exc}")
            else:
                told += [Suspicion(rule, "edit", (facts.id, ""), said, facts.version) for rule, facts, said in wrong]
        return told

    def _sum(self, facts: Facts) -> None:
        """Tasks bought = edits submitted + re-buys asked for or allowed."""
        bought = int(facts.e.get(Field.TASKS_BOUGHT, 0))
        figures = self.report.figures
        figures["edits"] += 1
        figures["tasks_bought"] += bought
        figures["edits_submitted"] += bought > 0
        figures["rebuys"] += max(0, bought - 1)

    async def _members(self, named: list[tuple[str, str]]) -> None:
        for place, _ in named:
            self.report.count([members.rule_of(place) or "members"], 1)
        for some in _batches(named, 100):
            self._suspect(await self._of_members(some))

    async def _of_members(self, named: list[tuple[str, str]]) -> list[Suspicion]:
        return [
            Suspicion(doubt.rule, "member", (doubt.place, doubt.member), doubt.said, doubt.version)
            for doubt in await members.doubts(self.redis, self.ns, named)
        ]

    async def in_flight(self) -> None:
        if "in_flight" in self.without:
            return
        self.report.count(["in_flight"], 1)
        for last in (False, True):
            taken = await sums.taken(self.redis, self.ns, enough=self.cap)
            if taken <= self.cap:
                return
            if not last and self.patience is not None:
                await asyncio.sleep(self.patience)
        self.report.results["in_flight"].add("submit, adopt, poll", f"{taken} edits, and {self.cap} are allowed")

    async def history(self, since: datetime | None) -> None:
        if self.past is None:
            self.report.skip(OF_HISTORY, "the provider was not asked")
            return
        past = PastRules(self.redis, self.ns, self.past, self.storage, self.deep)
        self.past_rules = past
        now = from_ms(await reading.moment(self.redis, self.ns))
        try:
            async for page in self.past.pages(since or now - self.settings.edits.hot):
                self.report.count(OF_HISTORY, len(page))
                self._suspect(
                    [Suspicion(rule, "task", (task, ""), said, "") for rule, task, said in await past.doubts(page)]
                )
            self.report.count(["in_flight"], 1)
            if len(past.unfinished) > self.cap and (running := await past.still_unfinished()) > self.cap:
                said = f"{running} of our tasks are unfinished, and {self.cap} are allowed"
                self.report.results["in_flight"].add("provider", said)
            if past.unreadable:
                self.report.skip(OF_HISTORY, f"{past.unreadable} listed tasks cannot be read (yet)")
        except (PastUnreadable, StorageError) as exc:
            self.report.skip(OF_HISTORY, f"the provider's history could not be read completely: {exc}")

    def _suspect(self, found: Iterable[Suspicion]) -> None:
        for suspicion in found:
            if suspicion.rule in self.without:
                continue
            if len(self.suspicions) < MOST_SUSPICIONS:
                self.suspicions.append(suspicion)
            else:
                self.report.skip([suspicion.rule], f"more than {MOST_SUSPICIONS} suspicions: the others were not kept")

    async def look_again(self) -> None:
        if not self.suspicions:
            return
        confirmed = list(dict.fromkeys(self.suspicions))
        if self.patience is not None:
            await asyncio.sleep(self.patience)
            before = {suspicion.key for suspicion in self.suspicions}
            confirmed = [suspicion for suspicion in dict.fromkeys(await self._now()) if suspicion.key in before]
        for suspicion in confirmed:
            self.report.results[suspicion.rule].add(suspicion.shown, suspicion.said)

    async def _now(self) -> list[Suspicion]:
        """All that is wrong by now with the subjects of the suspicions."""
        subjects: Mapping[str, list[tuple[str, str]]] = {
            kind: list(dict.fromkeys(s.subject for s in self.suspicions if s.kind == kind))
            for kind in ("edit", "member", "task")
        }
        counted = {name: result.checked for name, result in self.report.results.items()}
        told: list[Suspicion] = []
        for some in _batches([edit_id for edit_id, _ in subjects["edit"]], reading.AT_ONCE):
            told += await self._of_edits(await reading.read(self.redis, self.ns, some))
        for named in _batches(subjects["member"], 100):
            told += await self._of_members(named)
        if subjects["task"] and self.past_rules is not None:
            try:
                doubts = await self.past_rules.again([task for task, _ in subjects["task"]])
                told += [Suspicion(rule, "task", (task, ""), said, "") for rule, task, said in doubts]
            except (PastUnreadable, StorageError) as exc:
                self.report.skip(OF_HISTORY, f"suspicions could not be looked at again: {exc}")
        for name, number in counted.items():
            self.report.results[name].checked = number
        return told

    async def counters(self) -> None:
        wrong, checked = await sums.doubts(self.redis, self.ns, self.report.figures)
        self.report.count(["counters"], checked)
        for name, said in wrong if "counters" not in self.without else ():
            self.report.results["counters"].add(name, said)


def _batches(items: Iterable[_T], size: int) -> Iterable[list[_T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def _ms(delta: timedelta) -> float:
    return delta.total_seconds() * 1000
