"""Edges of what a connector does that no other test watches; systematic changes of the firmware found them."""

import pytest

from board import wire
from board.connector import INPUT_EMERGENCY, INPUT_TILT
from board.interlock import REST_MS
from board.lock import STOP
from board.residual import TRIP_DC
from tests.helpers.board_bench import BoardBench
from tests.helpers.fake_pins import FakePins, FixedCablePins

# ---- residual current ------------------------------------------------------------------------------------


def _rcd_tests(bench: BoardBench) -> list[tuple[int, object]]:
    return [(at, value) for at, what, value in bench.pins.log if what == "rcd_test"]


def test_the_sensor_is_tested_only_after_the_contactor_has_rested_open() -> None:
    bench = BoardBench().charge()
    bench.pins.log.clear()
    bench.pins.car("A")
    bench.run(3000)
    opened_ms = next(at for at, what, value in bench.pins.log if (what, value) == ("contactor", False))
    assert _rcd_tests(bench)[0][0] - opened_ms >= REST_MS


def test_the_sensor_is_not_tested_while_a_trip_stands() -> None:
    bench = BoardBench().charge()
    bench.pins.leak = TRIP_DC
    bench.pins.log.clear()
    bench.pins.car("A")
    bench.run(5000)
    assert _rcd_tests(bench) == []
    bench.pins.leak = 0
    bench.run(2000)
    assert len(_rcd_tests(bench)) == 2


def test_a_self_test_that_ends_with_a_car_plugged_in_clears_nothing() -> None:
    bench = BoardBench().charge()
    bench.pins.leak = TRIP_DC
    bench.run(100)
    bench.pins.leak = 0
    bench.run(2000)
    bench.pins.car("A")
    bench.run_until(lambda: bench.pins.rcd_test)
    bench.pins.car("B")
    bench.run(2000)
    assert bench.faults == ["rcd_dc"]


def test_a_sensor_that_does_not_let_go_fails_its_self_test() -> None:
    bench = BoardBench()
    bench.run_until(lambda: bench.pins.rcd_test)
    bench.pins.leak = TRIP_DC
    bench.run(5000)
    assert "rcd_self_test" in bench.faults
    failed = [
        event.a
        for event in map(wire.unpack_event, bench.payloads(wire.EVENT))
        if event.kind == wire.EVENT_RCD_TEST
    ]
    assert set(failed) == {0}


# ---- connector -------------------------------------------------------------------------------------------


def test_a_cable_resistor_that_drifts_never_raises_the_limit() -> None:
    bench = BoardBench().run(1500)
    bench.pins.ohm = 680
    bench.setpoint(limit_a=32)
    bench.pins.car("B")
    bench.run(1000)
    assert bench.pins.duty == 200 * 50 // 3
    bench.pins.ohm = 220
    assert bench.run(1000).pins.duty == 200 * 50 // 3
    bench.pins.ohm = 1500
    assert bench.run(1000).pins.duty == 130 * 50 // 3
    bench.pins.car("A")
    bench.pins.ohm = 220
    bench.run(3000)
    bench.pins.car("B")
    assert bench.run(1000).pins.duty == 320 * 50 // 3, "the next cable is another one"


def test_a_board_with_a_welded_contactor_is_not_idle() -> None:
    bench = BoardBench(FakePins()).run(1500)
    bench.pins.is_welded = True
    bench.run(100)
    bench.send(wire.REBOOT, wire.pack_reboot(wire.REBOOT_RESET))
    bench.send(wire.RCD_TEST, wire.pack_rcd_test(1))
    naks = [wire.unpack_nak(payload) for payload in bench.payloads(wire.NAK)]
    assert naks == [(wire.REBOOT, wire.NAK_NOT_ALLOWED), (wire.RCD_TEST, wire.NAK_NOT_ALLOWED)]
    assert bench.run(1000).rebooted is None


class _Moment(int):
    """A time with which one may not calculate: beyond 2**30 ms MicroPython would have to allocate for it."""

    def _refuse(self, _other: object) -> int:
        raise AssertionError("the interrupt calculates, and in a hard interrupt nothing can be allocated")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __floordiv__ = __mod__ = _refuse  # type: ignore[assignment]


@pytest.mark.parametrize("state", ["A", "B", "C"])
def test_the_residual_current_interrupt_calculates_with_no_time(state: str) -> None:
    bench = BoardBench().charge()
    bench.pins.car(state)
    bench.run(300)
    bench.board.on_rcd_interrupt(_Moment(bench.now_ms), 0, TRIP_DC)
    assert not bench.pins.contactor


