"""The session's table: what each event leads to, and what may never happen whatever the order of events."""

from dataclasses import replace

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent.charging import actions, events
from agent.charging.ids import ChargingState, IdToken, StopReason, TriggerReason
from agent.charging.session import OVERLAYS, TRANSITIONS, step
from agent.charging.session_values import Phase, Policy, Session
from agent.charging.snapshot import SessionState

TAG = IdToken("TAG1")
SISTER = IdToken("TAG2")
STRANGER = IdToken("TAG3")
FAMILY = IdToken("FAMILY")
POLICY = Policy()


def run(
    session: Session, *happened: events.Event, policy: Policy = POLICY
) -> tuple[Session, list[actions.Action]]:
    done: list[actions.Action] = []
    for event in happened:
        session, todo = step(session, event, policy)
        done += todo
    return session, done


def of(kind: type, done: list[actions.Action]) -> list[actions.Action]:
    return [action for action in done if isinstance(action, kind)]


def charging(policy: Policy = POLICY, **changes: object) -> Session:
    start = replace(Session(), **changes)  # type: ignore[arg-type]
    session, _ = run(
        start,
        events.CableConnected(),
        events.TokenVerified(TAG, FAMILY),
        *((events.LockChanged(True),) if start.locked is not None else ()),
        events.TransactionOpened(),
        events.PowerPathChanged(True),
        events.PowerWanted(True),
        policy=policy,
    )
    assert session.charging_state is ChargingState.CHARGING
    return session


# --- start -----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-109", "R16-088")
def test_plug_first_starts_when_the_token_is_valid() -> None:
    session, done = run(Session(), events.CableConnected())
    assert session.stage is SessionState.PLUGGED
    session, done = run(session, events.TokenOffered(TAG))
    assert of(actions.CheckToken, done) == [actions.CheckToken(TAG, actions.Purpose.START)]
    session, done = run(session, events.TokenVerified(TAG))
    assert of(actions.OpenTransaction, done)
    assert not of(actions.PermitCharging, done)
    session, done = run(session, events.TransactionOpened())
    assert session.stage is SessionState.CHARGING
    assert of(actions.PermitCharging, done)


@pytest.mark.req("R16-109", "R16-064")
def test_card_first_starts_when_the_cable_comes() -> None:
    session, done = run(Session(), events.TokenOffered(TAG), events.TokenVerified(TAG))
    assert session.stage is SessionState.AUTHORIZED
    assert actions.StartTimer(actions.Timer.CONNECTION, 60) in done
    session, done = run(session, events.CableConnected())
    assert actions.StopTimer(actions.Timer.CONNECTION) in done
    assert of(actions.OpenTransaction, done)


@pytest.mark.req("R16-119", "R16-066", "R16-177")
def test_authorization_lapses_without_a_cable() -> None:
    session, _ = run(Session(), events.TokenVerified(TAG), events.TimerExpired(actions.Timer.CONNECTION))
    assert session.stage is SessionState.IDLE
    assert session.id_token is None


@pytest.mark.req("R16-066")
def test_second_presentation_cancels_the_wait() -> None:
    session, done = run(Session(), events.TokenVerified(TAG), events.TokenOffered(IdToken("tag1")))
    assert session.stage is SessionState.IDLE
    assert actions.StopTimer(actions.Timer.CONNECTION) in done


@pytest.mark.req("R16-090")
def test_refused_token_leads_nowhere() -> None:
    session, done = run(
        Session(), events.CableConnected(), events.TokenOffered(TAG), events.TokenRejected(TAG, "Invalid")
    )
    assert session.stage is SessionState.PLUGGED
    assert actions.Refuse(TAG, "Invalid") in done
    assert not of(actions.OpenTransaction, done)


def test_a_token_under_check_is_not_checked_twice() -> None:
    _, done = run(
        Session(), events.TokenOffered(TAG), events.TokenOffered(TAG), events.TokenOffered(STRANGER)
    )
    assert len(of(actions.CheckToken, done)) == 1
    assert of(actions.Refuse, done) == [actions.Refuse(STRANGER, "busy")]


