"""Which certificates may sign firmware, and which signatures hold."""

import base64
import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from agent.errors import CertificateRefused
from agent.update.signatures import check_certificate, sign, signature_problem
from tests.helpers.firmware import BEGIN, END, Manufacturer

NOW = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
KEYS = {
    "RSA 2048": lambda: rsa.generate_private_key(65537, 2048),
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
}


@pytest.fixture
def maker() -> Manufacturer:
    return Manufacturer()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "fw"
    made.write_bytes(bytes(range(256)) * 5000)
    return made


@pytest.mark.req("R16-366")
@pytest.mark.parametrize("kind", KEYS)
def test_what_is_signed_with_the_key_of_the_certificate_holds(
    maker: Manufacturer, file: Path, kind: str
) -> None:
    maker.signing_key = KEYS[kind]()
    text = maker.signer_text()
    signature = maker.sign(file)
    assert check_certificate(text, [maker.root], NOW) == maker.root
    assert signature_problem(file, text, signature) is None
    assert (
        signature_problem(file, text.replace("\n", "\r\n"), f" {signature[:20]}\r\n{signature[20:]}\n")
        is None
    )
    file.write_bytes(file.read_bytes()[:-1])
    assert signature_problem(file, text, signature) == "the signature is not that of the file"


@pytest.mark.req("R16-366")
def test_any_salt_length_of_pss_holds_and_the_old_padding_does_not(maker: Manufacturer, file: Path) -> None:
    key = maker.signing_key = rsa.generate_private_key(65537, 2048)
    content = file.read_bytes()
    longest = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
    for scheme, problem in ((longest, None), (padding.PKCS1v15(), "the signature is not that of the file")):
        raw = key.sign(content, scheme, hashes.SHA256())
        assert signature_problem(file, maker.signer_text(), base64.b64encode(raw).decode()) == problem


@pytest.mark.req("R16-366")
@pytest.mark.parametrize("text", ["", "===", "ä", "c2ln", "(-:"])
def test_what_is_no_signature_is_a_problem_and_no_crash(maker: Manufacturer, file: Path, text: str) -> None:
    assert signature_problem(file, maker.signer_text(), text)


def extension(*oids: x509.ObjectIdentifier) -> tuple[x509.ExtensionType, ...]:
    return (x509.ExtendedKeyUsage(oids),)


def usage(*, signs: bool) -> tuple[x509.ExtensionType, ...]:
    return (x509.KeyUsage(signs, False, False, False, not signs, False, False, False, False),)


@pytest.mark.req("R16-363")
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"not_after": NOW - datetime.timedelta(days=1)}, "expired on 2025-12-31"),
        ({"not_before": NOW + datetime.timedelta(days=1)}, "not valid before 2026-01-02"),
        ({"is_authority": True}, "the certificate of an authority"),
        ({"extensions": usage(signs=False)}, "its key usage does not allow to sign"),
        (
            {"extensions": extension(ExtendedKeyUsageOID.CLIENT_AUTH)},
            "its extended key usage does not allow to sign code",
        ),
    ],
)
def test_a_certificate_that_may_not_sign_is_refused(
    maker: Manufacturer, fields: dict[str, object], reason: str
) -> None:
    with pytest.raises(CertificateRefused, match=reason):
        check_certificate(maker.signer_text(**fields), [maker.root], NOW)


@pytest.mark.parametrize("extensions", [usage(signs=True), extension(ExtendedKeyUsageOID.CODE_SIGNING)])
def test_a_certificate_that_says_it_may_sign_may(
    maker: Manufacturer, extensions: tuple[x509.ExtensionType, ...]
) -> None:
    assert check_certificate(maker.signer_text(extensions=extensions), [maker.root], NOW) == maker.root


@pytest.mark.req("R16-363")
def test_only_an_installed_root_counts_and_nothing_between(maker: Manufacturer) -> None:
    other = Manufacturer()
    with pytest.raises(CertificateRefused, match="not signed by an installed root"):
        check_certificate(other.signer_text(), [maker.root], NOW)
    with pytest.raises(CertificateRefused):
        check_certificate(maker.signer_text(), [], NOW)
    assert check_certificate(maker.signer_text(), [other.root, maker.root], NOW) == maker.root
    with pytest.raises(CertificateRefused, match="intermediate"):
        check_certificate(maker.signer_text() + maker.root_text, [maker.root], NOW)


def test_a_root_that_has_expired_vouches_for_nobody(maker: Manufacturer) -> None:
    with pytest.raises(CertificateRefused):
        check_certificate(
            maker.signer_text(not_after=END.replace(year=2060)), [maker.root], END.replace(year=2050)
        )
    assert BEGIN < NOW < END


def test_a_key_that_is_too_weak_is_refused(maker: Manufacturer) -> None:
    maker.signing_key = rsa.generate_private_key(65537, 1024)
    with pytest.raises(CertificateRefused, match="1024 bits"):
        check_certificate(maker.signer_text(), [maker.root], NOW)


@pytest.mark.parametrize(
    "text", ["", "PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "☺"]
)
def test_what_is_no_certificate_is_refused_and_no_crash(maker: Manufacturer, text: str) -> None:
    with pytest.raises(CertificateRefused):
        check_certificate(text, [maker.root], NOW)


def test_a_key_that_cannot_be_used_is_said(file: Path) -> None:
    with pytest.raises(ValueError):
        sign(file, b"no key")
