"""Random lives of edits on the real scripts: whatever comes, late or twice, every invariant holds after each step."""

import asyncio
import itertools
from collections.abc import Awaitable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule, run_state_machine_as_test

from edits import errors
from edits.claims import Claim
from edits.connection import connect
from edits.models import CostState, ErrorKind, Priority, Wait
from tests.factories import MOMENT
from tests.integration.edits.core import LEASE, Core, moment
from tests.integration.edits.invariants import scores

EXAMPLES = 30
STEPS = 40
CAP = 4
_runs = itertools.count(1)

chances = st.booleans()
kinds = st.sampled_from(list(ErrorKind))
short = st.sampled_from([0.0, 0.5, 3.0, 30.0])


class Lives(RuleBasedStateMachine):
    """Claims are kept after they are used, so that every decision is also tried late, twice and by the overtaken."""

    port = 0
    edits = Bundle("edits")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        redis = connect(f"redis://127.0.0.1:{self.port}/0")
        self.core = Core(redis, f"machine{next(_runs)}")
        self.core.schedule = self.core.worker(creates=50, reads=50, in_flight=CAP)
        self.tasks: set[str] = set()

    def do(self, what: Awaitable[Any]) -> Any:
        async def wait() -> Any:
            return await what

        return self.runner.run(wait())

    def teardown(self) -> None:
        try:
            self.do(self.core.hold(without={"overdue", "horizon", "bought_once", "in_flight"}))
            self.do(self._what_has_ended_leaves())
        finally:
            self.do(self.core.redis.flushdb())
            self.do(self.core.redis.aclose(close_connection_pool=True))
            self.runner.close()

    async def _what_has_ended_leaves(self) -> None:
        """Whatever its life was, an edit whose story is over leaves nothing behind: the watch looks for it."""
        await self.core.limiter.open("storage")
        await self.core.pass_time(10_000_000)  # also past what was written before the clock was set back
        for task, _ in await self.core.schedule.claim_abandoned(1000, lease=LEASE):
            await self.core.schedule.settle_abandoned(task, status="failed")
        for claim in (await self.core.claims("manifest", 1000)).claims:
            await self.core.outcomes.recorded(claim)
        await self.core.scripts.run("evict", k=1000, hot=0, later=1000)
        records = [name for name in await self.core.dump() if name.startswith("e:")]
        ended = {"succeeded", "failed", "canceled"}
        for name in records:
            assert (await self.core.record(name[2:]))["st"] not in ended, f"{name} stays"

    # Comes from outside

    @initialize(target=edits)
    def some_wait(self) -> Any:
        return multiple(*[self.do(self.core.queued()) for _ in range(3)])

    @rule(target=edits, priority=st.sampled_from(list(Priority)), tenant=st.sampled_from(["a", "b"]), expires=chances)
    def accept(self, priority: Priority, tenant: str, expires: bool) -> str:
        expires_at = moment(MOMENT.timestamp() * 1000 + 60_000) if expires else None
        return str(self.do(self.core.queued(priority=priority, tenant=tenant, expires_at=expires_at)))

    @rule(edit_id=edits)
    def cancel(self, edit_id: str) -> None:
        before = self.do(self.core.record(edit_id))["st"]
        try:
            assert self.do(self.core.repository.cancel(edit_id)).status == "canceled"
        except errors.TooLate:
            assert before not in {"queued", "canceled"}

    @rule(edit_id=edits)
    def retry(self, edit_id: str) -> None:
        before = self.do(self.core.record(edit_id))
        try:
            edit = self.do(self.core.repository.retry(edit_id))
        except errors.NotFinished:
            assert before["st"] not in {"failed", "succeeded", "canceled"}
        except errors.TooLate:
            assert before["st"] in {"succeeded", "canceled"}
        else:
            assert before["st"] == "failed"
            assert edit.attempt == int(before["at"]) + 1

    @rule(edit_id=edits, known=chances)
    def nudge(self, edit_id: str, known: bool) -> None:
        record = self.do(self.core.record(edit_id))
        task = record.get("ti", "task-unknown") if known else "task-foreign"
        self.do(self.core.repository.nudge(edit_id, attempt=1, task_id=task))
        assert self.do(self.core.record(edit_id))["st"] == record["st"]

    @rule(seconds=st.sampled_from([0.3, 5.0, 41.0, 61.0, -20.0, -90_000.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        self.do(self.core.pass_time(seconds))

    @rule(seconds=st.sampled_from([20.0, -20.0, 3600.0, -3600.0]))
    def the_servers_clock_jumps(self, seconds: float) -> None:
        self.do(self.core.jump(seconds))

    @rule(blocked=chances)
    def refused_for_a_while(self, blocked: bool) -> None:
        limiter = self.core.limiter
        self.do(limiter.block("no credit") if blocked else limiter.close("create"))
        assert self.do(self.core.claim_submit(1)) == []
        self.do(self.core.pass_time(61))
        self.do(limiter.unblock())
        self.do(limiter.open("create"))

    @rule(
        operation=st.sampled_from(["create", "read", "download", "storage"]),
        ago=st.sampled_from([0.0, 7.0]),
        over=chances,
    )
    def an_operation_does_not_work(self, operation: Any, ago: float, over: bool) -> None:
        limiter = self.core.limiter
        self.do(limiter.close(operation, ago=ago))
        self.do(self.core.pass_time(31))
        if over:
            self.do(limiter.open(operation))
            self.do(self.core.pass_time(11))  # its rate has climbed back

    # On its way, as it goes when nothing disturbs it

    @rule(target=claims, edit_id=edits, steps=st.integers(1, 4))
    def goes_on(self, edit_id: str, steps: int) -> Any:
        claims = [self.do(self._step(edit_id)) for _ in range(steps)]
        return multiple(*[claim for claim in claims if claim is not None])

    async def _step(self, edit_id: str) -> Claim | None:
        place = (await self.core.record(edit_id))["pl"]
        if place == "final":
            return None
        await self.core.pass_time(LEASE.total_seconds() + 1)
        step = "adopt" if place == "submit" else place
        claims = await self.core.claim_submit(10) if step == "queue" else (await self.core.claims(step, 50)).claims
        claim = next((claim for claim in claims if claim.id == edit_id), None)
        if claim is not None:
            await self._right(claim, step)
        return claim

    async def _right(self, claim: Claim, step: str) -> None:
        if step == "poll":
            assert await self.core.complete(claim)
        elif step == "store":
            assert await self.core.succeed(claim)
        else:
            task = f"task-{claim.id}-{claim.attempt}-new{len(self.tasks)}"
            assert await self.core.bought(claim, task) == "taken_over"
            self.tasks.add(task)

    # Claims

    @rule(target=claims, most=st.integers(1, 4))
    def claim_submit(self, most: int) -> Any:
        room = CAP - self._in_flight()
        claims = self.do(self.core.claim_submit(most))
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

    def _in_flight(self) -> int:
        keys = self.do(self.core.dump())
        return sum(len(scores(keys, name)) for name in ("due:submit", "due:adopt", "due:poll", "abandoned"))

    # Facts, at any time, by any claim

    @rule(claim=claims, number=st.integers(1, 3))
    def bought(self, claim: Claim, number: int) -> None:
        task = f"task-{claim.id}-{claim.attempt}-{number}"
        answer = self.do(self.core.bought(claim, task))
        assert (answer == "same") == (task in self.tasks)
        self.tasks.add(task)
        record = self.do(self.core.record(claim.id))
        if answer in {"taken_over", "late"}:
            assert record["ti"] == task
        assert self.do(self.core.counter("bought")) == len(self.tasks)

    # Decisions, fresh or stale

    def decide(self, claim: Claim, decision: Awaitable[bool]) -> bool:
        """A decision under an old fence changes no byte."""
        fresh = self.do(self.core.record(claim.id))["fe"] == str(claim.fence)
        before = self.do(self.core.dump())
        counted: bool = self.do(decision)
        if not counted:
            assert self.do(self.core.dump()) == before
        assert fresh or not counted
        return counted

    @rule(claim=claims)
    def release(self, claim: Claim) -> None:
        self.decide(claim, self.core.release(claim))

    @rule(claim=claims, delay=short)
    def lost(self, claim: Claim, delay: float) -> None:
        self.decide(claim, self.core.outcomes.lost(claim, cause="AnswerLost", delay=delay))

    @rule(claim=claims, delay=st.sampled_from([0.0, 2.0, 30.0, 86_400.0]), started=chances)
    def snooze(self, claim: Claim, delay: float, started: bool) -> None:
        at = moment(self.do(self.core.now())) if started else None
        wait = Wait.PROVIDER_RUN if started else None
        self.decide(claim, self.core.outcomes.snooze(claim, delay=delay, tries=1, started_at=at, wait=wait))

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

    @rule(most=st.integers(1, 3), ended=chances)
    def abandoned(self, most: int, ended: bool) -> None:
        schedule = self.core.schedule
        for task, edit_id in self.do(schedule.claim_abandoned(most, lease=LEASE)):
            assert task in self.tasks
            assert edit_id in task
            change = (
                schedule.settle_abandoned(task, status="failed") if ended else schedule.abandoned_later(task, delay=60)
            )
            self.do(change)


def test_whatever_happens_every_invariant_holds(valkey_port: int):
    Lives.port = valkey_port
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
