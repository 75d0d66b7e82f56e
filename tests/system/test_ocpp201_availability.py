"""Statuses and availability in 2.0.1 on the whole station: the cases of block G, and resets that leave states alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench
from tests.helpers.secure_bench import ask

TWO_BY_TWO = "[hal.sim]\nevses = 2\nconnectors_per_evse = 2\n"
STATION: dict[str, Any] = {}
EVSE: dict[str, Any] = {"evse": {"id": 1}}
CONNECTOR: dict[str, Any] = {"evse": {"id": 1, "connectorId": 1}}
EVERY = {(1, 1), (1, 2), (2, 1), (2, 2)}
OF = {"station": (STATION, EVERY), "evse": (EVSE, {(1, 1), (1, 2)}), "connector": (CONNECTOR, {(1, 1)})}
by_place = pytest.mark.parametrize("place", OF)


@asynccontextmanager
async def online(tmp_path: Path, extra: str = TWO_BY_TWO) -> AsyncIterator[Bench]:
    async with Bench(tmp_path, extra, version="ocpp2.0.1") as bench:
        await bench.until(lambda: bench.agent.conversation.is_online)
        await bench.run_for(seconds=2)
        yield bench


async def order(bench: Bench, place: dict[str, Any], status: str = "Inoperative") -> str:
    answer = await ask(bench, "ChangeAvailability", operationalStatus=status, **place)
    await bench.run_for(seconds=3)
    return str(answer["status"])


def latest(bench: Bench) -> dict[tuple[int, int], str]:
    told = bench.sent("StatusNotification")
    return {(each["evseId"], each["connectorId"]): each["connectorStatus"] for each in told}


def unavailable(bench: Bench) -> set[tuple[int, int]]:
    return {place for place, status in latest(bench).items() if status == "Unavailable"}


async def charge(bench: Bench) -> None:
    bench.plug_in()
    bench.tap("TAG1", 1)
    await bench.until(lambda: bench.evse().transaction)
    await bench.run_for(seconds=10)


@pytest.mark.req("G01.FR.03", "G01.FR.04", "G01.FR.08", "TC_G_01_CS", "TC_G_02_CS")
async def test_only_the_connector_with_the_cable_changes(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        before = len(bench.sent("StatusNotification"))
        bench.plug_in()
        await bench.run_for(seconds=3)
        bench.unplug()
        await bench.run_for(seconds=3)
        told = bench.sent("StatusNotification")[before:]
        assert [(each["evseId"], each["connectorId"], each["connectorStatus"]) for each in told] == [
            (1, 1, "Occupied"),
            (1, 1, "Available"),
        ]


@pytest.mark.req("G03.FR.01", "G03.FR.02", "G03.FR.04", "G03.FR.06", "G03.FR.07", "G04.FR.01", "G04.FR.02")
@pytest.mark.req("G04.FR.03", "G04.FR.05", "G04.FR.07", "G04.FR.08", "G01.FR.07", "TC_G_03_CS", "TC_G_04_CS")
@pytest.mark.req("TC_G_05_CS", "TC_G_06_CS", "TC_G_07_CS", "TC_G_08_CS")
@by_place
async def test_a_place_is_taken_out_of_service_and_put_back(tmp_path: Path, place: str) -> None:
    wanted, affected = OF[place]
    async with online(tmp_path) as bench:
        assert await order(bench, wanted) == "Accepted"
        assert unavailable(bench) == affected
        assert await order(bench, wanted, "Operative") == "Accepted"
        assert unavailable(bench) == set()


@pytest.mark.req("G03.FR.03", "G04.FR.04", "TC_G_09_CS", "TC_G_10_CS", "TC_G_12_CS", "TC_G_13_CS")
@pytest.mark.req("TC_G_15_CS", "TC_G_16_CS")
@by_place
async def test_what_is_so_already_is_accepted_and_tells_nothing(tmp_path: Path, place: str) -> None:
    wanted, affected = OF[place]
    async with online(tmp_path) as bench:
        count = len(bench.sent("StatusNotification"))
        assert await order(bench, wanted, "Operative") == "Accepted"
        assert len(bench.sent("StatusNotification")) == count
        for _ in range(2):
            assert await order(bench, wanted) == "Accepted"
        assert len(bench.sent("StatusNotification")) == count + len(affected)


@pytest.mark.req("G01.FR.05", "G03.FR.05", "G04.FR.06", "TC_G_11_CS", "TC_G_14_CS", "TC_G_17_CS")
@by_place
async def test_a_transaction_is_waited_for(tmp_path: Path, place: str) -> None:
    wanted, affected = OF[place]
    async with online(tmp_path) as bench:
        await charge(bench)
        assert await order(bench, wanted) == "Scheduled"
        assert unavailable(bench) == affected - {(1, 1)}
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=5)
        assert unavailable(bench) == affected, "at the end of the transaction"
        bench.unplug()
        await bench.run_for(seconds=5)
        assert unavailable(bench) == affected, "and when the cable is out"


@pytest.mark.req("G01.FR.02", "G03.FR.08", "G04.FR.09", "B11.FR.02", "B01.FR.07", "TC_B_23_CS", "TC_G_18_CS")
@pytest.mark.req("TC_G_19_CS", "TC_G_21_CS")
@by_place
async def test_it_stays_so_over_a_reset_and_comes_back_as_it_was(tmp_path: Path, place: str) -> None:
    wanted, affected = OF[place]
    async with online(tmp_path) as bench:
        await order(bench, {"evse": {"id": 1, "connectorId": 2}})
        await order(bench, wanted)
        assert (await ask(bench, "Reset", type="OnIdle"))["status"] == "Accepted"
        await bench.ended()
    async with online(tmp_path) as bench:
        assert bench.sent("BootNotification")[0]["reason"] == "RemoteReset"
        assert set(latest(bench)) == EVERY
        assert unavailable(bench) == affected | {(1, 2)}
        assert await order(bench, wanted, "Operative") == "Accepted"
        assert unavailable(bench) == {(1, 2)}


async def test_a_place_that_is_not_there_cannot_change(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        assert await order(bench, {"evse": {"id": 3}}) == "Rejected"
        assert await order(bench, {"evse": {"id": 1, "connectorId": 3}}) == "Rejected"


# --- resets ------------------------------------------------------------------------------------------------


@pytest.mark.req("B12.FR.02", "B12.FR.04", "TC_B_22_CS")
async def test_a_reset_at_once_ends_the_transaction_before_it(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        await charge(bench)
        assert (await ask(bench, "Reset", type="Immediate"))["status"] == "Accepted"
        await bench.ended()
        ended = bench.sent("TransactionEvent")[-1]
        assert (ended["eventType"], ended["triggerReason"]) == ("Ended", "ResetCommand")
        assert ended["transactionInfo"]["stoppedReason"] == "ImmediateReset"


@pytest.mark.req("B11.FR.07", "B12.FR.01", "B12.FR.03", "TC_B_21_CS", "TC_B_41_CS")
async def test_a_reset_on_idle_waits_for_every_transaction_and_lets_no_other_one_begin(
    tmp_path: Path,
) -> None:
    async with online(tmp_path) as bench:
        await charge(bench)
        bench.plug_in(2)
        bench.tap("TAG2", 2)
        await bench.until(lambda: bench.evse(2).transaction)
        assert (await ask(bench, "Reset", type="OnIdle"))["status"] == "Scheduled"
        bench.tap("TAG1", 1)
        await bench.run_for(minutes=5)
        assert not bench.has_ended
        start = {"idToken": {"idToken": "X", "type": "Central"}, "remoteStartId": 1, "evseId": 1}
        assert (await ask(bench, "RequestStartTransaction", **start))["status"] == "Rejected"
        assert (await ask(bench, "Reset", type="OnIdle"))["status"] == "Scheduled"
        bench.tap("TAG2", 2)
        await bench.ended()
        reasons = [
            each["transactionInfo"]["stoppedReason"]
            for each in bench.sent("TransactionEvent")
            if each["eventType"] == "Ended" and "stoppedReason" in each["transactionInfo"]
        ]
        assert set(reasons) <= {"Local"}
    async with online(tmp_path) as bench:
        assert bench.sent("BootNotification")[0]["reason"] == "ScheduledReset"


@pytest.mark.req("B12.FR.05")
async def test_an_end_that_the_csms_did_not_answer_is_told_after_the_reset(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        await charge(bench)
        bench.csms.first_look = lambda text: "TransactionEvent" in text
        await ask(bench, "Reset", type="Immediate")
        await bench.ended()
    async with online(tmp_path) as bench:
        await bench.until(lambda: bench.sent("TransactionEvent"))
        await bench.run_for(seconds=10)
        assert bench.sent("TransactionEvent")[-1]["eventType"] == "Ended"


@pytest.mark.req("B04.FR.01", "B04.FR.02", "TC_B_51_CS", "TC_B_52_CS")
@pytest.mark.parametrize(("threshold_s", "told"), [(20, EVERY), (3600, {(1, 1)})])
async def test_after_a_long_time_offline_every_connector_is_told_after_a_short_one_what_changed(
    tmp_path: Path, threshold_s: int, told: set[tuple[int, int]]
) -> None:
    settings = f'[settings]\n"OCPPCommCtrlr.OfflineThreshold" = "{threshold_s}"\n'
    async with online(tmp_path, settings + TWO_BY_TWO) as bench:
        bench.csms.refuse_status = 503
        bench.csms.drop()
        bench.plug_in()
        await bench.run_for(seconds=60)
        before = len(bench.sent("StatusNotification"))
        bench.csms.refuse_status = None
        await bench.csms.connected()
        await bench.run_for(seconds=5)
        new = bench.sent("StatusNotification")[before:]
        assert {(each["evseId"], each["connectorId"]) for each in new} == told
        assert latest(bench)[1, 1] == "Occupied"
