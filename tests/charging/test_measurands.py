"""The measurand table: names, phases, units, and that nothing is invented."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.measurands import (
    MEASURANDS,
    PHASES,
    Offer,
    canonical_entry,
    is_supported,
    select,
    split_entry,
)
from hal.ports import MeterReading

THREE_PHASES = MeterReading(
    at_time=0.0,
    energy_import_wh=12345.9,
    energy_export_wh=0.0,
    power_w=7000.04,
    voltage_v=(230.04, 231.0, 229.0),
    current_a=(10.0, 10.004, 9.9),
    power_phase_w=(2300.0, 2310.0, 2390.0),
    frequency_hz=50.01,
    power_factor=0.9876,
    temperature_c=31.0,
)
ONE_PHASE = MeterReading(
    0.0, 100.0, power_w=-500.0, voltage_v=(230.0, None, None), current_a=(2.2, None, None)
)
OFFER = Offer(16.0, 11040.0)


def values(entry: str, reading: MeterReading = THREE_PHASES) -> list[tuple[str | None, float]]:
    return [(value.phase, value.value) for value in select([entry], reading, OFFER)]


@pytest.mark.req("R16-155")
def test_all_phases_are_given() -> None:
    assert values("Voltage") == [("L1-N", 230.0), ("L2-N", 231.0), ("L3-N", 229.0)]
    assert values("Current.Import") == [("L1", 10.0), ("L2", 10.0), ("L3", 9.9)]
    assert values("Power.Active.Import")[0] == (None, 7000.0)
    assert len(values("Power.Active.Import")) == 4


@pytest.mark.req("R16-156")
@pytest.mark.parametrize(
    ("entry", "phase"), [("Voltage.L1", "L1-N"), ("voltage.l1-n", "L1-N"), ("Current.Import.L2", "L2")]
)
def test_phase_suffix_selects_that_phase_only(entry: str, phase: str) -> None:
    assert [found for found, _ in values(entry)] == [phase]


@pytest.mark.req("FIELD-42")
def test_what_the_meter_does_not_give_is_left_out() -> None:
    assert values("Voltage", ONE_PHASE) == [("L1-N", 230.0)]
    assert values("Voltage.L2", ONE_PHASE) == []
    assert values("Frequency", ONE_PHASE) == []


def test_direction_of_power() -> None:
    assert values("Power.Active.Import", ONE_PHASE) == [(None, 0.0)]
    assert values("Power.Active.Export", ONE_PHASE) == [(None, 500.0)]


@pytest.mark.req("R16-150")
def test_empty_list_means_the_energy_register_in_whole_wh() -> None:
    (value,) = select((), THREE_PHASES)
    assert (value.measurand, value.value, value.unit) == ("Energy.Active.Import.Register", 12345.0, "Wh")


@pytest.mark.req("R16-163")
def test_offered_values_are_what_is_offered_and_frequency_is_hertz() -> None:
    assert values("Current.Offered") == [(None, 16.0)]
    assert values("Power.Offered") == [(None, 11040.0)]
    assert select(["Current.Offered"], THREE_PHASES, None) == ()
    assert select(["Frequency"], THREE_PHASES)[0].unit == "Hz"


def test_place_of_the_main_meter_and_of_the_temperature() -> None:
    found = select(["Voltage.L1", "Temperature"], THREE_PHASES, None, "Inlet")
    assert [value.location for value in found] == ["Inlet", "Body"]


def test_overlapping_entries_give_each_value_once() -> None:
    assert len(select(["Voltage", "Voltage.L1", "Voltage.L1-N"], THREE_PHASES)) == 3


def test_all_measurands_of_ocpp_are_known() -> None:
    assert len(MEASURANDS) == 22
    for name in MEASURANDS:
        assert split_entry(name.upper()) == (name, None)
    for wrong in ("", "Voltage.", "Voltage.L4", "Nonsense", ".L1"):
        with pytest.raises(ValueError, match="unknown measurand"):
            split_entry(wrong)


@pytest.mark.req("R16-157")
def test_supported_is_what_a_meter_gives() -> None:
    assert is_supported("Frequency", [ONE_PHASE, THREE_PHASES])
    assert not is_supported("Frequency", [ONE_PHASE])
    assert not is_supported("Voltage.L3", [ONE_PHASE])
    assert is_supported("Frequency", [])
    assert is_supported("Current.Offered", [ONE_PHASE])
    assert not is_supported("SoC", [])
    assert not is_supported("Nonsense", [])


@given(st.sampled_from(sorted(MEASURANDS)), st.sampled_from([None, *PHASES]))
def test_entries_round_trip_and_select_only_what_they_name(name: str, phase: str | None) -> None:
    entry = name if phase is None else f"{name}.{phase}"
    assert split_entry(entry) == (name, phase)
    for value in select([entry], THREE_PHASES, OFFER):
        assert value.measurand == name
        assert phase is None or value.phase in (phase, f"{phase}-N")
    if MEASURANDS[name].take is not None:
        assert canonical_entry(entry.lower()) == entry
