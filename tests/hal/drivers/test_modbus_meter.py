"""Modbus meters: each shipped profile against a register dump, and readings that cannot be true."""

import asyncio
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hal.bus.modbus import ModbusBus
from hal.bus.register_map import MeterProfile
from hal.bus.serial_port import SerialPort
from hal.drivers.modbus_meter import ModbusMeter, RegisterWatch, is_plausible, load_profile, profile_names
from hal.errors import DeviceTimeout, OutOfRange
from hal.ports import MeterReading
from hal.sim.modbus_meters import ModbusMeters, PlayedMeter, serve_on_tcp
from tests.helpers.links import MemoryLine
from tests.helpers.modbus_unit import SILENT, ModbusUnits

DUMPS = Path(__file__).parents[2] / "data" / "meters"


def read_dump(model: str) -> tuple[dict[tuple[int, int], int], dict[str, Any]]:
    """(function, address) -> register, and the reading that stands beside them."""
    table = tomllib.loads((DUMPS / f"{model}.toml").read_text())
    registers: dict[tuple[int, int], int] = {}
    for line in table["dump"].split("\n"):
        place, _, words = line.partition(":")
        if words:
            function, address = int(place.split()[0]), int(place.split()[1], 16)
            for offset, word in enumerate(words.split()):
                registers[function, address + offset] = int(word, 16)
    return registers, table["expected"]


def meter_on(registers: dict[tuple[int, int], int], profile: MeterProfile) -> tuple[ModbusMeter, ModbusUnits]:
    line = MemoryLine()
    units = ModbusUnits(line, lambda unit, function, address: registers.get((function, address)))
    return ModbusMeter(ModbusBus(line, profile.line), profile, profile.unit), units


def test_every_shipped_model_has_a_golden_dump() -> None:
    assert profile_names() == tuple(sorted(path.stem for path in DUMPS.glob("*.toml")))
    families = (
        "b23 b24 bsm_ws36a dvh4013 em24 em340 em580 iem3155 pac2200 sdm120 sdm230 sdm630 sdm72dm sdm72dm_v2"
    )
    assert profile_names() == (*families.split(), "we504", "we516", "wm3m4")


@pytest.mark.parametrize("model", profile_names())
async def test_a_golden_dump_gives_the_reading_beside_it(model: str) -> None:
    registers, expected = read_dump(model)
    meter, _ = meter_on(registers, load_profile(model))
    reading = await meter.read()
    assert meter.name == expected.pop("name")
    assert meter.serial_number == expected.pop("serial_number", None)
    for field in MeterReading.__dataclass_fields__:
        if field in ("at_time", "quality"):
            continue
        got = getattr(reading, field)
        wanted = expected.pop(field, [] if isinstance(got, tuple) else None)
        if isinstance(wanted, list):
            wanted = tuple((wanted + [None] * 3)[:3])
            assert got == tuple(None if one is None else pytest.approx(one) for one in wanted), field
        else:
            assert got == (None if wanted is None else pytest.approx(wanted)), field
    assert expected == {}


@pytest.mark.parametrize("model", profile_names())
async def test_no_request_is_larger_than_the_meter_allows(model: str) -> None:
    registers, _ = read_dump(model)
    meter, units = meter_on(registers, load_profile(model))
    await meter.read()
    limit = {"em24": 11, "em340": 50, "em580": 50, "sdm230": 60}.get(model, 80)
    assert max(count for _, _, _, count in units.requests) <= limit


async def test_the_serial_number_is_asked_for_once_and_a_refusal_is_no_fault() -> None:
    registers, _ = read_dump("sdm630")
    del registers[3, 0xFC00]
    meter, units = meter_on(registers, load_profile("sdm630"))
    for _ in range(3):
        assert (await meter.read()).quality == "ok"
    assert meter.serial_number is None
    assert [request[1] for request in units.requests].count(3) == 1


async def test_a_meter_that_keeps_silent_about_its_serial_number_is_still_read() -> None:
    registers, _ = read_dump("sdm630")
    meter, units = meter_on(registers, load_profile("sdm630"))
    units.delays = iter((0.0, SILENT))
    for _ in range(3):
        assert (await meter.read()).energy_import_wh == pytest.approx(12873451)