@pytest.mark.req("R16-176", "R16-177")
def test_a_start_for_one_connector_leaves_a_cable_in_another_one_alone() -> None:
    start = replace(Session(), connector_id=1, locked=False)
    session, done = run(start, events.CableConnected(), events.TokenVerified(TAG, connector_id=2))
    assert session.connector_id == 1, "a cable that came while the token was checked is where it is"
    assert not of(actions.OpenTransaction, done)
    assert not session.holds_lock
    waiting, _ = run(start, events.TokenVerified(TAG, connector_id=2))
    session, done = run(replace(waiting, connector_id=1), events.CableConnected())
    assert not of(actions.OpenTransaction, done)
    assert not session.holds_lock, "the driver has to move the cable"
    session, _ = run(session, events.CableDisconnected())
    session, done = run(replace(session, connector_id=2, locked=None), events.CableConnected())
    assert of(actions.OpenTransaction, done)


@pytest.mark.req("R16-065")
def test_a_cable_without_a_driver_is_forgotten_where_a_token_may_mean_another_one() -> None:
    policy = Policy(forgets_plugged=True, connection_timeout_s=45)
    session, done = run(Session(), events.CableConnected(), policy=policy)
    assert actions.StartTimer(actions.Timer.IDENTIFICATION, 45) in done
    session, _ = run(session, events.TimerExpired(actions.Timer.IDENTIFICATION), policy=policy)
    assert session.stage is SessionState.FINISHING
    session, done = run(session, events.TokenVerified(TAG), policy=policy)
    assert of(actions.OpenTransaction, done), "its own driver may still come"
    _, done = run(Session(), events.CableConnected(), events.TokenOffered(TAG), policy=policy)
    assert actions.StopTimer(actions.Timer.IDENTIFICATION) in done
    _, done = run(Session(), events.CableConnected(), policy=POLICY)
    assert not of(actions.StartTimer, done)


@pytest.mark.req("R16-079", "R16-080")
def test_lock_that_fails_prevents_the_transaction() -> None:
    start = replace(Session(), locked=False)
    session, done = run(start, events.TokenVerified(TAG), events.CableConnected())
    assert of(actions.HoldLock, done)
    assert not of(actions.OpenTransaction, done)
    session, done = run(session, events.FaultStarted("lock_fail", True))
    assert of(actions.Refuse, done)
    assert of(actions.FreeLock, done)
    assert session.stage is SessionState.PLUGGED
    session, done = run(session, events.LockChanged(True), events.FaultEnded("lock_fail"))
    assert not of(actions.OpenTransaction, done)


@pytest.mark.req("R16-176", "R16-186")
def test_who_is_accepted_after_the_connector_went_out_of_service_is_refused() -> None:
    session, _ = run(Session(), events.TokenOffered(TAG), events.OperativeChanged(False))
    session, done = run(session, events.TokenVerified(TAG))
    assert of(actions.Refuse, done) == [actions.Refuse(TAG, "inoperative")]
    assert session.stage is SessionState.IDLE


@pytest.mark.req("R16-112")
def test_a_kept_cable_that_came_loose_is_kept_no_longer() -> None:
    session, _ = run(charging(locked=False), events.TokenRevoked(0), events.TransactionClosed())
    assert session.lock_held
    session, done = run(session, events.LockChanged(False))
    assert not session.lock_held
    assert of(actions.FreeLock, done)


@pytest.mark.req("R16-063", "R16-126")
def test_a_transaction_whose_ev_was_away_is_resumed() -> None:
    policy = Policy(stop_on_ev_disconnect=False)
    session, _ = run(charging(policy), events.CableDisconnected(), events.CableConnected(), policy=policy)
    assert session.resumed
    assert session.stage is SessionState.CHARGING
    session, _ = run(
        session, events.StopRequested(StopReason.REMOTE, TriggerReason.REMOTE_STOP), policy=policy
    )
    session, _ = run(session, events.TransactionClosed(), policy=policy)
    assert not session.resumed, "the next transaction begins afresh"


@pytest.mark.req("R16-080")
def test_no_start_while_faulted_but_when_the_fault_is_gone() -> None:
    session, done = run(
        Session(), events.FaultStarted("temp_stop", True), events.CableConnected(), events.TokenVerified(TAG)
    )
    assert not of(actions.OpenTransaction, done)
    _, done = run(session, events.FaultEnded("temp_stop"))
    assert of(actions.OpenTransaction, done)


def test_failed_opening_leaves_the_cable_and_nobody() -> None:
    session, done = run(
        Session(),
        events.CableConnected(),
        events.TokenVerified(TAG),
        events.OpeningFailed("the meter is silent"),
    )
    assert (session.stage, session.phase) == (SessionState.PLUGGED, Phase.NONE)
    assert actions.Refuse(TAG, "the meter is silent") in done


