"""Remote start and stop, unlocking and TriggerMessage of OCPP 2.0.1.

OCPP 2.0.1 part 2, F01 to F06.
"""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from msgspec import UNSET, UnsetType

from agent.charging.certificates import (
    CertificateAnswer,
    CertificateVerdict,
    RequestOwnCertificate,
)
from agent.charging.facts import MeterSampled
from agent.charging.ids import BootReason, ReadingContext
from agent.charging.requests import (
    Answer,
    RequestStart,
    RequestStop,
    SampleMeters,
    TellTransactions,
    UnlockConnector,
    UnlockVerdict,
    Verdict,
)
from agent.ocpp.frontend import (
    Ask,
    BootNotice,
    DiagnosticsNotice,
    FirmwareNotice,
    HeartbeatNotice,
    Notice,
    Registration,
    Reply,
    Response,
    Route,
    StatusNotice,
    View,
    routed,
)
from agent.ocpp.v201.charging_profiles import ChargingProfile
from agent.ocpp.v201.datatypes import (
    Evse,
    IdToken,
    Payload,
    ReasonCode,
    StatusInfo,
    Text36,
    because,
    id_token,
    why,
)
from agent.ocpp.v201.metering import meter_values
from agent.ocpp.v201.places import evse_of, place_of
from agent.ocpp.v201.smart_charging import charging_profile, flaw_of_start
from agent.ocpp.values import Integer32, Integer64

RequestStartStopStatusName: TypeAlias = Literal["Accepted", "Rejected"]
UnlockStatusName: TypeAlias = Literal[
    "Unlocked", "UnlockFailed", "OngoingAuthorizedTransaction", "UnknownConnector"
]


class RequestStartTransactionRequest(Payload, frozen=True, kw_only=True):
    id_token: IdToken
    remote_start_id: Integer64
    evse_id: Integer32 | UnsetType = UNSET
    group_id_token: IdToken | UnsetType = UNSET
    charging_profile: ChargingProfile | UnsetType = UNSET


class RequestStartTransactionResponse(Payload, frozen=True, kw_only=True):
    status: RequestStartStopStatusName
    status_info: StatusInfo | UnsetType = UNSET
    transaction_id: Text36 | UnsetType = UNSET


class RequestStopTransactionRequest(Payload, frozen=True, kw_only=True):
    transaction_id: Text36


class RequestStopTransactionResponse(Payload, frozen=True, kw_only=True):
    status: RequestStartStopStatusName
    status_info: StatusInfo | UnsetType = UNSET


class UnlockConnectorRequest(Payload, frozen=True, kw_only=True):
    evse_id: Integer32
    connector_id: Integer32


class UnlockConnectorResponse(Payload, frozen=True, kw_only=True):
    status: UnlockStatusName
    status_info: StatusInfo | UnsetType = UNSET


class TriggerMessageRequest(Payload, frozen=True, kw_only=True):
    requested_message: str
    """Any name: an unknown one is NotImplemented (F06.FR.08), where the enumeration would give a CALLERROR."""
    evse: Evse | UnsetType = UNSET


class TriggerMessageResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Rejected", "NotImplemented"]
    status_info: StatusInfo | UnsetType = UNSET


# --- start, stop, unlock -----------------------------------------------------------------------------------

_NOT_ACCEPTED_YET = why("CSNotAccepted")
START_REJECTED = RequestStartTransactionResponse(status="Rejected", status_info=_NOT_ACCEPTED_YET)
STOP_REJECTED = RequestStopTransactionResponse(status="Rejected", status_info=_NOT_ACCEPTED_YET)
"""What both get as long as the CSMS has not accepted the station (B02.FR.05)."""


def request_start_transaction(request: RequestStartTransactionRequest, view: View) -> Response:
    """F01, F02: Accepted means that the station will try. Its profile is that of the new transaction (F01.FR.10)."""
    evse_id = None if request.evse_id is UNSET else request.evse_id
    if evse_id is not None and evse_id not in view.snapshot().evses:
        return _start_rejected(why("UnknownEvse"))
    profile = None
    if request.charging_profile is not UNSET and view.settings.flag("smart_charging_enabled"):  # K05.FR.04
        evses = view.snapshot().evses
        flaw = flaw_of_start(
            request.charging_profile, view, evses.values() if evse_id is None else (evses[evse_id],)
        )
        if flaw is not None:
            return _start_rejected(flaw)  # F01.FR.26
        profile = charging_profile(request.charging_profile)
    group = request.group_id_token
    start = RequestStart(
        id_token(request.id_token),
        evse_id,
        remote_start_id=request.remote_start_id,
        profile=profile,
        group=None if group is UNSET else id_token(group),
    )
    return Ask(start, _started)


