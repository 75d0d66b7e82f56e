"""Reservations as rules: every verdict, who fits where, and that no promise is ever broken (OCPP 1.6 5.13)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.charging.ids import IdToken, Reservation, ReservationEnd
from agent.charging.requests import ReserveVerdict
from agent.charging.reservation import (
    NO_SUCH_TYPE,
    Driver,
    Fit,
    Scene,
    claim,
    ended,
    fit,
    judge_wish,
    needs_group,
    reserved_connectors,
)
from agent.charging.session_values import Phase, Session
from agent.charging.snapshot import SessionState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FREE = Session()
PLUGGED = Session(stage=SessionState.PLUGGED, plugged=True)
ASKING = Session(stage=SessionState.AUTHORIZING, checking=IdToken("X"))
CHARGING = Session(stage=SessionState.CHARGING, phase=Phase.OPEN, plugged=True)
FAULTED = Session(stopping_faults=frozenset({"rcd_dc"}))
OUT = Session(operative=False)
LOCKED = Session(stage=SessionState.FINISHING, lock_held=True)


def reservation(
    number: int = 1, evse_id: int | None = 1, connector_id: int | None = None, group: str | None = None
) -> Reservation:
    parent = None if group is None else IdToken(group)
    return Reservation(
        number, IdToken(f"TAG{number}"), parent, NOW + timedelta(hours=1), evse_id, connector_id
    )


def scene(*sessions: Session, held: tuple[Reservation, ...] = (), **changes: object) -> Scene:
    return replace(Scene(held, dict(enumerate(sessions, start=1))), **changes)  # type: ignore[arg-type]


# --- making one --------------------------------------------------------------------------------------------

ACCEPTED, FAULT, OCCUPIED, REJECTED, UNAVAILABLE = (
    ReserveVerdict.ACCEPTED,
    ReserveVerdict.FAULTED,
    ReserveVerdict.OCCUPIED,
    ReserveVerdict.REJECTED,
    ReserveVerdict.UNAVAILABLE,
)


@pytest.mark.req("R16-228", "R16-230", "R16-231", "R16-242")
@pytest.mark.parametrize(
    ("session", "verdict"),
    [
        (FREE, ACCEPTED),
        (PLUGGED, OCCUPIED),
        (ASKING, OCCUPIED),
        (CHARGING, OCCUPIED),
        (LOCKED, OCCUPIED),
        (FAULTED, FAULT),
        (OUT, UNAVAILABLE),
        (replace(FAULTED, operative=False), FAULT),
        (replace(CHARGING, stopping_faults=frozenset({"tilt"})), FAULT),
    ],
)
def test_verdict_on_one_evse(session: Session, verdict: ReserveVerdict) -> None:
    assert judge_wish(scene(session), reservation(), NOW).verdict is verdict


@pytest.mark.req("R16-230", "R16-231", "R16-234")
@pytest.mark.parametrize(
    ("sessions", "verdict"),
    [
        ((FREE, CHARGING), ACCEPTED),
        ((ASKING, CHARGING), ACCEPTED),
        ((CHARGING, PLUGGED), OCCUPIED),
        ((CHARGING, FAULTED), OCCUPIED),
        ((FAULTED, FAULTED), FAULT),
        ((OUT, OUT), UNAVAILABLE),
        ((OUT, FAULTED), UNAVAILABLE),
    ],
)
def test_verdict_on_any_evse(sessions: tuple[Session, ...], verdict: ReserveVerdict) -> None:
    assert judge_wish(scene(*sessions), reservation(evse_id=None), NOW).verdict is verdict


@pytest.mark.req("R16-231", "R16-241", "R16-242")
def test_other_reasons_to_refuse() -> None:
    for wanted in (reservation(), reservation(evse_id=None)):
        assert judge_wish(scene(FREE, is_station_faulted=True), wanted, NOW).verdict is FAULT
        assert judge_wish(scene(FREE), wanted, wanted.expires_at).verdict is REJECTED
    assert (
        judge_wish(scene(FREE, is_station_operative=False), reservation(evse_id=None), NOW).verdict
        is UNAVAILABLE
    )
    assert judge_wish(scene(FREE, is_station_operative=False), reservation(), NOW).verdict is ACCEPTED
    assert judge_wish(scene(FREE), reservation(evse_id=2), NOW).verdict is REJECTED
    inoperative = frozenset({(1, 2)})
    two = scene(FREE, inoperative=inoperative)
    assert judge_wish(two, reservation(connector_id=2), NOW).verdict is UNAVAILABLE
    assert judge_wish(two, reservation(connector_id=1), NOW).verdict is ACCEPTED


@pytest.mark.req("R16-230", "R16-234")
def test_a_named_reservation_leaves_the_floating_ones_their_evse() -> None:
    held = (reservation(9, None),)
    assert judge_wish(scene(FREE, FREE, held=held), reservation(), NOW).verdict is ACCEPTED
    assert judge_wish(scene(FREE, CHARGING, held=held), reservation(), NOW).verdict is OCCUPIED
    assert (
        judge_wish(scene(FREE, FREE, held=(*held, reservation())), reservation(3, 2), NOW).verdict is OCCUPIED
    )


# --- who may start -----------------------------------------------------------------------------------------


@pytest.mark.req("R16-235", "R16-236")
def test_fit_at_a_named_reservation() -> None:
    mine, group = reservation(), reservation(group="FAMILY")
    for held, driver, expected in (
        (mine, Driver(IdToken("tag1")), Fit.OWN),
        (mine, Driver(IdToken("TAG2")), Fit.CLOSED),
        (mine, Driver(IdToken("TAG2"), IdToken("TAG1"), True), Fit.CLOSED),
        (group, Driver(IdToken("TAG2")), Fit.PERHAPS),
        (group, Driver(IdToken("TAG2"), None, True), Fit.CLOSED),
        (group, Driver(IdToken("TAG2"), IdToken("family"), True), Fit.OWN),
        (group, Driver(IdToken("FAMILY"), None, True), Fit.CLOSED),
    ):
        assert fit(scene(FREE, FREE, held=(held,)), 1, driver) is expected, (held, driver)
        assert fit(scene(FREE, FREE, held=(held,)), 2, driver) is Fit.OPEN


@pytest.mark.req("R16-235")
def test_a_reservation_of_a_connector_is_used_there_only() -> None:
    held, driver = (reservation(connector_id=2),), Driver(IdToken("TAG1"))
    assert fit(scene(FREE, held=held), 1, driver) is Fit.OWN
    assert fit(scene(FREE, held=held), 1, driver, connector_id=2) is Fit.OWN
    assert fit(scene(FREE, held=held), 1, driver, connector_id=1) is Fit.CLOSED
    for connector_id, expected in ((1, Fit.CLOSED), (2, Fit.OWN)):
        here = scene(replace(PLUGGED, connector_id=connector_id), held=held)
        assert fit(here, 1, driver) is expected
        assert (claim(here, 1, driver) is None) is (expected is Fit.CLOSED)


@pytest.mark.req("R16-234", "R16-235")
def test_fit_where_a_floating_reservation_needs_what_is_left() -> None:
    held = (reservation(evse_id=None, group="FAMILY"),)
    stranger, owner = Driver(IdToken("X"), None, True), Driver(IdToken("TAG1"))
    for sessions, at_first, at_second in (
        ((FREE, FREE), Fit.OPEN, Fit.OPEN),
        ((FREE, CHARGING), Fit.CLOSED, Fit.OPEN),
        ((PLUGGED, FREE), Fit.OPEN, Fit.CLOSED),
        ((PLUGGED, FAULTED), Fit.CLOSED, Fit.CLOSED),
        ((ASKING, FREE), Fit.OPEN, Fit.OPEN),
    ):
        here = scene(*sessions, held=held)
        assert [fit(here, evse_id, stranger) for evse_id in (1, 2)] == [at_first, at_second], sessions
        assert fit(here, 1, owner) is Fit.OPEN
    assert fit(scene(FREE, held=held), 1, Driver(IdToken("X"))) is Fit.PERHAPS


@pytest.mark.req("R16-110", "R16-237")
def test_a_start_claims_the_named_reservation_before_a_floating_one_and_that_before_a_later_one() -> None:
    token = IdToken("TAG1")
    named = reservation()
    later = replace(reservation(2, None), id_token=token, expires_at=NOW + timedelta(hours=5))
    sooner = replace(later, reservation_id=3, expires_at=NOW + timedelta(hours=2))
    here = scene(FREE, FREE, held=(later, sooner, named))
    assert claim(here, 1, Driver(token)) == named
    assert claim(here, 2, Driver(token)) == sooner
    assert claim(here, 1, Driver(IdToken("X"))) is None


@pytest.mark.req("R16-236")
def test_when_the_group_has_to_be_asked_for() -> None:
    other, mine = IdToken("X"), IdToken("TAG1")
    for held, token, expected in (
        (reservation(group="P"), other, True),
        (reservation(group="P"), mine, False),
        (reservation(), other, False),
        (reservation(evse_id=2, group="P"), other, False),
        (reservation(evse_id=None, group="P"), other, True),
    ):
        assert needs_group(scene(FREE, FREE, held=(held,)), 1, token) is expected, (held, token)


def test_a_claimed_reservation_keeps_nobody_out_and_does_not_expire() -> None:
    held = reservation(evse_id=None)
    waiting = Session(stage=SessionState.AUTHORIZED, id_token=IdToken("TAG1"), reservation=held)
    here = scene(waiting, FREE, held=(held,))
    assert fit(here, 2, Driver(IdToken("X"))) is Fit.OPEN
    assert not ended(here, held.expires_at + timedelta(days=1))
    assert fit(
        scene(waiting, FREE, held=(replace(held, group=IdToken("P")),)), 2, Driver(IdToken("X"))
    ) is not (Fit.OPEN), "a replaced reservation is nobody's claim"


# --- what is shown -----------------------------------------------------------------------------------------


@pytest.mark.req("R16-228", "R16-234", "R16-237")
def test_which_connectors_show_as_reserved() -> None:
    both = frozenset({1, 2})
    for session in (FREE, PLUGGED, ASKING):
        assert reserved_connectors(scene(session, held=(reservation(connector_id=2),)), 1, 2) == {2}
        assert reserved_connectors(scene(session, held=(reservation(),)), 1, 2) == both
        assert reserved_connectors(scene(session, held=(reservation(evse_id=None),)), 1, 2) == both
        assert not reserved_connectors(scene(session, FREE, held=(reservation(evse_id=2),)), 1, 2)
    for session in (CHARGING, LOCKED, FAULTED, OUT):
        assert not reserved_connectors(scene(session, held=(reservation(evse_id=None),)), 1, 2)
    held = reservation()
    claimed = Session(stage=SessionState.AUTHORIZED, reservation=held)
    assert not reserved_connectors(scene(claimed, held=(held,)), 1, 2)


# --- the end -----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-238", "R16-239")
@pytest.mark.parametrize(
    ("place", "held", "end"),
    [
        (scene(FREE), reservation(), None),
        (scene(FAULTED), reservation(), ReservationEnd.REMOVED),
        (scene(OUT), reservation(), ReservationEnd.REMOVED),
        (scene(FREE, inoperative=frozenset({(1, 2)})), reservation(connector_id=1), None),
        (scene(FREE, inoperative=frozenset({(1, 2)})), reservation(connector_id=2), ReservationEnd.REMOVED),
        (scene(FREE, FAULTED), reservation(), None),
        (scene(FREE), reservation(evse_id=7), ReservationEnd.REMOVED),
        (scene(FREE, is_station_faulted=True), reservation(), ReservationEnd.REMOVED),
        (scene(FREE, is_station_faulted=True), reservation(evse_id=None), ReservationEnd.REMOVED),
        (scene(FREE, is_station_operative=False), reservation(), None),
        (scene(FREE, is_station_operative=False), reservation(evse_id=None), ReservationEnd.REMOVED),
        (scene(FREE, FAULTED), reservation(evse_id=None), None),
        (scene(CHARGING, FAULTED), reservation(evse_id=None), None),
        (scene(OUT, FAULTED), reservation(evse_id=None), ReservationEnd.REMOVED),
    ],
)
def test_what_ends_a_reservation(place: Scene, held: Reservation, end: ReservationEnd | None) -> None:
    assert ended(replace(place, held=(held,)), NOW) == ([] if end is None else [(held, end)])


@pytest.mark.req("R16-238")
def test_the_end_comes_exactly_at_its_time_and_not_before_the_time_is_known() -> None:
    held = reservation()
    here = scene(FREE, held=(held,))
    assert not ended(here, held.expires_at - timedelta(microseconds=1))
    assert ended(here, held.expires_at) == [(held, ReservationEnd.EXPIRED)]
    assert not ended(here, None)


@pytest.mark.req("R16-239")
def test_of_more_floating_reservations_than_evses_the_last_one_goes() -> None:
    first, last = reservation(1, None), reservation(2, None)
    assert ended(scene(FREE, FAULTED, held=(first, last)), NOW) == [(last, ReservationEnd.REMOVED)]
    named = reservation(3, 2)
    assert ended(scene(FREE, FREE, held=(named, first, last)), NOW) == [(last, ReservationEnd.REMOVED)]


# --- connector types ---------------------------------------------------------------------------------------

SOCKET_AND_CABLE = {1: frozenset({"sType2"}), 2: frozenset({"cType2"})}


def typed(number: int, connector_type: str, evse_id: int | None = None) -> Reservation:
    return replace(reservation(number, evse_id), connector_type=connector_type)


@pytest.mark.req("H01.FR.06", "H01.FR.11", "H01.FR.12", "H01.FR.14", "TC_H_15_CS", "TC_H_16_CS")
@pytest.mark.parametrize(
    ("sessions", "held", "verdict"),
    [
        ((FREE, FREE), (), ACCEPTED),
        ((CHARGING, FREE), (), OCCUPIED),
        ((FAULTED, FREE), (), FAULT),
        ((OUT, FREE), (), UNAVAILABLE),
        ((FREE, FREE), (typed(9, "sType2"),), OCCUPIED),
        ((FREE, FREE), (typed(9, "cType2"),), ACCEPTED),
        ((FREE, FREE), (reservation(9, None),), ACCEPTED),
        ((FREE, CHARGING), (reservation(9, None),), OCCUPIED),
        ((FREE, FREE), (reservation(9, 1),), OCCUPIED),
    ],
)
def test_verdict_on_a_connector_type(
    sessions: tuple[Session, ...], held: tuple[Reservation, ...], verdict: ReserveVerdict
) -> None:
    here = scene(*sessions, held=held, types=SOCKET_AND_CABLE)
    assert judge_wish(here, typed(1, "sType2"), NOW).verdict is verdict


def test_a_type_that_nobody_has_is_refused_and_one_that_is_not_known_yet_is_not() -> None:
    for evse_id in (None, 1):
        here = scene(FREE, FREE, types=SOCKET_AND_CABLE)
        answer = judge_wish(here, typed(1, "cCCS2", evse_id), NOW)
        assert (answer.verdict, answer.reason) == (REJECTED, NO_SUCH_TYPE)
        assert judge_wish(scene(FREE, FREE), typed(1, "cCCS2", evse_id), NOW).verdict is ACCEPTED
    assert judge_wish(scene(FREE, FREE, types=SOCKET_AND_CABLE), typed(1, "cType2", 2), NOW).verdict is (
        ACCEPTED
    )


@pytest.mark.req("H01.FR.07", "H01.FR.09", "H01.FR.24", "H03.FR.02", "H03.FR.05")
def test_the_last_evse_of_a_type_is_kept_for_whoever_reserved_the_type() -> None:
    mine = typed(1, "sType2")
    here = scene(FREE, FREE, held=(mine,), types=SOCKET_AND_CABLE)
    owner, stranger = Driver(IdToken("TAG1")), Driver(IdToken("X"), None, True)
    assert [fit(here, evse_id, stranger) for evse_id in (1, 2)] == [Fit.CLOSED, Fit.OPEN]
    assert [fit(here, evse_id, owner) for evse_id in (1, 2)] == [Fit.OPEN, Fit.OPEN]
    assert [claim(here, evse_id, owner) for evse_id in (1, 2)] == [mine, None]
    assert [bool(reserved_connectors(here, evse_id, 1)) for evse_id in (1, 2)] == [True, False]
    family = replace(here, held=(replace(mine, group=IdToken("FAMILY")),))
    assert fit(family, 1, Driver(IdToken("Y"))) is Fit.PERHAPS
    assert fit(family, 1, Driver(IdToken("Y"), IdToken("FAMILY"), True)) is Fit.OPEN


@pytest.mark.req("H01.FR.09")
def test_who_may_choose_leaves_the_other_one_the_type_that_he_reserved() -> None:
    anything, socket = reservation(1, None), typed(2, "sType2")
    here = scene(FREE, FREE, held=(anything, socket), types=SOCKET_AND_CABLE)
    first, second = Driver(IdToken("TAG1")), Driver(IdToken("TAG2"))
    assert [fit(here, evse_id, first) for evse_id in (1, 2)] == [Fit.CLOSED, Fit.OPEN]
    assert [fit(here, evse_id, second) for evse_id in (1, 2)] == [Fit.OPEN, Fit.CLOSED]


def test_a_type_whose_last_evse_fell_out_is_given_up_and_not_another_reservation() -> None:
    socket, cable = typed(1, "sType2"), typed(2, "cType2")
    here = scene(FAULTED, FREE, held=(socket, cable), types=SOCKET_AND_CABLE)
    assert ended(here, NOW) == [(socket, ReservationEnd.REMOVED)]


# --- no promise is broken ----------------------------------------------------------------------------------


class Promises(RuleBasedStateMachine):
    """Strangers start wherever the rules let them; whoever holds a reservation can always start."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = dict.fromkeys((1, 2, 3), FREE)
        self.held: list[Reservation] = []
        self.number = 0

    @property
    def scene(self) -> Scene:
        types = {1: frozenset({"socket"}), 2: frozenset({"cable"}), 3: frozenset({"cable"})}
        return Scene(tuple(self.held), self.sessions, types=types)

    @rule(evse_id=st.sampled_from([None, 1, 2, 3]), connector_type=st.sampled_from([None, "socket", "cable"]))
    def reserve(self, evse_id: int | None, connector_type: str | None) -> None:
        self.number += 1
        wanted = replace(reservation(self.number, evse_id), connector_type=connector_type)
        if judge_wish(self.scene, wanted, NOW).verdict is ACCEPTED:
            self.held.append(wanted)

    @rule(evse_id=st.sampled_from([1, 2, 3]))
    def stranger(self, evse_id: int) -> None:
        if (
            self.sessions[evse_id] == FREE
            and fit(self.scene, evse_id, Driver(IdToken("X"))) is not Fit.CLOSED
        ):
            self.sessions[evse_id] = CHARGING

    @precondition(lambda self: self.held)
    @rule(choice=st.integers(0, 99), evse_id=st.sampled_from([1, 2, 3]))
    def holder(self, choice: int, evse_id: int) -> None:
        mine = self.held[choice % len(self.held)]
        driver = Driver(mine.id_token)
        if self.sessions[evse_id] == FREE and fit(self.scene, evse_id, driver) is not Fit.CLOSED:
            used = claim(self.scene, evse_id, driver)
            self.sessions[evse_id] = CHARGING
            if used is not None:
                self.held.remove(used)

    @rule(evse_id=st.sampled_from([1, 2, 3]))
    def leave(self, evse_id: int) -> None:
        self.sessions[evse_id] = FREE

    @invariant()
    def everybody_with_a_reservation_can_start(self) -> None:
        for mine in self.held:
            places = [
                evse_id
                for evse_id, session in self.sessions.items()
                if session == FREE and claim(self.scene, evse_id, Driver(mine.id_token)) == mine
            ]
            assert places, (self.held, self.sessions)
        floating = [each for each in self.held if each.evse_id is None]
        named = {each.evse_id for each in self.held}
        free = [each for each, session in self.sessions.items() if session == FREE and each not in named]
        assert len(floating) <= len(free)

    @invariant()
    def nothing_ends_without_a_reason(self) -> None:
        assert not ended(self.scene, NOW)


TestPromises = Promises.TestCase
TestPromises.settings = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
TestPromises.pytestmark = [pytest.mark.req("R16-234", "R16-235")]
