"""An EVSE that behaves, in the hands of a test: contactor, lock and EV react at once; the test says what breaks.

No firmware and no physics (that is `hal.sim`). Its meter is in `fake_hardware.py`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from hal.errors import HalError
from hal.ports import (
    ContactorState,
    EvseCapabilities,
    EvseEvent,
    EvseState,
    FaultCode,
    LockCommand,
    PilotState,
    Setpoint,
)


class FakeEvse:
    """The contactor closes as soon as the EV asks and may, and opens as soon as either ends."""

    def __init__(self, evse_id: int, has_lock: bool) -> None:
        self.evse_id = evse_id
        self.capabilities = EvseCapabilities(32.0, 6.0, 3, has_lock, True, True, False, True)
        self.state = EvseState(
            0.0,
            PilotState.A,
            12000,
            12000,
            100.0,
            ContactorState.OPEN,
            False if has_lock else None,
            None,
            0,
            25,
        )
        self.setpoint = Setpoint()
        self.setpoints: list[Setpoint] = []
        self.ev_power_w = 6900.0
        self.ev_wants_power = True
        self.is_lock_broken = False
        self.is_contactor_slow = False
        self.apply_failure: HalError | None = None
        self.on_change: Callable[[], None] = lambda: None
        """Called before anything changes, so that a meter can count up to here."""
        self._listeners: list[Callable[[EvseEvent], None]] = []

    def apply(self, setpoint: Setpoint) -> None:
        if self.apply_failure is not None:
            raise self.apply_failure
        self.setpoint = setpoint
        self.setpoints.append(setpoint)
        asyncio.get_running_loop().call_soon(self._react)

    def subscribe(self, listener: Callable[[EvseEvent], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def clear_fault(self, code: FaultCode) -> bool:
        self.fault(code, False)
        return True

    async def rcd_self_test(self) -> bool:
        return True

    async def wake_up_ev(self) -> None:
        return None

    # --- the driver's side -----------------------------------------------------------------------------

    def plug(self, connector_id: int = 1) -> None:
        self._become(pilot=PilotState.B, connector_id=connector_id)
        self._react()

    def unplug(self) -> None:
        self._become(pilot=PilotState.A, contactor=ContactorState.OPEN)
        self._react()

    def want_power(self, wants: bool) -> None:
        self.ev_wants_power = wants
        self._react()

    def fault(self, code: FaultCode, is_there: bool = True) -> None:
        faults = self.state.faults | {code} if is_there else self.state.faults - {code}
        self._become(faults=frozenset(faults))
        self._react()

    def lose_link(self) -> None:
        self._become(link_ok=False, faults=self.state.faults | {FaultCode.BOARD_COMM})

    def _react(self) -> None:
        """What board and EV make of the setpoint."""
        wanted = self.setpoint
        is_plugged = self.state.pilot is not PilotState.A
        may = wanted.allow_power and wanted.available and wanted.limit_a >= 6 and not self.state.faults
        pilot = self.state.pilot
        if is_plugged:
            pilot = PilotState.C if may and self.ev_wants_power else PilotState.B
        is_closed = may and pilot is PilotState.C
        if self.is_contactor_slow and self.state.contactor is ContactorState.CLOSED:
            is_closed = True
        holds = wanted.lock is LockCommand.HOLD or (may and is_plugged)
        locked = holds and not self.is_lock_broken if self.capabilities.has_lock else None
        if holds and self.is_lock_broken and FaultCode.LOCK_FAIL not in self.state.faults:
            self._become(faults=self.state.faults | {FaultCode.LOCK_FAIL})
        contactor = ContactorState.CLOSED if is_closed else ContactorState.OPEN
        phases = wanted.phases if self.capabilities.can_switch_phases else None
        duty_percent = 53.3 if may else 100.0
        self._become(
            pilot=pilot, contactor=contactor, locked=locked, duty_percent=duty_percent, phases=phases
        )

    def _become(self, **changes: object) -> None:
        after = replace(self.state, **changes)  # type: ignore[arg-type]
        if after == self.state:
            return
        self.on_change()
        self.state = after
        for listener in tuple(self._listeners):
            listener(EvseEvent("state", after))


class FakeLock:
    def __init__(self, evse: FakeEvse) -> None:
        self._evse = evse

    async def unlock(self) -> bool:
        return not self._evse.is_lock_broken and self._evse.state.contactor is not ContactorState.CLOSED
