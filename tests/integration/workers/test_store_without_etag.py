"""An edit on an S3 server that sends no `ETag`: its upload is fetched by the provider, and its result is stored."""

import pytest

from edits.models import EditStatus
from edits.storage import layout
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.rounds import picture
from tests.parts.s3 import S3Server, without_etag


async def test_an_edit_with_an_upload_succeeds(
    open_rounds: OpenRounds, s3_server: S3Server, bucket_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with without_etag(s3_server) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        async with open_rounds(RETOUCH_STORAGE_URL=bucket_url) as rounds:
            rounds.sandbox.options(paint="small")
            edit_id = await rounds.accept("sepia", upload="input.png")
            await rounds.clients.storage.put(layout.input_key(edit_id, "png"), picture(), content_type="image/png")
            edit = await rounds.finish(edit_id)
            assert edit.status is EditStatus.SUCCEEDED
            assert await rounds.files(edit_id) == ["input.png", "manifest.json", "result.png"]
