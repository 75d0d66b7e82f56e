"""What charging needs from outside: a journal, small stores, an authorizer, a clock, vendor commands.

Implemented by `agent/store`, `agent/ocpp`, `agent/vendor`, `agent/update` and `agent/clock.py`; given to the station by
`agent/app.py`.
Every write of a store port is durable when its coroutine returns. Raises StoreFull or StoreCorrupt.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agent.charging.certificates import (
    CertificateRequest,
    CertificateResult,
)
from agent.charging.facts import (
    DurableFact,
    FirmwareStatusChanged,
    ReservationLapsed,
    Sample,
    SecurityEventRaised,
    TransactionStarted,
    VendorActionRun,
)
from agent.charging.ids import ConnectorId, EvseId, IdToken, IdTokenInfo, Reservation, TransactionId
from agent.charging.local_list import ListChange, Standing
from agent.charging.monitors import Installed
from agent.charging.network import NetworkAnswer, NetworkProfile, SetNetworkProfile, StoredNetworks
from agent.charging.profiles import InstalledProfile
from agent.charging.requests import (
    TransferData,
    TransferResult,
    UpdateAnswer,
    UpdateFirmware,
    UploadAnswer,
    UploadLog,
)

if TYPE_CHECKING:
    from agent.charging.display import DisplayMessage
    from agent.charging.firmware import Update


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction without a stop, as found in the journal at start."""

    started: TransactionStarted
    last_register_wh: int
    last_register_at: datetime
    next_seq_no: int
    reference: str | None = None
    """What the CSMS calls it, if it was ever told."""
    id_token: IdToken | None = None
    """Who was authorized last; None: nobody yet, or whoever `started` names."""
    is_authorized: bool = True
    is_placed: bool = True
    """It is known where the EV is connected."""
    last_fact_at: datetime | None = None
    """When the latest of its facts happened, which may be later than the last reading; None: not known."""

    @property
    def last_seen_at(self) -> datetime:
        """The last that is known of it: its end, if it ended with the power, is not earlier than what was told."""
        return max(self.last_register_at, self.started.at, self.last_fact_at or self.started.at)


class Clock(Protocol):
    """Wall time as the CSMS set it, and monotonic time of the loop."""

    def now(self) -> datetime:
        """Aware UTC. Follows the CSMS's clock after `synchronize`."""

    def time(self) -> float:
        """Monotonic seconds (loop time)."""

    def synchronize(self, csms_time: datetime) -> float:
        """Take over the CSMS's time; returns the correction in seconds."""

    def not_before(self, at: datetime) -> None:
        """It is known that it is `at` or later: a clock that was never set starts there instead of in 1970."""

    @property
    def is_trusted(self) -> bool:
        """False until a CSMS gave its time, when the system clock is clearly unset (before 2024)."""


class Journal(Protocol):
    """Facts, open transactions and outbox: what must survive (`agent/store/journal.py`)."""

    async def record(self, *facts: DurableFact) -> None:
        """One commit: transactions opened, updated or closed as the facts say, and one outbox row for each fact.

        The reservation that a start uses is over with the same commit."""

    async def note_register(self, transaction_id: TransactionId, register_wh: int, at: datetime) -> None:
        """Remember the last register of a running transaction without sending anything."""

    async def add_stop_sample(self, transaction_id: TransactionId, sample: Sample) -> None:
        """Keep a sample for TransactionStopped.samples."""

    async def stop_samples(self, transaction_id: TransactionId) -> Sequence[Sample]: ...
    async def open_transactions(self) -> Sequence[OpenTransaction]: ...
    async def depth(self) -> int:
        """How many messages wait for the CSMS."""

    async def has_queued(self, transaction_id: TransactionId | None) -> bool:
        """Whether any of them is about this transaction; None: about any."""


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
    async def last_row_id(self) -> int:
        """The highest that was ever given out; every later row has a higher one."""


