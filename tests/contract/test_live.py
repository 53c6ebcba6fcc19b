"""Facts of the real service: each test measures one open question and writes down any answer.

Collected by `make test-live` alone. Tests marked `buys` pay for each create, and are skipped once the cap is reached.
"""

import asyncio
import io
import random
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from aiohttp import web
from PIL import Image

from qubico import reading
from tests.contract.asking import HISTORY, Asking, accepted, quoted
from tests.contract.learned import Learned
from tests.contract.live import UNITS_PER_DOLLAR, Live, Purse
from tests.contract.subject import as_data_uri, picture


@pytest.fixture
async def ask(live: Live, purse: Purse, learned: Learned) -> AsyncIterator[Asking]:
    async with Asking(live, purse, learned) as asking:
        yield asking


@pytest.fixture
def image(live: Live) -> str:
    return live.image or as_data_uri(picture(256))


# --- free of charge


async def test_one_host_serves_account_counters_history_and_tasks(ask: Asking) -> None:
    paths = {"account": "/account/info", "counters": "/account/active_tasks", "history": HISTORY}
    for name, path in paths.items():
        said = await ask.get(path)
        served = "serves" if said.status == 200 else "does not serve"
        ask.learned.note(1, f"{ask.live.host} {served} the {name} at `{path}`: HTTP {said.status}.")
    said = await ask.get(f"/api/v1/task/{uuid.uuid4()}")
    routed = "knows" if said.message else "may not know"
    ask.learned.note(1, f"{ask.live.host} {routed} the route of tasks: {said}.")


@pytest.mark.parametrize(
    ("what", "task_id"),
    [("an unknown id", "7e1d3b1e-0000-4000-8000-000000000000"), ("a malformed id", "no-such-task")],
)
async def test_ids_that_name_no_task(ask: Asking, what: str, task_id: str) -> None:
    ask.learned.note(4, "Not provoked: no credit, too many tasks, too many requests beyond what question 9 tells.")
    ask.learned.note(4, f"A read of {what}: {await ask.get(f'/api/v1/task/{task_id}')}.")


@pytest.mark.parametrize(("what", "key"), [("a wrong key", "wrong-key"), ("no key", "")])
async def test_keys_that_are_none(ask: Asking, what: str, key: str) -> None:
    ask.learned.note(4, f"A read of the account with {what}: {await ask.get('/account/info', key=key)}.")


