"""A board played by a test at the level of frames: answers HELLO and setpoints, records all, says what it is told.

For what the real firmware never does: silence, other protocol versions, lost and repeated frames.
"""

import asyncio
from dataclasses import dataclass

from board import wire
from tests.helpers.links import MemoryLine

CAPABILITIES = {
    "max_a": 32,
    "min_a": 6,
    "phases": 3,
    "lock": True,
    "rcd": True,
    "rcd_test": True,
    "vent": False,
    "wake": True,
    "aux": ["k1", "k2"],
    "sensors": ["supply_v"],
}


@dataclass(frozen=True, slots=True)
class Heard:
    """A frame from the host."""

    at_time: float
    message_type: int
    seq: int
    payload: bytes


class WireBoard:
    def __init__(self, connectors: int = 1) -> None:
        self.line = MemoryLine(self._on_bytes)
        self.connectors = connectors
        self.protocol = [wire.PROTOCOL_MAJOR, wire.PROTOCOL_MINOR]
        self.capabilities: object = CAPABILITIES
        self.heard: list[Heard] = []
        self.mute: set[int] = set()
        """Message types that are heard and not answered."""
        self.answers: dict[int, bytes] = {}
        """Message type -> payload of the reply, for what is not answered by itself."""
        self.naks: dict[int, int] = {}
        """Message type -> code of the refusal."""
        self.pushes_status = True
        """Whether each setpoint is followed by a STATUS, as a sign of life."""
        self.uptime_ms = 0
        self.event_seq = 0
        self._reader = wire.Reader()

    def of_type(self, message_type: int) -> list[Heard]:
        return [heard for heard in self.heard if heard.message_type == message_type]

    def setpoints(self, connector: int = 1) -> list[wire.Setpoint]:
        return [
            setpoint
            for setpoint in (wire.unpack_setpoint(heard.payload) for heard in self.of_type(wire.SETPOINT))
            if setpoint.connector == connector
        ]

    def say(self, message_type: int, seq: int, payload: bytes = b"") -> None:
        self.line.send(wire.encode(message_type, seq, payload))

    def say_status(self, connector: int = 1, pilot: int = wire.PILOT_A, **fields: int) -> None:
        status = wire.Status(connector)
        status.pilot = pilot
        status.uptime_ms = self.uptime_ms
        status.event_seq = self.event_seq
        for name, value in fields.items():
            setattr(status, name, value)
        self.say(wire.STATUS, 0, status.pack())

    def say_event(self, kind: int, a: int = 0, b: int = 0, connector: int = 1) -> None:
        self.event_seq += 1
        self.repeat_event(kind, a, b, connector)

    def repeat_event(self, kind: int, a: int = 0, b: int = 0, connector: int = 1) -> None:
        self.say(wire.EVENT, 0, wire.Event(connector, self.event_seq, self.uptime_ms, kind, a, b).pack())

    def _on_bytes(self, octets: bytes) -> None:
        for frame in self._reader.feed(octets)[0]:
            self.heard.append(Heard(asyncio.get_running_loop().time(), *frame))
            message_type, seq, payload = frame
            if message_type in self.mute:
                continue
            if message_type in self.naks:
                self.say(wire.NAK, seq, wire.pack_nak(message_type, self.naks[message_type]))
            elif message_type == wire.HELLO:
                hello = wire.hello_reply(
                    "9.9", "played", "1", wire.RESET_POWER, self.uptime_ms, self.connectors, self.capabilities
                )
                self.say(wire.HELLO | wire.REPLY, seq, wire.pack_json(hello | {"proto": self.protocol}))
            elif message_type == wire.SETPOINT:
                connector = wire.unpack_setpoint(payload).connector
                reply = wire.pack_setpoint_reply(connector, 0, 0, 0)
                self.say(wire.SETPOINT | wire.REPLY, seq, reply)
                if self.pushes_status:
                    self.say_status(connector)
            elif message_type in self.answers:
                self.say(message_type | wire.REPLY, seq, self.answers[message_type])
