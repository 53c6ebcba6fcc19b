"""A secret is rotated: earlier links stay valid, and new ones need the new secret alone."""

from collections.abc import Callable
from dataclasses import dataclass

import httpx

from edits.attempts import Attempt, Tokens
from tests.integration.api.conftest import SECRET, Api
from tests.integration.api.progress import Progress, png, progress_of

NEW = "the-secret-after-the-rotation-32-bytes"
NEWER = "the-secret-after-the-next-one-32-bytes"


@dataclass(frozen=True)
class HandedOut:
    """What one API gave to the outside: a place in a list, a link to a file, and the name of an attempt."""

    cursor: str
    link: str
    callback: str

    @classmethod
    def by(cls, api: Api, edit_id: str, secret: str) -> "HandedOut":
        page = api.client.get("/v1/edits?limit=1").json()
        link = api.client.get(f"/v1/edits/{edit_id}/result?redirect=false").json()["url"]
        token = Tokens("retouch", secret).sign(Attempt(edit_id, 1))
        return cls(page["next_cursor"], link.removeprefix(api.url), token)

    def opened(self, api: Api) -> tuple[int, int, int]:
        body = {"timestamp": 1, "data": {"task_id": "task-1", "status": "completed"}}
        with httpx.Client(base_url=api.url, timeout=90, trust_env=False) as stranger:
            return (
                api.client.get(f"/v1/edits?limit=1&cursor={self.cursor}").status_code,
                stranger.get(self.link).status_code,
                stranger.post(f"/v1/callbacks/qubico/{self.callback}", json=body).status_code,
            )


ALL = (200, 200, 200)
NONE = (400, 404, 404)


async def test_a_rotation_breaks_nothing_that_is_outside(start_api: Callable[..., Api]) -> None:
    before = start_api()
    before.accept()
    before.accept()
    async with progress_of(before.settings) as progress:
        edit_id = await finished(progress)
    old = HandedOut.by(before, edit_id, SECRET)
    assert old.opened(before) == ALL

    during = start_api(RETOUCH_SECRET_KEY=NEW, RETOUCH_SECRET_KEY_PREVIOUS=SECRET)
    assert old.opened(during) == ALL
    new = HandedOut.by(during, edit_id, NEW)

    after = start_api(RETOUCH_SECRET_KEY=NEW)
    assert new.opened(after) == ALL, "what the rotated system hands out is signed with the new secret"
    assert old.opened(after) == NONE

    next_one = start_api(RETOUCH_SECRET_KEY=NEWER, RETOUCH_SECRET_KEY_PREVIOUS=NEW)
    assert new.opened(next_one) == ALL
    assert old.opened(next_one) == NONE, "a secret is believed for one rotation"


async def test_processes_of_both_secrets_work_side_by_side_while_they_are_restarted(
    start_api: Callable[..., Api],
) -> None:
    """Give every process the new secret as the previous one first, then swap the two: nobody is ever turned away."""
    still_old = start_api(RETOUCH_SECRET_KEY=SECRET, RETOUCH_SECRET_KEY_PREVIOUS=NEW)
    swapped = start_api(RETOUCH_SECRET_KEY=NEW, RETOUCH_SECRET_KEY_PREVIOUS=SECRET)
    still_old.accept()
    swapped.accept()
    async with progress_of(swapped.settings) as progress:
        edit_id = await finished(progress)
    assert HandedOut.by(still_old, edit_id, SECRET).opened(swapped) == ALL
    assert HandedOut.by(swapped, edit_id, NEW).opened(still_old) == ALL


async def finished(progress: Progress) -> str:
    return await progress.succeeded(png())
