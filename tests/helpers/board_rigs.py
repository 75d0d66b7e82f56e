"""One way to plug, charge and break a board, whether it is simulated, in WASM, or real: the contract suite's rigs.

`BoardClient` speaks frames over any byte stream. A rig gives a stream and the electricity behind it; a real board
has no electricity that a test may move, so `has_electricity` is False there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from board import wire
from hal.bus.byte_stream import ByteStream
from hal.bus.serial_port import LineSettings, SerialPort
from hal.errors import DeviceMissing
from hal.sim.firmware import SimulatedBoard
from hal.sim.world import World
from tests.helpers.wasm_board import WasmBoard


class BoardClient:
    """A host of the board: HELLO, a leased setpoint each 0.5 s, acknowledged events."""

    def __init__(self, stream: ByteStream) -> None:
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
                self.status = wire.unpack_status(payload)
            elif message_type == wire.EVENT:
                event = wire.unpack_event(payload)
                self.events.append(event)
                self.send(wire.EVENT_ACK, wire.pack_event_ack(event.event_seq))
            elif seq in self._replies and not self._replies[seq].done():
                self._replies[seq].set_result((message_type, payload))
        self._changed.set()

    def send(self, message_type: int, payload: bytes = b"") -> int:
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
        request = wire.pack_json({"a": action, "c": 1, "args": args})
        return wire.unpack_json(await self.ask(wire.ACTION, request))

    def permit(self, limit_a: float = 16.0, *, lease_ms: int = 3000, allow: bool = True) -> None:
        """Want this from now on; `keep` renews it."""
        flags = wire.AVAILABLE | (wire.ALLOW_POWER if allow else 0)
        self.setpoint = wire.Setpoint(1, flags, int(limit_a * 10), lease_ms)
        self.send(wire.SETPOINT, self.setpoint.pack())

    async def keep(self) -> None:
        while True:
            if self.setpoint is not None:
                self.send(wire.SETPOINT, self.setpoint.pack())
            await asyncio.sleep(0.5)

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

    @property
    def faults(self) -> list[str]:
        return wire.fault_names(self.status.faults) if self.status else []


class Rig(Protocol):
    """A board and its electricity. Car states are those of the pilot: A, B, C."""

    has_electricity: bool
    stream: ByteStream

    async def start(self) -> None: ...
    async def car(self, state: str) -> None: ...
    async def set(self, **values: object) -> None:
        """leak, diode, welded, never_closes: what each simulation calls by its own name."""

    async def switched_ms(self, cause: Callable[[], Awaitable[None]], closed: bool) -> float:
        """Run `cause`; how many ms later the contactor's contacts moved."""

    async def stop(self) -> None: ...


class SimulatedRig:
    """The firmware under CPython on `hal.sim`, on virtual time."""

    has_electricity = True

    def __init__(self) -> None:
        self._world = World()
        self._board = SimulatedBoard(self._world)
        self.stream: ByteStream = self._board.line

    async def start(self) -> None: ...

    async def car(self, state: str) -> None:
        evse = self._world.evse(1)
        if state == "A":
            self._world.unplug(1)
            return
        if not evse.is_plugged:
            self._world.plug(1, draw_after_s=None)
            await asyncio.sleep(0.001)
        assert evse.vehicle is not None
        # As a hand on a test box would: S2 at once, whatever the EV's manners.
        evse.vehicle.wants_energy = state == "C"
        evse.vehicle._set_s2(state == "C")

    async def set(self, **values: object) -> None:
        names = {
            "leak": "rcd_dc",
            "welded": "contactor_welded",
            "never_closes": "contactor_no_close",
            "emergency": "emergency_stop",
        }
        for name, value in values.items():
            if name == "diode":
                (self._world.clear_fault if value else self._world.set_fault)(1, "cp_diode")
            else:
                (self._world.set_fault if value else self._world.clear_fault)(1, names[name])

    async def switched_ms(self, cause: Callable[[], Awaitable[None]], closed: bool) -> float:
        evse = self._world.evse(1)
        moved = asyncio.Event()
        stop = self._world.subscribe(lambda _: moved.set() if evse.is_contactor_closed == closed else None)
        start = self._world.loop.time()
        await cause()
        await asyncio.wait_for(moved.wait(), 10)
        stop()
        return (self._world.loop.time() - start) * 1000

    async def stop(self) -> None:
        self._board.close()
        self._world.close()


class WasmRig:
    """The firmware in real MicroPython, in real time."""

    has_electricity = True

    def __init__(self) -> None:
        self.board = WasmBoard()
        self.stream: ByteStream = SerialPort("", LineSettings(115200))

    async def start(self) -> None:
        await self.board.start()
        self.stream = SerialPort(f"socket://127.0.0.1:{self.board.uart_port}", LineSettings(115200))

    async def car(self, state: str) -> None:
        await self.board.ask(set={"car": state})

    async def set(self, **values: object) -> None:
        await self.board.ask(set=values)

    async def switched_ms(self, cause: Callable[[], Awaitable[None]], closed: bool) -> float:
        await self.board.ask(log=True)
        await cause()
        deadline = time.monotonic() + 10
        log: list[list[Any]] = []
        while time.monotonic() < deadline:
            log += (await self.board.ask(log=True))["log"]
            moves = [at for at, what, value in log if what == "closed" and bool(value) == closed]
            if moves:
                return float(moves[0] - log[0][0])
            await asyncio.sleep(0.01)
        raise AssertionError(f"the contactor did not move; {log}")

    async def stop(self) -> None:
        await self.board.stop()


class RealRig:
    """A board on a serial port, with nothing plugged in."""

    has_electricity = False

    def __init__(self, port: str) -> None:
        self.stream: ByteStream = SerialPort(port, LineSettings(115200))

    async def start(self) -> None: ...

    async def car(self, state: str) -> None:
        raise NotImplementedError

    async def set(self, **values: object) -> None:
        raise NotImplementedError

    async def switched_ms(self, cause: Callable[[], Awaitable[None]], closed: bool) -> float:
        raise NotImplementedError

    async def stop(self) -> None: ...
