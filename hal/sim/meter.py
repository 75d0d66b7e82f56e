"""The simulated meter: the `EnergyMeter` port straight on the simulated world, without a bus between.

Knows no world: it is given a function that takes a reading. hal/sim/modbus_meters.py plays the same electricity
through real Modbus frames. Built by hal.factory and by tests.
"""

import struct
from collections.abc import Callable

from hal.errors import DeviceFault, HalError, OutOfRange
from hal.ports import MeterReading

TakeReading = Callable[[], MeterReading]

SERVICE_REGISTERS = 32


class SimulatedMeter:
    """An `EnergyMeter` that reads the simulated world. `failure` is raised by every reading while it is set."""

    def __init__(self, take_reading: TakeReading, serial_number: str = "SIM-1") -> None:
        self._take_reading = take_reading
        self._serial_number = serial_number
        self.failure: HalError | None = None

    @property
    def name(self) -> str:
        return "Simulated meter"

    @property
    def serial_number(self) -> str | None:
        return self._serial_number

    async def read(self) -> MeterReading:
        if self.failure is not None:
            raise self.failure
        return self._take_reading()

    async def read_registers(self, function: int, address: int, count: int) -> tuple[int, ...]:
        """Two registers each from 0: Wh, W, then mV and mA of L1, L2, L3. Anything else is refused."""
        if function not in (3, 4) or not 1 <= count <= SERVICE_REGISTERS or address < 0:
            raise OutOfRange("functions 3 and 4 read 1 to 32 registers")
        reading = await self.read()
        values = [reading.energy_import_wh, reading.power_w]
        for phase in range(3):
            values += [_thousandths(reading.voltage_v[phase]), _thousandths(reading.current_a[phase])]
        octets = b"".join(struct.pack(">i", round(value or 0)) for value in values)
        words = struct.unpack(f">{len(octets) // 2}H", octets)
        if address + count > len(words):
            raise DeviceFault("illegal_data_address", f"registers 0 to {len(words) - 1} exist")
        return words[address : address + count]


def _thousandths(value: float | None) -> float | None:
    return None if value is None else value * 1000
