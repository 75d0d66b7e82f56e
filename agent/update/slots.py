"""The slot installer: releases side by side in directories, one symbolic link says which of them starts.

    <root>/releases/<version>/   an unpacked release (release.py); `current` and `previous` are links into it
    <root>/trial, <root>/failed  the new release on trial and its starts left; the one that was rolled back, and why
    <root>/launch                starts `current`, counts and rolls back without any of our code (launch.sh)

Every step may be cut by a power loss and done again. Implements `charging.ports.Installer`; built by `agent/app.py`.
docs/firmware.md.
"""

import asyncio
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.errors import InstallError, ReleaseBroken
from agent.update.release import (
    Here,
    check_release,
    read_manifest,
    read_release,
    sync_folder,
    unfitness,
    unpack,
    version_order,
)

log = logging.getLogger(__name__)

LAUNCHER = Path(__file__).with_name("launch.sh")
STARTS_ON_TRIAL = 3
"""How often a release on trial is started before it is rolled back."""
SELF_TEST_S = 120.0
_SELF_TEST = "import agent.app, agent.cli, agent.version; print(agent.version.VERSION)"


@dataclass(frozen=True, slots=True)
class SlotRules:
    most_bytes: int
    """Of a firmware file."""
    may_downgrade: bool = False
    self_test_s: float = SELF_TEST_S


class SlotInstaller:
    """`running` is the directory from which this process was started."""

    def __init__(self, root: Path, running: Path, here: Here, rules: SlotRules) -> None:
        self._root = root
        self._releases = root / "releases"
        self._running = running
        self._here = here
        self._rules = rules

    # --- the port --------------------------------------------------------------------------------------

    async def stage(self, file: Path) -> str:
        return await asyncio.to_thread(self._stage, file)

    async def verify(self, version: str) -> None:
        await asyncio.to_thread(self._verify, version)

    async def activate(self, version: str) -> None:
        await asyncio.to_thread(self._activate, version)

    async def confirm(self, version: str) -> None:
        await asyncio.to_thread(self._confirm, version)

    async def roll_back(self, version: str, reason: str) -> None:
        await asyncio.to_thread(self._roll_back, version, reason)

    def is_running(self, version: str) -> bool:
        return self._running.resolve() == (self._releases / version).resolve()

    def failure(self, version: str) -> str | None:
        lines = _lines(self._root / "failed")
        return (lines[1:] or ["for an unknown reason"])[0] if lines[:1] == [version] else None

    # --- its steps, on a thread ------------------------------------------------------------------------

    def _stage(self, file: Path) -> str:
        if self._running.resolve().parent != self._releases.resolve():
            raise InstallError(f"this agent runs from {self._running}, not from {self._releases}")
        manifest = read_manifest(file, self._rules.most_bytes)
        version = manifest.version
        obstacle = unfitness(manifest, self._here) or self._downgrade(version)
        if obstacle is not None:
            raise InstallError(f"release {version}: {obstacle}")
        if self.is_running(version):
            if read_release(self._running).files != manifest.files:
                raise InstallError(f"release {version} runs already, and the file holds another {version}")
            return version
        self._sweep()
        draft = self._releases / f".{version}.new"
        with self._gone_if_useless(draft):
            unpack(file, draft, self._rules.most_bytes)
        target = self._releases / version
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
        sync_folder(self._releases)
        (self._root / "failed").unlink(missing_ok=True)
        log.info("release %s is unpacked", version)
        return version

    def _downgrade(self, version: str) -> str | None:
        running = self._running.resolve().name
        if not self._rules.may_downgrade and version_order(version) < version_order(running):
            return f"it is older than {running}, which runs; update.allow_downgrade is false"
        return None

    def _verify(self, version: str) -> None:
        folder = self._releases / version
        with self._gone_if_useless(folder):
            check_release(folder)
            found = self._self_test(folder)
            if found != version:
                raise ReleaseBroken(f"its code says it is {found[:50]!r}, its manifest {version!r}")

    def _self_test(self, folder: Path) -> str:
        """The version that the new code says it is: it is loaded in this very environment before anything depends
        on it. Raises ReleaseBroken."""
        with subprocess.Popen(
            [sys.executable, "-P", "-B", "-c", _SELF_TEST],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            limit = threading.Timer(self._rules.self_test_s, process.kill)
            limit.start()
            try:
                out, complaint = process.communicate()
            finally:
                limit.cancel()
        if process.returncode < 0:
            raise ReleaseBroken(f"its code cannot be loaded in time (signal {-process.returncode})")
        if process.returncode != 0:
            last = (complaint.strip().splitlines() or ["no word why"])[-1]
            raise ReleaseBroken(f"its code cannot be loaded: {last[:200]}")
        return out.strip()

    def _activate(self, version: str) -> None:
        """The trial is on the disk before the link: no release is ever started uncounted."""
        before = self._running.resolve().name
        _write_lines(self._root / "trial", version, before, str(STARTS_ON_TRIAL))
        _point(self._root / "previous", before)
        _point(self._root / "current", version)
        log.warning("release %s is on trial from the next start on; %s stays", version, before)

    def _confirm(self, version: str) -> None:
        (self._root / "trial").unlink(missing_ok=True)
        (self._root / "failed").unlink(missing_ok=True)
        sync_folder(self._root)
        self._sweep()
        log.info("release %s is here to stay", version)

    def _roll_back(self, version: str, reason: str) -> None:
        before = _target(self._root / "previous")
        if before is None or before == version or not (self._releases / before).is_dir():
            raise InstallError(f"there is no release before {version} to go back to")
        _write_lines(self._root / "failed", version, reason.replace("\n", " "))
        _point(self._root / "current", before)
        (self._root / "trial").unlink(missing_ok=True)
        log.error("release %s is rolled back to %s: %s", version, before, reason)

    @contextmanager
    def _gone_if_useless(self, folder: Path) -> Iterator[None]:
        """The next update may be months away, and the database needs the room."""
        try:
            yield
        except (InstallError, ReleaseBroken, OSError):
            if folder.resolve() != self._running.resolve():
                shutil.rmtree(folder, ignore_errors=True)
            raise

    def _sweep(self) -> None:
        """Only what runs, what starts next and what ran before is kept."""
        kept = {
            self._running.resolve().name,
            _target(self._root / "current"),
            _target(self._root / "previous"),
        }
        for folder in self._releases.iterdir():
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)


