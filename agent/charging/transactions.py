"""The book of one running transaction: its numbering, its register, and the facts it leads to.

Pure and frozen. `seq_no` has no gaps: a fact takes the next number only when it is on disk, which is why every
method that makes a fact leaves the book as it is and `after` gives the next one. The register never goes back and
never lies below the start, and a meter that was replaced or reset counts on from there (R16-159).
OCPP 1.6 4.8, 4.10, 7.31; 2.0.1 E01, E06 (seqNo).
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
from agent.charging.metering import PLAUSIBLE_W
from agent.charging.ports import OpenTransaction


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

    def metered(
        self,
        sample: Sample,
        state: ChargingState,
        offline: bool,
        *,
        at: datetime | None = None,
        period: Sample | None = None,
        register_wh: int | None = None,
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
