"""Remote start and stop, unlocking and TriggerMessage in 2.0.1: what each request leads to, as data."""

from typing import Any

import pytest
from msgspec.structs import replace as changed

from agent.charging.certificates import (
    CertificateAnswer,
    CertificateVerdict,
    RequestOwnCertificate,
)
from agent.charging.facts import MeterSampled, Sample, SampledValue
from agent.charging.ids import BootReason, IdToken, IdTokenType, ReadingContext
from agent.charging.profiles import Purpose
from agent.charging.requests import (
    Answer,
    RequestStart,
    RequestStop,
    SampleMeters,
    UnlockConnector,
    UnlockVerdict,
    Verdict,
)
from agent.charging.snapshot import StationSnapshot
from agent.ocpp.frontend import (
    Ask,
    BootNotice,
    DiagnosticsNotice,
    FirmwareNotice,
    HeartbeatNotice,
    Registration,
    Reply,
    StatusNotice,
)
from tests.helpers.fake_station import NOW, FixedView, settings
from tests.helpers.snapshots import charging, evse, station
from tests.ocpp.v201.asking import answer, asked, respond, shown

TOKEN = {"idToken": "TAG1", "type": "Central"}
PROFILE = {
    "id": 5,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [
        {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}]}
    ],
}
TWO = station(evse(1), evse(2, connectors=2))


def view(picture: StationSnapshot = TWO, **given: Any) -> FixedView:
    return FixedView(picture=picture, **given)


# --- start, stop, unlock -----------------------------------------------------------------------------------


@pytest.mark.req("F01.FR.04", "F01.FR.06")
def test_a_start_hands_token_evse_and_number_to_the_station() -> None:
    payload = {"idToken": TOKEN, "remoteStartId": 7, "evseId": 2}
    plain = RequestStart(IdToken("TAG1", IdTokenType.CENTRAL), 2, remote_start_id=7)
    assert asked("RequestStartTransaction", payload, view()) == plain
    payload["groupIdToken"] = TOKEN | {"idToken": "FLEET"}
    fleet = changed(plain, group=IdToken("FLEET", IdTokenType.CENTRAL))
    assert asked("RequestStartTransaction", payload, view()) == fleet


@pytest.mark.req("F01.FR.20")
def test_a_start_without_an_evse_leaves_the_choice_to_the_station() -> None:
    assert asked("RequestStartTransaction", {"idToken": TOKEN, "remoteStartId": 7}).evse_id is None


def test_the_profile_of_a_start_is_that_of_the_new_transaction() -> None:
    payload = {"idToken": TOKEN, "remoteStartId": 7, "chargingProfile": PROFILE}
    profile = asked("RequestStartTransaction", payload).profile
    assert (profile.profile_id, profile.purpose, profile.transaction_id) == (5, Purpose.TX, None)


@pytest.mark.req("F01.FR.09", "F01.FR.11", "F01.FR.26")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"chargingProfilePurpose": "TxDefaultProfile"}, "InvalidProfile"),
        ({"transactionId": "t-1"}, "InvalidProfile"),
        ({"chargingSchedule": PROFILE["chargingSchedule"] * 2}, "InvalidSchedule"),  # type: ignore[operator]
    ],
)
def test_a_start_with_a_profile_that_cannot_be_is_rejected(change: dict[str, Any], code: str) -> None:
    payload = {"idToken": TOKEN, "remoteStartId": 7, "chargingProfile": PROFILE | change}
    got = answer("RequestStartTransaction", payload)
    assert (got["status"], got["statusInfo"]["reasonCode"]) == ("Rejected", code)


def test_a_start_that_the_station_refuses_is_rejected_with_its_reason() -> None:
    payload = {"idToken": TOKEN, "remoteStartId": 7}
    refused = answer("RequestStartTransaction", payload, None, Answer(Verdict.REJECTED, "busy"))
    reason = {"reasonCode": "Unspecified", "additionalInfo": "busy"}
    assert refused == {"status": "Rejected", "statusInfo": reason}
    taken = answer("RequestStartTransaction", payload, None, Answer(Verdict.ACCEPTED))
    assert taken == {"status": "Accepted"}


