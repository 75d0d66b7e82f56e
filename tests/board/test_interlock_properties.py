"""Whatever happens, in whatever order: the contactor is closed only when it may be; skipping ticks changes nothing."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from board import wire
from board.app import TICK_MS
from board.connector import Connector
from board.limits import Limits
from board.residual import TRIP_DC
from tests.helpers.board_bench import BoardBench
from tests.helpers.fake_pins import GAP_MV, LEVELS_MV, FakePins

Step = tuple[str, Any, int]

_UNMEASURED = [wire.NO_CURRENT] * 3
_PAUSES = st.sampled_from([0, 10, 20, 50, 130, 400, 1000, 2500, 6500])
_LEVELS = st.sampled_from([*("ABBCCCCD"), "E", "F", "gap"])
_SETPOINTS = st.fixed_dictionaries(
    {
        "allow": st.sampled_from([True, True, True, False]),
        "available": st.sampled_from([True, True, True, False]),
        "limit_a": st.sampled_from([0, 5.9, 6, 16, 16, 63]),
        "lease_ms": st.sampled_from([0, 500, 5000, 60000]),
        "fallback_a": st.sampled_from([0, 0, 10]),
        "lock": st.sampled_from([0, 0, wire.LOCK_HOLD, wire.LOCK_RELEASE]),
        "phases": st.sampled_from([3, 3, 1]),
        "measured_a": st.sampled_from([None, None, 5, 16, 19, 40]),
    }
)
_STEPS = st.one_of(
    st.tuples(st.just("car"), _LEVELS, _PAUSES),
    st.tuples(st.just("car"), st.sampled_from("BC"), _PAUSES),
    st.tuples(st.just("setpoint"), _SETPOINTS, _PAUSES),
    st.tuples(st.just("permit"), st.just(None), _PAUSES),
    st.tuples(st.just("leak"), st.sampled_from([0, 0, TRIP_DC]), _PAUSES),
    st.tuples(st.just("has_diode"), st.booleans(), _PAUSES),
    st.tuples(st.just("is_welded"), st.sampled_from([False, False, True]), _PAUSES),
    st.tuples(st.just("never_closes"), st.sampled_from([False, False, True]), _PAUSES),
    st.tuples(st.just("bolt_jams"), st.booleans(), _PAUSES),
    st.tuples(st.just("ohm"), st.sampled_from([0, 220, 220, 1500]), _PAUSES),
    st.tuples(st.just("input_bits"), st.sampled_from([0, 0, 0, 1, 2]), _PAUSES),
    st.tuples(st.just("temperature_dc"), st.sampled_from([250, 250, 750, 900, wire.NO_TEMPERATURE]), _PAUSES),
    st.tuples(
        st.just("measured_da"), st.sampled_from([_UNMEASURED, [160, 0, 0], [0, 190, 0], [0, 0, 400]]), _PAUSES
    ),
    st.tuples(st.just("phase_relay_sticks"), st.booleans(), _PAUSES),
    st.tuples(st.just("phases"), st.sampled_from([1, 3]), _PAUSES),
    st.tuples(st.just("wait"), st.just(None), st.sampled_from([5000, 11_000])),
    st.tuples(st.just("action"), st.sampled_from(["unlock", "wake_up", "pulse", "led"]), _PAUSES),
    st.tuples(st.just("clear_fault"), st.just(0x7FFFF), _PAUSES),
    st.tuples(st.just("rcd_test"), st.just(None), _PAUSES),
    st.tuples(st.just("interrupt"), st.just(TRIP_DC), _PAUSES),
    st.tuples(st.just("hello"), st.just(None), _PAUSES),
)
_STORIES = st.lists(_STEPS, max_size=40)


def _play(bench: BoardBench, step: Step) -> None:
    what, value, pause_ms = step
    match what:
        case "car":
            bench.pins.level_mv = GAP_MV if value == "gap" else LEVELS_MV[value]
        case "setpoint":
            bench.setpoint(**value)
        case "permit":
            bench.setpoint()
        case "phases":
            bench.setpoint(phases=value)
        case "wait":
            pass
        case "action" if value == "pulse":
            bench.action("output_pulse", name="fan", ms=700)
        case "action" if value == "led":
            bench.action("led", name="blink", s=2)
        case "action":
            bench.action(value)
        case "clear_fault":
            bench.send(wire.CLEAR_FAULT, wire.pack_clear_fault(1, value))
        case "rcd_test":
            bench.send(wire.RCD_TEST, wire.pack_rcd_test(1))
        case "interrupt":
            bench.board.on_rcd_interrupt(bench.now_ms, 0, value)
        case "hello":
            bench.hello()
        case _:
            setattr(bench.pins, what, value)
    bench.touch()
    bench.run(pause_ms)


class AblePins(FakePins):
    """A board that can do whatever the pin maps know."""

    def __init__(self) -> None:
        super().__init__()
        able = {"can_switch_phases": 1, "has_ventilation": 1, "vent_run_on_s": 3, "wake_after_s": 3}
        self.limits = Limits(able)
        self.moves_ac = True
        self.limits.put("rcd_ac_trip_ms", 660)


_PINS = st.sampled_from([FakePins, AblePins])


def _charging(pins: FakePins, skips: bool = False) -> BoardBench:
    bench = BoardBench(pins, skips=skips)
    if pins.limits.can_switch_phases:
        bench.setpoint()
        bench.run(11_000)
    return bench.charge()


class _Watcher:
    """Checks after every tick, from inputs and outputs alone, that the contactor is where it may be."""

    def __init__(self, bench: BoardBench) -> None:
        self.bench = bench
        self.levels = [bench.pins.level_mv] * 3
        self.was_closed = bench.pins.contactor
        self.not_permitted_ms = 0
        self.without_diode_ms = 0
        self.closed_at = bench.now_ms
        self.looked_at = len(bench.pins.log)
        self.power_levels = {LEVELS_MV["C"], GAP_MV}
        if bench.pins.limits.has_ventilation:
            self.power_levels.add(LEVELS_MV["D"])
        bench.on_tick = self.check

    def check(self) -> None:
        bench, pins = self.bench, self.bench.pins
        connector: Connector = bench.board.connectors[0]
        self.levels = [*self.levels[-2:], pins.level_mv]
        closed = pins.contactor
        permitted = bool(connector._flags & wire.AVAILABLE and connector._flags & wire.ALLOW_POWER)
        has_lease = connector.lease.is_valid(bench.now_ms)
        limit_da = connector._limit_da if has_lease else min(connector._limit_da, connector._fallback_da)
        may_stay = permitted and limit_da >= wire.MIN_LIMIT_DA
        self.not_permitted_ms = 0 if may_stay else self.not_permitted_ms + TICK_MS
        self.without_diode_ms = 0 if pins.has_diode else self.without_diode_ms + TICK_MS
        if closed:
            assert set(self.levels) & self.power_levels, "closed outside C"
            assert not connector.faults.standing & ~wire.FAULTS_DERATE, "closed with a fault"
            assert not pins.leak, "closed with residual current"
            assert self.not_permitted_ms <= 6000 + 2 * TICK_MS, "closed long after the permission ended"
            assert pins.duty > 0, "closed while the board holds the pilot at 0 V"
        if closed and not self.was_closed:
            assert permitted, "closed without permission"
            assert has_lease, "closed without a lease"
            assert pins.level_mv in self.power_levels, "closed outside C"
            assert pins.is_bolt_locked, "closed with the cable loose"
            assert self.without_diode_ms <= 5 * TICK_MS, "closed without a diode"
            assert wire.MIN_LIMIT_DA * 50 // 3 <= pins.duty < wire.DUTY_OFF, "closed without an offer"
        if pins.drive == 2:
            assert not closed, "unlocking under power"
            assert not pins.is_contact_closed, "unlocking under power"
        self.was_closed = closed
        self.check_phases()
        if connector.pilot.state == wire.PILOT_D and closed:
            assert pins.ventilation, "closed in D without air"

    def check_phases(self) -> None:
        pins, now_ms = self.bench.pins, self.bench.now_ms
        news, self.looked_at = pins.log[self.looked_at :], len(pins.log)
        if pins.contactor or pins.is_contact_closed:
            self.closed_at = now_ms
        for at, what, value in news:
            if what == "phases":
                assert at - self.closed_at >= 10_000, "the phase relay moved under load, or too early"
            if what == "contactor" and value:
                self.closed_at = now_ms


@settings(max_examples=120, deadline=None)
@given(_STORIES, _PINS)
@example([("never_closes", True, 1000), ("has_diode", False, 50), ("clear_fault", 524287, 0)], FakePins)
@example([("phases", 1, 0), ("wait", None, 5000), ("wait", None, 11_000), ("phases", 3, 6500)], AblePins)
def test_the_contactor_is_closed_only_when_it_may_be_and_the_phase_relay_never_moves_under_load(
    story: list[Step], pins: type[FakePins]
) -> None:
    bench = _charging(pins())
    _Watcher(bench)
    for step in story:
        _play(bench, step)
    bench.run(7000)


@settings(max_examples=80, deadline=None)
@given(_STORIES, _PINS)
@example([("car", "B", 5000), ("measured_da", [0, 0, 400], 10), ("car", "C", 6500)], AblePins)
def test_skipping_idle_ticks_gives_the_same_outputs_and_the_same_frames(
    story: list[Step], pins: type[FakePins]
) -> None:
    every, skipping = _charging(pins()), _charging(pins(), skips=True)
    for bench in (every, skipping):
        for step in story:
            _play(bench, step)
        bench.run(12000)
    assert skipping.pins.log == every.pins.log
    assert skipping.sent == every.sent


def test_an_idle_board_skips_nearly_every_tick() -> None:
    bench = BoardBench(skips=True).charge()
    bench.setpoint(lease_ms=100_000)
    bench.acknowledge_events()
    before = bench.ticks
    bench.run(60_000)
    assert bench.ticks - before <= 70, "one STATUS per second and little else"
