"""Callbacks to a real receiver: bodies, repeats, and the effect of faults."""

import asyncio
from functools import partial

from tests.integration.sandbox.conftest import Caller, Web
from tests.parts.sandbox import Sandbox


async def test_the_run_and_the_end_are_told_with_the_secret(api: Caller, site: Web, sandbox: Sandbox) -> None:
    sandbox.options(wait=100, latency=1000, latency_sigma=0)
    task_id = await api.bought(hook={"endpoint": f"{site.address}/cb/tok?x=1", "secret": "s3cret"})
    assert site.told() == []
    sandbox.advance(101)
    await site.until(lambda: site.told() == ["processing"])
    sandbox.advance(1000)
    await site.until(lambda: site.told() == ["processing", "completed"])
    assert site.secrets == ["s3cret", "s3cret"]
    assert site.paths == ["/cb/tok", "/cb/tok"]
    last = site.callbacks[-1]
    assert set(last) == {"timestamp", "data"}
    assert abs(last["timestamp"] - sandbox.now()) < 30
    assert last["data"] == (await api.read(task_id)).json()["data"]


async def test_without_a_secret_there_is_no_header(api: Caller, site: Web, sandbox: Sandbox) -> None:
    sandbox.options(callback_processing=False)
    await api.bought(hook={"endpoint": f"{site.address}/cb"})
    await site.until(lambda: len(site.callbacks) == 1)
    assert site.told() == ["completed"]
    assert site.secrets == [None]


async def test_a_failure_is_told_too(api: Caller, site: Web) -> None:
    await api.bought("x [fault:failed]", hook={"endpoint": f"{site.address}/cb", "secret": ""})
    await site.until(lambda: "failed" in site.told())


async def test_a_receiver_that_refuses_is_asked_three_times_at_intervals(
    api: Caller, site: Web, sandbox: Sandbox
) -> None:
    sandbox.options(callback_processing=False, callback_interval=1000)
    site.answers = [500, 302, 404, 200]
    await api.bought(hook={"endpoint": f"{site.address}/cb"})
    for tries in (1, 2, 3):
        await site.until(partial(lambda count: sandbox.stats()["callbacks"]["refused"] == count, tries))
        assert len(site.callbacks) == tries
        sandbox.advance(1001)
    assert sandbox.stats()["callbacks"] == {"delivered": 0, "refused": 3, "given_up": 1}
    assert site.callbacks[0] == site.callbacks[2], "a repeat is recognised by its timestamp"


async def test_nobody_there_counts_as_a_refusal(api: Caller, sandbox: Sandbox, site: Web) -> None:
    sandbox.options(callback_processing=False, callback_attempts=1)
    await api.bought(hook={"endpoint": "http://127.0.0.1:9/cb"})
    await site.until(lambda: sandbox.stats()["callbacks"]["given_up"] == 1)


async def test_lost_callbacks_are_not_sent(api: Caller, site: Web, sandbox: Sandbox) -> None:
    lost = await api.bought("x [fault:callback_lost]", hook={"endpoint": f"{site.address}/lost"})
    await api.shown(lost)
    await api.bought(hook={"endpoint": f"{site.address}/kept"})
    await site.until(lambda: len(site.callbacks) == 2)
    assert set(site.paths) == {"/kept"}


async def test_doubled_callbacks_say_the_same_twice(api: Caller, site: Web, sandbox: Sandbox) -> None:
    sandbox.options(callback_processing=False)
    await api.bought("x [fault:callback_double]", hook={"endpoint": f"{site.address}/cb"})
    await site.until(lambda: len(site.callbacks) == 2)
    assert site.callbacks[0] == site.callbacks[1]


async def test_an_early_callback_overtakes_the_answer_and_the_truth(api: Caller, site: Web, sandbox: Sandbox) -> None:
    sandbox.options(latency=1000)
    create = asyncio.create_task(api.bought("x [fault:callback_early]", hook={"endpoint": f"{site.address}/cb"}))
    early_before_answer: list[bool] = []
    site.on_callback = lambda _call: early_before_answer.append(not create.done())
    task_id = await create
    assert early_before_answer[0]
    assert site.told()[0] == "completed"
    assert site.callbacks[0]["data"]["task_id"] == task_id
    assert (await api.read(task_id)).json()["data"]["status"] != "completed"


async def test_blanked_tasks_are_called_back_all_the_same(api: Caller, site: Web, sandbox: Sandbox) -> None:
    sandbox.options(echo="blank")
    await api.bought(hook={"endpoint": f"{site.address}/cb", "secret": "s"})
    await site.until(lambda: sorted(site.told()) == ["completed", "processing"])
    assert site.callbacks[0]["data"]["config"]["webhook_config"] == {"endpoint": "", "secret": ""}
