"""Periods of clock-aligned readings: energy is accumulated, everything else averaged, and each has its own time."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from agent.charging.facts import Sample
from agent.charging.ids import ReadingContext
from agent.charging.measurands import OUTLET
from agent.charging.metering import AlignedPeriod, poll_step_s, take_sample
from hal.ports import MeterReading

BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENDED = BEGUN + timedelta(minutes=15)
REGISTER, INTERVAL = "Energy.Active.Import.Register", "Energy.Active.Import.Interval"


def reading(energy_wh: float, power_w: float = 0.0) -> MeterReading:
    return MeterReading(
        0.0,
        energy_import_wh=energy_wh,
        energy_export_wh=7.0,
        power_w=power_w,
        voltage_v=(230.0, 231.0, 229.0),
        reactive_energy_import_varh=energy_wh / 10,
        reactive_energy_export_varh=0.0,
    )


def told(samples: tuple[Sample, ...]) -> dict[datetime, dict[str, float]]:
    return {sample.at: {value.measurand: value.value for value in sample.values} for sample in samples}


@pytest.mark.req("R16-160", "R16-161")
def test_a_period_is_stamped_with_its_start_and_the_register_with_its_own_time() -> None:
    period = AlignedPeriod(BEGUN)
    entries = (REGISTER, INTERVAL, "Power.Active.Import")
    for energy_wh, power_w in ((1000.9, 4000.0), (1400.0, 6000.0), (1800.2, 8000.0)):
        period.add(entries, reading(energy_wh, power_w), None, OUTLET)
    samples = period.samples(entries, reading(1800.2, 8000.0), ENDED, None, OUTLET)
    assert told(samples) == {
        BEGUN: {INTERVAL: 800.0, "Power.Active.Import": 6000.0},
        ENDED: {REGISTER: 1800.0},
    }


@pytest.mark.req("R16-160")
def test_intervals_add_up_to_what_the_register_says() -> None:
    registers = [1000.4, 1000.9, 1003.2, 1003.9, 1010.0]
    intervals = [
        take_sample(
            (INTERVAL,), reading(now), ENDED, ReadingContext.SAMPLE_PERIODIC, None, since=reading(before)
        )
        .values[0]
        .value
        for before, now in itertools.pairwise(registers)
    ]
    assert sum(intervals) == int(registers[-1]) - int(registers[0])


@pytest.mark.req("R16-160")
@pytest.mark.parametrize(
    ("entry", "value", "unit"),
    [
        (INTERVAL, 500.0, "Wh"),
        ("Energy.Active.Export.Interval", 0.0, "Wh"),
        ("Energy.Reactive.Import.Interval", 50.0, "varh"),
        ("Energy.Reactive.Export.Interval", 0.0, "varh"),
    ],
)
def test_every_register_has_its_interval(entry: str, value: float, unit: str) -> None:
    sample = take_sample(
        (entry,), reading(1500), ENDED, ReadingContext.SAMPLE_PERIODIC, None, since=reading(1000)
    )
    assert [(each.value, each.unit) for each in sample.values] == [(value, unit)]


@pytest.mark.req("R16-160")
def test_an_interval_without_a_beginning_is_left_out() -> None:
    sample = take_sample((INTERVAL,), reading(1500), ENDED, ReadingContext.TRIGGER, None)
    assert sample.values == ()


@pytest.mark.req("R16-161")
def test_each_phase_has_its_own_average() -> None:
    period = AlignedPeriod(BEGUN)
    for _ in range(3):
        period.add(("Voltage",), reading(0.0), None, OUTLET)
    (sample,) = period.samples(("Voltage.L2", "Voltage"), reading(0.0), ENDED, None, OUTLET)
    assert [(value.phase, value.value) for value in sample.values] == [
        ("L2-N", 231.0),
        ("L1-N", 230.0),
        ("L3-N", 229.0),
    ]


def test_a_period_may_be_one_sample_at_its_end() -> None:
    period = AlignedPeriod(BEGUN)
    for power_w in (1000.0, 3000.0):
        period.add(("Power.Active.Import",), reading(0.0, power_w=power_w), None, OUTLET)
    taken = period.samples(
        (REGISTER, "Power.Active.Import"), reading(1000.0), ENDED, None, OUTLET, stamps_start=False
    )
    assert told(taken) == {ENDED: {REGISTER: 1000.0, "Power.Active.Import": 2000.0}}


@pytest.mark.req("R16-161")
@pytest.mark.parametrize(
    ("entries", "interval_s", "step_s"),
    [
        ((REGISTER, INTERVAL), 900, None),
        ((), 900, None),
        (("Voltage",), 0, None),
        (("Voltage",), 900, 60.0),
        (("Voltage",), 300, 30.0),
        (("Voltage",), 5, 1.0),
    ],
)
def test_meters_are_read_in_between_only_for_an_average(
    entries: tuple[str, ...], interval_s: int, step_s: float | None
) -> None:
    assert poll_step_s(entries, interval_s) == step_s
