"""Residual current: the trip latch and the self-test of the sensor; pure, times in ms.

The hardware must cut by itself (docs/board.md); this is the backup, and the only one that remembers. The
interrupt opens the contactor and calls `on_interrupt`; the tick calls `step` with the level of the trip
outputs. The self-test pulses the sensor's test input with the contactor open: each trip must come and go again in
time. It runs at start, after each unplug and once a day. IEC 62955; timing figures in docs/board.md.
"""

from board.wire import F_RCD_AC, F_RCD_DC, const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from board.limits import Limits

TRIP_DC = const(1)
TRIP_AC = const(2)

_DAY_MS = const(86400000)
AUTO_CLEARS_PER_DAY = const(3)

_IDLE = const(0)
_WAIT_TRIP = const(1)
_WAIT_CLEAR = const(2)


class ResidualCurrent:
    """`has_passed`: the self-test passed and none is wanted since. `test_output` drives the sensor."""

    __slots__ = (
        "_clears",
        "_interrupts",
        "_limits",
        "_passed_at",
        "_phase",
        "_seen",
        "_since",
        "has_passed",
        "is_due",
        "test_output",
    )

    def __init__(self, limits: "Limits") -> None:
        self._limits = limits
        self.is_due = True
        self.has_passed = False
        self.test_output = False
        self._phase = _IDLE
        self._since = 0
        self._seen = 0
        self._interrupts = 0
        self._passed_at = 0
        self._clears = [-_DAY_MS] * AUTO_CLEARS_PER_DAY

    def require_test(self) -> None:
        """Nothing is proven until the next self-test has passed."""
        self.is_due = True
        self.has_passed = False

    @property
    def is_testing(self) -> bool:
        return self._phase != _IDLE

    @property
    def was_interrupted(self) -> bool:
        """A trip came since the last tick."""
        return self._interrupts != 0

    def on_interrupt(self, bits: int) -> None:
        """From the interrupt: remember a trip that may be over before the next tick."""
        if self._phase == _IDLE:
            self._interrupts |= bits

    def step(self, bits: int) -> int:
        """Fault mask of this tick from the trip outputs; a trip during the self-test is the test's."""
        if self._phase != _IDLE:
            return 0
        if self._interrupts:  # not cleared unseen: the interrupt may come between any two lines
            bits |= self._interrupts
            self._interrupts = 0
        mask = 0
        if bits & TRIP_DC:
            mask |= F_RCD_DC
        if bits & TRIP_AC:
            mask |= F_RCD_AC
        return mask

    def start_test(self, now_ms: int) -> None:
        """Begin the self-test. The caller has made sure that the contactor is open and no trip stands."""
        self.is_due = False
        self.has_passed = False
        self._phase = _WAIT_TRIP
        self._since = now_ms
        self._seen = 0
        self.test_output = True

    def run_test(self, now_ms: int, bits: int) -> int:
        """Advance the self-test; 0 while it goes on, then once 1 (passed) or -1 (failed)."""
        limits = self._limits
        passed_ms = now_ms - self._since
        if self._phase == _WAIT_TRIP:
            self._seen |= bits
            if passed_ms >= limits.rcd_pulse_ms:
                self.test_output = False
            needs_ac = limits.rcd_ac_trip_ms > 0 and not self._seen & TRIP_AC
            if self._seen & TRIP_DC and not needs_ac:
                if not self.test_output:
                    self._phase = _WAIT_CLEAR
                    self._since = now_ms
            elif not self._seen & TRIP_DC and passed_ms >= limits.rcd_trip_ms:
                return self._end_test(now_ms, False)
            elif needs_ac and passed_ms >= limits.rcd_ac_trip_ms:
                return self._end_test(now_ms, False)
        elif self._phase == _WAIT_CLEAR:
            if not bits:
                return self._end_test(now_ms, True)
            if passed_ms >= limits.rcd_clear_ms:
                return self._end_test(now_ms, False)
        return 0

    def _end_test(self, now_ms: int, has_passed: bool) -> int:
        self.test_output = False
        self._phase = _IDLE
        self.has_passed = has_passed
        if not has_passed:
            return -1
        self._passed_at = now_ms
        return 1

    def is_old(self, now_ms: int) -> bool:
        """The last passed self-test is more than a day ago."""
        return self.has_passed and now_ms - self._passed_at >= _DAY_MS

    def may_auto_clear(self, now_ms: int) -> bool:
        """At most three trips a day go by themselves after an unplug; then somebody must look at it."""
        return now_ms - self._clears[0] >= _DAY_MS

    def note_auto_clear(self, now_ms: int) -> None:
        clears = self._clears
        for i in range(AUTO_CLEARS_PER_DAY - 1):
            clears[i] = clears[i + 1]
        clears[AUTO_CLEARS_PER_DAY - 1] = now_ms

    def clears_of_the_day(self, now_ms: int) -> int:
        """How many trips went by themselves in the last 24 hours."""
        count = 0
        for at_ms in self._clears:
            if now_ms - at_ms < _DAY_MS:
                count += 1
        return count

    def due_in(self, now_ms: int, never: int) -> int:
        if self._phase != _IDLE:
            return self._test_due_in(now_ms)
        if self.has_passed and now_ms - self._passed_at < _DAY_MS:
            return self._passed_at + _DAY_MS - now_ms
        return never

    def _test_due_in(self, now_ms: int) -> int:
        limits = self._limits
        due = limits.rcd_clear_ms if self._phase == _WAIT_CLEAR else limits.rcd_trip_ms
        if self._phase == _WAIT_TRIP:
            if self.test_output:
                due = min(due, limits.rcd_pulse_ms)
            if limits.rcd_ac_trip_ms and not self._seen & TRIP_AC:
                due = min(due, limits.rcd_ac_trip_ms)
        return max(1, self._since + due - now_ms)
