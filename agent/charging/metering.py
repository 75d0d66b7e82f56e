"""When a reading is due and what becomes of it: grids, the watch over a meter, the readings of a stop.

Pure; wall times are aware UTC, loop times monotonic seconds. `sampling.py` and `evse_runner.py` keep the timers and
touch the meters. OCPP 1.6 3.16, 4.7, errata 3.14 to 3.16, 3.75, 3.77 (R16-146 to R16-167).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent.charging.facts import Sample, SampledValue
from agent.charging.ids import ReadingContext
from agent.charging.measurands import DEFAULT_ENTRY, OUTLET, Offer, select, split_entry
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
    register: int | None = None,
    place: str = OUTLET,
) -> Sample:
    """One instant (R16-154). `register`: the one in the transaction's book, in place of what the meter says."""
    values = tuple(
        _with_register(value, register) if register is not None else value
        for value in select(entries, reading, offer, place)
    )
    return Sample(at, context, values)


def _with_register(value: SampledValue, register: int) -> SampledValue:
    if value.measurand != DEFAULT_ENTRY:
        return value
    return SampledValue(value.measurand, float(register), value.unit, value.phase, value.location)


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
