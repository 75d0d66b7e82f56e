"""Sequences that a tester or a hostile CSMS would try, on the whole station on virtual time.

Each test drives real agent and real firmware through one story and looks at what the CSMS was told.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench
from tests.helpers.core_keys16 import CORE_KEYS
from tests.helpers.csms import Csms

TWO_BY_TWO = """
[hal.sim]
evses = 2
connectors_per_evse = 2
"""
UNLOCK_COMMAND = """
[[vendor.commands]]
vendor_id = "com.example.site"
message_id = "Release"
action = "cable.unlock"
fixed = { evse_id = 1 }
"""


async def online(bench: Bench) -> None:
    await bench.until(lambda: bench.agent.conversation.is_online)
    await bench.run_for(seconds=2)


async def ask(bench: Bench, action: str, **payload: Any) -> Any:
    """The status that the station answers, and time for what follows from it."""
    answer = await bench.csms.call(action, payload)
    assert answer.error is None, answer.description
    await bench.run_for(seconds=10)
    return answer.payload.get("status")


async def charge(bench: Bench, id_token: str = "TAG1", **ev: Any) -> None:
    bench.plug_in(**ev)
    bench.tap(id_token, 1)
    await bench.run_for(seconds=20)
    assert bench.evse().transaction is not None


# --- the cable -------------------------------------------------------------------------------------------


@pytest.mark.req("R16-109", "R16-182", "R16-183")
@pytest.mark.parametrize("is_plugged", [False, True])
async def test_after_an_unlock_the_next_driver_can_charge(tmp_path: Path, is_plugged: bool) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        if is_plugged:
            bench.plug_in()
            await bench.run_for(seconds=5)
        assert await ask(bench, "UnlockConnector", connectorId=1) == "Unlocked"
        if not is_plugged:
            bench.plug_in()
        bench.tap("TAG1")
        await bench.run_for(seconds=20)
        assert bench.statuses(1) == ["Available", "Preparing", "Charging"]
        assert bench.evse().hardware.locked


@pytest.mark.req("R16-123", "R16-182", "TC_018_1_CS")
async def test_unlock_ends_the_transaction_and_a_new_one_may_follow(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench)
        assert await ask(bench, "UnlockConnector", connectorId=1) == "Unlocked"
        assert bench.sent("StopTransaction")[0]["reason"] == "UnlockCommand"
        assert bench.evse().hardware.locked is False
        bench.tap("TAG2")
        await bench.run_for(seconds=20)
        assert [start["idTag"] for start in bench.sent("StartTransaction")] == ["TAG1", "TAG2"]


@pytest.mark.req("R16-079", "TC_024_CS")
async def test_a_lock_that_jams_is_reported_once_and_starts_nothing(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        bench.world.set_fault(1, "lock_fail")
        bench.plug_in()
        bench.tap("TAG1")
        await bench.run_for(minutes=2)
        assert bench.statuses(1) == ["Available", "Preparing", "Faulted", "Preparing"]
        told = [each["errorCode"] for each in bench.sent("StatusNotification")]
        assert told.count("ConnectorLockFailure") == 1
        assert not bench.sent("StartTransaction")


@pytest.mark.req("R16-063", "R16-081", "R16-126", "TC_005_3_CS")
async def test_an_ev_that_comes_back_goes_on_without_leaving_its_transaction(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[settings]\nStopTransactionOnEVSideDisconnect = false") as bench:
        await online(bench)
        await charge(bench)
        bench.unplug()
        await bench.run_for(seconds=30)
        assert bench.evse().hardware.locked
        bench.plug_in()
        await bench.run_for(seconds=30)
        told = bench.statuses(1)
        assert told[:3] == ["Available", "Preparing", "Charging"]
        assert set(told[3:-1]) == {"SuspendedEV"}
        assert told[-1] == "Charging"
        assert not bench.sent("StopTransaction")


@pytest.mark.req("R16-063", "R16-064", "TC_003_CS")
async def test_a_clock_set_back_at_boot_makes_no_status_flicker_at_the_start(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        before = bench.agent.station.snapshot().booted_at
        await online(bench)
        await charge(bench)
        transaction = bench.evse().transaction
        assert transaction is not None
        assert transaction.started_at < before, "the CSMS's clock is behind the one at boot"
        assert bench.statuses(1) == ["Available", "Preparing", "Charging"]


@pytest.mark.req("R16-067", "R16-076")
async def test_after_the_board_came_back_nothing_old_is_told(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench)
        bench.world.set_fault(1, "board_comm")
        await bench.run_for(seconds=30)
        bench.world.clear_fault(1, "board_comm")
        await bench.run_for(seconds=30)
        assert bench.statuses(1)[2:] == ["Charging", "Faulted", "SuspendedEVSE", "Charging"]


@pytest.mark.req("R16-071", "R16-112")
@pytest.mark.parametrize("is_vendors", [False, True])
async def test_a_kept_cable_that_is_unlocked_keeps_nobody_out(tmp_path: Path, is_vendors: bool) -> None:
    async with Bench(tmp_path, UNLOCK_COMMAND) as bench:
        await online(bench)
        bench.csms.always("StartTransaction", idTagInfo={"status": "Invalid"})
        bench.plug_in()
        bench.tap("TAG1")
        await bench.run_for(seconds=20)
        assert bench.evse().hardware.locked
        if is_vendors:
            status = await ask(bench, "DataTransfer", vendorId="com.example.site", messageId="Release")
            assert status == "Accepted"
        else:
            assert await ask(bench, "UnlockConnector", connectorId=1) == "Unlocked"
        bench.unplug()
        await bench.run_for(seconds=20)
        assert bench.statuses(1)[-1] == "Available"


# --- availability ----------------------------------------------------------------------------------------


@pytest.mark.req("R16-062", "R16-185", "R16-188", "R16-190", "R16-191", "FIELD-51")
async def test_one_connector_comes_back_after_the_station_went_out_of_service(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO_BY_TWO) as bench:
        await online(bench)
        assert await ask(bench, "ChangeAvailability", connectorId=0, type="Inoperative") == "Accepted"
        assert await ask(bench, "ChangeAvailability", connectorId=1, type="Operative") == "Accepted"
        assert bench.statuses(1)[-1] == "Available"
        assert {bench.statuses(number)[-1] for number in (0, 2, 3, 4)} == {"Unavailable"}
    async with Bench(tmp_path, TWO_BY_TWO) as bench:
        await online(bench)
        assert bench.statuses(1) == ["Available"]
        assert [bench.statuses(number) for number in (0, 2, 3, 4)] == [["Unavailable"]] * 4
        await charge(bench)
        assert await ask(bench, "ChangeAvailability", connectorId=0, type="Operative") == "Accepted"
        assert {bench.statuses(number)[-1] for number in (0, 3, 4)} == {"Available"}


@pytest.mark.req("R16-186", "R16-189", "R16-190")
async def test_a_scheduled_change_waits_for_the_transaction_and_can_be_taken_back(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO_BY_TWO) as bench:
        await online(bench)
        await charge(bench)
        assert await ask(bench, "ChangeAvailability", connectorId=1, type="Inoperative") == "Scheduled"
        assert await ask(bench, "ChangeAvailability", connectorId=1, type="Operative") == "Accepted"
        assert await ask(bench, "ChangeAvailability", connectorId=2, type="Inoperative") == "Accepted"
        assert await ask(bench, "ChangeAvailability", connectorId=0, type="Inoperative") == "Scheduled"
        assert [bench.statuses(number)[-1] for number in (0, 1, 3, 4)] == [
            "Unavailable",
            "Charging",
            "Unavailable",
            "Unavailable",
        ]
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=20)
        assert bench.statuses(1)[-2:] == ["Finishing", "Unavailable"]


@pytest.mark.req("R16-176", "R16-186")
async def test_a_tag_accepted_after_the_connector_went_out_of_service_is_refused(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, csms=csms) as bench:
        for action in ("BootNotification", "StatusNotification"):
            csms.always(action)
        await online(bench)
        bench.tap("TAG1")
        question = await csms.expect("Authorize")
        assert await ask(bench, "ChangeAvailability", connectorId=1, type="Inoperative") == "Accepted"
        question.accept()
        bench.plug_in()
        await bench.run_for(seconds=20)
        assert bench.evse().id_token is None
        assert await ask(bench, "ChangeAvailability", connectorId=1, type="Operative") == "Accepted"
        assert bench.statuses(1)[-1] == "Preparing"
        assert bench.evse().transaction is None


@pytest.mark.req("R16-061", "R16-064", "R16-176")
async def test_a_remote_start_on_the_second_connector_shows_there(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO_BY_TWO) as bench:
        await online(bench)
        assert await ask(bench, "RemoteStartTransaction", idTag="TAG1", connectorId=2) == "Accepted"
        assert bench.statuses(2) == ["Available", "Preparing"]
        assert bench.statuses(1) == ["Available", "Unavailable"]
        bench.plug_in(1, connector_id=2)
        await bench.run_for(seconds=20)
        assert bench.sent("StartTransaction")[0]["connectorId"] == 2
        assert bench.statuses(2)[-1] == "Charging"


# --- tokens and transactions -----------------------------------------------------------------------------


@pytest.mark.req("R16-091", "R16-120")
async def test_two_taps_half_a_second_apart_are_two_presentations(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        bench.plug_in()
        await bench.run_for(seconds=5)
        bench.tap("TAG1")
        await bench.run_for(seconds=0.5)
        bench.tap("TAG1")
        await bench.run_for(seconds=20)
        assert len(bench.sent("StartTransaction")) == len(bench.sent("StopTransaction")) == 1
        assert bench.sent("StopTransaction")[0]["reason"] == "Local"


@pytest.mark.req("R16-112", "R16-114", "TC_037_3_CS")
async def test_a_token_refused_after_the_start_gets_its_energy_and_then_keeps_the_cable(
    tmp_path: Path,
) -> None:
    async with Bench(tmp_path, "[settings]\nMaxEnergyOnInvalidId = 300") as bench:
        await online(bench)
        bench.csms.always("StartTransaction", idTagInfo={"status": "Blocked"})
        await charge(bench)
        await bench.run_for(minutes=5)
        (stop,) = bench.sent("StopTransaction")
        assert stop["reason"] == "DeAuthorized"
        assert 300 <= stop["meterStop"] < 400
        assert bench.evse().hardware.locked
        bench.tap("TAG1")
        await bench.run_for(seconds=20)
        assert bench.evse().hardware.locked is False


@pytest.mark.req("R16-117", "R16-139", "R16-140", "FIELD-60")
async def test_a_start_that_is_never_taken_leaves_the_id_minus_one(tmp_path: Path) -> None:
    extra = "[settings]\nTransactionMessageRetryInterval = 5\nMeterValueSampleInterval = 20"
    async with Bench(tmp_path, extra) as bench:
        await online(bench)
        bench.csms._granted.pop("StartTransaction")
        bench.plug_in()
        bench.tap("TAG1")
        times = []
        for _attempt in range(3):
            call = await bench.csms.expect("StartTransaction")
            times.append(call.time)
            call.error("InternalError")
        await bench.run_for(minutes=1)
        bench.tap("TAG1")
        await bench.run_for(seconds=20)
        assert [round(later - times[0]) for later in times] == [0, 5, 15]
        readings = [values for values in bench.sent("MeterValues") if values["connectorId"]]
        assert {values["transactionId"] for values in readings} == {-1}
        assert [stop["transactionId"] for stop in bench.sent("StopTransaction")] == [-1]


@pytest.mark.req("R16-159")
async def test_a_meter_that_starts_again_at_zero_never_makes_the_register_fall(tmp_path: Path) -> None:
    extra = """
