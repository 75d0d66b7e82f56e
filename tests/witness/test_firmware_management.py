"""FirmwareManagement and secure updates: over HTTP and FTP, on a station that was laid out for updates."""

import base64
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.witness import releases
from tests.witness.authority import Authority
from tests.witness.central_system import call
from tests.witness.files import closed_port, ftp_server, http_server
from tests.witness.rig import CONNECTORS, Rig, built

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness-firmware-management"),
]

LONG_AGO = "2020-01-01T00:00:00Z"
ALL_AVAILABLE = dict.fromkeys((0, *CONNECTORS), "Available")


@dataclass
class Servers:
    folder: Path
    urls: dict[str, str]
    """http, ftp."""


@pytest.fixture(scope="module")
def maker() -> Authority:
    return Authority("Example Maker Root")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    folder = tmp_path_factory.mktemp("f")
    async with http_server(folder) as http:
        with ftp_server(folder) as ftp:
            yield Servers(folder, {"http": http, "ftp": ftp})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def file_rig(tmp_path_factory: pytest.TempPathFactory, servers: Servers) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("w")
    launcher = await releases.prepare(folder / "root", await releases.make(folder, "1.0.0"))
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        (await releases.make(folder, version)).rename(servers.folder / f"firmware-{version}.zip")
    (servers.folder / "broken.zip").write_bytes(b"no firmware" * 5000)
    more = f'[update]\nroot = "{folder / "root"}"\n'
    async with built(folder, launcher=launcher, more=more) as rig:
        yield rig


async def order_update(rig: Rig, location: str, **fields: int) -> None:
    rig.central.tolerate(
        call("StatusNotification", status=lambda state: state in ("Available", "Unavailable")),
        call("FirmwareStatusNotification"),
        call("BootNotification"),
    )
    answer = await rig.central.ask("UpdateFirmware", location=location, retrieveDate=LONG_AGO, **fields)
    assert answer.payload == {}
    assert not answer.error


async def told(rig: Rig, action: str, *endings: str) -> list[str]:
    """Every status of this action until one of `endings`."""

    def statuses() -> list[str]:
        return [seen["status"] for seen in rig.central.calls(action)]

    await rig.central.until(lambda: statuses() and statuses()[-1] in endings, within=40)
    await rig.central.until(lambda: rig.central.statuses == ALL_AVAILABLE)
    await rig.central.quiet(0.5)
    return statuses()


async def version(rig: Rig) -> str:
    return str((await rig.station.status())["station"]["firmware_version"])


@pytest.mark.req("TC_044_1_CS")
@pytest.mark.parametrize(("scheme", "wanted"), [("http", "1.1.0"), ("ftp", "1.2.0")])
async def test_an_update_is_installed(rig: Rig, servers: Servers, scheme: str, wanted: str) -> None:
    assert await version(rig) != wanted
    await order_update(rig, f"{servers.urls[scheme]}/firmware-{wanted}.zip")
    statuses = await told(rig, "FirmwareStatusNotification", "Installed", "InstallationFailed")
    assert statuses == ["Downloading", "Downloaded", "Installing", "Installed"]
    (boot,) = rig.central.calls("BootNotification")
    assert boot["firmwareVersion"] == await version(rig) == wanted


@pytest.mark.req("TC_044_2_CS")
async def test_a_download_that_fails_changes_nothing(rig: Rig) -> None:
    before = await version(rig)
    await order_update(rig, f"http://127.0.0.1:{closed_port()}/firmware.zip", retries=0)
    statuses = await told(rig, "FirmwareStatusNotification", "DownloadFailed")
    assert statuses in (["Downloading", "DownloadFailed"], ["DownloadFailed"])
    assert await version(rig) == before


