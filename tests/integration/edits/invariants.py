"""What must hold in Redis after every script, read from the keys themselves and not through the code under test."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis

from edits.lifecycle import may_follow
from edits.models import EditStatus, Wait

DUE_SETS: Final = ("submit", "adopt", "poll", "store")
PLACES: Final = {
    "queued": {"queue"},
    "submitting": {"submit", "adopt"},
    "processing": {"poll"},
    "storing": {"store"},
    "succeeded": {"final"},
    "failed": {"final"},
    "canceled": {"final"},
}
PACKED_VALUE: Final = 64
"""Bytes; one longer value turns the whole hash into a hashtable."""

Dump = dict[str, Any]


async def dump(redis: Redis, namespace: str) -> Dump:
    """Every key of the namespace without its prefix: type, absolute expiry and content. Looks at the clock left out."""
    found_names = [name async for name in redis.scan_iter(match=f"{namespace}:*", count=1000)]
    names = sorted(name for name in found_names if name != f"{namespace}:tick")
    pipe = redis.pipeline(transaction=False)
    for name in names:
        pipe.type(name)
        pipe.pexpiretime(name)
    told = await pipe.execute()
    for name, kind in zip(names, told[0::2], strict=True):
        _content(pipe, name, kind)
    contents = await pipe.execute()
    found = zip(names, told[0::2], told[1::2], contents, strict=True)
    return {name[len(namespace) + 1 :]: (kind, expiry, content) for name, kind, expiry, content in found}


def _content(pipe: Any, name: str, kind: str) -> None:
    match kind:
        case "hash":
            pipe.hgetall(name)
        case "zset":
            pipe.zrange(name, 0, -1, withscores=True)
        case "string":
            pipe.get(name)
        case _:
            raise AssertionError(f"{name} is a {kind}: the map of keys knows no such thing")


@dataclass
class Watch:
    """Remembers the last status of each edit, so that every transition is seen, and all tasks ever bought."""

    seen: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)

    def check(self, keys: Dump) -> None:
        edits = {name[2:]: content for name, (_, _, content) in keys.items() if name.startswith("e:")}
        places = _places(keys)
        tasks = {name[5:]: content for name, (_, _, content) in keys.items() if name.startswith("task:")}
        for edit_id, e in edits.items():
            self._transition(edit_id, e["st"])
            _one_place(edit_id, e, places.pop(edit_id, []), keys)
            _small(edit_id, e)
            _named_waits(e)
            _timeline_adds_up(edit_id, e, keys)
            assert int(e["tb"]) == sum(1 for owner in tasks.values() if owner == edit_id), f"{edit_id}: tasks bought"
        assert not places, f"places without a record: {places}"
        self._left(edits.keys(), keys)
        self.tasks |= tasks
        _counters(keys, accepted=len(self.seen), bought=len(self.tasks), tasks=tasks)
        _tenants(keys)

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


def _places(keys: Dump) -> dict[str, list[str]]:
    """Edit → everywhere it is; abandoned tasks, retention and manifests are not places of unfinished edits."""
    places: dict[str, list[str]] = {}
    for name in keys:
        place = "queue" if name.startswith("q:") else name[4:] if name[4:] in DUE_SETS else None
        if place is not None:
            for edit_id in scores(keys, name):
                places.setdefault(edit_id, []).append(place)
    for edit_id in scores(keys, "retention"):
        places.setdefault(edit_id, []).append("final")
    return places


def _one_place(edit_id: str, e: dict[str, str], places: list[str], keys: Dump) -> None:
    assert places == [e["pl"]], f"{edit_id} ({e['st']}) says {e['pl']} and is in {places}"
    assert e["pl"] in PLACES[e["st"]], f"{edit_id} is {e['st']} in {e['pl']}"
    if e["pl"] == "queue":
        assert edit_id in scores(keys, f"q:{e['tn']}"), f"{edit_id} waits in the queue of another tenant"
    if edit_id in scores(keys, "due:manifest"):
        assert e["pl"] == "final", f"{edit_id} has not ended and waits for its manifest"


def _small(edit_id: str, e: dict[str, str]) -> None:
    long = {name: value for name, value in e.items() if len(value.encode()) > PACKED_VALUE}
    assert not long, f"{edit_id}: {long} unpacks the record"


def _named_waits(e: dict[str, str]) -> None:
    if e["pl"] == "final":
        assert "wt" not in e
        assert "en" in e
    else:
        Wait(e["wt"])
        assert "en" not in e
        assert int(e["ws"]) >= int(e["cr"])


def _timeline_adds_up(edit_id: str, e: dict[str, str], keys: Dump) -> None:
    lines = [json.loads(line) for line in keys[f"t:{edit_id}"][2].splitlines()]
    moments = [at for _, at, _, _ in lines]
    assert lines[0][0] == "accepted"
    assert moments[0] == int(e["cr"])
    assert moments == sorted(moments), f"{edit_id}: events out of order"
    assert moments[-1] == int(e["la"]), f"{edit_id}: its last event"
    for name, _, wait, _ in lines[1:]:
        if name not in {"extra_task", "task_ended"}:  # these may come after the end, when nothing is waited for
            Wait(wait)


def _counters(keys: Dump, *, accepted: int, bought: int, tasks: dict[str, str]) -> None:
    stats = keys["stats"][2] if "stats" in keys else {}
    assert int(stats.get("bought", 0)) == bought, "the counter of tasks bought"
    assert int(stats.get("accepted", 0)) == accepted, "the counter of edits accepted"
    assert set(scores(keys, "abandoned")) <= set(tasks), "abandoned tasks that nobody bought"


def _tenants(keys: Dump) -> None:
    queues = {name[2:]: content for name, (_, _, content) in keys.items() if name.startswith("q:")}
    assert set(scores(keys, "tenants")) >= set(queues), "every tenant with a queue is in line"
    queued = int(keys["queued"][2]) if "queued" in keys else 0
    assert queued == sum(len(queue) for queue in queues.values()), "the number of edits in all queues"
