"""What a certificate must be like; each test gets one thing wrong."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.charging.ids import HashAlgorithm
from agent.errors import CertificateRefused
from agent.security import checks
from tests.helpers.authorities import CLIENT_AUTH, DAY, SERVER_AUTH, YEAR, Authority, Issued, usage

ROOT = Authority.root()
NOW = datetime.now(UTC)


def refused(check: Callable[..., object], *args: Any, match: str) -> None:
    with pytest.raises(CertificateRefused, match=match):
        check(*args)


def key_bits(certificate: Issued) -> bytes:
    """The value of the BIT STRING in SubjectPublicKeyInfo, by hand (RFC 6960 4.1.1)."""
    public = certificate.certificate.public_key()
    if hasattr(public, "curve"):
        return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return public.public_bytes(Encoding.DER, PublicFormat.PKCS1)


@pytest.mark.req("R16-353", "TC_075_1_CS", "TC_075_2_CS")
@pytest.mark.parametrize("algorithm", list(HashAlgorithm))
@pytest.mark.parametrize("key_kind", ["P256", "2048"])
def test_hash_data_are_those_of_ocsp(algorithm: HashAlgorithm, key_kind: str) -> None:
    root = Authority.root(key_kind=key_kind, serial_number=4095)
    digest = getattr(hashlib, algorithm.lower())
    found = checks.hash_of(root.certificate, root.certificate, algorithm)
    assert found.issuer_name_hash == digest(root.certificate.issuer.public_bytes()).hexdigest()
    assert found.issuer_key_hash == digest(key_bits(root)).hexdigest()
    assert found.serial_number == "fff"


def test_hash_data_name_the_issuer_and_not_the_certificate() -> None:
    sub = ROOT.authority()
    found = checks.hash_of(sub.certificate, ROOT.certificate, HashAlgorithm.SHA256)
    assert found.issuer_key_hash == hashlib.sha256(key_bits(ROOT)).hexdigest()


@pytest.mark.req("R16-349")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n\u00fc\n-----END CERTIFICATE-----\n",
        ROOT.pem.replace("M", "N", 3),
        ROOT.key_pem,
    ],
)
def test_what_is_no_certificate_is_refused(text: str) -> None:
    refused(checks.read_all, text, match="certificate")


def test_crlf_and_text_around_do_no_harm() -> None:
    text = "subject=CN = Root\r\n" + ROOT.pem.replace("\n", "\r\n")
    assert checks.read_all(text) == [ROOT.certificate]


@pytest.mark.req("R16-323", "R16-349", "R16-350", "TC_078_CS")
@pytest.mark.req("A00.FR.501", "A00.FR.502", "A00.FR.503")
@pytest.mark.parametrize(
    ("odd", "match"),
    [
        ({"ends": -YEAR}, "expired"),
        ({"begins": DAY}, "not valid before"),
        ({"has_constraints": False}, "no basic constraints"),
        ({"usage": usage(digital_signature=True)}, "key usage"),
        ({"key_kind": "1024"}, "1024 bits"),
        ({"key_kind": "P192"}, "192 bits"),
    ],
)
def test_a_root_with_one_thing_wrong_is_refused(odd: dict[str, Any], match: str) -> None:
    refused(checks.check_root, Authority.root(**odd).certificate, NOW, match=match)


@pytest.mark.req("R16-323")
@pytest.mark.req("A00.FR.502", "A00.FR.503")
@pytest.mark.parametrize("odd", [{}, {"key_kind": "2048"}, {"usage": usage(key_cert_sign=True)}])
def test_a_proper_root_is_fine(odd: dict[str, Any]) -> None:
    checks.check_root(Authority.root(**odd).certificate, NOW)


@pytest.mark.req("TOLERATE-12")
def test_a_certificate_made_this_moment_is_not_refused_over_a_slow_clock() -> None:
    fresh = Authority.root(begins=timedelta(minutes=5))
    checks.check_root(fresh.certificate, datetime.now(UTC))  # not NOW: the tests before may have taken long


# --- paths -----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-342")
def test_a_path_leads_over_sub_authorities_to_a_root_and_leaves_the_root_out() -> None:
    sub = ROOT.authority("Sub 1").authority("Sub 2")
    leaf = sub.issue()
    for roots in ([ROOT.certificate], [Authority.root().certificate, ROOT.certificate]):
        shuffled = [ROOT.certificate, *reversed(leaf.chain), leaf.certificate]
        assert checks.check_path(leaf.certificate, shuffled, roots, NOW) == leaf.chain


@pytest.mark.req("R16-342")
def test_a_heap_of_certificates_is_refused_before_paths_are_searched() -> None:
    leaf = ROOT.issue("0001")
    with pytest.raises(CertificateRefused, match="10 certificates, at most 9"):
        checks.check_path(leaf.certificate, [leaf.certificate] * 10, [ROOT.certificate], NOW)


@pytest.mark.req("R16-342")
def test_an_installed_sub_authority_is_an_anchor_too() -> None:
    sub = ROOT.authority()
    assert checks.check_path(sub.issue().certificate, [], [sub.certificate], NOW) == ()


@pytest.mark.req("A00.FR.505", "A00.FR.506")
def test_signatures_by_rsa_pss_and_ecdsa_with_sha_256_are_taken() -> None:
    for root, odd in ((ROOT, {}), (Authority.root(key_kind="2048", is_pss=True), {"is_pss": True})):
        leaf = root.issue("0001", **odd)
        checks.check_root(root.certificate, NOW)
        check_own(leaf)
        assert checks.check_path(leaf.certificate, [], [root.certificate], NOW) == ()


NO_SIGNER = ROOT.authority(is_authority=False)
EXPIRED = ROOT.authority(ends=-YEAR)
TOO_SHORT = Authority.root(path_length=0)
WEAK = ROOT.authority(usage=usage(digital_signature=True))


@pytest.mark.req("R16-342", "TC_077_CS")
@pytest.mark.parametrize(
    ("leaf", "others", "root"),
    [
        (Authority.root().issue(), (), ROOT),
        (ROOT.authority().issue(), (), ROOT),
        (NO_SIGNER.issue(), NO_SIGNER.chain, ROOT),
        (EXPIRED.issue(), EXPIRED.chain, ROOT),
        (WEAK.issue(), WEAK.chain, ROOT),
        ((sub := TOO_SHORT.authority()).issue(), sub.chain, TOO_SHORT),
        ((old := Authority.root(ends=-YEAR)).issue(), (), old),
        ((same_name := Authority.root("Root")).issue(), (), ROOT),
        ((odd := Authority.root()).issue(), (odd.certificate,), ROOT),
    ],
    ids=[
        "stranger",
        "gap",
        "no CA",
        "expired sub",
        "usage",
        "path length",
        "expired root",
        "same name",
        "own root",
    ],
)
def test_a_path_that_does_not_hold_is_refused(leaf: Issued, others: Any, root: Authority) -> None:
    refused(
        checks.check_path,
        leaf.certificate,
        others,
        [root.certificate],
        NOW,
        match="not signed by an installed",
    )


# --- the station's own certificate -----------------------------------------------------------------------


def check_own(leaf: Issued) -> None:
    checks.check_station_certificate(leaf.certificate, "0001", "Example Org", NOW)


@pytest.mark.req("R16-324", "R16-325", "R16-342", "TC_077_CS", "TC_087_CS")
@pytest.mark.req("A00.FR.509", "A00.FR.511")
@pytest.mark.parametrize(
    ("odd", "match"),
    [
        ({"common_name": "CP001"}, "CN of the subject is CP001, not 0001"),
        ({"common_name": None}, "CN of the subject is missing"),
        ({"organization": "Others"}, "O of the subject is Others"),
        ({"ends": -YEAR}, "expired"),
        ({"key_kind": "1024"}, "1024 bits"),
        ({"usage": usage(key_encipherment=True)}, "does not allow to sign"),
        ({"purposes": [SERVER_AUTH]}, "as a client"),
    ],
)
def test_an_own_certificate_with_one_thing_wrong_is_refused(odd: dict[str, Any], match: str) -> None:
    refused(check_own, ROOT.issue(**{"common_name": "0001", **odd}), match=match)


@pytest.mark.req("R16-324", "R16-325")
@pytest.mark.parametrize(
    "odd",
    [{}, {"usage": usage(digital_signature=True), "purposes": [CLIENT_AUTH]}, {"begins": 30 * DAY}],
)
def test_a_proper_own_certificate_is_fine_and_may_begin_later(odd: dict[str, Any]) -> None:
    check_own(ROOT.issue("0001", **odd))
