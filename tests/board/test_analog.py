"""What converter levels mean; and the pilot's plateaus, in plain Python and in the RP2040's compiled twin."""

from array import array
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from board import analog
from tests.helpers.fake_rp2040 import FakeRp2040, level_of

RING = 1024
Plateaus = Callable[[Sequence[int], int, int, "array[int]"], None]


@pytest.fixture(params=["plain", "rp2040"])
def plateaus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Plateaus:
    if request.param == "plain":
        return analog.plateaus
    found: Plateaus = FakeRp2040(lambda channel, us: 0).install(monkeypatch).plateaus
    return found


def wave(
    duty_percent: float, high_v: float, low_v: float, samples: int = RING, us: float = 2
) -> "array[int]":
    """A 1 kHz pilot as the converter sees it, its edges 4 us long."""
    levels = array("H")
    for index in range(samples):
        at_us = index * us % 1000
        on_us = duty_percent * 10
        if at_us < 4:
            share = at_us / 4
        elif at_us < on_us:
            share = 1.0
        else:
            share = max(0.0, 1 - (at_us - on_us) / 4)
        levels.append(level_of(low_v + (high_v - low_v) * share))
    return levels


def found_mv(plateaus: Plateaus, samples: "array[int]", first: int = 0, step: int = 1) -> tuple[int, int]:
    found = array("H", [0, 0])
    plateaus(samples, first, step, found)
    return analog.pilot_mv(found[0]), analog.pilot_mv(found[1])


@pytest.mark.parametrize("duty_percent", [5, 10, 26.66, 53.33, 85, 96])
@pytest.mark.parametrize("high_v", [12.0, 8.98, 5.99, 2.93])
def test_both_plateaus_are_found(plateaus: Plateaus, duty_percent: float, high_v: float) -> None:
    high_mv, low_mv = found_mv(plateaus, wave(duty_percent, high_v, -12))
    assert abs(high_mv - high_v * 1000) < 60
    assert abs(low_mv + 12000) < 60


@pytest.mark.parametrize("volts", [12.0, 9.0, 6.0, 0.0, -12.0])
def test_without_pwm_both_are_the_level(plateaus: Plateaus, volts: float) -> None:
    high_mv, low_mv = found_mv(plateaus, wave(100, volts, volts))
    assert high_mv == low_mv
    assert abs(high_mv - volts * 1000) < 10


@pytest.mark.parametrize("spike_v", [-15.0, 14.9])
def test_a_spike_is_no_plateau(plateaus: Plateaus, spike_v: float) -> None:
    samples = wave(100, 9, 9)
    samples[500] = samples[777] = level_of(spike_v)
    high_mv, low_mv = found_mv(plateaus, samples)
    assert high_mv == low_mv
    assert abs(high_mv - 9000) < 60


def test_spikes_move_a_plateau_by_little(plateaus: Plateaus) -> None:
    samples = wave(10, 9, -12)
    samples[20] = samples[600] = level_of(14.9)
    samples[300] = samples[400] = level_of(-14.9)
    high_mv, low_mv = found_mv(plateaus, samples)
    assert abs(high_mv - 9000) < 150
    assert abs(low_mv + 12000) < 60


def test_a_shorted_diode_shows_in_the_low_plateau(plateaus: Plateaus) -> None:
    assert abs(found_mv(plateaus, wave(26.66, 8.8, -8.8))[1] + 8800) < 60


def test_two_pilots_are_taken_apart(plateaus: Plateaus) -> None:
    samples = array("H", [0] * RING)
    samples[0::2] = wave(5, 5.99, -12, RING // 2, us=4)
    samples[1::2] = wave(53.33, 8.98, -12, RING // 2, us=4)
    first, second = found_mv(plateaus, samples, 0, 2), found_mv(plateaus, samples, 1, 2)
    assert abs(first[0] - 5990) < 60
    assert abs(second[0] - 8980) < 60
    assert max(first[1], second[1]) < -11900


@settings(max_examples=40)
@given(st.binary(min_size=2 * RING, max_size=2 * RING), st.integers(1, 2))
def test_the_compiled_twin_finds_the_same(noise: bytes, step: int) -> None:
    levels = array("H", noise)
    for index, level in enumerate(levels):
        levels[index] = level & 4095
    with pytest.MonkeyPatch.context() as monkeypatch:
        twin = FakeRp2040(lambda channel, us: 0).install(monkeypatch).plateaus
        for first in range(step):
            ours, theirs = array("H", [0, 0]), array("H", [0, 0])
            analog.plateaus(levels, first, step, ours)
            twin(levels, first, step, theirs)
            assert ours == theirs
            assert theirs[0] >= theirs[1]


def test_a_few_slow_samples_are_enough(plateaus: Plateaus) -> None:
    """The sampled fallback: one read in 10 us, 5 % duty."""
    if plateaus is analog.plateaus:
        assert abs(found_mv(plateaus, wave(5, 8.98, -12, 130, us=10))[0] - 8980) < 60


@pytest.mark.parametrize("ohm", [100, 220, 680, 1500])
def test_proximity_is_measured_within_one_percent(ohm: int) -> None:
    level = round(65535 * ohm / (1000 + ohm))
    assert abs(analog.proximity_ohm(level) - ohm) <= max(1, ohm // 100)


def test_nothing_in_the_socket_has_no_resistance() -> None:
    assert analog.proximity_ohm(65535) == 0


@pytest.mark.parametrize(("celsius", "volts"), [(27, 0.706), (85, 0.706 - 58 * 0.001721)])
def test_the_chips_own_thermometer(celsius: int, volts: float) -> None:
    assert abs(analog.chip_dc(round(volts / 3.3 * 65535)) - celsius * 10) <= 5


def ntc_level(celsius: float) -> int:
    ohm = 10_000 * 2.718281828 ** (3950 * (1 / (celsius + 273.15) - 1 / 298.15))
    return round(65535 * ohm / (ohm + 10_000))


@pytest.mark.parametrize("celsius", [-25, 0, 25, 47, 70, 85, 105, 125])
def test_a_thermistor_is_read_within_one_degree(celsius: int) -> None:
    assert abs(analog.ntc_dc(ntc_level(celsius)) - celsius * 10) <= 10


@pytest.mark.parametrize("level", [65535, 0], ids=["wire broken", "wire shorted"])
def test_a_broken_thermistor_counts_as_too_hot(level: int) -> None:
    assert analog.ntc_dc(level) == analog.BROKEN_DC


def test_deep_cold_is_no_broken_wire() -> None:
    assert analog.ntc_dc(ntc_level(-35)) == -300
