"""The host link: messages, payload layouts, fault bits, limits; the single source for both sides.

Payloads are little-endian structs or UTF-8 JSON; a receiver accepts a longer payload than it knows, because fields
are only ever appended, and a shorter one of an older minor version with defaults. Units: current in 0.1 A ("da"),
duty in 0.01 %, voltage in mV, time in ms, temperature in 0.1 C, residual current in 0.1 mA. Runs unchanged on CPython
(imported by `hal.drivers.board_link`) and on MicroPython; no input makes it raise anything but ValueError. The lines
that carry them: `board/frames.py`, whose names are here, too. Message table: docs/board.md.
"""

import json
from struct import calcsize, pack, unpack_from

from board.frames import MAX_LINE as MAX_LINE
from board.frames import MAX_PAYLOAD as MAX_PAYLOAD
from board.frames import Reader as Reader
from board.frames import const as const
from board.frames import decode as decode
from board.frames import encode as encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


PROTOCOL_MAJOR = const(1)
PROTOCOL_MINOR = const(1)

# ---- message types. Bit 7 set: board to host; a reply carries the request's type | 0x80 and its seq.
HELLO = const(0x01)
SETPOINT = const(0x02)
EVENT_ACK = const(0x11)
SERIAL_OUT = const(0x12)
"""Bytes for a serial port of the board. Never acknowledged; a lost one is what a lost byte is on any serial line."""
ACTION = const(0x20)
CONFIG = const(0x21)
CLEAR_FAULT = const(0x22)
RCD_TEST = const(0x23)
PING = const(0x30)
REBOOT = const(0x3F)
REPLY = const(0x80)
STATUS = const(0x90)
EVENT = const(0x91)
SERIAL_IN = const(0x92)
"""Bytes from a serial port of the board, as SERIAL_OUT."""
NAK = const(0xFE)

# ---- why a request was refused (NAK)
NAK_UNKNOWN = const(1)
NAK_LENGTH = const(2)
NAK_NOT_ALLOWED = const(3)
NAK_BUSY = const(4)
NAK_VERSION = const(5)
NAK_NO_HELLO = const(6)
"""The board has (re)started since the last HELLO of the host: say HELLO again."""
NAK_VALUE = const(7)
NAK_NAMES = ("", "unknown", "bad_length", "not_allowed", "busy", "version", "no_hello", "bad_value")

# ---- control pilot states, as numbers; PILOT_NAMES[state] is the letter of IEC 61851-1
PILOT_A = const(0)
PILOT_B = const(1)
PILOT_C = const(2)
PILOT_D = const(3)
PILOT_E = const(4)
PILOT_F = const(5)
PILOT_NAMES = "ABCDEF"

# ---- SETPOINT flags
AVAILABLE = const(1)
ALLOW_POWER = const(2)
LOCK_HOLD = const(8)
LOCK_RELEASE = const(16)
THREE_PHASE = const(32)

# ---- STATUS contactor bits
CONTACTOR_COMMAND = const(1)
CONTACTOR_FEEDBACK = const(2)

# ---- STATUS lock
LOCK_NONE = const(0)
"""No lock here: a fixed cable."""
LOCK_OPEN = const(1)
LOCK_LOCKED = const(2)
LOCK_MOVING = const(3)

# ---- STATUS warnings
WARN_LEASE = const(1)
"""The host's lease has run out; the fallback limit holds."""
WARN_CABLE_LIMIT = const(2)
"""The cable's rating is below the wanted limit."""
WARN_DERATED = const(4)
"""Temperature keeps the limit down."""
WARN_SELF_TEST_DUE = const(8)

NO_TEMPERATURE = const(0x7FFF)
NO_CURRENT = const(0xFFFF)
"""Not measured, or not known any more."""
DUTY_OFF = const(10000)
"""100 %: no PWM, nothing offered."""

