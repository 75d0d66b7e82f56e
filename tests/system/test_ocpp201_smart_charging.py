"""Charging profiles and limits in a whole station that speaks 2.0.1: certification cases, restarts, local limits."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.helpers.bench import Bench

TWO_EVSES = "[hal.sim]\nevses = 2\n"
LOCAL_A = 32.0


def at(bench: Bench, seconds: float = 0) -> str:
    now: datetime = bench.agent.clock.now() + timedelta(seconds=seconds)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z").replace(".000Z", "Z")


def schedule(
    bench: Bench, *periods: tuple[int, float], start_s: float | None = 0, **more: Any
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": 1,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [
            {"startPeriod": start, "limit": limit, "numberPhases": 3} for start, limit in periods
        ],
    } | more
    if start_s is not None:
        found["startSchedule"] = at(bench, start_s)
    return found


def profile(
    bench: Bench, number: int, *periods: tuple[int, float], purpose: str = "TxDefaultProfile", **more: Any
) -> dict[str, Any]:
    in_schedule = {
        name: more.pop(name) for name in ("start_s", "duration", "chargingRateUnit") if name in more
    }
    return {
        "id": number,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [schedule(bench, *periods, **in_schedule)],
    } | more


async def install(bench: Bench, evse_id: int, new: dict[str, Any]) -> str:
    answer = await bench.csms.call("SetChargingProfile", {"evseId": evse_id, "chargingProfile": new})
    status: str = answer.payload["status"]
    return status


async def reported(bench: Bench, **payload: Any) -> list[tuple[int, str, dict[str, Any]]]:
    """(EVSE, origin, profile) of every profile that is told."""
    before = len(bench.sent("ReportChargingProfiles"))
    answer = await bench.csms.call("GetChargingProfiles", {"requestId": 7, "chargingProfile": {}} | payload)
    if answer.payload["status"] == "NoProfiles":
        return []

    def is_whole() -> bool:
        parts = bench.sent("ReportChargingProfiles")[before:]
        return bool(parts) and not parts[-1].get("tbc", False)

    await bench.until(is_whole)
    parts = bench.sent("ReportChargingProfiles")[before:]
    assert {part["requestId"] for part in parts} == {7}
    return [
        (part["evseId"], part["chargingLimitSource"], each)
        for part in parts
        for each in part["chargingProfile"]
    ]


async def composed(bench: Bench, evse_id: int, duration: int, unit: str = "A") -> list[tuple[int, float]]:
    payload = {"evseId": evse_id, "duration": duration, "chargingRateUnit": unit}
    answer = await bench.csms.call("GetCompositeSchedule", payload)
    assert answer.payload["status"] == "Accepted", answer.payload
    found = answer.payload["schedule"]
    assert (found["duration"], found["evseId"], found["chargingRateUnit"]) == (duration, evse_id, unit)
    return [(each["startPeriod"], each["limit"]) for each in found["chargingSchedulePeriod"]]


async def online(bench: Bench) -> None:
    await bench.until(lambda: bench.sent("StatusNotification"))


async def charge(bench: Bench, tag: str = "TAG1", evse_id: int = 1) -> str:
    """The id of the transaction, once energy flows."""
    bench.plug_in(evse_id)
    bench.tap(tag, evse_id)
    await bench.until(lambda: bench.evse(evse_id).offered_current_a)
    transaction = bench.evse(evse_id).transaction
    assert transaction is not None
    return transaction.transaction_id


async def local_api(bench: Bench, method: str, path: str, body: object = None) -> tuple[int, Any]:
    socket = str(bench.agent.config.state_dir / "api.sock")
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket)) as http,
        http.request(method, f"http://localhost/api/v1/{path}", json=body) as response,
    ):
        return response.status, await response.json()


# --- set, report, replace, clear ---------------------------------------------------------------------------


@pytest.mark.req(
    "K01.FR.05",
    "K01.FR.07",
    "K01.FR.14",
    "K01.FR.15",
    "K01.FR.27",
    "K09.FR.01",
    "TC_K_01_CS",
    "TC_K_03_CS",
    "TC_K_04_CS",
    "TC_K_10_CS",
    "TC_K_13_CS",
)
async def test_profiles_are_reported_as_they_were_set_also_after_a_restart(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        most = profile(bench, 1, (0, 6.0), purpose="ChargingStationMaxProfile", duration=300)
        everywhere = profile(bench, 2, (0, 6.0), stackLevel=1)
        here = profile(bench, 3, (0, 6.0), (60, 8.0), validTo=at(bench, 3600))
        assert await install(bench, 0, most) == "Accepted"
        assert await install(bench, 0, everywhere) == "Accepted"
        assert await install(bench, 1, profile(bench, 3, (0, 10.0))) == "Accepted"
        assert await install(bench, 1, here) == "Accepted"
        assert await reported(bench) == [(0, "CSO", most), (0, "CSO", everywhere), (1, "CSO", here)]
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        assert await reported(bench, evseId=1) == [(1, "CSO", here)]
        assert await reported(bench, evseId=0, chargingProfile={"stackLevel": 1}) == [(0, "CSO", everywhere)]


@pytest.mark.req(
    "K10.FR.01",
    "K10.FR.03",
    "K10.FR.04",
    "TC_K_05_CS",
    "TC_K_06_CS",
    "TC_K_07_CS",
    "TC_K_08_CS",
    "TC_K_24_CS",
)
async def test_profiles_are_cleared_by_id_or_by_criteria(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO_EVSES, version="ocpp2.0.1") as bench:
        await online(bench)
        for evse_id in (1, 2):
            assert (
                await install(bench, evse_id, profile(bench, evse_id, (0, 6.0), stackLevel=1)) == "Accepted"
            )
        assert await install(bench, 0, profile(bench, 3, (0, 6.0))) == "Accepted"

        async def clear(**payload: Any) -> str:
            status: str = (await bench.csms.call("ClearChargingProfile", payload)).payload["status"]
            return status

        of_station = {"chargingProfilePurpose": "ChargingStationMaxProfile", "stackLevel": 0}
        assert await clear(chargingProfileCriteria=of_station) == "Unknown"
        assert await clear(chargingProfileId=77) == "Unknown"
        assert await clear(chargingProfileId=3) == "Accepted"
        assert [each["id"] for _evse, _origin, each in await reported(bench)] == [1, 2]
        defaults = {"chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 1}
        assert await clear(chargingProfileCriteria=defaults) == "Accepted"
        assert await reported(bench) == []


@pytest.mark.req(
    "K01.FR.09", "K01.FR.16", "K01.FR.28", "K01.FR.33", "TC_K_02_CS", "TC_K_11_CS", "TC_K_14_CS", "TC_K_16_CS"
)
async def test_a_profile_of_a_transaction_needs_it(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO_EVSES, version="ocpp2.0.1") as bench:
        await online(bench)
        unknown = profile(bench, 1, (0, 6.0), purpose="TxProfile", transactionId="UNKNOWN")
        for evse_id in (0, 1, 3):
            assert await install(bench, evse_id, unknown) == "Rejected"
        transaction_id = await charge(bench)
        assert await install(bench, 1, unknown) == "Rejected"
        known = unknown | {"transactionId": transaction_id}
        for evse_id in (0, 2):
            assert await install(bench, evse_id, known) == "Rejected"
        assert await reported(bench) == []


@pytest.mark.req("K01.FR.04", "K02.FR.04", "K02.FR.05", "K06.FR.01", "TC_K_60_CS")
async def test_a_profile_of_a_transaction_counts_before_defaults_also_offline_and_goes_with_it(
    tmp_path: Path,
) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        assert await install(bench, 0, profile(bench, 1, (0, 8.0))) == "Accepted"
        transaction_id = await charge(bench)
        own = profile(
            bench,
            2,
            (0, 10.0),
            purpose="TxProfile",
            transactionId=transaction_id,
            chargingProfileKind="Relative",
            start_s=None,
        )
        assert await install(bench, 1, own) == "Accepted"
        assert await reported(bench, chargingProfile={"chargingProfileId": [2]}) == [(1, "CSO", own)]
        await bench.run_for(seconds=5)
        assert bench.evse().offered_current_a == 10.0
        bench.csms.refuse_status = 503
        bench.csms.drop()
        await bench.run_for(minutes=2)
        assert bench.evse().offered_current_a == 10.0
        bench.csms.refuse_status = None
        await bench.csms.connected()
        bench.tap("TAG1")
        await bench.until(lambda: bench.evse().transaction is None)
        await bench.run_for(seconds=5)
        assert [each["id"] for _evse, _origin, each in await reported(bench)] == [1]


@pytest.mark.req("K05.FR.03", "F01.FR.10", "TC_K_37_CS")
async def test_the_profile_of_a_remote_start_is_that_of_its_transaction(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        bench.plug_in()
        await bench.run_for(seconds=5)
        own = profile(bench, 5, (0, 6.0), purpose="TxProfile", chargingProfileKind="Relative", start_s=None)
        start = {
            "idToken": {"idToken": "TAG1", "type": "ISO14443"},
            "evseId": 1,
            "remoteStartId": 9,
            "chargingProfile": own,
        }
        assert (await bench.csms.call("RequestStartTransaction", start)).payload["status"] == "Accepted"
        await bench.until(lambda: bench.evse().offered_current_a)
        assert bench.evse().offered_current_a == 6.0
        transaction = bench.evse().transaction
        assert transaction is not None
        ((_evse, origin, told),) = await reported(bench, chargingProfile={"chargingProfileId": [5]})
        assert (origin, told) == ("CSO", own | {"transactionId": transaction.transaction_id})


# --- composite schedules -----------------------------------------------------------------------------------


@pytest.mark.req("K01.FR.10", "K01.FR.30", "K01.FR.36", "K01.FR.37", "TC_K_21_CS", "TC_K_22_CS", "TC_K_23_CS")
async def test_a_profile_counts_while_it_is_valid_and_its_schedule_from_its_start(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO_EVSES, version="ocpp2.0.1") as bench:
        await online(bench)
        relative = profile(
            bench, 1, (0, 6.0), chargingProfileKind="Relative", start_s=None, validFrom=at(bench, 300)
        )
        assert await install(bench, 1, relative) == "Accepted"
        first, second = await composed(bench, 1, 400)
        assert (first, second[1]) == ((0, LOCAL_A), 6.0)
        assert 298 <= second[0] <= 300
        await bench.csms.call("ClearChargingProfile", {"chargingProfileId": 1})

        valid = profile(bench, 2, (0, 6.0), validFrom=at(bench, -5), validTo=at(bench, 300))
        assert await install(bench, 0, valid) == "Accepted"
        first, second = await composed(bench, 0, 400)
        assert (first, second[1]) == ((0, 12.0), 2 * LOCAL_A)
        assert 298 <= second[0] <= 300
        await bench.csms.call("ClearChargingProfile", {"chargingProfileId": 2})

        later = profile(bench, 3, (0, 6.0), start_s=60)
        assert await install(bench, 2, later) == "Accepted"
        first, second = await composed(bench, 2, 300)
        assert (first, second[1]) == ((0, LOCAL_A), 6.0)
        assert 58 <= second[0] <= 60


@pytest.mark.req("K01.FR.11", "K01.FR.12", "K01.FR.17", "K08.FR.02", "K08.FR.06", "TC_K_40_CS")
async def test_higher_levels_count_first_and_lower_ones_where_they_say_nothing(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        low = profile(bench, 1, (0, 6.0), (50, 9.0), (200, 10.0), start_s=0, duration=400)
        high = profile(
            bench, 2, (0, 7.0), (100, 9.0), (150, 8.0), (500, 1.0), stackLevel=1, start_s=0, duration=200
        )
        assert await install(bench, 1, low) == "Accepted"
        assert await install(bench, 1, high) == "Accepted"
        found = await composed(bench, 1, 350)
        assert [limit for _start, limit in found] == [7.0, 9.0, 8.0, 10.0]
        assert all(
            abs(start - wanted) <= 2 for (start, _), wanted in zip(found, (0, 100, 150, 200), strict=True)
        )


@pytest.mark.req(
    "K04.FR.01", "K04.FR.05", "K08.FR.03", "K08.FR.04", "TC_K_39_CS", "TC_K_41_CS", "TC_K_42_CS", "TC_K_47_CS"
)
async def test_the_lowest_of_all_purposes_counts(tmp_path: Path) -> None:
    one_unit = '[settings]\n"SmartChargingCtrlr.RateUnit" = "Current"\n'
    async with Bench(tmp_path, one_unit, version="ocpp2.0.1") as bench:
        await online(bench)
        assert await composed(bench, 0, 300) == [(0, LOCAL_A)]
        most = profile(bench, 1, (0, 10.0), purpose="ChargingStationMaxProfile", duration=86_400)
        default = profile(bench, 2, (0, 8.0), (50, 11.0), (200, 6.0), (240, 12.0), duration=300)
        assert await install(bench, 0, most) == "Accepted"
        assert await install(bench, 1, default) == "Accepted"
        found = await composed(bench, 1, 400)
        assert [limit for _start, limit in found] == [8.0, 10.0, 6.0, 10.0]
        for wrong in (
            {"evseId": 2, "duration": 300},
            {"evseId": 0, "duration": 300, "chargingRateUnit": "W"},
        ):
            answer = await bench.csms.call("GetCompositeSchedule", wrong)
            assert answer.payload["status"] == "Rejected"
            assert "schedule" not in answer.payload


@pytest.mark.req(
    "K01.FR.32", "K02.FR.02", "K03.FR.03", "K10.FR.05", "K10.FR.07", "TC_K_09_CS", "TC_K_19_CS", "TC_K_28_CS"
)
async def test_a_default_that_comes_and_goes_changes_a_running_transaction(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        await charge(bench)
        recurring = profile(
            bench, 1, (0, 6.0), chargingProfileKind="Recurring", recurrencyKind="Daily", duration=300
        )
        assert await install(bench, 1, recurring) == "Accepted"
        await bench.run_for(seconds=5)
        assert bench.evse().offered_current_a == 6.0
        assert (await composed(bench, 1, 200)) == [(0, 6.0)]
        criteria = {"chargingProfilePurpose": "TxDefaultProfile"}
        answer = await bench.csms.call("ClearChargingProfile", {"chargingProfileCriteria": criteria})
        assert answer.payload == {"status": "Accepted"}
        assert (await composed(bench, 1, 300)) == [(0, LOCAL_A)]
        await bench.run_for(seconds=5)
        assert bench.evse().offered_current_a == LOCAL_A
        assert bench.evse().transaction is not None


@pytest.mark.req("K06.FR.02", "K07.FR.01")
@pytest.mark.parametrize(("has_default", "offered_a"), [(False, LOCAL_A), (True, 8.0)])
async def test_offline_a_transaction_begins_with_what_there_is(
    tmp_path: Path, has_default: bool, offered_a: float
) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        if has_default:
            assert await install(bench, 0, profile(bench, 1, (0, 8.0))) == "Accepted"
        await charge(bench)  # the token is known from now on
        bench.tap("TAG1")
        await bench.until(lambda: bench.evse().transaction is None)
        bench.unplug()
        bench.csms.refuse_status = 503
        bench.csms.drop()
        await bench.run_for(seconds=30)
        await charge(bench)
        await bench.run_for(seconds=5)
        assert bench.evse().offered_current_a == offered_a


@pytest.mark.req("K02.FR.08")
async def test_after_the_schedule_of_its_own_profile_the_default_limits_a_transaction_again(
    tmp_path: Path,
) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        assert await install(bench, 0, profile(bench, 1, (0, 8.0))) == "Accepted"
        transaction_id = await charge(bench)
        own = profile(bench, 2, (0, 10.0), purpose="TxProfile", transactionId=transaction_id, duration=60)
        assert await install(bench, 1, own) == "Accepted"
        await bench.run_for(seconds=5)
        assert bench.evse().offered_current_a == 10.0
        await bench.run_for(seconds=60)
        assert bench.evse().offered_current_a == 8.0


# --- external limits ---------------------------------------------------------------------------------------


@pytest.mark.req(
    "K11.FR.01", "K11.FR.02", "K11.FR.04", "K11.FR.06", "K12.FR.05", "K13.FR.01", "K13.FR.02", "TC_K_52_CS"
)
async def test_a_limit_of_the_building_comes_by_the_local_api_and_is_told(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        await charge(bench)
        code, answer = await local_api(bench, "PUT", "external-limits/EMS", {"limit": 12})
        assert (code, answer["external_limits"][0]["profile_id"]) == (200, -1)
        await bench.until(lambda: bench.sent("NotifyChargingLimit"))
        assert bench.sent("NotifyChargingLimit") == [{"chargingLimit": {"chargingLimitSource": "EMS"}}]
        await bench.run_for(seconds=5)
        assert bench.evse().offered_current_a == 12.0
        triggers = [each["triggerReason"] for each in bench.sent("TransactionEvent")]
        assert triggers.count("ChargingRateChanged") == 1
        external = {"chargingProfilePurpose": "ChargingStationExternalConstraints"}
        ((evse_id, origin, told),) = await reported(bench, chargingProfile=external)
        assert (evse_id, origin, told["id"]) == (0, "EMS", -1)
        for payload in ({"chargingProfileId": -1}, {"chargingProfileCriteria": {"evseId": 0}}):
            assert (await bench.csms.call("ClearChargingProfile", payload)).payload == {"status": "Unknown"}
        assert (await local_api(bench, "PUT", "external-limits/EMS", {"limit": 12.05}))[0] == 200
        await bench.run_for(seconds=5)
        assert len(bench.sent("NotifyChargingLimit")) == 1
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await bench.until(lambda: bench.sent("NotifyChargingLimit"))
        assert (await local_api(bench, "DELETE", "external-limits/EMS"))[0] == 200
        await bench.until(lambda: bench.sent("ClearedChargingLimit"))
        assert bench.sent("ClearedChargingLimit") == [{"chargingLimitSource": "EMS"}]
        assert await reported(bench) == []


@pytest.mark.req("K11.FR.02", "K11.FR.06", "K13.FR.02")
async def test_a_limit_of_the_building_for_one_evse_is_told_with_its_evse(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[hal.sim]\nevses = 2\n", version="ocpp2.0.1") as bench:
        await online(bench)
        code, answer = await local_api(bench, "PUT", "external-limits/EMS", {"limit": 12, "evse_id": 2})
        assert (code, answer["external_limits"][0]["evse_id"]) == (200, 2)
        await bench.run_for(seconds=1)
        (notice,) = bench.sent("NotifyChargingLimit")
        assert notice == {"evseId": 2, "chargingLimit": {"chargingLimitSource": "EMS"}}
        ((evse_id, origin, told),) = await reported(bench, chargingProfile={"chargingLimitSource": ["EMS"]})
        assert (evse_id, origin, told["chargingProfilePurpose"]) == (
            2,
            "EMS",
            "ChargingStationExternalConstraints",
        )
        assert await composed(bench, 1, 60) == [(0, 32.0)]
        assert await composed(bench, 2, 60) == [(0, 12.0)]
        assert (await local_api(bench, "DELETE", "external-limits/EMS?evse_id=2"))[0] == 200
        await bench.run_for(seconds=1)
        assert bench.sent("ClearedChargingLimit") == [{"evseId": 2, "chargingLimitSource": "EMS"}]
        assert (await local_api(bench, "PUT", "external-limits/EMS", {"limit": 12, "evse_id": 3}))[0] == 404


@pytest.mark.req("K11.FR.03", "K12.FR.03")
async def test_the_schedule_is_told_when_the_csms_wants_it(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        data = {
            "attributeValue": "true",
            "component": {"name": "SmartChargingCtrlr"},
            "variable": {"name": "NotifyChargingLimitWithSchedules"},
        }
        answer = await bench.csms.call("SetVariables", {"setVariableData": [data]})
        assert answer.payload["setVariableResult"][0]["attributeStatus"] == "Accepted"
        body = {
            "unit": "W",
            "periods": [{"limit": 11000}, {"start_s": 60, "limit": 0}],
            "is_grid_critical": True,
        }
        assert (await local_api(bench, "PUT", "external-limits/SO", body))[0] == 200
        await bench.until(lambda: bench.sent("NotifyChargingLimit"))
        (told,) = bench.sent("NotifyChargingLimit")
        assert told["chargingLimit"] == {"chargingLimitSource": "SO", "isGridCritical": True}
        (only,) = told["chargingSchedule"]
        assert [each["limit"] for each in only["chargingSchedulePeriod"]] == [11000.0, 0.0]


async def test_under_1_6_the_same_limit_holds_and_nobody_is_told(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench)
        calls = len(bench.calls())
        assert (await local_api(bench, "PUT", "external-limits/EMS", {"limit": 12}))[0] == 200
        await bench.run_for(seconds=5)
        assert bench.evse().offered_current_a == 12.0
        assert not [name for name, _ in bench.calls()[calls:] if "Limit" in name]
        answer = await bench.csms.call("ClearChargingProfile", {})
        assert answer.payload == {"status": "Unknown"}
