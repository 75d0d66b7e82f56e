"""May the contactor be closed? And does it do what it was told? Pure; times in ms.

The contactor closes only with a valid permission, in pilot state C (or D with ventilation), while PWM offers
current, with no fault standing and everything else ready; nothing can force it closed. It opens at once when
the EV leaves that state or a fault stands, and 6 s after PWM stopped if the EV keeps S2 closed.
Called by `board/connector.py` once per tick. IEC 61851-1 Annex A (sequences 4, 8.1, 10.2), docs/board.md.
"""

from board.wire import F_CONTACTOR_NO_CLOSE, F_CONTACTOR_WELDED, PILOT_C, PILOT_D, const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from board.limits import Limits

FORCED_OPEN_MS = const(6000)
"""How long an EV may keep S2 closed after PWM stopped, before the contactor opens under load."""
REST_MS = const(1000)
"""After opening, the contactor stays open at least this long: an EV that flutters must not wear it out."""
_SETTLE_MS = const(150)
"""Travel of contactor and auxiliary contact; feedback counts from then on."""
_MISMATCH_TICKS = const(2)


class Lease:
    """The host's permission has an end; without renewal it is over `at_ms`."""

    __slots__ = ("at_ms", "was_given")

    def __init__(self) -> None:
        self.at_ms = 0
        self.was_given = False

    def renew(self, now_ms: int, lease_ms: int) -> None:
        self.at_ms = now_ms + lease_ms
        self.was_given = True

    def is_valid(self, now_ms: int) -> bool:
        return self.was_given and now_ms < self.at_ms

    def is_over_by(self, now_ms: int, margin_ms: int) -> bool:
        """It ran out `margin_ms` ago, or was never given."""
        return not self.was_given or now_ms >= self.at_ms + margin_ms


class Interlock:
    """`command` is what the contactor shall do; `step` decides it, `check` compares it with the feedback."""

    __slots__ = ("_forced_at", "_limits", "_mismatch", "_switched_at", "command")

    def __init__(self, limits: "Limits") -> None:
        self.command = False
        self._limits = limits
        self._forced_at = -1
        self._switched_at = -REST_MS
        self._mismatch = 0

    def step(self, now_ms: int, pilot: int, is_stopped: bool, is_offering: bool, may_close: bool) -> bool:
        """Decide for this tick; returns `command`.

        `is_stopped`: a fault forbids charging. `is_offering`: PWM runs. `may_close`: permission, lease, lock,
        cable, diode and self-test are all in order; they are needed to close, not to stay closed, because
        taking them back stops PWM and gives the EV time to stop first."""
        power_state = pilot == PILOT_C or (pilot == PILOT_D and self._limits.has_ventilation != 0)
        if not self.command:
            rested = now_ms - self._switched_at >= REST_MS
            if power_state and is_offering and may_close and not is_stopped and rested:
                self._switch(now_ms, True)
        elif not power_state or is_stopped:
            self._switch(now_ms, False)
        elif is_offering:
            self._forced_at = -1
        elif self._forced_at < 0:
            self._forced_at = now_ms + FORCED_OPEN_MS
        elif now_ms >= self._forced_at:
            self._switch(now_ms, False)
        return self.command

    def trip(self, now_ms: int) -> None:
        """The contactor has been opened from outside (residual current interrupt)."""
        if self.command:
            self._switch(now_ms, False)

    def _switch(self, now_ms: int, closed: bool) -> None:
        self.command = closed
        self._switched_at = now_ms
        self._forced_at = -1
        self._mismatch = 0

    def check(self, now_ms: int, is_closed: bool) -> int:
        """Fault mask from the feedback: welded (closed though told to open) or not closing."""
        if is_closed == self.command or now_ms - self._switched_at < _SETTLE_MS:
            self._mismatch = 0
            return 0
        if self._mismatch < _MISMATCH_TICKS:
            self._mismatch += 1
        if self._mismatch < _MISMATCH_TICKS:
            return 0
        return F_CONTACTOR_NO_CLOSE if self.command else F_CONTACTOR_WELDED

    def is_at_rest(self, now_ms: int) -> bool:
        """Open for at least REST_MS."""
        return not self.command and now_ms - self._switched_at >= REST_MS

    def due_in(self, now_ms: int, never: int) -> int:
        """In how many ms the same inputs could give another answer; 1: at the next tick."""
        if 0 < self._mismatch < _MISMATCH_TICKS:
            return 1
        since = now_ms - self._switched_at
        if since < _SETTLE_MS:
            return _SETTLE_MS - since
        if since < REST_MS:
            return REST_MS - since
        if self._forced_at > now_ms:
            return self._forced_at - now_ms
        return never
