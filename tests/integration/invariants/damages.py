"""Deliberate damage in the real Valkey: for each, the broken rule and its message."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from tests.integration.invariants.conftest import System

Break = Callable[[System], Awaitable[str]]
"""Damages something, and returns what must be named."""


class Case(NamedTuple):
    rule: str
    damage: Break
    said: str


CASES: dict[str, Case] = {}


def case(rule: str, said: str) -> Callable[[Break], Break]:
    def kept(damage: Break) -> Break:
        CASES[damage.__name__] = Case(rule, damage, said)
        return damage

    return kept


@case("readable", "its input is gone")
async def without_input(system: System) -> str:
    await system.redis.delete(system.key("i", system.queued))
    return system.queued


@case("readable", "its timeline is gone")
async def without_timeline(system: System) -> str:
    await system.redis.delete(system.key("t", system.queued))
    return system.queued


@case("readable", "it cannot be read by this version")
async def with_a_status_of_tomorrow(system: System) -> str:
    await system.redis.hset(system.key("e", system.processing), "st", "levitating")
    return system.processing


@case("one_place", "is in no place")
async def in_no_place(system: System) -> str:
    await system.redis.zrem(system.key("due:poll"), system.processing)
    return system.processing


@case("one_place", "is in poll, store")
async def in_two_places(system: System) -> str:
    await system.redis.zadd(system.key("due:poll"), {system.storing: 1.0})
    return system.storing


@case("one_place", "it is queued and in poll")
async def in_a_place_that_its_status_does_not_have(system: System) -> str:
    await system.redis.hset(system.key("e", system.processing), "st", "queued")
    return system.processing


@case("one_place", "nobody will claim it")
async def queued_by_a_tenant_who_is_not_in_line(system: System) -> str:
    await system.redis.zrem(system.key("tenants"), "default")
    return system.queued


@case("one_place", "still among those that expire")
async def expiring_after_the_queue(system: System) -> str:
    await system.redis.zadd(system.key("expiring"), {system.processing: 9e12})
    return system.processing


@case("one_place", "its expires_in is not watched")
async def with_an_end_that_nobody_watches(system: System) -> str:
    await system.redis.hset(system.key("e", system.queued), "ex", "9000000000000")
    return system.queued


@case("one_place", "waits for its manifest")
async def unfinished_and_waiting_for_its_manifest(system: System) -> str:
    await system.redis.zadd(system.key("due:manifest"), {system.queued: 9e12})
    return system.queued


@case("one_place", "lists do not show it")
async def not_in_the_index(system: System) -> str:
    await system.redis.zrem(system.key("index:default"), system.succeeded)
    return system.succeeded


@case("one_place", "not found by its external_id")
async def not_found_by_its_external_id(system: System) -> str:
    await system.redis.delete(system.key("ext:default", f"order-{system.queued[-4:]}"))
    return system.queued


@case("members", "there is no such edit")
async def a_queue_of_nobody(system: System) -> str:
    await system.redis.zadd(system.key("q:default"), {"edit_nobody": 1.0})
    return "q:default edit_nobody"


@case("members", "of tenant default")
async def a_queue_of_another_tenant(system: System) -> str:
    await system.redis.zadd(system.key("q:acme"), {system.queued: 1.0})
    return f"q:acme {system.queued}"


@case("members", "there is no such edit")
async def an_index_of_nobody(system: System) -> str:
    await system.redis.zadd(system.key("index:default"), {"edit_nobody": 0})
    return "index:default edit_nobody"


@case("members", "of tenant default")
async def another_edits_external_id(system: System) -> str:
    await system.redis.zadd(system.key("ext:default:other"), {system.queued: 0})
    return f"ext:default:other {system.queued}"


@case("members", "it is failed")
async def retention_of_an_unfinished_edit(system: System) -> str:
    await system.redis.zadd(system.key("due:store"), {system.failed: 9e12})
    return f"due:store {system.failed}"


@case("orphans", "there is no such edit")
async def an_input_without_record(system: System) -> str:
    await system.redis.set(system.key("i:edit_nobody"), "{}")
    return "i:edit_nobody"


@case("orphans", "there is no such edit")
async def what_an_edit_leaves_when_only_its_record_goes(system: System) -> str:
    await system.redis.delete(system.key("e", system.canceled))
    return system.canceled


@case("packed", "cs has 100 bytes")
async def a_long_value_in_the_record(system: System) -> str:
    await system.redis.hset(system.key("e", system.queued), "cs", "u" * 100)
    return system.queued


@case("timeline", "does not begin with its acceptance")
async def a_timeline_without_its_beginning(system: System) -> str:
    await _timeline(system, system.succeeded, lambda lines: lines[1:])
    return system.succeeded


@case("timeline", "out of order")
async def a_timeline_out_of_order(system: System) -> str:
    await _timeline(system, system.succeeded, lambda lines: [lines[0], lines[2], lines[1], *lines[3:]])
    return system.succeeded


@case("timeline", "its spans are")
async def a_timeline_without_its_end(system: System) -> str:
    await _timeline(system, system.succeeded, lambda lines: lines[:-2])
    return system.succeeded


@case("timeline", "does not begin with its acceptance")
async def a_timeline_with_more_than_one_fault(system: System) -> str:
    await _timeline(system, system.succeeded, lambda lines: lines[1:-2])
    return system.succeeded


@case("timeline", "has no name")
async def a_wait_without_a_name(system: System) -> str:
    await _timeline(system, system.succeeded, lambda lines: [*lines[:2], [*lines[2][:2], "", {}], *lines[3:]])
    return system.succeeded


@case("timeline", "what it waits for has no name")
async def waiting_for_nothing(system: System) -> str:
    await system.redis.hdel(system.key("e", system.queued), "wt")
    return system.queued


@case("readable", "it cannot be read by this version")
async def a_timeline_that_is_none(system: System) -> str:
    await system.redis.append(system.key("t", system.queued), "not JSON\n")
    return system.queued


@case("horizon", "is due in poll only in")
async def due_in_a_year(system: System) -> str:
    await system.redis.zadd(system.key("due:poll"), {system.processing: 9e12})
    return system.processing


@case("overdue", "it is due in poll for")
async def nobody_works_on_it(system: System) -> str:
    late = await system.rounds.now() * 1000 - 3600_000
    await system.redis.zadd(system.key("due:poll"), {system.processing: late})
    return system.processing


@case("tasks", "serves edit_")
async def a_task_that_serves_another_edit(system: System) -> str:
    await system.redis.set(system.key("task", await system.task(system.processing)), system.storing)
    return system.processing


@case("tasks", "serves no edit")
async def a_task_that_is_not_known(system: System) -> str:
    await system.redis.delete(system.key("task", await system.task(system.processing)))
    return system.processing


@case("tasks", "counts 2 tasks bought and names 1")
async def a_purchase_that_is_not_named(system: System) -> str:
    await system.redis.hset(system.key("e", system.processing), "tb", 2)
    return system.processing


@case("tasks", "does not name it as a task of its own")
async def a_task_that_its_edit_does_not_know(system: System) -> str:
    await system.redis.set(system.key("task:foreign"), system.queued)
    return "task:foreign"


@case("tasks", "its edit (none) is not here")
async def a_task_given_up_by_nobody(system: System) -> str:
    await system.redis.zadd(system.key("abandoned"), {"nobodys": 9e12})
    return "abandoned nobodys"


@case("tasks", "is processing without a task")
async def processing_without_a_task(system: System) -> str:
    await system.redis.hdel(system.key("e", system.processing), "ti")
    return system.processing


@case("tasks", "as if it were given up")
async def given_up_while_it_is_waited_for(system: System) -> str:
    await system.redis.zadd(system.key("abandoned"), {await system.task(system.processing): 9e12})
    return system.processing


@case("bought_once", "2 tasks were bought and 1 allowed")
async def bought_twice(system: System) -> str:
    await system.rounds.clients.outcomes.bought(
        system.processing, attempt=1, task_id="second", units=1, status="pending", first_look=0, how="history"
    )
    return system.processing


@case("idempotency", "stands for another edit or none")
async def a_key_that_ended_before_its_edit(system: System) -> str:
    await system.redis.delete(system.key("idem:default", f"key-{system.queued}"))
    return system.queued


@case("idempotency", "its Idempotency-Key ends in")
async def a_key_that_will_end_before_its_edit(system: System) -> str:
    await system.redis.expire(system.key("idem:default", f"key-{system.queued}"), 100)
    return system.queued


@case("idempotency", "and never ends")
async def a_key_that_never_ends(system: System) -> str:
    name = system.key("idem:default:forever")
    await system.redis.set(name, json.dumps({"id": "edit_nobody", "fp": ""}))
    return "idem:default:forever"


@case("counters", "counted 0, and 8 are here")
async def counters_that_are_gone(system: System) -> str:
    await system.redis.hdel(system.key("stats"), "accepted")
    return "accepted"


@case("in_flight", "4 edits, and 2 are allowed")
async def more_in_flight_than_is_allowed(system: System) -> str:
    await system.redis.hset(system.key("ceilings"), "max_in_flight", 2)
    now = await system.rounds.now() * 1000
    await system.redis.zadd(system.key("due:poll"), {"one": now, "two": now})
    return "submit, adopt, poll"


async def _timeline(system: System, edit_id: str, change: Callable[[list[Any]], list[Any]]) -> None:
    name = system.key("t", edit_id)
    lines = [json.loads(line) for line in (await system.redis.get(name)).splitlines()]
    await system.redis.set(name, "".join(json.dumps(line) + "\n" for line in change(lines)))
