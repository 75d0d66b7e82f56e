"""The catalogue of local hardware actions, and the rules under which each may run.

An action is the only way from a vendor message to the hardware. Each has typed parameters, the situations in
which it is allowed, a role, a rate limit and a timeout; every run, refused or not, leaves an audit row. The
device checks again and may refuse by itself. There is none for contactor, pilot or lock motor, and none
extends a lease, raises a limit or hides a fault. Called by `table.py` and by vendor code through
`registry.py`; taught in docs/vendor-commands.md.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agent.charging.facts import VendorActionRun
from agent.charging.ports import AuditLog, Clock
from agent.charging.snapshot import EvseSnapshot, StationSnapshot
from agent.errors import StoreError
from hal.errors import DeviceFault, DeviceTimeout, HalError, OutOfRange
from hal.ports import ContactorState, EnergyMeter, FaultCode, Hardware, PerPhase, PilotState

log = logging.getLogger(__name__)


class ActionCode(StrEnum):
    """How an action ended; the word that the caller gets as "result"."""

    OK = "ok"
    BAD_ARGS = "bad_args"
    NOT_ALLOWED = "not_allowed"
    BUSY = "busy"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ActionResult:
    code: ActionCode
    detail: str = ""
    values: Mapping[str, object] = field(default_factory=dict)


class Role(StrEnum):
    OPERATOR = "operator"
    SERVICE = "service"


class Situation(StrEnum):
    """What an EVSE is in the middle of. A fault is an overlay: it must be allowed as well."""

    IDLE = "idle"
    PLUGGED = "plugged"
    PAUSED = "paused"
    """A transaction runs, but the contactor is open and the EV does not ask for power."""
    CHARGING = "charging"
    """The contactor is not surely open, or the pilot is in C or D."""
    UNKNOWN = "in an unknown state"
    """The board has not spoken yet, or no longer speaks."""


ALWAYS = frozenset(Situation)
UNPOWERED = ALWAYS - {Situation.CHARGING, Situation.UNKNOWN}
NO_TRANSACTION = frozenset({Situation.IDLE, Situation.PLUGGED})

EvseNumber = Annotated[int, Meta(ge=1)]


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every action's parameters."""


class SetOutput(Parameters, frozen=True, kw_only=True):
    output: str
    on: bool


class PulseOutput(Parameters, frozen=True, kw_only=True):
    output: str
    duration_s: Annotated[float, Meta(ge=0.05, le=5.0)]


class ShowIndicator(Parameters, frozen=True, kw_only=True):
    pattern: Annotated[str, Meta(min_length=1, max_length=32)]
    duration_s: Annotated[float, Meta(gt=0, le=300)] = 10.0
    evse_id: EvseNumber = 1


class OneEvse(Parameters, frozen=True, kw_only=True):
    evse_id: EvseNumber = 1


class ReadMeter(Parameters, frozen=True, kw_only=True):
    evse_id: Annotated[int, Meta(ge=0)] = 1
    """0 = the station's main meter."""


class ReadRegisters(ReadMeter, frozen=True, kw_only=True):
    function: Annotated[int, Meta(ge=3, le=4)] = 3
    address: Annotated[int, Meta(ge=0, le=0xFFFF)]
    count: Annotated[int, Meta(ge=1, le=32)] = 1


class ReadBoard(Parameters, frozen=True, kw_only=True):
    names: Annotated[tuple[str, ...], Meta(min_length=1, max_length=16)]


class ClearFault(Parameters, frozen=True, kw_only=True):
    code: str
    evse_id: EvseNumber = 1


class WholeStation(Parameters, frozen=True, kw_only=True):
    """No parameters."""