def _started(answer: Answer) -> Reply:
    if answer.verdict is Verdict.ACCEPTED:
        running = UNSET if answer.transaction_id is None else answer.transaction_id  # F01.FR.13
        return Reply(RequestStartTransactionResponse(status="Accepted", transaction_id=running))
    return _start_rejected(because(answer.reason))


def _start_rejected(reason: StatusInfo | UnsetType) -> Reply:
    return Reply(RequestStartTransactionResponse(status="Rejected", status_info=reason))


def request_stop_transaction(request: RequestStopTransactionRequest, view: View) -> Response:
    """F03.FR.07, F03.FR.08: only a transaction that runs here."""
    if evse_of(view.snapshot(), request.transaction_id) is None:
        return _stop_rejected(why("TxNotFound"))
    return Ask(RequestStop(request.transaction_id), _stopped)


def _stopped(answer: Answer) -> Reply:
    if answer.verdict is Verdict.ACCEPTED:
        return Reply(RequestStopTransactionResponse(status="Accepted"))
    return _stop_rejected(because(answer.reason))


def _stop_rejected(reason: StatusInfo | UnsetType) -> Reply:
    return Reply(RequestStopTransactionResponse(status="Rejected", status_info=reason))


def unlock_connector(request: UnlockConnectorRequest, _view: View) -> Ask:
    """F05: never while a transaction runs (F05.FR.02), also without a cable (F05.FR.06)."""
    return Ask(UnlockConnector(request.evse_id, request.connector_id, stop_transaction=False), _unlocked)


def _unlocked(verdict: UnlockVerdict) -> Reply:
    match verdict:
        case UnlockVerdict.UNLOCKED:
            return Reply(UnlockConnectorResponse(status="Unlocked"))
        case UnlockVerdict.UNLOCK_FAILED:
            return Reply(UnlockConnectorResponse(status="UnlockFailed"))
        case UnlockVerdict.NOT_SUPPORTED:
            return Reply(UnlockConnectorResponse(status="UnlockFailed", status_info=why("FixedCable")))
        case UnlockVerdict.ONGOING_TRANSACTION:
            return Reply(UnlockConnectorResponse(status="OngoingAuthorizedTransaction"))
        case UnlockVerdict.UNKNOWN_CONNECTOR:
            return Reply(UnlockConnectorResponse(status="UnknownConnector"))


# --- trigger -----------------------------------------------------------------------------------------------

_ACCEPTED = TriggerMessageResponse(status="Accepted")
_NOT_IMPLEMENTED = Reply(TriggerMessageResponse(status="NotImplemented"))


def _accepted(*notices: Notice) -> Reply:
    """The answer first, then what was asked for (F06.FR.04)."""
    return Reply(_ACCEPTED, notices)


def _rejected(code: ReasonCode, text: str = "") -> Reply:
    return Reply(TriggerMessageResponse(status="Rejected", status_info=why(code, text)))


def trigger_message(request: TriggerMessageRequest, view: View) -> Response:
    """Decision order of A.4: known message, registration, target, then what the message itself demands."""
    trigger = _TRIGGERS.get(request.requested_message)
    if trigger is None:
        return _NOT_IMPLEMENTED  # F06.FR.08
    if view.registration is Registration.UNKNOWN and trigger is not _trigger_boot:
        return _rejected("CSNotAccepted")  # nothing but BootNotification may go out before (B01.FR.08)
    return trigger(request, view)


def _trigger_boot(_request: TriggerMessageRequest, view: View) -> Reply:
    """F06.FR.17; the interval of the last answer does not hold it back (B02.FR.04)."""
    if view.registration is Registration.ACCEPTED:
        return _rejected("InvalidMessageSeq", "accepted already")
    return _accepted(BootNotice(BootReason.TRIGGERED))


