"""The outbox on its way to the CSMS: order, retries, late ids, and what the station hears of the answers."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.charging.facts import (
    DurableFact,
    Sample,
    SampledValue,
    SecurityEventRaised,
    TransactionMetered,
    TransactionStarted,
    TransactionStopped,
    TransactionUpdated,
)
from agent.charging.ids import (
    AuthorizationStatus,
    ChargingState,
    IdToken,
    IdTokenInfo,
    ReadingContext,
    SecurityEventType,
    StopReason,
    TriggerReason,
)
from agent.charging.ports import OutboxRow
from agent.charging.requests import RequestStop
from agent.charging.tariff import Text
from agent.errors import StoreFull
from tests.helpers.fake_station import NOW, FakeStation, MemoryOutbox
from tests.helpers.talk import Talk

TAG = IdToken("TAG1")
ACCEPTED = IdTokenInfo(AuthorizationStatus.ACCEPTED)
INVALID = IdTokenInfo(AuthorizationStatus.INVALID)


def started(transaction_id: str = "t-1", meter_start_wh: int = 1000) -> TransactionStarted:
    return TransactionStarted(
        transaction_id, 1, 1, NOW, 0, TAG, meter_start_wh, TriggerReason.AUTHORIZED, offline=False
    )


def metered(transaction_id: str = "t-1") -> TransactionMetered:
    sample = Sample(
        NOW, ReadingContext.SAMPLE_PERIODIC, (SampledValue("Energy.Active.Import.Register", 5.0, "Wh"),)
    )
    return TransactionMetered(transaction_id, 1, 1, NOW, 1, ChargingState.CHARGING, False, sample, 5)


def updated(transaction_id: str = "t-1") -> TransactionUpdated:
    return TransactionUpdated(
        transaction_id, 1, 1, NOW, 1, TriggerReason.CHARGING_STATE_CHANGED, ChargingState.CHARGING, False
    )


def stopped(transaction_id: str = "t-1") -> TransactionStopped:
    return TransactionStopped(
        transaction_id,
        1,
        1,
        NOW,
        2,
        TAG,
        2000,
        StopReason.LOCAL,
        TriggerReason.STOP_AUTHORIZED,
        offline=False,
    )


def start_answer(number: int = 7, status: str = "Accepted") -> dict[str, Any]:
    return {"transactionId": number, "idTagInfo": {"status": status}}


@pytest.mark.req("R16-134", "R16-055", "R16-118", "R16-143", "TC_039_CS")
async def test_the_queue_is_delivered_in_order_after_acceptance_with_the_id_filled_in() -> None:
    async with Talk(outbox=MemoryOutbox(started(), metered(), updated(), stopped())) as talk:
        talk.boot()
        await talk.settle()
        talk.take("StartTransaction")
        talk.reply(start_answer(7))
        await talk.settle()
        assert talk.take("MeterValues")["transactionId"] == 7
        talk.reply()
        await talk.settle()
        assert talk.take("StopTransaction")["transactionId"] == 7
        talk.reply()
        await talk.settle()
        assert talk.outbox.rows == []
        assert talk.silent()


@pytest.mark.req("R16-043", "R16-049")
async def test_nothing_is_delivered_while_pending() -> None:
    async with Talk(outbox=MemoryOutbox(started())) as talk:
        talk.boot("Pending", interval=600)
        await asyncio.sleep(100)
        assert talk.silent()


async def test_a_row_that_comes_while_online_goes_at_once() -> None:
    async with Talk() as talk:
        talk.boot()
        await talk.settle()
        talk.outbox.add(started())
        talk.station.publish(started())
        await talk.settle()
        talk.take("StartTransaction")


@pytest.mark.req("R16-101", "R16-112")
async def test_the_station_hears_what_the_csms_says_after_the_binding_is_on_disk() -> None:
    async with Talk(outbox=MemoryOutbox(started(), stopped())) as talk:
        talk.boot()
        await talk.settle()
        talk.take("StartTransaction")
        talk.reply(start_answer(0, "Invalid"))
        await talk.settle()
        assert talk.outbox.references == {"t-1": "0"}
        assert talk.station.bound == {"0": "t-1"}
        assert talk.station.judged == [(TAG, INVALID, "t-1", True)]
        assert talk.take("StopTransaction")["transactionId"] == 0
        talk.reply({"idTagInfo": {"status": "Accepted"}})
        await talk.settle()
        assert talk.station.judged[1:] == [(TAG, ACCEPTED, "t-1", False)]


async def test_a_remote_stop_right_behind_the_answer_finds_its_transaction() -> None:
    async with Talk(outbox=MemoryOutbox(started())) as talk:
        talk.boot()
        await talk.settle()
        talk.take("StartTransaction")
        talk.reply(start_answer(7))
        message_id = talk.call("RemoteStopTransaction", {"transactionId": 7})
        await talk.settle()
        talk.frames()
        assert talk.answers[message_id][2] == {"status": "Accepted"}
        assert talk.station.executed == [RequestStop("t-1")]


@pytest.mark.req("R16-138", "R16-139", "R16-140")
@pytest.mark.parametrize("how", ["error", "timeout", "garbage"])
async def test_a_message_that_is_not_taken_is_sent_three_times_with_growing_waits(how: str) -> None:
    async with Talk(outbox=MemoryOutbox(started())) as talk:
        talk.boot(interval=100_000)
        sent_after: list[float] = []
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while talk.outbox.rows:
            await talk.settle()
            if talk.frames():
                assert talk.in_flight is not None
                assert talk.in_flight[2] == "StartTransaction"
                sent_after.append(round(loop.time() - begin))
                begin = loop.time()
                if how == "error":
                    talk.error("InternalError", "database")
                elif how == "garbage":
                    talk.reply({"transactionId": "seven"})
                else:
                    talk.in_flight = None
            await asyncio.sleep(1)
        waits = [60, 120] if how != "timeout" else [90, 150]
        assert sent_after == [0, *[pytest.approx(wait, abs=2) for wait in waits]]
        assert [fact for fact, _ in talk.outbox.discarded] == [started()]


@pytest.mark.req("R16-141", "R16-117")
async def test_after_a_start_that_was_given_up_the_rest_carries_minus_one() -> None:
    given_up = MemoryOutbox(started(), metered(), stopped())
    async with Talk(FakeStation(TransactionMessageAttempts=1), given_up) as talk:
        talk.boot()
        await talk.settle()
        talk.take("StartTransaction")
        talk.error("InternalError")
        await talk.settle()
        assert talk.take("MeterValues")["transactionId"] == -1
        talk.reply()
        await talk.settle()
        assert talk.take("StopTransaction")["transactionId"] == -1


async def test_attempts_survive_a_restart() -> None:
    outbox = MemoryOutbox()
    outbox.rows = [OutboxRow(1, stopped(), 2)]
    async with Talk(outbox=outbox) as talk:
        talk.boot()
        await talk.settle()
        talk.take("StopTransaction")
        talk.error("InternalError")
        await talk.settle()
        assert outbox.rows == []
        assert len(outbox.discarded) == 1


@pytest.mark.req("R16-142", "R16-016", "TC_036_CS")
async def test_a_lost_connection_is_no_attempt_and_the_same_row_goes_again_with_a_new_id() -> None:
    async with Talk(outbox=MemoryOutbox(started())) as talk:
        ids = set()
        for _ in range(5):
            if talk.conversation.registration != "Accepted":
                talk.boot()
            else:
                talk.open()
            await talk.settle()
            talk.take("StartTransaction")
            assert talk.in_flight is not None
            ids.add(talk.in_flight[1])
            talk.close()
            await talk.settle()
        assert len(ids) == 5
        assert talk.outbox.rows[0].attempts == 0


@pytest.mark.req("R16-142")
async def test_a_busy_csms_costs_no_attempt_and_gets_no_storm() -> None:
    async with Talk(outbox=MemoryOutbox(started())) as talk:
        talk.boot()
        sent = 0
        for _ in range(300):
            await talk.settle()
            if talk.frames() and talk.in_flight is not None:
                assert talk.in_flight[2] == "StartTransaction"
                sent += 1
                talk.error("RpcFrameworkError", "Call already in progress")
            await asyncio.sleep(1)
        assert 8 <= sent <= 12
        assert talk.outbox.rows[0].attempts == 0
        for _ in range(60):
            if not talk.silent():
                break
            await asyncio.sleep(1)
        talk.reply(start_answer())
        await talk.settle()
        assert talk.outbox.rows == []


@pytest.mark.req("R16-137")
async def test_other_calls_overtake_a_row_that_waits_for_its_next_attempt() -> None:
    async with Talk(outbox=MemoryOutbox(started())) as talk:
        talk.boot()
        await talk.settle()
        talk.take("StartTransaction")
        talk.error("InternalError")
        asked = asyncio.ensure_future(talk.conversation.authorize(TAG, 1))
        await talk.settle()
        talk.take("Authorize")
        talk.reply({"idTagInfo": {"status": "Accepted"}})
        assert await asked == ACCEPTED
        talk.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
        talk.take("Heartbeat")


@pytest.mark.req("R16-133", "TC_039_CS")
async def test_facts_without_a_message_in_1_6_are_confirmed_silently() -> None:
    async with Talk(outbox=MemoryOutbox(updated(), updated())) as talk:
        talk.boot()
        await talk.settle()
        assert talk.silent()
        assert talk.outbox.rows == []


EVENT = SecurityEventRaised(NOW, SecurityEventType.STARTUP_OF_THE_DEVICE)


@pytest.mark.parametrize(("code", "sent"), [("NotImplemented", 1), ("NotSupported", 1), ("InternalError", 3)])
async def test_a_message_that_the_csms_does_not_know_is_sent_once_and_holds_nothing_up(
    code: str, sent: int
) -> None:
    async with Talk(outbox=MemoryOutbox(EVENT, EVENT, started(), EVENT)) as talk:
        talk.boot()
        await talk.settle()
        seen = 0
        talk.frames()
        while (frame := talk.in_flight) is not None:
            if frame[2] == "SecurityEventNotification":
                seen += 1
                talk.error(code)
            else:
                talk.reply(start_answer(7))
            await talk.settle()
            talk.frames()
        assert seen == sent
        assert talk.outbox.rows == []
        assert [fact for fact, _reason in talk.outbox.discarded] == [EVENT] * 3


@pytest.mark.parametrize(("fact", "action"), [(stopped(), "StopTransaction"), (metered(), "MeterValues")])
async def test_an_unreadable_answer_still_says_that_it_arrived(fact: DurableFact, action: str) -> None:
    async with Talk(outbox=MemoryOutbox(fact)) as talk:
        talk.boot()
        await talk.settle()
        talk.take(action)
        talk.reply({"idTagInfo": 5, "status": "ok"})
        await talk.settle()
        assert talk.outbox.rows == []
        assert talk.outbox.discarded == []


async def test_a_full_disk_holds_the_queue_and_sends_nothing_twice() -> None:
    async with Talk(outbox=MemoryOutbox(started(), stopped())) as talk:
        talk.boot()
        await talk.settle()
        talk.outbox.fail_next = [StoreFull("disk"), StoreFull("disk")]
        talk.take("StartTransaction")
        talk.reply(start_answer(7))
        await asyncio.sleep(0.9)
        assert talk.silent()
        await asyncio.sleep(3)
        assert talk.take("StopTransaction")["transactionId"] == 7
        assert talk.outbox.references == {"t-1": "7"}


async def test_a_row_that_can_never_be_built_is_discarded_at_once() -> None:
    broken = replace(stopped(), reason="Whim")  # type: ignore[arg-type]
    async with Talk(outbox=MemoryOutbox(broken, started())) as talk:
        talk.boot()
        await talk.settle()
        talk.take("StartTransaction")
        assert [fact for fact, _ in talk.outbox.discarded] == [broken]


async def test_a_token_that_cannot_be_stored_holds_nothing_up() -> None:
    class Full(FakeStation):
        async def token_answered(self, *_: Any, **__: Any) -> None:
            raise StoreFull("disk")

    async with Talk(Full(), MemoryOutbox(started(), stopped())) as talk:
        talk.boot()
        await talk.settle()
        talk.take("StartTransaction")
        talk.reply(start_answer())
        await talk.settle()
        talk.take("StopTransaction")


async def test_flush_waits_until_everything_was_delivered() -> None:
    async with Talk(outbox=MemoryOutbox(stopped())) as talk:
        talk.boot()
        flushed = asyncio.ensure_future(talk.conversation.flush(20.0))
        await talk.settle()
        assert not flushed.done()
        talk.take("StopTransaction")
        talk.reply()
        assert await flushed is True
        talk.close()
        assert await talk.conversation.flush(5.0) is False


async def test_after_a_crash_the_next_run_goes_on_with_the_open_connection() -> None:
    async with Talk(outbox=MemoryOutbox(stopped())) as talk:
        talk.boot()
        await talk.settle()
        talk.take("StopTransaction")
        talk.outbox.fail_next = [RuntimeError("bug")]
        talk.reply()
        with pytest.raises(RuntimeError, match="bug"):
            await talk.run
        talk.run = asyncio.ensure_future(talk.conversation.run())
        await talk.settle()
        talk.take("StopTransaction")
        talk.reply()
        await talk.settle()
        assert talk.outbox.rows == []


class Lossy:
    """A CSMS that answers, refuses, stays silent, or drops the connection, as the example says."""

    def __init__(self, talk: Talk, doings: list[str]) -> None:
        self.talk, self.doings = talk, doings
        self.taken: list[dict[str, Any]] = []
        self.numbers = 100

    async def run(self) -> None:
        talk = self.talk
        while talk.outbox.rows:
            await talk.settle()
            talk.frames()
            if not talk.link.is_connected:
                talk.open()
            elif talk.in_flight is not None:
                self.treat(talk.in_flight[2], talk.in_flight[3])
            await asyncio.sleep(7)

    def treat(self, action: str, payload: dict[str, Any]) -> None:
        talk = self.talk
        doing = self.doings.pop(0) if self.doings and "Transaction" in action else "answer"
        if doing == "busy":
            talk.error("RpcFrameworkError", "Call already in progress")
        elif doing == "drop":
            talk.close()
        elif doing == "drop after taking":
            self.taken.append({"action": action, **payload})
            talk.close()
        elif action == "BootNotification":
            talk.reply_to_boot("Accepted", interval=100_000)
        else:
            self.taken.append({"action": action, **payload})
            self.numbers += 1
            talk.reply(start_answer(self.numbers) if action == "StartTransaction" else {})


@settings(max_examples=60, deadline=None)
@given(
    transactions=st.integers(1, 3),
    doings=st.lists(st.sampled_from(["answer", "busy", "drop", "drop after taking"]), max_size=12),
)
async def test_whatever_the_connection_does_every_row_arrives_in_order(
    transactions: int, doings: list[str]
) -> None:
    facts: list[DurableFact] = []
    for number in range(transactions):
        facts += [started(f"t-{number}", number), metered(f"t-{number}"), stopped(f"t-{number}")]
    async with Talk(outbox=MemoryOutbox(*facts)) as talk:
        csms = Lossy(talk, list(doings))
        await csms.run()
        assert talk.outbox.discarded == []
        kept = [message for message in csms.taken if message["action"] != "StatusNotification"]
        deduplicated = [json.dumps(message) for message in kept if message["action"] != "BootNotification"]
        distinct = list(dict.fromkeys(deduplicated))
        order = [json.loads(text)["action"] for text in distinct]
        assert order == ["StartTransaction", "MeterValues", "StopTransaction"] * transactions
        for message in kept:
            assert message.get("transactionId", 1) > 0


@pytest.mark.req("I02.FR.04", "I03.FR.03", "I06.FR.03")
async def test_what_an_answer_says_of_costs_is_told_to_the_station_with_the_last_one_marked() -> None:
    outbox = MemoryOutbox(started(), updated(), stopped())
    async with Talk(outbox=outbox, version="ocpp2.0.1") as talk:
        talk.boot()
        await talk.settle()
        message = {"format": "UTF8", "content": "40 ct"}
        for answer in ({"totalCost": 0.0}, {"updatedPersonalMessage": message}, {"totalCost": 3.5}):
            talk.take("TransactionEvent")
            talk.reply(answer)
            await talk.settle()
        assert talk.station.priced == [
            ("t-1", 0.0, (), False),
            ("t-1", None, (Text("40 ct"),), False),
            ("t-1", 3.5, (), True),
        ]
        assert outbox.rows == []


# --- what is late, and who is judged -----------------------------------------------------------------------


def events(talk: Talk) -> list[tuple[int, bool]]:
    """(seqNo, offline) of the TransactionEvents that went out."""
    frames = [json.loads(text) for text in talk.link.sent]
    sent = [frame[3] for frame in frames if frame[0] == 2 and frame[2] == "TransactionEvent"]
    return [(payload["seqNo"], payload.get("offline", False)) for payload in sent]


@pytest.mark.req("E11.FR.02", "E11.FR.07", "E04.FR.03")
async def test_what_was_queued_before_the_connection_is_late_and_what_comes_then_is_not() -> None:
    outbox = MemoryOutbox(started(), updated())
    async with Talk(outbox=outbox, version="ocpp2.0.1") as talk:
        talk.boot()
        await talk.settle()
        for _ in range(2):
            talk.take("TransactionEvent")
            talk.reply({})
            await talk.settle()
        late = replace(updated(), seq_no=2)
        outbox.add(late)
        talk.station.publish(late)
        await talk.settle()
        assert events(talk) == [(0, True), (1, True), (2, False)]
        talk.close()  # before the answer came
        await talk.settle()
        talk.open()
        await talk.settle()
        assert events(talk)[-1] == (2, True)


@pytest.mark.req("E05.FR.10", "C10.FR.05", "E07.FR.02")
@pytest.mark.parametrize(
    ("fact", "judged"),
    [
        (started(), (TAG, True)),
        (replace(updated(), id_token=TAG, trigger=TriggerReason.AUTHORIZED), (TAG, True)),
        (updated(), (None, True)),
        (metered(), (None, True)),
        (replace(updated(), id_token=TAG, trigger=TriggerReason.STOP_AUTHORIZED), (TAG, False)),
        (stopped(), (TAG, False)),
    ],
)
async def test_the_answer_judges_who_charges_and_not_who_has_stopped(
    fact: DurableFact, judged: tuple[IdToken | None, bool]
) -> None:
    async with Talk(outbox=MemoryOutbox(fact), version="ocpp2.0.1") as talk:
        talk.boot()
        await talk.settle()
        talk.take("TransactionEvent")
        talk.reply({"idTokenInfo": {"status": "Invalid"}})
        await talk.settle()
        ((id_token, known, transaction_id, from_start),) = talk.station.judged
        assert (id_token, from_start) == judged
        assert (known, transaction_id) == (INVALID, "t-1")
