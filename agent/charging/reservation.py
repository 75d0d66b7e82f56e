"""Reservations as rules: what may be reserved, who may start where, and when a reservation ends.

Pure: looks at reservations and sessions, moves nothing. A reservation is for one EVSE or for any; those for any keep
as many EVSEs free as it takes, and none in particular; one for a connector type an EVSE that has it. It is *claimed*
while its driver has identified and the transaction has not begun; a claimed one keeps nobody else out and does not
expire. Used by `reserving.py`.
OCPP 1.6 3.11, 4.9, 5.1, 5.13 (R16-228 to R16-242, R16-110); 2.0.1 H01 to H04.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from agent.charging.authorization import is_same_driver
from agent.charging.availability import Place
from agent.charging.ids import ConnectorId, EvseId, IdToken, Reservation, ReservationEnd
from agent.charging.requests import ReserveAnswer, ReserveVerdict
from agent.charging.session_values import Phase, Session
from agent.charging.snapshot import SessionState

NO_SUCH_TYPE = "no connector of this type"
SWITCHED_OFF = "reservations are switched off"


class Fit(IntEnum):
    """What reservations say of a driver at an EVSE; the lower, the better it fits."""

    OWN = 0
    """This EVSE is reserved for the driver."""
    OPEN = 1
    PERHAPS = 2
    """Reserved for a group, and nobody has said yet which group the driver belongs to (R16-236)."""
    CLOSED = 3
    """Reserved for others (R16-235)."""


@dataclass(frozen=True, slots=True)
class Scene:
    """All that the rules look at."""

    held: Sequence[Reservation]
    """In the order in which they were made."""
    sessions: Mapping[EvseId, Session]
    inoperative: Collection[Place] = ()
    """Connectors that are out of service."""
    types: Mapping[EvseId, frozenset[str]] = field(default_factory=dict)
    """Connector types that an EVSE has; an EVSE that is not in it may have any."""
    is_station_faulted: bool = False
    is_station_operative: bool = True

    @property
    def pending(self) -> tuple[Reservation, ...]:
        """Those that nobody has claimed."""
        claimed = [session.reservation for session in self.sessions.values()]
        return tuple(each for each in self.held if each not in claimed)


# --- who may start where -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Driver:
    """Who wants to start."""

    id_token: IdToken
    group: IdToken | None = None
    is_group_known: bool = False
    """The CSMS has been asked, or what it once said looked up; without it a group may still turn out right."""

    def owns(self, reservation: Reservation) -> bool:
        return is_same_driver(reservation.id_token, reservation.group, self.id_token, self.group)


def fit(scene: Scene, evse_id: EvseId, driver: Driver, connector_id: ConnectorId | None = None) -> Fit:
    """R16-235. `connector_id`: the one that is asked for; a cable that is in decides without it."""
    named = _named(scene, evse_id)
    if named is not None:
        if not _fits_connector(scene, named, connector_id):
            return Fit.CLOSED
        if driver.owns(named):
            return Fit.OWN
        return Fit.PERHAPS if named.group is not None and not driver.is_group_known else Fit.CLOSED
    fitting = [each for each in _floating(scene) if _has_type(scene, evse_id, each)]
    mine = [each for each in fitting if driver.owns(each)]
    if any(_leaves_enough(scene, evse_id, each) for each in mine) or not is_kept(scene, evse_id):
        return Fit.OPEN
    may_belong = not driver.is_group_known and any(each.group is not None for each in fitting)
    return Fit.PERHAPS if may_belong else Fit.CLOSED


def claim(
    scene: Scene, evse_id: EvseId, driver: Driver, connector_id: ConnectorId | None = None
) -> Reservation | None:
    """The reservation that a start of this driver at this EVSE uses (R16-237): that of the EVSE, else one for any."""
    named = _named(scene, evse_id)
    if named is not None:
        return named if driver.owns(named) and _fits_connector(scene, named, connector_id) else None
    mine = [each for each in _floating(scene) if driver.owns(each) and _has_type(scene, evse_id, each)]
    kind = [each for each in mine if _leaves_enough(scene, evse_id, each)]
    return min(kind or mine, key=lambda each: each.expires_at, default=None)


def needs_group(scene: Scene, evse_id: EvseId, id_token: IdToken) -> bool:
    """Whether the driver's group decides what may be started here, or which reservation it uses (R16-236)."""
    if claim(scene, evse_id, Driver(id_token)) is not None:
        return False
    here = [each for each in scene.pending if each.evse_id in (None, evse_id)]
    return any(each.group is not None and _has_type(scene, evse_id, each) for each in here)


