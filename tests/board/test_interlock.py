"""The contactor: when it may close, when it must open, and what its feedback says."""

import pytest

from board import wire
from board.connector import INPUT_DOOR, INPUT_EMERGENCY
from board.interlock import Interlock
from board.limits import Limits
from board.residual import TRIP_AC, TRIP_DC
from tests.helpers.board_bench import BoardBench
from tests.helpers.fake_pins import GAP_MV, FakePins, FixedCablePins


def _ready() -> BoardBench:
    """A car in B2 with permission: C is all that is missing."""
    bench = BoardBench().run(1500)
    bench.setpoint()
    bench.pins.car("B")
    return bench.run(1500)


def _closes(
    *,
    pilot: int = wire.PILOT_C,
    is_stopped: bool = False,
    is_offering: bool = True,
    may_close: bool = True,
    has_ventilation: bool = False,
) -> bool:
    limits = Limits({"has_ventilation": int(has_ventilation)})
    return Interlock(limits).step(5000, pilot, is_stopped, is_offering, may_close)


def test_the_rule_itself_needs_every_one_of_its_inputs() -> None:
    assert _closes()
    assert _closes(pilot=wire.PILOT_D, has_ventilation=True)
    assert not _closes(pilot=wire.PILOT_D)
    assert not _closes(pilot=wire.PILOT_B)
    assert not _closes(is_stopped=True)
    assert not _closes(is_offering=False)
    assert not _closes(may_close=False)


def test_closes_within_3_s_of_b2_to_c2() -> None:
    bench = _ready()
    bench.pins.car("C")
    assert bench.run_until(lambda: bench.pins.contactor) <= 3000


@pytest.mark.parametrize("state", ["A", "B", "E", "F"])
def test_opens_within_100_ms_when_the_ev_leaves_c(state: str) -> None:
    bench = BoardBench().charge()
    bench.pins.car(state)
    bench.run_until(lambda: not bench.pins.is_contact_closed, 100)


def test_stays_open_in_b() -> None:
    assert not _ready().run(20000).pins.contactor


@pytest.mark.parametrize(
    "setpoint",
    [
        {"allow": False},
        {"available": False},
        {"limit_a": 5.9},
        {"lease_ms": 0},
    ],
    ids=["not allowed", "not available", "below 6 A", "no lease"],
)
def test_never_closes_without_what_the_host_must_give(setpoint: dict[str, float]) -> None:
    bench = BoardBench().run(1500)
    bench.setpoint(**setpoint)  # type: ignore[arg-type]
    bench.pins.car("C")
    assert not bench.run(10000).pins.contactor


def test_never_closes_without_any_host() -> None:
    bench = BoardBench(is_linked=False).run(1500)
    bench.pins.car("C")
    assert not bench.run(10000).pins.contactor


def test_a_setpoint_before_hello_counts_for_nothing() -> None:
    bench = BoardBench(is_linked=False).run(1500)
    bench.setpoint()
    bench.pins.car("C")
    assert not bench.run(5000).pins.contactor
    assert wire.unpack_nak(bench.payloads(wire.NAK)[-1]) == (wire.SETPOINT, wire.NAK_NO_HELLO)


def test_d_without_ventilation_stays_open_and_is_a_fault() -> None:
    bench = BoardBench().charge()
    bench.pins.car("D")
    bench.run(100)
    assert not bench.pins.is_contact_closed
    assert bench.faults == ["vent_unavailable"]


def test_d_with_ventilation_closes() -> None:
    pins = FakePins()
    pins.limits.has_ventilation = 1
    bench = BoardBench(pins).run(1500)
    bench.setpoint()
    pins.car("B")
    bench.run(1000)
    pins.car("D")
    assert bench.run(1000).pins.contactor


def test_needs_the_lock_locked() -> None:
    pins = FakePins()
    pins.bolt_jams = True
    bench = BoardBench(pins).run(1500)
    bench.setpoint()
    pins.car("C")
    bench.run(20000)
    assert ("contactor", True) not in {(what, value) for _, what, value in pins.log}, "not even for a moment"
    assert bench.faults == ["lock_fail"]


