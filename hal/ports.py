"""The ports: what the agent may expect of hardware, whatever it is made of.

SI units everywhere (A, V, W, Wh, seconds); `*_time` is loop time (monotonic seconds). Ports are
level-triggered and idempotent: a setpoint may be applied again at any time, state is cached and carries
the time it was taken. Nothing here blocks; what is async touches a device.
Implemented by `hal.drivers` (real) and `hal.sim` (simulated); built by `hal.factory` only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Literal, Protocol

Quality = Literal["ok", "stale", "invalid"]
PerPhase = tuple[float | None, float | None, float | None]
NO_PHASES: PerPhase = (None, None, None)


class PilotState(StrEnum):
    """Control pilot state, IEC 61851-1 Annex A."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"
    E = "E"
    F = "F"


class ContactorState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class LockCommand(StrEnum):
    """AUTO: the board locks while a cable is in and the EVSE is not released; HOLD and RELEASE override."""

    AUTO = "auto"
    HOLD = "hold"
    RELEASE = "release"


class Severity(Enum):
    INFO = 0
    DERATE = 1
    STOP = 2
    """Stops charging; clears itself when the cause has been gone for 5 s."""
    LATCHED = 3
    """Stops charging; needs an unplug with a passed self-test, or a service clear."""


class FaultCode(StrEnum):
    """Fault codes of the hardware layer. The board owns the first group, the host the second."""

    RCD_DC = "rcd_dc"
    RCD_AC = "rcd_ac"
    RCD_SELF_TEST = "rcd_self_test"
    CONTACTOR_WELDED = "contactor_welded"
    CONTACTOR_NO_CLOSE = "contactor_no_close"
    CP_DIODE = "cp_diode"
    CP_RANGE = "cp_range"
    PP_RANGE = "pp_range"
    LOCK_FAIL = "lock_fail"
    UNLOCK_FAIL = "unlock_fail"
    OVER_CURRENT = "over_current"
    OVER_VOLTAGE = "over_voltage"
    UNDER_VOLTAGE = "under_voltage"
    TEMP_WARN = "temp_warn"
    TEMP_STOP = "temp_stop"
    VENT_UNAVAILABLE = "vent_unavailable"
    EMERGENCY_STOP = "emergency_stop"
    DOOR_OPEN = "door_open"
    TILT = "tilt"
    PHASE_SWITCH = "phase_switch"

    BOARD_COMM = "board_comm"
    BOARD_RESET = "board_reset"
    FIRMWARE_INCOMPATIBLE = "firmware_incompatible"
    METER_COMM = "meter_comm"
    METER_IMPLAUSIBLE = "meter_implausible"
    READER_FAILURE = "reader_failure"


FAULT_SEVERITY: Mapping[FaultCode, Severity] = {
    FaultCode.RCD_DC: Severity.LATCHED,
    FaultCode.RCD_AC: Severity.LATCHED,
    FaultCode.RCD_SELF_TEST: Severity.LATCHED,
    FaultCode.CONTACTOR_WELDED: Severity.LATCHED,
    FaultCode.CONTACTOR_NO_CLOSE: Severity.LATCHED,
    FaultCode.CP_DIODE: Severity.STOP,
    FaultCode.CP_RANGE: Severity.STOP,
    FaultCode.PP_RANGE: Severity.STOP,
    FaultCode.LOCK_FAIL: Severity.STOP,
    FaultCode.UNLOCK_FAIL: Severity.STOP,
    FaultCode.OVER_CURRENT: Severity.STOP,
    FaultCode.OVER_VOLTAGE: Severity.STOP,
    FaultCode.UNDER_VOLTAGE: Severity.STOP,
    FaultCode.TEMP_WARN: Severity.DERATE,
    FaultCode.TEMP_STOP: Severity.STOP,
    FaultCode.VENT_UNAVAILABLE: Severity.STOP,
    FaultCode.EMERGENCY_STOP: Severity.LATCHED,
    FaultCode.DOOR_OPEN: Severity.STOP,
    FaultCode.TILT: Severity.STOP,
    FaultCode.PHASE_SWITCH: Severity.LATCHED,
    FaultCode.BOARD_COMM: Severity.STOP,
    FaultCode.BOARD_RESET: Severity.INFO,
    FaultCode.FIRMWARE_INCOMPATIBLE: Severity.STOP,
    FaultCode.METER_COMM: Severity.STOP,
    FaultCode.METER_IMPLAUSIBLE: Severity.STOP,
    FaultCode.READER_FAILURE: Severity.INFO,
}


