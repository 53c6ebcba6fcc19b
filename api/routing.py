"""What routes have in common before their own work: a key where one is needed, and no parameter they do not have.

Every endpoint takes the request, the texts of its path and, where the call has parameters, a model of them that has a
default; it makes its answer itself. FastAPI describes it, and reads the parameters where some were sent.
"""

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api import auth
from api.errors import Problem
from api.problem import FieldProblem


class OpenRoute(APIRoute):
    """Needs no key. A misspelt parameter must not pass in silence, so unknown ones are refused."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive, send)
        self.admit(request)
        if scope["query_string"]:
            if not self.dependant.query_params:  # else its own model refuses what it does not know
                raise _unknown(request)
            await super().handle(scope, receive, send)
        else:
            response: Response = await self.endpoint(request, **request.path_params)
            await response(scope, receive, send)

    def admit(self, request: Request) -> None:
        """Raises Problem for whoever may not ask this, before anything else is looked at."""


class KeyRoute(OpenRoute):
    """Needs the operator's key."""

    def admit(self, request: Request) -> None:
        request.state.key_sent_in = auth.check(request)


def _unknown(request: Request) -> Problem:
    message = "this call has no such parameter"
    names = request.query_params or {"": ""}
    faults = [FieldProblem(pointer=f"query:{name}", code="unknown_field", message=message) for name in names]
    return Problem("invalid", f"{faults[0].pointer}: {message}", faults=faults)