def prepare(root: Path, file: Path, here: Here, most_bytes: int) -> str:
    """Lay out `root` with the release in `file` as the first one; the version. An existing layout is refused.

    Raises InstallError, OSError."""
    if (root / "current").is_symlink():
        raise InstallError(f"{root} holds releases already: they are changed by an update")
    manifest = read_manifest(file, most_bytes)
    obstacle = unfitness(manifest, here)
    if obstacle is not None:
        raise InstallError(f"release {manifest.version}: {obstacle}")
    releases = root / "releases"
    releases.mkdir(mode=0o755, parents=True, exist_ok=True)
    shutil.rmtree(releases / manifest.version, ignore_errors=True)
    unpack(file, releases / manifest.version, most_bytes)
    launcher = root / "launch"
    shutil.copyfile(LAUNCHER, launcher)
    launcher.chmod(0o755)
    _point(root / "current", manifest.version)
    return manifest.version


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _write_lines(path: Path, *lines: str) -> None:
    draft = path.with_name(path.name + ".new")
    with draft.open("w", encoding="utf-8") as out:
        out.writelines(f"{line}\n" for line in lines)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def _point(link: Path, version: str) -> None:
    """One rename: the link is the old one or the new one, never nothing."""
    draft = link.with_name(link.name + ".new")
    draft.unlink(missing_ok=True)
    draft.symlink_to(Path("releases", version))
    draft.replace(link)
    sync_folder(link.parent)


def _target(link: Path) -> str | None:
    return link.readlink().name if link.is_symlink() else None
