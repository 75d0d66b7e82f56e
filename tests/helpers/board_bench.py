"""The firmware's `Board` on pins that a test holds in its hand, tick by tick and without a loop.

`BoardBench` runs ticks on the 10 ms grid and keeps every frame the board sent with its time; the pins are
`fake_pins.FakePins`.
"""

from collections.abc import Callable, Sequence

from board import wire
from board.app import TICK_MS, Board
from board.config import Config
from hal.sim.firmware import MemoryStorage
from tests.helpers.fake_pins import FakePins


class BoardBench:
    """A linked board with one connector. `skips` leaves out the ticks that `next_due_ms` calls idle."""

    model = "bench"
    unique_id = "0"
    pcb = "bench"
    problem = ""
    phases = 3
    sensors: Sequence[str] = ("supply_v",)
    serial_ports: Sequence[tuple[str, int]] = (("reader", 9600), ("other", 115_200))

    def __init__(
        self,
        pins: FakePins | None = None,
        *,
        is_linked: bool = True,
        skips: bool = False,
        flash: MemoryStorage | None = None,
        kept: int = 0,
    ) -> None:
        """`kept`: what stands in the register that outlives a reset of the chip."""
        self.pins = pins or FakePins()
        self.connectors: Sequence[FakePins] = [self.pins]
        self.outputs: Sequence[str] = ("fan", "light")
        self.output_states = dict.fromkeys(self.outputs, False)
        self.now_ms = 0
        self.ticks = 0
        self.fed = 0
        self.rebooted: int | None = None
        self.kept = kept
        self.serial_waiting: list[list[bytes | None]] = [[], []]
        """What each serial port has received: what `read_serial` gives, one piece each time."""
        self.serial_reads = 0
        self.serial_written: list[tuple[int, int, bytes]] = []
        """(time in ms, port, bytes) that the firmware wrote."""
        self.sent: list[tuple[int, int, int, bytes]] = []
        """(time in ms, type, seq, payload) of every frame of the board."""
        self.on_tick: Callable[[], None] = lambda: None
        self._skips = skips
        self._due_ms = 0
        self._seq = 0
        self._reader = wire.Reader()
        self.flash = flash or MemoryStorage()
        config = Config(self.flash, [self.pins.limits])
        self.board = Board(self, self._on_line, wire.RESET_POWER, config)
        if is_linked:
            self.hello()

    @property
    def connector(self) -> object:
        return self.board.connectors[0]

    # ---- board.app.BoardPins -----------------------------------------------------------------------------

    def set_output(self, name: str, on: bool) -> None:
        self.pins.log.append((self.now_ms, name, on))
        self.output_states[name] = on

    def read(self, name: str) -> float:
        return 12.0

    def read_serial(self, index: int) -> bytes | None:
        self.serial_reads += 1
        return self.serial_waiting[index].pop(0) if self.serial_waiting[index] else b""

    def write_serial(self, index: int, octets: bytes) -> None:
        self.serial_written.append((self.now_ms, index, octets))

    def feed_watchdog(self) -> None:
        self.fed += 1

    def keep_latches(self, word: int) -> None:
        self.kept = word

    def kept_latches(self) -> int:
        return self.kept

    def reboot(self, mode: int) -> None:
        self.rebooted = mode

    # ---- the host's side ---------------------------------------------------------------------------------

    def _on_line(self, line: bytes) -> None:
        frames, _ = self._reader.feed(line)
        self.sent.extend((self.now_ms, *frame) for frame in frames)

    def send(self, message_type: int, payload: bytes = b"", seq: int | None = None) -> int:
        if seq is None:
            self._seq = seq = (self._seq + 1) & 0xFF
        self.board.receive(wire.encode(message_type, seq, payload), self.now_ms)
        self._due_ms = min(self._due_ms, self.board.next_due_ms(self.now_ms))
        return seq

    def hello(self, major: int = wire.PROTOCOL_MAJOR) -> None:
        self.send(wire.HELLO, wire.pack_json({"proto": [major, 0], "host": "test"}))

    def setpoint(
        self,
        *,
        allow: bool = True,
        available: bool = True,
        limit_a: float = 16,
        lease_ms: int = 60000,
        fallback_a: float = 0,
        lock: int = 0,
        phases: int = 3,
        measured_a: float | None = None,
    ) -> None:
        flags = lock | (wire.AVAILABLE if available else 0) | (wire.ALLOW_POWER if allow else 0)
        flags |= wire.THREE_PHASE if phases == 3 else 0
        measured_da = wire.NO_CURRENT if measured_a is None else int(measured_a * 10)
        setpoint = wire.Setpoint(1, flags, int(limit_a * 10), lease_ms, int(fallback_a * 10), measured_da)
        self.send(wire.SETPOINT, setpoint.pack())

    def action(self, action: str, /, **args: object) -> dict[str, object] | None:
        """Ask for an action; its answer if it came at once."""
        seq = self.send(wire.ACTION, wire.pack_json({"a": action, "c": 1, "args": args}))
        return self.answer(wire.ACTION, seq)

    def answer(self, message_type: int, seq: int | None = None) -> dict[str, object] | None:
        for _, sent_type, sent_seq, payload in reversed(self.sent):
            if sent_type == message_type | wire.REPLY and seq in (None, sent_seq):
                return wire.unpack_json(payload)
        return None

    def acknowledge_events(self) -> None:
        for payload in self.payloads(wire.EVENT):
            self.send(wire.EVENT_ACK, wire.pack_event_ack(wire.unpack_event(payload).event_seq))

    def payloads(self, message_type: int) -> list[bytes]:
        return [payload for _, sent_type, _, payload in self.sent if sent_type == message_type]

    @property
    def status(self) -> wire.Status:
        return wire.unpack_status(self.payloads(wire.STATUS)[-1])

    @property
    def faults(self) -> list[str]:
        return wire.fault_names(self.board.connectors[0].faults.standing)

    # ---- time --------------------------------------------------------------------------------------------

    def touch(self) -> None:
        """An input has changed by hand: the next tick of the grid must run."""
        self._due_ms = self.now_ms

    def run(self, ms: int) -> "BoardBench":
        """Let `ms` pass; ticks stand on the 10 ms grid."""
        end_ms = self.now_ms + ms
        while self.now_ms + TICK_MS <= end_ms:
            self.now_ms += TICK_MS
            self.pins.move(self.now_ms)
            if self.pins.has_changed:
                self.touch()
                self.pins.has_changed = False
            if not self._skips or self.now_ms >= self._due_ms:
                self.ticks += 1
                self.board.tick(self.now_ms)
                self._due_ms = self.board.next_due_ms(self.now_ms)
            self.on_tick()
        return self

    def run_until(self, condition: Callable[[], bool], limit_ms: int = 10000) -> int:
        """Let time pass until `condition`; returns how many ms that took. Fails after `limit_ms`."""
        start_ms = self.now_ms
        while not condition():
            assert self.now_ms - start_ms < limit_ms, f"not within {limit_ms} ms"
            self.run(TICK_MS)
        return self.now_ms - start_ms

    def charge(self) -> "BoardBench":
        """From nothing to a car that charges with 16 A."""
        self.run(1500)
        self.setpoint()
        self.pins.car("B")
        self.run(1000)
        self.pins.car("C")
        self.run(1000)
        assert self.pins.contactor, self.faults
        return self
