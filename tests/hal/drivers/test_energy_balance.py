"""Energy against power: what cannot be is found, and what may be is let be."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.bus.modbus import ModbusBus
from hal.drivers.energy_balance import EnergyBalance
from hal.drivers.modbus_meter import ModbusMeter, load_profile
from hal.ports import MeterReading
from hal.sim.modbus_meters import ModbusMeterLine, ModbusMeters, PlayedMeter


def reading(at_time: float, energy_wh: float | None, power_w: float | None) -> MeterReading:
    return MeterReading(at_time=at_time, energy_import_wh=energy_wh, power_w=power_w)


def judged(
    balance: EnergyBalance, power_w: float, counted: float, minutes: int = 10, step_s: int = 10
) -> bool:
    """The verdict after so many minutes at `power_w`, with a register that counts `counted` times as much."""
    for second in range(0, minutes * 60, step_s):
        wh = 5000 + counted * power_w * second / 3600
        balance.add(reading(second, wh // balance.step_wh * balance.step_wh, power_w))
    return balance.is_doubtful


@pytest.mark.parametrize(
    ("counted", "is_doubtful"),
    [(1.0, False), (0.7, False), (1.5, False), (0.0, True), (0.001, True), (1000.0, True), (3.0, True)],
)
def test_a_register_that_counts_something_else_than_the_power_is_doubtful(
    counted: float, is_doubtful: bool
) -> None:
    assert judged(EnergyBalance(1.0), 11_000, counted) is is_doubtful


@given(
    st.floats(100, 60_000),
    st.sampled_from([1.0, 10.0, 100.0, 1000.0]),
    st.integers(1, 29),
    st.integers(5, 60),
)
def test_a_true_register_is_never_doubtful_however_coarse_it_counts(
    power_w: float, step_wh: float, step_s: int, minutes: int
) -> None:
    assert not judged(EnergyBalance(step_wh), power_w, 1.0, minutes, step_s)


def test_a_good_stretch_after_a_bad_one_is_believed() -> None:
    balance = EnergyBalance(1.0)
    assert judged(balance, 11_000, 0.0)
    balance.restart()
    assert not judged(balance, 11_000, 1.0)


def test_readings_far_apart_say_nothing() -> None:
    balance = EnergyBalance(1.0)
    for hour in range(20):
        balance.add(reading(hour * 3600, 5000, 11_000))
    assert not balance.is_doubtful


def test_power_that_goes_back_does_not_count_as_taken() -> None:
    balance = EnergyBalance(1.0)
    assert not judged(balance, -7000, 0.0)


def test_a_reading_without_power_ends_the_stretch() -> None:
    balance = EnergyBalance(1.0)
    for second in range(0, 3600, 10):
        balance.add(reading(second, 5000, 11_000 if second % 20 else None))
    assert not balance.is_doubtful


async def test_a_meter_whose_register_stands_still_under_load_gives_invalid_readings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    profile = load_profile("sdm630")
    shown = reading(0, 5000, 11_000)
    bus = ModbusBus(ModbusMeterLine(ModbusMeters({1: PlayedMeter(profile, lambda: shown)})), profile.line)
    meter = ModbusMeter(bus, profile, 1)
    qualities = []
    for _ in range(12):
        qualities.append((await meter.read()).quality)
        await asyncio.sleep(10)
    bus.close()
    assert qualities[0] == "ok"
    assert qualities[-1] == "invalid"
    (warning,) = [entry for entry in caplog.messages if "while the power made" in entry]
    assert "counted 0 Wh" in warning
