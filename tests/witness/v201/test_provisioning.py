"""Core: boot, variables, reports, reset and availability of 2.0.1."""

import asyncio

import pytest

from tests.witness.central_system import call
from tests.witness.v201.rig import EVSES, TAG, Rig, event, path, status, token
from tests.witness.words import Payload, now

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness201-provisioning"),
]
ALL_AVAILABLE = dict.fromkeys(EVSES, "Available")
THRESHOLD = "OCPPCommCtrlr.OfflineThreshold"
PLACES: dict[str, Payload] = {
    "station": {},
    "EVSE": {"evse": {"id": 1}},
    "connector": {"evse": {"id": 1, "connectorId": 1}},
}


def boot_answer(state: str, interval_s: int) -> Payload:
    return {"currentTime": now(), "interval": interval_s, "status": state}


# --- boot ------------------------------------------------------------------------------------------------


@pytest.mark.req("TC_B_01_CS", "TC_F_26_CS")
async def test_cold_boot(rig: Rig) -> None:
    await rig.power_cycle()
    assert await rig.booted(reason="PowerUp") == ALL_AVAILABLE
    boot = rig.central.calls("BootNotification")[-1]
    assert (
        boot["chargingStation"] | {"vendorName": "Example", "model": "Wallbox 22"} == boot["chargingStation"]
    )
    await rig.asked("TriggerMessage", "Rejected", requestedMessage="BootNotification")


@pytest.mark.req("TC_B_02_CS", "TC_B_30_CS")
async def test_pending_answers_but_starts_nothing(rig: Rig) -> None:
    rig.central.script("BootNotification", boot_answer("Pending", 60))
    await rig.power_cycle()
    await rig.central.expect_one(call("BootNotification"), within=20)
    assert await rig.set_(THRESHOLD, "301") == "Accepted"
    assert await rig.get(THRESHOLD) == "301"
    report = await rig.report("GetBaseReport", "NotifyReport", "reportData", reportBase="FullInventory")
    assert report
    start = {"idToken": token(TAG), "remoteStartId": 1, "evseId": 1}
    await rig.asked("RequestStartTransaction", "Rejected", **start)
    await rig.asked("RequestStopTransaction", "Rejected", transactionId="none")
    assert not rig.central.calls("StatusNotification")
    await rig.asked("TriggerMessage", requestedMessage="BootNotification")
    assert await rig.booted() == ALL_AVAILABLE


@pytest.mark.req("TC_B_03_CS", "TC_B_30_CS")
async def test_rejected_is_silent_until_the_interval_is_over(rig: Rig) -> None:
    rig.central.script("BootNotification", boot_answer("Rejected", 2))
    await rig.power_cycle()
    first = await rig.central.expect_one(call("BootNotification"), within=20)
    answer = await rig.central.ask("GetVariables", getVariableData=[path(THRESHOLD)])
    assert answer.error == "SecurityError"
    assert await rig.booted() == ALL_AVAILABLE
    second = rig.central.calls("BootNotification")[-1]
    assert second.at - first.at > 1.8


@pytest.mark.req("TC_B_51_CS", "TC_B_52_CS", "TC_B_57_CS")
@pytest.mark.parametrize("is_long", [True, False])
async def test_after_an_offline_period_the_threshold_decides_who_tells(rig: Rig, is_long: bool) -> None:
    await rig.configure({THRESHOLD: 0 if is_long else 300})
    await rig.central.go_offline()
    await rig.station.plug()
    await rig.station.until(lambda seen: seen["evses"][0]["is_plugged"])
    if is_long:
        await asyncio.sleep(1.1)
    rig.central.go_online()
    await rig.central.connected()
    if is_long:
        await rig.central.expect(status(1, "Occupied"), status(2, "Available"))
    else:
        await rig.central.expect(status(1, "Occupied"))
    await rig.central.quiet(0.4)
    assert not rig.central.calls("BootNotification")


# --- variables -------------------------------------------------------------------------------------------