# ---- requests --------------------------------------------------------------------------------------------


def test_a_cable_that_was_let_go_stays_free_while_the_host_only_repeats_itself() -> None:
    bench = BoardBench().run(1500)
    bench.setpoint()
    bench.pins.car("B")
    bench.run(1000)
    bench.action("unlock")
    bench.run(1000)
    for _ in range(5):
        bench.setpoint()
        bench.run(1000)
    assert not bench.pins.is_bolt_locked


def _stuck_while_unlocking() -> BoardBench:
    bench = BoardBench().charge()
    bench.pins.car("B")
    bench.run(1500)
    bench.pins.bolt_jams = True
    bench.setpoint(allow=False)
    return bench


def test_an_unlock_that_fails_says_so_after_three_attempts_not_at_the_end_of_its_time() -> None:
    bench = _stuck_while_unlocking()
    bench.action("unlock")
    assert 4000 <= bench.run_until(lambda: bench.answer(wire.ACTION) is not None) <= 4100


def test_an_unlock_after_a_failed_one_is_tried_at_once() -> None:
    bench = _stuck_while_unlocking()
    bench.run(5000)
    assert bench.faults == ["unlock_fail"]
    assert bench.pins.drive == STOP
    bench.pins.bolt_jams = False
    bench.action("unlock")
    bench.run(400)
    assert not bench.pins.is_bolt_locked


def _refusals(pins: FakePins, message_type: int, payload: bytes) -> list[tuple[int, ...]]:
    bench = BoardBench(pins).run(1500)
    bench.send(message_type, payload)
    return [wire.unpack_nak(nak) for nak in bench.payloads(wire.NAK)]


def test_a_board_without_a_test_input_refuses_the_self_test() -> None:
    pins = FakePins()
    pins.has_rcd_test = False
    refusals = _refusals(pins, wire.RCD_TEST, wire.pack_rcd_test(1))
    assert refusals == [(wire.RCD_TEST, wire.NAK_NOT_ALLOWED)]


def test_a_board_that_cannot_tie_the_pilot_to_0_v_refuses_to_wake_a_car() -> None:
    pins = FakePins()
    pins.can_wake = False
    bench = BoardBench(pins).run(1500)
    bench.setpoint(lease_ms=120_000)
    pins.car("B")
    bench.run(70_000)
    assert bench.action("wake_up") == {"ok": False, "code": "not_allowed", "data": {}}


def test_the_self_test_is_refused_while_a_trip_stands() -> None:
    pins = FakePins()
    bench = BoardBench(pins).run(1500)
    pins.leak = TRIP_DC
    bench.run(100)
    bench.send(wire.RCD_TEST, wire.pack_rcd_test(1))
    assert [wire.unpack_nak(nak) for nak in bench.payloads(wire.NAK)] == [
        (wire.RCD_TEST, wire.NAK_NOT_ALLOWED)
    ]


def test_a_board_without_a_test_input_never_drives_it_and_charges_car_after_car() -> None:
    pins = FakePins()
    pins.has_rcd_test = False
    bench = BoardBench(pins)
    for _ in range(2):
        bench.charge()
        pins.car("A")
        bench.run(2000)
    assert _rcd_tests(bench) == []


def _clear(bench: BoardBench, mask: int) -> None:
    bench.send(wire.CLEAR_FAULT, wire.pack_clear_fault(1, mask))
    bench.run(3000)


def test_a_trip_that_is_cleared_by_service_asks_for_a_self_test_other_faults_do_not() -> None:
    bench = BoardBench().run(1500)
    bench.pins.sensor_works = False
    bench.send(wire.RCD_TEST, wire.pack_rcd_test(1))
    bench.run(3000)
    assert bench.faults == ["rcd_self_test"]
    bench.pins.log.clear()
    _clear(bench, 0xFFFFFFFF & ~wire.F_RCD_SELF_TEST)
    assert _rcd_tests(bench) == []
    bench.pins.sensor_works = True
    _clear(bench, wire.F_RCD_SELF_TEST)
    assert [value for _, value in _rcd_tests(bench)] == [True, False]
    assert bench.faults == []


