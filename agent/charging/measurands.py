"""THE measurand table: name, unit, place, phases, and how each is taken from a MeterReading.

Pure. A setting holds a list of entries such as "Voltage" or "Voltage.L1-N"; `select` turns the list and one
reading into values. What the meter does not give is left out, never sent as zero; energy is whole Wh of the raw
register, and an interval is the difference of two registers. Called by sampling and by the settings (which refuse what
cannot be measured). OCPP 1.6 7.31 and 9.1.17, errata 3.9, 3.78, 3.84; 2.0.1 MeasurandEnumType.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agent.charging.facts import SampledValue
from hal.ports import MeterReading, PerPhase

DEFAULT_ENTRY = "Energy.Active.Import.Register"
"""What an empty list stands for (R16-150)."""

OUTLET = "Outlet"
INLET = "Inlet"
"""Place of the main meter (R16-155)."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the EVSE offers the EV now: per-phase current in A, and the total power in W that this makes."""

    current_a: float
    power_w: float


PhasedValue: TypeAlias = tuple[str | None, float | None]
Take: TypeAlias = Callable[[MeterReading, Offer | None, MeterReading | None], Iterable[PhasedValue]]
"""(reading, what is offered, the reading at the start of the interval) -> values."""


@dataclass(frozen=True, slots=True)
class Measurand:
    name: str
    unit: str
    """Our name of the unit; a front end leaves out what its version does not know (Hz in 1.6)."""
    digits: int
    """Decimals that are reported."""
    take: Take | None
    """None: known to OCPP, but no meter of ours gives it."""
    location: str | None = None
    """Where it is always measured; None: where the meter sits."""


def _total(pick: Callable[[MeterReading], float | None]) -> Take:
    return lambda reading, _offer, _since: ((None, pick(reading)),)


def _interval(pick: Callable[[MeterReading], float | None]) -> Take:
    """The difference of two registers, each in whole units, so that intervals add up to what the register says."""

    def take(
        reading: MeterReading, _offer: Offer | None, since: MeterReading | None
    ) -> Iterator[PhasedValue]:
        now, before = pick(reading), None if since is None else pick(since)
        if now is not None and before is not None and now >= before:
            yield None, float(int(now) - int(before))

    return take


def _phases(values: PerPhase, suffix: str = "") -> Iterator[PhasedValue]:
    return ((f"L{number}{suffix}", value) for number, value in enumerate(values, 1))


def _part(value: float | None, sign: int) -> float | None:
    """The share of a signed value that flows in one direction; 0 when it flows in the other."""
    return None if value is None else max(0.0, value * sign)


def _power(sign: int) -> Take:
    def take(
        reading: MeterReading, _offer: Offer | None, _since: MeterReading | None
    ) -> Iterator[PhasedValue]:
        yield None, _part(reading.power_w, sign)
        for phase, value in _phases(reading.power_phase_w):
            yield phase, _part(value, sign)

    return take


def _current(sign: int) -> Take:
    def take(
        reading: MeterReading, _offer: Offer | None, _since: MeterReading | None
    ) -> Iterator[PhasedValue]:
        for number, (current_a, power_w) in enumerate(
            zip(reading.current_a, reading.power_phase_w, strict=True), 1
        ):
            power_w = reading.power_w if power_w is None else power_w
            yield f"L{number}", _directed(current_a, power_w, sign)

    return take


def _directed(current_a: float | None, power_w: float | None, sign: int) -> float | None:
    """Most meters give a current without its direction, which the power has. Without both nothing is exported."""
    if current_a is None:
        return None
    if power_w is None and current_a >= 0:
        return current_a if sign > 0 else None
    is_export = current_a < 0 or (power_w is not None and power_w < 0)
    return _part(-abs(current_a) if is_export else current_a, sign)


def _reactive_power(sign: int) -> Take:
    return lambda reading, _offer, _since: ((None, _part(reading.reactive_power_var, sign)),)


def _offered(pick: Callable[[Offer], float]) -> Take:
    return lambda _reading, offer, _since: ((None, None if offer is None else pick(offer)),)


