"""Simulated electricity: the EV's behaviour, exact energy, and arguments that name what is wrong with them."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.errors import DeviceTimeout
from hal.ports import FaultCode
from hal.sim import vehicle
from hal.sim.evse import CABLE_OUT_S, CONTACTOR_TRAVEL_S, LOCK_TRAVEL_S
from hal.sim.world import SETTABLE_FAULTS, World


async def _charging(world: World, **plug: Any) -> None:
    """An EV at 16 A, by driving the pins as a board would."""
    world.plug(1, draw_after_s=0, **plug)
    await asyncio.sleep(0.1)
    world.evse(1).drive_pilot(16 / 0.6)
    await asyncio.sleep(1)
    world.evse(1).drive_contactor(True)
    await asyncio.sleep(2)


@pytest.mark.parametrize(
    ("duty_percent", "current_a"),
    [(100, 0), (5, 0), (9, 6), (10, 6), (26.66, 16), (53.33, 32), (96, 80), (98, 0)],
)
def test_what_the_ev_makes_of_a_duty(duty_percent: float, current_a: float) -> None:
    assert vehicle.offered_current_a(duty_percent) == pytest.approx(current_a, abs=0.01)


async def test_an_ev_goes_to_c_only_with_pwm_and_draws_only_with_voltage() -> None:
    world = World()
    evse = world.evse(1)
    world.plug(1, after_s=2, draw_after_s=1)
    await asyncio.sleep(1.9)
    assert evse.pilot_mv() == (12000, 12000)
    await asyncio.sleep(5)
    assert 7900 <= evse.pilot_mv()[0] <= 10100, "state B as long as nothing is offered"
    evse.drive_pilot(16 / 0.6)
    await asyncio.sleep(vehicle.SEE_OFFER_S + 0.01)
    high_mv, low_mv = evse.pilot_mv()
    assert 4900 <= high_mv <= 7100
    assert low_mv == -12000
    await asyncio.sleep(10)
    assert evse.power_w == 0
    evse.drive_contactor(True)
    await asyncio.sleep(CONTACTOR_TRAVEL_S + vehicle.FIRST_DRAW_S + 0.01)
    assert evse.power_w == pytest.approx(3 * 230 * 16)
    world.close()


async def test_the_ev_follows_a_new_offer_and_stops_with_pwm() -> None:
    world = World()
    evse = world.evse(1)
    await _charging(world, current_a=20)
    assert evse.current_a == pytest.approx(16)
    evse.drive_pilot(10)
    await asyncio.sleep(vehicle.FOLLOW_S + 0.01)
    assert evse.current_a == pytest.approx(6)
    evse.drive_pilot(100)
    await asyncio.sleep(3)
    assert evse.current_a == 0
    assert evse.pilot_mv()[0] > 7900
    world.close()


async def test_energy_is_exact_and_needs_no_task() -> None:
    world = World(meter_start_wh=1000)
    await _charging(world)
    start_wh = world.meter_reading(1).energy_import_wh
    assert start_wh is not None
    await asyncio.sleep(3600)
    reading = world.meter_reading(1)
    assert reading.energy_import_wh == pytest.approx(start_wh + 3 * 230 * 16)
    assert reading.power_w == pytest.approx(3 * 230 * 16)
    assert reading.at_time == asyncio.get_running_loop().time()
    world.close()


@given(st.lists(st.floats(0.001, 5000), min_size=1, max_size=20))
def test_the_register_is_the_same_however_often_it_is_read(pauses: list[float]) -> None:
    async def story(reads: bool) -> float:
        world = World()
        await _charging(world)
        for pause_s in pauses:
            await asyncio.sleep(pause_s)
            if reads:
                world.meter_reading(1)
        energy_wh = world.meter_reading(1).energy_import_wh
        world.close()
        assert energy_wh is not None
        return energy_wh

    from tests.helpers.virtual_time import VirtualTimeLoop

    results = []
    for reads in (False, True):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            results.append(runner.run(story(reads)))
    assert results[0] == pytest.approx(results[1])


async def test_unplugging_stops_the_current_first_and_frees_the_cable() -> None:
    world = World(has_lock=True)
    evse = world.evse(1)
    await _charging(world)
    evse.drive_lock(True)
    await asyncio.sleep(1)
    seen: list[tuple[float, int]] = []
    world.subscribe(lambda _: seen.append((evse.current_a, evse.pilot_mv()[0])))
    world.unplug(1)
    await asyncio.sleep(2)
    assert seen[0][0] == 0, "no current when S2 opens"
    assert seen[-1] == (0, 12000)
    assert not evse.is_plugged
    assert evse.proximity_ohm == 220, "the lock still holds the cable"
    evse.drive_lock(False)
    await asyncio.sleep(LOCK_TRAVEL_S + CABLE_OUT_S + 0.01)
    assert evse.proximity_ohm == 0
    world.close()


async def test_pause_and_resume() -> None:
    world = World()
    await _charging(world)
    world.pause(1)
    await asyncio.sleep(2)
    assert world.evse(1).power_w == 0
    assert world.evse(1).pilot_mv()[0] > 7900
    world.resume(1)
    await asyncio.sleep(3)
    assert world.evse(1).power_w > 0
    world.close()


@pytest.mark.parametrize("draw_after_s", [None, -1])
async def test_an_ev_that_never_wants_energy_stays_in_b(draw_after_s: float | None) -> None:
    world = World()
    world.plug(1, draw_after_s=draw_after_s)
    world.evse(1).drive_pilot(50)
    await asyncio.sleep(100)
    assert not world.evse(1).vehicle.has_s2_closed  # type: ignore[union-attr]
    world.close()


async def test_a_sleeping_ev_wakes_by_a_pulse() -> None:
    world = World()
    world.plug(1, draw_after_s=0, is_asleep=True)
    await asyncio.sleep(1)
    world.evse(1).drive_pilot(50)
    await asyncio.sleep(100)
    assert world.evse(1).pilot_mv()[0] > 7900
    world.evse(1).drive_pilot(None)
    await asyncio.sleep(4)
    world.evse(1).drive_pilot(50)
    await asyncio.sleep(2)
    assert world.evse(1).pilot_mv()[0] < 7100
    world.close()


async def test_planned_unplug_and_diode_failure() -> None:
    world = World()
    await _charging(world, unplug_after_s=60, diode_fail_after_s=30)
    assert world.evse(1).pilot_mv()[1] == -12000
    await asyncio.sleep(30)
    assert world.evse(1).pilot_mv()[1] > -10000
    await asyncio.sleep(40)
    assert not world.evse(1).is_plugged
    world.close()


@pytest.mark.parametrize(("built", "car", "active"), [(3, 3, 3), (3, 1, 1), (1, 3, 1)])
async def test_phases_are_those_of_car_and_station(built: int, car: int, active: int) -> None:
    world = World(phases=built)
    await _charging(world, phases=car)
    reading = world.meter_reading(1)
    assert reading.power_w == pytest.approx(active * 230 * 16)
    assert [current is not None for current in reading.current_a] == [phase < built for phase in range(3)]
    assert sum(current or 0 for current in reading.current_a) == pytest.approx(active * 16)
    world.close()


async def test_the_register_starts_anew_at_the_plug_in_if_the_meter_does_so() -> None:
    world = World(meter_start_wh=500, meter_resets_on_plug_in=True)
    assert world.meter_reading(1).energy_import_wh == 500
    world.plug(1)
    await asyncio.sleep(1)
    assert world.meter_reading(1).energy_import_wh == 0
    world.close()


async def test_evses_are_apart_and_the_main_meter_adds_them() -> None:
    world = World(evses=3)
    await _charging(world)
    assert [evse.power_w > 0 for evse in world.evses.values()] == [True, False, False]
    assert world.main_meter_reading().power_w == world.evse(1).power_w
    world.close()


async def test_a_silent_meter_gives_an_error_not_a_number() -> None:
    world = World()
    world.set_fault(1, "meter_comm")
    with pytest.raises(DeviceTimeout):
        world.meter_reading(1)
    world.clear_fault(1, "meter_comm")
    world.meter_reading(1)


async def test_a_welded_contactor_stays_closed_and_power_flows_on() -> None:
    world = World()
    await _charging(world, is_stubborn=True)
    world.set_fault(1, "contactor_welded")
    world.evse(1).drive_contactor(False)
    await asyncio.sleep(1)
    assert world.evse(1).is_contactor_closed
    assert world.evse(1).power_w > 0
    world.clear_fault(1, "contactor_welded")
    assert world.evse(1).power_w == 0
    world.close()


async def test_taps_reach_their_listeners_until_they_leave() -> None:
    world = World(evses=2)
    heard: list[tuple[str, str, tuple[int, ...]]] = []
    leave = world.subscribe_taps(lambda *tap: heard.append(tap))
    world.tap("04A1B2C3")
    world.tap("1234", type="KeyCode", evses=[2])
    leave()
    leave()
    world.tap("04A1B2C3")
    assert heard == [("04A1B2C3", "ISO14443", ()), ("1234", "KeyCode", (2,))]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("evse_id", lambda world: world.plug(2)),
        ("evse_id", lambda world: world.unplug(1)),
        ("evse_id", lambda world: world.pause(1)),
        ("connector_id", lambda world: world.plug(1, 2)),
        ("after_s", lambda world: world.plug(1, after_s=-1)),
        ("current_a", lambda world: world.plug(1, current_a=-1)),
        ("current_a", lambda world: world.plug(1, current_a=float("nan"))),
        ("phases", lambda world: world.plug(1, phases=4)),
        ("cable_a", lambda world: world.plug(1, cable_a=16)),
        ("unplug_after_s", lambda world: world.plug(1, unplug_after_s=-2)),
        ("diode_fail_after_s", lambda world: world.plug(1, diode_fail_after_s=-2)),
        ("code", lambda world: world.set_fault(1, "gremlins")),
        ("code", lambda world: world.set_fault(1, "over_voltage")),
        ("evses", lambda world: world.tap("A", evses=[5])),
        ("id_token", lambda world: world.tap("")),
        ("phases", lambda world: World(phases=2)),
        ("evses", lambda world: World(evses=0)),
    ],
)
async def test_a_wrong_argument_is_named(name: str, call: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        call(World())


async def test_plugging_twice_is_refused() -> None:
    world = World()
    world.plug(1, after_s=5)
    with pytest.raises(ValueError, match=r"^evse_id: "):
        world.plug(1)
    world.unplug(1)
    await asyncio.sleep(10)
    assert not world.evse(1).is_plugged, "an EV on its way can be called off"


@pytest.mark.parametrize("code", sorted(SETTABLE_FAULTS))
async def test_every_settable_fault_can_be_set_and_cleared(code: FaultCode) -> None:
    world = World()
    await _charging(world)
    world.set_fault(1, code)
    world.clear_fault(1, code.value)
    assert world.evse(1).faults == set()
    world.close()


async def test_a_plug_that_is_half_in_makes_contact_and_cannot_be_locked() -> None:
    world = World()
    evse = world.evse(1)
    world.plug(1, is_half_in=True)
    await asyncio.sleep(0.1)
    assert evse.proximity_ohm == 220
    evse.drive_lock(True)
    await asyncio.sleep(2)
    assert not evse.is_locked
    world.unplug(1)
    await asyncio.sleep(3)
    world.plug(1)
    evse.drive_lock(None)
    evse.drive_lock(True)
    await asyncio.sleep(2)
    assert evse.is_locked
    world.close()


async def test_a_cable_torn_out_is_gone_at_once() -> None:
    world = World()
    evse = world.evse(1)
    await _charging(world, unplug_after_s=3600)
    assert evse.power_w > 0
    world.unplug(1, is_torn_out=True)
    assert (evse.is_plugged, evse.power_w, evse.pilot_mv()[0]) == (False, 0, 12000)
    await asyncio.sleep(7200)
    world.close()
