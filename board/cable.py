"""The cable in a socket: its rating by proximity pilot, and whether the coding makes sense; pure, times in ms.

The rating is taken when nothing is connected or none is known, and afterwards can only fall: a resistor that
drifts while the car charges must not raise the limit. Called by `board/connector.py` once per tick.
"""

from board.pilot import cable_rating_a
from board.wire import PILOT_A, const

_ODD_MS = const(500)


class Cable:
    """`rating_a`: 0 when none is in, or its coding is none of the known ones."""

    __slots__ = ("_odd_since", "rating_a")

    def __init__(self) -> None:
        self.rating_a = 0
        self._odd_since = -1

    def step(self, now_ms: int, pilot: int, proximity_ohm: int) -> bool:
        """Take one sample; True if `rating_a` changed."""
        rating = cable_rating_a(proximity_ohm)
        if pilot == PILOT_A or rating:
            self._odd_since = -1
        elif self._odd_since < 0:
            self._odd_since = now_ms
        known = self.rating_a
        if rating != known and (pilot == PILOT_A or known == 0 or 0 < rating < known):
            self.rating_a = rating
            return True
        return False

    def is_odd(self, now_ms: int) -> bool:
        """A car is connected, and the socket sees no rated cable."""
        return self._odd_since >= 0 and now_ms - self._odd_since >= _ODD_MS

    def due_in(self, now_ms: int, never: int) -> int:
        if self._odd_since >= 0 and now_ms - self._odd_since < _ODD_MS:
            return self._odd_since + _ODD_MS - now_ms
        return never
