"""Who works on what, when: claims of due edits, and chains. A claim is a lease; its fence guards what is decided."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from edits.db import records
from edits.db.circuits import Operation
from edits.db.claims import Claim, Claims, claims_of
from edits.db.clock import boot_time
from edits.db.scripts import Argument, Script
from edits.db.sender import ReplyLost, Scripts, Unsent
from edits.models import EditInput, Step, TimelineEvent
from edits.pacing.slots import SlotClock

LOOKAHEAD: Final = timedelta(milliseconds=200)  # how far ahead time slots are given out
NEW_SLOT_WITHIN: Final = timedelta(
    seconds=1
)  # one for a claim that missed its own stands behind all that are given out
IDLE: Final = timedelta(seconds=30)  # longest sleep of a chain: wake-ups may be lost
HEARTBEAT: Final = timedelta(seconds=2)
ASKED_AGAIN_FOR: Final = timedelta(seconds=15)  # less than the answer of a claim is kept
ASKED_AGAIN_AFTER: Final = timedelta(milliseconds=200)
MOST_UNANSWERED: Final = 1000
SERVERS: Final = 16  # of so many the numbers are kept, as in the data
LIVES: Final = timedelta(
    seconds=7
)  # a process or chain not heard of for so long is gone: three heartbeats and a margin


NEEDS: Final[dict[str, tuple[Operation, ...]]] = {
    Step.POLL: ("read",),
    Step.STORE: ("storage", "download"),
    "manifest": ("storage",),
}
"""The operations without which a claim of the step could do nothing."""


class Shut(Exception):
    """The operation does not work now, and somebody else tries whether it does again."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """An edit whose create has no answer. `sent`: the picture's address as it went out, where it is not the edit's."""

    id: str
    claimed_at: int  # ms: to submit
    input: EditInput
    sent: str


@dataclass(frozen=True, slots=True)
class Link:
    """The place of a chain among those of its step, and the number its next link must bring."""

    step: Step
    slot: int
    number: int


@dataclass(slots=True)
class Schedule:
    scripts: Scripts
    creates_per_second: float
    reads_per_second: float
    max_in_flight: int
    process: str = field(default_factory=lambda: uuid4().hex)
    beats: int = 0
    untold: Counter[str] = field(default_factory=Counter)  # what the last beat counts, until it has its answer
    told: list[dict[str, Any]] = field(default_factory=list)  # servers and numbers (_served.lua), the last first
    slots: SlotClock = field(default_factory=SlotClock)
    shut: bool = False  # the data may lack what was written last (see _served.lua)

    async def claim_submit(self, most: int, *, lease: timedelta) -> Claims:
        """Up to `most` queued edits, as many as tokens and room in flight allow; each has its intent to buy written."""
        sent = boot_time()
        answer = await self._claim(
            "claim_submit",
            k=most,
            lease=_ms(lease),
            lookahead=_ms(LOOKAHEAD),
            rate=self.creates_per_second,
            max_in_flight=self.max_in_flight,
            told=self.told,
        )
        self._listen(answer)
        return claims_of(answer, claimed_at=self._ours(answer["now"], sent=sent))

    async def claim_due(self, step: str, most: int, *, lease: timedelta, wakes: Step, with_input: bool) -> Claims:
        """Up to `most` edits that are due in the set of `step`; polls take read tokens.

        None while an operation that the step needs does not work; then one claim at a time is its probe.
        """
        answer = await self._claim(
            "claim_due",
            step=step,
            wakes=wakes,
            k=most,
            lease=_ms(lease),
            with_input=with_input,
            lookahead=_ms(LOOKAHEAD),
            needs=[self._need(operation) for operation in NEEDS.get(step, ())],
        )
        return claims_of(answer)

    async def timeline(self, edit_id: str) -> list[TimelineEvent]:
        return (await self.timeline_until_now(edit_id))[0]

    async def timeline_until_now(self, edit_id: str) -> tuple[list[TimelineEvent], int]:
        """With the moment of the reading: ms, by the clock of Redis."""
        rows = await self.scripts.run(_raw("read"), ids=[edit_id], timeline=True)
        if not rows[0]:
            return [], 0
        text, now = json.loads(rows[0])[3:5]
        return list(records.read_timeline(text)), now

    async def renew(self, claim: Claim, step: Step, *, lease: timedelta) -> bool:
        """Keeps the claim for another lease; False if it is no longer ours."""
        answer = await self.scripts.run(_raw("renew"), id=claim.id, fence=claim.fence, step=step, lease=_ms(lease))
        return bool(answer == "ok")

    async def unanswered(self) -> list[Unanswered] | None:
        """All edits whose create has no answer (yet); None if they are too many to be told apart."""
        answer = json.loads(await self.scripts.run(_raw("unknown"), most=MOST_UNANSWERED))
        if answer["more"]:
            return None
        return [
            Unanswered(row["id"], row["sa"], records.read_input(row["input"]), row["sent"])
            for row in answer["edits"] or []
        ]

    def _need(self, operation: Operation) -> dict[str, Argument]:
        """What has no rate of its own climbs back by that of the reads."""
        paced: dict[str, Argument] = {"ceiling": "reads_per_second"} if operation == "read" else {}
        return {"name": operation, "rate": self.reads_per_second, **paced}

    async def read_token(self, operation: Operation = "read") -> bool:
        """Waits until one read that belongs to no claim may go out; whether it is the probe. Raises Shut."""
        while True:
            answer, delay, _ = await self.scripts.run(
                _raw("tokens"),
                name="read",
                operation=operation,
                ceiling="reads_per_second",
                rate=self.reads_per_second,
                lookahead=_ms(LOOKAHEAD),
            )
            if answer == "shut":
                raise Shut(operation)
            await asyncio.sleep(delay / 1000)
            if answer != "wait":
                return bool(answer == "half")

    async def new_slot(self) -> tuple[float, bool]:
        """Another slot for a create that missed its own, by `boot_time`, and whether it is the probe. Raises Shut."""
        sent = boot_time()
        answer, delay, now = await self.scripts.run(
            _raw("tokens"),
            name="create",
            operation="create",
            ceiling="creates_per_second",
            rate=self.creates_per_second,
            lookahead=_ms(NEW_SLOT_WITHIN),
        )
        if answer in {"shut", "wait"}:
            raise Shut("create")
        return self._ours(now, sent=sent) + delay / 1000, bool(answer == "half")

    def _ours(self, now: int, *, sent: float) -> float:
        self.slots.told(now / 1000, sent=sent, received=boot_time())
        return self.slots.ours(now / 1000)

    async def claim_abandoned(self, most: int, *, lease: timedelta) -> list[tuple[str, str]]:
        """(task, edit) of paid tasks that nobody waits for and that are due to be read."""
        text = await self.scripts.run(_raw("abandoned"), op="claim", k=most, lease=_ms(lease), nonce=uuid4().hex)
        return [(row["task"], row["id"]) for row in json.loads(text)["claims"] or []]

    async def abandoned_later(self, task_id: str, *, delay: float) -> None:
        await self.scripts.run(_raw("abandoned"), op="later", task=task_id, due=round(delay * 1000))

    async def settle_abandoned(self, task_id: str, *, status: str, units: int | None = None) -> None:
        """It has ended (`completed`, `failed`, or `gone`: not known any more), and says that it cost so much."""
        await self.scripts.run(_raw("abandoned"), op="settle", task=task_id, status=status, units=units)

    async def link(self, link: Link) -> bool:
        """Whether this link is the chain's next one; False for a doubled message, or a chain too many."""
        answer = await self.scripts.run(
            _raw("link"),
            step=link.step,
            slot=link.slot,
            number=link.number,
            grace=_ms(LIVES),
            nonce=uuid4().hex,
        )
        return bool(answer == "ok")

    async def heartbeat(
        self,
        steps: list[Step],
        running: list[Link],
        *,
        counts: Counter[str] | None = None,
        leave: bool = False,
    ) -> list[Link]:
        """Says that this process lives and runs these chains; returns the chains that nobody runs.

        `counts`: what it has counted and not told yet; what is told is taken out of it. A beat without an answer may
        have been counted: it is told again as it was, and what came since goes with the next one.
        """
        counts = Counter() if counts is None else counts
        if not self.untold:
            self.beats += 1
            self.untold = +counts  # without those that are zero
        text = await self.scripts.run(
            _raw("heartbeat"),
            process=self.process,
            steps=steps,
            running=[{"step": link.step, "slot": link.slot, "number": link.number} for link in running],
            ttl=_ms(LIVES),
            grace=_ms(LIVES),
            ceilings={
                "creates_per_second": self.creates_per_second,
                "reads_per_second": self.reads_per_second,
                "max_in_flight": self.max_in_flight,
            },
            beat=self.beats,
            counts=dict(self.untold),
            leave=int(leave),
            told=self.told,
        )
        counts -= self.untold
        self.untold = Counter()
        answer = json.loads(text)
        self._listen(answer)
        self.shut = answer["shut"] == 1
        self.told = self.told if self.shut else self.told[:1]
        return [Link(Step(row["step"]), row["slot"], row["number"]) for row in answer.get("start", [])]

    def _listen(self, answer: dict[str, Any]) -> None:
        """Answers come in the order in which Redis gave them, so the last one counts, be its number lower or not."""
        before = [pair for pair in self.told if pair["run"] != answer["run"]][: SERVERS - 1]
        self.told = [{"run": answer["run"], "n": answer["n"]}, *before]

    async def _claim(self, script: str, **arguments: Argument) -> dict[str, Any]:
        """A claim whose reply was lost is asked for again by its nonce, else what it took waits for its lease."""
        nonce, asked_again_until = uuid4().hex, None
        while True:
            try:
                text = await self.scripts.run(
                    _raw(script), nonce=nonce, chain=self.process, idle=_ms(IDLE), **arguments
                )
            except (ReplyLost, Unsent) as exc:
                now = asyncio.get_running_loop().time()
                if asked_again_until is None and isinstance(exc, ReplyLost):
                    asked_again_until = now + ASKED_AGAIN_FOR.total_seconds()
                if asked_again_until is None or now >= asked_again_until:
                    raise
                await asyncio.sleep(ASKED_AGAIN_AFTER.total_seconds())
            else:
                answer: dict[str, Any] = json.loads(text)
                return answer


def _ms(delta: timedelta) -> int:
    return round(delta.total_seconds() * 1000)


def _raw(name: str) -> Script[Any]:
    return Script(name, lambda reply: reply)
