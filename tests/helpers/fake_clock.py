"""A wall clock on the loop's time, for tests of the charging core."""

import asyncio
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 3, 1, 8, 0, 0, tzinfo=UTC)


class FakeClock:
    """Wall time that starts at EPOCH and runs with the loop."""

    def __init__(self, at: datetime = EPOCH) -> None:
        self._at = at
        self._since = asyncio.get_running_loop().time()
        self.is_trusted = True

    def now(self) -> datetime:
        return self._at + timedelta(seconds=self.time() - self._since)

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    def not_before(self, at: datetime) -> None:
        if not self.is_trusted and self.now() < at:
            self._at, self._since = at, self.time()

    def synchronize(self, csms_time: datetime) -> float:
        correction = (csms_time - self.now()).total_seconds()
        self._at, self._since = csms_time, self.time()
        self.is_trusted = True
        return correction