Carry = Callable[[Hardware, Any], Awaitable[ActionResult]]


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One row of the catalogue. At most `runs` runs in any `per_s` seconds, per EVSE."""

    name: str
    summary: str
    parameters: type[Parameters]
    situations: frozenset[Situation]
    with_fault: bool
    """Allowed while a fault stops charging."""
    role: Role
    timeout_s: float
    runs: int
    per_s: float
    carry: Carry = field(repr=False)


def refused(code: ActionCode, detail: str) -> ActionResult:
    return ActionResult(code, detail)


_OK = ActionResult(ActionCode.OK)


async def _set_output(hardware: Hardware, wanted: SetOutput) -> ActionResult:
    await hardware.outputs[wanted.output].set(wanted.on)
    return ActionResult(ActionCode.OK, values={"output": wanted.output, "on": wanted.on})


async def _pulse_output(hardware: Hardware, wanted: PulseOutput) -> ActionResult:
    await hardware.outputs[wanted.output].pulse(wanted.duration_s)
    return _OK


async def _show_indicator(hardware: Hardware, wanted: ShowIndicator) -> ActionResult:
    indicator = hardware.evses[wanted.evse_id].indicator
    if indicator is None:
        return refused(ActionCode.NOT_ALLOWED, f"EVSE {wanted.evse_id} has no indicator")
    await indicator.show(wanted.pattern, wanted.duration_s)
    return _OK


async def _unlock_cable(hardware: Hardware, wanted: OneEvse) -> ActionResult:
    lock = hardware.evses[wanted.evse_id].lock
    if lock is None:
        return refused(ActionCode.NOT_ALLOWED, f"EVSE {wanted.evse_id} has a fixed cable")
    if not await lock.unlock():
        return refused(ActionCode.FAILED, "still locked")
    return _OK


async def _wake_up_ev(hardware: Hardware, wanted: OneEvse) -> ActionResult:
    evse = hardware.evses[wanted.evse_id].evse
    if not evse.capabilities.can_wake_up:
        return refused(ActionCode.NOT_ALLOWED, f"EVSE {wanted.evse_id} cannot wake up an EV")
    await evse.wake_up_ev()
    return _OK


def _meter(hardware: Hardware, evse_id: int) -> EnergyMeter | None:
    return hardware.main_meter if evse_id == 0 else hardware.evses[evse_id].meter


async def _read_meter(hardware: Hardware, wanted: ReadMeter) -> ActionResult:
    meter = _meter(hardware, wanted.evse_id)
    if meter is None:
        return refused(ActionCode.NOT_ALLOWED, f"EVSE {wanted.evse_id} has no meter")
    reading = await meter.read()
    values: dict[str, object] = {
        "energy_import_wh": reading.energy_import_wh,
        "energy_export_wh": reading.energy_export_wh,
        "power_w": reading.power_w,
        "voltage_v": _known_phases(reading.voltage_v),
        "current_a": _known_phases(reading.current_a),
        "frequency_hz": reading.frequency_hz,
    }
    return ActionResult(
        ActionCode.OK, values={name: value for name, value in values.items() if value is not None}
    )


def _known_phases(values: PerPhase) -> list[float | None] | None:
    return None if all(value is None for value in values) else list(values)


async def _read_registers(hardware: Hardware, wanted: ReadRegisters) -> ActionResult:
    meter = _meter(hardware, wanted.evse_id)
    if meter is None:
        return refused(ActionCode.NOT_ALLOWED, f"EVSE {wanted.evse_id} has no meter")
    registers = await meter.read_registers(wanted.function, wanted.address, wanted.count)
    return ActionResult(ActionCode.OK, values={"registers": list(registers)})


async def _read_board(hardware: Hardware, wanted: ReadBoard) -> ActionResult:
    if hardware.board is None:
        return refused(ActionCode.NOT_ALLOWED, "this station has no board")
    return ActionResult(ActionCode.OK, values={"values": dict(await hardware.board.read(wanted.names))})


async def _test_rcd(hardware: Hardware, wanted: OneEvse) -> ActionResult:
    evse = hardware.evses[wanted.evse_id].evse
    if not evse.capabilities.has_rcd_test:
        return refused(
            ActionCode.NOT_ALLOWED, f"EVSE {wanted.evse_id} cannot test its residual current device"
        )
    if not await evse.rcd_self_test():
        return refused(ActionCode.FAILED, "the self-test did not pass")
    return _OK


async def _clear_fault(hardware: Hardware, wanted: ClearFault) -> ActionResult:
    if wanted.code not in FaultCode._value2member_map_:
        return refused(ActionCode.BAD_ARGS, f"no fault is called {wanted.code}")
    if not await hardware.evses[wanted.evse_id].evse.clear_fault(FaultCode(wanted.code)):
        return refused(ActionCode.NOT_ALLOWED, "the board keeps the fault: its cause is still there")
    return _OK


async def _reboot_board(hardware: Hardware, _wanted: WholeStation) -> ActionResult:
    if hardware.board is None:
        return refused(ActionCode.NOT_ALLOWED, "this station has no board")
    await hardware.board.reboot()
    return _OK


def _row(
    name: str,
    summary: str,
    parameters: type[Parameters],
    carry: Carry,
    *,
    situations: frozenset[Situation] = ALWAYS,
    with_fault: bool = True,
    role: Role = Role.OPERATOR,
    timeout_s: float = 3.0,
    limit: tuple[int, float] = (5, 10.0),
) -> ActionSpec:
    runs, per_s = limit
    return ActionSpec(name, summary, parameters, situations, with_fault, role, timeout_s, runs, per_s, carry)


_ROWS = (
    _row("output.set", "switch an auxiliary output on or off", SetOutput, _set_output),
    _row("output.pulse", "switch an auxiliary output on for 0.05 to 5 s", PulseOutput, _pulse_output),
    _row(
        "indicator.show",
        "show a pattern on the status light, then the status again",
        ShowIndicator,
        _show_indicator,
    ),
    _row(
        "cable.unlock", "release the cable", OneEvse, _unlock_cable, situations=NO_TRANSACTION, timeout_s=8.0
    ),
    _row(
        "ev.wake_up",
        "one wake-up pulse for a sleeping EV",
        OneEvse,
        _wake_up_ev,
        situations=frozenset({Situation.PLUGGED, Situation.PAUSED}),
        with_fault=False,
        timeout_s=8.0,
        limit=(2, 600.0),
    ),
    _row(
        "meter.read",
        "a fresh reading of energy, power, voltages and currents",
        ReadMeter,
        _read_meter,
        limit=(2, 1.0),
    ),
    _row(
        "meter.read_registers",
        "raw 16-bit registers of the meter (never writes)",
        ReadRegisters,
        _read_registers,
        role=Role.SERVICE,
        limit=(1, 1.0),
    ),
    _row(
        "board.read",
        "named analogue and digital values of the board",
        ReadBoard,
        _read_board,
        role=Role.SERVICE,
    ),
    _row(
        "rcd.self_test",
        "run the residual current self-test",
        OneEvse,
        _test_rcd,
        situations=frozenset({Situation.IDLE}),
        role=Role.SERVICE,
        timeout_s=10.0,
        limit=(1, 10.0),
    ),
    _row(
        "fault.clear",
        "ask the board to clear a latched fault whose cause is gone",
        ClearFault,
        _clear_fault,
        situations=UNPOWERED,
        role=Role.SERVICE,
        limit=(1, 1.0),
    ),
    _row(
        "board.reboot",
        "restart the board's firmware; every EVSE must be idle",
        WholeStation,
        _reboot_board,
        situations=frozenset({Situation.IDLE}),
        role=Role.SERVICE,
        timeout_s=5.0,
        limit=(1, 60.0),
    ),
)
ACTIONS: Mapping[str, ActionSpec] = {row.name: row for row in _ROWS}
"""The catalogue (research: hardware 7.1): everything that a vendor message can do to the hardware."""


def situation_of(evse: EvseSnapshot) -> Situation:
    """What the EVSE is in the middle of. Where nobody knows, nothing is allowed that might do harm while charging."""
    hardware = evse.hardware
    if hardware.contactor is ContactorState.UNKNOWN or not hardware.link_ok:
        return Situation.UNKNOWN
    if hardware.contactor is not ContactorState.OPEN or hardware.pilot in (PilotState.C, PilotState.D):
        return Situation.CHARGING
    if evse.transaction is not None:
        return Situation.PAUSED
    return Situation.PLUGGED if evse.is_plugged else Situation.IDLE


class HardwareActions:
    """Runs actions by the rules of the catalogue; one at a time per EVSE, and a limit on all together."""

    def __init__(
        self,
        hardware: Hardware,
        snapshot: Callable[[], StationSnapshot],
        audit: AuditLog,
        clock: Clock,
        *,
        safe_while_charging: frozenset[str] = frozenset(),
        actions_per_minute: int = 10,
    ) -> None:
        """`snapshot` is asked before each action; `safe_while_charging` names outputs that may switch during one."""
        self._hardware = hardware
        self._snapshot = snapshot
        self._audit = audit
        self._clock = clock
        self._safe_while_charging = safe_while_charging
        self._overall = _Allowance(actions_per_minute, 60.0)
        self._allowances: dict[tuple[str, int], _Allowance] = {}
        self._busy: set[int] = set()

    async def run(
        self, name: str, parameters: Mapping[str, object], *, source: str, roles: frozenset[str]
    ) -> ActionResult:
        """Check and carry out action `name` (a key of ACTIONS) for `source`, who holds `roles`.

        Whatever goes wrong is in the result: no HalError leaves here."""
        spec = ACTIONS[name]
        try:
            wanted = msgspec.convert(dict(parameters), spec.parameters, strict=False)
        except msgspec.ValidationError as error:
            result = refused(ActionCode.BAD_ARGS, str(error))
            await self._write_audit(spec, source, 0, result, parameters)
            return result
        evse_id: int = getattr(wanted, "evse_id", 0)
        result = self._refusal(spec, wanted, evse_id, roles) or await self._carry(spec, wanted, evse_id)
        await self._write_audit(spec, source, evse_id, result, parameters)
        return result

    def _refusal(
        self, spec: ActionSpec, wanted: Parameters, evse_id: int, roles: frozenset[str]
    ) -> ActionResult | None:
        """Why the host refuses; None: it does not. In order: may you, is it there, is it safe, is it too often."""
        if spec.role not in roles:
            return refused(ActionCode.NOT_ALLOWED, f"{spec.name} needs the role {spec.role}")
        if evse_id and evse_id not in self._hardware.evses:
            return refused(ActionCode.BAD_ARGS, f"there is no EVSE {evse_id}")
        output = getattr(wanted, "output", None)
        if output is not None and output not in self._hardware.outputs:
            known = ", ".join(self._hardware.outputs) or "none"
            return refused(ActionCode.BAD_ARGS, f"no output is called {output} (there are: {known})")
        danger = self._danger(spec, evse_id, output)
        if danger:
            return refused(ActionCode.NOT_ALLOWED, danger)
        if evse_id in self._busy:
            return refused(ActionCode.BUSY, "another action is under way there")
        now = self._clock.time()
        allowance = self._allowances.setdefault((spec.name, evse_id), _Allowance(spec.runs, spec.per_s))
        if not allowance.has_room(now) or not self._overall.has_room(now):
            return refused(ActionCode.RATE_LIMITED, "too many actions in a short time")
        allowance.take(now)
        self._overall.take(now)
        return None

    def _danger(self, spec: ActionSpec, evse_id: int, output: str | None) -> str:
        """Why it would not be safe now; empty: it is. Without `evse_id` every EVSE of the station counts."""
        station = self._snapshot()
        for number, evse in station.evses.items():
            if evse_id not in (0, number):
                continue
            situation = situation_of(evse)
            if situation not in spec.situations:
                return f"{spec.name} is not allowed while EVSE {number} is {situation}"
            if evse.is_faulted and not spec.with_fault:
                return f"{spec.name} is not allowed while EVSE {number} has a fault"
            if output is None or output in self._safe_while_charging:
                continue
            if situation in (Situation.CHARGING, Situation.PAUSED, Situation.UNKNOWN):
                return f"output {output} is not marked safe_while_charging and EVSE {number} is {situation}"
        return ""

    async def _carry(self, spec: ActionSpec, wanted: Parameters, evse_id: int) -> ActionResult:
        self._busy.add(evse_id)
        try:
            async with asyncio.timeout(spec.timeout_s):
                return await spec.carry(self._hardware, wanted)
        except (TimeoutError, DeviceTimeout) as error:
            return refused(ActionCode.TIMEOUT, str(error) or f"nothing came back within {spec.timeout_s:g} s")
        except OutOfRange as error:
            return refused(ActionCode.BAD_ARGS, str(error))
        except DeviceFault as error:
            is_action_code = error.code in ActionCode._value2member_map_ and error.code != ActionCode.OK
            code = ActionCode(error.code) if is_action_code else ActionCode.FAILED
            return refused(code, f"the device refused: {error}")
        except HalError as error:
            return refused(ActionCode.FAILED, str(error))
        finally:
            self._busy.discard(evse_id)

    async def _write_audit(
        self,
        spec: ActionSpec,
        source: str,
        evse_id: int,
        result: ActionResult,
        parameters: Mapping[str, object],
    ) -> None:
        given = msgspec.json.encode(dict(parameters)).decode()[:200]
        detail = f"{given} {result.detail}".strip()
        row = VendorActionRun(self._clock.now(), source, spec.name, evse_id, result.code, detail)
        log.info("action %s for %s on EVSE %d: %s %s", spec.name, source, evse_id, result.code, detail)
        try:
            await self._audit.add(row)
        except StoreError:
            log.exception("the audit row of %s could not be stored", spec.name)


class _Allowance:
    """At most `runs` in any window of `per_s` seconds."""

    def __init__(self, runs: int, per_s: float) -> None:
        self._per_s = per_s
        self._times: deque[float] = deque(maxlen=runs)

    def has_room(self, now: float) -> bool:
        return len(self._times) < (self._times.maxlen or 0) or now - self._times[0] >= self._per_s

    def take(self, now: float) -> None:
        self._times.append(now)
