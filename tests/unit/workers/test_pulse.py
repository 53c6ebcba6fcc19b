"""How long a consumer may take no message: not long after its start, longer after its broker was away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from config.settings import load
from workers.engine import Engine
from workers.pulse import BEGINS_WITHIN, COMES_BACK_WITHIN, CONSUMER, Pulse

NOTICED_WITHIN = 30.0


@contextlib.asynccontextmanager
async def started(*, broker: bool) -> AsyncIterator[tuple[Engine, list[bool]]]:
    """An engine, and the pulses that were put on its queue or lost, the first of them by now."""
    sent: list[bool] = []

    def send() -> bool:
        sent.append(broker)
        return broker

    engine = Engine(load({}, dotenv=None), [], start_chain=lambda _link: None, send_pulse=send)
    sending = asyncio.create_task(Pulse(engine).send(None))
    leave = BEGINS_WITHIN if broker else COMES_BACK_WITHIN
    try:
        while not sent or engine.watch.quiet_for(CONSUMER) != pytest.approx(-leave):  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.001)
        yield engine, sent
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


def seconds_until(true: Callable[[], object], engine: Engine) -> float:
    """Of beats, none of which takes any time here."""
    beats = 0
    while not true():
        engine.watch._add_beat()
        beats += 1
        assert beats < 1000
    return beats * engine.watch._period


async def test_a_consumer_that_is_dead_from_its_start_is_shown_within_half_a_minute():
    async with started(broker=True) as (engine, sent):
        assert sent == [True]  # it was asked at once
        assert seconds_until(engine.watch.unwell, engine) <= NOTICED_WITHIN
        assert engine.watch.unwell() == [CONSUMER]


async def test_one_whose_broker_is_away_has_the_time_to_look_for_it():
    async with started(broker=False) as (engine, _):
        assert seconds_until(engine.watch.unwell, engine) > NOTICED_WITHIN


async def test_one_that_took_a_message_begins_anew():
    async with started(broker=True) as (engine, _):
        seconds_until(lambda: engine.watch.quiet_for(CONSUMER) > 0, engine)
        engine.watch.moved(CONSUMER)
        assert seconds_until(engine.watch.unwell, engine) == pytest.approx(engine.watch.limit * 2 / 3)
