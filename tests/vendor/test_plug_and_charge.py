"""Plug & Charge messages over DataTransfer of 1.6, in the whole station on virtual time."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.charging.certificates import InstallCertificate
from agent.charging.ids import CertificateUse
from tests.helpers.authorities import Authority
from tests.helpers.bench import Bench

VENDOR = "org.openchargealliance.iso15118pnc"


async def transfer(bench: Bench, message_id: str, data: Any) -> tuple[str, dict[str, Any]]:
    """(status of the DataTransfer, inner answer)."""
    await bench.until(lambda: bench.sent("StatusNotification"))
    answer = await bench.csms.call(
        "DataTransfer", {"vendorId": VENDOR, "messageId": message_id, "data": json.dumps(data)}
    )
    inner = answer.payload.get("data")
    return str(answer.payload["status"]), json.loads(inner) if inner else {}


async def test_a_v2g_root_is_installed_listed_and_deleted(tmp_path: Path) -> None:
    root = Authority.root("V2G Root").pem
    async with Bench(tmp_path) as bench:
        request = {"certificateType": "V2GRootCertificate", "certificate": root}
        assert await transfer(bench, "InstallCertificate", request) == ("Accepted", {"status": "Accepted"})
        outer, listed = await transfer(bench, "GetInstalledCertificateIds", {})
        assert (outer, listed["status"]) == ("Accepted", "Accepted")
        [chain] = listed["certificateHashDataChain"]
        assert chain["certificateType"] == "V2GRootCertificate"
        only_mo = {"certificateType": ["MORootCertificate"]}
        assert (await transfer(bench, "GetInstalledCertificateIds", only_mo))[1] == {"status": "NotFound"}
        wanted = {"certificateHashData": chain["certificateHashData"]}
        assert await transfer(bench, "DeleteCertificate", wanted) == ("Accepted", {"status": "Accepted"})
        assert (await transfer(bench, "DeleteCertificate", wanted))[1]["status"] == "NotFound"


async def test_roots_of_the_csms_are_not_touched_by_this_path(tmp_path: Path) -> None:
    root = Authority.root("Maker Root").pem
    async with Bench(tmp_path) as bench:
        await bench.until(lambda: bench.sent("StatusNotification"))
        await bench.agent.station.execute(InstallCertificate(CertificateUse.MANUFACTURER_ROOT, root))
        asked = await bench.csms.call(
            "GetInstalledCertificateIds", {"certificateType": "ManufacturerRootCertificate"}
        )
        [known] = asked.payload["certificateHashData"]
        _outer, inner = await transfer(bench, "DeleteCertificate", {"certificateHashData": known})
        assert inner["status"] == "NotFound"
        refused = {"certificateType": "ManufacturerRootCertificate", "certificate": root}
        outer, inner = await transfer(bench, "InstallCertificate", refused)
        assert (outer, inner["status"]) == ("Accepted", "Rejected")
        assert "ManufacturerRootCertificate" in inner["statusInfo"]["additionalInfo"]


async def test_a_bad_certificate_is_rejected_with_the_reason(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        request = {"certificateType": "MORootCertificate", "certificate": "no certificate"}
        outer, inner = await transfer(bench, "InstallCertificate", request)
        assert (outer, inner["status"]) == ("Accepted", "Rejected")
        assert inner["statusInfo"]["additionalInfo"]


@pytest.mark.parametrize(
    ("message_id", "data", "status"),
    [
        ("TriggerMessage", {"requestedMessage": "SignV2GCertificate"}, "Rejected"),
        ("TriggerMessage", {"requestedMessage": "Heartbeat"}, "NotImplemented"),
        ("CertificateSigned", {"certificateChain": "x", "certificateType": "V2GCertificate"}, "Rejected"),
    ],
)
async def test_what_needs_an_iso_15118_stack_is_rejected_with_the_reason(
    tmp_path: Path, message_id: str, data: dict[str, Any], status: str
) -> None:
    async with Bench(tmp_path) as bench:
        outer, inner = await transfer(bench, message_id, data)
        assert (outer, inner["status"]) == ("Accepted", status)
        assert "ISO 15118" in inner["statusInfo"]["additionalInfo"]


async def test_a_message_that_cannot_be_read_is_rejected_as_a_whole(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        assert (await transfer(bench, "DeleteCertificate", {"serialNumber": 5}))[0] == "Rejected"
        assert (await transfer(bench, "Get15118EVCertificate", {}))[0] == "UnknownMessageId"
