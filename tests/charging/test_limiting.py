"""Installed profiles on a running station: in force at once and on time, on disk first, gone with their transaction."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agent.charging.ids import ChargingState, IdToken
from agent.charging.profiles import (
    ChargingProfile,
    InstalledProfile,
    ProfileKind,
    Purpose,
    RateUnit,
    SchedulePeriod,
    Scope,
    Selection,
)
from agent.charging.requests import (
    Answer,
    ChangeSetting,
    ClearProfiles,
    ComposeSchedule,
    CompositeSchedule,
    InstallProfile,
    RequestStart,
    RequestStop,
    Verdict,
)
from agent.charging.snapshot import LimitInForce, LimitSource
from hal.ports import Hardware
from tests.charging.rig import TAG, Rig, Stores, running
from tests.charging.test_profiles import profile
from tests.helpers.fake_clock import EPOCH
from tests.helpers.fake_evse import FakeEvse
from tests.helpers.fake_hardware import fake_hardware
from tests.helpers.fake_stores import FULL


async def install(rig: Rig, new: ChargingProfile, scope: Scope = (0, 0)) -> Answer:
    answer = await rig.ask(InstallProfile(*scope, new))
    assert isinstance(answer, Answer)
    return answer


async def set_limit(rig: Rig, limit_a: float, *scope: int, profile_id: int = 1, **given: Any) -> None:
    """A default of that many ampere, from now on."""
    given.setdefault("periods", (SchedulePeriod(0, limit_a),))
    place = (scope[0], scope[1]) if scope else (0, 0)
    answer = await install(rig, profile(profile_id, **given), place)
    assert answer.verdict is Verdict.ACCEPTED, answer


def offered(rig: Rig, evse_id: int = 1) -> float:
    return rig.evse(evse_id).setpoint.limit_a


# --- in force --------------------------------------------------------------------------------------------


@pytest.mark.req("R16-249", "R16-270", "TC_082_CS")
async def test_a_new_default_limits_a_running_transaction_at_once_and_goes_when_cleared() -> None:
    async with running() as rig:
        await rig.charge()
        assert offered(rig) == 32.0
        await set_limit(rig, 10.0)
        assert offered(rig) == 10.0
        assert rig.shown().limit == LimitInForce(10.0, LimitSource.TX_DEFAULT, 1)
        await set_limit(rig, 12.0)
        assert offered(rig) == 12.0
        assert (await rig.ask(ClearProfiles(Selection(profile_id=1)))).verdict is Verdict.ACCEPTED
        assert offered(rig) == 32.0
        assert rig.shown().limit == LimitInForce(32.0, LimitSource.HARDWARE)
        assert not rig.stopped


@pytest.mark.req("R16-280", "FIELD-66")
async def test_a_limit_of_zero_pauses_and_charging_goes_on_afterwards() -> None:
    async with running() as rig:
        await rig.charge()
        await set_limit(rig, 0.0)
        await rig.run_for(1)
        assert offered(rig) == 0.0
        assert rig.shown().transaction.charging_state is ChargingState.SUSPENDED_EVSE  # type: ignore[union-attr]
        await rig.run_for(3600)
        await set_limit(rig, 16.0)
        await rig.run_for(1)
        assert offered(rig) == 16.0
        assert rig.shown().transaction.charging_state is ChargingState.CHARGING  # type: ignore[union-attr]
        assert not rig.stopped


async def test_the_limit_is_there_before_the_first_ampere_is_offered() -> None:
    async with running() as rig:
        await set_limit(rig, 8.0)
        await rig.charge()
        assert {setpoint.limit_a for setpoint in rig.evse().setpoints if setpoint.allow_power} == {8.0}


@pytest.mark.req("R16-253", "R16-258")
async def test_every_step_of_a_schedule_is_offered_within_a_second() -> None:
    async with running() as rig:
        await rig.charge()
        periods = (SchedulePeriod(0, 20.0), SchedulePeriod(60, 10.0), SchedulePeriod(3 * 3600, 6.0))
        begin = rig.clock.now()
        await set_limit(rig, 0, periods=periods, starts_at=begin, duration_s=4 * 3600)
        for second, limit_a in (
            (1, 20.0),
            (59, 20.0),
            (60.9, 10.0),
            (10_799, 10.0),
            (10_801, 6.0),
            (14_401, 32.0),
        ):
            wait_s = second - (rig.clock.now() - begin).total_seconds()
            await rig.run_for(wait_s)
            assert offered(rig) == limit_a, second


async def test_a_clock_that_is_set_moves_the_schedule_with_it() -> None:
    async with running() as rig:
        await rig.charge()
        later = EPOCH + timedelta(hours=2)
        await set_limit(rig, 10.0, starts_at=later)
        assert offered(rig) == 32.0
        rig.clock.synchronize(later)
        rig.station.on_clock_set()
        assert offered(rig) == 10.0


async def test_a_clock_that_the_system_sets_without_a_word_moves_the_schedule_too() -> None:
    stores = Stores()
    later = EPOCH + timedelta(hours=2)
    async with running(stores=stores) as rig:
        await set_limit(rig, 10.0, starts_at=later)
    async with running(stores=stores, clock_at=EPOCH - timedelta(days=9000), is_online=False) as rig:
        await rig.run_for(100)
        assert rig.shown().limit.current_a == 32.0
        rig.clock.synchronize(later)  # by NTP: no CSMS is there to tell
        await rig.run_for(1)
        assert rig.shown().limit.current_a == 10.0


@pytest.mark.req("R16-261")
async def test_relative_counts_from_the_begin_of_the_transaction() -> None:
    async with running() as rig:
        periods = (SchedulePeriod(0, 16.0), SchedulePeriod(100, 8.0))
        await set_limit(rig, 0, periods=periods, kind=ProfileKind.RELATIVE)
        await rig.run_for(500)
        await rig.charge()
        assert offered(rig) == 16.0
        await rig.run_for(100)
        assert offered(rig) == 8.0


@pytest.mark.req("R16-279")
async def test_phases_are_not_switched_during_a_transaction() -> None:
    async with running() as rig:
        await rig.charge()
        await set_limit(rig, 0, periods=(SchedulePeriod(0, 10.0, 1),))
        assert (rig.evse().setpoint.limit_a, rig.evse().setpoint.phases) == (10.0, 3)


def switching() -> Hardware:
    """One EVSE that can go from three phases to one."""
    hardware = fake_hardware()
    evse = hardware.evses[1].evse
    assert isinstance(evse, FakeEvse)
    evse.capabilities = replace(evse.capabilities, can_switch_phases=True)
    return hardware


def phases(rig: Rig) -> int:
    return rig.evse().setpoint.phases


async def test_an_evse_that_can_switch_charges_on_one_phase_while_a_profile_says_so() -> None:
    async with running(switching()) as rig:
        assert phases(rig) == 3
        await rig.charge()
        await set_limit(rig, 0, periods=(SchedulePeriod(0, 10.0, 1), SchedulePeriod(600, 10.0, 3)))
        assert (offered(rig), phases(rig)) == (10.0, 1)
        await rig.run_for(602)
        assert (offered(rig), phases(rig)) == (10.0, 3)


async def test_a_profile_for_one_phase_counts_even_where_its_limit_lowers_nothing() -> None:
    async with running(switching()) as rig:
        await rig.charge()
        await set_limit(rig, 0, periods=(SchedulePeriod(0, 99.0, 1),))
        assert (offered(rig), phases(rig)) == (32.0, 1)
        await rig.ask(ClearProfiles(Selection()))
        assert phases(rig) == 3


async def test_a_limit_of_the_station_for_one_phase_counts_too() -> None:
    async with running(switching()) as rig:
        await rig.charge()
        await set_limit(
            rig,
            0,
            purpose=Purpose.STATION_MAX,
            periods=(SchedulePeriod(0, 16.0, 1),),
            kind=ProfileKind.ABSOLUTE,
        )
        assert phases(rig) == 1


async def test_two_phases_are_charged_on_three() -> None:
    async with running(switching()) as rig:
        await rig.charge()
        await set_limit(rig, 0, periods=(SchedulePeriod(0, 10.0, 2),))
        assert phases(rig) == 3


async def test_watt_on_one_phase_become_three_times_the_ampere_and_back() -> None:
    """What the EV was seen to use on three phases says nothing of one, and the other way round."""
    async with running(switching(), given={"MeterValueSampleInterval": "5"}) as rig:
        await rig.charge()
        await rig.run_for(10)
        rig.evse().setpoints.clear()
        one_then_three = (SchedulePeriod(0, 3450.0, 1), SchedulePeriod(60, 6900.0, 3))
        await set_limit(rig, 0, unit=RateUnit.WATT, periods=one_then_three)
        assert (offered(rig), phases(rig)) == (15.0, 1)
        await rig.run_for(30)
        assert (offered(rig), phases(rig)) == (15.0, 1), "with readings of one phase"
        await rig.run_for(32)
        assert (offered(rig), phases(rig)) == (10.0, 3), "never 30 A, however briefly"
        assert max(each.limit_a for each in rig.evse().setpoints if each.phases == 3) == 10.0


async def test_a_key_tells_whether_phases_can_be_switched() -> None:
    async with running(switching()) as rig:
        await rig.charge()
        assert rig.settings.flag("switch_3_to_1_phase")
    async with running() as rig:
        await rig.charge()
        assert not rig.settings.flag("switch_3_to_1_phase")


async def test_a_thinner_cable_and_a_lower_setting_still_count() -> None:
    async with running(given={"CurrentLimit": "13"}) as rig:
        await rig.charge()
        await set_limit(rig, 20.0)
        assert offered(rig) == 13.0
        assert rig.shown().limit == LimitInForce(13.0, LimitSource.SETTING)
        await set_limit(rig, 7.0)
        assert offered(rig) == 7.0


@pytest.mark.req("R16-263")
async def test_a_limit_in_watt_follows_the_phases_that_the_ev_uses() -> None:
    async with running(given={"MeterValueSampleInterval": "60"}) as rig:
        await rig.charge()
        await set_limit(rig, 0, unit=RateUnit.WATT, periods=(SchedulePeriod(0, 6900.0, 1),))
        assert offered(rig) == 30.0, "by the phases of the period, as long as nothing is known of the EV"
        await rig.run_for(61)
        assert offered(rig) == 10.0, "all three phases carry current"


async def test_watt_become_ampere_by_the_nominal_voltage_and_at_once_when_that_is_set() -> None:
    async with running() as rig:
        await rig.charge()
        await set_limit(rig, 0, unit=RateUnit.WATT, periods=(SchedulePeriod(0, 6900.0, 3),))
        assert offered(rig) == 10.0
        await rig.ask(ChangeSetting("supply_voltage_v", "115"))
        await rig.run_for(0.1)
        assert offered(rig) == 20.0


# --- sharing ---------------------------------------------------------------------------------------------


@pytest.mark.req("R16-256", "FIELD-68")
async def test_two_evses_share_the_limit_of_the_station_and_the_second_one_waits_if_need_be() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        cap = profile(9, Purpose.STATION_MAX, periods=(SchedulePeriod(0, 20.0),), kind=ProfileKind.RELATIVE)
        assert (await install(rig, cap)).verdict is Verdict.ACCEPTED
        await rig.charge("TAG1", 1)
        assert offered(rig, 1) == 20.0
        await rig.charge("TAG2", 2)
        assert (offered(rig, 1), offered(rig, 2)) == (10.0, 10.0)
        lower = profile(9, Purpose.STATION_MAX, periods=(SchedulePeriod(0, 11.0),), kind=ProfileKind.RELATIVE)
        await install(rig, lower)
        await rig.run_for(2)
        assert (offered(rig, 1), offered(rig, 2)) == (11.0, 0.0)
        assert rig.shown(2).limit == LimitInForce(0.0, LimitSource.STATION_MAX, 9)
        rig.evse(1).want_power(False)
        await rig.run_for(30)
        assert (offered(rig, 1), offered(rig, 2)) == (0.0, 11.0), "who takes nothing makes room"
        rig.evse(2).want_power(False)
        await rig.run_for(600)
        before = len(rig.evse(1).setpoints) + len(rig.evse(2).setpoints)
        await rig.run_for(600)
        assert len(rig.evse(1).setpoints) + len(rig.evse(2).setpoints) == before, (
            "two full EVs do not take turns"
        )
        await rig.tap("TAG2")
        await rig.run_for(2)
        assert offered(rig, 1) == 11.0
        assert len(rig.stopped) == 1


# --- on disk ---------------------------------------------------------------------------------------------


@pytest.mark.req("R16-268", "R16-269")
async def test_profiles_are_there_after_a_restart_and_without_a_csms() -> None:
    stores = Stores()
    async with running(stores=stores) as rig:
        await set_limit(rig, 9.0)
        await install(rig, profile(2, Purpose.STATION_MAX, periods=(SchedulePeriod(0, 7.0),)))
    async with running(
        stores=stores,
        is_online=False,
        given={"LocalAuthorizeOffline": "true", "AllowOfflineTxForUnknownId": "true"},
    ) as rig:
        await rig.charge()
        assert offered(rig) == 7.0
        await rig.ask(ClearProfiles(Selection(purpose=Purpose.STATION_MAX)))
        assert offered(rig) == 9.0
    assert list(stores.profiles.installed) == [1]


async def test_a_disk_that_takes_nothing_changes_nothing() -> None:
    async with running() as rig:
        await rig.charge()
        await set_limit(rig, 10.0)
        rig.stores.profiles.failure = FULL
        answer = await install(rig, profile(1, periods=(SchedulePeriod(0, 20.0),)))
        assert (answer.verdict, answer.reason) == (Verdict.REJECTED, "charging profile 1: not stored")
        assert (await rig.ask(ClearProfiles(Selection()))).verdict is Verdict.REJECTED
        assert offered(rig) == 10.0
        assert rig.station.snapshot().faults


async def test_what_never_limits_again_makes_room_when_there_is_none() -> None:
    """A CSMS that gives every day a profile of its own must not find the station full one day."""
    soon = EPOCH + timedelta(minutes=1)
    async with running(given={"MaxChargingProfilesInstalled": "2"}) as rig:
        await set_limit(rig, 10.0, profile_id=1, stack_level=1, valid_to=soon)
        await set_limit(rig, 12.0, profile_id=2, stack_level=2, starts_at=EPOCH, duration_s=60)
        assert (await install(rig, profile(3, stack_level=3))).verdict is Verdict.REJECTED
        await rig.run_for(61)
        start = RequestStart(TAG, 1, profile=profile(9, Purpose.TX))
        assert (await rig.ask(start)).verdict is Verdict.ACCEPTED
        await set_limit(rig, 14.0, profile_id=3, stack_level=3)
        assert list(rig.stores.profiles.installed) == [3]
        await set_limit(rig, 15.0, profile_id=4, stack_level=4)
        assert (await install(rig, profile(5, stack_level=5))).verdict is Verdict.REJECTED


@pytest.mark.req("R16-265")
async def test_a_full_collection_takes_only_what_replaces_something() -> None:
    async with running(given={"MaxChargingProfilesInstalled": "2"}) as rig:
        await set_limit(rig, 10.0, profile_id=1, stack_level=0)
        await set_limit(rig, 10.0, profile_id=2, stack_level=1)
        refused = await install(rig, profile(3, stack_level=2))
        assert refused.verdict is Verdict.REJECTED
        await set_limit(rig, 10.0, profile_id=3, stack_level=1)
        assert sorted(rig.stores.profiles.installed) == [1, 3]


# --- the transaction -------------------------------------------------------------------------------------


@pytest.mark.req("R16-246", "R16-247", "R16-248", "TC_057_CS", "TC_058_1_CS", "TC_058_2_CS")
async def test_a_profile_of_a_transaction_overrules_the_default_and_ends_with_it() -> None:
    async with running() as rig:
        own = profile(5, Purpose.TX, periods=(SchedulePeriod(0, 20.0),))
        assert (await install(rig, own, (1, 1))).verdict is Verdict.REJECTED, "no transaction"
        await set_limit(rig, 10.0)
        await rig.charge()
        assert (
            await install(rig, profile(5, Purpose.TX, transaction_id="other"), (1, 1))
        ).verdict is Verdict.REJECTED
        assert (await install(rig, own, (0, 0))).verdict is Verdict.REJECTED
        assert (await install(rig, own, (1, 1))).verdict is Verdict.ACCEPTED
        assert offered(rig) == 20.0
        await rig.tap()
        await rig.run_for(5)
        assert list(rig.stores.profiles.installed) == [1]
        await rig.charge("TAG2")
        assert offered(rig) == 10.0


@pytest.mark.req("R16-248")
async def test_a_profile_that_is_written_while_its_transaction_ends_goes_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as rig:
        await rig.charge()
        store = rig.stores.profiles
        write = store.replace

        async def write_slowly(gone: Sequence[int], new: InstalledProfile) -> None:
            await asyncio.sleep(10)
            await write(gone, new)

        monkeypatch.setattr(store, "replace", write_slowly)
        writing = asyncio.create_task(install(rig, profile(5, Purpose.TX), (1, 1)))
        await rig.tap()
        await rig.run_for(5)
        assert rig.stopped
        assert not writing.done()
        await writing
        await rig.run_for(1)
        assert not store.installed
        assert (await rig.ask(ClearProfiles(Selection()))).verdict is Verdict.UNKNOWN


@pytest.mark.req("R16-173", "R16-179", "TC_059_CS")
async def test_the_profile_of_a_remote_start_is_that_of_its_transaction() -> None:
    async with running() as rig:
        given = profile(5, Purpose.TX, kind=ProfileKind.RELATIVE, periods=(SchedulePeriod(0, 14.0),))
        answer = await rig.ask(RequestStart(IdToken("TAG1"), 1, 1, profile=given))
        assert answer.verdict is Verdict.ACCEPTED
        assert not rig.stores.profiles.installed, "there is no transaction yet"
        rig.evse().plug()
        await rig.run_for(3)
        assert offered(rig) == 14.0
        transaction_id = rig.started[-1].transaction_id
        assert rig.stores.profiles.installed[5].profile.transaction_id == transaction_id
        same_level = profile(6, Purpose.TX, periods=(SchedulePeriod(0, 9.0),), transaction_id=transaction_id)
        await install(rig, same_level, (1, 1))
        assert (offered(rig), list(rig.stores.profiles.installed)) == (9.0, [6])
        above = profile(
            7, Purpose.TX, stack_level=1, periods=(SchedulePeriod(0, 11.0),), transaction_id=transaction_id
        )
        await install(rig, above, (1, 1))
        assert (offered(rig), list(rig.stores.profiles.installed)) == (11.0, [6, 7])
        await rig.ask(RequestStop(transaction_id))
        await rig.run_for(5)
        assert not rig.stores.profiles.installed


@pytest.mark.req("R16-178", "TC_060_CS")
async def test_a_remote_start_with_a_profile_that_cannot_be_is_rejected_and_starts_nothing() -> None:
    async with running() as rig:
        rig.evse().plug()
        for wrong in (
            profile(5),
            profile(5, Purpose.TX, transaction_id="t1"),
            profile(5, Purpose.TX, periods=(SchedulePeriod(3, 9.0),)),
        ):
            answer = await rig.ask(RequestStart(IdToken("TAG1"), 1, 1, profile=wrong))
            assert answer.verdict is Verdict.REJECTED
        await rig.run_for(5)
        assert not rig.started


async def test_a_remote_start_that_came_to_nothing_leaves_no_profile_behind() -> None:
    async with running(given={"ConnectionTimeOut": "30"}) as rig:
        given = profile(5, Purpose.TX, periods=(SchedulePeriod(0, 14.0),))
        await rig.ask(RequestStart(IdToken("TAG1"), 1, 1, profile=given))
        await rig.run_for(60)
        await rig.charge()
        assert offered(rig) == 32.0, "the driver came by himself"
        await rig.tap()
        await rig.run_for(2)
        rig.evse().unplug()
        await rig.run_for(2)
        await rig.ask(RequestStart(IdToken("TAG1"), 1, 1))
        rig.evse().plug()
        await rig.run_for(3)
        assert offered(rig) == 32.0, "the next start brought none"


async def test_a_profile_that_came_to_nothing_does_not_turn_up_elsewhere() -> None:
    async with running(fake_hardware(evses=2), given={"ConnectionTimeOut": "30"}) as rig:
        given = profile(5, Purpose.TX, periods=(SchedulePeriod(0, 14.0),))
        await rig.ask(RequestStart(IdToken("TAG1"), 1, 1, profile=given))
        await rig.run_for(60)
        await rig.ask(RequestStart(IdToken("TAG1"), 2, 1))
        rig.evse(2).plug()
        await rig.run_for(3)
        assert offered(rig, 2) == 32.0


async def test_two_remote_starts_of_one_token_have_a_profile_each() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        for evse_id, limit_a in ((1, 11.0), (2, 12.0)):
            given = profile(evse_id, Purpose.TX, periods=(SchedulePeriod(0, limit_a),))
            await rig.ask(RequestStart(IdToken("TAG1"), evse_id, 1, profile=given))
        for evse_id in (2, 1):
            rig.evse(evse_id).plug()
            await rig.run_for(3)
        assert (offered(rig, 1), offered(rig, 2)) == (11.0, 12.0)


async def test_a_profile_follows_a_driver_who_plugs_in_elsewhere() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        given = profile(5, Purpose.TX, periods=(SchedulePeriod(0, 14.0),))
        await rig.ask(RequestStart(IdToken("TAG1"), profile=given))
        rig.evse(2).plug()
        await rig.run_for(3)
        assert rig.started[-1].evse_id == 2
        assert offered(rig, 2) == 14.0


async def test_a_start_that_cannot_be_written_takes_its_profile_with_it() -> None:
    async with running() as rig:
        given = profile(5, Purpose.TX, periods=(SchedulePeriod(0, 14.0),))
        rig.journal.failure = FULL
        await rig.ask(RequestStart(IdToken("TAG1"), 1, 1, profile=given))
        rig.evse().plug()
        await rig.run_for(3)
        assert not rig.stores.profiles.installed


@pytest.mark.req("R16-248", "R16-268", "R16-269")
@pytest.mark.parametrize("resumes", [True, False])
async def test_after_a_power_cut_a_transaction_that_goes_on_keeps_its_profile(resumes: bool) -> None:
    stores = Stores()
    async with running(stores=stores) as rig:
        await rig.charge()
        await install(rig, profile(5, Purpose.TX, periods=(SchedulePeriod(0, 14.0),)), (1, 1))
    given = {"ResumeTransactionAfterPowerLoss": str(resumes).lower()}
    async with running(stores=stores, given=given) as rig:
        assert list(stores.profiles.installed) == ([5] if resumes else [])
        rig.evse().plug()
        await rig.run_for(3)
        assert offered(rig) == (14.0 if resumes else 0.0)


# --- composite schedule ----------------------------------------------------------------------------------


async def composed(rig: Rig, *scope: int, duration_s: int = 600, unit: RateUnit | None = None) -> Any:
    return await rig.ask(ComposeSchedule(scope[0], scope[1], duration_s, unit))


@pytest.mark.req("R16-272", "R16-274", "R16-276")
async def test_what_is_told_is_what_is_offered() -> None:
    async with running() as rig:
        await rig.charge()
        begin = rig.clock.now()
        periods = (SchedulePeriod(0, 20.0), SchedulePeriod(100, 10.0))
        await set_limit(rig, 0, periods=periods, starts_at=begin, duration_s=200)
        told = await composed(rig, 1, 1)
        assert isinstance(told, CompositeSchedule)
        assert (told.evse_id, told.duration_s, told.unit) == (1, 600, RateUnit.AMPERE)
        for period in told.periods:
            at = told.starts_at + timedelta(seconds=period.start_s + 0.5)
            await rig.run_for(max(0.0, (at - rig.clock.now()).total_seconds()))
            assert offered(rig) == period.limit
        assert [period.limit for period in told.periods] == [20.0, 10.0, 32.0]


@pytest.mark.req("R16-274")
async def test_what_cannot_be_told_is_rejected() -> None:
    async with running() as rig:
        for place in ((2, 1), (1, 2), (0, 1)):
            assert (await composed(rig, *place)).verdict is Verdict.REJECTED
        assert (await composed(rig, 1, 1, duration_s=0)).verdict is Verdict.REJECTED
        assert (await composed(rig, 1, 1, duration_s=10**9)).verdict is Verdict.REJECTED
        assert isinstance(await composed(rig, 1, 0), CompositeSchedule)
        assert isinstance(await composed(rig, 0, 0, unit=RateUnit.WATT), CompositeSchedule)


@pytest.mark.req("R16-265", "R16-272", "FIELD-69")
async def test_a_unit_that_is_not_offered_is_neither_taken_nor_told() -> None:
    async with running(given={"ChargingScheduleAllowedChargingRateUnit": "Power"}) as rig:
        assert (await install(rig, profile(1))).verdict is Verdict.REJECTED
        assert (await composed(rig, 1, 1, unit=RateUnit.AMPERE)).verdict is Verdict.REJECTED
        assert (await composed(rig, 1, 1)).unit is RateUnit.WATT