def test_unplug_while_the_start_is_written_stops_it_at_once_and_never_permits() -> None:
    session, done = run(
        Session(),
        events.CableConnected(),
        events.TokenVerified(TAG),
        events.CableDisconnected(),
        events.TransactionOpened(),
    )
    assert session.phase is Phase.CLOSING
    assert [stop.reason for stop in of(actions.CloseTransaction, done)] == [StopReason.EV_DISCONNECTED]  # type: ignore[attr-defined]
    assert not of(actions.PermitCharging, done)


# --- while charging --------------------------------------------------------------------------------------


@pytest.mark.req("R16-068", "R16-069", "R16-070", "R16-280")
def test_who_pauses_is_told_apart() -> None:
    session, _ = run(charging(), events.PowerWanted(False), events.PowerPathChanged(False))
    assert session.charging_state is ChargingState.SUSPENDED_EV
    session, done = run(session, events.LimitChanged(5.9))
    assert session.charging_state is ChargingState.SUSPENDED_EVSE
    assert session.phase is Phase.OPEN
    assert not of(actions.CloseTransaction, done)
    session, _ = run(session, events.LimitChanged(6.0))
    assert session.charging_state is ChargingState.SUSPENDED_EVSE  # the EV gets time to react
    session, _ = run(session, events.TimerExpired(actions.Timer.SETTLE))
    assert session.charging_state is ChargingState.SUSPENDED_EV


def test_ev_that_has_not_reacted_yet_is_not_called_suspended() -> None:
    session, done = run(
        Session(), events.CableConnected(), events.TokenVerified(TAG), events.TransactionOpened()
    )
    assert session.charging_state is ChargingState.EV_CONNECTED
    assert of(actions.StartTimer, done)[-1] == actions.StartTimer(actions.Timer.SETTLE, 10.0)
    session, _ = run(session, events.PowerWanted(True))
    assert session.charging_state is ChargingState.EV_CONNECTED
    session, _ = run(session, events.PowerPathChanged(True))
    assert session.charging_state is ChargingState.CHARGING


def test_fault_forbids_first_and_the_transaction_survives_it() -> None:
    session, done = run(charging(), events.FaultStarted("temp_stop", True))
    assert isinstance(done[0], actions.ForbidCharging)
    assert session.phase is Phase.OPEN
    assert session.charging_state is ChargingState.SUSPENDED_EVSE
    session, done = run(session, events.FaultEnded("temp_stop"))
    assert of(actions.PermitCharging, done)


def test_warning_changes_nothing() -> None:
    session, done = run(charging(), events.FaultStarted("temp_warn", False))
    assert session.permitted
    assert not done


@pytest.mark.req("R16-123")
def test_emergency_stop_ends_the_transaction() -> None:
    session, done = run(charging(), events.FaultStarted("emergency_stop", True, StopReason.EMERGENCY_STOP))
    assert isinstance(done[0], actions.ForbidCharging)
    assert session.phase is Phase.CLOSING


def test_lost_board_ends_the_transaction_after_a_minute() -> None:
    session, done = run(charging(), events.FaultStarted("board_comm", True))
    assert actions.StartTimer(actions.Timer.BOARD_LOST, 60.0) in done
    back, done = run(session, events.FaultEnded("board_comm"))
    assert actions.StopTimer(actions.Timer.BOARD_LOST) in done
    assert back.phase is Phase.OPEN
    gone, done = run(session, events.TimerExpired(actions.Timer.BOARD_LOST))
    assert gone.phase is Phase.CLOSING


# --- stop ------------------------------------------------------------------------------------------------


@pytest.mark.req("R16-091", "R16-123")
def test_same_token_stops_without_a_question() -> None:
    session, done = run(charging(), events.TokenOffered(IdToken("tag1")))
    assert isinstance(done[0], actions.ForbidCharging)
    assert not of(actions.CheckToken, done)
    close = of(actions.CloseTransaction, done)
    assert close == [
        actions.CloseTransaction(StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED, IdToken("tag1"))
    ]
    session, _ = run(session, events.TransactionClosed())
    assert session.stage is SessionState.FINISHING
    session, _ = run(session, events.CableDisconnected())
    assert session == replace(Session(), power_wanted=True, power_path_closed=True)


@pytest.mark.req("R16-092", "R16-041")
def test_token_of_the_same_group_stops() -> None:
    session, done = run(
        charging(), events.TokenOffered(SISTER), events.TokenVerified(SISTER, IdToken("family"))
    )
    assert of(actions.CheckToken, done) == [actions.CheckToken(SISTER, actions.Purpose.STOP)]
    assert session.phase is Phase.CLOSING


