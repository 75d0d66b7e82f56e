"""A whole update with real processes: two releases of this package, the launcher, an independent CSMS, a server."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import agent
from agent.exit_codes import ExitCode
from agent.update.release import Here, pack
from agent.update.slots import prepare
from tests.helpers.firmware import MOST_BYTES
from tests.helpers.library_csms import LibraryCsms, call
from tests.helpers.moody_server import MoodyServer
from tests.helpers.process import AgentProcess

pytestmark = [pytest.mark.system]

SOURCE = Path(agent.__file__).parents[1]
LONG_AGO = "2020-01-01T00:00:00Z"


def make(folder: Path, version: str, changes: dict[str, tuple[str, str]] | None = None) -> Path:
    """A release of the real package; `changes`: file -> (text, what replaces it)."""
    source = folder / f"source-{version}"
    for package in ("agent", "hal", "board"):
        shutil.copytree(
            SOURCE / package, source / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    (source / "agent/version.py").write_text(f'VERSION = "{version}"\n')
    for name, (text, replacement) in (changes or {}).items():
        path = source / name
        before = path.read_text() if path.exists() else ""
        assert text in before
        path.write_text(before.replace(text, replacement) if text else replacement)
    output = folder / f"evse-agent-{version}.zip"
    pack(source, output)
    return output


@pytest.fixture
async def csms() -> AsyncIterator[LibraryCsms]:
    async with LibraryCsms() as server:
        yield server


@pytest.fixture
async def files() -> AsyncIterator[MoodyServer]:
    async with MoodyServer() as server:
        yield server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    prepare(made, make(tmp_path, "1.0.0"), Here("Wallbox 22"), MOST_BYTES)
    return made


@pytest.fixture
async def station(tmp_path: Path, csms: LibraryCsms, root: Path) -> AsyncIterator[AgentProcess]:
    process = AgentProcess(tmp_path, csms.url, f'[update]\nroot = "{root}"\n', program=root / "launch")
    yield process
    await process.stop()


def versions(csms: LibraryCsms) -> list[str]:
    return [boot["firmware_version"] for boot in csms.of("BootNotification")]


def statuses(csms: LibraryCsms) -> list[str]:
    return [each["status"] for each in csms.of("FirmwareStatusNotification")]


async def order(csms: LibraryCsms, location: str) -> None:
    await csms.until(lambda seen: len(seen.of("StatusNotification")) >= 2)
    answer = await csms.call(call.UpdateFirmware(location=location, retrieve_date=LONG_AGO))
    assert answer is not None, "CALLERROR"


@pytest.mark.req("R16-293", "R16-297", "TC_044_1_CS")
async def test_from_one_release_to_the_next_in_one_process_life_after_the_other(
    tmp_path: Path, station: AgentProcess, csms: LibraryCsms, files: MoodyServer, root: Path
) -> None:
    text = station.config.read_text()
    station.config.write_text(text.replace("[agent]\n", '[agent]\non_reset = "restart"\n'))
    await station.start()
    await order(csms, files.serve(make(tmp_path, "1.1.0")))
    await csms.until(lambda seen: "Installed" in statuses(seen), 60)
    assert versions(csms) == ["1.0.0", "1.1.0"]
    assert statuses(csms) == ["Downloading", "Downloaded", "Installing", "Installed"]
    names = [name for name, _ in csms.calls]
    assert names.index("BootNotification", names.index("FirmwareStatusNotification")) < len(names) - 1
    assert (await station.status())["station"]["agent_version"] == "1.1.0"
    assert os.readlink(root / "current") == "releases/1.1.0"
    assert not (root / "trial").exists()


@pytest.mark.req("R16-298", "TC_044_3_CS")
async def test_a_release_that_dies_after_it_changed_the_database_is_rolled_back_without_its_help(
    tmp_path: Path, station: AgentProcess, csms: LibraryCsms, files: MoodyServer, root: Path
) -> None:
    broken = make(
        tmp_path,
        "1.1.0",
        {
            "agent/app.py": ("return await agent.run()", 'raise RuntimeError("dies at every start")'),
            "agent/store/migrations/9999_future.sql": ("", "CREATE TABLE future (id INTEGER PRIMARY KEY);\n"),
        },
    )
    await station.start()
    await order(csms, files.serve(broken))
    deaths = await _kept_alive(station, lambda: "InstallationFailed" in statuses(csms))
    assert deaths[0] == ExitCode.RESET_SOFT
    assert len(deaths) == 4, "the restart for the update and three starts on trial"
    assert all(code not in (0, ExitCode.BAD_STORE) for code in deaths)
    assert statuses(csms) == ["Downloading", "Downloaded", "Installing", "InstallationFailed"]
    assert versions(csms) == ["1.0.0", "1.0.0"]
    assert os.readlink(root / "current") == "releases/1.0.0"
    assert (root / "failed").exists()
    await csms.until(lambda seen: seen.of("StatusNotification")[-1]["status"] == "Available")


async def _kept_alive(station: AgentProcess, is_enough: object) -> list[int]:
    """As systemd does it: what ends is started again. The exit codes, until the story is told."""
    codes: list[int] = []
    async with asyncio.timeout(90):
        while not is_enough():  # type: ignore[operator]
            assert station.process is not None
            if station.process.returncode is not None:
                codes.append(station.process.returncode)
                await station.start()
            await asyncio.sleep(0.05)
    return codes
