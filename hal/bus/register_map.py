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

RegisterType = Literal["u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64", "u24e", "s24e"]
"""u24e and s24e: a power of ten in the first byte, then a number of three bytes (Iskra calls them T5 and T6)."""
SigningKind = Literal["em580", "wm3m4"]
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

SHOWN_EXPONENTS: Final[Mapping[str, int]] = {
    "voltage": -1,
    "current": -2,
    "power": 0,
    "energy": 0,
    "reactive_power": 0,
    "reactive_energy": 0,
    "frequency": -2,
    "temperature": -1,
    "power_factor": -3,
}
"""What a simulated meter shows where a real one has its own powers of ten."""


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
    minus: int | None = None
    """Where a number of the same kind stands that is taken from this one: import and export apart."""
    exponent_at: int | None = None
    """Where the power of ten stands (s16) that this number is multiplied with, as in SunSpec."""

    @property
    def count(self) -> int:
        return 2 if self.type in ("u24e", "s24e") else int(self.type[1:]) // 16

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Address and count of everything that has to be read for it."""
        found = [(self.address, self.count)]
        if self.minus is not None:
            found.append((self.minus, self.count))
        if self.exponent_at is not None:
            found.append((self.exponent_at, 1))
        return tuple(found)

    def take(self, words: Sequence[int], first: int) -> float | None:
        """SI value from a block of registers that begins at `first`."""

        def at(address: int, count: int) -> Sequence[int]:
            return words[address - first : address - first + count]

        value = self.decode(at(self.address, self.count))
        if self.minus is not None and value is not None:
            less = self.decode(at(self.minus, self.count))
            value = None if less is None else value - less
        if self.exponent_at is not None and value is not None:
            exponent = int.from_bytes(struct.pack(">H", *at(self.exponent_at, 1)), "big", signed=True)
            if not -10 <= exponent <= 10:
                return None  # SunSpec: -32768, not implemented
            value = float(Decimal(repr(value)).scaleb(exponent))
        return value

    def show(self, value: float | None) -> dict[int, int]:
        """Address -> register that a meter shows for an SI value: what `take` undoes."""
        shown: dict[int, int] = {}
        if self.exponent_at is not None:
            exponent = SHOWN_EXPONENTS[_kind_of(self.measurand)]
            shown[self.exponent_at] = exponent & 0xFFFF
            value = None if value is None else float(Decimal(repr(value)).scaleb(-exponent))
        if self.minus is not None:
            less = None if value is None else max(0.0, -value)
            value = None if value is None else max(0.0, value)
            shown.update(enumerate(self.encode(less), self.minus))
        shown.update(enumerate(self.encode(value), self.address))
        return shown

    def decode(self, words: Sequence[int]) -> float | None:
        """SI value of `count` registers; None where the meter says that it has none."""
        octets = struct.pack(f">{self.count}H", *(reversed(words) if self.low_word_first else words))
        if self.type[-1] == "e":
            number = int.from_bytes(octets[1:], "big", signed=self.type[0] == "s")
            exponent = int.from_bytes(octets[:1], "big", signed=True)
            return float(Decimal(number).scaleb(exponent) * self.factor / self.divide)
        if self.type[0] == "f":
            real: float = struct.unpack(">f" if self.count == 2 else ">d", octets)[0]
            if not math.isfinite(real):
                return None
            return float(_meant(real, is_single=self.count == 2) * self.factor / self.divide)
        raw = int.from_bytes(octets, "big", signed=self.type[0] == "s")
        return None if raw in self.invalid else raw * self.factor / self.divide

    def encode(self, value: float | None) -> tuple[int, ...]:
        """The registers that a meter shows for an SI value: what `decode` undoes."""
        if self.type[-1] == "e":
            octets = _with_exponent(0.0 if value is None else value * self.divide / self.factor)
        elif self.type[0] == "f":
            real = math.nan if value is None else value * self.divide / self.factor
            octets = struct.pack(">f" if self.count == 2 else ">d", real)
        else:
            is_signed = self.type[0] == "s"
            raw = self._none if value is None else round(value * self.divide / self.factor)
            octets = raw.to_bytes(2 * self.count, "big", signed=is_signed)
        words = struct.unpack(f">{self.count}H", octets)
        return tuple(reversed(words)) if self.low_word_first else words

    @property
    def _none(self) -> int:
        usual = _not_available(self.type)
        return usual if usual in self.invalid or not self.invalid else min(self.invalid)


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

    def encode(self, text: str) -> tuple[int, ...]:
        """The registers that a meter shows: what `decode` undoes; of a text that is no number its digits."""
        width = 2 * self.count
        if self.is_text:
            octets = text.encode("ascii", "replace")[:width].ljust(width, b"\0")
        else:
            digits = "".join(filter(str.isdigit, text)) or "0"
            octets = (int(digits) % (1 << 8 * width)).to_bytes(width, "big")
        return struct.unpack(f">{self.count}H", octets)


@dataclass(frozen=True, slots=True)
class Identity:
    """Registers by which a model can be told from others with the same map."""

    place: SerialNumberPlace
    known: tuple[str, ...]
    """What stands there: numbers exactly, texts by their beginning."""

    def fits(self, found: str | None) -> bool:
        if found is None:
            return False
        return any(found.startswith(one) if self.place.is_text else found == one for one in self.known)


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
    identity: Identity | None = None
    signing: SigningKind | None = None
    """How it signs readings, if it does: which driver of hal.drivers asks it to."""

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
                values[value.measurand] = value.take(words, block.address)
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


def _with_exponent(real: float) -> bytes:
    """Four bytes: a power of ten and three bytes of number."""
    for exponent in range(-6, 10):
        number = round(Decimal(repr(real)).scaleb(-exponent))
        if -(1 << 23) <= number < 1 << 23:
            return exponent.to_bytes(1, "big", signed=True) + number.to_bytes(3, "big", signed=True)
    raise OutOfRange(f"{real} does not fit")


def _not_available(register_type: RegisterType) -> int:
    """The usual mark: all ones, or the largest number of a signed type."""
    if register_type in ("u24e", "s24e"):
        return -1  # it has no such mark
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
        "vendor model phases word_order max_registers energy_step_wh unit line blocks serial_number"
        " identity signing",
        "the meter",
    )
    low_word_first = _one_of(table.get("word_order", "ABCD"), get_args(WordOrder), "word_order") == "CDAB"
    max_registers = table.get("max_registers", MAX_REGISTERS)
    blocks = tuple(_parse_block(block, low_word_first, max_registers) for block in table["blocks"])
    names = [value.measurand for block in blocks for value in block.values]
    if len(names) != len(set(names)):
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} is given twice")
    place, identity = table.get("serial_number"), table.get("identity")
    signing = table.get("signing")
    return MeterProfile(
        vendor=table["vendor"],
        model=table["model"],
        phases=_one_of(table["phases"], (1, 2, 3), "phases"),
        line=LineSettings(**table["line"]),
        unit=table.get("unit", 1),
        energy_step_wh=float(table["energy_step_wh"]),
        blocks=blocks,
        serial_number=None if place is None else _parse_serial_number(place, "serial_number"),
        identity=None if identity is None else _parse_identity(identity),
        signing=None if signing is None else _one_of(signing, get_args(SigningKind), "signing"),
    )


def _parse_block(table: Mapping[str, Any], low_word_first: bool, max_registers: int) -> RegisterBlock:
    _refuse_unknown(table, "function address count values", "a block")
    address, count = table["address"], table["count"]
    function: ReadFunction = _one_of(table["function"], (READ_HOLDING, READ_INPUT), "function")
    if not 1 <= count <= min(max_registers, MAX_REGISTERS):
        raise ValueError(f"block 0x{address:04X}: {count} registers, the meter gives at most {max_registers}")
    values = tuple(_parse_value(name, value, low_word_first) for name, value in table["values"].items())
    for value in values:
        for first, size in value.places:
            if not address <= first <= address + count - size:
                raise ValueError(f"{value.measurand} at 0x{first:04X} is outside its block 0x{address:04X}")
    return RegisterBlock(function, address, count, values)


def _parse_value(name: str, table: Mapping[str, Any], low_word_first: bool) -> RegisterValue:
    _refuse_unknown(table, "at type unit divide invalid minus exponent_at", name)
    measurand = _one_of(name, MEASURANDS, "measurand")
    register_type: RegisterType = _one_of(table["type"], get_args(RegisterType), f"{name}: type")
    kind, factor = UNITS[_one_of(table["unit"], tuple(UNITS), f"{name}: unit")]
    if _kind_of(measurand) != kind:
        raise ValueError(f"{name}: {table['unit']} is the unit of {kind}")
    return RegisterValue(
        measurand=measurand,
        address=table["at"],
        type=register_type,
        factor=factor,
        divide=table.get("divide", 1),
        low_word_first=low_word_first,
        invalid=frozenset(table.get("invalid", (_not_available(register_type),))),
        minus=table.get("minus"),
        exponent_at=table.get("exponent_at"),
    )


def _kind_of(measurand: str) -> str:
    return measurand.removesuffix("_import").removesuffix("_export").split("_l")[0]


def _parse_serial_number(table: Mapping[str, Any], where: str) -> SerialNumberPlace:
    _refuse_unknown(table, "function at count type", where)
    is_text = _one_of(table["type"], ("number", "text"), f"{where}: type") == "text"
    function: ReadFunction = _one_of(table["function"], (READ_HOLDING, READ_INPUT), f"{where}: function")
    return SerialNumberPlace(function, table["at"], table["count"], is_text)


def _parse_identity(table: Mapping[str, Any]) -> Identity:
    known = tuple(str(one) for one in table["known"])
    place = {name: value for name, value in table.items() if name != "known"}
    return Identity(_parse_serial_number(place, "identity"), known)


def _one_of(value: Any, allowed: tuple[Any, ...], what: str) -> Any:
    if value not in allowed:
        raise ValueError(f"{what}: {value!r} is not one of {', '.join(map(str, allowed))}")
    return value


def _refuse_unknown(table: Mapping[str, Any], known: str, where: str) -> None:
    unknown = sorted(set(table) - set(known.split()))
    if unknown:
        raise ValueError(f"{where}: unknown key {', '.join(unknown)}")
