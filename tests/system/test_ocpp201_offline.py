"""Transactions of 2.0.1 that are told late, repeated, asked about, or found after a restart."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms
from tests.helpers.csms_calls import Call
from tests.system.talk201 import (
    TAG1,
    back,
    brief,
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


# --- offline -----------------------------------------------------------------------------------------------


@pytest.mark.req(
    "E04.FR.01", "E04.FR.02", "E04.FR.03", "E04.FR.04", "E12.FR.01", "E12.FR.02", "E08.FR.01", "E08.FR.04",
    "E08.FR.03", "E08.FR.05", "E08.FR.06", "E08.FR.07", "E08.FR.08", "C15.FR.02", "E04.FR.05", "E04.FR.06",
    "E12.FR.03", "E12.FR.07", "TC_E_43_CS", "TC_E_44_CS",
)  # fmt: skip
async def test_a_transaction_without_a_connection_is_told_afterwards(tmp_path: Path) -> None:
    settings = points(POWER_PATH, POWER_PATH) + (
        '"AuthCtrlr.OfflineTxForUnknownIdEnabled" = "true"\n"SampledDataCtrlr.TxUpdatedInterval" = 60\n'
    )
    async with online(tmp_path, settings) as bench:
        await offline(bench)
        bench.plug_in()
        await bench.run_for(seconds=2)
        bench.tap("TAG1")
        await bench.until(lambda: bench.evse().offered_current_a)
        await bench.run_for(minutes=2.2)
        bench.tap("TAG1")
        await bench.until(lambda: not bench.evse().transaction)
        await bench.run_for(seconds=2)
        assert not bench.evse().hardware.locked
        assert not bench.sent("TransactionEvent")
        await back(bench)
        told = events(bench)
        check_numbers(told)
        assert [brief(event)[1] for event in told] == [
            "Authorized",
            "ChargingStateChanged",
            "MeterValuePeriodic",
            "MeterValuePeriodic",
            "StopAuthorized",
        ]
        assert all(event["meterValue"] for event in told if brief(event)[1] != "ChargingStateChanged")
        assert all(event["offline"] for event in told)
        times = [event["timestamp"] for event in told]
        assert times == sorted(times)
        assert times[0] < times[-1]


@pytest.mark.req("E11.FR.01", "E11.FR.02", "E11.FR.03", "E11.FR.07", "TC_E_40_CS")
async def test_what_waits_when_the_connection_goes_is_told_as_late(tmp_path: Path) -> None:
    settings = points(POWER_PATH, POWER_PATH) + '"SampledDataCtrlr.TxUpdatedInterval" = 30\n'
    async with online(tmp_path, settings) as bench:
        await charging(bench)
        bench.csms.never("TransactionEvent")
        bench.csms.first_look = lambda text: "TransactionEvent" in text  # taken, and never answered
        await until_told(bench, lambda event: event["triggerReason"] == "MeterValuePeriodic")
        await offline(bench)
        bench.csms.first_look = None
        bench.csms.always("TransactionEvent")
        await bench.run_for(minutes=1)
        await back(bench)
        periodic = [event for event in events(bench) if event["triggerReason"] == "MeterValuePeriodic"]
        assert "offline" not in periodic[0], "it left while there was a connection"
        assert [event["seqNo"] for event in periodic] == [2, 2, 3, 4]
        assert all(event["offline"] for event in periodic[1:])
        assert all(event["meterValue"] for event in periodic)
        await bench.run_for(seconds=31)
        assert "offline" not in events(bench)[-1]


# --- not taken ---------------------------------------------------------------------------------------------


@pytest.mark.req(
    "E13.FR.01", "E13.FR.02", "E13.FR.03", "E13.FR.04", "TC_E_41_CS", "TC_E_42_CS", "TC_E_50_CS", "TC_E_51_CS"
)
@pytest.mark.parametrize("failure", ["error", "silence"])
@pytest.mark.parametrize("answered_after", [3, None])
async def test_a_message_that_is_not_taken_is_repeated_with_growing_pauses_and_given_up(
    tmp_path: Path, failure: str, answered_after: int | None
) -> None:
    settings = points(POWER_PATH, POWER_PATH) + (
        '"OCPPCommCtrlr.MessageAttempts.TransactionEvent" = 3\n'
        '"OCPPCommCtrlr.MessageAttemptInterval.TransactionEvent" = 20\n'
        "MessageTimeout = 10\n"
    )
    async with online(tmp_path, settings) as bench:
        bench.csms.never("TransactionEvent")
        bench.plug_in()
        bench.tap("TAG1")
        times: list[float] = []
        while len(times) < 3:
            call = await bench.csms.expect("TransactionEvent")
            if call.payload["seqNo"] > 0:
                break
            times.append(call.time)
            if len(times) == answered_after:
                call.accept()
            elif failure == "error":
                call.error("InternalError")
        slack_s = 0 if failure == "error" else 10
        assert [round(later - before) for before, later in pairwise(times)] == [
            20 + slack_s,
            40 + slack_s,
        ]
        following: Call = await bench.csms.expect("TransactionEvent")
        assert following.payload["seqNo"] == 1
        following.accept()
        bench.csms.always("TransactionEvent")


# --- asked about -------------------------------------------------------------------------------------------


@pytest.mark.req(
    "E14.FR.01", "E14.FR.02", "E14.FR.03", "E14.FR.04", "E14.FR.05", "E14.FR.06", "E14.FR.07", "E14.FR.08",
    "TC_E_28_CS", "TC_E_29_CS", "TC_E_30_CS", "TC_E_31_CS", "TC_E_32_CS", "TC_E_33_CS", "TC_E_34_CS",
)  # fmt: skip
async def test_it_says_whether_a_transaction_runs_and_whether_anything_of_it_waits(tmp_path: Path) -> None:
    async def status(bench: Bench, transaction_id: str | None) -> tuple[bool | None, bool]:
        wanted = {} if transaction_id is None else {"transactionId": transaction_id}
        payload = (await bench.csms.call("GetTransactionStatus", wanted)).payload
        return payload.get("ongoingIndicator"), payload["messagesInQueue"]

    settings = points(POWER_PATH, POWER_PATH) + '"SampledDataCtrlr.TxUpdatedInterval" = 10\n'
    async with online(tmp_path, settings) as bench:
        assert await status(bench, "0d2e6f0c-9f0a-4f0e-8f6e-8f3b2f3a1b2c") == (False, False)
        assert await status(bench, None) == (None, False)
        running = (await charging(bench))["transactionInfo"]["transactionId"]
        await bench.run_for(seconds=1)
        assert await status(bench, running) == (True, False)
        bench.csms.first_look = lambda text: '"TransactionEvent"' in text
        await bench.run_for(seconds=15)
        assert await status(bench, running) == (True, True)
        assert await status(bench, None) == (None, True)
        bench.tap("TAG1")
        await bench.until(lambda: not bench.evse().transaction)
        assert await status(bench, running) == (False, True)
        bench.csms.first_look = None
        await offline(bench)
        await back(bench)
        await until_told(bench, ended)
        await bench.run_for(seconds=1)
        assert await status(bench, running) == (False, False)


@pytest.mark.req("F06.FR.04", "F06.FR.05", "F06.FR.07", "F06.FR.11", "TC_F_13_CS", "TC_F_14_CS")
async def test_a_trigger_has_every_transaction_report(tmp_path: Path) -> None:
    settings = points(POWER_PATH, POWER_PATH) + (
        '"SampledDataCtrlr.TxUpdatedMeasurands" = "Energy.Active.Import.Register,Voltage"\n'
    )
    async with online(tmp_path, settings, "[hal.sim]\nevses = 2\n") as bench:

        async def trigger(**evse: Any) -> dict[str, Any]:
            wanted = {"requestedMessage": "TransactionEvent", **evse}
            answer = await bench.csms.call("TriggerMessage", wanted)
            await bench.run_for(seconds=1)
            return dict(answer.payload)

        assert (await trigger())["status"] == "Rejected"
        for number in (1, 2):
            bench.plug_in(number)
            bench.tap(f"TAG{number}", number)
            await bench.until(lambda number=number: bench.evse(number).offered_current_a)  # type: ignore[misc]
        await bench.run_for(seconds=20)
        before = len(events(bench))
        assert await trigger() == {"status": "Accepted"}
        told = events(bench)[before:]
        assert [brief(event) for event in told] == [("Updated", "Trigger", "Charging")] * 2
        measurands = [value["measurand"] for value in told[0]["meterValue"][0]["sampledValue"]]
        assert set(measurands) == {"Energy.Active.Import.Register", "Voltage"}
        assert {value["context"] for value in told[0]["meterValue"][0]["sampledValue"]} == {"Trigger"}
        assert await trigger(evse={"id": 2}) == {"status": "Accepted"}
        assert len(events(bench)) == before + 3
        assert (await trigger(evse={"id": 3}))["statusInfo"]["reasonCode"] == "UnknownEvse"
        bench.tap("TAG2", 2)
        await bench.until(lambda: not bench.evse(2).transaction)
        assert (await trigger(evse={"id": 2}))["statusInfo"]["reasonCode"] == "TxNotFound"
        check_numbers(events(bench))


# --- restarts ----------------------------------------------------------------------------------------------


@pytest.mark.req("B12.FR.02", "B12.FR.04")
async def test_an_immediate_reset_ends_every_transaction_and_says_so(tmp_path: Path) -> None:
    async with online(tmp_path, points(EV_CONNECTED, EV_CONNECTED)) as bench:
        bench.plug_in()  # also one that nobody identified for
        await bench.until(lambda: bench.sent("TransactionEvent"))
        assert (await bench.csms.call("Reset", {"type": "Immediate"})).payload["status"] == "Accepted"
        await bench.ended()
        end = events(bench)[-1]
        assert brief(end)[:2] == ("Ended", "ResetCommand")
        assert end["transactionInfo"]["stoppedReason"] == "ImmediateReset"


@pytest.mark.req("E01.FR.08", "E06.FR.08")
@pytest.mark.parametrize("start", [EV_CONNECTED, AUTHORIZED])
async def test_a_transaction_found_after_a_power_cut_ends_with_it(tmp_path: Path, start: str) -> None:
    async with Csms() as csms:
        friendly(csms)
        async with online(tmp_path, points(start, EV_CONNECTED), csms=csms) as bench:
            bench.plug_in() if start == EV_CONNECTED else bench.tap("TAG1")
            await bench.until(lambda: bench.sent("TransactionEvent"))
            await bench.run_for(seconds=2)
        async with online(tmp_path, points(start, EV_CONNECTED), csms=csms) as bench:
            end = await until_told(bench, ended)
            assert brief(end) == ("Ended", "AbnormalCondition", "")
            assert end["transactionInfo"]["stoppedReason"] == "PowerLoss"
            assert end["offline"] is True
            check_numbers(events(bench))


@pytest.mark.req("E01.FR.07")
@pytest.mark.parametrize("moment", ["nobody", "driver", "stopped", "no cable"])
async def test_a_transaction_may_go_on_after_a_power_cut_as_it_was(tmp_path: Path, moment: str) -> None:
    start = AUTHORIZED if moment == "no cable" else EV_CONNECTED
    settings = points(start, EV_CONNECTED) + '"TxCtrlr.ResumeAfterPowerLoss" = "true"\n'
    world = f'[hal.sim]\nmemory_file = "{tmp_path}/world.json"\n'
    async with Csms() as csms:
        friendly(csms)
        async with online(tmp_path, settings, world, csms=csms) as bench:
            if moment == "no cable":
                bench.tap("TAG1")
            else:
                bench.plug_in()
            await bench.until(lambda: bench.sent("TransactionEvent"))
            if moment in ("driver", "stopped"):
                bench.tap("TAG1")
                await until_told(
                    bench, lambda event: event["transactionInfo"].get("chargingState") == "Charging"
                )
            if moment == "stopped":
                bench.tap("TAG1")
            await bench.run_for(seconds=15)
        async with online(tmp_path, settings, world, csms=csms) as bench:
            await bench.run_for(seconds=20)
            assert bench.evse().transaction
            assert bool(bench.evse().offered_current_a) is (moment == "driver")
            plugs = [event for event in events(bench) if event["triggerReason"] == "CablePluggedIn"]
            assert len(plugs) == (moment != "no cable"), "the car was there all the time"
            if moment == "no cable":
                bench.plug_in()
                await bench.until(lambda: bench.evse().offered_current_a)
            elif moment == "nobody":
                bench.tap("TAG1")
                await bench.until(lambda: bench.evse().offered_current_a)
            bench.unplug()
            await until_told(bench, ended)
            check_numbers(events(bench))
            assert len({event["transactionInfo"]["transactionId"] for event in events(bench)}) == 1


@pytest.mark.req("E02.FR.03", "E03.FR.03", "H01.FR.15", "F02.FR.06", "E01.FR.13")
@pytest.mark.parametrize("start", [EV_CONNECTED, POWER_PATH])
async def test_a_reservation_is_used_with_the_message_that_names_its_driver(
    tmp_path: Path, start: str
) -> None:
    async with online(tmp_path, points(start, EV_CONNECTED)) as bench:
        reserve = {"id": 3, "expiryDateTime": "2030-01-01T00:00:00Z", "idToken": TAG1, "evseId": 1}
        assert (await bench.csms.call("ReserveNow", reserve)).payload["status"] == "Accepted"
        bench.plug_in()
        bench.tap("TAG1")
        named = await until_told(bench, lambda event: "idToken" in event)
        assert named["reservationId"] == 3
        assert sum("reservationId" in event for event in events(bench)) == 1
        assert not bench.agent.station.snapshot().reservations
