"""What one OCPP version is made of, as data: routes, encoders, result readers, registration gates.

A front end is built from its rooms (`agent/ocpp/v16/<room>.py`) and used by `agent/ocpp/conversation.py`. Handlers and
encoders are pure and synchronous: they get a decoded payload or a notice and a `View` of the station, and give data
back. A handler that needs the station answers `Ask`; what is to be sent after the reply stands in `Reply.then`, so
that a test sees the order without a loop. Nothing here knows a loop, a socket or a disk.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from msgspec import Struct, field

from agent.charging.certificates import CertificateHash
from agent.charging.facts import (
    DurableFact,
    ExternalLimitLifted,
    ExternalLimitSet,
    MeterSampled,
)
from agent.charging.ids import BootReason, ConnectorId, EvseId, IdToken, IdTokenInfo, TransactionId
from agent.charging.profiles import LimitOrigin
from agent.charging.requests import (
    Request,
    TransferResult,
)
from agent.charging.settings import Settings
from agent.charging.snapshot import StationSnapshot
from agent.charging.tariff import Text
from agent.ocpp.codec import Category

if TYPE_CHECKING:
    from agent.charging.device_model import DeviceModel

# --- who we are, and where we stand with the CSMS ----------------------------------------------------------


class StationIdentity(Struct, frozen=True):
    """What BootNotification says of the station. None or "" = not known, and then not sent."""

    vendor: str
    model: str
    serial_number: str | None = None
    firmware_version: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    meter_type: str | None = None
    meter_serial_number: str | None = None


class Registration(StrEnum):
    """What the CSMS last said to BootNotification; UNKNOWN until it said anything."""

    UNKNOWN = "Unknown"
    PENDING = "Pending"
    REJECTED = "Rejected"
    ACCEPTED = "Accepted"


class OwnCalls(Enum):
    """Which calls of ours may go out."""

    BOOT_ONLY = 0
    TRIGGERED = 1
    """BootNotification, and what the CSMS asked for by TriggerMessage."""
    ALL = 2


class Gate(Struct, frozen=True):
    """What a registration state lets through."""

    own_calls: OwnCalls
    answers_calls: bool = True
    """False: calls of the CSMS are not carried out."""
    refusal: Category | None = None
    """What calls get that are not carried out: this CALLERROR; None: no answer at all."""
    fixed_replies: Mapping[str, Struct] = field(default_factory=dict)
    """Action -> the reply that stands in for its handler in this state."""


# --- what may be told to a CSMS ----------------------------------------------------------------------------


class BootNotice(Struct, frozen=True):
    reason: BootReason


class HeartbeatNotice(Struct, frozen=True):
    pass


class StatusNotice(Struct, frozen=True):
    """The status of one connector; (0, 0) is the station. `status` None: whatever it is when the message is built."""

    evse_id: EvseId
    connector_id: ConnectorId
    status: "ConnectorStatus | None" = None
    at: datetime | None = None
    """When the status came about; None: now."""


class TokenQuestion(Struct, frozen=True):
    id_token: IdToken
    evse_id: EvseId


class TransferNotice(Struct, frozen=True):
    """A vendor message of ours. `data` is any JSON value; None = absent."""

    vendor_id: str
    message_id: str | None
    data: object


class DiagnosticsNotice(Struct, frozen=True):
    """Where an upload of diagnostics or a log stands."""

    is_log: bool = False
    """1.6: as the message of the security extension (ExtendedTriggerMessage asked for it)."""


class SigningNotice(Struct, frozen=True):
    """Have the station's public key signed: a request as PEM (PKCS#10)."""

    request: str


class CertificateStatusQuestion(Struct, frozen=True):
    """Whether a certificate is still good, by its authority's word (OCSP); the CSMS asks there. 2.0.1 M06."""

    certificate: CertificateHash
    responder_url: str


class FirmwareNotice(Struct, frozen=True):
    """Where a firmware update stands."""

    is_signed: bool = False
    """1.6: as the message of the security extension (ExtendedTriggerMessage asked for it)."""


class ReportNotice(Struct, frozen=True):
    """One part of a report about variables; the values are those of `at`."""

    request_id: int
    seq_no: int
    at: datetime
    is_last: bool
    entries: tuple[Struct, ...]
    """Ready in the words of the front end that made it."""


