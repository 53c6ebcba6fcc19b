"""A create leaves once or not at all: aiohttp repeats reads on a new connection, never a POST; the gate is obeyed."""

import asyncio
import os
import socket

import pytest

from qubico.errors import AnswerLost, NotSent
from qubico.schemas import TaskStatus
from tests.contract.wire import keeps_silent, provider, recorded, says, then_closes


async def test_a_create_read_on_a_reused_connection_that_then_closes_is_not_repeated(client_of, request_to_buy):
    async def behave(request, writer):
        await (says(recorded("account")) if request.method == "GET" else then_closes())(request, writer)

    async with provider(behave) as qubico, client_of(qubico.base_url) as client:
        await client.account()
        with pytest.raises(AnswerLost):
            await client.create(request_to_buy)
        assert (len(qubico.posts), len(qubico.writers)) == (1, 1)


@pytest.mark.parametrize("linger", [True, False], ids=["with a close", "with a reset"])
async def test_a_connection_closed_as_the_create_goes_out_is_not_repeated(client_of, request_to_buy, linger):
    asked = 0

    async with provider(says(recorded("account"))) as qubico, client_of(qubico.base_url) as client:
        await client.account()

        def close_it_now() -> bool:
            nonlocal asked
            asked += 1
            if asked == 2:  # the connection is in hand, the next thing is the first byte
                server_side = qubico.writers[0]
                if not linger:
                    option = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
                    server_side.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
                server_side.transport.abort()
            return True

        with pytest.raises(AnswerLost):
            await client.create(request_to_buy, may_send=close_it_now)
        assert asked == 2
        assert (len(qubico.posts), len(qubico.writers)) == (0, 1)


async def test_a_read_on_a_connection_closed_in_between_is_repeated_by_the_transport(client_of):
    calls = 0

    async def behave(request, writer):
        nonlocal calls
        calls += 1
        await (then_closes() if calls == 2 else says(recorded("account")))(request, writer)

    async with provider(behave) as qubico, client_of(qubico.base_url) as client:
        await client.account()
        assert (await client.account()).plan == "creator"
        assert (len(qubico.requests), len(qubico.writers)) == (3, 2)


async def test_a_gate_that_is_shut_from_the_start_asks_for_no_connection(client_of, request_to_buy):
    async with provider(keeps_silent) as qubico, client_of(qubico.base_url) as client:
        with pytest.raises(NotSent):
            await client.create(request_to_buy, may_send=lambda: False)
        assert not qubico.writers


@pytest.mark.parametrize("reused", [False, True], ids=["new connection", "reused connection"])
async def test_a_gate_that_shuts_while_connecting_lets_no_byte_out(client_of, request_to_buy, reused):
    async with (
        provider(says(recorded("create-accepted"))) as qubico,
        client_of(qubico.base_url, max_connections=1) as client,
    ):
        if reused:
            await client.create(request_to_buy)
        before = qubico.received
        allowed = iter([True, False])
        with pytest.raises(NotSent, match="before the connection was open"):
            await client.create(request_to_buy, may_send=lambda: next(allowed))
        await asyncio.wait_for(qubico.connected.wait(), 90)
        assert next(allowed, "asked twice") == "asked twice"
        assert qubico.received == before
        assert (await client.get("5b7a0c1e-52f4-4a0e-9a55-2f0f6c1d7e10")).status is TaskStatus.PENDING
        assert (await client.create(request_to_buy)).status is TaskStatus.PENDING  # the connection was given back
        assert len(qubico.posts) == (2 if reused else 1)


async def test_nothing_else_runs_between_the_last_look_and_the_first_byte(client_of, request_to_buy):
    """What comes in between may be long: a process is frozen there, and goes on a minute later."""
    arrived = []

    async with provider(says(recorded("create-accepted"))) as qubico, client_of(qubico.base_url) as client:
        await client.create(request_to_buy)  # from now on there is a connection
        with socket.socket(fileno=os.dup(qubico.writers[0].get_extra_info("socket").fileno())) as server_side:

            def look() -> bool:
                asyncio.get_running_loop().call_soon(lambda: arrived.append(_something_came(server_side)))
                return True

            await client.create(request_to_buy, may_send=look)
        assert (arrived[-1], len(qubico.writers)) == (True, 1)


def _something_came(server_side: socket.socket) -> bool:
    try:
        return bool(server_side.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return False


async def test_the_gate_of_one_create_does_not_hold_other_calls(client_of, request_to_buy):
    async with provider(says(recorded("create-accepted"))) as qubico, client_of(qubico.base_url) as client:
        allowed = iter([True, False])
        held = asyncio.create_task(client.create(request_to_buy, may_send=lambda: next(allowed)))
        free = asyncio.create_task(client.create(request_to_buy))
        with pytest.raises(NotSent):
            await held
        assert (await free).status is TaskStatus.PENDING


async def test_what_is_waited_for_with_the_connection_in_hand_comes_before_the_last_look(client_of, request_to_buy):
    order = []

    async with provider(says(recorded("create-accepted"))) as qubico, client_of(qubico.base_url) as client:

        async def connected() -> None:
            await asyncio.wait_for(qubico.connected.wait(), 90)
            order.append("connected")
            assert qubico.received == 0

        def may_send() -> bool:
            order.append("asked")
            return True

        await client.create(request_to_buy, may_send=may_send, connected=connected)
    assert order == ["asked", "connected", "asked"]
