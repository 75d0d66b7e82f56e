"""A station that speaks 2.0.1, before, at and after its acceptance, frame by frame."""

import asyncio
import json

import pytest

from agent.charging.facts import EvseChanged
from agent.charging.ids import AuthorizationStatus, BootReason, IdToken, IdTokenInfo
from agent.charging.requests import Answer, RequestStart, ShowTokenPrice, Verdict
from agent.charging.tariff import Text
from agent.ocpp.frontend import Registration
from tests.helpers.fake_station import NOW, FakeStation
from tests.helpers.snapshots import evse, plugged
from tests.helpers.talk import Talk

TOKEN = {"idToken": "TAG1", "type": "Central"}
START = {"idToken": TOKEN, "remoteStartId": 1}


def talk_of(*evses: object, **given: object) -> Talk:
    return Talk(FakeStation(*evses, **given), version="ocpp2.0.1")  # type: ignore[arg-type]


@pytest.mark.req("B01.FR.01", "B01.FR.04", "B01.FR.05", "B01.FR.09", "G02.FR.01", "TC_B_01_CS")
async def test_boot_then_the_status_of_every_connector() -> None:
    async with talk_of(evse(1), plugged(2)) as talk:
        talk.open()
        assert talk.take("BootNotification")["reason"] == BootReason.POWER_UP.value
        talk.reply_to_boot("Accepted", interval=77)
        statuses = []
        for _ in range(2):
            payload = talk.take("StatusNotification")
            statuses.append((payload["evseId"], payload["connectorId"], payload["connectorStatus"]))
            talk.reply()
        assert statuses == [(1, 1, "Available"), (2, 1, "Occupied")]
        assert talk.silent()
        await talk.settle()
        assert talk.station.settings.integer("heartbeat_interval_s") == 77
        assert talk.conversation.registration is Registration.ACCEPTED


@pytest.mark.req("B01.FR.08", "B02.FR.02", "B02.FR.08")
async def test_pending_waits_for_the_interval_and_sends_nothing_else() -> None:
    async with talk_of(plugged()) as talk:
        talk.boot("Pending", interval=20)
        talk.station.publish(EvseChanged(1, NOW))
        await asyncio.sleep(19.9)
        assert talk.silent()
        await asyncio.sleep(0.2)
        talk.take("BootNotification")


@pytest.mark.req("B02.FR.05", "B02.FR.06")
async def test_pending_starts_and_stops_nothing_and_answers_everything_else() -> None:
    async with talk_of() as talk:
        talk.boot("Pending")
        started = await talk.ask("RequestStartTransaction", START)
        assert started == {"status": "Rejected", "statusInfo": {"reasonCode": "CSNotAccepted"}}
        stopped = await talk.ask("RequestStopTransaction", {"transactionId": "x"})
        assert stopped["status"] == "Rejected"
        assert talk.station.executed == []
        assert await talk.ask("ClearCache") == {"status": "Accepted"}
        assert talk.link.is_connected


@pytest.mark.req("B02.FR.02", "B02.FR.04", "F06.FR.04")
async def test_pending_sends_what_is_triggered_behind_the_answer() -> None:
    async with talk_of() as talk:
        talk.boot("Pending", interval=3600)
        assert await talk.ask("TriggerMessage", {"requestedMessage": "Heartbeat"}) == {"status": "Accepted"}
        talk.take("Heartbeat")
        talk.reply({"currentTime": "2026-01-01T12:00:00Z"})
        await talk.ask("TriggerMessage", {"requestedMessage": "BootNotification"})
        assert talk.take("BootNotification")["reason"] == "Triggered"
        sent = [json.loads(text) for text in talk.link.sent]
        assert [frame[0] for frame in sent] == [2, 3, 2, 3, 2]


