"""What may be asked about certificates, and what is answered: words between front ends and `agent/security`.

Requests of `requests.py` like all others; the rules are in `agent/security`, behind the port `Credentials`.
Security white paper A02, M03 to M05; OCPP 2.0.1 A02, M03 to M05.
"""

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from agent.charging.ids import CertificateUse, HashAlgorithm


class CertificateHash(Struct, frozen=True):
    """Which certificate, in the words of OCSP (RFC 6960): hashes of its issuer in hex, serial number in hex."""

    algorithm: HashAlgorithm
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str


class CertificateVerdict(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    """The certificate is not as it should be, or there is no room for it."""
    FAILED = "Failed"
    """It could be done in principle, but not here and now."""
    NOT_FOUND = "NotFound"


class CertificateAnswer(Struct, frozen=True):
    verdict: CertificateVerdict
    reason: str = ""
    is_full: bool = False
    """Rejected, because no more may be installed."""


class InstalledCertificates(Struct, frozen=True):
    hashes: tuple[CertificateHash, ...]


class CertificatesByUse(Struct, frozen=True):
    found: tuple[tuple[CertificateUse, CertificateHash], ...]


class InstallCertificate(Struct, frozen=True):
    """Trust this certificate of an authority from now on. PEM. Security white paper M05, 2.0.1 M05."""

    use: CertificateUse
    certificate: str


class DeleteCertificate(Struct, frozen=True):
    """Security white paper M04, 2.0.1 M04."""

    certificate: CertificateHash
    uses: tuple[CertificateUse, ...] = tuple(CertificateUse)
    """Only one that is installed for one of these."""


class ListCertificates(Struct, frozen=True):
    """Security white paper M03, 2.0.1 M03. Answered with `InstalledCertificates`."""

    use: CertificateUse


class ListCertificatesByUse(Struct, frozen=True):
    """What is installed for any of these uses. 2.0.1 M03. Answered with `CertificatesByUse`."""

    uses: tuple[CertificateUse, ...]


class RequestOwnCertificate(Struct, frozen=True):
    """Make a new key pair and ask the CSMS to have it signed. Security white paper A02, 2.0.1 A02."""


class TakeOwnCertificate(Struct, frozen=True):
    """The signed certificate of the station, PEM, with the authorities between it and the root behind it."""

    chain: str


CertificateRequest: TypeAlias = (
    InstallCertificate
    | DeleteCertificate
    | ListCertificates
    | ListCertificatesByUse
    | RequestOwnCertificate
    | TakeOwnCertificate
)
CertificateResult: TypeAlias = CertificateAnswer | InstalledCertificates | CertificatesByUse
