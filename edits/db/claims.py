"""Claims: edits to work on until a lease ends. The fence of a claim guards its decisions."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from edits.db import records
from edits.db.circuits import Operation
from edits.db.clock import boot_time, ms
from edits.db.fields import Field
from edits.db.records import READ
from edits.db.scripts import Argument, Script, is_ok, nothing, parsed
from edits.db.sender import BatchFailed, ReplyLost, ScriptError, ScriptRefused, Scripts
from edits.db.tokens import LOOKAHEAD
from edits.db.workers import WorkerRegistry
from edits.models import Edit, EditInput, Step, TimelineEvent
from edits.pacing.slots import SlotClock

IDLE: Final = timedelta(seconds=30)  # longest sleep of a chain: wake-ups may be lost
ASKED_AGAIN_FOR: Final = timedelta(seconds=15)  # less than the answer of a claim is kept
ASKED_AGAIN_AFTER: Final = timedelta(milliseconds=200)
MOST_UNANSWERED: Final = 1000

NEEDS: Final[dict[str, tuple[Operation, ...]]] = {
    Step.POLL: ("read",),
    Step.STORE: ("storage", "download"),
    "manifest": ("storage",),
}
"""The operations without which a claim of the step could do nothing."""

_Reply = dict[str, Any]
_SUBMIT: Final[Script[_Reply]] = Script("claim_submit", parsed)
_DUE: Final[Script[_Reply]] = Script("claim_due", parsed)
_RENEW: Final = Script("renew", is_ok)
_UNANSWERED: Final[Script[_Reply]] = Script("unknown", parsed)
_ABANDONED: Final[Script[_Reply]] = Script("abandoned", parsed, op="claim")
_ABANDONED_LATER: Final = Script("abandoned", nothing, op="later")
_SETTLE_ABANDONED: Final = Script("abandoned", nothing, op="settle")


@dataclass(frozen=True, slots=True)
class Claim:
    """One edit to work on until the lease ends. `slot`: seconds from the claim at which its request may be sent."""

    id: str
    slot: float
    fields: dict[str, str]  # the record as in records.py
    text: str  # its input, where the step needs it
    long: dict[str, str]
    send_at: float = 0.0  # the moment of its slot, as `boot_time` counts, of one to submit

    @property
    def fence(self) -> int:
        return int(self.fields[Field.FENCE])

    @property
    def attempt(self) -> int:
        return int(self.fields[Field.ATTEMPT])

    @property
    def task_id(self) -> str:
        return self.fields[Field.TASK]

    @property
    def steps(self) -> int:
        """Of its task."""
        return int(self.fields[Field.STEPS])

    @property
    def tries(self) -> int:
        return int(self.fields.get(Field.FAILURES, 0))

    @property
    def may_buy_anew(self) -> bool:
        """A person retried it."""
        return self.fields.get(Field.MAY_REPURCHASE) == "1"

    def moment(self, name: str) -> int:
        """A time of the record in milliseconds; 0 if it has none."""
        return int(self.fields.get(name, 0))

    def edit(self) -> Edit:
        return records.read(self.id, self.fields, self.text, self.long)


@dataclass(frozen=True, slots=True)
class Claims:
    """`next`: seconds until it is worth claiming again. `late`: seconds by which reads are overdue for want of tokens.

    `probe`: ask the account. `half`: the operations of which these claims are the probe. `paced`: until `next` the rate
    allows no more.
    """

    claims: list[Claim]
    next: float
    probe: bool = False
    half: frozenset[str] = frozenset()
    late: float = 0.0
    paced: bool = False


def claims_of(answer: dict[str, Any], *, claimed_at: float = 0.0) -> Claims:
    """`claimed_at`: the moment from which slots are counted, as `boot_time` counts."""
    return Claims(
        claims=[
            Claim(
                id=row["id"],
                slot=row["slot"] / 1000,
                fields=records.pairs(row["e"]),
                text=row.get("input", ""),
                long=records.pairs(row.get("x") or []),
                send_at=claimed_at + row["slot"] / 1000,
            )
            for row in answer["claims"] or []
        ],
        next=answer["next"] / 1000,
        probe=answer.get("probe") == 1,
        half=frozenset(answer.get("half") or ()),
        late=answer.get("late", 0) / 1000,
        paced=answer.get("reason") == "rate_limit",
    )


@dataclass(frozen=True, slots=True)
class Unanswered:
    """An edit whose create has no answer. `sent`: the picture's address as sent, if it is not the edit's."""

    id: str
    claimed_at: int  # ms: to submit
    input: EditInput
    sent: str


@dataclass(slots=True)
class Claimer:
    """Makes the claims of one worker process, by its ceilings and under its name in the registry."""

    scripts: Scripts
    registry: WorkerRegistry
    slots: SlotClock = field(default_factory=SlotClock)

    async def submit(self, most: int, *, lease: timedelta) -> Claims:
        """Up to `most` queued edits, as many as tokens and room in flight allow; each has its intent to buy written."""
        sent = boot_time()
        answer = await self._claim(
            _SUBMIT,
            k=most,
            lease=ms(lease),
            lookahead=ms(LOOKAHEAD),
            rate=self.registry.ceilings.creates_per_second,
            max_in_flight=self.registry.ceilings.max_in_flight,
            told=self.registry.told,
        )
        self.registry.heard(answer)
        return claims_of(answer, claimed_at=self.slots.heard(answer["now"], sent=sent, received=boot_time()))

    async def due(self, step: str, most: int, *, lease: timedelta, wakes: Step, with_input: bool) -> Claims:
        """Up to `most` edits that are due in the set of `step`; polls take read tokens.

        None while an operation that the step needs does not work; then one claim at a time is its probe.
        """
        answer = await self._claim(
            _DUE,
            step=step,
            wakes=wakes,
            k=most,
            lease=ms(lease),
            with_input=with_input,
            lookahead=ms(LOOKAHEAD),
            needs=[self._need(operation) for operation in NEEDS.get(step, ())],
        )
        return claims_of(answer)

    async def renew(self, claim: Claim, step: Step, *, lease: timedelta) -> bool:
        """Keeps the claim for another lease; False if it is no longer ours."""
        return await self.scripts.run(_RENEW, id=claim.id, fence=claim.fence, step=step, lease=ms(lease))

    async def timeline(self, edit_id: str) -> list[TimelineEvent]:
        return (await self.timeline_until_now(edit_id))[0]

    async def timeline_until_now(self, edit_id: str) -> tuple[list[TimelineEvent], int]:
        """With the moment of the reading: ms, by the clock of Redis."""
        (row,) = await self.scripts.run(READ, ids=[edit_id], timeline=True)
        return (row.events(), row.now) if row else ([], 0)

    async def unanswered(self) -> list[Unanswered] | None:
        """All edits whose create has no answer (yet); None if they are too many to match."""
        answer = await self.scripts.run(_UNANSWERED, most=MOST_UNANSWERED)
        if answer["more"]:
            return None
        return [
            Unanswered(row["id"], row["sa"], records.read_input(row["input"]), row["sent"])
            for row in answer["edits"] or []
        ]

    async def abandoned(self, most: int, *, lease: timedelta) -> list[tuple[str, str]]:
        """(task, edit) of abandoned tasks that are due to be read."""
        found = await self.scripts.run(_ABANDONED, k=most, lease=ms(lease), nonce=uuid4().hex)
        return [(row["task"], row["id"]) for row in found["claims"] or []]

    async def abandoned_later(self, task_id: str, *, delay: float) -> None:
        await self.scripts.run(_ABANDONED_LATER, task=task_id, due=round(delay * 1000))

    async def settle_abandoned(self, task_id: str, *, status: str, units: int | None = None) -> None:
        """The task ended (`completed`, `failed`, or `gone`: unknown to the provider), at this cost."""
        await self.scripts.run(_SETTLE_ABANDONED, task=task_id, status=status, units=units)

    def _need(self, operation: Operation) -> dict[str, Argument]:
        """What has no rate of its own climbs back by that of the reads."""
        paced: dict[str, Argument] = {"ceiling": "reads_per_second"} if operation == "read" else {}
        return {"name": operation, "rate": self.registry.ceilings.reads_per_second, **paced}

    async def _claim(self, script: Script[_Reply], **arguments: Argument) -> _Reply:
        """A claim whose reply was lost is sent again with its nonce, else what it took waits for its lease."""
        nonce, asked_again_until = uuid4().hex, None
        process, idle = self.registry.process, ms(IDLE)
        while True:
            try:
                return await self.scripts.run(script, nonce=nonce, chain=process, idle=idle, **arguments)
            except (ScriptRefused, BatchFailed):
                raise
            except ScriptError as exc:
                now = asyncio.get_running_loop().time()
                if asked_again_until is None and isinstance(exc, ReplyLost):
                    asked_again_until = now + ASKED_AGAIN_FOR.total_seconds()
                if asked_again_until is None or now >= asked_again_until:
                    raise
                await asyncio.sleep(ASKED_AGAIN_AFTER.total_seconds())
