"""Check of the object storage: a small object is written, read and deleted."""

import time
from datetime import timedelta

from cli.doctor.results import ANSWER_WITHIN, Result, fail, ok
from config.settings import Settings
from edits.storage.backends import StorageError
from edits.storage.links import Links
from edits.storage.store import Storage


async def storage(settings: Settings) -> list[Result]:
    secret = settings.secret_key.get_secret_value() if settings.secret_key else ""
    began = time.monotonic()
    try:
        opened = Storage(
            settings.storage_url,
            links=Links(secret),
            public_url=settings.public_url,
            patience=timedelta(seconds=ANSWER_WITHIN),
        )
        await opened.check()
    except StorageError as exc:
        do = "correct RETOUCH_STORAGE_URL, or allow its keys to write, read and delete; finished tasks wait"
        return [fail("storage", f"{settings.storage_url}: {exc}", do)]
    took = (time.monotonic() - began) * 1000
    said = f"{settings.storage_url}: written, read and deleted in {took:.0f} ms"
    if settings.storage_url.startswith("file:") and not settings.storage_shared:
        said += " (a folder of this machine: every process must run here)"
    return [ok("storage", said)]
