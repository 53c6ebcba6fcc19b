"""The provider's own routes.

Refusals come in this order: outage, edge, key, rate (the body is still unread), body, credit, room, faults.
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from qubico.sandbox import faults, intake, views, wire
from qubico.sandbox.limits import RateLimit
from qubico.sandbox.options import SandboxOptions
from qubico.sandbox.provider import Provider
from qubico.sandbox.wire import BadRequest, Refused

MAX_PAGE_SIZE = 100
HISTORY_NUMBERS = {"page": 1, "page_size": 10, "start_time": 0, "end_time": 0}
COUNTED = {"create": "creates", "read": "gets", "account": "account_reads", "history": "history_reads"}
ProviderRoute = Callable[[Request, Provider], Awaitable[Response]]


def served(operation: str, route: ProviderRoute) -> Callable[[Request], Awaitable[Response]]:
    """Counts calls and answers of an operation, and refuses calls before their body is read."""

    async def answer(request: Request) -> Response:
        provider: Provider = request.app.state.provider
        try:
            _admit(request, provider, operation)
            response = await route(request, provider)
        except Refused as refused:
            response = refused.answer
        if response.status_code == 429 and provider.options.retry_after:
            response.headers["Retry-After"] = str(provider.options.retry_after)
        provider.stats.answers[response.status_code] += 1
        return response

    return answer


async def create(request: Request, provider: Provider) -> Response:
    body = await body_of(request, provider.options.max_body_bytes, beyond="task input too large")
    task = provider.accept(intake.parse(body), base=base_of(request, provider.options))
    if "callback_early" in task.faults:
        await provider.call_back_early(task)
    if lost := task.odd_answer("answer"):
        return lost
    return wire.success(await provider.show(task), status=500 if "failed_create_500" in task.faults else 200)


async def read(request: Request, provider: Provider) -> Response:
    task = provider.ledger.find(request.path_params["task_id"])
    if task is None:
        return wire.error(404, "Task ID not found")
    task.reads += 1
    if odd := task.odd_answer("read"):
        return odd
    status = 500 if task.over(provider.clock.now()) and "failed_500" in task.faults else 200
    code = 0 if "odd_code" in task.faults else 200
    return wire.success(await provider.show(task, reading=True), status=status, code=code)


async def account(_request: Request, provider: Provider) -> Response:
    now, book = provider.clock.now(), provider.ledger
    cap = provider.options.max_concurrent
    return wire.success(views.account(left=book.balance(now), used=book.charged(now), cap=cap))


async def active(_request: Request, provider: Provider) -> Response:
    now = provider.clock.now()
    statuses = [task.status(now) for task in provider.ledger.unended(now)]
    counts = {f"{status}_count": statuses.count(status) for status in ("staged", "pending", "processing")}
    return wire.success({"flux": {**counts, "active_tasks": []}})


async def history(request: Request, provider: Provider) -> Response:
    query = request.query_params
    try:
        asked = {name: int(query.get(name) or default) for name, default in HISTORY_NUMBERS.items()}
    except ValueError:
        raise BadRequest("invalid query parameter") from None
    page, size = asked["page"], asked["page_size"]
    if page < 1 or not 1 <= size <= MAX_PAGE_SIZE:
        raise BadRequest(f"page starts from 1, page_size is 1 to {MAX_PAGE_SIZE}")
    now, options = provider.clock.now(), provider.options
    size = min(size, options.history_page)
    latest = now - options.history_lag
    found = provider.ledger.between(asked["start_time"], min(latest, asked["end_time"] or latest))
    if query.get("model", "") not in ("", "flux"):
        found = []
    rows = [views.history_row(task, now) for task in found[(page - 1) * size : page * size]]
    return wire.success({"data": rows, "page": page, "size": size, "total": len(found)})


def _admit(request: Request, provider: Provider, operation: str) -> None:
    now, stats = provider.clock.now(), provider.stats
    stats.counts[COUNTED[operation]] += 1
    check_caller(request, provider.options, operation)
    limit: RateLimit = provider.creates if operation == "create" else provider.reads
    if not limit.allows(now):
        stats.counts["throttled_creates" if operation == "create" else "throttled_reads"] += 1
        raise Refused(wire.throttled())


def check_outage(options: SandboxOptions, operation: str) -> None:
    """An outage of nothing in particular takes all of the API away, but not the files."""
    away = operation in options.outage_of if options.outage_of else operation != "download"
    if away and options.outage != "none" and (answer := faults.TABLE[options.outage].answer):
        raise Refused(answer())


def check_caller(request: Request, options: SandboxOptions, operation: str) -> None:
    check_outage(options, operation)
    if request.headers.get("user-agent", "").startswith("Python-urllib"):
        raise Refused(PlainTextResponse("error code: 1010", 403))
    key = request.headers.get("x-api-key", "")
    if not key or key not in options.api_key.split(","):
        raise Refused(wire.bad_key())


async def body_of(request: Request, most: int, *, beyond: str) -> bytes:
    """Raises BadRequest with the text `beyond` for a longer body."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise BadRequest(beyond)
    return bytes(body)


def base_of(request: Request, options: SandboxOptions) -> str:
    return (options.public_url or f"{request.url.scheme}://{request.url.netloc}").rstrip("/")


ROUTES = [
    Route("/api/v1/task/{task_id}", served("read", read), methods=["GET"]),
    Route("/api/v1/task", served("create", create), methods=["POST"]),
    Route("/account/info", served("account", account), methods=["GET"]),
    Route("/account/active_tasks", served("account", active), methods=["GET"]),
    Route("/api/open/tasks/histories", served("history", history), methods=["GET"]),
]
