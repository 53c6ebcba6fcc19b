"""`retouch edit --dry-run`: price and expected duration; the server stores nothing."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from cli import output
from cli.client import Client
from cli.commands.submit import EditRequest
from cli.errors import Stop, WorkFailed, WrongUsage
from cli.explain import duration
from cli.sources import Source
from cli.views import Price

AT_ONCE = 4  # pictures in memory


async def show(client: Client, sources: Sequence[Source], request: EditRequest, *, as_json: bool) -> int:
    """Returns 1 if the server would refuse one of several pictures."""
    total, refused = Decimal(0), 0
    for source, price in zip(sources, await _prices(client, sources, request), strict=True):
        if isinstance(price, Stop):
            refused += 1
            output.note(f"{source.name}: {price}")
            continue
        total += price.usd
        output.show(_line(source, price), price.raw | {"source": source.name}, as_json=as_json)
    if len(sources) > 1:
        output.note(f"${total} in total" + (f"; {refused} would be refused" if refused else ""))
    output.note("dry run: nothing was submitted")
    return 1 if refused else 0


async def _prices(client: Client, sources: Sequence[Source], request: EditRequest) -> list[Price | Stop]:
    """One price or error per picture; the error of a single picture is raised."""
    if len(sources) > 1:
        await client.recent(1)  # one error here instead of one per picture
    room = asyncio.Semaphore(AT_ONCE)

    async def one(source: Source) -> Price | Stop:
        async with room:
            try:
                picture = await asyncio.to_thread(source.read)
                return await client.price(request.body(source), picture=picture)
            except (WorkFailed, WrongUsage) as error:
                if len(sources) == 1:
                    raise
                return error

    return await asyncio.gather(*(one(source) for source in sources))


def _line(source: Source, price: Price) -> str:
    said = [f"{source.name}: ${price.usd}"]
    if price.median is not None:
        latest = f", 90 % within {duration(price.latest)}" if price.latest is not None else ""
        said.append(f"done in about {duration(price.median)}{latest}")
    if not price.livemode:
        said.append("sandbox: nothing is bought")
    return "; ".join(said)
