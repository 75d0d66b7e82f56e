"""One instant of the station, as far as metrics show it: gathered in the loop, rendered in another thread.

Called by `exposition.py`. What does not answer is left out, never guessed; files are looked at by `read_disk` in the
other thread.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.charging.snapshot import StationSnapshot
from agent.errors import StoreError
from agent.metrics.sampler import Sampler
from agent.metrics.sources import MetricSources, OutboxPicture
from hal.errors import HalError
from hal.ports import BoardLinkQuality

WAIT_S = 2.0
"""For the store, and for the board: Prometheus itself waits ten seconds at most."""
LATE_TICKS = "late_ticks"
"""What the board calls the number of its ticks that came too late."""


@dataclass(frozen=True, slots=True)
class Moment:
    """All values of one scrape; `sources` for what any thread may read."""

    sources: MetricSources
    sampler: Sampler
    time: float
    at: datetime
    snapshot: StationSnapshot
    about: Mapping[str, str]
    crashes: Mapping[str, int]
    is_connected: bool
    subprotocol: str | None
    registration: str | None
    outbox: OutboxPicture | None
    """None: the store does not answer."""
    is_board_linked: bool | None
    """None: there is no board."""
    board: BoardLinkQuality | None
    late_ticks: float | None
    """None: the board does not say."""


@dataclass(frozen=True, slots=True)
class Disk:
    """In bytes; None: cannot be told."""

    database: int | None
    log: int | None
    """The database's write-ahead log."""
    free: int | None
    size: int | None


async def gather(sources: MetricSources, sampler: Sampler) -> Moment:
    sampler.asked()
    try:
        async with asyncio.timeout(WAIT_S):
            outbox = await sources.outbox()
    except (StoreError, TimeoutError):
        outbox = None
    board = sources.board
    is_linked = None if board is None else board.is_linked
    late_ticks: float | None = None
    if board is not None and is_linked:
        try:
            async with asyncio.timeout(WAIT_S):
                late_ticks = (await board.read((LATE_TICKS,)))[LATE_TICKS]
        except (HalError, TimeoutError):  # an older firmware does not count them, or it is busy
            late_ticks = None
    return Moment(
        sources=sources,
        sampler=sampler,
        time=sources.time(),
        at=sources.now(),
        snapshot=sources.snapshot(),
        about=sources.about(),
        crashes=sources.crashes(),
        is_connected=sources.is_connected(),
        subprotocol=sources.subprotocol(),
        registration=sources.registration(),
        outbox=outbox,
        is_board_linked=is_linked,
        board=None if board is None else board.link_quality,
        late_ticks=late_ticks,
    )


def read_disk(database: Path) -> Disk:
    """Blocks; for the thread that renders."""
    free = size = None
    try:
        found = os.statvfs(database.parent)
        free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    except OSError:
        pass
    return Disk(_bytes(database), _bytes(database.with_name(database.name + "-wal")), free, size)


def _bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
