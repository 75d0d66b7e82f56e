"""Monitoring of variables in OCPP 2.0.1: monitors set and cleared, and NotifyEvent; the payloads of their reports, too.

Which monitors there are and what they notice is `agent/charging/monitoring.py`; the handler of reports is in
`monitoring_reports.py`. Pure. OCPP 2.0.1 part 2, N03 to N08.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from agent.charging.facts import EventsNoticed, VariableEvent
from agent.charging.monitors import (
    Flaw,
    MonitorAnswer,
    MonitoringBase,
    MonitorKind,
    MonitorOrder,
    MonitorVerdict,
)
from agent.charging.requests import (
    Answer,
    ClearMonitors,
    MonitorAnswers,
    SetMonitoringBase,
    SetMonitoringLevel,
    SetMonitors,
    Verdict,
)
from agent.ocpp.codec import Category
from agent.ocpp.frontend import (
    Ask,
    Call,
    Encoder,
    Refuse,
    Reply,
    ResultReader,
    Route,
    View,
    acknowledged_by,
    routed,
)
from agent.ocpp.v201.datatypes import (
    Component,
    ComponentVariable,
    CsmsAnswer,
    GenericDeviceModelStatusName,
    GenericStatusName,
    Payload,
    StatusInfo,
    Text36,
    Text50,
    Text500,
    Text2500,
    Variable,
    because,
    why,
)
from agent.ocpp.v201.names import component_of, component_payload, variable_of, variable_payload
from agent.ocpp.values import Integer32, Integer64, optional, timestamp

MonitorName: TypeAlias = Literal[
    "UpperThreshold", "LowerThreshold", "Delta", "Periodic", "PeriodicClockAligned"
]
SetMonitoringStatusName: TypeAlias = Literal[
    "Accepted", "UnknownComponent", "UnknownVariable", "UnsupportedMonitorType", "Rejected", "Duplicate"
]
EventNotificationName: TypeAlias = Literal[
    "HardWiredNotification", "HardWiredMonitor", "PreconfiguredMonitor", "CustomMonitor"
]


class SetMonitoringData(Payload, frozen=True, kw_only=True):
    """Datatype 2.42."""

    value: float
    type: MonitorName
    severity: Integer32
    component: Component
    variable: Variable
    id: Integer64 | UnsetType = UNSET
    transaction: bool | UnsetType = UNSET


class SetMonitoringResult(Payload, frozen=True, kw_only=True):
    """Datatype 2.43."""

    status: SetMonitoringStatusName
    type: MonitorName
    component: Component
    variable: Variable
    severity: Integer32
    id: Integer64 | UnsetType = UNSET
    status_info: StatusInfo | UnsetType = UNSET


class ClearMonitoringResult(Payload, frozen=True, kw_only=True):
    """Datatype 2.15."""

    status: Literal["Accepted", "Rejected", "NotFound"]
    id: Integer64
    status_info: StatusInfo | UnsetType = UNSET


class VariableMonitoring(Payload, frozen=True, kw_only=True):
    """Datatype 2.52."""

    id: Integer64
    transaction: bool
    value: float
    type: MonitorName
    severity: Integer32


class MonitoringData(Payload, frozen=True, kw_only=True):
    """Datatype 2.34."""

    component: Component
    variable: Variable
    variable_monitoring: Annotated[list[VariableMonitoring], Meta(min_length=1)]


class EventData(Payload, frozen=True, kw_only=True):
    """Datatype 2.22."""

    event_id: Integer64
    timestamp: datetime
    trigger: Literal["Alerting", "Delta", "Periodic"]
    actual_value: Text2500
    component: Component
    event_notification_type: EventNotificationName
    variable: Variable
    cause: Integer32 | UnsetType = UNSET
    tech_code: Text50 | UnsetType = UNSET
    tech_info: Text500 | UnsetType = UNSET
    cleared: bool | UnsetType = UNSET
    transaction_id: Text36 | UnsetType = UNSET
    variable_monitoring_id: Integer64 | UnsetType = UNSET


class GetMonitoringReportRequest(Payload, frozen=True, kw_only=True):
    request_id: Integer64
    component_variable: Annotated[list[ComponentVariable], Meta(min_length=1)] | UnsetType = UNSET
    monitoring_criteria: Annotated[list[str], Meta(min_length=1, max_length=3)] | UnsetType = UNSET
    """Any names: an unknown one is NotSupported (N02.FR.02), where the enumeration would give a CALLERROR."""


class GetMonitoringReportResponse(Payload, frozen=True, kw_only=True):
    status: GenericDeviceModelStatusName
    status_info: StatusInfo | UnsetType = UNSET


class SetMonitoringBaseRequest(Payload, frozen=True, kw_only=True):
    monitoring_base: str
    """Any name: an unknown one is NotSupported (N03.FR.02)."""


class SetMonitoringBaseResponse(Payload, frozen=True, kw_only=True):
    status: GenericDeviceModelStatusName
    status_info: StatusInfo | UnsetType = UNSET


class SetMonitoringLevelRequest(Payload, frozen=True, kw_only=True):
    severity: Integer32


class SetMonitoringLevelResponse(Payload, frozen=True, kw_only=True):
    status: GenericStatusName
    status_info: StatusInfo | UnsetType = UNSET


class SetVariableMonitoringRequest(Payload, frozen=True, kw_only=True):
    set_monitoring_data: Annotated[list[SetMonitoringData], Meta(min_length=1)]


class SetVariableMonitoringResponse(Payload, frozen=True, kw_only=True):
    set_monitoring_result: Annotated[list[SetMonitoringResult], Meta(min_length=1)]


class ClearVariableMonitoringRequest(Payload, frozen=True, kw_only=True):
    id: Annotated[list[Integer64], Meta(min_length=1)]


class ClearVariableMonitoringResponse(Payload, frozen=True, kw_only=True):
    clear_monitoring_result: Annotated[list[ClearMonitoringResult], Meta(min_length=1)]


class NotifyMonitoringReportRequest(Payload, frozen=True, kw_only=True):
    request_id: Integer64
    seq_no: Integer32
    generated_at: datetime
    monitor: Annotated[list[MonitoringData], Meta(min_length=1)] | UnsetType = UNSET
    tbc: bool | UnsetType = UNSET


class NotifyMonitoringReportResponse(CsmsAnswer, frozen=True, kw_only=True):
    pass


class NotifyEventRequest(Payload, frozen=True, kw_only=True):
    generated_at: datetime
    seq_no: Integer32
    event_data: Annotated[list[EventData], Meta(min_length=1)]
    tbc: bool | UnsetType = UNSET


class NotifyEventResponse(CsmsAnswer, frozen=True, kw_only=True):
    pass


# --- setting and clearing ----------------------------------------------------------------------------------


def set_variable_monitoring(request: SetVariableMonitoringRequest, view: View) -> Ask | Refuse:
    """Each one on its own; a result for each, in their order (N04.FR.01, .02)."""
    most = view.settings.integer("set_monitoring_max_items")
    if len(request.set_monitoring_data) > most:  # N04.FR.09
        return Refuse(Category.OCCURRENCE, f"more than {most} monitors")
    orders = tuple(_order(each) for each in request.set_monitoring_data)
    return Ask(SetMonitors(orders), lambda result: _set(request, result))


def _order(wanted: SetMonitoringData) -> MonitorOrder:
    return MonitorOrder(
        component_of(wanted.component),
        variable_of(wanted.variable),
        MonitorKind(wanted.type),
        wanted.value,
        wanted.severity,
        wanted.transaction is True,
        None if wanted.id is UNSET else wanted.id,
    )


_NOTHING = MonitorAnswer(MonitorVerdict.REJECTED, Flaw.SWITCHED_OFF)


def _answers(result: MonitorAnswers | Answer, number: int) -> Iterable[MonitorAnswer]:
    return result.answers if isinstance(result, MonitorAnswers) else [_NOTHING] * number


def _set(request: SetVariableMonitoringRequest, result: MonitorAnswers | Answer) -> Reply:
    answers = _answers(result, len(request.set_monitoring_data))
    return Reply(
        SetVariableMonitoringResponse(
            set_monitoring_result=[
                _set_result(wanted, answer)
                for wanted, answer in zip(request.set_monitoring_data, answers, strict=True)
            ]
        )
    )


def _set_result(wanted: SetMonitoringData, answer: MonitorAnswer) -> SetMonitoringResult:
    is_rejected = answer.verdict is MonitorVerdict.NOT_FOUND
    status: Any = "Rejected" if is_rejected else answer.verdict.value
    return SetMonitoringResult(
        id=UNSET if answer.monitor_id is None else answer.monitor_id,
        status=status,
        status_info=_reason(answer.flaw),
        type=wanted.type,
        severity=wanted.severity,
        component=wanted.component,
        variable=wanted.variable,
    )


def _reason(flaw: Flaw) -> StatusInfo | UnsetType:
    """Our flaws have the names of the reason codes."""
    code: Any = flaw.value
    return why(code) if code else UNSET


def clear_variable_monitoring(request: ClearVariableMonitoringRequest, view: View) -> Ask | Refuse:
    """N06.FR.01 to .03, .05."""
    most = view.settings.integer("clear_monitoring_max_items")
    if len(request.id) > most:  # N06.FR.06
        return Refuse(Category.OCCURRENCE, f"more than {most} monitors")
    return Ask(ClearMonitors(tuple(request.id)), lambda result: _cleared(request, result))


def _cleared(request: ClearVariableMonitoringRequest, result: MonitorAnswers | Answer) -> Reply:
    answers = _answers(result, len(request.id))
    return Reply(
        ClearVariableMonitoringResponse(
            clear_monitoring_result=[
                _clear_result(number, answer) for number, answer in zip(request.id, answers, strict=True)
            ]
        )
    )


def _clear_result(number: int, answer: MonitorAnswer) -> ClearMonitoringResult:
    status: Any = answer.verdict.value
    return ClearMonitoringResult(id=number, status=status, status_info=_reason(answer.flaw))


def set_monitoring_base(request: SetMonitoringBaseRequest, _view: View) -> Ask | Reply:
    """N03; all three bases are there."""
    if request.monitoring_base not in tuple(MonitoringBase):  # N03.FR.02
        refused = why("UnsupportedParam", f"there is no base {request.monitoring_base[:50]}")
        return Reply(SetMonitoringBaseResponse(status="NotSupported", status_info=refused))
    return Ask(SetMonitoringBase(MonitoringBase(request.monitoring_base)), _base_set)


def _base_set(answer: Answer) -> Reply:
    status, info = _judged(answer)
    return Reply(SetMonitoringBaseResponse(status=status, status_info=info))


def set_monitoring_level(request: SetMonitoringLevelRequest, _view: View) -> Ask:
    """N05."""
    return Ask(SetMonitoringLevel(request.severity), _level_set)


def _level_set(answer: Answer) -> Reply:
    status, info = _judged(answer)
    return Reply(
        SetMonitoringLevelResponse(
            status=status, status_info=UNSET if info is UNSET else why("ValueOutOfRange")
        )
    )


def _judged(answer: Answer) -> tuple[Literal["Accepted", "Rejected"], StatusInfo | UnsetType]:
    if answer.verdict is Verdict.ACCEPTED:
        return "Accepted", UNSET
    return "Rejected", because(answer.reason)


# --- events ------------------------------------------------------------------------------------------------


def events_noticed(fact: EventsNoticed, _view: View, _reference: str | None) -> Call:
    """What happened at one time is one message (N07.FR.06, .07, N08.FR.04)."""
    return Call(
        "NotifyEvent",
        NotifyEventRequest(
            generated_at=timestamp(fact.at),
            seq_no=0,
            event_data=[_event(each) for each in fact.events],
        ),
    )


def _event(event: VariableEvent) -> EventData:
    return EventData(
        event_id=event.event_id,
        timestamp=timestamp(event.at),
        trigger=event.trigger.value,
        actual_value=event.actual_value[:2500],
        tech_code=optional(event.tech_code, 50),
        tech_info=optional(event.tech_info, 500),
        cleared=event.is_cleared or UNSET,
        transaction_id=optional(event.transaction_id, 36),
        variable_monitoring_id=event.monitor_id,
        event_notification_type=event.origin.value,
        component=component_payload(event.component),
        variable=variable_payload(event.variable),
    )


ROUTES = routed(
    Route(
        "SetVariableMonitoring",
        SetVariableMonitoringRequest,
        set_variable_monitoring,
        most_bytes="set_monitoring_max_bytes",
    ),
    Route(
        "ClearVariableMonitoring",
        ClearVariableMonitoringRequest,
        clear_variable_monitoring,
        most_bytes="clear_monitoring_max_bytes",
    ),
    Route("SetMonitoringBase", SetMonitoringBaseRequest, set_monitoring_base),
    Route("SetMonitoringLevel", SetMonitoringLevelRequest, set_monitoring_level),
)
ENCODERS: Mapping[type, Encoder] = {
    EventsNoticed: events_noticed,
}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "NotifyEvent": acknowledged_by(NotifyEventResponse),
}