# ---- EVENT kinds and their arguments a, b
EVENT_PILOT = const(1)
"""a = new state, b = old state."""
EVENT_CONTACTOR = const(2)
"""a = contactor bits (command, feedback)."""
EVENT_FAULT = const(3)
"""a = bit number in FAULT_NAMES; b = peak residual current in 0.1 mA for rcd_dc, else 0."""
EVENT_FAULT_CLEARED = const(4)
"""a = bit number in FAULT_NAMES."""
EVENT_RESET = const(5)
"""a = RESET_* cause of the last start. Connector 0."""
EVENT_LOCK = const(6)
"""a = LOCK_* state."""
EVENT_LEASE = const(7)
"""a = 0 the lease ran out, 1 it came back."""
EVENT_RCD_TEST = const(8)
"""a = 1 passed, 0 failed."""
EVENT_CONFIG = const(9)
"""What was set on the board is damaged: the limits of its pin map hold. Connector 0."""

RESET_POWER = const(1)
RESET_WATCHDOG = const(3)
RESET_SOFT = const(5)
RESET_NAMES = {RESET_POWER: "power", RESET_WATCHDOG: "wdt", RESET_SOFT: "soft"}

# ---- REBOOT modes
REBOOT_RESET = const(0)
REBOOT_BOOTLOADER = const(1)

# ---- faults: bit n is FAULT_NAMES[n], spelt as in hal.ports.FaultCode. Append only.
FAULT_NAMES = (
    "rcd_dc",
    "rcd_ac",
    "rcd_self_test",
    "contactor_welded",
    "contactor_no_close",
    "cp_diode",
    "cp_range",
    "pp_range",
    "lock_fail",
    "unlock_fail",
    "over_current",
    "over_voltage",
    "under_voltage",
    "temp_warn",
    "temp_stop",
    "vent_unavailable",
    "emergency_stop",
    "door_open",
    "tilt",
    "phase_switch",
)
F_RCD_DC = const(0x00001)
F_RCD_AC = const(0x00002)
F_RCD_SELF_TEST = const(0x00004)
F_CONTACTOR_WELDED = const(0x00008)
F_CONTACTOR_NO_CLOSE = const(0x00010)
F_CP_DIODE = const(0x00020)
F_CP_RANGE = const(0x00040)
F_PP_RANGE = const(0x00080)
F_LOCK_FAIL = const(0x00100)
F_UNLOCK_FAIL = const(0x00200)
F_OVER_CURRENT = const(0x00400)
F_OVER_VOLTAGE = const(0x00800)
F_UNDER_VOLTAGE = const(0x01000)
F_TEMP_WARN = const(0x02000)
F_TEMP_STOP = const(0x04000)
F_VENT_UNAVAILABLE = const(0x08000)
F_EMERGENCY_STOP = const(0x10000)
F_DOOR_OPEN = const(0x20000)
F_TILT = const(0x40000)
F_PHASE_SWITCH = const(0x80000)

FAULTS_LATCHED = const(0x9001F)
"""rcd_*, contactor_*, emergency_stop, phase_switch: need an unplug with a passed self-test, or CLEAR_FAULT.

A weld needs CLEAR_FAULT."""
FAULTS_DERATE = const(0x02000)
"""temp_warn: lowers the limit, stops nothing. Every other fault stops charging."""

# ---- limits and times that both sides must agree on
MAX_LEASE_MS = const(120000)
"""A longer lease is shortened to this."""
MIN_LIMIT_DA = const(60)
"""6 A: below this the board offers nothing (IEC 61851-1 Annex A)."""
STATUS_PERIOD_MS = const(1000)
EVENT_RESEND_MS = const(500)
EVENT_RING = const(16)
PULSE_MIN_MS = const(50)
PULSE_MAX_MS = const(5000)
PATTERN_MAX_S = const(300)
SERIAL_MAX = const(32)
"""Bytes of a tunnelled port in one frame, and one SERIAL_IN a tick at most: half of what a UART of 115200 takes."""
SERIAL_BUFFER = const(256)
"""Bytes that may wait for a tunnelled port, each way; what comes on top is dropped."""

