"""Security of 2.0.1 on the whole station: passwords, certificates, the way up to profile 3, logs, firmware orders."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from cryptography.x509 import load_pem_x509_certificate

from agent.web.passwords import AccessFile, Cost
from agent.web.roles import Role
from tests.helpers.authorities import YEAR, Authority
from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms
from tests.helpers.file_servers import HttpFiles
from tests.helpers.secure_bench import ask, events, keys_of, logged, password_of, tls_csms
from tests.system.test_network_profiles import accepted, get, reset, set_priority, set_profile

WORD, OTHER_WORD = "a long enough password", "Grüße an die Ladestation!"
QUICK = """[settings]
"SecurityCtrlr.OrganizationName" = "Example Org"
"OCPPCommCtrlr.RetryBackOffWaitMinimum" = 2
"OCPPCommCtrlr.RetryBackOffRandomRange" = 0
"OCPPCommCtrlr.RetryBackOffRepeatTimes" = 2
"""


@asynccontextmanager
async def online(tmp_path: Path, csms: Csms | None = None, **more: Any) -> AsyncIterator[Bench]:
    async with Bench(tmp_path, more.pop("extra", QUICK), csms, version="ocpp2.0.1", **more) as bench:
        for action in ("LogStatusNotification", "FirmwareStatusNotification"):
            bench.csms.always(action)
        await accepted(bench)
        await bench.run_for(seconds=15)
        yield bench


async def set_password(bench: Bench, value: str) -> str:
    wanted = {
        "component": {"name": "SecurityCtrlr"},
        "variable": {"name": "BasicAuthPassword"},
        "attributeValue": value,
    }
    answer = await ask(bench, "SetVariables", setVariableData=[wanted])
    return str(answer["setVariableResult"][0]["attributeStatus"])


# --- passwords -------------------------------------------------------------------------------------------


@pytest.mark.req("A00.FR.202", "A00.FR.203", "A00.FR.204", "A00.FR.205", "A01.FR.01", "A01.FR.02")
@pytest.mark.req("A01.FR.11", "A01.FR.12", "TC_A_01_CS", "TC_A_09_CS")
@pytest.mark.req("A00.FR.304")
async def test_a_new_password_is_used_at_once_kept_and_shown_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    keys = f'security_profile = 1\npassword = "{WORD}"'
    async with Csms() as csms:
        async with online(tmp_path, friendly(csms), csms_keys=keys) as bench:
            assert password_of(csms.handshakes[-1]) == WORD.encode()
            assert await set_password(bench, OTHER_WORD) == "Accepted"
            await bench.until(lambda: len(csms.handshakes) == 2)
            assert password_of(csms.handshakes[-1]) == OTHER_WORD.encode()
            await bench.run_for(seconds=20)
            assert "authorization_key changed" in [each.detail for each in await logged(bench)]
            shown = str(bench.agent.messages.entries()) + caplog.text
            assert "SetVariables" in shown
            assert OTHER_WORD not in shown
        async with online(tmp_path, csms, csms_keys=keys):
            assert password_of(csms.handshakes[-1]) == OTHER_WORD.encode()


@pytest.mark.req("A01.FR.04", "TC_A_10_CS")
@pytest.mark.parametrize("value", ["too short", "x" * 65, "ü" * 15, ""])
async def test_a_password_of_another_length_is_rejected_and_the_old_one_holds(
    tmp_path: Path, value: str
) -> None:
    keys = f'security_profile = 1\npassword = "{WORD}"'
    async with Csms() as csms, online(tmp_path, friendly(csms), csms_keys=keys) as bench:
        assert await set_password(bench, value) == "Rejected"
        csms.drop()
        await bench.until(lambda: len(csms.handshakes) == 2)
        assert password_of(csms.handshakes[-1]) == WORD.encode()


@pytest.mark.req("A01.FR.04", "A00.FR.203", "A00.FR.302")
async def test_a_password_that_the_csms_does_not_take_gives_way_to_the_old_one(tmp_path: Path) -> None:
    keys = f'security_profile = 1\npassword = "{WORD}"'
    async with Csms() as csms, online(tmp_path, friendly(csms), csms_keys=keys) as bench:
        assert await set_password(bench, OTHER_WORD) == "Accepted"
        csms.refuse_status = 401
        await bench.until(lambda: len(csms.handshakes) == 5)
        csms.refuse_status = None
        await bench.until(lambda: bench.agent.conversation.is_online)
        shown = [password_of(each) for each in csms.handshakes]
        assert shown[:5] == [WORD.encode(), *[OTHER_WORD.encode()] * 3, WORD.encode()]
        assert set(shown[5:]) <= {WORD.encode()}
        details = [each.detail for each in await logged(bench)]
        assert "authorization_key: the former value is back, the new one led nowhere" in details


@pytest.mark.req("TC_B_57_CS")
async def test_the_waits_between_attempts_are_those_of_the_variables(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        csms = bench.csms
        csms.drop()
        csms.refuse_status = 503
        start = bench.agent.clock.time()
        await bench.until(lambda: len(csms.handshakes) == 6)
        csms.refuse_status = None
        times = [round(each.time - start) for each in csms.handshakes[1:]]
        assert times == [2, 6, 14, 22, 30]


# --- certificates ----------------------------------------------------------------------------------------


TYPED = {"certificateType": "ChargingStationCertificate"}


async def signed(bench: Bench, authority: Authority, kind: dict[str, str] = TYPED, **odd: Any) -> str:
    bench.csms.never("SignCertificate")
    triggered = await ask(bench, "TriggerMessage", requestedMessage="SignChargingStationCertificate")
    assert triggered == {"status": "Accepted"}
    call = await bench.csms.expect("SignCertificate")
    assert call.payload["certificateType"] == "ChargingStationCertificate"
    call.reply({"status": "Accepted"})
    leaf = authority.sign(call.payload["csr"], now=bench.agent.clock.now(), **odd)
    answer = await ask(bench, "CertificateSigned", certificateChain=leaf.chain_pem, **kind)
    return str(answer["status"])


@pytest.mark.req("A02.FR.02", "A02.FR.03", "A02.FR.06", "A02.FR.08", "A02.FR.10", "A02.FR.13")
@pytest.mark.req(
    "A00.FR.401", "A00.FR.402", "A05.FR.04", "A05.FR.06", "TC_A_07_CS", "TC_A_11_CS", "TC_A_19_CS"
)
@pytest.mark.req("A02.FR.14", "A03.FR.08", "A03.FR.14")
async def test_from_a_password_to_a_certificate_of_its_own_and_to_a_new_one(tmp_path: Path) -> None:
    root = Authority.root()
    keys = keys_of(root, tmp_path, security_profile=2, password=WORD)
    state = tmp_path / "state"
    async with (
        tls_csms(root.issue()) as csms,
        tls_csms(root.issue(), client_roots=root.pem) as strict,
    ):
        async with online(state, csms, csms_keys=keys) as bench:
            await set_profile(bench, 2, strict.url, securityProfile=3)
            assert await set_priority(bench, "2,1") == "Rejected"
            assert await signed(bench, root) == "Accepted"
            assert await set_priority(bench, "2,1") == "RebootRequired"
            await reset(bench)
        async with online(state, strict, url=csms.url, csms_keys=keys) as bench:
            assert await get(bench, strict, "SecurityCtrlr", "SecurityProfile") == "3"
            assert await get(bench, strict, "OCPPCommCtrlr", "NetworkConfigurationPriority") == "2"
            first = [each.name for each in bench.agent.security.credentials._store.own()]
            assert await signed(bench, root, kind={}) == "Accepted"  # the type is a recommendation only
            await bench.until(lambda: len(strict.handshakes) == 2)
            await bench.run_for(seconds=20)
            kept = [each.name for each in bench.agent.security.credentials._store.own()]
            assert len(kept) == 1
            assert kept != first


@pytest.mark.req("A02.FR.06", "A02.FR.07", "A03.FR.07", "TC_A_14_CS")
async def test_a_certificate_that_is_no_good_is_rejected_with_an_event(tmp_path: Path) -> None:
    root = Authority.root()
    async with online(tmp_path, csms_keys=keys_of(root, tmp_path)) as bench:
        assert await signed(bench, Authority.root()) == "Rejected"
        await bench.run_for(seconds=5)
        assert events(bench)[-1] == "InvalidChargingStationCertificate"
        v2g = await ask(
            bench, "CertificateSigned", certificateChain=root.pem, certificateType="V2GCertificate"
        )
        assert v2g["status"] == "Rejected"


@pytest.mark.req("M03.FR.02", "M03.FR.03", "M04.FR.02", "M04.FR.04", "M05.FR.02", "M05.FR.17")
@pytest.mark.req("TC_M_01_CS", "TC_M_02_CS", "TC_M_12_CS", "TC_M_13_CS", "TC_M_19_CS", "TC_M_20_CS")
@pytest.mark.req("TC_M_22_CS", "TC_M_03_CS", "TC_M_04_CS", "TC_M_14_CS", "TC_M_16_CS")
@pytest.mark.parametrize(
    "kind",
    ["CSMSRootCertificate", "ManufacturerRootCertificate", "MORootCertificate", "V2GRootCertificate"],
)
async def test_install_list_and_delete(tmp_path: Path, kind: str) -> None:
    root = Authority.root()
    async with online(tmp_path) as bench:
        wanted = {"certificateType": [kind]}
        assert (await ask(bench, "GetInstalledCertificateIds", **wanted))["status"] == "NotFound"
        for _ in range(2):
            given = {"certificateType": kind, "certificate": root.pem}
            assert (await ask(bench, "InstallCertificate", **given)) == {"status": "Accepted"}
        (found,) = (await ask(bench, "GetInstalledCertificateIds", **wanted))["certificateHashDataChain"]
        assert found["certificateType"] == kind
        named = found["certificateHashData"]
        for expected in ("Accepted", "NotFound"):
            assert (await ask(bench, "DeleteCertificate", certificateHashData=named))["status"] == expected


@pytest.mark.req("M03.FR.03", "M03.FR.04", "TC_M_17_CS", "TC_M_18_CS")
async def test_what_is_installed_is_listed_by_any_uses(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        kinds = ["CSMSRootCertificate", "ManufacturerRootCertificate", "MORootCertificate"]
        for kind in kinds:
            given = {"certificateType": kind, "certificate": Authority.root(kind).pem}
            assert (await ask(bench, "InstallCertificate", **given))["status"] == "Accepted"
        for wanted, expected in (({"certificateType": kinds[:2]}, kinds[:2]), ({}, kinds)):
            answer = await ask(bench, "GetInstalledCertificateIds", **wanted)
            found = [each["certificateType"] for each in answer["certificateHashDataChain"]]
            assert sorted(found) == sorted(expected)


@pytest.mark.req("M05.FR.06", "M05.FR.07", "TC_M_07_CS")
async def test_a_broken_certificate_and_one_too_many_are_rejected(tmp_path: Path) -> None:
    extra = '[settings]\nCertificateStoreMaxLength = "1"\n'
    async with online(tmp_path, extra=extra) as bench:
        for text in ("no certificate", Authority.root(ends=-YEAR).pem):
            given = {"certificateType": "CSMSRootCertificate", "certificate": text}
            refused = await ask(bench, "InstallCertificate", **given)
            assert (refused["status"], refused["statusInfo"]["reasonCode"]) == (
                "Rejected",
                "InvalidCertificate",
            )
        for name, status in (("One", "Accepted"), ("Two", "Rejected")):
            given = {"certificateType": "MORootCertificate", "certificate": Authority.root(name).pem}
            answer = await ask(bench, "InstallCertificate", **given)
            assert answer["status"] == status
        assert answer["statusInfo"]["reasonCode"] == "OutOfStorage"


@pytest.mark.req("M04.FR.01", "TC_M_23_CS")
async def test_neither_the_root_of_the_connection_nor_the_own_certificate_can_be_deleted(
    tmp_path: Path,
) -> None:
    root = Authority.root()
    keys = keys_of(root, tmp_path, security_profile=2, password=WORD)
    async with tls_csms(root.issue()) as csms, online(tmp_path / "state", csms, csms_keys=keys) as bench:
        given = {"certificateType": "CSMSRootCertificate", "certificate": root.pem}
        assert (await ask(bench, "InstallCertificate", **given))["status"] == "Accepted"
        assert await signed(bench, root) == "Accepted"
        (listed,) = (await ask(bench, "GetInstalledCertificateIds"))["certificateHashDataChain"]
        own = load_pem_x509_certificate(next((tmp_path / "state").rglob("station-*")).read_bytes())
        for change in ({}, {"serialNumber": f"{own.serial_number:x}"}):
            named = listed["certificateHashData"] | change
            answer = await ask(bench, "DeleteCertificate", certificateHashData=named)
            assert answer["status"] == "Failed"


@pytest.mark.req("M05.FR.09", "M05.FR.10", "M05.FR.11", "M05.FR.12", "M05.FR.13", "M05.FR.14")
@pytest.mark.req("TC_M_09_CS", "TC_M_30_CS", "TC_M_31_CS")
async def test_with_the_additional_check_a_new_root_replaces_the_old_one_once_it_is_proven(
    tmp_path: Path,
) -> None:
    old = Authority.root("Old")
    new = old.renewed(common_name="New")
    keys = keys_of(old, tmp_path, security_profile=2, password=WORD)
    extra = QUICK + '"SecurityCtrlr.AdditionalRootCertificateCheck" = "true"\n'
    kind = "CSMSRootCertificate"

    async def serials() -> list[str]:
        answer = await ask(bench, "GetInstalledCertificateIds", certificateType=[kind])
        chain = answer["certificateHashDataChain"]
        return sorted(each["certificateHashData"]["serialNumber"] for each in chain)

    async def again() -> None:
        csms.drop()
        await csms.connected(False)
        await csms.connected()
        await bench.run_for(seconds=20)

    async with (
        tls_csms(old.issue()) as csms,
        online(tmp_path / "state", csms, extra=extra, csms_keys=keys) as bench,
    ):
        for pem, status in ((Authority.root().pem, "Rejected"), (new.pem, "Accepted")):
            answer = await ask(bench, "InstallCertificate", certificateType=kind, certificate=pem)
            assert answer["status"] == status
        await again()
        assert len(await serials()) == 2, "verified by the fallback"
        await csms.stop_listening()
        csms.ssl_context = new.issue().server_context()
        await csms.listen(csms.port)
        await again()
        assert await serials() == [f"{new.certificate.serial_number:x}"]


@pytest.mark.req("M03.FR.04", "M04.FR.02")
async def test_a_sub_authority_outlives_its_root_and_can_still_be_listed_and_deleted(tmp_path: Path) -> None:
    """Nothing becomes an orphan that nobody can delete, so nothing has to go with its root."""
    root = Authority.root("Root")
    kind = "CSMSRootCertificate"
    async with online(tmp_path) as bench:
        for each in (root, root.authority("Sub")):
            given = {"certificateType": kind, "certificate": each.pem}
            assert (await ask(bench, "InstallCertificate", **given))["status"] == "Accepted"
        listed = (await ask(bench, "GetInstalledCertificateIds"))["certificateHashDataChain"]
        serial = f"{root.certificate.serial_number:x}"
        listed.sort(key=lambda each: each["certificateHashData"]["serialNumber"] != serial)
        for number, each in enumerate(listed, start=1):
            named = {"certificateHashData": each["certificateHashData"]}
            assert (await ask(bench, "DeleteCertificate", **named))["status"] == "Accepted"
            left = await ask(bench, "GetInstalledCertificateIds")
            assert left.get("certificateHashDataChain", []) == listed[number:]


@pytest.mark.req("A00.FR.309", "A00.FR.310", "A00.FR.413", "A04.FR.02")
async def test_a_certificate_that_was_refused_is_told_once_the_csms_has_a_good_one(tmp_path: Path) -> None:
    root = Authority.root()
    keys = keys_of(root, tmp_path, security_profile=2, password=WORD)
    async with (
        tls_csms(root.issue("localhost", ends=-YEAR)) as csms,
        Bench(tmp_path / "state", QUICK, csms, csms_keys=keys, version="ocpp2.0.1") as bench,
    ):
        await bench.run_for(minutes=5)
        assert csms.handshakes == []
        await csms.stop_listening()
        csms.ssl_context = root.issue().server_context()
        await csms.listen(csms.port)
        await bench.until(lambda: "InvalidCsmsCertificate" in events(bench))
        await bench.run_for(minutes=1)
        assert events(bench).count("InvalidCsmsCertificate") == 1


@pytest.mark.req("M06.FR.06")
async def test_the_status_of_a_certificate_is_passed_through(tmp_path: Path) -> None:
    from agent.charging.certificates import CertificateHash
    from agent.charging.ids import HashAlgorithm
    from agent.csms_door import CsmsDoor

    async with online(tmp_path) as bench:
        bench.csms.always("GetCertificateStatus", status="Accepted", ocspResult="MIIB")
        door = CsmsDoor(bench.agent.link, bench.agent.conversation)
        wanted = CertificateHash(HashAlgorithm.SHA256, "aa", "bb", "cc")
        assert await door.certificate_status(wanted, "http://ocsp.example") == "MIIB"
        (asked,) = bench.sent("GetCertificateStatus")
        assert asked["ocspRequestData"]["responderURL"] == "http://ocsp.example"


# --- logs and firmware -----------------------------------------------------------------------------------


def told_of_logs(bench: Bench) -> list[tuple[str, int | None]]:
    return [(each["status"], each.get("requestId")) for each in bench.sent("LogStatusNotification")]


@pytest.mark.req("N01.FR.01", "N01.FR.02", "N01.FR.03", "N01.FR.04", "N01.FR.07", "N01.FR.08", "N01.FR.09")
@pytest.mark.req("A04.FR.04", "TC_N_25_CS", "TC_N_35_CS")
@pytest.mark.parametrize("kind", ["SecurityLog", "DiagnosticsLog"])
async def test_a_log_is_brought_where_the_csms_wants_it(tmp_path: Path, kind: str) -> None:
    served = tmp_path / "served"
    served.mkdir()
    async with HttpFiles(served) as files, online(tmp_path / "state") as bench:
        order = {"logType": kind, "requestId": 4711, "log": {"remoteLocation": files.url("")}}
        answer = await ask(bench, "GetLog", **order)
        assert answer["status"] == "Accepted"
        await bench.until(lambda: len(told_of_logs(bench)) == 2)
        assert told_of_logs(bench) == [("Uploading", 4711), ("Uploaded", 4711)]
        content = (served / answer["filename"]).read_bytes()
        if kind == "SecurityLog":
            rows = [json.loads(line) for line in content.decode().splitlines()]
            assert "StartupOfTheDevice" in [row["type"] for row in rows]


@pytest.mark.req("N01.FR.14", "N01.FR.15")
async def test_a_log_is_brought_over_tls_to_a_server_that_the_root_of_the_csms_vouches_for(
    tmp_path: Path,
) -> None:
    served, ca = tmp_path / "served", trustme.CA()
    served.mkdir()
    async with HttpFiles(served, ca=ca) as files, online(tmp_path / "state") as bench:
        order = {"logType": "SecurityLog", "log": {"remoteLocation": files.url("log")}, "retries": 0}
        root = {"certificateType": "CSMSRootCertificate", "certificate": ca.cert_pem.bytes().decode()}
        for number, status in ((1, "UploadFailure"), (2, "Uploaded")):
            assert (await ask(bench, "GetLog", requestId=number, **order))["status"] == "Accepted"
            await bench.until(lambda wanted=(status, number): wanted in told_of_logs(bench))
            assert (await ask(bench, "InstallCertificate", **root))["status"] == "Accepted"


@pytest.mark.req("N01.FR.10", "N01.FR.12", "N01.FR.20", "TC_F_16_CS", "TC_N_26_CS", "TC_N_36_CS")
async def test_a_newer_order_cancels_the_older_one_and_a_failure_is_told(tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    async with HttpFiles(served) as files, online(tmp_path / "state") as bench:
        files.statuses["x"] = 503
        for number, status in ((1, "Accepted"), (2, "AcceptedCanceled")):
            answer = await ask(
                bench,
                "GetLog",
                logType="DiagnosticsLog",
                requestId=number,
                log={"remoteLocation": files.url("x")},
                retries=2 - number,
                retryInterval=600,
            )
            assert answer["status"] == status
            wanted = ("Uploading", number)
            await bench.until(lambda wanted=wanted: wanted in told_of_logs(bench))
            if number == 1:
                triggered = await ask(bench, "TriggerMessage", requestedMessage="LogStatusNotification")
                assert triggered == {"status": "Accepted"}
                # Delivered at least once: more than two are no fault.
                await bench.until(lambda: told_of_logs(bench).count(("Uploading", 1)) >= 2)
        await bench.until(lambda: ("UploadFailure", 2) in told_of_logs(bench))
        expected = [("Uploading", 1), ("AcceptedCanceled", 1), ("Uploading", 2), ("UploadFailure", 2)]
        assert list(dict.fromkeys(told_of_logs(bench))) == expected
        await bench.run_for(minutes=30)
        assert told_of_logs(bench)[-1] == ("UploadFailure", 2), "the first order is over"
        assert list((tmp_path / "state").rglob("*.tar.gz")) == [], "nothing of either is left"


@pytest.mark.req("N01.FR.05", "TC_N_34_CS")
@pytest.mark.parametrize("kind", ["SecurityLog", "DiagnosticsLog"])
async def test_a_log_of_a_time_of_which_nothing_is_known_is_rejected(tmp_path: Path, kind: str) -> None:
    async with online(tmp_path) as bench:
        log = {"remoteLocation": "http://127.0.0.1:9/x", "oldestTimestamp": "2099-01-01T00:00:00Z"}
        answer = await ask(bench, "GetLog", logType=kind, requestId=1, log=log)
        assert answer["status"] == "Rejected"
        assert "filename" not in answer
        await bench.run_for(minutes=1)
        assert told_of_logs(bench) == []


REPORTS: dict[str, tuple[str, dict[str, Any]]] = {
    "GetReport": ("NotifyReport", {"componentCriteria": ["Available"]}),
    "GetBaseReport": ("NotifyReport", {"reportBase": "SummaryInventory"}),
    "GetMonitoringReport": ("NotifyMonitoringReport", {}),
    "GetDisplayMessages": ("NotifyDisplayMessages", {}),
    "CustomerInformation": (
        "NotifyCustomerInformation",
        {"report": True, "clear": False, "customerIdentifier": "somebody"},
    ),
    "GetChargingProfiles": ("ReportChargingProfiles", {"chargingProfile": {}}),
    "GetLog": (
        "LogStatusNotification",
        {"logType": "SecurityLog", "log": {"remoteLocation": "http://127.0.0.1:9/x"}, "retries": 0},
    ),
}
PREPARED: dict[str, dict[str, Any]] = {
    "SetDisplayMessage": {
        "message": {"id": 1, "priority": "InFront", "message": {"format": "UTF8", "content": "hello"}}
    },
    "SetChargingProfile": {
        "evseId": 0,
        "chargingProfile": {
            "id": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "ChargingStationMaxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": [
                {
                    "id": 1,
                    "startSchedule": "2020-01-01T00:00:00Z",
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}],
                }
            ],
        },
    },
}


@pytest.mark.req("FR.05")
async def test_what_follows_an_order_comes_behind_its_answer_with_its_number(tmp_path: Path) -> None:
    async with online(tmp_path) as bench:
        for action, payload in PREPARED.items():
            assert (await ask(bench, action, **payload))["status"] == "Accepted"
        for number, (action, (message, payload)) in enumerate(REPORTS.items(), start=101):
            before = len(bench.csms.received)
            answer = await ask(bench, action, requestId=number, **payload)
            assert answer["status"] == "Accepted", action
            await bench.until(lambda message=message, number=number: number_told(bench, message) == number)
            frames = [json.loads(text) for _, text in bench.csms.received[before:]]
            kinds = [frame[2] if frame[0] == 2 else frame[0] for frame in frames]
            assert kinds.index(3) < kinds.index(message), action


def number_told(bench: Bench, message: str) -> int | None:
    sent = bench.sent(message)
    return sent[-1].get("requestId") if sent else None


@pytest.mark.req("F06.FR.16")
async def test_firmware_is_taken_only_where_something_could_install_it(tmp_path: Path) -> None:
    firmware = {"location": "https://files.example/x", "retrieveDateTime": "2026-01-01T00:00:00Z"}
    async with online(tmp_path) as bench:
        answer = await ask(bench, "UpdateFirmware", requestId=1, firmware=firmware)
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "UnsupportedRequest")
        await ask(bench, "TriggerMessage", requestedMessage="FirmwareStatusNotification")
        await bench.run_for(seconds=2)
        assert bench.sent("FirmwareStatusNotification") == [{"status": "Idle"}]


@pytest.mark.req("A04.FR.01", "A04.FR.02")
async def test_the_csms_hears_who_signs_in_at_the_station_and_not_each_guess(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    web = f'[web]\nlisten = "127.0.0.1:{unused_tcp_port}"\n'
    AccessFile(tmp_path, cost=Cost(n=2, r=1, p=1)).set_password(Role.INSTALLER, WORD)
    url = f"http://127.0.0.1:{unused_tcp_port}/api/v1/session"
    async with online(tmp_path, extra=QUICK + web) as bench, aiohttp.ClientSession() as http:
        codes = []
        for password in ("guess", "guess", "guess", WORD):
            async with http.post(url, json={"password": password}) as answer:
                codes.append(answer.status)
        assert codes == [401, 401, 401, 200]
        await bench.until(lambda: "MaintenanceLoginAccepted" in events(bench))
        told = [each for each in bench.sent("SecurityEventNotification") if "Login" in each["type"]]
        assert [(each["type"], each["techInfo"]) for each in told] == [
            ("MaintenanceLoginFailed", "{'user': 'anyone', 'origin': '127.0.0.1'}"),
            ("MaintenanceLoginAccepted", "{'user': 'installer', 'origin': '127.0.0.1'}"),
        ]