class MonitoringReportNotice(Struct, frozen=True):
    """One part of a report about monitors."""

    request_id: int
    seq_no: int
    at: datetime
    is_last: bool
    entries: tuple[Struct, ...]
    """Ready in the words of the front end that made it."""


class CustomerReportNotice(Struct, frozen=True):
    """One part of what the station knows of a customer, as text."""

    request_id: int
    seq_no: int
    at: datetime
    is_last: bool
    text: str


class ProfileReportNotice(Struct, frozen=True):
    """One part of a report about charging profiles: of one EVSE (0: the station), set by one origin."""

    request_id: int
    evse_id: EvseId
    origin: LimitOrigin
    is_last: bool
    entries: tuple[Struct, ...]
    """Ready in the words of the front end that made it."""


class DisplayReportNotice(Struct, frozen=True):
    """One part of a report about messages for the display."""

    request_id: int
    is_last: bool
    entries: tuple[Struct, ...]
    """Ready in the words of the front end that made it."""


Notice: TypeAlias = (
    BootNotice
    | HeartbeatNotice
    | StatusNotice
    | TokenQuestion
    | TransferNotice
    | DiagnosticsNotice
    | FirmwareNotice
    | SigningNotice
    | CertificateStatusQuestion
    | ReportNotice
    | MonitoringReportNotice
    | CustomerReportNotice
    | ProfileReportNotice
    | DisplayReportNotice
    | ExternalLimitSet
    | ExternalLimitLifted
    | MeterSampled
    | DurableFact
)


class ConnectorStatus(Struct, frozen=True):
    """The status of one connector in the words of one OCPP version. Two equal ones are told once."""

    status: str
    error_code: str = ""
    vendor_error_code: str = ""
    remark: str = ""


Place: TypeAlias = tuple[EvseId, ConnectorId]
"""(0, 0) is the station as a whole."""


class Call(Struct, frozen=True):
    """A call of ours, ready for `Rpc.call`."""

    action: str
    payload: Struct


# --- what a CSMS answers to it -----------------------------------------------------------------------------


class Registered(Struct, frozen=True):
    registration: Registration
    interval_s: int
    csms_time: datetime | None
    """None: the CSMS gave a time without a zone, by which no clock is set."""


LONGEST_INTERVAL_S = 2**31 - 1


def registered_by(status: str, interval_s: int, at: datetime | None) -> Registered:
    """What an answer to BootNotification says; a longer interval is cut to LONGEST_INTERVAL_S."""
    return Registered(Registration(status), min(interval_s, LONGEST_INTERVAL_S), at)


class ClockTold(Struct, frozen=True):
    csms_time: datetime | None


class TokenJudged(Struct, frozen=True):
    known: IdTokenInfo
    texts: tuple[Text, ...] = ()
    """What the driver is to be shown."""
    languages: tuple[str, ...] = ()
    """That the driver understands, the preferred one first (RFC 5646)."""


class TransactionAcknowledged(Struct, frozen=True):
    """`reference` is what the CSMS calls the transaction, if the answer says so; `known` its word on the token."""

    reference: str | None = None
    known: IdTokenInfo | None = None
    total_cost: float | None = None
    """What it costs so far, as the CSMS says; in the answer to the last message: in all (2.0.1 I02, I03)."""
    texts: tuple[Text, ...] = ()
    """What the driver is to be shown from now on (2.0.1 I06)."""


class TransferAnswered(Struct, frozen=True):
    result: TransferResult


class SigningAnswered(Struct, frozen=True):
    """Whether the CSMS passes the signing request on."""

    is_accepted: bool


class CertificateStatusTold(Struct, frozen=True):
    response: str | None
    """The authority's answer as the CSMS passes it on (Base64); None: it got none."""


class Acknowledged(Struct, frozen=True):
    """It arrived; the answer says nothing more."""


Outcome: TypeAlias = (
    Registered
    | ClockTold
    | TokenJudged
    | TransactionAcknowledged
    | TransferAnswered
    | SigningAnswered
    | CertificateStatusTold
    | Acknowledged
)

