"""Core: remote control, triggers, DataTransfer, limits, logs, certificates and security events of 2.0.1."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.witness.authority import Authority
from tests.witness.central_system import call
from tests.witness.files import closed_port, http_server
from tests.witness.v201.rig import TAG, Rig, event, status, token, told
from tests.witness.words import Payload

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness201-remote"),
]
VENDOR = """
[[vendor.commands]]
vendor_id = "com.example.site"
message_id = "SetFan"
action = "output.set"
fixed = { output = "fan" }
parameters = { on = "on" }
"""


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    return {"more": VENDOR}


@pytest_asyncio.fixture(loop_scope="module")
async def drop(tmp_path: Path) -> AsyncIterator[tuple[Path, str]]:
    """A folder, and its URL for uploads."""
    async with http_server(tmp_path) as url:
        yield tmp_path, url


# --- remote start and stop -------------------------------------------------------------------------------


@pytest.mark.req("TC_F_01_CS", "TC_F_08_CS")
async def test_remote_start_with_the_cable_in_and_remote_stop(rig: Rig) -> None:
    await rig.configure({"AuthCtrlr.AuthorizeRemoteStart": False})
    await rig.plugged()
    await rig.asked("RequestStartTransaction", idToken=token(TAG), remoteStartId=42, evseId=1)
    transaction = await rig.started()
    assert not rig.central.calls("Authorize")
    began = rig.events(transaction)[0]
    assert began["transactionInfo"]["remoteStartId"] == 42
    assert began["idToken"] == token(TAG)
    await rig.asked("RequestStopTransaction", transactionId=transaction)
    end = await rig.ended(transaction, triggerReason="RemoteStop")
    assert end["transactionInfo"]["stoppedReason"] == "Remote"


@pytest.mark.req("TC_F_02_CS", "TC_F_03_CS")
@pytest.mark.parametrize("is_asked", [True, False])
async def test_remote_start_first(rig: Rig, is_asked: bool) -> None:
    await rig.configure({"AuthCtrlr.AuthorizeRemoteStart": is_asked, "TxCtrlr.EVConnectionTimeOut": 20})
    await rig.asked("RequestStartTransaction", idToken=token(TAG), remoteStartId=43, evseId=2)
    if is_asked:
        await rig.central.expect(call("Authorize", idToken=token(TAG)))
    await rig.station.plug(2)
    await rig.central.expect(status(2, "Occupied"))
    transaction = await rig.started(2)
    assert bool(rig.central.calls("Authorize")) is is_asked
    assert rig.events(transaction)[0]["transactionInfo"]["remoteStartId"] == 43


@pytest.mark.req("TC_F_09_CS")
async def test_an_unknown_transaction_is_not_stopped(rig: Rig) -> None:
    transaction = await rig.charging()
    await rig.asked("RequestStopTransaction", "Rejected", transactionId="no-such-transaction")
    await rig.central.quiet(0.3)
    assert rig.state_of(transaction) == "Charging"


@pytest.mark.req("TC_F_05_CS", "TC_F_06_CS", "TC_F_07_CS", "TC_F_10_CS")
async def test_unlock(rig: Rig) -> None:
    await rig.asked("UnlockConnector", "UnknownConnector", evseId=1, connectorId=9)
    await rig.asked("UnlockConnector", "Unlocked", evseId=1, connectorId=1)
    transaction = await rig.charging()
    await rig.asked("UnlockConnector", "OngoingAuthorizedTransaction", evseId=1, connectorId=1)
    assert rig.state_of(transaction) == "Charging"
    assert (await rig.station.evse())["is_locked"]


# --- triggers --------------------------------------------------------------------------------------------


@pytest.mark.req(
    "TC_F_15_CS", "TC_F_18_CS", "TC_F_20_CS", "TC_F_23_CS", "TC_F_24_CS", "TC_F_27_CS", "TC_F_17_CS"
)
@pytest.mark.parametrize("is_plugged", [False, True])
async def test_triggers_of_single_messages(rig: Rig, is_plugged: bool) -> None:
    if is_plugged:
        await rig.plugged()
    place = {"evse": {"id": 1, "connectorId": 1}}
    state = "Occupied" if is_plugged else "Available"
    for message, extra, fields in (
        ("Heartbeat", {}, {}),
        ("LogStatusNotification", {}, {"status": "Idle"}),
        ("FirmwareStatusNotification", {}, {"status": "Idle"}),
        ("FirmwareStatusNotification", place, {"status": "Idle"}),
        ("StatusNotification", place, {"evseId": 1, "connectorStatus": state}),
    ):
        answer = await rig.asked("TriggerMessage", requestedMessage=message, **extra)
        seen = await rig.central.expect_one(call(message, **fields))
        assert seen.number > answer.number, "the answer goes first"
    wrong = "PublishFirmwareStatusNotification"
    await rig.asked("TriggerMessage", "NotImplemented", requestedMessage=wrong)


@pytest.mark.req("TC_F_11_CS", "TC_F_12_CS", "TC_F_13_CS", "TC_F_14_CS")
async def test_triggers_of_readings(rig: Rig) -> None:
    transactions = [await rig.charging(1), await rig.charging(2, "WITNESS-TAG-2")]
    await rig.asked("TriggerMessage", requestedMessage="MeterValues", evse={"id": 2})
    reading = await rig.central.expect_one(call("MeterValues", evseId=2))
    values = reading["meterValue"][0]["sampledValue"]
    assert {value["context"] for value in values} == {"Trigger"}
    await rig.asked("TriggerMessage", requestedMessage="MeterValues")
    await rig.central.expect(call("MeterValues", evseId=1), call("MeterValues", evseId=2))
    for place, wanted in (({"evse": {"id": 1}}, transactions[:1]), ({}, transactions)):
        since = rig.central.number
        await rig.asked("TriggerMessage", requestedMessage="TransactionEvent", **place)
        for transaction in wanted:
            found = event("Updated", triggerReason="Trigger", transactionInfo=told(transactionId=transaction))
            await rig.central.until(
                lambda found=found, since=since: any(
                    found.matches(seen) for seen in rig.central.calls("TransactionEvent", since)
                )
            )
    await rig.asked("TriggerMessage", "Rejected", requestedMessage="MeterValues", evse={"id": 7})


# --- DataTransfer, limits --------------------------------------------------------------------------------


@pytest.mark.req("TC_P_01_CS")
async def test_vendor_data(rig: Rig) -> None:
    unknown = {"vendorId": "org.openchargealliance.octt", "messageId": "Anything", "data": [1, {"a": "b"}]}
    await rig.asked("DataTransfer", "UnknownVendorId", **unknown)
    await rig.asked("DataTransfer", "UnknownMessageId", vendorId="com.example.site", messageId="Nothing")
    for is_on in (True, False):
        await rig.asked("DataTransfer", vendorId="com.example.site", messageId="SetFan", data={"on": is_on})
        assert (await rig.station.status())["outputs"]["fan"] is is_on


def profile(number: int, purpose: str, limit: float, **fields: Any) -> Payload:
    period = {"startPeriod": 0, "limit": limit}
    schedule = {"id": number, "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
    kind = (
        {"chargingProfileKind": "Relative"} if purpose == "TxProfile" else {"chargingProfileKind": "Absolute"}
    )
    if purpose != "TxProfile":
        schedule["startSchedule"] = "2024-01-01T00:00:00Z"
    return {
        "id": number,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        **kind,
        "chargingSchedule": [schedule],
        **fields,
    }


@pytest.mark.req("TC_K_01_CS", "TC_K_03_CS", "TC_K_05_CS", "TC_K_08_CS", "TC_K_60_CS")
async def test_limits_are_set_told_and_cleared(rig: Rig) -> None:
    transaction = await rig.charging()

    async def offered(current_a: float) -> None:
        await rig.station.until(lambda now: now["evses"][0]["offered_current_a"] == current_a)

    await rig.asked(
        "SetChargingProfile", evseId=0, chargingProfile=profile(1, "ChargingStationMaxProfile", 20.0)
    )
    await rig.asked("SetChargingProfile", evseId=1, chargingProfile=profile(2, "TxDefaultProfile", 13.0))
    await offered(13.0)
    tx_profile = profile(3, "TxProfile", 8.0, transactionId=transaction)
    await rig.asked("SetChargingProfile", evseId=1, chargingProfile=tx_profile)
    await offered(8.0)
    answer = await rig.asked("GetCompositeSchedule", duration=300, evseId=1, chargingRateUnit="A")
    (period,) = answer.payload["schedule"]["chargingSchedulePeriod"]
    assert (period["startPeriod"], period["limit"]) == (0, 8.0)
    await rig.asked("ClearChargingProfile", chargingProfileId=3)
    await offered(13.0)
    await rig.asked("ClearChargingProfile", "Unknown", chargingProfileId=3)
    wrong = profile(4, "TxProfile", 8.0, transactionId="no-such-transaction")
    await rig.asked("SetChargingProfile", "Rejected", evseId=1, chargingProfile=wrong)
    await rig.asked("GetCompositeSchedule", "Rejected", duration=300, evseId=9)


@pytest.mark.req("TC_K_31_CS", "TC_K_32_CS")
async def test_profiles_are_reported_once_each(rig: Rig) -> None:
    await rig.asked(
        "SetChargingProfile", evseId=0, chargingProfile=profile(1, "ChargingStationMaxProfile", 20.0)
    )
    await rig.asked("SetChargingProfile", evseId=2, chargingProfile=profile(2, "TxDefaultProfile", 13.0))
    await rig.asked("GetChargingProfiles", requestId=5, chargingProfile={"chargingLimitSource": ["CSO"]})
    parts = await rig.central.expect(
        call("ReportChargingProfiles", requestId=5, evseId=0),
        call("ReportChargingProfiles", requestId=5, evseId=2),
    )
    found = [each["id"] for part in parts for each in part["chargingProfile"]]
    assert found == [1, 2]
    assert [part.payload.get("tbc", False) for part in sorted(parts, key=lambda part: part.number)] == [
        True,
        False,
    ]
    await rig.asked(
        "GetChargingProfiles", "NoProfiles", requestId=6, chargingProfile={"chargingProfileId": [77]}
    )


# --- logs and customers ----------------------------------------------------------------------------------


@pytest.mark.req("TC_N_25_CS", "TC_N_35_CS")
@pytest.mark.parametrize("kind", ["DiagnosticsLog", "SecurityLog"])
async def test_logs_are_uploaded(rig: Rig, drop: tuple[Path, str], kind: str) -> None:
    folder, url = drop
    answer = await rig.asked("GetLog", logType=kind, requestId=11, log={"remoteLocation": f"{url}/"})
    for state in ("Uploading", "Uploaded"):
        await rig.central.expect(call("LogStatusNotification", requestId=11, status=state))
    assert (folder / answer.payload["filename"]).stat().st_size > 0


@pytest.mark.req("TC_N_26_CS")
async def test_an_upload_that_fails_is_told(rig: Rig) -> None:
    place = {"remoteLocation": f"ftp://127.0.0.1:{closed_port()}/"}
    await rig.asked("GetLog", logType="DiagnosticsLog", requestId=12, retries=1, retryInterval=1, log=place)
    rig.central.tolerate(call("LogStatusNotification", requestId=12, status="Uploading"))
    await rig.central.expect(
        call(
            "LogStatusNotification",
            requestId=12,
            status=lambda state: state in ("UploadFailure", "BadMessage"),
        )
    )


@pytest.mark.req("TC_N_32_CS", "TC_N_30_CS", "TC_N_31_CS")
async def test_what_is_known_of_a_customer_is_told_and_forgotten(rig: Rig) -> None:
    rig.central.tags[TAG] = {"status": "Accepted"}
    await rig.authorized()
    about = {"report": True, "clear": True, "idToken": token(TAG)}
    told_first = await _customer(rig, 21, **about)
    assert TAG in told_first
    assert TAG not in await _customer(rig, 22, **about)
    await rig.asked("CustomerInformation", requestId=23, report=False, clear=True, idToken=token(TAG))


async def _customer(rig: Rig, number: int, **about: Any) -> str:
    """The text of all parts of the notice."""
    await rig.asked("CustomerInformation", requestId=number, **about)
    parts = [await rig.central.expect_one(call("NotifyCustomerInformation", requestId=number))]
    while parts[-1].payload.get("tbc"):
        parts.append(await rig.central.expect_one(call("NotifyCustomerInformation", requestId=number)))
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    return "".join(part["data"] for part in parts)


# --- certificates, security events -----------------------------------------------------------------------


@pytest.mark.req(
    "TC_M_01_CS", "TC_M_02_CS", "TC_M_07_CS", "TC_M_12_CS", "TC_M_13_CS", "TC_M_17_CS", "TC_M_18_CS", "TC_M_19_CS",
    "TC_M_20_CS", "TC_M_22_CS",
)  # fmt: skip
async def test_certificates_are_installed_listed_and_deleted(rig: Rig) -> None:
    kinds = ["CSMSRootCertificate", "ManufacturerRootCertificate"]
    await rig.asked("GetInstalledCertificateIds", "NotFound", certificateType=kinds)
    roots = {kind: Authority(f"Example {kind}").root for kind in kinds}
    for kind, root in roots.items():
        await rig.asked("InstallCertificate", certificateType=kind, certificate=root.pem)
    broken = roots[kinds[0]].pem.replace("A", "B", 3)
    await rig.asked("InstallCertificate", "Rejected", certificateType=kinds[0], certificate=broken)
    for wanted, question in (
        (kinds[:1], {"certificateType": kinds[:1]}),
        (kinds[1:], {"certificateType": kinds[1:]}),
        (kinds, {}),
    ):
        answer = await rig.asked("GetInstalledCertificateIds", **question)
        chains = answer.payload["certificateHashDataChain"]
        assert sorted(chain["certificateType"] for chain in chains) == sorted(wanted)
        for chain in chains:
            hashes = chain["certificateHashData"]
            expected = roots[chain["certificateType"]].hash_data(hashes["hashAlgorithm"])
            assert {name: value.lower() for name, value in hashes.items()} == {
                name: value.lower() for name, value in expected.items()
            }
    for kind in kinds:
        hashes = roots[kind].hash_data("SHA256")
        await rig.asked("DeleteCertificate", certificateHashData=hashes)
        await rig.asked("DeleteCertificate", "NotFound", certificateHashData=hashes)
    await rig.asked("GetInstalledCertificateIds", "NotFound")


@pytest.mark.req("A04.FR.01", "A04.FR.02")
async def test_security_events_are_kept_and_the_critical_ones_told(rig: Rig, drop: tuple[Path, str]) -> None:
    folder, url = drop
    await rig.power_cycle()
    await rig.booted()

    def kinds() -> set[str]:
        return {seen["type"] for seen in rig.central.calls("SecurityEventNotification")}

    await rig.central.until(lambda: {"StartupOfTheDevice", "ResetOrReboot"} & kinds())
    await rig.central.send_nonsense('[2,"no JSON",')
    await rig.central.quiet(0.3)
    answer = await rig.asked("GetLog", logType="SecurityLog", requestId=31, log={"remoteLocation": f"{url}/"})
    for state in ("Uploading", "Uploaded"):
        await rig.central.expect(call("LogStatusNotification", requestId=31, status=state))
    log = (folder / answer.payload["filename"]).read_text()
    assert "StartupOfTheDevice" in log
    assert "InvalidMessages" in log
    assert "InvalidMessages" not in kinds(), "it is not critical"
