"""Reservations at work: what holds is on disk, what ended is gone at once, and the right tokens start."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from agent.charging.facts import ReservationEnded, ReservationLapsed, ReservationMade, TokenRefused
from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo, Reservation, ReservationEnd
from agent.charging.requests import (
    Answer,
    CancelReservation,
    ChangeAvailability,
    RequestStart,
    Reserve,
    ReserveVerdict,
    Verdict,
)
from agent.charging.reserving import CLOCK_WAIT_S, LONGEST_WAIT_S
from agent.charging.snapshot import SessionState
from hal.ports import FaultCode
from tests.charging.rig import TAG, Rig, Stores, running
from tests.helpers.fake_hardware import fake_hardware
from tests.helpers.fake_stores import FULL

FAMILY = IdToken("FAMILY")
OF_THE_FAMILY = IdTokenInfo(AuthorizationStatus.ACCEPTED, group=FAMILY)


async def reserve(
    rig: Rig,
    number: int = 17,
    evse_id: int | None = 1,
    token: IdToken = TAG,
    group: IdToken | None = None,
    seconds: float = 600,
    connector_id: int | None = None,
) -> ReserveVerdict:
    expires_at = rig.clock.now() + timedelta(seconds=seconds)
    wanted = Reservation(number, token, group, expires_at, evse_id, connector_id)
    verdict = (await rig.ask(Reserve(wanted))).verdict
    assert isinstance(verdict, ReserveVerdict)
    return verdict


def held(rig: Rig) -> list[int]:
    return [each.reservation_id for each in rig.station.snapshot().reservations]


def on_disk(rig: Rig) -> list[int]:
    return [each.reservation_id for each in rig.stores.reservations.rows]


def ends(rig: Rig) -> list[tuple[int, ReservationEnd]]:
    return [(fact.reservation.reservation_id, fact.end) for fact in rig.told(ReservationEnded)]


@pytest.mark.req("R16-238")
async def test_a_timer_that_comes_a_hair_early_does_not_put_the_end_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as rig:
        await rig.run_for(CLOCK_WAIT_S)
        await reserve(rig, seconds=5)
        exact_now, asked_at = rig.clock.now, 0.0

        def coarse_now() -> datetime:
            """The end falls between the looks at one instant: time passes between them."""
            nonlocal asked_at
            is_first, asked_at = asked_at != rig.clock.time(), rig.clock.time()
            return exact_now() + timedelta(milliseconds=-0.5 if is_first else 0.5)

        monkeypatch.setattr(rig.clock, "now", coarse_now)
        await rig.run_for(5.1)
        assert ends(rig) == [(17, ReservationEnd.EXPIRED)]


# --- the disk ----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-228", "R16-241")
async def test_accepted_means_on_disk_and_it_is_there_after_a_restart() -> None:
    stores = Stores()
    async with running(stores=stores) as rig:
        assert await reserve(rig) is ReserveVerdict.ACCEPTED
        assert on_disk(rig) == [17]
        assert [fact.reservation.reservation_id for fact in rig.told(ReservationMade)] == [17]
        assert rig.shown().reserved_connectors == {1}
    async with running(stores=stores) as rig:
        assert held(rig) == [17]
        rig.evse().plug()
        await rig.tap("TAG2")
        assert not rig.started
        await rig.tap("TAG1")
        assert rig.started[0].reservation_id == 17
        assert (held(rig), on_disk(rig)) == ([], [])
        assert ends(rig) == [(17, ReservationEnd.USED)]


@pytest.mark.req("R16-229")
async def test_the_reservation_of_the_same_id_is_no_obstacle_to_the_one_that_replaces_it() -> None:
    async with running() as rig:
        assert await reserve(rig) is ReserveVerdict.ACCEPTED
        other = IdToken("TAG2")
        assert await reserve(rig, token=other) is ReserveVerdict.ACCEPTED
        assert [each.id_token for each in rig.station.snapshot().reservations] == [other]
        assert [each.id_token for each in rig.stores.reservations.rows] == [other]
        assert await reserve(rig, number=18) is ReserveVerdict.OCCUPIED


@pytest.mark.parametrize("is_replacement", [True, False])
async def test_what_the_disk_does_not_take_is_not_made(is_replacement: bool) -> None:
    async with running(fake_hardware(evses=2)) as rig:
        if is_replacement:
            assert await reserve(rig, evse_id=2) is ReserveVerdict.ACCEPTED
        rig.stores.reservations.failure = FULL
        assert await reserve(rig) is ReserveVerdict.REJECTED
        assert rig.station.snapshot().faults[0].code == "store"
        assert not rig.shown(1).reserved_connectors
        assert not held(rig), "a faulted station keeps no reservation (R16-239)"


async def test_what_ended_leaves_the_disk_as_soon_as_it_can() -> None:
    async with running() as rig:
        await reserve(rig)
        rig.stores.reservations.failure = FULL
        assert await rig.ask(CancelReservation(17)) == Answer(Verdict.ACCEPTED)
        await rig.run_for(30)
        assert (held(rig), on_disk(rig)) == ([], [17])
        rig.stores.reservations.failure = None
        await rig.run_for(61)
        assert on_disk(rig) == []
        assert not rig.station.snapshot().faults


@pytest.mark.req("H01.FR.16", "H04.FR.01")
async def test_a_lapse_is_told_once_it_is_on_the_disk_and_a_cancellation_never() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        await rig.run_for(CLOCK_WAIT_S)
        await reserve(rig, 17, seconds=5)
        await reserve(rig, 18, evse_id=2)
        rig.stores.reservations.failure = FULL
        await rig.ask(CancelReservation(18))
        await rig.run_for(10)
        assert ends(rig) == [(18, ReservationEnd.CANCELED), (17, ReservationEnd.REMOVED)]
        assert not rig.told(ReservationLapsed)
        rig.stores.reservations.failure = None
        await rig.run_for(61)
        assert [fact.reservation_id for fact in rig.told(ReservationLapsed)] == [17]
        assert rig.stores.reservations.lapsed == rig.told(ReservationLapsed)


async def test_two_wishes_at_once_get_one_evse() -> None:
    async with running() as rig:
        verdicts = await asyncio.gather(reserve(rig, 1), reserve(rig, 2))
        assert verdicts == [ReserveVerdict.ACCEPTED, ReserveVerdict.OCCUPIED]
        assert on_disk(rig) == [1]


async def test_a_fault_while_it_is_written_is_no_acceptance() -> None:
    async with running() as rig:
        wish = asyncio.create_task(reserve(rig))
        await asyncio.sleep(0)
        rig.evse().fault(FaultCode.RCD_DC)
        assert await wish is not ReserveVerdict.ACCEPTED
        await rig.run_for()
        assert (held(rig), on_disk(rig)) == ([], [])


# --- time --------------------------------------------------------------------------------------------------


@pytest.mark.req("R16-238")
async def test_it_ends_at_its_time_to_the_second() -> None:
    async with running() as rig:
        await reserve(rig, seconds=95)
        await rig.run_for(94.9)
        assert held(rig) == [17]
        await rig.run_for(0.2)
        assert (held(rig), on_disk(rig)) == ([], [])
        assert ends(rig) == [(17, ReservationEnd.EXPIRED)]


@pytest.mark.req("R16-238")
async def test_a_clock_that_is_set_forward_ends_it_soon() -> None:
    async with running() as rig:
        await reserve(rig, seconds=3600)
        rig.clock.synchronize(rig.clock.now() + timedelta(hours=2))
        await rig.run_for(LONGEST_WAIT_S + 1)
        assert not held(rig)


@pytest.mark.req("R16-238", "R16-241")
@pytest.mark.parametrize("is_online", [True, False])
async def test_after_a_start_nothing_expires_by_a_clock_that_nobody_confirmed(is_online: bool) -> None:
    stores = Stores()
    async with running(stores=stores) as rig:
        await reserve(rig, seconds=600)
        now = rig.clock.now()
    async with running(stores=stores, is_online=False) as rig:
        right = rig.clock.now() + timedelta(days=1)
        stores.reservations.rows = tuple(
            replace(each, expires_at=right - timedelta(hours=1)) for each in stores.reservations.rows
        )
    async with running(stores=stores, is_online=False) as rig:
        rig.clock.synchronize(right)
        assert held(rig) == [17]
        if is_online:
            rig.station.on_online(True)
            assert not held(rig)
        else:
            await rig.run_for(CLOCK_WAIT_S - 10)
            assert held(rig) == [17]
            await rig.run_for(10 + LONGEST_WAIT_S)
            assert not held(rig)
    assert now < right


@pytest.mark.req("R16-237", "R16-238")
@pytest.mark.parametrize("plugs_in", [True, False])
async def test_a_driver_who_identified_in_time_is_not_turned_away(plugs_in: bool) -> None:
    async with running(given={"ConnectionTimeOut": "100"}) as rig:
        await reserve(rig, seconds=30)
        await rig.tap("TAG1")
        await rig.run_for(60)
        assert held(rig) == [17]
        if plugs_in:
            rig.evse().plug()
            await rig.run_for(5)
            assert rig.started[0].reservation_id == 17
        else:
            await rig.run_for(60)
            assert ends(rig) == [(17, ReservationEnd.EXPIRED)]
        assert not held(rig)


# --- who starts --------------------------------------------------------------------------------------------


@pytest.mark.req("R16-235")
async def test_a_stranger_at_a_reserved_evse_sees_why() -> None:
    async with running() as rig:
        await reserve(rig)
        await rig.tap("TAG2")
        assert [fact.reason for fact in rig.told(TokenRefused)] == ["reserved"]
        assert not rig.authorizer.asked


@pytest.mark.req("R16-236")
async def test_a_known_token_without_a_group_is_asked_for_where_a_group_is_expected() -> None:
    async with running(given={"LocalPreAuthorize": "true"}) as rig:
        rig.stores.tokens.known["tag2"] = IdTokenInfo(AuthorizationStatus.ACCEPTED)
        rig.stores.tokens.known["tag3"] = OF_THE_FAMILY
        await reserve(rig, group=FAMILY)
        rig.evse().plug()
        await rig.tap("TAG2")
        assert [token.value for token in rig.authorizer.asked] == ["TAG2"]
        assert rig.told(TokenRefused)[-1].reason == "reserved"
        await rig.tap("TAG3")
        assert len(rig.authorizer.asked) == 1
        assert rig.started[0].reservation_id == 17


@pytest.mark.req("R16-236")
async def test_nobody_answers_about_the_group_so_it_is_not_theirs() -> None:
    async with running(given={"LocalPreAuthorize": "true"}) as rig:
        rig.stores.tokens.known["tag2"] = IdTokenInfo(AuthorizationStatus.ACCEPTED)
        rig.authorizer.answers["TAG2"] = None
        await reserve(rig, group=FAMILY)
        await rig.tap("TAG2")
        assert rig.told(TokenRefused)[-1].reason == "reserved"


@pytest.mark.req("R16-235", "R16-236")
async def test_the_group_decides_at_which_evse_a_token_of_a_shared_reader_starts() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        await reserve(rig, evse_id=2, group=FAMILY)
        rig.evse(2).plug()
        rig.authorizer.answers["TAG2"] = OF_THE_FAMILY
        await rig.tap("TAG3")  # looks as if it meant the cable in 2, and is not of the family
        assert rig.shown(1).session is SessionState.AUTHORIZED
        await rig.tap("TAG2")
        assert [(each.evse_id, each.reservation_id) for each in rig.started] == [(2, 17)]


@pytest.mark.req("R16-235", "R16-065")
async def test_a_driver_who_waits_elsewhere_cannot_move_to_a_reserved_evse() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        await rig.tap("TAG2")
        await reserve(rig, evse_id=2)
        rig.evse(2).plug()
        await rig.run_for(5)
        assert not rig.started
        rig.evse(1).plug()
        await rig.run_for(5)
        assert [(each.evse_id, each.reservation_id) for each in rig.started] == [(1, None)]


@pytest.mark.req("R16-110", "R16-234")
async def test_a_floating_reservation_moves_with_its_driver() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        await reserve(rig, evse_id=None)
        await rig.tap("TAG1")
        assert rig.shown(1).session is SessionState.AUTHORIZED
        rig.evse(2).plug()
        await rig.run_for(5)
        assert [(each.evse_id, each.reservation_id) for each in rig.started] == [(2, 17)]
        assert not held(rig)


@pytest.mark.req("R16-235", "R16-236", "R16-171")
@pytest.mark.parametrize("is_authorized", [True, False])
async def test_a_remote_start_for_the_group_finds_out_who_it_is(is_authorized: bool) -> None:
    async with running(given={"AuthorizeRemoteTxRequests": str(is_authorized).lower()}) as rig:
        await reserve(rig, group=FAMILY)
        rig.authorizer.answers["TAG2"] = OF_THE_FAMILY
        rig.evse().plug()
        await rig.run_for()
        for name, starts in (("TAG3", 0), ("TAG2", 1)):
            assert await rig.ask(RequestStart(IdToken(name), 1)) == Answer(Verdict.ACCEPTED)
            await rig.run_for(5)
            assert len(rig.started) == starts
        assert rig.started[0].reservation_id == 17


@pytest.mark.req("R16-174", "R16-235")
async def test_a_remote_start_anywhere_goes_to_the_own_reservation_and_never_to_another() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        await reserve(rig, 1, evse_id=1, token=IdToken("TAG1"))
        await reserve(rig, 2, evse_id=2, token=IdToken("TAG2"))
        assert (await rig.ask(RequestStart(IdToken("TAG3")))).verdict is Verdict.REJECTED
        assert (await rig.ask(RequestStart(IdToken("TAG2")))).verdict is Verdict.ACCEPTED
        await rig.run_for(5)
        assert rig.shown(2).session is SessionState.AUTHORIZED


@pytest.mark.req("R16-240", "R16-110")
@pytest.mark.parametrize("is_replaced", [True, False])
async def test_a_claim_on_what_no_longer_holds_is_not_told(is_replaced: bool) -> None:
    async with running(fake_hardware(evses=2)) as rig:
        await reserve(rig)
        await rig.tap("TAG1")
        if is_replaced:
            assert await reserve(rig, evse_id=2, token=IdToken("TAG2")) is ReserveVerdict.ACCEPTED
        else:
            await rig.ask(CancelReservation(17))
        rig.evse(1).plug()
        await rig.run_for(5)
        assert [each.reservation_id for each in rig.started] == [None]
        assert held(rig) == ([17] if is_replaced else [])


@pytest.mark.req("R16-110")
async def test_a_start_that_fails_gives_the_reservation_back() -> None:
    async with running() as rig:
        await reserve(rig)
        await rig.tap("TAG1")
        rig.clock.is_trusted = False
        rig.evse().plug()
        await rig.run_for(5)
        assert not rig.started
        assert (held(rig), rig.shown().reserved_connectors) == ([17], {1})
        rig.clock.is_trusted = True
        await rig.tap("TAG1")
        assert rig.started[0].reservation_id == 17


# --- the rest ----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-239")
async def test_nobody_sees_an_ended_reservation_beside_what_ended_it() -> None:
    async with running() as rig:
        await reserve(rig, evse_id=None)
        seen: list[tuple[bool, bool]] = []
        rig.station.subscribe(
            lambda _fact: seen.append((bool(held(rig)), bool(rig.shown().reserved_connectors)))
        )
        await rig.ask(ChangeAvailability(0, 0, operative=False))
        await rig.run_for()
        assert seen
        assert set(seen) == {(False, False)}


@pytest.mark.req("R16-240")
async def test_what_is_not_held_cannot_be_cancelled() -> None:
    async with running() as rig:
        assert (await rig.ask(CancelReservation(17))).verdict is Verdict.REJECTED


@pytest.mark.req("R16-233")
async def test_without_the_setting_a_reservation_has_to_name_its_evse() -> None:
    async with running(given={"ReserveConnectorZeroSupported": "false"}) as rig:
        assert await reserve(rig, evse_id=None) is ReserveVerdict.REJECTED
        assert await reserve(rig) is ReserveVerdict.ACCEPTED


@pytest.mark.req("R16-241")
async def test_a_reservation_of_an_evse_that_is_no_longer_there_ends() -> None:
    stores = Stores()
    async with running(fake_hardware(evses=2), stores) as rig:
        await reserve(rig, evse_id=2)
    async with running(stores=stores) as rig:
        await rig.run_for()
        assert (held(rig), on_disk(rig)) == ([], [])


@pytest.mark.req("F01.FR.21", "F01.FR.22", "F02.FR.23", "F02.FR.24")
@pytest.mark.parametrize("is_authorized", ["true", "false"])
async def test_a_remote_start_that_names_the_group_is_judged_by_it(is_authorized: str) -> None:
    """Also where the answer to Authorize names none: what the request said stands."""
    async with running(given={"AuthorizeRemoteTxRequests": is_authorized}) as rig:
        assert await reserve(rig, group=FAMILY) is ReserveVerdict.ACCEPTED
        rig.evse().plug()
        stranger = await rig.ask(RequestStart(IdToken("TAG2"), 1, group=IdToken("OTHERS")))
        assert stranger == Answer(Verdict.REJECTED, "reserved")
        cousin = await rig.ask(RequestStart(IdToken("TAG2"), 1, group=FAMILY))
        assert cousin.verdict is Verdict.ACCEPTED
        await rig.run_for()
        assert [started.reservation_id for started in rig.started] == [17]


@pytest.mark.req("F01.FR.22")
async def test_a_group_that_the_answer_to_authorize_names_beats_the_one_of_the_request() -> None:
    async with running(given={"AuthorizeRemoteTxRequests": "true"}) as rig:
        await reserve(rig, group=FAMILY)
        rig.authorizer.answers["TAG2"] = IdTokenInfo(AuthorizationStatus.ACCEPTED, group=IdToken("OTHERS"))
        rig.evse().plug()
        assert (await rig.ask(RequestStart(IdToken("TAG2"), 1, group=FAMILY))).verdict is Verdict.ACCEPTED
        await rig.run_for(5)
        assert not rig.started
        assert held(rig) == [17]
