"""Uploads of diagnostics and logs in OCPP 1.6: GetDiagnostics, GetLog of the security extension, and their statuses.

What happens to an order is `agent/charging/diagnostics.py` and `agent/diagnostics`; here are its words. GetDiagnostics
has four statuses, GetLog seven and the id of the order in each. Pure. OCPP 1.6 4.4, 5.9, 5.17, 6.25, 7.24 (R16-289,
R16-300 to R16-304); white paper N01, 5.9, 5.13, 6.13 to 6.15, 6.19 (R16-357 to R16-360).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from agent.charging.diagnostics import is_uploading
from agent.charging.facts import EventsNoticed, LogUploadChanged
from agent.charging.ids import LogKind, UploadStatus
from agent.charging.requests import UploadAnswer, UploadLog
from agent.ocpp.codec import Category
from agent.ocpp.frontend import (
    Ask,
    Call,
    DiagnosticsNotice,
    Encoder,
    Refuse,
    Reply,
    ResultReader,
    Route,
    View,
    acknowledged_by,
    routed,
)
from agent.ocpp.v16.datatypes import CiString255
from agent.ocpp.values import Integer32, Integer64, aware

DiagnosticsStatus: TypeAlias = Literal["Idle", "Uploaded", "UploadFailed", "Uploading"]
LogStatus: TypeAlias = Literal[
    "BadMessage",
    "Idle",
    "NotSupportedOperation",
    "PermissionDenied",
    "Uploaded",
    "UploadFailure",
    "Uploading",
]
Text512: TypeAlias = Annotated[str, Meta(max_length=512)]
Text255: TypeAlias = Annotated[str, Meta(max_length=255)]


class GetDiagnosticsRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    location: str
    retries: Integer32 | UnsetType = UNSET
    retry_interval: Integer32 | UnsetType = UNSET
    start_time: datetime | UnsetType = UNSET
    stop_time: datetime | UnsetType = UNSET


class GetDiagnosticsResponse(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    file_name: CiString255 | UnsetType = UNSET


class LogParameters(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """White paper 6.14."""

    remote_location: Text512
    oldest_timestamp: datetime | UnsetType = UNSET
    latest_timestamp: datetime | UnsetType = UNSET


class GetLogRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    log: LogParameters
    log_type: Literal["DiagnosticsLog", "SecurityLog"]
    request_id: Integer64
    retries: Integer32 | UnsetType = UNSET
    retry_interval: Integer32 | UnsetType = UNSET


class GetLogResponse(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    status: Literal["Accepted", "Rejected", "AcceptedCanceled"]
    filename: Text255 | UnsetType = UNSET


class DiagnosticsStatusNotificationRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: DiagnosticsStatus


class DiagnosticsStatusNotificationResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class LogStatusNotificationRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: LogStatus
    request_id: int | UnsetType = UNSET


class LogStatusNotificationResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    pass


# --- orders ------------------------------------------------------------------------------------------------


def get_diagnostics(request: GetDiagnosticsRequest, view: View) -> Ask | Refuse:
    """The file's name, or none if there is nothing to send (R16-300)."""
    if "FirmwareManagement" not in view.settings.listed("supported_feature_profiles"):
        return Refuse(Category.NOT_SUPPORTED, "profile FirmwareManagement is not offered")
    order = UploadLog(
        kind=LogKind.DIAGNOSTICS,
        location=request.location,
        oldest=_aware(request.start_time),
        latest=_aware(request.stop_time),
        retries=_given(request.retries),
        retry_interval_s=_given(request.retry_interval),
    )
    return Ask(order, _named)


def _named(answer: UploadAnswer) -> Reply:
    return Reply(GetDiagnosticsResponse(file_name=answer.file_name or UNSET))


