"""StatusNotification and ChangeAvailability of OCPP 2.0.1: the connector status as a projection of snapshots.

OCPP 2.0.1 part 2, G01, G03, G04.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import UNSET, UnsetType

from agent.charging.occupancy import connector_state
from agent.charging.requests import Answer, ChangeAvailability, Verdict
from agent.charging.snapshot import StationSnapshot
from agent.ocpp.frontend import (
    Ask,
    Call,
    ConnectorStatus,
    Encoder,
    Place,
    Reply,
    ResultReader,
    Route,
    StatusNotice,
    View,
    acknowledged_by,
    routed,
)
from agent.ocpp.v201.datatypes import CsmsAnswer, Evse, Payload, StatusInfo, because, why
from agent.ocpp.v201.places import place_of
from agent.ocpp.values import Integer32, timestamp

ConnectorStatusName: TypeAlias = Literal["Available", "Occupied", "Reserved", "Unavailable", "Faulted"]


class StatusNotificationRequest(Payload, frozen=True, kw_only=True):
    timestamp: datetime
    connector_status: ConnectorStatusName
    evse_id: Integer32
    connector_id: Integer32


class StatusNotificationResponse(CsmsAnswer, frozen=True, kw_only=True):
    pass


class ChangeAvailabilityRequest(Payload, frozen=True, kw_only=True):
    operational_status: Literal["Inoperative", "Operative"]
    evse: Evse | UnsetType = UNSET


class ChangeAvailabilityResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Rejected", "Scheduled"]
    status_info: StatusInfo | UnsetType = UNSET


# --- what is -----------------------------------------------------------------------------------------------


def connector_statuses(snapshot: StationSnapshot) -> dict[Place, ConnectorStatus]:
    """The status of every connector; a station has none of its own in 2.x."""
    return {
        (evse_id, connector_id): ConnectorStatus(connector_state(evse, connector_id).value)
        for evse_id, evse in sorted(snapshot.evses.items())
        for connector_id in range(1, evse.connectors + 1)
    }


def status_between(_previous: ConnectorStatus, _following: ConnectorStatus) -> None:
    """Any status may follow any other."""


def least_status_s(_told: ConnectorStatus, _following: ConnectorStatus) -> float:
    """Every status is told; what happens within a transaction is not told by statuses."""
    return 0.0


# --- what is told ------------------------------------------------------------------------------------------


def status_notification(notice: StatusNotice, view: View, _reference: str | None) -> Call:
    """G01.FR.03 to .08. Without a status in the notice: the one of this moment, with its time."""
    place = (notice.evse_id, notice.connector_id)
    status = notice.status or connector_statuses(view.snapshot())[place]
    name: Any = status.status
    return Call(
        "StatusNotification",
        StatusNotificationRequest(
            timestamp=timestamp(notice.at or view.now()),
            connector_status=name,
            evse_id=notice.evse_id,
            connector_id=notice.connector_id,
        ),
    )


def change_availability(request: ChangeAvailabilityRequest, view: View) -> Ask | Reply:
    """G03, G04: without an EVSE the whole station; the status is told by StatusNotification after the answer."""
    place = place_of(view.snapshot(), request.evse)
    if isinstance(place, str):
        return Reply(ChangeAvailabilityResponse(status="Rejected", status_info=why(place)))
    operative = request.operational_status == "Operative"
    return Ask(ChangeAvailability(*place, operative=operative), _changed)


def _changed(answer: Answer) -> Reply:
    match answer.verdict:
        case Verdict.ACCEPTED:
            return Reply(ChangeAvailabilityResponse(status="Accepted"))
        case Verdict.SCHEDULED:
            return Reply(ChangeAvailabilityResponse(status="Scheduled"))
        case _:
            reason = because(answer.reason)
            return Reply(ChangeAvailabilityResponse(status="Rejected", status_info=reason))


ROUTES = routed(Route("ChangeAvailability", ChangeAvailabilityRequest, change_availability))
ENCODERS: Mapping[type, Encoder] = {StatusNotice: status_notification}
RESULTS: Mapping[str, ResultReader[Any]] = {"StatusNotification": acknowledged_by(StatusNotificationResponse)}
