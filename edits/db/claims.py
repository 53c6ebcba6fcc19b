"""What a claim hands out: edits to work on until a lease ends, each with its fence, and when to claim again."""

from dataclasses import dataclass
from typing import Any

from edits.db import records
from edits.db.fields import Field
from edits.models import DEFAULT_STEPS, Edit


@dataclass(frozen=True, slots=True)
class Claim:
    """One edit to work on until the lease ends. `slot`: seconds from the claim at which its request may be sent."""

    id: str
    slot: float
    fields: dict[str, str]  # the record as in records.py
    text: str  # its input, where the step needs it
    long: dict[str, str]
    send_at: float = 0.0
    """The moment of its slot, as `boot_time` counts, of one to submit."""

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
        """Of its task; edits taken in by an older version do not say."""
        return int(self.fields.get(Field.STEPS, DEFAULT_STEPS))

    @property
    def tries(self) -> int:
        return int(self.fields.get(Field.FAILURES, 0))

    @property
    def may_buy_anew(self) -> bool:
        """A person asked for it again (`retry`)."""
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
