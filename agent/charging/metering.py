"""When a reading is due and what becomes of it: grids, the watch over a meter, the readings of a stop.

Pure; wall times are aware UTC, loop times monotonic seconds. `sampling.py` and `evse_runner.py` keep the timers and
touch the meters. OCPP 1.6 3.16, 4.7, 9.1.5, errata 3.14 to 3.16, 3.76, 3.78 (R16-146 to R16-167).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from agent.charging.facts import Sample, SampledValue
from agent.charging.ids import ReadingContext
from agent.charging.measurands import (
    DEFAULT_ENTRY,
    OUTLET,
    Offer,
    is_interval,
    is_register,
    rounded,
    select,
    split_entry,
)
from hal.ports import MeterReading

READ_TIMEOUT_S = 2.0
"""A meter that says nothing for this long is silent."""
MISSES_TO_FAULT = 3
REGISTER_NOTE_S = 30.0
"""How old the register on disk may get while charging."""
CAPPED_NOTE_S = 5.0
"""The same while the energy is counted against a limit."""
RETRY_S = 2.0
"""A silent meter is asked again after this, while a transaction needs it."""
FAULT_RETRY_S = 15.0
"""The same once it is a fault, or while nobody needs it."""
POLL_S = 60
"""Longest step of the readings of which an average is made."""
PLAUSIBLE_W = 100_000.0
"""No EVSE delivers more; a register that rises faster counts on another scale."""


def register_wh(reading: MeterReading | None) -> int | None:
    """The import register in whole Wh, rounded down; None when this reading holds none that may be billed."""
    if reading is None or reading.quality != "ok" or reading.energy_import_wh is None:
        return None
    return int(reading.energy_import_wh)


def next_aligned(now: datetime, interval_s: int) -> datetime:
    """The next instant on the grid that starts at 00:00:00 UTC each day (R16-148); strictly after `now`."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    passed = (now - midnight) // timedelta(seconds=interval_s) + 1
    return min(midnight + passed * timedelta(seconds=interval_s), midnight + timedelta(days=1))


def next_sample_time(started_time: float, now_time: float, interval_s: int) -> float:
    """Loop time of the next sample, counted from the start of the transaction (R16-146); strictly after now."""
    passed = int((now_time - started_time + 1e-6) // interval_s) + 1
    return started_time + passed * interval_s


def take_sample(
    entries: Sequence[str],
    reading: MeterReading,
    at: datetime,
    context: ReadingContext,
    offer: Offer | None,
    place: str = OUTLET,
    since: MeterReading | None = None,
) -> Sample:
    """One instant (R16-154). `since`: the reading at the start of the interval that ends with it (R16-160)."""
    return Sample(at, context, select(entries, reading, offer, place, since))


def with_register(reading: MeterReading, register: int | None) -> MeterReading:
    """The reading with the register of the transaction's book, which a meter that starts again does not set back."""
    return reading if register is None else replace(reading, energy_import_wh=float(register))


# --- the periods of clock-aligned readings -----------------------------------------------------------------


def poll_step_s(entries: Sequence[str], interval_s: int) -> float | None:
    """How often a meter is read between two instants of the grid, so that `entries` can be averaged. None: never."""
    if interval_s == 0 or all(is_register(entry) or is_interval(entry) for entry in entries):
        return None
    return float(max(1, min(POLL_S, interval_s // 10)))


@dataclass(slots=True)
class AlignedPeriod:
    """From one instant of the grid, or a part of it at the edges of a transaction, to the next (R16-161).

    Energy is accumulated, everything else averaged over what was read in it."""

    begun_at: datetime
    first: MeterReading | None = None
    """The reading with which it began."""
    _sums: dict[tuple[str, str | None], tuple[SampledValue, float, int]] = field(default_factory=dict)

    def add(self, entries: Sequence[str], reading: MeterReading, offer: Offer | None, place: str) -> None:
        """One more reading of the period."""
        if self.first is None:
            self.first = reading
        averaged = [entry for entry in entries if not is_register(entry) and not is_interval(entry)]
        for value in select(averaged, reading, offer, place) if averaged else ():
            key = (value.measurand, value.phase)
            _, total, count = self._sums.get(key, (value, 0.0, 0))
            self._sums[key] = (value, total + value.value, count + 1)

    def samples(
        self,
        entries: Sequence[str],
        reading: MeterReading,
        at: datetime,
        offer: Offer | None,
        place: str,
        *,
        stamps_start: bool = True,
    ) -> tuple[Sample, ...]:
        """What ends at `at` with `reading`: what the period came to, stamped with its start, and the counters at `at`.

        Either is left out when `entries` want nothing of it. Without `stamps_start` both are one sample at `at`."""
        context = ReadingContext.SAMPLE_CLOCK
        values: list[SampledValue] = []
        for entry in entries:
            if is_interval(entry):
                values += select((entry,), reading, offer, place, self.first)
            elif not is_register(entry):
                wanted = {(value.measurand, value.phase) for value in select((entry,), reading, offer, place)}
                values += [self._average(key) for key in self._sums if key in wanted]
        unique = tuple(dict.fromkeys(values))
        counters = [entry for entry in entries if is_register(entry)]
        registers = select(counters, reading, offer, place) if counters else ()
        if not stamps_start:
            both = (*registers, *unique)
            return (Sample(at, context, both),) if both else ()
        found = (Sample(self.begun_at, context, unique), Sample(at, context, registers))
        return tuple(sample for sample in found if sample.values)

    def _average(self, key: tuple[str, str | None]) -> SampledValue:
        value, total, count = self._sums[key]
        return SampledValue(
            value.measurand, rounded(key[0], total / count), value.unit, value.phase, value.location
        )


def register_sample(
    entries: Sequence[str], register: int, at: datetime, context: ReadingContext
) -> Sample | None:
    """The register alone, when the meter cannot be asked any more; None when `entries` do not want it."""
    if not any(split_entry(entry)[0] == DEFAULT_ENTRY for entry in entries):
        return None
    return Sample(at, context, (SampledValue(DEFAULT_ENTRY, float(register), "Wh"),))


def thinned(samples: Sequence[Sample], most: int) -> tuple[Sample, ...]:
    """At most `most` samples: every other one in between is dropped, first and last stay (R16-166)."""
    kept = list(samples)
    while len(kept) > max(2, most):
        kept = [kept[0], *kept[2:-1:2], kept[-1]]
    return tuple(kept)


@dataclass(frozen=True, slots=True)
class MeterWatch:
    """Counts the misses of one meter; three in a row are a fault, one reading ends it."""

    misses: int = 0

    @property
    def is_silent(self) -> bool:
        return self.misses >= MISSES_TO_FAULT

    def after(self, is_read: bool) -> "MeterWatch":
        return MeterWatch(0 if is_read else self.misses + 1)

    def retry_s(self, is_needed: bool) -> float | None:
        """When to ask again at the latest; None: it speaks."""
        if self.misses == 0:
            return None
        return RETRY_S if is_needed and not self.is_silent else FAULT_RETRY_S
