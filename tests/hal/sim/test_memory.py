"""A simulated world with a memory is the same world after a restart of the process."""

import asyncio
import json
import logging
from pathlib import Path

import pytest

from hal.ports import FaultCode
from hal.sim.memory import COUNTS_ON_S, WorldMemory
from hal.sim.world import World


class WallClock:
    def __init__(self) -> None:
        self.off_s = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.off_s


async def _charging(path: Path, now: WallClock) -> tuple[World, WorldMemory]:
    world = World(evses=2, meter_start_wh=500)
    memory = WorldMemory(world, path, now)
    memory.recall()
    world.plug(1, draw_after_s=0, current_a=10, phases=1)
    await asyncio.sleep(0.1)
    evse = world.evse(1)
    evse.drive_lock(True)
    evse.drive_pilot(16 / 0.6)
    await asyncio.sleep(1)
    evse.drive_contactor(True)
    await asyncio.sleep(30)
    return world, memory


def _power_cut(world: World, memory: WorldMemory) -> None:
    """Nothing more is written."""
    memory.save = lambda: None  # type: ignore[method-assign]
    memory.close()
    world.close()


async def test_a_car_stays_plugged_in_locked_and_hungry_over_a_power_cut(tmp_path: Path) -> None:
    now = WallClock()
    world, memory = await _charging(tmp_path / "world.json", now)
    counted_wh = world.evse(1).energy_wh
    world.set_fault(2, "door_open")
    _power_cut(world, memory)
    now.off_s = 3600.0
    again = World(evses=2, meter_start_wh=500)
    memory = WorldMemory(again, tmp_path / "world.json", now)
    memory.recall()
    evse = again.evse(1)
    assert evse.vehicle is not None
    assert (evse.vehicle.plug.current_a, evse.vehicle.plug.phases) == (10, 1)
    assert evse.is_locked
    assert not evse.is_contactor_closed
    assert evse.proximity_ohm == 220
    assert not again.evse(2).is_plugged
    assert again.evse(2).faults == {FaultCode.DOOR_OPEN}
    last_w = 10 * 230
    assert counted_wh <= evse.energy_wh <= counted_wh + last_w * COUNTS_ON_S / 3600
    evse.drive_pilot(16 / 0.6)
    await asyncio.sleep(1)
    assert 4900 <= evse.pilot_mv()[0] <= 7100, "it goes to state C by itself"
    memory.close()
    again.close()


async def test_the_register_is_written_while_current_flows(tmp_path: Path) -> None:
    world, memory = await _charging(tmp_path / "world.json", WallClock())
    before = json.loads((tmp_path / "world.json").read_text())["evses"]["1"]["energy_wh"]
    await asyncio.sleep(60)
    after = json.loads((tmp_path / "world.json").read_text())["evses"]["1"]["energy_wh"]
    assert after - before == pytest.approx(10 * 230 / 60, rel=0.05)
    memory.close()
    world.close()


async def test_a_cable_that_the_lock_holds_is_still_there_without_a_car(tmp_path: Path) -> None:
    now = WallClock()
    world, memory = await _charging(tmp_path / "world.json", now)
    world.unplug(1)
    await asyncio.sleep(5)
    assert not world.evse(1).is_plugged
    _power_cut(world, memory)
    again = World(evses=2)
    memory = WorldMemory(again, tmp_path / "world.json", now)
    memory.recall()
    evse = again.evse(1)
    assert (evse.is_plugged, evse.is_locked, evse.cable_a) == (False, True, 32)
    evse.drive_lock(False)
    await asyncio.sleep(2)
    assert evse.cable_a is None
    memory.close()
    again.close()


async def test_a_file_that_makes_no_sense_is_a_new_world(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, text in enumerate(["{", "[]", "{}", '{"saved_at": 0, "evses": {"1": {}}}']):
        path = tmp_path / f"{number}.json"
        path.write_text(text)
        world = World(meter_start_wh=7)
        memory = WorldMemory(world, path)
        with caplog.at_level(logging.WARNING):
            caplog.clear()
            memory.recall()
        assert "forgets" in caplog.text
        assert not world.evse(1).is_plugged
        assert world.evse(1).energy_wh == 7
        memory.close()
        world.close()
