"""What an edit costs in memory: its record stays packed all its life, and long texts go when they are not needed."""

from edits.models import ErrorKind
from tests.integration.edits.core import ADDRESS, Core, moment

PROMPT = ("make the sky stormy and the old house by the sea look as if nobody had lived in it for years " * 3)[:200]
MOST_BYTES = 2048
"""With the overhead of keys; design.md speaks of 1.5 KiB, the rest is room for another engine or allocator."""


async def test_the_record_of_an_ordinary_edit_is_packed_in_every_step(core: Core):
    async def encoding() -> str:
        return str(await core.redis.object("encoding", core.key("e", edit_id)))

    edit_id = await core.queued(
        prompt=PROMPT, width=1024, height=768, external_id="order 17", metadata={"a": "b" * 512}
    )
    seen = [await encoding()]
    (claim,) = await core.claim_submit()
    await core.outcomes.intend(claim, address=ADDRESS * 10)
    await core.repository.nudge(edit_id, attempt=1, task_id=f"{7:036}")
    seen.append(await encoding())
    await core.bought(claim, f"{7:036}")
    poll, now = await core.claim("poll"), await core.now()
    await core.outcomes.snooze(poll, delay=0, task_status="processing", started_at=moment(now))
    seen.append(await encoding())
    await core.complete(await core.claim("poll"), started_at=moment(now), ended_at=moment(now), address=ADDRESS * 20)
    store = await core.claim("store")
    seen.append(await encoding())
    await core.succeed(store)
    seen.append(await encoding())
    assert set(seen) == {"listpack"}


async def test_the_record_of_an_edit_that_failed_and_is_tried_again_is_packed(core: Core):
    claim = await core.processing(prompt=PROMPT)
    await core.fail(claim, ErrorKind.PROVIDER_FAILED, task_status="failed")
    await core.repository.retry(claim.id)
    assert await core.redis.object("encoding", core.key("e", claim.id)) == "listpack"


async def test_an_edit_that_succeeded_takes_little_memory(core: Core):
    claim = await core.storing(prompt=PROMPT, width=1024, height=768)
    await core.succeed(claim)
    used = {
        name: await core.redis.memory_usage(core.key(name, claim.id), samples=0) or 0 for name in ("e", "i", "t", "x")
    }
    assert used["x"] == 0
    assert sum(used.values()) < MOST_BYTES, used
