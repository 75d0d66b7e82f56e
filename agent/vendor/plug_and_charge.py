"""Plug & Charge messages over DataTransfer of OCPP 1.6: org.openchargealliance.iso15118pnc.

What the CSMS sends is a message of 2.0.1 as JSON in `data`; so is the answer. Roots of Plug & Charge (V2G, MO) are
installed, listed and deleted for real. What needs an ISO 15118 stack, which this station has not, is answered Rejected
with the reason. Roots of the CSMS and the manufacturer have messages of their own and are not touched by this path.
Source: OCA application note "Using ISO 15118 Plug & Charge with OCPP 1.6"; 2.0.1 M03 to M05, A02, F06.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from agent.charging.certificates import (
    CertificateAnswer,
    CertificateHash,
    CertificateVerdict,
    DeleteCertificate,
    InstallCertificate,
    InstalledCertificates,
    ListCertificates,
)
from agent.charging.ids import CertificateUse, HashAlgorithm
from agent.charging.requests import (
    Request,
    Result,
    TransferResult,
)
from agent.vendor.registry import Vendor, VendorCall, accepted, rejected

log = logging.getLogger(__name__)

VENDOR_ID = "org.openchargealliance.iso15118pnc"
USES = (CertificateUse.V2G_ROOT, CertificateUse.MO_ROOT)
NO_STACK = "this station has no ISO 15118 stack"

Execute = Callable[[Request], Awaitable[Result]]
HexHash = Annotated[str, Meta(max_length=128)]


class StatusInfo(Struct, frozen=True, kw_only=True, rename="camel"):
    reason_code: Annotated[str, Meta(max_length=20)]
    additional_info: Annotated[str, Meta(max_length=512)]


class StatusAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    status: str
    status_info: StatusInfo | UnsetType = UNSET


class HashData(Struct, frozen=True, kw_only=True, rename="camel"):
    hash_algorithm: HashAlgorithm
    issuer_name_hash: HexHash
    issuer_key_hash: HexHash
    serial_number: Annotated[str, Meta(max_length=40)]


class HashDataChain(Struct, frozen=True, kw_only=True, rename="camel"):
    certificate_type: CertificateUse
    certificate_hash_data: HashData


class InstallCertificateRequest(Struct, frozen=True, kw_only=True, rename="camel"):
    certificate_type: str
    certificate: Annotated[str, Meta(max_length=5500)]


class DeleteCertificateRequest(Struct, frozen=True, kw_only=True, rename="camel"):
    certificate_hash_data: HashData


class GetInstalledCertificateIdsRequest(Struct, frozen=True, kw_only=True, rename="camel"):
    certificate_type: list[str] | UnsetType = UNSET
    """Without it, every type."""


class GetInstalledCertificateIdsResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    status: Literal["Accepted", "NotFound"]
    certificate_hash_data_chain: list[HashDataChain] | UnsetType = UNSET


class CertificateSignedRequest(Struct, frozen=True, kw_only=True, rename="camel"):
    certificate_chain: Annotated[str, Meta(max_length=10_000)]
    certificate_type: str | UnsetType = UNSET


class TriggerMessageRequest(Struct, frozen=True, kw_only=True, rename="camel"):
    requested_message: str


Payload = TypeVar("Payload", bound=Struct)


class PlugAndCharge:
    """`vendor` goes into the registry."""

    def __init__(self, execute: Execute) -> None:
        """`execute` is the station's."""
        self._execute = execute
        self.vendor = Vendor(
            VENDOR_ID,
            {
                "InstallCertificate": self._install,
                "DeleteCertificate": self._delete,
                "GetInstalledCertificateIds": self._list,
                "CertificateSigned": self._certificate_signed,
                "TriggerMessage": self._trigger,
            },
        )

    async def _install(self, call: VendorCall) -> TransferResult:
        request, refusal = _read(call, InstallCertificateRequest)
        if request is None:
            return refusal
        use = _use(request.certificate_type)
        if use is None:
            return _status(
                "Rejected", "UnsupportedType", f"{request.certificate_type} is not installed this way"
            )
        return _verdict(await self._execute(InstallCertificate(use, request.certificate)))

    async def _delete(self, call: VendorCall) -> TransferResult:
        request, refusal = _read(call, DeleteCertificateRequest)
        if request is None:
            return refusal
        data = request.certificate_hash_data
        wanted = CertificateHash(
            data.hash_algorithm, data.issuer_name_hash, data.issuer_key_hash, data.serial_number
        )
        return _verdict(await self._execute(DeleteCertificate(wanted, USES)))

    async def _list(self, call: VendorCall) -> TransferResult:
        request, refusal = _read(call, GetInstalledCertificateIdsRequest)
        if request is None:
            return refusal
        asked = request.certificate_type
        uses = USES if asked is UNSET else [use for use in map(_use, asked) if use is not None]
        chains = [chain for use in uses for chain in await self._installed(use)]
        if not chains:
            return _answer(GetInstalledCertificateIdsResponse(status="NotFound"))
        return _answer(
            GetInstalledCertificateIdsResponse(status="Accepted", certificate_hash_data_chain=chains)
        )

    async def _installed(self, use: CertificateUse) -> Iterable[HashDataChain]:
        result = await self._execute(ListCertificates(use))
        hashes = result.hashes if isinstance(result, InstalledCertificates) else ()
        return [
            HashDataChain(certificate_type=use, certificate_hash_data=_hash_data(each)) for each in hashes
        ]

    async def _certificate_signed(self, call: VendorCall) -> TransferResult:
        request, refusal = _read(call, CertificateSignedRequest)
        return refusal if request is None else _status("Rejected", "UnsupportedRequest", NO_STACK)

    async def _trigger(self, call: VendorCall) -> TransferResult:
        """Only SignV2GCertificate and SignCombinedCertificate make sense here, and both need a stack."""
        request, refusal = _read(call, TriggerMessageRequest)
        if request is None:
            return refusal
        known = request.requested_message in ("SignV2GCertificate", "SignCombinedCertificate")
        return _status("Rejected" if known else "NotImplemented", "UnsupportedRequest", NO_STACK)


def _use(name: str) -> CertificateUse | None:
    return next((use for use in USES if use == name), None)


def _hash_data(known: CertificateHash) -> HashData:
    return HashData(
        hash_algorithm=known.algorithm,
        issuer_name_hash=known.issuer_name_hash,
        issuer_key_hash=known.issuer_key_hash,
        serial_number=known.serial_number,
    )


def _read(call: VendorCall, kind: type[Payload]) -> tuple[Payload | None, TransferResult]:
    """The inner message, or the answer to one that cannot be understood."""
    try:
        return msgspec.convert(call.content, kind), accepted()
    except msgspec.ValidationError as error:
        log.warning("%s %s: %s", VENDOR_ID, call.message_id, error)
        return None, rejected("bad_args", str(error))


def _verdict(result: Result) -> TransferResult:
    if not isinstance(result, CertificateAnswer):
        return _status("Failed", "InternalError", "no answer")
    if result.verdict is CertificateVerdict.ACCEPTED:
        return _answer(StatusAnswer(status="Accepted"))
    return _status(result.verdict, "InvalidCertificate", result.reason)


def _status(status: str, code: str, reason: str) -> TransferResult:
    """An inner "no" with its reason; the DataTransfer itself was understood."""
    return _answer(
        StatusAnswer(status=status, status_info=StatusInfo(reason_code=code, additional_info=reason[:512]))
    )


def _answer(payload: Struct) -> TransferResult:
    return accepted(msgspec.to_builtins(payload))
