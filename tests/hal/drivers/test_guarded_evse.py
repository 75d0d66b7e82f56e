"""Faults that only the host sees: they stop like the board's, clear like the board's, and hide none of the board's."""

import asyncio
from dataclasses import replace

import pytest

from hal.drivers.guarded_evse import CLEAR_AFTER_S, GuardedEvse, Guards
from hal.errors import DeviceFault
from hal.ports import EvseEvent, FaultCode, PilotState, Setpoint
from tests.helpers.fake_evse import FakeEvse

STOP, DOOR, READER = FaultCode.EMERGENCY_STOP, FaultCode.DOOR_OPEN, FaultCode.READER_FAILURE
CHARGE = Setpoint(allow_power=True, limit_a=16.0, fallback_a=6.0)


class Rig:
    def __init__(self) -> None:
        self.board = FakeEvse(1, has_lock=True)
        self.evse = GuardedEvse(self.board)
        self.events: list[EvseEvent] = []
        self.evse.subscribe(self.events.append)

    def told(self) -> list[tuple[str, str | None]]:
        told = [(event.kind, event.fault) for event in self.events if event.fault is not None]
        self.events.clear()
        return told

    def pilot(self, pilot: PilotState) -> None:
        self.board.state = replace(self.board.state, pilot=pilot)
        self.evse._on_event(EvseEvent("state", self.board.state))


async def test_without_a_fault_everything_goes_through() -> None:
    rig = Rig()
    rig.evse.apply(CHARGE)
    assert rig.board.setpoint == CHARGE
    assert (rig.evse.evse_id, rig.evse.capabilities) == (1, rig.board.capabilities)
    assert rig.evse.state is rig.board.state


async def test_while_a_fault_stops_no_permission_gets_through() -> None:
    rig = Rig()
    rig.evse.apply(CHARGE)
    rig.evse.raise_fault(STOP, "button")
    assert rig.told() == [("fault", STOP)]
    assert rig.evse.state.faults == {STOP}
    for setpoint in (CHARGE, replace(CHARGE, limit_a=32.0)):
        rig.evse.apply(setpoint)
        sent = rig.board.setpoint
        assert (sent.available, sent.allow_power, sent.limit_a, sent.fallback_a) == (False, False, 0.0, 0.0)
    with pytest.raises(DeviceFault, match="not_allowed"):
        await rig.evse.wake_up_ev()


async def test_a_warning_stops_nothing() -> None:
    rig = Rig()
    rig.evse.raise_fault(READER, "pn532")
    rig.evse.apply(CHARGE)
    assert rig.board.setpoint == CHARGE
    assert rig.told() == [("fault", READER)]
    rig.evse.end_fault(READER, "pn532")
    assert rig.told() == [("fault_cleared", READER)]


async def test_an_open_door_clears_when_it_has_been_shut_for_a_while() -> None:
    rig = Rig()
    rig.evse.apply(CHARGE)
    rig.evse.raise_fault(DOOR, "door")
    for _ in range(3):  # it swings
        rig.evse.end_fault(DOOR, "door")
        await asyncio.sleep(CLEAR_AFTER_S - 1)
        rig.evse.raise_fault(DOOR, "door")
    assert rig.told() == [("fault", DOOR)]
    rig.evse.end_fault(DOOR, "door")
    await asyncio.sleep(CLEAR_AFTER_S + 0.1)
    assert rig.told() == [("fault_cleared", DOOR)]
    assert rig.board.setpoint == CHARGE


async def test_an_emergency_stop_stays_until_the_cable_is_out() -> None:
    rig = Rig()
    rig.pilot(PilotState.C)
    rig.evse.raise_fault(STOP, "button")
    rig.evse.end_fault(STOP, "button")
    await asyncio.sleep(60)
    assert rig.evse.state.faults == {STOP}
    rig.pilot(PilotState.B)
    assert rig.evse.state.faults == {STOP}
    rig.pilot(PilotState.A)
    assert rig.evse.state.faults == set()
    assert rig.told() == [("fault", STOP), ("fault_cleared", STOP)]


async def test_an_emergency_stop_that_is_pressed_survives_the_unplug_and_a_service_clear() -> None:
    rig = Rig()
    rig.evse.raise_fault(STOP, "button")
    rig.pilot(PilotState.A)
    assert await rig.evse.clear_fault(STOP) is False
    assert rig.evse.state.faults == {STOP}
    rig.pilot(PilotState.C)
    rig.evse.end_fault(STOP, "button")
    assert await rig.evse.clear_fault(STOP) is True
    assert rig.evse.state.faults == set()


async def test_two_sources_of_one_fault_both_have_to_go() -> None:
    rig = Rig()
    for source in ("left", "right", "left"):
        rig.evse.raise_fault(DOOR, source)
    rig.evse.end_fault(DOOR, "left")
    rig.evse.end_fault(DOOR, "nobody")
    await asyncio.sleep(60)
    assert rig.evse.state.faults == {DOOR}
    rig.evse.end_fault(DOOR, "right")
    await asyncio.sleep(60)
    assert rig.told() == [("fault", DOOR), ("fault_cleared", DOOR)]


async def test_the_boards_own_fault_of_the_same_kind_is_neither_doubled_nor_hidden() -> None:
    rig = Rig()
    rig.board.state = replace(rig.board.state, faults=frozenset({DOOR}))
    rig.evse.raise_fault(DOOR, "door")
    assert rig.told() == []
    rig.board.state = replace(rig.board.state, faults=frozenset())
    rig.evse._on_event(EvseEvent("fault_cleared", rig.board.state, DOOR))
    assert rig.told() == []
    assert rig.evse.state.faults == {DOOR}


async def test_guards_raise_on_the_evses_that_a_device_serves() -> None:
    evses = {number: GuardedEvse(FakeEvse(number, has_lock=False)) for number in (1, 2, 3)}
    guards = Guards(evses)
    guards.raise_fault((2, 3), READER, "pn532")
    guards.raise_fault((), DOOR, "door")
    assert [sorted(evse.state.faults) for evse in evses.values()] == [[DOOR], [DOOR, READER], [DOOR, READER]]
    guards.end_fault((), DOOR, "door")
    guards.close()
    await asyncio.sleep(60)
    assert evses[1].state.faults == {DOOR}, "after the end no timer is left that could clear anything"
