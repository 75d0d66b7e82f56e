"""Certificates for tests: authorities, servers and stations, each right or wrong in exactly one way.

Validity is long enough for the real time, by which TLS judges, and for the time of the scripted CSMS.
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DAY = timedelta(days=1)
YEAR = 365 * DAY


def new_key(kind: str = "P256") -> PrivateKey:
    if kind == "P256":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "P192":
        return ec.generate_private_key(ec.SECP192R1())
    return rsa.generate_private_key(65537, int(kind))


def name(common_name: str | None, organization: str | None) -> x509.Name:
    parts = ((NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, common_name))
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts if text is not None])


@dataclass
class Issued:
    """A certificate, its private key and who stands between it and the root."""

    certificate: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def chain_pem(self) -> str:
        return self.pem + "".join(each.public_bytes(Encoding.PEM).decode() for each in self.chain)

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def server_context(self, client_roots: str = "") -> ssl.SSLContext:
        """TLS of a CSMS; `client_roots` (PEM): a certificate of the station is demanded."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "server.pem"
            path.write_text(self.chain_pem + self.key_pem)
            context.load_cert_chain(path)
        if client_roots:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=client_roots)
        return context


@dataclass
class Authority(Issued):
    """One that signs others; `Authority.root()` makes a self-signed one."""

    @classmethod
    def root(cls, common_name: str = "Root", key_kind: str = "P256", **odd: Any) -> "Authority":
        key = new_key(key_kind)
        own = name(common_name, odd.pop("organization", "Example Org"))
        return cls(_build(own, key, own, key, is_authority=True, **odd), key)

    def authority(self, common_name: str = "Sub", **odd: Any) -> "Authority":
        key = new_key()
        certificate = _build(
            name(common_name, "Example Org"),
            key,
            self.certificate.subject,
            self.key,
            is_authority=odd.pop("is_authority", True),
            **odd,
        )
        return Authority(certificate, key, (certificate, *self.chain))

    def issue(
        self,
        common_name: str | None = "localhost",
        organization: str | None = "Example Org",
        key_kind: str = "P256",
        **odd: Any,
    ) -> Issued:
        key = odd.pop("key", None) or new_key(key_kind)
        subject = name(common_name, organization)
        certificate = _build(subject, key, self.certificate.subject, self.key, **odd)
        return Issued(certificate, key, self.chain)

    def sign(self, request: str, **odd: Any) -> Issued:
        """What an authority makes of a signing request (PEM)."""
        wanted = x509.load_pem_x509_csr(request.encode())
        assert wanted.is_signature_valid
        certificate = _build(
            odd.pop("subject", wanted.subject),
            None,
            self.certificate.subject,
            self.key,
            public_key=odd.pop("public_key", wanted.public_key()),
            **odd,
        )
        return Issued(certificate, self.key, self.chain)

    def renewed(self, **odd: Any) -> "Authority":
        """A new key, signed by the old one: what AdditionalRootCertificateCheck wants."""
        return Authority(*self._renewed(**odd))

    def _renewed(self, **odd: Any) -> tuple[x509.Certificate, PrivateKey]:
        key = new_key()
        subject = name(odd.pop("common_name", "Root 2"), "Example Org")
        return _build(subject, key, self.certificate.subject, self.key, is_authority=True, **odd), key


def _build(
    subject: x509.Name,
    key: PrivateKey | None,
    issuer: x509.Name,
    issuer_key: PrivateKey,
    *,
    public_key: Any = None,
    is_authority: bool = False,
    begins: timedelta = -3 * YEAR,
    ends: timedelta = 10 * YEAR,
    serial_number: int | None = None,
    path_length: int | None = None,
    has_constraints: bool = True,
    usage: x509.KeyUsage | None = None,
    purposes: list[x509.ObjectIdentifier] | None = None,
    hash_algorithm: Any = None,
    is_pss: bool = False,
    now: datetime | None = None,
) -> x509.Certificate:
    now = now or datetime.now(UTC)
    if public_key is None:
        assert key is not None
        public_key = key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(serial_number or x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
    )
    if has_constraints:
        length = path_length if is_authority else None
        builder = builder.add_extension(x509.BasicConstraints(is_authority, length), critical=True)
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH) if is_pss else None
    return builder.sign(issuer_key, hash_algorithm or hashes.SHA256(), rsa_padding=pss)


def usage(**allowed: bool) -> x509.KeyUsage:
    """A key usage that allows nothing but what is named."""
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{each: allowed.get(each, False) for each in names})


CLIENT_AUTH, SERVER_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
