"""Frames of the host link: one text line each, found again after any noise; pure.

`~` + base64(type u8, seq u8, payload, CRC-32 little-endian) + newline. Whatever else is on the line is console
text. No input makes anything here raise but ValueError, and `Reader` never raises. Both sides reach it through
`board/wire.py`, which knows what the payloads mean.
"""

from binascii import a2b_base64, b2a_base64, crc32
from struct import pack, unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:

    def const(value: int) -> int: ...
else:
    try:
        from micropython import const
    except ImportError:  # CPython: a plain value

        def const(value):
            return value


MAX_PAYLOAD = const(512)
MAX_LINE = const(693)
"""Longest line without its newline: `~` and the base64 of 2 + 512 + 4 bytes."""


def encode(message_type: int, seq: int, payload: bytes = b"") -> bytes:
    """The line of one frame, newline included. Raises ValueError if `payload` is over MAX_PAYLOAD."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError("payload too long")
    body = bytes((message_type, seq & 0xFF)) + payload
    return b"~" + b2a_base64(body + pack("<I", crc32(body) & 0xFFFFFFFF))


def decode(line: bytes) -> "tuple[int, int, bytes] | None":
    """(type, seq, payload) of a line without its newline; None if it is not a whole, unharmed frame."""
    if line[:1] != b"~" or len(line) > MAX_LINE or (len(line) - 1) & 3:
        return None
    try:
        body = a2b_base64(line[1:])
    except Exception:  # ValueError in C; micropython-lib's binascii raises a bare Exception
        return None
    end = len(body) - 4
    if end < 2 or crc32(body[:end]) & 0xFFFFFFFF != unpack_from("<I", body, end)[0]:
        return None
    return body[0], body[1], body[2:end]


class Reader:
    """Splits a byte stream into frames and console lines. Never raises; keeps at most MAX_LINE bytes.

    `bad` counts lines that began like a frame and were not one, and lines that were too long."""

    __slots__ = ("_rest", "_skipping", "bad")

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False
        self.bad = 0

    def feed(self, chunk: bytes) -> "tuple[list[tuple[int, int, bytes]], list[bytes]]":
        """Take any piece of the stream; returns the frames and the console lines that it completed."""
        frames = []
        console: "list[bytes]" = []
        pending = self._rest + bytes(chunk)
        start = 0
        while True:
            end = pending.find(b"\n", start)
            if end < 0:
                break
            line = pending[start:end]
            start = end + 1
            if self._skipping:
                self._skipping = False
                self.bad += 1
                continue
            frame = self._line(line, console)
            if frame is not None:
                frames.append(frame)
        pending = pending[start:]
        if len(pending) > MAX_LINE:
            pending = b""
            self._skipping = True
        self._rest = pending
        return frames, console

    def _line(self, line: bytes, console: "list[bytes]") -> "tuple[int, int, bytes] | None":
        # Text or the rest of a broken frame may be glued in front: the last `~` starts the frame.
        last = line.rfind(b"~")
        frame = decode(line[last:]) if last >= 0 else None
        first = line.find(b"~")
        if frame is None:
            if last >= 0:
                self.bad += 1
            text = line
        else:
            if first != last:
                self.bad += 1
            text = line[:first]
        text = text.strip()
        if text:
            console.append(text)
        return frame
