"""The conversation before, at and after acceptance by the CSMS, frame by frame."""

import asyncio

import pytest
from msgspec.structs import replace

from agent.charging.facts import EvseChanged
from agent.ocpp.frontend import Registration
from tests.helpers.fake_station import NOW, FakeStation
from tests.helpers.snapshots import evse, plugged
from tests.helpers.talk import Talk


@pytest.mark.req("R16-042", "R16-043", "R16-044", "R16-053", "TC_001_CS")
async def test_boot_then_the_status_of_the_station_and_every_connector() -> None:
    async with Talk(FakeStation(evse(1), plugged(2))) as talk:
        talk.open()
        assert talk.take("BootNotification") == {
            "chargePointVendor": "Example",
            "chargePointModel": "Wallbox 22",
            "chargePointSerialNumber": "0001",
            "firmwareVersion": "1.2.3",
        }
        talk.reply_to_boot("Accepted", interval=77)
        statuses = []
        for _ in range(3):
            payload = talk.take("StatusNotification")
            statuses.append((payload["connectorId"], payload["status"]))
            talk.reply()
        assert statuses == [(0, "Available"), (1, "Available"), (2, "Preparing")]
        assert talk.silent()
        await talk.settle()
        assert talk.station.settings.integer("heartbeat_interval_s") == 77
        assert talk.station.online == [True]
        assert talk.conversation.registration is Registration.ACCEPTED


@pytest.mark.req("R16-045")
async def test_boot_sets_the_clock_unless_the_time_has_no_zone() -> None:
    async with Talk() as talk:
        talk.open()
        talk.frames()
        talk.reply_to_boot("Pending", current_time="2030-01-01T00:00:00")
        assert talk.clock.now().year == 2026
        talk.close()
        await asyncio.sleep(300)
        talk.open()
        talk.frames()
        talk.reply_to_boot("Accepted", current_time="2030-01-01T02:00:00+02:00")
        assert talk.clock.now().isoformat().startswith("2030-01-01T00:00:00")


@pytest.mark.req("R16-046", "R16-049", "TC_002_CS", "FIELD-25", "FIELD-26")
async def test_pending_waits_for_the_interval_and_sends_nothing_else() -> None:
    async with Talk(FakeStation(plugged())) as talk:
        talk.boot("Pending", interval=20)
        talk.station.publish(EvseChanged(1, NOW))
        await asyncio.sleep(19.9)
        assert talk.silent()
        await asyncio.sleep(0.2)
        talk.take("BootNotification")
        assert talk.station.online == []


