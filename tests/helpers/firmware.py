"""Firmware for tests: small releases that load, a manufacturer with root and signing keys."""

import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from agent.update.release import Here, pack, read_manifest, unpack
from agent.update.signatures import sign
from agent.update.slots import prepare

HERE = Here("Wallbox 22", "riscv64", (3, 11))
MOST_BYTES = 16 * 1024 * 1024
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
BEGIN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2045, 1, 1, tzinfo=datetime.UTC)


def make_release(folder: Path, version: str, files: dict[str, str] | None = None, **rules: Any) -> Path:
    """A firmware file of the smallest packages that load; `files` are put over them."""
    source = folder / f"source-{version}"
    texts = {
        "agent/__init__.py": "",
        "agent/version.py": f'VERSION = "{version}"\n',
        "agent/app.py": "",
        "agent/cli.py": "",
        "hal/__init__.py": "",
        "board/__init__.py": "",
        **(files or {}),
    }
    for name, text in texts.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    output = folder / f"evse-agent-{version}.zip"
    pack(source, output, **rules)
    return output


def make_root(folder: Path, version: str = "1.0") -> Path:
    """A root with one release, as `evse-agent firmware prepare` lays it out."""
    root = folder / "root"
    prepare(root, make_release(folder, version), HERE, MOST_BYTES)
    return root


def unpack_beside(root: Path, file: Path) -> None:
    """Put a release into the root, as an update does before the switch."""
    version = read_manifest(file, MOST_BYTES).version
    unpack(file, root / "releases" / version, MOST_BYTES)


def _name(text: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Maker"),
            x509.NameAttribute(NameOID.COMMON_NAME, text),
        ]
    )


class Manufacturer:
    """A root certificate, and signing certificates of all kinds."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.root = self._certificate(_name("Maker root"), self.key, is_authority=True)
        self.signing_key: Key = ec.generate_private_key(ec.SECP256R1())

    @property
    def root_text(self) -> str:
        return self.root.public_bytes(serialization.Encoding.PEM).decode()

    def _certificate(
        self,
        subject: x509.Name,
        key: Key,
        *,
        is_authority: bool = False,
        not_before: datetime.datetime = BEGIN,
        not_after: datetime.datetime = END,
        extensions: tuple[x509.ExtensionType, ...] = (),
        issuer: "tuple[x509.Name, Key] | None" = None,
    ) -> x509.Certificate:
        issuer_name, issuer_key = issuer or (_name("Maker root"), self.key)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before)
            .not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    def signer(self, **fields: Any) -> x509.Certificate:
        """A certificate for the signing key, directly from the root unless `issuer` says otherwise."""
        return self._certificate(_name("Maker signer"), self.signing_key, **fields)

    def signer_text(self, **fields: Any) -> str:
        return self.signer(**fields).public_bytes(serialization.Encoding.PEM).decode()

    def key_text(self) -> bytes:
        return self.signing_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def sign(self, file: Path) -> str:
        return sign(file, self.key_text())


def ocsp_at(url: str) -> x509.AuthorityInformationAccess:
    """The extension by which a certificate names its OCSP responder."""
    description = x509.AccessDescription(
        AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url)
    )
    return x509.AuthorityInformationAccess([description])
