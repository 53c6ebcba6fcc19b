"""`retouch edit --dry-run`: price and expected duration; the server stores nothing."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from cli import output, views
from cli.client import Client
from cli.commands.submit import EditRequest
from cli.errors import WorkFailed, WrongUsage
from cli.explain import duration
from cli.sources import Source

AT_ONCE = 4  # pictures in memory


async def show(client: Client, sources: Sequence[Source], request: EditRequest, *, as_json: bool) -> int:
    """Returns 1 if the server would refuse one of the pictures."""
    if len(sources) == 1:
        answers: list[Any] = [await _price(client, sources[0], request)]
    else:
        answers = await _price_all(client, sources, request)
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
        output.note(f"${total} in total" + (f"; {refused} would be refused" if refused else ""))
    output.note("dry run: nothing was submitted")
    return 1 if refused else 0


async def _price(client: Client, source: Source, request: EditRequest) -> Any:
    picture = await asyncio.to_thread(source.read)
    return await client.price(request.body(source), picture=picture)


async def _price_all(client: Client, sources: Sequence[Source], request: EditRequest) -> list[Any]:
    """One answer or error per picture."""
    await client.recent(1)  # one error here instead of one per picture
    room = asyncio.Semaphore(AT_ONCE)

    async def one(source: Source) -> Any:
        async with room:
            try:
                return await _price(client, source, request)
            except (WorkFailed, WrongUsage) as error:
                return error

    return await asyncio.gather(*(one(source) for source in sources))


def _line(source: Source, price: views.Price) -> str:
    said = [f"{source.name}: ${price.cost.usd}"]
    eta = price.queue.eta_seconds if price.queue else None
    if eta and eta.p50 is not None:
        latest = f", 90 % within {duration(timedelta(seconds=eta.p90))}" if eta.p90 is not None else ""
        said.append(f"done in about {duration(timedelta(seconds=eta.p50))}{latest}")
    if not price.livemode:
        said.append("sandbox: nothing is bought")
    return "; ".join(said)
