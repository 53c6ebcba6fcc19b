"""What accept, claim and commit cost among few and among many edits in flight, on each server that is here.

A server is only as flat as what hands out its memory: the embedded one is built with the allocator of the C library,
those of distributions and images with jemalloc.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from redis.asyncio import Redis

from benchmarks.filling import AT_ONCE, Filler
from benchmarks.life import new_edit
from benchmarks.rounds import say
from benchmarks.spent import server_on

FEW: Final = 1_000
MANY: Final = 100_000
SAMPLES: Final = 9  # of each step among few and many: the calls for 500 edits

Row = dict[str, Any]


def others() -> list[str]:
    """Servers on the PATH, beside the embedded one."""
    return [path for name in ("valkey-server", "redis-server") if (path := shutil.which(name))]


async def on(binary: str) -> list[Row]:
    """A row for each step."""
    async with _filled(MANY, binary=binary) as many:
        return await beside_few(many, binary=binary)


async def beside_few(many: Filler, *, binary: str | None = None) -> list[Row]:
    """The same with what has many in flight already. In turns: how fast a core is may change from minute to minute."""
    async with _filled(FEW, binary=binary) as few:
        taken = [(await few.put(AT_ONCE), await many.put(AT_ONCE)) for _ in range(SAMPLES)]
        server = await _server_of(few.redis)
    say(f"inflight: {server} measured")
    return [
        {
            "server": server,
            "step": step,
            f"µs among {FEW:,}": median(one[step] for one, _ in taken),
            f"µs among {MANY:,}": median(other[step] for _, other in taken),
            "times": median(other[step] / one[step] for one, other in taken),
        }
        for step in taken[0][0]
    ]


@asynccontextmanager
async def _filled(number: int, *, binary: str | None) -> AsyncIterator[Filler]:
    with tempfile.TemporaryDirectory() as folder:
        async with server_on(Path(folder), binary=binary) as (client, _):
            await client.config_set("auto-aof-rewrite-percentage", 0)  # a copy of all pages it writes would be in it
            filler = Filler(client, new_edit)
            await filler.put(AT_ONCE)  # scripts are loaded, sets are there
            await filler.fill(number - AT_ONCE)
            yield filler


async def _server_of(client: Redis) -> str:
    told = await client.info()
    name = told.get("server_name", "redis")
    return f"{name} {told[f'{name}_version']}, {told['mem_allocator']}"
