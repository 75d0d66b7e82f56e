"""Every combination of start and stop points: when a transaction begins and ends, and what is told in between."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, combinations

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent.charging import actions, events
from agent.charging.facts import TransactionStarted, TransactionStopped, TransactionUpdated
from agent.charging.ids import ChargingState, IdToken, StopReason, TriggerReason
from agent.charging.session_values import POINT_NEEDS, Phase, Policy
from agent.charging.snapshot import SessionState
from tests.charging.session_play import TAG, Play

START_POINTS = ("EVConnected", "Authorized", "DataSigned", "PowerPathClosed", "EnergyTransfer")
STOP_POINTS = ("EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer")
STRANGER = IdToken("TAG2")
C, S, T = ChargingState, StopReason, TriggerReason


def some_of(points: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return chain.from_iterable(combinations(points, count) for count in range(1, len(points) + 1))


def policy(start: tuple[str, ...] | str, stop: tuple[str, ...] | str, **more: object) -> Policy:
    as_points = [(points,) if isinstance(points, str) else points for points in (start, stop)]
    base = Policy(grants_energy_first=False, awaits_lost_ev=True)
    return replace(base, start_points=as_points[0], stop_points=as_points[1], **more)  # type: ignore[arg-type]


# --- the matrix ------------------------------------------------------------------------------------------

STARTS = {
    "cable first": {
        "EVConnected": "plug",
        "Authorized": "token",
        "DataSigned": "token",
        "PowerPathClosed": "token",
        "EnergyTransfer": "energy",
    },
    "id first": {
        "Authorized": "token",
        "EVConnected": "plug",
        "DataSigned": "plug",
        "PowerPathClosed": "plug",
        "EnergyTransfer": "energy",
    },
}
"""The step at which each start point is reached (2.0.1 E01.FR.02 to .06)."""
STEPS = {"cable first": ("plug", "token", "energy"), "id first": ("token", "plug", "energy")}


def expected_start(order: str, points: tuple[str, ...]) -> tuple[str, TriggerReason]:
    """The first point that is reached counts; a trigger of its own has only what is reached alone."""
    reached = {step: [point for point in points if STARTS[order][point] == step] for step in STEPS[order]}
    step = next(step for step in STEPS[order] if reached[step])
    match reached[step]:
        case ["DataSigned"]:
            return step, T.SIGNED_DATA_RECEIVED
        case ["EnergyTransfer"]:
            return step, T.CHARGING_STATE_CHANGED
        case _:
            return step, {"plug": T.CABLE_PLUGGED_IN, "token": T.AUTHORIZED}[step]


def expected_end(way: str, points: tuple[str, ...]) -> tuple[str, TriggerReason, StopReason]:
    """2.0.1 E06: the first of the points that is no longer given."""
    ends_without_driver = any(point != "EVConnected" for point in points)
    match way:
        case "token" if ends_without_driver:
            return "stop", T.STOP_AUTHORIZED, S.LOCAL
        case "token":
            return "unplug", T.EV_COMMUNICATION_LOST, S.LOCAL
        case "remote" if ends_without_driver:
            return "stop", T.REMOTE_STOP, S.REMOTE
        case "remote":
            return "unplug", T.EV_COMMUNICATION_LOST, S.REMOTE
        case "pause" if "EnergyTransfer" in points:
            return "pause", T.CHARGING_STATE_CHANGED, S.STOPPED_BY_EV
        case _:
            return "unplug", T.EV_COMMUNICATION_LOST, S.EV_DISCONNECTED


@pytest.mark.req(
    "E01.FR.02", "E01.FR.03", "E01.FR.04", "E01.FR.05", "E01.FR.06", "E06.FR.02", "E06.FR.03", "E06.FR.06",
    "E06.FR.07", "E03.FR.01", "E02.FR.20", "F03.FR.02", "F03.FR.03",
)  # fmt: skip
@pytest.mark.parametrize("way", ["token", "remote", "pause", "unplug"])
@pytest.mark.parametrize("order", STARTS)
def test_a_transaction_begins_at_the_first_start_point_and_ends_at_the_first_stop_point(
    order: str, way: str
) -> None:
    ends: dict[str, Callable[[Play], None]] = {
        "token": Play.stop,
        "remote": Play.stop_remotely,
        "pause": Play.pause,
        "unplug": lambda _play: None,
    }
    for start in some_of(START_POINTS):
        for stop in some_of(STOP_POINTS):
            play = Play(policy(start, stop), locked=False)
            for each in ("plug", "token") if order == "cable first" else ("token", "plug"):
                play.plug() if each == "plug" else play.identify()
            play.lock()
            play.charge()
            assert play.permitted, (start, stop)
            assert play.state is C.CHARGING, (start, stop)
            ends[way](play)
            play.unplug()
            begin, end = play.told[0], play.told[-1]
            assert begin[1:3] == ("Started", expected_start(order, start)[1]), (start, stop)
            step = expected_start(order, start)[0]
            assert begin[0] in (step, "token", "plug") if step != "energy" else begin[0] == step, (
                start,
                stop,
            )
            step, trigger, reason = expected_end(way, stop)
            assert (end[0], end[1], end[2], end[4]) == (step, "Ended", trigger, reason), (start, stop)
            assert end[3] is (C.IDLE if step == "unplug" else C.EV_CONNECTED), (start, stop)
            check_books(play)
            assert not play.permitted


def check_books(play: Play) -> None:
    """One start, one end, numbers without gaps; who, where and each state told exactly once."""
    facts = play.facts
    assert [fact.seq_no for fact in facts] == list(range(len(facts)))
    assert [type(fact) for fact in facts] == [
        TransactionStarted,
        *[TransactionUpdated] * (len(facts) - 2),
        TransactionStopped,
    ]
    begun = [fact for fact in facts if isinstance(fact, TransactionStarted | TransactionUpdated)]
    assert sum(fact.is_placed for fact in begun) == 1, "where the EV is connected is told once (E01.FR.16)"
    starts = (T.STOP_AUTHORIZED, T.REMOTE_STOP)
    named = [fact for fact in begun if fact.id_token is not None and fact.trigger not in starts]
    assert len(named) == 1, "who was authorized is told once (E03.FR.01)"
    states = [fact.charging_state for fact in begun]
    told_anew = [
        fact
        for fact, before in zip(begun[1:], states, strict=False)
        if fact.charging_state is before and fact.trigger is T.CHARGING_STATE_CHANGED
    ]
    assert not told_anew, "a change of state is told once (E02.FR.13)"


# --- what is told on the way -----------------------------------------------------------------------------


@pytest.mark.req("E02.FR.01", "E02.FR.13", "E02.FR.15", "E02.FR.17", "E07.FR.02", "TC_E_09_CS", "TC_E_14_CS")
def test_connection_time_is_billed_from_plug_to_plug() -> None:
    play = Play(policy("EVConnected", "EVConnected"))
    play.plug()
    play.identify()
    play.charge()
    play.stop()
    play.unplug()
    assert play.told == [
        ("plug", "Started", T.CABLE_PLUGGED_IN, C.EV_CONNECTED),
        ("token", "Updated", T.AUTHORIZED, C.EV_CONNECTED),
        ("energy", "Updated", T.CHARGING_STATE_CHANGED, C.CHARGING),
        ("stop", "Updated", T.STOP_AUTHORIZED, C.CHARGING),
        ("stop", "Updated", T.CHARGING_STATE_CHANGED, C.EV_CONNECTED),
        ("unplug", "Ended", T.EV_COMMUNICATION_LOST, C.IDLE, S.LOCAL),
    ]
    assert [fact.id_token for fact in play.facts[:4]] == [None, TAG, None, TAG]


@pytest.mark.req("E03.FR.01", "E03.FR.12", "E01.FR.16", "TC_E_10_CS", "TC_E_04_CS")
def test_time_of_use_begins_with_the_driver() -> None:
    play = Play(policy(("EVConnected", "Authorized"), "EVConnected"))
    play.identify()
    assert actions.Timer.CONNECTION in play.timers
    play.plug()
    assert actions.Timer.CONNECTION not in play.timers
    play.charge()
    play.unplug()
    assert play.told == [
        ("token", "Started", T.AUTHORIZED, C.IDLE),
        ("plug", "Updated", T.CABLE_PLUGGED_IN, C.EV_CONNECTED),
        ("energy", "Updated", T.CHARGING_STATE_CHANGED, C.CHARGING),
        ("unplug", "Ended", T.EV_COMMUNICATION_LOST, C.IDLE, S.EV_DISCONNECTED),
    ]
    placed = [getattr(fact, "is_placed", False) for fact in play.facts]
    assert placed == [False, True, False, False]


@pytest.mark.req("E03.FR.05", "F02.FR.07", "C01.FR.26", "TC_E_05_CS", "TC_E_39_CS", "TC_F_04_CS")
@pytest.mark.parametrize("trigger", [T.AUTHORIZED, T.REMOTE_START])
def test_a_driver_who_does_not_plug_in_in_time_ends_it_whatever_the_stop_points_are(
    trigger: TriggerReason,
) -> None:
    """Neither cable nor driver is left: Ended in any case, as F02.FR.07 demands and the note of E03.FR.05 explains.

    The Updated of TC_E_05 is for a bay detector (E03.FR.15), which does not exist here."""
    for start in some_of(START_POINTS):
        for stop in some_of(STOP_POINTS):
            play = Play(policy(start, stop))
            play.identify(trigger=trigger)
            begins = "Authorized" in start
            assert [told[1:3] for told in play.told] == ([("Started", trigger)] if begins else []), start
            play.expire(actions.Timer.CONNECTION)
            ended = ("connection", "Ended", T.EV_CONNECT_TIMEOUT, C.IDLE, S.TIMEOUT)
            assert play.told[1:] == ([ended] if begins else []), (start, stop)
            assert play.session.stage is SessionState.IDLE
            assert play.session.phase is Phase.NONE
            before = len(play.told)
            play.plug()
            play.charge()
            assert not play.permitted, "the authorization is over"
            plugged_in = [told[1:3] for told in play.told[before:]]
            assert plugged_in == ([("Started", T.CABLE_PLUGGED_IN)] if "EVConnected" in start else [])
            play.identify()
            play.charge()
            assert play.permitted, "and the EVSE is ready for the next one"


@pytest.mark.req("E05.FR.10", "E05.FR.11", "C15.FR.05", "E06.FR.04")
@pytest.mark.parametrize("stop", [("Authorized",), ("EVConnected",)])
def test_who_is_refused_before_plugging_in_leaves_an_open_socket(stop: tuple[str, ...]) -> None:
    """There is no cable to be kept: the next driver finds the EVSE free, and its socket unlocked."""
    play = Play(policy("Authorized", stop), locked=False)
    play.identify()
    play.hear(events.TokenRevoked(0))
    assert play.told[-1] == ("token", "Ended", T.DEAUTHORIZED, C.IDLE, S.DE_AUTHORIZED)
    assert play.session.stage is SessionState.IDLE
    assert not play.session.holds_lock
    play.identify(STRANGER)
    play.plug()
    play.lock()
    play.charge()
    assert play.permitted


@pytest.mark.req("E05.FR.11", "C15.FR.05")
@pytest.mark.parametrize("is_locked", [True, False])
def test_the_cable_of_who_is_refused_is_kept_for_him(is_locked: bool) -> None:
    """Also where the lock has not said yet that it holds."""
    play = Play(policy("EVConnected", "Authorized"), locked=False)
    play.plug()
    play.identify()
    if is_locked:
        play.lock()
    play.hear(events.TokenRevoked(0))
    assert play.told[-1][1:3] == ("Ended", T.DEAUTHORIZED)
    assert play.session.holds_lock
    play.hear(events.TokenOffered(TAG))
    assert not play.session.holds_lock


@pytest.mark.req("C01.FR.03")
def test_a_driver_who_identifies_again_before_plugging_in_takes_it_back() -> None:
    play = Play(policy("Authorized", "EVConnected"))
    play.identify()
    play.stop()
    assert play.told[-1] == ("stop", "Ended", T.STOP_AUTHORIZED, C.IDLE, S.LOCAL)
    assert not play.timers


@pytest.mark.req("E10.FR.01", "E10.FR.03", "TC_E_26_CS")
def test_a_transaction_goes_on_without_its_ev_where_only_the_driver_counts() -> None:
    play = Play(policy("PowerPathClosed", "Authorized", stop_on_ev_disconnect=False), locked=False)
    play.plug()
    play.identify()
    play.lock()
    play.charge()
    play.unplug()
    assert play.told[-1] == ("unplug", "Updated", T.EV_COMMUNICATION_LOST, C.IDLE)
    assert play.session.holds_lock
    assert not play.timers & {actions.Timer.CONNECTION}, "the cable is locked, and may come back at any time"
    play.plug()
    play.charge()
    assert play.told[-2:] == [
        ("plug", "Updated", T.CABLE_PLUGGED_IN, C.EV_CONNECTED),
        ("energy", "Updated", T.CHARGING_STATE_CHANGED, C.CHARGING),
    ]


@pytest.mark.req("E10.FR.02", "TC_E_27_CS")
def test_with_a_fixed_cable_the_ev_has_the_connection_timeout_to_come_back() -> None:
    play = Play(policy("PowerPathClosed", "Authorized", stop_on_ev_disconnect=False))
    for _ in range(2):
        if play.session.stage is SessionState.IDLE:
            play.identify()
        play.plug()
        play.charge()
        play.unplug()
        assert actions.Timer.CONNECTION in play.timers
    play.expire(actions.Timer.CONNECTION)
    assert play.told[-1] == ("connection", "Ended", T.EV_CONNECT_TIMEOUT, C.IDLE, S.TIMEOUT)


@pytest.mark.req("E06.FR.02", "E06.FR.06", "TC_E_20_CS", "TC_E_37_CS", "TC_E_54_CS")
@pytest.mark.parametrize("stop", ["EVConnected", "PowerPathClosed"])
def test_the_cable_ends_it_whatever_unplugging_means_for_the_authorization(stop: str) -> None:
    play = Play(policy("PowerPathClosed", stop, stop_on_ev_disconnect=False))
    play.plug()
    play.identify()
    play.charge()
    play.unplug()
    assert play.told[-1] == ("unplug", "Ended", T.EV_COMMUNICATION_LOST, C.IDLE, S.EV_DISCONNECTED)


@pytest.mark.req("E09.FR.01", "E09.FR.03", "TC_E_17_CS", "TC_E_24_CS", "TC_E_25_CS")
def test_unplugging_ends_the_authorization_and_with_it_the_transaction() -> None:
    play = Play(policy("PowerPathClosed", "Authorized", unlock_on_ev_disconnect=False), locked=False)
    play.plug()
    play.identify()
    play.lock()
    play.charge()
    play.unplug()
    assert play.told[-1] == ("unplug", "Ended", T.EV_COMMUNICATION_LOST, C.IDLE, S.EV_DISCONNECTED)
    assert play.session.holds_lock, "the cable is given back to its driver only (E09.FR.03)"


@pytest.mark.req("E02.FR.06", "E06.FR.02")
def test_who_plugs_in_and_leaves_without_identifying_leaves_a_short_transaction() -> None:
    for stop in some_of(STOP_POINTS):
        play = Play(policy("EVConnected", stop, stop_on_ev_disconnect=False))
        play.plug()
        play.unplug()
        assert [each[1] for each in play.told] == ["Started", "Ended"], stop
        assert not play.permitted


@pytest.mark.req("F01.FR.19", "F02.FR.01", "F02.FR.21", "TC_E_13_CS")
@pytest.mark.parametrize("start", ["Authorized", "PowerPathClosed", "DataSigned", "EnergyTransfer"])
def test_a_remote_start_is_told_as_such_whatever_came_last(start: str) -> None:
    play = Play(policy(start, "PowerPathClosed"))
    play.identify(trigger=T.REMOTE_START, remote=7)
    play.plug()
    play.charge()
    assert play.told[0][1:3] == ("Started", T.REMOTE_START)


@pytest.mark.req("F01.FR.13", "F01.FR.25", "E02.FR.20")
def test_a_remote_start_joins_the_transaction_that_the_cable_began() -> None:
    play = Play(policy("EVConnected", "EVConnected"))
    play.plug()
    play.identify(trigger=T.REMOTE_START, remote=7)
    assert [each[1:3] for each in play.told] == [("Started", T.CABLE_PLUGGED_IN), ("Updated", T.REMOTE_START)]
    play.identify(STRANGER)
    assert len(play.told) == 2, "there is one driver (F01.FR.24)"


@pytest.mark.req("C01.FR.23", "E06.FR.02")
def test_who_has_stopped_may_go_on_and_nobody_else() -> None:
    play = Play(policy("EVConnected", "EVConnected"))
    play.plug()
    play.identify()
    play.charge()
    play.stop()
    play.identify(STRANGER)
    assert play.session.stage is SessionState.FINISHING
    play.identify()
    assert play.permitted
    assert play.told[-1] == ("token", "Updated", T.AUTHORIZED, C.EV_CONNECTED)


@pytest.mark.req("E01.FR.14")
def test_after_the_end_the_cable_alone_begins_nothing_and_the_next_driver_does() -> None:
    play = Play(policy("EVConnected", "Authorized"))
    play.plug()
    play.identify()
    play.stop()
    assert [each[1] for each in play.told] == ["Started", "Updated", "Ended"]
    play.hear(events.TokenOffered(STRANGER))
    play.hear(events.TokenRejected(STRANGER, "Invalid"))
    assert len(play.told) == 3
    play.identify(STRANGER)
    assert play.told[-1][1:3] == ("Started", T.AUTHORIZED)


def test_a_start_that_failed_is_tried_again_while_the_cable_is_in() -> None:
    play = Play(policy("EVConnected", "EVConnected"), opens=False)
    play.plug()
    assert play.session.phase is Phase.NONE
    assert actions.Timer.OPENING in play.timers
    play.opens = True
    play.expire(actions.Timer.OPENING)
    assert play.told == [("opening", "Started", T.CABLE_PLUGGED_IN, C.EV_CONNECTED)]


# --- refused after the start -----------------------------------------------------------------------------


@pytest.mark.req("E05.FR.10", "E05.FR.11", "E06.FR.04", "C15.FR.04", "TC_E_16_CS")
@pytest.mark.parametrize("stop", ["Authorized", "PowerPathClosed", "EnergyTransfer"])
def test_who_is_refused_loses_the_transaction_at_once(stop: str) -> None:
    play = Play(policy("PowerPathClosed", stop, max_energy_on_invalid_id_wh=500), locked=False)
    play.plug()
    play.identify()
    play.lock()
    play.charge()
    play.hear(events.TokenRevoked(0))
    assert play.told[-1][1:3] == ("Ended", T.DEAUTHORIZED)
    assert play.told[-1][4] is S.DE_AUTHORIZED
    assert play.session.holds_lock


@pytest.mark.req("E05.FR.09", "C15.FR.03")
def test_where_only_the_cable_ends_it_who_is_refused_loses_the_energy() -> None:
    play = Play(policy("PowerPathClosed", "EVConnected"))
    play.plug()
    play.identify()
    play.charge()
    play.hear(events.TokenRevoked(0))
    play.open_contactor()
    assert not play.permitted
    assert [each[1:4] for each in play.told[-2:]] == [
        ("Updated", T.DEAUTHORIZED, C.CHARGING),
        ("Updated", T.CHARGING_STATE_CHANGED, C.EV_CONNECTED),
    ]
    play.unplug()
    assert play.told[-1][4] is S.DE_AUTHORIZED


@pytest.mark.req("E05.FR.02", "E05.FR.03", "C15.FR.06", "C15.FR.07")
def test_without_a_stop_the_refused_one_may_take_what_is_granted() -> None:
    play = Play(
        policy("PowerPathClosed", "Authorized", stop_on_invalid_id=False, max_energy_on_invalid_id_wh=500)
    )
    play.plug()
    play.identify()
    play.charge()
    play.hear(events.TokenRevoked(10))
    assert play.permitted
    play.hear(events.EnergyUsed(500))
    assert not play.permitted
    assert play.told[-1][1:4] == ("Updated", T.CHARGING_STATE_CHANGED, C.SUSPENDED_EVSE)


@pytest.mark.req("E05.FR.10")
def test_who_is_refused_before_plugging_in_has_no_transaction_any_more() -> None:
    play = Play(policy("Authorized", "EVConnected"))
    play.identify()
    play.hear(events.TokenRevoked(0))
    assert play.told[-1][1:3] == ("Ended", T.DEAUTHORIZED)


# --- faults and the rest ---------------------------------------------------------------------------------


@pytest.mark.req("E06.FR.16", "E02.FR.17")
def test_a_fault_is_told_and_one_that_lasts_ends_it() -> None:
    play = Play(policy("EVConnected", "EVConnected"))
    play.plug()
    play.hear(events.FaultStarted("temp_stop", stops_charging=True))
    assert play.told[-1][1:3] == ("Updated", T.ABNORMAL_CONDITION)
    play.hear(events.FaultStarted("emergency_stop", True, StopReason.EMERGENCY_STOP))
    assert play.told[-1][1:3] == ("Ended", T.ABNORMAL_CONDITION)


@pytest.mark.req("E02.FR.17")
def test_what_changes_nothing_is_told_while_a_transaction_runs_only() -> None:
    play = Play(policy("EVConnected", "EVConnected"))
    play.hear(events.TransactionNoted(T.UNLOCK_COMMAND))
    assert not play.told
    play.plug()
    play.hear(events.TransactionNoted(T.UNLOCK_COMMAND))
    assert play.told[-1][1:3] == ("Updated", T.UNLOCK_COMMAND)


def test_every_point_is_offered_or_lacks_its_hardware() -> None:
    assert set(POINT_NEEDS) == set(START_POINTS)
    assert set(STOP_POINTS) == set(START_POINTS) - {"DataSigned"}


# --- whatever the order ----------------------------------------------------------------------------------

policies = st.builds(
    policy,
    st.lists(st.sampled_from(START_POINTS), min_size=1, unique=True).map(tuple),
    st.lists(st.sampled_from(STOP_POINTS), min_size=1, unique=True).map(tuple),
    stop_on_ev_disconnect=st.booleans(),
    unlock_on_ev_disconnect=st.booleans(),
    stop_on_invalid_id=st.booleans(),
    forgets_plugged=st.booleans(),
    awaits_lost_ev=st.booleans(),
    max_energy_on_invalid_id_wh=st.sampled_from([0, 500]),
    connection_timeout_s=st.sampled_from([0, 60]),
)
tokens = st.sampled_from([TAG, STRANGER])


class AnyOrder(RuleBasedStateMachine):
    """Any events in any order; what they ask for is done at once."""

    @initialize(policy=policies, has_lock=st.booleans())
    def begin(self, policy: Policy, has_lock: bool) -> None:
        self.play = Play(policy, locked=False if has_lock else None)

    @rule()
    def plug(self) -> None:
        if not self.play.session.plugged:
            self.play.plug()

    @rule()
    def unplug(self) -> None:
        if self.play.session.plugged:
            self.play.unplug()

    @rule()
    def charge(self) -> None:
        if self.play.permitted:
            self.play.charge()

    @rule()
    def pause(self) -> None:
        self.play.pause()

    @rule()
    def open_contactor(self) -> None:
        self.play.open_contactor()

    @rule(locked=st.booleans())
    def lock(self, locked: bool) -> None:
        if self.play.session.locked is not None:
            self.play.hear(events.LockChanged(locked))

    @rule(token=tokens, answer=st.sampled_from(["good", "bad", "none"]))
    def offer(self, token: IdToken, answer: str) -> None:
        self.play.hear(events.TokenOffered(token))
        if answer == "good" and token.is_same(self.play.session.checking):
            self.play.hear(events.TokenVerified(token))
        elif answer == "bad" and token.is_same(self.play.session.checking):
            self.play.hear(events.TokenRejected(token, "Invalid"))

    @rule(token=tokens)
    def start_remotely(self, token: IdToken) -> None:
        session = self.play.session
        free = (SessionState.IDLE, SessionState.PLUGGED, SessionState.FINISHING)
        is_free = session.stage in free and session.takes_driver and not session.lock_held
        if is_free and session.checking is None:
            self.play.hear(events.TokenVerified(token, None, T.REMOTE_START))

    @rule(is_final=st.booleans())
    def stop_remotely(self, is_final: bool) -> None:
        self.play.hear(events.StopRequested(S.REMOTE, T.REMOTE_STOP, is_final=is_final))

    @rule(opens=st.booleans())
    def meter(self, opens: bool) -> None:
        self.play.opens = opens

    @rule(
        code=st.sampled_from(["temp_stop", "board_comm", "lock_fail"]), ends=st.sampled_from([None, S.OTHER])
    )
    def fault(self, code: str, ends: StopReason | None) -> None:
        self.play.hear(events.FaultStarted(code, True, ends))

    @rule(code=st.sampled_from(["temp_stop", "board_comm", "lock_fail"]))
    def recover(self, code: str) -> None:
        self.play.hear(events.FaultEnded(code))

    @rule(limit=st.sampled_from([0.0, 32.0]))
    def limit(self, limit: float) -> None:
        self.play.hear(events.LimitChanged(limit))

    @rule(timer=st.sampled_from(list(actions.Timer)))
    def expire(self, timer: actions.Timer) -> None:
        self.play.expire(timer)

    @rule(used=st.sampled_from([0, 500]))
    def revoke(self, used: int) -> None:
        self.play.hear(events.TokenRevoked(used))

    @rule()
    def release(self) -> None:
        self.play.hear(events.CableReleased())

    @invariant()
    def numbers_have_no_gaps_and_each_transaction_one_start_and_one_end(self) -> None:
        running: str | None = None
        expected = 0
        for fact in getattr(self, "play", Play(policy("EVConnected", "EVConnected"))).facts:
            if isinstance(fact, TransactionStarted):
                assert running is None
                running, expected = fact.transaction_id, 0
            assert (fact.transaction_id, fact.seq_no) == (running, expected)
            expected += 1
            if isinstance(fact, TransactionStopped):
                running = None

    @invariant()
    def energy_needs_a_driver_a_cable_and_no_fault(self) -> None:
        session, points = self.play.session, self.play.policy.start_points
        assert session.permitted == self.play.permitted
        if session.permitted:
            assert session.stage is SessionState.CHARGING
            assert session.id_token is not None
            assert session.plugged
            assert not session.stopping_faults
            assert session.phase is Phase.OPEN or points == ("EnergyTransfer",)

    @invariant()
    def no_transaction_outlives_both_cable_and_driver(self) -> None:
        session = self.play.session
        assert (session.phase is Phase.NONE) == (self.play.book is None)
        if session.stage is SessionState.IDLE:
            assert session.phase is Phase.NONE
            assert not session.plugged
        if session.stage in (SessionState.PLUGGED, SessionState.FINISHING) and session.phase is Phase.OPEN:
            assert session.plugged

    @invariant()
    def the_state_told_last_is_the_state(self) -> None:
        book = self.play.book
        if book is not None:
            assert book.state is self.play.session.charging_state


AnyOrder.TestCase.settings = hypothesis_settings(max_examples=200, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase
