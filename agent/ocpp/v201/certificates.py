"""Certificates of authorities in OCPP 2.0.1: install, delete, list; and what is asked for cars.

The rules are in `agent/security`. OCPP 2.0.1 part 2, M01 to M06.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from agent.charging import certificates
from agent.charging.certificates import (
    CertificateAnswer,
    CertificateHash,
    CertificateResult,
    CertificatesByUse,
    CertificateVerdict,
    ListCertificatesByUse,
)
from agent.charging.ids import CertificateUse, HashAlgorithm
from agent.ocpp.frontend import (
    Ask,
    Call,
    CertificateStatusQuestion,
    CertificateStatusTold,
    Encoder,
    Reply,
    Response,
    ResultReader,
    Route,
    View,
    routed,
)
from agent.ocpp.v201.datatypes import (
    CertificateHashData,
    CsmsAnswer,
    OcspRequestData,
    Payload,
    StatusInfo,
    Text50,
    Text5500,
    Text5600,
    Text7500,
    because,
    why,
)
from agent.ocpp.values import given

InstallCertificateUseName: TypeAlias = Literal[
    "V2GRootCertificate", "MORootCertificate", "CSMSRootCertificate", "ManufacturerRootCertificate"
]
GetCertificateIdUseName: TypeAlias = Literal[
    "V2GRootCertificate",
    "MORootCertificate",
    "CSMSRootCertificate",
    "V2GCertificateChain",
    "ManufacturerRootCertificate",
]


class CertificateHashDataChain(Payload, frozen=True, kw_only=True):
    """Datatype 2.5."""

    certificate_hash_data: CertificateHashData
    certificate_type: GetCertificateIdUseName
    child_certificate_hash_data: (
        Annotated[list[CertificateHashData], Meta(min_length=1, max_length=4)] | UnsetType
    ) = UNSET


class InstallCertificateRequest(Payload, frozen=True, kw_only=True):
    certificate_type: InstallCertificateUseName
    certificate: Text5500


class InstallCertificateResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Rejected", "Failed"]
    status_info: StatusInfo | UnsetType = UNSET


class DeleteCertificateRequest(Payload, frozen=True, kw_only=True):
    certificate_hash_data: CertificateHashData


class DeleteCertificateResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Failed", "NotFound"]
    status_info: StatusInfo | UnsetType = UNSET


class GetInstalledCertificateIdsRequest(Payload, frozen=True, kw_only=True):
    certificate_type: Annotated[list[GetCertificateIdUseName], Meta(min_length=1)] | UnsetType = UNSET


class GetInstalledCertificateIdsResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "NotFound"]
    status_info: StatusInfo | UnsetType = UNSET
    certificate_hash_data_chain: Annotated[list[CertificateHashDataChain], Meta(min_length=1)] | UnsetType = (
        UNSET
    )


class Get15118EVCertificateRequest(Payload, frozen=True, kw_only=True):
    iso15118_schema_version: Text50
    action: Literal["Install", "Update"]
    exi_request: Text5600


class Get15118EVCertificateResponse(CsmsAnswer, frozen=True, kw_only=True):
    status: Literal["Accepted", "Failed"]
    exi_response: Text7500
    status_info: StatusInfo | UnsetType = UNSET


class GetCertificateStatusRequest(Payload, frozen=True, kw_only=True):
    ocsp_request_data: OcspRequestData


class GetCertificateStatusResponse(CsmsAnswer, frozen=True, kw_only=True):
    status: Literal["Accepted", "Failed"]
    status_info: StatusInfo | UnsetType = UNSET
    ocsp_result: Text5500 | UnsetType = UNSET


# --- install and delete ------------------------------------------------------------------------------------


def install_certificate(request: InstallCertificateRequest, _view: View) -> Ask:
    """M05."""
    use = CertificateUse(request.certificate_type)
    return Ask(certificates.InstallCertificate(use, request.certificate), _installed)


def _installed(answer: CertificateAnswer) -> Reply:
    match answer.verdict:
        case CertificateVerdict.ACCEPTED:
            return Reply(InstallCertificateResponse(status="Accepted"))
        case CertificateVerdict.REJECTED:
            reason = why("OutOfStorage" if answer.is_full else "InvalidCertificate", answer.reason)
            return Reply(InstallCertificateResponse(status="Rejected", status_info=reason))
        case CertificateVerdict.FAILED | CertificateVerdict.NOT_FOUND:
            return Reply(InstallCertificateResponse(status="Failed", status_info=because(answer.reason)))


def delete_certificate(request: DeleteCertificateRequest, _view: View) -> Ask:
    """M04."""
    named = request.certificate_hash_data
    wanted = CertificateHash(
        HashAlgorithm(named.hash_algorithm),
        named.issuer_name_hash,
        named.issuer_key_hash,
        named.serial_number,
    )
    return Ask(certificates.DeleteCertificate(wanted), _deleted)


def _deleted(answer: CertificateAnswer) -> Reply:
    match answer.verdict:
        case CertificateVerdict.ACCEPTED:
            return Reply(DeleteCertificateResponse(status="Accepted"))
        case CertificateVerdict.NOT_FOUND:
            return Reply(DeleteCertificateResponse(status="NotFound"))
        case CertificateVerdict.REJECTED | CertificateVerdict.FAILED:
            return Reply(DeleteCertificateResponse(status="Failed", status_info=because(answer.reason)))


# --- list --------------------------------------------------------------------------------------------------

_NAMES: Mapping[CertificateUse, GetCertificateIdUseName] = {
    CertificateUse.CSMS_ROOT: "CSMSRootCertificate",
    CertificateUse.MANUFACTURER_ROOT: "ManufacturerRootCertificate",
    CertificateUse.MO_ROOT: "MORootCertificate",
    CertificateUse.V2G_ROOT: "V2GRootCertificate",
}
_USES = {name: use for use, name in _NAMES.items()}
"""Without V2GCertificateChain: this station has no certificate that cars see."""


def get_installed_certificate_ids(request: GetInstalledCertificateIdsRequest, _view: View) -> Response:
    """M03; no types mean all."""
    asked = request.certificate_type
    uses = tuple(_NAMES) if asked is UNSET else tuple(_USES[name] for name in asked if name in _USES)
    return Ask(ListCertificatesByUse(uses), _listed)


def _listed(result: CertificateResult) -> Reply:
    found = result.found if isinstance(result, CertificatesByUse) else ()
    if not found:
        return Reply(GetInstalledCertificateIdsResponse(status="NotFound"))
    chains = [
        CertificateHashDataChain(certificate_type=_NAMES[use], certificate_hash_data=_hash_data(each))
        for use, each in found
    ]
    return Reply(GetInstalledCertificateIdsResponse(status="Accepted", certificate_hash_data_chain=chains))


def _hash_data(found: CertificateHash) -> CertificateHashData:
    return CertificateHashData(
        hash_algorithm=found.algorithm.value,
        issuer_name_hash=found.issuer_name_hash,
        issuer_key_hash=found.issuer_key_hash,
        serial_number=found.serial_number,
    )


# --- what the authority says -------------------------------------------------------------------------------


def get_certificate_status(question: CertificateStatusQuestion, _view: View, _reference: str | None) -> Call:
    """M06: the CSMS asks the responder, and passes its answer on."""
    asked = question.certificate
    return Call(
        "GetCertificateStatus",
        GetCertificateStatusRequest(
            ocsp_request_data=OcspRequestData(
                hash_algorithm=asked.algorithm.value,
                issuer_name_hash=asked.issuer_name_hash,
                issuer_key_hash=asked.issuer_key_hash,
                serial_number=asked.serial_number,
                responder_url=question.responder_url,
            )
        ),
    )


def _status_told(response: GetCertificateStatusResponse) -> CertificateStatusTold:
    """M06.FR.02 to .04."""
    is_known = response.status == "Accepted" and response.ocsp_result is not UNSET
    return CertificateStatusTold(given(response.ocsp_result) if is_known else None)


ROUTES = routed(
    Route("InstallCertificate", InstallCertificateRequest, install_certificate),
    Route("DeleteCertificate", DeleteCertificateRequest, delete_certificate),
    Route("GetInstalledCertificateIds", GetInstalledCertificateIdsRequest, get_installed_certificate_ids),
)
ENCODERS: Mapping[type, Encoder] = {CertificateStatusQuestion: get_certificate_status}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "GetCertificateStatus": ResultReader(GetCertificateStatusResponse, _status_told)
}