@dataclass(frozen=True, slots=True)
class Setpoint:
    """The whole of what the host wants of one EVSE; sent again and again, each time with a fresh lease."""

    available: bool = True
    """False: out of service (no PWM, never closes)."""
    allow_power: bool = False
    """The contactor may close in state C (or D with ventilation)."""
    limit_a: float = 0.0
    """Offered current in A per phase; below the 6 A of IEC 61851-1 the board offers nothing (pause)."""
    lock: LockCommand = LockCommand.AUTO
    phases: int = 3
    """1 or 3, for an EVSE that can switch; the board does that with the contactor open, which takes 10 s and more."""
    lease_s: float = 5.0
    fallback_a: float = 0.0
    """The limit that holds after the lease ran out; 0 = stop offering, then open."""
    measured_a: float | None = None
    """The highest phase current, for a board that has no sensors of its own; None: not known. Not urgent."""


@dataclass(frozen=True, slots=True)
class EvseState:
    """What the board last said of one EVSE."""

    at_time: float
    pilot: PilotState
    pilot_high_mv: int
    pilot_low_mv: int
    duty_percent: float
    """100.0 = no PWM, nothing offered."""
    contactor: ContactorState
    """By feedback, not by command."""
    locked: bool | None
    """None: no lock here (fixed cable)."""
    cable_a: float | None
    """Rating of the cable by proximity pilot; None with a fixed cable or when none is in."""
    residual_current_a: float
    temperature_c: float | None
    faults: frozenset[FaultCode] = frozenset()
    link_ok: bool = True
    connector_id: int = 1
    """Which of the EVSE's connectors is in use, or was last."""
    phases: int | None = None
    """How many phases the EV gets, 1 or 3; None: the board does not say, or not yet."""
    current_a: PerPhase = NO_PHASES
    """By the board's own sensors, if it has any."""

    @property
    def is_offering(self) -> bool:
        return self.duty_percent < 100.0


@dataclass(frozen=True, slots=True)
class EvseCapabilities:
    max_current_a: float
    min_current_a: float
    phases: int
    has_lock: bool
    """A socket with a lock motor; False = fixed cable."""
    has_rcd: bool
    has_rcd_test: bool
    has_ventilation: bool
    can_wake_up: bool
    can_switch_phases: bool = False


@dataclass(frozen=True, slots=True)
class MeterReading:
    """One reading, taken at one instant. What the meter does not give is None, never 0."""

    at_time: float
    energy_import_wh: float | None = None
    energy_export_wh: float | None = None
    power_w: float | None = None
    voltage_v: PerPhase = NO_PHASES
    current_a: PerPhase = NO_PHASES
    power_phase_w: PerPhase = NO_PHASES
    frequency_hz: float | None = None
    power_factor: float | None = None
    temperature_c: float | None = None
    quality: Quality = "ok"
    reactive_power_var: float | None = None
    """Positive: inductive, taken from the grid."""
    reactive_energy_import_varh: float | None = None
    reactive_energy_export_varh: float | None = None


@dataclass(frozen=True, slots=True)
class EvseEvent:
    """A change worth waking up for: `state` is the state after it. Lost events are told as one `resync`."""

    kind: Literal["state", "fault", "fault_cleared", "link", "board_reset", "resync"]
    state: EvseState
    fault: FaultCode | None = None
    detail: str = ""


