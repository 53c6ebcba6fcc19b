"""The claims that a process works on. At its end creates are never cut, and other slow work is handed back."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable
from typing import Any, Final

import structlog

from edits.db.claims import Claim
from edits.db.outcomes import Outcomes
from edits.db.sender import ScriptError
from edits.models import Step

log = structlog.get_logger()

PERMITS: Final = {Step.SUBMIT: 64, Step.POLL: 128, Step.STORE: 16, Step.ADOPT: 50, Step.SWEEP: 8}
"""How many claims of a step a process works on at once. Results are streamed, so 16 copies hold some 16 MiB."""

HANDED_BACK_WITHIN: Final = 2.0  # seconds; later, a claim comes back with its lease


class Permits:
    """Bounds the claims in work. They may outlive the slice that claimed them, so a slow answer holds up no chain."""

    def __init__(self) -> None:
        self._work: dict[Step, dict[asyncio.Task[None], Claim]] = {step: {} for step in Step}
        self._hurry = asyncio.Event()

    def free(self, step: Step) -> int:
        return PERMITS[step] - len(self._work[step])

    def begin(self, step: Step, claim: Claim, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._work[step][task] = claim
        task.add_done_callback(self._work[step].pop)

    def hurry(self) -> None:
        """After a second stop: `drain` waits for nothing. A create that is cut is looked for when its lease ends."""
        self._hurry.set()

    async def drain(self, outcomes: Outcomes, *, within: float) -> None:
        """Waits `within` seconds for creates and half as long for others, then makes those due at once."""
        until = asyncio.get_running_loop().time() + within
        others = [task for step in Step if step is not Step.SUBMIT for task in self._work[step]]
        await self._ended(others, within=within / 2)
        await self._hand_back(outcomes)
        await self._ended(self._work[Step.SUBMIT], within=until - asyncio.get_running_loop().time())

    async def _ended(self, tasks: Iterable["asyncio.Task[None]"], *, within: float) -> None:
        left = [task for task in tasks if not task.done()]
        if not left or within <= 0:
            return
        hurry = asyncio.create_task(self._hurry.wait())
        ended = asyncio.ensure_future(asyncio.wait(left))
        await asyncio.wait({hurry, ended}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        for waiting in (hurry, ended):
            waiting.cancel()

    async def _hand_back(self, outcomes: Outcomes) -> None:
        left = {task: claim for step in Step if step is not Step.SUBMIT for task, claim in self._work[step].items()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HANDED_BACK_WITHIN):
                await asyncio.gather(*(_due_now(outcomes, claim) for claim in left.values()))


async def _due_now(outcomes: Outcomes, claim: Claim) -> None:
    """Does nothing where the step has decided before it was cut."""
    with contextlib.suppress(ScriptError):
        if await outcomes.snooze(claim, delay=0, tries=claim.tries):
            log.info("claim.handed_back", edit_id=claim.id)
