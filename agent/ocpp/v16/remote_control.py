"""Remote start and stop, unlocking and TriggerMessage of OCPP 1.6.

A triggered message is data in `Reply.then`: the answer goes out first, and every message is built when it is sent. A
meter is read before the answer, because only then is it known whether Accepted can be kept; the reading is younger
than the request. OCPP 1.6 5.11, 5.12, 5.17, 5.18 (R16-170 to R16-184, R16-281 to R16-291).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from agent.charging.facts import MeterSampled
from agent.charging.ids import BootReason, ReadingContext
from agent.charging.requests import (
    Answer,
    RequestStart,
    RequestStop,
    SampleMeters,
    UnlockConnector,
    UnlockVerdict,
    Verdict,
)
from agent.charging.snapshot import StationSnapshot
from agent.ocpp.frontend import (
    Ask,
    BootNotice,
    DiagnosticsNotice,
    FirmwareNotice,
    HeartbeatNotice,
    Place,
    Registration,
    Reply,
    Response,
    Route,
    StatusNotice,
    View,
    routed,
)
from agent.ocpp.v16.connectors import STATION, place_of, places
from agent.ocpp.v16.datatypes import AcceptedRejected, ChargingProfile, CiString20, id_token
from agent.ocpp.v16.smart_charging import charging_profile, constraint_broken, is_offered

DEFAULT_MEASURANDS = ("Energy.Active.Import.Register",)
"""What an empty list of measurands stands for (R16-150)."""


class RemoteStartTransactionRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    id_tag: CiString20
    connector_id: int | UnsetType = UNSET
    charging_profile: ChargingProfile | UnsetType = UNSET


class RemoteStartTransactionResponse(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: AcceptedRejected


class RemoteStopTransactionRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    transaction_id: int


class RemoteStopTransactionResponse(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: AcceptedRejected


class UnlockConnectorRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    connector_id: int


class UnlockConnectorResponse(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    status: Literal["Unlocked", "UnlockFailed", "NotSupported"]


class TriggerMessageRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    requested_message: str
    """Any name: an unknown one is NotImplemented (5.17), where the schema's enumeration would give a CALLERROR."""
    connector_id: int | UnsetType = UNSET


class TriggerMessageResponse(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    status: Literal["Accepted", "Rejected", "NotImplemented"]


# --- start, stop, unlock -----------------------------------------------------------------------------------

START_REJECTED = RemoteStartTransactionResponse(status="Rejected")
STOP_REJECTED = RemoteStopTransactionResponse(status="Rejected")


def remote_start_transaction(request: RemoteStartTransactionRequest, view: View) -> Response:
    """Accepted means that the station will try (R16-170); its profile is that of the new transaction (R16-179)."""
    profile = None
    if request.charging_profile is not UNSET and is_offered(view):  # otherwise it is ignored (R16-180)
        given = request.charging_profile
        if given.charging_profile_purpose != "TxProfile" or given.transaction_id is not UNSET:
            return Reply(START_REJECTED)  # R16-178
        broken = constraint_broken(given, "$.chargingProfile")
        if broken is not None:
            return broken
        profile = charging_profile(given)
    if request.connector_id is UNSET:
        return Ask(RequestStart(id_token(request.id_tag), profile=profile), _started)
    place = place_of(view.snapshot(), request.connector_id)
    if place is None or place == STATION:
        return Reply(START_REJECTED)  # R16-175, R16-176
    evse_id, connector_id = place
    start = RequestStart(id_token(request.id_tag), evse_id, connector_id, profile=profile)
    return Ask(start, _started)


def _started(answer: Answer) -> Reply:
    is_accepted = answer.verdict is Verdict.ACCEPTED
    return Reply(RemoteStartTransactionResponse(status="Accepted") if is_accepted else START_REJECTED)


def remote_stop_transaction(request: RemoteStopTransactionRequest, view: View) -> Response:
    """R16-181: only a transaction that runs here, by the id that the CSMS gave it."""
    transaction_id = view.find_transaction(str(request.transaction_id))
    if transaction_id is None:
        return Reply(STOP_REJECTED)
    return Ask(RequestStop(transaction_id), _stopped)


def _stopped(answer: Answer) -> Reply:
    is_accepted = answer.verdict is Verdict.ACCEPTED
    return Reply(RemoteStopTransactionResponse(status="Accepted") if is_accepted else STOP_REJECTED)


def unlock_connector(request: UnlockConnectorRequest, view: View) -> Response:
    """A running transaction is ended first (R16-182); no lock or no such connector: NotSupported (R16-183)."""
    place = place_of(view.snapshot(), request.connector_id)
    if place is None or place == STATION:
        return Reply(UnlockConnectorResponse(status="NotSupported"))
    return Ask(UnlockConnector(*place, stop_transaction=True), _unlocked)


def _unlocked(verdict: UnlockVerdict) -> Reply:
    match verdict:
        case UnlockVerdict.UNLOCKED:
            return Reply(UnlockConnectorResponse(status="Unlocked"))
        case UnlockVerdict.UNLOCK_FAILED | UnlockVerdict.ONGOING_TRANSACTION:
            return Reply(UnlockConnectorResponse(status="UnlockFailed"))
        case UnlockVerdict.NOT_SUPPORTED | UnlockVerdict.UNKNOWN_CONNECTOR:
            return Reply(UnlockConnectorResponse(status="NotSupported"))


# --- trigger -----------------------------------------------------------------------------------------------

_ACCEPTED = TriggerMessageResponse(status="Accepted")
_REJECTED = Reply(TriggerMessageResponse(status="Rejected"))
_NOT_IMPLEMENTED = Reply(TriggerMessageResponse(status="NotImplemented"))
_HEARTBEAT = Reply(_ACCEPTED, (HeartbeatNotice(),))
_DIAGNOSTICS = Reply(_ACCEPTED, (DiagnosticsNotice(),))
_FIRMWARE = Reply(_ACCEPTED, (FirmwareNotice(),))
_LOG = Reply(_ACCEPTED, (DiagnosticsNotice(is_log=True),))
_SIGNED_FIRMWARE = Reply(_ACCEPTED, (FirmwareNotice(is_signed=True),))
_BOOT = Reply(_ACCEPTED, (BootNotice(BootReason.TRIGGERED),))

_Trigger: TypeAlias = Callable[[TriggerMessageRequest, View], Response]


def trigger_message(request: TriggerMessageRequest, view: View) -> Response:
    """Decision order of A.4: known message, registration, target, then what the message itself demands."""
    return _follow(_TRIGGERS.get(request.requested_message), request, view)


def trigger_extended(request: TriggerMessageRequest, view: View) -> Response:
    """ExtendedTriggerMessage of the security extension, but for the signing of certificates (R16-372)."""
    return _follow(_EXTENDED_TRIGGERS.get(request.requested_message), request, view)


def _follow(trigger: _Trigger | None, request: TriggerMessageRequest, view: View) -> Response:
    if trigger is None:
        return _NOT_IMPLEMENTED
    if view.registration is Registration.UNKNOWN and trigger is not _trigger_boot:
        return _REJECTED  # nothing but BootNotification may go out before the first answer to it (R16-043)
    return trigger(request, view)


def _trigger_boot(_request: TriggerMessageRequest, view: View) -> Response:
    """Errata 3.35 recommends to refuse while accepted; central systems rely on it, hence the setting."""
    is_accepted = view.registration is Registration.ACCEPTED
    if is_accepted and not view.settings.flag("trigger_boot_notification_when_accepted"):
        return _REJECTED
    return _BOOT


def _trigger_status(request: TriggerMessageRequest, view: View) -> Response:
    """Absent: connector 0 and each connector (R16-284); out of range: Rejected (R16-285)."""
    snapshot = view.snapshot()
    targets = _targets(request, snapshot)
    return Reply(_ACCEPTED, tuple(StatusNotice(*place) for place in targets)) if targets else _REJECTED


def _trigger_meter_values(request: TriggerMessageRequest, view: View) -> Response:
    """Everything in MeterValuesSampledData of everything that has a meter (R16-284, R16-286)."""
    snapshot = view.snapshot()
    metered = [place for place in _targets(request, snapshot) if _has_meter(snapshot, place)]
    if not metered:
        return _REJECTED
    measurands = view.settings.listed("sampled_measurands") or DEFAULT_MEASURANDS
    evse_ids = tuple(dict.fromkeys(evse_id for evse_id, _ in metered))
    wanted = None if request.connector_id is UNSET else metered[0]
    return Ask(
        SampleMeters(evse_ids, ReadingContext.TRIGGER, measurands),
        partial(_metered, wanted),
        replies_first=False,
    )


def _metered(wanted: Place | None, sampled: tuple[MeterSampled, ...] | None) -> Reply:
    """`wanted`: the connector that was asked for, which may be another one of its EVSE than that in use."""
    readings = [_of_connector(reading, wanted) for reading in sampled or () if reading.sample.values]
    return Reply(_ACCEPTED, tuple(readings)) if readings else _REJECTED


def _of_connector(reading: MeterSampled, wanted: Place | None) -> MeterSampled:
    if wanted is None or reading.connector_id == wanted[1]:
        return reading
    return replace(reading, connector_id=wanted[1], transaction_id=None, reference=None)  # R16-153


def _targets(request: TriggerMessageRequest, snapshot: StationSnapshot) -> list[Place]:
    if request.connector_id is UNSET:
        return places(snapshot)
    place = place_of(snapshot, request.connector_id)
    return [] if place is None else [place]


def _has_meter(snapshot: StationSnapshot, place: Place) -> bool:
    return snapshot.has_main_meter if place == STATION else snapshot.evses[place[0]].has_meter


_TRIGGERS: Mapping[str, _Trigger] = {
    "BootNotification": _trigger_boot,
    "Heartbeat": lambda _request, _view: _HEARTBEAT,
    "StatusNotification": _trigger_status,
    "MeterValues": _trigger_meter_values,
    "DiagnosticsStatusNotification": lambda _request, _view: _DIAGNOSTICS,
    "FirmwareStatusNotification": lambda _request, _view: _FIRMWARE,
}
"""OCPP 1.6 7.32."""
_EXTENDED_TRIGGERS: Mapping[str, _Trigger] = {
    "BootNotification": _trigger_boot,
    "Heartbeat": lambda _request, _view: _HEARTBEAT,
    "StatusNotification": _trigger_status,
    "MeterValues": _trigger_meter_values,
    "FirmwareStatusNotification": lambda _request, _view: _SIGNED_FIRMWARE,
    "LogStatusNotification": lambda _request, _view: _LOG,
}
"""Security white paper 6.16, without SignChargePointCertificate; firmware means SignedFirmwareStatusNotification."""

ROUTES = routed(
    Route("RemoteStartTransaction", RemoteStartTransactionRequest, remote_start_transaction),
    Route("RemoteStopTransaction", RemoteStopTransactionRequest, remote_stop_transaction),
    Route("UnlockConnector", UnlockConnectorRequest, unlock_connector),
    Route("TriggerMessage", TriggerMessageRequest, trigger_message),
)
