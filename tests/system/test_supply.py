"""What the car draws, through the whole station: over-current by the EVSE's meter, one phase by a charging profile.

Real agent, real firmware on simulated electricity, a scripted CSMS, virtual time.
"""

from pathlib import Path

import pytest

from tests.helpers.bench import Bench
from tests.system.test_smart_charging import online, pilot_a, profile, set_profile


async def charging(bench: Bench, evse_id: int = 1) -> None:
    await online(bench)
    bench.plug_in(evse_id, current_a=32)
    bench.tap("TAG1", evse_id)
    await bench.until(lambda: bench.world.evse(evse_id).current_a > 0)


def codes(bench: Bench) -> list[tuple[str, str]]:
    """Status and error code of every StatusNotification of connector 1."""
    return [
        (each["status"], each["errorCode"])
        for each in bench.sent("StatusNotification")
        if each["connectorId"] == 1
    ]


async def test_an_ev_that_draws_more_than_offered_is_cut_off_by_what_the_meter_shows(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[settings]\nCurrentLimit = 16\n") as bench:
        await charging(bench)
        await bench.run_for(minutes=10)
        assert bench.world.evse(1).is_contactor_closed, "a steady draw within the limit"
        bench.world.set_fault(1, "over_current")
        await bench.until(lambda: not bench.world.evse(1).is_contactor_closed, 0.2)
        await bench.run_for(seconds=3)
        assert ("Faulted", "OverCurrentFailure") in codes(bench)
        assert bench.evse().transaction is None
        bench.world.clear_fault(1, "over_current")
        await bench.run_for(minutes=1)
        assert codes(bench)[-1] == ("Finishing", "NoError")
        assert bench.sent("StopTransaction")[-1]["reason"] == "Other"
        bench.tap("TAG1")
        await bench.run_for(seconds=20)
        assert bench.world.evse(1).is_contactor_closed, "and somebody may try again"


async def test_an_ev_that_follows_every_lower_limit_in_time_is_left_alone(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await charging(bench)
        for number, limit_a in enumerate((25, 14, 6, 32, 7), 1):
            await set_profile(bench, 1, profile(number, "TxDefaultProfile", [(0, limit_a)]))
            await bench.run_for(seconds=20)
            assert pilot_a(bench) == pytest.approx(limit_a, abs=0.1)
        assert {code for _, code in codes(bench)} == {"NoError"}


async def test_a_profile_for_one_phase_switches_with_the_contactor_open_and_back(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[hal.sim]\ncan_switch_phases = true\n") as bench:
        await charging(bench)
        evse = bench.world.evse(1)
        assert evse.active_phases == 3
        one = profile(1, "TxDefaultProfile", [(0, 3680)], unit="W")
        one["chargingSchedule"]["chargingSchedulePeriod"][0]["numberPhases"] = 1
        assert await set_profile(bench, 1, one) == "Accepted"
        await bench.until(lambda: not evse.is_contactor_closed, 0.2)
        await bench.until(lambda: evse.current_a > 0, 1)
        assert (evse.active_phases, pilot_a(bench)) == (1, pytest.approx(16, abs=0.1))
        assert evse.power_w == pytest.approx(3680, rel=0.01)
        assert bench.evse().hardware.phases == 1
        await bench.run_for(minutes=5)
        three = profile(1, "TxDefaultProfile", [(0, 6900)], unit="W")
        await set_profile(bench, 1, three)
        await bench.until(lambda: evse.active_phases == 3 and evse.current_a > 0, 1)
        assert evse.power_w == pytest.approx(6900, rel=0.01)
        assert not evse.was_switched_under_load
        assert bench.evse().transaction is not None, "one transaction all along"
        answer = await bench.csms.call("GetConfiguration", {"key": ["ConnectorSwitch3to1PhaseSupported"]})
        assert answer.payload["configurationKey"][0]["value"] == "true"


async def test_a_phase_relay_that_sticks_is_told_and_nothing_closes(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[hal.sim]\ncan_switch_phases = true\n") as bench:
        await charging(bench)
        bench.world.set_fault(1, "phase_switch")
        one = profile(1, "TxDefaultProfile", [(0, 10)])
        one["chargingSchedule"]["chargingSchedulePeriod"][0]["numberPhases"] = 1
        await set_profile(bench, 1, one)
        await bench.run_for(minutes=2)
        assert codes(bench)[-1] == ("Faulted", "PowerSwitchFailure")
        assert not bench.world.evse(1).is_contactor_closed
