"""When the next BootNotification is due, and what the CSMS last said to one. Pure; times are loop time in seconds.

Used by `agent/ocpp/conversation.py`. OCPP 1.6 4.2 (R16-042 to R16-056), 2.0.1 B01 to B03.
"""

import random

from agent.ocpp.frontend import Registered, Registration

LOCAL_RETRY_S = 60.0
"""The wait where the CSMS gives none: interval 0, CALLERROR, no answer (R16-046, R16-052)."""
LONGEST_LOCAL_RETRY_S = 900.0
JITTER = 0.1
"""Stations that lost the same CSMS at once must not come back at once."""


class BootSchedule:
    """Registration state and the time of the next BootNotification; `due_time` None: none is due."""

    def __init__(self, source: random.Random) -> None:
        self._random = source
        self._failures = 0
        self._is_unanswered = False
        self.registration = Registration.UNKNOWN
        self.due_time: float | None = 0.0

    def answered(self, answer: Registered, time: float) -> None:
        """The CSMS answered: its interval holds, and any back-off of ours is over."""
        self._failures = 0
        self._is_unanswered = False
        self.registration = answer.registration
        if answer.registration is Registration.ACCEPTED:
            self.due_time = None
        else:
            self.due_time = time + (float(answer.interval_s) if answer.interval_s > 0 else LOCAL_RETRY_S)

    def failed(self, time: float, *, is_unanswered: bool = False) -> None:
        """CALLERROR, no answer at all, or an unreadable one. A station that is accepted stays so."""
        self._failures += 1
        self._is_unanswered = is_unanswered
        pause_s = min(LONGEST_LOCAL_RETRY_S, LOCAL_RETRY_S * 2.0 ** min(self._failures - 1, 10))
        self.retry_after(pause_s * (1 + JITTER * self._random.random()), time)

    def retry_after(self, pause_s: float, time: float) -> None:
        """Try again in `pause_s`, unless the CSMS has accepted us already."""
        if self.registration is not Registration.ACCEPTED:
            self.due_time = time + pause_s

    def reconnected(self, time: float) -> None:
        """Who did not answer may be gone with the connection; connections keep their own distance. A no holds on."""
        if self._is_unanswered:
            self.retry_after(0.0, time)

    def start_over(self) -> None:
        """A new life as the CSMS sees it: another protocol version, or changed boot data (R16-007)."""
        self._failures = 0
        self.registration = Registration.UNKNOWN
        self.due_time = 0.0

    def is_due(self, time: float) -> bool:
        return self.due_time is not None and time >= self.due_time
