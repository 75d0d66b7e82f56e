"""StatusNotification and ChangeAvailability of OCPP 1.6: the connector status as a projection of snapshots.

Nothing is kept here: `connector_statuses` says what is, `agent/ocpp/status.py` what has to be told. Faults and
availability lie over the state of the session. OCPP 1.6 4.9, 5.2, 7.6, 7.7 (R16-061 to R16-082, R16-185 to R16-190).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from agent.charging.availability import LOCAL_LIST_CONFLICT, RESET_FAULT, STORE_FAULT
from agent.charging.ids import ChargingState, ConnectorId
from agent.charging.requests import Answer, ChangeAvailability, Verdict
from agent.charging.snapshot import ActiveFault, EvseSnapshot, SessionState, StationSnapshot
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
from agent.ocpp.v16.connectors import STATION, number_of, place_of
from agent.ocpp.v16.datatypes import CiString50, CiString255
from agent.ocpp.values import optional, timestamp
from hal.ports import FaultCode

StatusName: TypeAlias = Literal[
    "Available",
    "Preparing",
    "Charging",
    "SuspendedEVSE",
    "SuspendedEV",
    "Finishing",
    "Reserved",
    "Unavailable",
    "Faulted",
]
ErrorName: TypeAlias = Literal[
    "ConnectorLockFailure",
    "EVCommunicationError",
    "GroundFailure",
    "HighTemperature",
    "InternalError",
    "LocalListConflict",
    "NoError",
    "OtherError",
    "OverCurrentFailure",
    "PowerMeterFailure",
    "PowerSwitchFailure",
    "ReaderFailure",
    "ResetFailure",
    "UnderVoltage",
    "OverVoltage",
    "WeakSignal",
]

ERROR_CODES: Mapping[str, ErrorName] = {
    FaultCode.RCD_DC: "GroundFailure",
    FaultCode.RCD_AC: "GroundFailure",
    FaultCode.RCD_SELF_TEST: "GroundFailure",
    FaultCode.CONTACTOR_WELDED: "PowerSwitchFailure",
    FaultCode.CONTACTOR_NO_CLOSE: "PowerSwitchFailure",
    FaultCode.CP_DIODE: "EVCommunicationError",
    FaultCode.CP_RANGE: "EVCommunicationError",
    FaultCode.PP_RANGE: "OtherError",
    FaultCode.LOCK_FAIL: "ConnectorLockFailure",
    FaultCode.UNLOCK_FAIL: "ConnectorLockFailure",
    FaultCode.OVER_CURRENT: "OverCurrentFailure",
    FaultCode.OVER_VOLTAGE: "OverVoltage",
    FaultCode.UNDER_VOLTAGE: "UnderVoltage",
    FaultCode.TEMP_WARN: "HighTemperature",
    FaultCode.TEMP_STOP: "HighTemperature",
    FaultCode.VENT_UNAVAILABLE: "OtherError",
    FaultCode.EMERGENCY_STOP: "OtherError",
    FaultCode.DOOR_OPEN: "OtherError",
    FaultCode.TILT: "OtherError",
    FaultCode.PHASE_SWITCH: "PowerSwitchFailure",
    FaultCode.BOARD_COMM: "InternalError",
    FaultCode.BOARD_RESET: "InternalError",
    FaultCode.FIRMWARE_INCOMPATIBLE: "InternalError",
    FaultCode.METER_COMM: "PowerMeterFailure",
    FaultCode.METER_IMPLAUSIBLE: "PowerMeterFailure",
    FaultCode.READER_FAILURE: "ReaderFailure",
    STORE_FAULT: "InternalError",
    RESET_FAULT: "ResetFailure",
    LOCAL_LIST_CONFLICT: "LocalListConflict",
}
"""Fault of hardware or station -> errorCode of OCPP 1.6 7.6; anything else is OtherError with a vendorErrorCode."""

_EV_ERROR_STATUSES = frozenset({"Preparing", "SuspendedEV", "SuspendedEVSE", "Finishing"})
"""The only ones that EVCommunicationError goes with (R16-077)."""

TRANSITIONS: Mapping[str, frozenset[str]] = {
    "Available": frozenset(
        {"Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Reserved", "Unavailable", "Faulted"}
    ),
    "Preparing": frozenset({"Available", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing", "Faulted"}),
    "Charging": frozenset(
        {"Available", "SuspendedEV", "SuspendedEVSE", "Finishing", "Unavailable", "Faulted"}
    ),
    "SuspendedEV": frozenset(
        {"Available", "Charging", "SuspendedEVSE", "Finishing", "Unavailable", "Faulted"}
    ),
    "SuspendedEVSE": frozenset(
        {"Available", "Charging", "SuspendedEV", "Finishing", "Unavailable", "Faulted"}
    ),
    "Finishing": frozenset({"Available", "Preparing", "Unavailable", "Faulted"}),
    "Reserved": frozenset({"Available", "Preparing", "Unavailable", "Faulted"}),
    "Unavailable": frozenset(
        {"Available", "Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Faulted"}
    ),
    "Faulted": frozenset(
        {
            "Available",
            "Preparing",
            "Charging",
            "SuspendedEV",
            "SuspendedEVSE",
            "Finishing",
            "Reserved",
            "Unavailable",
        }
    ),
}
"""OCPP 1.6 4.9 with errata 3.20 (R16-063)."""


class StatusNotificationRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    connector_id: int
    error_code: ErrorName
    status: StatusName
    info: CiString50 | UnsetType = UNSET
    timestamp: datetime | UnsetType = UNSET
    vendor_id: CiString255 | UnsetType = UNSET
    vendor_error_code: CiString50 | UnsetType = UNSET


class StatusNotificationResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class ChangeAvailabilityRequest(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    connector_id: int
    type: Literal["Inoperative", "Operative"]


class ChangeAvailabilityResponse(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    status: Literal["Accepted", "Rejected", "Scheduled"]


# --- what is -----------------------------------------------------------------------------------------------


def connector_statuses(snapshot: StationSnapshot) -> dict[Place, ConnectorStatus]:
    """The status of the station (connector 0) and of every connector."""
    statuses = {STATION: _station_status(snapshot)}
    for evse_id, evse in sorted(snapshot.evses.items()):
        for connector_id in range(1, evse.connectors + 1):
            statuses[evse_id, connector_id] = _connector_status(snapshot, evse, connector_id)
    return statuses


def _station_status(snapshot: StationSnapshot) -> ConnectorStatus:
    """Available, Unavailable or Faulted, whatever the connectors do (R16-062)."""
    return _with_faults("Available" if snapshot.is_operative else "Unavailable", snapshot.faults, "")


def _connector_status(
    snapshot: StationSnapshot, evse: EvseSnapshot, connector_id: ConnectorId
) -> ConnectorStatus:
    is_in_use = evse.connector_id == connector_id
    has_transaction = evse.transaction is not None and is_in_use
    is_operative = connector_id not in evse.inoperative_connectors
    if not is_operative and not has_transaction:  # a running transaction goes on to its end (R16-186)
        return _with_faults("Unavailable", evse.faults, "")
    if evse.reserved_connectors:  # also with a cable in, until its driver identifies (4.9, G2)
        is_reserved = connector_id in evse.reserved_connectors
        # The other connectors of its EVSE are of no use to anybody.
        return _with_faults("Reserved" if is_reserved else "Unavailable", evse.faults, evse.remark)
    if not evse.is_known and not evse.faults and not has_transaction:
        return ConnectorStatus("Unavailable", "NoError")  # R16-073; told only if it is asked for
    if not is_in_use:
        # Another connector of the same EVSE is taken: this one cannot be used, and nobody is preparing on it.
        is_free = evse.session is SessionState.IDLE or _is_only_asking(evse)
        return _with_faults("Available" if is_free else "Unavailable", evse.faults, "")
    return _with_faults(_session_status(evse), evse.faults, evse.remark)


def _is_only_asking(evse: EvseSnapshot) -> bool:
    """A tag without a cable, which may yet be refused, takes nothing from the next user."""
    return evse.session is SessionState.AUTHORIZING and not evse.is_plugged


def _session_status(evse: EvseSnapshot) -> StatusName:
    match evse.session:
        case SessionState.IDLE:
            return "Available"
        case SessionState.AUTHORIZING if _is_only_asking(evse):
            return "Available"
        case SessionState.PLUGGED | SessionState.AUTHORIZED | SessionState.AUTHORIZING:
            return "Preparing"
        case SessionState.FINISHING:
            return "Finishing"
        case SessionState.CHARGING:
            return _charging_status(evse)


def _charging_status(evse: EvseSnapshot) -> StatusName:
    """Within a transaction. Both sides suspended: SuspendedEVSE (R16-070)."""
    transaction = evse.transaction
    if transaction is None:  # the instant between the end of a transaction and the next picture
        return "Finishing"
    if transaction.ev_disconnected:
        return "SuspendedEV"  # R16-081
    match transaction.charging_state:
        case ChargingState.CHARGING:
            return "Charging"
        case ChargingState.SUSPENDED_EVSE:
            return "SuspendedEVSE"
        case ChargingState.SUSPENDED_EV:
            return "SuspendedEV"
        case ChargingState.EV_CONNECTED:
            # The EV has not said yet whether it wants energy: no flicker before Charging.
            return "SuspendedEV" if transaction.is_resumed else "Preparing"
        case ChargingState.IDLE:
            return "SuspendedEV" if evse.hardware.is_offering else "SuspendedEVSE"


def _with_faults(status: StatusName, faults: tuple[ActiveFault, ...], remark: str) -> ConnectorStatus:
    """A fault that stops charging makes Faulted, any other is a warning (R16-076)."""
    if not faults:
        return ConnectorStatus(status, "NoError", "", remark)
    stopping = [fault for fault in faults if fault.stops_charging]
    serious = [fault for fault in stopping if ERROR_CODES.get(fault.code) != "EVCommunicationError"]
    if serious:
        return _fault_status("Faulted", serious[0], remark)
    if stopping:  # the EV's side of the pilot: a warning, and no energy meanwhile (OCPP 1.6 7.6)
        shown: StatusName = "SuspendedEVSE" if status == "Charging" else status
        return _fault_status("Faulted" if shown == "Available" else shown, stopping[0], remark)
    return _fault_status(status, faults[0], remark)


def _fault_status(status: StatusName, fault: ActiveFault, remark: str) -> ConnectorStatus:
    code = ERROR_CODES.get(fault.code, "OtherError")
    if code == "EVCommunicationError" and status not in _EV_ERROR_STATUSES:
        code = "OtherError"
    return ConnectorStatus(status, code, fault.code, fault.detail or remark)


def status_between(previous: ConnectorStatus, following: ConnectorStatus) -> ConnectorStatus | None:
    """The step that 1.6 wants between two statuses that have no direct transition (R16-063)."""
    if previous.status == following.status or following.status in TRANSITIONS[previous.status]:
        return None
    for middle in ("Preparing", "Finishing", "Available"):
        if middle in TRANSITIONS[previous.status] and following.status in TRANSITIONS[middle]:
            return ConnectorStatus(middle, "NoError")
    return None


_WITHIN_TRANSACTION = frozenset({"Charging", "SuspendedEV", "SuspendedEVSE"})
LEAST_STATUS_S = 0.5
"""An EV that only regulates leaves Charging and comes back; that is no news (4.9, R16-075)."""


def least_status_s(told: ConnectorStatus, following: ConnectorStatus) -> float:
    """The station's own minimum duration, to which MinimumStatusDuration is added; 0 where every step counts."""
    is_within = told.status in _WITHIN_TRANSACTION and following.status in _WITHIN_TRANSACTION
    return LEAST_STATUS_S if is_within and following.error_code == "NoError" else 0.0


