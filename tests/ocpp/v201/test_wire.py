"""The envelope of 2.0.1 in a conversation: one call at a time, ids, and message types of other versions (part 4)."""

import asyncio
import json
from typing import Any

import pytest

from agent.charging.requests import TransferData, TransferResult, TransferStatus
from tests.helpers.fake_station import FakeStation
from tests.helpers.snapshots import evse
from tests.helpers.talk import Talk


def talk_of(*evses: object, **given: object) -> Talk:
    station = FakeStation(*evses, **given)  # type: ignore[arg-type]
    station.answers[TransferData] = TransferResult(TransferStatus.ACCEPTED)
    return Talk(station, version="ocpp2.0.1")


def sent_after(talk: Talk, count: int) -> list[Any]:
    return [json.loads(text) for text in talk.link.sent[count:]]


@pytest.mark.req("FR.01")
async def test_the_next_call_waits_for_the_answer_or_the_timeout() -> None:
    async with talk_of(evse(1), evse(2), evse(3), MessageTimeout=5) as talk:
        talk.open()
        talk.take("BootNotification")
        talk.reply_to_boot("Accepted")
        assert talk.take("StatusNotification")["evseId"] == 1
        await asyncio.sleep(4.9)
        assert talk.frames() == []
        talk.reply()
        assert talk.take("StatusNotification")["evseId"] == 2
        await asyncio.sleep(4.9)
        assert talk.frames() == []
        talk.in_flight = None  # it is never answered
        await asyncio.sleep(0.2)
        assert talk.take("StatusNotification")["evseId"] == 3


@pytest.mark.req("FR.03")
async def test_a_second_call_with_the_id_of_one_that_is_being_handled_is_an_error_of_the_envelope() -> None:
    async with talk_of() as talk:
        talk.boot()
        text = json.dumps([2, "same", "DataTransfer", {"vendorId": "com.example"}])
        count = len(talk.link.sent)
        talk.conversation.on_text(text)
        talk.conversation.on_text(text)
        assert [frame[:3] for frame in sent_after(talk, count)] == [[4, "same", "RpcFrameworkError"]]
        await talk.settle()
        talk.conversation.on_text(text)  # answered: who asks again with the same id has lost the answer
        await talk.settle()
        assert [frame[:2] for frame in sent_after(talk, count)[1:]] == [[3, "same"], [3, "same"]]


@pytest.mark.parametrize(("length", "kind"), [(1, 3), (36, 3), (37, 4), (0, 4)])
async def test_an_id_has_1_to_36_characters(length: int, kind: int) -> None:
    async with talk_of() as talk:
        talk.boot()
        count = len(talk.link.sent)
        talk.conversation.on_text(json.dumps([2, "x" * length, "GetLocalListVersion", {}]))
        await talk.settle()
        ((found, message_id, *rest),) = sent_after(talk, count)
        assert (found, message_id) == (kind, "x" * length)
        assert kind == 3 or rest[0] == "RpcFrameworkError"


@pytest.mark.parametrize(
    "frame", [[5, "{}", "InternalError", "", {}], [6, "{}", "NotifyPeriodicEventStream", {}]]
)
async def test_message_types_of_2_1_are_not_supported_and_end_no_call_of_ours(frame: list[Any]) -> None:
    async with talk_of() as talk:
        talk.open()
        talk.take("BootNotification")
        assert talk.in_flight is not None
        message_id = talk.in_flight[1]
        count = len(talk.link.sent)
        talk.conversation.on_text(json.dumps([frame[0], message_id, *frame[2:]]))
        assert [each[:3] for each in sent_after(talk, count)] == [[4, message_id, "MessageTypeNotSupported"]]
        talk.frames()
        talk.reply_to_boot("Accepted")
        talk.take("StatusNotification")


async def test_an_error_to_nobody_in_particular_is_not_answered() -> None:
    async with talk_of() as talk:
        talk.boot()
        count = len(talk.link.sent)
        talk.conversation.on_text('[4,"-1","RpcFrameworkError","",{}]')
        talk.conversation.on_text('[4,"-1"')
        await talk.settle()
        assert sent_after(talk, count) == []


async def test_null_stands_for_an_empty_payload() -> None:
    async with talk_of() as talk:
        talk.boot()
        count = len(talk.link.sent)
        talk.conversation.on_text('[2,"n","GetLocalListVersion",null]')
        await talk.settle()
        assert sent_after(talk, count)[0][:2] == [3, "n"]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ("[]", "FormatViolation"),
        ('{"vendorId":"v","unknown":1}', "FormatViolation"),
        ('{"vendorId":"v","customData":{"vendorId":"x","any":[1]}}', None),
        ('{"vendorId":"v","customData":{"any":1}}', "ProtocolError"),
        ('{"messageId":"m"}', "ProtocolError"),
        ('{"vendorId":7}', "TypeConstraintViolation"),
        ('{"vendorId":"v","messageId":null}', "TypeConstraintViolation"),
        ('{"vendorId":"' + "v" * 256 + '"}', "PropertyConstraintViolation"),
    ],
)
async def test_what_the_schema_does_not_allow_has_the_code_of_table_8(payload: str, code: str | None) -> None:
    async with talk_of() as talk:
        talk.boot()
        count = len(talk.link.sent)
        talk.conversation.on_text(f'[2,"7","DataTransfer",{payload}]')
        await talk.settle()
        ((kind, message_id, *rest),) = sent_after(talk, count)
        assert (kind, message_id) == (3 if code is None else 4, "7")
        assert code is None or (rest[0], len(rest), rest[2]) == (code, 3, {})
