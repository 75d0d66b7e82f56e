"""Charging profiles on the whole station: the cases of the test tool, and what comes between a profile and an EV.

Real agent, real firmware on simulated electricity, a scripted CSMS, virtual time. `pilot_a` is what the board tells the
EV by its duty, so that the whole way from the message to the pilot is in it.
"""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms
from tests.helpers.disk import PowerCut, power_cuts

TWO_EVSES = "[hal.sim]\nevses = 2\n"
RESUMING = "[settings]\nResumeTransactionAfterPowerLoss = true\n"
OFFERED = '[settings]\nMeterValuesSampledData = "Current.Offered,Power.Offered"\n'
Steps = list[tuple[int, float]]


async def online(bench: Bench) -> None:
    await bench.until(lambda: bench.agent.conversation.is_online)
    await bench.run_for(seconds=2)


def pilot_a(bench: Bench, evse_id: int = 1) -> float:
    """What the EV may draw by the duty (IEC 61851-1 A.3); 0 without PWM."""
    duty = bench.evse(evse_id).hardware.duty_percent
    return 0.0 if duty >= 100 else round(duty * 0.6, 1)


def time_text(bench: Bench, seconds: float = 0) -> str:
    """Now, in whole seconds, as a CSMS writes it."""
    at = bench.agent.clock.now().replace(microsecond=0) + timedelta(seconds=seconds)
    return at.isoformat().replace("+00:00", "Z")


def profile(
    profile_id: int, purpose: str, steps: Steps, *, unit: str = "A", factor: int = 1, **given: Any
) -> dict[str, Any]:
    in_schedule = {name: given.pop(name) for name in ("duration", "startSchedule") if name in given}
    return {
        "chargingProfileId": profile_id,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute" if "startSchedule" in in_schedule else "Relative",
        "chargingSchedule": {
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [
                {"startPeriod": start, "limit": limit * factor} for start, limit in steps
            ],
            **in_schedule,
        },
        **given,
    }


async def set_profile(bench: Bench, connector_id: int, given: dict[str, Any]) -> str:
    payload = {"connectorId": connector_id, "csChargingProfiles": given}
    answer = await bench.csms.call("SetChargingProfile", payload)
    assert answer.error is None, answer.description
    status: str = answer.payload["status"]
    return status


async def clear(bench: Bench, **given: Any) -> str:
    answer = await bench.csms.call("ClearChargingProfile", given)
    status: str = answer.payload["status"]
    return status


async def composite(
    bench: Bench, connector_id: int, duration: int, unit: str = "A"
) -> tuple[datetime, list[tuple[int, float]]]:
    """When it starts, and its periods."""
    payload = {"connectorId": connector_id, "duration": duration, "chargingRateUnit": unit}
    answer = (await bench.csms.call("GetCompositeSchedule", payload)).payload
    schedule = answer["chargingSchedule"]
    assert answer["status"] == "Accepted"
    assert answer["connectorId"] == connector_id
    assert schedule["duration"] == duration
    assert schedule["chargingRateUnit"] == unit
    assert "startSchedule" not in schedule
    periods = [(period["startPeriod"], period["limit"]) for period in schedule["chargingSchedulePeriod"]]
    return datetime.fromisoformat(answer["scheduleStart"]), periods


async def charge(bench: Bench, evse_id: int = 1, id_token: str = "TAG1") -> None:
    bench.plug_in(evse_id)
    bench.tap(id_token, evse_id)
    await bench.run_for(seconds=20)
    assert bench.evse(evse_id).transaction is not None


def started(bench: Bench) -> int:
    """What the CSMS calls the running transaction."""
    transaction = bench.evse().transaction
    assert transaction is not None
    assert transaction.reference is not None
    return int(transaction.reference)


# --- the cases of the test tool --------------------------------------------------------------------------


