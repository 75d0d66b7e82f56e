"""May this certificate sign our firmware, and did it sign this file?

The certificate must come directly from an installed manufacturer's root, without intermediates; the signature is over
the whole file, SHA-256, RSA-PSS or ECDSA. Blocks and imports `cryptography` when first asked: callers use a thread.
Where revocation is looked up is `revocation.py`. White paper L01.FR.03, .04, .12, .23-.25, A00.FR.501-503, 2.6.3
(R16-363, R16-366).
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import CertificateRefused

if TYPE_CHECKING:
    from cryptography import x509


def check_certificate(text: str, roots: Sequence["x509.Certificate"], now: datetime) -> "x509.Certificate":
    """The root that issued the signing certificate `text` (PEM). Raises CertificateRefused."""
    from agent.security import checks

    certificate = _the_one(text)
    checks.check_validity(certificate, now)
    checks.check_strength(certificate)
    _check_purpose(certificate)
    checks.check_path(certificate, (), roots, now)
    return next(root for root in roots if checks.is_issued_by(certificate, root))


def signature_problem(file: Path, signing_certificate: str, signature: str) -> str | None:
    """Why `signature` (Base64) is not that of `file`; None: it is. Raises OSError when the file cannot be read."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

    try:
        raw = base64.b64decode("".join(signature.split()), validate=True)
    except (binascii.Error, ValueError):
        return "the signature is not Base64"
    if not raw:
        return "there is no signature"
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").digest()
    algorithm = utils.Prehashed(hashes.SHA256())
    try:
        key = _the_one(signing_certificate).public_key()
        if isinstance(key, rsa.RSAPublicKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
            key.verify(raw, digest, pss, algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(raw, digest, ec.ECDSA(algorithm))
        else:
            return "the key of the signing certificate is neither RSA nor of an elliptic curve"
    except CertificateRefused as error:
        return str(error)
    except InvalidSignature:
        return "the signature is not that of the file"
    return None


def sign(file: Path, key_text: bytes, password: bytes | None = None) -> str:
    """The Base64 signature of `file` with a private key (PEM). Raises ValueError for a key that cannot be used."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(key_text, password)
    except TypeError as error:
        raise ValueError(str(error)) from error
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").digest()
    algorithm = utils.Prehashed(hashes.SHA256())
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        return base64.b64encode(key.sign(digest, pss, algorithm)).decode()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return base64.b64encode(key.sign(digest, ec.ECDSA(algorithm))).decode()
    raise ValueError("the key is neither RSA nor of an elliptic curve")


def _the_one(text: str) -> "x509.Certificate":
    from agent.security import checks

    found = checks.read_all(text)
    if len(found) != 1:
        raise CertificateRefused("a chain: intermediate certificates are not allowed")
    return found[0]


def _check_purpose(certificate: "x509.Certificate") -> None:
    """The same root may have issued the certificates of charging stations: these sign no firmware."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID

    for extension in certificate.extensions:
        match extension.value:
            case x509.BasicConstraints(ca=True):
                raise CertificateRefused("the certificate of an authority, not of a signer")
            case x509.KeyUsage(digital_signature=False):
                raise CertificateRefused("its key usage does not allow to sign")
            case x509.ExtendedKeyUsage() as purposes:
                allowed = {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
                if allowed.isdisjoint(purposes):
                    raise CertificateRefused("its extended key usage does not allow to sign code")
    if not isinstance(certificate.public_key(), rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise CertificateRefused("its key is neither RSA nor of an elliptic curve")