def test_only_a_cleared_lock_fault_moves_the_lock_again() -> None:
    bench = BoardBench().run(1500)
    bench.pins.bolt_jams = True
    bench.setpoint()
    bench.pins.car("B")
    bench.run(6000)
    assert bench.faults == ["lock_fail"]
    bench.pins.log.clear()
    _clear(bench, 0xFFFFFFFF & ~wire.F_LOCK_FAIL & ~wire.F_UNLOCK_FAIL)
    assert "lock" not in {what for _, what, _ in bench.pins.log}
    _clear(bench, wire.F_LOCK_FAIL)
    assert "lock" in {what for _, what, _ in bench.pins.log}


def test_a_trip_before_the_first_tick_is_remembered() -> None:
    bench = BoardBench()
    bench.board.on_rcd_interrupt(0, 0, TRIP_DC)
    assert "rcd_dc" in bench.run(20).faults


def test_only_a_cleared_over_current_is_forgiven() -> None:
    bench = BoardBench().charge()
    bench.setpoint(lease_ms=120_000)
    for _ in range(3):
        bench.run_until(lambda: bench.pins.contactor, 60_000)
        bench.setpoint(lease_ms=120_000)
        bench.pins.measured_da = [320, 0, 0]
        bench.run(3000)
        bench.pins.measured_da = [0, 0, 0]
    bench.run(40_000)
    _clear(bench, 0xFFFFFFFF & ~wire.F_OVER_CURRENT)
    assert bench.faults == ["over_current"]
    _clear(bench, wire.F_OVER_CURRENT)
    assert bench.faults == []


def test_a_light_pattern_lasts_5_minutes_at_most() -> None:
    bench = BoardBench().run(1500)
    bench.action("led", name="fast", s=wire.PATTERN_MAX_S * 10)
    assert bench.run(wire.PATTERN_MAX_S * 1000 - 100).pins.pattern == "fast"
    assert bench.run(200).pins.pattern != "fast"


# ---- what a connector does beside deciding ---------------------------------------------------------------

_DAY_MS = 86_400_000


def _trip_and_unplug(bench: BoardBench) -> list[str]:
    bench.setpoint()
    bench.pins.car("C")
    bench.run_until(lambda: bench.pins.contactor)
    bench.board.on_rcd_interrupt(bench.now_ms, 0, TRIP_DC)
    bench.run(1200)
    bench.pins.car("A")
    return bench.run(3000).faults


def test_a_day_later_trips_go_by_themselves_again() -> None:
    bench = BoardBench().run(1500)
    assert [_trip_and_unplug(bench) for _ in range(3)] == [[]] * 3
    bench.now_ms += _DAY_MS
    bench.run(2000)
    assert _trip_and_unplug(bench) == []


def test_a_short_trip_of_a_contactor_that_stays_closed_is_remembered_though_it_was_told_to_open() -> None:
    bench = BoardBench().charge()
    bench.pins.is_welded = True
    bench.pins.car("B")
    bench.run_until(lambda: not bench.pins.contactor)
    bench.run(200)
    bench.board.on_rcd_interrupt(bench.now_ms, 0, TRIP_DC)
    assert "rcd_dc" in bench.run(20).faults


def test_a_leak_while_the_contactor_is_still_on_its_way_counts() -> None:
    bench = BoardBench().run(1500)
    bench.setpoint()
    bench.pins.car("C")
    bench.run_until(lambda: bench.pins.contactor)
    bench.pins.leak = TRIP_DC
    bench.run(20)
    assert (bench.pins.contactor, bench.faults) == (False, ["rcd_dc"])


def _woken() -> BoardBench:
    bench = BoardBench().run(1500)
    bench.setpoint(lease_ms=120_000)
    bench.pins.car("B")
    bench.run(61_000)
    bench.action("wake_up")
    return bench


def test_the_watchdog_is_fed_while_the_board_itself_holds_the_pilot() -> None:
    bench = _woken()
    fed = bench.fed
    assert bench.run(5000).fed == fed + 500


def test_after_the_pulse_the_diode_is_looked_for_anew() -> None:
    bench = _woken()
    bench.run(3990)
    bench.pins.car("C")
    assert bench.run_until(lambda: bench.pins.contactor) >= 200


def test_a_cable_that_was_let_go_is_the_next_cars_own_matter() -> None:
    bench = BoardBench().run(1500)
    bench.setpoint()
    bench.pins.car("B")
    bench.run(1000)
    bench.action("unlock")
    bench.run(1000)
    bench.pins.car("A")
    bench.run(3000)
    bench.setpoint()
    bench.pins.car("B")
    assert bench.run(1000).pins.is_bolt_locked


