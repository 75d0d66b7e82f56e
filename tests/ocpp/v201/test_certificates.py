"""Certificates of authorities in 2.0.1, and the question whether one is still good (block M)."""

from typing import Any

import pytest

from agent.charging.certificates import (
    CertificateAnswer,
    CertificateHash,
    CertificatesByUse,
    CertificateVerdict,
    DeleteCertificate,
    InstallCertificate,
    ListCertificatesByUse,
)
from agent.charging.ids import CertificateUse, HashAlgorithm
from agent.ocpp.frontend import CertificateStatusQuestion, CertificateStatusTold
from tests.ocpp.v201.asking import answer, asked, read, told

HASH = CertificateHash(HashAlgorithm.SHA256, "aa", "bb", "cc")
SHOWN = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "cc"}
V = CertificateVerdict


@pytest.mark.req("M05.FR.01", "M05.FR.02", "M05.FR.03", "M05.FR.06", "M05.FR.07")
@pytest.mark.parametrize(
    ("use", "ours"),
    [
        ("CSMSRootCertificate", CertificateUse.CSMS_ROOT),
        ("ManufacturerRootCertificate", CertificateUse.MANUFACTURER_ROOT),
        ("MORootCertificate", CertificateUse.MO_ROOT),
        ("V2GRootCertificate", CertificateUse.V2G_ROOT),
    ],
)
def test_a_certificate_is_installed_for_its_use(use: str, ours: CertificateUse) -> None:
    given = {"certificateType": use, "certificate": "PEM"}
    assert asked("InstallCertificate", given) == InstallCertificate(ours, "PEM")
    for verdict, status, code in (
        (V.ACCEPTED, "Accepted", None),
        (V.REJECTED, "Rejected", "InvalidCertificate"),
        (V.FAILED, "Failed", "Unspecified"),
    ):
        said = answer("InstallCertificate", given, None, CertificateAnswer(verdict, "why" if code else ""))
        assert (said["status"], said.get("statusInfo", {}).get("reasonCode")) == (status, code)


@pytest.mark.req("M03.FR.01", "M03.FR.02", "M03.FR.03", "M03.FR.04", "M03.FR.05")
def test_certificates_are_listed_by_their_uses() -> None:
    every = asked("GetInstalledCertificateIds")
    assert isinstance(every, ListCertificatesByUse)
    assert set(every.uses) == set(CertificateUse)
    some = {"certificateType": ["CSMSRootCertificate", "V2GCertificateChain"]}
    assert asked("GetInstalledCertificateIds", some) == ListCertificatesByUse((CertificateUse.CSMS_ROOT,))
    found = CertificatesByUse(((CertificateUse.CSMS_ROOT, HASH),))
    chain = {"certificateType": "CSMSRootCertificate", "certificateHashData": SHOWN}
    assert answer("GetInstalledCertificateIds", some, None, found) == {
        "status": "Accepted",
        "certificateHashDataChain": [chain],
    }
    assert answer("GetInstalledCertificateIds", some, None, CertificatesByUse(()))["status"] == "NotFound"


@pytest.mark.req("M04.FR.01", "M04.FR.02", "M04.FR.03", "M04.FR.04", "M04.FR.06")
@pytest.mark.parametrize(
    ("verdict", "status"), [(V.ACCEPTED, "Accepted"), (V.FAILED, "Failed"), (V.NOT_FOUND, "NotFound")]
)
def test_a_certificate_is_deleted_by_its_hash(verdict: CertificateVerdict, status: str) -> None:
    given: dict[str, Any] = {"certificateHashData": SHOWN}
    wanted = asked("DeleteCertificate", given)
    assert isinstance(wanted, DeleteCertificate)
    assert wanted.certificate == HASH
    assert answer("DeleteCertificate", given, None, CertificateAnswer(verdict))["status"] == status


@pytest.mark.req("M06.FR.06")
def test_the_csms_is_asked_whether_a_certificate_is_still_good() -> None:
    question = CertificateStatusQuestion(HASH, "http://ocsp.example")
    assert told(question) == (
        "GetCertificateStatus",
        {"ocspRequestData": {**SHOWN, "responderURL": "http://ocsp.example"}},
    )


@pytest.mark.req("M06.FR.02", "M06.FR.03", "M06.FR.04")
@pytest.mark.parametrize(
    ("said", "response"),
    [
        ({"status": "Accepted", "ocspResult": "MIIB"}, "MIIB"),
        ({"status": "Accepted"}, None),
        ({"status": "Failed", "ocspResult": "MIIB"}, None),
        ({"status": "Failed"}, None),
    ],
)
def test_what_the_authority_says_is_passed_on(said: dict[str, str], response: str | None) -> None:
    assert read("GetCertificateStatus", said) == CertificateStatusTold(response)
