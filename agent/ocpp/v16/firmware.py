"""Firmware updates of OCPP 1.6: UpdateFirmware, the signed one of the security extension, and what is told of both.

What happens to an order is `agent/charging/firmware.py`; here are its words. The plain message has no answer but "it
arrived" and only seven statuses; the signed one has them all and carries the id of the order. Pure.
OCPP 1.6 4.5, 5.17, 5.19, 6.19, 6.55 (R16-289, R16-292, R16-293, R16-299); white paper L01, 5.19 to 5.22 (R16-362 to
R16-371).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from agent.charging.facts import FirmwareStatusChanged
from agent.charging.ids import FirmwareStatus
from agent.charging.requests import UpdateAnswer, UpdateFirmware, UpdateVerdict
from agent.ocpp.codec import Category
from agent.ocpp.frontend import (
    Ask,
    Call,
    Encoder,
    FirmwareNotice,
    Refuse,
    Reply,
    ResultReader,
    Route,
    View,
    acknowledged_by,
    routed,
)
from agent.ocpp.values import Integer32, Integer64, aware

PlainStatus: TypeAlias = Literal[
    "Downloaded",
    "DownloadFailed",
    "Downloading",
    "Idle",
    "InstallationFailed",
    "Installing",
    "Installed",
]
SignedStatus: TypeAlias = Literal[
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

Text512: TypeAlias = Annotated[str, Meta(max_length=512)]
Text800: TypeAlias = Annotated[str, Meta(max_length=800)]
Text5500: TypeAlias = Annotated[str, Meta(max_length=5500)]


class FirmwareStatusNotificationRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: PlainStatus


class FirmwareStatusNotificationResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class SignedFirmwareStatusNotificationRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: SignedStatus
    request_id: int | UnsetType = UNSET


class SignedFirmwareStatusNotificationResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class UpdateFirmwareRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    location: str
    retrieve_date: datetime
    retries: Integer32 | UnsetType = UNSET
    retry_interval: Integer32 | UnsetType = UNSET


class UpdateFirmwareResponse(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class Firmware(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """White paper 6.7."""

    location: Text512
    retrieve_date_time: datetime
    signing_certificate: Text5500
    signature: Text800
    install_date_time: datetime | UnsetType = UNSET


class SignedUpdateFirmwareRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    request_id: Integer64
    firmware: Firmware
    retries: Integer32 | UnsetType = UNSET
    retry_interval: Integer32 | UnsetType = UNSET


class SignedUpdateFirmwareResponse(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: Literal["Accepted", "Rejected", "AcceptedCanceled", "InvalidCertificate", "RevokedCertificate"]


# --- orders ------------------------------------------------------------------------------------------------


def update_firmware(request: UpdateFirmwareRequest, view: View) -> Ask | Refuse:
    """R16-292. Where updates have to be signed, or there is nothing to install them with: NotSupported (R16-362)."""
    if "FirmwareManagement" not in view.settings.listed("supported_feature_profiles"):
        return Refuse(Category.NOT_SUPPORTED, "profile FirmwareManagement is not offered")
    order = UpdateFirmware(
        location=request.location,
        retrieve_at=aware(request.retrieve_date),
        retries=_given(request.retries),
        retry_interval_s=_given(request.retry_interval),
    )
    return Ask(order, _taken)


def _taken(answer: UpdateAnswer) -> Reply | Refuse:
    """The answer is empty: an order that cannot replace the one under way is ignored after it (R16-304)."""
    if answer.verdict is UpdateVerdict.NOT_OFFERED:
        return Refuse(Category.NOT_SUPPORTED, answer.reason)
    return Reply(UpdateFirmwareResponse())


def signed_update_firmware(request: SignedUpdateFirmwareRequest, _view: View) -> Ask:
    """The certificate is checked before the answer (R16-363), the file when it is there (R16-370)."""
    firmware = request.firmware
    install_at = None if firmware.install_date_time is UNSET else aware(firmware.install_date_time)
    order = UpdateFirmware(
        location=firmware.location,
        retrieve_at=aware(firmware.retrieve_date_time),
        install_at=install_at,
        retries=_given(request.retries),
        retry_interval_s=_given(request.retry_interval),
        request_id=request.request_id,
        signing_certificate=firmware.signing_certificate,
        signature=firmware.signature,
    )
    return Ask(order, _judged)


def _judged(answer: UpdateAnswer) -> Reply:
    match answer.verdict:
        case UpdateVerdict.ACCEPTED:
            return Reply(SignedUpdateFirmwareResponse(status="Accepted"))
        case UpdateVerdict.ACCEPTED_CANCELED:
            return Reply(SignedUpdateFirmwareResponse(status="AcceptedCanceled"))
        case UpdateVerdict.INVALID_CERTIFICATE:
            return Reply(SignedUpdateFirmwareResponse(status="InvalidCertificate"))
        case UpdateVerdict.REVOKED_CERTIFICATE:
            return Reply(SignedUpdateFirmwareResponse(status="RevokedCertificate"))
        case UpdateVerdict.REJECTED | UpdateVerdict.NOT_OFFERED:
            return Reply(SignedUpdateFirmwareResponse(status="Rejected"))


def _given(number: int | UnsetType) -> int | None:
    return None if number is UNSET else number


# --- what is told ------------------------------------------------------------------------------------------

PLAIN_STATUSES: Mapping[FirmwareStatus, PlainStatus] = {
    FirmwareStatus.DOWNLOADED: "Downloaded",
    FirmwareStatus.DOWNLOAD_FAILED: "DownloadFailed",
    FirmwareStatus.DOWNLOADING: "Downloading",
    FirmwareStatus.DOWNLOAD_PAUSED: "Downloading",
    FirmwareStatus.DOWNLOAD_SCHEDULED: "Idle",
    FirmwareStatus.IDLE: "Idle",
    FirmwareStatus.INSTALLATION_FAILED: "InstallationFailed",
    FirmwareStatus.INSTALLED: "Installed",
    FirmwareStatus.INSTALLING: "Installing",
    FirmwareStatus.INSTALL_REBOOTING: "Installing",
    FirmwareStatus.INSTALL_SCHEDULED: "Downloaded",
    FirmwareStatus.INSTALL_VERIFICATION_FAILED: "InstallationFailed",
    FirmwareStatus.INVALID_SIGNATURE: "InstallationFailed",
    FirmwareStatus.SIGNATURE_VERIFIED: "Downloaded",
}
"""Where a status has no word of its own in 1.6, the one that holds meanwhile (OCPP 1.6 7.25)."""

_NOT_TOLD = frozenset(
    {
        FirmwareStatus.DOWNLOAD_PAUSED,
        FirmwareStatus.DOWNLOAD_SCHEDULED,
        FirmwareStatus.INSTALL_REBOOTING,
        FirmwareStatus.INSTALL_SCHEDULED,
        FirmwareStatus.SIGNATURE_VERIFIED,
    }
)
"""Steps of an unsigned update that 1.6 has no word for; Idle is only ever an answer to a trigger (R16-299)."""


def firmware_status_changed(fact: FirmwareStatusChanged, _view: View, _reference: str | None) -> Call | None:
    """R16-293, R16-364: an order with an id is told of in the words of the security extension."""
    if fact.request_id is not None:
        return _signed(fact.status, fact.request_id)
    return None if fact.status in _NOT_TOLD else _plain(fact.status)


def firmware_status_notification(notice: FirmwareNotice, view: View, _reference: str | None) -> Call:
    """What was asked for by a trigger: the plain message tells what goes on (R16-289), the signed one also how the
    last update failed (R16-371). Idle is only ever sent here (R16-299)."""
    last = view.snapshot().firmware
    if notice.is_signed:
        if last is None or last.request_id is None or last.status is FirmwareStatus.INSTALLED:
            return _signed(FirmwareStatus.IDLE, None)
        return _signed(last.status, last.request_id)
    if last is None or last.status.is_end:
        return _plain(FirmwareStatus.IDLE)
    return _plain(last.status)


def _plain(status: FirmwareStatus) -> Call:
    return Call(
        "FirmwareStatusNotification", FirmwareStatusNotificationRequest(status=PLAIN_STATUSES[status])
    )


def _signed(status: FirmwareStatus, request_id: int | None) -> Call:
    word: Any = status.value
    return Call(
        "SignedFirmwareStatusNotification",
        SignedFirmwareStatusNotificationRequest(
            status=word, request_id=UNSET if request_id is None else request_id
        ),
    )


ROUTES = routed(
    Route("UpdateFirmware", UpdateFirmwareRequest, update_firmware),
    Route("SignedUpdateFirmware", SignedUpdateFirmwareRequest, signed_update_firmware),
)
ENCODERS: Mapping[type, Encoder] = {
    FirmwareNotice: firmware_status_notification,
    FirmwareStatusChanged: firmware_status_changed,
}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "FirmwareStatusNotification": acknowledged_by(FirmwareStatusNotificationResponse),
    "SignedFirmwareStatusNotification": acknowledged_by(SignedFirmwareStatusNotificationResponse),
}