def _trigger_status(request: TriggerMessageRequest, view: View) -> Reply:
    """Of one connector, which has to be named (F06.FR.12, F06.FR.13)."""
    place = place_of(view.snapshot(), request.evse)
    if isinstance(place, str):
        return _rejected(place)
    if place[1] == 0:
        return _rejected("MissingParam", "a connector has to be named")
    return _accepted(StatusNotice(*place))


def _trigger_meter_values(request: TriggerMessageRequest, view: View) -> Response:
    """Everything in AlignedDataCtrlr.Measurands of everything that has a meter (F06.FR.06, F06.FR.11); EVSE 0 is the
    main meter. The meters are read before the answer: only then is it known whether Accepted can be kept."""
    snapshot = view.snapshot()
    evse_ids = [evse_id for evse_id, evse in sorted(snapshot.evses.items()) if evse.has_meter]
    if snapshot.has_main_meter:
        evse_ids.insert(0, 0)
    if request.evse is not UNSET:
        wanted = request.evse.id
        if wanted and wanted not in snapshot.evses:
            return _rejected("UnknownEvse")
        evse_ids = [evse_id for evse_id in evse_ids if evse_id == wanted]
    if not evse_ids:
        return _rejected("NotFound", "there is no meter")
    measurands = view.settings.listed("aligned_measurands")
    if not measurands:
        return _rejected("NotEnabled", "AlignedDataCtrlr.Measurands is empty")
    question = SampleMeters(tuple(evse_ids), ReadingContext.TRIGGER, measurands)
    return Ask(question, _metered, replies_first=False)


def _metered(sampled: tuple[MeterSampled, ...] | None) -> Reply:
    readings = [reading for reading in sampled or () if meter_values([reading.sample])]
    return _accepted(*readings) if readings else _rejected("NotFound", "the meter says nothing")


def _trigger_transaction(request: TriggerMessageRequest, view: View) -> Response:
    """F06.FR.07: it takes its turn in the queue of the transaction, like everything of it. Without an EVSE each one
    that runs (F06.FR.11)."""
    if view.registration is not Registration.ACCEPTED:
        return _rejected("CSNotAccepted")
    evse_id = None if request.evse is UNSET else request.evse.id
    if evse_id is not None and evse_id not in view.snapshot().evses:
        return _rejected("UnknownEvse")
    return Ask(TellTransactions(evse_id), _transaction_told)


def _transaction_told(answer: Answer) -> Reply:
    is_told = answer.verdict is Verdict.ACCEPTED
    return _accepted() if is_told else _rejected("TxNotFound", answer.reason)


def _trigger_signing(_request: TriggerMessageRequest, _view: View) -> Ask:
    """A02.FR.02. Rejected without OrganizationName: there would be nobody to sign for."""
    return Ask(RequestOwnCertificate(), _signing_wanted)


def _signing_wanted(answer: CertificateAnswer) -> Reply:
    is_wanted = answer.verdict is CertificateVerdict.ACCEPTED
    return _accepted() if is_wanted else _rejected("MissingDevModelInfo", answer.reason)


def _always(*notices: Notice) -> "_Trigger":
    """What is told of the station as a whole: an EVSE is let be (F06.FR.03)."""
    reply = _accepted(*notices)
    return lambda _request, _view: reply


_Trigger: TypeAlias = Callable[[TriggerMessageRequest, View], Response]

_TRIGGERS: Mapping[str, _Trigger] = {
    "BootNotification": _trigger_boot,
    "FirmwareStatusNotification": _always(FirmwareNotice()),
    "Heartbeat": _always(HeartbeatNotice()),
    "LogStatusNotification": _always(DiagnosticsNotice()),
    "MeterValues": _trigger_meter_values,
    "SignChargingStationCertificate": _trigger_signing,
    "StatusNotification": _trigger_status,
    "TransactionEvent": _trigger_transaction,
}
"""Datatype 3.54. Not here: what needs an ISO 15118 stack (SignV2GCertificate, SignCombinedCertificate) or a local
controller (PublishFirmwareStatusNotification)."""

ROUTES = routed(
    Route("RequestStartTransaction", RequestStartTransactionRequest, request_start_transaction),
    Route("RequestStopTransaction", RequestStopTransactionRequest, request_stop_transaction),
    Route("UnlockConnector", UnlockConnectorRequest, unlock_connector),
    Route("TriggerMessage", TriggerMessageRequest, trigger_message),
)
