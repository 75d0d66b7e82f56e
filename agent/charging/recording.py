"""What one transaction looked like while it ran: samples of power, current and offer, and its totals. Pure.

A recording is fed one look at the EVSE about every second and keeps a bounded number of samples: when there are too
many, every second one goes and the pace halves, so that ten minutes and ten days both fit. For display and reports;
nothing here is ever billed. Run by `agent/session_recorder.py`, stored by `agent/store/sessions.py`.
"""

from dataclasses import dataclass, field
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from agent.charging.facts import TransactionStopped
from agent.charging.ids import ChargingState, ConnectorId, EvseId, IdToken, StopReason, TransactionId
from agent.charging.snapshot import EvseSnapshot, TransactionSnapshot
from hal.ports import ContactorState

MOST_SAMPLES = 1_000
"""Of one session, in memory and on disk."""
PACE_S = 2
"""Seconds between two samples, at first: as often as the meter is read while current may flow."""
FRESH_S = 75.0
"""An older reading says nothing of this moment. A meter is read every 60 s at the least."""
LONGEST_STEP_S = 10.0
"""A longer silence between two looks is a gap: nobody knows what the EV did meanwhile."""

PhaseCurrents = tuple[float | None, float | None, float | None]
NO_CURRENTS: PhaseCurrents = (None, None, None)
NOTHING_FLOWS: PhaseCurrents = (0.0, 0.0, 0.0)


class SessionSample(Struct, frozen=True, array_like=True):
    """One moment; what the meter does not give is None. Stored as it stands: fields are only ever added at the end."""

    at_ms: int
    """Milliseconds since 1970, UTC."""
    power_w: float | None
    current_a: PhaseCurrents
    offered_a: float
    """Per phase; 0 while nothing is offered."""
    energy_wh: float | None
    """What went into the EV since the transaction began."""


class Totals(Struct, frozen=True):
    """What the samples come to; all of it from looks at the EVSE, not from the samples that were kept."""

    charging_s: float = 0.0
    suspended_ev_s: float = 0.0
    """The EV asked for nothing."""
    suspended_evse_s: float = 0.0
    """Nothing was offered to it."""
    max_power_w: float | None = None
    cost: str | None = None
    """Decimal text as the driver was told it; None: the station was told no cost."""


class RecordedSession(Struct, frozen=True):
    """One transaction as people look at it. A running one has no stop; its energy is that of its last reading."""

    session_id: TransactionId
    evse_id: EvseId
    connector_id: ConnectorId
    id_token: IdToken | None
    """None: nobody was identified, or who it was has been forgotten."""
    started_at: datetime
    stopped_at: datetime | None
    meter_start_wh: int
    meter_stop_wh: int | None
    energy_wh: float
    stop_reason: StopReason | None
    reference: str | None
    """What the CSMS calls the transaction."""
    totals: Totals
    duration_s: float

    @property
    def is_running(self) -> bool:
        return self.stopped_at is None


