"""The wake-up of a car that sleeps in B2: the pilot at 0 V (state E) for 4 s, at most twice a session; pure.

On request of the host after 60 s in B2, or by itself after wake_after_s while current is offered and the car has
not charged since it was plugged in. Nothing goes further than that: state F is never used, because some cars stay
asleep on it for good. Times in ms. Called by `board/connector.py`. IEC 61851-1 A.5.3.
"""

from board.wire import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from board.limits import Limits

_ASLEEP_MS = const(60000)
_PULSE_MS = const(4000)
_PULSES_PER_SESSION = const(2)


class WakeUp:
    """`is_pulsing`: the board itself holds the pilot at 0 V, nothing can be read from it."""

    __slots__ = ("_b2_since", "_has_charged", "_limits", "_pulses", "_until", "is_pulsing")

    def __init__(self, limits: "Limits") -> None:
        self._limits = limits
        self._b2_since = -1
        self._has_charged = False
        self._pulses = 0
        self._until = 0
        self.is_pulsing = False

    def unplugged(self) -> None:
        """The next car may be woken again."""
        self._pulses = 0
        self._has_charged = False

    def watch(self, now_ms: int, is_b2: bool, is_charging: bool) -> None:
        if is_charging:
            self._has_charged = True
        if not is_b2:
            self._b2_since = -1
        elif self._b2_since < 0:
            self._b2_since = now_ms

    def may_start(self, now_ms: int) -> bool:
        """Somebody asks for it, and the car does sleep."""
        return self._is_asleep_for(now_ms, _ASLEEP_MS)

    def is_due(self, now_ms: int) -> bool:
        """By itself: this car has not charged, and is offered current in vain."""
        after_ms = self._limits.wake_after_s * 1000
        return after_ms > 0 and not self._has_charged and self._is_asleep_for(now_ms, after_ms)

    def _is_asleep_for(self, now_ms: int, duration_ms: int) -> bool:
        is_asleep = self._b2_since >= 0 and now_ms - self._b2_since >= duration_ms
        return is_asleep and not self.is_pulsing and self._pulses < _PULSES_PER_SESSION

    def start(self, now_ms: int) -> None:
        self._pulses += 1
        self._until = now_ms + _PULSE_MS
        self.is_pulsing = True

    def has_ended(self, now_ms: int) -> bool:
        """Once: the pulse is over in this tick."""
        if not self.is_pulsing or now_ms < self._until:
            return False
        self.is_pulsing = False
        self._b2_since = -1
        return True

    def due_in(self, now_ms: int, never: int) -> int:
        due = never
        for deadline in (
            self._until if self.is_pulsing else -1,
            self._b2_since + self._limits.wake_after_s * 1000 if self._b2_since >= 0 else -1,
        ):
            if now_ms < deadline < now_ms + due:
                due = deadline - now_ms
        return due
