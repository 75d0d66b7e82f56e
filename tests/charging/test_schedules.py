"""Profiles over time, against an oracle that looks at every second and knows nothing of breakpoints."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.charging.profiles import (
    ChargingProfile,
    ChargingSchedule,
    InstalledProfile,
    ProfileKind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from agent.charging.schedules import (
    line_of_station,
    line_of_transaction,
    most_stretches,
    outside,
    second_of,
    time_of,
)
from tests.charging.test_profiles import installed, profile

T0 = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
"""An hour before the day on which clocks in Europe change, and three days before a month ends."""
X = second_of(T0)
DAY = timedelta(days=1)


def at(second: int) -> datetime:
    return time_of(X + second)


# --- the oracle ------------------------------------------------------------------------------------------


def limit_by_definition(one: InstalledProfile, now: datetime, tx_begin: datetime | None) -> float | None:
    """What this profile alone says of one instant, written down from the rules; None: nothing."""
    mine = one.profile
    if mine.valid_from is not None and now < mine.valid_from:
        return None
    if mine.valid_to is not None and now >= mine.valid_to:
        return None
    begin = mine.schedule.starts_at
    if mine.kind is ProfileKind.RELATIVE or begin is None:
        begin = one.installed_at if tx_begin is None else tx_begin
    if now < begin:
        return None
    elapsed_s = (now - begin).total_seconds()
    if mine.recurrency is not None:
        elapsed_s %= 86_400 if mine.recurrency is Recurrency.DAILY else 604_800
    if mine.schedule.duration_s is not None and elapsed_s >= mine.schedule.duration_s:
        return None
    limit = None
    for period in mine.schedule.periods:
        if period.start_s <= elapsed_s:
            limit = period.limit
    return limit


def is_valid(one: InstalledProfile, now: datetime) -> bool:
    mine = one.profile
    return (mine.valid_from is None or mine.valid_from <= now) and (
        mine.valid_to is None or now < mine.valid_to
    )


def top(stack: list[InstalledProfile], now: datetime, tx_begin: datetime | None) -> float | None:
    for one in sorted(stack, key=lambda each: -each.profile.stack_level):
        limit = limit_by_definition(one, now, tx_begin)
        if limit is not None:
            return limit
    return None


def transaction_by_definition(
    own: list[InstalledProfile], defaults: list[InstalledProfile], tx_begin: datetime, now: datetime
) -> float | None:
    limit = top(own, now, tx_begin)
    is_held_off = any(is_valid(one, now) and one.profile.holds_off_defaults for one in own)
    return top(defaults, now, tx_begin) if limit is None and not is_held_off else limit


def drawn(
    line: list[tuple[int, int, ChargingProfile, SchedulePeriod]], start: int, end: int
) -> list[float | None]:
    """A line, second by second; fails where stretches overlap or leave the window."""
    seconds: list[float | None] = [None] * (end - start)
    for first, last, _profile, period in line:
        assert start <= first < last <= end
        for second in range(first - start, last - start):
            assert seconds[second] is None, "two stretches overlap"
            seconds[second] = period.limit
    return seconds


# --- profiles near a window of some minutes --------------------------------------------------------------

WINDOW_S = 400
near = st.integers(-300, WINDOW_S + 100)


@st.composite
def profiles(draw: st.DrawFn, purpose: Purpose, profile_id: int, stack_level: int) -> InstalledProfile:
    kind = draw(st.sampled_from(list(ProfileKind)))
    recurrency = draw(st.sampled_from(list(Recurrency))) if kind is ProfileKind.RECURRING else None
    cycle_s = {None: 0, Recurrency.DAILY: 86_400, Recurrency.WEEKLY: 604_800}[recurrency]
    # Recurring ones began some cycles ago, so that a new cycle begins within the window now and then.
    starts_at = at(draw(near) - cycle_s * draw(st.integers(0, 3)))
    starts = sorted({0, *draw(st.lists(st.integers(1, 500), max_size=5))})
    if recurrency is not None and draw(st.booleans()):
        starts.append(draw(st.integers(cycle_s - 300, cycle_s + 300)))
    duration_s = draw(st.none() | st.integers(1, 600) | st.integers(max(1, cycle_s - 200), cycle_s + 200))
    valid_from = draw(st.none() | near.map(at))
    valid_to = draw(st.none() | near.map(at))
    if valid_from is not None and valid_to is not None and valid_to <= valid_from:
        valid_to = valid_from + timedelta(seconds=1)
    has_start = draw(st.integers(0, 3)) > 0
    return InstalledProfile(
        ChargingProfile(
            profile_id,
            stack_level,
            purpose,
            kind,
            ChargingSchedule(
                RateUnit.AMPERE,
                tuple(SchedulePeriod(start, float(draw(st.integers(0, 40)))) for start in starts),
                duration_s,
                starts_at if has_start else None,
            ),
            recurrency,
            valid_from,
            valid_to,
            holds_off_defaults=draw(st.booleans()),
        ),
        0,
        0,
        at(draw(near)),
    )


@st.composite
def stacks(draw: st.DrawFn, purpose: Purpose) -> list[InstalledProfile]:
    levels = draw(st.lists(st.integers(0, 9), unique=True, max_size=5))
    found = [draw(profiles(purpose, number, level)) for number, level in enumerate(levels)]
    return sorted(found, key=lambda each: -each.profile.stack_level)


@pytest.mark.req("K01.FR.13", "K02.FR.08")
@pytest.mark.parametrize(("holds_off", "after"), [(True, None), (False, 16.0)])
def test_a_default_counts_again_where_the_schedule_of_the_transaction_is_over(
    holds_off: bool, after: float | None
) -> None:
    periods = (SchedulePeriod(0, 10.0),)
    own = installed(1, Purpose.TX, periods=periods, starts_at=T0, duration_s=60, holds_off_defaults=holds_off)
    default = installed(2, periods=(SchedulePeriod(0, 16.0),), starts_at=T0)
    line = drawn(line_of_transaction([own], [default], X, (X, X + 62)), X, X + 62)
    assert line[58:] == [10.0, 10.0, after, after]


@pytest.mark.req("R16-248", "R16-250", "R16-252", "R16-253", "R16-254", "R16-258", "R16-259", "R16-261")
@settings(max_examples=300, deadline=None)
@given(stacks(Purpose.TX), stacks(Purpose.TX_DEFAULT), st.integers(-500, 0))
def test_every_second_of_a_transaction_is_that_of_the_oracle(
    own: list[InstalledProfile], defaults: list[InstalledProfile], tx_begin: int
) -> None:
    window = (X, X + WINDOW_S)
    line = drawn(line_of_transaction(own, defaults, X + tx_begin, window), *window)
    for second, limit in enumerate(line):
        expected = transaction_by_definition(own, defaults, at(tx_begin), at(second))
        assert limit == expected, second


@pytest.mark.req("R16-250", "R16-253", "R16-254", "R16-259", "R16-261")
@settings(max_examples=200, deadline=None)
@given(stacks(Purpose.STATION_MAX))
def test_every_second_of_the_station_is_that_of_the_oracle(limits: list[InstalledProfile]) -> None:
    window = (X, X + WINDOW_S)
    line = drawn(line_of_station(limits, window), *window)
    assert line == [top(limits, at(second), None) for second in range(WINDOW_S)]


@settings(max_examples=100, deadline=None)
@given(stacks(Purpose.TX_DEFAULT))
def test_the_bound_of_the_work_is_a_bound(defaults: list[InstalledProfile]) -> None:
    window = (X, X + WINDOW_S)
    for one in defaults:
        assert len(line_of_transaction([], [one], X, window)) <= most_stretches([one], window, X)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(near, near).map(lambda pair: (min(pair), max(pair)))))
def test_outside_is_the_complement(spans: list[tuple[int, int]]) -> None:
    left = outside(spans, (0, WINDOW_S))
    covered = {second for start, end in spans for second in range(start, end)}
    uncovered = [second for start, end in left for second in range(start, end)]
    assert uncovered == [second for second in range(WINDOW_S) if second not in covered]


# --- single rules, by example ----------------------------------------------------------------------------


def limits(line: list[tuple[int, int, ChargingProfile, SchedulePeriod]]) -> list[tuple[int, int, float]]:
    return [(start - X, end - X, period.limit) for start, end, _profile, period in line]


@pytest.mark.req("R16-254")
def test_without_a_duration_nothing_ever_falls_back() -> None:
    endless = installed(1, stack_level=1, starts_at=T0)
    below = installed(2, stack_level=0, starts_at=T0, periods=(SchedulePeriod(0, 32.0),))
    line = line_of_transaction([], [endless, below], X, (X, X + 10**6))
    assert limits(line) == [(0, 10**6, 10.0)]


@pytest.mark.req("R16-258")
def test_periods_beyond_the_duration_are_not_executed_and_the_last_one_lasts_until_then() -> None:
    periods = (SchedulePeriod(0, 6.0), SchedulePeriod(60, 7.0), SchedulePeriod(120, 8.0))
    short = installed(1, starts_at=T0, periods=periods, duration_s=100)
    assert limits(line_of_transaction([], [short], X, (X, X + 900))) == [(0, 60, 6.0), (60, 100, 7.0)]
    long = installed(1, starts_at=T0, periods=periods, duration_s=500)
    assert limits(line_of_transaction([], [long], X, (X, X + 900)))[-1] == (120, 500, 8.0)


@pytest.mark.req("R16-252")
def test_until_a_profile_is_valid_the_default_behaviour_holds() -> None:
    own = installed(1, Purpose.TX, (1, 1), starts_at=T0, valid_from=at(100), transaction_id="t1")
    default = installed(2, starts_at=T0, periods=(SchedulePeriod(0, 20.0),))
    line = line_of_transaction([own], [default], X, (X, X + 300))
    assert limits(line) == [(0, 100, 20.0), (100, 300, 10.0)]


@pytest.mark.req("R16-248", "R16-253", "TC_066_CS")
def test_a_transactions_own_profile_that_has_ended_does_not_bring_the_default_back() -> None:
    own = installed(1, Purpose.TX, (1, 1), starts_at=T0, duration_s=100, transaction_id="t1")
    default = installed(2, starts_at=T0, periods=(SchedulePeriod(0, 20.0),))
    assert limits(line_of_transaction([own], [default], X, (X, X + 300))) == [(0, 100, 10.0)]


@pytest.mark.req("R16-259")
def test_daily_goes_on_at_its_hour_through_the_night_in_which_clocks_change() -> None:
    """Central Europe goes from +01:00 to +02:00 on 29 March: the anchor's offset does not move with it."""
    midnight = datetime(2026, 3, 27, 0, 0, tzinfo=timezone(timedelta(hours=1)))
    daily = installed(
        1,
        kind=ProfileKind.RECURRING,
        recurrency=Recurrency.DAILY,
        starts_at=midnight,
        periods=(SchedulePeriod(0, 11.0), SchedulePeriod(28_800, 6.0), SchedulePeriod(72_000, 11.0)),
        duration_s=86_400,
    )
    line = line_of_transaction([], [daily], X, (X, X + 2 * 86_400))
    assert [start for start, _end, limit in limits(line) if limit == 6.0] == [28_800, 86_400 + 28_800]
    assert [time_of(start).hour for start, _end, _profile, period in line if period.limit == 6.0] == [7, 7]


