"""A look at an I/O board: HELLO, then listen to STATUS and count PINGs. Sends nothing else: no setpoint, no action.

For commissioning, where nobody has permitted anything yet and nothing may change. Events are heard and not confirmed,
so that the agent still gets them. Called by hal.commissioning. Wire: board/wire.py.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from board import wire
from hal.bus.byte_stream import ByteStream
from hal.drivers.board_evse import to_facts, to_state
from hal.drivers.board_link import parse_identity
from hal.errors import DeviceMissing, DeviceProtocolError
from hal.ports import BoardFacts, EvseState

HELLO_SENDS: Final = 4
HELLO_S: Final = 0.4
LISTEN_S: Final = 2 * wire.STATUS_PERIOD_MS / 1000
PINGS: Final = 20
PING_S: Final = 0.3
UNASKED_S: Final = 1.2
"""So long nobody asks, to hear whether something speaks by itself: a GPS receiver does so each second."""
PROMPT: Final = b">>>"
"""What MicroPython shows when no program runs."""


class Answer(Enum):
    FIRMWARE = "firmware"
    """Our firmware, in our version of the protocol."""
    INCOMPATIBLE = "incompatible"
    """It says HELLO in another major version, or one that makes no sense."""
    PROMPT = "prompt"
    """MicroPython without our firmware."""
    NOISE = "noise"
    """Bytes came that are no HELLO."""
    SILENCE = "silence"


@dataclass(frozen=True, slots=True)
class BoardLook:
    """What there was to see."""

    answer: Answer
    detail: str = ""
    """Of what cannot be used: what was heard instead."""
    is_unasked: bool = False
    """Noise that goes on while nobody asks: none of our devices."""
    facts: BoardFacts | None = None
    states: Mapping[int, EvseState] = field(default_factory=dict)
    """By connector."""
    untested: frozenset[int] = frozenset()
    """Connectors whose residual current self-test is still due."""
    pings_lost: int = 0
    bad_lines: int = 0


class _Listener:
    def __init__(self) -> None:
        self.replies: dict[tuple[int, int], asyncio.Future[bytes]] = {}
        self.statuses: dict[int, wire.Status] = {}
        self.heard = bytearray()
        self.lost: DeviceMissing | None = None
        self.reader = wire.Reader()
        self.wanted = 0
        """Connectors that a STATUS is awaited of."""
        self.has_all = asyncio.Event()

    def on_bytes(self, octets: bytes) -> None:
        self.heard += octets[: max(0, 4096 - len(self.heard))]
        for message_type, seq, payload in self.reader.feed(octets)[0]:
            if message_type == wire.STATUS:
                try:
                    status = wire.unpack_status(payload)
                except ValueError:
                    continue
                self.statuses[status.connector] = status
                if len(self.statuses) >= self.wanted > 0:
                    self.has_all.set()
            reply = self.replies.get((message_type, seq))
            if reply is not None and not reply.done():
                reply.set_result(payload)

    def on_lost(self, error: DeviceMissing) -> None:
        self.lost = error
        self.has_all.set()
        for reply in self.replies.values():
            if not reply.done():
                reply.cancel()

    async def ask(
        self, stream: ByteStream, message_type: int, seq: int, payload: bytes, s: float
    ) -> bytes | None:
        """None: no answer in time. Raises DeviceMissing."""
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.replies[(message_type | wire.REPLY, seq)] = reply
        stream.write(wire.encode(message_type, seq, payload))
        await asyncio.wait({reply}, timeout=s)
        if self.lost is not None:
            raise self.lost
        return reply.result() if reply.done() and not reply.cancelled() else None


async def look(stream: ByteStream, host_version: str, listen_s: float = LISTEN_S) -> BoardLook:
    """Open the line, look, close it. Takes 2 to 8 s. Raises DeviceMissing."""
    listener = _Listener()
    await stream.open(listener.on_bytes, listener.on_lost)
    try:
        stream.write(b"\n")  # ends half a line that somebody may have left
        hello = await _say_hello(stream, listener, host_version)
        if hello is None:
            return await _without_hello(listener)
        return await _see(stream, listener, hello, listen_s)
    finally:
        stream.close()


async def _say_hello(stream: ByteStream, listener: _Listener, host_version: str) -> bytes | None:
    payload = wire.pack_json(wire.hello_request(host_version))
    for seq in range(1, HELLO_SENDS + 1):
        hello = await listener.ask(stream, wire.HELLO, seq, payload, HELLO_S)
        if hello is not None:
            return hello
    return None


async def _see(stream: ByteStream, listener: _Listener, payload: bytes, listen_s: float) -> BoardLook:
    try:
        hello = wire.unpack_json(payload)
        if not wire.speaks_our_major(hello):
            return BoardLook(
                Answer.INCOMPATIBLE, f"protocol {hello.get('proto')}, ours is {wire.PROTOCOL_MAJOR}.x"
            )
        identity = parse_identity(hello)
    except (ValueError, DeviceProtocolError) as error:
        return BoardLook(Answer.INCOMPATIBLE, str(error))
    listener.wanted = identity.connectors
    lost = 0
    for number in range(PINGS):
        answer = await listener.ask(stream, wire.PING, 100 + number, wire.pack_ping(number), PING_S)
        lost += answer is None
    if len(listener.statuses) < identity.connectors:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(listen_s):
                await listener.has_all.wait()
    if listener.lost is not None:
        raise listener.lost
    now_time = asyncio.get_running_loop().time()
    return BoardLook(
        Answer.FIRMWARE,
        facts=to_facts(identity),
        states={number: to_state(status, now_time) for number, status in sorted(listener.statuses.items())},
        untested=frozenset(
            number
            for number, status in listener.statuses.items()
            if status.warnings & wire.WARN_SELF_TEST_DUE
        ),
        pings_lost=lost,
        bad_lines=listener.reader.bad,
    )


async def _without_hello(listener: _Listener) -> BoardLook:
    heard = bytes(listener.heard)
    if PROMPT in heard or b"MicroPython" in heard:
        return BoardLook(Answer.PROMPT)
    if not heard.strip():
        return BoardLook(Answer.SILENCE)
    listener.heard.clear()
    await asyncio.sleep(UNASKED_S)
    if listener.lost is not None:
        raise listener.lost
    detail = f"{len(heard)} bytes that are no HELLO: {heard[:24]!r}"
    return BoardLook(Answer.NOISE, detail, is_unasked=bool(listener.heard))
