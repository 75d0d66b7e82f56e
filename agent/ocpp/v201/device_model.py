"""Reading and writing the variables of OCPP 2.0.1; the payloads of reports about them, too.

What variables there are and what they say is `agent/charging/device_model.py`; what can be written is a row of the
settings table, and so the same thing that 1.6 calls a configuration key. The handlers of reports are in `reports.py`.
Pure. OCPP 2.0.1 part 2, B05, B06.
"""

import logging
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from agent.charging.device_model import DeviceModel, Present, Unknown, mutability_of, stored
from agent.charging.requests import Answer, Answers, ChangeSetting, ChangeSettings, Verdict
from agent.charging.settings import Mutability, Settings, parse
from agent.ocpp.codec import Category
from agent.ocpp.frontend import Ask, Refuse, Reply, Response, Route, View, routed
from agent.ocpp.v201.datatypes import (
    Component,
    ComponentVariable,
    CsmsAnswer,
    GenericDeviceModelStatusName,
    Payload,
    StatusInfo,
    Text16,
    Text1000,
    Text2500,
    Variable,
    because,
    why,
)
from agent.ocpp.v201.names import component_of, variable_of
from agent.ocpp.values import Integer32, Integer64

log = logging.getLogger(__name__)

AttributeName: TypeAlias = Literal["Actual", "Target", "MinSet", "MaxSet"]
GetVariableStatusName: TypeAlias = Literal[
    "Accepted", "Rejected", "UnknownComponent", "UnknownVariable", "NotSupportedAttributeType"
]
SetVariableStatusName: TypeAlias = Literal[
    "Accepted",
    "Rejected",
    "UnknownComponent",
    "UnknownVariable",
    "NotSupportedAttributeType",
    "RebootRequired",
]
DataName: TypeAlias = Literal[
    "string", "decimal", "integer", "dateTime", "boolean", "OptionList", "SequenceList", "MemberList"
]


class GetVariableData(Payload, frozen=True, kw_only=True):
    """Datatype 2.25."""

    component: Component
    variable: Variable
    attribute_type: AttributeName | UnsetType = UNSET


class GetVariableResult(Payload, frozen=True, kw_only=True):
    """Datatype 2.26."""

    attribute_status: GetVariableStatusName
    component: Component
    variable: Variable
    attribute_status_info: StatusInfo | UnsetType = UNSET
    attribute_type: AttributeName | UnsetType = UNSET
    attribute_value: Text2500 | UnsetType = UNSET


class SetVariableData(Payload, frozen=True, kw_only=True):
    """Datatype 2.44."""

    attribute_value: Text1000
    component: Component
    variable: Variable
    attribute_type: AttributeName | UnsetType = UNSET


class SetVariableResult(Payload, frozen=True, kw_only=True):
    """Datatype 2.45."""

    attribute_status: SetVariableStatusName
    component: Component
    variable: Variable
    attribute_type: AttributeName | UnsetType = UNSET
    attribute_status_info: StatusInfo | UnsetType = UNSET


class VariableAttribute(Payload, frozen=True, kw_only=True):
    """Datatype 2.50."""

    type: AttributeName | UnsetType = UNSET
    value: Text2500 | UnsetType = UNSET
    mutability: Literal["ReadOnly", "WriteOnly", "ReadWrite"] | UnsetType = UNSET
    persistent: bool | UnsetType = UNSET
    constant: bool | UnsetType = UNSET


class VariableCharacteristics(Payload, frozen=True, kw_only=True):
    """Datatype 2.51."""

    data_type: DataName
    supports_monitoring: bool
    unit: Text16 | UnsetType = UNSET
    min_limit: float | UnsetType = UNSET
    max_limit: float | UnsetType = UNSET
    values_list: Text1000 | UnsetType = UNSET


class ReportData(Payload, frozen=True, kw_only=True):
    """Datatype 2.38."""

    component: Component
    variable: Variable
    variable_attribute: Annotated[list[VariableAttribute], Meta(min_length=1, max_length=4)]
    variable_characteristics: VariableCharacteristics | UnsetType = UNSET


