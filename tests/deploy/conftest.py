"""One charger is installed for real and serves as the start of all others.

Sources of other releases are copies of ours, and their wheels are made of our one."""

import os
import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.deploy.bundle import identity
from tests.helpers.charger import Charger, Yard, why_not

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = """
[station]
identity = "CP001"
vendor = "Example"
model = "Wallbox 22"

[csms]
url = "ws://127.0.0.1:9000/ocpp"
"""
ACCEPTED = "evse-agent link connect && evse-agent status | grep -q 'registration Accepted'"
DEPLOY_S = 120.0


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


class Desk:
    """The installer's computer: a source tree of each release, and deploy.sh."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.source = folder / "source"
        self.source.mkdir(parents=True)
        for name in ("pyproject.toml", "README.md", "LICENSE", "deploy.sh"):
            shutil.copy(REPOSITORY / name, self.source)
        for name in ("agent", "hal", "board"):
            shutil.copytree(
                REPOSITORY / name, self.source / name, ignore=shutil.ignore_patterns("__pycache__", ".*")
            )
        self.config = folder / "station.toml"
        self.config.write_text(CONFIG)

    def release(self, version: str, changed: dict[str, str] | None = None) -> Path:
        """A source tree like ours with another version and other files, its wheel made of ours."""
        source = self.folder / f"source-{version}"
        shutil.copytree(self.source, source)
        files = {"agent/version.py": f'"""The version."""\n\nVERSION = "{version}"\n', **(changed or {})}
        for name, text in files.items():
            (source / name).write_text(text)
        (built,) = (self.cache / f"wheel-{identity(self.source)}").glob("*.whl")
        place = self.cache / f"wheel-{identity(source)}"
        place.mkdir()
        with zipfile.ZipFile(built) as old, zipfile.ZipFile(place / built.name, "w") as new:
            for entry in old.infolist():
                new.writestr(entry, files.get(entry.filename, old.read(entry)))
        return source

    def command(self, charger: Charger, *words: str, source: Path | None = None) -> list[str]:
        program = str((source or self.source) / "deploy.sh")
        verb = [words[0]] if words and not words[0].startswith("-") else []
        options = words[len(verb) :]
        return [program, "-F", str(charger.ssh_config), *verb, "root@charger", *options]

    def environment(self) -> dict[str, str]:
        python = REPOSITORY / ".venv/bin/python"
        named = {"PYTHON": str(python)} if python.exists() else {}
        return {**os.environ, "EVSE_DEPLOY_CACHE": str(self.cache), **named}

    def deploy(self, charger: Charger, *words: str, source: Path | None = None) -> Ended:
        done = subprocess.run(
            self.command(charger, *words, source=source),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=DEPLOY_S,
            env=self.environment(),
        )
        return Ended(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Installed:
    """What was seen while the first charger was installed."""

    disk: Charger
    """Without power; the start of others."""
    layer_before: set[str]
    layer_after_dry_run: set[str]
    dry_run: Ended
    install: Ended


@pytest.fixture(scope="session")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    yard = Yard(tmp_path_factory.mktemp("yard"))
    yield yard
    yard.close()


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="session")
def installed(yard: Yard, desk: Desk) -> Installed:
    charger = Charger(yard, "first")
    try:
        charger.start()
    except RuntimeError as error:
        pytest.skip(f"no machine of its own can be started here: {error}")
    try:
        charger.start_csms()
        before = layer_of(charger)
        dry_run = desk.deploy(charger, "--dry-run", "--config", str(desk.config))
        after = layer_of(charger)
        install = desk.deploy(charger, "--config", str(desk.config))
        assert install.code == 0, install
        charger.ask("systemctl stop evse-agent csms")
    finally:
        charger.cut_power()
    return Installed(charger, before, after, dry_run, install)


def layer_of(charger: Charger) -> set[str]:
    """Everything on its disk that it does not share, but for the journal."""
    found = (path.relative_to(charger.changes).as_posix() for path in charger.changes.rglob("*"))
    return {name for name in found if not name.startswith("var/log/")}


def begin(yard: Yard, name: str, installed: Installed) -> Charger:
    """A running charger with the agent installed, and a CSMS that it has reached."""
    charger = Charger(yard, name, installed.disk)
    charger.start()
    charger.start_csms()
    charger.ask(f"for i in $(seq 100); do {ACCEPTED} && exit 0; sleep 0.2; done; exit 1")
    return charger


@pytest.fixture
def charger(yard: Yard, installed: Installed, request: pytest.FixtureRequest) -> Iterator[Charger]:
    """One of its own, for tests that change what runs."""
    charger = begin(yard, f"c{zlib.crc32(request.node.nodeid.encode())}", installed)
    yield charger
    charger.cut_power()


@pytest.fixture(scope="session")
def shared_charger(yard: Yard, installed: Installed) -> Iterator[Charger]:
    """For tests that leave the release running that they found."""
    charger = begin(yard, "shared", installed)
    yield charger
    charger.cut_power()
