"""What routes have in common before their own work: a key where one is needed, and no parameter they do not have."""

import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, get_args, get_origin

from fastapi import Request, params
from fastapi.routing import APIRoute
from starlette.responses import Response

from api import auth
from api.dependencies import Served
from api.errors import Problem
from api.schemas import FieldProblem

Answering = Callable[[Request], Coroutine[Any, Any, Response]]
Given = Callable[[Request], Any]


class OpenRoute(APIRoute):
    """Needs no key. A misspelt parameter must not pass in silence, so unknown ones are refused."""

    def get_route_handler(self) -> Answering:
        answer = super().get_route_handler()
        knows_parameters = bool(self.dependant.query_params)  # then its own model refuses what it does not know
        straight = _straight(self.endpoint)

        async def with_known_parameters(request: Request) -> Response:
            if not request.scope["query_string"]:
                return await (straight or answer)(request)
            if not knows_parameters:
                raise _unknown(request)
            return await answer(request)

        return with_known_parameters


class KeyRoute(OpenRoute):
    """Needs the operator's key, before anything else is looked at."""

    def get_route_handler(self) -> Answering:
        answer = super().get_route_handler()

        async def with_key(request: Request) -> Response:
            request.state.key_sent_in = auth.check(request)
            return await answer(request)

        return with_key


def _straight(endpoint: Callable[..., Any]) -> Answering | None:
    """The endpoint without FastAPI's search for its arguments, which takes as long as accepting an edit does.

    Only for an endpoint that takes nothing but the request, the parts, texts of its path and a model of parameters that
    may all be left out, and that makes its answer itself; None for any other.
    """
    signature = inspect.signature(endpoint, eval_str=True)
    given = {name: _given(name, parameter.annotation) for name, parameter in signature.parameters.items()}
    if signature.return_annotation is not Response or not all(given.values()):
        return None
    found: Mapping[str, Given] = {name: how for name, how in given.items() if how is not None}

    async def answer(request: Request) -> Response:
        answered: Response = await endpoint(**{name: how(request) for name, how in found.items()})
        return answered

    return answer


def _given(name: str, annotation: Any) -> Given | None:
    if annotation is Request:
        return lambda request: request
    if annotation == Served:
        return lambda request: request.app.state.parts
    if annotation is str:
        return lambda request: request.path_params[name]
    if get_origin(annotation) is Annotated:
        model, how = get_args(annotation)
        if isinstance(how, params.Query) and not any(field.is_required() for field in model.model_fields.values()):
            return lambda _request: model()
    return None


def _unknown(request: Request) -> Problem:
    message = "this call has no such parameter"
    names = request.query_params or {"": ""}
    faults = [FieldProblem(pointer=f"query:{name}", code="unknown_field", message=message) for name in names]
    return Problem("invalid", f"{faults[0].pointer}: {message}", faults=faults)
