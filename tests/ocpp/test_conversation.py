"""The conversation with a CSMS, frame by frame: its calls, and our questions."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from agent.charging.facts import AvailabilityChanged, MeterSampled, Sample, SampledValue
from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo, ReadingContext
from agent.charging.requests import (
    Answer,
    ChangeAvailability,
    RequestStart,
    SampleMeters,
    TransferData,
    TransferResult,
    TransferStatus,
    Verdict,
)
from agent.errors import CallRejected, CallTimeout, LinkClosed, LocalProtocolError
from agent.ocpp.v16 import FRONT_END
from tests.helpers.fake_station import NOW, FakeStation
from tests.helpers.snapshots import evse
from tests.helpers.talk import Talk
from tests.ocpp.json_texts import json_values, message_like_texts

TAG = IdToken("TAG1")


def reading(context: ReadingContext = ReadingContext.TRIGGER, evse_id: int = 1) -> MeterSampled:
    return MeterSampled(evse_id, 1, None, Sample(NOW, context, (SampledValue("Voltage", 230.0, "V"),)))


def actions(talk: Talk) -> list[Any]:
    """What the station sent since the last look: the action of a call, the message id of an answer."""
    return [frame[2] if frame[0] == 2 else frame[1] for frame in talk.frames()]


# --- calls of the CSMS ---------------------------------------------------------------------------------


@pytest.mark.req("R16-018", "FIELD-20")
async def test_calls_are_answered_while_ours_is_outstanding_and_before_the_boot_is_answered() -> None:
    async with Talk() as talk:
        talk.open()
        talk.take("BootNotification")
        talk.call("GetConfiguration")
        assert talk.answers["c1"][0] == 3
        talk.reply_to_boot("Accepted")
        talk.take("StatusNotification")
        talk.call("GetLocalListVersion")
        assert talk.answers["c2"] == [3, "c2", {"listVersion": 0}]


@pytest.mark.req("R16-026", "R16-023")
@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("SecurityEventNotification", "NotSupported"),
        ("BootNotification", "NotSupported"),
        ("reset", "NotImplemented"),
        ("NoSuchAction", "NotImplemented"),
    ],
)
async def test_actions_that_are_not_served(action: str, code: str) -> None:
    async with Talk() as talk:
        talk.boot()
        assert await talk.ask(action) == code


@pytest.mark.req("R16-027", "R16-029", "R16-030")
@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Reset", {}, "ProtocolError"),
        ("Reset", {"type": "Gentle"}, "PropertyConstraintViolation"),
        ("Reset", {"type": 5}, "TypeConstraintViolation"),
        ("Reset", {"type": "Soft", "more": 1}, "FormationViolation"),
        ("Reset", [], "FormationViolation"),
        ("UnlockConnector", {"connectorId": "1"}, "TypeConstraintViolation"),
        ("ChangeConfiguration", {"key": "k" * 51, "value": ""}, "PropertyConstraintViolation"),
        ("TriggerMessage", {"requestedMessage": None}, "TypeConstraintViolation"),
    ],
)
async def test_broken_payloads_get_the_exact_error(action: str, payload: Any, code: str) -> None:
    async with Talk() as talk:
        talk.boot()
        talk.conversation.on_text(json.dumps([2, "x", action, payload]))
        talk.frames()
        assert talk.answers["x"][0] == 4
        assert talk.answers["x"][2] == code
        assert talk.answers["x"][4] == {}


@pytest.mark.req("R16-028")
async def test_a_crash_is_an_internal_error_and_the_conversation_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Talk() as talk:
        talk.boot()
        talk.station.answers[TransferData] = RuntimeError("vendor handler failed")
        assert await talk.ask("DataTransfer", {"vendorId": "v"}) == "InternalError"
        assert "vendor handler failed" in caplog.text
        assert "vendor handler failed" not in talk.link.sent[-1]
        talk.station.picture = None  # type: ignore[assignment]
        assert await talk.ask("UnlockConnector", {"connectorId": 1}) == "InternalError"
        assert (await talk.ask("GetConfiguration", {"key": ["x"]})) == {
            "configurationKey": [],
            "unknownKey": ["x"],
        }


async def test_a_station_that_never_answers_gives_an_internal_error_in_the_end() -> None:
    async with Talk() as talk:
        talk.boot()

        async def never(_request: Any) -> Answer:
            await asyncio.sleep(3600)
            return Answer(Verdict.ACCEPTED)

        talk.station.answers[RequestStart] = never
        talk.call("RemoteStartTransaction", {"idTag": "T"})
        await asyncio.sleep(31)
        talk.frames()
        assert talk.answers["c1"][2] == "InternalError"


async def test_an_answer_that_is_ready_after_the_connection_ended_is_dropped() -> None:
    async with Talk() as talk:
        talk.boot()

        async def slow(_request: Any) -> TransferResult:
            await asyncio.sleep(5)
            return TransferResult(TransferStatus.ACCEPTED)

        talk.station.answers[TransferData] = slow
        talk.call("DataTransfer", {"vendorId": "v"})
        talk.close()
        talk.open()
        await asyncio.sleep(6)
        assert talk.silent()
        assert talk.answers == {}


@pytest.mark.req("R16-188", "R16-281", "FIELD-72")
async def test_the_answer_goes_before_the_status_that_it_brings_about() -> None:
    async with Talk() as talk:
        talk.boot()

        async def take_out_of_service(_request: Any) -> Answer:
            talk.station.change(evse(1, inoperative_connectors=frozenset({1})))
            talk.station.publish(AvailabilityChanged(1, 1, False, NOW))
            await asyncio.sleep(0.5)
            return Answer(Verdict.ACCEPTED)

        talk.station.answers[ChangeAvailability] = take_out_of_service
        message_id = talk.call("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})
        await asyncio.sleep(1)
        assert actions(talk) == [message_id, "StatusNotification"]
        assert talk.take("StatusNotification")["status"] == "Unavailable"


async def test_an_answer_that_cannot_be_encoded_is_an_internal_error() -> None:
    async with Talk() as talk:
        talk.boot()
        talk.station.answers[TransferData] = TransferResult(TransferStatus.ACCEPTED, "lone \ud800 surrogate")
        assert await talk.ask("DataTransfer", {"vendorId": "v"}) == "InternalError"


async def test_a_connection_that_ends_under_an_answer_does_no_harm() -> None:
    async with Talk() as talk:
        talk.boot()
        talk.link.is_connected = False
        talk.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
        talk.close()
        talk.conversation.on_text('[2,"late","GetLocalListVersion",{}]')
        talk.open()
        assert talk.silent()
        assert talk.answers == {}


async def test_every_message_is_in_the_journal_as_it_stands_on_the_wire() -> None:
    async with Talk() as talk:
        talk.open()
        talk.call("GetLocalListVersion")
        assert talk.journal.texts == [
            ("out", talk.link.sent[0]),
            ("in", '[2, "c1", "GetLocalListVersion", {}]'),
            ("out", '[3,"c1",{"listVersion":0}]'),
        ]


@hypothesis_settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    action=st.sampled_from(sorted({*FRONT_END.routes, *FRONT_END.unsupported, "NoSuchAction", ""})),
    payload=json_values()
    | st.dictionaries(
        st.sampled_from(
            [
                "connectorId",
                "type",
                "key",
                "value",
                "idTag",
                "requestedMessage",
                "vendorId",
                "data",
                "transactionId",
            ]
        ),
        st.integers(-1, 4)
        | st.sampled_from(["Soft", "Hard", "Operative", "MeterValues", "StatusNotification", "Heartbeat"])
        | st.lists(st.text(max_size=5), max_size=2),
    ),
)
async def test_any_payload_of_any_action_gets_exactly_one_answer(action: str, payload: object) -> None:
    async with Talk() as talk:
        talk.boot()
        talk.station.answers[TransferData] = TransferResult(TransferStatus.ACCEPTED)
        talk.station.answers[SampleMeters] = (reading(),)
        talk.conversation.on_text(json.dumps([2, "x", action, payload]))
        await talk.settle()
        answers = [frame for frame in talk.frames() if frame[0] != 2]
        assert [frame[1] for frame in answers] == ["x"] or "x" in talk.answers
        frame = talk.answers["x"]
        if frame[0] == 4:
            assert frame[2] in FRONT_END.error_codes.values()
            assert isinstance(frame[3], str)
        else:
            assert isinstance(frame[2], dict)


@hypothesis_settings(max_examples=200, deadline=None)
@given(text=message_like_texts())
async def test_no_text_ends_the_conversation(text: str) -> None:
    async with Talk() as talk:
        talk.boot()
        talk.conversation.on_text(text)
        await talk.settle()
        talk.frames()
        assert (await talk.ask("GetLocalListVersion")) == {"listVersion": 0}


# --- questions -----------------------------------------------------------------------------------------


async def test_authorize_asks_the_csms() -> None:
    async with Talk() as talk:
        talk.boot()
        asked = asyncio.ensure_future(talk.conversation.authorize(TAG, 1))
        await talk.settle()
        assert talk.take("Authorize") == {"idTag": "TAG1"}
        talk.reply({"idTagInfo": {"status": "Blocked"}})
        assert await asked == IdTokenInfo(AuthorizationStatus.BLOCKED)


@pytest.mark.parametrize("how", ["error", "timeout", "close", "garbage", "busy"])
async def test_authorize_without_an_answer_is_none(how: str) -> None:
    async with Talk() as talk:
        talk.boot()
        asked = asyncio.ensure_future(talk.conversation.authorize(TAG, 1))
        await talk.settle()
        talk.take("Authorize")
        if how == "error":
            talk.error("InternalError")
        elif how == "close":
            talk.close()
        elif how == "garbage":
            talk.reply({"idTagInfo": "Accepted"})
        elif how == "busy":
            for _ in range(4):
                talk.take("Authorize")
                talk.error("RpcFrameworkError", "Call already in progress")
                await asyncio.sleep(10)
        assert await asked is None


@pytest.mark.parametrize("status", [None, "Pending"])
async def test_offline_or_not_accepted_nothing_can_be_asked(status: str | None) -> None:
    async with Talk() as talk:
        if status is not None:
            talk.boot(status)
        assert not talk.conversation.is_online
        assert await talk.conversation.authorize(TAG, 1) is None
        with pytest.raises(LinkClosed):
            await talk.conversation.transfer_data("v", None, None)
        assert talk.silent()


@pytest.mark.req("R16-308")
async def test_outgoing_data_transfer() -> None:
    async with Talk() as talk:
        talk.boot()
        sent = asyncio.ensure_future(talk.conversation.transfer_data("org.example", "Report", {"a": 1}))
        await talk.settle()
        assert talk.take("DataTransfer") == {
            "vendorId": "org.example",
            "messageId": "Report",
            "data": '{"a":1}',
        }
        talk.reply({"status": "Accepted", "data": "thanks"})
        assert await sent == TransferResult(TransferStatus.ACCEPTED, "thanks")


async def test_outgoing_data_transfer_that_fails_says_how() -> None:
    async with Talk() as talk:
        talk.boot()
        refused = asyncio.ensure_future(talk.conversation.transfer_data("v", None, None))
        await talk.settle()
        talk.error("NotSupported", "no vendor data here")
        with pytest.raises(CallRejected, match="NotSupported"):
            await refused
        with pytest.raises(CallTimeout):
            await talk.conversation.transfer_data("v", None, None)
        with pytest.raises(LocalProtocolError):
            await talk.conversation.transfer_data("v" * 256, None, None)
        talk.in_flight = None
        assert (await talk.ask("GetLocalListVersion")) == {"listVersion": 0}


@pytest.mark.req("R16-019", "R16-020", "R16-017")
async def test_after_the_timeout_the_next_call_goes_and_a_late_answer_is_ignored() -> None:
    async with Talk(FakeStation(MessageTimeout=5)) as talk:
        talk.boot()
        first = asyncio.ensure_future(talk.conversation.authorize(TAG, 1))
        second = asyncio.ensure_future(talk.conversation.authorize(IdToken("TAG2"), 1))
        await talk.settle()
        talk.take("Authorize")
        late, talk.in_flight = talk.in_flight, None
        await asyncio.sleep(5.1)
        assert talk.take("Authorize") == {"idTag": "TAG2"}
        assert late is not None
        talk.conversation.on_text(json.dumps([3, late[1], {"idTagInfo": {"status": "Accepted"}}]))
        assert await first is None
        assert not second.done()
        talk.reply({"idTagInfo": {"status": "Accepted"}})
        assert await second == IdTokenInfo(AuthorizationStatus.ACCEPTED)


async def test_time_passes_in_the_clock_of_the_conversation() -> None:
    async with Talk() as talk:
        await asyncio.sleep(90)
        assert talk.clock.now() == pytest.approx(NOW + timedelta(seconds=90), abs=timedelta(milliseconds=1))
