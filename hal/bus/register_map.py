"""What stands where in a meter's Modbus registers: a meter as data, read from TOML, and the conversion to SI.

Pure: no bus, no clock. The units of a meter (kWh, kW, kvarh, tenths and hundredths) end here; everything
above sees W, Wh, V, A, var, varh, Hz. Used by hal.drivers.modbus_meter to decode and by hal.sim.meter to play
a meter. The shape of the TOML is taught in docs/hardware.md; the meters are in hal/drivers/meters.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, get_args

from hal.bus.modbus import MAX_REGISTERS, READ_HOLDING, READ_INPUT, ReadFunction
from hal.bus.serial_port import LineSettings
from hal.errors import OutOfRange
from hal.ports import MeterReading, PerPhase

RegisterType = Literal["u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64"]
WordOrder = Literal["ABCD", "CDAB"]
"""ABCD: high word first. CDAB: low word first. The bytes inside a word are always high first."""

MEASURANDS: Final = (
    "energy_import",
    "energy_export",
    "power",
    "power_l1",
    "power_l2",
    "power_l3",
    "voltage_l1",
    "voltage_l2",
    "voltage_l3",
    "current_l1",
    "current_l2",
    "current_l3",
    "frequency",
    "power_factor",
    "temperature",
    "reactive_power",
    "reactive_energy_import",
    "reactive_energy_export",
)

UNITS: Final[Mapping[str, tuple[str, int]]] = {
    "V": ("voltage", 1),
    "A": ("current", 1),
    "W": ("power", 1),
    "kW": ("power", 1000),
    "Wh": ("energy", 1),
    "kWh": ("energy", 1000),
    "var": ("reactive_power", 1),
    "kvar": ("reactive_power", 1000),
    "varh": ("reactive_energy", 1),
    "kvarh": ("reactive_energy", 1000),
    "Hz": ("frequency", 1),
    "C": ("temperature", 1),
    "1": ("power_factor", 1),
}
"""Unit -> the kind of measurand that has it, and how many of the SI unit it is."""


@dataclass(frozen=True, slots=True)
class RegisterValue:
    """One number: where it stands, how it is written, what it is worth. SI = raw * factor / divide."""

    measurand: str
    address: int
    type: RegisterType
    factor: int
    divide: int
    low_word_first: bool
    invalid: frozenset[int]
    """Raw values that mean "not available"."""

    @property
    def count(self) -> int:
        return int(self.type[1:]) // 16

    def decode(self, words: Sequence[int]) -> float | None:
        """SI value of `count` registers; None where the meter says that it has none."""
        octets = struct.pack(f">{self.count}H", *(reversed(words) if self.low_word_first else words))
        if self.type[0] == "f":
            real: float = struct.unpack(">f" if self.count == 2 else ">d", octets)[0]
            if not math.isfinite(real):
                return None
            return float(_meant(real, is_single=self.count == 2) * self.factor / self.divide)
        raw = int.from_bytes(octets, "big", signed=self.type[0] == "s")
        return None if raw in self.invalid else raw * self.factor / self.divide

    def encode(self, value: float | None) -> tuple[int, ...]:
        """The registers that a meter shows for an SI value: what `decode` undoes."""
        if self.type[0] == "f":
            real = math.nan if value is None else value * self.divide / self.factor
            octets = struct.pack(">f" if self.count == 2 else ">d", real)
        else:
            is_signed = self.type[0] == "s"
            raw = _not_available(self.type) if value is None else round(value * self.divide / self.factor)
            octets = raw.to_bytes(2 * self.count, "big", signed=is_signed)
        words = struct.unpack(f">{self.count}H", octets)
        return tuple(reversed(words)) if self.low_word_first else words


@dataclass(frozen=True, slots=True)
class RegisterBlock:
    """Registers that are read in one request, and the values in them."""

    function: ReadFunction
    address: int
    count: int
    values: tuple[RegisterValue, ...]


@dataclass(frozen=True, slots=True)
class SerialNumberPlace:
    function: ReadFunction
    address: int
    count: int
    is_text: bool

    def decode(self, words: Sequence[int]) -> str | None:
        octets = struct.pack(f">{self.count}H", *words)
        if self.is_text:
            return octets.decode("ascii", "replace").strip(" \0\ufffd") or None
        number = int.from_bytes(octets, "big")
        return None if number in (0, (1 << 16 * self.count) - 1) else str(number)


@dataclass(frozen=True, slots=True)
class MeterProfile:
    """One model of meter."""

    vendor: str
    model: str
    phases: int
    line: LineSettings
    """As the meter comes from the factory."""
    unit: int
    energy_step_wh: float
    """Smallest step of the import register."""
    blocks: tuple[RegisterBlock, ...]
    serial_number: SerialNumberPlace | None

    @property
    def name(self) -> str:
        return f"{self.vendor} {self.model}"

    @property
    def measurands(self) -> frozenset[str]:
        return frozenset(value.measurand for block in self.blocks for value in block.values)

    def decode(self, registers: Sequence[Sequence[int]]) -> dict[str, float | None]:
        """Measurand -> SI value, from the registers of every block in order."""
        values: dict[str, float | None] = {}
        for block, words in zip(self.blocks, registers, strict=True):
            for value in block.values:
                offset = value.address - block.address
                values[value.measurand] = value.decode(words[offset : offset + value.count])
        return values


def _meant(real: float, is_single: bool) -> Decimal:
    """The shortest decimal that reads as this number: 47.126 kWh on the meter's display, not 47.1259994.

    Else a register in kWh would lose its last Wh where whole ones are cut off."""
    if is_single:
        for digits in (6, 7, 8):
            text = f"{real:.{digits}g}"
            if struct.unpack(">f", struct.pack(">f", float(text)))[0] == real:
                return Decimal(text)
    return Decimal(repr(real))


def _not_available(register_type: RegisterType) -> int:
    """The usual mark: all ones, or the largest number of a signed type."""
    bits = int(register_type[1:])
    return (1 << bits - 1) - 1 if register_type[0] == "s" else (1 << bits) - 1


def to_reading(values: Mapping[str, float | None], at_time: float) -> MeterReading:
    """A `MeterReading` of measurands in SI."""

    def per_phase(kind: str) -> PerPhase:
        return (values.get(f"{kind}_l1"), values.get(f"{kind}_l2"), values.get(f"{kind}_l3"))

    return MeterReading(
        at_time=at_time,
        energy_import_wh=values.get("energy_import"),
        energy_export_wh=values.get("energy_export"),
        power_w=values.get("power"),
        voltage_v=per_phase("voltage"),
        current_a=per_phase("current"),
        power_phase_w=per_phase("power"),
        frequency_hz=values.get("frequency"),
        power_factor=values.get("power_factor"),
        temperature_c=values.get("temperature"),
        reactive_power_var=values.get("reactive_power"),
        reactive_energy_import_varh=values.get("reactive_energy_import"),
        reactive_energy_export_varh=values.get("reactive_energy_export"),
    )


def from_reading(reading: MeterReading) -> dict[str, float | None]:
    """The measurands of a reading: what `to_reading` undoes."""
    values: dict[str, float | None] = {
        "energy_import": reading.energy_import_wh,
        "energy_export": reading.energy_export_wh,
        "power": reading.power_w,
        "frequency": reading.frequency_hz,
        "power_factor": reading.power_factor,
        "temperature": reading.temperature_c,
        "reactive_power": reading.reactive_power_var,
        "reactive_energy_import": reading.reactive_energy_import_varh,
        "reactive_energy_export": reading.reactive_energy_export_varh,
    }
    for index in range(3):
        values[f"voltage_l{index + 1}"] = reading.voltage_v[index]
        values[f"current_l{index + 1}"] = reading.current_a[index]
        values[f"power_l{index + 1}"] = reading.power_phase_w[index]
    return values


def parse_profile(table: Mapping[str, Any], source: str) -> MeterProfile:
    """The profile in a parsed TOML document. Raises OutOfRange naming `source` and what is wrong in it."""
    try:
        return _parse_profile(table)
    except KeyError as error:
        raise OutOfRange(f"{source}: {error.args[0]} is missing") from error
    except (TypeError, ValueError, AttributeError, OutOfRange) as error:
        raise OutOfRange(f"{source}: {error}") from error


def _parse_profile(table: Mapping[str, Any]) -> MeterProfile:
    _refuse_unknown(
        table,
        "vendor model phases word_order max_registers energy_step_wh unit line blocks serial_number",
        "the meter",
    )
    low_word_first = _one_of(table.get("word_order", "ABCD"), get_args(WordOrder), "word_order") == "CDAB"
    max_registers = table.get("max_registers", MAX_REGISTERS)
    blocks = tuple(_parse_block(block, low_word_first, max_registers) for block in table["blocks"])
    names = [value.measurand for block in blocks for value in block.values]
    if len(names) != len(set(names)):
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} is given twice")
    place = table.get("serial_number")
    return MeterProfile(
        vendor=table["vendor"],
        model=table["model"],
        phases=_one_of(table["phases"], (1, 2, 3), "phases"),
        line=LineSettings(**table["line"]),
        unit=table.get("unit", 1),
        energy_step_wh=float(table["energy_step_wh"]),
        blocks=blocks,
        serial_number=None if place is None else _parse_serial_number(place),
    )


def _parse_block(table: Mapping[str, Any], low_word_first: bool, max_registers: int) -> RegisterBlock:
    _refuse_unknown(table, "function address count values", "a block")
    address, count = table["address"], table["count"]
    function: ReadFunction = _one_of(table["function"], (READ_HOLDING, READ_INPUT), "function")
    if not 1 <= count <= min(max_registers, MAX_REGISTERS):
        raise ValueError(f"block 0x{address:04X}: {count} registers, the meter gives at most {max_registers}")
    values = tuple(_parse_value(name, value, low_word_first) for name, value in table["values"].items())
    for value in values:
        if not address <= value.address <= address + count - value.count:
            raise ValueError(
                f"{value.measurand} at 0x{value.address:04X} is outside its block 0x{address:04X}"
            )
    return RegisterBlock(function, address, count, values)


def _parse_value(name: str, table: Mapping[str, Any], low_word_first: bool) -> RegisterValue:
    _refuse_unknown(table, "at type unit divide invalid", name)
    measurand = _one_of(name, MEASURANDS, "measurand")
    register_type: RegisterType = _one_of(table["type"], get_args(RegisterType), f"{name}: type")
    kind, factor = UNITS[_one_of(table["unit"], tuple(UNITS), f"{name}: unit")]
    if measurand.removesuffix("_import").removesuffix("_export").split("_l")[0] != kind:
        raise ValueError(f"{name}: {table['unit']} is the unit of {kind}")
    return RegisterValue(
        measurand=measurand,
        address=table["at"],
        type=register_type,
        factor=factor,
        divide=table.get("divide", 1),
        low_word_first=low_word_first,
        invalid=frozenset(table.get("invalid", (_not_available(register_type),))),
    )


def _parse_serial_number(table: Mapping[str, Any]) -> SerialNumberPlace:
    _refuse_unknown(table, "function at count type", "serial_number")
    is_text = _one_of(table["type"], ("number", "text"), "serial_number: type") == "text"
    function: ReadFunction = _one_of(table["function"], (READ_HOLDING, READ_INPUT), "serial_number: function")
    return SerialNumberPlace(function, table["at"], table["count"], is_text)


def _one_of(value: Any, allowed: tuple[Any, ...], what: str) -> Any:
    if value not in allowed:
        raise ValueError(f"{what}: {value!r} is not one of {', '.join(map(str, allowed))}")
    return value


def _refuse_unknown(table: Mapping[str, Any], known: str, where: str) -> None:
    unknown = sorted(set(table) - set(known.split()))
    if unknown:
        raise ValueError(f"{where}: unknown key {', '.join(unknown)}")
