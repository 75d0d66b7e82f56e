"""UpdateFirmware and FirmwareStatusNotification of OCPP 2.0.1.

What happens to an order is `agent/charging/firmware.py`. OCPP 2.0.1 part 2, L01, L02.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import UNSET, UnsetType

from agent.charging import requests
from agent.charging.facts import FirmwareStatusChanged
from agent.charging.ids import FirmwareStatus
from agent.charging.requests import UpdateAnswer, UpdateVerdict
from agent.ocpp.frontend import (
    Ask,
    Call,
    Encoder,
    FirmwareNotice,
    Reply,
    ResultReader,
    Route,
    View,
    acknowledged_by,
    routed,
)
from agent.ocpp.v201.datatypes import (
    CsmsAnswer,
    Payload,
    StatusInfo,
    Text512,
    Text800,
    Text5500,
    because,
    why,
)
from agent.ocpp.values import Integer32, Integer64, aware, given

UpdateFirmwareStatusName: TypeAlias = Literal[
    "Accepted", "Rejected", "AcceptedCanceled", "InvalidCertificate", "RevokedCertificate"
]
FirmwareStatusName: TypeAlias = Literal[
    "Downloaded",
    "DownloadFailed",
    "Downloading",
    "DownloadScheduled",
    "DownloadPaused",
    "Idle",
    "InstallationFailed",
    "Installing",
    "Installed",
    "InstallRebooting",
    "InstallScheduled",
    "InstallVerificationFailed",
    "InvalidSignature",
    "SignatureVerified",
]


class Firmware(Payload, frozen=True, kw_only=True):
    """Datatype 2.24."""

    location: Text512
    retrieve_date_time: datetime
    install_date_time: datetime | UnsetType = UNSET
    signing_certificate: Text5500 | UnsetType = UNSET
    signature: Text800 | UnsetType = UNSET


class UpdateFirmwareRequest(Payload, frozen=True, kw_only=True):
    request_id: Integer64
    firmware: Firmware
    retries: Integer32 | UnsetType = UNSET
    retry_interval: Integer32 | UnsetType = UNSET


class UpdateFirmwareResponse(Payload, frozen=True, kw_only=True):
    status: UpdateFirmwareStatusName
    status_info: StatusInfo | UnsetType = UNSET


class FirmwareStatusNotificationRequest(Payload, frozen=True, kw_only=True):
    status: FirmwareStatusName
    request_id: Integer64 | UnsetType = UNSET


class FirmwareStatusNotificationResponse(CsmsAnswer, frozen=True, kw_only=True):
    pass


# --- orders ------------------------------------------------------------------------------------------------


def update_firmware(request: UpdateFirmwareRequest, _view: View) -> Ask:
    """L01, L02: signed if it carries a certificate; that is checked before the answer, the file when it is there."""
    firmware = request.firmware
    order = requests.UpdateFirmware(
        location=firmware.location,
        retrieve_at=aware(firmware.retrieve_date_time),
        install_at=None if firmware.install_date_time is UNSET else aware(firmware.install_date_time),
        retries=given(request.retries),
        retry_interval_s=given(request.retry_interval),
        request_id=request.request_id,
        signing_certificate=given(firmware.signing_certificate),
        signature=given(firmware.signature),
    )
    return Ask(order, _judged)


def _judged(answer: UpdateAnswer) -> Reply:
    match answer.verdict:
        case UpdateVerdict.ACCEPTED:
            return Reply(UpdateFirmwareResponse(status="Accepted"))
        case UpdateVerdict.ACCEPTED_CANCELED:
            return Reply(UpdateFirmwareResponse(status="AcceptedCanceled"))
        case UpdateVerdict.INVALID_CERTIFICATE:
            reason = why("InvalidCertificate", answer.reason)
            return Reply(UpdateFirmwareResponse(status="InvalidCertificate", status_info=reason))
        case UpdateVerdict.REVOKED_CERTIFICATE:
            reason = why("InvalidCertificate", answer.reason)
            return Reply(UpdateFirmwareResponse(status="RevokedCertificate", status_info=reason))
        case UpdateVerdict.REJECTED:
            return Reply(UpdateFirmwareResponse(status="Rejected", status_info=because(answer.reason)))
        case UpdateVerdict.NOT_OFFERED:
            reason = why("UnsupportedRequest", answer.reason)
            return Reply(UpdateFirmwareResponse(status="Rejected", status_info=reason))


# --- what is told ------------------------------------------------------------------------------------------


def firmware_status_changed(fact: FirmwareStatusChanged, _view: View, _reference: str | None) -> Call:
    """L01.FR.01, L02.FR.01. An order of 1.6 without an id is told of without one."""
    return _told(fact.status, fact.request_id)


def firmware_status_notification(_notice: FirmwareNotice, view: View, _reference: str | None) -> Call:
    """What was asked for by a trigger: the last status again, Idle after Installed (L01.FR.25, .26, F06.FR.16)."""
    last = view.snapshot().firmware
    if last is None or last.status in (FirmwareStatus.INSTALLED, FirmwareStatus.IDLE):
        return _told(FirmwareStatus.IDLE, None)
    return _told(last.status, last.request_id)


def _told(status: FirmwareStatus, request_id: int | None) -> Call:
    name: Any = status.value
    number = UNSET if request_id is None else request_id
    return Call(
        "FirmwareStatusNotification", FirmwareStatusNotificationRequest(status=name, request_id=number)
    )


ROUTES = routed(Route("UpdateFirmware", UpdateFirmwareRequest, update_firmware))
ENCODERS: Mapping[type, Encoder] = {
    FirmwareNotice: firmware_status_notification,
    FirmwareStatusChanged: firmware_status_changed,
}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "FirmwareStatusNotification": acknowledged_by(FirmwareStatusNotificationResponse)
}
