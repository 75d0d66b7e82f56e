"""Reports about monitors: GetMonitoringReport, and the NotifyMonitoringReports that carry them part by part.

As the reports about variables (`reports.py`), whose limits hold here, too. Payloads: `monitoring.py`. Pure.
OCPP 2.0.1 part 2, N02.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import UNSET

from agent.charging.device_model import fits
from agent.charging.monitors import Monitor, MonitorKind
from agent.ocpp.codec import Category
from agent.ocpp.frontend import (
    Call,
    Encoder,
    MonitoringReportNotice,
    Refuse,
    Reply,
    ResultReader,
    Route,
    View,
    acknowledged_by,
    routed,
)
from agent.ocpp.v201.datatypes import ComponentVariable, why
from agent.ocpp.v201.monitoring import (
    GetMonitoringReportRequest,
    GetMonitoringReportResponse,
    MonitoringData,
    NotifyMonitoringReportRequest,
    NotifyMonitoringReportResponse,
    VariableMonitoring,
)
from agent.ocpp.v201.names import component_of, component_payload, variable_of, variable_payload
from agent.ocpp.v201.reports import paged
from agent.ocpp.values import timestamp

_CRITERIA: Mapping[str, frozenset[MonitorKind]] = {
    "ThresholdMonitoring": frozenset({MonitorKind.UPPER_THRESHOLD, MonitorKind.LOWER_THRESHOLD}),
    "DeltaMonitoring": frozenset({MonitorKind.DELTA}),
    "PeriodicMonitoring": frozenset({MonitorKind.PERIODIC, MonitorKind.PERIODIC_CLOCK_ALIGNED}),
}


def get_monitoring_report(request: GetMonitoringReportRequest, view: View) -> Reply | Refuse:
    """Those that meet a criterion, if there are any, on what is named, if anything is (N02.FR.05 to .14)."""
    named = () if request.component_variable is UNSET else tuple(request.component_variable)
    most = view.settings.integer("get_report_max_items")
    if len(named) > most:  # N02.FR.07
        return Refuse(Category.OCCURRENCE, f"more than {most} variables")
    criteria = () if request.monitoring_criteria is UNSET else tuple(request.monitoring_criteria)
    if unknown := [each[:50] for each in criteria if each not in _CRITERIA]:  # N02.FR.02
        refused = why("UnsupportedParam", f"there is no criterion {unknown[0]}")
        return Reply(GetMonitoringReportResponse(status="NotSupported", status_info=refused))
    kinds = {kind for criterion in criteria for kind in _CRITERIA[criterion]} or set(MonitorKind)
    found = [
        monitor
        for monitor in view.snapshot().monitors
        if monitor.kind in kinds and (not named or _is_named(monitor, named))
    ]
    if not found:  # N02.FR.10
        return Reply(GetMonitoringReportResponse(status="EmptyResultSet", status_info=why("NotFound")))
    parts = paged(_by_variable(found), view.settings)
    notices = tuple(
        MonitoringReportNotice(request.request_id, number, view.now(), number == len(parts) - 1, part)
        for number, part in enumerate(parts)
    )
    return Reply(GetMonitoringReportResponse(status="Accepted"), notices)


def _is_named(monitor: Monitor, named: Iterable[ComponentVariable]) -> bool:
    """What is left out fits everything (N02.FR.16 to .21)."""
    return any(
        fits(
            (component_of(each.component), None if each.variable is UNSET else variable_of(each.variable)),
            monitor.component,
            monitor.variable,
        )
        for each in named
    )


def _by_variable(monitors: Iterable[Monitor]) -> list[MonitoringData]:
    """One entry for each variable, with all its monitors."""
    entries: dict[tuple[Any, Any], list[Monitor]] = {}
    for monitor in monitors:
        entries.setdefault((monitor.component, monitor.variable), []).append(monitor)
    return [
        MonitoringData(
            component=component_payload(component),
            variable=variable_payload(variable),
            variable_monitoring=[_monitoring(each) for each in group],
        )
        for (component, variable), group in entries.items()
    ]


def _monitoring(monitor: Monitor) -> VariableMonitoring:
    return VariableMonitoring(
        id=monitor.monitor_id,
        transaction=monitor.only_in_transaction,
        value=monitor.value,
        type=monitor.kind.value,
        severity=monitor.severity,
    )


def notify_monitoring_report(notice: MonitoringReportNotice, _view: View, _reference: str | None) -> Call:
    """N02.FR.04, .09: the id of the request, parts numbered from 0."""
    entries: Any = list(notice.entries)
    return Call(
        "NotifyMonitoringReport",
        NotifyMonitoringReportRequest(
            request_id=notice.request_id,
            seq_no=notice.seq_no,
            generated_at=timestamp(notice.at),
            monitor=entries,
            tbc=UNSET if notice.is_last else True,
        ),
    )


ROUTES = routed(
    Route(
        "GetMonitoringReport",
        GetMonitoringReportRequest,
        get_monitoring_report,
        most_bytes="get_report_max_bytes",
    )
)
ENCODERS: Mapping[type, Encoder] = {MonitoringReportNotice: notify_monitoring_report}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "NotifyMonitoringReport": acknowledged_by(NotifyMonitoringReportResponse)
}