class GetVariablesRequest(Payload, frozen=True, kw_only=True):
    get_variable_data: Annotated[list[GetVariableData], Meta(min_length=1)]


class GetVariablesResponse(Payload, frozen=True, kw_only=True):
    get_variable_result: Annotated[list[GetVariableResult], Meta(min_length=1)]


class SetVariablesRequest(Payload, frozen=True, kw_only=True):
    set_variable_data: Annotated[list[SetVariableData], Meta(min_length=1)]


class SetVariablesResponse(Payload, frozen=True, kw_only=True):
    set_variable_result: Annotated[list[SetVariableResult], Meta(min_length=1)]


class GetBaseReportRequest(Payload, frozen=True, kw_only=True):
    request_id: Integer64
    report_base: str
    """Any name: an unknown one is NotSupported (B07.FR.02), where the enumeration would give a CALLERROR."""


class GetBaseReportResponse(Payload, frozen=True, kw_only=True):
    status: GenericDeviceModelStatusName
    status_info: StatusInfo | UnsetType = UNSET


class GetReportRequest(Payload, frozen=True, kw_only=True):
    request_id: Integer64
    component_variable: Annotated[list[ComponentVariable], Meta(min_length=1)] | UnsetType = UNSET
    component_criteria: Annotated[list[str], Meta(min_length=1, max_length=4)] | UnsetType = UNSET
    """Any names: an unknown one is NotSupported (B08.FR.02)."""


class GetReportResponse(Payload, frozen=True, kw_only=True):
    status: GenericDeviceModelStatusName
    status_info: StatusInfo | UnsetType = UNSET


class NotifyReportRequest(Payload, frozen=True, kw_only=True):
    request_id: Integer64
    generated_at: datetime
    seq_no: Integer32
    report_data: Annotated[list[ReportData], Meta(min_length=1)] | UnsetType = UNSET
    tbc: bool | UnsetType = UNSET


class NotifyReportResponse(CsmsAnswer, frozen=True, kw_only=True):
    pass


# --- reading -----------------------------------------------------------------------------------------------


def present_of(view: View) -> Present:
    return Present(view.settings, view.snapshot(), view.now())


def get_variables(request: GetVariablesRequest, view: View) -> Reply | Refuse:
    """One result for each question, in their order (B06.FR.01, .02)."""
    most = view.settings.integer("get_variables_max_items")
    if len(request.get_variable_data) > most:  # B06.FR.16
        return Refuse(Category.OCCURRENCE, f"more than {most} variables")
    model, present = view.device_model, present_of(view)
    return Reply(
        GetVariablesResponse(
            get_variable_result=[_read(each, model, present) for each in request.get_variable_data]
        )
    )


def _read(asked: GetVariableData, model: DeviceModel, present: Present) -> GetVariableResult:
    kind: AttributeName = "Actual" if asked.attribute_type is UNSET else asked.attribute_type
    found = model.find(component_of(asked.component), variable_of(asked.variable))
    status: GetVariableStatusName = "Accepted"
    info: StatusInfo | UnsetType = UNSET
    value: str | UnsetType = UNSET
    if isinstance(found, Unknown):
        status = "UnknownComponent" if found is Unknown.COMPONENT else "UnknownVariable"
    elif kind != "Actual":
        status = "NotSupportedAttributeType"
    elif mutability_of(found, present.settings) is Mutability.WRITE_ONLY:
        status, info = "Rejected", why("WriteOnly")
    else:
        value = found.read(present)[:2500]
    return GetVariableResult(
        attribute_status=status,
        attribute_status_info=info,
        attribute_type=kind,
        attribute_value=value,
        component=asked.component,
        variable=asked.variable,
    )


# --- writing -----------------------------------------------------------------------------------------------


