"""Transaction facts as TransactionEvent, what its answer means, and GetTransactionStatus."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace as changed

from agent.charging.facts import (
    Sample,
    SampledValue,
    SignedValue,
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
    IdTokenType,
    ReadingContext,
    StopReason,
    TriggerReason,
)
from agent.charging.requests import (
    Answer,
    TellTransactions,
    TransactionStanding,
    TransactionStatus,
    Verdict,
)
from agent.charging.tariff import Text
from agent.errors import RemoteProtocolError
from agent.ocpp.frontend import Registration, TransactionAcknowledged
from agent.ocpp.v201 import transactions
from tests.helpers.fake_station import FixedView
from tests.helpers.snapshots import station
from tests.ocpp.v201.asking import answer, asked, read, told

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
TIME = "2026-03-01T12:00:00Z"
TX = "54db580c-7cb7-491a-85bc-0bbd8281fa11"
TAG = IdToken("TAG1")
TAG1 = {"idToken": "TAG1", "type": "ISO14443"}
REGISTER = SampledValue("Energy.Active.Import.Register", 1000.0, "Wh")


def sample(*values: SampledValue, context: ReadingContext = ReadingContext.SAMPLE_PERIODIC) -> Sample:
    return Sample(AT, context, values or (REGISTER,))


STARTED = TransactionStarted(
    transaction_id=TX,
    evse_id=2,
    connector_id=1,
    at=AT,
    seq_no=0,
    id_token=TAG,
    meter_start_wh=1000,
    trigger=TriggerReason.AUTHORIZED,
    offline=False,
)
UPDATED = TransactionUpdated(
    transaction_id=TX,
    evse_id=2,
    connector_id=1,
    at=AT,
    seq_no=3,
    trigger=TriggerReason.CHARGING_STATE_CHANGED,
    charging_state=ChargingState.CHARGING,
    offline=False,
)
METERED = TransactionMetered(
    transaction_id=TX,
    evse_id=2,
    connector_id=1,
    at=AT,
    seq_no=4,
    charging_state=ChargingState.CHARGING,
    offline=False,
    sample=sample(),
    register_wh=1000,
)
STOPPED = TransactionStopped(
    transaction_id=TX,
    evse_id=2,
    connector_id=1,
    at=AT,
    seq_no=9,
    id_token=TAG,
    meter_stop_wh=2000,
    reason=StopReason.REMOTE,
    trigger=TriggerReason.REMOTE_STOP,
    offline=False,
    charging_state=ChargingState.EV_CONNECTED,
    charged_s=61,
)


def event(fact: Any, reference: str | None = None) -> Any:
    action, payload = told(fact, None, reference)
    assert action == "TransactionEvent"
    return payload


# --- facts -------------------------------------------------------------------------------------------------


@pytest.mark.req("E01.FR.07", "E01.FR.08", "E01.FR.15", "E01.FR.16", "E01.FR.18", "E03.FR.01")
def test_a_start_says_who_where_and_in_what_state() -> None:
    assert event(STARTED) == {
        "eventType": "Started",
        "timestamp": TIME,
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": TX, "chargingState": "EVConnected"},
        "evse": {"id": 2, "connectorId": 1},
        "idToken": TAG1,
    }


@pytest.mark.req("E01.FR.16", "E03.FR.03", "F02.FR.01", "E02.FR.18", "E04.FR.03")
def test_what_is_not_known_is_left_out_and_what_is_known_is_told() -> None:
    bare = event(changed(STARTED, id_token=None, is_placed=False, charging_state=ChargingState.IDLE))
    assert "idToken" not in bare
    assert "evse" not in bare
    full = event(
        changed(
            STARTED,
            offline=True,
            reservation_id=3,
            remote_start_id=7,
            phases=3,
            cable_max_a=32,
            sample=sample(context=ReadingContext.TRANSACTION_BEGIN),
        )
    )
    assert full["offline"] is True
    assert (full["reservationId"], full["numberOfPhasesUsed"], full["cableMaxCurrent"]) == (3, 3, 32)
    assert full["transactionInfo"]["remoteStartId"] == 7
    assert full["meterValue"][0]["sampledValue"][0]["context"] == "Transaction.Begin"


@pytest.mark.req("E02.FR.13", "E02.FR.16", "E02.FR.20", "E01.FR.16", "F01.FR.18", "F01.FR.25")
def test_an_update_says_what_changed() -> None:
    plain = event(UPDATED)
    assert plain["transactionInfo"] == {"transactionId": TX, "chargingState": "Charging"}
    assert not {"evse", "idToken", "meterValue", "offline"} & set(plain)
    full = event(
        changed(
            UPDATED,
            trigger=TriggerReason.REMOTE_START,
            id_token=TAG,
            is_placed=True,
            remote_start_id=7,
            reservation_id=3,
            phases=1,
        )
    )
    assert (full["triggerReason"], full["idToken"]) == ("RemoteStart", TAG1)
    assert full["evse"] == {"id": 2, "connectorId": 1}
    assert (full["transactionInfo"]["remoteStartId"], full["reservationId"]) == (7, 3)
    assert full["numberOfPhasesUsed"] == 1


@pytest.mark.req("J01.FR.22", "J02.FR.11", "J02.FR.22")
@pytest.mark.parametrize(
    ("context", "trigger"),
    [
        (ReadingContext.SAMPLE_PERIODIC, "MeterValuePeriodic"),
        (ReadingContext.SAMPLE_CLOCK, "MeterValueClock"),
        (ReadingContext.TRANSACTION_BEGIN, "MeterValuePeriodic"),
    ],
)
def test_a_reading_says_why_it_was_taken(context: ReadingContext, trigger: str) -> None:
    payload = event(changed(METERED, sample=sample(context=context)))
    assert (payload["eventType"], payload["triggerReason"], payload["seqNo"]) == ("Updated", trigger, 4)
    (meter_value,) = payload["meterValue"]
    assert meter_value["timestamp"] == TIME
    assert meter_value["sampledValue"] == [
        {
            "value": 1000.0,
            "context": context.value,
            "measurand": "Energy.Active.Import.Register",
            "unitOfMeasure": {"unit": "Wh"},
        }
    ]


@pytest.mark.req("E01.FR.07")
def test_a_reading_without_any_name_in_2_0_1_leaves_no_gap_in_the_numbers() -> None:
    payload = event(changed(METERED, sample=sample(SampledValue("Temperature", 30.0, "Celsius"))))
    assert payload["seqNo"] == 4
    assert "meterValue" not in payload


def test_what_was_read_under_1_6_keeps_its_two_times() -> None:
    period = Sample(
        AT.replace(hour=11), ReadingContext.SAMPLE_CLOCK, (SampledValue("Voltage", 230.0, "V", "L1-N"),)
    )
    payload = event(changed(METERED, period=period))
    assert [value["timestamp"] for value in payload["meterValue"]] == ["2026-03-01T11:00:00Z", TIME]


@pytest.mark.req("J02.FR.21", "E02.FR.14")
def test_a_signed_value_stands_for_the_plain_one_beside_it() -> None:
    signed = changed(REGISTER, signed=SignedValue("OCMF|{}", "OCMF", "ECDSA", "04AB"))
    voltage = SampledValue("Voltage", 230.0, "V", "L1-N")
    payload = event(changed(METERED, sample=sample(REGISTER, voltage, signed)))
    values = payload["meterValue"][0]["sampledValue"]
    assert [value["measurand"] for value in values] == ["Voltage", "Energy.Active.Import.Register"]
    assert values[1]["value"] == 1000.0
    assert set(values[1]["signedMeterValue"]) == {
        "signedMeterData",
        "signingMethod",
        "encodingMethod",
        "publicKey",
    }


@pytest.mark.req("E06.FR.08", "E06.FR.15", "E07.FR.02", "E07.FR.06", "F03.FR.03")
def test_an_end_says_why_and_names_only_who_ended_the_authorization() -> None:
    payload = event(changed(STOPPED, samples=(sample(context=ReadingContext.TRANSACTION_END),)))
    assert payload["transactionInfo"] == {
        "transactionId": TX,
        "chargingState": "EVConnected",
        "timeSpentCharging": 61,
        "stoppedReason": "Remote",
    }
    assert "idToken" not in payload
    assert payload["meterValue"][0]["sampledValue"][0]["context"] == "Transaction.End"
    local = changed(STOPPED, reason=StopReason.LOCAL, trigger=TriggerReason.STOP_AUTHORIZED)
    assert event(local)["idToken"] == TAG1


def test_an_end_that_was_not_seen_says_no_state() -> None:
    lost = changed(STOPPED, charging_state=None, charged_s=None, reason=StopReason.POWER_LOSS)
    assert event(lost)["transactionInfo"] == {"transactionId": TX, "stoppedReason": "PowerLoss"}


@pytest.mark.req("E01.FR.08")
def test_the_id_is_ours_whatever_another_central_system_called_it() -> None:
    assert event(STOPPED, reference="17")["transactionInfo"]["transactionId"] == TX


@pytest.mark.req("E06.FR.08", "B12.FR.04", "C16.FR.07")
@pytest.mark.parametrize("reason", StopReason)
def test_every_reason_has_its_word(reason: StopReason) -> None:
    shown = event(changed(STOPPED, reason=reason))["transactionInfo"]["stoppedReason"]
    same = {each.value for each in StopReason} - {"HardReset", "SoftReset", "UnlockCommand"}
    assert shown == (
        reason.value
        if reason.value in same
        else {"UnlockCommand": "Other"}.get(reason.value, "ImmediateReset")
    )


@pytest.mark.req("E01.FR.15", "E02.FR.15")
@pytest.mark.parametrize("trigger", TriggerReason)
def test_every_trigger_has_its_word(trigger: TriggerReason) -> None:
    assert event(changed(UPDATED, trigger=trigger))["triggerReason"] == trigger.value


# --- answers -----------------------------------------------------------------------------------------------


@pytest.mark.req("E05.FR.10", "C09.FR.12", "I02.FR.04", "I06.FR.03", "C10.FR.05")
def test_an_answer_judges_the_token_and_brings_costs_and_words() -> None:
    assert read("TransactionEvent", {}) == TransactionAcknowledged()
    family = {"idToken": "FAMILY", "type": "Central"}
    payload = {
        "totalCost": 0.0,
        "chargingPriority": 3,
        "idTokenInfo": {"status": "Blocked", "groupIdToken": family},
        "updatedPersonalMessage": {"format": "UTF8", "content": "0.30 EUR/kWh", "language": "en"},
    }
    known = IdTokenInfo(AuthorizationStatus.BLOCKED, None, IdToken("FAMILY", IdTokenType.CENTRAL))
    words = (Text("0.30 EUR/kWh", "en"),)
    assert read("TransactionEvent", payload) == TransactionAcknowledged(None, known, 0.0, words)


def test_what_is_wrong_beside_the_verdict_does_not_hide_it() -> None:
    reader = transactions.RESULTS["TransactionEvent"]
    with pytest.raises(RemoteProtocolError):
        read("TransactionEvent", {"idTokenInfo": {"status": "Invalid"}, "totalCost": "much"})
    assert reader.less is not None
    receipt = transactions.TransactionEventReceipt(id_token_info=transactions.TokenReceipt(status="Invalid"))
    assert reader.less.read(receipt).known == IdTokenInfo(AuthorizationStatus.INVALID)
    assert reader.less.if_unreadable == TransactionAcknowledged(), "it arrived"


# --- asked about -------------------------------------------------------------------------------------------


@pytest.mark.req("E14.FR.02", "E14.FR.04", "E14.FR.06")
def test_status_is_of_one_transaction_or_of_the_queue() -> None:
    assert asked("GetTransactionStatus", {"transactionId": TX}) == TransactionStatus(TX)
    assert asked("GetTransactionStatus", {}) == TransactionStatus(None)
    standing = TransactionStanding(True, False)
    shown = answer("GetTransactionStatus", {"transactionId": TX}, None, standing)
    assert shown == {"messagesInQueue": True, "ongoingIndicator": False}
    assert answer("GetTransactionStatus", {}, None, TransactionStanding(False)) == {"messagesInQueue": False}


@pytest.mark.req("F06.FR.05", "F06.FR.07", "F06.FR.11")
def test_a_trigger_asks_one_or_every_transaction_to_report() -> None:
    wanted = {"requestedMessage": "TransactionEvent"}
    view = FixedView(picture=station())
    assert asked("TriggerMessage", wanted, view) == TellTransactions(None)
    assert asked("TriggerMessage", wanted | {"evse": {"id": 1}}, view) == TellTransactions(1)
    unknown = answer("TriggerMessage", wanted | {"evse": {"id": 9}}, view)
    assert unknown == {"status": "Rejected", "statusInfo": {"reasonCode": "UnknownEvse"}}
    assert answer("TriggerMessage", wanted, view, Answer(Verdict.ACCEPTED)) == {"status": "Accepted"}
    refused = answer("TriggerMessage", wanted, view, Answer(Verdict.REJECTED, "no transaction runs there"))
    assert refused["statusInfo"] == {
        "reasonCode": "TxNotFound",
        "additionalInfo": "no transaction runs there",
    }
    waiting = FixedView(picture=station(), registration=Registration.PENDING)
    assert answer("TriggerMessage", wanted, waiting)["statusInfo"] == {"reasonCode": "CSNotAccepted"}


@pytest.mark.req("F01.FR.13")
def test_a_start_names_the_transaction_that_runs_already() -> None:
    start = {"idToken": TAG1, "remoteStartId": 7}
    view = FixedView(picture=station())
    joined = Answer(Verdict.ACCEPTED, transaction_id=TX)
    assert answer("RequestStartTransaction", start, view, joined) == {
        "status": "Accepted",
        "transactionId": TX,
    }
