"""The checker's rules after every script, on a dump of all keys; and what only a watch from the start can say."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis

from edits.invariants import rules
from edits.invariants.facts import DUE_SETS, Facts, external_id, tasks_of
from edits.invariants.members import rule_of
from edits.lifecycle import may_follow
from edits.models import EditStatus

NO_BOUNDS: Final = rules.Bounds()
UNWATCHED: Final = {"horizon", "bought_once"}
"""Tests set the clock back, and report as many tasks as they like."""

Dump = dict[str, Any]

DUMP: Final = """
local read = {
  hash = function(name) return redis.call('HGETALL', name) end,
  zset = function(name) return redis.call('ZRANGE', name, 0, -1, 'WITHSCORES') end,
  string = function(name) return redis.call('GET', name) end,
  list = function(name) return redis.call('LRANGE', name, 0, -1) end,
}
local found = {}
for _, name in ipairs(redis.call('KEYS', KEYS[1] .. ':*')) do
  local short, kind = string.sub(name, #KEYS[1] + 2), redis.call('TYPE', name).ok
  if not read[kind] then error(name .. ' is a ' .. kind .. ': the map of keys knows no such thing', 0) end
  if short ~= 'tick' then
    found[#found + 1] = {short, kind, redis.call('PEXPIRETIME', name), read[kind](name)}
  end
end
return #found > 0 and cjson.encode(found) or '[]'
"""
"""One answer, in JSON: a client's own reading of a thousand small ones costs more than all else that is tested."""


async def dump(redis: Redis, namespace: str) -> Dump:
    """Every key of the namespace without its prefix: type, absolute expiry and content. Looks at the clock left out."""
    told = json.loads(await redis.eval(DUMP, 1, namespace))  # type: ignore[misc]  # redis-py's own
    return {name: (kind, expiry, _content(kind, raw)) for name, kind, expiry, raw in told}


def _content(kind: str, raw: Any) -> Any:
    match kind:
        case "hash":
            return dict(zip(raw[0::2], raw[1::2], strict=True))
        case "zset":
            return list(zip(raw[0::2], map(float, raw[1::2]), strict=True))
        case _:
            return raw


@dataclass
class Watch:
    """Remembers the last status of each edit, so that every transition is seen, and all tasks ever bought."""

    seen: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
    alone: bool = True
    """An older release beside this one does not count what is queued; a heartbeat makes it right each minute."""

    def check(self, keys: Dump, *, now: int) -> None:
        edits = {name[2:]: content for name, (_, _, content) in keys.items() if name.startswith("e:")}
        tasks = {name[5:]: content for name, (_, _, content) in keys.items() if name.startswith("task:")}
        for edit_id, e in edits.items():
            self._transition(edit_id, e["st"])
            wrong = [told for told in rules.broken(_facts(edit_id, keys, now), NO_BOUNDS) if told[0] not in UNWATCHED]
            assert not wrong, f"{edit_id}: {wrong}"
        _members(keys, edits)
        self._left(edits.keys(), keys)
        self.tasks |= tasks
        _counters(keys, accepted=len(self.seen), bought=len(self.tasks), tasks=tasks)
        _tenants(keys, exact=self.alone)

    def _transition(self, edit_id: str, status: str) -> None:
        before = self.seen.get(edit_id)
        if before is None:
            assert status == "queued", f"{edit_id} began as {status}"
        else:
            assert may_follow(EditStatus(before), EditStatus(status)), f"{edit_id}: {before} -> {status}"
        self.seen[edit_id] = status

    def _left(self, here: Iterable[str], keys: Dump) -> None:
        """Only what has ended leaves, and nothing of it stays."""
        for edit_id in self.seen.keys() - set(here):
            assert EditStatus(self.seen[edit_id]).is_final, f"{edit_id} left as {self.seen[edit_id]}"
            _no_trace(edit_id, keys)


def _no_trace(edit_id: str, keys: Dump) -> None:
    assert not [name for name in keys if edit_id in name], f"{edit_id} left keys behind"
    for name, (kind, _, content) in keys.items():
        if kind == "zset":
            assert edit_id not in dict(content), f"{edit_id} is still in {name}"
    served = [name for name, (_, _, content) in keys.items() if name.startswith("task:") and content == edit_id]
    assert not served, f"{edit_id} left its tasks behind"


def scores(keys: Dump, name: str) -> dict[str, float]:
    return dict(keys[name][2]) if name in keys else {}


def _facts(edit_id: str, keys: Dump, now: int) -> Facts:
    """As `edits.invariants.facts` reads them, from the dump."""
    e, x = keys[f"e:{edit_id}"][2], keys[f"x:{edit_id}"][2] if f"x:{edit_id}" in keys else {}
    text = keys[f"i:{edit_id}"][2] if f"i:{edit_id}" in keys else None
    sets = {
        "queue": f"q:{e['tn']}", "index": f"index:{e['tn']}", "ext": f"ext:{e['tn']}:{external_id(text)}",
        "retention": "retention", "expiring": "expiring", **{name: f"due:{name}" for name in DUE_SETS},
    }  # fmt: skip
    found = {place: score for place, name in sets.items() if (score := scores(keys, name).get(edit_id)) is not None}
    if e["tn"] in scores(keys, "tenants"):
        found["tenants"] = scores(keys, "tenants")[e["tn"]]
    tasks = tasks_of(e, x)
    kept = keys.get(f"idem:{e['tn']}:{x['idem']}") if "idem" in x else None
    return Facts(
        id=edit_id, e=e, x=x, input=text, scores=found, now=now,
        timeline=keys[f"t:{edit_id}"][2] if f"t:{edit_id}" in keys else None,
        idem=((kept[2], -1 if kept[1] < 0 else kept[1]) if kept else (None, -2)) if "idem" in x else None,
        owners={task: keys[f"task:{task}"][2] if f"task:{task}" in keys else None for task in tasks},
        abandoned=frozenset(task for task in tasks if task in scores(keys, "abandoned")),
    )  # fmt: skip


def _members(keys: Dump, edits: dict[str, Any]) -> None:
    """No set names an edit that has no record."""
    for name in keys:
        if rule_of(name) == "members":
            strangers = scores(keys, name).keys() - edits.keys()
            assert not strangers, f"{name} names {strangers}"


def _counters(keys: Dump, *, accepted: int, bought: int, tasks: dict[str, str]) -> None:
    stats = keys["stats"][2] if "stats" in keys else {}
    assert int(stats.get("bought", 0)) == bought, "the counter of tasks bought"
    assert int(stats.get("accepted", 0)) == accepted, "the counter of edits accepted"
    assert set(scores(keys, "abandoned")) <= set(tasks), "abandoned tasks that nobody bought"


def _tenants(keys: Dump, *, exact: bool) -> None:
    queues = {name[2:]: content for name, (_, _, content) in keys.items() if name.startswith("q:")}
    assert set(scores(keys, "tenants")) >= set(queues), "every tenant with a queue is in line"
    if not exact:
        return
    queued = int(keys["queued"][2]) if "queued" in keys else 0
    assert queued == sum(len(queue) for queue in queues.values()), "the number of edits in all queues"
