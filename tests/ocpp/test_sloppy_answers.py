"""Answers of the CSMS that are not as they should be: what can be made out of them is made out of them."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from agent.ocpp.frontend import Registration
from agent.ocpp.v16.datatypes import IdTagInfo, token_info
from agent.store.timestamps import time_text
from tests.helpers.fake_station import MemoryOutbox
from tests.helpers.talk import Talk
from tests.ocpp.test_delivery import started, stopped

GOOD_INFO = {"status": "Accepted"}


@pytest.mark.req("R16-030", "R16-116", "TOLERATE-11", "TOLERATE-12")
@pytest.mark.parametrize(
    "answer",
    [
        {"transactionId": 7, "idTagInfo": {"status": "Accepted", "expiryDate": "soon"}},
        {"transactionId": 7, "idTagInfo": {"status": "Welcome"}},
        {"transactionId": 7, "idTagInfo": {"status": "Accepted", "parentIdTag": "x" * 30}},
        {"transactionId": 7, "idTagInfo": "Accepted"},
        {"transactionId": 7},
        {"transactionId": "7", "idTagInfo": GOOD_INFO},
    ],
)
async def test_a_start_with_an_id_is_taken_whatever_else_is_wrong_with_it(answer: dict[str, Any]) -> None:
    async with Talk(outbox=MemoryOutbox(started(), stopped())) as talk:
        talk.boot()
        await talk.settle()
        talk.take("StartTransaction")
        talk.reply(answer)
        await talk.settle()
        assert talk.take("StopTransaction")["transactionId"] == 7


@pytest.mark.req("R16-138")
@pytest.mark.parametrize(
    "answer",
    [{}, {"idTagInfo": GOOD_INFO}, {"transactionId": None, "idTagInfo": GOOD_INFO}, {"transactionId": "x"}],
)
async def test_a_start_without_an_id_is_sent_again(answer: dict[str, Any]) -> None:
    async with Talk(outbox=MemoryOutbox(started(), stopped())) as talk:
        talk.boot()
        await talk.settle()
        talk.take("StartTransaction")
        talk.reply(answer)
        await asyncio.sleep(61)
        talk.take("StartTransaction")


@pytest.mark.req("R16-035", "R16-045", "TOLERATE-11")
@pytest.mark.parametrize("time", ["now", "", None, 0, "2026-01-01"])
async def test_accepted_is_accepted_even_without_a_time(time: Any) -> None:
    async with Talk() as talk:
        talk.open()
        talk.take("BootNotification")
        before = talk.clock.now()
        talk.reply({"status": "Accepted", "interval": 120, "currentTime": time})
        await talk.settle()
        assert talk.conversation.registration is Registration.ACCEPTED
        assert talk.station.settings.integer("heartbeat_interval_s") == 120
        assert talk.clock.now() == before


async def test_accepted_without_interval_and_time_keeps_ours() -> None:
    async with Talk() as talk:
        talk.open()
        talk.take("BootNotification")
        talk.reply({"status": "Accepted"})
        await talk.settle()
        assert talk.conversation.registration is Registration.ACCEPTED
        assert talk.station.settings.integer("heartbeat_interval_s") == 300


ENDS_OF_THE_CALENDAR = (
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59.999999-14:00",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
)


@pytest.mark.req("R16-035", "TOLERATE-11")
@pytest.mark.parametrize("time", ENDS_OF_THE_CALENDAR)
async def test_the_ends_of_the_calendar_are_times_like_others(time: str) -> None:
    async with Talk() as talk:
        talk.open()
        talk.take("BootNotification")
        before = talk.clock.now()
        talk.reply({"status": "Accepted", "interval": 120, "currentTime": time})
        await talk.settle()
        assert talk.clock.now() == before
        info = {"status": "Accepted", "expiryDate": time}
        known = token_info(msgspec.convert(info, IdTagInfo))
        assert known.expires_at is not None
        assert (known.expires_at + timedelta(days=365) > before) is time.startswith("9999")
        assert time_text(known.expires_at)


@pytest.mark.req("R16-046")
@pytest.mark.parametrize("status", ["Accepted", "Pending", "Rejected"])
async def test_an_interval_beyond_all_numbers_is_an_interval(status: str) -> None:
    async with Talk() as talk:
        talk.open()
        talk.take("BootNotification")
        talk.reply({"status": status, "interval": 10**400, "currentTime": "2026-01-01T00:00:00Z"})
        await talk.settle()
        assert talk.conversation.registration is Registration(status)
