"""What may be asked of the station from outside, and what it answers: the CSMS, vendor code, the local API.

Each request is frozen data in our own vocabulary; `Station.execute(request)` carries it out and returns the
matching result. A legal "no" is a result. Nothing here knows an OCPP version.
"""

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from agent.charging.facts import MeterSampled
from agent.charging.ids import ConnectorId, EvseId, IdToken, ReadingContext, ResetKind, TransactionId


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


class RequestStart(Struct, frozen=True):
    """Start as if `id_token` were presented at `evse_id` (None: any free EVSE). OCPP 1.6 5.11, 2.0.1 F01-F02."""

    id_token: IdToken
    evse_id: EvseId | None = None
    connector_id: ConnectorId | None = None
    remote_start_id: int | None = None


class RequestStop(Struct, frozen=True):
    transaction_id: TransactionId


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


class ChangeSetting(Struct, frozen=True):
    """`name` is a name of `settings.py` (not a 1.6 key). Accepted means: it is on the disk and in force."""

    name: str
    value: str


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


Request: TypeAlias = (
    RequestStart
    | RequestStop
    | UnlockConnector
    | ChangeAvailability
    | ResetStation
    | ChangeSetting
    | ClearCache
    | SampleMeters
    | PresentToken
    | TransferData
)
Result: TypeAlias = Answer | UnlockVerdict | tuple[MeterSampled, ...] | TransferResult | None
