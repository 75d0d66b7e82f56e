"""ReserveNow, CancelReservation and ReservationStatusUpdate of OCPP 2.0.1.

OCPP 2.0.1 part 2, H01 to H04.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import UNSET, UnsetType

from agent.charging.facts import ReservationLapsed
from agent.charging.ids import Reservation
from agent.charging.requests import Answer, CancelReservation, Reserve, ReserveAnswer, ReserveVerdict, Verdict
from agent.charging.reservation import NO_SUCH_TYPE, SWITCHED_OFF
from agent.ocpp.frontend import (
    Ask,
    Call,
    Encoder,
    Reply,
    Response,
    ResultReader,
    Route,
    View,
    acknowledged_by,
    routed,
)
from agent.ocpp.v201.datatypes import (
    CsmsAnswer,
    IdToken,
    Payload,
    ReasonCode,
    StatusInfo,
    because,
    id_token,
    why,
)
from agent.ocpp.values import Integer32, Integer64, aware

ConnectorName: TypeAlias = Literal[
    "cCCS1",
    "cCCS2",
    "cG105",
    "cTesla",
    "cType1",
    "cType2",
    "s309-1P-16A",
    "s309-1P-32A",
    "s309-3P-16A",
    "s309-3P-32A",
    "sBS1361",
    "sCEE-7-7",
    "sType2",
    "sType3",
    "Other1PhMax16A",
    "Other1PhOver16A",
    "Other3Ph",
    "Pan",
    "wInductive",
    "wResonant",
    "Undetermined",
    "Unknown",
]


class ReserveNowRequest(Payload, frozen=True, kw_only=True):
    id: Integer64
    expiry_date_time: datetime
    id_token: IdToken
    connector_type: ConnectorName | UnsetType = UNSET
    evse_id: Integer32 | UnsetType = UNSET
    group_id_token: IdToken | UnsetType = UNSET


class ReserveNowResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"]
    status_info: StatusInfo | UnsetType = UNSET


class CancelReservationRequest(Payload, frozen=True, kw_only=True):
    reservation_id: Integer64


class CancelReservationResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Rejected"]
    status_info: StatusInfo | UnsetType = UNSET


class ReservationStatusUpdateRequest(Payload, frozen=True, kw_only=True):
    reservation_id: Integer64
    reservation_update_status: Literal["Expired", "Removed"]


class ReservationStatusUpdateResponse(CsmsAnswer, frozen=True, kw_only=True):
    pass


def reserve_now(request: ReserveNowRequest, view: View) -> Response:
    """H01: for an EVSE, for a connector of a type wherever it is, or for any EVSE."""
    evse_id = None if request.evse_id is UNSET else request.evse_id
    if evse_id is not None and evse_id not in view.snapshot().evses:
        return Reply(ReserveNowResponse(status="Rejected", status_info=why("UnknownEvse")))
    group = request.group_id_token
    reservation = Reservation(
        reservation_id=request.id,
        id_token=id_token(request.id_token),
        group=None if group is UNSET else id_token(group),
        expires_at=aware(request.expiry_date_time),
        evse_id=evse_id,
        connector_type=None if request.connector_type is UNSET else request.connector_type,
    )
    return Ask(Reserve(reservation), _reserved)


_CODES: Mapping[str, ReasonCode] = {NO_SUCH_TYPE: "UnknownConnectorType", SWITCHED_OFF: "NotEnabled"}


def _reserved(answer: ReserveAnswer) -> Reply:
    code = _CODES.get(answer.reason)
    reason = because(answer.reason) if code is None else why(code)
    match answer.verdict:
        case ReserveVerdict.ACCEPTED:
            return Reply(ReserveNowResponse(status="Accepted"))
        case ReserveVerdict.FAULTED:
            return Reply(ReserveNowResponse(status="Faulted", status_info=reason))
        case ReserveVerdict.OCCUPIED:
            return Reply(ReserveNowResponse(status="Occupied", status_info=reason))
        case ReserveVerdict.REJECTED:
            return Reply(ReserveNowResponse(status="Rejected", status_info=reason))
        case ReserveVerdict.UNAVAILABLE:
            return Reply(ReserveNowResponse(status="Unavailable", status_info=reason))


def cancel_reservation(request: CancelReservationRequest, _view: View) -> Ask:
    """H02."""
    return Ask(CancelReservation(request.reservation_id), _cancelled)


def _cancelled(answer: Answer) -> Reply:
    if answer.verdict is Verdict.ACCEPTED:
        return Reply(CancelReservationResponse(status="Accepted"))
    return Reply(CancelReservationResponse(status="Rejected", status_info=because(answer.reason)))


def reservation_lapsed(fact: ReservationLapsed, _view: View, _reference: str | None) -> Call:
    """H01.FR.16, H01.FR.17, H04.FR.01."""
    status: Any = fact.end.value
    return Call(
        "ReservationStatusUpdate",
        ReservationStatusUpdateRequest(reservation_id=fact.reservation_id, reservation_update_status=status),
    )


ROUTES = routed(
    Route("ReserveNow", ReserveNowRequest, reserve_now),
    Route("CancelReservation", CancelReservationRequest, cancel_reservation),
)
ENCODERS: Mapping[type, Encoder] = {ReservationLapsed: reservation_lapsed}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "ReservationStatusUpdate": acknowledged_by(ReservationStatusUpdateResponse)
}
