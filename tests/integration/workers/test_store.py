"""Store: only checked files are stored, the manifest comes last, and a failed copy never buys again."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edits.models import CostState, EditError, EditStatus, ErrorKind, Step, Wait
from edits.storage import layout, manifest
from tests.factories import make_result
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.rounds import Rounds, picture
from tests.unit.edits.samples import open_fully
from workers.circuits import IN_A_ROW


async def completed(rounds: Rounds, prompt: str = "winter") -> str:
    """An edit whose task is done and whose file is to be copied."""
    edit_id = await rounds.accept(prompt)
    await rounds.run(Step.SUBMIT)
    await rounds.wait(7)
    await rounds.run(Step.POLL)
    assert (await rounds.place(edit_id)).name == "store"
    return edit_id


async def stored(rounds: Rounds, edit_id: str) -> float:
    """Copies when it is due; returns in how many seconds it is due again."""
    await rounds.wait(max(0.0, (await rounds.place(edit_id)).due) + 0.01)
    assert await rounds.run(Step.STORE) == [edit_id]
    place = await rounds.place(edit_id)
    return place.after if place.name == "store" else 0.0


async def is_told_in_full(rounds: Rounds, edit_id: str) -> None:
    """The manifest says what the record says, to the last event."""
    edit = await rounds.edit(edit_id)
    found = manifest.read(await rounds.clients.storage.get(layout.manifest_key(edit_id)))
    assert found is not None
    told, timeline = found
    assert told.model_copy(update={"updated_at": edit.updated_at}) == edit
    assert timeline == await rounds.clients.claims.timeline(edit_id)
    assert timeline[-1].type == edit.status


@pytest.mark.parametrize(
    ("kind", "extension", "content_type"),
    [("png", "png", "image/png"), ("jpg", "jpg", "image/jpeg"), ("webp", "webp", "image/webp")],
)
async def test_a_result_is_kept_with_its_type_hash_and_size(
    kind: str, extension: str, content_type: str, rounds: Rounds
) -> None:
    rounds.sandbox.options(paint="small", next_faults={} if kind == "png" else {kind: 1})
    edit_id = await completed(rounds)
    await rounds.run(Step.STORE)
    edit = await rounds.edit(edit_id)
    assert (edit.status, edit.cost_state) == (EditStatus.SUCCEEDED, CostState.CHARGED)
    result = edit.result
    assert result is not None
    assert result.key == layout.result_key(edit_id, 1, extension)
    data = await rounds.clients.storage.get(result.key)
    info = open_fully(data)
    assert (result.bytes, result.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (result.content_type, result.width, result.height) == (content_type, info.width, info.height)
    assert info.content_type == content_type
    assert (await rounds.place(edit_id)).name == "final"
    assert (await rounds.waits(edit_id))[-1] == Wait.COPY
    assert "addr" not in await rounds.texts(edit_id)


async def test_the_manifest_tells_the_whole_edit_and_comes_last(rounds: Rounds, tmp_path: Path) -> None:
    edit_id = await completed(rounds)
    await rounds.run(Step.STORE)
    assert await rounds.files(edit_id) == ["manifest.json", "result.png"]
    await is_told_in_full(rounds, edit_id)
    folder = tmp_path / "objects" / layout.edit_folder(edit_id)
    written = {name: (folder / name).stat().st_mtime_ns for name in ("manifest.json", "result.png")}
    assert written["manifest.json"] >= written["result.png"]


async def test_a_copy_cut_off_before_its_commit_is_not_downloaded_again(rounds: Rounds) -> None:
    edit_id = await completed(rounds)
    late, lease = await rounds.claim_one(Step.STORE)
    await rounds.wait(121)
    claim, its_lease = await rounds.claim_one(Step.STORE)
    await rounds.work[Step.STORE].work(late, lease)  # wrote the manifest, and its commit counts for nothing
    assert await rounds.files(edit_id) == ["manifest.json", "result.png"]
    assert (await rounds.edit(edit_id)).status is EditStatus.STORING
    await rounds.work[Step.STORE].work(claim, its_lease)
    assert (await rounds.edit(edit_id)).status is EditStatus.SUCCEEDED
    assert rounds.sandbox.stats()["downloads"] == 1
    await is_told_in_full(rounds, edit_id)


async def test_a_file_without_its_manifest_is_downloaded_again(rounds: Rounds) -> None:
    edit_id = await completed(rounds)
    key = layout.result_key(edit_id, 1, "png")
    await rounds.clients.storage.put(key, b"half a pict", content_type="image/png")
    await rounds.run(Step.STORE)
    edit = await rounds.edit(edit_id)
    assert edit.result is not None
    data = await rounds.clients.storage.get(key)
    assert hashlib.sha256(data).hexdigest() == edit.result.sha256


async def test_a_manifest_whose_file_is_gone_is_not_believed(rounds: Rounds) -> None:
    edit_id = await completed(rounds)
    late, lease = await rounds.claim_one(Step.STORE)
    await rounds.wait(121)
    claim, its_lease = await rounds.claim_one(Step.STORE)
    await rounds.work[Step.STORE].work(late, lease)
    await rounds.clients.storage.delete([layout.result_key(edit_id, 1, "png")])
    await rounds.work[Step.STORE].work(claim, its_lease)
    assert (await rounds.edit(edit_id)).status is EditStatus.SUCCEEDED
    assert await rounds.files(edit_id) == ["manifest.json", "result.png"]


async def test_a_manifest_of_a_later_attempt_puts_its_edit_off_and_holds_up_no_other(rounds: Rounds) -> None:
    """Redis was set back, and the storage works."""
    edit_id, other = await completed(rounds), await completed(rounds)
    edit = (await rounds.edit(edit_id)).model_copy(update={"attempt": 2, "result": make_result(edit_id, attempt=2)})
    name = layout.manifest_key(edit_id)
    await rounds.clients.storage.put(name, manifest.compose(edit, []), content_type="application/json")
    claims, lease = await rounds.claim(Step.STORE)
    (claim,) = [claim for claim in claims.claims if claim.id == edit_id]
    for _ in range(IN_A_ROW):
        await rounds.work[Step.STORE].work(claim, lease)
    assert (await rounds.edit(edit_id)).status is EditStatus.STORING
    assert (await rounds.place(edit_id)).due < rounds.work[Step.STORE].lease.total_seconds()
    assert await rounds.clients.repository.outages() == {}
    assert (await rounds.finish(other)).status is EditStatus.SUCCEEDED


async def test_a_manifest_of_an_attempt_before_is_not_taken_for_this_one(rounds: Rounds) -> None:
    edit_id = await completed(rounds)
    late, lease = await rounds.claim_one(Step.STORE)
    await rounds.wait(121)
    claim, _ = await rounds.claim_one(Step.STORE)
    error = EditError(kind=ErrorKind.RESULT_INVALID, message="the file was refused", retryable=True)
    assert await rounds.clients.outcomes.fail(claim, error, cost=CostState.CHARGED)
    await rounds.work[Step.STORE].work(late, lease)
    await rounds.clients.repository.retry(edit_id)
    edit = await rounds.finish(edit_id)
    assert (edit.status, edit.tasks_bought) == (EditStatus.SUCCEEDED, 2)
    assert edit.result is not None
    assert edit.result.key == layout.result_key(edit_id, 2, "png")
    assert rounds.sandbox.stats()["downloads"] == 2


@pytest.mark.parametrize("fault", ["truncated", "wrong_type", "huge"])
async def test_a_file_that_is_no_acceptable_picture_is_refused_and_leaves_nothing(fault: str, rounds: Rounds) -> None:
    edit_id = await completed(rounds, f"winter [fault:{fault}]")
    await rounds.run(Step.STORE)
    edit = await rounds.edit(edit_id)
    assert edit.error is not None
    assert (edit.error.kind, edit.error.retryable) == (ErrorKind.RESULT_INVALID, True)
    assert edit.cost_state is CostState.CHARGED
    assert await rounds.files(edit_id) == []
    assert rounds.bought() == 1


async def test_the_cap_on_results_is_the_settings(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_EDITS__MAX_RESULT_BYTES="3900") as rounds:
        edit_id = await completed(rounds)
        await rounds.run(Step.STORE)
        error = (await rounds.edit(edit_id)).error
        assert error is not None
        assert error.kind is ErrorKind.RESULT_INVALID
        assert await rounds.files(edit_id) == []


@pytest.mark.parametrize("fault", ["gone", "wrong_type_html"])
async def test_a_file_that_is_gone_is_tried_for_with_fresh_addresses_and_given_up(fault: str, rounds: Rounds) -> None:
    edit_id = await completed(rounds, f"winter [fault:{fault}]")
    reads = rounds.sandbox.stats()["gets"]
    gaps = [await stored(rounds, edit_id) for _ in range(6)]
    assert gaps == pytest.approx([4, 8, 16, 32, 60, 0], abs=0.01)
    assert rounds.sandbox.stats()["gets"] == reads + 5
    error = (await rounds.edit(edit_id)).error
    assert error is not None
    assert error.kind is ErrorKind.RESULT_UNAVAILABLE
    assert await rounds.files(edit_id) == []


async def test_trouble_on_the_way_does_not_use_up_the_patience_with_a_missing_file(rounds: Rounds) -> None:
    edit_id = await completed(rounds, "winter [fault:file_503=8]")
    for _ in range(8):
        await stored(rounds, edit_id)
    rounds.sandbox.options(result_lifetime=0)
    assert await stored(rounds, edit_id) == pytest.approx(4, abs=0.01)
    rounds.sandbox.options(result_lifetime=1e6)
    await stored(rounds, edit_id)
    assert (await rounds.edit(edit_id)).status is EditStatus.SUCCEEDED


async def test_trouble_of_the_file_host_is_waited_out_until_the_file_is_deleted(rounds: Rounds) -> None:
    rounds.sandbox.options(result_lifetime=1e9)
    edit_id = await completed(rounds, "winter [fault:file_503=100000]")
    gaps = [await stored(rounds, edit_id) for _ in range(12)]
    assert gaps[:4] == pytest.approx([1, 2, 4, 8], abs=0.01)
    assert gaps[-1] == pytest.approx(300, abs=0.01)
    assert (await rounds.edit(edit_id)).status is EditStatus.STORING
    await rounds.wait(3 * 86_400)
    await rounds.run(Step.STORE)
    edit = await rounds.edit(edit_id)
    assert edit.error is not None
    assert (edit.error.kind, rounds.bought()) == (ErrorKind.RESULT_UNAVAILABLE, 1)


async def test_a_redirect_to_another_host_is_not_followed(rounds: Rounds) -> None:
    edit_id = await completed(rounds, "winter [fault:redirect]")
    await rounds.run(Step.STORE)
    error = (await rounds.edit(edit_id)).error
    assert error is not None
    assert error.kind is ErrorKind.RESULT_UNAVAILABLE
    assert rounds.sandbox.stats()["downloads"] == 1  # the other name leads to the same server


async def test_a_download_cut_off_is_begun_again(rounds: Rounds) -> None:
    edit_id = await completed(rounds, "winter [fault:cut]")
    assert await stored(rounds, edit_id) == pytest.approx(1, abs=0.01)
    assert await rounds.files(edit_id) == []
    await stored(rounds, edit_id)
    assert (await rounds.edit(edit_id)).status is EditStatus.SUCCEEDED


async def test_a_storage_that_cannot_be_used_is_waited_for(rounds: Rounds, tmp_path: Path) -> None:
    edit_id = await completed(rounds)
    folder, aside = tmp_path / "objects", tmp_path / "aside"
    folder.rename(aside)
    folder.write_text("no folder")
    gaps = [await stored(rounds, edit_id) for _ in range(3)]
    assert gaps == pytest.approx([1, 2, 4], abs=0.01)
    assert (await rounds.edit(edit_id)).status is EditStatus.STORING
    folder.unlink()
    aside.rename(folder)
    await stored(rounds, edit_id)
    assert (await rounds.edit(edit_id)).status is EditStatus.SUCCEEDED
    assert rounds.bought() == 1


async def test_a_retry_after_a_refused_file_buys_into_a_folder_of_its_own(rounds: Rounds) -> None:
    rounds.sandbox.options(next_faults={"truncated": 1})
    edit_id = await completed(rounds)
    await rounds.run(Step.STORE)
    assert (await rounds.edit(edit_id)).error
    edit = await rounds.clients.repository.retry(edit_id)
    assert (edit.status, edit.attempt) == (EditStatus.QUEUED, 2)
    edit = await rounds.finish(edit_id)
    assert (edit.status, edit.tasks_bought, rounds.bought()) == (EditStatus.SUCCEEDED, 2, 2)
    assert await rounds.files(edit_id) == ["2/result.png", "manifest.json"]


async def test_a_retry_of_a_file_that_was_gone_takes_it_if_it_is_back(rounds: Rounds) -> None:
    edit_id = await completed(rounds)
    rounds.sandbox.options(result_lifetime=0)
    edit = await rounds.finish(edit_id)
    assert edit.error is not None
    assert edit.error.kind is ErrorKind.RESULT_UNAVAILABLE
    rounds.sandbox.options(result_lifetime=1e6)
    await rounds.clients.repository.retry(edit_id)
    edit = await rounds.finish(edit_id)
    assert (edit.status, edit.attempt, rounds.bought()) == (EditStatus.SUCCEEDED, 2, 1)
    assert edit.result is not None
    assert edit.result.key == layout.result_key(edit_id, 2, "png")
    await is_told_in_full(rounds, edit_id)


async def test_a_retry_of_a_file_that_stays_gone_buys_anew(rounds: Rounds) -> None:
    edit_id = await completed(rounds, "winter [fault:gone]")
    await rounds.finish(edit_id)
    await rounds.clients.repository.retry(edit_id)
    await rounds.reach(edit_id, EditStatus.QUEUED)
    await rounds.finish(edit_id)
    assert (rounds.bought(), (await rounds.edit(edit_id)).attempt) == (2, 2)


@pytest.fixture
async def on_s3(
    open_rounds: OpenRounds, s3_url: str, s3_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rounds]:
    for name, value in s3_env.items():
        monkeypatch.setenv(name, value)
    async with open_rounds(RETOUCH_STORAGE_URL=s3_url) as rounds:
        yield rounds


async def test_on_s3_an_upload_is_fetched_by_the_provider_and_its_result_kept(on_s3: Rounds) -> None:
    on_s3.sandbox.options(paint="small")
    edit_id = await on_s3.accept("sepia", upload="input.png")
    await on_s3.clients.storage.put(layout.input_key(edit_id, "png"), picture(), content_type="image/png")
    edit = await on_s3.finish(edit_id)
    assert edit.status is EditStatus.SUCCEEDED, edit.error
    assert await on_s3.files(edit_id) == ["input.png", "manifest.json", "result.png"]
    assert edit.result is not None
    data = await on_s3.clients.storage.get(edit.result.key)
    assert hashlib.sha256(data).hexdigest() == edit.result.sha256
    await is_told_in_full(on_s3, edit_id)