def test_a_fixed_cable_needs_neither_lock_nor_cable_coding() -> None:
    pins = FixedCablePins()
    pins.ohm = 0
    assert BoardBench(pins).charge().pins.contactor


def test_needs_a_diode() -> None:
    bench = _ready()
    bench.pins.has_diode = False
    bench.pins.car("C")
    assert not bench.run(10000).pins.contactor
    assert bench.faults == ["cp_diode"]


def test_a_lost_diode_opens_while_charging() -> None:
    bench = BoardBench().charge()
    bench.pins.has_diode = False
    bench.run_until(lambda: not bench.pins.is_contact_closed, 200)
    assert bench.faults == ["cp_diode"]
    bench.run(20000)
    assert bench.faults == ["cp_diode"], "it cannot be seen without PWM, so it stays until the unplug"
    bench.pins.car("A")
    bench.run(6000)
    assert bench.faults == []


def test_needs_a_series_of_good_diode_samples_after_each_plug_in() -> None:
    bench = BoardBench().run(1500)
    bench.setpoint()
    bench.pins.is_bolt_locked = True
    bench.pins.car("C")
    assert bench.run_until(lambda: bench.pins.contactor) >= 200


def test_needs_a_passed_self_test_of_the_residual_current_sensor() -> None:
    pins = FakePins()
    pins.sensor_works = False
    bench = BoardBench(pins).run(3000)
    bench.setpoint()
    pins.car("C")
    assert not bench.run(10000).pins.contactor
    assert bench.faults == ["rcd_self_test"]


def test_a_car_that_waits_in_c_at_power_on_waits_for_the_self_test() -> None:
    bench = BoardBench(FixedCablePins())
    bench.setpoint()
    bench.pins.car("C")
    bench.run_until(lambda: bench.pins.contactor)
    tests = [
        event
        for event in map(wire.unpack_event, bench.payloads(wire.EVENT))
        if event.kind == wire.EVENT_RCD_TEST
    ]
    assert [event.a for event in tests] == [1]


def test_a_fault_stops_the_offer_in_b_too() -> None:
    bench = _ready()
    assert bench.pins.duty != wire.DUTY_OFF
    bench.pins.input_bits = INPUT_DOOR
    assert bench.run(50).pins.duty == wire.DUTY_OFF


def test_the_sensor_is_not_tested_while_the_contactor_is_welded() -> None:
    bench = BoardBench().charge()
    bench.pins.is_welded = True
    bench.pins.log.clear()
    bench.pins.car("A")
    bench.run(10_000)
    assert "rcd_test" not in {what for _, what, _ in bench.pins.log}


def test_a_quick_second_car_waits_for_the_self_test_after_the_first() -> None:
    bench = BoardBench().charge()
    bench.acknowledge_events()
    bench.sent.clear()
    bench.pins.car("A")
    bench.run(200)
    bench.pins.car("C")
    bench.run_until(lambda: bench.pins.contactor)
    assert any(
        wire.unpack_event(payload).kind == wire.EVENT_RCD_TEST for payload in bench.payloads(wire.EVENT)
    )


@pytest.mark.parametrize(("bits", "fault"), [(TRIP_DC, "rcd_dc"), (TRIP_AC, "rcd_ac")])
def test_residual_current_opens_within_20_ms(bits: int, fault: str) -> None:
    bench = BoardBench().charge()
    bench.pins.leak = bits
    bench.run_until(lambda: not bench.pins.contactor, 20)
    assert bench.faults == [fault]


def test_the_residual_current_interrupt_opens_before_the_next_tick_and_latches() -> None:
    bench = BoardBench().charge()
    bench.board.on_rcd_interrupt(bench.now_ms, 0, TRIP_DC)
    assert not bench.pins.contactor, "no tick has run"
    bench.run(1000)
    assert bench.faults == ["rcd_dc"], "a trip shorter than a tick is remembered"
    assert not bench.run(20000).pins.contactor


