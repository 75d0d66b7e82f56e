"""A host of the board at the level of frames, over any byte stream: what the board contract talks with.

It leaves out what the agent's own link does (retries, reopening): the contract is the board's, not the host's.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from board import wire
from hal.bus.byte_stream import ByteStream
from hal.errors import DeviceMissing

SELF_TEST_MS = 2000
"""So long after its start a board has passed or failed the self-test."""


class BoardClient:
    """A host of the board: HELLO, a leased setpoint each 0.5 s, acknowledged events."""

    def __init__(self, stream: ByteStream, connector: int = 1) -> None:
        self.connector = connector
        self.status: wire.Status | None = None
        self.events: list[wire.Event] = []
        self.hello: dict[str, Any] = {}
        self.setpoint: wire.Setpoint | None = None
        self.console: list[bytes] = []
        self._stream = stream
        self._reader = wire.Reader()
        self._replies: dict[int, asyncio.Future[tuple[int, bytes]]] = {}
        self._seq = 0
        self._changed = asyncio.Event()
        self._neighbours: list[BoardClient] = []
        self._front: BoardClient | None = None

    def beside(self, connector: int) -> "BoardClient":
        """The same host at another connector, on the same line."""
        other = BoardClient(self._stream, connector)
        other.hello, other._replies, other._front = self.hello, self._replies, self
        self._neighbours.append(other)
        return other

    async def open(self) -> None:
        await self._stream.open(self._on_bytes, self._on_lost)
        self.hello = wire.unpack_json(
            await self.ask(wire.HELLO, wire.pack_json(wire.hello_request("contract")))
        )

    def close(self) -> None:
        self._stream.close()

    def _on_lost(self, error: DeviceMissing) -> None:
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(error)

    def _on_bytes(self, octets: bytes) -> None:
        frames, console = self._reader.feed(octets)
        self.console += console
        for message_type, seq, payload in frames:
            if message_type == wire.STATUS:
                status = wire.unpack_status(payload)
                for each in (self, *self._neighbours):
                    if status.connector == each.connector:
                        each.status = status
            elif message_type == wire.EVENT:
                event = wire.unpack_event(payload)
                for each in (self, *self._neighbours):
                    each.events.append(event)
                self.send(wire.EVENT_ACK, wire.pack_event_ack(event.event_seq))
            elif seq in self._replies and not self._replies[seq].done():
                self._replies[seq].set_result((message_type, payload))
        for each in (self, *self._neighbours):
            each._changed.set()

    def send(self, message_type: int, payload: bytes = b"") -> int:
        if self._front is not None:
            return self._front.send(message_type, payload)
        self._seq = self._seq % 255 + 1
        self._stream.write(wire.encode(message_type, self._seq, payload))
        return self._seq

    def write(self, octets: bytes) -> None:
        self._stream.write(octets)

    async def exchange(
        self, message_type: int, payload: bytes = b"", timeout_s: float = 10.0
    ) -> tuple[int, bytes]:
        """The reply's type and payload, NAK included."""
        seq = self.send(message_type, payload)
        self._replies[seq] = asyncio.get_running_loop().create_future()
        try:
            return await asyncio.wait_for(self._replies[seq], timeout_s)
        finally:
            del self._replies[seq]

    async def ask(self, message_type: int, payload: bytes = b"") -> bytes:
        """The payload of the positive reply."""
        reply_type, reply = await self.exchange(message_type, payload)
        assert reply_type == message_type | wire.REPLY, f"refused: {wire.unpack_nak(reply)}"
        return reply

    async def act(self, action: str, /, **args: Any) -> dict[str, Any]:
        request = wire.pack_json({"a": action, "c": self.connector, "args": args})
        return wire.unpack_json(await self.ask(wire.ACTION, request))

    def permit(
        self, limit_a: float = 16.0, *, lease_ms: int = 3000, allow: bool = True, fallback_a: float = 0.0
    ) -> None:
        """Want this from now on; `keep` renews it."""
        flags = wire.AVAILABLE | (wire.ALLOW_POWER if allow else 0)
        self.setpoint = wire.Setpoint(
            self.connector, flags, int(limit_a * 10), lease_ms, int(fallback_a * 10)
        )
        self.send(wire.SETPOINT, self.setpoint.pack())

    async def keep(self) -> None:
        while True:
            if self.setpoint is not None:
                self.send(wire.SETPOINT, self.setpoint.pack())
            await asyncio.sleep(0.5)

    async def board_ms(self) -> int:
        """The board's clock (ms since its start), as late as the answer to a PING needs to come."""
        return wire.unpack_ping_reply(await self.ask(wire.PING, wire.pack_ping(self._seq)))[1]

    async def until(self, condition: Callable[[wire.Status], bool], timeout_s: float = 10.0) -> wire.Status:
        """Wait for a STATUS that fits. Fails with the last one."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.status is None or not condition(self.status):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            last = self.status
            seen = {name: getattr(last, name) for name in wire.Status.__slots__} if last else None
            raise AssertionError(f"not within {timeout_s} s; last status {seen}") from None
        return self.status

    async def until_tested(self) -> None:
        """Wait until the self-test of the start is over: just told by event, or long ago."""
        await self.until(
            lambda status: (
                status.uptime_ms > SELF_TEST_MS  # another host may have been told
                or any(event.kind == wire.EVENT_RCD_TEST for event in self.events)
            )
        )

    @property
    def faults(self) -> list[str]:
        return wire.fault_names(self.status.faults) if self.status else []
