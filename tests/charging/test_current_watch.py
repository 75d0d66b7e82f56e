"""What the board hears of the meter: while current may flow, the lower one of two readings, nothing that is old."""

from dataclasses import replace

import pytest

from agent.charging.current_watch import FRESH_S, READ_EVERY_S
from hal.errors import DeviceTimeout
from tests.charging.rig import Rig, running


def told(rig: Rig) -> float | None:
    return rig.evse().setpoint.measured_a


async def test_the_meter_is_read_every_2_s_while_the_contactor_is_closed_and_only_then() -> None:
    async with running(given={"MeterValueSampleInterval": "0"}) as rig:
        await rig.run_for(600)
        assert rig.meter().reads == 1, "an idle station leaves its meter alone"
        assert told(rig) is None
        await rig.charge()
        before = rig.meter().reads
        await rig.run_for(60)
        assert 60 / READ_EVERY_S - 1 <= rig.meter().reads - before <= 60 / READ_EVERY_S + 3
        rig.evse().want_power(False)
        await rig.run_for(5)
        before = rig.meter().reads
        await rig.run_for(25)
        assert rig.meter().reads - before <= 1, "the register is noted on disk, nothing else is read"
        assert told(rig) is None


async def test_the_board_hears_what_the_meter_shows() -> None:
    async with running() as rig:
        await rig.charge()
        await rig.run_for(10)
        assert told(rig) == pytest.approx(10.0, abs=0.1)
        rig.evse().ev_power_w = 13_800.0
        await rig.run_for(2 * READ_EVERY_S + 0.1)
        assert told(rig) == pytest.approx(20.0, abs=0.1)
        assert rig.evse().setpoint.allow_power, "what is too much the board decides"


async def test_one_odd_reading_stops_no_car() -> None:
    async with running() as rig:
        await rig.charge()
        await rig.run_for(10)
        reads = rig.meter().reads
        rig.evse().ev_power_w = 69_000.0
        await rig.run_for(READ_EVERY_S)
        assert rig.meter().reads - reads == 1
        rig.evse().ev_power_w = 6900.0
        await rig.run_for(10)
        assert max(setpoint.measured_a or 0.0 for setpoint in rig.evse().setpoints) < 11.0


async def test_a_silent_meter_is_not_asked_again_and_again_and_its_last_word_is_forgotten() -> None:
    async with running(given={"StopChargingOnMeterFailure": "false"}) as rig:
        await rig.charge()
        await rig.run_for(10)
        rig.meter().failure = DeviceTimeout("silent")
        await rig.run_for(FRESH_S + READ_EVERY_S)
        assert told(rig) is None
        before = rig.meter().reads
        await rig.run_for(60)
        assert rig.meter().reads - before <= 6, "as often as its silence is counted anyway"
        rig.meter().failure = None
        await rig.run_for(30)
        assert told(rig) == pytest.approx(10.0, abs=0.1), "and it is watched again when it answers"


async def test_a_board_with_sensors_of_its_own_needs_no_meter() -> None:
    async with running(given={"MeterValueSampleInterval": "0"}) as rig:
        evse = rig.evse()
        evse.state = replace(evse.state, current_a=(0.0, 0.0, 0.0))
        await rig.charge()
        before = rig.meter().reads
        await rig.run_for(25)
        assert rig.meter().reads - before <= 1
        assert told(rig) is None


async def test_a_board_that_measures_one_phase_of_three_hears_of_the_others() -> None:
    async with running(given={"MeterValueSampleInterval": "0"}) as rig:
        evse = rig.evse()
        evse.state = replace(evse.state, phases=3, current_a=(0.0, None, None))
        await rig.charge()
        await rig.run_for(25)
        assert told(rig) is not None


async def test_a_lost_link_forgets_what_was_measured() -> None:
    async with running() as rig:
        await rig.charge()
        await rig.run_for(10)
        rig.evse().lose_link()
        assert told(rig) is None
