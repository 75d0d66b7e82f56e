"""The board's uptime: 32 bits of milliseconds that begin anew after 49.7 days, and with every restart; pure.

`unwrapped` makes times of it that only grow, for who compares them; `has_restarted` tells a restart from a wrap.
Used by hal.drivers.board_link and hal.drivers.board_evse. Nothing here reads a clock.
"""

from typing import Final

_WRAP_MS: Final = 1 << 32
TOLERANCE_MS: Final = 1000
DRIFT: Final = 0.001
"""What the board's uptime may be off our clock without a restart: a late answer, a poor crystal."""


def _apart(later_ms: int, earlier_ms: int) -> int:
    """How far `later_ms` is after `earlier_ms`, modulo 2^32: -24.8 to 24.8 days."""
    half = _WRAP_MS // 2
    return (later_ms - earlier_ms + half) % _WRAP_MS - half


def unwrapped(uptime_ms: int, near_ms: int | None) -> int:
    """What the board calls `uptime_ms`, as the time nearest to `near_ms`, an unwrapped one of the same start of the
    board; as it is where none is known."""
    return uptime_ms if near_ms is None else near_ms + _apart(uptime_ms, near_ms)


def has_restarted(before_ms: int, away_ms: float, uptime_ms: int) -> bool:
    """Whether a board that was `before_ms` old, and was then not heard for `away_ms`, has started since.

    One that is younger than it must be has. One that is older has only if it can have started meanwhile: else it is our
    own clock that stood still. A restart whose uptime is, to a second, what the old one would be is not noticed."""
    slack_ms = TOLERANCE_MS + away_ms * DRIFT
    late_ms = _apart(round(before_ms + away_ms), uptime_ms)
    if abs(late_ms) <= slack_ms:
        return False
    return late_ms > 0 or uptime_ms <= away_ms + slack_ms
