"""How much an EVSE may offer: units, sharing of the station's limit, what holds now and what will hold."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as with_fields

from agent.charging.profiles import InstalledProfile, ProfileKind, Purpose, RateUnit, SchedulePeriod
from agent.charging.smart_charging import (
    Claim,
    Draw,
    Outlet,
    Supply,
    compose,
    limits_now,
    local_limit,
    phases_in_use,
    shared,
    tenths,
)
from agent.charging.snapshot import LimitInForce, LimitSource
from hal.ports import MeterReading
from tests.charging.test_profiles import installed
from tests.charging.test_schedules import T0, WINDOW_S, X, at, stacks, top, transaction_by_definition

A, W = RateUnit.AMPERE, RateUnit.WATT
HOUR_S = 3600


def outlet(evse_id: int = 1, local_a: float = 32.0, draw: Draw = Draw.DRAWING, **given: object) -> Outlet:
    busy = draw is not Draw.NOTHING
    found = Outlet(
        (evse_id, 1), local_a, Supply(), draw, f"t{evse_id}" if busy else None, X if busy else None
    )
    return replace(found, **given)  # type: ignore[arg-type]


def now(*profiles: InstalledProfile, outlets: list[Outlet]) -> dict[int, float]:
    """What the profiles leave to every EVSE; 999 where they lower nothing."""
    found, _next = limits_now(profiles, outlets, X, HOUR_S)
    return {each.evse_id: found[each.evse_id].current_a if each.evse_id in found else 999 for each in outlets}


def station(limit: float, unit: RateUnit = A, phases: int = 3, **given: object) -> InstalledProfile:
    periods = (SchedulePeriod(0, limit, phases),)
    return installed(90, Purpose.STATION_MAX, unit=unit, periods=periods, starts_at=T0, **given)


def default(limit: float, unit: RateUnit = A, phases: int = 3, **given: object) -> InstalledProfile:
    periods = (SchedulePeriod(0, limit, phases),)
    return installed(80, Purpose.TX_DEFAULT, unit=unit, periods=periods, starts_at=T0, **given)


# --- local limits and units ------------------------------------------------------------------------------


@pytest.mark.req("R16-276", "K04.FR.02")
def test_the_local_limit_says_what_sets_it() -> None:
    assert local_limit(32.0, None, 80.0) == LimitInForce(32.0, LimitSource.HARDWARE)
    assert local_limit(32.0, 20.0, 80.0) == LimitInForce(20.0, LimitSource.CABLE)
    assert local_limit(32.0, 20.0, 10.0) == LimitInForce(10.0, LimitSource.SETTING)


@pytest.mark.req("K01.FR.49", "K01.FR.50", "K01.FR.51")
@pytest.mark.parametrize(("in_use", "phases", "as_given", "by_use"), [(1, 3, 16.0, 48.0), (3, 1, 48.0, 16.0)])
def test_a_limit_in_watt_is_spread_over_the_phases_of_its_period_or_over_those_in_use(
    in_use: int, phases: int, as_given: float, by_use: float
) -> None:
    one = outlet(local_a=80.0, supply=Supply(phases_in_use=in_use))
    assert now(default(11_040.0, W, phases, spreads_as_given=True), outlets=[one]) == {1: as_given}
    assert now(default(11_040.0, W, phases), outlets=[one]) == {1: by_use}
    assert now(default(10.0, A, phases, spreads_as_given=True), outlets=[one]) == {1: 10.0}


@pytest.mark.req("K01.FR.50", "K04.FR.05")
def test_a_limit_of_the_station_in_watt_is_one_for_each_phase_too() -> None:
    """11040 W on three phases stand for a fuse of 16 A: one EV on one phase may not take 32 A of it."""
    cap = station(11_040.0, W, 3, spreads_as_given=True)
    one, other = (outlet(each, supply=Supply(phases_in_use=1)) for each in (1, 2))
    assert now(cap, outlets=[one]) == {1: 16.0}
    assert now(cap, outlets=[one, other]) == {1: 8.0, 2: 8.0}
    assert now(station(11_040.0, W, 3), outlets=[one]) == {1: 999}
    singles = [outlet(each, supply=Supply(phases=1)) for each in (1, 2, 3)]
    assert now(cap, outlets=singles) == {1: 16.0, 2: 16.0, 3: 16.0}
    window = (X, X + 60)
    assert [each.limit for each in compose([cap], [one], (1, 1), A, window)] == [16.0]
    wide = outlet(local_a=80.0)
    assert [each.limit for each in compose([cap], [wide], (1, 1), W, window)] == [11_040.0]


@pytest.mark.req("R16-263", "R16-264")
@pytest.mark.parametrize(
    ("supply", "given_phases", "ampere"),
    [
        (Supply(), 3, 16.0),
        (Supply(), 1, 48.0),
        (Supply(), 2, 24.0),
        (Supply(phases=1), 3, 48.0),
        (Supply(phases_in_use=1), 3, 48.0),
        (Supply(phases_in_use=3), 1, 16.0),
        (Supply(voltage_v=115.0), 3, 32.0),
    ],
)
def test_watt_and_ampere_by_nominal_voltage_and_the_phases_that_can_be_used(
    supply: Supply, given_phases: int, ampere: float
) -> None:
    """11040 W: the total of all phases; what is known of the EV beats what the period says."""
    assert supply.convert(11_040.0, W, given_phases, A) == pytest.approx(ampere)
    assert supply.convert(ampere, A, given_phases, W) == pytest.approx(11_040.0)
    assert supply.convert(7.3, A, given_phases, A) == 7.3


@pytest.mark.req("R16-264")
def test_a_limit_in_ampere_holds_for_the_phases_that_there_are() -> None:
    for phases in (1, 2, 3):
        one_phase = outlet(supply=Supply(phases=1))
        assert now(default(10.0, phases=phases), outlets=[one_phase]) == {1: 10.0}


def test_phases_that_carry_next_to_nothing_are_not_in_use() -> None:
    assert phases_in_use(MeterReading(0.0, current_a=(16.0, 0.2, None))) == 1
    assert phases_in_use(MeterReading(0.0, current_a=(6.0, 6.1, 5.9))) == 3
    assert phases_in_use(MeterReading(0.0)) == 0


@given(st.integers(0, 10**7))
def test_a_limit_of_tenths_stays_as_it_is(number: int) -> None:
    assert tenths(number / 10) == number / 10


# --- sharing ---------------------------------------------------------------------------------------------


@pytest.mark.req("R16-256")
@pytest.mark.parametrize(
    ("limit", "draws", "most", "shares"),
    [
        (32, "dd", (32, 32), [16, 16]),
        (32, "dd", (10, 32), [10, 22]),
        (32, "ddd", (32, 8, 32), [12, 8, 12]),
        (10, "dd", (32, 32), [10, 0]),
        (13, "dd", (32, 32), [6.5, 6.5]),
        (5, "dd", (32, 32), [0, 0]),
        (18, "ddd", (32, 32, 32), [6, 6, 6]),
        (17, "ddd", (32, 32, 32), [8.5, 8.5, 0]),
        (32, "wd", (32, 32), [6, 26]),
        (20, "wd", (32, 8), [12, 8]),
        (10, "wd", (32, 32), [0, 10]),
        (10, "sw", (32, 32), [0, 10]),
        (32, "sd", (32, 4), [32, 0]),
        (0, "d", (32,), [0]),
    ],
)
def test_who_draws_comes_first_and_shares_evenly(
    limit: float, draws: str, most: tuple[float, ...], shares: list[float]
) -> None:
    kinds = {"d": Draw.DRAWING, "w": Draw.WAITING, "s": Draw.SATED}
    claims = [Claim(each, 6, kinds[draw]) for draw, each in zip(draws, most, strict=True)]
    assert shared(limit, claims) == pytest.approx(shares)


claims_of = st.lists(
    st.builds(
        Claim,
        most=st.floats(0, 80),
        least=st.just(6.0) | st.floats(1, 20),
        draw=st.sampled_from([Draw.DRAWING, Draw.WAITING, Draw.SATED]),
    ),
    max_size=6,
)


@pytest.mark.req("R16-256")
@settings(max_examples=300, deadline=None)
@given(st.floats(0, 200), claims_of)
def test_shares_never_exceed_the_limit_nor_what_is_claimed(limit: float, claims: list[Claim]) -> None:
    shares = shared(limit, claims)
    assert sum(shares) <= limit + 1e-6
    for share, claim in zip(shares, claims, strict=True):
        assert share == 0 or claim.least - 1e-9 <= share <= claim.most + 1e-6


@settings(max_examples=300, deadline=None)
@given(st.floats(0, 200), claims_of)
def test_nothing_is_left_as_long_as_somebody_who_charges_wants_more(
    limit: float, claims: list[Claim]
) -> None:
    shares = shared(limit, claims)
    unsatisfied = any(0 < share < claim.most - 1e-3 for share, claim in zip(shares, claims, strict=True))
    assume(unsatisfied)
    assert sum(shares) == pytest.approx(limit)


@settings(max_examples=300, deadline=None)
@given(st.floats(0, 200), claims_of)
def test_of_two_that_draw_the_smaller_share_is_at_its_own_limit(limit: float, claims: list[Claim]) -> None:
    shares = shared(limit, claims)
    drawing = [
        (share, claim)
        for share, claim in zip(shares, claims, strict=True)
        if share > 0 and claim.draw is Draw.DRAWING
    ]
    for (less, mine), (more, theirs) in itertools.permutations(drawing, 2):
        if less < more - 1e-6:
            assert less == pytest.approx(mine.most) or more == pytest.approx(theirs.least)


caps_of = st.lists(st.tuples(st.floats(0, 120), st.sampled_from([A, W])), min_size=1, max_size=4)


@pytest.mark.req("K08.FR.04", "K12.FR.01")
@settings(max_examples=200, deadline=None)
@given(caps_of, st.integers(1, 3), st.floats(6, 32))
def test_no_limit_of_the_station_is_exceeded_whoever_set_it(
    caps: list[tuple[float, RateUnit]], evses: int, local_a: float
) -> None:
    profiles = []
    for number, (limit, unit) in enumerate(caps):
        purpose = Purpose.STATION_MAX if number == 0 else Purpose.EXTERNAL
        given = limit if unit is A else limit * 690
        periods = (SchedulePeriod(0, given),)
        profiles.append(installed(-number, purpose, unit=unit, periods=periods, starts_at=T0))
    outlets = [outlet(number, local_a) for number in range(1, evses + 1)]
    least_a = min(limit for limit, _unit in caps)
    left = now(*profiles, outlets=outlets)
    assert sum(min(each, local_a) for each in left.values() if min(each, local_a) >= 6) <= least_a + 1e-6
    for scope in ((0, 0), (1, 1)):
        pieces = compose(tuple(profiles), outlets, scope, A, (X, X + 60))
        assert all(piece.limit <= least_a + 1e-6 for piece in pieces)


# --- what holds now --------------------------------------------------------------------------------------


@pytest.mark.req("R16-269", "R16-276")
def test_without_profiles_nothing_is_lowered() -> None:
    assert limits_now((), [outlet()], X, HOUR_S) == ({}, X + HOUR_S)


@pytest.mark.req("R16-249", "R16-255", "R16-263")
def test_the_least_of_all_purposes_holds_and_is_named() -> None:
    one = [outlet()]
    own = installed(
        70, Purpose.TX, (1, 1), transaction_id="t1", starts_at=T0, periods=(SchedulePeriod(0, 20.0),)
    )
    assert limits_now((default(12.0),), one, X, HOUR_S)[0] == {
        1: LimitInForce(12.0, LimitSource.TX_DEFAULT, 80)
    }
    assert limits_now((default(12.0), own), one, X, HOUR_S)[0] == {1: LimitInForce(20.0, LimitSource.TX, 70)}
    assert limits_now((default(12.0), own, station(16.0)), one, X, HOUR_S)[0] == {
        1: LimitInForce(16.0, LimitSource.STATION_MAX, 90)
    }
    assert limits_now((default(40.0), station(50.0)), one, X, HOUR_S)[0] == {}
    assert now(default(6000.0, W), outlets=one) == {1: 8.6}


def test_the_next_look_is_at_the_next_change() -> None:
    steps = installed(
        80, starts_at=T0, periods=(SchedulePeriod(0, 6.0), SchedulePeriod(90, 8.0)), duration_s=100
    )
    for second, expected in ((0, 90), (89, 90), (90, 100), (100, 100 + HOUR_S), (-50, 0)):
        assert limits_now((steps,), [outlet()], X + second, HOUR_S)[1] == X + expected


@pytest.mark.req("R16-256", "R16-278", "K01.FR.21", "K02.FR.06", "K04.FR.04")
def test_two_evses_share_the_limit_of_the_station() -> None:
    two = [outlet(1), outlet(2)]
    assert now(station(20.0), outlets=two) == {1: 10.0, 2: 10.0}
    assert now(station(20.0), default(8.0, scope=(1, 1)), outlets=two) == {1: 8.0, 2: 12.0}
    assert now(station(10.0), outlets=two) == {1: 10.0, 2: 0.0}
    assert now(station(22_080.0, W), outlets=two) == {1: 16.0, 2: 16.0}
    hint = installed(81, starts_at=T0, periods=(SchedulePeriod(0, 32.0),), least_rate=14.0)
    assert now(station(20.0), hint, outlets=two) == {1: 20.0, 2: 0.0}, "14 A each do not fit"


@pytest.mark.req("R16-256", "R16-263")
def test_a_limit_in_watt_is_shared_by_what_each_one_would_draw() -> None:
    one_phase = outlet(1, supply=Supply(phases_in_use=1))
    three_phases = outlet(2)
    # 7360 W at most go to the first one; what it cannot take goes to the other.
    assert now(station(18_400.0, W), outlets=[one_phase, three_phases]) == {1: 999, 2: 16.0}


def test_one_that_its_own_limit_pauses_leaves_its_share_to_the_others() -> None:
    two = [outlet(1), outlet(2)]
    found, _next = limits_now((station(20.0), default(4.0, scope=(1, 1))), two, X, HOUR_S)
    assert found[1] == LimitInForce(4.0, LimitSource.TX_DEFAULT, 80)
    assert found[2].current_a == 20.0


def test_an_idle_evse_takes_nothing_from_the_others() -> None:
    assert now(station(20.0), outlets=[outlet(1), outlet(2, draw=Draw.NOTHING)]) == {1: 20.0, 2: 20.0}


@settings(max_examples=150, deadline=None)
@given(
    st.floats(0, 40).map(lambda value: round(value, 1)),
    st.lists(
        st.tuples(st.sampled_from(list(Draw)), st.sampled_from([1, 3]), st.sampled_from([10.0, 16.0, 32.0])),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(list(RateUnit)),
)
@pytest.mark.req("R16-256")
def test_all_together_never_get_more_than_the_station_may_draw(
    limit: float, kinds: list[tuple[Draw, int, float]], unit: RateUnit
) -> None:
    cap = limit if unit is A else limit * 690
    outlets = [
        outlet(number, local_a, draw, supply=Supply(phases=phases))
        for number, (draw, phases, local_a) in enumerate(kinds, 1)
    ]
    found = now(station(cap, unit), outlets=outlets)
    total = 0.0
    for each in outlets:
        if each.draw is not Draw.NOTHING:
            amps = min(found[each.evse_id], each.local_a)
            # Less than 6 A is not offered at all.
            amps = amps if amps >= 6 else 0.0
            total += amps if unit is A else amps * 230 * each.supply.phases
    assert total <= cap + 1e-3


# --- composite schedule ----------------------------------------------------------------------------------


def composed(
    profiles: list[InstalledProfile],
    outlets: list[Outlet],
    unit: RateUnit = A,
    asked: tuple[int, int] = (1, 1),
) -> list[tuple[int, float]]:
    window = (X, X + WINDOW_S)
    return [
        (piece.start - X, piece.limit) for piece in compose(tuple(profiles), outlets, asked, unit, window)
    ]


@pytest.mark.req("R16-276", "TC_067_CS")
def test_without_a_profile_the_local_limit_is_reported() -> None:
    assert composed([], [outlet()]) == [(0, 32.0)]
    assert composed([], [outlet()], W) == [(0, 22_080.0)]
    assert composed([], [outlet(supply=Supply(phases=1))], W) == [(0, 7_360.0)]


@pytest.mark.req("R16-250", "R16-253", "R16-272", "R16-277", "TC_072_CS")
@pytest.mark.parametrize(("unit", "factor"), [(A, 1), (W, 1000)])
def test_stacked_defaults(unit: RateUnit, factor: int) -> None:
    """Level 1 (7, 9 at 100, 150 s) over level 0 (6, 8 at 50, 10 at 200, 400 s); asked 20 s later."""
    low = [(0, 6.0), (50, 8.0), (200, 10.0)]
    high = [(0, 7.0), (100, 9.0)]
    profiles = [
        installed(
            level,
            stack_level=level,
            starts_at=at(-20),
            duration_s=duration_s,
            unit=unit,
            periods=tuple(SchedulePeriod(start, limit * factor) for start, limit in steps),
        )
        for level, (steps, duration_s) in enumerate(((low, 400), (high, 150)))
    ]
    expected = [(0, 7.0), (80, 9.0), (130, 8.0), (180, 10.0)]
    found = compose(tuple(profiles), [outlet()], (1, 1), unit, (X, X + 350))
    assert [(piece.start - X, piece.limit) for piece in found] == [
        (start, limit * factor) for start, limit in expected
    ]


@pytest.mark.req("R16-248", "R16-255", "R16-272", "R16-277", "TC_066_CS")
@pytest.mark.parametrize(("unit", "factor"), [(A, 1), (W, 1000)])
@pytest.mark.parametrize("lag_s", [0, 7, 59])
def test_three_purposes_at_once(unit: RateUnit, factor: int, lag_s: int) -> None:
    """The least of station and transaction; the default is out of play, also after second 260."""
    starts = {"starts_at": at(-lag_s), "unit": unit}

    def steps(*pairs: tuple[int, float]) -> tuple[SchedulePeriod, ...]:
        return tuple(SchedulePeriod(start, limit * factor) for start, limit in pairs)

    profiles = (
        installed(1, Purpose.STATION_MAX, duration_s=86_400, periods=steps((0, 10)), **starts),
        installed(
            2,
            scope=(1, 1),
            duration_s=300,
            periods=steps((0, 6), (60, 10), (120, 8), (180, 15), (260, 8)),
            **starts,
        ),
        installed(
            3,
            Purpose.TX,
            (1, 1),
            transaction_id="t1",
            duration_s=260,
            periods=steps((0, 8), (50, 11), (140, 16), (200, 6), (240, 12)),
            **starts,
        ),
    )
    found = compose(profiles, [outlet(began=X - 100)], (1, 1), unit, (X, X + 400))
    expected = [(0, 8), (50 - lag_s, 10), (200 - lag_s, 6), (240 - lag_s, 10)]
    if lag_s > 50:
        expected = expected[1:]
        expected[0] = (0, 10)
    assert [(piece.start - X, piece.limit) for piece in found] == [
        (start, limit * factor) for start, limit in expected
    ]


@pytest.mark.req("R16-261")
def test_of_a_connector_without_transaction_it_tells_what_one_would_get_that_began_now() -> None:
    relative = installed(
        1, kind=ProfileKind.RELATIVE, periods=(SchedulePeriod(0, 16.0), SchedulePeriod(60, 8.0))
    )
    assert composed([relative], [outlet(draw=Draw.NOTHING)]) == [(0, 16.0), (60, 8.0)]
    assert composed([relative], [outlet(began=X - 30)]) == [(0, 16.0), (30, 8.0)]


def test_another_connector_of_an_evse_has_its_own_defaults_and_no_transaction() -> None:
    own = installed(1, Purpose.TX, (1, 1), transaction_id="t1", starts_at=T0)
    other = installed(2, scope=(1, 2), starts_at=T0, periods=(SchedulePeriod(0, 12.0),))
    assert composed([own, other], [outlet()], asked=(1, 1)) == [(0, 10.0)]
    assert composed([own, other], [outlet()], asked=(1, 2)) == [(0, 12.0)]


@pytest.mark.req("R16-273")
def test_connector_0_is_everything_that_the_station_may_draw() -> None:
    two = [outlet(1), outlet(2, 16.0, Draw.NOTHING)]
    assert composed([], two, asked=(0, 0)) == [(0, 48.0)]
    assert composed([default(10.0)], two, asked=(0, 0)) == [(0, 20.0)]
    assert composed([default(10.0), station(12.0)], two, asked=(0, 0)) == [(0, 12.0)]
    assert composed([station(6_900.0, W)], two, asked=(0, 0)) == [(0, 10.0)]
    assert composed([station(12.0)], two, W, asked=(0, 0)) == [(0, 8_280.0)]


@pytest.mark.req("R16-256", "R16-272")
def test_beside_others_that_charge_it_is_the_share() -> None:
    cap = installed(
        90, Purpose.STATION_MAX, starts_at=T0, periods=(SchedulePeriod(0, 20.0), SchedulePeriod(100, 40.0))
    )
    busy = [outlet(1), outlet(2)]
    assert composed([cap], busy) == [(0, 10.0), (100, 20.0)]
    assert composed([cap], [outlet(1), outlet(2, draw=Draw.NOTHING)]) == [(0, 20.0), (100, 32.0)]
    assert composed([cap], [outlet(1), outlet(2, draw=Draw.NOTHING)], asked=(2, 1)) == [
        (0, 10.0),
        (100, 20.0),
    ]


@pytest.mark.req("R16-263", "R16-277")
def test_equal_neighbours_are_one_unless_their_phases_differ() -> None:
    periods = (SchedulePeriod(0, 10.0), SchedulePeriod(50, 10.0), SchedulePeriod(90, 10.0, 1))
    pieces = compose((installed(1, starts_at=T0, periods=periods),), [outlet()], (1, 1), A, (X, X + 200))
    assert [(piece.start - X, piece.phases) for piece in pieces] == [(0, 3), (90, 1)]


@pytest.mark.req("R16-255", "R16-256", "R16-272", "R16-277")
@settings(max_examples=150, deadline=None)
@given(stacks(Purpose.TX), stacks(Purpose.TX_DEFAULT), stacks(Purpose.STATION_MAX), st.integers(-500, 0))
def test_every_second_of_a_composite_schedule_is_that_of_the_oracle(
    own: list[InstalledProfile], defaults: list[InstalledProfile], caps: list[InstalledProfile], began: int
) -> None:
    mine = [installed_again(one, number, transaction_id="t1") for number, one in enumerate(own, 10)]
    every = [*mine, *(installed_again(one, number) for number, one in enumerate([*defaults, *caps], 20))]
    pieces = composed(every, [outlet(1, began=X + began)])
    assert pieces[0][0] == 0
    for (_start, before), (_next, after) in itertools.pairwise(pieces):
        assert before != after, "adjacent equal limits are one period"
    edges = [*(start for start, _limit in pieces), WINDOW_S]
    line = [
        limit
        for (_s, limit), (a, b) in zip(pieces, itertools.pairwise(edges), strict=True)
        for _ in range(b - a)
    ]
    for second, limit in enumerate(line):
        instant = T0 + timedelta(seconds=second)
        limits = [
            32.0,
            top(caps, instant, None),
            transaction_by_definition(own, defaults, at(began), instant),
        ]
        assert limit == min(each for each in limits if each is not None), second
        in_force, _next = limits_now(tuple(every), [outlet(1, began=X + began)], X + second, 5)
        offered = in_force[1].current_a if 1 in in_force else 32.0
        assert offered == limit, "what is told is what is offered"


@pytest.mark.req("R16-256", "R16-272")
@settings(max_examples=60, deadline=None)
@given(
    stacks(Purpose.TX_DEFAULT),
    stacks(Purpose.STATION_MAX),
    st.lists(st.tuples(st.sampled_from(list(Draw)), st.sampled_from([1, 3])), min_size=1, max_size=3),
)
def test_beside_any_others_what_is_told_is_what_is_offered(
    defaults: list[InstalledProfile], caps: list[InstalledProfile], others: list[tuple[Draw, int]]
) -> None:
    every = [installed_again(one, number) for number, one in enumerate([*defaults, *caps], 20)]
    every.append(default(9.0, stack_level=99, scope=(2, 1)))
    outlets = [outlet(1)] + [
        outlet(number, draw=draw, supply=Supply(phases=phases))
        for number, (draw, phases) in enumerate(others, 2)
    ]
    for start, limit in composed(every, outlets):
        found, _next = limits_now(tuple(every), outlets, X + start, 5)
        assert (found[1].current_a if 1 in found else 32.0) == limit, start


def installed_again(one: InstalledProfile, profile_id: int, **given: object) -> InstalledProfile:
    return with_fields(one, profile=with_fields(one.profile, profile_id=profile_id, **given))
