"""A disk whose power can be cut: the database with its log, photographed right after a commit.

`Photographs` keeps every durable step of a run, for tests that only look at states. `PowerCut` ends a run at the
n-th step, and `power_cuts` counts n up until a run comes to its end uncut:

    for cut in power_cuts(tmp_path):
        ...build the station on cut.before, then cut.watch(database)...
        await cut.during(scenario())
        ...tear down; build it again on cut.after; everything must still hold...
"""

import asyncio
import shutil
from collections.abc import Awaitable, Iterator
from pathlib import Path

from agent.errors import StoreError
from agent.store.db import Database


class PowerLost(StoreError):
    """What the code under test meets at the cut; nothing that it does then reaches the photograph."""


def photograph(database: Path, folder: Path) -> Path:
    """Copy the database and its log as they are now into `folder`; returns the path of the copy.

    The shared-memory file and the lock are left out: they do not survive a power cut."""
    folder.mkdir(parents=True)
    for name in (database.name, database.name + "-wal"):
        source = database.with_name(name)
        if source.exists():
            shutil.copyfile(source, folder / name)
    return folder / database.name


class Photographs:
    """One photograph after each durable step of `database` from now on."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.steps: list[Path] = []
        self._database = database
        self._folder = folder
        database.on_commit.append(self._committed)

    def _committed(self) -> None:
        self.steps.append(photograph(self._database.path, self._folder / f"step{len(self.steps) + 1:03}"))


class PowerCut:
    """The power goes at the `step`-th durable step (from 1) after `watch`."""

    def __init__(self, step: int, folder: Path) -> None:
        self.step = step
        self.before = folder / "before"
        """State directory of the run that is cut."""
        self.after = folder / "after"
        """State directory as found after the cut; a copy of `before` when the run ended uncut."""
        self.is_cut = False
        self._left = step
        self._database: Database | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cut = asyncio.Event()

    def watch(self, database: Database) -> None:
        """Count the commits of `database` (in `before`) from here on."""
        self._loop = asyncio.get_running_loop()
        self._database = database
        database.on_commit.append(self._committed)

    async def during(self, scenario: Awaitable[None]) -> bool:
        """Run `scenario` to its end or to the cut, whichever is first; True: it was cut.

        What `scenario` raises is raised here, unless the power was cut before."""
        running = asyncio.ensure_future(scenario)
        alarm = asyncio.ensure_future(self._cut.wait())
        try:
            await asyncio.wait((running, alarm), return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
            running.cancel()
            (outcome, _) = await asyncio.gather(running, alarm, return_exceptions=True)
        if not self.is_cut:
            if isinstance(outcome, BaseException):
                raise outcome
            assert self._database is not None, "watch was not called"
            # The power goes after the last step; taken on the writer thread, where nothing else is written.
            await self._database.read(lambda _sql: self._photograph())
        return self.is_cut

    def _committed(self) -> None:
        """On the writer thread, right after a commit."""
        self._left -= 1
        if self._left > 0:
            return
        if self._left == 0:
            self._photograph()
            self.is_cut = True
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._cut.set)
        raise PowerLost(f"the power was cut at durable step {self.step}")

    def _photograph(self) -> None:
        assert self._database is not None
        photograph(self._database.path, self.after)


def power_cuts(folder: Path, limit: int = 500) -> Iterator[PowerCut]:
    """A cut at step 1, at step 2, ... and at last a run that no cut reached. Fails if `limit` is not enough."""
    for step in range(1, limit + 1):
        cut = PowerCut(step, folder / f"cut{step:03}")
        yield cut
        assert cut.after.exists(), "the run was not made with `during`"
        if not cut.is_cut:
            return
    raise AssertionError(f"the scenario has more than {limit} durable steps: does it ever end?")
