"""Faults: latched or passing by, and what clears them."""

import pytest

from board import wire
from board.connector import INPUT_DOOR, INPUT_EMERGENCY, INPUT_TILT
from board.faults import FaultBook
from board.residual import TRIP_DC
from tests.helpers.board_bench import BoardBench
from tests.helpers.fake_pins import FakePins


def test_a_passing_fault_goes_5_s_after_its_cause() -> None:
    changes: list[tuple[int, bool]] = []
    book = FaultBook(lambda bit, raised: changes.append((bit, raised)))
    book.update(0, wire.F_CP_RANGE)
    book.update(10, 0)
    book.update(3000, wire.F_CP_RANGE)
    book.update(3010, 0)
    book.update(8000, 0)
    assert book.standing == wire.F_CP_RANGE, "the 5 s start anew when the cause comes back"
    book.update(8010, 0)
    assert book.standing == 0
    assert changes == [(6, True), (6, False)]


def test_a_latched_fault_never_goes_by_time() -> None:
    book = FaultBook(lambda bit, raised: None)
    book.update(0, wire.F_RCD_DC)
    book.update(10, 0)
    book.update(10_000_000, 0)
    assert book.standing == wire.F_RCD_DC
    book.clear(wire.F_RCD_DC)
    assert book.standing == 0


def test_clear_leaves_a_fault_whose_cause_is_there() -> None:
    book = FaultBook(lambda bit, raised: None)
    book.update(0, wire.F_EMERGENCY_STOP | wire.F_TILT)
    book.update(10, wire.F_EMERGENCY_STOP)
    book.clear(0x7FFFF)
    assert book.standing == wire.F_EMERGENCY_STOP


def test_derating_is_no_reason_to_stop() -> None:
    book = FaultBook(lambda bit, raised: None)
    book.update(0, wire.F_TEMP_WARN)
    assert not book.stops
    book.update(10, wire.F_TEMP_WARN | wire.F_TEMP_STOP)
    assert book.stops


def _tripped() -> BoardBench:
    bench = BoardBench().charge()
    bench.pins.leak = TRIP_DC
    bench.run(500)
    bench.pins.leak = 0
    bench.run(10_000)
    return bench


def test_a_trip_stays_while_plugged_in_whatever_the_host_asks() -> None:
    bench = _tripped()
    bench.send(wire.CLEAR_FAULT, wire.pack_clear_fault(1, 0x7FFFF))
    assert bench.run(20_000).faults == ["rcd_dc"]
    assert not bench.pins.contactor


def test_a_trip_goes_at_the_unplug_after_a_passed_self_test() -> None:
    bench = _tripped()
    bench.pins.car("A")
    bench.run(100)
    assert bench.faults == ["rcd_dc"], "not before the test"
    bench.run(2000)
    assert bench.faults == []


def test_a_trip_stays_at_the_unplug_when_the_self_test_fails() -> None:
    bench = _tripped()
    bench.pins.sensor_works = False
    bench.pins.car("A")
    assert bench.run(5000).faults == ["rcd_dc", "rcd_self_test"]


def test_the_fourth_trip_in_a_day_needs_service() -> None:
    bench = BoardBench().run(1500)
    for trip in range(4):
        bench.setpoint()
        bench.pins.car("C")
        bench.run(2000)
        assert bench.pins.contactor
        bench.pins.leak = TRIP_DC
        bench.run(500)
        bench.pins.leak = 0
        bench.run(100)
        bench.pins.car("A")
        bench.run(3000)
        assert bench.faults == (["rcd_dc"] if trip == 3 else [])
    bench.send(wire.CLEAR_FAULT, wire.pack_clear_fault(1, wire.F_RCD_DC))
    assert bench.faults == []
    bench.setpoint()
    bench.pins.car("C")
    assert bench.run(3000).pins.contactor, "after another self-test"


def test_a_weld_goes_by_service_only_with_the_contactor_open() -> None:
    bench = BoardBench().charge()
    bench.pins.is_welded = True
    bench.pins.car("B")
    bench.run(500)
    request = wire.pack_clear_fault(1, wire.F_CONTACTOR_WELDED)
    bench.send(wire.CLEAR_FAULT, request)
    assert bench.faults == ["contactor_welded"]
    bench.pins.is_welded = False
    bench.pins.is_contact_closed = False
    bench.run(100)
    bench.send(wire.CLEAR_FAULT, request)
    assert bench.faults == []
    assert wire.unpack_clear_fault(bench.payloads(wire.CLEAR_FAULT | wire.REPLY)[-1]) == (1, 0)


@pytest.mark.parametrize("has_rcd_test", [True, False])
def test_a_weld_that_came_loose_outlives_unplug_and_self_test(has_rcd_test: bool) -> None:
    bench = BoardBench()
    bench.pins.has_rcd_test = has_rcd_test  # type: ignore[misc]
    bench = BoardBench(bench.pins).charge()
    bench.pins.is_welded = True
    bench.pins.car("B")
    bench.run(500)
    bench.pins.is_welded = False
    bench.pins.is_contact_closed = False
    bench.pins.car("A")
    assert bench.run(10_000).faults == ["contactor_welded"]
    bench.send(wire.CLEAR_FAULT, wire.pack_clear_fault(1, wire.F_CONTACTOR_WELDED))
    assert bench.faults == []


