"""What follows from a session's new state: whether a transaction opens, whether charging is permitted, what is told.

Called after every effect of `session.py`, and the same whatever the event was: the state decides. Pure.
OCPP 1.6 4.9 (R16-067 to R16-070, R16-088); 2.0.1 E01, E02.FR.13, E02.FR.17, E06.FR.07.
"""

from dataclasses import replace

from agent.charging.actions import (
    Action,
    Announce,
    ForbidCharging,
    FreeLock,
    HoldLock,
    OpenTransaction,
    PermitCharging,
    StartTimer,
    StopTimer,
    Timer,
    UpdateTransaction,
)
from agent.charging.ids import ChargingState, StopReason, TriggerReason
from agent.charging.session_ending import Report, stop
from agent.charging.session_values import POINT_NEEDS, Condition, Phase, Policy, Session, Stop
from agent.charging.snapshot import SessionState

SETTLE_S = 10.0
_DRIVER_AND_CABLE = frozenset({Condition.EV_CONNECTED, Condition.AUTHORIZED})


def settle(
    before: Session, session: Session, done: tuple[Action | Report, ...], policy: Policy
) -> tuple[Session, tuple[Action, ...]]:
    """Order: stop charging first, then what the event asked for, then what follows."""
    session = _follow(before, session, policy)
    if _lost_energy(before, session, policy):
        session, stopping = stop(session, _energy_stop(session, done), policy)
        done = (*done, *stopping)
        session = _follow(before, session, policy)
    session = _open_if_due(session, policy)  # energy may be what it waited for
    first: tuple[Action, ...] = (ForbidCharging(),) if before.permitted and not session.permitted else ()
    last: list[Action] = []
    if before.holds_lock != session.holds_lock:
        last.append(HoldLock() if session.holds_lock else FreeLock())
    if session.permitted and not before.permitted:
        last.append(PermitCharging())
    if before.is_offering != session.is_offering:
        offers = session.is_offering
        last.append(StartTimer(Timer.SETTLE, SETTLE_S) if offers else StopTimer(Timer.SETTLE))
    last += _updates(before, session, done)
    last += _timers(before, session, policy)
    if _visible(before) != _visible(session):
        last.append(Announce(session.remark))
    if before.phase is Phase.NONE and session.phase is Phase.OPENING:
        last += _opening(session, policy)
    return session, (*first, *(each for each in done if not isinstance(each, Report)), *last)


def _follow(before: Session, session: Session, policy: Policy) -> Session:
    """Transaction, stage, permission and charging state, each from the ones before it."""
    session = _advance(_open_if_due(session, policy), policy)
    session = replace(session, permitted=_may_charge(session))
    settled = session.settled and before.is_offering == session.is_offering
    session = replace(session, settled=settled)
    state = _charging_state(session)
    settled = session.settled or (state is ChargingState.CHARGING and session.stage is SessionState.CHARGING)
    return replace(session, charging_state=state, settled=settled)


# --- the transaction -------------------------------------------------------------------------------------


def _open_if_due(session: Session, policy: Policy) -> Session:
    """A transaction opens when one start point has all it needs, and nothing is in the way."""
    is_blocked = (
        session.phase is not Phase.NONE
        or session.stage is SessionState.FINISHING
        or session.finished  # a cable that has had its transaction waits for a driver
        or bool(session.stopping_faults)
        or not session.operative
        or session.barred
    )
    if is_blocked or not _met_points(session, policy):
        return session
    return replace(session, phase=Phase.OPENING)


def _met_points(session: Session, policy: Policy) -> list[str]:
    return [point for point in policy.start_points if _is_met(point, session)]


def _is_met(point: str, session: Session) -> bool:
    """Where a point needs driver and cable, they have to be together: locked, and at the right connector."""
    needs = POINT_NEEDS[point]
    if not all(session.has(need) for need in needs):
        return False
    return len(needs) == 1 or session.is_joined


def _opening(session: Session, policy: Policy) -> tuple[Action, ...]:
    points = _met_points(session, policy)
    opening = OpenTransaction(
        session.id_token,
        session.connector_id,
        _start_trigger(session, points),
        session.remote_start_id,
        session.reservation,
        session.charging_state,
        session.plugged,
        needs_signature=points == ["DataSigned"],
    )
    return (StopTimer(Timer.CONNECTION), opening) if session.plugged else (opening,)


