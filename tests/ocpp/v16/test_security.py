"""Payloads of the security extension: what is asked of the station, and what its results say on the wire."""

from typing import Any

import pytest

from agent.charging.certificates import (
    CertificateAnswer,
    CertificateHash,
    CertificateVerdict,
    DeleteCertificate,
    InstallCertificate,
    InstalledCertificates,
    ListCertificates,
    RequestOwnCertificate,
    TakeOwnCertificate,
)
from agent.charging.facts import SecurityEventRaised
from agent.charging.ids import CertificateUse, HashAlgorithm, SecurityEventType
from agent.errors import RemoteProtocolError
from agent.ocpp.codec import decode, encode
from agent.ocpp.frontend import Ask, Registration, Reply, SigningAnswered, SigningNotice
from agent.ocpp.v16 import FRONT_END
from tests.helpers.fake_station import NOW, FixedView, settings

HASH = CertificateHash(HashAlgorithm.SHA384, "aa" * 48, "bb" * 48, "fff")
HASH_DATA = {
    "hashAlgorithm": "SHA384",
    "issuerNameHash": "aa" * 48,
    "issuerKeyHash": "bb" * 48,
    "serialNumber": "fff",
}


def handled(action: str, payload: dict[str, Any], **view: Any) -> Any:
    route = FRONT_END.routes[action]
    return route.handler(decode(encode(payload).encode(), route.request), FixedView(**view))


def asked(action: str, payload: dict[str, Any]) -> Any:
    response = handled(action, payload)
    assert isinstance(response, Ask)
    return response.request


def answered(action: str, payload: dict[str, Any], result: object) -> dict[str, Any]:
    response = handled(action, payload)
    assert isinstance(response, Ask)
    reply = response.reply(result)
    assert isinstance(reply, Reply)
    return decode(encode(reply.payload).encode(), dict)


def sent(notice: Any, view: FixedView | None = None) -> tuple[str, dict[str, Any]] | None:
    call = FRONT_END.encoders[type(notice)](notice, view or FixedView(), None)
    return None if call is None else (call.action, decode(encode(call.payload).encode(), dict))


CALLS: dict[str, dict[str, Any]] = {
    "InstallCertificate": {"certificateType": "CentralSystemRootCertificate", "certificate": "PEM"},
    "DeleteCertificate": {"certificateHashData": HASH_DATA},
    "GetInstalledCertificateIds": {"certificateType": "ManufacturerRootCertificate"},
    "CertificateSigned": {"certificateChain": "PEM"},
    "ExtendedTriggerMessage": {"requestedMessage": "SignChargePointCertificate"},
}


@pytest.mark.req("R16-336", "R16-342", "R16-346", "R16-347", "R16-349")
def test_each_call_is_a_request_in_our_own_words() -> None:
    assert [asked(action, payload) for action, payload in CALLS.items()] == [
        InstallCertificate(CertificateUse.CSMS_ROOT, "PEM"),
        DeleteCertificate(HASH, (CertificateUse.CSMS_ROOT, CertificateUse.MANUFACTURER_ROOT)),
        ListCertificates(CertificateUse.MANUFACTURER_ROOT),
        TakeOwnCertificate("PEM"),
        RequestOwnCertificate(),
    ]


@pytest.mark.req("R16-342", "R16-347", "R16-348", "R16-349")
@pytest.mark.parametrize(
    ("action", "statuses"),
    [
        ("InstallCertificate", ["Accepted", "Rejected", "Failed", "Failed"]),
        ("DeleteCertificate", ["Accepted", "Failed", "Failed", "NotFound"]),
        ("CertificateSigned", ["Accepted", "Rejected", "Rejected", "Rejected"]),
        ("ExtendedTriggerMessage", ["Accepted", "Rejected", "Rejected", "Rejected"]),
    ],
)
def test_each_verdict_has_the_word_of_its_message(action: str, statuses: list[str]) -> None:
    verdicts = ["ACCEPTED", "REJECTED", "FAILED", "NOT_FOUND"]
    told = [
        answered(action, CALLS[action], CertificateAnswer(CertificateVerdict[verdict]))
        for verdict in verdicts
    ]
    assert told == [{"status": status} for status in statuses]


