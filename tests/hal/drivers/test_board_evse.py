"""The board's ports: translation between SI and the wire, and every port against the real firmware."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board import wire
from hal.drivers.board_evse import (
    BoardEvse,
    BoardIndicator,
    BoardLock,
    BoardOutput,
    BoardSensor,
    IoBoard,
    board_faults,
    to_state,
    to_wire,
)
from hal.drivers.board_link import BoardLink
from hal.errors import DeviceFault, DeviceMissing, OutOfRange
from hal.ports import (
    ContactorState,
    EvseEvent,
    FaultCode,
    LockCommand,
    PilotState,
    Setpoint,
)
from hal.sim.firmware import SimulatedBoard
from hal.sim.world import World


class Bench:
    """One EVSE of real firmware on simulated electricity."""

    def __init__(self, **world: object) -> None:
        self.world = World(**world)  # type: ignore[arg-type]
        self.board = SimulatedBoard(self.world, outputs=("k1", "k2"))
        self.link = BoardLink(self.board.line, "1.2.3")
        self.evse = BoardEvse(self.link, 1, 20.0, self.world.loop.time())
        self.events: list[EvseEvent] = []
        self.evse.subscribe(self.events.append)

    def close(self) -> None:
        self.board.close()
        self.world.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    task = asyncio.create_task(bench.link.run())
    bench.evse.apply(Setpoint())
    await asyncio.sleep(5)  # HELLO, and the self-test after power-up
    bench.events.clear()
    yield bench
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    bench.close()


# ---- translation


@pytest.mark.parametrize(
    ("limit_a", "tenths"),
    [(0.0, 0), (6.0, 60), (10.06, 100), (13.99, 139), (16.1, 161), (40.0, 320), (-1.0, 0)],
)
def test_the_limit_is_rounded_down_and_kept_within_the_installation(limit_a: float, tenths: int) -> None:
    assert to_wire(1, Setpoint(limit_a=limit_a), max_current_a=32.0).limit_da == tenths


@pytest.mark.parametrize(
    ("setpoint", "flags"),
    [
        (Setpoint(available=False, phases=1), 0),
        (Setpoint(phases=1), wire.AVAILABLE),
        (Setpoint(allow_power=True), wire.AVAILABLE | wire.ALLOW_POWER | wire.THREE_PHASE),
        (Setpoint(phases=1, lock=LockCommand.HOLD), wire.AVAILABLE | wire.LOCK_HOLD),
        (Setpoint(phases=1, lock=LockCommand.RELEASE), wire.AVAILABLE | wire.LOCK_RELEASE),
    ],
)
def test_every_wish_has_its_flag(setpoint: Setpoint, flags: int) -> None:
    assert to_wire(2, setpoint, 32.0).flags == flags


@given(st.floats(-10, 1000), st.floats(-10, 1e6), st.floats(-10, 1000))
def test_no_setpoint_overflows_the_wire(limit_a: float, lease_s: float, fallback_a: float) -> None:
    sent = to_wire(1, Setpoint(limit_a=limit_a, lease_s=lease_s, fallback_a=fallback_a), 80.0)
    assert wire.unpack_setpoint(sent.pack()).limit_da <= max(0.0, limit_a * 10) + 1e-3
    assert sent.lease_ms <= wire.MAX_LEASE_MS


def test_a_status_becomes_si() -> None:
    status = wire.Status(1)
    status.pilot, status.contactor, status.lock = wire.PILOT_C, wire.CONTACTOR_FEEDBACK, wire.LOCK_LOCKED
    status.cable_a, status.duty, status.cp_high_mv, status.cp_low_mv = 32, 2666, 6010, -11980
    status.faults, status.temperature, status.residual, status.outlet = wire.F_TEMP_WARN, 714, 23, 2
    state = to_state(status, 5.0)
    assert (state.pilot, state.contactor, state.locked) == (PilotState.C, ContactorState.CLOSED, True)
    assert (state.cable_a, state.duty_percent, state.temperature_c) == (32.0, 26.66, 71.4)
    assert (state.pilot_high_mv, state.pilot_low_mv) == (6010, -11980)
    assert state.residual_current_a == pytest.approx(0.0023)
    assert (state.faults, state.connector_id, state.is_offering) == ({FaultCode.TEMP_WARN}, 2, True)


def test_what_a_status_does_not_have_is_none() -> None:
    state = to_state(wire.Status(1), 0.0)
    assert (state.locked, state.cable_a, state.temperature_c) == (None, None, None)
    assert (state.contactor, state.is_offering) == (ContactorState.OPEN, False)


def test_phases_and_own_currents_are_told_where_the_board_knows_them() -> None:
    status = wire.Status(1)
    assert (to_state(status, 0.0).phases, to_state(status, 0.0).current_a) == (None, (None, None, None))
    status.phases, status.currents = 1, (158, 0, wire.NO_CURRENT)
    assert (to_state(status, 0.0).phases, to_state(status, 0.0).current_a) == (1, (15.8, 0.0, None))


@pytest.mark.parametrize(
    ("measured_a", "measured_da"),
    [(None, wire.NO_CURRENT), (0.0, 0), (15.86, 158), (1e6, wire.NO_CURRENT - 1), (-3.0, 0)],
)
def test_what_the_meter_shows_goes_along(measured_a: float | None, measured_da: int) -> None:
    assert to_wire(1, Setpoint(measured_a=measured_a), 32.0).measured_da == measured_da


def test_the_contactor_is_told_by_feedback_and_not_by_command() -> None:
    status = wire.Status(1)
    status.contactor = wire.CONTACTOR_COMMAND
    assert to_state(status, 0.0).contactor is ContactorState.OPEN


def test_every_fault_of_the_wire_has_a_fault_code() -> None:
    assert board_faults((1 << len(wire.FAULT_NAMES)) - 1) == {FaultCode(name) for name in wire.FAULT_NAMES}
    assert board_faults(1 << 31) == frozenset()


# ---- the EVSE against the firmware


async def test_capabilities_come_from_the_board_within_the_installation(bench: Bench) -> None:
    capabilities = bench.evse.capabilities
    assert capabilities.max_current_a == 20.0
    assert capabilities.min_current_a == 6.0
    assert (capabilities.phases, capabilities.has_lock, capabilities.has_rcd_test) == (3, True, True)
    assert (capabilities.can_wake_up, capabilities.has_ventilation) == (True, False)


def test_before_hello_the_evse_can_nothing() -> None:
    loop = asyncio.new_event_loop()
    bench = Bench(loop=loop)
    assert bench.evse.capabilities.max_current_a == 0.0
    assert (bench.evse.state.link_ok, bench.evse.state.contactor) == (False, ContactorState.UNKNOWN)
    bench.close()
    loop.close()


async def test_the_events_of_a_charge_tell_its_story(bench: Bench) -> None:
    bench.evse.apply(Setpoint(allow_power=True, limit_a=32.0))
    bench.world.plug(1, draw_after_s=2.0)
    await asyncio.sleep(20)
    assert bench.evse.state.duty_percent == pytest.approx(20 / 0.6, abs=0.1)
    assert bench.evse.state.cable_a == 32
    assert bench.evse.state.locked is True
    bench.world.unplug(1)
    await asyncio.sleep(20)
    pilots = [event.state.pilot for event in bench.events]
    changes = [pilot for pilot, _ in itertools.groupby(pilots)]
    assert changes in (["B", "C", "B", "A"], ["A", "B", "C", "B", "A"])
    assert {event.kind for event in bench.events} == {"state"}
    assert bench.evse.state.cable_a is None


async def test_the_connector_in_use_is_known(bench: Bench) -> None:
    two = Bench(connectors_per_evse=2)
    task = asyncio.create_task(two.link.run())
    two.world.plug(1, connector_id=2)
    await asyncio.sleep(5)
    assert two.evse.state.connector_id == 2
    task.cancel()
    two.close()


async def test_a_fault_is_told_once_and_its_end_too(bench: Bench) -> None:
    bench.world.set_fault(1, FaultCode.DOOR_OPEN)
    await asyncio.sleep(3)
    assert FaultCode.DOOR_OPEN in bench.evse.state.faults
    bench.world.clear_fault(1, FaultCode.DOOR_OPEN)
    await asyncio.sleep(10)
    told = [(event.kind, event.fault) for event in bench.events if event.fault]
    assert told == [("fault", FaultCode.DOOR_OPEN), ("fault_cleared", FaultCode.DOOR_OPEN)]


async def test_a_listener_that_was_stopped_hears_nothing(bench: Bench) -> None:
    heard: list[EvseEvent] = []
    stop = bench.evse.subscribe(heard.append)
    stop()
    stop()
    bench.world.plug(1)
    await asyncio.sleep(5)
    assert heard == []


async def test_a_latched_fault_is_cleared_once_its_cause_is_gone(bench: Bench) -> None:
    bench.world.plug(1)
    await asyncio.sleep(5)
    bench.world.set_fault(1, FaultCode.EMERGENCY_STOP)
    await asyncio.sleep(1)
    assert await bench.evse.clear_fault(FaultCode.EMERGENCY_STOP) is False
    bench.world.clear_fault(1, FaultCode.EMERGENCY_STOP)
    await asyncio.sleep(10)
    assert FaultCode.EMERGENCY_STOP in bench.evse.state.faults
    assert await bench.evse.clear_fault(FaultCode.EMERGENCY_STOP) is True
    await asyncio.sleep(1)
    assert bench.evse.state.faults == frozenset()


async def test_a_fault_of_the_host_is_not_the_boards_to_clear(bench: Bench) -> None:
    assert await bench.evse.clear_fault(FaultCode.METER_COMM) is False


async def test_the_self_test_passes_fails_and_is_refused_with_a_car(bench: Bench) -> None:
    assert await bench.evse.rcd_self_test() is True
    bench.world.set_fault(1, FaultCode.RCD_SELF_TEST)
    assert await bench.evse.rcd_self_test() is False
    bench.world.plug(1)
    await asyncio.sleep(2)
    with pytest.raises(DeviceFault) as refusal:
        await bench.evse.rcd_self_test()
    assert refusal.value.code == "not_allowed"


async def test_a_sleeping_ev_is_woken_and_an_absent_one_is_not(bench: Bench) -> None:
    with pytest.raises(DeviceFault) as refusal:
        await bench.evse.wake_up_ev()
    assert refusal.value.code == "not_allowed"
    bench.evse.apply(Setpoint(allow_power=True, limit_a=16.0))
    bench.world.plug(1, is_asleep=True)
    await asyncio.sleep(90)
    assert bench.evse.state.pilot is PilotState.B
    await bench.evse.wake_up_ev()
    await asyncio.sleep(30)
    assert bench.evse.state.pilot is PilotState.C


# ---- the other ports


async def test_the_lock_opens_for_a_cable_and_not_under_power(bench: Bench) -> None:
    lock = BoardLock(bench.link, 1)
    bench.evse.apply(Setpoint(allow_power=True, limit_a=16.0))
    bench.world.plug(1)
    await asyncio.sleep(20)
    with pytest.raises(DeviceFault) as refusal:
        await lock.unlock()
    assert refusal.value.code == "not_allowed"
    bench.evse.apply(Setpoint(lock=LockCommand.HOLD))
    await asyncio.sleep(10)
    assert bench.evse.state.locked is True
    assert await lock.unlock() is True
    await asyncio.sleep(1)
    assert bench.evse.state.locked is False


async def test_a_jammed_lock_is_false_and_no_exception(bench: Bench) -> None:
    bench.evse.apply(Setpoint(lock=LockCommand.HOLD))
    bench.world.plug(1)
    await asyncio.sleep(5)
    bench.world.set_fault(1, FaultCode.UNLOCK_FAIL)
    assert await BoardLock(bench.link, 1).unlock() is False


async def test_an_output_is_switched_pulsed_and_off_after_a_restart(bench: Bench) -> None:
    fan = BoardOutput(bench.link, "fan", 1)
    assert (fan.name, fan.is_on) == ("fan", False)
    await fan.set(True)
    assert fan.is_on
    assert bench.board.output_states == {"k1": False, "k2": True}
    await fan.set(False)
    assert not fan.is_on
    await fan.pulse(0.5)
    assert fan.is_on
    assert bench.board.output_states["k2"]
    await asyncio.sleep(0.6)
    assert not fan.is_on
    assert not bench.board.output_states["k2"]
    await fan.set(True)
    bench.board.reset("wdt")
    await asyncio.sleep(5)
    assert bench.link.is_linked
    assert not fan.is_on


@pytest.mark.parametrize("duration_s", [0.0, 0.04, 5.1, -1.0])
async def test_a_pulse_out_of_range_is_not_sent(bench: Bench, duration_s: float) -> None:
    with pytest.raises(OutOfRange):
        await BoardOutput(bench.link, "fan", 1).pulse(duration_s)


async def test_an_output_that_the_board_has_not_is_out_of_range(bench: Bench) -> None:
    with pytest.raises(OutOfRange, match="2 outputs, no number 7"):
        await BoardOutput(bench.link, "fan", 7).set(True)


async def test_the_light_shows_a_pattern_for_a_while(bench: Bench) -> None:
    light = BoardIndicator(bench.link, 1)
    before = bench.board.patterns[1]
    await light.show("breathe", 2.5)
    await asyncio.sleep(0.1)
    assert bench.board.patterns[1] == "breathe"
    await asyncio.sleep(3.1)
    assert bench.board.patterns[1] == before
    for pattern, duration_s in (("rainbow", 1.0), ("blink", 0.0), ("blink", 301.0)):
        with pytest.raises(OutOfRange):
            await light.show(pattern, duration_s)


async def test_the_board_reads_its_inputs_by_name(bench: Bench) -> None:
    board = IoBoard(bench.link)
    values = await board.read(["cp_high_mv", "supply_v", "1.residual_ma", "uptime_ms"])
    assert values["cp_high_mv"] == pytest.approx(12_000, abs=200)
    assert values["supply_v"] == 12.0
    assert values["1.residual_ma"] == 0.0
    assert set(values) == {"cp_high_mv", "supply_v", "1.residual_ma", "uptime_ms"}
    many = [f"1.{name}" for name in ("cp_high_mv", "cp_low_mv", "residual_ma", "uptime_ms", "supply_v")]
    assert set(await board.read([*many, "cp_high_mv", "cp_low_mv", "residual_ma", "supply_v"])) >= set(many)
    with pytest.raises(DeviceFault) as refusal:
        await board.read(["colour"])
    assert refusal.value.code == "bad_args"
    assert await BoardSensor(board, "supply_v").read() == 12.0


async def test_the_board_restarts_only_when_every_evse_is_idle(bench: Bench) -> None:
    board = IoBoard(bench.link)
    assert (board.firmware_version, board.is_linked) == ("0.1.0", True)
    bench.world.plug(1)
    await asyncio.sleep(2)
    with pytest.raises(DeviceFault) as refusal:
        await board.reboot()
    assert refusal.value.code == "not_allowed"
    bench.world.unplug(1)
    await asyncio.sleep(10)
    bench.events.clear()
    await board.reboot()
    await asyncio.sleep(5)
    assert board.is_linked
    assert [event.detail for event in bench.events if event.kind == "board_reset"] == ["soft"]


async def test_without_a_link_every_port_says_that_the_device_is_missing(bench: Bench) -> None:
    bench.board.line.unplug()
    for request in (
        BoardOutput(bench.link, "fan", 0).set(True),
        BoardLock(bench.link, 1).unlock(),
        BoardIndicator(bench.link, 1).show("blink", 1),
        IoBoard(bench.link).reboot(),
        IoBoard(bench.link).read(["uptime_ms"]),
        bench.evse.clear_fault(FaultCode.RCD_DC),
    ):
        with pytest.raises(DeviceMissing):
            await request
