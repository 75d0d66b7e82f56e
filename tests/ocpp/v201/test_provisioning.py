"""BootNotification, Heartbeat and Reset of 2.0.1 as payloads."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from agent.charging.ids import BootReason, ResetKind
from agent.charging.network import NetworkAnswer, NetworkProfile, NetworkVerdict, SetNetworkProfile
from agent.charging.requests import Answer, ResetStation, Verdict
from agent.errors import RemoteProtocolError
from agent.ocpp.codec import decode
from agent.ocpp.frontend import BootNotice, ClockTold, HeartbeatNotice, Registered, Registration
from agent.ocpp.v201 import FRONT_END
from tests.helpers.fake_station import IDENTITY, FixedView
from tests.ocpp.v201.asking import answer, asked, read, told

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.req("B01.FR.01", "B01.FR.09")
@pytest.mark.parametrize("reason", BootReason)
def test_a_boot_says_who_and_why(reason: BootReason) -> None:
    who = {
        "model": "Wallbox 22",
        "vendorName": "Example",
        "serialNumber": "0001",
        "firmwareVersion": "1.2.3",
    }
    expected = {"chargingStation": who, "reason": reason.value}
    assert told(BootNotice(reason)) == ("BootNotification", expected)


def test_a_modem_is_named_when_there_is_one_and_everything_keeps_its_length() -> None:
    long = "x" * 99
    who = replace(IDENTITY, vendor=long, model=long, serial_number=long, firmware_version=long, iccid=long)
    _action, payload = told(BootNotice(BootReason.POWER_UP), FixedView(identity=who))
    station = payload["chargingStation"]
    assert station["modem"] == {"iccid": "x" * 20}
    lengths = {
        name: len(station[name]) for name in ("model", "vendorName", "serialNumber", "firmwareVersion")
    }
    assert lengths == {"model": 20, "vendorName": 50, "serialNumber": 25, "firmwareVersion": 50}


@pytest.mark.parametrize("status", ["Accepted", "Pending", "Rejected"])
def test_the_answer_to_a_boot_is_registration_interval_and_time(status: str) -> None:
    got = read(
        "BootNotification",
        {
            "status": status,
            "interval": 30,
            "currentTime": "2026-01-01T14:00:00+02:00",
            "statusInfo": {"reasonCode": "x"},
            "more": 1,
        },
    )
    assert got == Registered(Registration(status), 30, NOON)


def test_a_boot_answer_without_a_readable_time_still_counts() -> None:
    reader = FRONT_END.results["BootNotification"]
    text = '{"status": "Accepted", "interval": 30, "currentTime": ""}'
    with pytest.raises(RemoteProtocolError):
        decode(text, reader.payload)
    assert reader.less is not None
    assert reader.less.read(decode(text, reader.less.payload)) == Registered(Registration.ACCEPTED, 30, None)


@pytest.mark.req("G02.FR.06")
def test_a_heartbeat_is_empty_and_tells_the_time() -> None:
    assert told(HeartbeatNotice()) == ("Heartbeat", {})
    assert read("Heartbeat", {"currentTime": "2026-01-01T12:00:00Z"}) == ClockTold(NOON)


@pytest.mark.req("B11.FR.01")
@pytest.mark.parametrize(("kind", "ours"), [("Immediate", ResetKind.SOFT), ("OnIdle", ResetKind.ON_IDLE)])
def test_a_reset_is_asked_of_the_station(kind: str, ours: ResetKind) -> None:
    assert asked("Reset", {"type": kind}) == ResetStation(ours)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (Answer(Verdict.ACCEPTED), {"status": "Accepted"}),
        (Answer(Verdict.SCHEDULED, "a transaction runs"), {"status": "Scheduled"}),
        (
            Answer(Verdict.REJECTED, "a reset is under way"),
            {
                "status": "Rejected",
                "statusInfo": {"reasonCode": "Unspecified", "additionalInfo": "a reset is under way"},
            },
        ),
    ],
)
def test_the_answer_to_a_reset_is_what_the_station_says(result: Answer, expected: Any) -> None:
    assert answer("Reset", {"type": "OnIdle"}, None, result) == expected


@pytest.mark.req("B11.FR.08", "B12.FR.07", "B12.FR.08")
@pytest.mark.parametrize(("kind", "ours"), [("Immediate", ResetKind.SOFT), ("OnIdle", ResetKind.ON_IDLE)])
def test_an_evse_can_be_reset_alone_if_there_is_one(kind: str, ours: ResetKind) -> None:
    assert asked("Reset", {"type": kind, "evseId": 1}) == ResetStation(ours, 1)
    for nowhere in (0, 2, -1):
        refused = answer("Reset", {"type": kind, "evseId": nowhere})
        assert refused["status"] == "Rejected"
        assert refused["statusInfo"]["reasonCode"] == "UnknownEvse"


PROFILE: dict[str, Any] = {
    "ocppVersion": "OCPP20",
    "ocppTransport": "JSON",
    "ocppCsmsUrl": "wss://csms.example/ocpp",
    "messageTimeout": 45,
    "securityProfile": 2,
    "ocppInterface": "Wired0",
}
APN = {"apn": "internet", "apnAuthentication": "NONE"}
VPN = {"server": "s", "user": "u", "password": "p", "key": "k", "type": "IPSec"}


@pytest.mark.req("B09.FR.01")
def test_a_network_profile_is_for_the_station_to_judge() -> None:
    wanted = asked("SetNetworkProfile", {"configurationSlot": 2, "connectionData": PROFILE})
    profile = NetworkProfile("wss://csms.example/ocpp", 2, 45, "Wired0")
    assert wanted == SetNetworkProfile(2, profile)


@pytest.mark.req("B09.FR.02")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ocppTransport": "SOAP"}, "InvalidNetworkConf"),
        ({"apn": APN}, "UnsupportedParam"),
        ({"vpn": VPN}, "UnsupportedParam"),
    ],
)
def test_a_network_that_cannot_be_set_up_here_is_refused(change: Any, code: str) -> None:
    given = {"configurationSlot": 2, "connectionData": {**PROFILE, **change}}
    refused = answer("SetNetworkProfile", given)
    assert (refused["status"], refused["statusInfo"]["reasonCode"]) == ("Rejected", code)


@pytest.mark.req("B09.FR.01", "B09.FR.02", "B09.FR.03", "B09.FR.04", "B09.FR.05")
@pytest.mark.parametrize(
    ("verdict", "status", "code"),
    [
        (NetworkVerdict.ACCEPTED, "Accepted", None),
        (NetworkVerdict.FAILED, "Failed", "Unspecified"),
        (NetworkVerdict.INVALID, "Rejected", "InvalidNetworkConf"),
        (NetworkVerdict.DOWNGRADE, "Rejected", "NoSecurityDowngrade"),
        (NetworkVerdict.NO_SUCH_SLOT, "Rejected", "InvalidConfSlot"),
    ],
)
def test_the_answer_to_a_network_profile_says_why(
    verdict: NetworkVerdict, status: str, code: str | None
) -> None:
    given = {"configurationSlot": 2, "connectionData": PROFILE}
    said = answer("SetNetworkProfile", given, None, NetworkAnswer(verdict, "why" if code else ""))
    assert said["status"] == status
    assert said.get("statusInfo", {}).get("reasonCode") == code
