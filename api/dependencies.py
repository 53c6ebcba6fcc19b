"""What routes share: the parts of this process, opened once at start, the check for unknown parameters, and answers."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.responses import Response

from api.errors import invalid
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


def as_json(view: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """FastAPI would validate the view again before it writes it."""
    return Response(view.model_dump_json(), status, headers, "application/json")


async def known_parameters(request: Request) -> None:
    """Raises Problem invalid for a parameter that the route does not have: a misspelt one must not be ignored."""
    route = request.scope["route"]
    if request.scope["query_string"] and isinstance(route, APIRoute):
        known: set[str] = set()
        for parameter in route.dependant.query_params:  # one, or a model of several
            known |= getattr(parameter.field_info.annotation, "model_fields", {parameter.alias: None}).keys()
        unknown = [name for name in request.query_params if name not in known]
        if unknown:
            raise invalid(*((f"query:{name}", "unknown_field", "this call has no such parameter") for name in unknown))