_ROWS: tuple[Measurand, ...] = (
    Measurand("Energy.Active.Import.Register", "Wh", 0, _total(lambda reading: reading.energy_import_wh)),
    Measurand("Energy.Active.Export.Register", "Wh", 0, _total(lambda reading: reading.energy_export_wh)),
    Measurand(
        "Energy.Reactive.Import.Register", "varh", 0, _total(lambda read: read.reactive_energy_import_varh)
    ),
    Measurand(
        "Energy.Reactive.Export.Register", "varh", 0, _total(lambda read: read.reactive_energy_export_varh)
    ),
    Measurand("Energy.Active.Import.Interval", "Wh", 0, _interval(lambda reading: reading.energy_import_wh)),
    Measurand("Energy.Active.Export.Interval", "Wh", 0, _interval(lambda reading: reading.energy_export_wh)),
    Measurand(
        "Energy.Reactive.Import.Interval", "varh", 0, _interval(lambda read: read.reactive_energy_import_varh)
    ),
    Measurand(
        "Energy.Reactive.Export.Interval", "varh", 0, _interval(lambda read: read.reactive_energy_export_varh)
    ),
    Measurand("Power.Active.Import", "W", 1, _power(1)),
    Measurand("Power.Active.Export", "W", 1, _power(-1)),
    Measurand("Power.Reactive.Import", "var", 1, _reactive_power(1)),
    Measurand("Power.Reactive.Export", "var", 1, _reactive_power(-1)),
    Measurand("Power.Offered", "W", 1, _offered(lambda offer: offer.power_w)),
    Measurand("Power.Factor", "", 3, _total(lambda reading: reading.power_factor)),
    Measurand("Current.Import", "A", 2, _current(1)),
    Measurand("Current.Export", "A", 2, _current(-1)),
    Measurand("Current.Offered", "A", 2, _offered(lambda offer: offer.current_a)),
    Measurand("Voltage", "V", 1, lambda reading, _offer, _since: _phases(reading.voltage_v, "-N")),
    Measurand("Frequency", "Hz", 2, _total(lambda reading: reading.frequency_hz)),
    Measurand("Temperature", "Celsius", 1, _total(lambda reading: reading.temperature_c), "Body"),
    Measurand("SoC", "Percent", 1, None),
    Measurand("RPM", "", 0, None),
)
MEASURANDS: Mapping[str, Measurand] = {row.name: row for row in _ROWS}
PHASES = ("L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1")

_NAMES = {name.lower(): name for name in MEASURANDS}
_PHASE_NAMES = {phase.lower(): phase for phase in PHASES}
_WITHOUT_METER = frozenset({"Power.Offered", "Current.Offered"})


def is_register(entry: str) -> bool:
    """The state of a counter at one instant; everything else says something about a period (OCPP 1.6 9.1.5)."""
    return split_entry(entry)[0].endswith(".Register")


def is_interval(entry: str) -> bool:
    """Energy that flowed in a period."""
    return split_entry(entry)[0].endswith(".Interval")


def split_entry(entry: str) -> tuple[str, str | None]:
    """("Voltage", "L1-N") for "Voltage.L1-N", in the standard spelling. Raises ValueError when nobody knows it."""
    text = entry.strip().lower()
    if text in _NAMES:
        return _NAMES[text], None
    name, _dot, phase = text.rpartition(".")
    if name in _NAMES and phase in _PHASE_NAMES:
        return _NAMES[name], _PHASE_NAMES[phase]
    raise ValueError(f"unknown measurand {entry.strip()}")


def canonical_entry(entry: str) -> str:
    """The standard spelling of an entry. Raises ValueError for an unknown one or one no meter of ours gives."""
    name, phase = split_entry(entry)
    if MEASURANDS[name].take is None:
        raise ValueError(f"{name} is not measured here")
    return name if phase is None else f"{name}.{phase}"


def _is_wanted(phase: str | None, wanted: str | None) -> bool:
    """ "L1" asks for the value of phase 1, whether it is measured against N or not (R16-156)."""
    return wanted is None or phase == wanted or (phase is not None and phase.removesuffix("-N") == wanted)


def select(
    entries: Sequence[str],
    reading: MeterReading,
    offer: Offer | None = None,
    place: str = OUTLET,
    since: MeterReading | None = None,
) -> tuple[SampledValue, ...]:
    """The values that `entries` ask for, in their order, each once. An empty list asks for the energy register.

    `since`: the reading with which the interval of the interval measurands began; without it they are left out."""
    found: dict[tuple[str, str | None], SampledValue] = {}
    for entry in entries or (DEFAULT_ENTRY,):
        name, wanted = split_entry(entry)
        row = MEASURANDS[name]
        if row.take is None:
            continue
        for phase, value in row.take(reading, offer, since):
            if value is None or not _is_wanted(phase, wanted):
                continue
            found.setdefault(
                (name, phase),
                SampledValue(name, rounded(name, value), row.unit, phase, row.location or place),
            )
    return tuple(found.values())


def rounded(name: str, value: float) -> float:
    """To the decimals that are reported of this measurand; counters are cut, so that nothing is billed too early."""
    digits = MEASURANDS[name].digits
    return float(int(value)) if digits == 0 else round(value, digits)


def is_supported(entry: str, readings: Iterable[MeterReading]) -> bool:
    """May `entry` stand in a list? Yes if a reading holds a value for it; without any reading, if any meter could."""
    try:
        name, _phase = split_entry(canonical_entry(entry))
    except ValueError:
        return False
    known = tuple(readings)
    if name in _WITHOUT_METER or not known:
        return True
    return any(select((entry,), reading, since=reading) for reading in known)
