"""The host's end of the board link: one task that keeps the board supplied with setpoints and hears what it says.

Every setpoint goes out at once when it changes and again every second, each time with a fresh lease; losing any
frame is harmless. Requests (actions, fault clearing, self-test, reboot) go one at a time and are repeated with
the same sequence number until answered. It decides nothing about charging and knows no port of the agent:
hal.drivers.board_evse stands between. Wire: board/wire.py; times: docs/hardware.md, "The board link".
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NoReturn, Protocol

from board import wire
from hal.bus.byte_stream import ByteStream, ReopenDelay
from hal.drivers.board_clock import has_restarted
from hal.drivers.board_tally import LinkTally
from hal.errors import DeviceFault, DeviceMissing, DeviceProtocolError, DeviceTimeout, HalError, OutOfRange
from hal.ports import BoardLinkQuality

log = logging.getLogger("hal.board")
console_log = logging.getLogger("hal.board.console")

RENEW_S: Final = 1.0
RETRY_S: Final = 0.3
SENDS: Final = 3
"""A setpoint is sent so often without an answer; then the link is down."""
HELLO_TIMEOUT_S: Final = 3.0
INCOMPATIBLE_RETRY_S: Final = 10.0
"""How often a board of another protocol version is asked whether it has changed its mind."""
SILENT_S: Final = 3.0
LOST_S: Final = 5.0
REPLY_MARGIN_S: Final = 1.0
"""What a reply may take beyond the time that the wire gives the board."""
EVENTS_REMEMBERED: Final = 4 * wire.EVENT_RING


class LinkState(Enum):
    STARTING = "starting"
    """No word from the board yet, for less than 5 s."""
    UP = "up"
    SILENT = "silent"
    """Unplugged, or no STATUS for 3 s."""
    LOST = "lost"
    """No STATUS for 5 s."""
    INCOMPATIBLE = "incompatible"
    """The board answers, but in another major version of the protocol."""


@dataclass(frozen=True, slots=True)
class BoardIdentity:
    """What the board said of itself in HELLO."""

    firmware: str
    hardware: str
    unique_id: str
    reset_cause: int
    uptime_ms: int
    connectors: int
    max_current_a: float
    min_current_a: float
    phases: int
    has_lock: bool
    has_rcd: bool
    has_rcd_test: bool
    has_ventilation: bool
    can_wake_up: bool
    can_switch_phases: bool
    outputs: tuple[str, ...]
    sensors: tuple[str, ...]
    pcb: str = ""
    config_hash: str = ""
    problem: str = ""
    """Why the board has no connectors, in its own words."""
    serial_ports: tuple[tuple[str, int], ...] = ()
    """Name and baud rate of each serial port that it carries over the link."""


def parse_identity(hello: Mapping[str, Any]) -> BoardIdentity:
    """The HELLO of a board of our major version; what an older minor leaves out gets the modest value.

    Raises DeviceProtocolError."""
    caps = hello.get("caps", {})
    try:
        return BoardIdentity(
            firmware=str(hello.get("fw", "")),
            hardware=str(hello.get("hw", "")),
            unique_id=str(hello.get("uid", "")),
            reset_cause=int(hello.get("reset_cause", wire.RESET_POWER)),
            uptime_ms=int(hello.get("uptime", 0)),
            connectors=int(hello["connectors"]),
            max_current_a=float(caps.get("max_a", 0)),
            min_current_a=float(caps.get("min_a", wire.MIN_LIMIT_DA / 10)),
            phases=int(caps.get("phases", 1)),
            has_lock=bool(caps.get("lock", False)),
            has_rcd=bool(caps.get("rcd", False)),
            has_rcd_test=bool(caps.get("rcd_test", False)),
            has_ventilation=bool(caps.get("vent", False)),
            can_wake_up=bool(caps.get("wake", False)),
            can_switch_phases=bool(caps.get("phase_switch", False)),
            outputs=tuple(map(str, caps.get("aux", ()))),
            sensors=tuple(map(str, caps.get("sensors", ()))),
            pcb=str(hello.get("pcb", "")),
            config_hash=str(hello.get("cfg_hash", "")),
            problem=str(hello.get("problem", "")),
            serial_ports=tuple(
                (str(name), int(baud))
                for name, baud in zip(caps.get("serial", ()), caps.get("serial_baud", ()), strict=True)
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeviceProtocolError(f"the board's HELLO makes no sense: {error!r}") from error


class BoardObserver(Protocol):
    """Who is told what the board says of one connector. Called in the loop; must not wait."""

    def on_status(self, status: wire.Status) -> None: ...
    def on_event(self, event: wire.Event) -> None:
        """Once for each event, however often the board repeats it."""

    def on_link(self, state: LinkState) -> None:
        """The state changed, or HELLO told anew which connectors the board has."""

    def on_events_lost(self) -> None:
        """More events happened than the board could keep."""


class SerialObserver(Protocol):
    """Who uses one of the board's serial ports. Called in the loop; must not wait."""

    def on_serial(self, octets: bytes) -> None: ...
    def on_line(self, is_linked: bool) -> None:
        """HELLO was exchanged, and `identity` is new; or the link is down: what was under way is gone."""


