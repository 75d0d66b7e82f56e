"""The station on the real firmware and simulated electricity: the same rules, with everything that takes time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agent.charging.facts import FaultRaised
from agent.charging.ids import ChargingState, StopReason
from agent.charging.requests import ChangeAvailability, ResetStation, UnlockConnector, UnlockVerdict
from agent.charging.requests import ResetKind as Kind
from agent.charging.snapshot import SessionState
from hal.factory import HalConfig, SimConfig, open_hardware
from hal.sim.world import World
from tests.charging.rig import Rig, running


@asynccontextmanager
async def simulated(sim: SimConfig | None = None, **given: str) -> AsyncIterator[tuple[Rig, World]]:
    loop = asyncio.get_running_loop()
    opened = open_hardware(HalConfig(sim=sim or SimConfig(meter_start_wh=1000)), loop)
    assert opened.simulation is not None
    tasks = [asyncio.create_task(body()) for _, body in opened.tasks]
    try:
        async with running(opened.hardware, given=given) as rig:
            await rig.run_for(3)
            yield rig, opened.simulation
    finally:
        await opened.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def charge(rig: Rig, world: World) -> None:
    world.plug(draw_after_s=1.0)
    await rig.run_for(1)
    world.tap("TAG1")
    await rig.run_for(15)
    transaction = rig.shown().transaction
    assert transaction is not None
    assert transaction.charging_state is ChargingState.CHARGING


async def test_an_hour_of_charging() -> None:
    async with simulated() as (rig, world):
        await charge(rig, world)
        await rig.run_for(3600)
        world.tap("TAG1")
        await rig.run_for(10)
        (started,) = rig.started
        (stopped,) = rig.stopped
        assert stopped.reason is StopReason.LOCAL
        assert 10_500 < stopped.meter_stop_wh - started.meter_start_wh < 11_500
        assert stopped.meter_stop_wh == int(world.meter_reading(1).energy_import_wh or 0)
        world.unplug()
        await rig.run_for(5)
        assert rig.shown().session is SessionState.IDLE
        states = [
            fact.charging_state
            for fact in rig.journal.facts
            if type(fact).__name__ == "TransactionUpdated" and hasattr(fact, "charging_state")
        ]
        assert states == [ChargingState.CHARGING]


@pytest.mark.req("R16-068")
async def test_ev_pauses_and_resumes() -> None:
    async with simulated() as (rig, world):
        await charge(rig, world)
        world.pause()
        await rig.run_for(5)
        transaction = rig.shown().transaction
        assert transaction is not None
        assert transaction.charging_state is ChargingState.SUSPENDED_EV
        world.resume()
        await rig.run_for(5)
        transaction = rig.shown().transaction
        assert transaction is not None
        assert transaction.charging_state is ChargingState.CHARGING


async def test_unplug_and_card_first_again() -> None:
    async with simulated() as (rig, world):
        await charge(rig, world)
        world.unplug()
        await rig.run_for(10)
        assert rig.stopped[0].reason in (StopReason.EV_DISCONNECTED, StopReason.LOCAL)
        assert rig.shown().session is SessionState.IDLE
        world.tap("TAG2")
        await rig.run_for(2)
        assert rig.shown().session is SessionState.AUTHORIZED
        world.plug()
        await rig.run_for(10)
        assert len(rig.started) == 2


@pytest.mark.req("R16-182")
async def test_unlock_while_charging() -> None:
    async with simulated() as (rig, world):
        await charge(rig, world)
        assert await rig.ask(UnlockConnector(1, 1, True)) is UnlockVerdict.UNLOCKED
        assert rig.stopped[0].reason is StopReason.UNLOCK_COMMAND


async def test_stubborn_ev_is_cut_off_and_billed_to_the_end() -> None:
    async with simulated() as (rig, world):
        world.plug(draw_after_s=1.0, is_stubborn=True)
        await rig.run_for(1)
        world.tap("TAG1")
        await rig.run_for(15)
        world.tap("TAG1")
        await rig.run_for(1)
        assert not rig.stopped
        await rig.run_for(10)
        assert rig.stopped[0].meter_stop_wh == int(world.meter_reading(1).energy_import_wh or 0)


@pytest.mark.req("R16-079")
@pytest.mark.req("G05.FR.01")
async def test_lock_that_jams_prevents_the_transaction() -> None:
    async with simulated() as (rig, world):
        world.set_fault(1, "lock_fail")
        world.plug()
        await rig.run_for(1)
        world.tap("TAG1")
        await rig.run_for(60)
        assert not rig.started
        assert [fact.code for fact in rig.told(FaultRaised)] == ["lock_fail"], "tried once, reported once"
        assert rig.shown().session is SessionState.PLUGGED


@pytest.mark.req("R16-123")
async def test_emergency_stop() -> None:
    async with simulated() as (rig, world):
        await charge(rig, world)
        world.set_fault(1, "emergency_stop")
        await rig.run_for(5)
        assert rig.stopped[0].reason is StopReason.EMERGENCY_STOP
        assert rig.shown().is_faulted


async def test_hard_reset_and_inoperative_leave_nothing_closed() -> None:
    async with simulated() as (rig, world):
        await charge(rig, world)
        await rig.ask(ResetStation(Kind.HARD))
        await rig.run_for(8)
        assert rig.resets == [Kind.HARD]
        assert world.meter_reading(1).power_w == 0
        await rig.ask(ChangeAvailability(1, 0, False))
        await rig.run_for(1)
        assert not rig.shown().is_operative


async def test_fixed_cable() -> None:
    async with simulated(SimConfig(has_lock=False)) as (rig, world):
        await charge(rig, world)
        world.unplug()
        await rig.run_for(5)
        assert rig.shown().session is SessionState.IDLE
        assert len(rig.stopped) == 1