@pytest.mark.req("R16-259")
@pytest.mark.parametrize("offset_hours", [-11, 0, 2, 14])
def test_weekly_keeps_its_day_across_the_ends_of_months_and_years(offset_hours: int) -> None:
    zone = timezone(timedelta(hours=offset_hours))
    friday = datetime(2025, 12, 26, 18, 30, tzinfo=zone)
    weekly = installed(
        1, kind=ProfileKind.RECURRING, recurrency=Recurrency.WEEKLY, starts_at=friday, duration_s=3600
    )
    begin = second_of(datetime(2025, 12, 20, tzinfo=UTC))
    line = line_of_transaction([], [weekly], X, (begin, begin + 100 * 86_400))
    starts = [time_of(start).astimezone(zone) for start, _end, _profile, _period in line]
    assert starts[0] == friday, "nothing before the first one"
    assert len(starts) == 14
    assert {(start.weekday(), start.hour, start.minute) for start in starts} == {(4, 18, 30)}
    assert {end - start for start, end, _profile, _period in line} == {3600}


@pytest.mark.req("R16-259")
def test_what_exceeds_the_recurrence_period_is_not_executed() -> None:
    daily = installed(
        1,
        kind=ProfileKind.RECURRING,
        recurrency=Recurrency.DAILY,
        starts_at=T0,
        periods=(SchedulePeriod(0, 6.0), SchedulePeriod(80_000, 7.0), SchedulePeriod(90_000, 8.0)),
        duration_s=100_000,
    )
    line = line_of_transaction([], [daily], X, (X, X + 2 * 86_400))
    assert limits(line) == [
        (0, 80_000, 6.0),
        (80_000, 86_400, 7.0),
        (86_400, 166_400, 6.0),
        (166_400, 172_800, 7.0),
    ]


