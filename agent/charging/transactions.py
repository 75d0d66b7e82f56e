"""The book of one running transaction: its numbering, its register, and the facts it leads to.

Pure and frozen. `seq_no` has no gaps: a fact takes the next number only when it is on disk, which is why every
method that makes a fact leaves the book as it is and `after` gives the next one. The register never goes back and
never lies below the start, and a meter that was replaced or reset counts on from there (R16-159).
OCPP 1.6 4.8, 4.10, 7.31; 2.0.1 E01, E06 (seqNo).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from msgspec.structs import replace as replace_fact

from agent.charging.facts import (
    Sample,
    TransactionFact,
    TransactionMetered,
    TransactionStarted,
    TransactionStopped,
    TransactionUpdated,
)
from agent.charging.ids import ChargingState, ConnectorId, EvseId, IdToken, StopReason, TriggerReason
from agent.charging.metering import PLAUSIBLE_W
from agent.charging.ports import OpenTransaction


@dataclass(frozen=True, slots=True)
class Update:
    """What a change within a transaction is about, beside its trigger."""

    is_authorized: bool = True
    id_token: IdToken | None = None
    remote_start_id: int | None = None
    reservation_id: int | None = None
    connector_id: ConnectorId | None = None
    """Where an EV was just connected."""


NOTHING_MORE = Update()


@dataclass(frozen=True, slots=True)
class Book:
    started: TransactionStarted
    next_seq_no: int
    register_wh: int
    register_at: datetime
    reference: str | None = None
    """What the CSMS calls it, once it said so."""
    offset_wh: int = 0
    """What is added to the meter since it started again during this transaction."""
    low_wh: int | None = None
    """A register below the last one that was read once; a second one in a row makes it the new base."""
    former: tuple[int, int] | None = None
    """(register of the meter before it fell, offset until then): if it comes back, the fall was a slip."""
    is_placed: bool = True
    """It was told where the EV is connected."""
    is_moved: bool = False
    """The EV was connected at another EVSE than the start named; nothing has been read there yet."""
    phases: int | None = None
    """The number that was told last."""
    is_cable_told: bool = False
    state: ChargingState = ChargingState.EV_CONNECTED
    """As told last, and since when."""
    state_at: datetime | None = None
    charged_s: float | None = 0.0
    """How long energy flowed until `state_at`; None: a power cut fell into it."""

    @classmethod
    def begun(cls, started: TransactionStarted) -> "Book":
        return cls(
            started,
            started.seq_no + 1,
            started.meter_start_wh,
            started.at,
            is_placed=started.is_placed,
            phases=started.phases,
            is_cable_told=started.cable_max_a is not None,
            state=started.charging_state,
            state_at=started.at,
        )

    @classmethod
    def found(cls, found: OpenTransaction) -> "Book":
        """A transaction that was open when the power went."""
        register_wh = max(found.last_register_wh, found.started.meter_start_wh)
        return cls(
            found.started,
            found.next_seq_no,
            register_wh,
            found.last_register_at,
            reference=found.reference,
            is_placed=found.is_placed,
            is_cable_told=True,
            charged_s=None,
        )

    def brought(self, evse_id: EvseId) -> "Book":
        """Its driver plugs in at another EVSE, whose meter counts from now on; what the first one said is void."""
        return replace(
            self,
            started=replace_fact(self.started, evse_id=evse_id),
            is_moved=True,
            offset_wh=0,
            low_wh=None,
            former=None,
        )

    def begun_at_register(self, register_wh: int, at: datetime) -> "Book":
        """The first reading at the EVSE that it was brought to."""
        started = replace_fact(self.started, meter_start_wh=register_wh)
        return replace(self, started=started, register_wh=register_wh, register_at=at, is_moved=False)

    @property
    def used_wh(self) -> int:
        return self.register_wh - self.started.meter_start_wh

    def read(self, register_wh: int | None, at: datetime) -> "Book":
        """A register was read (None: it could not be).

        A lower one than before is not believed at first; read twice in a row it is the base from which is billed on,
        until the meter should return to its former count."""
        if register_wh is None:
            return self
        billed_wh = register_wh + self.offset_wh
        if billed_wh >= self.register_wh:
            if self.former is not None and self._is_back(register_wh, billed_wh, at):
                offset_wh = self.former[1]
                return replace(
                    self,
                    register_wh=max(self.register_wh, register_wh + offset_wh),
                    register_at=at,
                    offset_wh=offset_wh,
                    former=None,
                    low_wh=None,
                )
            return replace(self, register_wh=billed_wh, register_at=at, low_wh=None)
        if self.low_wh is None or register_wh < self.low_wh:
            return replace(self, low_wh=register_wh)
        offset_wh = self.register_wh - self.low_wh
        return replace(
            self,
            register_wh=register_wh + offset_wh,
            register_at=at,
            offset_wh=offset_wh,
            low_wh=None,
            former=(self.register_wh - self.offset_wh, self.offset_wh),
        )

    def _is_back(self, register_wh: int, billed_wh: int, at: datetime) -> bool:
        """The meter counts where it did before it fell: more than any EVSE could have delivered since."""
        passed_h = max(0.0, (at - self.register_at).total_seconds()) / 3600
        assert self.former is not None
        return register_wh >= self.former[0] and billed_wh - self.register_wh > PLAUSIBLE_W * passed_h + 500

    @property
    def is_doubtful(self) -> bool:
        """The meter fell during this transaction, or seems to."""
        return self.low_wh is not None or self.offset_wh != 0

    def after(self, fact: TransactionFact) -> "Book":
        """`fact` is on disk."""
        if isinstance(fact, TransactionStopped):
            return replace(self, next_seq_no=fact.seq_no + 1)
        is_placed = not isinstance(fact, TransactionMetered) and fact.is_placed
        is_cable_told = not isinstance(fact, TransactionMetered) and fact.cable_max_a is not None
        return replace(
            self,
            next_seq_no=fact.seq_no + 1,
            started=replace_fact(self.started, connector_id=fact.connector_id),
            is_placed=self.is_placed or is_placed,
            phases=fact.phases or self.phases,
            is_cable_told=self.is_cable_told or is_cable_told,
            state=fact.charging_state,
            state_at=fact.at,
            charged_s=self._charged_until(fact.at),
        )

    def clock_moved(self, by_s: float) -> "Book":
        """The wall clock was set: the time in which energy flows is billed, and has not changed by that."""
        if self.state_at is None:
            return self
        return replace(self, state_at=self.state_at + timedelta(seconds=by_s))

    def _charged_until(self, at: datetime) -> float | None:
        """A clock that was set back takes nothing away."""
        if self.charged_s is None or self.state is not ChargingState.CHARGING or self.state_at is None:
            return self.charged_s
        return self.charged_s + max(0.0, (at - self.state_at).total_seconds())

    def updated(
        self,
        at: datetime,
        trigger: TriggerReason,
        state: ChargingState,
        offline: bool,
        *,
        what: Update = NOTHING_MORE,
        phases: int | None = None,
        cable_a: float | None = None,
        sample: Sample | None = None,
    ) -> TransactionUpdated:
        """`phases` and `cable_a`: as they are; they are told when they are news."""
        begun = self.started
        connector_id = what.connector_id or begun.connector_id
        is_elsewhere = what.connector_id is not None and connector_id != begun.connector_id
        is_placed = what.connector_id is not None and (not self.is_placed or is_elsewhere)
        return TransactionUpdated(
            transaction_id=begun.transaction_id,
            evse_id=begun.evse_id,
            connector_id=connector_id,
            at=at,
            seq_no=self.next_seq_no,
            trigger=trigger,
            charging_state=state,
            offline=offline,
            id_token=what.id_token,
            sample=sample,
            is_authorized=what.is_authorized,
            is_placed=is_placed,
            reservation_id=what.reservation_id,
            remote_start_id=what.remote_start_id,
            phases=self._news_of_phases(state, phases),
            cable_max_a=None if self.is_cable_told or cable_a is None else int(cable_a),
            meter_start_wh=begun.meter_start_wh if is_placed and not self.is_placed else None,
        )

    def _news_of_phases(self, state: ChargingState, phases: int | None) -> int | None:
        """2.0.1 E02.FR.18, E02.FR.19: when energy begins to flow, and when the number changes."""
        is_news = state is ChargingState.CHARGING and phases is not None and phases != self.phases
        return phases if is_news else None

    def metered(
        self,
        sample: Sample,
        state: ChargingState,
        offline: bool,
        *,
        at: datetime | None = None,
        period: Sample | None = None,
        register_wh: int | None = None,
        phases: int | None = None,
    ) -> TransactionMetered:
        """`at` and `register_wh`: those of the reading, where they are not the sample's and the book's."""
        begun = self.started
        return TransactionMetered(
            transaction_id=begun.transaction_id,
            evse_id=begun.evse_id,
            connector_id=begun.connector_id,
            at=at or sample.at,
            seq_no=self.next_seq_no,
            charging_state=state,
            offline=offline,
            sample=sample,
            register_wh=self.register_wh if register_wh is None else register_wh,
            period=period,
            phases=self._news_of_phases(state, phases),
        )

    def stopped(
        self,
        at: datetime,
        reason: StopReason,
        trigger: TriggerReason,
        id_token: IdToken | None,
        offline: bool,
        samples: tuple[Sample, ...],
        state: ChargingState | None = None,
    ) -> TransactionStopped:
        """Never before its start, also where the clock was set back in between."""
        begun = self.started
        charged_s = self._charged_until(at)
        return TransactionStopped(
            transaction_id=begun.transaction_id,
            evse_id=begun.evse_id,
            connector_id=begun.connector_id,
            at=max(at, begun.at),
            seq_no=self.next_seq_no,
            id_token=id_token,
            meter_stop_wh=self.register_wh,
            reason=reason,
            trigger=trigger,
            offline=offline,
            samples=samples,
            charging_state=state,
            charged_s=None if charged_s is None else int(charged_s),
        )
