"""What the station sends of its own accord, and what it is triggered to send, frame by frame."""

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace

from agent.charging.facts import EvseChanged, MeterRead, MeterSampled, Sample, SampledValue
from agent.charging.ids import ReadingContext
from agent.charging.requests import SampleMeters
from tests.helpers.fake_station import NOW, FakeStation
from tests.helpers.snapshots import charging, plugged
from tests.helpers.talk import Talk


def reading(context: ReadingContext = ReadingContext.TRIGGER, evse_id: int = 1) -> MeterSampled:
    return MeterSampled(evse_id, 1, None, Sample(NOW, context, (SampledValue("Voltage", 230.0, "V"),)))


def actions(talk: Talk) -> list[Any]:
    """What the station sent since the last look: the action of a call, the message id of an answer."""
    return [frame[2] if frame[0] == 2 else frame[1] for frame in talk.frames()]


# --- triggers ------------------------------------------------------------------------------------------


@pytest.mark.req("R16-281", "TC_054_CS")
async def test_the_answer_and_then_the_triggered_message_in_one_go() -> None:
    async with Talk() as talk:
        talk.boot()
        message_id = talk.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
        assert [talk.link.sent[-2], json.loads(talk.link.sent[-1])[2]] == [
            f'[3,"{message_id}",{{"status":"Accepted"}}]',
            "Heartbeat",
        ]


