"""The scripted CSMS itself, with a bare aiohttp client as the station."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.helpers.csms import Csms


@contextlib.asynccontextmanager
async def station(csms: Csms) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(csms.url + "/CP001", protocols=["ocpp1.6"]) as web_socket,
    ):
        yield web_socket


async def test_expected_call_is_handed_out_and_answered() -> None:
    async with Csms() as csms, station(csms) as web_socket:
        await web_socket.send_str('[2,"1","BootNotification",{"chargePointModel":"M"}]')
        call = await csms.expect("BootNotification")
        assert call.payload == {"chargePointModel": "M"}
        call.accept(interval=5)
        kind, message_id, payload = json.loads((await web_socket.receive()).data)
        assert (kind, message_id, payload["status"], payload["interval"]) == (3, "1", "Accepted", 5)


async def test_another_call_than_expected_fails_the_test() -> None:
    async with Csms() as csms, station(csms) as web_socket:
        await web_socket.send_str('[2,"1","Heartbeat",{}]')
        with pytest.raises(AssertionError, match="expected BootNotification, got Heartbeat"):
            await csms.expect("BootNotification")


async def test_call_that_nobody_expected_fails_the_test_at_the_end() -> None:
    async def scenario() -> None:
        async with Csms() as csms, station(csms) as web_socket:
            csms.always("Authorize")
            await web_socket.send_str('[2,"1","Authorize",{}]')
            await web_socket.receive()
            await web_socket.send_str('[2,"2","Heartbeat",{}]')
            await asyncio.sleep(1)

    with pytest.raises(AssertionError, match="Heartbeat"):
        await scenario()


async def test_own_calls_return_result_or_error() -> None:
    async with Csms() as csms, station(csms) as web_socket:
        for answer, error in (
            ('[3,"csms-1",{"a":1}]', None),
            ('[4,"csms-2","GenericError","why",{}]', "GenericError"),
        ):
            await csms.connected()
            asking = asyncio.create_task(csms.call("Reset", {"type": "Soft"}))
            assert json.loads((await web_socket.receive()).data)[2:] == ["Reset", {"type": "Soft"}]
            await web_socket.send_str(answer)
            assert (await asking).error == error


async def test_answers_can_be_delayed() -> None:
    async with Csms(answer_delay_s=20) as csms, station(csms) as web_socket:
        csms.always("Heartbeat")
        await web_socket.send_str('[2,"1","Heartbeat",{}]')
        asked_time = asyncio.get_running_loop().time()
        await web_socket.receive()
        assert asyncio.get_running_loop().time() - asked_time == pytest.approx(20, abs=0.1)
