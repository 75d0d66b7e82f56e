"""The cases of F01 to F05 on the whole station: remote start and stop, and unlocking."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench
from tests.helpers.secure_bench import ask
from tests.system.test_ocpp201_drivers import asked, online, token

TWO = "[hal.sim]\nevses = 2\n"
UNASKED = '"AuthCtrlr.AuthorizeRemoteStart" = "false"\n'
PROFILE: dict[str, Any] = {
    "id": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [
        {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}]}
    ],
}


async def start(bench: Bench, number: int = 5, value: str = "APP", **more: Any) -> dict[str, Any]:
    wanted = token(value)
    answer = await ask(bench, "RequestStartTransaction", idToken=wanted, remoteStartId=number, **more)
    await bench.run_for(seconds=5)
    assert isinstance(answer, dict)
    return answer


def remote_ids(bench: Bench) -> list[int]:
    told = [each["transactionInfo"] for each in bench.sent("TransactionEvent")]
    return [each["remoteStartId"] for each in told if "remoteStartId" in each]


@pytest.mark.req("F01.FR.01", "F01.FR.02", "F01.FR.03", "F01.FR.05", "F01.FR.17", "F01.FR.19", "F01.FR.25")
@pytest.mark.req("F02.FR.01", "F02.FR.09", "F02.FR.10", "F02.FR.11", "F02.FR.12", "F02.FR.13", "F02.FR.21")
@pytest.mark.req("TC_F_01_CS", "TC_F_02_CS", "TC_F_03_CS")
@pytest.mark.parametrize("is_asked", [True, False])
@pytest.mark.parametrize("cable_first", [True, False])
async def test_a_remote_start_with_the_cable_before_or_behind_it(
    tmp_path: Path, is_asked: bool, cable_first: bool
) -> None:
    async with online(tmp_path, "" if is_asked else UNASKED) as bench:
        if cable_first:
            bench.plug_in()
            await bench.run_for(seconds=3)
        assert (await start(bench, evseId=1))["status"] == "Accepted"
        if not cable_first:
            bench.plug_in()
        await bench.run_for(seconds=20)
        assert asked(bench) == ([token("APP")] if is_asked else [])
        assert bench.evse().offered_current_a > 0
        assert set(remote_ids(bench)) == {5}
        first = bench.sent("TransactionEvent")[0]
        assert (first["eventType"], first["triggerReason"]) == ("Started", "RemoteStart")
        assert first["transactionInfo"]["remoteStartId"] == 5
        assert first["idToken"] == token("APP")


@pytest.mark.req("F02.FR.07", "TC_F_04_CS")
async def test_nobody_plugs_in_and_the_start_lapses(tmp_path: Path) -> None:
    settings = '"TxCtrlr.EVConnectionTimeOut" = "30"\n"TxCtrlr.TxStartPoint" = "Authorized"\n'
    async with online(tmp_path, settings) as bench:
        assert (await start(bench))["status"] == "Accepted"
        await bench.run_for(seconds=40)
        last = bench.sent("TransactionEvent")[-1]
        assert (last["eventType"], last["triggerReason"]) == ("Ended", "EVConnectTimeout")
        assert last["transactionInfo"]["stoppedReason"] == "Timeout"
        assert (await start(bench, 6))["status"] == "Accepted"


@pytest.mark.req("F01.FR.20", "F02.FR.14", "F02.FR.15", "F02.FR.22")
async def test_without_an_evse_the_one_with_the_cable_is_meant(tmp_path: Path) -> None:
    async with online(tmp_path, more=TWO) as bench:
        bench.plug_in(2)
        await bench.run_for(seconds=3)
        assert (await start(bench))["status"] == "Accepted"
        await bench.run_for(seconds=20)
        assert bench.evse(2).transaction is not None
        assert bench.evse(1).transaction is None


@pytest.mark.req("F01.FR.23", "F01.FR.24", "F02.FR.25", "F02.FR.26")
async def test_an_evse_that_is_taken_out_of_service_or_faulted_is_not_started(tmp_path: Path) -> None:
    async with online(tmp_path, more=TWO) as bench:
        bench.plug_in(1)
        assert (await start(bench, evseId=1))["status"] == "Accepted"
        await bench.run_for(seconds=20)
        assert (await start(bench, 6, "OTHER", evseId=1))["status"] == "Rejected"
        await ask(bench, "ChangeAvailability", operationalStatus="Inoperative", evse={"id": 2})
        assert (await start(bench, 7, evseId=2))["status"] == "Rejected"
        await ask(bench, "ChangeAvailability", operationalStatus="Operative", evse={"id": 2})
        bench.world.set_fault(2, "emergency_stop")
        await bench.run_for(seconds=3)
        assert (await start(bench, 8, evseId=2))["status"] == "Rejected"
        unknown = await start(bench, 9, evseId=3)
        assert (unknown["status"], unknown["statusInfo"]["reasonCode"]) == ("Rejected", "UnknownEvse")


@pytest.mark.req("F01.FR.10", "F01.FR.26", "F02.FR.17", "F02.FR.18", "F02.FR.19", "F02.FR.27")
async def test_a_profile_with_the_start_is_that_of_the_transaction(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        for odd, code in (
            ({"chargingProfilePurpose": "TxDefaultProfile"}, "InvalidProfile"),
            ({"transactionId": "x"}, "InvalidProfile"),
        ):
            refused = await start(bench, chargingProfile={**PROFILE, **odd})
            assert (refused["status"], refused["statusInfo"]["reasonCode"]) == ("Rejected", code)
        bench.plug_in()
        assert (await start(bench, chargingProfile=PROFILE))["status"] == "Accepted"
        await bench.run_for(seconds=20)
        assert bench.evse().offered_current_a == 8


@pytest.mark.req("F03.FR.02", "F03.FR.03", "F03.FR.07", "F03.FR.08", "F03.FR.09", "TC_F_08_CS", "TC_F_09_CS")
async def test_a_remote_stop(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        bench.plug_in()
        await start(bench)
        await bench.run_for(seconds=20)
        refused = await ask(bench, "RequestStopTransaction", transactionId="nobody's")
        assert (refused["status"], refused["statusInfo"]["reasonCode"]) == ("Rejected", "TxNotFound")
        running = bench.sent("TransactionEvent")[0]["transactionInfo"]["transactionId"]
        assert await ask(bench, "RequestStopTransaction", transactionId=running) == {"status": "Accepted"}
        await bench.run_for(seconds=5)
        stops = [each for each in bench.sent("TransactionEvent") if each["triggerReason"] == "RemoteStop"]
        assert len(stops) == 1
        assert bench.evse().offered_current_a == 0


@pytest.mark.req("F04.FR.02", "F04.FR.03", "F04.FR.04")
async def test_where_the_cable_decides_a_remote_stop_ends_the_energy_and_unplugging_the_transaction(
    tmp_path: Path,
) -> None:
    settings = '"TxCtrlr.TxStopPoint" = "EVConnected"\n'
    async with online(tmp_path, settings) as bench:
        bench.plug_in()
        await start(bench)
        await bench.run_for(seconds=20)
        running = bench.sent("TransactionEvent")[0]["transactionInfo"]["transactionId"]
        await ask(bench, "RequestStopTransaction", transactionId=running)
        await bench.run_for(seconds=5)
        assert bench.evse().offered_current_a == 0
        assert bench.sent("TransactionEvent")[-1]["eventType"] == "Updated"
        bench.unplug()
        await bench.run_for(seconds=5)
        last = bench.sent("TransactionEvent")[-1]
        assert last["eventType"] == "Ended"
        assert last["transactionInfo"]["stoppedReason"] == "Remote"
        assert last["meterValue"]


# --- unlock ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def locked(tmp_path: Path, settings: str = "") -> AsyncIterator[Bench]:
    async with online(tmp_path, settings) as bench:
        bench.plug_in()
        bench.tap("TAG1")
        await bench.run_for(seconds=20)
        yield bench


async def unlock(bench: Bench, evse_id: int = 1, connector_id: int = 1) -> str:
    answer = await ask(bench, "UnlockConnector", evseId=evse_id, connectorId=connector_id)
    return str(answer["status"])


@pytest.mark.req("F05.FR.01", "F05.FR.02", "TC_F_05_CS")
async def test_the_cable_of_a_transaction_stays_locked_and_the_transaction_goes_on(tmp_path: Path) -> None:
    async with locked(tmp_path) as bench:
        assert await unlock(bench) == "OngoingAuthorizedTransaction"
        await bench.run_for(seconds=10)
        assert bench.evse().offered_current_a > 0
        assert bench.evse().hardware.locked


@pytest.mark.req("F05.FR.04", "F05.FR.06", "TC_F_06_CS", "TC_F_07_CS")
async def test_without_a_transaction_it_is_unlocked_with_or_without_a_cable(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        assert await unlock(bench) == "Unlocked"
        bench.plug_in()
        await bench.run_for(seconds=5)
        assert await unlock(bench) == "Unlocked"


@pytest.mark.req("F05.FR.03", "TC_F_10_CS")
@pytest.mark.parametrize(("evse_id", "connector_id"), [(1, 999), (9, 1), (0, 1), (1, 0)])
async def test_a_connector_that_is_not_there(tmp_path: Path, evse_id: int, connector_id: int) -> None:
    async with online(tmp_path) as bench:
        assert await unlock(bench, evse_id, connector_id) == "UnknownConnector"