def test_a_start_at_an_unknown_evse_is_rejected() -> None:
    got = answer("RequestStartTransaction", {"idToken": TOKEN, "remoteStartId": 7, "evseId": 9}, view())
    assert got == {"status": "Rejected", "statusInfo": {"reasonCode": "UnknownEvse"}}


@pytest.mark.req("F03.FR.08", "TC_F_09_CS")
def test_a_stop_is_for_a_transaction_that_runs_here() -> None:
    picture = station(evse(1), charging(2))
    assert asked("RequestStopTransaction", {"transactionId": "t-1"}, view(picture)) == RequestStop("t-1")
    got = answer("RequestStopTransaction", {"transactionId": "42"}, view(picture))
    assert got == {"status": "Rejected", "statusInfo": {"reasonCode": "TxNotFound"}}


@pytest.mark.req("F05.FR.01", "F05.FR.02", "F05.FR.03", "TC_F_10_CS")
@pytest.mark.req("F05.FR.05")
@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (UnlockVerdict.UNLOCKED, {"status": "Unlocked"}),
        (UnlockVerdict.UNLOCK_FAILED, {"status": "UnlockFailed"}),
        (UnlockVerdict.ONGOING_TRANSACTION, {"status": "OngoingAuthorizedTransaction"}),
        (UnlockVerdict.UNKNOWN_CONNECTOR, {"status": "UnknownConnector"}),
        (
            UnlockVerdict.NOT_SUPPORTED,
            {"status": "UnlockFailed", "statusInfo": {"reasonCode": "FixedCable"}},
        ),
    ],
)
def test_unlocking_never_ends_a_transaction(verdict: UnlockVerdict, expected: Any) -> None:
    payload = {"evseId": 1, "connectorId": 2}
    assert asked("UnlockConnector", payload) == UnlockConnector(1, 2, stop_transaction=False)
    assert answer("UnlockConnector", payload, None, verdict) == expected


# --- trigger -----------------------------------------------------------------------------------------------


def trigger(message: str, evse: Any = None, at: FixedView | None = None) -> Any:
    payload = {"requestedMessage": message} | ({} if evse is None else {"evse": evse})
    return respond("TriggerMessage", payload, at or view())


def status_and_code(response: Any) -> tuple[str, str | None]:
    payload = shown("TriggerMessage", response)
    return payload["status"], payload.get("statusInfo", {}).get("reasonCode")


EVSES = [None, {"id": 1}, {"id": 2, "connectorId": 2}, {"id": 9}, {"id": 2, "connectorId": 9}, {"id": 0}]
WHOLE_STATION = [
    ("Heartbeat", HeartbeatNotice()),
    ("FirmwareStatusNotification", FirmwareNotice()),
    ("LogStatusNotification", DiagnosticsNotice()),
]


@pytest.mark.req("F06.FR.03", "F06.FR.04", "F06.FR.05", "F06.FR.10", "TC_F_17_CS")
@pytest.mark.parametrize("evse", EVSES)
@pytest.mark.parametrize(("message", "notice"), WHOLE_STATION)
def test_a_message_of_the_whole_station_ignores_the_evse(message: str, notice: Any, evse: Any) -> None:
    response = trigger(message, evse)
    assert isinstance(response, Reply)
    assert status_and_code(response) == ("Accepted", None)
    assert response.then == (notice,)


@pytest.mark.req("F06.FR.08", "TC_F_27_CS")
@pytest.mark.parametrize(
    "message",
    [
        "SignV2GCertificate",
        "SignCombinedCertificate",
        "PublishFirmwareStatusNotification",
        "DiagnosticsStatusNotification",
        "CustomTrigger",
        "",
    ],
)
def test_what_cannot_be_triggered_is_not_implemented(message: str) -> None:
    assert status_and_code(trigger(message)) == ("NotImplemented", None)


@pytest.mark.req("F06.FR.17", "B02.FR.04", "TC_F_26_CS")
@pytest.mark.parametrize("registration", Registration)
def test_a_boot_is_triggered_until_it_is_accepted(registration: Registration) -> None:
    response = trigger("BootNotification", {"id": 9}, view(registration=registration))
    if registration is Registration.ACCEPTED:
        assert status_and_code(response) == ("Rejected", "InvalidMessageSeq")
    else:
        assert response.then == (BootNotice(BootReason.TRIGGERED),)


