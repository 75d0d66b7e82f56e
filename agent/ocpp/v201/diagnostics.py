"""Logs and customer information in OCPP 2.0.1: GetLog, CustomerInformation and what is told of them.

What happens to an order is `agent/charging/diagnostics.py` and `agent/diagnostics`. OCPP 2.0.1 part 2, N01, N09, N10.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import UNSET, UnsetType

from agent.charging.diagnostics import is_uploading
from agent.charging.facts import LogUploadChanged
from agent.charging.ids import IdToken as Token
from agent.charging.ids import LogKind, UploadStatus
from agent.charging.requests import (
    AboutCustomer,
    CustomerAnswer,
    UploadAnswer,
    UploadLog,
    UploadVerdict,
    Verdict,
)
from agent.ocpp.frontend import (
    Ask,
    Call,
    CustomerReportNotice,
    DiagnosticsNotice,
    Encoder,
    Reply,
    ResultReader,
    Route,
    View,
    acknowledged_by,
    routed,
)
from agent.ocpp.v201.datatypes import (
    CertificateHashData,
    CsmsAnswer,
    IdToken,
    Payload,
    StatusInfo,
    Text64,
    Text255,
    Text512,
    because,
    id_token,
    why,
)
from agent.ocpp.values import Integer32, Integer64, aware, given, optional, timestamp

UploadLogStatusName: TypeAlias = Literal[
    "BadMessage",
    "Idle",
    "NotSupportedOperation",
    "PermissionDenied",
    "Uploaded",
    "UploadFailure",
    "Uploading",
    "AcceptedCanceled",
]


class LogParameters(Payload, frozen=True, kw_only=True):
    """Datatype 2.29."""

    remote_location: Text512
    oldest_timestamp: datetime | UnsetType = UNSET
    latest_timestamp: datetime | UnsetType = UNSET


class GetLogRequest(Payload, frozen=True, kw_only=True):
    log: LogParameters
    log_type: Literal["DiagnosticsLog", "SecurityLog"]
    request_id: Integer64
    retries: Integer32 | UnsetType = UNSET
    retry_interval: Integer32 | UnsetType = UNSET


class GetLogResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Rejected", "AcceptedCanceled"]
    status_info: StatusInfo | UnsetType = UNSET
    filename: Text255 | UnsetType = UNSET


class LogStatusNotificationRequest(Payload, frozen=True, kw_only=True):
    status: UploadLogStatusName
    request_id: Integer64 | UnsetType = UNSET


class LogStatusNotificationResponse(CsmsAnswer, frozen=True, kw_only=True):
    pass


class CustomerInformationRequest(Payload, frozen=True, kw_only=True):
    request_id: Integer64
    report: bool
    clear: bool
    customer_certificate: CertificateHashData | UnsetType = UNSET
    id_token: IdToken | UnsetType = UNSET
    customer_identifier: Text64 | UnsetType = UNSET


class CustomerInformationResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Rejected", "Invalid"]
    status_info: StatusInfo | UnsetType = UNSET


class NotifyCustomerInformationRequest(Payload, frozen=True, kw_only=True):
    data: Text512
    seq_no: Integer32
    generated_at: datetime
    request_id: Integer64
    tbc: bool | UnsetType = UNSET


class NotifyCustomerInformationResponse(CsmsAnswer, frozen=True, kw_only=True):
    pass


def get_log(request: GetLogRequest, _view: View) -> Ask:
    """N01.FR.01 to .05; a newer order cancels the older one (N01.FR.12)."""
    order = UploadLog(
        kind=LogKind(request.log_type),
        location=request.log.remote_location,
        oldest=_aware(request.log.oldest_timestamp),
        latest=_aware(request.log.latest_timestamp),
        retries=given(request.retries),
        retry_interval_s=given(request.retry_interval),
        request_id=request.request_id,
    )
    return Ask(order, _judged)


def _aware(at: datetime | UnsetType) -> datetime | None:
    return None if at is UNSET else aware(at)


def _judged(answer: UploadAnswer) -> Reply:
    is_refused = answer.verdict is UploadVerdict.REJECTED
    return Reply(
        GetLogResponse(
            status=answer.verdict.value,
            status_info=because(answer.reason) if is_refused else UNSET,
            filename=optional(answer.file_name, 255),
        )
    )


def log_upload_changed(fact: LogUploadChanged, _view: View, _reference: str | None) -> Call:
    """N01.FR.07 to .10, .20. An order of 1.6 without an id is told of without one."""
    return _told(fact.status, fact.request_id)


def upload_status_notification(_notice: DiagnosticsNotice, view: View, _reference: str | None) -> Call:
    """What was asked for by a trigger: Uploading, or Idle without an id (F06.FR.14, F06.FR.15, N01.FR.13)."""
    last = view.snapshot().log_upload
    if last is None or not is_uploading(last):
        return _told(UploadStatus.IDLE, None)
    return _told(UploadStatus.UPLOADING, last.request_id)


def _told(status: UploadStatus, request_id: int | None) -> Call:
    name: Any = status.value
    number = UNSET if request_id is None else request_id
    return Call("LogStatusNotification", LogStatusNotificationRequest(status=name, request_id=number))


# --- customers ---------------------------------------------------------------------------------------------

_CLEARED = "The data was cleared."


def customer_information(request: CustomerInformationRequest, view: View) -> Ask | Reply:
    """N09, N10. An identifier is the value of a token or the name of a group. Certificates of customers are not kept:
    they come with an ISO 15118 stack; nothing is known of any (N09.FR.06, N10.FR.04)."""
    references = (request.id_token, request.customer_identifier, request.customer_certificate)
    if sum(each is not UNSET for each in references) != 1:  # N09.FR.09
        return Reply(CustomerInformationResponse(status="Invalid", status_info=why("InvalidValue")))
    if not (request.report or request.clear):  # N09.FR.07, N10.FR.07
        return Reply(CustomerInformationResponse(status="Rejected", status_info=why("InvalidValue")))
    customer: Token | str
    if request.id_token is not UNSET:
        customer = id_token(request.id_token)
    elif request.customer_identifier is not UNSET:
        customer = request.customer_identifier
    else:
        return _customer_known(request, view.now(), CustomerAnswer(Verdict.ACCEPTED))
    order = AboutCustomer(customer, clears=request.clear)
    return Ask(order, lambda answer: _customer_known(request, view.now(), answer))


def _customer_known(request: CustomerInformationRequest, at: datetime, answer: CustomerAnswer) -> Reply:
    """At least one message follows, also when there is nothing to tell (N09.FR.06, N10.FR.04, N10.FR.06)."""
    if answer.verdict is not Verdict.ACCEPTED:
        return Reply(CustomerInformationResponse(status="Rejected", status_info=because(answer.reason)))
    text = "\n".join(answer.entries) if request.report else _CLEARED
    parts = [text[start : start + 512] for start in range(0, len(text), 512)] or [""]
    notices = tuple(
        CustomerReportNotice(request.request_id, number, at, number == len(parts) - 1, part)
        for number, part in enumerate(parts)
    )
    return Reply(CustomerInformationResponse(status="Accepted"), notices)


def notify_customer_information(notice: CustomerReportNotice, _view: View, _reference: str | None) -> Call:
    return Call(
        "NotifyCustomerInformation",
        NotifyCustomerInformationRequest(
            data=notice.text,
            seq_no=notice.seq_no,
            generated_at=timestamp(notice.at),
            request_id=notice.request_id,
            tbc=UNSET if notice.is_last else True,
        ),
    )


ROUTES = routed(
    Route("GetLog", GetLogRequest, get_log),
    Route("CustomerInformation", CustomerInformationRequest, customer_information),
)
ENCODERS: Mapping[type, Encoder] = {
    DiagnosticsNotice: upload_status_notification,
    LogUploadChanged: log_upload_changed,
    CustomerReportNotice: notify_customer_information,
}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "LogStatusNotification": acknowledged_by(LogStatusNotificationResponse),
    "NotifyCustomerInformation": acknowledged_by(NotifyCustomerInformationResponse),
}
