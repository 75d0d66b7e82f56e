"""The doctor's room of the certificates: trust anchors, the station's own one, its key, their dates."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from agent.commissioning.certificates import check_certificates
from agent.commissioning.findings import Finding, Verdict
from agent.ocpp.link import LinkConfig
from tests.commissioning.conftest import NOW
from tests.helpers.authorities import DAY, Authority


def the(findings: list[Finding]) -> Finding:
    """The only one."""
    (found,) = findings
    return found


def certificates(link: LinkConfig, now: datetime = NOW, is_time_known: bool = True) -> list[Finding]:
    return list(check_certificates(link, now, is_time_known=is_time_known))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "ca.pem"


def wss(**fields: Any) -> LinkConfig:
    return LinkConfig(
        **{"url": "wss://h/", "identity": "CP001", "security_profile": 2, "password": b"x", **fields}
    )


def test_without_tls_there_is_nothing_to_check() -> None:
    assert certificates(LinkConfig("ws://h/", "CP001", security_profile=1, password=b"x")) == []


def test_the_systems_authorities_are_fine() -> None:
    assert "those of the system" in the(certificates(wss())).found


def test_a_valid_root_is_named_with_its_end(place: Path) -> None:
    place.write_text(Authority.root("Operator", ends=400 * DAY, now=NOW).pem)
    found = the(certificates(wss(ca_file=str(place))))
    assert (found.verdict, found.found) == (Verdict.OK, "Operator; good until 2027-06-08")


@pytest.mark.parametrize(
    "text", ["", "-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n", "rubbish"]
)
def test_a_file_that_holds_no_certificate(place: Path, text: str) -> None:
    place.write_text(text)
    found = the(certificates(wss(ca_file=str(place))))
    assert (found.verdict, "as PEM" in found.advice) == (Verdict.FAILURE, True)


@pytest.mark.parametrize(
    ("odd", "verdict", "said"),
    [
        ({"ends": -1 * DAY}, Verdict.FAILURE, "expired on 2026-05-03"),
        ({"ends": 20 * DAY}, Verdict.WARNING, "expires on 2026-05-24, in 20 days"),
        ({"begins": 1 * DAY}, Verdict.FAILURE, "not valid before 2026-05-05"),
    ],
)
def test_a_root_out_of_its_time(place: Path, odd: dict[str, Any], verdict: Verdict, said: str) -> None:
    place.write_text(Authority.root(now=NOW, **odd).pem)
    found = the(certificates(wss(ca_file=str(place))))
    assert (found.verdict, said in found.found) == (verdict, True)
    assert "new root certificate from the operator" in found.advice
    assert the(certificates(wss(ca_file=str(place)), is_time_known=False)).verdict is Verdict.OK, (
        "clock unset"
    )


def test_installed_roots_count_beside_the_file(place: Path) -> None:
    place.write_text(Authority.root("Old", ends=-1 * DAY, now=NOW).pem)
    found = the(certificates(wss(ca_file=str(place), roots=Authority.root("New", now=NOW).pem)))
    assert found.verdict is Verdict.WARNING, "the other one still holds"


def profile3(tmp_path: Path, **fields: Any) -> LinkConfig:
    return wss(security_profile=3, password=None, certificate_file=str(tmp_path / "own.pem"), **fields)


def test_a_bundle_of_authorities_is_counted_and_not_recited(place: Path) -> None:
    """Some of the public ones always end: no reason to send for a new root."""
    roots = [Authority.root(f"Root {number}", now=NOW) for number in range(5)]
    ended = Authority.root("Ended", ends=-1 * DAY, now=NOW)
    place.write_text("".join(each.pem for each in [*roots, ended]))
    found = the(certificates(wss(ca_file=str(place))))
    assert (found.verdict, found.found) == (Verdict.OK, "6 authorities; 1 of them expired or soon to")


def test_profile_3_needs_a_certificate() -> None:
    found = certificates(wss(security_profile=3))[-1]
    assert (found.verdict, "csms.certificate_file" in found.advice) == (Verdict.FAILURE, True)


def test_a_certificate_with_its_key_is_fine(tmp_path: Path) -> None:
    own = Authority.root(now=NOW).issue("CP001", ends=90 * DAY, now=NOW)
    (tmp_path / "own.pem").write_text(own.pem + own.key_pem)
    assert certificates(profile3(tmp_path))[-1].found == "CP001, with its key; good until 2026-08-02"
    (tmp_path / "own.pem").write_text(own.pem)
    (tmp_path / "key.pem").write_text(own.key_pem)
    assert certificates(profile3(tmp_path, key_file=str(tmp_path / "key.pem")))[-1].verdict is Verdict.OK


def test_a_key_that_does_not_belong_to_the_certificate(tmp_path: Path) -> None:
    root = Authority.root(now=NOW)
    (tmp_path / "own.pem").write_text(root.issue("CP001", now=NOW).pem + root.issue("CP002", now=NOW).key_pem)
    found = certificates(profile3(tmp_path))[-1]
    assert (found.verdict, "does not belong" in found.found) == (Verdict.FAILURE, True)
    assert "signing request" in found.advice


@pytest.mark.parametrize(
    ("odd", "verdict", "said"),
    [
        ({"ends": -2 * DAY}, Verdict.FAILURE, "expired on 2026-05-02"),
        ({"ends": 9 * DAY}, Verdict.WARNING, "in 9 days"),
    ],
)
def test_a_station_certificate_out_of_its_time(
    tmp_path: Path, odd: dict[str, Any], verdict: Verdict, said: str
) -> None:
    own = Authority.root(now=NOW).issue("CP001", now=NOW, **odd)
    (tmp_path / "own.pem").write_text(own.pem + own.key_pem)
    found = certificates(profile3(tmp_path))[-1]
    assert (found.verdict, said in found.found) == (verdict, True)
    assert "SignChargePointCertificate" in found.advice


def test_a_key_of_a_kind_that_nobody_knows_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise UnsupportedAlgorithm("curve 25518")

    monkeypatch.setattr("cryptography.hazmat.primitives.serialization.load_pem_private_key", refuse)
    own = Authority.root(now=NOW).issue("0001")
    (tmp_path / "own.pem").write_text(own.pem + own.key_pem)
    found = certificates(wss(security_profile=3, certificate_file=str(tmp_path / "own.pem")))[-1]
    assert (found.verdict, "curve 25518" in found.found) == (Verdict.FAILURE, True)


def test_no_key_and_no_certificate(tmp_path: Path) -> None:
    assert "PEM with its chain" in certificates(profile3(tmp_path))[-1].advice
    (tmp_path / "own.pem").write_text(Authority.root(now=NOW).issue("CP001", now=NOW).pem)
    assert "csms.certificate_key_file" in certificates(profile3(tmp_path))[-1].advice
