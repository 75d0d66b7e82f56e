"""Heat lowers the limit along a line, then stops; a thermometer that falls silent counts as hot; the fan of state D."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board import wire
from board.limits import Limits
from board.pilot import limit_of
from board.warmth import Ventilation, Warmth
from tests.helpers.board_bench import BoardBench
from tests.helpers.fake_pins import FakePins


def _most_a(temperature_c: float, **limits: int) -> float:
    warmth = Warmth(Limits(limits))
    warmth.step(0, round(temperature_c * 10))
    return warmth.most_da / 10


@pytest.mark.parametrize(
    ("temperature_c", "most_a"),
    [(25, 32), (69.9, 32), (70, 32), (72.5, 27), (77.5, 19), (84.9, 6), (85, 6), (120, 6), (-30, 32)],
)
def test_the_limit_falls_along_a_line_to_6_a(temperature_c: float, most_a: float) -> None:
    assert _most_a(temperature_c) == most_a


def test_the_line_is_between_the_limits_of_the_connector() -> None:
    assert _most_a(55, temp_warn_dc=500, temp_stop_dc=600) == 19
    assert _most_a(55, temp_warn_dc=500, temp_stop_dc=600, max_da=160) == 11


@given(st.integers(-400, 1300), st.integers(60, 800), st.integers(300, 1000), st.integers(400, 1100))
def test_never_below_6_a_nor_above_the_hardware_whatever_the_limits(
    temperature: int, max_da: int, warn: int, stop: int
) -> None:
    warmth = Warmth(Limits({"max_da": max_da, "temp_warn_dc": warn, "temp_stop_dc": stop}))
    heat = warmth.step(0, temperature)
    assert wire.MIN_LIMIT_DA <= warmth.most_da <= max_da
    assert bool(heat & wire.F_TEMP_STOP) == (temperature >= stop)
    assert bool(heat & wire.F_TEMP_WARN) == (temperature >= warn)


@given(st.lists(st.integers(-10, 10), max_size=60))
def test_a_thermometer_that_trembles_by_2_c_moves_the_limit_one_way_only(tremble: list[int]) -> None:
    warmth = Warmth(Limits())
    seen = []
    for index, off in enumerate(tremble):
        warmth.step(index * 10, 770 + off)
        seen.append(warmth.most_da)
    assert seen == sorted(seen, reverse=True)


def test_the_limit_rises_again_when_it_has_cooled_by_more_than_2_c() -> None:
    warmth = Warmth(Limits())
    warmth.step(0, 800)
    hot_da = warmth.most_da
    warmth.step(10, 785)
    assert warmth.most_da == hot_da
    warmth.step(20, 750)
    assert warmth.most_da > hot_da


def test_stops_at_temp_stop_and_resumes_10_c_below() -> None:
    warmth = Warmth(Limits())
    assert warmth.step(0, 849) == wire.F_TEMP_WARN
    assert warmth.step(10, 850) == wire.F_TEMP_WARN | wire.F_TEMP_STOP
    assert warmth.step(20, 750) == wire.F_TEMP_WARN | wire.F_TEMP_STOP
    assert warmth.step(30, 749) == wire.F_TEMP_WARN
    assert warmth.step(40, 650) == wire.F_TEMP_WARN
    assert warmth.step(50, 649) == 0


def test_heat_lowers_the_offer_and_then_opens() -> None:
    bench = BoardBench().charge()
    bench.pins.temperature_dc = 700
    bench.run(100)
    assert limit_of(bench.pins.duty) == 159, "16 A are below what 70 C leave"
    bench.pins.temperature_dc = 815
    bench.run(100)
    assert (limit_of(bench.pins.duty), bench.pins.contactor) == (120, True)
    assert (bench.faults, bench.status.warnings & wire.WARN_DERATED) == (["temp_warn"], wire.WARN_DERATED)
    bench.pins.temperature_dc = 860
    bench.run(100)
    assert not bench.pins.contactor
    assert bench.faults == ["temp_warn", "temp_stop"]
    bench.pins.temperature_dc = 740
    assert bench.run(6000).pins.contactor, "it resumes by itself"


# ---- a thermometer that falls silent ---------------------------------------------------------------------


def test_a_thermometer_that_falls_silent_leaves_6_a() -> None:
    bench = BoardBench().charge()
    bench.pins.temperature_dc = wire.NO_TEMPERATURE
    bench.run(4900)
    assert bench.faults == [], "one that only stutters changes nothing"
    bench.run(200)
    assert (bench.faults, limit_of(bench.pins.duty), bench.pins.contactor) == (["temp_warn"], 60, True)
    bench.pins.temperature_dc = 250
    assert bench.run(6000).faults == []
    assert limit_of(bench.pins.duty) == 159


def test_a_thermometer_that_falls_silent_when_it_is_too_hot_keeps_the_stop() -> None:
    bench = BoardBench().charge()
    bench.pins.temperature_dc = 900
    bench.run(100)
    bench.pins.temperature_dc = wire.NO_TEMPERATURE
    assert not bench.run(60_000).pins.contactor
    assert bench.faults == ["temp_warn", "temp_stop"]


def test_a_board_without_a_thermometer_offers_everything() -> None:
    pins = FakePins()
    pins.temperature_dc = wire.NO_TEMPERATURE
    bench = BoardBench(pins).charge()
    assert (bench.run(20_000).faults, limit_of(pins.duty)) == ([], 159)


# ---- ventilation -----------------------------------------------------------------------------------------


def _aired(**limits: int) -> BoardBench:
    pins = FakePins()
    pins.limits = Limits({"has_ventilation": 1, **limits})
    bench = BoardBench(pins).run(1500)
    bench.setpoint()
    pins.car("B")
    bench.run(1000)
    pins.car("D")
    return bench


def test_the_fan_runs_before_the_contactor_closes_in_d_and_a_while_after() -> None:
    bench = _aired(vent_run_on_s=60).run(2000)
    on_at = next(at for at, what, value in bench.pins.log if (what, value) == ("ventilation", True))
    closed_at = next(at for at, what, value in bench.pins.log if (what, value) == ("contactor", True))
    assert on_at <= closed_at
    bench.pins.car("B")
    bench.run(59_000)
    assert (bench.pins.ventilation, bench.pins.contactor) == (True, False)
    assert not bench.run(1500).pins.ventilation


def test_the_fan_runs_on_after_the_unplug() -> None:
    bench = _aired(vent_run_on_s=10).run(2000)
    bench.pins.car("A")
    assert bench.run(9000).pins.ventilation
    assert not bench.run(1500).pins.ventilation


def test_the_fan_runs_in_d_only() -> None:
    pins = FakePins()
    pins.limits.put("has_ventilation", 1)
    assert not BoardBench(pins).charge().run(5000).pins.ventilation


def test_without_ventilation_the_output_is_never_touched() -> None:
    fan = Ventilation(Limits())
    assert not fan.step(0, True)
    bench = BoardBench().charge()
    bench.pins.car("D")
    bench.run(2000)
    assert "ventilation" not in {what for _, what, _ in bench.pins.log}
    assert bench.faults == ["vent_unavailable"]
