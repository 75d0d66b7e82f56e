"""What the car draws, and on how many phases: over-current and the phase switching sequence; pure, times in ms.

`OverCurrent` compares the highest phase current with the limit that held up to 5 s ago (9 s by the host's meter),
because an EV has that long to follow a lower one. `PhaseSwitch` moves the relay of L2 and L3 with nothing offered and
the contactor open for 10 s; never under load. Currents in 0.1 A. Neither opens anything: `board/interlock.py` does.
Called by `board/connector.py` once per tick. Figures and sources: docs/board.md.
"""

from board.wire import F_OVER_CURRENT, F_PHASE_SWITCH, NO_CURRENT, const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from board.limits import Limits

MEASURED_MS = const(5000)
"""What the host measured counts for so long after its SETPOINT."""
_SECONDS = const(6)
"""The running second and the five before it: what was offered in one of them may still be drawn."""
_SECONDS_BY_METER = const(10)
"""What the host's meter shows is up to 5 s older than what a sensor of the board would show."""
_SLOW_MS = const(10000)
_FAST_MS = const(2000)
_HOLD_MS = const(30000)
_TRIPS_PER_SESSION = const(3)

PAUSE_MS = const(10000)
"""The contactor is open for so long before the phase relay moves: the car must see that the mains went away."""
_SETTLE_MS = const(200)
_MISMATCH_TICKS = const(2)


class OverCurrent:
    """Trips above the limit by 10 % and 1 A for 10 s, or by 25 % for 2 s; what is not measured never trips.

    A trip holds for 30 s, the third one of a session until the unplug."""

    __slots__ = (
        "_fast_since",
        "_held_until",
        "_host_da",
        "_host_until",
        "_is_held",
        "_is_new",
        "_measured_da",
        "_offered_da",
        "_recent",
        "_second",
        "_slow_since",
        "_trips",
    )

    def __init__(self) -> None:
        self._recent = [0] * _SECONDS_BY_METER
        self._second = 0
        self._offered_da = 0
        self._host_da = NO_CURRENT
        self._host_until = 0
        self._is_new = False
        self._measured_da = NO_CURRENT
        self._slow_since = -1
        self._fast_since = -1
        self._is_held = False
        self._held_until = 0
        self._trips = 0

    def take(self, now_ms: int, measured_da: int) -> None:
        """The highest phase current that the host's meter shows, NO_CURRENT when it has none."""
        self._is_new = self._is_new or measured_da != self._host_da
        self._host_da = measured_da
        self._host_until = now_ms + MEASURED_MS

    def forgive(self) -> None:
        """The car is out, or somebody has looked at it (CLEAR_FAULT)."""
        self._is_held = False
        self._trips = 0

    def step(self, now_ms: int, offered_da: int, is_closed: bool, currents: "Sequence[int]") -> int:
        """Fault mask of this tick. `currents`: the board's own sensors; a higher reading of the host counts."""
        self._is_new = False
        seconds = _SECONDS
        measured_da = _highest(currents)
        host_da = self._host_da if now_ms < self._host_until else NO_CURRENT
        if host_da != NO_CURRENT and (measured_da == NO_CURRENT or host_da > measured_da):
            seconds = _SECONDS_BY_METER
            measured_da = host_da
        self._measured_da = measured_da
        allowed_da = self._allowed(now_ms, offered_da, seconds)
        slow_da = allowed_da * 11 // 10 + 10
        fast_da = allowed_da * 5 // 4
        if fast_da < slow_da:
            fast_da = slow_da
        is_over = is_closed and measured_da != NO_CURRENT and measured_da > slow_da
        if self._is_held:
            self._hold(now_ms, is_over)
        elif not is_over:
            self._slow_since = -1
            self._fast_since = -1
        else:
            if self._slow_since < 0:
                self._slow_since = now_ms
            if measured_da <= fast_da:
                self._fast_since = -1
            elif self._fast_since < 0:
                self._fast_since = now_ms
            is_fast = self._fast_since >= 0 and now_ms - self._fast_since >= _FAST_MS
            if is_fast or now_ms - self._slow_since >= _SLOW_MS:
                self._trip(now_ms)
        return F_OVER_CURRENT if self._is_held else 0

    def _trip(self, now_ms: int) -> None:
        self._slow_since = -1
        self._fast_since = -1
        if self._trips < _TRIPS_PER_SESSION:
            self._trips += 1
        self._is_held = True
        self._held_until = now_ms + _HOLD_MS

    def _hold(self, now_ms: int, is_over: bool) -> None:
        if now_ms >= self._held_until and self._trips < _TRIPS_PER_SESSION:
            if is_over:  # it flows on, through a welded contactor
                self._held_until = now_ms + _HOLD_MS
            else:
                self._is_held = False

    def _allowed(self, now_ms: int, offered_da: int, seconds: int) -> int:
        """The highest offer of the last `seconds`, the running one included."""
        recent = self._recent
        second = now_ms // 1000
        missed = second - self._second
        if missed > 0:
            self._second = second
            if missed > _SECONDS_BY_METER:
                missed = _SECONDS_BY_METER
            while missed:  # through seconds without a change the last offer held
                missed -= 1
                recent[(second - missed) % _SECONDS_BY_METER] = self._offered_da
        self._offered_da = offered_da
        if offered_da > recent[second % _SECONDS_BY_METER]:
            recent[second % _SECONDS_BY_METER] = offered_da
        allowed_da = 0
        while seconds:
            seconds -= 1
            each = recent[(second - seconds) % _SECONDS_BY_METER]
            if each > allowed_da:
                allowed_da = each
        return allowed_da

    def due_in(self, now_ms: int, never: int) -> int:
        if self._is_new:
            return 1
        due = never
        if self._measured_da != NO_CURRENT and self._measured_da > self._offered_da:
            due = 1000 - now_ms % 1000  # an older, higher offer may end with this second
        for deadline in (
            self._host_until,
            self._slow_since + _SLOW_MS if self._slow_since >= 0 else -1,
            self._fast_since + _FAST_MS if self._fast_since >= 0 else -1,
            self._held_until if self._is_held else -1,
        ):
            if now_ms < deadline < now_ms + due:
                due = deadline - now_ms
        return due


