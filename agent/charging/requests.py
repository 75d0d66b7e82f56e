"""What may be asked of the station from outside, and what it answers: the CSMS, vendor code, the local API.

Each request is frozen data in our own vocabulary; `Station.execute(request)` carries it out and returns the
matching result. A legal "no" is a result. Nothing here knows an OCPP version.
"""

from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from agent.charging.certificates import CertificateRequest, CertificateResult
from agent.charging.display import DisplayMessage, MessageVerdict
from agent.charging.facts import MeterSampled
from agent.charging.ids import (
    ConnectorId,
    EvseId,
    IdToken,
    IdTokenInfo,
    LogKind,
    ReadingContext,
    Reservation,
    ResetKind,
    TransactionId,
)
from agent.charging.monitors import MonitorAnswer, MonitoringBase, MonitorOrder
from agent.charging.network import NetworkAnswer, SetNetworkProfile
from agent.charging.profiles import ChargingProfile, ChargingSchedule, LimitOrigin, RateUnit, Selection
from agent.charging.tariff import CostShown, MeterTrigger, Text


class Verdict(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    SCHEDULED = "Scheduled"
    REBOOT_REQUIRED = "RebootRequired"
    UNKNOWN = "Unknown"
    """The thing named does not exist (setting, connector, transaction)."""


class Answer(Struct, frozen=True):
    """A verdict and, for logs and 2.x statusInfo, why."""

    verdict: Verdict
    reason: str = ""
    transaction_id: TransactionId | None = None
    """Of a start that was accepted: the transaction that runs there already, without a driver so far."""


class RequestStart(Struct, frozen=True):
    """Start as if `id_token` were presented at `evse_id` (None: any free EVSE). OCPP 1.6 5.11, 2.0.1 F01-F02."""

    id_token: IdToken
    evse_id: EvseId | None = None
    connector_id: ConnectorId | None = None
    remote_start_id: int | None = None
    profile: ChargingProfile | None = None
    """For the new transaction; of purpose TX, without a transaction id."""
    group: IdToken | None = None
    """The group of the token, if who asks says so (2.0.1 F01.FR.22)."""


class RequestStop(Struct, frozen=True):
    transaction_id: TransactionId
    is_local: bool = False
    """Somebody at the station asks (its page), not the CSMS."""


class TellTransactions(Struct, frozen=True):
    """Have the transaction of an EVSE report where it stands; None: every one. 2.0.1 F06.FR.07."""

    evse_id: EvseId | None = None


class TransactionStatus(Struct, frozen=True):
    """Does it run, and does anything of it wait for the CSMS? None: of any. Answered with `TransactionStanding`."""

    transaction_id: TransactionId | None = None


class TransactionStanding(Struct, frozen=True):
    has_messages: bool
    is_ongoing: bool | None = None
    """None: it was not asked for a certain one."""


class UnlockVerdict(StrEnum):
    UNLOCKED = "Unlocked"
    UNLOCK_FAILED = "UnlockFailed"
    NOT_SUPPORTED = "NotSupported"
    UNKNOWN_CONNECTOR = "UnknownConnector"
    ONGOING_TRANSACTION = "OngoingAuthorizedTransaction"


class UnlockConnector(Struct, frozen=True):
    """Release the cable lock. `stop_transaction`: end a running transaction first (1.6) instead of refusing (2.x)."""

    evse_id: EvseId
    connector_id: ConnectorId
    stop_transaction: bool


class ChangeAvailability(Struct, frozen=True):
    """evse_id 0: the station with all its EVSEs; connector_id 0: the whole EVSE."""

    evse_id: EvseId
    connector_id: ConnectorId
    operative: bool


class ResetStation(Struct, frozen=True):
    kind: ResetKind
    evse_id: EvseId | None = None
    """One EVSE alone (2.0.1 B11.FR.08); None: the whole station."""


class PreparePowerLoss(Struct, frozen=True):
    """A backup supply says that the mains are gone: transactions end, unless they are to be resumed. OCPP 1.6 7.36."""


class ChangeSetting(Struct, frozen=True):
    """`name` is a name of `settings.py` (not a 1.6 key). Accepted means: it is on the disk and in force."""

    name: str
    value: str


class ChangeSettings(Struct, frozen=True):
    """One after the other, each on its own; what is refused does not keep the others. Answered with `Answers`."""

    changes: tuple[ChangeSetting, ...]


class Answers(Struct, frozen=True):
    """One for each part of the request, in its order."""

    answers: tuple[Answer, ...]


class SetMonitors(Struct, frozen=True):
    """One after the other; what is refused does not keep the others. Answered with `MonitorAnswers`. 2.0.1 N04."""

    orders: tuple[MonitorOrder, ...]


class ClearMonitors(Struct, frozen=True):
    """Answered with `MonitorAnswers`. 2.0.1 N06."""

    monitor_ids: tuple[int, ...]


class MonitorAnswers(Struct, frozen=True):
    """One for each part of the request, in its order."""

    answers: tuple[MonitorAnswer, ...]


class SetMonitoringBase(Struct, frozen=True):
    """2.0.1 N03."""

    base: MonitoringBase


class SetMonitoringLevel(Struct, frozen=True):
    """Events of a greater severity number are not told. 2.0.1 N05."""

    level: int


MonitoringRequest: TypeAlias = SetMonitors | ClearMonitors | SetMonitoringBase | SetMonitoringLevel


class AboutCustomer(Struct, frozen=True):
    """What is known of a customer; `clears`: and forget it. 2.0.1 N09, N10."""

    customer: IdToken | str
    """A token; or a text that is the value of a token of any type, or the name of a group of tokens."""
    clears: bool


class CustomerAnswer(Struct, frozen=True):
    verdict: Verdict
    entries: tuple[str, ...] = ()
    """What was known, one row of a table each, as text; empty: nothing."""
    reason: str = ""


class ClearCache(Struct, frozen=True):
    """Empty the authorization cache, durably."""


class SampleMeters(Struct, frozen=True):
    """Read the meters now (evse_ids may hold 0 for the main meter) and give one `MeterSampled` each.

    Every reading is taken after the request came in. A meter that gives none within `timeout_s` makes the
    whole result None: never an old number."""

    evse_ids: tuple[EvseId, ...]
    context: ReadingContext
    measurands: tuple[str, ...]
    """Entries as in the settings, phase suffix included: "Voltage.L1-N"."""
    timeout_s: float = 2.0


class PresentToken(Struct, frozen=True):
    """A token was presented at a reader that serves `evse_ids` (empty = all)."""

    id_token: IdToken
    evse_ids: tuple[EvseId, ...] = ()


class TransferStatus(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_MESSAGE_ID = "UnknownMessageId"
    UNKNOWN_VENDOR_ID = "UnknownVendorId"


class TransferData(Struct, frozen=True):
    """A vendor message for local hardware. `data` is any JSON value; None = absent (OCPP 1.6 4.3, 2.0.1 P01)."""

    vendor_id: str
    message_id: str | None
    data: object
    source: str = "csms"
    """Who asks: "csms" or "local"; roles of vendor commands refer to it."""


class TransferResult(Struct, frozen=True):
    status: TransferStatus
    data: object = None
    reason: str = ""


class UpdateVerdict(StrEnum):
    ACCEPTED = "Accepted"
    ACCEPTED_CANCELED = "AcceptedCanceled"
    """Accepted; an older order that was under way is given up for it."""
    REJECTED = "Rejected"
    INVALID_CERTIFICATE = "InvalidCertificate"
    REVOKED_CERTIFICATE = "RevokedCertificate"
    NOT_OFFERED = "NotOffered"
    """This station takes no updates, or none without a signature."""


class UploadVerdict(StrEnum):
    ACCEPTED = "Accepted"
    ACCEPTED_CANCELED = "AcceptedCanceled"
    """Accepted, and the upload that was under way is given up for it."""
    REJECTED = "Rejected"


class UploadAnswer(Struct, frozen=True):
    verdict: UploadVerdict
    file_name: str | None = None
    """None: there is nothing to upload."""
    reason: str = ""


class UploadLog(Struct, frozen=True):
    """Bring a log to `location`, which may hold credentials. Times are aware, both included; None = no bound.

    OCPP 1.6 5.9, security white paper N01, 2.0.1 N01."""

    kind: LogKind
    location: str
    oldest: datetime | None = None
    latest: datetime | None = None
    retries: int | None = None
    """After the first attempt; None: the station's choice."""
    retry_interval_s: int | None = None
    request_id: int | None = None
    """None: ordered by a message that has no request id (1.6 GetDiagnostics)."""


class UpdateAnswer(Struct, frozen=True):
    verdict: UpdateVerdict
    reason: str = ""


class UpdateFirmware(Struct, frozen=True):
    """Fetch firmware and install it. Times are aware. OCPP 1.6 5.19, security white paper L01, 2.0.1 L01-L02."""

    location: str
    retrieve_at: datetime
    """Not fetched before this time."""
    install_at: datetime | None = None
    """Not installed before this time; None: as soon as possible."""
    retries: int | None = None
    """How often a failed download is tried again; None: the station decides."""
    retry_interval_s: int | None = None
    request_id: int | None = None
    """None: ordered by a message that has no request id (1.6 UpdateFirmware)."""
    signing_certificate: str | None = None
    """PEM; None: the order carries no signature at all."""
    signature: str | None = None
    """Base64, over the whole file."""

    @property
    def is_signed(self) -> bool:
        return self.signing_certificate is not None


class ShowTokenPrice(Struct, frozen=True):
    """What charging costs this driver, in words; shown where the token is or will be used."""

    id_token: IdToken
    texts: tuple[Text, ...]
    languages: tuple[str, ...] = ()
    """That the driver understands, the preferred one first."""


class ShowCost(Struct, frozen=True):
    """What a transaction costs so far, or in the end. `reference`: what the CSMS calls it (in 2.x: as we do); it may be
    over already."""

    reference: str
    cost: CostShown
    trigger: MeterTrigger | None = None
    """Replaces the one before, also by None."""


class ShowMessage(Struct, frozen=True):
    """Keep a message and show it when its time has come. Answered with `MessageAnswer`. 2.0.1 O01, O02, O06."""

    message: DisplayMessage


class MessageAnswer(Struct, frozen=True):
    verdict: MessageVerdict
    reason: str = ""


class RemoveMessage(Struct, frozen=True):
    """Unknown: there is none with that id. 2.0.1 O05."""

    message_id: int


class ListVerdict(StrEnum):
    ACCEPTED = "Accepted"
    FAILED = "Failed"
    VERSION_MISMATCH = "VersionMismatch"
    SWITCHED_OFF = "SwitchedOff"


class ListAnswer(Struct, frozen=True):
    verdict: ListVerdict
    reason: str = ""


class ListEntry(Struct, frozen=True):
    id_token: IdToken
    known: IdTokenInfo | None
    """None: taken out of the list; in differential updates only."""


class UpdateLocalList(Struct, frozen=True):
    """Replace the local authorization list, or change entries of it; all or nothing. OCPP 1.6 5.15, 2.0.1 D01."""

    version: int
    is_full: bool
    entries: tuple[ListEntry, ...]


class ReserveVerdict(StrEnum):
    ACCEPTED = "Accepted"
    FAULTED = "Faulted"
    OCCUPIED = "Occupied"
    REJECTED = "Rejected"
    UNAVAILABLE = "Unavailable"


class ReserveAnswer(Struct, frozen=True):
    verdict: ReserveVerdict
    reason: str = ""


class Reserve(Struct, frozen=True):
    """Keep an EVSE for a driver; replaces the reservation of the same id. OCPP 1.6 5.13, 2.0.1 H01."""

    reservation: Reservation


class CancelReservation(Struct, frozen=True):
    """OCPP 1.6 5.1, 2.0.1 H02."""

    reservation_id: int


class InstallProfile(Struct, frozen=True):
    """evse_id 0: the whole station; connector_id 0: the EVSE with all its connectors. OCPP 1.6 5.16, 2.0.1 K01."""

    evse_id: EvseId
    connector_id: ConnectorId
    profile: ChargingProfile
    replaces_slot: bool = True
    """Also what has its purpose and level at that place goes (1.6); False: that keeps it out (2.x, K01.FR.06)."""


class ClearProfiles(Struct, frozen=True):
    """Unknown: none is installed that `selection` means. OCPP 1.6 5.5, 2.0.1 K10."""

    selection: Selection


class LimitExternally(Struct, frozen=True):
    """Somebody else than the CSMS limits the station, or one EVSE; replaces what the same origin has set there.

    Unknown: no such EVSE. 2.0.1 K11, K12."""

    origin: LimitOrigin
    schedule: ChargingSchedule
    """Without a start it begins now. With a duration it lifts itself."""
    is_grid_critical: bool | None = None
    evse_id: EvseId = 0
    """0: the whole station, the sum of its EVSEs."""


class LiftExternalLimit(Struct, frozen=True):
    """Unknown: that origin has set none there. 2.0.1 K13."""

    origin: LimitOrigin
    evse_id: EvseId = 0


class ComposeSchedule(Struct, frozen=True):
    """What is to be expected from now on for `duration_s`; unit None: the station chooses. OCPP 1.6 5.7, 2.0.1 K08."""

    evse_id: EvseId
    connector_id: ConnectorId
    duration_s: int
    unit: RateUnit | None = None


class CompositePeriod(Struct, frozen=True):
    start_s: int
    """After `CompositeSchedule.starts_at`; the first one is 0."""
    limit: float
    phases: int


class CompositeSchedule(Struct, frozen=True):
    """`Answer` stands in for it when it cannot be told."""

    evse_id: EvseId
    starts_at: datetime
    duration_s: int
    unit: RateUnit
    periods: tuple[CompositePeriod, ...]


Request: TypeAlias = (
    RequestStart
    | RequestStop
    | TellTransactions
    | TransactionStatus
    | UnlockConnector
    | ChangeAvailability
    | ResetStation
    | PreparePowerLoss
    | ChangeSetting
    | ChangeSettings
    | MonitoringRequest
    | AboutCustomer
    | ClearCache
    | SampleMeters
    | PresentToken
    | TransferData
    | ShowTokenPrice
    | ShowCost
    | ShowMessage
    | RemoveMessage
    | CertificateRequest
    | UpdateFirmware
    | UploadLog
    | UpdateLocalList
    | Reserve
    | CancelReservation
    | InstallProfile
    | ClearProfiles
    | LimitExternally
    | LiftExternalLimit
    | ComposeSchedule
    | SetNetworkProfile
)
Result: TypeAlias = (
    Answer
    | TransactionStanding
    | MessageAnswer
    | Answers
    | MonitorAnswers
    | CustomerAnswer
    | UnlockVerdict
    | tuple[MeterSampled, ...]
    | TransferResult
    | UpdateAnswer
    | UploadAnswer
    | ListAnswer
    | ReserveAnswer
    | CertificateResult
    | CompositeSchedule
    | NetworkAnswer
    | None
)
