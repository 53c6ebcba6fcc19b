"""The provider's own routes.

Refusals come in this order: outage, edge, key, rate (the body is still unread), body, credit, room, faults.
"""

from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from qubico.sandbox import faults, intake, wire
from qubico.sandbox.clock import go_time
from qubico.sandbox.connection import Dropped, Hanging
from qubico.sandbox.options import SandboxOptions
from qubico.sandbox.provider import Provider
from qubico.sandbox.tasks import UNITS_PER_USD, Task

MAX_PAGE_SIZE = 100
HISTORY_NUMBERS = {"page": 1, "page_size": 10, "start_time": 0, "end_time": 0}
UNLIMITED_TASKS = 1_000_000
ProviderRoute = Callable[[Request, Provider], Awaitable[Response]]

NOT_ACCEPTED: dict[str, Callable[[SandboxOptions], Response]] = {
    "rejected": lambda _options: wire.error(400, "invalid input image"),
    "throttled": lambda options: wire.throttled(options.retry_after),
    "no_credit": lambda _options: wire.error(402, "insufficient credits"),
    "no_credit_400": lambda _options: wire.error(400, "insufficient credits"),
    "no_credit_500": lambda _options: wire.error(500, "insufficient credits"),
    "bad_key": lambda _options: wire.bad_key(),
    "refuse_503": lambda _options: wire.html(503),
    "drop_before": lambda _options: Dropped(),
}
NOT_ANSWERED: dict[str, Callable[[], Response]] = {
    "drop": Dropped,
    "hang": Hanging,
    "html_502": lambda: wire.html(502),
}
OUTAGES: dict[str, Callable[[], Response]] = {
    "refuse_503": lambda: wire.html(503),
    "drop": Dropped,
    "hang": Hanging,
}
READS = {"gets": "read", "account_reads": "account", "history_reads": "history"}
"""Operations by the name under which they are counted."""


def counted(route: ProviderRoute) -> Callable[[Request], Awaitable[Response]]:
    """Passes the provider to the route and counts the status; cut connections count as 0."""

    @wraps(route)
    async def answer(request: Request) -> Response:
        provider: Provider = request.app.state.provider
        response = await route(request, provider)
        cut = isinstance(response, Dropped | Hanging)
        provider.stats.answers[0 if cut else response.status_code] += 1
        return response

    return answer


@counted
async def create(request: Request, provider: Provider) -> Response:
    now, options = provider.clock.now(), provider.options
    provider.stats.create_arrived(now)
    if refused := at_the_door(request, options, "create"):
        return refused
    if not provider.creates.allows(now):
        provider.stats.counts["throttled_creates"] += 1
        return wire.throttled(options.retry_after)
    body = await body_of(request, options.max_body_bytes)
    if body is None:
        return wire.error(400, "task input too large")
    try:
        order = intake.parse(body)
        faults.in_prompt(order.prompt)
    except (intake.BadRequest, faults.UnknownFault) as exc:
        return wire.error(400, str(exc))
    return await _sell(provider, order, base=options.public_url or f"{request.url.scheme}://{request.url.netloc}")


async def _sell(provider: Provider, order: intake.Order, *, base: str) -> Response:
    now, options = provider.clock.now(), provider.options
    if provider.balance(now) < provider.options.price:
        return wire.error(402, "insufficient credits")
    staged_until = provider.room(now)
    if staged_until is None:
        provider.stats.counts["throttled_creates"] += 1
        return wire.throttled(options.retry_after)
    drawn = provider.faults.draw(order.prompt, seed=order.seed, rates=options.fault_rates)
    if name := faults.refusing(drawn):
        return NOT_ACCEPTED[name](options)
    task = provider.accept(order, now=now, staged_until=staged_until, base=base.rstrip("/"), faults=drawn)
    if task.has("callback_early") and provider.callbacks.wanted(task):
        await provider.callbacks.send_early(task, await provider.show(task, now, claim="completed"))
    return await _accepted(provider, task, now)


async def _accepted(provider: Provider, task: Task, now: float) -> Response:
    for name, lose in NOT_ANSWERED.items():
        if task.has(name):
            return lose()
    data = await provider.show(task, now)
    return wire.success(data, status=500 if task.has("failed_create_500") else 200)