# ---- actions (JSON): {"a": name, "c": connector, "args": {...}} -> {"ok": bool, "code": str, "data": {...}}
ACTIONS = {
    "unlock": 9500,
    "wake_up": 1000,
    "output_set": 1000,
    "output_pulse": 1000,
    "led": 1000,
    "read": 1000,
}
"""Action name -> how long in ms the reply may take. `unlock` first waits until the contactor is open."""
RCD_TEST_TIMEOUT_MS = const(9000)
"""Above the longest test that board/limits.py allows."""
LED_PATTERNS = ("off", "on", "blink", "fast", "flash", "breathe")
CODE_OK = "ok"
CODE_NOT_ALLOWED = "not_allowed"
CODE_BAD_ARGS = "bad_args"
CODE_UNKNOWN = "unknown_action"
CODE_BUSY = "busy"
CODE_FAILED = "failed"


def fault_names(mask: int) -> "list[str]":
    """The names of the faults in `mask`; bits of a newer board that have no name here are left out."""
    return [FAULT_NAMES[bit] for bit in range(len(FAULT_NAMES)) if mask >> bit & 1]


def fault_bit(name: str) -> int:
    """The mask of one fault name. Raises ValueError for a name that the board does not own."""
    return 1 << FAULT_NAMES.index(name)


# ---- payloads --------------------------------------------------------------------------------------------
# Each unpack_* raises ValueError when the payload is shorter than its layout; more bytes are ignored.


def _unpack(layout: str, payload: bytes) -> "tuple[int, ...]":
    if len(payload) < calcsize(layout):
        raise ValueError("payload too short")
    return unpack_from(layout, payload)


def pack_json(value: object) -> bytes:
    """HELLO and ACTION, both directions: compact UTF-8 JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def unpack_json(payload: bytes) -> "dict[str, object]":
    """A JSON object. Raises ValueError for anything else."""
    try:
        value = json.loads(payload)
    except RuntimeError:  # nested too deep
        raise ValueError("bad JSON") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


_SETPOINT_0 = "<BBHIH"
"""Of minor version 0."""
_SETPOINT = "<BBHIHH"


class Setpoint:
    """SETPOINT request: the whole of what the host wants of one connector.

    `limit_da` and `fallback_da` in 0.1 A; `lease_ms` 0 takes the permission back at once. `measured_da`: the highest
    phase current that the EVSE's meter shows, not older than 5 s; for boards without current sensors of their own."""

    __slots__ = ("connector", "fallback_da", "flags", "lease_ms", "limit_da", "measured_da")

    def __init__(
        self,
        connector: int,
        flags: int = 0,
        limit_da: int = 0,
        lease_ms: int = 0,
        fallback_da: int = 0,
        measured_da: int = NO_CURRENT,
    ) -> None:
        self.connector = connector
        self.flags = flags
        self.limit_da = limit_da
        self.lease_ms = lease_ms
        self.fallback_da = fallback_da
        self.measured_da = measured_da

    def pack(self) -> bytes:
        return pack(
            _SETPOINT,
            self.connector,
            self.flags,
            self.limit_da,
            self.lease_ms,
            self.fallback_da,
            self.measured_da,
        )


def unpack_setpoint(payload: bytes) -> Setpoint:
    """A host of minor version 0 sends no `measured_da`."""
    is_whole = len(payload) >= calcsize(_SETPOINT)
    return Setpoint(*_unpack(_SETPOINT if is_whole else _SETPOINT_0, payload))


def pack_setpoint_reply(connector: int, pilot: int, contactor: int, faults: int) -> bytes:
    return pack("<BBBI", connector, pilot, contactor, faults)


def unpack_setpoint_reply(payload: bytes) -> "tuple[int, ...]":
    """(connector, pilot, contactor bits, faults)"""
    return _unpack("<BBBI", payload)


