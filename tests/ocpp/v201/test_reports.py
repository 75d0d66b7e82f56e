"""GetBaseReport and GetReport: which variables, with what, and in how many parts."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from agent.charging.snapshot import ActiveFault
from agent.ocpp.codec import Category, decode, encode
from agent.ocpp.frontend import Call, Refuse, Reply, ReportNotice
from agent.ocpp.v201.datatypes import Component, ComponentVariable, Evse, Variable
from agent.ocpp.v201.device_model import (
    GetBaseReportRequest,
    GetReportRequest,
    NotifyReportRequest,
    ReportData,
)
from agent.ocpp.v201.reports import ROUTES, get_base_report, get_report, notify_report
from tests.helpers import snapshots
from tests.helpers.fake_station import NOW, FixedView, settings

TWO = snapshots.station(snapshots.evse(1, connectors=2), snapshots.evse(2))


def parts_of(response: Reply | Refuse, view: FixedView) -> list[NotifyReportRequest]:
    """The messages behind the answer, as they go over the wire."""
    assert isinstance(response, Reply)
    assert response.payload.status == "Accepted"  # type: ignore[attr-defined]
    messages = []
    for notice in response.then:
        assert isinstance(notice, ReportNotice)
        call = notify_report(notice, view, None)
        assert isinstance(call, Call)
        assert call.action == "NotifyReport"
        messages.append(decode(encode(call.payload), NotifyReportRequest))
    return messages


def entries_of(response: Reply | Refuse, view: FixedView) -> list[ReportData]:
    return [entry for part in parts_of(response, view) for entry in part.report_data]  # type: ignore[union-attr]


def base(kind: Any, view: FixedView | None = None) -> list[ReportData]:
    view = view or FixedView(picture=TWO)
    return entries_of(get_base_report(GetBaseReportRequest(request_id=7, report_base=kind), view), view)


def custom(view: FixedView, criteria: Any = (), *named: ComponentVariable) -> list[ReportData]:
    more: dict[str, Any] = {}
    if criteria:
        more["component_criteria"] = list(criteria)
    if named:
        more["component_variable"] = list(named)
    return entries_of(get_report(GetReportRequest(request_id=7, **more), view), view)


def custom_rows(view: FixedView, criterion: str, named: ComponentVariable) -> bool:
    """Whether anything is reported at all."""
    request = GetReportRequest(request_id=7, component_criteria=[criterion], component_variable=[named])
    response = get_report(request, view)
    assert isinstance(response, Reply)
    return bool(response.then)


def names(entries: list[ReportData]) -> list[str]:
    return [f"{entry.component.name}.{entry.variable.name}" for entry in entries]


def place(component: str, variable: str | None = None, **evse: int) -> ComponentVariable:
    more: dict[str, Any] = {"variable": Variable(name=variable)} if variable else {}
    where: dict[str, Any] = {"evse": Evse(**evse)} if evse else {}
    return ComponentVariable(component=Component(name=component, **where), **more)


# --- base reports ----------------------------------------------------------------------------------------


@pytest.mark.req("B07.FR.01", "B07.FR.08", "B07.FR.11", "B07.FR.12", "TC_B_13_CS", "TC_B_53_CS")
def test_the_full_inventory_has_every_variable_with_all_that_is_known_of_it() -> None:
    view = FixedView(picture=TWO)
    entries = base("FullInventory", view)
    assert len(entries) == len(view.device_model.rows)
    for entry in entries:
        name = names([entry])
        (attribute,) = entry.variable_attribute
        characteristics = entry.variable_characteristics
        assert characteristics, name
        assert attribute.type == "Actual"
        if attribute.mutability == "WriteOnly":
            assert not isinstance(attribute.value, str), name
            continue
        assert isinstance(attribute.value, str), name
        if characteristics.data_type in ("OptionList", "SequenceList", "MemberList"):
            allowed = set(characteristics.values_list.split(","))  # type: ignore[union-attr]
            assert allowed, name
            assert set(filter(None, attribute.value.split(","))) <= allowed, name


@pytest.mark.req("B07.FR.02", "B07.FR.05")
def test_a_base_that_is_unknown_is_not_supported_and_nothing_is_told() -> None:
    request = decode('{"requestId": 7, "reportBase": "Everything"}', GetBaseReportRequest)
    response = get_base_report(request, FixedView())
    assert isinstance(response, Reply)
    assert response.payload.status == "NotSupported"  # type: ignore[attr-defined]
    assert response.payload.status_info.reason_code == "UnsupportedParam"  # type: ignore[attr-defined]
    assert response.then == ()


@pytest.mark.req("B08.FR.02", "TC_B_19_CS")
def test_one_criterion_that_is_unknown_is_enough_for_not_supported() -> None:
    request = decode('{"requestId": 7, "componentCriteria": ["Available", "Shiny"]}', GetReportRequest)
    response = get_report(request, FixedView())
    assert isinstance(response, Reply)
    assert response.payload.status == "NotSupported"  # type: ignore[attr-defined]
    assert response.payload.status_info.reason_code == "UnsupportedParam"  # type: ignore[attr-defined]
    assert response.then == ()


@pytest.mark.req("B07.FR.07", "TC_B_12_CS")
def test_the_configuration_inventory_has_what_can_be_written() -> None:
    entries = base("ConfigurationInventory")
    assert {entry.variable_attribute[0].mutability for entry in entries} == {"ReadWrite", "WriteOnly"}
    assert "OCPPCommCtrlr.OfflineThreshold" in names(entries)
    assert "SecurityCtrlr.BasicAuthPassword" in names(entries)
    assert "OCPPCommCtrlr.MessageTimeout" not in names(entries)


@pytest.mark.req("B07.FR.03", "B08.FR.03")
def test_the_value_of_what_can_only_be_written_is_left_out() -> None:
    view = FixedView(settings=settings(AuthorizationKey="00112233445566778899AABBCCDDEEFF"))
    for kind in ("ConfigurationInventory", "FullInventory"):
        entries = base(kind, view)
        (secret,) = [each for each in entries if each.variable.name == "BasicAuthPassword"]
        assert "value" not in decode(encode(secret.variable_attribute[0]), dict)
        assert "00112233" not in encode(entries)


@pytest.mark.req("B07.FR.09", "TC_B_14_CS")
def test_the_summary_says_who_is_available_and_what_is_wrong() -> None:
    entries = base("SummaryInventory")
    assert names(entries) == [
        "ChargingStation.AvailabilityState",
        "EVSE.AvailabilityState",
        "Connector.AvailabilityState",
        "Connector.AvailabilityState",
        "EVSE.AvailabilityState",
        "Connector.AvailabilityState",
    ]
    tripped = snapshots.evse(faults=(snapshots.FAULTY,))
    faulty = base("SummaryInventory", FixedView(picture=snapshots.station(tripped)))
    assert [name for name in names(faulty) if "Availability" not in name] == [
        "ChargingStation.Problem",
        "EVSE.Problem",
        "RCD.Tripped",
    ]


# --- custom reports --------------------------------------------------------------------------------------


@pytest.mark.req("B08.FR.01", "B08.FR.11", "B08.FR.12", "TC_B_17_CS")
def test_a_named_variable_is_reported_with_its_characteristics() -> None:
    (entry,) = custom(FixedView(picture=TWO), (), place("EVSE", "AvailabilityState", id=1))
    assert entry.component.evse == Evse(id=1)
    (attribute,) = entry.variable_attribute
    assert (attribute.type, attribute.mutability, attribute.value) == ("Actual", "ReadOnly", "Available")
    characteristics = entry.variable_characteristics
    assert characteristics
    assert characteristics.data_type == "OptionList"
    assert characteristics.values_list == "Available,Occupied,Reserved,Unavailable,Faulted"


@pytest.mark.req(
    "B08.FR.20", "B08.FR.21", "B08.FR.22", "B08.FR.23", "B08.FR.24", "B08.FR.25", "TC_B_54_CS", "TC_B_56_CS"
)
@pytest.mark.parametrize(
    ("named", "count"),
    [
        (place("EVSE", "AvailabilityState"), 2),
        (place("Connector", "AvailabilityState"), 3),
        (place("Connector", "AvailabilityState", id=1), 2),
        (place("Connector", "AvailabilityState", id=1, connector_id=2), 1),
        (place("connector", None, id=2), 5),
        (place("MonitoringCtrlr", "ItemsPerMessage"), 2),
    ],
)
def test_what_is_left_out_of_a_name_fits_everything(named: ComponentVariable, count: int) -> None:
    assert len(custom(FixedView(picture=TWO), (), named)) == count


@pytest.mark.req("TC_B_55_CS")
def test_an_instance_that_is_named_is_the_only_one() -> None:
    named = ComponentVariable(
        component=Component(name="DeviceDataCtrlr"),
        variable=Variable(name="ItemsPerMessage", instance="GetReport"),
    )
    (entry,) = custom(FixedView(), (), named)
    assert entry.variable.instance == "GetReport"


def test_a_variable_that_is_meant_twice_is_reported_once() -> None:
    named = (place("EVSE", "Power"), place("EVSE", "Power", id=1))
    assert len(custom(FixedView(picture=TWO), (), *named)) == 2


@pytest.mark.req("B08.FR.09", "B08.FR.13", "TC_B_16_CS")
def test_criteria_alone_report_the_variables_that_say_so() -> None:
    view = FixedView(picture=TWO)
    full = base("FullInventory", view)
    for criteria in (("Enabled",), ("Enabled", "Available")):
        entries = custom(view, criteria)
        assert {entry.variable.name for entry in entries} == set(criteria)
        assert {entry.variable_attribute[0].value for entry in entries} == {"true"}
        expected = [
            each
            for each in full
            if each.variable.name in criteria and each.variable_attribute[0].value == "true"
        ]
        assert entries == expected


@pytest.mark.req("B08.FR.05", "B08.FR.07", "B08.FR.08", "B08.FR.10", "B08.FR.13", "TC_B_18_CS")
def test_criteria_choose_among_the_components_of_named_variables() -> None:
    faulty = snapshots.evse(2, faults=(ActiveFault("rcd_dc", snapshots.T0),))
    view = FixedView(picture=snapshots.station(snapshots.evse(1), faulty))
    named = place("EVSE", "AvailabilityState")
    # An EVSE has no variable Active: it counts as active.
    for criterion in ("Available", "Active", "Enabled"):
        assert len(custom(view, (criterion,), named)) == 2
    (entry,) = custom(view, ("Problem",), named)
    assert entry.component.evse == Evse(id=2)
    assert len(custom(view, ("Problem", "Available"), named)) == 2
    # A component without a variable Problem has none.
    assert not custom_rows(view, "Problem", place("ClockCtrlr", "DateTime"))
    assert custom_rows(view, "Active", place("ClockCtrlr", "DateTime"))
    contactor = place("PowerContactor", "Problem")
    nothing = GetReportRequest(request_id=7, component_criteria=["Active"], component_variable=[contactor])
    response = get_report(nothing, view)
    assert isinstance(response, Reply)
    assert response.payload.status == "EmptyResultSet"  # type: ignore[attr-defined]


@pytest.mark.req("B08.FR.15", "TC_B_18_CS")
def test_a_report_of_nothing_is_not_sent() -> None:
    for request in (
        GetReportRequest(request_id=7, component_criteria=["Problem"]),
        GetReportRequest(request_id=7, component_variable=[place("Nothing")]),
    ):
        response = get_report(request, FixedView())
        assert isinstance(response, Reply)
        assert response.payload.status == "EmptyResultSet"  # type: ignore[attr-defined]
        assert response.payload.status_info.reason_code == "NotFound"  # type: ignore[attr-defined]
        assert response.then == ()


@pytest.mark.req("B08.FR.06", "B08.FR.17", "B08.FR.18")
def test_more_variables_than_a_request_may_name_are_refused() -> None:
    view = FixedView(settings=settings(**{"DeviceDataCtrlr.ItemsPerMessage.GetReport": 2}))
    request = GetReportRequest(request_id=7, component_variable=[place("EVSE")] * 3)
    refused = get_report(request, view)
    assert isinstance(refused, Refuse)
    assert refused.category is Category.OCCURRENCE
    assert ROUTES["GetReport"].most_bytes == "get_report_max_bytes"


def test_without_criteria_and_names_everything_is_reported() -> None:
    view = FixedView()
    assert len(custom(view)) == len(view.device_model.rows)


# --- parts -----------------------------------------------------------------------------------------------


@pytest.mark.req("B07.FR.04", "B07.FR.10", "B08.FR.04", "B08.FR.14")
@examples(deadline=None, max_examples=25)
@given(items=st.integers(1, 300), size=st.integers(500, 60_000))
def test_parts_are_the_whole_report_in_order_each_within_the_limits(items: int, size: int) -> None:
    limits = {
        "DeviceDataCtrlr.ItemsPerMessage.NotifyReport": items,
        "DeviceDataCtrlr.BytesPerMessage.NotifyReport": size,
    }
    view = FixedView(picture=TWO, settings=settings(**limits))
    response = get_base_report(GetBaseReportRequest(request_id=2**40, report_base="FullInventory"), view)
    parts = parts_of(response, view)
    whole = [entry for part in parts for entry in part.report_data]  # type: ignore[union-attr]
    assert [(each.component, each.variable) for each in whole] == [
        (each.component, each.variable)
        for each in base("FullInventory", FixedView(picture=TWO, settings=view.settings))
    ]
    assert [part.seq_no for part in parts] == list(range(len(parts)))
    assert [part.tbc for part in parts[:-1]] == [True] * (len(parts) - 1)
    assert "tbc" not in decode(encode(parts[-1]), dict)
    for part in parts:
        assert (part.request_id, part.generated_at) == (2**40, NOW)
        assert 1 <= len(part.report_data) <= items  # type: ignore[arg-type]
        length = len(encode([2, "x" * 36, "NotifyReport", part]).encode())
        assert length <= size or len(part.report_data) == 1  # type: ignore[arg-type]


def test_a_part_tells_milliseconds_at_most() -> None:
    at = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
    call = notify_report(ReportNotice(1, 0, at, True, (base("FullInventory")[0],)), FixedView(), None)
    assert isinstance(call, Call)
    assert call.payload.generated_at == at.replace(microsecond=123_000)  # type: ignore[attr-defined]
