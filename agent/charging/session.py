"""One EVSE's life from plug-in to plug-out: a literal TRANSITIONS table and one pure step function.

A *session* is plug-in to plug-out, a *transaction* lies within it (`Phase`) and may begin before anybody identified or
a cable came in. Faults, availability and limits are overlays: they hold in every stage and change none. After each
event `session_settling.py` derives what follows from the new state. No asyncio, no ports, no clock; stepped by
`evse_runner.py`, which carries out the actions. OCPP 1.6 3.6, 4.8-4.10, 9.1; 2.0.1 E01-E10.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from agent.charging import events
from agent.charging.actions import (
    Action,
    CheckToken,
    OfferCurrent,
    Purpose,
    Refuse,
    SignalAccepted,
    StartTimer,
    StopTimer,
    Timer,
)
from agent.charging.authorization import is_same_driver
from agent.charging.ids import ChargingState, StopReason, TriggerReason
from agent.charging.session_ending import (
    AUTHORIZATION,
    CABLE,
    Outcome,
    Report,
    ends,
    rest,
    stop,
    without_driver,
)
from agent.charging.session_settling import SETTLE_S, settle
from agent.charging.session_values import Phase, Policy, Session, Stop
from agent.charging.snapshot import SessionState

__all__ = ["BOARD_LOST_S", "OVERLAYS", "SETTLE_S", "TRANSITIONS", "step"]

BOARD_LOST_S = 60.0
REOPEN_S = 10.0
"""A transaction that could not begin when the cable came in is tried again after this."""
EV_SIDE_DISCONNECTED = "EV side disconnected"
"""The remark of OCPP 1.6 4.9."""

Effect: TypeAlias = Callable[[Session, Any, Policy], Outcome]


def step(session: Session, event: events.Event, policy: Policy) -> tuple[Session, tuple[Action, ...]]:
    """The session after `event`, and what is to be done, in order. An event that means nothing here changes nothing."""
    effect = TRANSITIONS.get((session.stage, type(event))) or OVERLAYS.get(type(event))
    if effect is None:
        return session, ()
    changed, done = effect(session, event, policy)
    return settle(session, changed, done, policy)


# --- effects: what an event does in a stage --------------------------------------------------------------


def _plug_in(session: Session, _event: events.CableConnected, policy: Policy) -> Outcome:
    after = replace(
        session,
        plugged=True,
        ev_disconnected=False,
        barred=False,
        restored=False,
        finished=False,
        cause=TriggerReason.CABLE_PLUGGED_IN,
        remark="",
    )
    if session.stage is SessionState.IDLE:
        return rest(after), ()
    came_back = session.ev_disconnected and policy.awaits_lost_ev
    timer: tuple[Action, ...] = (StopTimer(Timer.CONNECTION),) if came_back else ()
    was_there = TriggerReason.CHARGING_STATE_CHANGED
    trigger = was_there if session.restored else TriggerReason.CABLE_PLUGGED_IN
    return after, (Report(trigger, connector_id=session.connector_id), *timer)


def _unplugged(session: Session, policy: Policy) -> Stop:
    """2.0.1 E09.FR.01: the authorization ends with the cable, where StopTxOnEVSideDisconnect says so."""
    lost = CABLE | AUTHORIZATION if policy.stop_on_ev_disconnect else CABLE
    return Stop(StopReason.EV_DISCONNECTED, TriggerReason.EV_COMMUNICATION_LOST, lost=lost)


def _unplug(session: Session, _event: events.CableDisconnected, policy: Policy) -> Outcome:
    """Nobody has identified: no transaction outlives the cable."""
    after = replace(session, plugged=False)
    if session.is_running:
        return stop(after, _unplugged(session, policy), policy)
    return rest(after), ()


def _unplug_while_asking(session: Session, _event: events.CableDisconnected, policy: Policy) -> Outcome:
    after = replace(session, plugged=False)
    if session.is_running:
        return stop(after, _unplugged(session, policy), policy)
    return replace(after, finished=False), ()


def _unplug_authorized(session: Session, event: events.CableDisconnected, policy: Policy) -> Outcome:
    if session.is_running and session.plugged:
        return _unplug_charging(session, event, policy)
    return replace(session, plugged=False), ()


def _unplug_charging(session: Session, _event: events.CableDisconnected, policy: Policy) -> Outcome:
    """R16-081, R16-082, R16-125 to R16-127: priority of StopTransactionOnEVSideDisconnect over Unlock....

    2.0.1 E09, E10: it may go on without its EV only where no stop point needs the cable."""
    after = replace(session, plugged=False, remark=EV_SIDE_DISCONNECTED)
    why = _unplugged(session, policy)
    if session.phase is Phase.NONE:
        return rest(replace(after, finished=False)), ()
    if policy.stop_on_ev_disconnect or ends(after, why, policy):
        return stop(after, why, policy)
    waits = policy.awaits_lost_ev and session.locked is None and policy.connection_timeout_s > 0
    timer = (StartTimer(Timer.CONNECTION, policy.connection_timeout_s),) if waits else ()
    gone = replace(after, ev_disconnected=True, resumed=True, restored=False)
    return gone, (Report(why.trigger), *timer)


def _unplug_finishing(session: Session, _event: events.CableDisconnected, policy: Policy) -> Outcome:
    after = replace(session, plugged=False)
    if session.is_running:
        return stop(after, _unplugged(session, policy), policy)
    return (after if session.phase is Phase.CLOSING else rest(after)), ()


def _check_for_start(session: Session, event: events.TokenOffered, _policy: Policy) -> Outcome:
    if event.id_token.is_same(session.checking):
        return session, ()
    is_owner = session.is_running and event.id_token.is_same(session.id_token)
    if not (session.takes_driver or is_owner) or session.checking is not None:
        return session, (Refuse(event.id_token, "busy"),)
    after = replace(session, stage=SessionState.AUTHORIZING, checking=event.id_token)
    check = CheckToken(
        event.id_token,
        Purpose.START,
        event.trigger,
        event.connector_id,
        event.remote_start_id,
        event.group,
    )
    return after, (check,)


def _stopped_by(event: events.TokenOffered | events.TokenVerified) -> Stop:
    return Stop(StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED, event.id_token, AUTHORIZATION)


def _offer_again(session: Session, event: events.TokenOffered, policy: Policy) -> Outcome:
    """While the cable is awaited the same token cancels (R16-066); while the start is written it stops."""
    if not event.id_token.is_same(session.id_token):
        return session, (Refuse(event.id_token, "busy"),)
    return stop(session, _stopped_by(event), policy)


def _offer_charging(session: Session, event: events.TokenOffered, policy: Policy) -> Outcome:
    """The very token that started stops without a question (R16-091); another one is checked (R16-092)."""
    if event.id_token.is_same(session.id_token):
        return stop(session, _stopped_by(event), policy)
    if session.checking is not None:
        return session, (Refuse(event.id_token, "busy"),)
    return replace(session, checking=event.id_token), (CheckToken(event.id_token, Purpose.STOP),)


def _offer_finishing(session: Session, event: events.TokenOffered, policy: Policy) -> Outcome:
    """A cable that is kept is given back. Otherwise who has stopped may go on (2.0.1 C01.FR.23), or the next one may
    begin."""
    is_owner = event.id_token.is_same(session.id_token)
    if not session.lock_held or session.phase is Phase.CLOSING:
        return _check_for_start(session, event, policy)
    if is_owner:
        freed = replace(session, lock_held=False)
        return (freed if session.is_running else rest(freed)), (SignalAccepted(),)
    if session.checking is not None:
        return session, (Refuse(event.id_token, "busy"),)
    return replace(session, checking=event.id_token), (CheckToken(event.id_token, Purpose.RELEASE),)


def _authorize(session: Session, event: events.TokenVerified, policy: Policy) -> Outcome:
    """A driver is identified. Without a cable, ConnectionTimeOut begins (R16-119, R16-177).

    What was taken out of service while the token was being checked takes nobody."""
    if not session.operative and not session.is_running:
        return _reject_start(session, events.TokenRejected(event.id_token, "inoperative"), policy)
    after = replace(
        session,
        stage=SessionState.AUTHORIZED,
        checking=None,
        id_token=event.id_token,
        group=event.group,
        trigger=event.trigger,
        remote_start_id=event.remote_start_id,
        reservation=event.reservation,
        connector_id=session.connector_id if session.plugged else event.connector_id or session.connector_id,
        asked_connector=event.connector_id,
        cause=event.trigger,
        deauthorized=False,
        energy_stopped=False,
        ended_by=None,
        barred=False,
        finished=False,
        remark="",
    )
    waits = policy.connection_timeout_s > 0
    timer = (StartTimer(Timer.CONNECTION, policy.connection_timeout_s),) if waits else ()
    report = Report(event.trigger, event.id_token, event.remote_start_id, event.reservation)
    return after, (SignalAccepted(), *timer, report)


def _authorize_finishing(session: Session, event: events.TokenVerified, policy: Policy) -> Outcome:
    is_owner = session.is_running and event.id_token.is_same(session.id_token)
    if session.lock_held or not (session.takes_driver or is_owner):
        return _verified_in_use(session, event, policy)
    return _authorize(session, event, policy)


def _verified_in_use(session: Session, event: events.TokenVerified, policy: Policy) -> Outcome:
    """Only a token of the same group may end a transaction or get a cable back (R16-092, R16-093, R16-112)."""
    after = replace(session, checking=None)
    if not is_same_driver(session.id_token, session.group, event.id_token, event.group):
        return after, (Refuse(event.id_token, "in use"),)
    if session.lock_held and session.phase is not Phase.CLOSING:
        freed = replace(after, lock_held=False)
        return (freed if session.is_running else rest(freed)), (SignalAccepted(),)
    return stop(after, _stopped_by(event), policy)


def _reject_start(session: Session, event: events.TokenRejected, _policy: Policy) -> Outcome:
    return without_driver(session), (Refuse(event.id_token, event.reason),)


def _reject_in_use(session: Session, event: events.TokenRejected, _policy: Policy) -> Outcome:
    return replace(session, checking=None), (Refuse(event.id_token, event.reason),)


def _drop_authorization(session: Session, _event: object, _policy: Policy) -> Outcome:
    if session.phase is not Phase.NONE:
        return session, ()
    return rest(session), (StopTimer(Timer.CONNECTION),)


def _forget_check(session: Session, _event: events.AuthorizationDropped, _policy: Policy) -> Outcome:
    """The token turned out to be meant for another EVSE."""
    if session.stage is SessionState.AUTHORIZING:
        return without_driver(session), ()
    return replace(session, checking=None), ()


def _stop_requested(session: Session, event: events.StopRequested, policy: Policy) -> Outcome:
    lost = None if event.is_final else AUTHORIZATION
    return stop(session, Stop(event.reason, event.trigger, event.id_token, lost), policy)


def _opened(session: Session, _event: events.TransactionOpened, policy: Policy) -> Outcome:
    if session.phase is not Phase.OPENING:
        return session, ()
    begins = session.stage is SessionState.AUTHORIZED and (session.is_joined or session.ev_disconnected)
    after = replace(
        session,
        stage=SessionState.CHARGING if begins else session.stage,
        phase=Phase.OPEN,
        reservation=None,
        pending_stop=None,
    )
    if session.pending_stop is not None:
        return stop(after, session.pending_stop, policy)
    return after, ()


def _opening_failed(session: Session, event: events.OpeningFailed, policy: Policy) -> Outcome:
    """Who identified has to come again; a cable that should have begun a transaction is tried again."""
    refusal = (Refuse(session.id_token, event.reason),) if session.id_token is not None else ()
    retries = "EVConnected" in policy.start_points and session.plugged
    timer = (StartTimer(Timer.OPENING, REOPEN_S),) if retries else ()
    after = replace(session, phase=Phase.NONE, pending_stop=None, barred=True)
    if session.stage is SessionState.AUTHORIZING:
        return replace(after, charging_state=ChargingState.EV_CONNECTED), timer
    return rest(after), (*refusal, *timer)


def _closed(session: Session, _event: events.TransactionClosed, _policy: Policy) -> Outcome:
    return rest(replace(session, phase=Phase.NONE)), ()


def _restore(session: Session, event: events.TransactionRestored, policy: Policy) -> Outcome:
    """No cable is seen yet: the first word of the hardware says whether the EV is still there."""
    after = replace(
        session,
        phase=Phase.OPEN,
        id_token=event.id_token,
        connector_id=event.connector_id,
        charging_state=ChargingState.IDLE,
        resumed=True,
        restored=event.is_placed,
    )
    if not event.is_authorized:
        stage = SessionState.PLUGGED if event.id_token is None else SessionState.FINISHING
        return replace(after, stage=stage, finished=event.id_token is not None), ()
    if not event.is_placed:
        waits = policy.connection_timeout_s > 0
        timer = (StartTimer(Timer.CONNECTION, policy.connection_timeout_s),) if waits else ()
        return replace(after, stage=SessionState.AUTHORIZED), timer
    return replace(after, stage=SessionState.CHARGING, ev_disconnected=True), ()


def _taken(session: Session, _event: events.TransactionTaken, _policy: Policy) -> Outcome:
    return rest(replace(session, phase=Phase.NONE)), (StopTimer(Timer.CONNECTION),)


def _brought(session: Session, event: events.TransactionBrought, _policy: Policy) -> Outcome:
    after = replace(
        session,
        stage=SessionState.AUTHORIZED,
        phase=Phase.OPEN,
        id_token=event.id_token,
        group=event.group,
        trigger=event.trigger,
        charging_state=ChargingState.IDLE,
    )
    return after, ()


def _revoke(session: Session, event: events.TokenRevoked, policy: Policy) -> Outcome:
    """R16-112 to R16-115: first the energy that is allowed all the same, then the consequences."""
    after = replace(session, deauthorized=True)
    return _check_energy(after, events.EnergyUsed(event.used_wh), policy)


def _check_energy(session: Session, event: events.EnergyUsed, policy: Policy) -> Outcome:
    """2.0.1 E05.FR.10: a transaction that is to end does so at once; E05.FR.03: otherwise there is a grant."""
    has_grant = policy.grants_energy_first or not policy.stop_on_invalid_id
    granted_wh = policy.max_energy_on_invalid_id_wh if has_grant else 0
    if not session.deauthorized or event.used_wh < granted_wh:
        return session, ()
    if not policy.stop_on_invalid_id:
        return replace(session, energy_stopped=True), ()
    why = Stop(StopReason.DE_AUTHORIZED, TriggerReason.DEAUTHORIZED, lost=AUTHORIZATION)
    return stop(session, why, policy)


# --- effects of overlays: the same in every stage --------------------------------------------------------


def _power_wanted(session: Session, event: events.PowerWanted, _policy: Policy) -> Outcome:
    return replace(session, power_wanted=event.wanted), ()


def _power_path(session: Session, event: events.PowerPathChanged, _policy: Policy) -> Outcome:
    return replace(session, power_path_closed=event.closed), ()


def _lock_changed(session: Session, event: events.LockChanged, _policy: Policy) -> Outcome:
    """A cable that was kept and is loose all the same (a vendor command, service staff) is kept no longer."""
    after = replace(session, locked=event.locked)
    if event.locked is False and session.lock_held and session.phase is Phase.NONE:
        return rest(replace(after, lock_held=False)), ()
    return after, ()


def _fault_started(session: Session, event: events.FaultStarted, policy: Policy) -> Outcome:
    if not event.stops_charging:
        return session, ()
    after = replace(session, stopping_faults=session.stopping_faults | {event.code})
    if event.code == "board_comm" and session.phase is Phase.OPEN:
        return after, (StartTimer(Timer.BOARD_LOST, BOARD_LOST_S),)
    if event.ends_with is not None and session.is_running:
        return stop(after, Stop(event.ends_with, TriggerReason.ABNORMAL_CONDITION), policy)
    waits = session.stage is SessionState.AUTHORIZED and session.phase is not Phase.OPENING
    if event.code == "lock_fail" and waits and session.id_token is not None:
        # R16-079: no transaction; to wait would mean to try, fail and report over and over
        why = Stop(StopReason.OTHER, TriggerReason.ABNORMAL_CONDITION, lost=AUTHORIZATION)
        after, done = stop(after, why, policy)
        return after, (*done, Refuse(session.id_token, "the cable cannot be locked"))
    is_news = event.code not in session.stopping_faults
    return after, (Report(TriggerReason.ABNORMAL_CONDITION),) if is_news else ()


def _fault_ended(session: Session, event: events.FaultEnded, _policy: Policy) -> Outcome:
    actions = (StopTimer(Timer.BOARD_LOST),) if event.code == "board_comm" else ()
    return replace(session, stopping_faults=session.stopping_faults - {event.code}), actions


def _limit_changed(session: Session, event: events.LimitChanged, _policy: Policy) -> Outcome:
    return replace(session, limit_a=event.limit_a), (OfferCurrent(event.limit_a),)


def _operative_changed(session: Session, event: events.OperativeChanged, _policy: Policy) -> Outcome:
    after = replace(session, operative=event.is_operative)
    if event.is_operative or session.phase is not Phase.NONE or session.stage is not SessionState.AUTHORIZED:
        return after, ()
    return rest(after), (StopTimer(Timer.CONNECTION),)


def _timer_expired(session: Session, event: events.TimerExpired, policy: Policy) -> Outcome:
    match event.timer:
        case Timer.CONNECTION:
            return _connection_timed_out(session, policy)
        case Timer.OPENING:
            return replace(session, barred=False), ()
        case Timer.IDENTIFICATION:
            is_forgotten = session.stage is SessionState.PLUGGED
            return (
                replace(session, stage=SessionState.FINISHING, finished=True) if is_forgotten else session
            ), ()
        case Timer.SETTLE:
            return replace(session, settled=True), ()
        case Timer.BOARD_LOST:
            if "board_comm" not in session.stopping_faults or session.phase is not Phase.OPEN:
                return session, ()
            return stop(session, Stop(StopReason.OTHER, TriggerReason.ABNORMAL_CONDITION), policy)


def _connection_timed_out(session: Session, policy: Policy) -> Outcome:
    """The authorization lapses (R16-119); a transaction that waits for its cable ends (2.0.1 E03.FR.05, E10.FR.02)."""
    if session.stage is SessionState.AUTHORIZED and session.phase is Phase.NONE:
        return rest(session), ()
    is_awaited = session.stage is SessionState.AUTHORIZED or session.ev_disconnected
    if not is_awaited or not session.is_running:
        return session, ()
    why = Stop(StopReason.TIMEOUT, TriggerReason.EV_CONNECT_TIMEOUT, lost=AUTHORIZATION)
    return stop(session, why, policy)


def _note(session: Session, event: events.TransactionNoted, _policy: Policy) -> Outcome:
    return session, (Report(event.trigger),)


def _learn_group(session: Session, event: events.GroupLearned, _policy: Policy) -> Outcome:
    return replace(session, group=event.group or session.group), ()


def _release(session: Session, _event: events.CableReleased, _policy: Policy) -> Outcome:
    if not session.lock_held or session.phase is not Phase.NONE:
        return replace(session, lock_held=False), ()
    return rest(replace(session, lock_held=False)), ()


# --- the table -------------------------------------------------------------------------------------------

S = SessionState
TRANSITIONS: Mapping[tuple[SessionState, type[events.Event]], Effect] = {
    (S.IDLE, events.CableConnected): _plug_in,
    (S.IDLE, events.TokenOffered): _check_for_start,
    (S.IDLE, events.TokenVerified): _authorize,
    (S.IDLE, events.TransactionRestored): _restore,
    (S.IDLE, events.TransactionBrought): _brought,
    (S.AUTHORIZING, events.CableConnected): _plug_in,
    (S.AUTHORIZING, events.CableDisconnected): _unplug_while_asking,
    (S.AUTHORIZING, events.TokenOffered): _check_for_start,
    (S.AUTHORIZING, events.TokenVerified): _authorize,
    (S.AUTHORIZING, events.TokenRejected): _reject_start,
    (S.AUTHORIZING, events.AuthorizationDropped): _forget_check,
    (S.AUTHORIZING, events.StopRequested): _stop_requested,
    (S.AUTHORIZING, events.TransactionOpened): _opened,
    (S.AUTHORIZING, events.OpeningFailed): _opening_failed,
    (S.AUTHORIZED, events.CableConnected): _plug_in,
    (S.AUTHORIZED, events.CableDisconnected): _unplug_authorized,
    (S.AUTHORIZED, events.TokenOffered): _offer_again,
    (S.AUTHORIZED, events.AuthorizationDropped): _drop_authorization,
    (S.AUTHORIZED, events.StopRequested): _stop_requested,
    (S.AUTHORIZED, events.TransactionOpened): _opened,
    (S.AUTHORIZED, events.OpeningFailed): _opening_failed,
    (S.AUTHORIZED, events.TokenRevoked): _revoke,
    (S.AUTHORIZED, events.TransactionTaken): _taken,
    (S.PLUGGED, events.CableConnected): _plug_in,
    (S.PLUGGED, events.CableDisconnected): _unplug,
    (S.PLUGGED, events.TokenOffered): _check_for_start,
    (S.PLUGGED, events.TokenVerified): _authorize,
    (S.PLUGGED, events.StopRequested): _stop_requested,
    (S.PLUGGED, events.TransactionOpened): _opened,
    (S.PLUGGED, events.OpeningFailed): _opening_failed,
    (S.CHARGING, events.CableConnected): _plug_in,
    (S.CHARGING, events.CableDisconnected): _unplug_charging,
    (S.CHARGING, events.TokenOffered): _offer_charging,
    (S.CHARGING, events.TokenVerified): _verified_in_use,
    (S.CHARGING, events.TokenRejected): _reject_in_use,
    (S.CHARGING, events.AuthorizationDropped): _forget_check,
    (S.CHARGING, events.StopRequested): _stop_requested,
    (S.CHARGING, events.TransactionOpened): _opened,
    (S.CHARGING, events.OpeningFailed): _opening_failed,
    (S.CHARGING, events.TokenRevoked): _revoke,
    (S.CHARGING, events.EnergyUsed): _check_energy,
    (S.FINISHING, events.CableConnected): _plug_in,
    (S.FINISHING, events.CableDisconnected): _unplug_finishing,
    (S.FINISHING, events.TokenOffered): _offer_finishing,
    (S.FINISHING, events.TokenVerified): _authorize_finishing,
    (S.FINISHING, events.TokenRejected): _reject_in_use,
    (S.FINISHING, events.AuthorizationDropped): _forget_check,
    (S.FINISHING, events.StopRequested): _stop_requested,
    (S.FINISHING, events.TransactionOpened): _opened,
    (S.FINISHING, events.OpeningFailed): _opening_failed,
    (S.FINISHING, events.TransactionClosed): _closed,
}
"""What is not in it means nothing in that stage."""

OVERLAYS: Mapping[type[events.Event], Effect] = {
    events.PowerWanted: _power_wanted,
    events.PowerPathChanged: _power_path,
    events.LockChanged: _lock_changed,
    events.FaultStarted: _fault_started,
    events.FaultEnded: _fault_ended,
    events.LimitChanged: _limit_changed,
    events.OperativeChanged: _operative_changed,
    events.TimerExpired: _timer_expired,
    events.GroupLearned: _learn_group,
    events.CableReleased: _release,
    events.TransactionNoted: _note,
}
"""The same in every stage."""
