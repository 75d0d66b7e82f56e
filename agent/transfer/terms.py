"""On which terms a transfer runs: trust, times, who hears of the progress. Shared by all protocols.

Nothing in a transfer may wait for ever: whatever moves a byte calls `Terms.moved`, and a silence of `stall_s` ends it.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.transfer.errors import TransferError, TransferFailure

CONNECT_S = 30.0
STALL_S = 60.0
BLOCK_BYTES = 256 * 1024
"""What is held in memory of a file at a time."""

Progress = Callable[[int, int | None], None]


@dataclass(slots=True)
class Terms:
    trust: ssl.SSLContext | None
    """None: the system's authorities."""
    known_hosts: Path | None
    on_progress: Progress | None
    connect_s: float
    stall_s: float
    _limit: asyncio.Timeout | None = field(default=None, init=False)
    _has_moved: bool = field(default=False, init=False)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """From dialling to the last byte. Raises TransferError: UNREACHABLE before the first `moved`, then STALLED."""
        self._has_moved = False
        try:
            async with asyncio.timeout(self.connect_s) as self._limit:
                yield
        except TimeoutError as error:
            if self._has_moved:
                raise TransferError(
                    TransferFailure.STALLED, f"nothing moved for {self.stall_s:g} s"
                ) from error
            raise TransferError(
                TransferFailure.UNREACHABLE, f"no answer within {self.connect_s:g} s"
            ) from error
        finally:
            self._limit = None

    def moved(self) -> None:
        """The other side is alive. Only on the loop's thread."""
        self._has_moved = True
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + self.stall_s)

    def tell(self, done: int, total: int | None) -> None:
        """`done` of `total` bytes are over. Only on the loop's thread."""
        self.moved()
        if self.on_progress is not None:
            self.on_progress(done, total)
