"""Meter values in 2.0.1 as a CSMS gets them: on the grid, sampled, at the start and at the end, signed."""

from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench
from tests.helpers.official_schemas import assert_official
from tests.system.talk201 import (
    back,
    charging,
    check_numbers,
    contexts,
    ended,
    events,
    offline,
    online,
    points,
    until_told,
)

REGISTER = "Energy.Active.Import.Register"
POINTS = points("PowerPathClosed", "PowerPathClosed")
GRID = '"AlignedDataCtrlr.Interval" = 60\n"AlignedDataCtrlr.Measurands" = "Energy.Active.Import.Register,Voltage"\n'
SIGNS = "[hal.sim]\nsigns_readings = true\n"


def idle(bench: Bench, evse_id: int) -> list[dict[str, Any]]:
    """The MeterValues of an EVSE, each as the official schema wants it."""
    told = bench.sent("MeterValues")
    for payload in told:
        assert_official("MeterValuesRequest", payload)
    return [payload for payload in told if payload["evseId"] == evse_id]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def steps(messages: list[dict[str, Any]]) -> set[float]:
    """Seconds between the readings of following messages."""
    times = [at(message["meterValue"][-1]["timestamp"]) for message in messages]
    return {(later - before).total_seconds() for before, later in pairwise(times)}


def of_trigger(bench: Bench, trigger: str) -> list[dict[str, Any]]:
    return [event for event in events(bench) if event["triggerReason"] == trigger]


@pytest.mark.req(
    "J01.FR.01", "J01.FR.02", "J01.FR.03", "J01.FR.04", "J01.FR.05", "J01.FR.06", "J01.FR.07", "J01.FR.08",
    "J01.FR.09", "J01.FR.10", "J01.FR.14", "J01.FR.17", "TC_J_01_CS",
)  # fmt: skip
async def test_every_meter_is_told_on_the_grid_without_a_transaction(tmp_path: Path) -> None:
    async with online(tmp_path, POINTS + GRID, "[hal.sim]\nevses = 2\n") as bench:
        await bench.run_for(minutes=5)
        for evse_id in (1, 2):
            told = idle(bench, evse_id)
            assert len(told) == 5
            assert steps(told) == {60.0}
            (meter_value,) = told[-1]["meterValue"]
            assert at(meter_value["timestamp"]).second == 0
            values = meter_value["sampledValue"]
            assert {value["measurand"] for value in values} == {REGISTER, "Voltage"}
            assert {value["context"] for value in values} == {"Sample.Clock"}
            phases = [value["phase"] for value in values if value["measurand"] == "Voltage"]
            assert phases == ["L1-N", "L2-N", "L3-N"]
        main = idle(bench, 0)
        assert steps(main) == {60.0}
        places = {value["location"] for value in main[0]["meterValue"][0]["sampledValue"]}
        assert places == {"Inlet"}, "what comes from the grid (J01.FR.03, J01.FR.04)"


@pytest.mark.req("J01.FR.22", "J02.FR.10", "J02.FR.18", "J02.FR.22", "TC_J_02_CS")
async def test_in_a_transaction_the_grid_goes_with_its_events(tmp_path: Path) -> None:
    async with online(tmp_path, POINTS + GRID, "[hal.sim]\nevses = 2\n") as bench:
        await charging(bench)
        await bench.run_for(minutes=4)
        told = of_trigger(bench, "MeterValueClock")
        assert len(told) == 4
        assert steps(told) == {60.0}
        for event in told:
            (meter_value,) = event["meterValue"]
            assert meter_value["timestamp"] == event["timestamp"]
            assert {value["context"] for value in meter_value["sampledValue"]} == {"Sample.Clock"}
        assert len(idle(bench, 2)) >= 4
        assert not [
            each
            for each in idle(bench, 1)
            if at(each["meterValue"][0]["timestamp"]) > at(told[0]["timestamp"])
        ]
        check_numbers(events(bench))


@pytest.mark.req("J01.FR.20", "TC_J_06_CS")
async def test_the_grid_may_rest_while_a_transaction_runs_anywhere(tmp_path: Path) -> None:
    settings = POINTS + GRID + '"AlignedDataCtrlr.SendDuringIdle" = "true"\n'
    async with online(tmp_path, settings, "[hal.sim]\nevses = 2\n") as bench:
        await bench.run_for(minutes=2)
        before = len(idle(bench, 2))
        assert before == 2
        await charging(bench)
        await bench.run_for(minutes=3)
        assert len(idle(bench, 2)) == before
        assert not of_trigger(bench, "MeterValueClock")
        bench.tap("TAG1")
        await bench.until(lambda: not bench.evse().transaction)
        await bench.run_for(minutes=2)
        assert len(idle(bench, 2)) == before + 2


