"""One EVSE's life from plug-in to plug-out: a literal TRANSITIONS table and one pure step function.

A *session* is plug-in to plug-out, a *transaction* lies within it (`Phase`). Faults, availability and limits are
overlays: they hold in every stage and change none. After each event `_settle` derives what follows from the new
state: whether a transaction opens, whether charging is permitted, what the EV is doing. No asyncio, no ports, no
clock; stepped by `evse_runner.py`, which carries out the actions. OCPP 1.6 3.6, 4.8-4.10, 9.1; 2.0.1 E01-E10.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from agent.charging import events
from agent.charging.actions import (
    Action,
    Announce,
    CheckToken,
    CloseTransaction,
    ForbidCharging,
    FreeLock,
    HoldLock,
    OfferCurrent,
    OpenTransaction,
    PermitCharging,
    Purpose,
    Refuse,
    SignalAccepted,
    StartTimer,
    StopTimer,
    Timer,
    UpdateTransaction,
)
from agent.charging.authorization import is_same_driver
from agent.charging.ids import ChargingState, StopReason, TriggerReason
from agent.charging.session_values import POINT_NEEDS, Condition, Phase, Policy, Session, Stop
from agent.charging.snapshot import SessionState

SETTLE_S = 10.0
BOARD_LOST_S = 60.0
EV_SIDE_DISCONNECTED = "EV side disconnected"
"""The remark of OCPP 1.6 4.9."""

Change: TypeAlias = tuple[Session, tuple[Action, ...]]
Effect: TypeAlias = Callable[[Session, Any, Policy], Change]


def step(session: Session, event: events.Event, policy: Policy) -> Change:
    """The session after `event`, and what is to be done, in order. An event that means nothing here changes nothing."""
    effect = TRANSITIONS.get((session.stage, type(event))) or OVERLAYS.get(type(event))
    if effect is None:
        return session, ()
    changed, actions = effect(session, event, policy)
    return _settle(session, changed, actions, policy)


# --- effects: what an event does in a stage --------------------------------------------------------------


def _rest(session: Session) -> Session:
    """Nobody is identified any more; what remains is the cable."""
    if session.lock_held:
        return replace(session, stage=SessionState.FINISHING, phase=Phase.NONE, pending_stop=None)
    if not session.plugged:
        stage = SessionState.IDLE
    else:
        stage = SessionState.FINISHING if session.finished else SessionState.PLUGGED
    return Session(
        stage=stage,
        connector_id=session.connector_id,
        plugged=session.plugged,
        power_wanted=session.power_wanted,
        power_path_closed=session.power_path_closed,
        locked=session.locked,
        stopping_faults=session.stopping_faults,
        limit_a=session.limit_a,
        operative=session.operative,
        permitted=session.permitted,
        finished=session.finished and session.plugged,
        remark=session.remark if stage is SessionState.FINISHING else "",
    )


def _plug_in(session: Session, _event: events.CableConnected, _policy: Policy) -> Change:
    after = replace(session, plugged=True, ev_disconnected=False, remark="")
    return (_rest(after) if session.stage is SessionState.IDLE else after), ()


def _unplug(session: Session, _event: events.CableDisconnected, _policy: Policy) -> Change:
    return _rest(replace(session, plugged=False)), ()


def _unplug_while_asking(session: Session, _event: events.CableDisconnected, _policy: Policy) -> Change:
    return replace(session, plugged=False, finished=False), ()


def _unplug_authorized(session: Session, event: events.CableDisconnected, policy: Policy) -> Change:
    after = replace(session, plugged=False)
    if session.phase is Phase.OPENING:
        return _unplug_charging(session, event, policy)
    return after, ()


def _unplug_charging(session: Session, _event: events.CableDisconnected, policy: Policy) -> Change:
    """R16-081, R16-082, R16-125 to R16-127: priority of StopTransactionOnEVSideDisconnect over Unlock...."""
    after = replace(session, plugged=False, remark=EV_SIDE_DISCONNECTED)
    if not policy.stop_on_ev_disconnect:
        return replace(after, ev_disconnected=True, resumed=True), ()
    stop = Stop(StopReason.EV_DISCONNECTED, TriggerReason.EV_DEPARTED, lost=Condition.EV_CONNECTED)
    return _stop(after, stop, policy)


def _unplug_finishing(session: Session, _event: events.CableDisconnected, policy: Policy) -> Change:
    after = replace(session, plugged=False)
    if session.phase is Phase.OPEN:
        stop = Stop(StopReason.EV_DISCONNECTED, TriggerReason.EV_DEPARTED, lost=Condition.EV_CONNECTED)
        return _stop(after, stop, policy)
    return (after if session.phase is Phase.CLOSING else _rest(after)), ()


def _check_for_start(session: Session, event: events.TokenOffered, _policy: Policy) -> Change:
    if event.id_token.is_same(session.checking):
        return session, ()
    if session.phase is not Phase.NONE or session.checking is not None:
        return session, (Refuse(event.id_token, "busy"),)
    after = replace(session, stage=SessionState.AUTHORIZING, checking=event.id_token)
    check = CheckToken(
        event.id_token, Purpose.START, event.trigger, event.connector_id, event.remote_start_id
    )
    return after, (check,)


def _offer_again(session: Session, event: events.TokenOffered, policy: Policy) -> Change:
    """While the cable is awaited the same token cancels (R16-066); while the start is written it stops."""
    if not event.id_token.is_same(session.id_token):
        return session, (Refuse(event.id_token, "busy"),)
    stop = Stop(StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED, event.id_token, Condition.AUTHORIZED)
    return _stop(session, stop, policy)


def _offer_charging(session: Session, event: events.TokenOffered, policy: Policy) -> Change:
    """The very token that started stops without a question (R16-091); another one is checked (R16-092)."""
    if event.id_token.is_same(session.id_token):
        stop = Stop(StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED, event.id_token, Condition.AUTHORIZED)
        return _stop(session, stop, policy)
    if session.checking is not None:
        return session, (Refuse(event.id_token, "busy"),)
    return replace(session, checking=event.id_token), (CheckToken(event.id_token, Purpose.STOP),)


def _offer_finishing(session: Session, event: events.TokenOffered, policy: Policy) -> Change:
    if not session.lock_held or session.phase is not Phase.NONE:
        return _check_for_start(session, event, policy)
    if event.id_token.is_same(session.id_token):
        return _rest(replace(session, lock_held=False)), (SignalAccepted(),)
    if session.checking is not None:
        return session, (Refuse(event.id_token, "busy"),)
    return replace(session, checking=event.id_token), (CheckToken(event.id_token, Purpose.RELEASE),)


def _authorize(session: Session, event: events.TokenVerified, policy: Policy) -> Change:
    """A driver is identified. Without a cable, ConnectionTimeOut begins (R16-119, R16-177).

    What was taken out of service while the token was being checked takes nobody."""
    if not session.operative:
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
        finished=False,
        remark="",
    )
    waits = policy.connection_timeout_s > 0
    timer = (StartTimer(Timer.CONNECTION, policy.connection_timeout_s),) if waits else ()
    return after, (SignalAccepted(), *timer)


def _authorize_finishing(session: Session, event: events.TokenVerified, policy: Policy) -> Change:
    if session.lock_held or session.phase is not Phase.NONE:
        return _verified_in_use(session, event, policy)
    return _authorize(session, event, policy)


def _verified_in_use(session: Session, event: events.TokenVerified, policy: Policy) -> Change:
    """Only a token of the same group may end a transaction or get a cable back (R16-092, R16-093, R16-112)."""
    after = replace(session, checking=None)
    if not is_same_driver(session.id_token, session.group, event.id_token, event.group):
        return after, (Refuse(event.id_token, "in use"),)
    if session.lock_held and session.phase is Phase.NONE:
        return _rest(replace(after, lock_held=False)), (SignalAccepted(),)
    stop = Stop(StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED, event.id_token, Condition.AUTHORIZED)
    return _stop(after, stop, policy)


def _reject_start(session: Session, event: events.TokenRejected, _policy: Policy) -> Change:
    return _rest(replace(session, checking=None)), (Refuse(event.id_token, event.reason),)


def _reject_in_use(session: Session, event: events.TokenRejected, _policy: Policy) -> Change:
    return replace(session, checking=None), (Refuse(event.id_token, event.reason),)


def _drop_authorization(session: Session, _event: object, _policy: Policy) -> Change:
    if session.phase is not Phase.NONE:
        return session, ()
    return _rest(session), (StopTimer(Timer.CONNECTION),)


def _forget_check(session: Session, _event: events.AuthorizationDropped, _policy: Policy) -> Change:
    """The token turned out to be meant for another EVSE."""
    after = replace(session, checking=None)
    return (_rest(after) if session.stage is SessionState.AUTHORIZING else after), ()


def _stop_requested(session: Session, event: events.StopRequested, policy: Policy) -> Change:
    return _stop(session, Stop(event.reason, event.trigger, event.id_token), policy)


def _opened(session: Session, _event: events.TransactionOpened, policy: Policy) -> Change:
    if session.phase is not Phase.OPENING:
        return session, ()
    after = replace(
        session,
        stage=SessionState.CHARGING if session.stage is SessionState.AUTHORIZED else session.stage,
        phase=Phase.OPEN,
        charging_state=ChargingState.EV_CONNECTED,
        reservation=None,
        pending_stop=None,
    )
    if session.pending_stop is not None:
        return _stop(after, session.pending_stop, policy)
    return after, ()


def _opening_failed(session: Session, event: events.OpeningFailed, _policy: Policy) -> Change:
    refusal = (Refuse(session.id_token, event.reason),) if session.id_token is not None else ()
    return _rest(replace(session, phase=Phase.NONE, pending_stop=None)), refusal


def _closed(session: Session, _event: events.TransactionClosed, _policy: Policy) -> Change:
    return _rest(replace(session, phase=Phase.NONE)), ()


def _restore(session: Session, event: events.TransactionRestored, _policy: Policy) -> Change:
    """No cable is seen yet: the first word of the hardware says whether the EV is still there."""
    after = replace(
        session,
        stage=SessionState.CHARGING,
        phase=Phase.OPEN,
        id_token=event.id_token,
        connector_id=event.connector_id,
        charging_state=ChargingState.IDLE,
        ev_disconnected=True,
        resumed=True,
    )
    return after, ()


def _revoke(session: Session, event: events.TokenRevoked, policy: Policy) -> Change:
    """R16-112 to R16-115: first the energy that is allowed all the same, then the consequences."""
    after = replace(session, deauthorized=True)
    return _check_energy(after, events.EnergyUsed(event.used_wh), policy)


def _check_energy(session: Session, event: events.EnergyUsed, policy: Policy) -> Change:
    if not session.deauthorized or event.used_wh < policy.max_energy_on_invalid_id_wh:
        return session, ()
    if not policy.stop_on_invalid_id:
        return replace(session, energy_stopped=True), ()
    stop = Stop(StopReason.DE_AUTHORIZED, TriggerReason.DEAUTHORIZED, lost=Condition.AUTHORIZED)
    return _stop(session, stop, policy)


def _stop(session: Session, stop: Stop, policy: Policy) -> Change:
    """End the transaction, or what would become one. While the start is being written the stop waits for it."""
    if session.phase is Phase.OPENING:
        return replace(session, pending_stop=session.pending_stop or stop), ()
    if session.phase is Phase.NONE:
        is_waiting = session.stage is SessionState.AUTHORIZED
        return (_rest(session), (StopTimer(Timer.CONNECTION),)) if is_waiting else (session, ())
    if session.phase is Phase.CLOSING:
        return session, ()
    keeps_lock = stop.reason is StopReason.DE_AUTHORIZED or (
        stop.reason is StopReason.EV_DISCONNECTED and not policy.unlock_on_ev_disconnect
    )
    after = replace(
        session,
        stage=SessionState.FINISHING,
        finished=True,
        ev_disconnected=False,
        lock_held=keeps_lock and session.locked is not None,
    )
    if stop.lost is not None and all(stop.lost not in POINT_NEEDS[point] for point in policy.stop_points):
        return after, ()
    close = CloseTransaction(stop.reason, stop.trigger, stop.id_token or session.id_token)
    return replace(after, phase=Phase.CLOSING), (close,)


# --- effects of overlays: the same in every stage --------------------------------------------------------


def _power_wanted(session: Session, event: events.PowerWanted, _policy: Policy) -> Change:
    return replace(session, power_wanted=event.wanted), ()


def _power_path(session: Session, event: events.PowerPathChanged, _policy: Policy) -> Change:
    return replace(session, power_path_closed=event.closed), ()


def _lock_changed(session: Session, event: events.LockChanged, _policy: Policy) -> Change:
    """A cable that was kept and is loose all the same (a vendor command, service staff) is kept no longer."""
    after = replace(session, locked=event.locked)
    if event.locked is False and session.lock_held and session.phase is Phase.NONE:
        return _rest(replace(after, lock_held=False)), ()
    return after, ()


def _fault_started(session: Session, event: events.FaultStarted, policy: Policy) -> Change:
    if not event.stops_charging:
        return session, ()
    after = replace(session, stopping_faults=session.stopping_faults | {event.code})
    if event.code == "board_comm" and session.phase is Phase.OPEN:
        return after, (StartTimer(Timer.BOARD_LOST, BOARD_LOST_S),)
    if event.ends_with is not None and session.phase in (Phase.OPENING, Phase.OPEN):
        return _stop(after, Stop(event.ends_with, TriggerReason.ABNORMAL_CONDITION), policy)
    waits = session.stage is SessionState.AUTHORIZED and session.phase is Phase.NONE
    if event.code == "lock_fail" and waits and session.id_token is not None:
        # R16-079: no transaction; to wait would mean to try, fail and report over and over
        return _rest(after), (
            StopTimer(Timer.CONNECTION),
            Refuse(session.id_token, "the cable cannot be locked"),
        )
    return after, ()


def _fault_ended(session: Session, event: events.FaultEnded, _policy: Policy) -> Change:
    actions = (StopTimer(Timer.BOARD_LOST),) if event.code == "board_comm" else ()
    return replace(session, stopping_faults=session.stopping_faults - {event.code}), actions


def _limit_changed(session: Session, event: events.LimitChanged, _policy: Policy) -> Change:
    return replace(session, limit_a=event.limit_a), (OfferCurrent(event.limit_a),)


def _operative_changed(session: Session, event: events.OperativeChanged, _policy: Policy) -> Change:
    after = replace(session, operative=event.is_operative)
    if event.is_operative or session.phase is not Phase.NONE or session.stage is not SessionState.AUTHORIZED:
        return after, ()
    return _rest(after), (StopTimer(Timer.CONNECTION),)


def _timer_expired(session: Session, event: events.TimerExpired, policy: Policy) -> Change:
    match event.timer:
        case Timer.CONNECTION:
            waits = session.stage is SessionState.AUTHORIZED and session.phase is Phase.NONE
            return (_rest(session) if waits else session), ()
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
            return _stop(session, Stop(StopReason.OTHER, TriggerReason.ABNORMAL_CONDITION), policy)


def _learn_group(session: Session, event: events.GroupLearned, _policy: Policy) -> Change:
    return replace(session, group=event.group or session.group), ()


def _release(session: Session, _event: events.CableReleased, _policy: Policy) -> Change:
    if not session.lock_held or session.phase is not Phase.NONE:
        return replace(session, lock_held=False), ()
    return _rest(replace(session, lock_held=False)), ()


# --- the table -------------------------------------------------------------------------------------------

S = SessionState
TRANSITIONS: Mapping[tuple[SessionState, type[events.Event]], Effect] = {
    (S.IDLE, events.CableConnected): _plug_in,
    (S.IDLE, events.TokenOffered): _check_for_start,
    (S.IDLE, events.TokenVerified): _authorize,
    (S.IDLE, events.TransactionRestored): _restore,
    (S.AUTHORIZING, events.CableConnected): _plug_in,
    (S.AUTHORIZING, events.CableDisconnected): _unplug_while_asking,
    (S.AUTHORIZING, events.TokenOffered): _check_for_start,
    (S.AUTHORIZING, events.TokenVerified): _authorize,
    (S.AUTHORIZING, events.TokenRejected): _reject_start,
    (S.AUTHORIZING, events.AuthorizationDropped): _forget_check,
    (S.AUTHORIZED, events.CableConnected): _plug_in,
    (S.AUTHORIZED, events.CableDisconnected): _unplug_authorized,
    (S.AUTHORIZED, events.TokenOffered): _offer_again,
    (S.AUTHORIZED, events.AuthorizationDropped): _drop_authorization,
    (S.AUTHORIZED, events.StopRequested): _stop_requested,
    (S.AUTHORIZED, events.TransactionOpened): _opened,
    (S.AUTHORIZED, events.OpeningFailed): _opening_failed,
    (S.PLUGGED, events.CableDisconnected): _unplug,
    (S.PLUGGED, events.TokenOffered): _check_for_start,
    (S.PLUGGED, events.TokenVerified): _authorize,
    (S.CHARGING, events.CableConnected): _plug_in,
    (S.CHARGING, events.CableDisconnected): _unplug_charging,
    (S.CHARGING, events.TokenOffered): _offer_charging,
    (S.CHARGING, events.TokenVerified): _verified_in_use,
    (S.CHARGING, events.TokenRejected): _reject_in_use,
    (S.CHARGING, events.AuthorizationDropped): _forget_check,
    (S.CHARGING, events.StopRequested): _stop_requested,
    (S.CHARGING, events.TokenRevoked): _revoke,
    (S.CHARGING, events.EnergyUsed): _check_energy,
    (S.FINISHING, events.CableConnected): _plug_in,
    (S.FINISHING, events.CableDisconnected): _unplug_finishing,
    (S.FINISHING, events.TokenOffered): _offer_finishing,
    (S.FINISHING, events.TokenVerified): _authorize_finishing,
    (S.FINISHING, events.TokenRejected): _reject_in_use,
    (S.FINISHING, events.AuthorizationDropped): _forget_check,
    (S.FINISHING, events.StopRequested): _stop_requested,
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
}
"""The same in every stage."""


# --- what follows from the new state ---------------------------------------------------------------------


def _settle(before: Session, session: Session, actions: tuple[Action, ...], policy: Policy) -> Change:
    """Order: stop charging first, then what the event asked for, then what follows."""
    session, opening = _open_if_due(session, policy)
    permitted = _may_charge(session)
    first: tuple[Action, ...] = (ForbidCharging(),) if before.permitted and not permitted else ()
    last: list[Action] = []
    if before.holds_lock != session.holds_lock:
        last.append(HoldLock() if session.holds_lock else FreeLock())
    if permitted and not before.permitted:
        last.append(PermitCharging())
    session = replace(session, permitted=permitted)
    if before.is_offering != session.is_offering:
        offers = session.is_offering
        last.append(StartTimer(Timer.SETTLE, SETTLE_S) if offers else StopTimer(Timer.SETTLE))
        session = replace(session, settled=False)
    state = _charging_state(session)
    is_open = before.phase is Phase.OPEN and session.phase is Phase.OPEN
    if is_open and state is not before.charging_state:
        last.append(UpdateTransaction(TriggerReason.CHARGING_STATE_CHANGED, state))
    settled = session.settled or state is ChargingState.CHARGING
    session = replace(session, charging_state=state, settled=settled)
    if policy.forgets_plugged and policy.connection_timeout_s > 0:
        last += _watch_identification(before, session, policy)
    if _visible(before) != _visible(session):
        last.append(Announce(session.remark))
    return session, (*first, *actions, *last, *opening)


def _watch_identification(before: Session, session: Session, policy: Policy) -> tuple[Action, ...]:
    was_open, is_open = (each.stage is SessionState.PLUGGED for each in (before, session))
    if was_open == is_open:
        return ()
    timer = Timer.IDENTIFICATION
    return (StartTimer(timer, policy.connection_timeout_s) if is_open else StopTimer(timer),)


def _open_if_due(session: Session, policy: Policy) -> Change:
    """A transaction opens when one start point has all it needs, nothing is in the way and the cable is locked."""
    is_blocked = (
        session.phase is not Phase.NONE
        or session.stage is SessionState.FINISHING
        or bool(session.stopping_faults)
        or not session.operative
        or (session.plugged and session.locked is False)
        or (session.plugged and not session.is_asked_connector)
    )
    if is_blocked:
        return session, ()
    if not any(all(session.has(need) for need in POINT_NEEDS[point]) for point in policy.start_points):
        return session, ()
    opening = OpenTransaction(
        session.id_token,
        session.connector_id,
        session.trigger,
        session.remote_start_id,
        session.reservation,
    )
    return replace(session, phase=Phase.OPENING), (StopTimer(Timer.CONNECTION), opening)


def _may_charge(session: Session) -> bool:
    """No energy before authorization (R16-088), none after its end, none while a fault stands."""
    return (
        session.stage is SessionState.CHARGING
        and session.phase is Phase.OPEN
        and session.plugged
        and not session.stopping_faults
        and not session.energy_stopped
    )


def _charging_state(session: Session) -> ChargingState:
    """R16-067 to R16-070: both sides suspended counts as ours."""
    former = session.charging_state
    if session.stage is not SessionState.CHARGING or session.phase is not Phase.OPEN:
        return former
    if session.ev_disconnected:
        return ChargingState.IDLE
    if not session.is_offering:
        return ChargingState.SUSPENDED_EVSE
    if session.power_wanted:
        if session.power_path_closed:
            return ChargingState.CHARGING
        return ChargingState.SUSPENDED_EVSE if former is ChargingState.CHARGING else former
    if session.settled or former is ChargingState.CHARGING:
        return ChargingState.SUSPENDED_EV
    return ChargingState.EV_CONNECTED if former is ChargingState.IDLE else former


def _visible(session: Session) -> tuple[object, ...]:
    return (
        session.stage,
        session.phase is Phase.OPEN,
        session.charging_state,
        session.stopping_faults,
        session.operative,
        session.plugged,
        session.ev_disconnected,
        session.deauthorized,
        session.remark,
    )
