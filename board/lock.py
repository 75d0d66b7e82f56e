"""The lock motor of a socket: drives it to where it shall be, and says when it cannot; pure, times in ms.

It never moves towards open unless `may_open` says that the contactor is open by command and by feedback.
Three attempts of lock_run_ms, then the fault; one only for a bolt that was in and is lost, because the contactor
may be closed. A failed unlock is tried again every 5 s, because a cable under tension is often freed by hand.
Called by `board/connector.py` once per tick.
"""

from board.wire import F_LOCK_FAIL, F_UNLOCK_FAIL, LOCK_LOCKED, LOCK_MOVING, LOCK_OPEN, const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from board.limits import Limits

STOP = const(0)
TO_LOCKED = const(1)
TO_OPEN = const(2)

_PAUSE_MS = const(500)
_RETRY_MS = const(5000)
_ATTEMPTS = const(3)


class SocketLock:
    """`drive` is what the motor shall do now: STOP, TO_LOCKED or TO_OPEN."""

    __slots__ = ("_attempts", "_failed", "_limits", "_until", "_wants_locked", "drive")

    def __init__(self, limits: "Limits") -> None:
        self._limits = limits
        self.drive = STOP
        self._wants_locked = False
        self._attempts = 0
        self._until = -1
        self._failed = 0

    @property
    def is_meant_to_hold(self) -> bool:
        """Locked is where the bolt shall stay: it is not on its way out, nor waiting for that."""
        return self._wants_locked

    def retry(self) -> None:
        """Try again from the start (CLEAR_FAULT)."""
        self._attempts = 0
        self._failed = 0
        self._until = -1

    def step(self, now_ms: int, wants_locked: bool, may_open: bool, is_locked: bool) -> int:
        """Advance; returns F_LOCK_FAIL or F_UNLOCK_FAIL while it cannot get there, else 0."""
        if wants_locked != self._wants_locked:
            self._wants_locked = wants_locked
            self.drive = STOP
            self.retry()
        if is_locked == wants_locked:
            self.drive = STOP
            self.retry()
            if wants_locked:
                self._attempts = _ATTEMPTS - 1
        elif not wants_locked and not may_open:
            self.drive = STOP
        elif self.drive != STOP:
            if now_ms >= self._until:
                self._give_up_attempt(now_ms)
        elif now_ms >= self._until and (self._attempts < _ATTEMPTS or not wants_locked):
            self.drive = TO_LOCKED if wants_locked else TO_OPEN
            self._until = now_ms + self._limits.lock_run_ms
        return self._failed

    def _give_up_attempt(self, now_ms: int) -> None:
        self.drive = STOP
        self._attempts += 1
        if self._attempts < _ATTEMPTS:
            self._until = now_ms + _PAUSE_MS
        else:
            self._failed = F_LOCK_FAIL if self._wants_locked else F_UNLOCK_FAIL
            self._until = now_ms + _RETRY_MS

    def state(self, is_locked: bool) -> int:
        if self.drive != STOP:
            return LOCK_MOVING
        return LOCK_LOCKED if is_locked else LOCK_OPEN

    def due_in(self, now_ms: int, never: int) -> int:
        return self._until - now_ms if self._until > now_ms else never
