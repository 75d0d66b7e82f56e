"""The board's end of the host link: frames in and out, events kept until acknowledged, answers kept for retries.

It knows no connector and no pin; `board/app.py` gives the handler. Nothing is pushed before the host has said
HELLO with our major version. One request that takes time may be open at once; the same request again (same
type, seq and payload: a retry) is not carried out twice, its answer is repeated.
"""

from board.wire import (
    EVENT,
    EVENT_RESEND_MS,
    EVENT_RING,
    NAK,
    NAK_BUSY,
    REPLY,
    Event,
    Reader,
    const,
    encode,
    pack_nak,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_KEEP_ANSWER_MS = const(3000)


class Link:
    """`write` takes whole lines. `is_linked`: the host has said HELLO in our language since the start."""

    def __init__(self, write: "Callable[[bytes], object]") -> None:
        self.is_linked = False
        self.event_seq = 0
        self._write = write
        self._reader = Reader()
        self._seq = 0
        self._events: "list[Event]" = []
        self._resend_at = 0
        self._asked = (0, 0, b"")
        self._answer = b""
        self._answered_at = 0

    def feed(self, chunk: bytes) -> "list[tuple[int, int, bytes]]":
        """Take bytes of the host; returns whole frames. Console text of the host means nothing to us."""
        return self._reader.feed(chunk)[0]

    def push(self, message_type: int, payload: bytes) -> None:
        """Send something nobody asked for."""
        if self.is_linked:
            self._seq = (self._seq + 1) & 0xFF
            self._write(encode(message_type, self._seq, payload))

    def reply(self, message_type: int, seq: int, payload: bytes = b"") -> None:
        line = encode(message_type | REPLY, seq, payload)
        self._write(line)
        self._keep(message_type, seq, line)

    def refuse(self, message_type: int, seq: int, code: int) -> None:
        line = encode(NAK, seq, pack_nak(message_type, code))
        self._write(line)
        self._keep(message_type, seq, line)

    # ---- requests that must not be carried out twice -----------------------------------------------------

    def begin(self, now_ms: int, message_type: int, seq: int, payload: bytes) -> bool:
        """May this request be carried out? No, if it is a retry or another one is still open."""
        asked = (message_type, seq, payload)
        if asked == self._asked:
            if not self._answer:
                return False
            if now_ms - self._answered_at < _KEEP_ANSWER_MS:
                self._write(self._answer)
                return False
        elif self._asked[0] and not self._answer:
            self._write(encode(NAK, seq, pack_nak(message_type, NAK_BUSY)))
            return False
        self._asked = asked
        self._answer = b""
        self._answered_at = now_ms
        return True

    def _keep(self, message_type: int, seq: int, line: bytes) -> None:
        if self._asked[0] == message_type and self._asked[1] == seq:
            self._answer = line

    def answer_open(self, now_ms: int, payload: bytes) -> None:
        """Answer the request that `begin` let in."""
        self._answered_at = now_ms
        self.reply(self._asked[0], self._asked[1], payload)

    def forget(self) -> None:
        """The host has started anew: no old request waits for an answer."""
        self._asked = (0, 0, b"")
        self._answer = b""

    # ---- events ------------------------------------------------------------------------------------------

    def add_event(self, now_ms: int, connector: int, kind: int, a: int, b: int) -> None:
        """Send an event, and again until acknowledged; beyond EVENT_RING the oldest is lost."""
        self.event_seq = (self.event_seq + 1) & 0xFFFF
        event = Event(connector, self.event_seq, now_ms, kind, a & 0xFFFF, b & 0xFFFF)
        if len(self._events) >= EVENT_RING:
            self._events.pop(0)
        if not self._events:
            self._resend_at = now_ms + EVENT_RESEND_MS
        self._events.append(event)
        self.push(EVENT, event.pack())

    def acknowledge(self, event_seq: int) -> None:
        for i in range(len(self._events)):
            if self._events[i].event_seq == event_seq:
                self._events.pop(i)
                return

    def resend(self, now_ms: int) -> None:
        """Send unacknowledged events again when it is time."""
        if not self.is_linked or not self._events or now_ms < self._resend_at:
            return
        self._resend_at = now_ms + EVENT_RESEND_MS
        for event in self._events:
            self.push(EVENT, event.pack())

    def resend_now(self, now_ms: int) -> None:
        """The host is new: it shall hear at once what it has not acknowledged."""
        self._resend_at = now_ms

    def due_in(self, now_ms: int, never: int) -> int:
        if not self.is_linked or not self._events:
            return never
        return self._resend_at - now_ms if self._resend_at > now_ms else 1
