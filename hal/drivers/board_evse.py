"""The ports of the I/O board: EVSE, lock, indicator, outputs, sensors and the board itself, over one `BoardLink`.

Translates between hal.ports (SI units, FaultCode) and the wire (tenths, bits, JSON actions). The board decides
everything about the power path; a permission is all that goes out from here. Built by hal.factory.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from board import wire
from hal.drivers.board_clock import unwrapped
from hal.drivers.board_link import BoardIdentity, BoardLink, LinkState
from hal.drivers.board_settings import WRITE_S, read_limits, reset_limits, write_limits
from hal.errors import DeviceFault, DeviceProtocolError, OutOfRange
from hal.ports import (
    BoardFacts,
    BoardLimits,
    BoardLinkQuality,
    ContactorState,
    EvseCapabilities,
    EvseEvent,
    EvseState,
    FaultCode,
    LockCommand,
    PilotState,
    Setpoint,
)

log = logging.getLogger("hal.board")

EventListener = Callable[[EvseEvent], None]

MAX_READ_NAMES: Final = 8
"""Values of one `read` action."""
LINK_FAULTS: Final[Mapping[LinkState, FaultCode]] = {
    LinkState.LOST: FaultCode.BOARD_COMM,
    LinkState.INCOMPATIBLE: FaultCode.FIRMWARE_INCOMPATIBLE,
}
BEFORE_HELLO: Final = EvseCapabilities(
    max_current_a=0.0,
    min_current_a=wire.MIN_LIMIT_DA / 10,
    phases=1,
    has_lock=False,
    has_rcd=False,
    has_rcd_test=False,
    has_ventilation=False,
    can_wake_up=False,
)


def to_wire(connector: int, setpoint: Setpoint, max_current_a: float) -> wire.Setpoint:
    """A setpoint as the board takes it; currents are rounded down and kept within `max_current_a`."""
    flags = 0
    if setpoint.available:
        flags |= wire.AVAILABLE
    if setpoint.allow_power:
        flags |= wire.ALLOW_POWER
    if setpoint.phases == 3:
        flags |= wire.THREE_PHASE
    if setpoint.lock is LockCommand.HOLD:
        flags |= wire.LOCK_HOLD
    elif setpoint.lock is LockCommand.RELEASE:
        flags |= wire.LOCK_RELEASE
    return wire.Setpoint(
        connector,
        flags,
        limit_da=_tenths(min(setpoint.limit_a, max_current_a)),
        lease_ms=min(max(0, round(setpoint.lease_s * 1000)), wire.MAX_LEASE_MS),
        fallback_da=_tenths(min(setpoint.fallback_a, max_current_a)),
        measured_da=_measured_tenths(setpoint.measured_a),
    )


def _tenths(current_a: float) -> int:
    return max(0, math.floor(current_a * 10 + 1e-6))


def _measured_tenths(current_a: float | None) -> int:
    return wire.NO_CURRENT if current_a is None else min(_tenths(current_a), wire.NO_CURRENT - 1)


def board_faults(mask: int) -> frozenset[FaultCode]:
    return frozenset(FaultCode(name) for name in wire.fault_names(mask))


def to_state(status: wire.Status, at_time: float) -> EvseState:
    """What a STATUS says, in SI. A pilot state that we do not know counts as F: nothing may be closed in it."""
    is_known = status.pilot < len(wire.PILOT_NAMES)
    is_closed = status.contactor & wire.CONTACTOR_FEEDBACK
    has_temperature = status.temperature != wire.NO_TEMPERATURE
    return EvseState(
        at_time=at_time,
        pilot=PilotState(wire.PILOT_NAMES[status.pilot]) if is_known else PilotState.F,
        pilot_high_mv=status.cp_high_mv,
        pilot_low_mv=status.cp_low_mv,
        duty_percent=status.duty / 100,
        contactor=ContactorState.CLOSED if is_closed else ContactorState.OPEN,
        locked=None if status.lock == wire.LOCK_NONE else status.lock == wire.LOCK_LOCKED,
        cable_a=float(status.cable_a) if status.cable_a else None,
        residual_current_a=status.residual / 10_000,
        temperature_c=status.temperature / 10 if has_temperature else None,
        faults=board_faults(status.faults),
        connector_id=status.outlet,
        phases=status.phases or None,
        current_a=(_ampere(status.currents[0]), _ampere(status.currents[1]), _ampere(status.currents[2])),
    )


def _ampere(current_da: int) -> float | None:
    return None if current_da == wire.NO_CURRENT else current_da / 10


def to_facts(identity: BoardIdentity) -> BoardFacts:
    return BoardFacts(
        firmware=identity.firmware,
        hardware=identity.hardware,
        unique_id=identity.unique_id,
        reset_cause=wire.RESET_NAMES.get(identity.reset_cause, str(identity.reset_cause)),
        connectors=identity.connectors,
        max_current_a=identity.max_current_a,
        phases=identity.phases,
        has_lock=identity.has_lock,
        has_rcd_test=identity.has_rcd_test,
        pcb=identity.pcb,
        config_hash=identity.config_hash,
        problem=identity.problem,
    )


def _what_matters(state: EvseState) -> tuple[object, ...]:
    """What is worth an event: all but measurements and time."""
    return (
        state.pilot,
        state.contactor,
        state.locked,
        state.cable_a,
        state.duty_percent,
        state.connector_id,
        state.phases,
        state.link_ok,
    )


class BoardEvse:
    """One connector of the board as an `Evse`."""

    def __init__(self, link: BoardLink, evse_id: int, max_current_a: float, now: float) -> None:
        """`max_current_a`: what the installation allows; the board may allow less."""
        self._link = link
        self._evse_id = evse_id
        self._max_current_a = max_current_a
        self._capabilities = BEFORE_HELLO
        self._described: BoardIdentity | None = None
        """Whose capabilities these are."""
        self._listeners: list[EventListener] = []
        self._board_faults: frozenset[FaultCode] = frozenset()
        self._details: dict[FaultCode, str] = {}
        self._unplugged_ms = -1
        self._seen_unplugged_ms = -1
        self._status_ms: int | None = None
        """These three are unwrapped (board_clock.py)."""
        self._wanted: Setpoint | None = None
        self._state = EvseState(
            at_time=now,
            pilot=PilotState.A,
            pilot_high_mv=0,
            pilot_low_mv=0,
            duty_percent=100.0,
            contactor=ContactorState.UNKNOWN,
            locked=None,
            cable_a=None,
            residual_current_a=0.0,
            temperature_c=None,
            link_ok=False,
        )
        link.observe(evse_id, self)
        link.observe_reset(self._on_board_reset)

    @property
    def evse_id(self) -> int:
        return self._evse_id

    @property
    def capabilities(self) -> EvseCapabilities:
        """What the board said, within what the installation allows; as good as nothing before HELLO."""
        board = self._link.identity
        if board is not self._described:  # asked for several times per message, and new with a HELLO only
            self._described = board
            self._capabilities = BEFORE_HELLO if board is None else self._capabilities_of(board)
        return self._capabilities

    def _capabilities_of(self, board: BoardIdentity) -> EvseCapabilities:
        return EvseCapabilities(
            max_current_a=min(board.max_current_a, self._max_current_a),
            min_current_a=board.min_current_a,
            phases=board.phases,
            has_lock=board.has_lock,
            has_rcd=board.has_rcd,
            has_rcd_test=board.has_rcd_test,
            has_ventilation=board.has_ventilation,
            can_wake_up=board.can_wake_up,
            can_switch_phases=board.can_switch_phases,
        )

    @property
    def state(self) -> EvseState:
        return self._state

    def apply(self, setpoint: Setpoint) -> None:
        """What the meter shows alone is no reason to send at once."""
        wanted = replace(setpoint, measured_a=None)
        is_urgent = wanted != self._wanted
        self._wanted = wanted
        on_wire = to_wire(self._evse_id, setpoint, self._max_current_a)
        self._link.apply(self._evse_id, on_wire, is_urgent=is_urgent)

    def subscribe(self, listener: EventListener) -> Callable[[], None]:
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    async def clear_fault(self, code: FaultCode) -> bool:
        """False also for a fault that is not the board's."""
        if code not in wire.FAULT_NAMES:
            return False
        mask = wire.fault_bit(code)
        answer = await self._link.request(wire.CLEAR_FAULT, wire.pack_clear_fault(self._evse_id, mask))
        return not _unpacked(wire.unpack_clear_fault, answer)[1] & mask

    async def rcd_self_test(self) -> bool:
        timeout_s = wire.RCD_TEST_TIMEOUT_MS / 1000
        answer = await self._link.request(wire.RCD_TEST, wire.pack_rcd_test(self._evse_id), timeout_s)
        return _unpacked(wire.unpack_rcd_test_reply, answer)[1] == 1

    async def wake_up_ev(self) -> None:
        await self._link.act("wake_up", self._evse_id)

    # ---- what the link tells (BoardObserver)

    def on_status(self, status: wire.Status) -> None:
        state = to_state(status, asyncio.get_running_loop().time())
        self._board_faults = state.faults
        self._status_ms = unwrapped(status.uptime_ms, self._status_ms)
        if state.pilot is PilotState.A:
            self._seen_unplugged_ms = self._status_ms
        elif self._unplugged_ms > self._seen_unplugged_ms:
            self._tell_missed_unplug()
        self._take(replace(state, faults=self._with_link_fault()))

    def on_event(self, event: wire.Event) -> None:
        """Events only fill gaps: what a lost STATUS would have told, and details of a fault."""
        if event.kind == wire.EVENT_PILOT and event.a == wire.PILOT_A:
            self._unplugged_ms = unwrapped(event.uptime_ms, self._status_ms)
            if (
                self._status_ms is not None
                and self._seen_unplugged_ms < self._unplugged_ms <= self._status_ms
            ):
                now_known = self._state
                self._tell_missed_unplug()
                self._take(now_known)
        elif event.kind == wire.EVENT_FAULT and event.a < len(wire.FAULT_NAMES) and event.b:
            self._details[FaultCode(wire.FAULT_NAMES[event.a])] = f"peak {event.b / 10:g} mA"

    def on_link(self, state: LinkState) -> None:
        was_ok = self._state.link_ok
        is_ok = state is LinkState.UP and self._link.has_connector(self._evse_id)
        faults = self._with_link_fault()
        self._take(replace(self._state, link_ok=is_ok, faults=faults), is_link=was_ok != is_ok)

    def on_events_lost(self) -> None:
        self._tell(EvseEvent("resync", self._state))

    def _on_board_reset(self, cause: str) -> None:
        self._unplugged_ms = self._seen_unplugged_ms = -1
        self._status_ms = None
        self._tell(EvseEvent("board_reset", self._state, FaultCode.BOARD_RESET, cause))

    def _with_link_fault(self) -> frozenset[FaultCode]:
        board = self._link.identity
        if board is not None and not self._link.has_connector(self._evse_id):
            has = f"the board has {board.connectors} connector{'s' * (board.connectors != 1)}"
            why = f": {board.problem}" if board.problem else ""
            self._details[FaultCode.FIRMWARE_INCOMPATIBLE] = f"{has}, none for EVSE {self._evse_id}{why}"
            return frozenset({FaultCode.FIRMWARE_INCOMPATIBLE})
        fault = LINK_FAULTS.get(self._link.state)
        return self._board_faults if fault is None else self._board_faults | {fault}

    def _tell_missed_unplug(self) -> None:
        """The cable was out between two STATUS: a session must not live through that."""
        self._seen_unplugged_ms = self._unplugged_ms
        self._take(replace(self._state, pilot=PilotState.A, contactor=ContactorState.OPEN))

    def _take(self, state: EvseState, is_link: bool = False) -> None:
        before = self._state
        if self._link.state is not LinkState.UP:
            state = replace(state, link_ok=False)
        self._state = state
        if is_link:
            self._tell(EvseEvent("link", state))
        elif _what_matters(state) != _what_matters(before):
            self._tell(EvseEvent("state", state))
        for fault in sorted(state.faults - before.faults):
            self._tell(EvseEvent("fault", state, fault, self._details.pop(fault, "")))
        for fault in sorted(before.faults - state.faults):
            self._tell(EvseEvent("fault_cleared", state, fault))

    def _tell(self, event: EvseEvent) -> None:
        for listener in tuple(self._listeners):
            listener(event)


