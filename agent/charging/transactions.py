"""The book of one running transaction: its numbering, its register, and the facts it leads to.

Pure and frozen. `seq_no` has no gaps: a fact takes the next number only when it is on disk, which is why every
method that makes a fact leaves the book as it is and `after` gives the next one. The register never goes back and
never lies below the start (R16-159). OCPP 1.6 4.8, 4.10; 2.0.1 E01, E06 (seqNo).
"""

from dataclasses import dataclass, replace
from datetime import datetime

from agent.charging.facts import (
    Sample,
    TransactionFact,
    TransactionMetered,
    TransactionStarted,
    TransactionStopped,
    TransactionUpdated,
)
from agent.charging.ids import ChargingState, IdToken, StopReason, TriggerReason
from agent.charging.ports import OpenTransaction


@dataclass(frozen=True, slots=True)
class Book:
    started: TransactionStarted
    next_seq_no: int
    register_wh: int
    register_at: datetime
    reference: str | None = None
    """What the CSMS calls it, once it said so."""

    @classmethod
    def begun(cls, started: TransactionStarted) -> "Book":
        return cls(started, started.seq_no + 1, started.meter_start_wh, started.at)

    @classmethod
    def found(cls, found: OpenTransaction) -> "Book":
        """A transaction that was open when the power went."""
        register_wh = max(found.last_register_wh, found.started.meter_start_wh)
        return cls(
            found.started, found.next_seq_no, register_wh, found.last_register_at, reference=found.reference
        )

    @property
    def used_wh(self) -> int:
        return self.register_wh - self.started.meter_start_wh

    def read(self, register_wh: int | None, at: datetime) -> "Book":
        """A register was read (None: it could not be). A lower one than before is not believed."""
        if register_wh is None or register_wh < self.register_wh:
            return self
        return replace(self, register_wh=register_wh, register_at=at)

    def after(self, fact: TransactionFact) -> "Book":
        """`fact` is on disk."""
        return replace(self, next_seq_no=fact.seq_no + 1)

    def updated(
        self, at: datetime, trigger: TriggerReason, state: ChargingState, offline: bool
    ) -> TransactionUpdated:
        begun = self.started
        return TransactionUpdated(
            transaction_id=begun.transaction_id,
            evse_id=begun.evse_id,
            connector_id=begun.connector_id,
            at=at,
            seq_no=self.next_seq_no,
            trigger=trigger,
            charging_state=state,
            offline=offline,
        )

    def metered(self, sample: Sample, state: ChargingState, offline: bool) -> TransactionMetered:
        begun = self.started
        return TransactionMetered(
            transaction_id=begun.transaction_id,
            evse_id=begun.evse_id,
            connector_id=begun.connector_id,
            at=sample.at,
            seq_no=self.next_seq_no,
            charging_state=state,
            offline=offline,
            sample=sample,
            register_wh=self.register_wh,
        )

    def stopped(
        self,
        at: datetime,
        reason: StopReason,
        trigger: TriggerReason,
        id_token: IdToken | None,
        offline: bool,
        samples: tuple[Sample, ...],
    ) -> TransactionStopped:
        begun = self.started
        return TransactionStopped(
            transaction_id=begun.transaction_id,
            evse_id=begun.evse_id,
            connector_id=begun.connector_id,
            at=at,
            seq_no=self.next_seq_no,
            id_token=id_token,
            meter_stop_wh=self.register_wh,
            reason=reason,
            trigger=trigger,
            offline=offline,
            samples=samples,
        )