@pytest.mark.req("TC_B_06_CS", "TC_B_07_CS", "TC_B_09_CS", "TC_B_10_CS", "TC_P_03_CS")
async def test_variables_are_set_and_read_together(rig: Rig) -> None:
    await rig.configure({THRESHOLD: 300, "AuthCtrlr.AuthorizeRemoteStart": True})
    custom = {"customData": {"vendorId": "org.openchargealliance.octt", "anything": [1, {"a": None}]}}
    orders = [
        {**path(THRESHOLD), "attributeValue": "123", **custom},
        {**path("AuthCtrlr.AuthorizeRemoteStart"), "attributeValue": "false", "attributeType": "Actual"},
    ]
    answer = await rig.central.ask("SetVariables", setVariableData=orders, **custom)
    results = answer.payload["setVariableResult"]
    assert [each["attributeStatus"] for each in results] == ["Accepted", "Accepted"]
    questions = [path(THRESHOLD), {**path("AuthCtrlr.AuthorizeRemoteStart"), "attributeType": "Actual"}]
    answer = await rig.central.ask("GetVariables", getVariableData=questions)
    results = answer.payload["getVariableResult"]
    assert [each["attributeValue"] for each in results] == ["123", "false"]
    assert [each.get("attributeType", "Actual") for each in results] == ["Actual", "Actual"]


@pytest.mark.req(
    "TC_B_11_CS",
    "TC_B_32_CS",
    "TC_B_33_CS",
    "TC_B_34_CS",
    "TC_B_35_CS",
    "TC_B_36_CS",
    "TC_B_37_CS",
    "TC_B_39_CS",
)
@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        ({**path("UnknownCtrlr.OfflineThreshold")}, "UnknownComponent"),
        ({**path("OCPPCommCtrlr.NoSuchVariable")}, "UnknownVariable"),
        ({**path(THRESHOLD), "attributeType": "Target"}, "NotSupportedAttributeType"),
        ({**path(THRESHOLD), "attributeValue": "-1"}, "Rejected"),
        ({**path(THRESHOLD), "attributeValue": "abc"}, "Rejected"),
        ({**path("AuthCtrlr.AuthorizeRemoteStart"), "attributeValue": "maybe"}, "Rejected"),
        ({**path("DeviceDataCtrlr.ItemsPerMessage.GetVariables")}, "Rejected"),
        ({**path("SecurityCtrlr.BasicAuthPassword"), "attributeValue": "short"}, "Rejected"),
    ],
)
async def test_what_cannot_be_set_says_why(rig: Rig, order: Payload, wanted: str) -> None:
    """TC_A_10 among them: a password that is too short."""
    answer = await rig.central.ask("SetVariables", setVariableData=[{"attributeValue": "1", **order}])
    (result,) = answer.payload["setVariableResult"]
    assert result["attributeStatus"] == wanted
    if wanted != "Rejected":
        question = {name: value for name, value in order.items() if name != "attributeValue"}
        answer = await rig.central.ask("GetVariables", getVariableData=[question])
        assert answer.payload["getVariableResult"][0]["attributeStatus"] == wanted


@pytest.mark.req("TC_B_12_CS", "TC_B_13_CS", "TC_B_53_CS")
async def test_reports_hold_what_can_be_configured_and_everything(rig: Rig) -> None:
    every: dict[str, set[str]] = {}
    for base in ("ConfigurationInventory", "FullInventory"):
        told = await rig.report("GetBaseReport", "NotifyReport", "reportData", reportBase=base)
        names = [
            str((each["component"], each["variable"]["name"], each["variable"].get("instance")))
            for each in told
        ]
        assert len(names) == len(set(names)), "a variable twice"
        every[base] = {f"{each['component']['name']}.{each['variable']['name']}" for each in told}
        for each in told:
            if "valuesList" in each.get("variableCharacteristics", {}):
                assert each["variableCharacteristics"]["dataType"].endswith("List")
    assert every["ConfigurationInventory"] < every["FullInventory"]
    assert {
        "OCPPCommCtrlr.OfflineThreshold", "TxCtrlr.TxStartPoint", "SecurityCtrlr.SecurityProfile",
        "ChargingStation.Available", "EVSE.AvailabilityState", "Connector.ConnectorType", "ClockCtrlr.DateTime",
    } <= every["FullInventory"]  # fmt: skip