@pytest.mark.req("R16-259")
def test_a_recurrence_shorter_than_its_period_falls_back_in_between() -> None:
    daily = installed(
        2, stack_level=1, kind=ProfileKind.RECURRING, recurrency=Recurrency.DAILY, starts_at=T0, duration_s=60
    )
    below = installed(1, stack_level=0, starts_at=T0 - DAY, periods=(SchedulePeriod(0, 20.0),))
    line = line_of_transaction([], [daily, below], X, (X + 30, X + 86_430))
    assert limits(line) == [(30, 60, 10.0), (60, 86_400, 20.0), (86_400, 86_430, 10.0)]


@pytest.mark.req("R16-261", "TOLERATE-9")
def test_what_is_relative_counts_from_the_transaction_or_for_the_station_from_its_coming() -> None:
    periods = (SchedulePeriod(0, 16.0), SchedulePeriod(100, 8.0))
    for kind, starts_at in (
        (ProfileKind.RELATIVE, None),
        (ProfileKind.RELATIVE, at(70)),
        (ProfileKind.ABSOLUTE, None),
    ):
        default = installed(1, kind=kind, periods=periods, starts_at=starts_at)
        line = line_of_transaction([], [default], X - 40, (X, X + 200))
        assert limits(line) == [(0, 60, 16.0), (60, 200, 8.0)]
        cap = InstalledProfile(
            profile(1, Purpose.STATION_MAX, kind=kind, periods=periods, starts_at=starts_at), 0, 0, at(-90)
        )
        assert limits(line_of_station([cap], (X, X + 200))) == [(0, 10, 16.0), (10, 200, 8.0)]


def test_fractions_of_a_second_are_cut_off() -> None:
    late = T0 + timedelta(milliseconds=900)
    assert second_of(late) == X
    assert second_of(T0 - timedelta(milliseconds=1)) == X - 1
    assert time_of(X) == T0