class Evse(Protocol):
    """Pilot and contactor permission of one EVSE. The board decides; the host only permits."""

    @property
    def evse_id(self) -> int: ...
    @property
    def capabilities(self) -> EvseCapabilities: ...
    @property
    def state(self) -> EvseState:
        """The last known state, never older than the link allows; never blocks."""

    def apply(self, setpoint: Setpoint) -> None:
        """Make `setpoint` the wanted state: sent at once when it differs, and renewed every second."""

    def subscribe(self, listener: Callable[[EvseEvent], None]) -> Callable[[], None]:
        """Call `listener` in the loop for every event; returns the way to stop that."""

    async def clear_fault(self, code: FaultCode) -> bool:
        """Ask the board to clear a latched fault. False: the board refuses. Raises HalError."""

    async def rcd_self_test(self) -> bool:
        """Run the residual current self-test (state A, contactor open). Raises DeviceFault("not_allowed")."""

    async def wake_up_ev(self) -> None:
        """One wake-up pulse for a sleeping EV. Raises DeviceFault("not_allowed") when the board refuses."""


class EnergyMeter(Protocol):
    """An energy meter. `read` touches the device each time; nothing is cached."""

    @property
    def name(self) -> str:
        """Model, for BootNotification's meterType."""

    @property
    def serial_number(self) -> str | None: ...
    async def read(self) -> MeterReading:
        """A fresh reading, never an old one. Raises DeviceMissing, DeviceTimeout, DeviceProtocolError."""

    async def read_registers(self, function: int, address: int, count: int) -> tuple[int, ...]:
        """Raw 16-bit registers for service (function 3 or 4, at most 32). Raises OutOfRange."""


class SigningMoment(StrEnum):
    """What a signed reading stands for, in the letters of OCMF's TX."""

    BEGIN = "B"
    MIDDLE = "C"
    END = "E"


@dataclass(frozen=True, slots=True)
class SignedReading:
    """A reading as a certified meter signed it. `content` is passed on untouched; only a verifier reads it."""

    content: str
    """The meter's record: OCMF text, or the hex of a binary one."""
    encoding: str
    """ "OCMF", "EDL", ..."""
    method: str = ""
    """How it was signed; empty when the record says so itself."""


class MeterSigner(Protocol):
    """The part of a meter that signs readings of a transaction (Eichrecht). May take some seconds."""

    @property
    def public_key(self) -> str:
        """As printed on the meter: hex of its ASN.1 structure. Empty: not known."""

    async def sign(self, moment: SigningMoment, id_token: str) -> SignedReading:
        """A fresh signed reading. Raises DeviceMissing, DeviceTimeout, DeviceProtocolError, DeviceFault."""


class ConnectorLock(Protocol):
    """The cable retention lock of one EVSE's socket."""

    async def unlock(self) -> bool:
        """Release, confirmed by feedback. False: still locked. Refused while the contactor is closed."""


class Output(Protocol):
    """A named auxiliary relay or open-collector output. Never the contactor."""

    @property
    def name(self) -> str: ...
    @property
    def is_on(self) -> bool: ...
    async def set(self, on: bool) -> None: ...
    async def pulse(self, duration_s: float) -> None:
        """On for `duration_s` (0.05 to 5.0), then off by the device itself. Returns once it is on."""


class Indicator(Protocol):
    """Status light or display of one EVSE."""

    async def show(self, pattern: str, duration_s: float) -> None:
        """Show a named pattern for `duration_s` (at most 300), then the status again. Raises OutOfRange."""


@dataclass(frozen=True, slots=True)
class DisplayPage:
    """What stands on a display at one time."""

    content: str
    format: str = "UTF8"
    """ASCII, HTML, URI or UTF8."""
    language: str = ""
    """RFC 5646 tag; empty: not said."""


class Display(Protocol):
    """The text display of one EVSE. What was shown last stays there until something else is."""

    async def show(self, page: DisplayPage | None) -> None:
        """None: an empty display. May be shown again at any time. Raises HalError."""


class CardReader(Protocol):
    """Something that reads tokens: RFID reader, keypad."""

    @property
    def evse_ids(self) -> Sequence[int]:
        """The EVSEs that it serves; empty: the whole station. To be asked in the listener, for each card."""

    def subscribe(self, listener: Callable[[str, str], None]) -> Callable[[], None]:
        """Call `listener(uid, token_type)` for each card presented; returns the way to stop that.

        `uid` is upper-case hex, byte 0 first, for ISO 14443; `token_type` is a 2.x IdTokenType name."""