@pytest.mark.req("R16-245", "R16-272", "R16-275", "TC_056_CS")
@pytest.mark.parametrize(("unit", "limit"), [("A", 6.0), ("W", 6000.0)])
async def test_a_default_is_reported(tmp_path: Path, unit: str, limit: float) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        given = profile(
            1, "TxDefaultProfile", [(0, limit)], unit=unit, duration=300, startSchedule=time_text(bench, -5)
        )
        assert await set_profile(bench, 1, given) == "Accepted"
        start, periods = await composite(bench, 1, 200, unit)
        assert abs((start - bench.agent.clock.now()).total_seconds()) < 2
        assert periods == [(0, limit)]


@pytest.mark.req("R16-247", "R16-248", "R16-272", "TC_057_CS")
async def test_a_profile_of_the_transaction_is_reported(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench)
        begin = time_text(bench)
        given = profile(1, "TxProfile", [(0, 6), (60, 10)], startSchedule=begin, transactionId=started(bench))
        assert await set_profile(bench, 1, given) == "Accepted"
        start, periods = await composite(bench, 1, 100)
        lag_s = int((start - datetime.fromisoformat(begin)).total_seconds())
        assert periods == [(0, 6.0), (60 - lag_s, 10.0)]
        await bench.run_for(seconds=10)
        assert pilot_a(bench) == 6.0


@pytest.mark.req("R16-246", "TC_058_1_CS")
async def test_without_a_transaction_there_is_no_profile_of_one(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        assert await set_profile(bench, 1, profile(1, "TxProfile", [(0, 6)])) == "Rejected"


@pytest.mark.req("R16-247", "TC_058_2_CS")
async def test_a_profile_of_another_transaction_is_rejected(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench)
        other = profile(1, "TxProfile", [(0, 6)], transactionId=started(bench) + 1)
        assert await set_profile(bench, 1, other) == "Rejected"
        await bench.run_for(seconds=2)
        assert pilot_a(bench) == 32.0


@pytest.mark.req("R16-249", "R16-272", "TC_082_CS")
async def test_a_default_counts_for_the_running_transaction(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench)
        given = profile(1, "TxDefaultProfile", [(0, 6)], duration=300, startSchedule=time_text(bench))
        assert await set_profile(bench, 1, given) == "Accepted"
        assert (await composite(bench, 1, 200))[1] == [(0, 6.0)]
        await bench.run_for(seconds=1)
        assert pilot_a(bench) == 6.0


@pytest.mark.req("R16-248", "R16-255", "R16-272", "R16-277", "TC_066_CS")
@pytest.mark.parametrize(("unit", "factor"), [("A", 1), ("W", 1000)])
async def test_the_composite_schedule_of_three_purposes(tmp_path: Path, unit: str, factor: int) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench)
        begin = time_text(bench)
        until = {"validFrom": begin, "validTo": time_text(bench, 401)}
        common = {"unit": unit, "factor": factor, "startSchedule": begin}
        station = profile(1, "ChargePointMaxProfile", [(0, 10)], duration=86_400, **common)
        default_steps: Steps = [(0, 6), (60, 10), (120, 8), (180, 15), (260, 8)]
        default = profile(2, "TxDefaultProfile", default_steps, duration=300, **common, **until)
        own_steps: Steps = [(0, 8), (50, 11), (140, 16), (200, 6), (240, 12)]
        own = profile(
            3, "TxProfile", own_steps, duration=260, transactionId=started(bench), **common, **until
        )
        assert await set_profile(bench, 0, station) == "Accepted"
        assert await set_profile(bench, 1, default) == "Accepted"
        assert await set_profile(bench, 1, own) == "Accepted"
        await bench.run_for(seconds=3)
        start, periods = await composite(bench, 1, 400, unit)
        lag_s = int((start - datetime.fromisoformat(begin)).total_seconds())
        expected = [(0, 8), (50 - lag_s, 10), (200 - lag_s, 6), (240 - lag_s, 10)]
        assert periods == [(second, limit * factor) for second, limit in expected]