@pytest.mark.req("B03.FR.02", "B03.FR.06", "B03.FR.08", "TC_B_03_CS", "TC_B_30_CS")
async def test_rejected_refuses_every_call_and_sends_nothing_until_the_interval_is_over() -> None:
    async with talk_of() as talk:
        talk.boot("Rejected", interval=30)
        assert (
            await talk.ask("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
            == "SecurityError"
        )
        assert await talk.ask("TriggerMessage", {"requestedMessage": "BootNotification"}) == "SecurityError"
        assert await talk.ask("NoSuchThing") == "SecurityError"
        assert talk.station.executed == []
        await asyncio.sleep(29.9)
        assert talk.silent()
        await asyncio.sleep(0.2)
        talk.take("BootNotification")
        talk.reply_to_boot("Accepted")
        talk.take("StatusNotification")


@pytest.mark.req("FR.03")
async def test_a_broken_frame_is_answered_even_while_rejected() -> None:
    async with talk_of() as talk:
        talk.boot("Rejected", interval=30)
        talk.conversation.on_text("{")
        assert json.loads(talk.link.sent[-1])[:3] == [4, "-1", "RpcFrameworkError"]


@pytest.mark.req("B02.FR.07", "B03.FR.05")
@pytest.mark.parametrize("status", ["Pending", "Rejected"])
async def test_an_interval_of_zero_is_a_wait_of_our_own(status: str) -> None:
    async with talk_of() as talk:
        talk.boot(status, interval=0)
        await asyncio.sleep(50)
        assert talk.silent()
        await asyncio.sleep(60)
        talk.take("BootNotification")


@pytest.mark.req("B04.FR.01", "B04.FR.02")
@pytest.mark.parametrize(("offline_s", "told"), [(59, [2]), (61, [1, 2])])
async def test_after_a_long_time_offline_every_status_is_told_otherwise_what_changed(
    offline_s: float, told: list[int]
) -> None:
    async with talk_of(evse(1), evse(2), **{"OCPPCommCtrlr.OfflineThreshold": 60}) as talk:
        talk.boot()
        talk.close()
        await asyncio.sleep(offline_s)
        talk.station.change(plugged(2))
        talk.station.publish(EvseChanged(2, NOW))
        talk.open()
        seen = []
        while not talk.silent():
            payload = talk.take("StatusNotification")
            seen.append((payload["evseId"], payload["connectorStatus"]))
            talk.reply()
        assert seen == [(evse_id, {1: "Available", 2: "Occupied"}[evse_id]) for evse_id in told]


async def test_after_a_change_of_version_the_station_boots_anew() -> None:
    async with Talk(FakeStation()) as talk:
        talk.boot()
        talk.close()
        talk.version = "ocpp2.0.1"
        talk.open()
        assert "chargingStation" in talk.take("BootNotification")
        talk.reply_to_boot("Accepted")
        talk.take("StatusNotification")


@pytest.mark.req("G02.FR.02", "G02.FR.05")
async def test_a_heartbeat_comes_after_an_interval_without_a_call_of_ours() -> None:
    async with talk_of() as talk:
        talk.boot(interval=100)
        await asyncio.sleep(99)
        assert talk.silent()
        await asyncio.sleep(2)
        talk.take("Heartbeat")


@pytest.mark.req("G02.FR.07")
async def test_however_much_is_told_there_is_a_heartbeat_a_day_for_the_clock() -> None:
    async with talk_of() as talk:
        talk.boot(interval=7200)
        heartbeats = 0
        for hour in range(49):
            await asyncio.sleep(3600)
            status = plugged(1) if hour % 2 == 0 else evse(1)
            talk.station.change(status)
            talk.station.publish(EvseChanged(1, NOW))
            while not talk.silent():
                assert talk.in_flight is not None
                is_heartbeat = talk.in_flight[2] == "Heartbeat"
                heartbeats += is_heartbeat
                talk.reply({"currentTime": talk.clock.now().isoformat()} if is_heartbeat else {})
        assert heartbeats == 2


@pytest.mark.req("FR.02")
async def test_accepted_answers_come_from_the_station() -> None:
    async with talk_of() as talk:
        talk.boot()
        talk.station.answers[RequestStart] = Answer(Verdict.ACCEPTED)
        assert await talk.ask("RequestStartTransaction", START) == {"status": "Accepted"}
        assert await talk.ask("RequestStartTransaction", {"idToken": TOKEN}) == "ProtocolError"
        assert await talk.ask("RequestStartTransaction", START | {"more": 1}) == "FormatViolation"
        assert await talk.ask("RequestStartTransaction", START | {"remoteStartId": "1"}) == (
            "TypeConstraintViolation"
        )
        wrong = START | {"idToken": {"idToken": "x", "type": "Card"}}
        assert await talk.ask("RequestStartTransaction", wrong) == "PropertyConstraintViolation"
        empty = START | {"idToken": TOKEN | {"additionalInfo": []}}
        assert await talk.ask("RequestStartTransaction", empty) == "OccurrenceConstraintViolation"
        assert await talk.ask("StatusNotification") == "NotSupported"
        assert await talk.ask("RemoteStartTransaction") == "NotImplemented"


async def test_the_personal_message_of_a_token_is_shown() -> None:
    async with talk_of() as talk:
        talk.boot()
        asking = asyncio.ensure_future(talk.conversation.authorize(IdToken("TAG1"), 1))
        await talk.settle()
        talk.take("Authorize")
        message = {"format": "UTF8", "content": "0.30 per kWh", "language": "en"}
        talk.reply({"idTokenInfo": {"status": "Accepted", "personalMessage": message}})
        assert await asking == IdTokenInfo(AuthorizationStatus.ACCEPTED)
        assert talk.station.executed == [ShowTokenPrice(IdToken("TAG1"), (Text("0.30 per kWh", "en"),))]
