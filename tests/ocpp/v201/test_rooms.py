"""Local list, reservation, logs, firmware, certificates, security and readings of 2.0.1 as payloads."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace as changed

from agent.charging import facts
from agent.charging.certificates import (
    CertificateAnswer,
    CertificateHash,
    CertificatesByUse,
    CertificateVerdict,
    DeleteCertificate,
    InstallCertificate,
    ListCertificatesByUse,
    TakeOwnCertificate,
)
from agent.charging.facts import (
    FirmwareStatusChanged,
    LogUploadChanged,
    MeterRead,
    MeterSampled,
    Sample,
    SampledValue,
    SecurityEventRaised,
    SignedValue,
)
from agent.charging.ids import (
    AuthorizationStatus,
    CertificateUse,
    FirmwareStatus,
    HashAlgorithm,
    IdToken,
    IdTokenInfo,
    IdTokenType,
    LogKind,
    ReadingContext,
    Reservation,
    SecurityEventType,
    UploadStatus,
)
from agent.charging.measurands import MEASURANDS, PHASES
from agent.charging.requests import (
    Answer,
    CancelReservation,
    ListEntry,
    Reserve,
    ReserveAnswer,
    ReserveVerdict,
    UpdateAnswer,
    UpdateFirmware,
    UpdateLocalList,
    UpdateVerdict,
    UploadAnswer,
    UploadLog,
    UploadVerdict,
    Verdict,
)
from agent.ocpp.frontend import DiagnosticsNotice, FirmwareNotice, SigningAnswered, SigningNotice
from agent.ocpp.v201 import FRONT_END
from tests.helpers.fake_station import NOW, FixedView
from tests.helpers.snapshots import station
from tests.ocpp.v201.asking import answer, asked, read, told

TAG1 = {"idToken": "TAG1", "type": "ISO14443"}
NOON = "2026-01-01T12:00:00Z"


def because(text: str, code: str = "Unspecified") -> dict[str, str]:
    return {"reasonCode": code, "additionalInfo": text}


# --- local list --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "is_full"), [("Full", True), ("Differential", False)])
def test_a_list_is_handed_to_the_station_as_it_is(kind: str, is_full: bool) -> None:
    info = {"status": "Accepted", "groupIdToken": {"idToken": "G", "type": "Central"}}
    entries = [{"idToken": TAG1, "idTokenInfo": info}, {"idToken": TAG1 | {"idToken": "TAG2"}}]
    payload = {"versionNumber": 4, "updateType": kind, "localAuthorizationList": entries}
    known = IdTokenInfo(AuthorizationStatus.ACCEPTED, None, IdToken("G", IdTokenType.CENTRAL))
    listed = (ListEntry(IdToken("TAG1"), known), ListEntry(IdToken("TAG2"), None))
    assert asked("SendLocalList", payload) == UpdateLocalList(4, is_full, listed)


@pytest.mark.req("D02.FR.01", "D02.FR.02", "D02.FR.03")
@pytest.mark.parametrize(("version", "shown"), [(7, 7), (0, 0), (None, 0)])
def test_the_version_of_the_list_is_zero_without_one(version: int | None, shown: int) -> None:
    view = FixedView(picture=station(local_list_version=version))
    assert answer("GetLocalListVersion", None, view) == {"versionNumber": shown}


# --- reservation -------------------------------------------------------------------------------------------

RESERVE = {"id": 3, "expiryDateTime": NOON, "idToken": TAG1}


@pytest.mark.parametrize(
    ("more", "evse_id", "group"),
    [
        ({}, None, None),
        (
            {"evseId": 1, "groupIdToken": {"idToken": "G", "type": "Central"}},
            1,
            IdToken("G", IdTokenType.CENTRAL),
        ),
    ],
)
def test_a_reservation_is_for_an_evse_or_for_any(more: Any, evse_id: int | None, group: Any) -> None:
    expires_at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    wanted = Reservation(3, IdToken("TAG1"), group, expires_at, evse_id)
    assert asked("ReserveNow", RESERVE | more) == Reserve(wanted)


@pytest.mark.parametrize("verdict", ReserveVerdict)
def test_the_answer_to_a_reservation_is_what_the_station_says(verdict: ReserveVerdict) -> None:
    assert answer("ReserveNow", RESERVE, None, ReserveAnswer(verdict))["status"] == verdict.value


@pytest.mark.req("H02.FR.01")
@pytest.mark.parametrize(
    ("verdict", "status"), [(Verdict.ACCEPTED, "Accepted"), (Verdict.UNKNOWN, "Rejected")]
)
def test_a_reservation_that_stands_is_cancelled(verdict: Verdict, status: str) -> None:
    payload = {"reservationId": 3}
    assert asked("CancelReservation", payload) == CancelReservation(3)
    assert answer("CancelReservation", payload, None, Answer(verdict))["status"] == status


# --- logs --------------------------------------------------------------------------------------------------


@pytest.mark.req("N01.FR.07")
@pytest.mark.parametrize("kind", LogKind)
def test_a_log_is_ordered_with_its_number(kind: LogKind) -> None:
    log = {"remoteLocation": "https://x/y", "oldestTimestamp": NOON}
    payload = {"log": log, "logType": kind.value, "requestId": 8, "retries": 2, "retryInterval": 5}
    order = UploadLog(kind, "https://x/y", datetime(2026, 1, 1, 12, tzinfo=UTC), None, 2, 5, 8)
    assert asked("GetLog", payload) == order


@pytest.mark.req("N01.FR.01", "N01.FR.05", "N01.FR.12")
@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (UploadAnswer(UploadVerdict.ACCEPTED, "a.zip"), {"status": "Accepted", "filename": "a.zip"}),
        (
            UploadAnswer(UploadVerdict.ACCEPTED_CANCELED, "a.zip", "older one"),
            {"status": "AcceptedCanceled", "filename": "a.zip"},
        ),
        (
            UploadAnswer(UploadVerdict.REJECTED, None, "nothing"),
            {"status": "Rejected", "statusInfo": because("nothing")},
        ),
    ],
)
def test_the_answer_to_a_log_order_names_the_file(result: UploadAnswer, expected: Any) -> None:
    payload = {"log": {"remoteLocation": "https://x/y"}, "logType": "SecurityLog", "requestId": 8}
    assert answer("GetLog", payload, None, result) == expected


@pytest.mark.req("N01.FR.08", "N01.FR.09", "N01.FR.10", "N01.FR.20")
@pytest.mark.parametrize("status", UploadStatus)
def test_every_step_of_an_upload_is_told_with_the_number_of_its_order(status: UploadStatus) -> None:
    expected = {"status": status.value, "requestId": 8}
    assert told(LogUploadChanged(NOW, status, 8)) == ("LogStatusNotification", expected)


@pytest.mark.req("N01.FR.13", "F06.FR.14", "F06.FR.15")
@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (None, {"status": "Idle"}),
        (LogUploadChanged(NOW, UploadStatus.UPLOADED, 8), {"status": "Idle"}),
        (LogUploadChanged(NOW, UploadStatus.UPLOADING, 8), {"status": "Uploading", "requestId": 8}),
    ],
)
def test_a_triggered_log_status_is_uploading_or_idle(last: Any, expected: Any) -> None:
    view = FixedView(picture=station(log_upload=last))
    assert told(DiagnosticsNotice(), view) == ("LogStatusNotification", expected)


# --- firmware ----------------------------------------------------------------------------------------------

FIRMWARE = {"location": "https://x/fw", "retrieveDateTime": NOON}


@pytest.mark.req("L02.FR.06")
@pytest.mark.parametrize("more", [{}, {"signingCertificate": "PEM", "signature": "c2ln"}])
def test_an_update_is_ordered_signed_or_not(more: Any) -> None:
    order = asked("UpdateFirmware", {"requestId": 5, "firmware": FIRMWARE | more, "retries": 1})
    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    plain = UpdateFirmware("https://x/fw", at, retries=1, request_id=5)
    signed = changed(plain, signing_certificate="PEM", signature="c2ln")
    assert order == (signed if more else plain)


@pytest.mark.parametrize("verdict", UpdateVerdict)
def test_the_answer_to_an_update_is_what_the_station_says(verdict: UpdateVerdict) -> None:
    payload = {"requestId": 5, "firmware": FIRMWARE}
    got = answer("UpdateFirmware", payload, None, UpdateAnswer(verdict, "x"))
    expected = "Rejected" if verdict is UpdateVerdict.NOT_OFFERED else verdict.value
    assert got["status"] == expected
    assert ("statusInfo" in got) is (not verdict.value.startswith("Accepted"))


@pytest.mark.req("L01.FR.01", "L02.FR.01", "L02.FR.14")
@pytest.mark.parametrize("status", FirmwareStatus)
def test_every_step_of_an_update_is_told_with_the_number_of_its_order(status: FirmwareStatus) -> None:
    expected = {"status": status.value, "requestId": 5}
    assert told(FirmwareStatusChanged(NOW, status, 5)) == ("FirmwareStatusNotification", expected)


@pytest.mark.req("F06.FR.16", "L01.FR.25", "L01.FR.26", "L02.FR.16", "L02.FR.17")
@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (None, {"status": "Idle"}),
        (FirmwareStatus.INSTALLED, {"status": "Idle"}),
        (FirmwareStatus.DOWNLOADING, {"status": "Downloading", "requestId": 5}),
        (FirmwareStatus.INVALID_SIGNATURE, {"status": "InvalidSignature", "requestId": 5}),
    ],
)
def test_a_triggered_firmware_status_is_the_last_one_or_idle(last: Any, expected: Any) -> None:
    fact = None if last is None else FirmwareStatusChanged(NOW, last, 5)
    view = FixedView(picture=station(firmware=fact))
    assert told(FirmwareNotice(), view) == ("FirmwareStatusNotification", expected)


# --- certificates and security -----------------------------------------------------------------------------

HASH = CertificateHash(HashAlgorithm.SHA256, "aa", "bb", "01")
HASH_DATA = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "aa",
    "issuerKeyHash": "bb",
    "serialNumber": "01",
}


@pytest.mark.req("M05.FR.02", "M05.FR.03", "M05.FR.07")
@pytest.mark.parametrize("use", CertificateUse)
@pytest.mark.parametrize("verdict", CertificateVerdict)
def test_a_certificate_is_installed_for_its_use(use: CertificateUse, verdict: CertificateVerdict) -> None:
    payload = {"certificateType": use.value, "certificate": "PEM"}
    assert asked("InstallCertificate", payload) == InstallCertificate(use, "PEM")
    status = answer("InstallCertificate", payload, None, CertificateAnswer(verdict))["status"]
    assert status == ("Failed" if verdict is CertificateVerdict.NOT_FOUND else verdict.value)


@pytest.mark.req("M04.FR.01", "M04.FR.02", "M04.FR.03", "M04.FR.04")
@pytest.mark.parametrize("verdict", CertificateVerdict)
def test_a_certificate_is_deleted_by_its_hashes(verdict: CertificateVerdict) -> None:
    payload = {"certificateHashData": HASH_DATA}
    assert asked("DeleteCertificate", payload) == DeleteCertificate(HASH)
    status = answer("DeleteCertificate", payload, None, CertificateAnswer(verdict))["status"]
    assert status == ("Failed" if verdict is CertificateVerdict.REJECTED else verdict.value)


@pytest.mark.req("M03.FR.01", "M03.FR.02", "M03.FR.03", "M03.FR.04")
def test_certificates_are_listed_with_their_use() -> None:
    assert set(asked("GetInstalledCertificateIds").uses) == set(CertificateUse)
    wanted = {"certificateType": ["V2GCertificateChain", "CSMSRootCertificate"]}
    assert asked("GetInstalledCertificateIds", wanted) == ListCertificatesByUse((CertificateUse.CSMS_ROOT,))
    found = CertificatesByUse(((CertificateUse.CSMS_ROOT, HASH),))
    chain = {"certificateType": "CSMSRootCertificate", "certificateHashData": HASH_DATA}
    got = answer("GetInstalledCertificateIds", wanted, None, found)
    assert got == {"status": "Accepted", "certificateHashDataChain": [chain]}
    nothing = answer("GetInstalledCertificateIds", wanted, None, CertificatesByUse(()))
    assert nothing == {"status": "NotFound"}


def test_a_signed_certificate_is_taken_or_rejected() -> None:
    payload = {"certificateChain": "PEM", "certificateType": "ChargingStationCertificate"}
    assert asked("CertificateSigned", payload) == TakeOwnCertificate("PEM")
    taken = answer("CertificateSigned", payload, None, CertificateAnswer(CertificateVerdict.ACCEPTED))
    assert taken == {"status": "Accepted"}
    bad = answer(
        "CertificateSigned", payload, None, CertificateAnswer(CertificateVerdict.REJECTED, "expired")
    )
    assert bad == {"status": "Rejected", "statusInfo": because("expired", "InvalidCertificate")}
    other = answer("CertificateSigned", payload | {"certificateType": "V2GCertificate"})
    assert other["status"] == "Rejected"


@pytest.mark.req("A02.FR.03", "A02.FR.13")
def test_a_signing_request_names_its_certificate() -> None:
    expected = {"csr": "CSR", "certificateType": "ChargingStationCertificate"}
    assert told(SigningNotice("CSR")) == ("SignCertificate", expected)
    assert read("SignCertificate", {"status": "Accepted"}) == SigningAnswered(True)
    assert read("SignCertificate", {"status": "Rejected"}) == SigningAnswered(False)


@pytest.mark.req("A04.FR.01")
@pytest.mark.parametrize("kind", SecurityEventType)
def test_a_security_event_has_the_name_of_the_standard(kind: SecurityEventType) -> None:
    expected = {"type": kind.value, "timestamp": NOON, "techInfo": "y" * 255}
    event = SecurityEventRaised(NOW, kind, "y" * 300)
    assert told(event) == ("SecurityEventNotification", expected)
    assert told(SecurityEventRaised(NOW, kind))[1] == {"type": kind.value, "timestamp": NOON}


# --- readings ----------------------------------------------------------------------------------------------

VOLTAGE = SampledValue("Voltage", 230.1, "V", "L1-N")


@pytest.mark.req("F06.FR.06")
def test_a_reading_is_told_of_its_evse_with_everything_written_out() -> None:
    register = SampledValue("Energy.Active.Import.Register", 5.0, "Wh", None, "Inlet")
    sample = Sample(NOW, ReadingContext.TRIGGER, (VOLTAGE, register))
    values = [
        {
            "value": 230.1,
            "context": "Trigger",
            "measurand": "Voltage",
            "phase": "L1-N",
            "unitOfMeasure": {"unit": "V"},
        },
        {
            "value": 5.0,
            "context": "Trigger",
            "measurand": "Energy.Active.Import.Register",
            "location": "Inlet",
            "unitOfMeasure": {"unit": "Wh"},
        },
    ]
    expected = {"evseId": 2, "meterValue": [{"timestamp": NOON, "sampledValue": values}]}
    assert told(MeterSampled(2, 1, "t-1", sample)) == ("MeterValues", expected)


def test_a_period_is_told_before_the_reading_that_ends_it_and_nothing_is_told_of_nothing() -> None:
    first = Sample(NOW.replace(hour=1), ReadingContext.SAMPLE_CLOCK, (VOLTAGE,))
    last = Sample(NOW, ReadingContext.SAMPLE_CLOCK, (VOLTAGE,))
    _action, payload = told(MeterRead(0, 0, NOW, last, first))
    assert payload["evseId"] == 0
    assert [each["timestamp"] for each in payload["meterValue"]] == ["2026-01-01T01:00:00Z", NOON]
    empty = Sample(NOW, ReadingContext.TRIGGER, ())
    encoder = FRONT_END.encoders[MeterSampled]
    assert encoder(MeterSampled(1, 1, None, empty), FixedView(), None) is None


def test_a_signed_reading_carries_what_the_meter_signed() -> None:
    value = SampledValue("Voltage", 230.1, "V", signed=SignedValue("OCMF|{}|{}", "OCMF", "ECDSA", "04AB"))
    _action, payload = told(MeterSampled(1, 1, None, Sample(NOW, ReadingContext.TRIGGER, (value,))))
    signed = payload["meterValue"][0]["sampledValue"][0]["signedMeterValue"]
    assert signed["encodingMethod"] == "OCMF"
    assert signed["signedMeterData"] == "T0NNRnx7fXx7fQ=="


WITHOUT_A_NAME = {"RPM", "Temperature"}


@pytest.mark.parametrize("name", sorted(MEASURANDS))
@pytest.mark.parametrize("context", ReadingContext)
def test_every_measurand_and_context_has_its_name_or_is_left_out(name: str, context: ReadingContext) -> None:
    sample = Sample(NOW, context, (VOLTAGE, facts.SampledValue(name, 1.0, "x")))
    _action, payload = told(MeterSampled(1, 1, None, sample))
    names = [value["measurand"] for value in payload["meterValue"][0]["sampledValue"]]
    assert names == (["Voltage"] if name in WITHOUT_A_NAME else ["Voltage", name])
    alone = Sample(NOW, context, (facts.SampledValue(name, 1.0, "x"),))
    call = FRONT_END.encoders[MeterSampled](MeterSampled(1, 1, None, alone), FixedView(), None)
    assert (call is None) is (name in WITHOUT_A_NAME)


@pytest.mark.parametrize("phase", PHASES)
def test_every_phase_has_its_name(phase: str) -> None:
    sample = Sample(NOW, ReadingContext.TRIGGER, (facts.SampledValue("Voltage", 1.0, "V", phase),))
    told(MeterSampled(1, 1, None, sample))
