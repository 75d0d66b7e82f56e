"""One connector: samples its inputs, decides by pilot, faults, lock and interlock, and drives its outputs.

`tick` is the 10 ms safety tick; it must stay free of allocation and of anything that waits. It reaches the
hardware through a `ConnectorPins` object only (`board/hw.py`, or `hal/sim/firmware.py` on simulated pins) and
tells what happened through `emit`. It knows no frame. Units as in `board/wire.py`. Called by `board/app.py`.
"""

from board.cable import Cable
from board.faults import FaultBook
from board.interlock import Interlock, Lease
from board.lock import SocketLock
from board.pilot import Pilot, duty_of
from board.residual import ResidualCurrent
from board.supply import OverCurrent, PhaseSwitch
from board.wakeup import WakeUp
from board.warmth import Ventilation, Warmth
from board.wire import (
    ALLOW_POWER,
    AVAILABLE,
    CODE_NOT_ALLOWED,
    CONTACTOR_COMMAND,
    CONTACTOR_FEEDBACK,
    DUTY_OFF,
    EVENT_CONTACTOR,
    EVENT_FAULT,
    EVENT_FAULT_CLEARED,
    EVENT_LEASE,
    EVENT_LOCK,
    EVENT_PILOT,
    EVENT_RCD_TEST,
    F_CONTACTOR_WELDED,
    F_CP_DIODE,
    F_CP_RANGE,
    F_DOOR_OPEN,
    F_EMERGENCY_STOP,
    F_LOCK_FAIL,
    F_OVER_CURRENT,
    F_PP_RANGE,
    F_RCD_AC,
    F_RCD_DC,
    F_RCD_SELF_TEST,
    F_TILT,
    F_UNLOCK_FAIL,
    F_VENT_UNAVAILABLE,
    FAULTS_DERATE,
    FAULTS_LATCHED,
    LOCK_HOLD,
    LOCK_NONE,
    LOCK_RELEASE,
    MAX_LEASE_MS,
    MIN_LIMIT_DA,
    PATTERN_MAX_S,
    PILOT_A,
    PILOT_B,
    PILOT_D,
    THREE_PHASE,
    WARN_CABLE_LIMIT,
    WARN_DERATED,
    WARN_LEASE,
    WARN_SELF_TEST_DUE,
    Status,
    const,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from board.limits import Limits
    from board.wire import Setpoint

    class ConnectorPins(Protocol):
        """The electricity of one connector. Nothing here waits; `sample` takes at most two PWM periods."""

        has_lock: bool
        has_rcd_test: bool
        can_wake: bool
        limits: Limits
        high_mv: int
        low_mv: int

        def sample(self) -> bool:
            """Measure the pilot over a whole PWM period into high_mv and low_mv; False: no fresh sample."""

        def set_pilot(self, duty: int) -> None:
            """0.01 to 99.99 % PWM, DUTY_OFF = constant +12 V, PILOT_OUT_E = tied to 0 V."""

        def set_contactor(self, closed: bool) -> None: ...
        def is_closed(self) -> bool:
            """Auxiliary contact of the contactor."""

        def rcd_trips(self) -> int:
            """residual.TRIP_* bits, by level."""

        def set_rcd_test(self, on: bool) -> None: ...
        def residual(self) -> int:
            """0.1 mA."""

        def proximity_ohm(self) -> int: ...
        def drive_lock(self, direction: int) -> None:
            """lock.STOP, TO_LOCKED, TO_OPEN."""

        def is_locked(self) -> bool: ...
        def temperature(self) -> int:
            """0.1 C, or NO_TEMPERATURE."""

        def inputs(self) -> int:
            """INPUT_* bits."""

        def currents(self) -> Sequence[int]:
            """L1, L2, L3 in 0.1 A, NO_CURRENT where nothing measures; the same list each time."""

        def set_ventilation(self, on: bool) -> None: ...
        def set_phases(self, three: bool) -> None:
            """Move the relay of L2 and L3; only ever called with the contactor open for 10 s."""

        def phases_closed(self) -> int:
            """Feedback of that relay: 1 three phases, 0 one, -1 no feedback wired."""

        def outlet(self) -> int: ...
        def show(self, pattern: str) -> None:
            """Put a pattern of LED_PATTERNS on the status light."""


PILOT_OUT_E = const(-1)
INPUT_EMERGENCY = const(1)
INPUT_DOOR = const(2)
INPUT_TILT = const(4)

_RCD_FAULTS = const(0x7)


class Connector:
    """State of one connector, numbered from 1 on the wire. `status` is what STATUS says of it."""

    def __init__(
        self, number: int, pins: "ConnectorPins", phases: int, emit: "Callable[[int, int, int, int], None]"
    ) -> None:
        """`phases`: how many are wired."""
        limits = pins.limits
        self.number = number
        self.pins = pins
        self.limits = limits
        self.status = Status(number)
        self.pilot = Pilot()
        self.interlock = Interlock(limits)
        self.lease = Lease()
        self.lock = SocketLock(limits)
        self.residual = ResidualCurrent(limits)
        self.cable = Cable()
        self.over_current = OverCurrent()
        self.phase_switch = PhaseSwitch(limits, phases)
        self.warmth = Warmth(limits)
        self.ventilation = Ventilation(limits)
        self.wake_up = WakeUp(limits)
        self.faults = FaultBook(self._fault_changed)
        self.needs_report = True
        self._emit = emit
        self._now_ms = 0
        self._flags = 0
        self._limit_da = 0
        self._fallback_da = 0
        self._offer_da = 0
        self._is_resting = False
        self._lease_valid = False
        self._duty = DUTY_OFF
        self._diode_cause = 0
        self._inputs_before = 0
        self._released = False
        self._pattern = ""
        self._shown = ""
        self._shown_until = -1
        self._signature: "tuple[int, ...]" = ()
        self.residual.is_due = pins.has_rcd_test
        self.residual.has_passed = not pins.has_rcd_test

    # ---- what the host wants -----------------------------------------------------------------------------

    def apply(self, now_ms: int, setpoint: "Setpoint") -> None:
        """Take the host's setpoint; the next tick acts on it."""
        if setpoint.flags & ~self._flags & (ALLOW_POWER | LOCK_HOLD):
            self._released = False  # somebody else begins: the cable that was let go is wanted again
        self._flags = setpoint.flags
        self._limit_da = setpoint.limit_da
        self._fallback_da = setpoint.fallback_da
        self.lease.renew(now_ms, min(setpoint.lease_ms, MAX_LEASE_MS))
        self.over_current.take(now_ms, setpoint.measured_da)

    def request_unlock(self) -> str:
        """Let the cable go until the next permission, hold or unplug; "" or the code of the refusal."""
        welded = self.faults.standing & F_CONTACTOR_WELDED
        if not self.pins.has_lock or welded or (self.interlock.command and self._is_permitted()):
            return CODE_NOT_ALLOWED
        self._released = True
        self.lock.retry()
        return ""

    def unlock_result(self) -> int:
        """1 the lock is open, 0 it failed, -1 not yet."""
        if not self.pins.is_locked():
            return 1
        return 0 if self.faults.causes & F_UNLOCK_FAIL else -1

    def request_wake_up(self, now_ms: int) -> str:
        """One 4 s state-E pulse for an EV that sleeps in B2; "" or the code of the refusal."""
        if not self.pins.can_wake or self.interlock.command or not self.wake_up.may_start(now_ms):
            return CODE_NOT_ALLOWED
        self._start_pulse(now_ms)
        return ""

    def _start_pulse(self, now_ms: int) -> None:
        self.wake_up.start(now_ms)
        self._set_duty(PILOT_OUT_E)

    def require_rcd_test(self) -> bool:
        """Test the sensor as soon as that is possible; False if there is nothing to test."""
        if self.pins.has_rcd_test and not self.residual.is_testing:
            self.residual.require_test()
        return self.pins.has_rcd_test

    def may_test_rcd(self) -> bool:
        return self.pins.has_rcd_test and self.is_idle() and not self.pins.rcd_trips()

    def is_idle(self) -> bool:
        """State A with the contactor open by command and by feedback."""
        return self.pilot.state == PILOT_A and not self.interlock.command and not self.pins.is_closed()

    def clear_faults(self, mask: int) -> int:
        """Clear what may be cleared (the cause is gone; residual current only in state A); what still stands."""
        if self.pilot.state != PILOT_A:
            mask &= ~_RCD_FAULTS
        elif mask & self.faults.standing & _RCD_FAULTS:
            self.require_rcd_test()
        if mask & (F_LOCK_FAIL | F_UNLOCK_FAIL):
            self.lock.retry()
        if mask & F_OVER_CURRENT:
            self.over_current.forgive()
            self.faults.causes &= ~F_OVER_CURRENT
        self.faults.clear(mask)
        return self.faults.standing

    def show(self, now_ms: int, pattern: str, duration_s: int) -> None:
        """Show a pattern for a while, then the status again."""
        self._pattern = pattern
        self._shown_until = now_ms + min(duration_s, PATTERN_MAX_S) * 1000

    # ---- the tick ----------------------------------------------------------------------------------------

    def on_rcd_interrupt(self, now_ms: int, bits: int) -> None:
        """From the interrupt: open first, think later. Nothing is calculated with a time here: after twelve days that
        would allocate, which a hard interrupt may not, and MicroPython would never call it again."""
        self.pins.set_contactor(False)
        if not self._is_resting or self.pins.is_closed():
            self.residual.on_interrupt(bits)
        self.interlock.trip(now_ms)

    def tick(self, now_ms: int) -> bool:
        """Sample, decide, actuate. False: the pilot gave no fresh sample, so the watchdog must not be fed."""
        self._now_ms = now_ms
        is_fresh = self._sample_pilot(now_ms)
        is_closed = self.pins.is_closed()
        is_locked = self.pins.has_lock and self.pins.is_locked()
        self._watch_lease(now_ms)
        self._watch_cable(now_ms)
        causes = self._causes(now_ms, is_closed) | self._run_lock(now_ms, is_closed, is_locked)
        causes |= self._run_rcd(now_ms, is_closed) | self._run_phases(now_ms, is_closed)
        self._note_gone_causes(causes)
        self.faults.update(now_ms, causes)
        self._drive_pilot(now_ms)
        self._drive_contactor(now_ms, is_locked)
        self._show_state(now_ms)
        self._fill_status(now_ms, is_closed, is_locked)
        return is_fresh

    def _sample_pilot(self, now_ms: int) -> bool:
        if self.wake_up.has_ended(now_ms):
            self.pilot.restart()
            self._set_duty(DUTY_OFF)
            return True
        if self.wake_up.is_pulsing:
            return True
        before = self.pilot.state
        if not self.pins.sample():
            return False
        if self.pilot.sample(now_ms, self.pins.high_mv, self.pins.low_mv, self._duty != DUTY_OFF):
            self._emit(self.number, EVENT_PILOT, self.pilot.state, before)
            if self.pilot.state == PILOT_A:
                self._unplugged()
        return True

    def _unplugged(self) -> None:
        self._released = False
        self._diode_cause = 0
        self.wake_up.unplugged()
        self.over_current.forgive()
        if not self.require_rcd_test():
            self._clear_latched()

    def _watch_lease(self, now_ms: int) -> None:
        valid = self.lease.is_valid(now_ms)
        if valid != self._lease_valid:
            self._lease_valid = valid
            self._emit(self.number, EVENT_LEASE, 1 if valid else 0, 0)
            if not valid:
                self.status.link_losses += 1

    def _watch_cable(self, now_ms: int) -> None:
        if not self.pins.has_lock:
            return
        if self.cable.step(now_ms, self.pilot.state, self.pins.proximity_ohm()):
            self.status.cable_a = self.cable.rating_a
            self.needs_report = True

    def _causes(self, now_ms: int, is_closed: bool) -> int:
        causes = self.interlock.check(now_ms, is_closed)
        if self.pilot.is_diode_bad:
            self._diode_cause = F_CP_DIODE
        causes |= self._diode_cause
        if self.pilot.is_odd(now_ms):
            causes |= F_CP_RANGE
        if self.cable.is_odd(now_ms):
            causes |= F_PP_RANGE
        if self.pilot.state == PILOT_D and not self.limits.has_ventilation:
            causes |= F_VENT_UNAVAILABLE
        inputs = self.pins.inputs()
        steady = inputs & self._inputs_before
        self._inputs_before = inputs
        if steady & INPUT_EMERGENCY:
            causes |= F_EMERGENCY_STOP
        if steady & INPUT_DOOR:
            causes |= F_DOOR_OPEN
        if steady & INPUT_TILT:
            causes |= F_TILT
        temperature = self.status.temperature = self.pins.temperature()
        is_live = is_closed or self.interlock.command
        causes |= self.over_current.step(now_ms, self._offer_da, is_live, self.pins.currents())
        return causes | self.warmth.step(now_ms, temperature)

    def _run_lock(self, now_ms: int, is_closed: bool, is_locked: bool) -> int:
        if not self.pins.has_lock:
            return 0
        may_open = not is_closed and self.interlock.is_at_rest(now_ms)
        drive = self.lock.drive
        causes = self.lock.step(now_ms, self._wants_locked(now_ms), may_open, is_locked)
        if self.lock.drive != drive:
            self.pins.drive_lock(self.lock.drive)
        return causes

    def _wants_locked(self, now_ms: int) -> bool:
        if self._released or self._flags & LOCK_RELEASE or self._is_host_lost(now_ms):
            return False
        is_connected = self.pilot.state != PILOT_A
        if self._flags & LOCK_HOLD:
            return is_connected or self.status.cable_a > 0
        return is_connected and self._is_permitted()

    def _is_host_lost(self, now_ms: int) -> bool:
        """Nobody is there to let the cable go."""
        lost_ms = self.limits.lost_host_unlock_s * 1000
        return lost_ms > 0 and self.lease.is_over_by(now_ms, lost_ms)

    def _is_permitted(self) -> bool:
        both = AVAILABLE | ALLOW_POWER
        return self._flags & both == both

    def _run_rcd(self, now_ms: int, is_closed: bool) -> int:
        residual = self.residual
        trips = self.pins.rcd_trips()
        # For 1 s after opening, a trip is the arc of the contactor: nothing is fed that could leak. Said before
        # anything closes, because from then on the interrupt counts again.
        self._is_resting = not self.interlock.command and not self.interlock.is_at_rest(now_ms)
        causes = residual.step(0 if self._is_resting and not is_closed else trips)
        if residual.is_testing:
            result = residual.run_test(now_ms, trips)
            self.pins.set_rcd_test(residual.test_output)
            if result:
                self._emit(self.number, EVENT_RCD_TEST, 1 if result > 0 else 0, 0)
            if result < 0:
                causes |= F_RCD_SELF_TEST
            elif result > 0 and self.pilot.is_unplugged:
                self._clear_latched()
            return causes
        if residual.is_old(now_ms):
            self.require_rcd_test()  # what charges goes on; nothing closes any more before it has passed
        is_open = not is_closed and self.interlock.is_at_rest(now_ms)
        if residual.is_due and is_open and not trips and not self.wake_up.is_pulsing:
            residual.start_test(now_ms)
            self.pins.set_rcd_test(True)
        return causes

    def _run_phases(self, now_ms: int, is_closed: bool) -> int:
        switch = self.phase_switch
        wanted = 0
        if self._lease_valid:
            wanted = 3 if self._flags & THREE_PHASE else 1
        if switch.step(now_ms, wanted, not is_closed and not self.interlock.command):
            self.pins.set_phases(wanted == 3)
        return switch.check(self.pins.phases_closed())

    def _note_gone_causes(self, causes: int) -> None:
        # A latched fault whose cause ends while nothing is plugged in needs a self-test to go.
        gone = self.faults.causes & ~causes & FAULTS_LATCHED & ~F_RCD_SELF_TEST
        if gone and self.pilot.state == PILOT_A:
            if not self.require_rcd_test():
                self.faults.causes = causes
                self._clear_latched()

    def _clear_latched(self) -> None:
        mask = FAULTS_LATCHED & ~F_CONTACTOR_WELDED  # came loose, but welded: somebody has to look at it
        tripped = self.faults.standing & (F_RCD_DC | F_RCD_AC)
        if tripped and not self.residual.may_auto_clear(self._now_ms):
            mask &= ~(F_RCD_DC | F_RCD_AC)
        elif tripped & ~self.faults.causes:
            self.residual.note_auto_clear(self._now_ms)
        self.faults.clear(mask)

    def _offered_da(self) -> int:
        if not self._is_permitted() or self.faults.stops or not self.phase_switch.is_ready:
            return 0
        limit_da = self._limit_da
        if not self._lease_valid:
            limit_da = min(limit_da, self._fallback_da)
        limit_da = min(limit_da, self.limits.max_da, self.warmth.most_da)
        if self.pins.has_lock and self.status.cable_a * 10 < limit_da:
            limit_da = self.status.cable_a * 10
        return limit_da if limit_da >= MIN_LIMIT_DA else 0

    def _drive_pilot(self, now_ms: int) -> None:
        wake_up = self.wake_up
        self._offer_da = 0
        if wake_up.is_pulsing:
            return
        if PILOT_B <= self.pilot.state <= PILOT_D:
            self._offer_da = self._offered_da()
        self._set_duty(duty_of(self._offer_da))
        is_b2 = self.pilot.state == PILOT_B and self._duty != DUTY_OFF
        wake_up.watch(now_ms, is_b2, self.interlock.command)
        if self.pins.can_wake and not self.interlock.command and wake_up.is_due(now_ms):
            self._start_pulse(now_ms)

    def _set_duty(self, duty: int) -> None:
        if duty != self._duty:
            self._duty = duty
            self.pins.set_pilot(duty)

    def _drive_contactor(self, now_ms: int, is_locked: bool) -> None:
        residual = self.residual
        may_close = (
            self._is_permitted()
            and self._lease_valid
            and self.pilot.is_diode_good
            and residual.has_passed
            and self.phase_switch.is_ready
            and (not self.pins.has_lock or (is_locked and self.lock.is_meant_to_hold))
        )
        if self.ventilation.step(now_ms, self.pilot.state == PILOT_D):
            self.pins.set_ventilation(self.ventilation.is_on)
        before = self.interlock.command
        is_offering = 0 < self._duty < DUTY_OFF
        command = self.interlock.step(now_ms, self.pilot.state, self.faults.stops, is_offering, may_close)
        if command != before:
            self.pins.set_contactor(command)
            if residual.was_interrupted:
                # The interrupt came between the decision and the pin.
                self.pins.set_contactor(False)
                self.interlock.trip(now_ms)
        self._is_resting = not self.interlock.command and not self.interlock.is_at_rest(now_ms)

    def _show_state(self, now_ms: int) -> None:
        if self._shown_until >= 0 and now_ms >= self._shown_until:
            self._shown_until = -1
        if self._shown_until < 0:
            self._pattern = self._state_pattern()
        if self._pattern != self._shown:
            self._shown = self._pattern
            self.pins.show(self._pattern)

    def _state_pattern(self) -> str:
        if self.faults.stops:
            return "fast"
        if not self._lease_valid:
            return "flash"
        if not self._flags & AVAILABLE:
            return "off"
        if self.interlock.command:
            return "breathe"
        return "on" if self.pilot.state == PILOT_A else "blink"

    def _fill_status(self, now_ms: int, is_closed: bool, is_locked: bool) -> None:
        status = self.status
        status.uptime_ms = now_ms
        status.cp_high_mv = self.pins.high_mv
        status.cp_low_mv = self.pins.low_mv
        status.residual = self.pins.residual()
        contactor = CONTACTOR_COMMAND if self.interlock.command else 0
        if is_closed:
            contactor |= CONTACTOR_FEEDBACK
        lock = self.lock.state(is_locked) if self.pins.has_lock else LOCK_NONE
        warnings = self._warnings()
        if contactor != status.contactor:
            status.contactor = contactor
            self._emit(self.number, EVENT_CONTACTOR, contactor, 0)
            self.needs_report = True
        if lock != status.lock:
            status.lock = lock
            self._emit(self.number, EVENT_LOCK, lock, 0)
            self.needs_report = True
        if (
            self.pilot.state != status.pilot
            or self._duty != status.duty
            or self.faults.standing != status.faults
            or warnings != status.warnings
            or self.phase_switch.phases != status.phases
        ):
            status.pilot = self.pilot.state
            status.duty = self._duty if self._duty >= 0 else 0
            status.faults = self.faults.standing
            status.warnings = warnings
            status.phases = self.phase_switch.phases
            self.needs_report = True
        status.outlet = self.pins.outlet()
        status.currents = self.pins.currents()

    def _warnings(self) -> int:
        warnings = 0
        if self.lease.was_given and not self._lease_valid:
            warnings |= WARN_LEASE
        if self.pins.has_lock and 0 < self.status.cable_a * 10 < self._limit_da:
            warnings |= WARN_CABLE_LIMIT
        if self.faults.standing & FAULTS_DERATE:
            warnings |= WARN_DERATED
        if self.residual.is_due:
            warnings |= WARN_SELF_TEST_DUE
        return warnings

    def _fault_changed(self, bit: int, is_raised: bool) -> None:
        if is_raised:
            self._emit(self.number, EVENT_FAULT, bit, self.pins.residual() if 1 << bit & _RCD_FAULTS else 0)
        else:
            self._emit(self.number, EVENT_FAULT_CLEARED, bit, 0)

    # ---- for a simulator that skips idle ticks -----------------------------------------------------------

    def due_in(self, now_ms: int, never: int) -> int:
        """In how many ms a tick could do anything, if no input changes; 1: the next one. May be too early."""
        signature = (
            self._flags,
            self._limit_da,
            self._fallback_da,
            self._duty,
            self._inputs_before,
            self.wake_up.is_pulsing,
            self._released,
            self._shown_until,
            self.pilot.state,
            self.interlock.command,
            self.faults.standing,
            self.faults.causes,
            self.lock.drive,
            self.residual.is_due,
            self.residual.is_testing,
            self.residual.test_output,
            self.residual.has_passed,
            self.phase_switch.phases,
            self.phase_switch.is_ready,
            self.ventilation.is_on,
            self._lease_valid,
        )
        if signature != self._signature or self.residual.was_interrupted:
            self._signature = signature
            return 1
        due = min(
            self.pilot.due_in(now_ms, self._duty != DUTY_OFF, never),
            self.faults.due_in(now_ms, never),
            self.interlock.due_in(now_ms, never),
            self.cable.due_in(now_ms, never),
            self.lock.due_in(now_ms, never),
            self.residual.due_in(now_ms, never),
            self.over_current.due_in(now_ms, never),
            self.phase_switch.due_in(now_ms, never),
            self.warmth.due_in(now_ms, never),
            self.ventilation.due_in(now_ms, never),
            self.wake_up.due_in(now_ms, never),
        )
        for deadline in (
            self.lease.at_ms,
            self.lease.at_ms + self.limits.lost_host_unlock_s * 1000,
            self._shown_until,
        ):
            if now_ms < deadline < now_ms + due:
                due = deadline - now_ms
        return due