@pytest.mark.req("R16-346", "R16-353")
def test_the_list_is_left_out_when_nothing_is_installed() -> None:
    action = "GetInstalledCertificateIds"
    assert answered(action, CALLS[action], InstalledCertificates(())) == {"status": "NotFound"}
    assert answered(action, CALLS[action], InstalledCertificates((HASH,))) == {
        "status": "Accepted",
        "certificateHashData": [HASH_DATA],
    }


@pytest.mark.req("R16-345")
@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("CertificateSigned", {"certificateChain": "x" * 10_001}, "PROPERTY"),
        ("InstallCertificate", {**CALLS["InstallCertificate"], "certificate": "x" * 5_501}, "PROPERTY"),
        (
            "InstallCertificate",
            {**CALLS["InstallCertificate"], "certificateType": "V2GRootCertificate"},
            "PROPERTY",
        ),
        ("DeleteCertificate", {"certificateHashData": {**HASH_DATA, "hashAlgorithm": "MD5"}}, "PROPERTY"),
        ("DeleteCertificate", {"certificateHashData": {**HASH_DATA, "serialNumber": 5}}, "TYPE"),
        ("GetInstalledCertificateIds", {}, "PROTOCOL"),
    ],
)
def test_a_payload_that_breaks_the_schema_is_a_callerror(
    action: str, payload: dict[str, Any], code: str
) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        handled(action, payload)
    assert refused.value.code == code


@pytest.mark.req("R16-043", "R16-372")
def test_nothing_can_be_signed_before_the_first_answer_to_a_boot() -> None:
    reply = handled(
        "ExtendedTriggerMessage", CALLS["ExtendedTriggerMessage"], registration=Registration.UNKNOWN
    )
    assert encode(reply.payload) == '{"status":"Rejected"}'


@pytest.mark.req("R16-336", "R16-341")
def test_a_signing_request_and_its_answer() -> None:
    assert sent(SigningNotice("PEM")) == ("SignCertificate", {"csr": "PEM"})
    reader = FRONT_END.results["SignCertificate"]
    for status, is_accepted in (("Accepted", True), ("Rejected", False)):
        payload = decode(encode({"status": status}).encode(), reader.payload)
        assert reader.read(payload) == SigningAnswered(is_accepted)


@pytest.mark.req("R16-354")
def test_an_event_names_type_time_and_details_within_their_limits() -> None:
    assert sent(SecurityEventRaised(NOW, SecurityEventType.INVALID_TLS_VERSION, "x" * 300)) == (
        "SecurityEventNotification",
        {"type": "InvalidTLSVersion", "timestamp": "2026-01-01T12:00:00Z", "techInfo": "x" * 255},
    )
    assert sent(SecurityEventRaised(NOW, SecurityEventType.STARTUP_OF_THE_DEVICE)) == (
        "SecurityEventNotification",
        {"type": "StartupOfTheDevice", "timestamp": "2026-01-01T12:00:00Z"},
    )


TABLE = [
    "FirmwareUpdated",
    "FailedToAuthenticationAtCentralSystem",
    "CentralSystemFailedToAuthentication",
    "SettingSystemTime",
    "StartupOfTheDevice",
    "ResetOrReboot",
    "SecurityLogWasCleared",
    "ReconfigurationOfSecurityParameters",
    "MemoryExhaustion",
    "InvalidMessages",
    "AttemptedReplayAttacks",
    "TamperDetectionActivated",
    "InvalidFirmwareSignature",
    "InvalidFirmwareSigningCertificate",
    "InvalidCentralSystemCertificate",
    "InvalidChargePointCertificate",
    "InvalidTLSVersion",
    "InvalidTLSCipherSuite",
]


@pytest.mark.req("R16-354", "R16-356")
def test_every_event_has_its_name_of_the_table() -> None:
    named = [sent(SecurityEventRaised(NOW, kind)) for kind in SecurityEventType]
    assert sorted(each[1]["type"] for each in named if each) == sorted(TABLE)


def test_events_that_were_queued_before_the_pushing_was_switched_off_are_not_sent() -> None:
    view = FixedView(settings=settings(SecurityEventPush="false"))
    assert sent(SecurityEventRaised(NOW, SecurityEventType.STARTUP_OF_THE_DEVICE), view) is None