@pytest.mark.req("R16-093", "R16-041")
@pytest.mark.parametrize("group", [None, IdToken("OTHER")])
def test_unrelated_token_does_not_disturb(group: IdToken | None) -> None:
    before = charging()
    session, done = run(before, events.TokenOffered(STRANGER), events.TokenVerified(STRANGER, group))
    assert session == before
    assert of(actions.Refuse, done) == [actions.Refuse(STRANGER, "in use")]
    session, _ = run(before, events.TokenOffered(FAMILY), events.TokenVerified(FAMILY, None))
    assert session == before


@pytest.mark.req("R16-082", "R16-125")
def test_unplug_ends_the_transaction() -> None:
    session, done = run(charging(), events.CableDisconnected())
    assert isinstance(done[0], actions.ForbidCharging)
    assert session.stage is SessionState.FINISHING
    assert session.remark == "EV side disconnected"
    session, _ = run(session, events.TransactionClosed())
    assert session.stage is SessionState.IDLE
    assert session.remark == ""


@pytest.mark.req("R16-081", "R16-126")
def test_unplug_goes_on_when_set_so_and_keeps_the_lock() -> None:
    policy = Policy(stop_on_ev_disconnect=False, unlock_on_ev_disconnect=True)
    session, done = run(charging(policy, locked=False), events.CableDisconnected(), policy=policy)
    assert isinstance(done[0], actions.ForbidCharging)
    assert session.ev_disconnected
    assert session.holds_lock
    session, done = run(session, events.CableConnected(), policy=policy)
    assert of(actions.PermitCharging, done)
    assert not session.ev_disconnected


@pytest.mark.req("R16-127")
@pytest.mark.parametrize(("unlock", "is_held"), [(True, False), (False, True)])
def test_cable_after_unplug_at_the_ev(unlock: bool, is_held: bool) -> None:
    policy = Policy(unlock_on_ev_disconnect=unlock)
    session, _ = run(
        charging(policy, locked=False), events.CableDisconnected(), events.TransactionClosed(), policy=policy
    )
    assert session.holds_lock is is_held
    assert session.stage is (SessionState.FINISHING if is_held else SessionState.IDLE)
    if is_held:
        still, _ = run(session, events.TokenOffered(STRANGER), events.TokenVerified(STRANGER), policy=policy)
        assert still.holds_lock
        free, done = run(session, events.TokenOffered(TAG), policy=policy)
        assert free.stage is SessionState.IDLE
        assert of(actions.FreeLock, done)


@pytest.mark.req("R16-124")
def test_normal_end_frees_the_cable() -> None:
    session, done = run(charging(locked=False), events.TokenOffered(TAG))
    assert of(actions.FreeLock, done)
    assert not session.holds_lock


@pytest.mark.req("R16-112")
def test_refused_after_the_start_stops_and_keeps_the_cable_for_its_driver() -> None:
    session, done = run(charging(locked=False), events.TokenRevoked(12))
    assert isinstance(done[0], actions.ForbidCharging)
    assert [stop.reason for stop in of(actions.CloseTransaction, done)] == [StopReason.DE_AUTHORIZED]  # type: ignore[attr-defined]
    session, _ = run(session, events.TransactionClosed())
    assert session.holds_lock
    session, _ = run(session, events.TokenOffered(SISTER), events.TokenVerified(SISTER, FAMILY))
    assert not session.holds_lock


@pytest.mark.req("R16-113", "R16-069")
def test_refused_after_the_start_may_only_stop_the_energy() -> None:
    policy = Policy(stop_on_invalid_id=False)
    session, done = run(charging(), events.TokenRevoked(12), policy=policy)
    assert isinstance(done[0], actions.ForbidCharging)
    assert not of(actions.CloseTransaction, done)
    assert session.charging_state is ChargingState.SUSPENDED_EVSE
    session, done = run(session, events.TokenOffered(TAG), policy=policy)
    assert of(actions.CloseTransaction, done)


