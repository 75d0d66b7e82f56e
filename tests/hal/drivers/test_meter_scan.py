"""Which meters answer on a line: each shipped model is found, told apart where it can be, and nothing is made up."""

from dataclasses import replace

import pytest

from hal.bus.serial_port import LineSettings
from hal.commissioning import common_units, lines_to_try, scan
from hal.drivers.meter_scan import is_mains, line_settings_to_try
from hal.drivers.modbus_meter import load_profile, profile_names
from hal.errors import DeviceMissing
from hal.ports import MeterReading
from hal.sim.modbus_meters import ModbusMeterLine, ModbusMeters, PlayedMeter
from tests.helpers.links import MemoryLine
from tests.helpers.modbus_unit import ModbusUnits

SHOWN = MeterReading(
    at_time=0.0,
    energy_import_wh=1_234_500.0,
    energy_export_wh=0.0,
    power_w=7360.0,
    voltage_v=(230.0, 231.0, 229.0),
    current_a=(32.0, 0.0, 0.0),
    power_phase_w=(7360.0, 0.0, 0.0),
    frequency_hz=50.0,
    power_factor=1.0,
)
NINE_SIX = LineSettings(9600)


class WrongSpeed(MemoryLine):
    """Nobody understands."""


def line_with(meters: dict[int, str], speed: LineSettings) -> object:
    """Opens the line at any speed; the meters are heard at theirs only."""

    def open_stream(line: LineSettings) -> MemoryLine | ModbusMeterLine:
        if line != speed:
            return WrongSpeed()
        played = {
            unit: PlayedMeter(load_profile(name), lambda: SHOWN, f"{unit}") for unit, name in meters.items()
        }
        return ModbusMeterLine(ModbusMeters(played))

    return open_stream


@pytest.mark.parametrize("model", profile_names())
async def test_every_model_is_found_at_its_factory_settings(model: str) -> None:
    profile = load_profile(model)
    opener = line_with({profile.unit: model}, profile.line)
    (found,) = await scan("memory", common_units(), lines_to_try(), open_stream=opener)  # type: ignore[arg-type]
    assert (found.unit, found.line) == (profile.unit, profile.line)
    models = [candidate.model for candidate in found.candidates]
    assert model in models
    if profile.identity is not None:
        assert models[0] == model or load_profile(models[0]).identity == profile.identity
        assert found.candidates[0].is_certain
    assert found.candidates[0].reading.power_w == pytest.approx(7360)


async def test_families_with_one_map_are_told_apart_by_what_the_meter_says() -> None:
    opener = line_with({1: "sdm120", 2: "sdm230", 3: "sdm630", 4: "sdm72dm_v2"}, NINE_SIX)
    found = await scan("memory", range(1, 6), [NINE_SIX], open_stream=opener)  # type: ignore[arg-type]
    assert [(one.unit, one.candidates[0].model) for one in found] == [
        (1, "sdm120"),
        (2, "sdm230"),
        (3, "sdm630"),
        (4, "sdm72dm_v2"),
    ]
    assert [one.candidates[0].serial_number for one in found] == ["1", "2", "3", "4"]
    assert any(candidate.is_doubtful for candidate in found[0].candidates[1:])


async def test_a_meter_at_another_speed_is_found_there_and_asked_once() -> None:
    opener = line_with({7: "sdm630"}, LineSettings(19200, "E"))
    tried: list[tuple[int, int]] = []
    found = await scan(
        "memory",
        [7],
        lines_to_try(),
        lambda line, unit: tried.append((line.baudrate, unit)),
        open_stream=opener,  # type: ignore[arg-type]
    )
    assert [(one.unit, one.line.baudrate) for one in found] == [(7, 19200)]
    assert tried[-1][0] == 19200, "who was found is not asked again at other speeds"


async def test_a_device_that_is_no_meter_is_named_and_not_guessed() -> None:
    line = MemoryLine()
    ModbusUnits(line, lambda unit, function, address: 0 if unit == 5 else None)
    found = await scan("memory", [5], [NINE_SIX], open_stream=lambda settings: line)
    assert [(one.unit, one.candidates) for one in found] == [(5, ())]


async def test_an_empty_line_gives_nothing_and_a_missing_port_is_an_error() -> None:
    assert await scan("memory", [1, 2], [NINE_SIX], open_stream=lambda settings: MemoryLine()) == []
    line = MemoryLine()
    line.is_plugged = False
    with pytest.raises(DeviceMissing):
        await scan("memory", [1], [NINE_SIX], open_stream=lambda settings: line)


def test_the_lines_to_try_are_those_of_new_meters_the_most_common_first() -> None:
    lines = line_settings_to_try(load_profile(name) for name in profile_names())
    assert lines[0] == NINE_SIX
    assert len(lines) == len(set(lines))
    assert {load_profile(name).line for name in profile_names()} == set(lines)
    assert lines_to_try(baud_rate=4800, parity="even", stop_bits=1) == (LineSettings(4800, "E"),)
    assert {42, 33, 126} < set(common_units())


@pytest.mark.parametrize(
    ("changes", "plausible"),
    [
        ({}, True),
        ({"voltage_v": (230.0, 0.0, 0.0)}, True),
        ({"voltage_v": (0.0, 0.0, 0.0)}, False),
        ({"voltage_v": (230.0, 6500.0, 230.0)}, False),
        ({"frequency_hz": 0.0}, False),
        ({"frequency_hz": None}, False),
        ({"power_w": 1e9}, False),
        ({"power_w": None}, False),
        ({"energy_import_wh": -5.0}, False),
        ({"energy_import_wh": None}, False),
        ({"current_a": (1e9, 0.0, 0.0)}, False),
    ],
)
def test_numbers_of_mains(changes: dict[str, object], plausible: bool) -> None:
    measurands = load_profile("sdm630").measurands
    assert is_mains(replace(SHOWN, **changes), measurands) is plausible  # type: ignore[arg-type]


async def test_a_scan_writes_nothing() -> None:
    line = MemoryLine()
    units = ModbusUnits(line, lambda unit, function, address: 230)
    await scan("memory", [1], [NINE_SIX], open_stream=lambda settings: line)
    assert {function for _, function, _, _ in units.requests} <= {3, 4}
