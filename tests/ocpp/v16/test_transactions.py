"""StartTransaction, StopTransaction, Authorize and MeterValues: facts as payloads, and what comes back."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.facts import (
    MeterSampled,
    Sample,
    SampledValue,
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
from agent.charging.requests import Answer, ClearCache, Verdict
from agent.errors import LocalProtocolError
from agent.ocpp.codec import decode, encode
from agent.ocpp.frontend import Ask, Notice, Reply, TokenJudged, TokenQuestion, TransactionAcknowledged
from agent.ocpp.v16 import FRONT_END
from agent.ocpp.v16.authorization import ClearCacheRequest, clear_cache
from agent.ocpp.v16.metering import number_text
from agent.ocpp.v16.transactions import REASONS, ReasonName
from tests.helpers.fake_station import NOW, FixedView
from tests.helpers.snapshots import charging, evse, station

TAG = IdToken("TAG1")
PICTURE = station(evse(1, connectors=2), charging(2))


def sample(context: ReadingContext, *values: SampledValue, at: datetime = NOW) -> Sample:
    return Sample(at, context, values or (SampledValue("Energy.Active.Import.Register", 1234.0, "Wh"),))


def started(**given: Any) -> TransactionStarted:
    return TransactionStarted(
        **{
            "transaction_id": "t-1",
            "evse_id": 2,
            "connector_id": 1,
            "at": NOW,
            "seq_no": 0,
            "id_token": TAG,
            "meter_start_wh": 1000,
            "trigger": TriggerReason.AUTHORIZED,
            "offline": False,
            **given,
        }
    )


def stopped(**given: Any) -> TransactionStopped:
    return TransactionStopped(
        **{
            "transaction_id": "t-1",
            "evse_id": 2,
            "connector_id": 1,
            "at": NOW,
            "seq_no": 3,
            "id_token": TAG,
            "meter_stop_wh": 2000,
            "reason": StopReason.LOCAL,
            "trigger": TriggerReason.STOP_AUTHORIZED,
            "offline": False,
            **given,
        }
    )


def metered(*values: SampledValue) -> TransactionMetered:
    return TransactionMetered(
        "t-1",
        2,
        1,
        NOW,
        1,
        ChargingState.CHARGING,
        False,
        sample(ReadingContext.SAMPLE_PERIODIC, *values),
        1234,
    )


def message(notice: Notice, reference: str | None = None) -> tuple[str, dict[str, Any]] | None:
    call = FRONT_END.encoders[type(notice)](notice, FixedView(picture=PICTURE), reference)
    return None if call is None else (call.action, decode(encode(call.payload), dict))


def read(action: str, payload: dict[str, Any]) -> Any:
    reader = FRONT_END.results[action]
    return reader.read(decode(encode(payload), reader.payload))


# --- start and stop --------------------------------------------------------------------------------------


@pytest.mark.req("R16-109", "R16-144", "TC_003_CS")
def test_start_carries_connector_tag_register_and_its_own_time() -> None:
    at = NOW - timedelta(days=3)
    assert message(started(at=at)) == (
        "StartTransaction",
        {"connectorId": 3, "idTag": "TAG1", "meterStart": 1000, "timestamp": "2025-12-29T12:00:00Z"},
    )


@pytest.mark.req("R16-110")
def test_start_of_a_reservation_names_it() -> None:
    found = message(started(reservation_id=0))
    assert found is not None
    assert found[1]["reservationId"] == 0


def test_a_tag_longer_than_the_field_is_cut_and_a_missing_one_is_not_empty() -> None:
    for token, tag in ((IdToken("x" * 36), "x" * 20), (None, "NoAuthorization")):
        found = message(started(id_token=token))
        assert found is not None
        assert found[1]["idTag"] == tag


@pytest.mark.req("R16-116", "R16-101")
@pytest.mark.parametrize("number", [7, 0, -3])
def test_any_integer_is_a_transaction_id(number: int) -> None:
    outcome = read("StartTransaction", {"transactionId": number, "idTagInfo": {"status": "Invalid"}})
    assert outcome == TransactionAcknowledged(str(number), IdTokenInfo(AuthorizationStatus.INVALID))


@pytest.mark.req("R16-120", "R16-121", "R16-122", "R16-130", "TC_068_CS")
def test_stop_carries_the_id_of_the_csms_and_no_data_unless_configured() -> None:
    assert message(stopped(), "7") == (
        "StopTransaction",
        {
            "transactionId": 7,
            "meterStop": 2000,
            "timestamp": "2026-01-01T12:00:00Z",
            "idTag": "TAG1",
            "reason": "Local",
        },
    )


@pytest.mark.req("R16-117")
@pytest.mark.parametrize("reference", [None, "d9c4-of-another-version"])
def test_without_an_id_of_the_csms_stop_and_readings_carry_minus_one(reference: str | None) -> None:
    for notice in (stopped(), metered()):
        found = message(notice, reference)
        assert found is not None
        assert found[1]["transactionId"] == -1


@pytest.mark.req("R16-121")
def test_stop_by_nobody_carries_no_tag() -> None:
    found = message(stopped(id_token=None), "7")
    assert found is not None
    assert "idTag" not in found[1]


@pytest.mark.req("R16-164", "R16-165")
def test_stop_carries_the_samples_in_order_and_none_without_values() -> None:
    samples = (
        sample(ReadingContext.TRANSACTION_BEGIN),
        Sample(NOW, ReadingContext.SAMPLE_PERIODIC, ()),
        sample(ReadingContext.TRANSACTION_END, at=NOW + timedelta(hours=1)),
    )
    found = message(stopped(samples=samples), "7")
    assert found is not None
    assert [
        (entry["timestamp"], entry["sampledValue"][0]["context"]) for entry in found[1]["transactionData"]
    ] == [("2026-01-01T12:00:00Z", "Transaction.Begin"), ("2026-01-01T13:00:00Z", "Transaction.End")]


@pytest.mark.req("R16-123")
def test_every_reason_has_a_word_in_1_6() -> None:
    assert set(REASONS) == set(StopReason)
    assert set(REASONS.values()) == set(get_args(ReasonName))
    shared = {reason.value for reason in StopReason} & set(get_args(ReasonName))
    assert all(REASONS[StopReason(word)] == word for word in shared)


@pytest.mark.req("R16-129", "R16-101")
@pytest.mark.parametrize("payload", [{}, {"idTagInfo": None}])
def test_an_answer_to_stop_without_tag(payload: dict[str, Any]) -> None:
    assert read("StopTransaction", payload) == TransactionAcknowledged()


@pytest.mark.req("R16-102", "R16-041")
def test_what_the_csms_says_of_a_token() -> None:
    info = {"status": "Expired", "expiryDate": "2026-01-01T14:00:00+02:00", "parentIdTag": "FLEET"}
    group = IdToken("FLEET", IdTokenType.UNTYPED)
    known = IdTokenInfo(AuthorizationStatus.EXPIRED, datetime(2026, 1, 1, 12, tzinfo=UTC), group)
    assert read("Authorize", {"idTagInfo": info}) == TokenJudged(known)
    assert read("StopTransaction", {"idTagInfo": info}) == TransactionAcknowledged(None, known)


def test_nulls_and_a_time_without_zone_about_a_token_are_put_up_with() -> None:
    info = {"status": "Accepted", "expiryDate": "2026-01-01T12:00:00", "parentIdTag": None}
    known = IdTokenInfo(AuthorizationStatus.ACCEPTED, datetime(2026, 1, 1, 12, tzinfo=UTC), None)
    assert read("Authorize", {"idTagInfo": info}) == TokenJudged(known)


def test_what_1_6_has_no_message_for() -> None:
    updated = TransactionUpdated(
        "t-1", 2, 1, NOW, 1, TriggerReason.CHARGING_STATE_CHANGED, ChargingState.SUSPENDED_EV, False
    )
    assert message(updated, "7") is None


# --- authorize and cache ---------------------------------------------------------------------------------


def test_authorize() -> None:
    assert message(TokenQuestion(TAG, 1)) == ("Authorize", {"idTag": "TAG1"})
    assert message(TokenQuestion(IdToken("X" * 20), 1)) == ("Authorize", {"idTag": "X" * 20})


@pytest.mark.req("R16-037", "R16-038")
def test_a_token_too_long_for_an_id_tag_is_asked_about_under_no_other_name() -> None:
    with pytest.raises(LocalProtocolError, match="at most 20"):
        message(TokenQuestion(IdToken("X" * 21), 1))


@pytest.mark.req("R16-107", "TC_061_CS")
@pytest.mark.parametrize(
    ("verdict", "status"), [(Verdict.ACCEPTED, "Accepted"), (Verdict.REJECTED, "Rejected")]
)
def test_clear_cache(verdict: Verdict, status: str) -> None:
    ask = clear_cache(ClearCacheRequest(), FixedView())
    assert isinstance(ask, Ask)
    assert ask.request == ClearCache()
    reply = ask.reply(Answer(verdict))
    assert isinstance(reply, Reply)
    assert reply.payload.status == status  # type: ignore[attr-defined]


# --- meter values ----------------------------------------------------------------------------------------


@pytest.mark.req("R16-152", "R16-154", "R16-162")
def test_a_sample_of_a_transaction() -> None:
    values = (
        SampledValue("Energy.Active.Import.Register", 1234.0, "Wh"),
        SampledValue("Voltage", 230.25, "V", "L1-N"),
        SampledValue("Temperature", 21.0, "Celsius", None, "Body"),
    )
    assert message(metered(*values), "7") == (
        "MeterValues",
        {
            "connectorId": 3,
            "transactionId": 7,
            "meterValue": [
                {
                    "timestamp": "2026-01-01T12:00:00Z",
                    "sampledValue": [
                        {
                            "value": "1234",
                            "context": "Sample.Periodic",
                            "measurand": "Energy.Active.Import.Register",
                            "unit": "Wh",
                        },
                        {
                            "value": "230.25",
                            "context": "Sample.Periodic",
                            "measurand": "Voltage",
                            "phase": "L1-N",
                            "unit": "V",
                        },
                        {
                            "value": "21",
                            "context": "Sample.Periodic",
                            "measurand": "Temperature",
                            "location": "Body",
                            "unit": "Celsius",
                        },
                    ],
                }
            ],
        },
    )


@pytest.mark.req("R16-163", "FIELD-35")
def test_frequency_has_no_unit() -> None:
    found = message(metered(SampledValue("Frequency", 50.01, "Hz")), "7")
    assert found is not None
    assert "unit" not in found[1]["meterValue"][0]["sampledValue"][0]


def triggered(transaction_id: str | None = "t-1", evse_id: int = 2) -> MeterSampled:
    return MeterSampled(evse_id, 1, transaction_id, sample(ReadingContext.TRIGGER))


@pytest.mark.req("R16-152", "R16-286")
def test_a_triggered_reading_names_the_transaction_that_runs() -> None:
    found = message(triggered())
    assert found is not None
    assert found[1]["transactionId"] == 42
    assert found[1]["meterValue"][0]["sampledValue"][0]["context"] == "Trigger"


@pytest.mark.req("R16-152")
@pytest.mark.parametrize("notice", [triggered(None), triggered("t-0"), triggered(None, evse_id=0)])
def test_a_reading_of_no_running_transaction_names_none(notice: MeterSampled) -> None:
    found = message(notice)
    assert found is not None
    assert "transactionId" not in found[1]


def test_the_main_meter_is_connector_zero() -> None:
    found = message(triggered(None, evse_id=0))
    assert found is not None
    assert found[1]["connectorId"] == 0


def test_a_sample_without_values_is_never_sent() -> None:
    nothing = Sample(NOW, ReadingContext.TRIGGER, ())
    assert message(MeterSampled(2, 1, None, nothing)) is None
    assert (
        message(TransactionMetered("t-1", 2, 1, NOW, 1, ChargingState.CHARGING, False, nothing, 5), "7")
        is None
    )


@given(st.floats(-1e9, 1e9))
def test_numbers_are_plain_decimals(value: float) -> None:
    text = number_text(value)
    assert abs(float(text) - value) <= 0.0005 + 1e-9
    assert "e" not in text
    assert text != "-0"
    assert not (("." in text) and text.endswith(("0", ".")))
