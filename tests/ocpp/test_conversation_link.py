"""The conversation on the real link, with a real WebSocket to a scripted CSMS on loopback."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agent.clock import SystemClock
from agent.log import MessageJournal
from agent.ocpp.conversation import Conversation
from agent.ocpp.link import Link, LinkConfig
from agent.ocpp.v16 import FRONT_END
from tests.helpers.csms import Csms
from tests.helpers.fake_station import IDENTITY, FakeStation, MemoryOutbox
from tests.ocpp.test_delivery import started, stopped


@asynccontextmanager
async def talking(csms: Csms, outbox: MemoryOutbox | None = None) -> AsyncIterator[Conversation]:
    link = Link(
        LinkConfig(csms.url, "CP001"),
        lambda subprotocol: conversation.on_open(subprotocol),
        lambda text: conversation.on_text(text),
        lambda reason: conversation.on_closed(reason),
    )
    conversation = Conversation(
        front_ends={"ocpp1.6": FRONT_END},
        link=link,
        station=FakeStation(),
        outbox=outbox or MemoryOutbox(),
        clock=SystemClock(asyncio.get_running_loop()),
        journal_of_messages=MessageJournal(100),
        identity=IDENTITY,
        source=random.Random(1),
    )
    tasks = [asyncio.ensure_future(link.run()), asyncio.ensure_future(conversation.run())]
    try:
        yield conversation
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def accept_boot(csms: Csms) -> None:
    (await csms.expect("BootNotification")).accept(interval=300)
    for connector in (0, 1):
        call = await csms.expect("StatusNotification")
        assert call.payload["connectorId"] == connector
        call.accept()


@pytest.mark.req("R16-281", "TC_001_CS", "TC_054_CS")
async def test_boot_trigger_and_heartbeat() -> None:
    async with Csms() as csms, talking(csms):
        await accept_boot(csms)
        answer = await csms.call(
            "TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1}
        )
        assert answer.payload == {"status": "Accepted"}
        call = await csms.expect("StatusNotification")
        assert call.time >= answer.time
        call.accept()
        await asyncio.sleep(300)
        (await csms.expect("Heartbeat")).accept()


@pytest.mark.req("R16-007", "R16-142", "TC_036_CS")
async def test_a_transaction_survives_a_cut_connection() -> None:
    outbox = MemoryOutbox(started(), stopped())
    async with Csms() as csms, talking(csms, outbox):
        await accept_boot(csms)
        await csms.expect("StartTransaction")
        csms.drop()
        await csms.connected(False)
        (await csms.expect("StartTransaction")).accept()
        stop = await csms.expect("StopTransaction")
        assert stop.payload["transactionId"] == 1
        stop.accept()
        await asyncio.sleep(1)
        assert outbox.rows == []


@pytest.mark.req("R16-018")
async def test_calls_are_answered_while_the_boot_is_outstanding() -> None:
    async with Csms() as csms, talking(csms):
        boot = await csms.expect("BootNotification")
        assert (await csms.call("GetLocalListVersion")).payload == {"listVersion": 0}
        boot.accept()
        csms.always("StatusNotification")
        await asyncio.sleep(1)
