"""What charging needs from outside: a journal, small stores, an authorizer, a clock, vendor commands.

Implemented by `agent/store`, `agent/ocpp`, `agent/vendor` and `agent/clock.py`; given to the station by `agent/app.py`.
Every write of a store port is durable when its coroutine returns. Raises StoreFull or StoreCorrupt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agent.charging.facts import DurableFact, Sample, TransactionStarted, VendorActionRun
from agent.charging.ids import ConnectorId, EvseId, IdToken, IdTokenInfo, TransactionId
from agent.charging.requests import TransferData, TransferResult


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction without a stop, as found in the journal at start."""

    started: TransactionStarted
    last_register_wh: int
    last_register_at: datetime
    next_seq_no: int
    reference: str | None = None
    """What the CSMS calls it, if it was ever told."""


class Clock(Protocol):
    """Wall time as the CSMS set it, and monotonic time of the loop."""

    def now(self) -> datetime:
        """Aware UTC. Follows the CSMS's clock after `synchronize`."""

    def time(self) -> float:
        """Monotonic seconds (loop time)."""

    def synchronize(self, csms_time: datetime) -> float:
        """Take over the CSMS's time; returns the correction in seconds."""

    @property
    def is_trusted(self) -> bool:
        """False until a CSMS gave its time, when the system clock is clearly unset (before 2024)."""


class Journal(Protocol):
    """Facts, open transactions and outbox: what must survive (`agent/store/journal.py`)."""

    async def record(self, *facts: DurableFact) -> None:
        """One commit: transactions opened, updated or closed as the facts say, and one outbox row for each fact."""

    async def note_register(self, transaction_id: TransactionId, register_wh: int, at: datetime) -> None:
        """Remember the last register of a running transaction without sending anything."""

    async def add_stop_sample(self, transaction_id: TransactionId, sample: Sample) -> None:
        """Keep a sample for TransactionStopped.samples."""

    async def stop_samples(self, transaction_id: TransactionId) -> Sequence[Sample]: ...
    async def open_transactions(self) -> Sequence[OpenTransaction]: ...


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A durable fact that the CSMS has not acknowledged yet."""

    row_id: int
    fact: DurableFact
    attempts: int
    """How often it was transmitted and failed (R16-139); survives a restart."""


class Outbox(Protocol):
    """The delivery side of the journal: rows in the order of the facts, deleted once acknowledged.

    Delivery is at least once: a power cut between the CSMS's answer and `confirm` sends the row again."""

    async def first(self) -> OutboxRow | None:
        """The oldest row; its cost does not depend on how many there are."""

    async def confirm(self, row_id: int, reference: str | None = None) -> None:
        """Acknowledged: delete the row and, in the same commit, bind the CSMS's `reference` to its transaction."""

    async def discard(self, row_id: int, reason: str) -> None:
        """Given up after all attempts (R16-141); kept in the log, not in the queue."""

    async def count_attempt(self, row_id: int) -> None: ...
    async def reference(self, transaction_id: TransactionId) -> str | None:
        """What the CSMS calls the transaction; also after it ended, as long as it has rows in the outbox."""

    async def depth(self) -> int: ...


class SettingStore(Protocol):
    async def load(self) -> Mapping[str, str]: ...
    async def save(self, values: Mapping[str, str]) -> None: ...


class AvailabilityStore(Protocol):
    """(evse_id, connector_id) -> operative; evse 0 = station, connector 0 = whole EVSE. Missing = operative."""

    async def load(self) -> Mapping[tuple[EvseId, ConnectorId], bool]: ...
    async def save(self, changes: Mapping[tuple[EvseId, ConnectorId], bool]) -> None: ...


class TokenStore(Protocol):
    """The authorization cache (OCPP 1.6 3.5.1): persistent, bounded; not-valid entries are evicted first."""

    async def get(self, id_token: IdToken) -> IdTokenInfo | None: ...
    async def put(self, id_token: IdToken, known: IdTokenInfo, now: datetime) -> None: ...
    async def clear(self) -> None: ...


class AuditLog(Protocol):
    async def add(self, row: VendorActionRun) -> None: ...
    async def latest(self, limit: int) -> Sequence[VendorActionRun]: ...


class Authorizer(Protocol):
    """Asks the CSMS about a token."""

    @property
    def is_online(self) -> bool:
        """Connected and accepted: a question can be asked now."""

    async def authorize(self, id_token: IdToken, evse_id: EvseId) -> IdTokenInfo | None:
        """None: no answer to be had (offline, timeout, CALLERROR)."""


class VendorCommands(Protocol):
    """The registry of vendor commands (`agent/vendor`)."""

    async def execute(self, transfer: TransferData) -> TransferResult:
        """Never raises for a legal no. A handler that crashes raises RuntimeError("vendor handler failed")."""
