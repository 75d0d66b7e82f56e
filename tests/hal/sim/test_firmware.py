"""The real firmware on simulated electricity: its timing on loop time, its line, resets, and what idling costs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from board import wire
from hal.errors import DeviceMissing
from hal.ports import FaultCode
from hal.sim.firmware import SimulatedBoard
from hal.sim.world import World
from tests.helpers.virtual_time import VirtualTimeLoop


class Host:
    """Says HELLO, keeps the setpoint leased each second, acknowledges events."""

    def __init__(self, world: World, board: SimulatedBoard) -> None:
        self.world = world
        self.board = board
        self.setpoint: wire.Setpoint | None = None
        self.status = wire.Status(0)
        self.events: list[wire.Event] = []
        self.hellos: list[dict[str, object]] = []
        self._reader = wire.Reader()

    def send(self, message_type: int, payload: bytes = b"") -> None:
        self.board.line.write(wire.encode(message_type, 1, payload))

    async def run(self) -> None:
        await self.board.line.open(self._on_bytes, lambda error: None)
        self.hello()
        while True:
            if self.setpoint is not None:
                self.send(wire.SETPOINT, self.setpoint.pack())
            await asyncio.sleep(1)

    def hello(self) -> None:
        self.send(wire.HELLO, wire.pack_json(wire.hello_request("test")))

    def _on_bytes(self, octets: bytes) -> None:
        for message_type, _, payload in self._reader.feed(octets)[0]:
            if message_type == wire.STATUS:
                self.status = wire.unpack_status(payload)
            elif message_type == wire.EVENT:
                event = wire.unpack_event(payload)
                self.events.append(event)
                self.send(wire.EVENT_ACK, wire.pack_event_ack(event.event_seq))
            elif message_type == wire.HELLO | wire.REPLY:
                self.hellos.append(wire.unpack_json(payload))
            elif message_type == wire.NAK and wire.unpack_nak(payload)[1] == wire.NAK_NO_HELLO:
                self.hello()

    def permit(self, limit_a: float = 16, phases: int = 3) -> None:
        flags = wire.AVAILABLE | wire.ALLOW_POWER | (wire.THREE_PHASE if phases == 3 else 0)
        self.setpoint = wire.Setpoint(1, flags, int(limit_a * 10), 5000)

    def measure(self, current_a: float) -> None:
        assert self.setpoint is not None
        self.setpoint.measured_da = int(current_a * 10)

    @property
    def faults(self) -> list[str]:
        return wire.fault_names(self.status.faults)


@asynccontextmanager
async def hosted(*, has_current_sensors: bool = False, **limits: int) -> AsyncIterator[Host]:
    world = World(has_current_sensors=has_current_sensors)
    board = SimulatedBoard(world, limits=limits)
    host = Host(world, board)
    task = asyncio.create_task(host.run())
    await asyncio.sleep(1)
    yield host
    task.cancel()
    board.close()
    world.close()


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with hosted() as host:
        yield host


async def _time_until(condition: object, limit_s: float = 30) -> float:
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert callable(condition)
    while not condition():
        assert loop.time() - start < limit_s
        await asyncio.sleep(0.001)
    return loop.time() - start


async def test_a_whole_charge_from_plug_to_unplug(host: Host) -> None:
    host.permit()
    host.world.plug(1)
    await asyncio.sleep(3600)
    energy_wh = host.world.meter_reading(1).energy_import_wh
    assert energy_wh == pytest.approx(3 * 230 * 16, rel=0.002)
    assert host.status.contactor == wire.CONTACTOR_COMMAND | wire.CONTACTOR_FEEDBACK
    host.world.unplug(1)
    await asyncio.sleep(5)
    assert (host.status.pilot, host.status.contactor, host.faults) == (wire.PILOT_A, 0, [])


async def test_contactor_closes_within_3_s_of_c_and_opens_within_100_ms_of_b(host: Host) -> None:
    evse = host.world.evse(1)
    host.permit()
    host.world.plug(1)
    await _time_until(lambda: 4900 < evse.pilot_mv()[0] < 7100)
    assert await _time_until(lambda: evse.is_contactor_closed) <= 3
    await asyncio.sleep(5)
    host.world.pause(1)
    await _time_until(lambda: evse.pilot_mv()[0] > 7900)
    assert await _time_until(lambda: not evse.is_contactor_closed) <= 0.1


async def test_residual_current_opens_within_20_ms_of_the_command(host: Host) -> None:
    host.permit()
    host.world.plug(1)
    await asyncio.sleep(5)
    evse = host.world.evse(1)
    host.world.set_fault(1, "rcd_dc")
    assert await _time_until(lambda: not evse._contactor.target) <= 0.02
    await asyncio.sleep(1)
    assert host.faults == ["rcd_dc"]
    trips = [event for event in host.events if event.kind == wire.EVENT_FAULT]
    assert (trips[-1].a, trips[-1].b) == (wire.FAULT_NAMES.index("rcd_dc"), 62)


@pytest.mark.parametrize(
    "code",
    [
        FaultCode.RCD_AC,
        FaultCode.CONTACTOR_WELDED,
        FaultCode.CONTACTOR_NO_CLOSE,
        FaultCode.CP_DIODE,
        FaultCode.CP_RANGE,
        FaultCode.PP_RANGE,
        FaultCode.TEMP_STOP,
        FaultCode.EMERGENCY_STOP,
        FaultCode.DOOR_OPEN,
        FaultCode.TILT,
        FaultCode.VENT_UNAVAILABLE,
    ],
)
async def test_a_fault_of_the_world_becomes_the_same_fault_of_the_board_and_stops(
    host: Host, code: FaultCode
) -> None:
    host.permit()
    host.world.plug(1)
    await asyncio.sleep(5)
    host.world.set_fault(1, code)
    if code is FaultCode.CONTACTOR_WELDED:
        host.world.pause(1)  # a weld shows when the contactor shall open
    await asyncio.sleep(3)
    assert code in host.faults
    assert not host.status.contactor & wire.CONTACTOR_COMMAND
    host.world.clear_fault(1, code)
    host.world.unplug(1)
    await asyncio.sleep(15)
    if code is FaultCode.CONTACTOR_WELDED:
        assert host.faults == [code], "somebody has to look at it"
        host.send(wire.CLEAR_FAULT, wire.pack_clear_fault(1, wire.F_CONTACTOR_WELDED))
        await asyncio.sleep(2)
    assert host.faults == [], "unplug and self-test make it good"


@pytest.mark.parametrize("code", [FaultCode.LOCK_FAIL, FaultCode.UNLOCK_FAIL])
async def test_a_jammed_lock_becomes_a_fault(host: Host, code: FaultCode) -> None:
    if code is FaultCode.LOCK_FAIL:
        host.world.set_fault(1, code)
    host.permit()
    host.world.plug(1)
    await asyncio.sleep(5)
    if code is FaultCode.UNLOCK_FAIL:
        host.world.set_fault(1, code)
        host.world.unplug(1)
    await asyncio.sleep(10)
    assert host.faults == [code]


async def test_a_stubborn_ev_is_cut_off_after_6_s(host: Host) -> None:
    host.permit()
    host.world.plug(1, is_stubborn=True)
    await asyncio.sleep(5)
    assert host.setpoint is not None
    host.setpoint.flags = wire.AVAILABLE
    evse = host.world.evse(1)
    assert 6 <= await _time_until(lambda: not evse.is_contactor_closed) <= 7.1
    assert evse.power_w == 0


async def test_a_sleeping_ev_is_woken_by_the_action(host: Host) -> None:
    host.permit()
    host.world.plug(1, is_asleep=True)
    await asyncio.sleep(65)
    host.send(wire.ACTION, wire.pack_json({"a": "wake_up", "c": 1}))
    await asyncio.sleep(10)
    assert host.world.evse(1).power_w > 0


async def test_a_cut_line_ends_charging_by_the_lease_alone(host: Host) -> None:
    host.permit()
    host.world.plug(1)
    await asyncio.sleep(5)
    host.world.set_fault(1, "board_comm")
    evse = host.world.evse(1)
    assert await _time_until(lambda: evse.power_w == 0) <= 7.1
    host.world.clear_fault(1, "board_comm")
    await asyncio.sleep(10)
    assert evse.power_w > 0, "and it goes on when the leases return"
    assert host.status.link_losses == 1


async def test_a_reset_opens_at_once_and_asks_for_hello_again(host: Host) -> None:
    host.permit()
    host.world.plug(1)
    await asyncio.sleep(5)
    host.board.reset("power")
    evse = host.world.evse(1)
    assert await _time_until(lambda: not evse.is_contactor_closed) <= 0.05
    await asyncio.sleep(20)
    assert [hello["reset_cause"] for hello in host.hellos] == [wire.RESET_POWER, wire.RESET_POWER]
    assert evse.power_w > 0


async def test_a_hung_firmware_is_restarted_by_its_watchdog(host: Host) -> None:
    host.permit()
    host.world.plug(1)
    await asyncio.sleep(5)
    host.board.hang()
    evse = host.world.evse(1)
    assert await _time_until(lambda: not evse.is_contactor_closed) <= 0.6
    await asyncio.sleep(3)
    assert host.hellos[-1]["reset_cause"] == wire.RESET_WATCHDOG


@pytest.mark.parametrize(("cause", "stands"), [("wdt", True), ("soft", True), ("power", False)])
async def test_a_trip_outlives_a_reset_but_no_power_cut(host: Host, cause: str, stands: bool) -> None:
    host.permit()
    host.world.plug(1)
    await asyncio.sleep(5)
    host.world.set_fault(1, "rcd_dc")
    await asyncio.sleep(1)
    host.world.clear_fault(1, "rcd_dc")
    host.board.reset(cause)
    await asyncio.sleep(20)
    assert bool(host.status.faults & wire.F_RCD_DC) == stands
    assert (host.world.evse(1).power_w == 0) == stands


async def test_reboot_restarts_the_simulated_board(host: Host) -> None:
    host.permit()
    host.send(wire.REBOOT, wire.pack_reboot(wire.REBOOT_RESET))
    await asyncio.sleep(3)
    assert host.hellos[-1]["reset_cause"] == wire.RESET_SOFT


async def test_an_unplugged_line_is_told_once_and_cannot_be_opened() -> None:
    world = World()
    board = SimulatedBoard(world)
    lost: list[DeviceMissing] = []
    await board.line.open(lambda octets: None, lost.append)
    board.line.unplug()
    board.line.unplug()
    assert len(lost) == 1
    with pytest.raises(DeviceMissing):
        await board.line.open(lambda octets: None, lost.append)
    board.line.replug()
    await board.line.open(lambda octets: None, lost.append)
    board.line.close()
    board.close()
    world.close()


async def test_outputs_and_light(host: Host) -> None:
    host.send(wire.ACTION, wire.pack_json({"a": "output_set", "args": {"name": "fan", "on": True}}))
    await asyncio.sleep(0.1)
    assert host.board.output_states == {"fan": True, "light": False}
    host.permit()
    host.world.plug(1)
    await asyncio.sleep(5)
    assert host.board.patterns == {1: "breathe"}


async def test_a_host_that_was_busy_meets_a_healthy_board() -> None:
    """The process of host and simulation hung for a while: the board must not take that for broken hardware."""
    world = World()
    board = SimulatedBoard(world)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.advance(2.0)  # while its self-test was about to begin
    host = Host(world, board)
    task = asyncio.create_task(host.run())
    host.permit()
    world.plug(1)
    await asyncio.sleep(10)
    assert (host.faults, world.evse(1).is_contactor_closed) == ([], True)
    loop.advance(2.0)
    world.unplug(1)
    await asyncio.sleep(10)
    assert [event.kind for event in host.events if event.kind == wire.EVENT_FAULT] == []
    task.cancel()
    board.close()
    world.close()


async def test_an_idle_hour_takes_about_a_tick_per_second(host: Host) -> None:
    host.permit()
    await asyncio.sleep(10)
    before = host.board.ticks
    await asyncio.sleep(3600)
    assert host.board.ticks - before <= 3700


async def test_skipping_idle_ticks_tells_the_same_story() -> None:
    stories = []
    for skips in (True, False):
        world = World(has_current_sensors=True)
        limits = {"can_switch_phases": 1, "wake_after_s": 20}
        board = SimulatedBoard(world, limits=limits, skips_idle_ticks=skips)
        host = Host(world, board)
        task = asyncio.create_task(host.run())
        start = world.loop.time()
        story: list[tuple[float, ...]] = []

        def note(
            _: int, world: World = world, start: float = start, story: list[tuple[float, ...]] = story
        ) -> None:
            evse = world.evse(1)
            at_ms = round((world.loop.time() - start) * 1000)
            electricity = (evse.is_contactor_closed, evse.power_w, evse.is_locked, evse.has_three_phases)
            story.append((at_ms, *electricity, evse.is_ventilated, *evse.pilot_mv()))

        world.subscribe(note)
        host.permit()
        await asyncio.sleep(11)
        world.plug(1, after_s=2.003, unplug_after_s=201.7)
        await asyncio.sleep(12.343)
        world.set_fault(1, "door_open")
        await asyncio.sleep(3.21)
        world.clear_fault(1, "door_open")
        await asyncio.sleep(15)
        world.evse(1).heat(80.3)
        await asyncio.sleep(4.04)
        world.evse(1).heat(None)
        await asyncio.sleep(9)
        world.evse(1).heat(25.0)
        world.set_fault(1, "over_current")
        await asyncio.sleep(20)
        world.clear_fault(1, "over_current")
        await asyncio.sleep(60)
        host.permit(phases=1)
        await asyncio.sleep(60)
        await asyncio.sleep(30)
        world.plug(1, is_asleep=True)
        await asyncio.sleep(60)
        task.cancel()
        board.close()
        world.close()
        stories.append(story)
    skipping, every = stories
    assert [moment[1:] for moment in skipping] == [moment[1:] for moment in every]
    # A change that falls on the instant of a tick is seen by this one or by the next; a few of those add up.
    assert all(abs(one[0] - other[0]) <= 50 for one, other in zip(skipping, every, strict=True))
    assert len(every) > 20


# ---- the rules of the supply, with everything that takes time --------------------------------------------


async def _charging(host: Host, limit_a: float = 16, phases: int = 3) -> None:
    host.permit(limit_a, phases)
    await asyncio.sleep(12)
    host.world.plug(1, current_a=32)
    await asyncio.sleep(10)
    assert host.world.evse(1).current_a == pytest.approx(limit_a, abs=0.1)


async def test_an_ev_that_draws_too_much_is_cut_off_by_the_boards_own_sensors() -> None:
    async with hosted(has_current_sensors=True) as host:
        await _charging(host)
        await asyncio.sleep(600)
        assert host.faults == []
        host.world.set_fault(1, "over_current")
        evse = host.world.evse(1)
        assert 2.0 <= await _time_until(lambda: not evse.is_contactor_closed) <= 2.2
        await asyncio.sleep(2)
        assert host.faults == ["over_current"]


async def test_an_ev_that_draws_too_much_is_cut_off_by_what_the_host_measured(host: Host) -> None:
    await _charging(host)
    host.measure(16)
    await asyncio.sleep(30)
    assert host.faults == []
    host.measure(24)
    await asyncio.sleep(4)
    assert host.faults == ["over_current"]


async def test_an_ev_that_follows_a_lower_limit_late_is_not_cut_off() -> None:
    async with hosted(has_current_sensors=True) as host:
        await _charging(host, 32)
        for limit_a in (20, 10, 6, 32, 6):
            host.permit(limit_a)
            await asyncio.sleep(7)
            assert host.faults == []


async def test_heat_lowers_the_current_of_the_ev(host: Host) -> None:
    await _charging(host, 32)
    evse = host.world.evse(1)
    evse.heat(77.5)
    await asyncio.sleep(5)
    assert (evse.current_a, host.faults) == (pytest.approx(19, abs=0.1), ["temp_warn"])
    evse.heat(None)
    await asyncio.sleep(15)
    assert evse.current_a == pytest.approx(6, abs=0.1)
    evse.heat(25)
    await asyncio.sleep(15)
    assert (evse.current_a, host.faults) == (pytest.approx(32, abs=0.1), [])


async def test_state_d_charges_with_the_fan_on() -> None:
    async with hosted(has_ventilation=1, vent_run_on_s=30) as host:
        host.permit()
        host.world.plug(1, needs_ventilation=True)
        await asyncio.sleep(10)
        evse = host.world.evse(1)
        assert (evse.is_contactor_closed, evse.is_ventilated, host.status.pilot) == (True, True, wire.PILOT_D)
        host.world.unplug(1)
        await asyncio.sleep(20)
        assert evse.is_ventilated
        await asyncio.sleep(20)
        assert not evse.is_ventilated


async def test_a_sleeping_ev_is_woken_without_being_asked() -> None:
    async with hosted(wake_after_s=60) as host:
        host.permit()
        host.world.plug(1, is_asleep=True)
        await asyncio.sleep(55)
        assert not host.world.evse(1).is_contactor_closed
        await asyncio.sleep(20)
        assert host.world.evse(1).is_contactor_closed


async def test_phases_are_switched_with_the_contactor_open_and_charging_goes_on() -> None:
    async with hosted(can_switch_phases=1, has_current_sensors=True) as host:
        await _charging(host)
        evse = host.world.evse(1)
        for phases in (1, 3, 1):
            before_w = evse.power_w
            host.permit(phases=phases)
            await _time_until(lambda: not evse.is_contactor_closed, 10)
            opened = asyncio.get_running_loop().time()
            await _time_until(lambda phases=phases: evse.has_three_phases == (phases == 3), 20)
            assert asyncio.get_running_loop().time() - opened >= 10
            await asyncio.sleep(10)
            assert evse.is_contactor_closed
            assert evse.power_w == pytest.approx(before_w * (3 if phases == 3 else 1 / 3), rel=0.01)
            assert (host.status.phases, host.faults) == (phases, [])
            unused_da = 160 if phases == 3 else 0
            assert list(host.status.currents) == pytest.approx([160, unused_da, unused_da], abs=1)
        assert not evse.was_switched_under_load


async def test_a_phase_relay_that_sticks_becomes_a_fault_and_stops() -> None:
    async with hosted(can_switch_phases=1) as host:
        await _charging(host)
        host.world.set_fault(1, "phase_switch")
        host.permit(phases=1)
        await asyncio.sleep(30)
        assert (host.faults, host.world.evse(1).is_contactor_closed) == (["phase_switch"], False)
