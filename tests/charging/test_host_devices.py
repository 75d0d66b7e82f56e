"""The station with what hangs on the controller itself: a button, an emergency stop, a reader that is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.charging.facts import FaultCleared, FaultRaised
from agent.charging.ids import ChargingState, StopReason
from agent.charging.snapshot import SessionState
from hal.factory import GpioConfig, HalConfig, ReaderConfig, SimConfig, open_hardware
from hal.sim.world import World
from tests.charging.rig import Rig, running
from tests.helpers.gpio_lines import FakeChip

CONFIG = HalConfig(
    sim=SimConfig(meter_start_wh=1000),
    readers=[ReaderConfig(model="pn532", port="/dev/no-such-reader")],
    gpio=[
        GpioConfig(name="start", kind="button", line="START", id_token="FREE"),
        GpioConfig(name="stop", kind="emergency_stop", line="STOP"),
    ],
)


@asynccontextmanager
async def station() -> AsyncIterator[tuple[Rig, World, FakeChip]]:
    chip = FakeChip()
    opened = open_hardware(CONFIG, asyncio.get_running_loop(), chip.request)
    assert opened.simulation is not None
    tasks = [asyncio.create_task(body()) for _, body in opened.tasks]
    try:
        async with running(opened.hardware, given={}) as rig:
            await rig.run_for(3)
            yield rig, opened.simulation, chip
    finally:
        await opened.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def press(rig: Rig, chip: FakeChip, line: str) -> None:
    chip.drive(line, True)
    await rig.run_for(0.3)
    chip.drive(line, False)


async def start_by_button(rig: Rig, world: World, chip: FakeChip) -> None:
    world.plug(draw_after_s=1.0)
    await rig.run_for(1)
    await press(rig, chip, "START")
    await rig.run_for(15)


async def test_a_button_starts_and_stops_a_transaction_while_the_reader_is_gone() -> None:
    async with station() as (rig, world, chip):
        await start_by_button(rig, world, chip)
        transaction = rig.shown().transaction
        assert transaction is not None
        assert transaction.charging_state is ChargingState.CHARGING
        faults = [fact.code for fact in rig.facts if isinstance(fact, FaultRaised)]
        assert faults == ["reader_failure"], "a warning, told once, and charging goes on"
        await press(rig, chip, "START")
        await rig.run_for(10)
        (stopped,) = rig.stopped
        assert stopped.reason is StopReason.LOCAL


async def test_an_emergency_stop_ends_the_transaction_and_stands_until_the_cable_is_out() -> None:
    async with station() as (rig, world, chip):
        await start_by_button(rig, world, chip)
        chip.drive("STOP", True)
        await rig.run_for(10)
        (stopped,) = rig.stopped
        assert stopped.reason is StopReason.EMERGENCY_STOP
        chip.drive("STOP", False)
        await rig.run_for(30)
        await press(rig, chip, "START")
        await rig.run_for(10)
        assert len(rig.started) == 1, "nothing starts under a latched fault"
        world.unplug()
        await rig.run_for(10)
        assert rig.shown().session is SessionState.IDLE
        assert "emergency_stop" in [fact.code for fact in rig.facts if isinstance(fact, FaultCleared)]
        await start_by_button(rig, world, chip)
        assert len(rig.started) == 2
