"""Certificates installed, listed, deleted, asked for and used, on the whole station: wss on loopback, virtual time.

The CSMS is the scripted one; its authorities are made for the test. Security white paper edition 3.
"""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.authorities import YEAR, Authority
from tests.helpers.bench import Bench
from tests.helpers.secure_bench import (
    CPO,
    KEY,
    ask,
    change,
    keys_of,
    online,
    password_of,
    tls_csms,
)

# --- installed certificates ------------------------------------------------------------------------------


def expected_hash(root: Authority) -> dict[str, str]:
    from tests.security.test_checks import key_bits

    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": hashlib.sha256(root.certificate.issuer.public_bytes()).hexdigest(),
        "issuerKeyHash": hashlib.sha256(key_bits(root)).hexdigest(),
        "serialNumber": f"{root.certificate.serial_number:x}",
    }


@pytest.mark.req("R16-346", "R16-347", "R16-349", "R16-353", "TC_075_1_CS", "TC_075_2_CS", "TC_076_CS")
@pytest.mark.parametrize("kind", ["CentralSystemRootCertificate", "ManufacturerRootCertificate"])
async def test_install_list_and_delete(kind: str, tmp_path: Path) -> None:
    root = Authority.root()
    async with Bench(tmp_path) as bench:
        await online(bench)
        listing = {"certificateType": kind}
        assert await ask(bench, "GetInstalledCertificateIds", **listing) == {"status": "NotFound"}
        pem = root.pem.replace("\n", "\r\n")
        assert await ask(bench, "InstallCertificate", **listing, certificate=pem) == {"status": "Accepted"}
        assert await ask(bench, "GetInstalledCertificateIds", **listing) == {
            "status": "Accepted",
            "certificateHashData": [expected_hash(root)],
        }
        named = {each: text.upper() for each, text in expected_hash(root).items()}
        gone = await ask(bench, "DeleteCertificate", certificateHashData=named)
        assert gone == {"status": "Accepted"}
        again = await ask(bench, "DeleteCertificate", certificateHashData=named)
        assert again == {"status": "NotFound"}
        assert await ask(bench, "GetInstalledCertificateIds", **listing) == {"status": "NotFound"}


