"""The operator's certificate authority: roots, server and station certificates, and contexts for TLS servers.

Elliptic curves, because they are quick to make. Used by the cases about security; knows nothing of the agent.
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

ORGANIZATION = "Example Charging"
HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


@dataclass
class Issued:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | None = None

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        assert self.key is not None
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def write(self, path: Path) -> Path:
        """Certificate and key in one file."""
        path.write_text(self.pem + self.key_pem)
        return path

    def hash_data(self, algorithm: str) -> dict[str, str]:
        """Of a root, as OCSP has it: the tool's own calculation."""
        builder = ocsp.OCSPRequestBuilder().add_certificate(
            self.certificate, self.certificate, HASHES[algorithm]
        )
        request = builder.build()
        return {
            "hashAlgorithm": algorithm,
            "issuerNameHash": request.issuer_name_hash.hex(),
            "issuerKeyHash": request.issuer_key_hash.hex(),
            "serialNumber": f"{request.serial_number:x}",
        }


class Authority:
    """A root and what it signs. `ago` and `lasts` shift and stretch the root's validity."""

    def __init__(
        self, name: str, ago: timedelta = timedelta(days=100), lasts: timedelta = timedelta(days=3650)
    ) -> None:
        self.root = self._sign(_name(name), None, ago, lasts, is_authority=True)

    def server(self) -> Issued:
        return self._sign(_name("localhost"), None, dns_name="localhost")

    def station(self, serial_number: str, ago: timedelta = timedelta(days=30)) -> Issued:
        return self._sign(_name(serial_number), None, ago)

    def signer(self) -> Issued:
        """For firmware."""
        return self._sign(_name("Firmware of Example"), None)

    def sign_request(self, pem: str) -> Issued:
        """A certificate for a CSR, valid since a minute ago."""
        request = x509.load_pem_x509_csr(pem.encode())
        assert request.is_signature_valid
        return self._sign(request.subject, request.public_key(), timedelta(minutes=1))

    def _sign(
        self,
        subject: x509.Name,
        public_key: object,
        ago: timedelta = timedelta(days=1),
        lasts: timedelta = timedelta(days=365),
        *,
        dns_name: str = "",
        is_authority: bool = False,
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1()) if public_key is None else None
        begins_at = datetime.now(UTC) - ago
        signer = key if is_authority else self.root.key
        assert signer is not None
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if is_authority else self.root.certificate.subject)
            .public_key(key.public_key() if key else public_key)  # type: ignore[arg-type]
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins_at)
            .not_valid_after(begins_at + lasts)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if dns_name:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(dns_name)]), False)
        return Issued(builder.sign(signer, hashes.SHA256()), key)

    def server_context(self, folder: Path, asks_client: bool = False) -> ssl.SSLContext:
        """For the central system; `asks_client`: only with a certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server().write(folder / "server.pem"))
        if asks_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.root.pem)
        return context
