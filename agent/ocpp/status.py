"""Which connector status has to be told, and when. Pure; `time` is loop time in seconds, `at` wall time.

A status is told on change only, and only after it lasted MinimumStatusDuration and what the version adds to it
(R16-061, R16-074, R16-075); after a boot every place is told, after an offline period only what changed meanwhile
(R16-053, R16-083). The words of a status are those of a front end. Used by `agent/ocpp/conversation.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from agent.ocpp.frontend import ConnectorStatus, Place, StatusNotice

Between = Callable[[ConnectorStatus, ConnectorStatus], ConnectorStatus | None]
Least = Callable[[ConnectorStatus, ConnectorStatus], float]
"""(told last, present) -> s that the present one has to last in any case."""


@dataclass(frozen=True, slots=True)
class _Seen:
    status: ConnectorStatus
    since_time: float
    since_at: datetime


class StatusReports:
    """What is, and what the CSMS was told."""

    def __init__(self, between: Between, least_s: Least) -> None:
        self._between = between
        self._least_s = least_s
        self._seen: dict[Place, _Seen] = {}
        self._told: dict[Place, ConnectorStatus] = {}

    def observe(self, statuses: Mapping[Place, ConnectorStatus], time: float, at: datetime) -> None:
        """Take note of the present statuses."""
        for place, status in statuses.items():
            seen = self._seen.get(place)
            if seen is None or seen.status != status:
                self._seen[place] = _Seen(status, time, at)

    def due(self, time: float, minimum_s: float, *, live: bool) -> list[StatusNotice]:
        """What is to be told now, in the order of the changes; it counts as told from here on.

        `live` False (just booted or back online): at once, as of now, and without steps in between."""
        due = [
            (seen.since_time, place, seen)
            for place, seen in self._seen.items()
            if self._told.get(place) != seen.status
            and (not live or time >= self._due_time(place, seen, minimum_s))
        ]
        notices: list[StatusNotice] = []
        for _since, place, seen in sorted(due, key=lambda entry: entry[:2]):
            told = self._told.get(place)
            if live and told is not None and minimum_s <= 0:
                between = self._between(told, seen.status)
                if between is not None:
                    notices.append(StatusNotice(*place, between, seen.since_at))
            notices.append(StatusNotice(*place, seen.status, seen.since_at if live else None))
            self._told[place] = seen.status
        return notices

    def next_time(self, minimum_s: float) -> float | None:
        """When `due` has to be asked again at the latest."""
        times = [
            self._due_time(place, seen, minimum_s)
            for place, seen in self._seen.items()
            if self._told.get(place) != seen.status
        ]
        return min(times, default=None)

    def _due_time(self, place: Place, seen: _Seen, minimum_s: float) -> float:
        told = self._told.get(place)
        if told is None:
            return seen.since_time
        return seen.since_time + minimum_s + self._least_s(told, seen.status)

    def told(self, place: Place, status: ConnectorStatus) -> None:
        """The CSMS learnt this status in another way: it was triggered."""
        self._told[place] = status

    def forget(self, place: Place) -> None:
        """It never arrived: tell it again."""
        self._told.pop(place, None)

    def forget_all(self) -> None:
        """The CSMS knows nothing of us: after a boot every place is told."""
        self._told.clear()
