"""Core and RemoteTrigger: configuration, meter values, data transfer, triggers."""

from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.witness.central_system import Seen, call
from tests.witness.rig import Rig

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness-core-configuration"),
]

R, RW = True, False
REQUIRED = {
    "Core": {
        "AuthorizeRemoteTxRequests": None,
        "ClockAlignedDataInterval": RW,
        "ConnectionTimeOut": RW,
        "ConnectorPhaseRotation": RW,
        "GetConfigurationMaxKeys": R,
        "HeartbeatInterval": RW,
        "LocalAuthorizeOffline": RW,
        "LocalPreAuthorize": RW,
        "MeterValuesAlignedData": RW,
        "MeterValuesSampledData": RW,
        "MeterValueSampleInterval": RW,
        "NumberOfConnectors": R,
        "ResetRetries": RW,
        "StopTransactionOnInvalidId": RW,
        "StopTxnAlignedData": RW,
        "StopTxnSampledData": RW,
        "SupportedFeatureProfiles": R,
        "TransactionMessageAttempts": RW,
        "TransactionMessageRetryInterval": RW,
        "UnlockConnectorOnEVSideDisconnect": RW,
    },
    "LocalAuthListManagement": {
        "LocalAuthListEnabled": RW,
        "LocalAuthListMaxLength": R,
        "SendLocalListMaxLength": R,
    },
    "SmartCharging": {
        "ChargeProfileMaxStackLevel": R,
        "ChargingScheduleAllowedChargingRateUnit": R,
        "ChargingScheduleMaxPeriods": R,
        "MaxChargingProfilesInstalled": R,
    },
    "FirmwareManagement": {},
    "Reservation": {},
    "RemoteTrigger": {},
}
"""Required keys of each profile -> readonly; None: either."""
MEASURANDS = ["Energy.Active.Import.Register", "Power.Active.Import", "Current.Import"]


@pytest.mark.req("TC_019_CS")
async def test_every_required_key_is_there_with_the_right_access(rig: Rig) -> None:
    profiles = (await rig.configuration("SupportedFeatureProfiles")).split(",")
    assert set(profiles) == set(REQUIRED)
    answer = await rig.central.ask("GetConfiguration")
    assert not answer.payload.get("unknownKey")
    access = {entry["key"]: entry["readonly"] for entry in answer.payload["configurationKey"]}
    for profile in profiles:
        for key, is_readonly in REQUIRED[profile].items():
            assert key in access
            assert is_readonly in (None, access[key]), key
    most = int(await rig.configuration("GetConfigurationMaxKeys"))
    asked = list(access)[:most]
    answer = await rig.central.ask("GetConfiguration", key=asked)
    assert not answer.payload.get("unknownKey")
    assert [entry["key"] for entry in answer.payload["configurationKey"]] == asked


@pytest.mark.req("TC_021_CS")
async def test_a_changed_key_is_read_back(rig: Rig) -> None:
    assert await rig.configuration("MeterValueSampleInterval") != "45"
    await rig.configure(MeterValueSampleInterval=45)
    assert await rig.configuration("MeterValueSampleInterval") == "45"


@pytest.mark.req("TC_040_1_CS")
async def test_an_unknown_key_is_not_supported(rig: Rig) -> None:
    answer = await rig.central.ask("ChangeConfiguration", key="Testing", value="true")
    assert answer.status == "NotSupported"


@pytest.mark.req("TC_040_2_CS")
async def test_a_negative_interval_is_refused(rig: Rig) -> None:
    before = await rig.configuration("MeterValueSampleInterval")
    answer = await rig.central.ask("ChangeConfiguration", key="MeterValueSampleInterval", value="-1")
    assert answer.status in ("Rejected", "error:PropertyConstraintViolation")
    assert await rig.configuration("MeterValueSampleInterval") == before


@pytest.mark.req("TC_062_CS")
async def test_data_transfer_of_an_unknown_vendor(rig: Rig) -> None:
    answer = await rig.central.ask("DataTransfer", vendorId="org.example.nobody", messageId="X", data="1")
    assert answer.status in ("Rejected", "UnknownMessageId", "UnknownVendorId")