def _highest(currents: "Sequence[int]") -> int:
    """NO_CURRENT if nothing is measured."""
    highest = -1
    for each in currents:
        if each != NO_CURRENT and each > highest:
            highest = each
    return highest if highest >= 0 else NO_CURRENT


class PhaseSwitch:
    """`phases` is what the car gets: 1, 3, or 0 while the relay's position is not known yet (after a start)."""

    __slots__ = (
        "_limits",
        "_mismatch",
        "_moved_at",
        "_open_since",
        "is_pending",
        "is_settling",
        "phases",
    )

    def __init__(self, limits: "Limits", phases: int) -> None:
        """`phases`: how many are wired."""
        self._limits = limits
        self.phases = 0 if limits.can_switch_phases else phases
        self.is_pending = False
        self.is_settling = False
        self._open_since = -1
        self._moved_at = 0
        self._mismatch = 0

    @property
    def is_ready(self) -> bool:
        """Current may be offered: the relay stands where it is wanted."""
        return self.phases != 0 and not self.is_pending and not self.is_settling

    def step(self, now_ms: int, wanted: int, is_open: bool) -> bool:
        """`wanted`: 1 or 3, 0 nobody says. `is_open`: the contactor, by command and by feedback. True: move the
        relay now to where `phases` says."""
        if not self._limits.can_switch_phases:
            return False
        if not is_open:
            self._open_since = -1
        elif self._open_since < 0:
            self._open_since = now_ms
        if self.is_settling and now_ms - self._moved_at >= _SETTLE_MS:
            self.is_settling = False
        self.is_pending = wanted != 0 and wanted != self.phases
        if not self.is_pending or self._open_since < 0 or now_ms - self._open_since < PAUSE_MS:
            return False
        self.phases = wanted
        self.is_pending = False
        self.is_settling = True
        self._moved_at = now_ms
        self._open_since = now_ms  # back again only after another pause
        self._mismatch = 0
        return True

    def check(self, feedback: int) -> int:
        """Fault mask: the relay is not where it was sent. `feedback`: 1 three phases, 0 one, -1 none is wired."""
        is_quiet = self.is_settling or self.phases == 0 or not self._limits.can_switch_phases
        if is_quiet or feedback < 0 or feedback == (self.phases == 3):
            self._mismatch = 0
        elif self._mismatch < _MISMATCH_TICKS:
            self._mismatch += 1
        return F_PHASE_SWITCH if self._mismatch == _MISMATCH_TICKS else 0

    def due_in(self, now_ms: int, never: int) -> int:
        if 0 < self._mismatch < _MISMATCH_TICKS:
            return 1
        due = never
        for deadline in (
            self._moved_at + _SETTLE_MS if self.is_settling else -1,
            self._open_since + PAUSE_MS if self.is_pending and self._open_since >= 0 else -1,
        ):
            if now_ms < deadline < now_ms + due:
                due = deadline - now_ms
        return due