@pytest.mark.req("R16-271", "R16-272", "R16-276", "TC_067_CS")
async def test_clearing_by_id_then_by_fields_then_all(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        begin = time_text(bench)
        common = {"startSchedule": begin, "duration": 400}
        low = profile(1, "TxDefaultProfile", [(0, 6), (100, 8)], **common)
        high = profile(2, "TxDefaultProfile", [(0, 7), (100, 9)], stackLevel=1, **common)
        third = profile(3, "ChargePointMaxProfile", [(0, 11), (200, 12)], **common)
        for connector_id, given in ((1, low), (1, high), (0, third)):
            assert await set_profile(bench, connector_id, given) == "Accepted"
        assert await clear(bench, id=1) == "Accepted"
        assert (await composite(bench, 1, 350))[1] == [(0, 7.0), (100, 9.0)]
        assert await clear(bench, chargingProfilePurpose="TxDefaultProfile", stackLevel=1) == "Accepted"
        assert (await composite(bench, 1, 350))[1] == [(0, 11.0), (200, 12.0)]
        assert await clear(bench) == "Accepted"
        assert (await composite(bench, 1, 350))[1] == [(0, 32.0)]
        assert await clear(bench) == "Unknown"
        assert await clear(bench, id=1) == "Unknown"


@pytest.mark.req("R16-250", "R16-253", "R16-272", "R16-277", "TC_072_CS")
async def test_stacked_defaults_on_the_pilot_as_reported(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench)
        begin = time_text(bench)
        low = profile(1, "TxDefaultProfile", [(0, 6), (50, 8), (200, 10)], duration=400, startSchedule=begin)
        high = profile(
            2, "TxDefaultProfile", [(0, 7), (100, 9)], duration=150, startSchedule=begin, stackLevel=1
        )
        assert await set_profile(bench, 1, low) == "Accepted"
        assert await set_profile(bench, 1, high) == "Accepted"
        start, periods = await composite(bench, 1, 350)
        assert periods == [(0, 7.0), (100, 9.0), (150, 8.0), (200, 10.0)]
        assert start == datetime.fromisoformat(begin)
        for (second, before), (_next, limit) in itertools.pairwise(periods):
            change = start + timedelta(seconds=_next)
            await bench.run_for(seconds=(change - bench.agent.clock.now()).total_seconds() - 0.2)
            assert pilot_a(bench) == before, second
            await bench.run_for(seconds=1.2)
            assert pilot_a(bench) == limit, _next


@pytest.mark.req("R16-173", "R16-179", "R16-272", "TC_059_CS")
async def test_a_remote_start_brings_its_own_profile(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        bench.plug_in()
        await bench.run_for(seconds=5)
        given = profile(1, "TxProfile", [(0, 6), (3600, 8)])
        answer = await bench.csms.call(
            "RemoteStartTransaction", {"idTag": "TAG1", "connectorId": 1, "chargingProfile": given}
        )
        assert answer.payload == {"status": "Accepted"}
        await bench.run_for(seconds=20)
        assert pilot_a(bench) == 6.0
        transaction = bench.evse().transaction
        assert transaction is not None
        start, periods = await composite(bench, 1, 4000)
        lag_s = int((start - transaction.started_at.replace(microsecond=0)).total_seconds())
        assert periods == [(0, 6.0), (3600 - lag_s, 8.0)]
        same_level = profile(2, "TxProfile", [(0, 10)], transactionId=started(bench))
        assert await set_profile(bench, 1, same_level) == "Accepted"
        assert (await composite(bench, 1, 100))[1] == [(0, 10.0)]
        answer = await bench.csms.call("RemoteStopTransaction", {"transactionId": started(bench)})
        await bench.run_for(seconds=10)
        assert await clear(bench) == "Unknown", "the profile went with its transaction"


@pytest.mark.req("R16-178", "TC_060_CS")
@pytest.mark.parametrize("purpose", ["TxDefaultProfile", "ChargePointMaxProfile"])
async def test_a_remote_start_with_a_profile_of_another_purpose_is_rejected(
    tmp_path: Path, purpose: str
) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        bench.plug_in()
        answer = await bench.csms.call(
            "RemoteStartTransaction",
            {"idTag": "TAG1", "connectorId": 1, "chargingProfile": profile(1, purpose, [(0, 6)])},
        )
        assert answer.payload == {"status": "Rejected"}
        await bench.run_for(seconds=20)
        assert not bench.sent("StartTransaction")


# --- from the message to the pilot -----------------------------------------------------------------------


@pytest.mark.req("R16-243", "TC_019_CS", "FIELD-54")
async def test_the_four_limits_are_told(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        keys = [
            "ChargeProfileMaxStackLevel",
            "ChargingScheduleAllowedChargingRateUnit",
            "ChargingScheduleMaxPeriods",
            "MaxChargingProfilesInstalled",
        ]
        answer = await bench.csms.call("GetConfiguration", {"key": keys})
        told = {
            entry["key"]: (entry["value"], entry["readonly"]) for entry in answer.payload["configurationKey"]
        }
        assert told == {
            keys[0]: ("100", True),
            keys[1]: ("Current,Power", True),
            keys[2]: ("500", True),
            keys[3]: ("200", True),
        }


@pytest.mark.req("R16-249", "R16-270")
async def test_a_new_limit_is_on_the_pilot_within_a_second(tmp_path: Path) -> None:
    async with Bench(tmp_path, OFFERED) as bench:
        await online(bench)
        await charge(bench)
        for limit in (16.0, 6.0, 25.5, 13.3):
            assert await set_profile(bench, 1, profile(1, "TxDefaultProfile", [(0, limit)])) == "Accepted"
            await bench.run_for(seconds=1)
            assert pilot_a(bench) == limit
        answer = await bench.csms.call(
            "TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1}
        )
        assert answer.payload == {"status": "Accepted"}
        await bench.until(lambda: bench.sent("MeterValues"))
        values = bench.sent("MeterValues")[-1]["meterValue"][0]["sampledValue"]
        told = {value["measurand"]: float(value["value"]) for value in values}
        assert told["Current.Offered"] == 13.3
        assert told["Power.Offered"] == pytest.approx(13.3 * 690, rel=0.02)


@pytest.mark.req("R16-280", "TOLERATE-9", "FIELD-66", "FIELD-67")
async def test_a_default_of_nothing_pauses_and_is_read_back(tmp_path: Path) -> None:
    """As an energy manager does it: a default at a high level, then the composite schedule."""
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench)
        pause = profile(1, "TxDefaultProfile", [(0, 0)], stackLevel=100, startSchedule=time_text(bench, -60))
        assert await set_profile(bench, 1, pause) == "Accepted"
        assert (await composite(bench, 1, 60))[1] == [(0, 0.0)]
        await bench.run_for(minutes=10)
        assert bench.statuses(1)[-1] == "SuspendedEVSE"
        assert pilot_a(bench) == 0.0
        resume = profile(
            1, "TxDefaultProfile", [(0, 16)], stackLevel=100, startSchedule=time_text(bench, -60)
        )
        assert await set_profile(bench, 1, resume) == "Accepted"
        await bench.run_for(seconds=30)
        assert bench.statuses(1)[-1] == "Charging"
        assert pilot_a(bench) == 16.0
        assert not bench.sent("StopTransaction")
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=10)
        bench.unplug()
        await bench.run_for(seconds=10)
        await charge(bench, id_token="TAG2")
        assert pilot_a(bench) == 16.0, "a pause locks nobody out later"


@pytest.mark.req("R16-069", "R16-280", "FIELD-66")
async def test_who_comes_during_a_pause_has_a_transaction_and_waits(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        assert await set_profile(bench, 0, profile(1, "TxDefaultProfile", [(0, 0)])) == "Accepted"
        await charge(bench)
        assert len(bench.sent("StartTransaction")) == 1
        assert bench.statuses(1)[-1] == "SuspendedEVSE"
        assert await clear(bench) == "Accepted"
        await bench.run_for(seconds=20)
        assert bench.statuses(1)[-1] == "Charging"
        assert pilot_a(bench) == 32.0


@pytest.mark.req("R16-256", "TOLERATE-9", "FIELD-68")
async def test_a_relative_limit_of_the_station_at_the_top_level(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench)
        cap = profile(1, "ChargePointMaxProfile", [(0, 10)], stackLevel=100)
        assert await set_profile(bench, 0, cap) == "Accepted"
        await bench.run_for(seconds=1)
        assert pilot_a(bench) == 10.0
        assert await set_profile(bench, 1, cap) == "Rejected", "a limit of the station is for connector 0"


@pytest.mark.req("R16-245", "R16-256", "R16-273")
async def test_two_evses_under_one_limit_of_the_station(tmp_path: Path) -> None:
    async with Bench(tmp_path, TWO_EVSES) as bench:
        await online(bench)
        await set_profile(bench, 0, profile(1, "ChargePointMaxProfile", [(0, 20)]))
        await charge(bench, 1, "TAG1")
        assert pilot_a(bench, 1) == 20.0
        await charge(bench, 2, "TAG2")
        assert (pilot_a(bench, 1), pilot_a(bench, 2)) == (10.0, 10.0)
        await set_profile(bench, 2, profile(2, "TxDefaultProfile", [(0, 8)]))
        await bench.run_for(seconds=1)
        assert (pilot_a(bench, 1), pilot_a(bench, 2)) == (12.0, 8.0)
        assert (await composite(bench, 1, 60))[1] == [(0, 12.0)]
        assert (await composite(bench, 0, 60))[1] == [(0, 20.0)]
        bench.tap("TAG2", 2)
        await bench.run_for(seconds=10)
        assert pilot_a(bench, 1) == 20.0
        await set_profile(bench, 0, profile(1, "ChargePointMaxProfile", [(0, 4)]))
        await bench.run_for(seconds=10)
        assert bench.statuses(1)[-1] == "SuspendedEVSE"


# --- days and weeks --------------------------------------------------------------------------------------


async def travel(bench: Bench, to: datetime) -> None:
    """The CSMS's clock says that it is `to`, and so does the station's a second later."""
    bench.csms.always("Heartbeat", currentTime=to.isoformat())
    await bench.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    await bench.run_for(seconds=1)
    assert abs((bench.agent.clock.now() - to).total_seconds()) < 1.5


@pytest.mark.req("R16-259")
async def test_a_daily_schedule_goes_over_midnight(tmp_path: Path) -> None:
    """The night from 22:00 to 06:00 UTC, from a day in the past and another zone; passed through, then visited."""
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench)
        night = profile(1, "TxDefaultProfile", [(0, 8), (7200, 7)], duration=28_800)
        night |= {"chargingProfileKind": "Recurring", "recurrencyKind": "Daily"}
        night["chargingSchedule"]["startSchedule"] = "2025-10-20T23:00:00+01:00"
        assert await set_profile(bench, 0, night) == "Accepted"
        await travel(bench, datetime(2026, 1, 31, 23, 59, 50, tzinfo=UTC))
        assert pilot_a(bench) == 8.0
        await bench.run_for(seconds=10)
        assert pilot_a(bench) == 7.0, "midnight, and a new month"
        for day in (datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 29, tzinfo=UTC)):
            for hour in range(0, 48, 3):
                at = day + timedelta(hours=hour, minutes=30)
                await travel(bench, at)
                expected = 8.0 if at.hour in (22, 23) else 7.0 if at.hour < 6 else 32.0
                assert pilot_a(bench) == expected, at
        assert not bench.sent("StopTransaction")


