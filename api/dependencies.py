"""What routes are given: the parts of this process, opened once when it starts."""

from dataclasses import dataclass

from fastapi import Request

from api.live import Live
from api.schemas.views import Views
from config.settings import Settings
from edits.db.admission import Admission
from edits.db.repository import EditRepository
from edits.service import EditService
from edits.storage.links import Links
from edits.storage.store import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    settings: Settings
    repository: EditRepository
    storage: Storage
    links: Links
    admission: Admission
    service: EditService
    live: Live
    views: Views


def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts
