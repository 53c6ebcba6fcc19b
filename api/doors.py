"""What routes have in common before their own work: a key where one is needed, and no parameter they do not have."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from api import auth
from api.errors import Problem
from api.schemas import FieldProblem

Answering = Callable[[Request], Coroutine[Any, Any, Response]]


class OpenRoute(APIRoute):
    """Needs no key. A misspelt parameter must not pass in silence, so unknown ones are refused."""

    def get_route_handler(self) -> Answering:
        answer = super().get_route_handler()
        if self.dependant.query_params:
            return answer  # its own model refuses what it does not know

        async def without_parameters(request: Request) -> Response:
            if request.scope["query_string"]:
                raise _unknown(request)
            return await answer(request)

        return without_parameters


class KeyRoute(OpenRoute):
    """Needs the operator's key, before anything else is looked at."""

    def get_route_handler(self) -> Answering:
        answer = super().get_route_handler()

        async def with_key(request: Request) -> Response:
            request.state.key_sent_in = auth.check(request)
            return await answer(request)

        return with_key


def _unknown(request: Request) -> Problem:
    message = "this call has no such parameter"
    names = request.query_params or {"": ""}
    faults = [FieldProblem(pointer=f"query:{name}", code="unknown_field", message=message) for name in names]
    return Problem("invalid", f"{faults[0].pointer}: {message}", faults=faults)
