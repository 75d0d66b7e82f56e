"""How long to wait before the next connection attempt: exponential, capped, jittered. Pure.

It knows no socket and reads no clock; `link` asks it once per failed attempt or lost connection. A fleet that loses its
CSMS at the same instant must come back spread out, and a station that is refused must not hammer.
OCPP-J 1.6 3.2 and errata 3.4 (R16-005, R16-006); OCPP 2.0.1 part 4, 5.3, 8.1 to 8.3.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

_MOST_DOUBLINGS = 20
LONGEST_WISH_S = 300.0
"""What a server may ask for at most (Retry-After) beyond our own waits."""


@dataclass(frozen=True, slots=True)
class BackOffLimits:
    """All in seconds."""

    first_s: float = 4.0
    """Ceiling of the first wait after a lost connection, a network failure or a busy server."""
    refused_first_s: float = 16.0
    """The same after a refusal that a human has to settle (unknown identity, wrong password, no subprotocol)."""
    limit_s: float = 300.0
    stable_after_s: float = 60.0
    """A connection that lived this long makes the next wait short again; one that is closed at once does not."""


@dataclass(frozen=True, slots=True)
class Doubling:
    """The back-off of 2.x (part 4, 5.3), in seconds: it starts anew with every connection (errata 4.12)."""

    wait_s: float
    """RetryBackOffWaitMinimum; less than `LEAST_WAIT_S` counts as that."""
    random_s: float
    """RetryBackOffRandomRange."""
    doublings: int
    """RetryBackOffRepeatTimes."""


LEAST_WAIT_S = 1.0
"""A CSMS that sets every wait to 0 is not to be flooded."""


class BackOff:
    """Counts failures; `draw` gives numbers in [0, 1). `limits` may be replaced at any time."""

    def __init__(self, limits: BackOffLimits | Doubling, draw: Callable[[], float] = random.random) -> None:
        self.limits = limits
        self._draw = draw
        self._failures = 0

    def next_wait_s(self, is_refused: bool = False, at_least_s: float = 0.0) -> float:
        """Between a quarter of the ceiling and the ceiling, which doubles with every call up to `limit_s`.

        `at_least_s` is what the server asked for (Retry-After); it is honoured up to the limit.
        """
        limits = self.limits
        if isinstance(limits, Doubling):
            wait_s = max(limits.wait_s, LEAST_WAIT_S) * 2.0 ** min(self._failures, limits.doublings)
            self._failures += 1
            return max(wait_s + limits.random_s * self._draw(), min(at_least_s, LONGEST_WISH_S))
        first_s = limits.refused_first_s if is_refused else limits.first_s
        ceiling_s = min(limits.limit_s, first_s * 2.0 ** min(self._failures, _MOST_DOUBLINGS))
        self._failures += 1
        return max(ceiling_s * (0.25 + 0.75 * self._draw()), min(at_least_s, limits.limit_s))

    def note_connection(self, lasted_s: float) -> None:
        """A connection ended after `lasted_s`."""
        if isinstance(self.limits, Doubling) or lasted_s >= self.limits.stable_after_s:
            self._failures = 0