def get_log(request: GetLogRequest, _view: View) -> Ask:
    """R16-357; a newer order cancels the older one (R16-360)."""
    order = UploadLog(
        kind=LogKind(request.log_type),
        location=request.log.remote_location,
        oldest=_aware(request.log.oldest_timestamp),
        latest=_aware(request.log.latest_timestamp),
        retries=_given(request.retries),
        retry_interval_s=_given(request.retry_interval),
        request_id=request.request_id,
    )
    return Ask(order, _judged)


def _judged(answer: UploadAnswer) -> Reply:
    return Reply(GetLogResponse(status=answer.verdict.value, filename=answer.file_name or UNSET))


def _aware(at: datetime | UnsetType) -> datetime | None:
    return None if at is UNSET else aware(at)


def _given(number: int | UnsetType) -> int | None:
    return None if number is UNSET else number


# --- what is told ------------------------------------------------------------------------------------------

_DIAGNOSTICS_STATUSES: Mapping[UploadStatus, DiagnosticsStatus] = {
    UploadStatus.UPLOADING: "Uploading",
    UploadStatus.UPLOADED: "Uploaded",
    UploadStatus.BAD_MESSAGE: "UploadFailed",
    UploadStatus.NOT_SUPPORTED_OPERATION: "UploadFailed",
    UploadStatus.PERMISSION_DENIED: "UploadFailed",
    UploadStatus.UPLOAD_FAILURE: "UploadFailed",
}
_LOG_STATUSES: Mapping[UploadStatus, LogStatus] = {
    UploadStatus.UPLOADING: "Uploading",
    UploadStatus.UPLOADED: "Uploaded",
    UploadStatus.BAD_MESSAGE: "BadMessage",
    UploadStatus.NOT_SUPPORTED_OPERATION: "NotSupportedOperation",
    UploadStatus.PERMISSION_DENIED: "PermissionDenied",
    UploadStatus.UPLOAD_FAILURE: "UploadFailure",
}
"""AcceptedCanceled is in neither: 1.6 says it in the answer to the newer order. Idle is only ever triggered."""


def log_upload_changed(fact: LogUploadChanged, _view: View, _reference: str | None) -> Call | None:
    """R16-301, R16-358, R16-359: an order with an id is told of in the words of the security extension."""
    if fact.request_id is None:
        status = _DIAGNOSTICS_STATUSES.get(fact.status)
        return None if status is None else _diagnostics(status)
    log_status = _LOG_STATUSES.get(fact.status)
    return None if log_status is None else _log(log_status, fact.request_id)


def upload_status_notification(notice: DiagnosticsNotice, view: View, _reference: str | None) -> Call:
    """What was asked for by a trigger: Idle unless an upload of that kind of order is under way (R16-289, R16-359)."""
    last = view.snapshot().log_upload
    if last is None or not is_uploading(last) or notice.is_log is not (last.request_id is not None):
        return _log("Idle", None) if notice.is_log else _diagnostics("Idle")
    return _log("Uploading", last.request_id) if notice.is_log else _diagnostics("Uploading")


def _diagnostics(status: DiagnosticsStatus) -> Call:
    return Call("DiagnosticsStatusNotification", DiagnosticsStatusNotificationRequest(status=status))


def _log(status: LogStatus, request_id: int | None) -> Call:
    return Call(
        "LogStatusNotification",
        LogStatusNotificationRequest(status=status, request_id=UNSET if request_id is None else request_id),
    )


def events_noticed(_fact: EventsNoticed, _view: View, _reference: str | None) -> None:
    """1.6 knows no monitors; what they noticed under another version has nobody to be told to."""


ROUTES = routed(
    Route("GetDiagnostics", GetDiagnosticsRequest, get_diagnostics),
    Route("GetLog", GetLogRequest, get_log),
)
ENCODERS: Mapping[type, Encoder] = {
    DiagnosticsNotice: upload_status_notification,
    LogUploadChanged: log_upload_changed,
    EventsNoticed: events_noticed,
}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "DiagnosticsStatusNotification": acknowledged_by(DiagnosticsStatusNotificationResponse),
    "LogStatusNotification": acknowledged_by(LogStatusNotificationResponse),
}