@pytest.mark.req("J01.FR.14")
@pytest.mark.parametrize(
    "switch", ['"AlignedDataCtrlr.Enabled" = "false"\n', '"AlignedDataCtrlr.Measurands" = ""\n']
)
async def test_without_the_grid_or_its_list_nothing_is_told(tmp_path: Path, switch: str) -> None:
    settings = POINTS + '"AlignedDataCtrlr.Interval" = 60\n' + switch
    async with online(tmp_path, settings) as bench:
        await bench.run_for(minutes=5)
        assert not bench.sent("MeterValues")


@pytest.mark.req("J01.FR.14")
async def test_readings_without_a_transaction_are_current_or_nothing(tmp_path: Path) -> None:
    async with online(tmp_path, POINTS + GRID) as bench:
        await offline(bench)
        await bench.run_for(minutes=5)
        await back(bench)
        assert await bench.agent.journal.depth() == 0
        assert not bench.sent("MeterValues")
        await bench.run_for(minutes=1)
        assert len(idle(bench, 1)) == 1


@pytest.mark.req(
    "J02.FR.01", "J02.FR.02", "J02.FR.03", "J02.FR.04", "J02.FR.05", "J02.FR.06", "J02.FR.07", "J02.FR.11",
    "J02.FR.17", "J01.FR.11", "E02.FR.10", "E03.FR.08", "F01.FR.15", "F02.FR.03", "TC_J_09_CS",
)  # fmt: skip
async def test_sampled_readings_come_at_their_interval_from_the_start(tmp_path: Path) -> None:
    settings = POINTS + (
        '"SampledDataCtrlr.TxUpdatedInterval" = 20\n'
        '"SampledDataCtrlr.TxUpdatedMeasurands" = "Energy.Active.Import.Register,Current.Import,Temperature"\n'
    )
    async with online(tmp_path, settings, "[hal.sim]\nmeter_start_wh = 700\n") as bench:
        await charging(bench)
        await bench.run_for(seconds=130)
        told = of_trigger(bench, "MeterValuePeriodic")
        assert len(told) == 6
        assert steps(told) == {20.0}
        assert at(told[0]["timestamp"]) - at(events(bench)[0]["timestamp"]) == at(told[1]["timestamp"]) - at(
            told[0]["timestamp"]
        )
        values = told[-1]["meterValue"][0]["sampledValue"]
        assert {value["measurand"] for value in values} == {REGISTER, "Current.Import"}, (
            "no name for the third"
        )
        assert {value["context"] for value in values} == {"Sample.Periodic"}
        phases = [value["phase"] for value in values if value["measurand"] == "Current.Import"]
        assert phases == ["L1", "L2", "L3"], "as the meter counts them"
        assert not any("location" in value for value in values), "the outlet, which is the default"
        register = next(value for value in values if value["measurand"] == REGISTER)
        assert register["value"] > 700
        assert register["unitOfMeasure"] == {"unit": "Wh"}


@pytest.mark.req("J02.FR.11", "E11.FR.03")
@pytest.mark.parametrize(
    "off",
    [
        '"SampledDataCtrlr.TxUpdatedInterval" = 0\n',
        '"SampledDataCtrlr.TxUpdatedInterval" = 20\n"SampledDataCtrlr.TxUpdatedMeasurands" = ""\n',
        '"SampledDataCtrlr.TxUpdatedInterval" = 20\n"SampledDataCtrlr.Enabled" = "false"\n',
    ],
)
async def test_no_interval_no_list_or_switched_off_means_no_sampled_readings(
    tmp_path: Path, off: str
) -> None:
    async with online(tmp_path, POINTS + off) as bench:
        await charging(bench)
        await bench.run_for(minutes=2)
        assert not of_trigger(bench, "MeterValuePeriodic")


@pytest.mark.req("E01.FR.09", "E02.FR.09", "E03.FR.07", "E05.FR.05", "F01.FR.14", "F02.FR.02", "TC_J_07_CS")
@pytest.mark.parametrize("start", ["EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"])
async def test_the_start_holds_its_readings(tmp_path: Path, start: str) -> None:
    settings = points(start, "EVConnected") + (
        '"SampledDataCtrlr.TxStartedMeasurands" = "Energy.Active.Import.Register,Voltage"\n'
    )
    async with online(tmp_path, settings) as bench:
        bench.plug_in()
        bench.tap("TAG1")
        await bench.until(lambda: bench.sent("TransactionEvent"))
        started = events(bench)[0]
        (meter_value,) = started["meterValue"]
        assert meter_value["timestamp"] == started["timestamp"]
        values = meter_value["sampledValue"]
        assert {value["measurand"] for value in values} == {REGISTER, "Voltage"}
        assert {value["context"] for value in values} == {"Transaction.Begin"}


