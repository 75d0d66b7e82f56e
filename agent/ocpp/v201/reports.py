"""Reports about variables: GetBaseReport, GetReport, and the NotifyReports that carry them part by part.

A report is made when it is asked for, with the values of that moment, and goes out behind the answer, one part after
the other. A part that is lost with the connection is not sent again: the CSMS asks anew (only transactions, security
events and monitored events are queued). Payloads: `device_model.py`. Pure. OCPP 2.0.1 part 2, B07, B08.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

from msgspec import UNSET, Struct, UnsetType

from agent.charging.device_model import (
    Component,
    DataType,
    DeviceModel,
    Present,
    Row,
    mutability_of,
    values_of,
)
from agent.charging.settings import Mutability, Settings
from agent.ocpp.codec import Category
from agent.ocpp.frontend import (
    Call,
    Encoder,
    Refuse,
    Reply,
    ReportNotice,
    ResultReader,
    Route,
    View,
    acknowledged_by,
    routed,
)
from agent.ocpp.paging import pages
from agent.ocpp.v201.datatypes import ComponentVariable, why
from agent.ocpp.v201.device_model import (
    DataName,
    GetBaseReportRequest,
    GetBaseReportResponse,
    GetReportRequest,
    GetReportResponse,
    NotifyReportRequest,
    NotifyReportResponse,
    ReportData,
    VariableAttribute,
    VariableCharacteristics,
    present_of,
)
from agent.ocpp.v201.names import component_of, component_payload, variable_of, variable_payload
from agent.ocpp.values import timestamp

ENVELOPE_BYTES = 250
"""What a part of a report needs beside its data, at most."""
_MUTABILITY: Mapping[Mutability, Literal["ReadOnly", "WriteOnly", "ReadWrite"]] = {
    Mutability.READ_ONLY: "ReadOnly",
    Mutability.READ_WRITE: "ReadWrite",
    Mutability.WRITE_ONLY: "WriteOnly",
}
_CRITERIA = frozenset({"Active", "Available", "Enabled", "Problem"})
_CONDITIONS = frozenset({"problem", "tripped", "overload", "fallback"})
"""Variables that say that something is wrong with their component (B07.FR.09)."""

P = TypeVar("P", bound=Struct)


def get_base_report(request: GetBaseReportRequest, view: View) -> Reply:
    """Accepted, and the report behind it (B07.FR.01, .03, .04)."""
    model, present = view.device_model, present_of(view)
    match request.report_base:
        case "ConfigurationInventory":
            rows = [
                row
                for row in model.rows
                if mutability_of(row, view.settings) is not Mutability.READ_ONLY  # B07.FR.07
            ]
        case "FullInventory":
            rows = list(model.rows)  # B07.FR.08
        case "SummaryInventory":
            rows = list(_summary(model, present))
        case unknown:  # B07.FR.02
            refused = why("UnsupportedParam", f"there is no report {unknown[:50]}")
            return Reply(GetBaseReportResponse(status="NotSupported", status_info=refused))
    return Reply(GetBaseReportResponse(status="Accepted"), _report(request.request_id, rows, view, present))


def _summary(model: DeviceModel, present: Present) -> Iterator[Row]:
    """Who is available, and what is wrong (B07.FR.09)."""
    for row in model.rows:
        name = row.variable.name.casefold()
        if name == "availabilitystate" or (name in _CONDITIONS and row.read(present) == "true"):
            yield row


def get_report(request: GetReportRequest, view: View) -> Reply | Refuse:
    """Of the components that fit any of the criteria, the variables that are named (B08.FR.05 to .25)."""
    named = () if request.component_variable is UNSET else request.component_variable
    most = view.settings.integer("get_report_max_items")
    if len(named) > most:  # B08.FR.17
        return Refuse(Category.OCCURRENCE, f"more than {most} variables")
    model, present = view.device_model, present_of(view)
    criteria = () if request.component_criteria is UNSET else tuple(request.component_criteria)
    if unknown := [each[:50] for each in criteria if each not in _CRITERIA]:  # B08.FR.02
        refused = why("UnsupportedParam", f"there is no criterion {unknown[0]}")
        return Reply(GetReportResponse(status="NotSupported", status_info=refused))
    rows = _fitting(model, present, criteria) if not named else list(_named(model, named))
    if named and criteria:
        rows = [row for row in rows if _meets(model, row.component, criteria, present)]
    if not rows:  # B08.FR.15
        return Reply(GetReportResponse(status="EmptyResultSet", status_info=why("NotFound")))
    return Reply(GetReportResponse(status="Accepted"), _report(request.request_id, rows, view, present))


def _named(model: DeviceModel, named: Iterable[ComponentVariable]) -> Iterable[Row]:
    """Each variable once, however often it is meant."""
    meant = {
        id(row): row
        for each in named
        for row in model.meant_by(
            component_of(each.component), None if each.variable is UNSET else variable_of(each.variable)
        )
    }
    return meant.values()


def _fitting(model: DeviceModel, present: Present, criteria: Sequence[str]) -> list[Row]:
    """Without named variables: everything without criteria, otherwise where the criterion itself says yes.

    A component without such a variable counts as available, enabled and active (part 1, 4.2); of it there would be
    nothing to report but variables that nobody asked for (TC_B_16)."""
    wanted = {criterion.casefold() for criterion in criteria}
    return [
        row
        for row in model.rows
        if not criteria or (row.variable.name.casefold() in wanted and row.read(present) == "true")
    ]


def _meets(model: DeviceModel, component: Component, criteria: Sequence[str], present: Present) -> bool:
    """Any of them is enough (B08.FR.13). Who has no such variable meets it, but for Problem (B08.FR.07 to .10)."""
    said = {
        row.variable.name.casefold(): row.read(present)
        for row in model.of_component(component)
        if row.variable.name in criteria
    }
    return any(
        said.get(criterion.casefold(), "false" if criterion == "Problem" else "true") == "true"
        for criterion in criteria
    )


# --- what is told ------------------------------------------------------------------------------------------


def _report(request_id: int, rows: Iterable[Row], view: View, present: Present) -> tuple[ReportNotice, ...]:
    parts = paged([report_data(row, present) for row in rows], view.settings)
    return tuple(
        ReportNotice(request_id, number, present.at, number == len(parts) - 1, part)
        for number, part in enumerate(parts)
    )


def paged(entries: Sequence[P], settings: Settings) -> list[tuple[P, ...]]:
    """As many parts as the settings make of them."""
    most_bytes = settings.integer("report_max_bytes") - ENVELOPE_BYTES
    return pages(entries, settings.integer("report_max_items"), most_bytes)


def report_data(row: Row, present: Present) -> ReportData:
    """With its characteristics (B08.FR.12); the value of what can only be written is left out (B07.FR.03)."""
    mutability = mutability_of(row, present.settings)
    is_secret = mutability is Mutability.WRITE_ONLY
    return ReportData(
        component=component_payload(row.component),
        variable=variable_payload(row.variable),
        variable_attribute=[
            VariableAttribute(
                type="Actual",
                value=UNSET if is_secret else row.read(present)[:2500],
                mutability=_MUTABILITY[mutability],
                persistent=row.is_persistent or UNSET,
                constant=row.is_constant or UNSET,
            )
        ],
        variable_characteristics=_characteristics(row, present.settings),
    )


def _characteristics(row: Row, settings: Settings) -> VariableCharacteristics:
    name: DataName = _data_name(row.data_type)
    return VariableCharacteristics(
        data_type=name,
        unit=row.unit or UNSET,
        min_limit=_limit(row.least),
        max_limit=_limit(row.most),
        values_list=",".join(values_of(row, settings))[:1000] if row.data_type.is_list else UNSET,
        supports_monitoring=row.supports_monitoring,
    )


def _data_name(data_type: DataType) -> Any:
    """Our own types have the names of 2.x."""
    return data_type.value


def _limit(bound: float | None) -> float | UnsetType:
    return UNSET if bound is None else float(bound)


def notify_report(notice: ReportNotice, _view: View, _reference: str | None) -> Call:
    """B07.FR.10: parts are numbered from 0; all but the last say that there is more."""
    entries: Any = list(notice.entries)
    return Call(
        "NotifyReport",
        NotifyReportRequest(
            request_id=notice.request_id,
            generated_at=timestamp(notice.at),
            seq_no=notice.seq_no,
            report_data=entries,
            tbc=UNSET if notice.is_last else True,
        ),
    )


ROUTES = routed(
    Route("GetBaseReport", GetBaseReportRequest, get_base_report),
    Route("GetReport", GetReportRequest, get_report, most_bytes="get_report_max_bytes"),
)
ENCODERS: Mapping[type, Encoder] = {ReportNotice: notify_report}
RESULTS: Mapping[str, ResultReader[Any]] = {"NotifyReport": acknowledged_by(NotifyReportResponse)}
