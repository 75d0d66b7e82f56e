"""Charging profiles: which are acceptable, which replaces which, which are meant, which apply where."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from agent.charging.profiles import (
    WHOLE_STATION,
    Bounds,
    ChargingProfile,
    ChargingSchedule,
    InstalledProfile,
    ProfileKind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
    Scope,
    Selection,
    bound_to,
    flaw_for_start,
    flaw_of,
    flaw_of_place,
    ids_of,
    orphans,
    over,
    replaced_by,
    selected,
    stack_of_defaults,
    stack_of_station,
    stack_of_transaction,
    without,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BOUNDS = Bounds(5, 3, 10, frozenset(RateUnit))


def profile(profile_id: int = 1, purpose: Purpose = Purpose.TX_DEFAULT, **given: Any) -> ChargingProfile:
    in_schedule = {
        name: given.pop(name)
        for name in ("unit", "periods", "duration_s", "starts_at", "least_rate")
        if name in given
    }
    schedule = ChargingSchedule(
        **{"unit": RateUnit.AMPERE, "periods": (SchedulePeriod(0, 10.0),), **in_schedule}
    )
    return ChargingProfile(
        **{
            "profile_id": profile_id,
            "stack_level": 0,
            "purpose": purpose,
            "kind": ProfileKind.ABSOLUTE,
            "schedule": schedule,
            **given,
        }
    )


def installed(
    profile_id: int = 1, purpose: Purpose = Purpose.TX_DEFAULT, scope: Scope = WHOLE_STATION, **given: Any
) -> InstalledProfile:
    return InstalledProfile(profile(profile_id, purpose, **given), *scope, NOW)


# --- acceptable ------------------------------------------------------------------------------------------


@pytest.mark.req("R16-257", "R16-258", "R16-260", "R16-262", "R16-265")
@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"stack_level": -1}, "stack level"),
        ({"stack_level": 6}, "stack level"),
        ({"profile_id": 2**63}, "profile id"),
        ({"kind": ProfileKind.RECURRING}, "recurrency"),
        ({"recurrency": Recurrency.DAILY}, "recurrency"),
        ({"valid_from": NOW, "valid_to": NOW}, "valid to"),
        ({"valid_to": NOW}, "valid to"),
        ({"duration_s": 0}, "duration"),
        ({"duration_s": -5}, "duration"),
        ({"duration_s": 2**31}, "duration"),
        ({"least_rate": -0.1}, "least rate"),
        ({"periods": ()}, "periods"),
        ({"periods": tuple(SchedulePeriod(start, 6.0) for start in range(4))}, "periods"),
        ({"periods": (SchedulePeriod(1, 6.0),)}, "first period"),
        ({"periods": (SchedulePeriod(0, 6.0), SchedulePeriod(0, 7.0))}, "period 2"),
        ({"periods": (SchedulePeriod(0, 6.0), SchedulePeriod(2**31, 7.0))}, "period 2"),
        ({"periods": (SchedulePeriod(0, -0.1),)}, "period 1"),
        ({"periods": (SchedulePeriod(0, float("inf")),)}, "period 1"),
        ({"periods": (SchedulePeriod(0, 6.0, 0),)}, "period 1"),
        ({"periods": (SchedulePeriod(0, 6.0, 4),)}, "period 1"),
    ],
)
def test_what_is_wrong_is_refused_with_its_field(given: dict[str, Any], field: str) -> None:
    assert (flaw_of(profile(**given), BOUNDS, NOW) or "").startswith(field)


@pytest.mark.req("R16-265")
def test_a_unit_that_is_not_offered_is_refused() -> None:
    only_ampere = replace(BOUNDS, units=frozenset({RateUnit.AMPERE}))
    assert flaw_of(profile(unit=RateUnit.WATT), only_ampere, NOW) == "rate unit: W is not offered"
    assert flaw_of(profile(unit=RateUnit.WATT), BOUNDS, NOW) is None


@pytest.mark.req("R16-258", "R16-260", "R16-262", "R16-265", "FIELD-67")
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"stack_level": 5},
        {"kind": ProfileKind.RELATIVE},
        {"kind": ProfileKind.RECURRING, "recurrency": Recurrency.WEEKLY},
        {"periods": tuple(SchedulePeriod(start, 0.0) for start in range(3))},
        {"periods": (SchedulePeriod(0, 6.0), SchedulePeriod(100, 7.0)), "duration_s": 50},
        {"valid_from": NOW + timedelta(days=1)},
        {"purpose": Purpose.TX, "valid_to": NOW + timedelta(seconds=1)},
        {"least_rate": 8.1},
    ],
)
def test_what_is_legal_is_taken(given: dict[str, Any]) -> None:
    assert flaw_of(profile(**given), BOUNDS, NOW) is None


@pytest.mark.req("R16-244", "R16-245", "R16-246", "R16-247", "TC_058_1_CS", "TC_058_2_CS")
@pytest.mark.parametrize(
    ("purpose", "scope", "running", "named", "is_fine"),
    [
        (Purpose.STATION_MAX, (0, 0), None, None, True),
        (Purpose.STATION_MAX, (1, 1), "t1", None, False),
        (Purpose.TX_DEFAULT, (0, 0), None, None, True),
        (Purpose.TX_DEFAULT, (2, 1), None, None, True),
        (Purpose.TX, (0, 0), "t1", None, False),
        (Purpose.TX, (1, 1), None, None, False),
        (Purpose.TX, (1, 1), "t1", None, True),
        (Purpose.TX, (1, 1), "t1", "t1", True),
        (Purpose.TX, (1, 1), "t1", "t2", False),
    ],
)
def test_a_purpose_has_its_place(
    purpose: Purpose, scope: Scope, running: str | None, named: str | None, is_fine: bool
) -> None:
    flaw = flaw_of_place(profile(1, purpose, transaction_id=named), scope, running)
    assert (flaw is None) is is_fine


@pytest.mark.req("R16-178", "TC_060_CS")
def test_a_remote_start_brings_a_profile_of_its_transaction_only() -> None:
    mine = profile(1, Purpose.TX)
    assert flaw_for_start(mine, BOUNDS, NOW) is None
    assert flaw_for_start(profile(1, Purpose.TX_DEFAULT), BOUNDS, NOW)
    assert flaw_for_start(profile(1, Purpose.STATION_MAX), BOUNDS, NOW)
    assert flaw_for_start(bound_to(mine, "t1"), BOUNDS, NOW)
    assert flaw_for_start(replace(mine, stack_level=6), BOUNDS, NOW)


# --- replacing -------------------------------------------------------------------------------------------


@pytest.mark.req("R16-251")
def test_the_same_id_is_replaced_wherever_it_is() -> None:
    old = installed(7, Purpose.STATION_MAX, stack_level=3)
    new = installed(7, Purpose.TX_DEFAULT, (1, 1))
    other = installed(8, Purpose.TX_DEFAULT, (1, 2))
    assert replaced_by((old, other), new) == (old,)
    assert without((old, other), (old,)) == (other,)


@pytest.mark.req("R16-179", "R16-251", "TC_059_CS")
def test_purpose_and_level_are_replaced_at_the_same_place_only() -> None:
    new = installed(9, Purpose.TX_DEFAULT, (1, 1), stack_level=2)
    same = installed(1, Purpose.TX_DEFAULT, (1, 1), stack_level=2)
    keep = (
        installed(2, Purpose.TX_DEFAULT, (0, 0), stack_level=2),
        installed(3, Purpose.TX_DEFAULT, (1, 2), stack_level=2),
        installed(4, Purpose.TX_DEFAULT, (1, 1), stack_level=1),
        installed(5, Purpose.TX, (1, 1), stack_level=2, transaction_id="t1"),
    )
    assert replaced_by((*keep, same), new) == (same,)
    of_next = installed(6, Purpose.TX, (1, 1), stack_level=2, transaction_id="t2")
    assert replaced_by(keep, of_next) == ()
    assert replaced_by(keep, installed(6, Purpose.TX, (1, 1), stack_level=2, transaction_id="t1")) == keep[3:]


@pytest.mark.req("R16-271", "TC_067_CS")
def test_clearing_by_id_alone_or_by_everything_that_is_given() -> None:
    one = installed(1, Purpose.TX_DEFAULT, (0, 0), stack_level=0)
    two = installed(2, Purpose.TX_DEFAULT, (1, 1), stack_level=0)
    three = installed(3, Purpose.STATION_MAX, (0, 0), stack_level=1)
    every = (one, two, three)
    assert selected(every, Selection()) == every
    assert selected(every, Selection(profile_id=2)) == (two,)
    assert selected(every, Selection(profile_id=2, scope=(0, 0), purpose=Purpose.TX, stack_level=9)) == (two,)
    assert selected(every, Selection(profile_id=4)) == ()
    assert selected(every, Selection(scope=(0, 0))) == (one, three)
    assert selected(every, Selection(scope=(0, 0), stack_level=0)) == (one,)
    assert selected(every, Selection(purpose=Purpose.TX_DEFAULT, stack_level=0)) == (one, two)
    assert selected(every, Selection(purpose=Purpose.STATION_MAX, stack_level=0)) == ()


@pytest.mark.req("R16-248")
def test_profiles_of_transactions_that_are_over_are_orphans() -> None:
    alive = installed(1, Purpose.TX, (1, 1), transaction_id="t1")
    dead = installed(2, Purpose.TX, (1, 1), transaction_id="t0")
    assert orphans((alive, dead, installed(3)), {"t1"}) == (dead,)


# --- which apply -----------------------------------------------------------------------------------------


@pytest.mark.req("R16-245", "R16-250")
def test_a_default_of_a_connector_replaces_that_of_the_station_on_its_level() -> None:
    everywhere = (installed(1, stack_level=0), installed(2, stack_level=2))
    mine = installed(3, scope=(1, 1), stack_level=0)
    of_evse = installed(4, scope=(2, 0), stack_level=2)
    every = (mine, of_evse, *everywhere)
    assert ids_of(stack_of_defaults(every, (1, 1))) == [2, 3]
    assert ids_of(stack_of_defaults(every, (1, 2))) == [2, 1]
    assert ids_of(stack_of_defaults(every, (2, 1))) == [4, 1]
    assert stack_of_defaults((installed(5, Purpose.STATION_MAX),), (1, 1)) == []


def test_station_and_transaction_have_stacks_of_their_own() -> None:
    every = (
        installed(1, Purpose.STATION_MAX, stack_level=0),
        installed(2, Purpose.STATION_MAX, stack_level=4),
        installed(3, Purpose.TX, (1, 1), stack_level=1, transaction_id="t1"),
        installed(4, Purpose.TX, (1, 1), stack_level=3, transaction_id="t1"),
        installed(5, Purpose.TX, (2, 1), stack_level=5, transaction_id="t2"),
        installed(6),
    )
    assert ids_of(stack_of_station(every)) == [2, 1]
    assert ids_of(stack_of_transaction(every, "t1")) == [4, 3]
    assert stack_of_transaction(every, None) == []


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (installed(), False),
        (installed(valid_to=NOW), True),
        (installed(valid_to=NOW + timedelta(seconds=1)), False),
        (installed(starts_at=NOW - timedelta(seconds=60), duration_s=60), True),
        (installed(starts_at=NOW - timedelta(seconds=60), duration_s=61), False),
        (installed(purpose=Purpose.TX, starts_at=NOW - timedelta(seconds=60), duration_s=60), False),
        (installed(purpose=Purpose.EXTERNAL, starts_at=NOW - timedelta(seconds=60), duration_s=60), False),
        (
            installed(
                kind=ProfileKind.RECURRING,
                recurrency=Recurrency.DAILY,
                starts_at=NOW - timedelta(days=2),
                duration_s=60,
            ),
            False,
        ),
    ],
)
def test_what_never_limits_anything_again_is_over(one: InstalledProfile, expected: bool) -> None:
    assert over([one], NOW) == ((one,) if expected else ())