def test_an_interrupt_between_decision_and_pin_wins() -> None:
    bench = _ready()
    set_contactor = bench.pins.set_contactor

    def interrupted(closed: bool) -> None:
        if closed:
            bench.board.on_rcd_interrupt(bench.now_ms, 0, TRIP_DC)
        set_contactor(closed)

    bench.pins.set_contactor = interrupted  # type: ignore[method-assign]
    bench.pins.car("C")
    bench.run(1000)
    assert not bench.pins.contactor
    assert [value for _, what, value in bench.pins.log if what == "contactor"][-2:] == [True, False]


def test_emergency_stop_opens_within_50_ms() -> None:
    bench = BoardBench().charge()
    bench.pins.input_bits = INPUT_EMERGENCY
    bench.run_until(lambda: not bench.pins.contactor, 50)
    assert bench.faults == ["emergency_stop"]


def test_pwm_stop_gives_the_ev_6_s_then_opens_under_load() -> None:
    bench = BoardBench().charge()
    bench.setpoint(allow=False)
    bench.run(20)
    assert bench.pins.duty == wire.DUTY_OFF
    assert bench.pins.contactor, "the EV gets time to stop"
    assert 5900 <= bench.run_until(lambda: not bench.pins.contactor) <= 6100


def test_permission_back_within_6_s_goes_on_charging() -> None:
    bench = BoardBench().charge()
    bench.setpoint(allow=False)
    bench.run(5000)
    bench.setpoint()
    bench.run(5000)
    bench.setpoint(allow=False)
    bench.run(5000)
    assert bench.pins.contactor, "the 6 s start anew each time"


def test_lease_expiry_stops_the_offer_in_one_tick_and_opens_6_s_later() -> None:
    bench = BoardBench().charge()
    bench.setpoint(lease_ms=2000)
    bench.run(1990)
    assert bench.pins.duty != wire.DUTY_OFF
    bench.run(10)
    assert bench.pins.duty == wire.DUTY_OFF
    assert bench.pins.contactor
    bench.run(6010)
    assert not bench.pins.contactor


def test_lease_expiry_keeps_the_fallback_limit_but_does_not_close_again() -> None:
    bench = BoardBench().charge()
    bench.setpoint(limit_a=16, fallback_a=10, lease_ms=2000)
    bench.run(20000)
    assert (bench.pins.contactor, bench.pins.duty) == (True, 1666)
    bench.pins.car("B")
    bench.run(2000)
    bench.pins.car("C")
    assert not bench.run(5000).pins.contactor, "closing needs a lease"


def test_the_fallback_never_raises_the_limit() -> None:
    bench = BoardBench().charge()
    bench.setpoint(limit_a=10, fallback_a=16, lease_ms=2000)
    assert bench.run(3000).pins.duty == 1666


def test_leases_come_back_without_an_unplug() -> None:
    bench = BoardBench().charge()
    bench.setpoint(lease_ms=1000)
    assert not bench.run(10000).pins.contactor
    bench.setpoint()
    assert bench.run(3000).pins.contactor


def test_a_lease_is_at_most_two_minutes() -> None:
    bench = BoardBench().charge()
    bench.setpoint(lease_ms=10_000_000)
    assert bench.run(119_000).pins.duty != wire.DUTY_OFF
    assert bench.run(1_010).pins.duty == wire.DUTY_OFF


def test_rests_1_s_before_it_closes_again() -> None:
    bench = BoardBench().charge()
    bench.pins.car("B")
    bench.run(100)
    bench.pins.car("C")
    assert not bench.run(800).pins.contactor
    assert bench.run(400).pins.contactor