@dataclass(frozen=True, slots=True)
class StoredUpdate:
    """What is on disk of firmware updates."""

    update: "Update | None"
    """The one under way."""
    last: FirmwareStatusChanged | None
    """The last status of any update."""
    number: int
    """Of the last order; 0 before the first."""


@dataclass(frozen=True, slots=True)
class StoredMonitoring:
    """What is on disk of monitoring."""

    installed: Installed
    exceeded: frozenset[int]
    """Ids of the thresholds that the CSMS was told are exceeded."""
    last_event_id: int
    references: Mapping[int, str] = field(default_factory=dict)
    """By id, of those that speak of changes: the value from which a change is counted."""


class UpdateStore(Protocol):
    async def load(self) -> StoredUpdate: ...
    async def save(self, update: "Update", *facts: DurableFact) -> None:
        """One commit: the update (forgotten once it has ended) and an outbox row for each fact."""

    async def keep_copy(self) -> None:
        """Keep a copy of everything stored, for the release that runs now, should it have to come back."""

    async def drop_copy(self) -> None: ...


class FirmwareUpdates(Protocol):
    """Who carries out firmware updates (`agent/update`)."""

    async def order(self, request: UpdateFirmware) -> UpdateAnswer:
        """Take an order; everything after the answer goes on by itself."""

    def on_online(self, is_online: bool) -> None:
        """The CSMS accepted the station, or is gone."""


class LogUploads(Protocol):
    """Who brings logs and diagnostics to a server (`agent/diagnostics`)."""

    async def order(self, request: UploadLog) -> UploadAnswer:
        """Take an order; everything after the answer goes on by itself. The newer replaces the older."""


class Installer(Protocol):
    """Puts releases on this machine. Every method may be called again after a power cut in the middle of it.

    All raise InstallError with a reason for people, and OSError when the disk fails."""

    async def stage(self, file: Path) -> str:
        """Unpack beside the running release; the version. What runs is untouched."""

    async def verify(self, version: str) -> None:
        """Check what was unpacked. Raises ReleaseBroken."""

    async def activate(self, version: str) -> None:
        """From the next start on this one runs, on trial: if it fails to start it is rolled back without us."""

    async def confirm(self, version: str) -> None:
        """It works: the trial is over."""

    async def roll_back(self, version: str, reason: str) -> None:
        """From the next start on the one before `version` runs again."""

    def is_running(self, version: str) -> bool:
        """Whether this very process was started from it."""

    def failure(self, version: str) -> str | None:
        """Why `version` was rolled back; None: it was not."""


class SecurityLog(Protocol):
    """Every security event, pushed or not; a ring that the journal writes (`agent/store/security_log.py`)."""

    async def rows(self, oldest: datetime | None, latest: datetime | None) -> Sequence[SecurityEventRaised]:
        """From `oldest` to `latest`, both included, in the order in which they happened; None = no bound."""


class Credentials(Protocol):
    """Certificates and keys of the station (`agent/security/credentials.py`). A legal no is a result."""

    async def execute(self, request: CertificateRequest) -> CertificateResult: ...


class NetworkStore(Protocol):
    """Network connection profiles; every write is one commit."""

    async def load(self) -> StoredNetworks: ...
    async def put(self, slot: int, profile: NetworkProfile | None) -> None:
        """None: the connection of the configuration file."""

    async def put_new(self, slot: int, profile: NetworkProfile) -> None:
        """One that has not worked yet: what it replaces moves to FORMER_SLOT, if that was the last good slot."""

    async def drop(self, slots: Collection[int]) -> None: ...
    async def note_good(self, slot: int) -> None:
        """FORMER_SLOT is empty then, unless it is the good one."""

    async def note_configured(self, url: str) -> None: ...


class Networks(Protocol):
    """Who decides where the station connects to (`agent/network_desk.py`). A legal no is a result."""

    async def order(self, request: SetNetworkProfile) -> NetworkAnswer: ...
    def accepted(self) -> None:
        """The CSMS of the present connection has accepted the station."""


class SettingStore(Protocol):
    async def load(self) -> Mapping[str, str]: ...
    async def save(self, values: Mapping[str, str]) -> None: ...


