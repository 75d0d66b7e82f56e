"""ReserveNow and CancelReservation of OCPP 1.6. What may be reserved is decided in `agent/charging/reservation.py`.

Connector 0 is a reservation that leaves the connector open. The status Reserved is a projection of the snapshot
(`availability.py`), the reservationId of StartTransaction stands in its fact. OCPP 1.6 3.11, 5.1, 5.13, 7.5, 7.40
(R16-228 to R16-242).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from agent.charging.facts import ReservationLapsed
from agent.charging.ids import Reservation
from agent.charging.requests import Answer, CancelReservation, Reserve, ReserveAnswer, ReserveVerdict, Verdict
from agent.ocpp.frontend import Ask, Encoder, Reply, Response, Route, View, routed
from agent.ocpp.v16.connectors import STATION, place_of
from agent.ocpp.v16.datatypes import AcceptedRejected, CiString20, id_token
from agent.ocpp.values import Integer64, aware


class ReserveNowRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    connector_id: int
    expiry_date: datetime
    id_tag: CiString20
    reservation_id: Integer64
    parent_id_tag: CiString20 | UnsetType = UNSET


class ReserveNowResponse(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    status: Literal["Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"]


class CancelReservationRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    reservation_id: Integer64


class CancelReservationResponse(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: AcceptedRejected


_REJECTED = Reply(ReserveNowResponse(status="Rejected"))


def reserve_now(request: ReserveNowRequest, view: View) -> Response:
    """Without the profile, or for an unknown connector, Rejected (R16-232, R16-242)."""
    place = place_of(view.snapshot(), request.connector_id)
    has_profile = "Reservation" in view.settings.listed("supported_feature_profiles")
    if place is None or not has_profile:
        return _REJECTED
    parent = request.parent_id_tag
    evse_id, connector_id = (None, None) if place == STATION else place
    reservation = Reservation(
        reservation_id=request.reservation_id,
        id_token=id_token(request.id_tag),
        group=id_token(parent) if parent is not UNSET and parent else None,
        expires_at=aware(request.expiry_date),
        evse_id=evse_id,
        connector_id=connector_id,
    )
    return Ask(Reserve(reservation), _reserved)


def _reserved(answer: ReserveAnswer) -> Reply:
    match answer.verdict:
        case ReserveVerdict.ACCEPTED:
            return Reply(ReserveNowResponse(status="Accepted"))
        case ReserveVerdict.FAULTED:
            return Reply(ReserveNowResponse(status="Faulted"))
        case ReserveVerdict.OCCUPIED:
            return Reply(ReserveNowResponse(status="Occupied"))
        case ReserveVerdict.REJECTED:
            return _REJECTED
        case ReserveVerdict.UNAVAILABLE:
            return Reply(ReserveNowResponse(status="Unavailable"))


def cancel_reservation(request: CancelReservationRequest, _view: View) -> Ask:
    """R16-240."""
    return Ask(CancelReservation(request.reservation_id), _cancelled)


def _cancelled(answer: Answer) -> Reply:
    is_known = answer.verdict is Verdict.ACCEPTED
    return Reply(CancelReservationResponse(status="Accepted" if is_known else "Rejected"))


def reservation_lapsed(_fact: ReservationLapsed, _view: View, _reference: str | None) -> None:
    """1.6 has no message for it."""


ROUTES = routed(
    Route("ReserveNow", ReserveNowRequest, reserve_now),
    Route("CancelReservation", CancelReservationRequest, cancel_reservation),
)
ENCODERS: Mapping[type, Encoder] = {ReservationLapsed: reservation_lapsed}