def _unpacked(unpack: Callable[[bytes], tuple[int, ...]], answer: bytes) -> tuple[int, ...]:
    try:
        return unpack(answer)
    except ValueError as error:
        raise DeviceProtocolError(f"board: {error}") from error


class BoardLock:
    """The `ConnectorLock` of one connector."""

    def __init__(self, link: BoardLink, evse_id: int) -> None:
        self._link = link
        self._evse_id = evse_id

    async def unlock(self) -> bool:
        """Waits until the board has opened the contactor and the lock. Raises DeviceFault("not_allowed")."""
        try:
            await self._link.act("unlock", self._evse_id)
        except DeviceFault as fault:
            if fault.code == wire.CODE_FAILED:
                return False
            raise
        return True


class BoardIndicator:
    """The status light of one connector. Patterns: `wire.LED_PATTERNS`."""

    def __init__(self, link: BoardLink, evse_id: int) -> None:
        self._link = link
        self._evse_id = evse_id

    async def show(self, pattern: str, duration_s: float) -> None:
        if pattern not in wire.LED_PATTERNS:
            raise OutOfRange(f"no light pattern {pattern!r}; there are {', '.join(wire.LED_PATTERNS)}")
        if not 0 < duration_s <= wire.PATTERN_MAX_S:
            raise OutOfRange(f"a pattern is shown for up to {wire.PATTERN_MAX_S} s, not {duration_s}")
        await self._link.act("led", self._evse_id, name=pattern, s=math.ceil(duration_s))