def test_a_fixed_cable_moves_no_lock() -> None:
    bench = BoardBench(FixedCablePins()).charge()
    bench.setpoint(allow=False)
    bench.pins.car("A")
    bench.run(10_000)
    assert "lock" not in {what for _, what, _ in bench.pins.log}


@pytest.mark.parametrize(("car", "ohm", "is_locked"), [("A", 0, False), ("A", 220, True), ("B", 0, True)])
def test_hold_locks_a_cable_or_a_car_and_not_an_empty_socket(car: str, ohm: int, is_locked: bool) -> None:
    bench = BoardBench().run(1500)
    bench.pins.ohm = ohm
    bench.pins.car(car)
    bench.run(100)
    bench.setpoint(allow=False, lock=wire.LOCK_HOLD)
    assert bench.run(2000).pins.is_bolt_locked == is_locked


def test_each_end_and_each_return_of_a_lease_is_told_and_each_end_counted() -> None:
    bench = BoardBench().run(100)
    for _ in range(2):
        bench.setpoint(lease_ms=1000)
        bench.run(1500)
    told = [
        (event.event_seq, event.a)
        for event in map(wire.unpack_event, bench.payloads(wire.EVENT))
        if event.kind == wire.EVENT_LEASE
    ]
    assert [a for _, a in sorted(set(told))] == [1, 0, 1, 0]
    assert bench.status.link_losses == 2


def test_another_cable_is_told_at_once() -> None:
    bench = BoardBench().run(1505)
    bench.sent.clear()
    bench.pins.ohm = 680
    bench.run(20)
    assert bench.status.cable_a == 20


def _pressed_in_idle(*, has_rcd_test: bool = True) -> BoardBench:
    pins = FakePins()
    pins.has_rcd_test = has_rcd_test
    bench = BoardBench(pins).run(1500)
    pins.log.clear()
    pins.input_bits = INPUT_EMERGENCY
    bench.run(10_000)
    assert bench.faults == ["emergency_stop"]
    return bench


def test_a_latched_fault_in_idle_asks_for_a_self_test_when_its_cause_ends_not_before() -> None:
    bench = _pressed_in_idle()
    assert _rcd_tests(bench) == []
    bench.pins.input_bits = 0
    bench.run(100)
    assert bench.faults == ["emergency_stop"], "not before the test has passed"
    bench.run(2000)
    assert (bench.faults, len(_rcd_tests(bench))) == ([], 2)


def test_a_latched_fault_in_idle_goes_with_its_cause_where_nothing_can_be_tested() -> None:
    bench = _pressed_in_idle(has_rcd_test=False)
    bench.pins.input_bits = 0
    assert bench.run(50).faults == []


@pytest.mark.parametrize("state", ["A", "E", "F"])
def test_nothing_is_offered_where_no_car_answers(state: str) -> None:
    bench = BoardBench().charge()
    bench.pins.car(state)
    assert bench.run(50).pins.duty == wire.DUTY_OFF
    bench.run(3000)
    bench.setpoint()
    assert bench.run(50).pins.duty == wire.DUTY_OFF


def test_the_time_that_a_car_charges_is_no_sleep() -> None:
    bench = BoardBench().charge()
    bench.setpoint(lease_ms=120_000)
    bench.run(100_000)
    bench.pins.car("B")
    bench.run(1000)
    assert bench.action("wake_up") == {"ok": False, "code": "not_allowed", "data": {}}


# ---- what STATUS, events and the light say ---------------------------------------------------------------


def _kinds(bench: BoardBench) -> list[int]:
    return [wire.unpack_event(payload).kind for payload in bench.payloads(wire.EVENT)]


def test_status_says_what_is_measured() -> None:
    bench = BoardBench().charge()
    bench.pins.leak = 0
    bench.run(1000)
    status = bench.status
    assert (status.cp_high_mv, status.cp_low_mv, status.outlet) == (5990, -12000, 1)
    assert abs(status.uptime_ms - bench.now_ms) <= 1000
    assert (status.contactor, status.lock) == (3, wire.LOCK_LOCKED)
    bench.pins.leak = TRIP_DC
    bench.run(20)
    assert bench.status.residual == 80


def test_status_says_command_and_feedback_of_the_contactor_apart_and_at_once() -> None:
    bench = BoardBench().charge()
    bench.acknowledge_events()
    bench.sent.clear()
    bench.pins.car("B")
    bench.run(100)
    seen = [wire.unpack_status(payload).contactor for payload in bench.payloads(wire.STATUS)]
    assert list(dict.fromkeys(seen)) == [wire.CONTACTOR_FEEDBACK, 0]
    assert _kinds(bench).count(wire.EVENT_CONTACTOR) == 2