@pytest.mark.req("R16-286", "TC_054_CS")
async def test_triggered_meter_values_are_read_after_the_request_and_sent_after_the_answer() -> None:
    async with Talk(FakeStation(charging())) as talk:
        talk.boot()

        async def read(request: Any) -> tuple[MeterSampled, ...]:
            assert request == SampleMeters((1,), ReadingContext.TRIGGER, ("Energy.Active.Import.Register",))
            await asyncio.sleep(0.2)
            return (replace(reading(), transaction_id="t-1"),)

        talk.station.answers[SampleMeters] = read
        message_id = talk.call("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1})
        assert talk.silent()
        await asyncio.sleep(0.3)
        assert actions(talk) == [message_id, "MeterValues"]
        payload = talk.take("MeterValues")
        assert (payload["connectorId"], payload["transactionId"]) == (1, 42)
        assert payload["meterValue"][0]["sampledValue"][0]["context"] == "Trigger"


async def test_no_fresh_reading_is_rejected_and_nothing_is_sent() -> None:
    async with Talk() as talk:
        talk.boot()
        talk.station.answers[SampleMeters] = None
        assert await talk.ask("TriggerMessage", {"requestedMessage": "MeterValues"}) == {"status": "Rejected"}
        assert talk.silent()


@pytest.mark.req("R16-291")
async def test_while_pending_triggered_messages_go_out_and_nothing_behind_them() -> None:
    async with Talk(FakeStation(plugged())) as talk:
        talk.boot("Pending", interval=600)
        talk.station.answers[SampleMeters] = (reading(),)
        for message, sent in (
            ("Heartbeat", "Heartbeat"),
            ("StatusNotification", "StatusNotification"),
            ("MeterValues", "MeterValues"),
            ("DiagnosticsStatusNotification", "DiagnosticsStatusNotification"),
            ("FirmwareStatusNotification", "FirmwareStatusNotification"),
        ):
            assert await talk.ask("TriggerMessage", {"requestedMessage": message, "connectorId": 1}) == {
                "status": "Accepted"
            }
            talk.take(sent)
            talk.reply({"currentTime": "2026-01-01T12:00:00Z"})
            assert talk.silent()


@pytest.mark.req("R16-046")
async def test_a_triggered_boot_while_pending_does_not_wait_for_the_interval_and_arms_it_anew() -> None:
    async with Talk() as talk:
        talk.boot("Pending", interval=600)
        await asyncio.sleep(10)
        await talk.ask("TriggerMessage", {"requestedMessage": "BootNotification"})
        talk.take("BootNotification")
        talk.reply_to_boot("Pending", interval=50)
        await asyncio.sleep(49)
        assert talk.silent()
        await asyncio.sleep(2)
        talk.take("BootNotification")


@pytest.mark.req("R16-287")
async def test_identical_triggers_that_wait_become_one() -> None:
    async with Talk() as talk:
        talk.boot()
        talk.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
        for _ in range(5):
            talk.call("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1})
        talk.reply({"currentTime": "2026-01-01T12:00:00Z"})
        talk.take("StatusNotification")
        talk.reply()
        assert talk.silent()
        assert all(frame[2] == {"status": "Accepted"} for frame in talk.answers.values())


@pytest.mark.req("FIELD-48")
async def test_a_triggered_status_is_as_of_sending_and_needs_no_second_report() -> None:
    async with Talk(FakeStation(MinimumStatusDuration=60)) as talk:
        talk.boot()
        talk.station.change(plugged(1))
        talk.station.publish(EvseChanged(1, NOW))
        assert talk.silent()
        talk.call("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1})
        assert talk.take("StatusNotification")["status"] == "Preparing"
        talk.reply()
        await asyncio.sleep(120)
        assert talk.silent()


async def test_a_triggered_message_is_dropped_with_a_log_entry_when_the_link_drops(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Talk() as talk:
        talk.boot()
        talk.call("TriggerMessage", {"requestedMessage": "DiagnosticsStatusNotification"})
        talk.call("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
        talk.close()
        talk.open()
        await talk.settle()
        assert talk.silent()
        assert "a triggered FirmwareNotice was dropped" in caplog.text


async def test_a_triggered_message_that_fails_is_not_repeated() -> None:
    async with Talk() as talk:
        talk.boot()
        talk.call("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1})
        talk.error("InternalError")
        await asyncio.sleep(200)
        assert talk.silent()


# --- heartbeat, status, readings -----------------------------------------------------------------------


@pytest.mark.req("R16-057", "R16-058")
async def test_heartbeat_after_the_interval_of_silence_sets_the_clock() -> None:
    async with Talk() as talk:
        talk.boot(interval=100)
        await asyncio.sleep(60)
        talk.call("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1})
        talk.take("StatusNotification")
        talk.reply()
        await asyncio.sleep(99)
        assert talk.silent()
        await asyncio.sleep(1.1)
        talk.take("Heartbeat")
        talk.reply({"currentTime": "2031-01-01T00:00:00Z"})
        assert talk.clock.now().year == 2031
        assert talk.station.clock_changes == 1, "what waits for a time of day was told"
        await asyncio.sleep(100.1)
        talk.take("Heartbeat")


@pytest.mark.req("R16-060")
async def test_a_changed_interval_counts_at_once() -> None:
    async with Talk() as talk:
        talk.boot(interval=1000)
        await talk.settle()
        await talk.station.settings.change("heartbeat_interval_s", "10")
        await asyncio.sleep(10.1)
        talk.take("Heartbeat")


async def test_a_heartbeat_without_answer_does_not_pile_up() -> None:
    async with Talk(FakeStation(MessageTimeout=50)) as talk:
        talk.boot(interval=10)
        await talk.settle()
        await asyncio.sleep(49)
        assert actions(talk) == ["Heartbeat"]


async def test_one_heartbeat_a_day_for_the_clock_whatever_else_is_sent() -> None:
    async with Talk() as talk:
        talk.boot(interval=7200)
        await talk.settle()
        heartbeats = 0
        for _ in range(26):
            await asyncio.sleep(3600)
            for frame in talk.frames():
                assert frame[2] == "Heartbeat"
                heartbeats += 1
                talk.reply({"currentTime": talk.clock.now().isoformat()})
            talk.call("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
            talk.reply()
        assert heartbeats == 1


@pytest.mark.req("R16-061", "R16-085")
async def test_a_change_is_reported_once_with_its_time() -> None:
    async with Talk() as talk:
        talk.boot()
        await asyncio.sleep(5)
        talk.station.change(plugged(1))
        for _ in range(3):
            talk.station.publish(EvseChanged(1, NOW))
        payload = talk.take("StatusNotification")
        assert payload["status"] == "Preparing"
        assert payload["timestamp"] == "2026-01-01T12:00:05Z"
        talk.reply()
        assert talk.silent()


@pytest.mark.req("R16-074", "TC_023_CS")
async def test_a_status_is_reported_after_it_lasted_long_enough() -> None:
    async with Talk(FakeStation(MinimumStatusDuration=10)) as talk:
        talk.boot()
        talk.station.change(plugged(1))
        talk.station.publish(EvseChanged(1, NOW))
        await asyncio.sleep(9.9)
        assert talk.silent()
        await asyncio.sleep(0.2)
        assert talk.take("StatusNotification")["timestamp"] == "2026-01-01T12:00:00Z"


async def test_a_status_that_never_arrived_is_told_with_the_next_connection() -> None:
    async with Talk() as talk:
        talk.boot()
        talk.station.change(plugged(1))
        talk.station.publish(EvseChanged(1, NOW))
        talk.take("StatusNotification")
        talk.close()
        talk.open()
        assert talk.take("StatusNotification")["status"] == "Preparing"


@pytest.mark.req("R16-133", "R16-135", "R16-144", "R16-151", "FIELD-45")
async def test_readings_outside_transactions_wait_for_the_csms_and_keep_their_time() -> None:
    async with Talk() as talk:
        value = SampledValue("Energy.Active.Import.Register", 1000.0, "Wh")
        for minute in (0, 15):
            at = NOW.replace(minute=minute)
            talk.outbox.add(MeterRead(1, 1, at, Sample(at, ReadingContext.SAMPLE_CLOCK, (value,))))
        talk.boot()
        for minute in (0, 15):
            await talk.settle()
            values = talk.take("MeterValues")
            assert "transactionId" not in values
            assert values["meterValue"][0]["timestamp"] == f"2026-01-01T12:{minute:02}:00Z"
            talk.reply()
        await talk.settle()
        assert talk.silent()


@pytest.mark.req("R16-139", "R16-138")
async def test_a_reading_outside_a_transaction_that_is_refused_is_tried_again_too() -> None:
    async with Talk(FakeStation(TransactionMessageAttempts=2, TransactionMessageRetryInterval=10)) as talk:
        value = SampledValue("Energy.Active.Import.Register", 1000.0, "Wh")
        talk.outbox.add(MeterRead(1, 1, NOW, Sample(NOW, ReadingContext.SAMPLE_CLOCK, (value,))))
        talk.boot()
        await talk.settle()
        talk.take("MeterValues")
        talk.error("InternalError")
        await asyncio.sleep(9)
        assert talk.silent()
        await asyncio.sleep(2)
        talk.take("MeterValues")
        talk.error("InternalError")
        await asyncio.sleep(60)
        assert talk.silent()
        assert not talk.outbox.rows


@pytest.mark.req("R16-152", "FIELD-38")
async def test_a_triggered_reading_names_the_transaction_of_its_moment_however_late_it_is_sent() -> None:
    async with Talk(FakeStation(charging(1))) as talk:
        talk.boot()
        value = SampledValue("Energy.Active.Import.Register", 1000.0, "Wh")
        taken = MeterSampled(1, 1, "t-1", Sample(NOW, ReadingContext.TRIGGER, (value,)), "42")
        talk.station.answers[SampleMeters] = (taken,)
        talk.call("TriggerMessage", {"requestedMessage": "Heartbeat"})  # now one of ours is outstanding
        await talk.ask("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1})
        talk.station.change(plugged(1))  # the transaction ends before the answer comes
        talk.reply({"currentTime": "2026-01-01T12:00:00Z"})
        assert talk.take("MeterValues")["transactionId"] == 42


@pytest.mark.req("R16-010", "R16-013")
async def test_the_ping_interval_is_set_with_the_connection_and_at_a_change() -> None:
    async with Talk(FakeStation(WebSocketPingInterval=33)) as talk:
        talk.open()
        assert talk.link.ping_interval_s == 33
        await talk.station.settings.change("websocket_ping_interval_s", "0")
        assert talk.link.ping_interval_s == 0


async def test_a_changed_minimum_duration_holds_for_what_already_waits() -> None:
    async with Talk(FakeStation(MinimumStatusDuration=3600)) as talk:
        talk.boot()
        talk.station.change(plugged(1))
        talk.station.publish(EvseChanged(1, NOW))
        await asyncio.sleep(5)
        assert talk.silent()
        await talk.station.settings.change("minimum_status_duration_s", "1")
        talk.take("StatusNotification")


async def test_a_failed_heartbeat_is_followed_by_the_next_one() -> None:
    async with Talk() as talk:
        talk.boot(interval=50)
        await asyncio.sleep(50.1)
        talk.take("Heartbeat")
        talk.error("InternalError")
        await asyncio.sleep(50.1)
        talk.take("Heartbeat")


async def test_a_report_that_cannot_be_built_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with Talk() as talk:
        talk.boot()
        unknown = SampledValue("Voltage", "much", "V")  # type: ignore[arg-type]
        talk.outbox.add(MeterRead(1, 1, NOW, Sample(NOW, ReadingContext.SAMPLE_CLOCK, (unknown,))))
        talk.station.publish(EvseChanged(1, NOW))
        await talk.settle()
        assert "MeterRead cannot be encoded" in caplog.text
        assert not talk.outbox.rows
        talk.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
        talk.take("Heartbeat")
