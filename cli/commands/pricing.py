"""`retouch edit --dry-run`: what it would cost and how long it might take; the server keeps nothing of it."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from cli import output, views
from cli.client import Client
from cli.commands.submit import Asked
from cli.errors import WorkFailed, WrongUsage
from cli.explain import duration
from cli.sources import Source

AT_ONCE = 4  # pictures in memory


async def show(client: Client, sources: Sequence[Source], asked: Asked, *, as_json: bool) -> int:
    """The exit code: 1 when the server would refuse some of several pictures."""
    if len(sources) == 1:
        answers: list[Any] = [await _ask(client, sources[0], asked)]
    else:
        answers = await _ask_all(client, sources, asked)
    total, refused = Decimal(0), 0
    for source, answer in zip(sources, answers, strict=True):
        if isinstance(answer, WorkFailed | WrongUsage):
            refused += 1
            output.note(f"{source.name}: {answer}")
            continue
        price = views.price(answer)
        total += Decimal(price.cost.usd)
        if as_json:
            output.data_json(answer | {"source": source.name})
        else:
            output.data(_line(source, price))
    if len(sources) > 1:
        output.note(f"${total} in all" + (f"; {refused} would be refused" if refused else ""))
    output.note("dry run: nothing was handed in")
    return 1 if refused else 0


async def _ask(client: Client, source: Source, asked: Asked) -> Any:
    picture = await asyncio.to_thread(source.read)
    return await client.price(asked.body(source), picture=picture)


async def _ask_all(client: Client, sources: Sequence[Source], asked: Asked) -> list[Any]:
    """An answer each, or why it would be refused."""
    await client.recent(1)  # a server that is away or refuses our key ends it here, not once a picture
    room = asyncio.Semaphore(AT_ONCE)

    async def one(source: Source) -> Any:
        async with room:
            try:
                return await _ask(client, source, asked)
            except (WorkFailed, WrongUsage) as error:
                return error

    return await asyncio.gather(*(one(source) for source in sources))


def _line(source: Source, price: views.Price) -> str:
    said = [f"{source.name}: ${price.cost.usd}"]
    eta = price.queue.eta_seconds if price.queue else None
    if eta and eta.p50 is not None:
        latest = f", {duration(timedelta(seconds=eta.p90))} at most as a rule" if eta.p90 is not None else ""
        said.append(f"done in about {duration(timedelta(seconds=eta.p50))}{latest}")
    if not price.livemode:
        said.append("sandbox: nothing is bought")
    return "; ".join(said)
