"""A byte stream as the links see it: opened, read by callback, written without waiting, lost without notice.

The one promise between a line (`hal.bus.serial_port`, the simulated board's in-memory wire) and the protocol
above it (`hal.bus.modbus`, `hal.drivers.board_link`). It knows no protocol and reopens nothing by itself: the
protocol's owner does, at the pace of `ReopenDelay`, so that a retry rule lives in one place per link.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hal.errors import DeviceMissing

OnBytes = Callable[[bytes], None]
OnLost = Callable[[DeviceMissing], None]


class ByteStream(Protocol):
    """One line at a time; may be opened again after it was lost or closed."""

    @property
    def name(self) -> str:
        """What the configuration calls it, for messages and logs."""

    async def open(self, on_bytes: OnBytes, on_lost: OnLost) -> None:
        """Open the line; from now on `on_bytes` is called in the loop with whatever arrives, in order.

        `on_lost` is called at most once, when the line goes away by itself; it is closed by then.
        Raises DeviceMissing."""

    def write(self, octets: bytes) -> None:
        """Send, now or as soon as the line takes it; never waits. Does nothing on a line that is not open."""

    def close(self) -> None:
        """Stop both callbacks and let go of the line; harmless when it is not open."""


@dataclass(slots=True)
class ReopenDelay:
    """Seconds to wait before the next attempt to open: doubles from `first_s` to `most_s`."""

    first_s: float = 0.1
    most_s: float = 5.0
    _next_s: float = 0.0

    def next_s(self) -> float:
        self._next_s = min(max(self.first_s, self._next_s * 2), self.most_s)
        return self._next_s

    def reset(self) -> None:
        self._next_s = 0.0