[hal.sim]
meter_start_wh = 5000
meter_resets_on_plug_in = true
[settings]
StopTransactionOnEVSideDisconnect = false
MeterValueSampleInterval = 30
"""
    async with Bench(tmp_path, extra) as bench:
        await online(bench)
        await charge(bench)
        await bench.run_for(minutes=2)
        bench.unplug()
        await bench.run_for(seconds=20)
        bench.plug_in()
        await bench.run_for(minutes=2)
        bench.tap("TAG1")
        await bench.run_for(seconds=20)
        told = [
            int(value["value"])
            for values in bench.sent("MeterValues")
            if values["connectorId"] == 1
            for metered in values["meterValue"]
            for value in metered["sampledValue"]
        ]
        told = [bench.sent("StartTransaction")[0]["meterStart"], *told]
        told.append(bench.sent("StopTransaction")[0]["meterStop"])
        assert told == sorted(told)
        assert "PowerMeterFailure" in {each["errorCode"] for each in bench.sent("StatusNotification")}


@pytest.mark.req("R16-119", "R16-177", "TC_004_2_CS", "TC_011_2_CS")
@pytest.mark.parametrize("is_remote", [False, True])
async def test_a_driver_who_never_plugs_in_lapses(tmp_path: Path, is_remote: bool) -> None:
    async with Bench(tmp_path, "[settings]\nConnectionTimeOut = 45") as bench:
        await online(bench)
        if is_remote:
            assert await ask(bench, "RemoteStartTransaction", idTag="TAG1", connectorId=1) == "Accepted"
        else:
            bench.tap("TAG1")
            await bench.run_for(seconds=10)
        assert bench.statuses(1)[-1] == "Preparing"
        await bench.run_for(seconds=36)
        assert bench.statuses(1)[-1] == "Available"
        bench.plug_in()
        await bench.run_for(minutes=2)
        assert bench.statuses(1)[-1] == "Preparing"
        assert not bench.sent("StartTransaction")


@pytest.mark.req("R16-192", "R16-193", "R16-194", "R16-195", "TC_015_CS", "TC_016_CS")
@pytest.mark.parametrize(("kind", "reason"), [("Soft", "SoftReset"), ("Hard", "HardReset")])
async def test_a_reset_ends_the_transaction_before_the_process(
    tmp_path: Path, kind: str, reason: str
) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench)
        answer = await bench.csms.call("Reset", {"type": kind})
        assert answer.payload == {"status": "Accepted"}
        assert not bench.sent("StopTransaction"), "the answer goes first"
        await bench.ended()
        assert [stop["reason"] for stop in bench.sent("StopTransaction")] == [reason]


# --- configuration and triggers --------------------------------------------------------------------------


@pytest.mark.req("R16-199", "R16-204", "TC_019_CS")
async def test_all_36_core_keys_are_there_in_their_spelling(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        answer = await bench.csms.call("GetConfiguration", {})
        found = {each["key"]: each["readonly"] for each in answer.payload["configurationKey"]}
        assert len(CORE_KEYS) == 36
        assert {key: found.get(key) for key in CORE_KEYS} == {
            key: access == "R" for key, access in CORE_KEYS.items()
        }
        assert "unknownKey" not in answer.payload


@pytest.mark.req("FIELD-46", "FIELD-47", "FIELD-48", "FIELD-27")
@pytest.mark.req("R16-281", "R16-282", "R16-283", "R16-284", "R16-285", "TC_054_CS", "TC_055_CS")
@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Heartbeat", {None: 1, 0: 1, 1: 1, 4: 1, 5: 1, -1: 1}),
        ("FirmwareStatusNotification", {None: 1, 0: 1, 1: 1, 4: 1, 5: 1, -1: 1}),
        ("DiagnosticsStatusNotification", {None: 1, 0: 1, 1: 1, 4: 1, 5: 1, -1: 1}),
        ("BootNotification", {None: 1, 0: 1, 1: 1, 4: 1, 5: 1, -1: 1}),
        ("StatusNotification", {None: 5, 0: 1, 1: 1, 4: 1, 5: 0, -1: 0}),
        ("MeterValues", {None: 3, 0: 1, 1: 1, 4: 1, 5: 0, -1: 0}),
    ],
)
async def test_every_trigger_at_every_connector(
    tmp_path: Path, message: str, told: dict[int | None, int]
) -> None:
    async with Bench(tmp_path, TWO_BY_TWO) as bench:
        bench.csms.always("FirmwareStatusNotification")
        bench.csms.always("DiagnosticsStatusNotification")
        await online(bench)
        for number, expected in told.items():
            target = {} if number is None else {"connectorId": number}
            before = len(bench.sent(message))
            answer = await bench.csms.call("TriggerMessage", {"requestedMessage": message, **target})
            assert answer.payload == {"status": "Accepted" if expected else "Rejected"}
            await bench.run_for(seconds=5)
            sent = bench.sent(message)[before:]
            assert len(sent) == expected, (message, number)
            if number is not None and message in ("StatusNotification", "MeterValues"):
                assert all(payload["connectorId"] == number for payload in sent)