def set_variables(request: SetVariablesRequest, view: View) -> Response:
    """Each one on its own: what is refused does not keep the others (B05.FR.01 to .10).

    Accepted means: on the disk and in force."""
    most = view.settings.integer("set_variables_max_items")
    if len(request.set_variable_data) > most:
        return Refuse(Category.OCCURRENCE, f"more than {most} variables")
    model, settings = view.device_model, view.settings
    judged: list[SetVariableResult | ChangeSetting] = []
    named: set[str] = set()
    for wanted in request.set_variable_data:
        judgement = _judge(wanted, model, settings)
        if isinstance(judgement, ChangeSetting):
            if judgement.name in named:  # B05.FR.13: which of the two would be meant?
                judgement = _result(wanted, "Rejected", why("InvalidValue", "named twice in one message"))
            else:
                named.add(judgement.name)
        judged.append(judgement)
    changes = tuple(each for each in judged if isinstance(each, ChangeSetting))
    if not changes:
        return Reply(_response(request, judged, Answers(())))
    return Ask(ChangeSettings(changes), lambda answers: Reply(_response(request, judged, answers)))


def _judge(
    wanted: SetVariableData, model: DeviceModel, settings: Settings
) -> SetVariableResult | ChangeSetting:
    """What can be said of it without the station."""
    found = model.find(component_of(wanted.component), variable_of(wanted.variable))
    if isinstance(found, Unknown):
        return _result(wanted, "UnknownComponent" if found is Unknown.COMPONENT else "UnknownVariable", UNSET)
    if wanted.attribute_type not in (UNSET, "Actual"):
        return _result(wanted, "NotSupportedAttributeType", UNSET)
    setting = found.setting
    if setting is None or mutability_of(found, settings) is Mutability.READ_ONLY:
        return _result(wanted, "Rejected", why("ReadOnly"))
    try:
        value = parse(setting, stored(setting, wanted.attribute_value))
    except ValueError as error:
        return _result(wanted, "Rejected", why("InvalidValue", str(error)))
    refusal = settings.refusal(setting.name, value)
    if refusal is not None:
        return _result(wanted, "Rejected", why("InvalidValue", refusal))
    return ChangeSetting(setting.name, value)


def _response(
    request: SetVariablesRequest, judged: list[SetVariableResult | ChangeSetting], answers: Answers
) -> SetVariablesResponse:
    left = iter(answers.answers)
    return SetVariablesResponse(
        set_variable_result=[
            _changed(wanted, next(left)) if isinstance(each, ChangeSetting) else each
            for wanted, each in zip(request.set_variable_data, judged, strict=True)
        ]
    )


def _changed(wanted: SetVariableData, answer: Answer) -> SetVariableResult:
    match answer.verdict:
        case Verdict.ACCEPTED:
            return _result(wanted, "Accepted", UNSET)
        case Verdict.REBOOT_REQUIRED:
            return _result(wanted, "RebootRequired", UNSET)
        case Verdict.UNKNOWN:
            return _result(wanted, "UnknownVariable", UNSET)
        case Verdict.REJECTED | Verdict.SCHEDULED:
            return _result(wanted, "Rejected", because(answer.reason))


def _result(
    wanted: SetVariableData, status: SetVariableStatusName, info: StatusInfo | UnsetType
) -> SetVariableResult:
    if status not in ("Accepted", "RebootRequired"):
        reason = "" if info is UNSET else f": {info.reason_code}"
        log.warning("%s.%s is not set: %s%s", wanted.component.name, wanted.variable.name, status, reason)
    return SetVariableResult(
        attribute_status=status,
        attribute_status_info=info,
        attribute_type="Actual" if wanted.attribute_type is UNSET else wanted.attribute_type,
        component=wanted.component,
        variable=wanted.variable,
    )


ROUTES = routed(
    Route("GetVariables", GetVariablesRequest, get_variables, most_bytes="get_variables_max_bytes"),
    Route("SetVariables", SetVariablesRequest, set_variables, most_bytes="set_variables_max_bytes"),
)
