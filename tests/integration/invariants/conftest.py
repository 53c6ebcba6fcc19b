"""A small system with edits in many places: real Valkey, real sandbox, a folder as storage, and the checker on it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.doctor import invariants
from edits.db.acceptance import Idempotency
from edits.db.admission import Caps
from edits.invariants import Report, check
from edits.models import EditStatus, Step, new_id
from tests.factories import make_edit
from tests.integration.workers.conftest import open_rounds, settings_with
from tests.integration.workers.rounds import IMAGE, Rounds

__all__ = ["open_rounds", "settings_with"]


@dataclass
class System:
    """Edits by where they are."""

    rounds: Rounds
    queued: str
    submitting: str
    processing: str
    storing: str
    succeeded: str
    failed: str
    canceled: str
    given_up: str
    """Failed as too late; its task runs on."""

    @property
    def redis(self) -> Any:
        return self.rounds.redis

    @property
    def storage(self) -> Any:
        return self.rounds.clients.storage

    def key(self, *parts: str) -> str:
        return self.rounds.key(*parts)

    async def check(self, *, within_redis: bool = False, **options: Any) -> Report:
        if within_redis:
            return await check(self.redis, self.rounds.clients.settings, patience=0)
        return await invariants.check(self.rounds.clients.settings, **{"patience": 0.01, **options})

    async def found(self, rule: str, subject: str, **options: Any) -> str:
        """What the checker says, having found this and nothing else of another rule."""
        report = await self.check(**options)
        broken = {result.rule: result for result in report.broken}
        assert rule in broken, f"{rule} was not found broken:\n{report}"
        said = [example.said for example in broken[rule].examples if subject in example.subject]
        assert said, f"{subject} is not among the examples:\n{report}"
        return "; ".join(said)

    async def task(self, edit_id: str) -> str:
        return (await self.rounds.fields(edit_id))["ti"]


async def accepted(rounds: Rounds, prompt: str = "winter", **changes: Any) -> str:
    edit_id = new_id()
    now = datetime.now(UTC)
    edit = make_edit(id=edit_id, created_at=now, updated_at=now, external_id=f"order-{edit_id[-4:]}", **changes)
    asked = edit.input.model_copy(update={"prompt": prompt, "image": IMAGE, "width": 256, "height": 192, "seed": 7})
    edit = edit.model_copy(update={"input": asked})
    key = Idempotency(key=f"key-{edit_id}", fingerprint="same")
    await rounds.clients.repository.accept(edit, key, Caps(1000))
    return edit_id


@pytest.fixture
async def system(open_rounds: Any) -> AsyncIterator[System]:
    """Nothing in it moves while a test looks."""
    async with open_rounds(RETOUCH_EDITS__DEADLINE="20s") as rounds:
        given_up = await accepted(rounds, "winter [fault:stuck]")
        succeeded = await accepted(rounds)
        failed = await accepted(rounds, "winter [fault:failed]")
        for edit_id in (succeeded, failed, given_up):
            assert (await rounds.finish(edit_id)).status.is_final
        canceled = await accepted(rounds)
        await rounds.clients.repository.cancel(canceled)
        storing = await accepted(rounds)
        await rounds.reach(storing, EditStatus.STORING)
        processing = await accepted(rounds)
        await rounds.reach(processing, EditStatus.PROCESSING)
        submitting = await accepted(rounds)
        await rounds.claim_one(Step.SUBMIT)
        queued = await accepted(rounds)
        while await rounds.run(Step.SWEEP):
            pass
        yield System(rounds, queued, submitting, processing, storing, succeeded, failed, canceled, given_up)
