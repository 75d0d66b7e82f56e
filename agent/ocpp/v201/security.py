"""Security events and the certificate of the station in OCPP 2.0.1.

The rules are in `agent/security`. OCPP 2.0.1 part 2, A02 to A04.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import UNSET, UnsetType

from agent.charging.certificates import (
    CertificateAnswer,
    CertificateVerdict,
    TakeOwnCertificate,
)
from agent.charging.facts import SecurityEventRaised
from agent.ocpp.frontend import (
    Ask,
    Call,
    Encoder,
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
from agent.ocpp.v201.datatypes import (
    CsmsAnswer,
    GenericStatusName,
    Payload,
    StatusInfo,
    Text50,
    Text255,
    Text5500,
    Text10000,
    why,
)
from agent.ocpp.values import optional, timestamp

CertificateSigningUseName: TypeAlias = Literal["ChargingStationCertificate", "V2GCertificate"]


class SecurityEventNotificationRequest(Payload, frozen=True, kw_only=True):
    type: Text50
    timestamp: datetime
    tech_info: Text255 | UnsetType = UNSET


class SecurityEventNotificationResponse(CsmsAnswer, frozen=True, kw_only=True):
    pass


class SignCertificateRequest(Payload, frozen=True, kw_only=True):
    csr: Text5500
    certificate_type: CertificateSigningUseName | UnsetType = UNSET


class SignCertificateResponse(CsmsAnswer, frozen=True, kw_only=True):
    status: GenericStatusName
    status_info: StatusInfo | UnsetType = UNSET


class CertificateSignedRequest(Payload, frozen=True, kw_only=True):
    certificate_chain: Text10000
    certificate_type: CertificateSigningUseName | UnsetType = UNSET


class CertificateSignedResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Rejected"]
    status_info: StatusInfo | UnsetType = UNSET


# --- the certificate of the station ------------------------------------------------------------------------

_NO_V2G = Reply(
    CertificateSignedResponse(
        status="Rejected", status_info=why("UnsupportedParam", "no certificate for ISO 15118 is kept here")
    )
)


def certificate_signed(request: CertificateSignedRequest, _view: View) -> Response:
    """A02.FR.06 to .08, A02.FR.16."""
    if request.certificate_type == "V2GCertificate":
        return _NO_V2G
    return Ask(TakeOwnCertificate(request.certificate_chain), _taken)


def _taken(answer: CertificateAnswer) -> Reply:
    if answer.verdict is CertificateVerdict.ACCEPTED:
        return Reply(CertificateSignedResponse(status="Accepted"))
    reason = why("InvalidCertificate", answer.reason)
    return Reply(CertificateSignedResponse(status="Rejected", status_info=reason))


def sign_certificate(notice: SigningNotice, _view: View, _reference: str | None) -> Call:
    """A02.FR.03, A02.FR.13."""
    request = SignCertificateRequest(csr=notice.request, certificate_type="ChargingStationCertificate")
    return Call("SignCertificate", request)


def _signing_answered(response: SignCertificateResponse) -> SigningAnswered:
    return SigningAnswered(response.status == "Accepted")


# --- events ------------------------------------------------------------------------------------------------


def security_event_notification(event: SecurityEventRaised, _view: View, _reference: str | None) -> Call:
    """A04.FR.01. In 2.x nobody can switch them off."""
    return Call(
        "SecurityEventNotification",
        SecurityEventNotificationRequest(
            type=event.type.value, timestamp=timestamp(event.at), tech_info=optional(event.detail, 255)
        ),
    )


ROUTES = routed(Route("CertificateSigned", CertificateSignedRequest, certificate_signed))
ENCODERS: Mapping[type, Encoder] = {
    SecurityEventRaised: security_event_notification,
    SigningNotice: sign_certificate,
}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "SecurityEventNotification": acknowledged_by(SecurityEventNotificationResponse),
    "SignCertificate": ResultReader(SignCertificateResponse, _signing_answered),
}