async def test_the_history_and_how_old_a_task_can_be_read(ask: Asking) -> None:
    first = await ask.get(HISTORY, page=1, page_size=100)
    ask.learned.note(8, f"A page of history over 100: {await ask.get(HISTORY, page=1, page_size=101)}.")
    rows = first.data.get("data") or [] if isinstance(first.data, dict) else []
    if not rows:
        pytest.skip("this account has no history yet")
    times = [moment for row in rows if (moment := reading.moment(row.get("created_at")))]
    order = "newest first" if times == sorted(times, reverse=True) else "not newest first"
    ask.learned.note(8, f"History: {order}; a row has the fields {', '.join(sorted(rows[0]))}.")
    ask.learned.note(5, f"History: `fixed` is {_values(rows, 'fixed')} and `usage_type` {_values(rows, 'usage_type')}.")
    last_page = max(1, -(-int(first.data.get("total") or 0) // 100))
    last = first if last_page == 1 else await ask.get(HISTORY, page=last_page, page_size=100)
    oldest = (last.data.get("data") or rows)[-1]
    said = await ask.get(f"/api/v1/task/{oldest['task_id']}")
    created = reading.moment(oldest.get("created_at"))
    age = f"{(datetime.now(UTC) - created).total_seconds() / 86_400:.2f} days" if created else "unknown age"
    ask.learned.note(8, f"The oldest task in the history ({age}): {said}.")
    ask.learned.note(4, f"A read of a task of {age}: {said}.")
    if accepted(said):
        ask.learned.note(8, f"Its file: {await _file(said.data)}.")


async def test_many_reads_at_once(ask: Asking) -> None:
    begun = time.monotonic()
    answers = await asyncio.gather(*(ask.get("/account/info") for _ in range(20)))
    statuses = {status: sum(said.status == status for said in answers) for status in {said.status for said in answers}}
    shown = ", ".join(f"{count} times HTTP {status}" for status, count in sorted(statuses.items()))
    ask.learned.note(9, f"20 reads within {time.monotonic() - begun:.1f} s: {shown}.")


# --- for money


CASES: dict[str, dict[str, Any]] = {
    "no size": {"width": None, "height": None},
    "1024 x 1024": {"width": 1024, "height": 1024},
    "1280 x 1024, an area above 1,048,576": {"width": 1280, "height": 1024},
    "2048 x 512": {"width": 2048, "height": 512},
    "120 x 120": {"width": 120, "height": 120},
    "500 x 503, no multiple of 8": {"width": 500, "height": 503},
    "no steps, no seed": {"steps": None, "seed": None},
    "steps 0": {"steps": 0},
    "steps 1": {"steps": 1},
    "steps 40": {"steps": 40},
    "steps 41": {"steps": 41},
    "seed 2^53-1": {"seed": 2**53 - 1},
    "prompt of 5,000 characters": {"prompt": "make it warmer " * 333 + "ok..."},
}


@pytest.mark.buys
@pytest.mark.parametrize("case", CASES)
async def test_bounds_and_prices(ask: Asking, image: str, case: str) -> None:
    said = await ask.create(image, **CASES[case])
    if not accepted(said):
        ask.learned.note(3, f"{case}: refused, {said}.")
        return
    echoed = said.data.get("input") or {}
    taken = ", ".join(f"{name} {echoed.get(name)}" for name in ("width", "height", "steps", "seed"))
    ask.learned.note(3, f"{case}: accepted, echoed as {taken}.")
    ask.learned.note(6, f"{case}: {quoted(said)} units at the create.")
    shown = await ask.ended(said)
    size = await _file(shown) if shown.get("output") else _why(shown)
    ask.learned.note(3, f"{case}: ended {shown.get('status')}, {size}.")


@pytest.mark.buys
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize("kind", ["PNG of 256 x 256", "WebP of 256 x 256", "PNG of about 9 MiB"])
async def test_pictures_inside_the_request(ask: Asking, kind: str) -> None:
    said = await ask.create(_inside(kind))
    if not accepted(said):
        ask.learned.note(2, f"{kind} as a data URI: refused, {said}.")
        return
    shown = await ask.ended(said)
    ask.learned.note(2, f"{kind} as a data URI: accepted, ended {shown.get('status')}. {_why(shown)}")


@pytest.mark.buys
async def test_what_a_failed_task_costs(ask: Asking) -> None:
    before = await _balance(ask)
    nowhere = f"{ask.live.url}/no-such-picture.png" if ask.live.on_this_machine else "https://example.com/none.png"
    said = await ask.create(nowhere)
    if not accepted(said):
        ask.learned.note(5, f"A picture that is not there: refused at the create, {said}.")
        return
    shown = await ask.ended(said)
    listed = await ask.row(shown["task_id"])
    row = {name: listed[1].get(name) for name in ("status", "usage", "fixed")} if listed else "not listed"
    ask.learned.note(5, f"A picture that is not there: ended {shown.get('status')}. {_why(shown)}")
    ask.learned.note(5, f"Its price: {quoted(said)} units at the create, {_units(shown)} at the end; history: {row}.")
    ask.learned.note(5, f"The balance before and after differs by {before - await _balance(ask):.4f} USD.")


@pytest.mark.buys
async def test_how_far_the_history_lags(ask: Asking, image: str) -> None:
    said = await ask.create(image)
    assert accepted(said), said
    listed = await ask.row(said.data["task_id"])
    ask.learned.note(
        8, f"A new task stands in the history after {listed[0]:.1f} s." if listed else "It is never listed."
    )
    echo = (said.data.get("config") or {}).get("webhook_config")
    ask.learned.note(7, f"`webhook_config` in the create's answer: {'echoed' if (echo or {}).get('secret') else echo}.")
    await ask.ended(said)


@pytest.mark.buys
async def test_which_callbacks_come(ask: Asking, image: str) -> None:
    live = ask.live
    if not (live.callback or live.on_this_machine):
        pytest.skip("callbacks need RETOUCH_TEST_LIVE_CALLBACK_URL")
    calls: list[tuple[float, str, bool]] = []
    begun = time.monotonic()

    async def take(request: web.Request) -> web.Response:
        data = (await request.json()).get("data") or {}
        calls.append((time.monotonic() - begun, str(data.get("status")), "x-webhook-secret" in request.headers))
        return web.Response(status=500 if len(calls) == 1 else 200)  # the first is to come again

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0 if live.callback is None else live.callback_port)
    await site.start()
    try:
        said = await ask.create(image, hook=live.callback or f"http://127.0.0.1:{runner.addresses[0][1]}/hook")
        assert accepted(said), said
        shown = await ask.ended(said)
        for _ in range(20):  # a minute, or one second of a stand-in
            if _told_twice(calls, str(shown.get("status"))):
                break
            await asyncio.sleep(live.pause)
    finally:
        await runner.cleanup()
    told = ", ".join(f"{status!r} after {after:.1f} s" for after, status, _ in calls) or "none"
    ask.learned.note(7, f"Callbacks of one task, the first answered 500 and the others 200: {told}.")
    if calls:
        ask.learned.note(7, f"`x-webhook-secret` came with {sum(secret for *_, secret in calls)} of {len(calls)}.")


def _told_twice(calls: list[tuple[float, str, bool]], end: str) -> bool:
    """The end came, and so did the first once more."""
    told = [status.casefold() for _, status, _ in calls]
    return end.casefold() in told and told.count(told[0]) > 1


def _inside(kind: str) -> str:
    if not kind.endswith("MiB"):
        written = io.BytesIO()
        name = kind.partition(" ")[0]
        Image.linear_gradient("L").convert("RGB").save(written, name)
        return as_data_uri(written.getvalue(), name.lower())
    noise = random.Random(7).randbytes(1770 * 1770 * 3)  # noise does not shrink
    written = io.BytesIO()
    Image.frombytes("RGB", (1770, 1770), noise).save(written, "PNG", compress_level=1)
    return as_data_uri(written.getvalue())


async def _file(data: dict[str, Any]) -> str:
    """What lies at a task's address, without the key."""
    output = data.get("output") or {}
    address = output.get("image_url") or next(iter(output.get("image_urls") or []), None)
    if not address:
        return "no address"
    async with httpx.AsyncClient(timeout=90, trust_env=False) as stranger:
        answer = await stranger.get(address)
    try:
        with Image.open(io.BytesIO(answer.content)) as opened:
            return f"a {opened.format} of {opened.width} x {opened.height} on {httpx.URL(address).host}"
    except OSError:
        return f"HTTP {answer.status_code}, {answer.headers.get('content-type')}, no picture"


async def _balance(ask: Asking) -> float:
    data = (await ask.get("/account/info")).data or {}
    return float(data.get("equivalent_in_usd") or 0)


def _units(shown: dict[str, Any]) -> object:
    units = ((shown.get("meta") or {}).get("usage") or {}).get("consume")
    return f"{units} ({units / UNITS_PER_DOLLAR} USD)" if isinstance(units, int) else units


def _why(shown: dict[str, Any]) -> str:
    error = shown.get("error") or {}
    said = {name: error.get(name) for name in ("code", "message", "raw_message") if error.get(name)}
    return f"Error {said}, logs {shown.get('logs')}." if said else "No error."


def _values(rows: list[dict[str, Any]], name: str) -> str:
    return " or ".join(sorted({repr(row.get(name)) for row in rows}))
