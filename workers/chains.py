"""A chain: the Celery task of a step works for a slice of time and is followed by its next link.

A link is the message (step, slot, number); the number is raised by compare-and-set, so that a doubled message ends at
once and chains cannot multiply.
"""

import asyncio
from typing import Final

import structlog

from edits.db.schedule import Link
from edits.db.sender import ScriptError
from workers.engine import Engine
from workers.lease import Lease

log = structlog.get_logger()

SLICE: Final = 5.0  # seconds a busy link works; all end at once when the process does
IDLE_SLICE: Final = 60.0  # seconds an idle one waits, looking in between (schedule.IDLE)
TICK: Final = 0.02  # seconds between claims, so that what falls due together is claimed together
TROUBLE: Final = 1.0  # seconds to wait when Redis does not answer


async def run_link(engine: Engine, link: Link) -> Link | None:
    """Works for one link; returns the next one, or None if this chain ends here."""
    try:
        if not await engine.clients.schedule.link(link):
            return None
    except ScriptError as exc:
        log.warning("link.lost", step=link.step, error=str(exc))  # the heartbeat starts the chain anew
        return None
    held = Link(link.step, link.slot, link.number + 1)
    engine.running.add(held)
    try:
        await _work(engine, link)
    finally:
        engine.running.discard(held)
    return held


async def _work(engine: Engine, link: Link) -> None:
    """Claims and works until the slice is over; an idle slice sleeps until the next due time or a wake-up.

    Where neither came until its end, nothing is claimed any more: the next link does so at once.
    """
    loop = asyncio.get_running_loop()
    busy_until, idle_until = loop.time() + SLICE, loop.time() + IDLE_SLICE
    while not engine.stopping:
        with engine.watch.during(f"chain {link.slot} of {link.step}"):
            rest = await _turn(engine, link)
        now = loop.time()
        if rest <= TICK:
            if now >= busy_until:
                return
            await asyncio.sleep(TICK)
        elif now >= idle_until:
            return
        else:
            woken = await engine.sleep(link.step, min(rest, idle_until - now))
            if not woken and loop.time() >= idle_until:
                return
            busy_until = max(busy_until, loop.time() + TICK)


async def _turn(engine: Engine, link: Link) -> float:
    """One claim; returns the seconds until the next one is worth it, 0 after something was claimed."""
    free = engine.free(link.step)
    if free <= 0:
        return TICK
    work = engine.work[link.step]
    engine.forget_wakes(link.step)
    lease = Lease.starting(work.lease, margin=engine.settings.leases.margin)
    try:
        claims = await work.claim(free)
    except ScriptError as exc:
        log.warning("claim.lost", step=link.step, error=str(exc))
        return TROUBLE
    for claim in claims.claims:
        engine.spawn(link.step, claim, lease)
    return 0.0 if claims.claims and not claims.paced else claims.next