class SessionCurve(Struct, frozen=True):
    """A session with its samples, oldest first; `pace_s` is the time between two of them."""

    session: RecordedSession
    pace_s: int
    samples: tuple[SessionSample, ...]


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """Which sessions: those that ran at some moment from `since` to `until`, the latest `limit` of them."""

    since: datetime | None = None
    until: datetime | None = None
    evse_id: int | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples on their way to the disk."""

    transaction_id: TransactionId
    samples: tuple[SessionSample, ...]
    pace_s: int
    totals: Totals
    is_whole: bool
    """They take the place of everything that is on disk of this session."""


@dataclass(slots=True)
class Recording:
    """The memory of one running transaction."""

    transaction_id: TransactionId
    samples: list[SessionSample] = field(default_factory=list)
    pace_s: int = PACE_S
    totals: Totals = field(default_factory=Totals)
    _unsaved: int = 0
    """How many of the latest samples are not on disk."""
    _is_whole: bool = False
    """What is on disk does not fit any more: all samples have to be written anew."""
    _looked_time: float | None = None
    _state: ChargingState | None = None

    def look(self, evse: EvseSnapshot, transaction: TransactionSnapshot, now: datetime, time: float) -> None:
        """Take what the EVSE shows now; `time` is monotonic, in seconds."""
        if self._looked_time is not None:
            self._count(time - self._looked_time)
        self._looked_time, self._state = time, transaction.charging_state
        power_w, currents, energy_wh = _shown(evse, transaction, time)
        if power_w is not None and power_w > (self.totals.max_power_w or 0.0):
            self.totals = replace(self.totals, max_power_w=power_w)
        if evse.cost is not None and evse.cost.amount is not None and not evse.cost.is_final:
            self.take_cost(evse.cost.amount)
        at_ms = round(now.timestamp() * 1000)
        if self.samples and 0 <= at_ms - self.samples[-1].at_ms < self.pace_s * 1000 - 250:
            return  # a quarter of a second early is on time: the loop's ticks are not exact
        self._add(SessionSample(at_ms, power_w, currents, round(evse.offered_current_a, 1), energy_wh))

    def end(self, fact: TransactionStopped, meter_start_wh: int, time: float) -> None:
        """The last sample is the end: no power, and the register that goes to the CSMS."""
        if self._looked_time is not None:
            self._count(time - self._looked_time)
        self._looked_time = None
        self._add(
            SessionSample(
                round(fact.at.timestamp() * 1000),
                0.0,
                NOTHING_FLOWS,
                0.0,
                float(max(0, fact.meter_stop_wh - meter_start_wh)),
            )
        )

    def take_cost(self, amount: str) -> bool:
        """Whether it is another one than before."""
        if amount == self.totals.cost:
            return False
        self.totals = replace(self.totals, cost=amount)
        return True

    def take_batch(self, *, is_last: bool = False) -> Batch:
        """What is to be written now; it counts as written unless it is given back. The last batch is the whole."""
        is_whole = self._is_whole or is_last
        samples = self.samples if is_whole else self.samples[len(self.samples) - self._unsaved :]
        self._unsaved, self._is_whole = 0, False
        return Batch(self.transaction_id, tuple(samples), self.pace_s, self.totals, is_whole)

    def give_back(self) -> None:
        """The last batch could not be written."""
        self._is_whole = True

    def _count(self, passed_s: float) -> None:
        if not 0 < passed_s <= LONGEST_STEP_S:
            return
        totals = self.totals
        match self._state:
            case ChargingState.CHARGING:
                self.totals = replace(totals, charging_s=totals.charging_s + passed_s)
            case ChargingState.SUSPENDED_EV:
                self.totals = replace(totals, suspended_ev_s=totals.suspended_ev_s + passed_s)
            case ChargingState.SUSPENDED_EVSE:
                self.totals = replace(totals, suspended_evse_s=totals.suspended_evse_s + passed_s)
            case _:
                pass

    def _add(self, sample: SessionSample) -> None:
        self.samples.append(sample)
        self._unsaved += 1
        if len(self.samples) > MOST_SAMPLES:
            self.samples = thinned(self.samples)
            self.pace_s *= 2
            self._is_whole = True


def _shown(
    evse: EvseSnapshot, transaction: TransactionSnapshot, time: float
) -> tuple[float | None, PhaseCurrents, float | None]:
    """Power, currents and energy at this moment. Through an open contactor nothing flows, whatever was read last."""
    reading, hardware = evse.reading, evse.hardware
    if reading is not None and (reading.quality != "ok" or time - reading.at_time > FRESH_S):
        reading = None
    energy_wh = None
    if reading is not None and reading.energy_import_wh is not None:
        energy_wh = round(max(0.0, reading.energy_import_wh - transaction.meter_start_wh), 1)
    if hardware.link_ok and hardware.contactor is ContactorState.OPEN:
        return 0.0, NOTHING_FLOWS, energy_wh
    has_sensors = hardware.link_ok and any(current is not None for current in hardware.current_a)
    measured = hardware.current_a if has_sensors else NO_CURRENTS if reading is None else reading.current_a
    power_w = None if reading is None or reading.power_w is None else round(reading.power_w, 1)
    return power_w, (_tenth(measured[0]), _tenth(measured[1]), _tenth(measured[2])), energy_wh


def thinned(samples: list[SessionSample]) -> list[SessionSample]:
    """Every second one; the first and the last stay."""
    kept = samples[::2]
    return kept if kept[-1] is samples[-1] else [*kept, samples[-1]]


def _tenth(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
