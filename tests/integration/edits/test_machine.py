"""Random lives of edits on the real scripts: every invariant holds after each step, late or repeated."""

import os
from collections.abc import Awaitable
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, multiple, rule, run_state_machine_as_test

from edits.db.claims import Claim
from edits.models import CostState, ErrorKind, Wait
from tests.integration.edits.core import LEASE, moment
from tests.integration.edits.outside import Outside, chances
from tests.integration.edits.world import CAP

SEEK: Final = int(os.environ.get("RETOUCH_TEST_LIVES") or 0)
"""So many new lives; else always the same ones, so that a run tells of the code and not of its luck."""

LIVES: Final = 30
STEPS: Final = 40

kinds = st.sampled_from(list(ErrorKind))
short = st.sampled_from([0.0, 0.5, 3.0, 30.0])


class Lives(Outside):
    """Claims are kept after they are used, so that every decision is also tried late, twice and by the overtaken."""

    claims = Bundle("claims")

    # On its way, as it goes when nothing disturbs it

    @rule(target=claims, edit_id=Outside.edits, steps=st.integers(1, 4))
    def goes_on(self, edit_id: str, steps: int) -> Any:
        claims = [self._step(edit_id) for _ in range(steps)]
        return multiple(*[claim for claim in claims if claim is not None])

    def _step(self, edit_id: str) -> Claim | None:
        place = self.record(edit_id).get("pl", "final")
        if place == "final":
            return None
        self.world.pass_time(LEASE.total_seconds() + 1)
        step = "adopt" if place == "submit" else place
        claims = self._claim_submit(10) if step == "queue" else self.do(self.core.claims(step, 50)).claims
        claim = next((claim for claim in claims if claim.id == edit_id), None)
        if claim is not None:
            self._right(claim, step)
        return claim

    def _right(self, claim: Claim, step: str) -> None:
        if step == "poll":
            assert self.do(self.core.complete(claim))
        elif step == "store":
            assert self.do(self.core.succeed(claim))
        else:
            task = self.world.task(claim, f"new{len(self.world.tasks)}")
            assert self.do(self.core.bought(claim, task)) == "taken_over"
            self.world.tasks[task] = claim.id

    # Claims

    def _claim_submit(self, most: int) -> list[Claim]:
        claims: list[Claim] = self.do(self.core.claim_submit(most))
        doubted = self.world.in_doubt & {claim.id for claim in claims}
        assert not doubted, "bought while it may have been bought before a restart"
        return claims

    @rule(target=claims, most=st.integers(1, 4))
    def claim_submit(self, most: int) -> Any:
        room = CAP - self.world.in_flight()
        claims = self._claim_submit(most)
        assert len(claims) <= max(0, room), "creates were claimed without room in flight"
        return multiple(*claims)

    @rule(target=claims, step=st.sampled_from(["adopt", "poll", "store", "manifest"]), most=st.integers(1, 4))
    def claim_due(self, step: str, most: int) -> Any:
        found = self.do(self.core.claims(step, most)).claims
        assert len({claim.id for claim in found}) == len(found)
        if step == "manifest":
            for claim in found:
                self.do(self.core.outcomes.recorded(claim))
            return multiple()
        return multiple(*found)

    # Facts, at any time, by any claim

    @rule(claim=claims, number=st.integers(1, 3))
    def bought(self, claim: Claim, number: int) -> None:
        task, tasks = self.world.task(claim, number), self.world.tasks
        here = bool(self.record(claim.id))
        answer = self.do(self.core.bought(claim, task))
        assert (answer == "missing") == (not here)
        if here:
            assert (answer == "same") == (task in tasks)
            tasks[task] = claim.id
        if answer in {"taken_over", "late"}:
            assert self.record(claim.id)["ti"] == task
        assert self.do(self.core.counter("bought")) == len(tasks)

    @rule(claim=claims, twin=claims, number=st.integers(1, 3))
    def bought_for_its_twin(self, claim: Claim, twin: Claim, number: int) -> None:
        """All ask for the same: a task is one edit's, whichever it is taken for afterwards."""
        task = self.world.task(claim, number)
        owner = self.world.tasks.get(task, twin.id)
        if owner == twin.id or not self.record(owner):
            return
        here, before = bool(self.record(twin.id)), self.world.dump()
        assert self.do(self.core.bought(twin, task)) == ("other" if here else "missing")
        assert self.world.dump() == before

    # Decisions, fresh or stale

    def decide(self, claim: Claim, decision: Awaitable[bool]) -> bool:
        """A decision under an old fence changes no byte."""
        fresh = self.record(claim.id).get("fe") == str(claim.fence)
        before = self.world.dump()
        counted: bool = self.do(decision)
        if not counted:
            assert self.world.dump() == before
        assert fresh or not counted
        return counted

    @rule(claim=claims)
    def release(self, claim: Claim) -> None:
        self.decide(claim, self.core.release(claim))

    @rule(claim=claims, delay=short)
    def lost(self, claim: Claim, delay: float) -> None:
        self.decide(claim, self.core.outcomes.lost(claim, cause="AnswerLost", delay=delay))

    @rule(claim=claims, delay=st.sampled_from([0.0, 2.0, 30.0, 86_400.0]), started=chances, looked=chances)
    def snooze(self, claim: Claim, delay: float, started: bool, looked: bool) -> None:
        at = moment(self.do(self.core.now())) if started else None
        wait = Wait.PROVIDER_RUN if started else None
        snooze = self.core.outcomes.snooze
        self.decide(claim, snooze(claim, delay=delay, tries=1, started_at=at, wait=wait, looked=looked))

    @rule(claim=claims, late=short)
    def completed(self, claim: Claim, late: float) -> None:
        now = self.do(self.core.now())
        started, ended = moment(now - late * 2000), moment(now - late * 1000)
        self.decide(claim, self.core.complete(claim, started_at=started, ended_at=ended))

    @rule(claim=claims)
    def succeed(self, claim: Claim) -> None:
        if self.decide(claim, self.core.succeed(claim)):
            edit = self.do(self.core.edit(claim.id))
            assert edit.result is not None
            assert edit.cost_state is CostState.CHARGED
            assert edit.tasks_bought >= 1

    @rule(claim=claims, kind=kinds, abandon=chances)
    def fail(self, claim: Claim, kind: ErrorKind, abandon: bool) -> None:
        cost = CostState.RELEASED if kind is ErrorKind.REJECTED else CostState.CHARGED
        if self.decide(claim, self.core.fail(claim, kind, cost=cost, abandon=abandon)):
            edit = self.do(self.core.edit(claim.id))
            assert not (edit.tasks_bought and edit.cost_state is CostState.RELEASED)

    @rule(claim=claims, automatic=chances)
    def rebuy(self, claim: Claim, automatic: bool) -> None:
        self.decide(claim, self.core.outcomes.rebuy(claim, kind=ErrorKind.PROVIDER_FAILED, automatic=automatic))

    @rule(most=st.integers(1, 3), status=st.sampled_from(["completed", "failed", "gone", None]))
    def abandoned(self, most: int, status: str | None) -> None:
        claims = self.core.process.claims
        for task, edit_id in self.do(claims.abandoned(most, lease=LEASE)):
            assert edit_id == self.world.tasks[task]
            self.do(claims.settle_abandoned(task, status=status) if status else claims.abandoned_later(task, delay=60))


def test_whatever_happens_every_invariant_holds(valkey_port: int):
    Lives.port = valkey_port
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=SEEK or LIVES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not SEEK,
            database=None,
            phases=[Phase.generate, Phase.shrink] if SEEK else [Phase.generate],  # shrinking takes minutes
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