@pytest.mark.req("R16-259")
async def test_a_weekly_schedule_keeps_its_day(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await charge(bench)
        monday = profile(
            1, "TxDefaultProfile", [(0, 9)], duration=86_400, startSchedule="2025-12-01T00:00:00Z"
        )
        monday |= {"chargingProfileKind": "Recurring", "recurrencyKind": "Weekly"}
        assert await set_profile(bench, 0, monday) == "Accepted"
        noon = datetime(2026, 2, 20, 12, tzinfo=UTC)
        for _ in range(20):
            await travel(bench, noon)
            assert pilot_a(bench) == (9.0 if noon.weekday() == 0 else 32.0), noon
            noon += timedelta(days=1)
        await travel(bench, datetime(2026, 3, 15, 23, 59, 55, tzinfo=UTC))
        assert pilot_a(bench) == 32.0
        await bench.run_for(seconds=5)
        assert pilot_a(bench) == 9.0, "Monday has begun"


# --- without the CSMS, without power ---------------------------------------------------------------------


@pytest.mark.req("R16-268", "R16-269")
async def test_after_a_reboot_the_profiles_hold_and_without_a_csms_as_well(tmp_path: Path) -> None:
    extra = "[settings]\nAllowOfflineTxForUnknownId = true\n"
    async with Csms() as csms:
        friendly(csms)
        async with Bench(tmp_path, extra, csms) as bench:
            await online(bench)
            assert await set_profile(bench, 0, profile(1, "TxDefaultProfile", [(0, 9)])) == "Accepted"
            assert await set_profile(bench, 0, profile(2, "ChargePointMaxProfile", [(0, 7)])) == "Accepted"
        async with Bench(tmp_path, extra, csms) as bench:
            await online(bench)
            assert (await composite(bench, 1, 60))[1] == [(0, 7.0)]
            csms.drop()
            bench.agent.link.disconnect()
            await bench.run_for(seconds=5)
            await charge(bench)
            assert pilot_a(bench) == 7.0


async def _remote_charge(bench: Bench) -> None:
    await online(bench)
    bench.plug_in()
    await bench.run_for(seconds=5)
    given = profile(1, "TxProfile", [(0, 9)])
    await bench.csms.call(
        "RemoteStartTransaction", {"idTag": "TAG1", "connectorId": 1, "chargingProfile": given}
    )
    await bench.run_for(seconds=20)
    answer = await bench.csms.call(
        "SetChargingProfile",
        {"connectorId": 0, "csChargingProfiles": profile(2, "TxDefaultProfile", [(0, 20)])},
    )
    assert answer.payload == {"status": "Accepted"}


async def _cut(cut: PowerCut, csms: Csms) -> None:
    async with Bench(cut.before, RESUMING, csms) as bench:
        cut.watch(bench.agent.database)
        await cut.during(_remote_charge(bench))
        csms.drop()
        bench.agent.link.disconnect()


@pytest.mark.req("R16-179", "R16-248", "R16-268")
async def test_no_power_cut_parts_a_transaction_from_its_profile(tmp_path: Path) -> None:
    transactions = 0
    for cut in power_cuts(tmp_path):
        async with Csms() as csms:
            friendly(csms)
            await _cut(cut, csms)
            async with Bench(cut.after, RESUMING, csms) as bench:
                bench.plug_in()
                await online(bench)
                await bench.run_for(seconds=20)
                if bench.evse().transaction is None:
                    assert await clear(bench, chargingProfilePurpose="TxProfile") == "Unknown", cut.step
                else:
                    transactions += 1
                    assert pilot_a(bench) == 9.0, cut.step
                assert not bench.evse().faults
    assert transactions >= 3, "the cuts never met a running transaction"