def test_an_emergency_stop_in_idle_goes_when_released_and_tested() -> None:
    bench = BoardBench().run(1500)
    bench.pins.input_bits = INPUT_EMERGENCY
    assert bench.run(10_000).faults == ["emergency_stop"]
    bench.pins.input_bits = 0
    assert bench.run(2000).faults == []


def test_an_emergency_stop_with_a_car_stays_until_the_unplug() -> None:
    bench = BoardBench().charge()
    bench.pins.input_bits = INPUT_EMERGENCY
    bench.run(100)
    bench.pins.input_bits = 0
    assert bench.run(20_000).faults == ["emergency_stop"]
    bench.pins.car("A")
    assert bench.run(2000).faults == []


def test_an_open_door_stops_charging_and_passes_by() -> None:
    bench = BoardBench().charge()
    bench.pins.input_bits = INPUT_DOOR
    bench.run(100)
    assert not bench.pins.contactor
    bench.pins.input_bits = 0
    assert bench.run(6000).pins.contactor


def test_without_a_test_output_the_unplug_alone_clears() -> None:
    pins = FakePins()
    pins.has_rcd_test = False
    bench = BoardBench(pins).charge()
    pins.leak = TRIP_DC
    bench.run(100)
    pins.leak = 0
    bench.run(100)
    assert bench.faults == ["rcd_dc"]
    pins.car("A")
    assert bench.run(200).faults == []


def test_the_sensor_is_tested_once_a_day_in_idle() -> None:
    bench = BoardBench().run(1500)
    bench.pins.log.clear()
    bench.now_ms += 23 * 3_600_000
    bench.run(1000)
    assert bench.pins.log == []
    bench.now_ms += 3_600_000
    bench.run(1000)
    assert [value for _, what, value in bench.pins.log if what == "rcd_test"] == [True, False]


def test_a_car_that_stays_for_days_does_not_keep_the_sensor_from_its_test() -> None:
    """While it charges there is no test; nothing closes again before it has passed."""
    bench = BoardBench().charge()
    bench.pins.log.clear()
    bench.now_ms += 25 * 3_600_000
    bench.setpoint(lease_ms=120_000)
    bench.run(5000)
    assert bench.pins.contactor
    assert "rcd_test" not in {what for _, what, _ in bench.pins.log}
    assert bench.status.warnings == wire.WARN_SELF_TEST_DUE
    bench.pins.car("B")
    bench.run(1000)
    bench.pins.car("C")
    bench.run(100)
    assert (bench.pins.contactor, bench.pins.rcd_test) == (False, True)
    assert bench.run(1000).pins.contactor


def test_a_dead_sensor_is_found_under_a_car_that_stays_for_days() -> None:
    bench = BoardBench().charge()
    bench.pins.sensor_works = False
    bench.now_ms += 25 * 3_600_000
    bench.setpoint(lease_ms=120_000)
    bench.run(1000)
    bench.pins.car("B")
    bench.run(2000)
    bench.pins.car("C")
    assert bench.run(5000).faults == ["rcd_self_test"]
    assert not bench.pins.contactor


def test_an_emergency_stop_that_is_still_pressed_outlives_the_unplug() -> None:
    bench = BoardBench().charge()
    bench.pins.input_bits = INPUT_EMERGENCY
    bench.run(100)
    bench.pins.car("A")
    assert bench.run(20_000).faults == ["emergency_stop"]
    bench.pins.input_bits = 0
    assert bench.run(2000).faults == []


def test_an_emergency_stop_goes_by_service_while_plugged_in_once_it_is_released() -> None:
    bench = BoardBench().charge()
    bench.pins.input_bits = INPUT_EMERGENCY
    bench.run(100)
    request = wire.pack_clear_fault(1, wire.F_EMERGENCY_STOP)
    bench.send(wire.CLEAR_FAULT, request)
    assert bench.faults == ["emergency_stop"], "still pressed"
    bench.pins.input_bits = 0
    bench.run(20)
    bench.send(wire.CLEAR_FAULT, request)
    assert bench.faults == []
    assert bench.run(3000).pins.contactor


def test_an_input_that_blinks_for_one_tick_is_nothing() -> None:
    bench = BoardBench().charge()
    for bits in (INPUT_EMERGENCY, INPUT_DOOR, INPUT_TILT):
        bench.pins.input_bits = bits
        bench.run(10)
        bench.pins.input_bits = 0
        bench.run(100)
    assert (bench.faults, bench.pins.contactor) == ([], True)


def test_a_door_that_rattles_starts_its_5_s_anew_each_time() -> None:
    bench = BoardBench().charge()
    for _ in range(4):
        bench.pins.input_bits = INPUT_DOOR
        bench.run(50)
        bench.pins.input_bits = 0
        bench.run(4500)
        assert bench.faults == ["door_open"]
    assert bench.run(1000).faults == []