def test_a_welded_contactor_is_found_100_to_250_ms_after_opening_and_keeps_the_lock() -> None:
    bench = BoardBench().charge()
    bench.pins.is_welded = True
    bench.pins.car("B")
    bench.run_until(lambda: not bench.pins.contactor)
    assert 100 <= bench.run_until(lambda: "contactor_welded" in bench.faults) <= 250
    bench.setpoint(allow=False, lock=wire.LOCK_RELEASE)
    bench.pins.car("A")
    assert bench.run(60000).pins.is_bolt_locked, "the cable may be live"


def test_a_contactor_that_does_not_close_is_found_100_to_250_ms_after_closing() -> None:
    bench = _ready()
    bench.pins.never_closes = True
    bench.pins.car("C")
    bench.run_until(lambda: bench.pins.contactor)
    assert 100 <= bench.run_until(lambda: bench.faults == ["contactor_no_close"]) <= 250
    assert not bench.pins.contactor


def test_a_contactor_that_is_welded_at_power_on_is_found_before_anything_closes() -> None:
    pins = FakePins()
    pins.is_welded = True
    bench = BoardBench(pins)
    bench.setpoint()
    pins.car("C")
    bench.run(50)
    assert bench.faults == ["contactor_welded"]
    bench.run(20_000)
    assert True not in [value for _, what, value in pins.log if what in ("contactor", "rcd_test")]


@pytest.mark.parametrize("openings", [1, 4])
def test_every_opening_is_checked_for_a_weld(openings: int) -> None:
    bench = BoardBench().charge()
    for _ in range(openings - 1):
        bench.pins.car("B")
        bench.run(300)
        assert bench.faults == []
        bench.pins.car("C")
        bench.run(2000)
        assert bench.pins.contactor
    bench.pins.is_welded = True
    bench.pins.car("B")
    bench.run(300)
    assert bench.faults == ["contactor_welded"]
    bench.pins.car("C")
    assert not bench.run(20_000).pins.contactor


def test_a_contactor_that_welds_while_idle_is_found_too() -> None:
    bench = BoardBench().run(1500)
    bench.pins.is_welded = True
    bench.run(100)
    assert bench.faults == ["contactor_welded"]


def test_a_pilot_outside_every_window_keeps_its_state_for_1_s_then_opens() -> None:
    bench = BoardBench().charge()
    bench.pins.level_mv = GAP_MV
    assert bench.run(900).pins.contactor
    assert not bench.run(200).pins.contactor
    assert bench.faults == ["cp_range"]


@pytest.mark.parametrize("state", ["E", "F"])
def test_e_and_f_from_the_ev_become_a_fault_that_goes_5_s_after_its_cause(state: str) -> None:
    bench = BoardBench().charge()
    bench.pins.car(state)
    bench.run(1100)
    assert bench.faults == ["cp_range"]
    bench.pins.car("B")
    bench.run(4900)
    assert bench.faults == ["cp_range"]
    bench.run(200)
    assert bench.faults == []


def test_a_socket_without_cable_coding_never_closes() -> None:
    bench = BoardBench().run(1500)
    bench.pins.ohm = 0
    bench.setpoint()
    bench.pins.car("C")
    assert not bench.run(10000).pins.contactor
    assert bench.faults == ["pp_range"]


def test_the_cable_limits_the_offer() -> None:
    bench = BoardBench().run(1500)
    bench.pins.ohm = 1500
    bench.setpoint(limit_a=32)
    bench.pins.car("B")
    bench.run(1000)
    assert bench.pins.duty == 130 * 50 // 3
    assert bench.status.warnings & wire.WARN_CABLE_LIMIT


def test_the_hardware_limits_the_offer() -> None:
    bench = BoardBench().run(1500)
    bench.pins.ohm = 100
    bench.setpoint(limit_a=63)
    bench.pins.car("B")
    assert bench.run(1000).pins.duty == 320 * 50 // 3


def test_the_watchdog_starves_without_fresh_pilot_samples() -> None:
    bench = BoardBench().charge()
    fed = bench.fed
    bench.pins.is_fresh = False
    assert bench.run(500).fed == fed