class BoardOutput:
    """One auxiliary relay as an `Output`, by its number on the board; the configuration names it."""

    def __init__(self, link: BoardLink, name: str, number: int) -> None:
        self._link = link
        self._name = name
        self._number = number
        self._on_until = 0.0
        link.observe_reset(self._on_board_reset)

    @property
    def name(self) -> str:
        return self._name

    @property
    def is_on(self) -> bool:
        """As last confirmed by the board; off while there is no link, because a restart switches it off."""
        return self._link.is_linked and asyncio.get_running_loop().time() < self._on_until

    async def set(self, on: bool) -> None:
        await self._link.act("output_set", 1, name=self._board_name(), on=on)
        self._on_until = math.inf if on else 0.0

    async def pulse(self, duration_s: float) -> None:
        shortest_s, longest_s = wire.PULSE_MIN_MS / 1000, wire.PULSE_MAX_MS / 1000
        if not shortest_s <= duration_s <= longest_s:
            raise OutOfRange(f"a pulse takes {shortest_s} to {longest_s} s, not {duration_s}")
        await self._link.act("output_pulse", 1, name=self._board_name(), ms=round(duration_s * 1000))
        self._on_until = asyncio.get_running_loop().time() + duration_s

    def _on_board_reset(self, cause: str) -> None:
        self._on_until = 0.0

    def _board_name(self) -> str:
        board = self._link.identity
        if board is None or self._number >= len(board.outputs):
            count = 0 if board is None else len(board.outputs)
            raise OutOfRange(f"output {self._name}: the board has {count} outputs, no number {self._number}")
        return board.outputs[self._number]