@pytest.mark.req("R16-049", "R16-051", "TC_002_CS")
async def test_pending_answers_the_csms() -> None:
    async with Talk() as talk:
        talk.boot("Pending")
        payload = await talk.ask("GetConfiguration", {"key": ["HeartbeatInterval"]})
        assert payload["configurationKey"][0]["value"] == "300"
        assert (await talk.ask("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "10"})) == {
            "status": "Accepted"
        }


@pytest.mark.req("R16-050", "FIELD-80")
@pytest.mark.parametrize("status", ["Pending", None])
async def test_without_acceptance_nothing_is_started_or_stopped_from_afar(status: str | None) -> None:
    async with Talk() as talk:
        talk.open() if status is None else talk.boot(status)
        assert await talk.ask("RemoteStartTransaction", {"idTag": "T"}) == {"status": "Rejected"}
        assert await talk.ask("RemoteStopTransaction", {"transactionId": 1}) == {"status": "Rejected"}
        assert await talk.ask("RemoteStopTransaction", {}) == "ProtocolError"
        assert talk.station.executed == []


@pytest.mark.req("R16-048")
async def test_rejected_is_silent_to_the_csms_until_the_interval_is_over() -> None:
    async with Talk() as talk:
        talk.boot("Rejected", interval=40)
        for action in ("GetConfiguration", "Reset", "TriggerMessage", "NoSuchAction"):
            talk.call(action, {"requestedMessage": "BootNotification"})
        talk.conversation.on_text('[2,"broken","Reset"]')
        await asyncio.sleep(39.9)
        assert talk.silent()
        assert talk.answers == {}
        await asyncio.sleep(0.2)
        talk.take("BootNotification")
        talk.reply_to_boot("Accepted")
        talk.take("StatusNotification")


@pytest.mark.req("R16-052", "FIELD-26")
@pytest.mark.parametrize("how", ["error", "timeout", "garbage"])
async def test_a_failed_boot_is_tried_again_after_the_local_default(how: str) -> None:
    async with Talk() as talk:
        talk.open()
        talk.take("BootNotification")
        if how == "error":
            talk.error("InternalError")
        elif how == "timeout":
            await asyncio.sleep(30.1)
            talk.in_flight = None
        else:
            talk.reply({"status": "Perhaps"})
        await asyncio.sleep(59)
        assert talk.silent()
        await asyncio.sleep(8)
        talk.take("BootNotification")


@pytest.mark.req("FIELD-21")
async def test_a_busy_csms_gets_the_boot_again_after_a_moment_not_a_minute() -> None:
    async with Talk() as talk:
        talk.open()
        for pause_s in (1, 2, 4, 8):
            talk.take("BootNotification")
            talk.error("RpcFrameworkError", "Call already in progress")
            await asyncio.sleep(pause_s - 0.1)
            assert talk.silent()
            await asyncio.sleep(0.2)
        talk.take("BootNotification")


@pytest.mark.req("R16-047")
async def test_a_reconnect_does_not_shorten_the_wait_of_a_rejected_station() -> None:
    async with Talk() as talk:
        talk.boot("Rejected", interval=100)
        talk.close()
        await asyncio.sleep(50)
        talk.open()
        assert talk.silent()
        await asyncio.sleep(51)
        talk.take("BootNotification")


@pytest.mark.req("B01.FR.01", "B01.FR.03")
async def test_a_boot_that_nobody_answered_does_not_wait_on_the_next_connection() -> None:
    """The wait was for a CSMS that hangs; whoever takes the next connection would see a mute station for minutes."""
    async with Talk() as talk:
        talk.open()
        for _ in range(4):
            talk.take("BootNotification")
            await asyncio.sleep(30.1)
            talk.in_flight = None
            talk.close()
            talk.open()
        talk.take("BootNotification")


@pytest.mark.req("R16-052")
async def test_a_reconnect_does_not_shorten_the_wait_after_a_refused_boot() -> None:
    async with Talk() as talk:
        talk.open()
        talk.take("BootNotification")
        talk.error("InternalError")
        talk.close()
        await asyncio.sleep(50)
        talk.open()
        assert talk.silent()
        await asyncio.sleep(17)
        talk.take("BootNotification")


async def test_a_boot_cut_off_by_the_connection_goes_again_with_the_next() -> None:
    async with Talk() as talk:
        talk.open()
        talk.take("BootNotification")
        talk.close()
        talk.open()
        talk.take("BootNotification")


@pytest.mark.req("R16-007", "R16-083", "TC_036_CS")
async def test_after_a_mere_reconnect_only_what_changed_is_told_as_of_now() -> None:
    async with Talk(FakeStation(evse(1), evse(2))) as talk:
        talk.boot()
        talk.close()
        talk.station.change(plugged(1))
        talk.station.publish(EvseChanged(1, NOW))
        await asyncio.sleep(100)
        talk.open()
        payload = talk.take("StatusNotification")
        assert (payload["connectorId"], payload["status"]) == (1, "Preparing")
        assert payload["timestamp"] == "2026-01-01T12:01:40Z"
        talk.reply()
        assert talk.silent()
        assert talk.station.online == [True, False, True]


@pytest.mark.req("R16-007")
async def test_a_reconnect_with_other_boot_data_boots_again() -> None:
    async with Talk() as talk:
        talk.boot()
        talk.close()
        talk.conversation.identity = replace(talk.conversation.identity, firmware_version="2.0")
        talk.open()
        assert talk.take("BootNotification")["firmwareVersion"] == "2.0"


@pytest.mark.req("R16-056")
async def test_a_triggered_boot_may_close_the_gates_again() -> None:
    async with Talk() as talk:
        talk.boot()
        assert await talk.ask("TriggerMessage", {"requestedMessage": "BootNotification"}) == {
            "status": "Accepted"
        }
        talk.take("BootNotification")
        talk.reply_to_boot("Pending", interval=30)
        assert talk.station.online == [True, False]
        talk.station.change(plugged(1))
        talk.station.publish(EvseChanged(1, NOW))
        await talk.settle()
        assert talk.silent()
        await asyncio.sleep(31)
        talk.take("BootNotification")
        talk.reply_to_boot("Accepted")
        assert talk.take("StatusNotification")["connectorId"] == 0
        assert talk.station.online == [True, False, True]


async def test_an_interval_that_no_setting_can_hold_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    async with Talk() as talk:
        talk.boot(interval=10**12)
        await talk.settle()
        assert talk.station.settings.integer("heartbeat_interval_s") == 300
        assert "is not used" in caplog.text
