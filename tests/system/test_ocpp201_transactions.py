"""Transactions in 2.0.1 as a CSMS sees them: every start and stop point, offline, refused, retried, asked about."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench
from tests.system.talk201 import (
    TAG1,
    back,
    brief,
    briefs,
    charging,
    check_numbers,
    ended,
    events,
    offline,
    online,
    points,
    until_told,
)

EV_CONNECTED, AUTHORIZED, POWER_PATH = "EVConnected", "Authorized", "PowerPathClosed"
CACHED = '"AuthCtrlr.LocalPreAuthorize" = "true"\n'


async def whole(bench: Bench, order: str = "cable") -> list[dict[str, Any]]:
    """Plug, identify, charge, stop, unplug."""
    if order == "cable":
        bench.plug_in()
        await bench.run_for(seconds=3)
        bench.tap("TAG1")
    else:
        bench.tap("TAG1")
        await bench.run_for(seconds=3)
        bench.plug_in()
    await until_told(bench, lambda event: event["transactionInfo"].get("chargingState") == "Charging")
    await bench.run_for(seconds=30)
    assert bench.evse().hardware.locked
    bench.tap("TAG1")
    await bench.run_for(seconds=20)
    assert not bench.evse().hardware.locked, "the driver may take the cable"
    bench.unplug()
    await until_told(bench, ended)
    await bench.run_for(seconds=2)
    told = events(bench)
    check_numbers(told)
    return told


# --- where it starts and stops -----------------------------------------------------------------------------


@pytest.mark.req(
    "E01.FR.05", "E01.FR.07", "E01.FR.08", "E01.FR.10", "E01.FR.15", "E01.FR.16", "E03.FR.06", "E07.FR.04",
    "E06.FR.15", "E01.FR.18", "E02.FR.07", "E02.FR.08", "E03.FR.13", "E06.FR.10", "E07.FR.05", "E07.FR.07",
    "E07.FR.11", "E05.FR.04", "TC_E_01_CS", "TC_E_04_CS", "TC_E_06_CS", "TC_E_07_CS",
)  # fmt: skip
async def test_as_in_1_6_it_runs_from_cable_and_driver_to_either_of_them_gone(tmp_path: Path) -> None:
    async with online(tmp_path, points(POWER_PATH, POWER_PATH)) as bench:
        told = await whole(bench, "driver")
        assert list(map(brief, told)) == [
            ("Started", "CablePluggedIn", "EVConnected"),
            ("Updated", "ChargingStateChanged", "Charging"),
            ("Ended", "StopAuthorized", "EVConnected"),
        ]
        assert told[0]["idToken"] == told[2]["idToken"] == TAG1
        assert told[0]["evse"] == {"id": 1, "connectorId": 1}
        assert told[0]["cableMaxCurrent"] == 32
        assert told[1]["numberOfPhasesUsed"] == 3
        assert told[2]["transactionInfo"]["stoppedReason"] == "Local"
        assert told[2]["transactionInfo"]["timeSpentCharging"] == 30
        assert not any("offline" in event for event in told)
        names = [name for name, _ in bench.calls()]
        assert names.index("Authorize") < names.index("TransactionEvent")
        bench.plug_in()
        bench.tap("TAG1")
        await bench.until(lambda: [kind for kind, *_ in briefs(bench)].count("Started") == 2)
        assert len({event["transactionInfo"]["transactionId"] for event in events(bench)}) == 2


@pytest.mark.req(
    "E01.FR.02", "E02.FR.01", "E02.FR.06", "E02.FR.13", "E02.FR.16", "E02.FR.17", "E02.FR.18", "E06.FR.02",
    "E07.FR.02", "E02.FR.05", "E07.FR.06", "TC_E_03_CS", "TC_E_09_CS", "TC_E_14_CS",
)  # fmt: skip
async def test_connection_time_runs_from_plug_to_plug_and_names_the_driver_in_between(tmp_path: Path) -> None:
    async with online(tmp_path, points(EV_CONNECTED, EV_CONNECTED)) as bench:
        told = await whole(bench)
        assert list(map(brief, told)) == [
            ("Started", "CablePluggedIn", "EVConnected"),
            ("Updated", "Authorized", "EVConnected"),
            ("Updated", "ChargingStateChanged", "Charging"),
            ("Updated", "StopAuthorized", "Charging"),
            ("Updated", "ChargingStateChanged", "EVConnected"),
            ("Ended", "EVCommunicationLost", "Idle"),
        ]
        names = [name for name, _ in bench.calls()]
        statuses = [payload["connectorStatus"] for payload in bench.sent("StatusNotification")]
        assert statuses == ["Available", "Occupied", "Available"]
        assert names.index("TransactionEvent") > names.index("StatusNotification")
        assert "idToken" not in told[0]
        assert told[1]["idToken"] == TAG1
        assert told[5]["transactionInfo"]["stoppedReason"] == "Local"


@pytest.mark.req("E01.FR.03", "E03.FR.01", "E03.FR.12", "E01.FR.16", "E06.FR.03", "TC_E_10_CS", "TC_E_15_CS")
@pytest.mark.req("E02.FR.05", "G01.FR.03", "G01.FR.04")
async def test_time_of_use_begins_with_the_driver_and_says_where_once_the_cable_is_in(tmp_path: Path) -> None:
    async with online(tmp_path, points(f"{EV_CONNECTED},{AUTHORIZED}", AUTHORIZED)) as bench:
        told = await whole(bench, "driver")
        assert list(map(brief, told)) == [
            ("Started", "Authorized", "Idle"),
            ("Updated", "CablePluggedIn", "EVConnected"),
            ("Updated", "ChargingStateChanged", "Charging"),
            ("Ended", "StopAuthorized", "EVConnected"),
        ]
        assert "evse" not in told[0]
        assert told[1]["evse"] == {"id": 1, "connectorId": 1}
        statuses = [each for each in bench.sent("StatusNotification") if each["evseId"] == 1]
        assert [each["connectorStatus"] for each in statuses] == ["Available", "Occupied", "Available"]
        assert statuses[1]["timestamp"] >= told[0]["timestamp"], "the cable occupies it, not the driver"


@pytest.mark.req("E01.FR.06", "E06.FR.07", "TC_E_02_CS", "TC_E_08_CS", "TC_E_22_CS")
@pytest.mark.parametrize("way", ["driver", "pause"])
async def test_it_may_run_with_the_energy(tmp_path: Path, way: str) -> None:
    async with online(tmp_path, points("EnergyTransfer", "EnergyTransfer")) as bench:
        bench.plug_in()
        bench.tap("TAG1")
        await bench.until(lambda: bench.sent("TransactionEvent"))
        started = events(bench)[0]
        assert brief(started) == ("Started", "ChargingStateChanged", "Charging")
        assert started["idToken"] == TAG1
        assert started["evse"] == {"id": 1, "connectorId": 1}
        assert started["numberOfPhasesUsed"] == 3
        if way == "driver":
            bench.tap("TAG1")
        else:
            bench.world.pause()
        end = await until_told(bench, ended)
        trigger = "StopAuthorized" if way == "driver" else "ChargingStateChanged"
        assert brief(end) == ("Ended", trigger, "EVConnected")
        reason = "Local" if way == "driver" else "StoppedByEV"
        assert end["transactionInfo"]["stoppedReason"] == reason
        check_numbers(events(bench))


@pytest.mark.req("E01.FR.04", "E02.FR.14", "TC_E_11_CS")
async def test_it_may_begin_with_the_first_signed_reading(tmp_path: Path) -> None:
    settings = points("DataSigned", POWER_PATH) + '"SampledDataCtrlr.TxStartedMeasurands" = ""\n'
    async with online(tmp_path, settings, "[hal.sim]\nsigns_readings = true\n") as bench:
        told = await whole(bench)
        assert brief(told[0]) == ("Started", "SignedDataReceived", "EVConnected")
        (value,) = told[0]["meterValue"][0]["sampledValue"]
        assert value["context"] == "Transaction.Begin"
        signed = value["signedMeterValue"]
        assert signed["signedMeterData"]
        assert signed["publicKey"]
        assert {"signingMethod", "encodingMethod"} <= set(signed)


@pytest.mark.req("E01.FR.04", "B05.FR.05")
@pytest.mark.parametrize(
    ("variable", "value", "status"),
    [
        ("TxStartPoint", "DataSigned", "Rejected"),
        ("TxStartPoint", "ParkingBayOccupancy", "Rejected"),
        ("TxStartPoint", "", "Rejected"),
        ("TxStartPoint", "EVConnected,Authorized", "Accepted"),
        ("TxStopPoint", "DataSigned", "Rejected"),
        ("TxStopPoint", "", "Rejected"),
        ("TxStopPoint", "EnergyTransfer", "Accepted"),
    ],
)
async def test_points_are_what_the_hardware_can_tell(
    tmp_path: Path, variable: str, value: str, status: str
) -> None:
    async with online(tmp_path) as bench:
        order = {
            "component": {"name": "TxCtrlr"},
            "variable": {"name": variable},
            "attributeValue": value,
        }
        answer = await bench.csms.call("SetVariables", {"setVariableData": [order]})
        assert answer.payload["setVariableResult"][0]["attributeStatus"] == status


@pytest.mark.req("E03.FR.05", "F02.FR.07", "TC_E_05_CS", "TC_E_39_CS")
@pytest.mark.parametrize("way", ["card", "remote"])
async def test_who_does_not_plug_in_in_time_has_no_transaction_any_more(tmp_path: Path, way: str) -> None:
    settings = points(AUTHORIZED, AUTHORIZED) + '"TxCtrlr.EVConnectionTimeOut" = 30\n'
    async with online(tmp_path, settings) as bench:
        if way == "card":
            bench.tap("TAG1")
        else:
            start = {"idToken": TAG1, "remoteStartId": 7, "evseId": 1}
            assert (await bench.csms.call("RequestStartTransaction", start)).payload["status"] == "Accepted"
        await bench.run_for(seconds=29)
        assert len(events(bench)) == 1
        end = await until_told(bench, ended)
        assert brief(end) == ("Ended", "EVConnectTimeout", "Idle")
        assert end["transactionInfo"]["stoppedReason"] == "Timeout"
        bench.plug_in()
        await bench.run_for(seconds=10)
        assert len(events(bench)) == 2


@pytest.mark.req("E03.FR.05", "E01.FR.03", "TC_E_39_CS")
async def test_with_two_outlets_a_transaction_goes_where_its_driver_plugs_in(tmp_path: Path) -> None:
    both = points(f"{EV_CONNECTED},{AUTHORIZED}", EV_CONNECTED)
    async with online(tmp_path, both, "[hal.sim]\nevses = 2\nmeter_start_wh = 700\n") as bench:
        bench.tap("TAG1")
        await bench.until(lambda: bench.sent("TransactionEvent"))
        chosen = next(
            number for number, evse in bench.agent.station.snapshot().evses.items() if evse.transaction
        )
        other = 3 - chosen
        bench.plug_in(other)
        await until_told(bench, lambda event: event["transactionInfo"].get("chargingState") == "Charging")
        await bench.run_for(minutes=3)
        bench.unplug(other)
        end = await until_told(bench, ended)
        told = events(bench)
        check_numbers(told)
        assert len({event["transactionInfo"]["transactionId"] for event in told}) == 1
        assert "meterValue" not in told[0], "nobody knew whose meter counts (E01.FR.17)"
        assert told[1]["evse"] == {"id": other, "connectorId": 1}
        assert told[1]["meterValue"][0]["sampledValue"][0]["context"] == "Transaction.Begin"
        registers = [value["sampledValue"][0]["value"] for value in end["meterValue"]]
        assert registers[0] == 700 < registers[-1]
        assert not bench.evse(chosen).transaction


# --- remote ------------------------------------------------------------------------------------------------


@pytest.mark.req(
    "F01.FR.03", "F01.FR.04", "F01.FR.06", "F01.FR.19", "F02.FR.01", "F02.FR.21", "F02.FR.05", "C05.FR.03",
    "C05.FR.05", "TC_E_13_CS",
)  # fmt: skip
@pytest.mark.parametrize("start_point", [AUTHORIZED, POWER_PATH])
async def test_a_remote_start_names_itself_and_its_token(tmp_path: Path, start_point: str) -> None:
    async with online(tmp_path, points(start_point, POWER_PATH)) as bench:
        start = {"idToken": TAG1, "remoteStartId": 7, "evseId": 1}
        answer = await bench.csms.call("RequestStartTransaction", start)
        assert answer.payload == {"status": "Accepted"}
        await bench.run_for(seconds=3)
        bench.plug_in()
        await until_told(bench, lambda event: event["transactionInfo"].get("chargingState") == "Charging")
        first = events(bench)[0]
        assert brief(first)[:2] == ("Started", "RemoteStart")
        assert first["transactionInfo"]["remoteStartId"] == 7
        assert first["idToken"] == TAG1
        check_numbers(events(bench))


@pytest.mark.req("F01.FR.13", "F01.FR.25", "F01.FR.10", "F01.FR.24", "E02.FR.20")
async def test_a_remote_start_joins_a_transaction_that_the_cable_began(tmp_path: Path) -> None:
    async with online(tmp_path, points(EV_CONNECTED, EV_CONNECTED)) as bench:
        bench.plug_in()
        await bench.until(lambda: bench.sent("TransactionEvent"))
        transaction_id = events(bench)[0]["transactionInfo"]["transactionId"]
        period = {"startPeriod": 0, "limit": 8.0}
        schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
        profile = {
            "id": 5,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": [schedule],
        }
        start = {"idToken": TAG1, "remoteStartId": 7, "evseId": 1, "chargingProfile": profile}
        answer = await bench.csms.call("RequestStartTransaction", start)
        assert answer.payload == {"status": "Accepted", "transactionId": transaction_id}
        update = await until_told(bench, lambda event: event["triggerReason"] == "RemoteStart")
        assert update["transactionInfo"]["remoteStartId"] == 7
        assert update["idToken"] == TAG1
        await until_told(bench, lambda event: event["transactionInfo"].get("chargingState") == "Charging")
        assert bench.evse().offered_current_a == 8.0
        second = await bench.csms.call("RequestStartTransaction", start | {"remoteStartId": 8})
        assert second.payload["status"] == "Rejected"


@pytest.mark.req("F03.FR.02", "F03.FR.03", "F03.FR.07", "F03.FR.09", "E06.FR.08", "TC_E_21_CS", "TC_E_35_CS")
@pytest.mark.parametrize(
    ("stop", "kind"), [(AUTHORIZED, "Ended"), (POWER_PATH, "Ended"), (EV_CONNECTED, "Updated")]
)
async def test_a_remote_stop_ends_what_the_stop_points_say(tmp_path: Path, stop: str, kind: str) -> None:
    async with online(tmp_path, points(POWER_PATH, stop)) as bench:
        transaction_id = (await charging(bench))["transactionInfo"]["transactionId"]
        answer = await bench.csms.call("RequestStopTransaction", {"transactionId": transaction_id})
        assert answer.payload == {"status": "Accepted"}
        told = await until_told(bench, lambda event: event["triggerReason"] == "RemoteStop")
        assert told["eventType"] == kind
        await bench.run_for(seconds=20)
        assert not bench.evse().offered_current_a
        bench.unplug()
        end = await until_told(bench, ended)
        assert end["transactionInfo"]["stoppedReason"] == "Remote"
        check_numbers(events(bench))


@pytest.mark.req("F05.FR.02", "F05.FR.04", "E02.FR.17")
async def test_a_cable_that_nobody_identified_for_can_be_unlocked(tmp_path: Path) -> None:
    async with online(tmp_path, points(EV_CONNECTED, EV_CONNECTED)) as bench:
        bench.plug_in()
        await bench.until(lambda: bench.sent("TransactionEvent"))
        unlock = {"evseId": 1, "connectorId": 1}
        assert (await bench.csms.call("UnlockConnector", unlock)).payload == {"status": "Unlocked"}
        await until_told(bench, lambda event: event["triggerReason"] == "UnlockCommand")
        bench.tap("TAG1")
        await until_told(bench, lambda event: event["transactionInfo"].get("chargingState") == "Charging")
        refused = (await bench.csms.call("UnlockConnector", unlock)).payload
        assert refused == {"status": "OngoingAuthorizedTransaction"}


# --- drivers who may not -----------------------------------------------------------------------------------


@pytest.mark.req("E05.FR.09", "E05.FR.10", "E05.FR.11", "E06.FR.04", "C15.FR.03", "C15.FR.04", "TC_E_16_CS")
@pytest.mark.parametrize("stop", [AUTHORIZED, EV_CONNECTED])
async def test_what_the_answer_refuses_has_its_consequences(tmp_path: Path, stop: str) -> None:
    async with online(tmp_path, points(EV_CONNECTED, stop)) as bench:
        bench.csms.always("TransactionEvent", idTokenInfo={"status": "Invalid"})
        bench.plug_in()
        bench.tap("TAG1")
        told = await until_told(bench, lambda event: event["triggerReason"] == "Deauthorized")
        await bench.run_for(seconds=15)
        assert not bench.evse().offered_current_a
        assert told["eventType"] == ("Ended" if stop == AUTHORIZED else "Updated")
        bench.unplug()
        end = await until_told(bench, ended)
        assert end["transactionInfo"]["stoppedReason"] == "DeAuthorized"
        check_numbers(events(bench))


@pytest.mark.req("E05.FR.02", "C15.FR.06")
async def test_a_refused_driver_may_keep_the_transaction_without_energy(tmp_path: Path) -> None:
    settings = points(POWER_PATH, POWER_PATH) + '"TxCtrlr.StopTxOnInvalidId" = "false"\n'
    async with online(tmp_path, settings) as bench:
        bench.csms.always("TransactionEvent", idTokenInfo={"status": "Blocked"})
        bench.plug_in()
        bench.tap("TAG1")
        told = await until_told(bench, lambda event: event["seqNo"] == 1)
        assert brief(told) == ("Updated", "ChargingStateChanged", "SuspendedEVSE")
        await bench.run_for(minutes=5)
        assert bench.evse().transaction


@pytest.mark.req("C09.FR.03", "E07.FR.01", "E07.FR.02", "E08.FR.02", "TC_E_45_CS")
async def test_who_shares_the_group_may_stop_also_offline(tmp_path: Path) -> None:
    family = {"status": "Accepted", "groupIdToken": {"idToken": "FAMILY", "type": "Central"}}
    async with online(tmp_path, points(POWER_PATH, POWER_PATH) + CACHED) as bench:
        bench.csms.always("Authorize", idTokenInfo=family)
        bench.csms.always("TransactionEvent", idTokenInfo=family)
        bench.tap("TAG2")  # known from now on
        await bench.run_for(seconds=2)
        bench.tap("TAG2")
        await charging(bench)
        await offline(bench)
        bench.tap("TAG2")
        await bench.until(lambda: not bench.evse().transaction)
        await back(bench)
        end = await until_told(bench, ended)
        assert brief(end) == ("Ended", "StopAuthorized", "EVConnected")
        assert end["idToken"] == {"idToken": "TAG2", "type": "ISO14443"}
        assert end["offline"] is True


@pytest.mark.req("C16.FR.02", "C16.FR.03", "C16.FR.07", "C12.FR.09", "TC_C_49_CS")
async def test_a_master_pass_stops_every_transaction_and_starts_none(tmp_path: Path) -> None:
    master = {"status": "Accepted", "groupIdToken": {"idToken": "MASTER", "type": "Central"}}
    settings = points(POWER_PATH, POWER_PATH) + '"AuthCtrlr.MasterPassGroupId" = "MASTER"\n'
    async with online(tmp_path, settings, "[hal.sim]\nevses = 2\n") as bench:
        for number in (1, 2):
            bench.plug_in(number)
            bench.tap(f"TAG{number}", number)
            await bench.until(lambda number=number: bench.evse(number).transaction)  # type: ignore[misc]
        bench.csms.always("Authorize", idTokenInfo=master)
        bench.tap("POLICE")
        await bench.until(lambda: not bench.evse(1).transaction and not bench.evse(2).transaction)
        await bench.run_for(seconds=2)
        ends = [event for event in events(bench) if ended(event)]
        assert [brief(event)[1] for event in ends] == ["StopAuthorized"] * 2
        assert {event["transactionInfo"]["stoppedReason"] for event in ends} == {"MasterPass"}
        assert {event["idToken"]["idToken"] for event in ends} == {"POLICE"}
        bench.unplug(1)
        await bench.run_for(seconds=5)
        bench.plug_in(1)
        bench.tap("POLICE", 1)
        await bench.run_for(seconds=20)
        assert not bench.evse(1).transaction


# --- the cable ---------------------------------------------------------------------------------------------


@pytest.mark.req("E09.FR.01", "E09.FR.02", "E09.FR.04", "E10.FR.01", "TC_E_20_CS", "TC_E_24_CS", "TC_E_26_CS")
@pytest.mark.parametrize(("stop", "kind"), [("true", "Ended"), ("false", "Updated")])
async def test_what_unplugging_at_the_car_means(tmp_path: Path, stop: str, kind: str) -> None:
    settings = points(POWER_PATH, AUTHORIZED) + f'"TxCtrlr.StopTxOnEVSideDisconnect" = "{stop}"\n'
    async with online(tmp_path, settings) as bench:
        await charging(bench)
        bench.unplug()
        told = await until_told(bench, lambda event: event["triggerReason"] == "EVCommunicationLost")
        assert brief(told) == (kind, "EVCommunicationLost", "Idle")
        await bench.run_for(seconds=2)
        assert bench.sent("StatusNotification")[-1]["connectorStatus"] == "Available"
        if kind == "Ended":
            assert told["transactionInfo"]["stoppedReason"] == "EVDisconnected"
            return
        await bench.run_for(minutes=5)
        bench.plug_in()
        await bench.until(lambda: briefs(bench)[-1] == ("Updated", "ChargingStateChanged", "Charging"))
        assert briefs(bench)[-2] == ("Updated", "CablePluggedIn", "EVConnected")
        check_numbers(events(bench))


@pytest.mark.req("E10.FR.02", "TC_E_27_CS")
async def test_with_a_fixed_cable_the_car_has_to_be_back_in_time(tmp_path: Path) -> None:
    settings = points(POWER_PATH, AUTHORIZED) + (
        '"TxCtrlr.StopTxOnEVSideDisconnect" = "false"\n"TxCtrlr.EVConnectionTimeOut" = 40\n'
    )
    async with online(tmp_path, settings, "[hal.sim]\nhas_lock = false\n") as bench:
        await charging(bench)
        bench.unplug()
        await bench.run_for(seconds=39)
        assert bench.evse().transaction
        end = await until_told(bench, ended)
        assert brief(end) == ("Ended", "EVConnectTimeout", "Idle")


@pytest.mark.req("E02.FR.18", "E02.FR.19", "E03.FR.14")
async def test_a_car_that_takes_fewer_phases_than_it_gets_is_told_as_soon_as_it_is_measured(
    tmp_path: Path,
) -> None:
    settings = points(POWER_PATH, POWER_PATH) + '"SampledDataCtrlr.TxUpdatedInterval" = 20\n'
    async with online(tmp_path, settings) as bench:
        bench.plug_in(phases=1)
        bench.tap("TAG1")
        await bench.run_for(seconds=70)
        told = [event["numberOfPhasesUsed"] for event in events(bench) if "numberOfPhasesUsed" in event]
        assert told == [3, 1]


@pytest.mark.req("E02.FR.13", "E01.FR.19", "TC_E_38_CS")
async def test_a_car_that_is_not_ready_is_told(tmp_path: Path) -> None:
    async with online(tmp_path, points(POWER_PATH, POWER_PATH)) as bench:
        bench.plug_in(draw_after_s=3600)
        await bench.run_for(seconds=3)
        bench.tap("TAG1")
        await bench.run_for(seconds=30)
        assert briefs(bench) == [
            ("Started", "Authorized", "EVConnected"),
            ("Updated", "ChargingStateChanged", "SuspendedEV"),
        ]
