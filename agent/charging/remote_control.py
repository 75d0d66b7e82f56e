"""Which EVSE a start goes to, and why it may not: rules for remote starts and for tokens at a shared reader.

Pure: looks at sessions, moves nothing. Asked by `execution.py` and `identification.py`.
OCPP 1.6 5.11 (R16-170 to R16-177), 5.12; 3.4 (R16-091 to R16-093).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.charging import reasons
from agent.charging.ids import EvseId, IdToken
from agent.charging.reservation import Fit
from agent.charging.session_values import Phase, Session
from agent.charging.snapshot import SessionState


@dataclass(frozen=True, slots=True)
class StationState:
    """What holds for every EVSE."""

    is_resetting: bool
    is_clock_trusted: bool
    is_registered: bool = True
    """The CSMS has accepted the station as often as the settings demand (R16-054)."""
    is_updating: bool = False


def start_obstacle(session: Session, station: StationState) -> str | None:
    """Why no transaction can start here now; None when one can (R16-080, R16-111, R16-176, R16-054)."""
    if station.is_resetting:
        return "resetting"
    if station.is_updating:
        return reasons.UPDATING
    if not station.is_clock_trusted:
        return "no trustworthy time"
    if not station.is_registered:
        return reasons.NOT_ACCEPTED_YET
    if session.stopping_faults:
        return "faulted"
    if not session.operative:
        return "inoperative"
    is_free = session.stage in (SessionState.IDLE, SessionState.PLUGGED, SessionState.FINISHING)
    if not is_free or not session.takes_driver or session.lock_held or session.checking is not None:
        return reasons.RUNS if session.has_transaction else "busy"
    return None


_PREFERENCE = {SessionState.PLUGGED: 0, SessionState.IDLE: 1, SessionState.FINISHING: 2}


_NONE: Mapping[EvseId, Fit] = {}


def choose_for_start(
    sessions: Mapping[EvseId, Session], station: StationState, fits: Mapping[EvseId, Fit] = _NONE
) -> EvseId | None:
    """The EVSE for a start that names none: the one reserved for the driver, else where a cable waits, else a free one,
    else one not yet left (R16-174); none that is reserved for others. `fits`: what reservations say of the driver."""
    free = []
    for evse_id, session in sessions.items():
        fit = fits.get(evse_id, Fit.OPEN)
        if start_obstacle(session, station) is None and fit is not Fit.CLOSED:
            free.append((fit is not Fit.OWN, _PREFERENCE[session.stage], fit, evse_id))
    return min(free)[-1] if free else None


def choose_for_token(
    id_token: IdToken,
    sessions: Mapping[EvseId, Session],
    station: StationState,
    fits: Mapping[EvseId, Fit] = _NONE,
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
    chosen = choose_for_start(sessions, station, fits)
    if chosen is not None:
        return chosen
    for evse_id, session in served:
        if session.phase is Phase.OPEN or session.lock_held:
            return evse_id
    return None