@pytest.mark.req("E01.FR.17", "E02.FR.21", "E03.FR.11", "E04.FR.11", "E05.FR.08", "TC_J_08_CS")
@pytest.mark.parametrize("is_offline", [False, True])
async def test_where_the_outlet_is_not_known_the_cable_brings_them(tmp_path: Path, is_offline: bool) -> None:
    settings = points("Authorized", "EVConnected") + '"AuthCtrlr.OfflineTxForUnknownIdEnabled" = "true"\n'
    async with online(tmp_path, settings, "[hal.sim]\nevses = 2\n") as bench:
        if is_offline:
            await offline(bench)
        bench.tap("TAG1")
        await bench.run_for(seconds=5)
        bench.plug_in(2)
        if is_offline:
            await bench.run_for(seconds=5)
            await back(bench)
        placed = await until_told(bench, lambda event: "evse" in event)
        assert "meterValue" not in events(bench)[0]
        assert contexts(placed) == ["Transaction.Begin"]
        assert sum("Transaction.Begin" in contexts(event) for event in events(bench)) == 1


@pytest.mark.req("E06.FR.11", "E07.FR.08", "E08.FR.09", "J02.FR.10", "J02.FR.16", "TC_J_10_CS")
@pytest.mark.parametrize(("interval", "between"), [(0, 0), (30, 4)])
async def test_the_end_holds_what_was_collected_for_it(tmp_path: Path, interval: int, between: int) -> None:
    settings = POINTS + (
        f'"SampledDataCtrlr.TxEndedInterval" = {interval}\n"SampledDataCtrlr.TxUpdatedInterval" = 20\n'
        '"SampledDataCtrlr.TxEndedMeasurands" = "Energy.Active.Import.Register"\n'
    )
    async with online(tmp_path, settings) as bench:
        await charging(bench)
        await bench.run_for(seconds=125)
        bench.tap("TAG1")
        end = await until_told(bench, ended)
        assert contexts(end) == ["Transaction.Begin", *["Sample.Periodic"] * between, "Transaction.End"]
        begun = at(end["meterValue"][0]["timestamp"])
        passed = [(at(value["timestamp"]) - begun).total_seconds() for value in end["meterValue"][1:-1]]
        assert passed == [30.0 * number for number in range(1, between + 1)]
        registers = [value["sampledValue"][0]["value"] for value in end["meterValue"]]
        assert registers == sorted(registers)
        assert len(of_trigger(bench, "MeterValuePeriodic")) == 6


@pytest.mark.req("E06.FR.11", "TC_J_03_CS")
async def test_the_end_may_hold_what_was_collected_on_the_grid(tmp_path: Path) -> None:
    settings = POINTS + (
        '"AlignedDataCtrlr.TxEndedInterval" = 30\n"AlignedDataCtrlr.TxEndedMeasurands" = "Voltage"\n'
        '"SampledDataCtrlr.TxEndedMeasurands" = ""\n'
    )
    async with online(tmp_path, settings) as bench:
        await charging(bench)
        await bench.run_for(seconds=125)
        bench.tap("TAG1")
        end = await until_told(bench, ended)
        assert set(contexts(end)) == {"Sample.Clock"}
        assert len(end["meterValue"]) in (4, 5)
        times = [at(value["timestamp"]) for value in end["meterValue"]]
        assert {(later - before).total_seconds() for before, later in pairwise(times)} == {30.0}
        assert times[0].second in (0, 30)
        assert not of_trigger(bench, "MeterValueClock")


@pytest.mark.req("E09.FR.05", "E10.FR.04", "F03.FR.04", "E05.FR.10")
@pytest.mark.parametrize("way", ["unplugged", "not back in time", "remote", "refused"])
async def test_every_end_holds_the_readings_of_both_ends(tmp_path: Path, way: str) -> None:
    settings = points("PowerPathClosed", "Authorized") + '"TxCtrlr.EVConnectionTimeOut" = 20\n'
    if way == "not back in time":
        settings += '"TxCtrlr.StopTxOnEVSideDisconnect" = "false"\n'
    async with online(tmp_path, settings, "[hal.sim]\nhas_lock = false\n") as bench:
        transaction_id = (await charging(bench))["transactionInfo"]["transactionId"]
        await bench.run_for(minutes=1)
        if way == "remote":
            await bench.csms.call("RequestStopTransaction", {"transactionId": transaction_id})
        elif way == "refused":
            bench.csms.always("TransactionEvent", idTokenInfo={"status": "Invalid"})
            await bench.csms.call("TriggerMessage", {"requestedMessage": "TransactionEvent"})
        else:
            bench.unplug()
        end = await until_told(bench, ended)
        assert contexts(end) == ["Transaction.Begin", "Transaction.End"]
        first, last = (value["sampledValue"][0]["value"] for value in end["meterValue"])
        assert first < last


