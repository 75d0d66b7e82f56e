"""Limits of others than the CSMS: beside its own, on disk, lifted on time, and told when they matter."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from agent.charging.external_limits import is_news, profile_id_for
from agent.charging.facts import ExternalLimitLifted, ExternalLimitSet, TransactionUpdated
from agent.charging.ids import TriggerReason
from agent.charging.profiles import (
    ChargingSchedule,
    LimitOrigin,
    Purpose,
    RateUnit,
    SchedulePeriod,
    Selection,
)
from agent.charging.requests import (
    Answer,
    ChangeSetting,
    ClearProfiles,
    ComposeSchedule,
    InstallProfile,
    LiftExternalLimit,
    LimitExternally,
    RequestStart,
    Verdict,
)
from agent.charging.schedules import second_of
from agent.charging.smart_charging import Draw, Outlet, Supply, is_significant, on_one_phase
from agent.charging.snapshot import LimitInForce, LimitSource
from tests.charging.rig import TAG, Rig, Stores, running
from tests.charging.test_limiting import install, offered, set_limit
from tests.charging.test_profiles import NOW, installed, profile
from tests.helpers.fake_clock import EPOCH
from tests.helpers.fake_hardware import fake_hardware
from tests.helpers.fake_stores import FULL

A, W = RateUnit.AMPERE, RateUnit.WATT
EMS, SO = LimitOrigin.EMS, LimitOrigin.SYSTEM_OPERATOR


def schedule(limit: float, unit: RateUnit = A, **given: Any) -> ChargingSchedule:
    given.setdefault("periods", (SchedulePeriod(0, limit),))
    return ChargingSchedule(unit, schedule_id=1, **given)


async def limit(
    rig: Rig, limit_a: float, origin: LimitOrigin = EMS, evse_id: int = 0, **given: Any
) -> Answer:
    answer = await rig.ask(LimitExternally(origin, schedule(limit_a, **given), evse_id=evse_id))
    assert isinstance(answer, Answer)
    return answer


def told(rig: Rig) -> list[tuple[str, float | None]]:
    """(origin, limit of the first period, None: lifted), in the order told."""
    found: list[tuple[str, float | None]] = []
    for fact in rig.facts:
        if isinstance(fact, ExternalLimitSet):
            found.append((fact.origin.value, fact.schedule.periods[0].limit))
        elif isinstance(fact, ExternalLimitLifted):
            found.append((fact.origin.value, None))
    return found


# --- what matters ------------------------------------------------------------------------------------------


@pytest.mark.req("K11.FR.02", "K12.FR.02")
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(16.0, 16.1, False), (16.0, 15.8, True), (16.0, 16.17, True), (0.0, 0.1, True), (0.0, 0.0, False)],
)
def test_a_change_matters_above_the_percentage(before: float, after: float, expected: bool) -> None:
    assert is_significant(before, after, 1.0) is expected


TWO = (SchedulePeriod(0, 16.0), SchedulePeriod(60, 10.0))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, schedule(16), True),
        (schedule(16), schedule(16, starts_at=NOW, duration_s=60), False),
        (schedule(16), schedule(16, W), True),
        (schedule(16), schedule(0, periods=TWO), True),
        (schedule(0, periods=TWO), schedule(0, periods=TWO), False),
        (schedule(0, periods=TWO), schedule(0, periods=TWO, starts_at=NOW), True),
        (schedule(0, periods=TWO), schedule(0, periods=(TWO[0], SchedulePeriod(61, 10.0))), True),
        (schedule(0, periods=TWO), schedule(0, periods=(TWO[0], SchedulePeriod(60, 9.0))), True),
    ],
)
def test_a_single_limit_given_anew_is_no_news_another_schedule_is(
    before: ChargingSchedule | None, after: ChargingSchedule, expected: bool
) -> None:
    assert is_news(before, after, 1.0) is expected


@pytest.mark.req("K11.FR.06", "K12.FR.05")
def test_the_id_is_negative_free_and_stays_with_its_origin() -> None:
    mine = installed(-1)
    assert profile_id_for((), EMS) == -1
    assert profile_id_for((mine, installed(5)), EMS) == -2
    external = replace(installed(-7, Purpose.EXTERNAL), origin=EMS)
    assert profile_id_for((mine, external), EMS) == -7
    assert profile_id_for((mine, external), EMS, 1) == -2
    assert profile_id_for((mine, external), SO) == -2


# --- in force ----------------------------------------------------------------------------------------------


@pytest.mark.req("K11.FR.01", "K13.FR.01")
async def test_a_limit_counts_at_once_beside_those_of_the_csms_and_no_more_when_lifted() -> None:
    async with running() as rig:
        await rig.charge()
        await set_limit(rig, 20.0)
        assert (await limit(rig, 12.0)).verdict is Verdict.ACCEPTED
        assert offered(rig) == 12.0
        assert rig.shown().limit == LimitInForce(12.0, LimitSource.EXTERNAL, -1)
        assert (await limit(rig, 25.0)).verdict is Verdict.ACCEPTED
        assert offered(rig) == 20.0
        assert (await rig.ask(LiftExternalLimit(EMS))).verdict is Verdict.ACCEPTED
        assert offered(rig) == 20.0
        assert (await rig.ask(LiftExternalLimit(EMS))).verdict is Verdict.UNKNOWN


@pytest.mark.req("K12.FR.01", "K08.FR.04")
async def test_all_origins_hold_for_the_sum_of_all_evses_and_the_lowest_counts() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        await limit(rig, 40.0)
        assert (await rig.ask(LimitExternally(SO, schedule(22_080.0, W)))).verdict is Verdict.ACCEPTED
        await rig.charge("TAG1", 1)
        assert offered(rig, 1) == 32.0
        await rig.charge("TAG2", 2)
        assert (offered(rig, 1), offered(rig, 2)) == (16.0, 16.0)
        composed = await rig.ask(ComposeSchedule(0, 0, 60))
        assert [(each.start_s, each.limit) for each in composed.periods] == [(0, 32.0)]
        await rig.ask(LiftExternalLimit(SO))
        assert (offered(rig, 1), offered(rig, 2)) == (20.0, 20.0)
        composed = await rig.ask(ComposeSchedule(1, 0, 60, W))
        assert [(each.start_s, each.limit) for each in composed.periods] == [(0, 13_800.0)]


@pytest.mark.req("K11.FR.01", "K12.FR.01", "K08.FR.04")
async def test_a_limit_of_one_evse_holds_there_alone_beside_everything_else() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        await rig.charge("TAG1", 1)
        await rig.charge("TAG2", 2)
        assert (await limit(rig, 12.0, evse_id=1)).verdict is Verdict.ACCEPTED
        assert (offered(rig, 1), offered(rig, 2)) == (12.0, 32.0)
        assert rig.shown(1).limit == LimitInForce(12.0, LimitSource.EXTERNAL, -1)
        await limit(rig, 40.0)
        assert (offered(rig, 1), offered(rig, 2)) == (12.0, 28.0)
        await limit(rig, 10.0, SO, evse_id=1)
        assert (offered(rig, 1), offered(rig, 2)) == (10.0, 30.0)
        await rig.ask(InstallProfile(1, 0, profile(7, periods=(SchedulePeriod(0, 8.0),))))
        assert rig.shown(1).limit == LimitInForce(8.0, LimitSource.TX_DEFAULT, 7)
        for evse_id, total in ((1, 8.0), (2, 32.0), (0, 40.0)):
            composed = await rig.ask(ComposeSchedule(evse_id, 0, 60))
            assert [(each.start_s, each.limit) for each in composed.periods] == [(0, total)], evse_id
        await rig.ask(ClearProfiles(Selection()))
        await rig.ask(LiftExternalLimit(SO, 1))
        await rig.ask(LiftExternalLimit(EMS))
        assert (offered(rig, 1), offered(rig, 2)) == (12.0, 32.0)
        assert (await rig.ask(LiftExternalLimit(EMS, 2))).verdict is Verdict.UNKNOWN
        await rig.ask(LiftExternalLimit(EMS, 1))
        assert (offered(rig, 1), offered(rig, 2)) == (32.0, 32.0)


async def test_a_limit_of_an_evse_follows_its_own_schedule_and_duration_and_stays_over_a_restart() -> None:
    stores = Stores()
    periods = (SchedulePeriod(0, 16.0), SchedulePeriod(60, 8.0))
    async with running(stores=stores) as rig:
        await rig.charge()
        await limit(rig, 0, periods=periods, duration_s=120, evse_id=1)
        await rig.ask(InstallProfile(1, 0, profile(7, periods=(SchedulePeriod(0, 12.0),))))
        for wait_s, limit_a in ((1, 12.0), (60, 8.0), (60, 12.0)):
            await rig.run_for(wait_s)
            assert offered(rig) == limit_a
        await limit(rig, 7.0, evse_id=1, starts_at=EPOCH)
    async with running(stores=stores) as rig:
        assert (rig.shown().limit, told(rig)) == (LimitInForce(7.0, LimitSource.EXTERNAL, -1), [("EMS", 7.0)])


async def test_a_lower_limit_of_an_evse_does_not_hide_that_the_csms_wants_one_phase() -> None:
    outlet = Outlet((1, 1), 32.0, Supply(can_switch=True), Draw.DRAWING, "t1", 0)
    one_phase = installed(5, periods=(SchedulePeriod(0, 10.0, 1),), starts_at=NOW)
    lower = replace(installed(-1, Purpose.EXTERNAL, (1, 0), periods=(SchedulePeriod(0, 8.0),)), origin=EMS)
    assert on_one_phase((one_phase, lower), [outlet], second_of(NOW)) == {1}
    assert on_one_phase((lower,), [outlet], second_of(NOW)) == set()


async def test_an_evse_that_does_not_exist_has_no_limit() -> None:
    async with running() as rig:
        assert (await limit(rig, 10.0, evse_id=2)).verdict is Verdict.UNKNOWN
        assert (rig.station.snapshot().profiles, told(rig)) == ((), [])


@pytest.mark.req("K11.FR.02", "K13.FR.02")
async def test_limits_of_the_station_and_of_its_evses_are_told_each_with_its_place() -> None:
    async with running() as rig:
        await limit(rig, 16.0)
        await limit(rig, 16.0, evse_id=1)
        await rig.ask(LiftExternalLimit(EMS))
        places = [
            each.evse_id for each in rig.facts if isinstance(each, ExternalLimitSet | ExternalLimitLifted)
        ]
        assert (told(rig), places) == ([("EMS", 16.0), ("EMS", 16.0), ("EMS", None)], [0, 1, 0])


async def test_a_limit_with_a_duration_lifts_itself() -> None:
    async with running() as rig:
        await rig.charge()
        assert (await limit(rig, 10.0, duration_s=60)).verdict is Verdict.ACCEPTED
        await rig.run_for(59)
        assert offered(rig) == 10.0
        await rig.run_for(2)
        assert (offered(rig), rig.station.snapshot().profiles) == (32.0, ())
        assert rig.stores.profiles.installed == {}
        assert told(rig) == [("EMS", 10.0), ("EMS", None)]


async def test_a_limit_renewed_just_before_its_end_stays() -> None:
    async with running() as rig:
        await rig.charge()
        for _ in range(5):
            await limit(rig, 10.0, duration_s=60)
            await rig.run_for(58.9)
        assert offered(rig) == 10.0
        assert told(rig) == [("EMS", 10.0)]


async def test_a_schedule_is_followed_period_by_period() -> None:
    async with running() as rig:
        await rig.charge()
        periods = (SchedulePeriod(0, 16.0), SchedulePeriod(60, 0.0), SchedulePeriod(120, 8.0))
        await limit(rig, 0, periods=periods)
        for wait_s, limit_a in ((1, 16.0), (60, 0.0), (60, 8.0), (3600, 8.0)):
            await rig.run_for(wait_s)
            assert offered(rig) == limit_a


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"periods": ()}, "periods"),
        ({"periods": (SchedulePeriod(1, 6.0),)}, "first period"),
        ({"starts_at": NOW - timedelta(days=1), "duration_s": 60}, "over"),
    ],
)
async def test_what_is_no_schedule_is_refused_and_changes_nothing(given: Any, word: str) -> None:
    async with running() as rig:
        await limit(rig, 10.0)
        answer = await limit(rig, 6.0, **given)
        assert (answer.verdict, word in answer.reason) == (Verdict.REJECTED, True), answer
        assert rig.station.snapshot().profiles[0].profile.schedule.periods[0].limit == 10.0


@pytest.mark.req("K11.FR.05", "K12.FR.04")
async def test_the_operator_of_the_station_is_no_external_origin() -> None:
    async with running() as rig:
        assert (await limit(rig, 10.0, LimitOrigin.CSO)).verdict is Verdict.REJECTED
        assert told(rig) == []


# --- not the CSMS's ----------------------------------------------------------------------------------------


@pytest.mark.req("K01.FR.05", "K01.FR.22", "K10.FR.04", "K10.FR.08", "K10.FR.09")
async def test_no_csms_replaces_or_clears_an_external_limit() -> None:
    async with running() as rig:
        await limit(rig, 10.0)
        await set_limit(rig, 20.0)
        for one in (profile(-1), profile(5, Purpose.EXTERNAL)):
            assert (await install(rig, one)).verdict is Verdict.REJECTED
        start = RequestStart(TAG, 1, profile=profile(-1, Purpose.TX))
        assert (await rig.ask(start)).verdict is Verdict.REJECTED
        assert (await rig.ask(ClearProfiles(Selection(profile_id=-1)))).verdict is Verdict.UNKNOWN
        only_external = Selection(evse_id=0, purpose=Purpose.EXTERNAL)
        assert (await rig.ask(ClearProfiles(only_external))).verdict is Verdict.UNKNOWN
        assert (await rig.ask(ClearProfiles(Selection()))).verdict is Verdict.ACCEPTED
        assert [each.profile.profile_id for each in rig.station.snapshot().profiles] == [-1]


async def test_external_limits_take_no_room_of_the_csms() -> None:
    async with running(given={"MaxChargingProfilesInstalled": "1"}) as rig:
        await limit(rig, 10.0)
        await set_limit(rig, 20.0)
        assert (await install(rig, profile(2, stack_level=1))).verdict is Verdict.REJECTED


@pytest.mark.req("K01.FR.06", "K01.FR.39", "K01.FR.52", "K01.FR.53")
async def test_where_nothing_is_replaced_but_by_its_id_a_second_profile_of_a_slot_is_refused() -> None:
    async with running() as rig:
        await set_limit(rig, 20.0)
        second = InstallProfile(1, 0, profile(2), replaces_slot=False)
        assert "profile 1" in (await rig.ask(second)).reason
        assert (
            await rig.ask(InstallProfile(0, 0, profile(1), replaces_slot=False))
        ).verdict is Verdict.ACCEPTED


# --- switched off ------------------------------------------------------------------------------------------


async def test_external_control_switched_off_lifts_what_there_is_and_refuses_more() -> None:
    async with running() as rig:
        await rig.charge()
        await limit(rig, 10.0)
        await rig.ask(ChangeSetting("external_limits_enabled", "false"))
        await rig.run_for(1)
        assert (offered(rig), rig.station.snapshot().profiles) == (32.0, ())
        assert told(rig) == [("EMS", 10.0), ("EMS", None)]
        assert (await limit(rig, 10.0)).verdict is Verdict.REJECTED


async def test_smart_charging_switched_off_leaves_external_limits_alone() -> None:
    async with running() as rig:
        await rig.charge()
        await set_limit(rig, 8.0)
        await limit(rig, 10.0)
        await rig.ask(ChangeSetting("smart_charging_enabled", "false"))
        await rig.run_for(1)
        assert offered(rig) == 10.0
        await rig.ask(ChangeSetting("smart_charging_enabled", "true"))
        await rig.run_for(1)
        assert offered(rig) == 8.0


# --- what the CSMS hears -----------------------------------------------------------------------------------


@pytest.mark.req("K11.FR.02", "K12.FR.02", "K13.FR.02")
async def test_changes_that_matter_are_told_once() -> None:
    async with running() as rig:
        for limit_a in (16.0, 16.0, 16.1, 15.9, 16.2, 12.0):
            await limit(rig, limit_a)
        await limit(rig, 20.0, SO)
        await rig.ask(LiftExternalLimit(EMS))
        assert told(rig) == [("EMS", 16.0), ("EMS", 16.2), ("EMS", 12.0), ("SO", 20.0), ("EMS", None)]


async def test_what_changed_offline_is_told_as_it_is_when_there_is_a_connection() -> None:
    async with running(is_online=False) as rig:
        await limit(rig, 16.0)
        await limit(rig, 12.0)
        await limit(rig, 20.0, SO)
        await rig.ask(LiftExternalLimit(SO))
        assert told(rig) == []
        rig.station.on_online(True)
        assert told(rig) == [("EMS", 12.0), ("SO", None)]
        rig.facts.clear()
        await rig.run_for(120)
        for is_online in (False, True):
            rig.station.on_online(is_online)
        assert told(rig) == []


async def test_what_was_told_just_before_the_connection_was_lost_is_told_again() -> None:
    async with running() as rig:
        await limit(rig, 16.0)
        rig.station.on_online(False)
        rig.station.on_online(True)
        assert told(rig) == [("EMS", 16.0)] * 2


async def test_limits_survive_a_restart_and_are_told_anew() -> None:
    stores = Stores()
    async with running(stores=stores) as rig:
        await limit(rig, 10.0)
        await limit(rig, 6.0, SO, starts_at=EPOCH - timedelta(seconds=60), duration_s=61)
    async with running(stores=stores) as rig:
        assert told(rig) == [("EMS", 10.0), ("SO", 6.0)]
        await rig.charge()
        await rig.run_for(1)
        assert offered(rig) == 10.0
        assert told(rig)[2:] == [("SO", None)]
        assert list(stores.profiles.installed) == [-1]


async def test_a_disk_that_takes_nothing_leaves_the_limit_as_it_was() -> None:
    async with running() as rig:
        await limit(rig, 10.0)
        rig.stores.profiles.failure = FULL
        assert (await limit(rig, 8.0)).verdict is Verdict.REJECTED
        assert (await rig.ask(LiftExternalLimit(EMS))).verdict is Verdict.REJECTED
        assert rig.shown().limit == LimitInForce(10.0, LimitSource.EXTERNAL, -1)
        assert told(rig) == [("EMS", 10.0)]


# --- the rate of a running transaction ---------------------------------------------------------------------


def rates(rig: Rig) -> list[TransactionUpdated]:
    rate = TriggerReason.CHARGING_RATE_CHANGED
    return [each for each in rig.told(TransactionUpdated) if each.trigger is rate]


@pytest.mark.req("K11.FR.04", "K13.FR.03", "K02.FR.04")
async def test_a_rate_that_changes_in_a_transaction_is_a_fact_of_it() -> None:
    async with running() as rig:
        await limit(rig, 25.0)
        await rig.ask(LiftExternalLimit(EMS))
        await rig.charge()
        await rig.run_for(1)
        assert rates(rig) == []
        for limit_a, count in ((16.0, 1), (15.9, 1), (15.8, 2), (16.0, 3)):
            await limit(rig, limit_a)
            await rig.run_for(1)
            assert len(rates(rig)) == count, limit_a
        await set_limit(rig, 8.0)
        await rig.run_for(1)
        assert len(rates(rig)) == 4
        await rig.ask(LiftExternalLimit(EMS))
        await rig.run_for(1)
        assert len(rates(rig)) == 4
        await rig.ask(ClearProfiles(Selection()))
        await rig.run_for(1)
        assert len(rates(rig)) == 5
        assert {each.transaction_id for each in rates(rig)} == {rig.started[-1].transaction_id}


async def test_a_higher_percentage_tells_less() -> None:
    async with running(given={"SmartChargingCtrlr.LimitChangeSignificance": "50"}) as rig:
        await rig.charge()
        for limit_a, count in ((20.0, 0), (15.0, 1), (20.0, 1), (23.0, 2)):
            await limit(rig, limit_a)
            await rig.run_for(1)
            assert len(rates(rig)) == count, limit_a