def of(values: list[Seen], measurand: str) -> list[datetime]:
    """When this measurand was taken, in the order of arrival; its values are all there."""
    return [
        datetime.fromisoformat(meter_value["timestamp"])
        for seen in values
        for meter_value in seen["meterValue"]
        if measurand in {entry.get("measurand", MEASURANDS[0]) for entry in meter_value["sampledValue"]}
    ]


async def meter_values(rig: Rig, transaction: int, context: str) -> list[Seen]:
    """The next three of connector 1, each with every measurand, the transaction and this context."""
    first = rig.central.number

    def found() -> list[Seen]:
        return [seen for seen in rig.central.calls("MeterValues", first) if seen["connectorId"] == 1]

    await rig.central.until(lambda: len(found()) >= 3)
    for seen in found()[:3]:
        assert seen["transactionId"] == transaction
        entries = [entry for meter_value in seen["meterValue"] for entry in meter_value["sampledValue"]]
        assert {entry.get("measurand", MEASURANDS[0]) for entry in entries} == set(MEASURANDS)
        assert {entry.get("context", "Sample.Periodic") for entry in entries} == {context}
    return found()[:3]


@pytest.mark.req("TC_070_CS")
async def test_sampled_meter_values(rig: Rig) -> None:
    await rig.configure(
        MeterValueSampleInterval=1, ClockAlignedDataInterval=0, MeterValuesSampledData=",".join(MEASURANDS)
    )
    values = await meter_values(rig, await rig.charging(), "Sample.Periodic")
    for measurand in MEASURANDS:
        times = of(values, measurand)
        assert len(times) == 3
        assert all(0.7 < (later - earlier).total_seconds() < 1.3 for earlier, later in pairwise(times)), times


@pytest.mark.req("TC_071_CS")
async def test_clock_aligned_meter_values(rig: Rig) -> None:
    await rig.configure(
        MeterValueSampleInterval=0, ClockAlignedDataInterval=2, MeterValuesAlignedData=",".join(MEASURANDS)
    )
    transaction = await rig.charging()
    before = rig.central.number
    await rig.central.until(lambda: rig.central.calls("MeterValues", before))  # of a part of an interval
    values = await meter_values(rig, transaction, "Sample.Clock")
    for measurand in MEASURANDS:
        times = of(values, measurand)
        assert len(times) == 3
        assert [(later - earlier).total_seconds() for earlier, later in pairwise(times)] == [2, 2]
        assert all(at.second % 2 == 0 and at.microsecond == 0 for at in times), times


@pytest.mark.req("TC_054_CS")
@pytest.mark.parametrize(
    ("message", "is_right"),
    [
        ("MeterValues", lambda seen: seen["connectorId"] == 1),
        ("Heartbeat", lambda seen: not seen.payload),
        ("StatusNotification", lambda seen: (seen["connectorId"], seen["status"]) == (1, "Available")),
        ("DiagnosticsStatusNotification", lambda seen: seen["status"] == "Idle"),
        ("FirmwareStatusNotification", lambda seen: seen["status"] == "Idle"),
    ],
)
async def test_a_triggered_message_follows_the_answer(
    rig: Rig, message: str, is_right: Callable[[Seen], Any]
) -> None:
    which = {"connectorId": 1} if message in ("MeterValues", "StatusNotification") else {}
    answer = await rig.central.ask("TriggerMessage", requestedMessage=message, **which)
    assert answer.status == "Accepted"
    seen = await rig.central.expect_one(call(message))
    assert seen.number > answer.number
    assert is_right(seen)


@pytest.mark.req("TC_055_CS")
async def test_a_trigger_for_an_unknown_connector_is_refused(rig: Rig) -> None:
    number = int(await rig.configuration("NumberOfConnectors")) + 1
    before = rig.central.number
    answer = await rig.central.ask("TriggerMessage", requestedMessage="MeterValues", connectorId=number)
    assert answer.status == "Rejected" or answer.error
    await rig.central.quiet(0.5)
    assert not rig.central.calls("MeterValues", before)