def test_status_and_event_say_at_once_that_the_bolt_moves_and_where_it_is() -> None:
    bench = BoardBench().charge()
    bench.pins.car("B")
    bench.run(1500)
    bench.acknowledge_events()
    bench.sent.clear()
    bench.setpoint(allow=False)
    bench.run(400)
    seen = [wire.unpack_status(payload).lock for payload in bench.payloads(wire.STATUS)]
    assert list(dict.fromkeys(seen))[-2:] == [wire.LOCK_MOVING, wire.LOCK_OPEN]
    assert _kinds(bench).count(wire.EVENT_LOCK) == 2


def test_a_fixed_cable_has_no_lock_to_speak_of() -> None:
    assert BoardBench(FixedCablePins()).charge().status.lock == wire.LOCK_NONE


def test_another_limit_is_told_at_once() -> None:
    bench = BoardBench().charge()
    bench.run(5)
    bench.sent.clear()
    bench.setpoint(limit_a=10)
    bench.run(20)
    assert bench.status.duty == 1666


def test_a_wake_up_pulse_is_no_duty() -> None:
    bench = _woken()
    bench.run(20)
    assert bench.status.duty == 0


def test_the_light_says_how_it_stands() -> None:
    bench = BoardBench().run(1500)
    seen = [bench.pins.pattern]
    bench.setpoint(available=False)
    seen.append(bench.run(20).pins.pattern)
    bench.setpoint()
    seen.append(bench.run(20).pins.pattern)
    bench.pins.car("B")
    seen.append(bench.run(1000).pins.pattern)
    bench.pins.car("C")
    seen.append(bench.run(1000).pins.pattern)
    bench.pins.leak = TRIP_DC
    seen.append(bench.run(20).pins.pattern)
    assert seen == ["flash", "off", "on", "blink", "breathe", "fast"]


def test_each_warning_says_what_it_means_and_nothing_else() -> None:
    bench = BoardBench().run(2000)
    assert bench.status.warnings == 0, "no lease has ended that was never given"
    bench.setpoint(limit_a=32)
    assert bench.run(100).status.warnings == 0, "the cable takes exactly this"
    bench.setpoint(limit_a=32.1)
    assert bench.run(100).status.warnings == wire.WARN_CABLE_LIMIT
    bench.pins.ohm = 0
    assert bench.run(100).status.warnings == 0, "no cable limits nothing"
    bench.setpoint()
    bench.pins.temperature_dc = 750
    assert bench.run(100).status.warnings == wire.WARN_DERATED
    bench.pins.temperature_dc = 250
    bench.setpoint(lease_ms=0)
    bench.run(6000)
    assert bench.status.warnings == wire.WARN_LEASE


def test_a_fixed_cable_has_no_rating_to_warn_of() -> None:
    bench = BoardBench(FixedCablePins()).run(2000)
    bench.setpoint(limit_a=32)
    assert bench.run(100).status.warnings == 0


def test_a_test_that_is_due_is_a_warning_until_it_begins() -> None:
    bench = BoardBench().charge()
    bench.pins.car("A")
    assert bench.run(100).status.warnings == wire.WARN_SELF_TEST_DUE
    assert bench.run(2000).status.warnings == 0


def test_a_fault_and_its_end_are_events_and_a_trip_tells_its_current() -> None:
    bench = BoardBench().charge()
    bench.acknowledge_events()
    bench.sent.clear()
    bench.pins.leak = TRIP_DC
    bench.pins.input_bits = INPUT_TILT
    bench.run(100)
    bench.pins.leak = 0
    bench.pins.input_bits = 0
    bench.run(6000)
    told = {
        (event.event_seq, event.kind, event.a, event.b)
        for event in map(wire.unpack_event, bench.payloads(wire.EVENT))
        if event.kind in (wire.EVENT_FAULT, wire.EVENT_FAULT_CLEARED)
    }
    rcd_dc, tilt = wire.FAULT_NAMES.index("rcd_dc"), wire.FAULT_NAMES.index("tilt")
    assert {fields[1:] for fields in told} == {
        (wire.EVENT_FAULT, rcd_dc, 80),
        (wire.EVENT_FAULT, tilt, 0),
        (wire.EVENT_FAULT_CLEARED, tilt, 0),
    }
    assert len(told) == 3