class Sensor(Protocol):
    """A named analogue or digital input for service and diagnostics."""

    @property
    def name(self) -> str: ...
    async def read(self) -> float: ...


@dataclass(frozen=True, slots=True)
class BoardFacts:
    """What an I/O board said of itself when the link was made."""

    firmware: str
    hardware: str
    """The model of its circuit, as its pin map calls it."""
    unique_id: str
    reset_cause: str
    """Why it last started: power, soft, wdt (its watchdog)."""
    connectors: int
    max_current_a: float
    phases: int
    has_lock: bool
    has_rcd_test: bool
    pcb: str = ""
    """Name of its pin map; empty: an older firmware."""
    config_hash: str = ""
    """Changes with the limits that are set on the board."""
    problem: str = ""
    """Why it has no connectors."""


@dataclass(frozen=True, slots=True)
class BoardLinkQuality:
    """How the link to an I/O board has done since the start of the host. Counts only grow."""

    frames: int
    """Whole frames heard."""
    bad_lines: int
    """Frames that were damaged: wrong CRC, cut, too long."""
    setpoints: int
    """Sent anew; each is sent again, every 0.3 s, until it is confirmed."""
    repeats: int
    """Of setpoints: what was sent before was lost, or its confirmation."""
    confirmed: int
    round_trips_s: float
    """Of all that were confirmed at once, from sending to confirmation, added up."""
    timed: int
    """How many these were."""
    links: int
    """How often HELLO was exchanged."""
    lease_margins_s: Mapping[int, float]
    """By connector: for how long its last confirmed permission would still hold; negative: it has run out."""
    lease_losses: Mapping[int, int]
    """By connector: how often the lease ran out since the board's start, as the board says."""


@dataclass(frozen=True, slots=True)
class BoardLimits:
    """The limits of one connector, by the board's own names: da = 0.1 A, dc = 0.1 C, ms, s, 0 or 1."""

    connector: int
    values: Mapping[str, int]
    """What holds."""
    allowed: Mapping[str, int]
    """What its circuit is made for: what holds when nothing is set."""
    hash: str
    """Of all connectors' limits that hold."""


class BoardControl(Protocol):
    """The I/O board itself."""

    @property
    def facts(self) -> BoardFacts | None:
        """None until the board has answered for the first time."""

    @property
    def firmware_version(self) -> str: ...
    @property
    def is_linked(self) -> bool: ...
    @property
    def link_quality(self) -> BoardLinkQuality: ...
    async def read(self, names: Sequence[str]) -> Mapping[str, float]:
        """Named ADC and GPIO values of the board, for service."""

    async def reboot(self) -> None:
        """Reset the board; refused by the board unless every EVSE is in state A. Raises DeviceFault."""

    async def read_config(self, connector: int) -> BoardLimits:
        """Raises HalError; DeviceFault("bad_args") for a connector that it has not."""

    async def write_config(self, changes: Mapping[int, Mapping[str, int]]) -> None:
        """Set limits by connector, all or none, kept over a restart; the board restarts to obey them.

        Raises DeviceFault("not_allowed") while a car is at it, DeviceFault("bad_args", why)."""

    async def reset_config(self) -> None:
        """Back to what the circuit allows, as `write_config`."""


@dataclass(frozen=True, slots=True)
class EvsePorts:
    """Everything that belongs to one EVSE."""

    evse: Evse
    connectors: int = 1
    meter: EnergyMeter | None = None
    lock: ConnectorLock | None = None
    indicator: Indicator | None = None
    signer: MeterSigner | None = None
    display: Display | None = None


@dataclass(frozen=True, slots=True)
class Hardware:
    """What `hal.factory.open_hardware` gives: ports by EVSE id (1..n), and what the station has once."""

    evses: Mapping[int, EvsePorts]
    main_meter: EnergyMeter | None = None
    outputs: Mapping[str, Output] = field(default_factory=dict)
    sensors: Mapping[str, Sensor] = field(default_factory=dict)
    readers: Sequence[CardReader] = ()
    board: BoardControl | None = None
