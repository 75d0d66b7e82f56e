"""Security profile 2: TLS with a password; certificates, the security log."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from tests.witness.authority import Authority
from tests.witness.central_system import CentralSystem, call
from tests.witness.files import http_server
from tests.witness.rig import Rig, built

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness-security-profile2"),
]

KEY = "00112233445566778899AABBCCDDEEFF"
SUITES = {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"}
OPERATOR_ROOT, MAKER_ROOT = "CentralSystemRootCertificate", "ManufacturerRootCertificate"


@dataclass
class Operator:
    authority: Authority
    maker: Authority
    folder: Path
    """Of the file server."""
    url: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operator]:
    folder = tmp_path_factory.mktemp("f")
    async with http_server(folder) as url:
        yield Operator(Authority("Example Operator Root"), Authority("Example Maker Root"), folder, url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def file_rig(tmp_path_factory: pytest.TempPathFactory, operator: Operator) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("w")
    (folder / "root.pem").write_text(operator.authority.root.pem)
    csms = f'security_profile = 2\npassword_hex = "{KEY}"\nca_file = "{folder}/root.pem"'
    central = CentralSystem(operator.authority.server_context(folder))
    async with built(folder, central, csms=csms) as rig:
        yield rig


async def installed(rig: Rig, kind: str) -> list[dict[str, str]]:
    answer = await rig.central.ask("GetInstalledCertificateIds", certificateType=kind)
    assert answer.status == ("Accepted" if answer.payload.get("certificateHashData") else "NotFound")
    return [
        {name: value if name == "hashAlgorithm" else value.lower() for name, value in each.items()}
        for each in answer.payload.get("certificateHashData", [])
    ]


async def event(rig: Rig, kind: str) -> None:
    await rig.central.until(
        lambda: kind in [seen["type"] for seen in rig.central.calls("SecurityEventNotification")]
    )


@pytest.mark.req("TC_086_CS")
async def test_tls_with_a_password(rig: Rig) -> None:
    handshakes = len(rig.central.handshakes)
    await rig.asked("Reset", type="Hard")
    await rig.booted()
    (shaken,) = rig.central.handshakes[handshakes:]
    assert shaken.version() in ("TLSv1.2", "TLSv1.3")
    assert {suite for suite, _version, _bits in shaken.shared_ciphers()} >= SUITES
    password = f"{rig.station.identity}:".encode() + bytes.fromhex(KEY)
    assert rig.central.requests[-1].headers["Authorization"] == f"Basic {base64.b64encode(password).decode()}"


@pytest.mark.req("TC_084_CS")
async def test_the_profile_is_never_lowered(rig: Rig) -> None:
    await rig.asked("ChangeConfiguration", "Rejected", key="SecurityProfile", value="1")
    assert await rig.configuration("SecurityProfile") == "2"


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(MAKER_ROOT, marks=pytest.mark.req("TC_075_1_CS")),
        pytest.param(OPERATOR_ROOT, marks=pytest.mark.req("TC_075_2_CS")),
    ],
)
async def test_a_root_is_installed_and_listed(rig: Rig, operator: Operator, kind: str) -> None:
    root = (operator.maker if kind == MAKER_ROOT else operator.authority).root
    await rig.asked("InstallCertificate", certificateType=kind, certificate=root.pem)
    listed = await installed(rig, kind)
    assert root.hash_data(listed[-1]["hashAlgorithm"]) in listed


@pytest.mark.req("TC_076_CS")
async def test_a_root_is_deleted(rig: Rig) -> None:
    root = Authority("Example Former Maker").root
    await rig.asked("InstallCertificate", certificateType=MAKER_ROOT, certificate=root.pem)
    (data,) = [
        each for each in await installed(rig, MAKER_ROOT) if each == root.hash_data(each["hashAlgorithm"])
    ]
    await rig.asked("DeleteCertificate", certificateHashData=data)
    assert data not in await installed(rig, MAKER_ROOT)


@pytest.mark.req("TC_078_CS")
async def test_an_expired_root_is_refused(rig: Rig) -> None:
    expired = Authority("Example Past Root", ago=timedelta(days=100), lasts=timedelta(days=50)).root
    await rig.asked("InstallCertificate", "Rejected", certificateType=OPERATOR_ROOT, certificate=expired.pem)
    await event(rig, "InvalidCentralSystemCertificate")


@pytest.mark.req("TC_079_CS")
async def test_the_security_log_is_uploaded(rig: Rig, operator: Operator) -> None:
    rig.central.tolerate(call("LogStatusNotification", requestId=17))
    answer = await rig.central.ask(
        "GetLog", logType="SecurityLog", requestId=17, log={"remoteLocation": f"{operator.url}/"}
    )
    assert answer.status == "Accepted"

    def statuses() -> list[str]:
        return [seen["status"] for seen in rig.central.calls("LogStatusNotification")]

    await rig.central.until(lambda: len(statuses()) >= 2)
    assert statuses() == ["Uploading", "Uploaded"]
    assert b"StartupOfTheDevice" in (operator.folder / answer.payload["filename"]).read_bytes()
