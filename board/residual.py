"""Residual current: the trip latch and the self-test of the sensor; pure, times in ms.

The hardware must cut by itself (docs/board.md); this is the backup, and the only one that remembers. The
interrupt opens the contactor and calls `on_interrupt`; the tick calls `step` with the level of the trip
outputs. The self-test drives the sensor's test input with the contactor open: a trip must come and go again.
It runs at start, after each unplug and once a day. IEC 62955; timing figures in docs/board.md.
"""

from board.wire import F_RCD_AC, F_RCD_DC, const

TRIP_DC = const(1)
TRIP_AC = const(2)

_TRIP_MS = const(800)
_RELEASE_MS = const(1200)
_DAY_MS = const(86400000)
AUTO_CLEARS_PER_DAY = const(3)

_IDLE = const(0)
_WAIT_TRIP = const(1)
_WAIT_RELEASE = const(2)


class ResidualCurrent:
    """`has_passed`: the self-test passed and none is wanted since. `test_output` drives the sensor."""

    __slots__ = (
        "_clears",
        "_deadline",
        "_interrupts",
        "_passed_at",
        "_phase",
        "has_passed",
        "is_due",
        "test_output",
    )

    def __init__(self) -> None:
        self.is_due = True
        self.has_passed = False
        self.test_output = False
        self._phase = _IDLE
        self._deadline = 0
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
        self._deadline = now_ms + _TRIP_MS
        self.test_output = True

    def run_test(self, now_ms: int, bits: int) -> int:
        """Advance the self-test; 0 while it goes on, then once 1 (passed) or -1 (failed)."""
        if self._phase == _WAIT_TRIP and bits & TRIP_DC:
            self.test_output = False
            self._phase = _WAIT_RELEASE
            self._deadline = now_ms + _RELEASE_MS
        elif self._phase == _WAIT_RELEASE and not bits:
            self._phase = _IDLE
            self.has_passed = True
            self._passed_at = now_ms
            return 1
        elif self._phase != _IDLE and now_ms >= self._deadline:
            self.test_output = False
            self._phase = _IDLE
            self.has_passed = False
            return -1
        return 0

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

    def due_in(self, now_ms: int, never: int) -> int:
        if self._phase != _IDLE:
            return self._deadline - now_ms if self._deadline > now_ms else 1
        if self.has_passed and now_ms - self._passed_at < _DAY_MS:
            return self._passed_at + _DAY_MS - now_ms
        return never