_STATUS_0 = "<BIBBBBHhhIHhHHHB"
"""Of minor version 0."""
_STATUS = "<BIBBBBHhhIHhHHHBBHHH"


_NO_CURRENTS: "Sequence[int]" = (NO_CURRENT, NO_CURRENT, NO_CURRENT)


class Status:
    """STATUS, pushed on change and each second: how one connector stands. The board refills its own."""

    __slots__ = (
        "cable_a",
        "connector",
        "contactor",
        "cp_high_mv",
        "cp_low_mv",
        "currents",
        "duty",
        "event_seq",
        "faults",
        "link_losses",
        "lock",
        "outlet",
        "phases",
        "pilot",
        "residual",
        "temperature",
        "uptime_ms",
        "warnings",
    )

    def __init__(self, connector: int) -> None:
        self.connector = connector
        self.uptime_ms = 0
        self.pilot = PILOT_A
        self.contactor = 0
        self.lock = LOCK_NONE
        self.cable_a = 0
        """Rating by proximity pilot; 0: fixed cable, or none in."""
        self.duty = DUTY_OFF
        self.cp_high_mv = 0
        self.cp_low_mv = 0
        self.faults = 0
        self.warnings = 0
        self.temperature = NO_TEMPERATURE
        self.residual = 0
        self.link_losses = 0
        """How often the lease ran out since the start."""
        self.event_seq = 0
        """Sequence number of the newest event; a host that misses one resyncs."""
        self.outlet = 1
        """Which outlet of this EVSE is in use, from 1; most boards have one."""
        self.phases = 0
        """That the car gets: 1 or 3; 0: the board does not say, or does not know yet where its phase relay stands."""
        self.currents = _NO_CURRENTS
        """L1, L2, L3 in 0.1 A by the board's own sensors; NO_CURRENT where it has none."""

    def pack(self) -> bytes:
        return pack(
            _STATUS,
            self.connector,
            self.uptime_ms & 0xFFFFFFFF,
            self.pilot,
            self.contactor,
            self.lock,
            self.cable_a,
            self.duty,
            self.cp_high_mv,
            self.cp_low_mv,
            self.faults,
            self.warnings,
            self.temperature,
            self.residual,
            self.link_losses & 0xFFFF,
            self.event_seq & 0xFFFF,
            self.outlet,
            self.phases,
            self.currents[0],
            self.currents[1],
            self.currents[2],
        )


def unpack_status(payload: bytes) -> Status:
    """A board of minor version 0 says nothing of phases and currents."""
    is_whole = len(payload) >= calcsize(_STATUS)
    v = _unpack(_STATUS if is_whole else _STATUS_0, payload)
    status = Status(v[0])
    status.uptime_ms, status.pilot, status.contactor, status.lock, status.cable_a = v[1:6]
    status.duty, status.cp_high_mv, status.cp_low_mv, status.faults, status.warnings = v[6:11]
    status.temperature, status.residual, status.link_losses, status.event_seq, status.outlet = v[11:16]
    if is_whole:
        status.phases = v[16]
        status.currents = v[17:20]
    return status


_EVENT = "<BHIBHH"


class Event:
    """EVENT, sent again until EVENT_ACK names its `event_seq`. Meaning of `a` and `b`: the EVENT_* kinds."""

    __slots__ = ("a", "b", "connector", "event_seq", "kind", "uptime_ms")

    def __init__(self, connector: int, event_seq: int, uptime_ms: int, kind: int, a: int, b: int) -> None:
        self.connector = connector
        self.event_seq = event_seq
        self.uptime_ms = uptime_ms
        self.kind = kind
        self.a = a
        self.b = b

    def pack(self) -> bytes:
        uptime_ms = self.uptime_ms & 0xFFFFFFFF
        return pack(_EVENT, self.connector, self.event_seq, uptime_ms, self.kind, self.a, self.b)


