"""Wall time as the CSMS set it, anchored to the loop's monotonic time.

Between two corrections it runs with the loop's clock, so a system clock that jumps (NTP, summer time by hand)
never bends a transaction; on a loop with virtual time it is virtual too. It never sets the operating system's
clock. Used by everyone who stamps a fact; corrected by the front ends. OCPP 1.6 4.2, 4.6 (R16-045, R16-058).
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

logger = logging.getLogger(__name__)

PLAUSIBLE_SINCE = datetime(2024, 1, 1, tzinfo=UTC)
"""A clock that shows less was never set: controllers without a battery start in 1970 or at their build date."""
CORRECTION_MIN_S = 1.0
"""Smaller differences are the CSMS's rounding to whole seconds and the way there; following them would make time
step back and forth with every Heartbeat."""


def _system_now() -> datetime:
    return datetime.now(UTC)


class SystemClock:
    """Implements `charging.ports.Clock`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, system_now: Callable[[], datetime] = _system_now
    ) -> None:
        """`system_now` gives the operating system's time, aware."""
        self._loop = loop
        self._system_now = system_now
        self._is_synchronized = False
        self._has_complained = False
        self._anchor_at = system_now().astimezone(UTC)
        self._anchor_time = loop.time()

    def now(self) -> datetime:
        """Aware UTC. Never goes back but by `synchronize`."""
        self._await_system_clock()
        return self._elapsed()

    def time(self) -> float:
        """Monotonic seconds (loop time)."""
        return self._loop.time()

    def synchronize(self, csms_time: datetime) -> float:
        """Take over the CSMS's time; returns the correction in seconds, 0.0 when nothing was changed.

        Not believed: a time without zone (a CSMS may mean its local one) and one before 2024. A difference below
        one second is let be. Time may step back: the CSMS's clock is the one that bills."""
        if csms_time.tzinfo is None or csms_time < PLAUSIBLE_SINCE:
            if not self._has_complained:  # it comes with every Heartbeat
                logger.warning("the CSMS gave a time that cannot be used: %s", csms_time.isoformat())
                self._has_complained = True
            return 0.0
        now = self.now()
        correction_s = (csms_time - now).total_seconds()
        self._is_synchronized = True
        if abs(correction_s) < CORRECTION_MIN_S:
            return 0.0
        self._anchor(csms_time)
        logger.info("clock corrected by %+.3f s to the CSMS's time", correction_s)
        return correction_s

    @property
    def is_trusted(self) -> bool:
        """Until a CSMS gave its time: whether the system clock has ever been set (it shows 2024 or later)."""
        self._await_system_clock()
        return self._is_synchronized or self._anchor_at >= PLAUSIBLE_SINCE

    def _await_system_clock(self) -> None:
        """While the time is clearly wrong and no CSMS is there, follow the system clock once it is set (by NTP)."""
        if self._is_synchronized or self._anchor_at >= PLAUSIBLE_SINCE:
            return
        system_at = self._system_now()
        if system_at >= PLAUSIBLE_SINCE:
            self._anchor(system_at)
            logger.info("the system clock has been set: %s", system_at.isoformat())

    def _anchor(self, at: datetime) -> None:
        self._anchor_at = at.astimezone(UTC)
        self._anchor_time = self._loop.time()

    def _elapsed(self) -> datetime:
        return self._anchor_at + timedelta(seconds=self._loop.time() - self._anchor_time)
