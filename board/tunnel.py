"""The board's serial ports, carried over the host link byte for byte; what is read there is the host's affair alone.

Made for card readers: their drivers are on the host (`hal/drivers`), and no reader's protocol is known here.
Nothing waits and nothing is kept: a tick forwards one frame of at most SERIAL_MAX bytes, in turn from each port, so
that the host link is never more than half full and STATUS always gets through. Bytes that nobody may
hear (no HELLO yet) or that came too fast are dropped; `lost` counts the latter. Called by `board/app.py`.
"""

from board.wire import SERIAL_BUFFER, SERIAL_IN, SERIAL_MAX, const, pack_serial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    class SerialPins(Protocol):
        """The UARTs beside that of the host."""

        @property
        def serial_ports(self) -> Sequence[tuple[str, int]]:
            """Name and baud rate of each."""

        def read_serial(self, index: int) -> bytes | None:
            """At most SERIAL_MAX bytes that have come, b"" if none; None: some were lost, and all were thrown away."""

        def write_serial(self, index: int, octets: bytes) -> None:
            """Never asked for more than SERIAL_BUFFER bytes that are still to be sent; must not wait."""


_BITS = const(10)
"""Of one byte on a serial line, with start and stop bit."""


class Tunnel:
    """`push(message_type, payload)` sends to the host, if it has said HELLO."""

    __slots__ = ("_free_at", "_has_more", "_next", "_pins", "_push", "lost")

    def __init__(self, pins: "SerialPins", push: "Callable[[int, bytes], None]") -> None:
        self.lost = 0
        """How often bytes were dropped because too many came or went."""
        self._pins = pins
        self._push = push
        self._next = 0
        self._has_more = False
        self._free_at = [0] * len(pins.serial_ports)
        """When each port will have sent what was given to it."""

    def tick(self) -> None:
        """Forward what the next port that has something has to say."""
        pins = self._pins
        count = len(self._free_at)
        self._has_more = False
        for _ in range(count):
            index = self._next
            self._next = index + 1 if index + 1 < count else 0
            octets = pins.read_serial(index)
            if octets is None:
                self.lost += 1
            elif octets:
                self._push(SERIAL_IN, pack_serial(index, octets))
            else:
                continue
            self._has_more = True
            return

    def flush(self) -> None:
        """The host is new: what came before it was said to nobody."""
        for index in range(len(self._free_at)):
            for _ in range(SERIAL_BUFFER // SERIAL_MAX):
                if not self._pins.read_serial(index):
                    break

    def send(self, now_ms: int, index: int, octets: bytes) -> bool:
        """Bytes of the host for a port. False: there is no such port."""
        if index >= len(self._free_at):
            return False
        baud = self._pins.serial_ports[index][1]
        free_at = max(self._free_at[index], now_ms)
        if (free_at - now_ms) * baud // (1000 * _BITS) + len(octets) > SERIAL_BUFFER:
            self.lost += 1
            return True
        self._free_at[index] = free_at + -(-len(octets) * 1000 * _BITS // baud)
        self._pins.write_serial(index, octets)
        return True

    def due_in(self, never: int) -> int:
        """For simulators: whether the next tick has something to do, if nothing new comes."""
        return 1 if self._has_more else never