def unpack_event(payload: bytes) -> Event:
    return Event(*_unpack(_EVENT, payload))


def pack_event_ack(event_seq: int) -> bytes:
    return pack("<H", event_seq)


def unpack_event_ack(payload: bytes) -> int:
    return _unpack("<H", payload)[0]


def pack_clear_fault(connector: int, faults: int) -> bytes:
    """Request: the faults to clear. The reply has the same layout: all faults that still stand."""
    return pack("<BI", connector, faults)


def unpack_clear_fault(payload: bytes) -> "tuple[int, ...]":
    """(connector, faults), of the request and of the reply"""
    return _unpack("<BI", payload)


def pack_rcd_test(connector: int) -> bytes:
    return pack("<B", connector)


def unpack_rcd_test(payload: bytes) -> int:
    return _unpack("<B", payload)[0]


def pack_rcd_test_reply(connector: int, passed: bool) -> bytes:
    return pack("<BB", connector, 1 if passed else 0)


def unpack_rcd_test_reply(payload: bytes) -> "tuple[int, ...]":
    """(connector, 1 passed | 0 failed)"""
    return _unpack("<BB", payload)


def pack_ping(token: int) -> bytes:
    return pack("<I", token & 0xFFFFFFFF)


def unpack_ping(payload: bytes) -> int:
    return _unpack("<I", payload)[0]


def pack_ping_reply(token: int, uptime_ms: int) -> bytes:
    return pack("<II", token & 0xFFFFFFFF, uptime_ms & 0xFFFFFFFF)


def unpack_ping_reply(payload: bytes) -> "tuple[int, ...]":
    """(token of the request, uptime of the board in ms)"""
    return _unpack("<II", payload)


def pack_reboot(mode: int) -> bytes:
    """Request: REBOOT_*. The reply is empty and comes before the restart; NAK_NOT_ALLOWED outside state A."""
    return pack("<B", mode)


def unpack_reboot(payload: bytes) -> int:
    return _unpack("<B", payload)[0]


def pack_serial(port: int, octets: bytes) -> bytes:
    """SERIAL_OUT and SERIAL_IN: `port` is the place of its name in HELLO's `serial`, from 0."""
    return bytes((port,)) + octets


def unpack_serial(payload: bytes) -> "tuple[int, bytes]":
    """(port, bytes); the bytes go to the end of the payload, so nothing can ever be appended to it."""
    return _unpack("<B", payload)[0], payload[1:]


def pack_nak(message_type: int, code: int) -> bytes:
    return pack("<BB", message_type, code)


def unpack_nak(payload: bytes) -> "tuple[int, ...]":
    """(type of the refused request, NAK_* code); the frame's seq is the request's"""
    return _unpack("<BB", payload)


def hello_request(host_version: str) -> "dict[str, object]":
    """What the host says first, and again after NAK_NO_HELLO."""
    return {"proto": [PROTOCOL_MAJOR, PROTOCOL_MINOR], "host": host_version}


def hello_reply(
    firmware: str, hardware: str, uid: str, reset_cause: int, uptime_ms: int, connectors: int, caps: object
) -> "dict[str, object]":
    """The answer. `caps`: max_a, min_a, phases, phase_switch, lock, rcd, rcd_test, vent, wake, aux, sensors
    and serial (names), serial_baud (of each of `serial`)."""
    return {
        "proto": [PROTOCOL_MAJOR, PROTOCOL_MINOR],
        "fw": firmware,
        "hw": hardware,
        "uid": uid,
        "reset_cause": reset_cause,
        "uptime": uptime_ms,
        "connectors": connectors,
        "caps": caps,
    }


def speaks_our_major(hello: "dict[str, object]") -> bool:
    """Whether the other side's HELLO has our major version."""
    proto = hello.get("proto")
    return isinstance(proto, list) and len(proto) == 2 and proto[0] == PROTOCOL_MAJOR
