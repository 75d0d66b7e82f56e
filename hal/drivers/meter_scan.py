"""Which meters answer on a line: for commissioning, before there is a configuration.

Tries line settings and unit addresses, and compares what answers with every profile: can all its blocks be read, do the
numbers look like mains, and does the identity that the meter tells fit? Several profiles may fit one meter: maps are
shared within families. Reads only. Called by hal.commissioning.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hal.bus.modbus import READ_HOLDING, READ_INPUT, ModbusBus
from hal.bus.register_map import MeterProfile, to_reading
from hal.bus.serial_port import LineSettings
from hal.errors import DeviceFault, DeviceProtocolError, DeviceTimeout, HalError
from hal.ports import MeterReading

MAINS_V: Final = (80.0, 300.0)
MAINS_HZ: Final = (45.0, 65.0)
MOST_A: Final = 6000.0
MOST_W: Final = 4_000_000.0
MOST_WH: Final = 1e12

Progress = Callable[[LineSettings, int], None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A profile that fits."""

    model: str
    """As the configuration names it."""
    profile: MeterProfile
    is_certain: bool
    """The meter says itself that it is this model."""
    is_doubtful: bool
    """The meter says itself that it is another one, though the numbers would fit."""
    reading: MeterReading
    serial_number: str | None


@dataclass(frozen=True, slots=True)
class FoundUnit:
    """Something that answers."""

    line: LineSettings
    unit: int
    candidates: tuple[Candidate, ...]
    """The best first; empty: a Modbus device that no profile describes."""


def line_settings_to_try(profiles: Iterable[MeterProfile]) -> tuple[LineSettings, ...]:
    """Those that meters have from the factory, the most common first."""
    lines = [profile.line for profile in profiles]
    return tuple(sorted(set(lines), key=lambda line: (-lines.count(line), line.baudrate, line.parity)))


async def scan_line(
    bus: ModbusBus,
    line: LineSettings,
    units: Sequence[int],
    profiles: Mapping[str, MeterProfile],
    on_progress: Progress = lambda line, unit: None,
) -> list[FoundUnit]:
    """Ask every unit. Raises DeviceMissing without the port."""
    found = []
    for unit in units:
        on_progress(line, unit)
        if await _answers(bus, unit):
            candidates = [await _compared(bus, unit, model, profile) for model, profile in profiles.items()]
            fitting = [candidate for candidate in candidates if candidate is not None]
            fitting.sort(key=lambda one: (not one.is_certain, one.is_doubtful, -_richness(one)))
            found.append(FoundUnit(line, unit, tuple(fitting)))
    return found


async def _answers(bus: ModbusBus, unit: int) -> bool:
    """A refusal is an answer, too. Raises DeviceMissing."""
    for function in (READ_INPUT, READ_HOLDING):
        try:
            await bus.read(unit, function, 0, 2)
        except DeviceFault:
            return True
        except (DeviceTimeout, DeviceProtocolError):
            continue
        return True
    return False


async def _compared(bus: ModbusBus, unit: int, model: str, profile: MeterProfile) -> Candidate | None:
    identity = profile.identity
    is_certain = is_doubtful = False
    if identity is not None:
        told = await _told(bus, unit, identity.place.function, identity.place.address, identity.place.count)
        text = None if told is None else identity.place.decode(told)
        is_certain = identity.fits(text)
        is_doubtful = text is not None and not is_certain
    if "voltage_l1" not in profile.measurands and not is_certain:
        return None  # power and energy may be zero, as in anything: nothing to tell it by
    blocks = []
    for block in profile.blocks:
        words = await _told(bus, unit, block.function, block.address, block.count)
        if words is None:
            return None
        blocks.append(words)
    reading = to_reading(profile.decode(blocks), 0.0)
    if not is_mains(reading, profile.measurands):
        return None
    place = profile.serial_number
    words = None if place is None else await _told(bus, unit, place.function, place.address, place.count)
    serial_number = None if place is None or words is None else place.decode(words)
    return Candidate(model, profile, is_certain, is_doubtful, reading, serial_number)


async def _told(bus: ModbusBus, unit: int, function: int, address: int, count: int) -> tuple[int, ...] | None:
    try:
        return await bus.read(unit, function, address, count)
    except HalError:
        return None


def is_mains(reading: MeterReading, measurands: frozenset[str]) -> bool:
    """Do the numbers look like what a meter on mains shows? One phase with voltage is enough; none is no meter."""
    low_v, high_v = MAINS_V
    voltages = [voltage for voltage in reading.voltage_v if voltage is not None]
    if "voltage_l1" in measurands and not any(low_v <= voltage <= high_v for voltage in voltages):
        return False
    if any(not 0 <= voltage <= high_v for voltage in voltages):
        return False
    if "frequency" in measurands and not _within(reading.frequency_hz, *MAINS_HZ):
        return False
    if any(current is not None and abs(current) > MOST_A for current in reading.current_a):
        return False
    if reading.power_w is None or abs(reading.power_w) > MOST_W:
        return False
    return _within(reading.energy_import_wh, 0.0, MOST_WH)


def _within(value: float | None, least: float, most: float) -> bool:
    return value is not None and least <= value <= most


def _richness(candidate: Candidate) -> int:
    """How much of what the profile promises the meter gave: a map that fits by chance gives less."""
    values = [candidate.reading.power_w, candidate.reading.frequency_hz, candidate.reading.power_factor]
    values += [*candidate.reading.voltage_v, *candidate.reading.current_a, *candidate.reading.power_phase_w]
    return sum(value is not None for value in values)
