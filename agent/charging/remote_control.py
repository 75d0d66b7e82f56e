"""Which EVSE a start goes to, and why it may not: rules for remote starts and for tokens at a shared reader.

Pure: looks at sessions, moves nothing. Asked by `execution.py` and `identification.py`.
OCPP 1.6 5.11 (R16-170 to R16-177), 5.12; 3.4 (R16-091 to R16-093).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.charging.ids import EvseId, IdToken
from agent.charging.session_values import Phase, Session
from agent.charging.snapshot import SessionState


@dataclass(frozen=True, slots=True)
class StationState:
    """What holds for every EVSE."""

    is_resetting: bool
    is_clock_trusted: bool


def start_obstacle(session: Session, station: StationState) -> str | None:
    """Why no transaction can start here now; None when one can (R16-080, R16-111, R16-176, R16-054)."""
    if station.is_resetting:
        return "resetting"
    if not station.is_clock_trusted:
        return "no trustworthy time"
    if session.stopping_faults:
        return "faulted"
    if not session.operative:
        return "inoperative"
    is_free = session.stage in (SessionState.IDLE, SessionState.PLUGGED, SessionState.FINISHING)
    if not is_free or session.phase is not Phase.NONE or session.lock_held or session.checking is not None:
        return "busy"
    return None


_PREFERENCE = {SessionState.PLUGGED: 0, SessionState.IDLE: 1, SessionState.FINISHING: 2}


def choose_for_start(sessions: Mapping[EvseId, Session], station: StationState) -> EvseId | None:
    """The EVSE for a start that names none: where a cable waits, else a free one, else one not yet left (R16-174)."""
    free = [
        (_PREFERENCE[session.stage], evse_id)
        for evse_id, session in sessions.items()
        if start_obstacle(session, station) is None
    ]
    return min(free)[1] if free else None


def choose_for_token(
    id_token: IdToken, sessions: Mapping[EvseId, Session], station: StationState
) -> EvseId | None:
    """The EVSE that a token at a reader means; None when it cannot mean any.

    First where it is in use (to stop, to cancel, to get the cable back), then where it can start, then where another
    token is in use whose group it may share."""
    served: Sequence[tuple[EvseId, Session]] = sorted(sessions.items())
    for evse_id, session in served:
        is_in_use = session.has_transaction or session.stage is SessionState.AUTHORIZED or session.lock_held
        if is_in_use and session.phase is not Phase.CLOSING and id_token.is_same(session.id_token):
            return evse_id
    for evse_id, session in served:
        if id_token.is_same(session.checking):
            return evse_id
    chosen = choose_for_start(sessions, station)
    if chosen is not None:
        return chosen
    for evse_id, session in served:
        if session.phase is Phase.OPEN or session.lock_held:
            return evse_id
    return None