# --- what is told ------------------------------------------------------------------------------------------


def status_notification(notice: StatusNotice, view: View, _reference: str | None) -> Call:
    """Without a status in the notice: the one of this moment, with its time (a triggered one, or after offline)."""
    snapshot = view.snapshot()
    place = (notice.evse_id, notice.connector_id)
    status = notice.status or connector_statuses(snapshot)[place]
    status_name: Any = status.status
    error_name: Any = status.error_code
    return Call(
        "StatusNotification",
        StatusNotificationRequest(
            connector_id=number_of(snapshot, place),
            error_code=error_name,
            status=status_name,
            info=optional(status.remark, 50),
            timestamp=timestamp(notice.at or view.now()),
            vendor_id=optional(view.identity.vendor if status.vendor_error_code else "", 255),
            vendor_error_code=optional(status.vendor_error_code, 50),
        ),
    )


def change_availability(request: ChangeAvailabilityRequest, view: View) -> Ask | Reply:
    """Connector 0 is the station with all its connectors; an unknown connector is Rejected (R16-185)."""
    place = place_of(view.snapshot(), request.connector_id)
    if place is None:
        return Reply(ChangeAvailabilityResponse(status="Rejected"))
    return Ask(ChangeAvailability(*place, operative=request.type == "Operative"), _changed)


def _changed(answer: Answer) -> Reply:
    match answer.verdict:
        case Verdict.ACCEPTED:
            return Reply(ChangeAvailabilityResponse(status="Accepted"))
        case Verdict.SCHEDULED:
            return Reply(ChangeAvailabilityResponse(status="Scheduled"))
        case _:
            return Reply(ChangeAvailabilityResponse(status="Rejected"))


ROUTES = routed(Route("ChangeAvailability", ChangeAvailabilityRequest, change_availability))
ENCODERS: Mapping[type, Encoder] = {StatusNotice: status_notification}
RESULTS: Mapping[str, ResultReader[Any]] = {"StatusNotification": acknowledged_by(StatusNotificationResponse)}