@dataclass(slots=True)
class _Renewal:
    """The setpoint of one connector and how its sending stands."""

    payload: bytes
    due_time: float = 0.0
    sent_time: float = 0.0
    seq: int = 0
    unanswered: int = 0
    confirmed_time: float | None = None
    """When the last one was sent that the board has confirmed."""


class BoardLink:
    """One board on one line. `run` is the link; everything else may be called whether it is up or not."""

    def __init__(self, stream: ByteStream, host_version: str) -> None:
        self._stream = stream
        self._host_version = host_version
        self._observers: dict[int, BoardObserver] = {}
        self._reset_observers: list[Callable[[str], None]] = []
        self._serial_observers: dict[str, SerialObserver] = {}
        self._renewals: dict[int, _Renewal] = {}
        self._reader = wire.Reader()
        self._seqs = itertools.cycle(range(1, 256))
        self._waiting: dict[int, tuple[int, asyncio.Future[bytes]]] = {}
        self._request_lock = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._end: asyncio.Future[str] | None = None
        self._state = LinkState.STARTING
        self._is_linked = False
        self._has_met_board = False
        self._is_restart_known = False
        """The board has restarted since we first met it."""
        self._last_status_time = 0.0
        self._last_uptime_ms = 0
        self._seen_events: deque[int] = deque(maxlen=EVENTS_REMEMBERED)
        self._newest_event: int | None = None
        self.identity: BoardIdentity | None = None
        self._tally = LinkTally()

    @property
    def name(self) -> str:
        return self._stream.name

    @property
    def state(self) -> LinkState:
        return self._state

    @property
    def is_linked(self) -> bool:
        """HELLO was exchanged in our version and the line stands."""
        return self._is_linked

    @property
    def quality(self) -> BoardLinkQuality:
        now = 0.0 if self._loop is None else self._loop.time()
        margins = {
            connector: wire.unpack_setpoint(renewal.payload).lease_ms / 1000 - (now - renewal.confirmed_time)
            for connector, renewal in self._served().items()
            if renewal.confirmed_time is not None
        }
        return self._tally.quality(self._reader.bad, margins)

    def has_connector(self, connector: int) -> bool:
        """False only if the board said in HELLO that it has fewer connectors."""
        return self.identity is None or connector <= self.identity.connectors

    def observe(self, connector: int, observer: BoardObserver) -> None:
        self._observers[connector] = observer

    def observe_reset(self, on_reset: Callable[[str], None]) -> None:
        """Call `on_reset(cause)` when the board has restarted: its outputs are off, its latches are open."""
        self._reset_observers.append(on_reset)

    def observe_serial(self, port: str, observer: SerialObserver) -> None:
        """Tell `observer` what comes from the board's serial port of this name."""
        self._serial_observers[port] = observer

    # ---- what the host wants

    def send_serial(self, port: str, octets: bytes) -> None:
        """At most wire.SERIAL_MAX bytes for a serial port of the board; lost without a link or such a port."""
        names = [name for name, _ in self.identity.serial_ports] if self.identity else []
        if self._is_linked and port in names:
            payload = wire.pack_serial(names.index(port), octets)
            self._stream.write(wire.encode(wire.SERIAL_OUT, 0, payload))

    def apply(self, connector: int, setpoint: wire.Setpoint, *, is_urgent: bool = True) -> None:
        """Make this the setpoint of `connector`: sent in this turn of the loop if it differs, then renewed.

        What is not urgent goes with the next renewal."""
        payload = setpoint.pack()
        renewal = self._renewals.get(connector)
        if renewal is None:
            self._renewals[connector] = _Renewal(payload)
        elif not is_urgent:
            renewal.payload = payload
            return
        elif renewal.payload != payload:
            renewal.payload = payload
            renewal.unanswered = 0
            renewal.due_time = 0.0
        else:
            return
        self._arm()

    async def request(self, message_type: int, payload: bytes, timeout_s: float = 1.0) -> bytes:
        """One request at a time; repeated with the same sequence number until answered.

        Raises DeviceMissing without a link, DeviceTimeout, DeviceFault(the board's reason)."""
        async with self._request_lock:
            may_send = self._is_linked or (
                self._state is LinkState.INCOMPATIBLE and message_type == wire.REBOOT
            )
            if not may_send:
                raise DeviceMissing(f"board {self.name}: no link")
            return await self._ask(message_type, payload, timeout_s + REPLY_MARGIN_S)

    async def act(self, name: str, connector: int, /, **args: object) -> dict[str, Any]:
        """A board action of `wire.ACTIONS`; its data. Raises as `request`, DeviceFault(code) on a refusal."""
        payload = wire.pack_json({"a": name, "c": connector, "args": args})
        if len(payload) > wire.MAX_PAYLOAD:
            raise OutOfRange(f"board action {name}: the arguments are too long")
        answer = await self.request(wire.ACTION, payload, wire.ACTIONS[name] / 1000)
        try:
            reply: Mapping[str, Any] = wire.unpack_json(answer)
        except ValueError as error:
            raise DeviceProtocolError(f"board action {name}: {error}") from error
        if reply.get("ok") is not True:
            raise DeviceFault(str(reply.get("code", wire.CODE_FAILED)), f"board action {name}")
        data = reply.get("data")
        return data if isinstance(data, dict) else {}

    # ---- the task

    async def run(self) -> NoReturn:
        """Keep the link until cancelled; then take every permission back and let go of the line."""
        self._loop = asyncio.get_running_loop()
        self._last_status_time = self._loop.time()
        delay = ReopenDelay()
        self._arm()
        try:
            while True:
                try:
                    await self._stream.open(self._on_bytes, self._on_lost)
                    await self._hold_line(delay)
                except HalError as error:
                    level = logging.DEBUG if self._state is LinkState.LOST else logging.WARNING
                    log.log(level, "board link %s is down: %s", self.name, error)
                finally:
                    self._let_go()
                await asyncio.sleep(delay.next_s())
        finally:
            self._loop = None
            if self._timer is not None:
                self._timer.cancel()

    async def shut_down(self, timeout_s: float = 1.0) -> None:
        """Take every permission back and wait, for a moment, until the board has confirmed it."""
        for connector in self._renewals:
            self.apply(connector, wire.Setpoint(connector))
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self._is_linked and any(
            renewal.unanswered or not renewal.due_time for renewal in self._served().values()
        ):
            if asyncio.get_running_loop().time() >= deadline:
                log.warning("board %s did not confirm the shutdown; its lease will run out", self.name)
                return
            await asyncio.sleep(0.02)

    async def _hold_line(self, delay: ReopenDelay) -> NoReturn:
        """Say HELLO and serve until the line is lost; raises the reason."""
        self._tally.bad_before += self._reader.bad
        self._reader = wire.Reader()
        self._stream.write(b"\n")  # ends half a line that an earlier host may have left
        while True:
            end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            self._end = end
            hello_time = asyncio.get_running_loop().time()
            if await self._say_hello():
                delay.reset()
                reason = await end
            else:
                done, _ = await asyncio.wait({end}, timeout=INCOMPATIBLE_RETRY_S)
                reason = end.result() if done else ""
            self._unlink()
            if reason:
                raise DeviceMissing(reason)
            await asyncio.sleep(hello_time + RENEW_S - asyncio.get_running_loop().time())

    async def _say_hello(self) -> bool:
        """Whether the board speaks our version. Raises DeviceTimeout, DeviceProtocolError."""
        payload = wire.pack_json(wire.hello_request(self._host_version))
        try:
            hello = wire.unpack_json(await self._ask(wire.HELLO, payload, HELLO_TIMEOUT_S))
        except ValueError as error:
            raise DeviceProtocolError(f"the board's HELLO cannot be read: {error}") from error
        if not wire.speaks_our_major(hello):
            if self._state is not LinkState.INCOMPATIBLE:
                log.error(
                    "board %s speaks protocol %s, not %d.x",
                    self.name,
                    hello.get("proto"),
                    wire.PROTOCOL_MAJOR,
                )
            self._change_state(LinkState.INCOMPATIBLE)
            return False
        identity = parse_identity(hello)
        log.info("board %s: %s, firmware %s", self.name, identity.hardware, identity.firmware)
        is_new_start = self._has_met_board and self._has_started_anew(identity.uptime_ms)
        if is_new_start or not self._has_met_board:
            self._seen_events.clear()
            self._newest_event = None
        self._is_restart_known = self._is_restart_known or is_new_start
        self.identity = identity
        self._tally.links += 1
        self._is_linked = True
        for observer in self._observers.values():
            observer.on_link(self._state)
        for serial_observer in self._serial_observers.values():
            serial_observer.on_line(True)
        for renewal in self._renewals.values():
            renewal.unanswered = 0
            renewal.due_time = 0.0
        self._arm()
        return True

    def _has_started_anew(self, uptime_ms: int) -> bool:
        """Whether the board has started again since its last STATUS, however long ago that was."""
        away_ms = 1000 * (asyncio.get_running_loop().time() - self._last_status_time)
        return has_restarted(self._last_uptime_ms, away_ms, uptime_ms)

    def _let_go(self) -> None:
        """Close the line; a board that still hears us loses its permissions with the last bytes."""
        if self._is_linked:
            for connector in self._served():
                last = wire.Setpoint(connector).pack()
                self._stream.write(wire.encode(wire.SETPOINT, next(self._seqs), last))
        self._unlink()
        self._stream.close()
        self._fail_waiting(DeviceMissing(f"board {self.name}: the link went down"))
        if self._state is LinkState.UP:
            self._change_state(LinkState.SILENT)

    # ---- sending

    def _served(self) -> dict[int, _Renewal]:
        """The setpoints of connectors that the board has; it would refuse the others every second."""
        return {
            connector: renewal
            for connector, renewal in self._renewals.items()
            if self.has_connector(connector)
        }

    async def _ask(self, message_type: int, payload: bytes, timeout_s: float) -> bytes:
        loop = asyncio.get_running_loop()
        seq = next(self._seqs)
        answer: asyncio.Future[bytes] = loop.create_future()
        self._waiting[seq] = (message_type, answer)
        deadline = loop.time() + timeout_s
        try:
            while (left_s := deadline - loop.time()) > 0:
                self._stream.write(wire.encode(message_type, seq, payload))
                done, _ = await asyncio.wait({answer}, timeout=min(RETRY_S, left_s))
                if done:
                    return answer.result()
        finally:
            self._waiting.pop(seq, None)
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # seen: one that comes while the asker is being cancelled is nobody's
        raise DeviceTimeout(f"board {self.name}: no answer to request 0x{message_type:02X}")

    def _arm(self) -> None:
        """Set the one timer to the earliest thing that is due."""
        loop = self._loop
        if loop is None:
            return
        due_times = []
        if self._state is LinkState.UP:
            due_times.append(self._last_status_time + SILENT_S)
        elif self._state in (LinkState.STARTING, LinkState.SILENT):
            due_times.append(self._last_status_time + LOST_S)
        if self._is_linked:
            due_times += [renewal.due_time for renewal in self._served().values()]
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(min(due_times), self._on_timer, loop) if due_times else None

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        if self._is_linked:
            for connector, renewal in self._served().items():
                if renewal.due_time <= now and not self._send_setpoint(connector, renewal, now):
                    self._end_line("it does not confirm setpoints")
                    break
        silence_s = now - self._last_status_time
        if self._state in (LinkState.STARTING, LinkState.UP, LinkState.SILENT) and silence_s >= LOST_S:
            log.error("board %s: no status for %d s", self.name, LOST_S)
            self._change_state(LinkState.LOST)
        elif self._state is LinkState.UP and silence_s >= SILENT_S:
            log.warning("board %s: no status for %d s", self.name, SILENT_S)
            self._change_state(LinkState.SILENT)
        self._arm()

    def _send_setpoint(self, connector: int, renewal: _Renewal, now: float) -> bool:
        """False: sent often enough without an answer."""
        if renewal.unanswered >= SENDS:
            return False
        if renewal.unanswered == 0:
            renewal.seq = next(self._seqs)
            renewal.sent_time = now
        self._tally.sent(renewal.unanswered)
        renewal.unanswered += 1
        renewal.due_time = now + RETRY_S
        self._stream.write(wire.encode(wire.SETPOINT, renewal.seq, renewal.payload))
        return True

    def _end_line(self, reason: str) -> None:
        """End this line's session: with a reason it is reopened, without one HELLO is said again."""
        self._unlink()
        if self._end is not None and not self._end.done():
            self._end.set_result(reason)
        if reason and self._state is LinkState.UP:
            self._change_state(LinkState.SILENT)

    def _unlink(self) -> None:
        if self._is_linked:
            self._is_linked = False
            for observer in self._serial_observers.values():
                observer.on_line(False)

    def _fail_waiting(self, error: HalError) -> None:
        for _, answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(error)

    # ---- hearing

    def _on_lost(self, error: DeviceMissing) -> None:
        self._end_line(str(error))
        self._fail_waiting(error)

    def _on_bytes(self, octets: bytes) -> None:
        frames, console = self._reader.feed(octets)
        for line in console:
            console_log.info("board> %s", line.decode("utf-8", "replace"))
        self._tally.frames += len(frames)
        for message_type, seq, payload in frames:
            try:
                self._on_frame(message_type, seq, payload)
            except ValueError as error:
                log.warning("board %s: message 0x%02X: %s", self.name, message_type, error)

    def _on_frame(self, message_type: int, seq: int, payload: bytes) -> None:
        if message_type == wire.STATUS:
            self._on_status(wire.unpack_status(payload))
        elif message_type == wire.EVENT:
            self._on_event(wire.unpack_event(payload))
        elif message_type == wire.SETPOINT | wire.REPLY:
            self._on_confirmed(wire.unpack_setpoint_reply(payload)[0], seq)
        elif message_type == wire.SERIAL_IN:
            self._on_serial(*wire.unpack_serial(payload))
        elif message_type == wire.NAK:
            self._on_nak(seq, *wire.unpack_nak(payload)[:2])
        else:
            asked_type, answer = self._waiting.get(seq, (-1, None))
            if answer is not None and not answer.done() and message_type == asked_type | wire.REPLY:
                answer.set_result(payload)

    def _on_status(self, status: wire.Status) -> None:
        observer = self._observers.get(status.connector)
        if observer is None or not self._is_linked or self._loop is None:
            return
        self._has_met_board = True
        self._tally.lease_losses[status.connector] = status.link_losses
        self._last_status_time = self._loop.time()
        self._last_uptime_ms = status.uptime_ms
        if self._state is not LinkState.UP:
            observer.on_status(status)  # the new state first, then that it can be trusted again
            self._change_state(LinkState.UP)
            self._arm()
        else:
            observer.on_status(status)
        if self._newest_event is None:
            self._newest_event = status.event_seq
        elif wire.EVENT_RING < (status.event_seq - self._newest_event) & 0xFFFF < 0x8000:
            self._newest_event = status.event_seq
            for each in self._observers.values():
                each.on_events_lost()

    def _on_event(self, event: wire.Event) -> None:
        if not self._is_linked:
            return  # it comes again
        self._stream.write(wire.encode(wire.EVENT_ACK, 0, wire.pack_event_ack(event.event_seq)))
        if event.event_seq in self._seen_events:
            return
        self._seen_events.append(event.event_seq)
        if self._newest_event is None or (event.event_seq - self._newest_event) & 0xFFFF < 0x8000:
            self._newest_event = event.event_seq
        if event.kind == wire.EVENT_RESET:
            # How the board came up before we met is no news, unless it had hung.
            if self._is_restart_known or event.a == wire.RESET_WATCHDOG:
                for on_reset in self._reset_observers:
                    on_reset(wire.RESET_NAMES.get(event.a, str(event.a)))
        elif event.kind == wire.EVENT_CONFIG:
            log.error("board %s: what was set on it is damaged; the limits of its circuit hold", self.name)
        elif event.connector in self._observers:
            self._observers[event.connector].on_event(event)

    def _on_serial(self, index: int, octets: bytes) -> None:
        if not self._is_linked or self.identity is None:
            return  # from before our HELLO: said to nobody
        if index < len(self.identity.serial_ports):
            observer = self._serial_observers.get(self.identity.serial_ports[index][0])
            if observer is not None:
                observer.on_serial(octets)

    def _on_confirmed(self, connector: int, seq: int) -> None:
        renewal = self._renewals.get(connector)
        if renewal is not None and renewal.seq == seq and renewal.unanswered and self._loop is not None:
            self._tally.confirmed_after(self._loop.time() - renewal.sent_time, renewal.unanswered)
            renewal.confirmed_time = renewal.sent_time
        self._on_setpoint_reply(connector, seq)

    def _on_setpoint_reply(self, connector: int, seq: int) -> None:
        renewal = self._renewals.get(connector)
        if renewal is not None and renewal.seq == seq and renewal.unanswered:
            renewal.unanswered = 0
            renewal.due_time = renewal.sent_time + RENEW_S
            self._arm()

    def _on_nak(self, seq: int, refused_type: int, code: int) -> None:
        if code == wire.NAK_NO_HELLO:
            if self._is_linked:
                log.warning("board %s has restarted", self.name)
                self._end_line("")
            return  # whoever asked asks again
        name = wire.NAK_NAMES[code] if code < len(wire.NAK_NAMES) else str(code)
        if refused_type == wire.SETPOINT:
            for connector, renewal in self._renewals.items():
                if renewal.seq == seq and renewal.unanswered:
                    log.error("board %s refuses the setpoint of connector %d: %s", self.name, connector, name)
                    self._on_setpoint_reply(connector, seq)
            return
        asked_type, answer = self._waiting.get(seq, (-1, None))
        if answer is not None and not answer.done() and asked_type == refused_type != wire.HELLO:
            answer.set_exception(DeviceFault(name, f"board {self.name}"))

    def _change_state(self, state: LinkState) -> None:
        if state is self._state:
            return
        self._state = state
        for observer in self._observers.values():
            observer.on_link(state)
