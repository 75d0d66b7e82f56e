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
PLAUSIBLE_UNTIL = datetime(2100, 1, 1, tzinfo=UTC)
"""A CSMS that says more has no clock either; the end of the calendar would stop every sum of times."""
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
        self.on_correction: Callable[[datetime, float], None] | None = None
        """Called with the time before and the correction in seconds, after it is in force."""
        self._loop = loop
        self._system_now = system_now
        self._is_synchronized = False
        self._has_complained = False
        self._anchor_at = system_now().astimezone(UTC)
        self._anchor_timestamp = self._anchor_at.timestamp()
        self._anchor_time = loop.time()
        self._floor_at: datetime | None = None
        self._floor_time = 0.0

    def now(self) -> datetime:
        """Aware UTC. Never goes back but by `synchronize`."""
        self._await_system_clock()
        return self._elapsed()

    def timestamp(self) -> float:
        """`now` in seconds since 1970, for what is stamped often."""
        if not self._is_synchronized or self._floor_at is not None:  # there is more to look at
            return self.now().timestamp()
        return self._anchor_timestamp + (self._loop.time() - self._anchor_time)

    def time(self) -> float:
        """Monotonic seconds (loop time)."""
        return self._loop.time()

    def synchronize(self, csms_time: datetime) -> float:
        """Take over the CSMS's time; returns the correction in seconds, 0.0 when nothing was changed.

        Not believed: a time without zone (a CSMS may mean its local one), before 2024 or after 2100. A difference below
        one second is let be. Time may step back: the CSMS's clock is the one that bills."""
        if csms_time.tzinfo is None or not PLAUSIBLE_SINCE <= csms_time < PLAUSIBLE_UNTIL:
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
        if self.on_correction is not None:
            self.on_correction(now, correction_s)
        logger.info("clock corrected by %+.3f s to the CSMS's time", correction_s)
        return correction_s

    def not_before(self, at: datetime) -> None:
        """It is `at` or later, as the disk knows. Only a clock that was never set believes that; it stays untrusted,
        but what it stamps meanwhile follows what it stamped before the restart."""
        if not self.is_trusted and self._elapsed() < at:
            self._floor_at = at.astimezone(UTC)
            self._floor_time = self._loop.time()

    @property
    def is_trusted(self) -> bool:
        """Until a CSMS gave its time: whether the system clock has ever been set (it shows 2024 or later)."""
        self._await_system_clock()
        return self._is_synchronized or self._anchor_at >= PLAUSIBLE_SINCE

    @property
    def is_system_clock_set(self) -> bool:
        """Whether the operating system's clock, by which TLS judges certificates, can be right."""
        return self._system_now() >= PLAUSIBLE_SINCE

    def _await_system_clock(self) -> None:
        """While the time is clearly wrong and no CSMS is there, follow the system clock once it is set (by NTP)."""
        if self._is_synchronized or self._anchor_at >= PLAUSIBLE_SINCE:
            return
        system_at = self._system_now()
        if system_at >= PLAUSIBLE_SINCE:
            self._anchor(system_at)
            logger.info("the system clock has been set: %s", system_at.isoformat())

    def _anchor(self, at: datetime) -> None:
        self._floor_at = None
        self._anchor_at = at.astimezone(UTC)
        self._anchor_timestamp = self._anchor_at.timestamp()
        self._anchor_time = self._loop.time()

    def _elapsed(self) -> datetime:
        if self._floor_at is not None:
            return self._floor_at + timedelta(seconds=self._loop.time() - self._floor_time)
        return self._anchor_at + timedelta(seconds=self._loop.time() - self._anchor_time)