class AvailabilityStore(Protocol):
    """(evse_id, connector_id) -> operative; evse 0 = station, connector 0 = whole EVSE. Missing = operative."""

    async def load(
        self,
    ) -> tuple[Mapping[tuple[EvseId, ConnectorId], bool], Mapping[tuple[EvseId, ConnectorId], bool]]:
        """What holds at each place, and what was said of this very place (`availability.Change`)."""

    async def save(
        self,
        states: Mapping[tuple[EvseId, ConnectorId], bool],
        own: Mapping[tuple[EvseId, ConnectorId], bool],
    ) -> None:
        """One commit; `own` names places of `states` only."""


class TokenStore(Protocol):
    """The authorization cache (OCPP 1.6 3.5.1): persistent, bounded; not-valid entries are evicted first."""

    async def get(self, id_token: IdToken) -> IdTokenInfo | None: ...
    async def put(self, id_token: IdToken, known: IdTokenInfo, now: datetime) -> None: ...
    async def use(self, id_token: IdToken, now: datetime) -> None:
        """It was presented, and what is cached of it decided."""

    async def used_at(self, id_token: IdToken) -> datetime | None:
        """The last `use` or `put`; None: nobody knows."""

    async def clear(self) -> None: ...


class LocalListStore(Protocol):
    """The local authorization list (OCPP 1.6 3.5.2): persistent; an update is one commit, a look-up one small read."""

    async def standing(self) -> Standing: ...
    async def get(self, id_token: IdToken) -> IdTokenInfo | None: ...
    async def held(self, keys: Collection[str]) -> Collection[str]:
        """Those of `keys` (`IdToken.typed_key`) that the list has an entry for."""

    async def apply(self, change: ListChange) -> None:
        """All of it or nothing; what is listed then leaves the authorization cache."""


class ReservationStore(Protocol):
    async def load(self) -> Sequence[Reservation]:
        """In the order in which they were made."""

    async def save(self, reservations: Sequence[Reservation], *lapsed: ReservationLapsed) -> None:
        """One commit: from now on these are all there are, and an outbox row for each that lapsed."""


class CustomerStore(Protocol):
    """What is on disk of one customer, wherever it is."""

    async def find(self, customer: IdToken | str) -> Sequence[str]:
        """One text for each row that holds the token; of a text: a token of this value, or of this group."""

    async def forget(self, customer: IdToken | str) -> None:
        """One commit: all of it but the local list, and but what is still needed or has still to be delivered."""


class MonitorStore(Protocol):
    async def load(self) -> StoredMonitoring: ...
    async def save(self, installed: Installed, references: Mapping[int, str]) -> None:
        """One commit: from now on these are the monitors of the CSMS, the base, the level, and what changes are
        counted from (all that there are, by id)."""

    async def note(
        self, exceeded: Collection[int], references: Mapping[int, str], *facts: DurableFact
    ) -> None:
        """One commit: the thresholds (by id) that are exceeded now are these, changes are counted from these values,
        and an outbox row for each fact."""

    async def reserve_event_ids(self, last: int) -> None:
        """Event ids up to `last` may be in use from now on."""


class ProfileStore(Protocol):
    """The charging profiles that are installed; their ids are unique."""

    async def load(self) -> Sequence[InstalledProfile]:
        """In the order in which they came."""

    async def replace(self, gone: Sequence[int], new: InstalledProfile) -> None:
        """One commit: the profiles with the ids `gone` go, and `new` comes."""

    async def delete(self, gone: Sequence[int]) -> None:
        """One commit; ids that are not there are let be."""


class MessageStore(Protocol):
    """The messages for the display; their ids are unique."""

    async def load(self) -> "Sequence[DisplayMessage]":
        """In the order in which they were set."""

    async def replace(self, gone: Sequence[int], new: "DisplayMessage") -> None:
        """One commit: the messages with the ids `gone` go, and `new` comes."""

    async def delete(self, gone: Sequence[int]) -> None:
        """One commit; ids that are not there are let be."""


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