def _start_trigger(session: Session, points: list[str]) -> TriggerReason:
    """A remote start is told as such, whatever came last (2.0.1 F02.FR.21)."""
    if session.id_token is not None and session.trigger is TriggerReason.REMOTE_START:
        return TriggerReason.REMOTE_START
    match points:
        case ["EnergyTransfer"]:
            return TriggerReason.CHARGING_STATE_CHANGED
        case ["DataSigned"]:
            return TriggerReason.SIGNED_DATA_RECEIVED
        case _:
            return session.cause


def _advance(session: Session, policy: Policy) -> Session:
    """Driver and cable are together: charging begins with the transaction, or before it where it waits for energy."""
    is_ready = session.stage is SessionState.AUTHORIZED and session.is_joined and not session.stopping_faults
    if not is_ready:
        return session
    awaits_energy = (
        session.phase is Phase.NONE
        and session.operative
        and not session.barred
        and all(POINT_NEEDS[point] > _DRIVER_AND_CABLE for point in policy.start_points)
    )
    if session.phase is Phase.OPEN or awaits_energy:
        return replace(session, stage=SessionState.CHARGING)
    return session


def _lost_energy(before: Session, session: Session, policy: Policy) -> bool:
    """2.0.1 E06.FR.07: every pause ends a transaction that stops with the energy."""
    was_flowing = before.phase is Phase.OPEN and before.has(Condition.ENERGY)
    is_over = session.phase is not Phase.OPEN or session.stage is not SessionState.CHARGING
    return (
        was_flowing
        and not is_over
        and not session.has(Condition.ENERGY)
        and "EnergyTransfer" in policy.stop_points
    )


def _energy_stop(session: Session, done: tuple[Action | Report, ...]) -> Stop:
    triggers = [each.trigger for each in done if isinstance(each, Report)]
    if session.deauthorized:
        reason = StopReason.DE_AUTHORIZED
    elif session.charging_state is ChargingState.SUSPENDED_EV:
        reason = StopReason.STOPPED_BY_EV
    else:
        reason = StopReason.OTHER
    trigger = triggers[0] if triggers else TriggerReason.CHARGING_STATE_CHANGED
    return Stop(reason, trigger, lost=frozenset({Condition.ENERGY}))


# --- charging --------------------------------------------------------------------------------------------


def _may_charge(session: Session) -> bool:
    """No energy before authorization (R16-088), none after its end, none while a fault stands."""
    return (
        session.stage is SessionState.CHARGING
        and session.phase is not Phase.CLOSING
        and session.plugged
        and not session.stopping_faults
        and not session.energy_stopped
    )


def _charging_state(session: Session) -> ChargingState:
    """R16-067 to R16-070: both sides suspended counts as ours. Without a transaction it says nothing."""
    former = session.charging_state
    if session.stage is not SessionState.CHARGING:
        return _state_of_nobody(session)
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


def _state_of_nobody(session: Session) -> ChargingState:
    """Without a driver who may charge; a contactor that is about to open still feeds."""
    former = session.charging_state
    if not session.is_running:
        return former
    if not session.plugged:
        return ChargingState.IDLE
    if session.power_path_closed and former is ChargingState.CHARGING:
        return former
    return ChargingState.EV_CONNECTED


# --- what is told ----------------------------------------------------------------------------------------


def _updates(before: Session, session: Session, done: tuple[Action | Report, ...]) -> list[Action]:
    """Each report once, with the state as it is now; a change of state that nothing more specific tells, alone."""
    if not (before.is_running and session.is_running):
        return []
    state, is_authorized = session.charging_state, session.has(Condition.AUTHORIZED)
    updates: list[Action] = [
        UpdateTransaction(
            report.trigger,
            state,
            report.connector_id,
            is_authorized,
            report.id_token,
            report.remote_start_id,
            report.reservation,
        )
        for report in done
        if isinstance(report, Report)
    ]
    if not updates and state is not before.charging_state:
        changed = TriggerReason.CHARGING_STATE_CHANGED
        updates.append(UpdateTransaction(changed, state, is_authorized=is_authorized))
    return updates


def _timers(before: Session, session: Session, policy: Policy) -> list[Action]:
    timers: list[Action] = []
    if before.stage is not SessionState.CHARGING and session.stage is SessionState.CHARGING:
        timers.append(StopTimer(Timer.CONNECTION))
    if policy.forgets_plugged and policy.connection_timeout_s > 0:
        was_open, is_open = (each.stage is SessionState.PLUGGED for each in (before, session))
        timer = Timer.IDENTIFICATION
        if is_open and not was_open:
            timers.append(StartTimer(timer, policy.connection_timeout_s))
        elif was_open and not is_open:
            timers.append(StopTimer(timer))
    return timers


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
