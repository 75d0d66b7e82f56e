"""How a session comes to rest: nobody identified any more, a transaction that ends or goes on without its driver.

Pure steps that several effects of `session.py` and the settling of `session_settling.py` share. A transaction ends when
what a stop point needs is lost, and in any case when neither cable nor driver is left: otherwise it would stay open for
ever. OCPP 1.6 4.8 to 4.10; 2.0.1 E05 to E10, F03.
"""

from dataclasses import replace
from typing import TypeAlias

from msgspec import Struct

from agent.charging.actions import Action, CloseTransaction, StopTimer, Timer
from agent.charging.ids import ChargingState, ConnectorId, IdToken, Reservation, StopReason, TriggerReason
from agent.charging.session_values import POINT_NEEDS, Condition, Phase, Policy, Session, Stop
from agent.charging.snapshot import SessionState

AUTHORIZATION = frozenset({Condition.AUTHORIZED})
CABLE = frozenset({Condition.EV_CONNECTED})


class Report(Struct, frozen=True):
    """What happened, for the transaction if one runs; the settling adds where it stands then."""

    trigger: TriggerReason
    id_token: IdToken | None = None
    remote_start_id: int | None = None
    reservation: Reservation | None = None
    connector_id: ConnectorId | None = None


Outcome: TypeAlias = tuple[Session, tuple[Action | Report, ...]]


def rest(session: Session) -> Session:
    """Nobody is identified any more, and no transaction runs; what remains is the cable."""
    if session.lock_held:
        return replace(
            session,
            stage=SessionState.FINISHING,
            phase=Phase.NONE,
            pending_stop=None,
            ended_by=None,
        )
    return Session(
        stage=_stage_of_nobody(session),
        connector_id=session.connector_id,
        plugged=session.plugged,
        power_wanted=session.power_wanted,
        power_path_closed=session.power_path_closed,
        locked=session.locked,
        stopping_faults=session.stopping_faults,
        limit_a=session.limit_a,
        operative=session.operative,
        permitted=session.permitted,
        barred=session.barred and session.plugged,
        finished=session.finished and session.plugged,
        remark=session.remark if _stage_of_nobody(session) is SessionState.FINISHING else "",
    )


def _stage_of_nobody(session: Session) -> SessionState:
    if not session.plugged:
        return SessionState.IDLE
    return SessionState.FINISHING if session.finished else SessionState.PLUGGED


def without_driver(session: Session) -> Session:
    """A token came to nothing: as before it, and the transaction goes on if one runs."""
    if session.phase is Phase.NONE:
        return rest(replace(session, checking=None))
    stage = SessionState.FINISHING if session.finished else SessionState.PLUGGED
    return replace(session, stage=stage, checking=None)


def stop(session: Session, why: Stop, policy: Policy) -> Outcome:
    """End the transaction, or what would become one. While the start is being written the stop waits for it."""
    match session.phase:
        case Phase.OPENING:
            return replace(session, pending_stop=session.pending_stop or why), ()
        case Phase.CLOSING:
            return session, ()
        case Phase.NONE:
            has_driver = session.stage in (SessionState.AUTHORIZED, SessionState.CHARGING)
            return (rest(session), (StopTimer(Timer.CONNECTION),)) if has_driver else (session, ())
    goes_on = not ends(session, why, policy)
    if goes_on and why.lost is not None and Condition.AUTHORIZED not in why.lost:
        return session, (Report(why.trigger),)
    reason = why.reason if session.ended_by is None else session.ended_by
    after = replace(
        session,
        stage=SessionState.FINISHING,
        finished=True,
        ev_disconnected=False,
        lock_held=_has_cable(session) and (session.lock_held or _keeps_lock(reason, why, policy)),
        ended_by=reason,
    )
    awaits_cable = session.stage is SessionState.AUTHORIZED or (
        session.ev_disconnected and policy.awaits_lost_ev
    )
    timer: tuple[Action, ...] = (StopTimer(Timer.CONNECTION),) if awaits_cable else ()
    if goes_on:
        return after, (Report(why.trigger, why.id_token), *timer)
    state = ChargingState.EV_CONNECTED if session.plugged else ChargingState.IDLE
    close = CloseTransaction(reason, why.trigger, why.id_token or session.id_token, state)
    return replace(after, phase=Phase.CLOSING), (close, *timer)


def _has_cable(session: Session) -> bool:
    """A socket with a cable in it, whether its other end is in the car or not: an empty one is kept from nobody."""
    return session.locked is not None and (session.plugged or session.locked)


def _keeps_lock(reason: StopReason, why: Stop, policy: Policy) -> bool:
    was_pulled = why.reason is StopReason.EV_DISCONNECTED and reason is why.reason
    return reason is StopReason.DE_AUTHORIZED or (was_pulled and not policy.unlock_on_ev_disconnect)


def ends(session: Session, why: Stop, policy: Policy) -> bool:
    """Does the transaction end with this? (2.0.1 E06, 2.6.6.2)"""
    if why.lost is None:
        return True
    gone = {
        each for each in (Condition.EV_CONNECTED, Condition.AUTHORIZED) if not session.has(each)
    } | why.lost
    if {Condition.EV_CONNECTED, Condition.AUTHORIZED} <= gone:
        return True
    return any(why.lost & POINT_NEEDS[point] for point in policy.stop_points)
