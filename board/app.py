"""The board: runs the safety tick over its connectors and answers the host.

`tick(now_ms)` every 10 ms, `receive(chunk, now_ms)` whenever bytes came; nothing here waits or reads a clock.
The watchdog is fed at the end of a complete tick with fresh pilot samples only. Hardware comes as a
`BoardPins` object, so that the same file runs on a Pico (`board/hw.py`) and in `hal/sim/firmware.py`.
Vendor actions are checked here again, against the board's own state; none touches contactor or pilot limits.
"""

import logging

from board import latches, wire
from board.config import Config
from board.connector import Connector
from board.link import Link
from board.tunnel import Tunnel
from board.wire import CODE_BAD_ARGS, CODE_FAILED, CODE_NOT_ALLOWED, CODE_OK, CODE_UNKNOWN, const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from board.connector import ConnectorPins
    from board.tunnel import SerialPins

    class BoardPins(SerialPins, Protocol):
        """The electricity of the board as a whole."""

        @property
        def model(self) -> str: ...
        @property
        def unique_id(self) -> str: ...
        @property
        def phases(self) -> int: ...
        @property
        def pcb(self) -> str:
            """Name of its pin map."""

        @property
        def problem(self) -> str:
            """Why it has no connectors; empty when it has."""

        @property
        def connectors(self) -> Sequence[ConnectorPins]: ...
        @property
        def outputs(self) -> Sequence[str]:
            """Names of the auxiliary outputs."""

        @property
        def sensors(self) -> Sequence[str]: ...
        def set_output(self, name: str, on: bool) -> None: ...
        def read(self, name: str) -> float:
            """A sensor of `sensors`."""

        def feed_watchdog(self) -> None: ...
        def keep_latches(self, word: int) -> None:
            """Put 30 bits where they outlive a reset of the chip, if it has such a place."""

        def kept_latches(self) -> int:
            """What was put there before the reset; anything after the power came."""

        def reboot(self, mode: int) -> None: ...


FIRMWARE_VERSION = "0.1.0"
TICK_MS = const(10)
_NEVER = const(0x3FFFFFFF)
_REBOOT_AFTER_MS = const(50)
_MAX_READ = const(8)

_log = logging.getLogger("board")


