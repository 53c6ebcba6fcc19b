"""The steps log an edit's events, never its content."""

import pytest
import structlog

from edits.models import EditStatus, Step
from tests.contract import wire
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.rounds import Rounds

MARKER = "a-word-that-must-stay-here"
IMAGE = f"https://example.com/{MARKER}.png?sig={MARKER}"


@pytest.mark.parametrize("fault", ["moderated", "failed", "rejected", "no_address", "wrong_type_html", "gone", "drop"])
async def test_no_log_line_holds_a_prompt_or_an_address(rounds: Rounds, fault: str) -> None:
    edit_id = await rounds.accept(f"{MARKER} [fault:{fault}]", image=IMAGE)
    with structlog.testing.capture_logs() as lines:
        await rounds.finish(edit_id, rounds=20)
    assert lines
    assert MARKER not in repr(lines)


async def test_a_refusal_that_quotes_the_prompt_is_shown_and_not_logged(open_rounds: OpenRounds) -> None:
    said = wire.recorded("refused-400-banned-prompt").replace(b"invalid request", b"refused: a word")
    async with (
        wire.provider(wire.says(said)) as provider,
        open_rounds(RETOUCH_QUBICO__BASE_URL=provider.base_url) as rounds,
    ):
        edit_id = await rounds.accept("a word", image=IMAGE)
        with structlog.testing.capture_logs() as lines:
            await rounds.run(Step.SUBMIT)
        edit = await rounds.edit(edit_id)
    assert edit.status is EditStatus.FAILED
    assert edit.error is not None
    assert "word" in edit.error.message
    assert [line["event"] for line in lines] == ["edit.not_submitted"]
    assert "word" not in repr(lines)