@pytest.mark.req(
    "J02.FR.21", "J01.FR.21", "E03.FR.10", "E04.FR.10", "E05.FR.06", "E07.FR.12", "E08.FR.12", "E09.FR.08",
    "E10.FR.07", "E11.FR.08", "E12.FR.10", "TC_J_04_CS", "TC_J_11_CS",
)  # fmt: skip
@pytest.mark.parametrize("is_offline", [False, True])
@pytest.mark.parametrize("kind", ["Sampled", "Aligned"])
async def test_what_the_end_tells_is_signed(tmp_path: Path, kind: str, is_offline: bool) -> None:
    settings = (
        POINTS
        + (
            f'"{kind}DataCtrlr.SignReadings" = "true"\n"{kind}DataCtrlr.TxEndedInterval" = 30\n'
            f'"{kind}DataCtrlr.TxEndedMeasurands" = "Energy.Active.Import.Register"\n'
            '"OCPPCommCtrlr.PublicKeyWithSignedMeterValue" = "EveryMeterValue"\n'
        )
        + ('"SampledDataCtrlr.TxEndedMeasurands" = ""\n' if kind == "Aligned" else "")
    )
    async with online(tmp_path, settings, SIGNS) as bench:
        await charging(bench)
        if is_offline:
            await offline(bench)
        await bench.run_for(seconds=100)
        bench.tap("TAG1")
        await bench.until(lambda: not bench.evse().transaction)
        if is_offline:
            await back(bench)
        end = await until_told(bench, ended)
        values = [value for each in end["meterValue"] for value in each["sampledValue"]]
        assert len(values) >= 3
        assert all(value["signedMeterValue"]["signedMeterData"] for value in values)
        assert all(value["signedMeterValue"]["publicKey"] for value in values)


@pytest.mark.req(
    "E06.FR.12", "E06.FR.13", "E07.FR.10", "E08.FR.11", "E09.FR.07", "E10.FR.06", "E12.FR.09", "F03.FR.06",
    "J02.FR.20",
)  # fmt: skip
@pytest.mark.req(
    "E07.FR.09", "E08.FR.10", "E09.FR.06", "E10.FR.05", "E12.FR.08", "F03.FR.05", "F04.FR.05", "F04.FR.06"
)
async def test_of_too_many_readings_the_end_leaves_out_every_other_one(tmp_path: Path) -> None:
    settings = POINTS + '"SampledDataCtrlr.TxEndedInterval" = 10\nStopTransactionMaxMeterValues = 20\n'
    async with online(tmp_path, settings) as bench:
        await charging(bench)
        await bench.run_for(minutes=10)
        bench.tap("TAG1")
        end = await until_told(bench, ended)
        assert 10 < len(end["meterValue"]) <= 20
        assert contexts(end)[0] == "Transaction.Begin"
        assert contexts(end)[-1] == "Transaction.End"


@pytest.mark.parametrize("step_h", [24, -1])
async def test_a_clock_that_the_csms_sets_while_energy_flows_bills_no_time(
    tmp_path: Path, step_h: int
) -> None:
    async with online(tmp_path) as bench:
        await charging(bench)
        now = (bench.agent.clock.now() + timedelta(hours=step_h)).isoformat()
        bench.csms.always("Heartbeat", currentTime=now)
        await bench.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
        await bench.run_for(minutes=1)
        bench.tap("TAG1")
        end = await until_told(bench, ended)
        assert 60 <= end["transactionInfo"]["timeSpentCharging"] <= 150


@pytest.mark.req("E01.FR.09", "E06.FR.11")
async def test_a_station_that_nobody_configured_tells_its_register_at_both_ends(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        await charging(bench)
        await bench.run_for(minutes=1)
        bench.tap("TAG1")
        end = await until_told(bench, ended)
        assert contexts(events(bench)[0]) == ["Transaction.Begin"]
        assert contexts(end) == ["Transaction.Begin", "Transaction.End"]
