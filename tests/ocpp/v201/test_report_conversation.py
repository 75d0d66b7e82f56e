"""Reports and events in a conversation: behind the answer, one after the other, and what a lost connection means."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from agent.charging.facts import EventsNoticed, VariableEvent
from agent.charging.ids import Component, EventTrigger, MonitorOrigin, Variable
from agent.charging.monitors import Monitor, MonitorKind
from agent.charging.requests import AboutCustomer, CustomerAnswer, Verdict
from tests.helpers.fake_station import NOW, FakeStation
from tests.helpers.talk import Talk

SMALL = {"DeviceDataCtrlr.ItemsPerMessage.NotifyReport": "2"}
SUMMARY = {"requestId": 5, "reportBase": "SummaryInventory"}
MONITOR = Monitor(
    10_000, Component("EVSE", evse_id=1), Variable("AvailabilityState"), MonitorKind.DELTA, 1.0, 5
)
EVENT = VariableEvent(
    1,
    NOW,
    EventTrigger.DELTA,
    "Occupied",
    Component("EVSE", evse_id=1),
    Variable("AvailabilityState"),
    MonitorOrigin.CUSTOM,
    10_000,
)


def talking(**given: Any) -> Talk:
    return Talk(FakeStation(**given), version="ocpp2.0.1")


@pytest.mark.req("B07.FR.03", "B07.FR.10")
async def test_parts_follow_the_answer_one_at_a_time() -> None:
    async with talking(**SMALL) as talk:
        talk.boot()
        message_id = talk.call("GetBaseReport", SUMMARY)
        assert talk.answers[message_id][2] == {"status": "Accepted"}
        seq_numbers = []
        while True:
            part = talk.take("NotifyReport")
            seq_numbers.append(part["seqNo"])
            assert talk.frames() == []  # nothing before the answer to this one
            talk.reply()
            if not part.get("tbc"):
                break
        assert seq_numbers == [0, 1]
        assert talk.silent()


@pytest.mark.req("B02.FR.02")
@pytest.mark.parametrize(
    ("action", "payload", "notice"),
    [
        ("GetMonitoringReport", {}, "NotifyMonitoringReport"),
        (
            "CustomerInformation",
            {"report": True, "clear": False, "idToken": {"idToken": "TAG1", "type": "Local"}},
            "NotifyCustomerInformation",
        ),
    ],
)
async def test_other_reports_wait_until_the_station_is_accepted(
    action: str, payload: dict[str, Any], notice: str
) -> None:
    station = FakeStation()
    station.answers[AboutCustomer] = CustomerAnswer(Verdict.ACCEPTED, ("cache",))
    station.picture = replace(station.picture, monitors=(MONITOR,))
    async with Talk(station, version="ocpp2.0.1") as talk:
        talk.boot("Pending", interval=60)
        assert (await talk.ask(action, {"requestId": 5, **payload}))["status"] == "Accepted"
        assert talk.silent()
        await asyncio.sleep(61)
        talk.take("BootNotification")
        talk.reply_to_boot("Accepted")
        seen = set()
        while not talk.silent():
            assert talk.in_flight is not None
            seen.add(talk.in_flight[2])
            talk.reply()
        assert notice in seen


async def test_a_part_that_the_csms_refuses_does_not_keep_the_others() -> None:
    async with talking(**SMALL) as talk:
        talk.boot()
        talk.call("GetBaseReport", SUMMARY)
        talk.take("NotifyReport")
        talk.error("InternalError")
        assert talk.take("NotifyReport")["seqNo"] == 1


async def test_what_is_left_of_a_report_goes_with_the_connection() -> None:
    async with talking(**SMALL) as talk:
        talk.boot()
        talk.call("GetBaseReport", SUMMARY)
        talk.take("NotifyReport")
        talk.close()
        talk.open()
        assert talk.silent()


@pytest.mark.req("B02.FR.01", "B02.FR.05")
async def test_a_pending_station_reports() -> None:
    async with talking() as talk:
        talk.boot("Pending")
        talk.call("GetBaseReport", SUMMARY)
        assert talk.take("NotifyReport")["requestId"] == 5


@pytest.mark.req("B06.FR.16", "B06.FR.17", "B08.FR.17", "B08.FR.18", "N06.FR.06", "N06.FR.07")
@pytest.mark.parametrize(
    ("action", "limited", "list_name", "item"),
    [
        (
            "GetVariables",
            "DeviceDataCtrlr",
            "getVariableData",
            {"component": {"name": "EVSE"}, "variable": {"name": "Power"}},
        ),
        (
            "SetVariables",
            "DeviceDataCtrlr",
            "setVariableData",
            {"component": {"name": "EVSE"}, "variable": {"name": "Power"}, "attributeValue": "1"},
        ),
        ("GetReport", "DeviceDataCtrlr", "componentVariable", {"component": {"name": "EVSE"}}),
        ("ClearVariableMonitoring", "MonitoringCtrlr", "id", 1_000_000),
    ],
)
async def test_too_much_is_a_callerror(action: str, limited: str, list_name: str, item: Any) -> None:
    more = {"requestId": 1} if action == "GetReport" else {}
    given = {f"{limited}.ItemsPerMessage.{action}": "2", f"{limited}.BytesPerMessage.{action}": "400"}
    async with talking(**given) as talk:
        talk.boot()
        assert await talk.ask(action, {list_name: [item] * 3, **more}) == "OccurrenceConstraintViolation"
        assert await talk.ask(action, {list_name: [item] * 60, **more}) == "FormatViolation"
        assert isinstance(await talk.ask(action, {list_name: [item] * 2, **more}), dict | str)
        assert talk.station.settings.integer("offline_threshold_s") == 300


@pytest.mark.req("D01.FR.11")
async def test_a_local_list_that_is_too_long_is_refused_undecoded() -> None:
    entry = {"idToken": {"idToken": "TAG1", "type": "Local"}, "idTokenInfo": {"status": "Accepted"}}
    order = {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": [entry] * 5}
    async with talking(**{"LocalAuthListCtrlr.BytesPerMessage": "400"}) as talk:
        talk.boot()
        assert await talk.ask("SendLocalList", order) == "FormatViolation"


@pytest.mark.req("N07.FR.06")
async def test_an_event_that_is_not_queued_is_told_now_or_never() -> None:
    async with talking() as talk:
        talk.boot()
        talk.station.publish(EventsNoticed(NOW, (EVENT,), is_queued=False))
        (event,) = talk.take("NotifyEvent")["eventData"]
        assert event["actualValue"] == "Occupied"
        talk.reply()
        talk.close()
        talk.station.publish(EventsNoticed(NOW, (EVENT,), is_queued=False))
        talk.open()
        assert talk.silent()


@pytest.mark.req("N07.FR.04")
async def test_an_event_that_is_queued_is_told_from_the_outbox() -> None:
    async with talking() as talk:
        talk.outbox.add(EventsNoticed(NOW, (EVENT,)))
        talk.boot()
        await talk.settle()
        assert talk.take("NotifyEvent")["seqNo"] == 0
        talk.reply()
        await talk.settle()
        assert talk.outbox.rows == []
