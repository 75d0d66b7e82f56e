"""The security extension of OCPP 1.6: certificates, signing requests, ExtendedTriggerMessage and security events.

Payloads and their translation to requests and facts of our own; the rules are in `agent/security`. What a trigger does
is that of `remote_control.py`. GetLog is in `diagnostics.py`, SignedUpdateFirmware in `firmware.py`.
Security white paper edition 3, chapters 5, 6 and 8 (R16-336 to R16-356, R16-371, R16-372).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from agent.charging.certificates import (
    CertificateAnswer,
    CertificateHash,
    CertificateResult,
    CertificateVerdict,
    DeleteCertificate,
    InstallCertificate,
    InstalledCertificates,
    ListCertificates,
    RequestOwnCertificate,
    TakeOwnCertificate,
)
from agent.charging.facts import SecurityEventRaised
from agent.charging.ids import CertificateUse, HashAlgorithm, SecurityEventType
from agent.ocpp.frontend import (
    Ask,
    Call,
    CertificateStatusQuestion,
    Encoder,
    Registration,
    Reply,
    Response,
    ResultReader,
    Route,
    SigningAnswered,
    SigningNotice,
    View,
    acknowledged_by,
    routed,
)
from agent.ocpp.v16 import remote_control
from agent.ocpp.v16.datatypes import AcceptedRejected, CiString50, CiString255
from agent.ocpp.values import optional, timestamp

CertificateText = Annotated[str, Meta(max_length=5500)]
ChainText = Annotated[str, Meta(max_length=10_000)]
CiString40 = Annotated[str, Meta(max_length=40)]
CiString128 = Annotated[str, Meta(max_length=128)]
CertificateUse16 = Literal["CentralSystemRootCertificate", "ManufacturerRootCertificate"]


class CertificateHashData(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """W 6.1."""

    hash_algorithm: Literal["SHA256", "SHA384", "SHA512"]
    issuer_name_hash: CiString128
    issuer_key_hash: CiString128
    serial_number: CiString40


class CertificateSignedRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    certificate_chain: ChainText


class CertificateSignedResponse(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: AcceptedRejected


class DeleteCertificateRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    certificate_hash_data: CertificateHashData


class DeleteCertificateResponse(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: Literal["Accepted", "Failed", "NotFound"]


class ExtendedTriggerMessageRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    requested_message: str
    """Any name: an unknown one is NotImplemented, as with TriggerMessage."""
    connector_id: int | UnsetType = UNSET


class ExtendedTriggerMessageResponse(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: Literal["Accepted", "Rejected", "NotImplemented"]


class GetInstalledCertificateIdsRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    certificate_type: CertificateUse16


class GetInstalledCertificateIdsResponse(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: Literal["Accepted", "NotFound"]
    certificate_hash_data: Annotated[list[CertificateHashData], Meta(min_length=1)] | UnsetType = UNSET


class InstallCertificateRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    certificate_type: CertificateUse16
    certificate: CertificateText


class InstallCertificateResponse(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: Literal["Accepted", "Failed", "Rejected"]


class SignCertificateRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    csr: CertificateText


class SignCertificateResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    status: AcceptedRejected


class SecurityEventNotificationRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    type: CiString50
    timestamp: datetime
    tech_info: CiString255 | UnsetType = UNSET


class SecurityEventNotificationResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    pass


# --- certificates ------------------------------------------------------------------------------------------

_USES: Mapping[str, CertificateUse] = {
    "CentralSystemRootCertificate": CertificateUse.CSMS_ROOT,
    "ManufacturerRootCertificate": CertificateUse.MANUFACTURER_ROOT,
}


def install_certificate(request: InstallCertificateRequest, _view: View) -> Ask:
    """R16-349 to R16-352."""
    return Ask(InstallCertificate(_USES[request.certificate_type], request.certificate), _installed)


def _installed(answer: CertificateAnswer) -> Reply:
    match answer.verdict:
        case CertificateVerdict.ACCEPTED:
            return Reply(InstallCertificateResponse(status="Accepted"))
        case CertificateVerdict.REJECTED:
            return Reply(InstallCertificateResponse(status="Rejected"))
        case CertificateVerdict.FAILED | CertificateVerdict.NOT_FOUND:
            return Reply(InstallCertificateResponse(status="Failed"))


def delete_certificate(request: DeleteCertificateRequest, _view: View) -> Ask:
    """R16-347, R16-348."""
    named = request.certificate_hash_data
    wanted = CertificateHash(
        HashAlgorithm(named.hash_algorithm),
        named.issuer_name_hash,
        named.issuer_key_hash,
        named.serial_number,
    )
    return Ask(DeleteCertificate(wanted, tuple(_USES.values())), _deleted)


def _deleted(answer: CertificateAnswer) -> Reply:
    match answer.verdict:
        case CertificateVerdict.ACCEPTED:
            return Reply(DeleteCertificateResponse(status="Accepted"))
        case CertificateVerdict.NOT_FOUND:
            return Reply(DeleteCertificateResponse(status="NotFound"))
        case CertificateVerdict.REJECTED | CertificateVerdict.FAILED:
            return Reply(DeleteCertificateResponse(status="Failed"))


def get_installed_certificate_ids(request: GetInstalledCertificateIdsRequest, _view: View) -> Ask:
    """R16-346."""
    return Ask(ListCertificates(_USES[request.certificate_type]), _listed)


def _listed(result: CertificateResult) -> Reply:
    found = result.hashes if isinstance(result, InstalledCertificates) else ()
    if not found:
        return Reply(GetInstalledCertificateIdsResponse(status="NotFound"))
    return Reply(
        GetInstalledCertificateIdsResponse(
            status="Accepted",
            certificate_hash_data=[
                CertificateHashData(
                    hash_algorithm=each.algorithm.value,
                    issuer_name_hash=each.issuer_name_hash,
                    issuer_key_hash=each.issuer_key_hash,
                    serial_number=each.serial_number,
                )
                for each in found
            ],
        )
    )


def certificate_signed(request: CertificateSignedRequest, _view: View) -> Ask:
    """R16-342, R16-345."""
    return Ask(TakeOwnCertificate(request.certificate_chain), _taken)


def _taken(answer: CertificateAnswer) -> Reply:
    is_accepted = answer.verdict is CertificateVerdict.ACCEPTED
    return Reply(CertificateSignedResponse(status="Accepted" if is_accepted else "Rejected"))


def sign_certificate(notice: SigningNotice, _view: View, _reference: str | None) -> Call:
    """R16-336."""
    return Call("SignCertificate", SignCertificateRequest(csr=notice.request))


def _signing_answered(response: SignCertificateResponse) -> SigningAnswered:
    return SigningAnswered(response.status == "Accepted")


# --- triggers ----------------------------------------------------------------------------------------------


def extended_trigger_message(request: ExtendedTriggerMessageRequest, view: View) -> Response:
    """R16-372: as TriggerMessage, with the messages of W 6.16."""
    if request.requested_message == "SignChargePointCertificate":
        if view.registration is Registration.UNKNOWN:
            return _TRIGGER_REJECTED
        return Ask(RequestOwnCertificate(), _signing_wanted)
    return remote_control.trigger_extended(
        remote_control.TriggerMessageRequest(
            requested_message=request.requested_message, connector_id=request.connector_id
        ),
        view,
    )


def _signing_wanted(answer: CertificateAnswer) -> Reply:
    """Rejected without CpoName: there would be nobody to sign for (R16-337)."""
    is_accepted = answer.verdict is CertificateVerdict.ACCEPTED
    return _TRIGGER_ACCEPTED if is_accepted else _TRIGGER_REJECTED


_TRIGGER_ACCEPTED = Reply(ExtendedTriggerMessageResponse(status="Accepted"))
_TRIGGER_REJECTED = Reply(ExtendedTriggerMessageResponse(status="Rejected"))


# --- events ------------------------------------------------------------------------------------------------

_NAMES: Mapping[str, str] = {
    SecurityEventType.CSMS_FAILED_TO_AUTHENTICATE: "CentralSystemFailedToAuthentication",
    SecurityEventType.FAILED_TO_AUTHENTICATE_AT_CSMS: "FailedToAuthenticationAtCentralSystem",
    SecurityEventType.INVALID_CSMS_CERTIFICATE: "InvalidCentralSystemCertificate",
    SecurityEventType.INVALID_STATION_CERTIFICATE: "InvalidChargePointCertificate",
}
"""Spelled as in W 8; all other events have the same name in every version."""
_UNKNOWN = frozenset(
    {
        SecurityEventType.DISCARDED_RENEWED_CERTIFICATE,
        SecurityEventType.MAINTENANCE_LOGIN_ACCEPTED,
        SecurityEventType.MAINTENANCE_LOGIN_FAILED,
    }
)
"""Of 2.0.1 only."""


def security_event_notification(
    event: SecurityEventRaised, view: View, _reference: str | None
) -> Call | None:
    """R16-354. None: the operator has switched it off since, or the white paper does not have it."""
    if not view.settings.flag("push_security_events") or event.type in _UNKNOWN:
        return None
    return Call(
        "SecurityEventNotification",
        SecurityEventNotificationRequest(
            type=_NAMES.get(event.type, str(event.type)),
            timestamp=timestamp(event.at),
            tech_info=optional(event.detail, 255),
        ),
    )


def certificate_status_question(
    _question: CertificateStatusQuestion, _view: View, _reference: str | None
) -> None:
    """1.6 has no message for it."""


ROUTES = routed(
    Route("CertificateSigned", CertificateSignedRequest, certificate_signed),
    Route("DeleteCertificate", DeleteCertificateRequest, delete_certificate),
    Route("ExtendedTriggerMessage", ExtendedTriggerMessageRequest, extended_trigger_message),
    Route("GetInstalledCertificateIds", GetInstalledCertificateIdsRequest, get_installed_certificate_ids),
    Route("InstallCertificate", InstallCertificateRequest, install_certificate),
)
ENCODERS: Mapping[type, Encoder] = {
    CertificateStatusQuestion: certificate_status_question,
    SecurityEventRaised: security_event_notification,
    SigningNotice: sign_certificate,
}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "SecurityEventNotification": acknowledged_by(SecurityEventNotificationResponse),
    "SignCertificate": ResultReader(SignCertificateResponse, _signing_answered),
}
