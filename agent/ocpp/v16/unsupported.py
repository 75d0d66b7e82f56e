"""Every OCPP 1.6 action that this station knows and does not offer, with the reason.

A known action that is not offered gets CALLERROR NotSupported, unless its answer has a word for that (R16-026): those
few are answered here, after their payload was checked. Security events have no 1.6 message of the base specification.
Matrix 5.15, 5.16, 5.17; OCPP-J 1.6 4.2.3 table 7.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from agent.charging.facts import SecurityEventRaised
from agent.ocpp.frontend import Encoder, Reply, Route, View, routed
from agent.ocpp.v16.datatypes import CiString20, IdTagInfo

_FIRMWARE = "profile FirmwareManagement is not offered"
_RESERVATION = "profile Reservation is not offered"
_SMART_CHARGING = "profile SmartCharging is not offered"
_SECURITY = "the security extension is not offered"
_OURS = "sent by a charge point, not to one"

UNSUPPORTED: Mapping[str, str] = {
    "CancelReservation": _RESERVATION,
    "SetChargingProfile": _SMART_CHARGING,  # R16-267
    "ClearChargingProfile": _SMART_CHARGING,
    "GetCompositeSchedule": _SMART_CHARGING,
    "GetDiagnostics": _FIRMWARE,
    "UpdateFirmware": _FIRMWARE,
    "CertificateSigned": _SECURITY,
    "DeleteCertificate": _SECURITY,
    "ExtendedTriggerMessage": _SECURITY,
    "GetInstalledCertificateIds": _SECURITY,
    "GetLog": _SECURITY,
    "InstallCertificate": _SECURITY,
    "SignedUpdateFirmware": _SECURITY,
    "Authorize": _OURS,
    "BootNotification": _OURS,
    "DiagnosticsStatusNotification": _OURS,
    "FirmwareStatusNotification": _OURS,
    "Heartbeat": _OURS,
    "LogStatusNotification": _OURS,
    "MeterValues": _OURS,
    "SecurityEventNotification": _OURS,
    "SignCertificate": _OURS,
    "SignedFirmwareStatusNotification": _OURS,
    "StartTransaction": _OURS,
    "StatusNotification": _OURS,
    "StopTransaction": _OURS,
}
"""Action -> why it is not served. With the routes this is every action of OCPP 1.6 and its security extension."""


class AuthorizationData(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """OCPP 1.6 7.1."""

    id_tag: CiString20
    id_tag_info: IdTagInfo | UnsetType = UNSET


class SendLocalListRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    list_version: int
    update_type: Literal["Differential", "Full"]
    local_authorization_list: list[AuthorizationData] | UnsetType = UNSET


class SendLocalListResponse(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    status: Literal["Accepted", "Failed", "NotSupported", "VersionMismatch"]


class GetLocalListVersionRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    pass


class GetLocalListVersionResponse(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    list_version: int


class ReserveNowRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    connector_id: int
    expiry_date: datetime
    id_tag: CiString20
    reservation_id: int
    parent_id_tag: CiString20 | UnsetType = UNSET


class ReserveNowResponse(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    status: Literal["Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"]


def send_local_list(_request: SendLocalListRequest, _view: View) -> Reply:
    """R16-224."""
    return Reply(SendLocalListResponse(status="NotSupported"))


def get_local_list_version(_request: GetLocalListVersionRequest, _view: View) -> Reply:
    """-1 = lists are not supported (R16-215)."""
    return Reply(GetLocalListVersionResponse(list_version=-1))


def reserve_now(_request: ReserveNowRequest, _view: View) -> Reply:
    """Rejected, even though the profile is absent (R16-232)."""
    return Reply(ReserveNowResponse(status="Rejected"))


def security_event(_fact: SecurityEventRaised, _view: View, _reference: str | None) -> None:
    """The base specification has no message for it; it stays in the security log."""


ROUTES = routed(
    Route("SendLocalList", SendLocalListRequest, send_local_list),
    Route("GetLocalListVersion", GetLocalListVersionRequest, get_local_list_version),
    Route("ReserveNow", ReserveNowRequest, reserve_now),
)
ENCODERS: Mapping[type, Encoder] = {SecurityEventRaised: security_event}
