"""Charging profiles over time: which period of which profile prevails in every second of a stretch of time.

Pure arithmetic on whole seconds of POSIX time; fractions of a second are cut off everywhere, which makes every answer
exact to the second. It works with the points at which something changes, never second by second. What a limit means for
an EVSE (units, sharing) is `smart_charging.py`. OCPP 1.6 3.13.2, 5.16.4, 7.9, 7.13, 7.37 with errata 3.7, 3.43 to 3.45
(R16-250 to R16-262).
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from agent.charging.profiles import (
    ChargingProfile,
    InstalledProfile,
    ProfileKind,
    Recurrency,
    SchedulePeriod,
)

DAY_S = 86_400
CYCLE_S = {Recurrency.DAILY: DAY_S, Recurrency.WEEKLY: 7 * DAY_S}
"""OCPP 1.6 7.37: every 24 hours, every 7 days; in UTC, so that no clock change bends it (R16-259)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_FOREVER = 2**62

Span: TypeAlias = tuple[int, int]
"""From the first second to the one after the last."""
Stretch: TypeAlias = tuple[int, int, ChargingProfile, SchedulePeriod]
"""A span in which this period of this profile prevails."""


def second_of(at: datetime) -> int:
    """POSIX time, cut to the whole second; `at` is aware, in any zone."""
    return (at - _EPOCH) // _SECOND


def time_of(second: int) -> datetime:
    return _EPOCH + timedelta(seconds=second)


@dataclass(frozen=True, slots=True)
class Course:
    """A profile, laid on the time axis."""

    profile: ChargingProfile
    begin: int
    """The first second of the schedule, and of its first cycle."""
    length: int
    """How long the schedule lasts, from `begin` or in each cycle."""
    cycle: int | None
    """None: it does not recur."""
    valid: Span

    def spans(self, start: int, end: int) -> list[Span]:
        """Where in [start, end) the schedule gives a limit; disjoint, in order. One that never pauses is one span."""
        start, end = max(start, self.begin, self.valid[0]), min(end, self.valid[1])
        if start >= end:
            return []
        if self.cycle is None:
            end = min(end, self.begin + self.length)
            return [(start, end)] if start < end else []
        if self.length == self.cycle:
            return [(start, end)]
        found = []
        first = start - (start - self.begin) % self.cycle
        for begin in range(first, end, self.cycle):
            span = max(start, begin), min(end, begin + self.length)
            if span[0] < span[1]:
                found.append(span)
        return found

    def lay(self, start: int, end: int, line: list[Stretch]) -> None:
        """Append the periods of [start, end), which lies within one of `spans`."""
        profile = self.profile
        periods = profile.schedule.periods
        while start < end:
            begin = self.begin if self.cycle is None else start - (start - self.begin) % self.cycle
            until = end if self.cycle is None else min(end, begin + self.cycle)
            index = bisect_right(periods, start - begin, key=_start_of_period)
            while index < len(periods) and begin + periods[index].start_s < until:
                next_start = begin + periods[index].start_s
                line.append((start, next_start, profile, periods[index - 1]))
                start = next_start
                index += 1
            line.append((start, until, profile, periods[index - 1]))
            start = until

    def count(self, start: int, end: int) -> int:
        """At most this many stretches lie in [start, end)."""
        cycles = 1 if self.cycle is None else 2 + max(0, end - max(start, self.begin)) // self.cycle
        return cycles * len(self.profile.schedule.periods)


def _start_of_period(period: SchedulePeriod) -> int:
    return period.start_s


def course_of(installed: InstalledProfile, tx_begin: int | None) -> Course:
    """`tx_begin`: when the transaction that it limits began; None for what is not about a transaction (R16-261)."""
    profile = installed.profile
    schedule = profile.schedule
    if profile.kind is ProfileKind.RELATIVE or schedule.starts_at is None:
        begin = second_of(installed.installed_at) if tx_begin is None else tx_begin
    else:
        begin = second_of(schedule.starts_at)
    cycle = None if profile.recurrency is None else CYCLE_S[profile.recurrency]
    length = _FOREVER if schedule.duration_s is None else schedule.duration_s
    valid = (
        -_FOREVER if profile.valid_from is None else second_of(profile.valid_from),
        _FOREVER if profile.valid_to is None else second_of(profile.valid_to),
    )
    return Course(profile, begin, length if cycle is None else min(length, cycle), cycle, valid)


def prevailing(courses: Iterable[Course], gaps: list[Span]) -> list[Stretch]:
    """Who prevails in `gaps` (disjoint, in order): the first course that gives a limit, at every second (R16-250).

    Where a course has not begun, is over or pauses, the next one takes its place (R16-253); one without a duration
    leaves nothing to those after it (R16-254)."""
    line: list[Stretch] = []
    for course in courses:
        if not gaps:
            break
        spans = course.spans(gaps[0][0], gaps[-1][1])
        if spans:
            gaps = _fill(course, spans, gaps, line)
    line.sort(key=_start_of)
    return line


def _start_of(stretch: Stretch) -> int:
    return stretch[0]


def _fill(course: Course, spans: list[Span], gaps: list[Span], line: list[Stretch]) -> list[Span]:
    """Lay the course where its spans meet the gaps; what is left of the gaps."""
    left: list[Span] = []
    first = 0
    for gap_start, gap_end in gaps:
        while first < len(spans) and spans[first][1] <= gap_start:
            first += 1
        at, index = gap_start, first
        while index < len(spans) and spans[index][0] < gap_end:
            start, end = max(at, spans[index][0]), min(gap_end, spans[index][1])
            if at < start:
                left.append((at, start))
            course.lay(start, end, line)
            at = end
            index += 1
        if at < gap_end:
            left.append((at, gap_end))
    return left


def outside(spans: Iterable[Span], window: Span) -> list[Span]:
    """What of `window` lies in none of `spans` (which may overlap)."""
    left, at = [], window[0]
    for start, end in sorted(spans):
        if start > at:
            left.append((at, min(start, window[1])))
        at = max(at, end)
        if at >= window[1]:
            return left
    if at < window[1]:
        left.append((at, window[1]))
    return left


def line_of_transaction(
    own: Sequence[InstalledProfile], defaults: Sequence[InstalledProfile], tx_begin: int, window: Span
) -> list[Stretch]:
    """Who limits a transaction in `window`; both stacks highest level first.

    Where a profile of the transaction gives a limit the defaults do not count. One that holds them off does so as long
    as it is valid, also where its schedule is over: then there is no limit from either (R16-248, R16-253; the
    expectation of TC_066_CS)."""
    mine = [course_of(each, tx_begin) for each in own]
    line = prevailing(mine, [window])
    taken = [course.valid for course in mine if course.profile.holds_off_defaults]
    if len(taken) < len(mine):
        taken += [(start, end) for start, end, _profile, _period in line]
    gaps = outside(taken, window)
    if gaps:
        line += prevailing([course_of(each, tx_begin) for each in defaults], gaps)
        line.sort(key=_start_of)
    return line


def line_of_station(limits: Sequence[InstalledProfile], window: Span) -> list[Stretch]:
    """Who limits the whole station in `window`; the stack highest level first."""
    return prevailing([course_of(each, None) for each in limits], [window])


def most_stretches(stacks: Iterable[InstalledProfile], window: Span, tx_begin: int) -> int:
    """An upper bound of the work that `window` means, to refuse what would take too long."""
    return sum(course_of(each, tx_begin).count(*window) for each in stacks)