@pytest.mark.req("R16-349", "R16-350", "TC_078_CS")
async def test_an_invalid_root_is_rejected_with_an_event(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        answer = await ask(
            bench,
            "InstallCertificate",
            certificateType="CentralSystemRootCertificate",
            certificate=Authority.root(ends=-YEAR).pem,
        )
        assert answer == {"status": "Rejected"}
        await bench.run_for(seconds=5)
        event = bench.sent("SecurityEventNotification")[-1]
        assert event["type"] == "InvalidCentralSystemCertificate"
        assert "expired" in event["techInfo"]


@pytest.mark.req("R16-348")
async def test_the_root_of_the_connection_cannot_be_deleted_and_another_one_can(tmp_path: Path) -> None:
    root, other = Authority.root(), Authority.root("Other")
    keys = keys_of(root, tmp_path, security_profile=2, password_hex=KEY)
    async with tls_csms(root.issue()) as csms, Bench(tmp_path, csms=csms, csms_keys=keys) as bench:
        await online(bench)
        for each in (root, other):
            assert await ask(
                bench,
                "InstallCertificate",
                certificateType="CentralSystemRootCertificate",
                certificate=each.pem,
            ) == {"status": "Accepted"}
        answers = [
            (await ask(bench, "DeleteCertificate", certificateHashData=expected_hash(each)))["status"]
            for each in (root, other)
        ]
        assert answers == ["Failed", "Accepted"]


@pytest.mark.req("R16-351", "R16-352")
async def test_with_the_additional_check_a_new_root_replaces_the_old_one_once_it_is_proven(
    tmp_path: Path,
) -> None:
    old = Authority.root("Old")
    new = old.renewed(common_name="New")
    keys = keys_of(old, tmp_path, security_profile=2, password_hex=KEY)
    extra = "[settings]\nAdditionalRootCertificateCheck = true\n"
    kind = {"certificateType": "CentralSystemRootCertificate"}
    async with tls_csms(old.issue()) as csms, Bench(tmp_path, extra, csms, csms_keys=keys) as bench:
        await online(bench)
        stranger = await ask(bench, "InstallCertificate", **kind, certificate=Authority.root().pem)
        assert stranger == {"status": "Rejected"}
        assert await ask(bench, "InstallCertificate", **kind, certificate=new.pem) == {"status": "Accepted"}
        # The CSMS still shows a certificate of the old root: the fallback verifies it.
        csms.drop()
        await csms.connected(False)
        await csms.connected()
        await bench.run_for(seconds=15)
        listed = await ask(bench, "GetInstalledCertificateIds", **kind)
        assert len(listed["certificateHashData"]) == 2
        # Now one of the new root; the old one goes.
        await csms.stop_listening()
        csms.ssl_context = new.issue().server_context()
        await csms.listen(csms.port)
        csms.drop()
        await csms.connected(False)
        await csms.connected()
        await bench.run_for(seconds=15)
        listed = await ask(bench, "GetInstalledCertificateIds", **kind)
        (left,) = listed["certificateHashData"]
        assert left["serialNumber"] == f"{new.certificate.serial_number:x}"
        assert len(list((tmp_path / "certificates").iterdir())) == 1


# --- the station's certificate ---------------------------------------------------------------------------


async def signed(bench: Bench, authority: Authority, **odd: Any) -> str:
    """Trigger a signing request, sign it, and hand the certificate over; the answer's status."""
    assert await ask(bench, "ExtendedTriggerMessage", requestedMessage="SignChargePointCertificate") == {
        "status": "Accepted"
    }
    call = await bench.csms.expect("SignCertificate")
    call.reply({"status": "Accepted"})
    leaf = authority.sign(call.payload["csr"], now=bench.agent.clock.now(), **odd)
    answer = await ask(bench, "CertificateSigned", certificateChain=leaf.chain_pem.replace("\n", "\r\n"))
    return str(answer["status"])


@pytest.mark.req(
    "R16-316",
    "R16-322",
    "R16-332",
    "R16-333",
    "R16-336",
    "R16-338",
    "R16-342",
    "TC_083_CS",
    "TC_087_CS",
)
async def test_from_a_password_to_a_certificate_of_its_own(tmp_path: Path) -> None:
    root = Authority.root()
    sub = root.authority()
    async with (
        tls_csms(root.issue()) as csms,
        tls_csms(root.issue(), client_roots=root.pem) as strict,
        Bench(
            tmp_path, CPO, csms, csms_keys=keys_of(root, tmp_path, security_profile=2, password_hex=KEY)
        ) as bench,
    ):
        await online(bench)
        assert await change(bench, "SecurityProfile", "3") == "Rejected"
        assert await signed(bench, sub) == "Accepted"
        for file in (tmp_path / "certificates").iterdir():
            assert file.stat().st_mode & 0o777 == 0o600
        assert await change(bench, "SecurityProfile", "3") == "Accepted"
        await csms.stop_listening()
        csms.ssl_context = strict.ssl_context
        await csms.listen(csms.port)
        await bench.until(lambda: len(csms.handshakes) == 2)
        await online(bench)
        assert password_of(csms.handshakes[1]) is None
        assert bench.agent.settings.integer("security_profile") == 3
        assert bench.agent.settings.former("security_profile") is None


@pytest.mark.req("R16-336", "R16-337", "R16-343", "TC_074_CS")
@pytest.mark.parametrize("kind", ["ECDSA-P256", "RSA-2048"])
async def test_a_renewed_certificate_is_used_as_soon_as_it_begins(kind: str, tmp_path: Path) -> None:
    root = Authority.root()
    first = root.issue("0001")
    path = tmp_path / "factory.pem"
    path.write_text(first.chain_pem + first.key_pem)
    keys = keys_of(root, tmp_path, security_profile=3, certificate_file=str(path))
    extra = CPO + f'CertificateKeyType = "{kind}"\n'
    async with (
        tls_csms(root.issue(), root.pem) as csms,
        Bench(tmp_path, extra, csms, csms_keys=keys) as bench,
    ):
        await online(bench)
        assert await signed(bench, root, begins=timedelta(minutes=20), serial_number=0xABC) == "Accepted"
        await bench.run_for(minutes=15)
        assert len(csms.handshakes) == 1
        await bench.run_for(minutes=7)
        assert len(csms.handshakes) == 2
        await online(bench)
        used = Path(bench.agent.link.config.certificate_file)
        assert used.name.startswith("station-")


@pytest.mark.req("R16-337")
async def test_without_the_name_of_the_operator_nothing_can_be_signed(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        assert await ask(bench, "ExtendedTriggerMessage", requestedMessage="SignChargePointCertificate") == {
            "status": "Rejected"
        }
        await bench.run_for(minutes=1)


@pytest.mark.req("R16-342", "TC_077_CS")
async def test_a_bad_certificate_is_rejected_with_an_event_and_a_good_one_still_taken(tmp_path: Path) -> None:
    root = Authority.root()
    async with Bench(tmp_path, CPO, csms_keys=keys_of(root, tmp_path)) as bench:
        await online(bench)
        assert await signed(bench, Authority.root()) == "Rejected"
        await bench.run_for(seconds=5)
        event = bench.sent("SecurityEventNotification")[-1]
        assert event["type"] == "InvalidChargePointCertificate"
        assert "not signed by an installed root" in event["techInfo"]
        assert await signed(bench, root) == "Accepted"


@pytest.mark.req("R16-338")
@pytest.mark.req("A02.FR.05", "A03.FR.05")
async def test_no_setting_and_no_message_shows_a_key(tmp_path: Path) -> None:
    root = Authority.root()
    async with Bench(tmp_path, CPO, csms_keys=keys_of(root, tmp_path)) as bench:
        await online(bench)
        assert await signed(bench, root) == "Accepted"
        answer = await ask(bench, "GetConfiguration")
        (file,) = (tmp_path / "certificates").glob("station-*")
        lines = file.read_text().split("PRIVATE KEY-----")[1].split()[1:-1]
        told = str(answer) + "".join(text for _time, text in bench.csms.received)
        assert lines
        assert not any(line in told for line in lines)
