"""SmartCharging: profiles of every purpose, stacked and cleared; the composite schedule tells what holds."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.witness.central_system import call, status
from tests.witness.rig import TAG, Rig

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness-smart-charging"),
]

Periods = list[tuple[int, float]]


@dataclass(frozen=True)
class Composite:
    """What GetCompositeSchedule told: [(start in s, limit)], and how long before its start `since` was."""

    payload: dict[str, Any]
    periods: Periods

    def after(self, since: datetime) -> int:
        return round((datetime.fromisoformat(self.payload["scheduleStart"]) - since).total_seconds())


def second() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def profile(
    number: int, purpose: str, *periods: tuple[int, float], level: int = 0, **more: Any
) -> dict[str, Any]:
    """Absolute from `start` (now), in `unit` (A)."""
    schedule = {
        "chargingRateUnit": more.pop("unit", "A"),
        "startSchedule": more.pop("start", second()).isoformat(),
        "chargingSchedulePeriod": [{"startPeriod": start, "limit": limit} for start, limit in periods],
    }
    if "duration" in more:
        schedule["duration"] = more.pop("duration")
    return {
        "chargingProfileId": number,
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
        **more,
    }


async def install(rig: Rig, connector: int, content: dict[str, Any], wanted: str = "Accepted") -> None:
    await rig.asked("SetChargingProfile", wanted, connectorId=connector, csChargingProfiles=content)


async def composite(rig: Rig, duration: int, unit: str = "A") -> Composite:
    answer = await rig.central.ask(
        "GetCompositeSchedule", connectorId=1, duration=duration, chargingRateUnit=unit
    )
    assert answer.status == "Accepted"
    schedule = answer.payload["chargingSchedule"]
    assert answer.payload["connectorId"] == 1
    assert (schedule["duration"], schedule["chargingRateUnit"]) == (duration, unit)
    assert "startSchedule" not in schedule
    start = datetime.fromisoformat(answer.payload["scheduleStart"])
    assert abs((start - datetime.now(UTC)).total_seconds()) < 3
    periods = [(each["startPeriod"], float(each["limit"])) for each in schedule["chargingSchedulePeriod"]]
    return Composite(answer.payload, periods)


def shifted(periods: Periods, lag: int) -> Periods:
    """The same, seen `lag` seconds later."""
    return [(max(0, start - lag), limit) for start, limit in periods]


@pytest.mark.req("TC_056_CS")
@pytest.mark.parametrize(("unit", "limit"), [("A", 6.0), ("W", 6000.0)])
async def test_a_default_for_transactions(rig: Rig, unit: str, limit: float) -> None:
    await install(rig, 1, profile(1, "TxDefaultProfile", (0, limit), duration=86_400, unit=unit))
    assert (await composite(rig, 300, unit)).periods == [(0, limit)]


@pytest.mark.req("TC_057_CS")
async def test_a_profile_of_the_transaction(rig: Rig) -> None:
    transaction = await rig.charging()
    await install(rig, 1, profile(1, "TxProfile", (0, 8.0), duration=3600, transactionId=transaction))
    assert (await composite(rig, 300)).periods == [(0, 8.0)]
    await rig.station.until(lambda now: now["evses"][0]["offered_current_a"] == 8.0)


@pytest.mark.req("TC_058_1_CS")
async def test_a_profile_of_no_transaction_is_refused(rig: Rig) -> None:
    answer = await rig.central.ask(
        "SetChargingProfile", connectorId=1, csChargingProfiles=profile(1, "TxProfile", (0, 8.0))
    )
    assert answer.status in ("Rejected", "error:PropertyConstraintViolation")


@pytest.mark.req("TC_058_2_CS")
async def test_a_profile_of_another_transaction_is_refused(rig: Rig) -> None:
    transaction = await rig.charging()
    await install(
        rig, 1, profile(1, "TxProfile", (0, 8.0), transactionId=transaction + 5000), wanted="Rejected"
    )


@pytest.mark.req("TC_082_CS")
async def test_a_default_holds_for_the_running_transaction(rig: Rig) -> None:
    await rig.charging()
    await install(rig, 1, profile(1, "TxDefaultProfile", (0, 6.0), duration=86_400))
    assert (await composite(rig, 300)).periods == [(0, 6.0)]
    await rig.station.until(lambda now: now["evses"][0]["offered_current_a"] == 6.0)


@pytest.mark.req("TC_066_CS")
@pytest.mark.parametrize(("unit", "factor"), [("A", 1), ("W", 1000)])
async def test_the_composite_schedule_is_the_least_of_all(rig: Rig, unit: str, factor: int) -> None:
    assert int(await rig.configuration("MaxChargingProfilesInstalled")) >= 3
    assert int(await rig.configuration("ChargingScheduleMaxPeriods")) >= 5
    transaction = await rig.charging()
    start = second()

    def of(*periods: tuple[int, float]) -> Periods:
        return [(begin, limit * factor) for begin, limit in periods]

    shared = {"start": start, "unit": unit}
    await install(rig, 0, profile(1, "ChargePointMaxProfile", *of((0, 10)), duration=86_400, **shared))
    default = of((0, 6), (60, 10), (120, 8), (180, 15), (260, 8))
    await install(rig, 1, profile(2, "TxDefaultProfile", *default, duration=300, **shared))
    own = of((0, 8), (50, 11), (100, 16), (200, 6), (240, 12))
    await install(rig, 1, profile(3, "TxProfile", *own, duration=260, transactionId=transaction, **shared))
    told = await composite(rig, 400, unit)
    assert told.periods == shifted(of((0, 8), (50, 10), (200, 6), (240, 10)), told.after(start))


@pytest.mark.req("TC_067_CS")
async def test_profiles_are_cleared_one_after_the_other(rig: Rig) -> None:
    start = second()
    await install(
        rig, 0, profile(1, "ChargePointMaxProfile", (0, 11), (200, 12), duration=86_400, start=start)
    )
    await install(rig, 1, profile(2, "TxDefaultProfile", (0, 7), (100, 9), duration=86_400, start=start))
    await install(
        rig, 1, profile(3, "TxDefaultProfile", (0, 6), (50, 8), level=1, duration=86_400, start=start)
    )
    local = 32.0
    assert (await composite(rig, 350)).periods[0] == (0, 6.0)
    await rig.asked("ClearChargingProfile", id=3)
    told = await composite(rig, 350)
    assert told.periods == shifted([(0, 7.0), (100, 9.0)], told.after(start))
    await rig.asked("ClearChargingProfile", chargingProfilePurpose="TxDefaultProfile", stackLevel=0)
    told = await composite(rig, 350)
    assert told.periods == shifted([(0, 11.0), (200, 12.0)], told.after(start))
    await rig.asked("ClearChargingProfile")
    assert (await composite(rig, 350)).periods == [(0, local)]


@pytest.mark.req("TC_072_CS")
async def test_the_higher_level_counts_until_it_is_over(rig: Rig) -> None:
    start = second()
    low = [(0, 6.0), (100, 8.0), (200, 10.0)]
    await install(rig, 1, profile(1, "TxDefaultProfile", *low, duration=400, start=start))
    high = [(0, 7.0), (100, 9.0)]
    await install(rig, 1, profile(2, "TxDefaultProfile", *high, level=1, duration=150, start=start))
    told = await composite(rig, 350)
    assert told.periods == shifted([(0, 7.0), (100, 9.0), (150, 8.0), (200, 10.0)], told.after(start))


@pytest.mark.req("TC_059_CS")
async def test_a_remote_start_brings_its_profile(rig: Rig) -> None:
    start = second()
    content = profile(1, "TxProfile", (0, 6.0), (200, 8.0), duration=400, start=start)
    rig.central.tolerate(call("Authorize", idTag=TAG))
    await rig.asked("RemoteStartTransaction", idTag=TAG, connectorId=1, chargingProfile=content)
    await rig.central.expect(status(1, "Preparing"))
    await rig.station.plug()
    await rig.started()
    told = await composite(rig, 300)
    assert told.periods == shifted([(0, 6.0), (200, 8.0)], told.after(start))


@pytest.mark.req("TC_060_CS")
async def test_a_remote_start_with_another_purpose_is_refused(rig: Rig) -> None:
    answer = await rig.central.ask(
        "RemoteStartTransaction",
        idTag=TAG,
        connectorId=1,
        chargingProfile=profile(1, "TxDefaultProfile", (0, 6.0)),
    )
    assert answer.status in ("Rejected", "error:PropertyConstraintViolation")
    await rig.central.quiet(0.5)
