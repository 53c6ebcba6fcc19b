"""What comes to edits from outside, as rules: people, the provider's troubles, time, and a Valkey that comes back."""

import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule

from edits import errors
from edits.db.acceptance import Idempotency, LeftRedis
from edits.models import Priority, Step
from edits.recovery.restoring import Restoring
from tests.factories import MOMENT
from tests.integration.edits.core import LEASE, moment, raw
from tests.integration.edits.world import World

chances = st.booleans()
tenants = st.sampled_from(["a", "b"])


class Outside(RuleBasedStateMachine):
    """`edits` are kept also after they have left."""

    port = 0
    edits = Bundle("edits")

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.port)
        self.core = self.world.core
        self.do = self.world.do
        self.record = self.world.record

    def teardown(self) -> None:
        try:
            self.world.hold()
            self.world.what_has_ended_leaves()
        finally:
            self.world.close()

    def queued(self, **changes: Any) -> str:
        return str(self.do(self.core.queued(id=self.world.new_id(), **changes)))

    @initialize(target=edits)
    def some_wait(self) -> Any:
        return multiple(*[self.queued() for _ in range(3)])

    @rule(target=edits, priority=st.sampled_from(list(Priority)), tenant=tenants, expires=chances)
    def accept(self, priority: Priority, tenant: str, expires: bool) -> str:
        expires_at = moment(MOMENT.timestamp() * 1000 + 60_000) if expires else None
        return self.queued(priority=priority, tenant=tenant, expires_at=expires_at)

    @rule(target=edits, tenant=tenants, key=st.sampled_from(["one", "two"]))
    def accept_with_a_key(self, tenant: str, key: str) -> Any:
        known = self.do(self.core.redis.get(self.core.key("idem", tenant, key)))
        edit_id = self.world.new_id()
        taking = self.core.accept(id=edit_id, tenant=tenant, key=Idempotency(key=key, fingerprint="same"))
        try:
            accepted = self.do(taking)
        except LeftRedis:
            assert not self.record(json.loads(known)["id"])
        else:
            assert accepted.replayed == bool(known)
            assert (accepted.edit.id in known) if known else (accepted.edit.id == edit_id)
        return multiple() if known else edit_id

    @rule(edit_id=edits)
    def cancel(self, edit_id: str) -> None:
        before = self.record(edit_id).get("st")
        try:
            assert self.do(self.core.repository.cancel(edit_id)).status == "canceled"
        except errors.TooLate:
            assert before not in {"queued", "canceled", None}
        except errors.NotFound:
            assert before is None

    @rule(edit_id=edits)
    def retry(self, edit_id: str) -> None:
        before = self.record(edit_id)
        try:
            edit = self.do(self.core.repository.retry(edit_id))
        except errors.NotFinished:
            assert before["st"] not in {"failed", "succeeded", "canceled"}
        except errors.TooLate:
            assert before["st"] in {"succeeded", "canceled"}
        except errors.NotFound:
            assert not before
        else:
            assert before["st"] == "failed"
            assert edit.attempt == int(before["at"]) + 1

    @rule(edit_id=edits, known=chances)
    def nudge(self, edit_id: str, known: bool) -> None:
        record = self.record(edit_id)
        task = record.get("ti", "task-unknown") if known else "task-foreign"
        self.do(self.core.repository.nudge(edit_id, attempt=1, task_id=task))
        assert self.record(edit_id).get("st") == record.get("st")

    @rule(seconds=st.sampled_from([0.3, 5.0, 41.0, 61.0, -20.0, -90_000.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(seconds=st.sampled_from([20.0, -20.0, 3600.0, -3600.0]))
    def the_servers_clock_jumps(self, seconds: float) -> None:
        before = self.do(self.core.scripts.run(raw("purge"), op="claim", nonce="clock", lease=0))
        self.world.jump(seconds)
        assert self.do(self.core.scripts.run(raw("purge"), op="claim", nonce="clock", lease=0)) == before

    @rule()
    def valkey_restarts(self) -> None:
        self.world.restart()

    @rule()
    def a_worker_says_that_it_lives(self) -> None:
        self.do(self.core.process.registry.heartbeat(list(Step)))
        self.world.whole_again()

    @rule(lost=edits)
    def it_is_found_out_what_was_bought(self, lost: str) -> None:
        """What cannot be told is given up, and then all that was queued may be bought again."""
        restoring = Restoring(self.core.redis, self.core.namespace, self.core.scripts, "restorer")
        doubt = self.do(restoring.claim(lease=LEASE))
        if doubt is None:
            return
        queued = self.record(lost).get("st") == "queued"
        assert self.do(restoring.give_up(lost, "It may have been bought.")) == queued
        assert self.do(restoring.open(doubt))
        self.world.whole_again()

    @rule(most=st.integers(1, 3))
    def what_has_ended_leaves(self, most: int) -> None:
        self.do(self.core.scripts.run(raw("evict"), k=most, hot=0, later=60_000))

    @rule(blocked=chances)
    def refused_for_a_while(self, blocked: bool) -> None:
        limiter = self.core.limiter
        self.do(limiter.block("no credit") if blocked else limiter.open("create"))
        assert self.do(self.core.claim_submit(1)) == []
        self.world.pass_time(61)
        self.do(limiter.unblock())
        self.do(limiter.close("create"))

    @rule(
        operation=st.sampled_from(["create", "read", "download", "storage"]),
        ago=st.sampled_from([0.0, 7.0]),
        over=chances,
    )
    def an_operation_does_not_work(self, operation: Any, ago: float, over: bool) -> None:
        limiter = self.core.limiter
        self.do(limiter.open(operation, ago=ago))
        self.world.pass_time(31)
        if over:
            self.do(limiter.close(operation))
            self.world.pass_time(11)  # its rate has climbed back