@pytest.mark.req("R16-114")
@pytest.mark.parametrize("stops", [True, False])
def test_refused_after_the_start_gets_the_energy_to_drive_away(stops: bool) -> None:
    policy = Policy(stop_on_invalid_id=stops, max_energy_on_invalid_id_wh=500)
    session, done = run(charging(), events.TokenRevoked(12), events.EnergyUsed(499), policy=policy)
    assert session.permitted
    assert session.deauthorized
    session, done = run(session, events.EnergyUsed(500), policy=policy)
    assert isinstance(done[0], actions.ForbidCharging)
    assert session.phase is (Phase.CLOSING if stops else Phase.OPEN)


def test_energy_is_not_limited_while_the_token_is_good() -> None:
    policy = Policy(max_energy_on_invalid_id_wh=500)
    session, done = run(charging(), events.EnergyUsed(100_000), policy=policy)
    assert session.permitted
    assert not done


def test_next_driver_may_start_while_the_cable_is_still_in() -> None:
    session, _ = run(charging(), events.TokenOffered(TAG), events.TransactionClosed())
    session, done = run(session, events.TokenOffered(STRANGER), events.TokenVerified(STRANGER))
    assert of(actions.OpenTransaction, done)


def test_availability_drops_a_waiting_authorization_but_no_transaction() -> None:
    session, _done = run(Session(), events.TokenVerified(TAG), events.OperativeChanged(False))
    assert session.stage is SessionState.IDLE
    session, _done = run(charging(), events.OperativeChanged(False))
    assert session.phase is Phase.OPEN
    assert session.permitted


@pytest.mark.req("R16-131")
def test_resumed_transaction_goes_on_when_the_ev_is_still_there() -> None:
    restored = events.TransactionRestored(TAG, 1)
    session, done = run(Session(), restored)
    assert not session.permitted
    _still, done = run(session, events.CableConnected())
    assert of(actions.PermitCharging, done)
    _gone, done = run(session, events.CableDisconnected())
    assert of(actions.CloseTransaction, done)


def test_2x_stop_point_keeps_the_transaction_until_unplug() -> None:
    policy = Policy(stop_points=("EVConnected",))
    session, done = run(charging(policy), events.TokenOffered(TAG), policy=policy)
    assert isinstance(done[0], actions.ForbidCharging)
    assert not of(actions.CloseTransaction, done)
    assert session.phase is Phase.OPEN
    session, done = run(session, events.CableDisconnected(), policy=policy)
    assert of(actions.CloseTransaction, done)


def test_table_names_each_event_once_or_as_overlay() -> None:
    assert not {event for _, event in TRANSITIONS} & set(OVERLAYS)
    assert {event for _, event in TRANSITIONS} | set(OVERLAYS) == set(events.Event.__args__)


# --- whatever the order ----------------------------------------------------------------------------------

tokens = st.sampled_from([TAG, SISTER, STRANGER])
fault_codes = st.sampled_from(["temp_stop", "board_comm", "rcd_dc"])
policies = st.builds(
    Policy,
    connection_timeout_s=st.sampled_from([0, 60]),
    stop_on_ev_disconnect=st.booleans(),
    unlock_on_ev_disconnect=st.booleans(),
    stop_on_invalid_id=st.booleans(),
    max_energy_on_invalid_id_wh=st.sampled_from([0, 500]),
)