@pytest.mark.req("TC_044_3_CS")
async def test_an_image_that_is_none_changes_nothing(rig: Rig, servers: Servers) -> None:
    before = await version(rig)
    await order_update(rig, f"{servers.urls['http']}/broken.zip")
    statuses = await told(rig, "FirmwareStatusNotification", "InstallationFailed")
    assert [status for status in statuses if status != "Installing"] == [
        "Downloading",
        "Downloaded",
        "InstallationFailed",
    ]
    assert await version(rig) == before


@pytest.mark.req("TC_045_1_CS")
@pytest.mark.parametrize("scheme", ["http", "ftp"])
async def test_diagnostics_are_uploaded(rig: Rig, servers: Servers, scheme: str) -> None:
    answer = await rig.central.ask("GetDiagnostics", location=f"{servers.urls[scheme]}/", retries=0)
    rig.central.tolerate(call("DiagnosticsStatusNotification"))
    statuses = await told(rig, "DiagnosticsStatusNotification", "Uploaded", "UploadFailed")
    assert statuses == ["Uploading", "Uploaded"]
    uploaded = servers.folder / answer.payload["fileName"]
    with tarfile.open(uploaded) as archive:
        assert archive.getnames()
    uploaded.unlink()


@pytest.mark.req("TC_045_2_CS")
async def test_an_upload_that_fails_is_told(rig: Rig) -> None:
    answer = await rig.central.ask("GetDiagnostics", location=f"ftp://127.0.0.1:{closed_port()}/", retries=0)
    assert answer.payload.get("fileName")
    rig.central.tolerate(call("DiagnosticsStatusNotification"))
    statuses = await told(rig, "DiagnosticsStatusNotification", "Uploaded", "UploadFailed")
    assert statuses == ["Uploading", "UploadFailed"]
    await rig.charging()


async def signed_update(
    rig: Rig, servers: Servers, maker: Authority, number: int, signs: bytes, last: str
) -> list[str]:
    """Order the update to 1.3.0 with a signature over `signs`; the statuses until `last`."""
    signer = maker.signer()
    assert signer.key is not None
    await rig.asked(
        "InstallCertificate", certificateType="ManufacturerRootCertificate", certificate=maker.root.pem
    )
    rig.central.tolerate(
        call("SignedFirmwareStatusNotification", requestId=number),
        call("StatusNotification", status=lambda state: state in ("Available", "Unavailable")),
        call("BootNotification"),
    )
    order = {
        "location": f"{servers.urls['http']}/firmware-1.3.0.zip",
        "retrieveDateTime": LONG_AGO,
        "signingCertificate": signer.pem,
        "signature": base64.b64encode(signer.key.sign(signs, ec.ECDSA(hashes.SHA256()))).decode(),
    }
    await rig.asked("SignedUpdateFirmware", requestId=number, firmware=order)
    return await told(rig, "SignedFirmwareStatusNotification", last)


def events(rig: Rig) -> list[str]:
    return [seen["type"] for seen in rig.central.calls("SecurityEventNotification")]


@pytest.mark.req("TC_081_CS")
async def test_an_update_with_a_wrong_signature_is_not_installed(
    rig: Rig, servers: Servers, maker: Authority
) -> None:
    before = await version(rig)
    statuses = await signed_update(rig, servers, maker, 8, b"another image", "InvalidSignature")
    assert statuses == ["Downloading", "Downloaded", "InvalidSignature"]
    await rig.central.until(lambda: "InvalidFirmwareSignature" in events(rig))
    assert await version(rig) == before


@pytest.mark.req("TC_080_CS")
async def test_a_signed_update_is_installed(rig: Rig, servers: Servers, maker: Authority) -> None:
    image = (servers.folder / "firmware-1.3.0.zip").read_bytes()
    statuses = await signed_update(rig, servers, maker, 9, image, "Installed")
    assert statuses == ["Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed"]
    await rig.central.until(lambda: "FirmwareUpdated" in events(rig))
    (boot,) = rig.central.calls("BootNotification")
    assert boot["firmwareVersion"] == await version(rig) == "1.3.0"