def is_kept(scene: Scene, evse_id: EvseId) -> bool:
    """A start here by somebody without a reservation would leave too few EVSEs for those that name none (R16-234)."""
    floating = _floating(scene)
    return _served(scene, floating, _free(scene) - {evse_id}) < len(floating)


def _leaves_enough(scene: Scene, evse_id: EvseId, used: Reservation) -> bool:
    """A start here with `used` costs nobody else the EVSE that was left for him (H01.FR.09)."""
    floating, free = _floating(scene), _free(scene)
    others = [each for each in floating if each is not used]
    return _served(scene, others, free - {evse_id}) >= _served(scene, floating, free) - 1


def _served(scene: Scene, wishes: Sequence[Reservation], evse_ids: Collection[EvseId]) -> int:
    """For how many of `wishes` at once there is an EVSE of their own: the largest matching, by augmenting paths."""
    taken: dict[EvseId, Reservation] = {}

    def find(wish: Reservation, seen: set[EvseId]) -> bool:
        for evse_id in sorted(evse_ids):
            if evse_id in seen or not _has_type(scene, evse_id, wish):
                continue
            seen.add(evse_id)
            if evse_id not in taken or find(taken[evse_id], seen):
                taken[evse_id] = wish
                return True
        return False

    return sum(find(wish, set()) for wish in wishes)


def _has_type(scene: Scene, evse_id: EvseId, wish: Reservation) -> bool:
    wanted = wish.connector_type
    return wanted is None or wanted in scene.types.get(evse_id, (wanted,))


def _named(scene: Scene, evse_id: EvseId) -> Reservation | None:
    return next((each for each in scene.pending if each.evse_id == evse_id), None)


def _fits_connector(scene: Scene, named: Reservation, connector_id: ConnectorId | None) -> bool:
    """A reservation that names a connector is used there only (OCPP 1.6 3.11)."""
    assert named.evse_id is not None
    session = scene.sessions[named.evse_id]
    used = session.connector_id if session.plugged else connector_id
    return named.connector_id is None or used in (None, named.connector_id)


def _floating(scene: Scene) -> list[Reservation]:
    return [each for each in scene.pending if each.evse_id is None]


def _free(scene: Scene) -> set[EvseId]:
    """Where the driver of a reservation without an EVSE could start now."""
    named = {each.evse_id for each in scene.pending}
    return {evse_id for evse_id, each in scene.sessions.items() if _is_free(each) and evse_id not in named}


def _is_free(session: Session) -> bool:
    """A token without a cable, which may yet be refused, takes nothing from anybody."""
    is_asking = session.stage is SessionState.AUTHORIZING and not session.plugged
    is_idle = session.stage is SessionState.IDLE or is_asking
    return is_idle and _is_in_service(session) and session.phase is Phase.NONE and not session.lock_held


def _is_in_service(session: Session) -> bool:
    return session.operative and not session.stopping_faults


# --- what is shown -----------------------------------------------------------------------------------------


def reserved_connectors(scene: Scene, evse_id: EvseId, connectors: int) -> frozenset[ConnectorId]:
    """The connectors that show as reserved. A cable without a driver changes nothing about that (OCPP 1.6 4.9, G2)."""
    session = scene.sessions[evse_id]
    if session.has_transaction:
        return frozenset()
    every = frozenset(range(1, connectors + 1))
    named = _named(scene, evse_id)
    if named is not None:
        return every if named.connector_id is None else frozenset({named.connector_id})
    if session.stage not in (SessionState.IDLE, SessionState.PLUGGED, SessionState.AUTHORIZING):
        return frozenset()
    return every if is_kept(scene, evse_id) and _is_in_service(session) else frozenset()


# --- making one --------------------------------------------------------------------------------------------