class BoardSensor:
    """One of the board's inputs as a `Sensor`."""

    def __init__(self, board: "IoBoard", name: str) -> None:
        self._board = board
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    async def read(self) -> float:
        return (await self._board.read((self._name,)))[self._name]


class IoBoard:
    """The board itself as `BoardControl`."""

    def __init__(self, link: BoardLink) -> None:
        self._link = link

    @property
    def facts(self) -> BoardFacts | None:
        return None if self._link.identity is None else to_facts(self._link.identity)

    @property
    def firmware_version(self) -> str:
        """Empty until the board has answered for the first time."""
        return self._link.identity.firmware if self._link.identity else ""

    @property
    def is_linked(self) -> bool:
        return self._link.is_linked

    @property
    def link_quality(self) -> BoardLinkQuality:
        return self._link.quality

    async def read(self, names: Sequence[str]) -> Mapping[str, float]:
        """`cp_high_mv`, `cp_low_mv`, `proximity_ohm`, `residual_ma` (of connector 1, or "2.residual_ma"),
        `uptime_ms`, and the board's own sensors. Raises DeviceFault("bad_args") for a name that it has not."""
        wanted = {name: _of_connector(name) for name in names}
        values: dict[tuple[int, str], float] = {}
        for connector in sorted({connector for connector, _ in wanted.values()}):
            board_names = sorted({name for number, name in wanted.values() if number == connector})
            for begin in range(0, len(board_names), MAX_READ_NAMES):
                group = board_names[begin : begin + MAX_READ_NAMES]
                answer = await self._link.act("read", connector, names=group)
                try:
                    values.update({(connector, name): float(answer[name]) for name in group})
                except (KeyError, TypeError, ValueError) as error:
                    raise DeviceProtocolError(f"board: read: {error!r}") from error
        return {name: values[place] for name, place in wanted.items()}

    async def reboot(self) -> None:
        await self._link.request(wire.REBOOT, wire.pack_reboot(wire.REBOOT_RESET))

    async def read_config(self, connector: int) -> BoardLimits:
        return await read_limits(self._configure, connector)

    async def write_config(self, changes: Mapping[int, Mapping[str, int]]) -> None:
        await write_limits(self._configure, changes)

    async def reset_config(self) -> None:
        await reset_limits(self._configure)

    async def _configure(self, request: bytes) -> bytes:
        return await self._link.request(wire.CONFIG, request, WRITE_S)


def _of_connector(name: str) -> tuple[int, str]:
    """ "2.residual_ma" -> (2, "residual_ma"); a name without a number is of connector 1."""
    number, _, rest = name.partition(".")
    return (int(number), rest) if rest and number.isdecimal() else (1, name)