@counted
async def read(request: Request, provider: Provider) -> Response:
    if refused := _before_reading(request, provider, "gets"):
        return refused
    now = provider.clock.now()
    task = provider.ledger.by_id(request.path_params["task_id"])
    if task is None:
        return wire.error(404, "Task ID not found")
    task.reads += 1
    if task.spend("not_visible_once"):
        return wire.error(404, "Task ID not found")
    if task.spend("get_429_once"):
        return wire.throttled(provider.options.retry_after)
    if task.spend("get_500_once"):
        return wire.error(500, "internal server error")
    over = task.over(now)
    if over and task.seen is None:
        task.seen = now
    status = 500 if over and task.has("failed_500") else 200
    return wire.success(
        await provider.show(task, now, reading=True), status=status, code=0 if task.has("odd_code") else 200
    )


@counted
async def account(request: Request, provider: Provider) -> Response:
    if refused := _before_reading(request, provider, "account_reads"):
        return refused
    now = provider.clock.now()
    left = provider.balance(now)
    used = provider.ledger.charged(now, refund_failed=provider.options.refund_failed)
    cap = provider.options.max_concurrent or UNLIMITED_TASKS
    data = {
        "id": 1,
        "name": "sandbox",
        "account_id": 1,
        "account_name": "sandbox",
        "plan": "sandbox",
        "type": "sandbox",
        "is_enable": True,
        "is_verified": True,
        "equivalent_in_usd": left / UNITS_PER_USD,
        "max_concurrent_task_count": cap,
        "max_image_toolkit_concurrency": cap,
        "notification_hook_url": "",
        "credit_pack_info": {
            "available_credits": left,
            "used_credits": used,
            "total_credits": left + used,
            "frozen_credits": 0,
            "expired_credits": 0,
            "inactive_credits": 0,
            "credit_packs_count": 1,
            "credit_packs": [{"id": 1, "active": True, "capacity": left + used, "expired_at": go_time(None)}],
        },
        "wallet": {
            "point_remain": left,
            "point_frozen": 0,
            "point_used": used,
            "auto_recharge_enabled": False,
        },
    }
    return wire.success(data)


@counted
async def active(request: Request, provider: Provider) -> Response:
    if refused := _before_reading(request, provider, "account_reads"):
        return refused
    counts = provider.ledger.running(provider.clock.now())
    return wire.success({"flux": {**{f"{name}_count": count for name, count in counts.items()}, "active_tasks": []}})


@counted
async def history(request: Request, provider: Provider) -> Response:
    if refused := _before_reading(request, provider, "history_reads"):
        return refused
    try:
        asked = {name: int(request.query_params.get(name) or default) for name, default in HISTORY_NUMBERS.items()}
    except ValueError:
        return wire.error(400, "invalid query parameter")
    page, size = asked["page"], asked["page_size"]
    if page < 1 or not 1 <= size <= MAX_PAGE_SIZE:
        return wire.error(400, f"page starts from 1, page_size is 1 to {MAX_PAGE_SIZE}")
    now, options = provider.clock.now(), provider.options
    size = min(size, options.history_page)
    latest = now - options.history_lag
    end = min(latest, asked["end_time"]) if asked["end_time"] else latest
    found = provider.ledger.between(asked["start_time"] or None, end)
    if request.query_params.get("model", "") not in ("", "flux"):
        found = []
    rows = [wire.history_row(task, now, options) for task in found[(page - 1) * size : page * size]]
    return wire.success({"data": rows, "page": page, "size": size, "total": len(found)})


def _before_reading(request: Request, provider: Provider, kind: str) -> Response | None:
    provider.stats.counts[kind] += 1
    if refused := at_the_door(request, provider.options, READS[kind]):
        return refused
    if not provider.reads.allows(provider.clock.now()):
        provider.stats.counts["throttled_reads"] += 1
        return wire.throttled(provider.options.retry_after)
    return None


def away(options: SandboxOptions, operation: str) -> bool:
    return options.outage != "none" and (not options.outage_of or operation in options.outage_of)


def at_the_door(request: Request, options: SandboxOptions, operation: str) -> Response | None:
    if away(options, operation):
        return OUTAGES[options.outage]()
    if request.headers.get("user-agent", "").startswith("Python-urllib"):
        return PlainTextResponse("error code: 1010", 403)
    key = request.headers.get("x-api-key", "")
    if not key or key not in options.api_key.split(","):
        return wire.bad_key()
    return None


async def body_of(request: Request, most: int) -> bytes | None:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            return None
    return bytes(body)


ROUTES = [
    Route("/api/v1/task/{task_id}", read, methods=["GET"]),
    Route("/api/v1/task", create, methods=["POST"]),
    Route("/account/info", account, methods=["GET"]),
    Route("/account/active_tasks", active, methods=["GET"]),
    Route("/api/open/tasks/histories", history, methods=["GET"]),
]
