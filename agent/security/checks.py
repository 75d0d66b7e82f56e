"""What a certificate must be like, who signed it, and its hash data. Pure; imported only when a certificate comes.

Every check raises CertificateRefused with the reason. Paths are followed by hand because the certificates of OCPP have
their name in the CN, which the profile of the web refuses. Security white paper edition 3, 2.6 (A00.FR.501 to .512) and
6.1 (R16-323 to R16-325, R16-353); RFC 5280 6, RFC 6960 4.1.1.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.charging.certificates import CertificateHash
from agent.charging.ids import HashAlgorithm
from agent.errors import CertificateRefused
from agent.security import pem

CLOCK_SKEW = timedelta(minutes=10)
"""A certificate made this moment must not be from the future because our clock is behind (field notes 1.12)."""
RSA_BITS, EC_BITS = 2048, 224
LONGEST_PATH = 6
MOST_SENT = 9
"""Authorities that all signed each other make a path search of minutes; no real chain has so many."""
_WEAK_HASHES = (hashes.MD5, hashes.SHA1)
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)
_ALGORITHMS = {
    HashAlgorithm.SHA256: hashes.SHA256(),
    HashAlgorithm.SHA384: hashes.SHA384(),
    HashAlgorithm.SHA512: hashes.SHA512(),
}


def read_all(text: str) -> list[x509.Certificate]:
    """The certificates of a PEM text, in order; at least one."""
    found = pem.blocks(text)
    if not found:
        raise CertificateRefused("no PEM certificate")
    try:
        certificates = [x509.load_pem_x509_certificate(block.encode("ascii")) for block in found]
        for certificate in certificates:
            # Parsed late by the library: what is broken must show here, not in the middle of a check.
            _ = certificate.extensions, certificate.public_key(), certificate.signature_hash_algorithm
            _ = certificate.subject, certificate.issuer
    except _UNREADABLE as error:
        raise CertificateRefused(f"a certificate cannot be read: {error}") from error
    return certificates


def read_some(text: str) -> list[x509.Certificate]:
    """The certificates of a PEM text that can be read; a bundle of the system may hold odd ones."""
    found = []
    for block in pem.blocks(text):
        try:
            found += read_all(block)
        except CertificateRefused:
            continue
    return found


def to_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 over the DER, in hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def hash_of(
    certificate: x509.Certificate, issuer: x509.Certificate, algorithm: HashAlgorithm
) -> CertificateHash:
    """As OCSP names a certificate, in hex (W edition 3, 6.1)."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, _ALGORITHMS[algorithm])
    request = builder.build()
    return CertificateHash(
        algorithm,
        request.issuer_name_hash.hex(),
        request.issuer_key_hash.hex(),
        f"{request.serial_number:x}",
    )


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Name and signature; nothing about what the issuer may do."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (*_UNREADABLE, InvalidSignature):
        return False
    return True


def check_strength(certificate: x509.Certificate) -> None:
    """Key and signature as A00.FR.501 to .506 want them; a serial number there has to be (A00.FR.508)."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey | dsa.DSAPublicKey):
        if key.key_size < RSA_BITS:
            raise CertificateRefused(f"a key of {key.key_size} bits, at least {RSA_BITS} are needed")
    elif isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < EC_BITS:
        raise CertificateRefused(f"a key of {key.curve.key_size} bits, at least {EC_BITS} are needed")
    if isinstance(certificate.signature_hash_algorithm, _WEAK_HASHES):
        raise CertificateRefused(f"signed with {certificate.signature_hash_algorithm.name}")
    if certificate.serial_number <= 0:
        raise CertificateRefused("no serial number")


def check_validity(certificate: x509.Certificate, now: datetime) -> None:
    """Valid at `now`, which may be a little behind."""
    if now > certificate.not_valid_after_utc:
        raise CertificateRefused(f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if now + CLOCK_SKEW < certificate.not_valid_before_utc:
        raise CertificateRefused(f"not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M}")


def check_authority(certificate: x509.Certificate) -> None:
    """It may sign certificates: CA in the basic constraints, keyCertSign if there is a key usage."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise CertificateRefused("not the certificate of an authority (no basic constraints)") from None
    if not constraints.ca:
        raise CertificateRefused("not the certificate of an authority")
    usage = _usage(certificate)
    if usage is not None and not usage.key_cert_sign:
        raise CertificateRefused("its key usage does not allow to sign certificates")


def check_root(certificate: x509.Certificate, now: datetime) -> None:
    """Everything that is asked of an installed certificate of an authority but who signed it."""
    check_authority(certificate)
    check_strength(certificate)
    check_validity(certificate, now)


def check_path(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    now: datetime,
) -> tuple[x509.Certificate, ...]:
    """The authorities between the leaf and one of `roots`, nearest first, without the root.

    Each one may sign, is valid at `now` and strong enough; path lengths are kept (RFC 5280 6)."""
    if len(others) > MOST_SENT:
        raise CertificateRefused(f"{len(others)} certificates, at most {MOST_SENT} are looked at")
    usable = [each for each in others if each != leaf and _is_usable(each, now)]
    path = _extend((leaf,), usable, [root for root in roots if _is_usable(root, now)])
    if path is None:
        raise CertificateRefused("not signed by an installed root certificate")
    return path[1:]


def _is_usable(authority: x509.Certificate, now: datetime) -> bool:
    try:
        check_root(authority, now)
    except CertificateRefused:
        return False
    return True


def _extend(
    path: tuple[x509.Certificate, ...],
    others: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
) -> tuple[x509.Certificate, ...] | None:
    last = path[-1]
    if any(last == root or (_may_sign(root, path) and is_issued_by(last, root)) for root in roots):
        return path[:-1] if len(path) > 1 and last in roots else path
    if len(path) >= LONGEST_PATH:
        return None
    for other in others:
        if other not in path and _may_sign(other, path) and is_issued_by(last, other):
            found = _extend((*path, other), others, roots)
            if found is not None:
                return found
    return None


def _may_sign(authority: x509.Certificate, path: Sequence[x509.Certificate]) -> bool:
    """Its path length allows for the authorities that stand between it and the leaf."""
    limit = authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    return limit is None or len(path) - 1 <= limit


def check_station_certificate(
    certificate: x509.Certificate, name: str, organization: str, now: datetime
) -> None:
    """What a certificate of this station must say (A00.FR.427, .509, .511, .512); it may begin later than now."""
    check_strength(certificate)
    if now > certificate.not_valid_after_utc:
        raise CertificateRefused(f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    for oid, wanted, field in (
        (NameOID.COMMON_NAME, name, "CN"),
        (NameOID.ORGANIZATION_NAME, organization, "O"),
    ):
        found = [str(each.value) for each in certificate.subject.get_attributes_for_oid(oid)]
        if wanted not in found:
            raise CertificateRefused(
                f"{field} of the subject is {', '.join(found) or 'missing'}, not {wanted}"
            )
    usage = _usage(certificate)
    if usage is not None and not usage.digital_signature:
        raise CertificateRefused("its key usage does not allow to sign")
    purposes = _purposes(certificate)
    if (
        purposes
        and not {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & purposes
    ):
        raise CertificateRefused("its extended key usage does not allow to log in as a client")


def public_key_bytes(key: PublicKeyTypes) -> bytes:
    """DER of the public key, to compare keys by."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _purposes(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return set()