# --- what a handler answers --------------------------------------------------------------------------------


class Reply(Struct, frozen=True):
    """The payload of the CALLRESULT, and what is to be sent once it is on its way (in this order)."""

    payload: Struct
    then: tuple[Notice, ...] = ()


class Refuse(Struct, frozen=True):
    """A CALLERROR. A legal "no" is a `Reply` with a status, never this."""

    category: Category
    description: str = ""


class Ask(Struct, frozen=True):
    """The station has to be asked; `reply` turns its result into the answer."""

    request: Request
    reply: Callable[[Any], Reply | Refuse]
    replies_first: bool = True
    """What the request sets off (status, transaction messages) waits until the answer is on its way."""


Response: TypeAlias = Reply | Refuse | Ask


class View(Protocol):
    """What handlers and encoders may see of the station."""

    @property
    def identity(self) -> StationIdentity: ...
    @property
    def registration(self) -> Registration: ...
    @property
    def settings(self) -> Settings: ...
    def snapshot(self) -> StationSnapshot: ...
    def now(self) -> datetime: ...
    @property
    def device_model(self) -> "DeviceModel": ...
    def find_transaction(self, reference: str) -> TransactionId | None:
        """The running transaction that the CSMS calls `reference`."""


P = TypeVar("P", bound=Struct)


@dataclass(frozen=True, slots=True)
class Route(Generic[P]):
    """One action of the CSMS."""

    action: str
    request: type[P]
    handler: Callable[[P, View], Response]
    most_bytes: str | None = None
    """Name of the setting that says how long the payload may be; a longer one is refused undecoded."""


Encoder: TypeAlias = Callable[[Any, View, str | None], Call | None]
"""(notice, view, reference) -> call. `reference` is the CSMS's id of the notice's transaction, None if it gave none.
None as the call: this version has no message for it."""


@dataclass(frozen=True, slots=True)
class ResultReader(Generic[P]):
    """How the CALLRESULT of one of our actions is read."""

    payload: type[P]
    read: Callable[[P], Outcome]
    if_unreadable: Outcome | None = None
    """What a payload that cannot be read still means: a CALLRESULT says that the call arrived. None: too little."""
    less: "ResultReader[Any] | None" = None
    """Tried on a payload that `payload` does not fit: what cannot be done without."""


def acknowledged_by(payload: type[P]) -> ResultReader[P]:
    """For an answer that says nothing but that the call arrived."""
    return ResultReader(payload, lambda _: Acknowledged(), Acknowledged())


class FrontEnd(Struct, frozen=True):
    """One OCPP version."""

    subprotocol: str
    routes: Mapping[str, Route[Any]]
    unsupported: Mapping[str, str]
    """Actions that the version has and we do not serve, with the reason; all others are unknown."""
    encoders: Mapping[type, Encoder]
    results: Mapping[str, ResultReader[Any]]
    error_codes: Mapping[Category, str]
    """The version's spelling of the error codes."""
    gates: Mapping[Registration, Gate]
    connector_statuses: Callable[[StationSnapshot], Mapping[Place, ConnectorStatus]]
    status_between: Callable[[ConnectorStatus, ConnectorStatus], ConnectorStatus | None]
    """The status that has to be told between two, where the version does not allow the direct step."""
    least_status_s: Callable[[ConnectorStatus, ConnectorStatus], float]
    """How long a status lasts at least before it is told after the one told last, whatever the CSMS has set."""
    offline_threshold: str | None = None
    """Name of a setting in s: after being offline for longer every status is told again, not only what changed."""


K = TypeVar("K")
V = TypeVar("V")


def merged(tables: Iterable[Mapping[K, V]]) -> dict[K, V]:
    """One table of many. Raises ValueError when two of them have the same key: called at import."""
    merged_table: dict[K, V] = {}
    for table in tables:
        twice = merged_table.keys() & table.keys()
        if twice:
            raise ValueError(f"in two rooms: {sorted(map(str, twice))}")
        merged_table.update(table)
    return merged_table


def routed(*routes: Route[Any]) -> dict[str, Route[Any]]:
    """The routes of a room by action. Raises ValueError on a duplicate."""
    return merged({route.action: route} for route in routes)
