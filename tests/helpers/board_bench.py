"""The firmware's `Board` on pins that a test holds in its hand, tick by tick and without a loop.

`BoardBench` runs ticks on the 10 ms grid, keeps every frame the board sent and every output it switched with
the time; contactor, lock and residual current sensor follow their outputs after a while, as real ones do.
"""

from collections.abc import Callable, Sequence

from board import wire
from board.app import TICK_MS, Board
from board.connector import PILOT_OUT_E
from board.lock import STOP, TO_LOCKED
from board.residual import TRIP_DC
from board.wire import DUTY_OFF

LEVELS_MV = {"A": 12000, "B": 8980, "C": 5990, "D": 2930, "E": 0, "F": -12000}
GAP_MV = 7500
"""Between the windows of B and C."""


class FakePins:
    """`board.connector.ConnectorPins` with a contactor that takes 30 ms, a bolt 300 ms, a sensor 200 ms."""

    has_lock = True
    has_ventilation = False
    has_rcd_test = True
    can_wake = True
    max_da = 320

    def __init__(self) -> None:
        self.level_mv = LEVELS_MV["A"]
        self.has_diode = True
        self.is_fresh = True
        self.is_welded = False
        self.never_closes = False
        self.bolt_jams = False
        self.sensor_works = True
        self.leak = 0
        self.ohm = 220
        self.input_bits = 0
        self.temperature_dc = 250
        self.duty = DUTY_OFF
        self.contactor = False
        self.is_contact_closed = False
        self.is_bolt_locked = False
        self.rcd_test = False
        self.drive = STOP
        self.pattern = ""
        self.high_mv = 0
        self.low_mv = 0
        self.log: list[tuple[int, str, object]] = []
        self.now_ms = 0
        self.has_changed = False
        self._sensor_tested = False
        self._plans: list[tuple[int, Callable[[], None]]] = []

    def car(self, state: str) -> None:
        self.level_mv = LEVELS_MV[state]

    def move(self, now_ms: int) -> None:
        """Let everything arrive that was under way."""
        self.now_ms = now_ms
        due = [plan for plan in self._plans if plan[0] <= now_ms]
        self._plans = [plan for plan in self._plans if plan[0] > now_ms]
        for _, action in due:
            self.has_changed = True
            action()
        if self.is_welded:
            self.is_contact_closed = True
        elif self.never_closes:
            self.is_contact_closed = False

    def _later(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._plans.append((self.now_ms + delay_ms, action))

    def _note(self, what: str, value: object) -> None:
        self.log.append((self.now_ms, what, value))

    # ---- board.connector.ConnectorPins -------------------------------------------------------------------

    def sample(self) -> bool:
        if not self.is_fresh:
            return False
        if self.duty == PILOT_OUT_E:
            self.high_mv = self.low_mv = 0
            return True
        self.high_mv = self.level_mv
        self.low_mv = self.high_mv
        if self.duty != DUTY_OFF:
            self.low_mv = -12000 if self.has_diode or self.level_mv > 11000 else -self.level_mv
        return True

    def set_pilot(self, duty: int) -> None:
        self._note("duty", duty)
        self.duty = duty

    def set_contactor(self, closed: bool) -> None:
        self._note("contactor", closed)
        self.contactor = closed
        self._later(30, lambda: setattr(self, "is_contact_closed", self.contactor))

    def is_closed(self) -> bool:
        return self.is_contact_closed

    def rcd_trips(self) -> int:
        return self.leak | (TRIP_DC if self._sensor_tested and self.sensor_works else 0)

    def set_rcd_test(self, on: bool) -> None:
        if on != self.rcd_test:
            self._note("rcd_test", on)
            self.rcd_test = on
            self._later(200, lambda: setattr(self, "_sensor_tested", self.rcd_test))

    def residual(self) -> int:
        return 80 if self.leak else 0

    def proximity_ohm(self) -> int:
        return self.ohm

    def drive_lock(self, direction: int) -> None:
        self._note("lock", direction)
        self.drive = direction
        if direction != STOP and not self.bolt_jams:
            self._later(300, lambda: self._arrive(direction))

    def _arrive(self, direction: int) -> None:
        if self.drive == direction:
            self.is_bolt_locked = direction == TO_LOCKED

    def is_locked(self) -> bool:
        return self.is_bolt_locked

    def temperature(self) -> int:
        return self.temperature_dc

    def inputs(self) -> int:
        return self.input_bits

    def outlet(self) -> int:
        return 1

    def show(self, pattern: str) -> None:
        self._note("light", pattern)
        self.pattern = pattern


class FixedCablePins(FakePins):
    has_lock = False


class BoardBench:
    """A linked board with one connector. `skips` leaves out the ticks that `next_due_ms` calls idle."""

    model = "bench"
    unique_id = "0"
    phases = 3
    sensors: Sequence[str] = ("supply_v",)

    def __init__(self, pins: FakePins | None = None, *, is_linked: bool = True, skips: bool = False) -> None:
        self.pins = pins or FakePins()
        self.connectors: Sequence[FakePins] = [self.pins]
        self.outputs: Sequence[str] = ("fan", "light")
        self.output_states = dict.fromkeys(self.outputs, False)
        self.now_ms = 0
        self.ticks = 0
        self.fed = 0
        self.rebooted: int | None = None
        self.sent: list[tuple[int, int, int, bytes]] = []
        """(time in ms, type, seq, payload) of every frame of the board."""
        self.on_tick: Callable[[], None] = lambda: None
        self._skips = skips
        self._due_ms = 0
        self._seq = 0
        self._reader = wire.Reader()
        self.board = Board(self, self._on_line, wire.RESET_POWER)
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

    def feed_watchdog(self) -> None:
        self.fed += 1

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
    ) -> None:
        flags = lock | (wire.AVAILABLE if available else 0) | (wire.ALLOW_POWER if allow else 0)
        setpoint = wire.Setpoint(1, flags, int(limit_a * 10), lease_ms, int(fallback_a * 10))
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