def judge_wish(scene: Scene, wanted: Reservation, now: datetime) -> ReserveAnswer:
    """Whether `wanted` can be made. `scene` is without the reservation that it replaces (R16-229)."""
    if wanted.expires_at <= now:
        return ReserveAnswer(ReserveVerdict.REJECTED, "it is over already")  # R16-241
    if scene.is_station_faulted:
        return ReserveAnswer(ReserveVerdict.FAULTED, "the station is faulted")  # R16-231
    if wanted.evse_id is None:
        return _judge_floating(scene, wanted)
    session = scene.sessions.get(wanted.evse_id)
    if session is None:
        return ReserveAnswer(ReserveVerdict.REJECTED, "no such EVSE")  # R16-242
    if not _has_type(scene, wanted.evse_id, wanted):
        return ReserveAnswer(ReserveVerdict.REJECTED, NO_SUCH_TYPE)
    if session.stopping_faults:
        return ReserveAnswer(ReserveVerdict.FAULTED, ", ".join(sorted(session.stopping_faults)))
    if _is_out_of_service(scene, wanted, session):
        return ReserveAnswer(ReserveVerdict.UNAVAILABLE, "out of service")
    is_taken = session.stage is not SessionState.IDLE or session.phase is not Phase.NONE or session.lock_held
    if is_taken:
        return ReserveAnswer(ReserveVerdict.OCCUPIED, "in use")
    if _named(scene, wanted.evse_id) is not None or is_kept(scene, wanted.evse_id):
        return ReserveAnswer(ReserveVerdict.OCCUPIED, "reserved")  # R16-230
    return ReserveAnswer(ReserveVerdict.ACCEPTED)


def _judge_floating(scene: Scene, wanted: Reservation) -> ReserveAnswer:
    if not scene.is_station_operative:
        return ReserveAnswer(ReserveVerdict.UNAVAILABLE, "the station is out of service")
    floating = _floating(scene)
    if _served(scene, [*floating, wanted], _free(scene)) > len(floating):
        return ReserveAnswer(ReserveVerdict.ACCEPTED)
    targets = scene.sessions.items()
    sessions = [session for evse_id, session in targets if _has_type(scene, evse_id, wanted)]
    if not sessions:
        return ReserveAnswer(ReserveVerdict.REJECTED, NO_SUCH_TYPE)
    if all(session.stopping_faults for session in sessions):
        return ReserveAnswer(ReserveVerdict.FAULTED, "every EVSE is faulted")
    if not any(_is_in_service(session) for session in sessions):
        return ReserveAnswer(ReserveVerdict.UNAVAILABLE, "no EVSE is in service")
    return ReserveAnswer(ReserveVerdict.OCCUPIED, "no EVSE is left")


def _is_out_of_service(scene: Scene, reservation: Reservation, session: Session) -> bool:
    if reservation.connector_id is None:
        return not session.operative
    return (reservation.evse_id, reservation.connector_id) in scene.inoperative


# --- the end of one ----------------------------------------------------------------------------------------


def ended(scene: Scene, now: datetime | None) -> list[tuple[Reservation, ReservationEnd]]:
    """Those that are over (R16-238, R16-239). `now` None: nobody knows the time, so none has expired.

    Those without an EVSE that can no longer all be kept, because EVSEs fell out, end too: the one made last first."""
    pending = scene.pending
    over: list[tuple[Reservation, ReservationEnd]] = []
    floating: list[Reservation] = []
    named: set[EvseId] = set()
    for each in scene.held:
        if _has_lost_its_place(scene, each):
            over.append((each, ReservationEnd.REMOVED))
        elif now is not None and each.expires_at <= now and each in pending:
            over.append((each, ReservationEnd.EXPIRED))
        elif each.evse_id is None:
            floating.append(each)
        else:
            named.add(each.evse_id)
    usable = [
        evse_id
        for evse_id, session in scene.sessions.items()
        if _is_in_service(session) and evse_id not in named
    ]
    kept: list[Reservation] = []
    for each in floating:
        if _served(scene, [*kept, each], usable) > len(kept):
            kept.append(each)
        else:
            over.append((each, ReservationEnd.REMOVED))
    return over


def _has_lost_its_place(scene: Scene, reservation: Reservation) -> bool:
    if scene.is_station_faulted:
        return True
    if reservation.evse_id is None:
        return not scene.is_station_operative
    session = scene.sessions.get(reservation.evse_id)
    if session is None:
        return True
    return bool(session.stopping_faults) or _is_out_of_service(scene, reservation, session)
