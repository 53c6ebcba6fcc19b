"""Many calls at once: each is answered, none is turned away because the others came first."""

import asyncio
from collections import Counter

import aiohttp

from tests.integration.api.conftest import KEY, Api

AT_ONCE = 300


async def test_three_hundred_reads_at_once_are_all_answered(api: Api) -> None:
    edit_id = api.accept(external_id="order 17")["id"]
    paths = (f"/v1/edits/{edit_id}", "/v1/edits", "/v1/edits?external_id=order+17", f"/v1/edits/{edit_id}/timeline")
    async with aiohttp.ClientSession(
        api.url, headers={"X-API-Key": KEY}, connector=aiohttp.TCPConnector(limit=AT_ONCE)
    ) as client:

        async def status_of(path: str) -> int:
            async with client.get(path) as answer:
                await answer.read()
                return answer.status

        statuses = await asyncio.gather(*(status_of(paths[number % len(paths)]) for number in range(AT_ONCE)))
    assert Counter(statuses) == {200: AT_ONCE}