class AnyOrder(RuleBasedStateMachine):
    """Drives one session with events in any order; work it asks for is answered at any time, but once."""

    def __init__(self) -> None:
        super().__init__()
        self.session = Session()
        self.policy = POLICY
        self.opening = self.open = 0
        self.closing = 0
        self.told_permitted = False
        self.checks: list[actions.CheckToken] = []

    @initialize(policy=policies, has_lock=st.booleans())
    def begin(self, policy: Policy, has_lock: bool) -> None:
        self.policy = policy
        self.session = replace(Session(), locked=False if has_lock else None)

    def hear(self, event: events.Event) -> None:
        self.session, done = step(self.session, event, self.policy)
        for position, action in enumerate(done):
            match action:
                case actions.ForbidCharging():
                    assert position == 0, "forbidding comes first"
                    assert self.told_permitted
                    self.told_permitted = False
                case actions.PermitCharging():
                    assert self.open == 1, "permitted without a transaction on disk"
                    self.told_permitted = True
                case actions.OpenTransaction():
                    assert (self.opening, self.open, self.closing) == (0, 0, 0), "one transaction at a time"
                    assert action.id_token is not None
                    self.opening = 1
                case actions.CloseTransaction():
                    assert (self.open, self.closing) == (1, 0), "each start has exactly one stop"
                    self.closing = 1
                case actions.UpdateTransaction():
                    assert self.opening + self.open == 1
                case actions.CheckToken():
                    self.checks.append(action)

    @rule()
    def plug(self) -> None:
        if not self.session.plugged:
            self.hear(events.CableConnected())

    @rule()
    def unplug(self) -> None:
        if self.session.plugged:
            self.hear(events.CableDisconnected())

    @rule(wanted=st.booleans(), closed=st.booleans())
    def pilot(self, wanted: bool, closed: bool) -> None:
        self.hear(events.PowerPathChanged(closed))
        self.hear(events.PowerWanted(wanted))

    @rule(locked=st.booleans())
    def lock(self, locked: bool) -> None:
        if self.session.locked is not None:
            self.hear(events.LockChanged(locked))

    @rule(token=tokens)
    def offer(self, token: IdToken) -> None:
        self.hear(events.TokenOffered(token))

    @rule(is_valid=st.booleans(), group=st.sampled_from([None, FAMILY]))
    def answer_check(self, is_valid: bool, group: IdToken | None) -> None:
        if self.checks:
            token = self.checks.pop().id_token
            valid = events.TokenVerified(token, group)
            self.hear(valid if is_valid else events.TokenRejected(token, "Invalid"))

    @rule(token=tokens)
    def start_remotely(self, token: IdToken) -> None:
        free = (SessionState.IDLE, SessionState.PLUGGED, SessionState.FINISHING)
        is_free = self.session.stage in free and self.session.phase is Phase.NONE
        if is_free and self.session.checking is None:
            self.hear(events.TokenVerified(token, None, TriggerReason.REMOTE_START))

    @rule()
    def stop_remotely(self) -> None:
        self.hear(events.StopRequested(StopReason.REMOTE, TriggerReason.REMOTE_STOP))

    @rule(succeeds=st.booleans())
    def finish_opening(self, succeeds: bool) -> None:
        if self.opening:
            self.opening = 0
            self.open = 1 if succeeds else 0
            self.hear(events.TransactionOpened() if succeeds else events.OpeningFailed("no"))

    @rule()
    def finish_closing(self) -> None:
        if self.closing:
            self.open = self.closing = 0
            self.hear(events.TransactionClosed())

    @rule(code=fault_codes, ends=st.sampled_from([None, StopReason.OTHER]))
    def fault(self, code: str, ends: StopReason | None) -> None:
        self.hear(events.FaultStarted(code, True, ends))

    @rule(code=fault_codes)
    def recover(self, code: str) -> None:
        self.hear(events.FaultEnded(code))

    @rule(limit=st.sampled_from([0.0, 5.9, 6.0, 32.0]))
    def limit(self, limit: float) -> None:
        self.hear(events.LimitChanged(limit))

    @rule(is_operative=st.booleans())
    def change_availability(self, is_operative: bool) -> None:
        if not self.session.has_transaction:
            self.hear(events.OperativeChanged(is_operative))

    @rule(timer=st.sampled_from(list(actions.Timer)))
    def expire(self, timer: actions.Timer) -> None:
        self.hear(events.TimerExpired(timer))

    @rule(used=st.sampled_from([0, 499, 500]))
    def revoke(self, used: int) -> None:
        self.hear(events.TokenRevoked(used))

    @rule()
    def release(self) -> None:
        self.hear(events.CableReleased())

    @invariant()
    def permission_needs_a_driver_a_cable_a_transaction_and_no_fault(self) -> None:
        session = self.session
        assert session.permitted == self.told_permitted
        if session.permitted:
            assert session.stage is SessionState.CHARGING
            assert session.phase is Phase.OPEN
            assert session.id_token is not None
            assert session.plugged
            assert not session.stopping_faults
            assert not session.energy_stopped

    @invariant()
    def phase_is_what_was_asked_for(self) -> None:
        expected = {
            Phase.NONE: (0, 0, 0),
            Phase.OPENING: (1, 0, 0),
            Phase.OPEN: (0, 1, 0),
            Phase.CLOSING: (0, 1, 1),
        }
        assert (self.opening, self.open, self.closing) == expected[self.session.phase]

    @invariant()
    def everything_ends_with_an_unplug_and_a_closed_book(self) -> None:
        session = self.session
        if session.stage is SessionState.IDLE:
            assert session.phase is Phase.NONE
            assert session.id_token is None
            assert not session.plugged
        if session.stage is SessionState.PLUGGED:
            assert session.plugged
            assert session.phase is Phase.NONE


AnyOrder.TestCase.settings = hypothesis_settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase
