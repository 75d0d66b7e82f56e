"""A byte stream with a listener: every frame that passes between a host and a board, both ways, as it passes.

It sits under `board_client.BoardClient` (or any other host) and changes nothing, so that a recording goes on while
hosts come and go on the same line. Used by `board_rigs.RealRig`, which times a real board by the board's own
clock, and by `tests/rig/recording.py`.
"""

from collections.abc import Callable

from board import wire
from hal.bus.byte_stream import ByteStream, OnBytes, OnLost

OnFrame = Callable[[bool, int, bytes], None]
"""(is it from the board, type, payload)"""


class TappedStream:
    """A `ByteStream` that tells `on_frame` of every whole frame."""

    def __init__(self, stream: ByteStream, on_frame: OnFrame) -> None:
        self._stream = stream
        self._on_frame = on_frame
        self._from_board = wire.Reader()
        self._from_host = wire.Reader()

    @property
    def name(self) -> str:
        return self._stream.name

    async def open(self, on_bytes: OnBytes, on_lost: OnLost) -> None:
        self._from_board = wire.Reader()

        def listen(octets: bytes) -> None:
            for message_type, _, payload in self._from_board.feed(octets)[0]:
                self._on_frame(True, message_type, payload)
            on_bytes(octets)

        await self._stream.open(listen, on_lost)

    def write(self, octets: bytes) -> None:
        for message_type, _, payload in self._from_host.feed(octets)[0]:
            self._on_frame(False, message_type, payload)
        self._stream.write(octets)

    def close(self) -> None:
        self._stream.close()
