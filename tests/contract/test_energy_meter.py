"""What every `EnergyMeter` promises, whatever it is made of: one suite over each implementation.

The simulated meter straight on a reading, and the Modbus driver on a line that plays each shipped model.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from hal.bus.modbus import LATE_LIMIT_S, ModbusBus
from hal.drivers.modbus_meter import ModbusMeter, load_profile, profile_names
from hal.errors import DeviceFault, DeviceTimeout, HalError, OutOfRange
from hal.ports import EnergyMeter, MeterReading
from hal.sim.meter import SimulatedMeter
from hal.sim.modbus_meters import ModbusMeterLine, ModbusMeters, PlayedMeter

FULL_CHARGE = MeterReading(
    at_time=0.0,
    energy_import_wh=12_873_400.0,
    energy_export_wh=300.0,
    power_w=11_040.0,
    voltage_v=(230.0, 231.0, 229.0),
    current_a=(16.0, 15.9, 16.1),
    power_phase_w=(3680.0, 3670.0, 3690.0),
    frequency_hz=50.0,
    power_factor=0.98,
)


class Bench:
    """A meter under test and the electricity that it measures."""

    def __init__(self) -> None:
        self.now = FULL_CHARGE
        self.is_silent = False
        self.gives: frozenset[str] = frozenset({"voltage_l1", "current_l1", "frequency"})
        self.tells_serial_number = True
        self.register = (4, 0)
        """Function and address of two registers that the meter has."""
        self.meter: EnergyMeter
        self.close: Callable[[], None] = lambda: None

    def take_reading(self) -> MeterReading:
        return replace(self.now, at_time=asyncio.get_running_loop().time())


class _SilencedLine(ModbusMeterLine):
    def __init__(self, bench: Bench, meters: ModbusMeters) -> None:
        super().__init__(meters)
        self._bench = bench

    def write(self, octets: bytes) -> None:
        if not self._bench.is_silent:
            super().write(octets)


@pytest.fixture(params=["sim", *profile_names()])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    bench = Bench()
    if request.param == "sim":
        simulated = SimulatedMeter(bench.take_reading, "4711")
        bench.meter = simulated
    else:
        profile = load_profile(request.param)
        line = _SilencedLine(bench, ModbusMeters({5: PlayedMeter(profile, bench.take_reading, "4711")}))
        bus = ModbusBus(line, profile.line)
        bench.meter = ModbusMeter(bus, profile, 5)
        bench.gives = profile.measurands
        bench.tells_serial_number = profile.serial_number is not None
        bench.register = (profile.blocks[0].function, profile.blocks[0].address)
        bench.close = bus.close
    yield bench
    bench.close()


def silence(bench: Bench) -> None:
    bench.is_silent = True
    if isinstance(bench.meter, SimulatedMeter):
        bench.meter.failure = DeviceTimeout("silent")


def speak(bench: Bench) -> None:
    bench.is_silent = False
    if isinstance(bench.meter, SimulatedMeter):
        bench.meter.failure = None


async def test_a_reading_is_in_si_units(bench: Bench) -> None:
    reading = await bench.meter.read()
    assert reading.energy_import_wh == pytest.approx(12_873_400, rel=1e-6)
    assert reading.power_w == pytest.approx(11_040)
    assert reading.voltage_v[0] == (pytest.approx(230) if "voltage_l1" in bench.gives else None)
    assert reading.current_a[0] == (pytest.approx(16) if "current_l1" in bench.gives else None)
    assert reading.frequency_hz == (pytest.approx(50) if "frequency" in bench.gives else None)
    assert reading.quality == "ok"


async def test_a_reading_is_taken_after_it_was_asked_for(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    await bench.meter.read()
    await asyncio.sleep(3)
    bench.now = replace(bench.now, power_w=0.0, current_a=(0.0, 0.0, 0.0))
    asked_time = loop.time()
    reading = await bench.meter.read()
    assert asked_time <= reading.at_time <= loop.time()
    assert reading.power_w == 0.0


async def test_what_the_meter_does_not_give_is_none_and_not_zero(bench: Bench) -> None:
    reading = await bench.meter.read()
    assert reading.temperature_c is None
    if bench.meter.name == "Eastron SDM120":
        assert reading.voltage_v[1:] == (None, None)
        assert reading.current_a[1:] == (None, None)


async def test_the_register_follows_the_energy(bench: Bench) -> None:
    before = await bench.meter.read()
    await asyncio.sleep(3600)
    bench.now = replace(bench.now, energy_import_wh=12_873_400.0 + 11_000)
    after = await bench.meter.read()
    assert before.energy_import_wh is not None
    assert after.energy_import_wh == pytest.approx(before.energy_import_wh + 11_000, abs=1.0)
    assert after.quality == "ok"


async def test_a_silent_meter_is_an_error_and_never_an_old_number(bench: Bench) -> None:
    await bench.meter.read()
    silence(bench)
    for _ in range(3):
        with pytest.raises(HalError):
            await bench.meter.read()
    speak(bench)
    bench.now = replace(bench.now, power_w=7.0)
    await asyncio.sleep(LATE_LIMIT_S + 1)  # so long a late answer is reckoned with
    assert (await bench.meter.read()).power_w == pytest.approx(7)


async def test_model_and_serial_number_are_known_after_a_reading(bench: Bench) -> None:
    await bench.meter.read()
    assert bench.meter.name
    assert bench.meter.serial_number == ("4711" if bench.tells_serial_number else None)


async def test_service_reads_raw_registers_within_limits(bench: Bench) -> None:
    words = await bench.meter.read_registers(*bench.register, 2)
    assert len(words) == 2
    assert all(0 <= word <= 0xFFFF for word in words)
    for function, count in ((3, 0), (3, 33), (6, 1), (16, 2)):
        with pytest.raises(OutOfRange):
            await bench.meter.read_registers(function, bench.register[1], count)
    with pytest.raises(DeviceFault):
        await bench.meter.read_registers(4, 0x7777, 2)
