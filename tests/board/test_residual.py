"""The self-test of the residual current sensor to its milliseconds, and which trips count."""

import pytest

from board import wire
from board.limits import Limits
from board.residual import TRIP_AC, TRIP_DC, ResidualCurrent
from tests.helpers.board_bench import BoardBench
from tests.helpers.fake_pins import FakePins


def _test(
    *, dc_at: int | None = 200, ac_at: int | None = None, clear_at: int | None = 500, **limits: int
) -> tuple[int, int, int]:
    """Run one self-test of a sensor that trips and clears at these ms: (result, when it was over, pulse in ms)."""
    residual = ResidualCurrent(Limits(limits))
    residual.start_test(0)
    pulse_ms = 0
    for now_ms in range(10, 10_000, 10):
        is_clear = clear_at is not None and now_ms >= clear_at
        bits = TRIP_DC if dc_at is not None and dc_at <= now_ms and not is_clear else 0
        bits |= TRIP_AC if ac_at is not None and ac_at <= now_ms and not is_clear else 0
        pulse_ms = now_ms if residual.test_output else pulse_ms
        result = residual.run_test(now_ms, bits)
        if result:
            assert residual.has_passed == (result > 0)
            assert not residual.is_testing
            assert not residual.test_output, "the sensor is left in peace"
            return result, now_ms, pulse_ms
    raise AssertionError("the test never ends")


def test_the_pulse_lasts_as_long_as_the_sensor_wants() -> None:
    assert _test()[2] == 250
    assert _test(rcd_pulse_ms=500)[2] == 500


def test_a_trip_and_its_end_pass() -> None:
    assert _test(dc_at=200, clear_at=500)[:2] == (1, 500)


@pytest.mark.parametrize(("dc_at", "result"), [(740, 1), (750, -1), (None, -1)])
def test_the_dc_trip_must_come_in_time(dc_at: int | None, result: int) -> None:
    got, over_ms, _ = _test(dc_at=dc_at, clear_at=1000)
    assert got == result
    assert result > 0 or over_ms == 740


@pytest.mark.parametrize(("ac_at", "result"), [(650, 1), (670, -1), (None, -1)])
def test_the_ac_trip_must_come_too_where_the_test_moves_it(ac_at: int | None, result: int) -> None:
    got, over_ms, _ = _test(dc_at=200, ac_at=ac_at, clear_at=1000, rcd_ac_trip_ms=660)
    assert got == result
    assert result > 0 or over_ms == 660


@pytest.mark.parametrize(("clear_at", "result"), [(1440, 1), (1460, -1), (None, -1)])
def test_the_trip_must_go_again_in_time(clear_at: int | None, result: int) -> None:
    """Counted from the end of the pulse, or from the trip if that comes later."""
    assert _test(dc_at=200, clear_at=clear_at)[0] == result


def test_an_ac_trip_that_stays_fails_the_test_even_if_nobody_waited_for_it() -> None:
    residual = ResidualCurrent(Limits())
    residual.start_test(0)
    results = [
        residual.run_test(now_ms, TRIP_AC | (TRIP_DC if now_ms < 400 else 0))
        for now_ms in range(10, 3000, 10)
    ]
    assert -1 in results
    assert 1 not in results


def test_a_sensor_without_ac_output_passes_on_a_board_that_moves_both() -> None:
    pins = FakePins()
    pins.moves_ac = True
    pins.limits.put("rcd_ac_trip_ms", 660)
    assert BoardBench(pins).charge().pins.contactor
    pins = FakePins()
    pins.limits.put("rcd_ac_trip_ms", 660)
    assert BoardBench(pins).run(3000).faults == ["rcd_self_test"]


def test_the_self_test_runs_at_start_after_each_unplug_and_never_with_the_contactor_closed() -> None:
    bench = BoardBench().charge()
    pulses = [at for at, what, value in bench.pins.log if (what, value) == ("rcd_test", True)]
    assert len(pulses) == 1
    bench.pins.car("A")
    bench.run(2500)
    pulses = [at for at, what, value in bench.pins.log if (what, value) == ("rcd_test", True)]
    assert len(pulses) == 2


def test_the_longest_test_that_the_limits_allow_is_answered_in_time() -> None:
    pins = FakePins()
    pins.limits.put("rcd_trip_ms", 2000)
    pins.limits.put("rcd_clear_ms", 5000)
    pins.sensor_ms = 1500
    bench = BoardBench(pins).run(6000)
    assert bench.faults == []
    pins.sensor_works = True
    pins.sensor_ms = 1900
    seq = bench.send(wire.RCD_TEST, wire.pack_rcd_test(1))
    bench.run(wire.RCD_TEST_TIMEOUT_MS)
    assert [
        payload
        for _, kind, number, payload in bench.sent
        if (kind, number) == (wire.RCD_TEST | wire.REPLY, seq)
    ] == [wire.pack_rcd_test_reply(1, True)]


# ---- which trips count -----------------------------------------------------------------------------------


def _opened_by_the_ev() -> BoardBench:
    bench = BoardBench().charge()
    bench.pins.car("B")
    bench.run_until(lambda: not bench.pins.is_contact_closed)
    return bench


def test_the_arc_of_an_opening_contactor_is_no_residual_current() -> None:
    bench = _opened_by_the_ev()
    bench.pins.leak = TRIP_DC
    bench.board.on_rcd_interrupt(bench.now_ms, 0, TRIP_DC)
    bench.run(500)
    bench.pins.leak = 0
    assert bench.run(1000).faults == []


def test_a_trip_that_outlasts_the_arc_is_one() -> None:
    bench = _opened_by_the_ev()
    bench.pins.leak = TRIP_DC
    assert bench.run(900).faults == []
    assert bench.run(200).faults == ["rcd_dc"]


def test_a_trip_after_opening_counts_at_once_while_the_contactor_is_welded() -> None:
    bench = BoardBench().charge()
    bench.pins.is_welded = True
    bench.pins.car("B")
    bench.run_until(lambda: not bench.pins.contactor)
    bench.run(200)
    bench.pins.leak = TRIP_DC
    bench.run(20)
    assert "rcd_dc" in bench.faults


@pytest.mark.parametrize("after_ms", [0, 10, 100, 900])
def test_a_trip_right_after_closing_opens_and_latches_however_short(after_ms: int) -> None:
    """No time is blanked while current can flow."""
    bench = BoardBench().run(1500)
    bench.setpoint()
    bench.pins.car("C")
    bench.run_until(lambda: bench.pins.contactor)
    bench.run(after_ms)
    bench.board.on_rcd_interrupt(bench.now_ms, 0, TRIP_DC)
    assert not bench.pins.contactor
    assert bench.run(20_000).faults == ["rcd_dc"]