@pytest.mark.req("TC_B_43_CS", "TC_A_22_CS")
async def test_network_profiles_that_cannot_work_are_refused(rig: Rig) -> None:
    profile = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": "ws://localhost:9/ocpp",
        "messageTimeout": 30,
        "securityProfile": 0,
        "ocppInterface": "Wired0",
    }
    await rig.asked("SetNetworkProfile", "Rejected", configurationSlot=99, connectionData=profile)
    await rig.asked(
        "SetNetworkProfile", "Rejected", configurationSlot=2, connectionData={**profile, "ocppCsmsUrl": "x"}
    )
    priority = await rig.set_("OCPPCommCtrlr.NetworkConfigurationPriority", "7")
    assert priority == "Rejected"


# --- reset -----------------------------------------------------------------------------------------------


@pytest.mark.req("TC_B_20_CS", "TC_B_23_CS", "TC_G_18_CS", "TC_G_19_CS", "TC_G_21_CS")
@pytest.mark.parametrize("place", PLACES)
async def test_unavailable_outlasts_a_reset(rig: Rig, place: str) -> None:
    await rig.asked("ChangeAvailability", operationalStatus="Inoperative", **PLACES[place])
    out = EVSES if place == "station" else (1,)
    await rig.central.expect(*(status(evse, "Unavailable") for evse in out))
    await rig.asked("Reset", type="OnIdle")
    wanted = ALL_AVAILABLE | dict.fromkeys(out, "Unavailable")
    assert await rig.booted(reason="RemoteReset") == wanted


@pytest.mark.req("TC_B_21_CS", "TC_B_22_CS")
@pytest.mark.parametrize("kind", ["OnIdle", "Immediate"])
async def test_reset_with_a_transaction(rig: Rig, kind: str) -> None:
    transaction = await rig.charging()
    await rig.asked("Reset", "Scheduled" if kind == "OnIdle" else "Accepted", type=kind)
    rig.central.tolerate(status(1, "Occupied"), status(1, "Unavailable"), status(2, "Unavailable"))
    if kind == "OnIdle":
        await rig.central.quiet(0.5)
        await rig.station.tap(TAG)
        await rig.ended(transaction, triggerReason="StopAuthorized")
        await rig.station.unplug()
        rig.central.tolerate(status(1, "Available"))
        await rig.booted(reason="ScheduledReset")
    else:
        end = await rig.ended(transaction, triggerReason="ResetCommand")
        assert end["transactionInfo"]["stoppedReason"] == "ImmediateReset"
        await rig.booted(reason="RemoteReset")


# --- availability ----------------------------------------------------------------------------------------


@pytest.mark.req(
    "TC_G_03_CS", "TC_G_04_CS", "TC_G_05_CS", "TC_G_06_CS", "TC_G_07_CS", "TC_G_08_CS", "TC_G_09_CS", "TC_G_10_CS",
    "TC_G_12_CS", "TC_G_13_CS", "TC_G_15_CS", "TC_G_16_CS",
)  # fmt: skip
@pytest.mark.parametrize("place", PLACES)
async def test_out_of_service_and_back(rig: Rig, place: str) -> None:
    touched = EVSES if place == "station" else (1,)
    for state, told in (("Operative", None), ("Inoperative", "Unavailable"), ("Operative", "Available")):
        for is_news in (True, False):
            await rig.asked("ChangeAvailability", operationalStatus=state, **PLACES[place])
            if told and is_news:
                await rig.central.expect(*(status(evse, told) for evse in touched))
            else:
                await rig.central.quiet(0.2)


@pytest.mark.req("TC_G_11_CS", "TC_G_14_CS", "TC_G_17_CS")
@pytest.mark.parametrize("place", PLACES)
async def test_out_of_service_after_the_transaction(rig: Rig, place: str) -> None:
    transaction = await rig.charging()
    await rig.asked("ChangeAvailability", "Scheduled", operationalStatus="Inoperative", **PLACES[place])
    if place == "station":
        await rig.central.expect(status(2, "Unavailable"))
    await rig.central.quiet(0.3)
    await rig.station.tap(TAG)
    rig.central.tolerate(event("Updated"), event("Ended"))
    await rig.central.expect(status(1, "Unavailable"))
    end = event("Ended", triggerReason="StopAuthorized")
    await rig.central.until(lambda: any(map(end.matches, rig.events(transaction))))
