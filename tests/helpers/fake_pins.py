"""`board.connector.ConnectorPins` that a test holds in its hand: levels are set, outputs are kept with their time.

Contactor, lock and residual current sensor follow their outputs after a while, as real ones do. Time is what
`board_bench.BoardBench` says it is.
"""

from collections.abc import Callable

from board.connector import PILOT_OUT_E
from board.limits import Limits
from board.lock import STOP, TO_LOCKED
from board.residual import TRIP_AC, TRIP_DC
from board.wire import DUTY_OFF, NO_CURRENT

LEVELS_MV = {"A": 12000, "B": 8980, "C": 5990, "D": 2930, "E": 0, "F": -12000}
GAP_MV = 7500
"""Between the windows of B and C."""


class FakePins:
    """`board.connector.ConnectorPins` with a contactor that takes 30 ms, a bolt 300 ms, a sensor 200 ms."""

    has_lock = True
    has_rcd_test = True
    can_wake = True

    def __init__(self) -> None:
        self.level_mv = LEVELS_MV["A"]
        self.has_diode = True
        self.is_fresh = True
        self.is_welded = False
        self.never_closes = False
        self.bolt_jams = False
        self.sensor_works = True
        self.sensor_ms = 200
        self.leak = 0
        self.ohm = 220
        self.input_bits = 0
        self.temperature_dc = 250
        self.limits = Limits()
        self.measured_da = [NO_CURRENT] * 3
        self.ventilation = False
        self.three_phases = False
        self.moves_ac = False
        """The sensor's test moves its AC output, too."""
        self.has_phase_feedback = True
        self.phase_relay_sticks = False
        self._relay_at_three = False
        self.duty = DUTY_OFF
        self.contactor = False
        self.is_contact_closed = False
        self.is_bolt_locked = False
        self.rcd_test = False
        self.drive = STOP
        self.pattern = ""
        self.high_mv = 0
        self.low_mv = 0
        self.log: list[tuple[int, str, object]] = []
        self.now_ms = 0
        self.has_changed = False
        self._sensor_tested = False
        self._plans: list[tuple[int, Callable[[], None]]] = []

    def car(self, state: str) -> None:
        self.level_mv = LEVELS_MV[state]

    def move(self, now_ms: int) -> None:
        """Let everything arrive that was under way."""
        self.now_ms = now_ms
        due = [plan for plan in self._plans if plan[0] <= now_ms]
        self._plans = [plan for plan in self._plans if plan[0] > now_ms]
        for _, action in due:
            self.has_changed = True
            action()
        if self.is_welded:
            self.is_contact_closed = True
        elif self.never_closes:
            self.is_contact_closed = False

    def _later(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._plans.append((self.now_ms + delay_ms, action))

    def _note(self, what: str, value: object) -> None:
        self.log.append((self.now_ms, what, value))

    # ---- board.connector.ConnectorPins -------------------------------------------------------------------

    def sample(self) -> bool:
        if not self.is_fresh:
            return False
        if self.duty == PILOT_OUT_E:
            self.high_mv = self.low_mv = 0
            return True
        self.high_mv = self.level_mv
        self.low_mv = self.high_mv
        if self.duty != DUTY_OFF:
            self.low_mv = -12000 if self.has_diode or self.level_mv > 11000 else -self.level_mv
        return True

    def set_pilot(self, duty: int) -> None:
        self._note("duty", duty)
        self.duty = duty

    def set_contactor(self, closed: bool) -> None:
        self._note("contactor", closed)
        self.contactor = closed
        self._later(30, lambda: setattr(self, "is_contact_closed", self.contactor))

    def is_closed(self) -> bool:
        return self.is_contact_closed

    def rcd_trips(self) -> int:
        tested = TRIP_DC | TRIP_AC if self.moves_ac else TRIP_DC
        return self.leak | (tested if self._sensor_tested and self.sensor_works else 0)

    def set_rcd_test(self, on: bool) -> None:
        if on != self.rcd_test:
            self._note("rcd_test", on)
            self.rcd_test = on
            self._later(self.sensor_ms, lambda: setattr(self, "_sensor_tested", on))

    def residual(self) -> int:
        return 80 if self.leak else 0

    def proximity_ohm(self) -> int:
        return self.ohm

    def drive_lock(self, direction: int) -> None:
        self._note("lock", direction)
        self.drive = direction
        if direction != STOP and not self.bolt_jams:
            self._later(300, lambda: self._arrive(direction))

    def _arrive(self, direction: int) -> None:
        if self.drive == direction:
            self.is_bolt_locked = direction == TO_LOCKED

    def is_locked(self) -> bool:
        return self.is_bolt_locked

    def temperature(self) -> int:
        return self.temperature_dc

    def inputs(self) -> int:
        return self.input_bits

    def currents(self) -> list[int]:
        return self.measured_da

    def set_ventilation(self, on: bool) -> None:
        self._note("ventilation", on)
        self.ventilation = on

    def set_phases(self, three: bool) -> None:
        self._note("phases", three)
        self.three_phases = three
        self._later(30, self._move_phase_relay)

    def _move_phase_relay(self) -> None:
        if not self.phase_relay_sticks:
            self._relay_at_three = self.three_phases

    def phases_closed(self) -> int:
        return int(self._relay_at_three) if self.has_phase_feedback else -1

    def outlet(self) -> int:
        return 1

    def show(self, pattern: str) -> None:
        self._note("light", pattern)
        self.pattern = pattern


class FixedCablePins(FakePins):
    has_lock = False