class Board:
    """The firmware without its hardware. `write(line)` sends to the host."""

    def __init__(
        self, pins: "BoardPins", write: "Callable[[bytes], object]", reset_cause: int, config: Config
    ) -> None:
        """`config`: its limits are those of `pins` already; it answers CONFIG."""
        self.pins = pins
        self._config = config
        self.link = Link(write)
        self.connectors = [
            Connector(i + 1, connector_pins, pins.phases, self._emit)
            for i, connector_pins in enumerate(pins.connectors)
        ]
        self.tunnel = Tunnel(pins, self.link.push)
        self.late_ticks = 0
        """Ticks that came a whole period late, or later; counted by `main.py`."""
        self._reset_cause = reset_cause
        self._now_ms = 0
        self._has_fault_changed = False
        self._status_at = 0
        self._outputs_until = {}  # type: dict[str, int]
        self._unlocking = None  # type: Connector | None
        self._unlock_until = 0
        self._testing = None  # type: Connector | None
        self._test_until = 0
        self._reboot_at = -1
        self._reboot_mode = wire.REBOOT_RESET
        self._emit(0, wire.EVENT_RESET, reset_cause, 0)
        self._restore_latches()
        if config.is_damaged:
            _log.error("config.json is damaged: the limits of the pin map hold")
            self._emit(0, wire.EVENT_CONFIG, 0, 0)

    # ---- the tick ----------------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> None:
        """The 10 ms safety tick: first every connector, then the watchdog, then what the host should know."""
        self._now_ms = now_ms
        is_fresh = True
        for connector in self.connectors:
            if not connector.tick(now_ms):
                is_fresh = False
        if self._has_fault_changed:
            self._keep_latches()
        if is_fresh:
            self.pins.feed_watchdog()
        self._release_outputs(now_ms)
        self._finish_requests(now_ms)
        self._report(now_ms)
        self.tunnel.tick()
        if 0 <= self._reboot_at <= now_ms:
            self._reboot_at = -1
            self.pins.reboot(self._reboot_mode)

    def on_rcd_interrupt(self, now_ms: int, index: int, bits: int) -> None:
        """From the interrupt of connector `index` (from 0): opens at once."""
        self.connectors[index].on_rcd_interrupt(now_ms, bits)

    def next_due_ms(self, now_ms: int) -> int:
        """The earliest time after `now_ms` at which a tick could change anything, if no input changes.

        For simulators only: a real board ticks always."""
        due = min(self.link.due_in(now_ms, _NEVER), self.tunnel.due_in(_NEVER))
        for connector in self.connectors:
            due = min(due, connector.due_in(now_ms, _NEVER))
            if connector.needs_report and self.link.is_linked:
                due = 1
        deadlines = list(self._outputs_until.values())
        if self.link.is_linked:
            deadlines.append(self._status_at)
        if self._unlocking:
            deadlines.append(self._unlock_until)
        if self._testing:
            deadlines.append(self._test_until)
        if self._reboot_at >= 0:
            deadlines.append(self._reboot_at)
        for deadline in deadlines:
            due = min(due, max(1, deadline - now_ms))
        return now_ms + due

    def _keep_latches(self) -> None:
        self._has_fault_changed = False
        kept = [
            (connector.faults.standing, connector.residual.clears_of_the_day(self._now_ms))
            for connector in self.connectors[: latches.CONNECTORS]
        ]
        self.pins.keep_latches(latches.pack(kept))

    def _restore_latches(self) -> None:
        """Whose faults stood before a reset of the chip: they stand again until their own rule ends them."""
        kept = latches.unpack(self.pins.kept_latches())
        for connector in self.connectors[: len(kept)]:
            standing, clears = kept[connector.number - 1]
            for _ in range(clears):
                connector.residual.note_auto_clear(0)
            connector.faults.restore(standing)

    def _report(self, now_ms: int) -> None:
        if not self.link.is_linked:
            return
        is_time = now_ms >= self._status_at
        if is_time:
            self._status_at = now_ms + wire.STATUS_PERIOD_MS
        for connector in self.connectors:
            if is_time or connector.needs_report:
                connector.needs_report = False
                connector.status.event_seq = self.link.event_seq
                self.link.push(wire.STATUS, connector.status.pack())
        self.link.resend(now_ms)

    def _emit(self, connector: int, kind: int, a: int, b: int) -> None:
        if kind == wire.EVENT_FAULT or kind == wire.EVENT_FAULT_CLEARED:
            self._has_fault_changed = True
        if kind == wire.EVENT_FAULT:
            _log.warning("connector %d: fault %s", connector, wire.FAULT_NAMES[a])
        elif kind == wire.EVENT_FAULT_CLEARED:
            _log.info("connector %d: fault %s cleared", connector, wire.FAULT_NAMES[a])
        self.link.add_event(self._now_ms, connector, kind, a, b)

    def _release_outputs(self, now_ms: int) -> None:
        if not self._outputs_until:
            return
        for name in list(self._outputs_until):
            if now_ms >= self._outputs_until[name]:
                del self._outputs_until[name]
                self.pins.set_output(name, False)

    def _finish_requests(self, now_ms: int) -> None:
        connector = self._unlocking
        if connector is not None:
            result = connector.unlock_result()
            if result == 1:
                self._unlocking = None
                self._answer_action(CODE_OK, {})
            elif result == 0 or now_ms >= self._unlock_until:
                self._unlocking = None
                self._answer_action(CODE_FAILED, {})
        connector = self._testing
        if connector is None:
            return
        is_over = not connector.residual.is_due and not connector.residual.is_testing
        if is_over or now_ms >= self._test_until:
            self._testing = None
            passed = is_over and connector.residual.has_passed
            self.link.answer_open(now_ms, wire.pack_rcd_test_reply(connector.number, passed))

    # ---- the host ----------------------------------------------------------------------------------------

    def receive(self, chunk: bytes, now_ms: int) -> None:
        """Take bytes from the host and answer whole frames; what they change is acted on in the next tick."""
        self._now_ms = now_ms
        for message_type, seq, payload in self.link.feed(chunk):
            try:
                self._handle(message_type, seq, payload, now_ms)
            except ValueError:
                self.link.refuse(message_type, seq, wire.NAK_LENGTH)

    def _handle(self, message_type: int, seq: int, payload: bytes, now_ms: int) -> None:
        if message_type == wire.HELLO:
            self._on_hello(seq, payload, now_ms)
        elif message_type == wire.PING:
            token = wire.unpack_ping(payload)
            self.link.reply(wire.PING, seq, wire.pack_ping_reply(token, now_ms))
        elif message_type == wire.EVENT_ACK:
            self.link.acknowledge(wire.unpack_event_ack(payload))
        elif message_type not in _KNOWN:
            self.link.refuse(message_type, seq, wire.NAK_UNKNOWN)
        elif not self.link.is_linked and message_type != wire.REBOOT:
            self.link.refuse(message_type, seq, wire.NAK_NO_HELLO)
        elif message_type == wire.SETPOINT:
            self._on_setpoint(seq, payload, now_ms)
        elif message_type == wire.SERIAL_OUT:
            if not self.tunnel.send(now_ms, *wire.unpack_serial(payload)):
                self.link.refuse(message_type, seq, wire.NAK_VALUE)
        elif self.link.begin(now_ms, message_type, seq, payload):
            self._on_request(message_type, seq, payload, now_ms)

    def _on_hello(self, seq: int, payload: bytes, now_ms: int) -> None:
        hello = wire.unpack_json(payload)
        self.link.forget()
        self._config.discard()
        self._unlocking = None
        self._testing = None
        reply = wire.hello_reply(
            FIRMWARE_VERSION,
            self.pins.model,
            self.pins.unique_id,
            self._reset_cause,
            now_ms & 0xFFFFFFFF,
            len(self.connectors),
            self._capabilities(),
        )
        reply["pcb"] = self.pins.pcb
        reply["cfg_hash"] = self._config.hash
        if self.pins.problem:
            reply["problem"] = self.pins.problem
        self.link.reply(wire.HELLO, seq, wire.pack_json(reply))
        self.link.is_linked = wire.speaks_our_major(hello)
        if not self.link.is_linked:
            self.link.refuse(wire.HELLO, seq, wire.NAK_VERSION)
            return
        self._status_at = now_ms
        self.tunnel.flush()
        self.link.resend_now(now_ms)

    def _capabilities(self) -> "dict[str, object]":
        if not self.connectors:
            return {}
        first = self.pins.connectors[0]
        return {
            "max_a": first.limits.max_da // 10,
            "min_a": wire.MIN_LIMIT_DA // 10,
            "phases": self.pins.phases,
            "lock": first.has_lock,
            "rcd": True,
            "rcd_test": first.has_rcd_test,
            "vent": bool(first.limits.has_ventilation),
            "phase_switch": bool(first.limits.can_switch_phases),
            "wake": first.can_wake,
            "aux": list(self.pins.outputs),
            "sensors": list(self.pins.sensors),
            "serial": [name for name, _ in self.pins.serial_ports],
            "serial_baud": [baud for _, baud in self.pins.serial_ports],
        }

    def _connector(self, number: object) -> "Connector | None":
        if isinstance(number, int) and 1 <= number <= len(self.connectors):
            return self.connectors[number - 1]
        return None

    def _on_setpoint(self, seq: int, payload: bytes, now_ms: int) -> None:
        setpoint = wire.unpack_setpoint(payload)
        connector = self._connector(setpoint.connector)
        if connector is None:
            self.link.refuse(wire.SETPOINT, seq, wire.NAK_VALUE)
            return
        connector.apply(now_ms, setpoint)
        status = connector.status
        reply = wire.pack_setpoint_reply(connector.number, status.pilot, status.contactor, status.faults)
        self.link.reply(wire.SETPOINT, seq, reply)

    def _on_request(self, message_type: int, seq: int, payload: bytes, now_ms: int) -> None:
        if message_type == wire.ACTION:
            code, data = self._act(wire.unpack_json(payload), now_ms)
            if code:
                self._answer_action(code, data)
        elif message_type == wire.CONFIG:
            self.link.answer_open(now_ms, wire.pack_json(self._configure(wire.unpack_json(payload), now_ms)))
        elif message_type == wire.CLEAR_FAULT:
            number, mask = wire.unpack_clear_fault(payload)
            connector = self._connector(number)
            if connector is None:
                self.link.refuse(message_type, seq, wire.NAK_VALUE)
            else:
                standing = connector.clear_faults(mask)
                self.link.answer_open(now_ms, wire.pack_clear_fault(number, standing))
        elif message_type == wire.RCD_TEST:
            self._on_rcd_test(seq, self._connector(wire.unpack_rcd_test(payload)), now_ms)
        else:
            self._on_reboot(seq, wire.unpack_reboot(payload), now_ms)

    def _on_rcd_test(self, seq: int, connector: "Connector | None", now_ms: int) -> None:
        if connector is None:
            self.link.refuse(wire.RCD_TEST, seq, wire.NAK_VALUE)
        elif not connector.may_test_rcd():
            self.link.refuse(wire.RCD_TEST, seq, wire.NAK_NOT_ALLOWED)
        else:
            connector.require_rcd_test()
            self._testing = connector
            self._test_until = now_ms + wire.RCD_TEST_TIMEOUT_MS - 500

    def _on_reboot(self, seq: int, mode: int, now_ms: int) -> None:
        for connector in self.connectors:
            if not connector.is_idle():
                self.link.refuse(wire.REBOOT, seq, wire.NAK_NOT_ALLOWED)
                return
        self._reboot_mode = mode
        self._reboot_at = now_ms + _REBOOT_AFTER_MS
        self.link.answer_open(now_ms, b"")

    def _configure(self, request: "dict[str, object]", now_ms: int) -> "dict[str, object]":
        """CONFIG: get, set, reset, discard, commit."""
        op = request.get("op")
        connector = self._connector(request.get("c", 1))
        config = self._config
        try:
            if op == "get" and connector is not None:
                values = config.values(connector.number, str(request.get("of", "now")))
                return {"ok": True, "hash": config.hash, "values": values}
            if op == "set" and connector is not None:
                config.stage(connector.number, request["values"])  # type: ignore[arg-type]
            elif op == "reset":
                config.stage_nothing()
            elif op == "discard":
                config.discard()
            elif op == "commit":
                for each in self.connectors:
                    if not each.is_idle():
                        return {"ok": False, "code": CODE_NOT_ALLOWED, "error": "a car is at it"}
                self.pins.feed_watchdog()  # writing takes some 100 ms
                config.commit()
                self._reboot_mode = wire.REBOOT_RESET
                self._reboot_at = now_ms + _REBOOT_AFTER_MS
            else:
                return {"ok": False, "code": CODE_BAD_ARGS, "error": "no such op or connector"}
        except OSError as error:
            return {"ok": False, "code": CODE_FAILED, "error": str(error)}
        except (ValueError, KeyError, TypeError) as error:
            return {"ok": False, "code": CODE_BAD_ARGS, "error": str(error)}
        return {"ok": True}

    # ---- actions -----------------------------------------------------------------------------------------

    def _answer_action(self, code: str, data: "dict[str, object]") -> None:
        answer = {"ok": code == CODE_OK, "code": code, "data": data}
        self.link.answer_open(self._now_ms, wire.pack_json(answer))

    def _act(self, request: "dict[str, object]", now_ms: int) -> "tuple[str, dict[str, object]]":
        """(code, data) of an action; code "" while it goes on."""
        name = request.get("a")
        args = request.get("args")
        if args is None:
            args = {}
        if not isinstance(args, dict):
            return CODE_BAD_ARGS, {}
        if name == "output_set" or name == "output_pulse":
            return self._act_output(str(name), args, now_ms), {}
        if not isinstance(name, str) or name not in wire.ACTIONS:
            return CODE_UNKNOWN, {}
        connector = self._connector(request.get("c", 1))
        if connector is None:
            return CODE_BAD_ARGS, {}
        if name == "led":
            pattern, duration_s = args.get("name"), args.get("s")
            if pattern not in wire.LED_PATTERNS or not isinstance(duration_s, int) or duration_s < 1:
                return CODE_BAD_ARGS, {}
            connector.show(now_ms, str(pattern), duration_s)
            return CODE_OK, {}
        if name == "unlock":
            code = connector.request_unlock()
            if not code:
                self._unlocking = connector
                self._unlock_until = now_ms + wire.ACTIONS["unlock"] - 500
            return code, {}
        if name == "wake_up":
            return connector.request_wake_up(now_ms) or CODE_OK, {}
        return self._act_read(connector, args.get("names"))

    def _act_output(self, action: str, args: "dict[str, object]", now_ms: int) -> str:
        name = args.get("name")
        if not isinstance(name, str) or name not in self.pins.outputs:
            return CODE_BAD_ARGS
        if action == "output_set":
            on = args.get("on")
            if not isinstance(on, bool):
                return CODE_BAD_ARGS
            self._outputs_until.pop(name, None)
            self.pins.set_output(name, on)
            return CODE_OK
        duration_ms = args.get("ms")
        if not isinstance(duration_ms, int):
            return CODE_BAD_ARGS
        duration_ms = min(max(duration_ms, wire.PULSE_MIN_MS), wire.PULSE_MAX_MS)
        self._outputs_until[name] = now_ms + duration_ms
        self.pins.set_output(name, True)
        return CODE_OK

    def _act_read(self, connector: Connector, names: object) -> "tuple[str, dict[str, object]]":
        if not isinstance(names, list) or not 0 < len(names) <= _MAX_READ:
            return CODE_BAD_ARGS, {}
        pins = connector.pins
        data = {}  # type: dict[str, object]
        for name in names:
            if name == "cp_high_mv":
                data[name] = pins.high_mv
            elif name == "cp_low_mv":
                data[name] = pins.low_mv
            elif name == "proximity_ohm":
                data[name] = pins.proximity_ohm()
            elif name == "residual_ma":
                data[name] = pins.residual() / 10
            elif name == "uptime_ms":
                data[name] = self._now_ms
            elif name == "late_ticks":
                data[name] = self.late_ticks
            elif name == "serial_lost":
                data[name] = self.tunnel.lost
            elif name in self.pins.sensors:
                data[name] = self.pins.read(name)
            else:
                return CODE_BAD_ARGS, {}
        return CODE_OK, data


_KNOWN = (
    wire.SETPOINT,
    wire.SERIAL_OUT,
    wire.ACTION,
    wire.CONFIG,
    wire.CLEAR_FAULT,
    wire.RCD_TEST,
    wire.REBOOT,
)
