"""Which security events are recorded, and which of them the CSMS is told. Pure; times are loop time in seconds.

Every event goes into the security log; told are the critical ones and those that a requirement demands
(`SecurityEventType.is_pushed`), unless the operator switched that off. The same event again and again (a CSMS whose
certificate expired, a peer that sends nonsense) is thinned out, so that days of it neither fill the disk nor the queue.
Used by `station.py`. Security white paper edition 3, A04, chapter 8 (R16-354 to R16-356).
"""

from msgspec import Struct
from msgspec.structs import replace

from agent.charging.facts import SecurityEventRaised
from agent.charging.ids import SecurityEventType

REPEAT_AFTER_S = 3600.0
"""The same type with the same detail is recorded once in this time; the next record says how many there were."""
MOST_PER_HOUR = 20
"""Records of one type in an hour, whatever their details."""
DETAIL_LENGTH = 255
"""techInfo of the white paper, 5.15."""

_NEVER_THINNED = frozenset(
    {
        SecurityEventType.FIRMWARE_UPDATED,
        SecurityEventType.RESET_OR_REBOOT,
        SecurityEventType.SECURITY_LOG_WAS_CLEARED,
        SecurityEventType.STARTUP_OF_THE_DEVICE,
    }
)
"""Each of them is an event of its own: once per start, update or clearing."""


class _Seen(Struct):
    recorded_time: float
    suppressed: int = 0


class SecurityEvents:
    """Remembers what was recorded lately; a restart forgets it."""

    def __init__(self) -> None:
        self._seen: dict[tuple[SecurityEventType, str], _Seen] = {}
        self._times: dict[SecurityEventType, list[float]] = {}

    def admit(self, event: SecurityEventRaised, time: float, *, may_push: bool) -> SecurityEventRaised | None:
        """The event as it is to be recorded; None: one more of those that were recorded just now."""
        detail = event.detail[:DETAIL_LENGTH]
        if event.type not in _NEVER_THINNED:
            self._forget(time)
            seen = self._seen.get((event.type, detail))
            times = self._times.setdefault(event.type, [])
            if seen is not None and time < seen.recorded_time + REPEAT_AFTER_S:
                seen.suppressed += 1
                return None
            if len(times) >= MOST_PER_HOUR:
                return None
            times.append(time)
            self._seen[event.type, detail] = _Seen(time)
            if seen is not None and seen.suppressed:
                detail = f"{detail} ({seen.suppressed} more since)"[:DETAIL_LENGTH]
        return replace(event, detail=detail, is_pushed=may_push and event.is_pushed and event.type.is_pushed)

    def _forget(self, time: float) -> None:
        """What is older than an hour no longer counts; how many were suppressed is known for one hour more."""
        for times in self._times.values():
            times[:] = [each for each in times if each > time - REPEAT_AFTER_S]
        for key, seen in list(self._seen.items()):
            if seen.recorded_time <= time - 2 * REPEAT_AFTER_S:
                del self._seen[key]
