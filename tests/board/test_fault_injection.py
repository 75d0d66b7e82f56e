"""Every cause that must stop charging, injected at any moment of a session: off in time, and until when?

Judged from outside: by the contactor's output, by what the test did to the electricity, and by a clock. `CAUSES` is the
table of the limits that docs/board.md promises; the firmware's own logic and figures are not asked.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from board import wire
from board.connector import INPUT_DOOR, INPUT_EMERGENCY, INPUT_TILT
from board.limits import Limits
from board.residual import TRIP_AC, TRIP_DC
from tests.helpers.board_bench import BoardBench
from tests.helpers.fake_pins import GAP_MV, LEVELS_MV, FakePins

_TICK_MS = 10
_PASSES_MS = 5000
_LONG_MS = 20_000


class Session:
    """A host that renews its setpoint each second, and a car that is plugged in and soon wants to charge."""

    def __init__(self, limits: dict[str, int] | None = None) -> None:
        self.pins = FakePins()
        self.pins.limits = Limits(limits)
        self.bench = BoardBench(self.pins).run(1500)
        self.bench.on_tick = self._watch
        self.host_speaks = True
        self.setpoint: dict[str, object] = {}
        self.is_noisy = False
        self.closed_at: list[int] = []
        """Every tick after which the contactor was commanded closed."""
        self.injected_ms = 0
        self.opened_ms = 0
        self._renew_at = self.bench.now_ms
        if limits:
            self.run(12_000)  # the phase relay finds its place

    def _watch(self) -> None:
        if self.pins.contactor:
            self.closed_at.append(self.bench.now_ms)

    def run(self, ms: int) -> None:
        for _ in range(ms // _TICK_MS):
            if self.bench.now_ms >= self._renew_at:
                self._renew_at += 1000
                if self.host_speaks:
                    self.bench.setpoint(**{"lease_ms": 5000, **self.setpoint})  # type: ignore[arg-type]
                    self.bench.acknowledge_events()
                    self.bench.sent.clear()
            if self.is_noisy:
                self.bench.board.receive(
                    b"~AqMBAwAA\x00\xff\x55~Ag" + bytes((self.bench.now_ms & 0xFF,)), self.bench.now_ms
                )
            self.bench.run(_TICK_MS)

    def plug_in(self) -> None:
        self.pins.car("B")
        self.run(600)
        self.pins.car("C")

    def clear_by_service(self) -> None:
        self.bench.send(wire.CLEAR_FAULT, wire.pack_clear_fault(1, 0xFFFFFFFF))


Step = Callable[[Session], object]


def _set(**values: object) -> Step:
    def step(session: Session) -> None:
        for name, value in values.items():
            setattr(session.pins, name, value)

    return step


def _host(**setpoint: object) -> Step:
    def step(session: Session) -> None:
        session.setpoint = setpoint
        session.bench.setpoint(**{"lease_ms": 5000, **setpoint})  # type: ignore[arg-type]

    return step


def _interrupt(bits: int) -> Step:
    return lambda session: session.bench.board.on_rcd_interrupt(session.bench.now_ms, 0, bits)


def _car(state: str) -> Step:
    return lambda session: session.pins.car(state)


def _silence(session: Session) -> None:
    session.host_speaks = False


def _noise(session: Session) -> None:
    session.host_speaks = False
    session.is_noisy = True


def _host_is_back(session: Session) -> None:
    session.host_speaks = True
    session.is_noisy = False


def _weld(session: Session) -> None:
    """A closed contactor welds, which shows when it is told to open; without a car an open one does."""
    if session.pins.level_mv != LEVELS_MV["A"] and not session.pins.contactor:
        session.run(2000)
    session.pins.is_welded = True
    session.injected_ms = session.bench.now_ms
    session.pins.car("B")
    session.run(400)
    session.pins.car("C")


def _unweld(session: Session) -> None:
    session.pins.is_welded = False
    session.pins.is_contact_closed = False


def _bolt_slips(session: Session) -> None:
    session.pins.bolt_jams = True
    session.pins.is_bolt_locked = False


def _bolt_holds(session: Session) -> None:
    session.pins.bolt_jams = False
    session.pins.is_bolt_locked = True


@dataclass(frozen=True)
class Cause:
    """`off_ms`: the contactor's output is off this long after `inject`. Then `heal` takes the cause away.

    `until` says what lets the contactor close again: "passes" 5 s after the cause, "at once" (no fault: it closes as
    soon as it may), "30 s" of rest, "unplug" (an unplug with a passed self-test), "unplug or service", "service" (an
    unplug is not enough).
    `counts_from_closing`: without a closed contactor there is nothing to see."""

    name: str
    fault: int
    off_ms: int
    inject: Step
    heal: Step
    until: str
    counts_from_closing: bool = False
    limits: dict[str, int] | None = None

    def __str__(self) -> str:
        return self.name


CAUSES = (
    Cause("rcd_dc by its interrupt", wire.F_RCD_DC, 0, _interrupt(TRIP_DC), _set(), "unplug"),
    Cause("rcd_ac by its interrupt", wire.F_RCD_AC, 0, _interrupt(TRIP_AC), _set(), "unplug"),
    Cause("rcd_dc by level", wire.F_RCD_DC, 20, _set(leak=TRIP_DC), _set(leak=0), "unplug"),
    Cause("rcd_ac by level", wire.F_RCD_AC, 20, _set(leak=TRIP_AC), _set(leak=0), "unplug"),
    Cause(
        "emergency stop",
        wire.F_EMERGENCY_STOP,
        30,
        _set(input_bits=INPUT_EMERGENCY),
        _set(input_bits=0),
        "unplug or service",
    ),
    Cause("door", wire.F_DOOR_OPEN, 30, _set(input_bits=INPUT_DOOR), _set(input_bits=0), "passes"),
    Cause("tilt", wire.F_TILT, 30, _set(input_bits=INPUT_TILT), _set(input_bits=0), "passes"),
    Cause("too hot", wire.F_TEMP_STOP, 20, _set(temperature_dc=860), _set(temperature_dc=250), "passes"),
    Cause("no diode", wire.F_CP_DIODE, 60, _set(has_diode=False), _set(has_diode=True), "unplug"),
    Cause("pilot between the windows", wire.F_CP_RANGE, 1030, _set(level_mv=GAP_MV), _car("C"), "passes"),
    Cause("pilot short circuit (E)", wire.F_CP_RANGE, 30, _car("E"), _car("C"), "passes"),
    Cause("pilot at -12 V (F)", wire.F_CP_RANGE, 30, _car("F"), _car("C"), "passes"),
    Cause("state D without ventilation", wire.F_VENT_UNAVAILABLE, 40, _car("D"), _car("C"), "passes"),
    Cause("cable coding lost", wire.F_PP_RANGE, 530, _set(ohm=0), _set(ohm=220), "passes"),
    Cause("lock lost", wire.F_LOCK_FAIL, 1060, _bolt_slips, _bolt_holds, "passes"),
    Cause("contactor welded", wire.F_CONTACTOR_WELDED, 30, _weld, _unweld, "service"),
    Cause(
        "contactor does not close",
        wire.F_CONTACTOR_NO_CLOSE,
        180,
        _set(never_closes=True),
        _set(never_closes=False),
        "unplug or service",
        counts_from_closing=True,
    ),
    Cause(
        "current above the offer by a quarter",
        wire.F_OVER_CURRENT,
        2020,
        _set(measured_da=[201, 160, 160]),
        _set(measured_da=[160, 160, 160]),
        "30 s",
        counts_from_closing=True,
    ),
    Cause(
        "current above the offer by a tenth and 1 A",
        wire.F_OVER_CURRENT,
        10_020,
        _set(measured_da=[0, 0, 187]),
        _set(measured_da=[0, 0, 186]),
        "30 s",
        counts_from_closing=True,
    ),
    Cause(
        "phase relay moved by itself",
        wire.F_PHASE_SWITCH,
        30,
        _set(_relay_at_three=False),
        _set(_relay_at_three=True),
        "unplug or service",
        limits={"can_switch_phases": 1},
    ),
    Cause("unplugged", 0, 30, _car("A"), _car("C"), "at once"),
    Cause("unplugged with a weak +12 V", wire.F_CP_RANGE, 30, _set(level_mv=10_800), _car("C"), "passes"),
    Cause("EV stops (B)", 0, 30, _car("B"), _car("C"), "at once"),
    Cause("permission withdrawn", 0, 6030, _host(allow=False), _host(), "at once"),
    Cause("out of service", 0, 6030, _host(available=False), _host(), "at once"),
    Cause("limit below 6 A", 0, 6030, _host(limit_a=5.9), _host(), "at once"),
    Cause("lease ended by the host", 0, 6030, _host(lease_ms=0), _host(), "at once"),
    Cause("host silent", 0, 5000 + 6030, _silence, _host_is_back, "at once"),
    Cause("noise instead of the host", 0, 5000 + 6030, _noise, _host_is_back, "at once"),
)
ELSEWHERE = {
    wire.F_RCD_SELF_TEST: "tested with the contactor open only: test_a_dead_sensor_is_found_before_anything_closes",
    wire.F_UNLOCK_FAIL: "tried with the contactor open only: test_a_bolt_that_stays_keeps_the_contactor_open",
    wire.F_TEMP_WARN: "lowers the limit, stops nothing: test_heat_lowers_the_limit_within_two_ticks",
    wire.F_OVER_VOLTAGE: "reserved: the board does not measure it",
    wire.F_UNDER_VOLTAGE: "reserved: the board does not measure it",
}


def test_every_fault_bit_is_injected_or_has_a_reason() -> None:
    injected = {cause.fault for cause in CAUSES} - {0}
    assert not injected & ELSEWHERE.keys()
    assert injected | ELSEWHERE.keys() == {1 << bit for bit in range(len(wire.FAULT_NAMES))}


_MOMENTS = st.integers(0, 250).map(lambda ticks: ticks * _TICK_MS)


@pytest.mark.parametrize("cause", CAUSES, ids=str)
@settings(max_examples=4, deadline=None)
@given(moment_ms=_MOMENTS)
def test_off_in_time_and_until_cleared(cause: Cause, moment_ms: int) -> None:
    session = Session(cause.limits)
    session.plug_in()
    session.run(moment_ms)
    session.injected_ms = session.bench.now_ms
    cause.inject(session)
    session.run(cause.off_ms + 3000)
    _assert_off_in_time(session, cause)
    if cause.fault:
        assert session.bench.board.connectors[0].status.faults & cause.fault, "nobody is told"
    if session.closed_at:
        session.opened_ms = session.closed_at[-1]
    session.closed_at.clear()
    cause.heal(session)
    _assert_off_until_cleared(session, cause)


def _assert_off_in_time(session: Session, cause: Cause) -> None:
    start_ms = session.injected_ms
    late = [at for at in session.closed_at if at > start_ms + cause.off_ms]
    if cause.counts_from_closing and late:  # closed after the injection: the limit counts from there
        assert len(late) * _TICK_MS <= cause.off_ms
    else:
        assert not late, f"closed {late[-1] - start_ms} ms after the cause"
    assert not session.pins.contactor
    if not session.pins.is_welded:
        assert not session.pins.is_contact_closed


def _assert_off_until_cleared(session: Session, cause: Cause) -> None:
    healed_ms = session.bench.now_ms
    if cause.until == "at once":
        session.run(6000)
        assert session.pins.contactor, "it never closes again"
        return
    if cause.until == "passes":
        session.run(_PASSES_MS - _TICK_MS)
        assert not session.closed_at, f"closed {session.closed_at[0] - healed_ms} ms after the cause had gone"
        session.run(3000)
        assert session.pins.contactor, "it never closes again"
        return
    if cause.until == "30 s":
        session.run(30_000 - (session.bench.now_ms - session.opened_ms))
        assert not session.closed_at
        session.run(8000)
        assert session.pins.contactor, "it never closes again"
        return
    session.run(_LONG_MS)
    if cause.until == "unplug":
        session.clear_by_service()
        session.run(3000)
        assert not session.closed_at, "cleared with the car plugged in"
        session.pins.car("A")
        session.run(2500)
    else:
        assert not session.closed_at, "cleared by itself"
        if cause.until == "service":
            session.pins.car("A")
            session.run(2500)
            session.plug_in()
            session.run(3000)
            assert not session.closed_at, "cleared by an unplug"
        session.clear_by_service()
    session.plug_in()
    session.run(3000)
    assert session.pins.contactor, "it never closes again"


@pytest.mark.parametrize("cause", [cause for cause in CAUSES if cause.until != "at once"], ids=str)
def test_never_closes_when_the_cause_was_there_first(cause: Cause) -> None:
    session = Session(cause.limits)
    cause.inject(session)
    if session.pins.level_mv == LEVELS_MV["A"]:
        session.plug_in()
    session.run(12_000)
    if cause.counts_from_closing:
        assert len(session.closed_at) * _TICK_MS <= cause.off_ms, "it may be tried once"
    else:
        assert session.closed_at == []


@settings(max_examples=10, deadline=None)
@given(moment_ms=_MOMENTS)
def test_the_watchdog_is_not_fed_from_the_tick_on_that_has_no_fresh_pilot_sample(moment_ms: int) -> None:
    session = Session()
    session.plug_in()
    session.run(moment_ms)
    session.pins.is_fresh = False
    fed = session.bench.fed
    session.run(600)
    assert session.bench.fed == fed, "the watchdog (500 ms) would not have reset the board"
    session.pins.is_fresh = True
    session.run(_TICK_MS)
    assert session.bench.fed == fed + 1


def test_a_dead_sensor_is_found_before_anything_closes() -> None:
    session = Session()
    session.plug_in()
    session.run(1000)
    session.pins.sensor_works = False
    session.pins.car("A")
    session.run(100)
    session.closed_at.clear()
    session.plug_in()
    session.run(_LONG_MS)
    session.clear_by_service()
    session.run(3000)
    assert not session.closed_at
    assert session.bench.faults == ["rcd_self_test"]
    session.pins.sensor_works = True
    session.pins.car("A")
    session.run(2500)
    session.plug_in()
    session.run(3000)
    assert session.pins.contactor


def test_a_bolt_that_stays_keeps_the_contactor_open() -> None:
    session = Session()
    session.plug_in()
    session.run(1000)
    session.pins.bolt_jams = True
    session.setpoint = {"allow": False}
    session.pins.car("B")
    session.run(8000)
    assert session.bench.faults == ["unlock_fail"]
    session.closed_at.clear()
    session.setpoint = {}
    session.pins.car("C")
    session.run(4500)
    assert not session.closed_at
    session.run(4000)
    assert session.pins.contactor, "locked is where it shall be now"


@settings(max_examples=10, deadline=None)
@given(moment_ms=_MOMENTS)
def test_heat_lowers_the_limit_within_two_ticks(moment_ms: int) -> None:
    session = Session()
    session.plug_in()
    session.run(moment_ms)
    session.pins.temperature_dc = 849
    session.run(2 * _TICK_MS)
    assert session.pins.duty == 60 * 50 // 3
    session.run(3000)
    assert session.pins.contactor
