"""Key pairs of the station and the requests to have them signed (PKCS#10). Pure; imported when one is asked for.

Making an RSA key takes seconds on a small controller: `credentials.py` calls this in a thread. Security white paper
edition 3, A02.FR.02, .03, .13, A00.FR.501 to .511 (R16-323, R16-324, R16-336, R16-337).
"""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from agent.security import checks

_PUBLIC_EXPONENT = 65537
_CURVES = {"P256": ec.SECP256R1(), "P384": ec.SECP384R1()}


def new_key(kind: str) -> str:
    """A private key as PEM; `kind` is one of the setting `certificate_key_type`, such as ECDSA-P256 or RSA-2048."""
    algorithm, _dash, size = kind.partition("-")
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if algorithm == "RSA":
        key = rsa.generate_private_key(_PUBLIC_EXPONENT, int(size))
    else:
        key = ec.generate_private_key(_CURVES[size])
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def signing_request(key: str, name: str, organization: str) -> str:
    """The PEM of a request with O and CN, signed with SHA-256."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(usage, critical=True)
    )
    request = builder.sign(_private_key(key), hashes.SHA256())
    return request.public_bytes(Encoding.PEM).decode("ascii")


def belongs_to(certificate: x509.Certificate, key: str) -> bool:
    """Whether the certificate is about this private key (PEM)."""
    public = checks.public_key_bytes(_private_key(key).public_key())
    return checks.public_key_bytes(certificate.public_key()) == public


def _private_key(key: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    loaded = load_pem_private_key(key.encode("ascii"), password=None)
    assert isinstance(loaded, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)  # we made it
    return loaded