async def test_a_reading_is_as_old_as_its_first_block() -> None:
    registers, _ = read_dump("em340")
    meter, units = meter_on(registers, load_profile("em340"))
    await meter.read()
    units.delays = iter((0.1, 0.7, 0.7))
    begin = asyncio.get_running_loop().time()
    reading = await meter.read()
    assert reading.at_time == pytest.approx(begin + 0.1, abs=0.02)


async def test_half_a_reading_is_no_reading() -> None:
    registers, _ = read_dump("em340")
    meter, units = meter_on(registers, load_profile("em340"))
    units.delays = iter((0.0, 0.0, SILENT))
    with pytest.raises(DeviceTimeout):
        await meter.read()


@pytest.mark.real_time
async def test_a_simulated_meter_is_read_through_real_frames_on_a_socket() -> None:
    taken = MeterReading(at_time=0.0, energy_import_wh=1500.0, power_w=7400.0, voltage_v=(230.0, None, None))
    profile = load_profile("sdm630")
    server = await serve_on_tcp(ModbusMeters({3: PlayedMeter(profile, lambda: taken, "99")}))
    bus = ModbusBus(SerialPort(f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"), profile.line)
    try:
        meter = ModbusMeter(bus, profile, 3)
        reading = await meter.read()
        assert (reading.energy_import_wh, reading.power_w) == (1500.0, 7400.0)
        assert reading.voltage_v == (230.0, None, None)
        assert meter.serial_number == "99"
    finally:
        bus.close()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)


# ---- plausibility of the register


def reading(at_time: float, energy_wh: float | None) -> MeterReading:
    return MeterReading(at_time=at_time, energy_import_wh=energy_wh)


@pytest.mark.parametrize(
    ("seconds", "wh", "plausible"),
    [
        (3600, 11_000, True),
        (3600, 0, True),
        (3600, -1, False),
        (3600, 11_000 * 1.2, True),
        (3600, 11_000 * 1.3, False),
        (1, 10, True),  # the smallest step of the register may fall into any second
        (1, 14, False),
        (0, 0, True),
    ],
)
def test_the_register_may_move_as_fast_as_the_installation_can_draw(
    seconds: float, wh: float, plausible: bool
) -> None:
    before, after = reading(100, 5000), reading(100 + seconds, 5000 + wh)
    assert is_plausible(before, after, max_power_w=11_000, step_wh=10) is plausible


def test_a_wild_number_is_invalid_and_the_next_true_one_is_good_again() -> None:
    watch = RegisterWatch(max_power_w=22_000, step_wh=1)
    qualities = [
        watch.judged(reading(second, wh)).quality
        for second, wh in enumerate([1000, 1003, 900, 1009, 4_000_000, 1012, None, 1015])
    ]
    assert qualities == ["ok", "ok", "invalid", "ok", "invalid", "ok", "invalid", "ok"]


def test_a_replaced_meter_is_accepted_once_its_readings_agree() -> None:
    watch = RegisterWatch(max_power_w=22_000, step_wh=1)
    watch.judged(reading(0, 1_000_000))
    qualities = [watch.judged(reading(second, second)).quality for second in range(1, 8)]
    assert qualities == ["invalid"] * 4 + ["ok"] * 3


# ---- profiles


def test_a_profile_may_be_a_file_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        'vendor = "Own"\nmodel = "X"\nphases = 1\nenergy_step_wh = 1\n[line]\nbaudrate = 9600\n'
        "[[blocks]]\nfunction = 4\naddress = 0\ncount = 2\n"
        '[blocks.values]\npower = { at = 0, type = "f32", unit = "kW" }\n'
    )
    assert load_profile(str(own)).name == "Own X"
    for missing in (str(tmp_path / "none.toml"), "sdm9000"):
        with pytest.raises(OutOfRange, match=r"sdm9000|No such file"):
            load_profile(missing)
    own.write_text("vendor = ")
    with pytest.raises(OutOfRange, match=r"own\.toml"):
        load_profile(str(own))