@pytest.mark.req("B01.FR.08")
@pytest.mark.parametrize("message", ["Heartbeat", "StatusNotification", "MeterValues"])
def test_before_the_first_answer_nothing_else_is_triggered(message: str) -> None:
    response = trigger(message, {"id": 1, "connectorId": 1}, view(registration=Registration.UNKNOWN))
    assert status_and_code(response) == ("Rejected", "CSNotAccepted")


@pytest.mark.req("F06.FR.12", "TC_F_23_CS", "TC_F_24_CS")
@pytest.mark.parametrize(
    ("evse", "code"),
    [
        (None, "MissingParam"),
        ({"id": 1}, "MissingParam"),
        ({"id": 0}, "UnknownEvse"),
        ({"id": 9}, "UnknownEvse"),
        ({"id": 2, "connectorId": 3}, "UnknownConnectorId"),
        ({"id": 2, "connectorId": 0}, "UnknownConnectorId"),
    ],
)
def test_a_status_is_that_of_one_named_connector(evse: Any, code: str) -> None:
    assert status_and_code(trigger("StatusNotification", evse)) == ("Rejected", code)
    response = trigger("StatusNotification", {"id": 2, "connectorId": 2})
    assert status_and_code(response) == ("Accepted", None)
    assert response.then == (StatusNotice(2, 2),)


METERED = settings(**{"AlignedDataCtrlr.Measurands": "Voltage"})


@pytest.mark.req("F06.FR.06", "F06.FR.11")
@pytest.mark.parametrize(
    ("evse", "read"), [(None, (0, 1, 2)), ({"id": 2, "connectorId": 9}, (2,)), ({"id": 0}, (0,))]
)
def test_meter_values_are_those_of_every_meter_or_of_one_evse(evse: Any, read: tuple[int, ...]) -> None:
    picture = station(*TWO.evses.values(), has_main_meter=True)
    response = trigger("MeterValues", evse, view(picture, settings=METERED))
    assert isinstance(response, Ask)
    assert response.request == SampleMeters(read, ReadingContext.TRIGGER, ("Voltage",))


@pytest.mark.req("F06.FR.05")
@pytest.mark.parametrize(
    ("evse", "measurands", "code"),
    [
        ({"id": 9}, "Voltage", "UnknownEvse"),
        ({"id": 0}, "Voltage", "NotFound"),
        ({"id": 1}, "Voltage", "NotFound"),
        (None, "", "NotEnabled"),
    ],
)
def test_meter_values_that_nobody_has_are_rejected(evse: Any, measurands: str, code: str) -> None:
    picture = station(no_meter(1), TWO.evses[2])
    given = settings(**{"AlignedDataCtrlr.Measurands": measurands})
    assert status_and_code(trigger("MeterValues", evse, view(picture, settings=given))) == ("Rejected", code)


def no_meter(evse_id: int) -> Any:
    return evse(evse_id, has_meter=False)


@pytest.mark.req("F06.FR.04", "F06.FR.09")
def test_the_reading_taken_for_the_answer_is_what_is_sent() -> None:
    response = trigger("MeterValues", {"id": 1}, view(settings=METERED))
    assert isinstance(response, Ask)
    values = (SampledValue("Voltage", 230.0, "V"),)
    reading = MeterSampled(1, 1, None, Sample(NOW, ReadingContext.TRIGGER, values))
    reply = response.reply((reading,))
    assert isinstance(reply, Reply)
    assert (status_and_code(reply), reply.then) == (("Accepted", None), (reading,))
    assert status_and_code(response.reply(None)) == ("Rejected", "NotFound")


def test_a_signing_request_is_triggered_when_the_station_can_make_one() -> None:
    response = trigger("SignChargingStationCertificate")
    assert isinstance(response, Ask)
    assert response.request == RequestOwnCertificate()
    assert status_and_code(response.reply(CertificateAnswer(CertificateVerdict.ACCEPTED))) == (
        "Accepted",
        None,
    )
    refused = response.reply(CertificateAnswer(CertificateVerdict.REJECTED, "the operator's name is not set"))
    assert status_and_code(refused) == ("Rejected", "MissingDevModelInfo")
