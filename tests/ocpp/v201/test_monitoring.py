"""Monitors as messages: orders, reports and events."""

from typing import Any

import pytest

from agent.charging.facts import EventsNoticed, VariableEvent
from agent.charging.ids import Component as Part
from agent.charging.ids import EventTrigger, MonitorOrigin
from agent.charging.ids import Variable as Name
from agent.charging.monitors import (
    Flaw,
    Monitor,
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
from agent.ocpp import v16
from agent.ocpp.codec import Category, decode, encode
from agent.ocpp.frontend import Ask, MonitoringReportNotice, Refuse, Reply
from agent.ocpp.v201.datatypes import Component, ComponentVariable, Evse, Variable
from agent.ocpp.v201.monitoring import (
    ROUTES,
    ClearVariableMonitoringRequest,
    GetMonitoringReportRequest,
    NotifyMonitoringReportRequest,
    SetMonitoringBaseRequest,
    SetMonitoringData,
    SetMonitoringLevelRequest,
    SetVariableMonitoringRequest,
    clear_variable_monitoring,
    events_noticed,
    set_monitoring_base,
    set_monitoring_level,
    set_variable_monitoring,
)
from agent.ocpp.v201.monitoring_reports import get_monitoring_report, notify_monitoring_report
from tests.helpers import snapshots
from tests.helpers.fake_station import NOW, FixedView, settings

EVSE = Component(name="EVSE", evse=Evse(id=1))
STATE = Variable(name="AvailabilityState")
PARTS = (Part("ChargingStation"), Part("EVSE", evse_id=1), Part("EVSE", evse_id=2))


def monitors() -> tuple[Monitor, ...]:
    states = [
        Monitor(number, part, Name("AvailabilityState"), MonitorKind.DELTA, 1.0, 5)
        for number, part in enumerate(PARTS, start=1)
    ]
    power = [
        Monitor(number, PARTS[1], Name("Power"), kind, 60.0, 5)
        for number, kind in enumerate(
            (each for each in MonitorKind if each is not MonitorKind.DELTA), start=4
        )
    ]
    return (*states, *power)


def view(**given: Any) -> FixedView:
    return FixedView(picture=snapshots.station(monitors=monitors()), settings=settings(**given))


# --- orders ----------------------------------------------------------------------------------------------


def wanted(**more: Any) -> SetMonitoringData:
    return SetMonitoringData(
        **{"value": 1.0, "type": "Delta", "severity": 8, "component": EVSE, "variable": STATE, **more}
    )


def set_results(orders: list[SetMonitoringData], *answers: MonitorAnswer) -> list[dict[str, Any]]:
    response = set_variable_monitoring(SetVariableMonitoringRequest(set_monitoring_data=orders), view())
    assert isinstance(response, Ask)
    reply = response.reply(MonitorAnswers(answers))
    assert isinstance(reply, Reply)
    results: list[dict[str, Any]] = decode(encode(reply.payload), dict)["setMonitoringResult"]
    return results


@pytest.mark.req("N04.FR.01", "N04.FR.02", "N04.FR.08", "N04.FR.11", "TC_N_08_CS", "TC_N_09_CS", "TC_N_43_CS")
def test_there_is_a_result_for_each_order_in_their_order() -> None:
    orders = [wanted(), wanted(type="Delta", value=-1.0, severity=5), wanted(id=7, transaction=True)]
    response = set_variable_monitoring(SetVariableMonitoringRequest(set_monitoring_data=orders), view())
    assert isinstance(response, Ask)
    assert response.request == SetMonitors(
        (
            MonitorOrder(PARTS[1], Name("AvailabilityState"), MonitorKind.DELTA, 1.0, 8),
            MonitorOrder(PARTS[1], Name("AvailabilityState"), MonitorKind.DELTA, -1.0, 5),
            MonitorOrder(PARTS[1], Name("AvailabilityState"), MonitorKind.DELTA, 1.0, 8, True, 7),
        )
    )
    accepted, rejected, gone = set_results(
        orders,
        MonitorAnswer(MonitorVerdict.ACCEPTED, Flaw.NONE, 10_000),
        MonitorAnswer(MonitorVerdict.REJECTED, Flaw.NOT_POSITIVE),
        MonitorAnswer(MonitorVerdict.REJECTED, Flaw.NOT_FOUND),
    )
    place = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "AvailabilityState"}}
    assert accepted == {"id": 10_000, "status": "Accepted", "type": "Delta", "severity": 8, **place}
    assert rejected["statusInfo"] == {"reasonCode": "ValuePositiveOnly"}
    assert "id" not in rejected
    assert gone["statusInfo"] == {"reasonCode": "NotFound"}


@pytest.mark.req("N04.FR.03", "N04.FR.04", "N04.FR.05", "N04.FR.10")
@pytest.mark.parametrize(
    "verdict", [each for each in MonitorVerdict if each not in (MonitorVerdict.NOT_FOUND,)]
)
def test_every_verdict_is_a_status(verdict: MonitorVerdict) -> None:
    (result,) = set_results([wanted()], MonitorAnswer(verdict, Flaw.NONE))
    assert result["status"] == verdict.value


@pytest.mark.req("N04.FR.09", "N06.FR.04", "N06.FR.06", "N06.FR.07")
def test_more_monitors_than_a_message_may_have_are_refused() -> None:
    small = view(
        **{
            "MonitoringCtrlr.ItemsPerMessage.SetVariableMonitoring": 1,
            "MonitoringCtrlr.ItemsPerMessage.ClearVariableMonitoring": 1,
        }
    )
    for refused in (
        set_variable_monitoring(SetVariableMonitoringRequest(set_monitoring_data=[wanted()] * 2), small),
        clear_variable_monitoring(ClearVariableMonitoringRequest(id=[1, 2]), small),
    ):
        assert isinstance(refused, Refuse)
        assert refused.category is Category.OCCURRENCE
    assert ROUTES["ClearVariableMonitoring"].most_bytes == "clear_monitoring_max_bytes"
    assert ROUTES["SetVariableMonitoring"].most_bytes == "set_monitoring_max_bytes"


@pytest.mark.req("N06.FR.01", "N06.FR.02", "N06.FR.03", "N06.FR.05", "TC_N_18_CS", "TC_N_19_CS", "TC_N_44_CS")
def test_clearing_says_of_each_id_what_became_of_it() -> None:
    response = clear_variable_monitoring(ClearVariableMonitoringRequest(id=[5, 6, 7]), view())
    assert isinstance(response, Ask)
    assert response.request == ClearMonitors((5, 6, 7))
    reply = response.reply(
        MonitorAnswers(
            (
                MonitorAnswer(MonitorVerdict.ACCEPTED, Flaw.NONE),
                MonitorAnswer(MonitorVerdict.NOT_FOUND, Flaw.NOT_FOUND),
                MonitorAnswer(MonitorVerdict.REJECTED, Flaw.READ_ONLY),
            )
        )
    )
    assert isinstance(reply, Reply)
    assert decode(encode(reply.payload), dict)["clearMonitoringResult"] == [
        {"id": 5, "status": "Accepted"},
        {"id": 6, "status": "NotFound", "statusInfo": {"reasonCode": "NotFound"}},
        {"id": 7, "status": "Rejected", "statusInfo": {"reasonCode": "ReadOnly"}},
    ]


@pytest.mark.req("N03.FR.02", "TC_N_07_CS")
def test_a_base_that_is_unknown_is_not_supported() -> None:
    refused = set_monitoring_base(SetMonitoringBaseRequest(monitoring_base="Everything"), view())
    assert isinstance(refused, Reply)
    assert refused.payload.status == "NotSupported"  # type: ignore[attr-defined]
    assert refused.payload.status_info.reason_code == "UnsupportedParam"  # type: ignore[attr-defined]


@pytest.mark.req("N02.FR.02", "TC_N_04_CS")
def test_one_criterion_that_is_unknown_is_enough_for_not_supported() -> None:
    text = '{"requestId": 7, "monitoringCriteria": ["DeltaMonitoring", "GutFeeling"]}'
    refused = get_monitoring_report(decode(text, GetMonitoringReportRequest), view())
    assert isinstance(refused, Reply)
    assert refused.payload.status == "NotSupported"  # type: ignore[attr-defined]
    assert refused.payload.status_info.reason_code == "UnsupportedParam"  # type: ignore[attr-defined]
    assert refused.then == ()


@pytest.mark.req("N03.FR.01", "N05.FR.01", "N05.FR.02", "TC_N_05_CS", "TC_N_17_CS")
def test_base_and_level_are_asked_of_the_station() -> None:
    base = set_monitoring_base(SetMonitoringBaseRequest(monitoring_base="HardWiredOnly"), view())
    assert isinstance(base, Ask)
    assert base.request == SetMonitoringBase(MonitoringBase.HARD_WIRED_ONLY)
    level = set_monitoring_level(SetMonitoringLevelRequest(severity=10), view())
    assert level.request == SetMonitoringLevel(10)
    for ask in (base, level):
        reply = ask.reply(Answer(Verdict.ACCEPTED))
        assert isinstance(reply, Reply)
        assert encode(reply.payload) == '{"status":"Accepted"}'
    rejected = level.reply(Answer(Verdict.REJECTED, "out of range"))
    assert isinstance(rejected, Reply)
    assert rejected.payload.status_info.reason_code == "ValueOutOfRange"  # type: ignore[attr-defined]


def test_a_station_that_monitors_nothing_rejects_everything() -> None:
    nothing = Answer(Verdict.REJECTED, "this station monitors nothing")
    for response in (
        set_variable_monitoring(SetVariableMonitoringRequest(set_monitoring_data=[wanted()] * 2), view()),
        clear_variable_monitoring(ClearVariableMonitoringRequest(id=[1, 2]), view()),
    ):
        assert isinstance(response, Ask)
        reply = response.reply(nothing)
        assert isinstance(reply, Reply)
        assert encode(reply.payload).count('"status":"Rejected"') == 2


# --- reports ---------------------------------------------------------------------------------------------


def reported(at: FixedView, criteria: Any = (), *named: ComponentVariable) -> list[int] | str:
    """The ids of the monitors that are reported, or the status of a report that is not made."""
    more: dict[str, Any] = {}
    if criteria:
        more["monitoring_criteria"] = list(criteria)
    if named:
        more["component_variable"] = list(named)
    response = get_monitoring_report(GetMonitoringReportRequest(request_id=9, **more), at)
    assert isinstance(response, Reply)
    status: str = response.payload.status  # type: ignore[attr-defined]
    if status != "Accepted":
        assert response.then == ()
        return status
    parts = []
    for notice in response.then:
        assert isinstance(notice, MonitoringReportNotice)
        call = notify_monitoring_report(notice, at, None)
        parts.append(decode(encode(call.payload), NotifyMonitoringReportRequest))
    assert [part.seq_no for part in parts] == list(range(len(parts)))
    assert [part.tbc for part in parts[:-1]] == [True] * (len(parts) - 1)
    assert {(part.request_id, part.generated_at) for part in parts} == {(9, NOW)}
    return [
        each.id
        for part in parts
        for entry in part.monitor  # type: ignore[union-attr]
        for each in entry.variable_monitoring
    ]


def place(component: str, variable: str | None = None, **evse: int) -> ComponentVariable:
    more: dict[str, Any] = {"variable": Variable(name=variable)} if variable else {}
    where: dict[str, Any] = {"evse": Evse(**evse)} if evse else {}
    return ComponentVariable(component=Component(name=component, **where), **more)


@pytest.mark.req(
    "N02.FR.01", "N02.FR.03", "N02.FR.06", "N02.FR.11", "N02.FR.12", "N02.FR.13", "N02.FR.14",
    "TC_N_01_CS", "TC_N_47_CS",
)  # fmt: skip
def test_criteria_choose_kinds() -> None:
    at = view()
    assert reported(at) == [1, 2, 3, 4, 5, 6, 7]
    assert reported(at, ("ThresholdMonitoring",)) == [4, 5]
    assert reported(at, ("DeltaMonitoring",)) == [1, 2, 3]
    assert reported(at, ("PeriodicMonitoring",)) == [6, 7]
    assert reported(at, ("ThresholdMonitoring", "PeriodicMonitoring")) == [4, 5, 6, 7]


@pytest.mark.req(
    "N02.FR.05", "N02.FR.08", "N02.FR.10", "N02.FR.16", "N02.FR.18", "N02.FR.19", "N02.FR.20",
    "N02.FR.21", "TC_N_02_CS", "TC_N_03_CS",
)  # fmt: skip
def test_names_choose_variables() -> None:
    at = view()
    assert reported(at, (), place("EVSE", "AvailabilityState")) == [2, 3]
    assert reported(at, (), place("EVSE", id=1)) == [2, 4, 5, 6, 7]
    assert reported(at, (), place("EVSE", id=2), place("ChargingStation")) == [1, 3]
    states = (place("ChargingStation", "AvailabilityState"), place("EVSE", "AvailabilityState", id=1))
    assert reported(at, ("DeltaMonitoring",), *states) == [1, 2]
    assert reported(at, ("ThresholdMonitoring",), *states) == "EmptyResultSet"
    assert reported(FixedView()) == "EmptyResultSet"


@pytest.mark.req("N02.FR.17")
def test_a_name_without_an_instance_means_every_instance() -> None:
    part = Part("DeviceDataCtrlr")
    at = FixedView(
        picture=snapshots.station(
            monitors=tuple(
                Monitor(number, part, Name("ItemsPerMessage", instance), MonitorKind.DELTA, 1.0, 5)
                for number, instance in enumerate(("GetReport", "GetVariables"), start=1)
            )
        ),
        settings=settings(),
    )
    assert reported(at, (), place("DeviceDataCtrlr", "ItemsPerMessage")) == [1, 2]
    named = Variable(name="ItemsPerMessage", instance="GetVariables")
    one = ComponentVariable(component=Component(name="DeviceDataCtrlr"), variable=named)
    assert reported(at, (), one) == [2]


@pytest.mark.req("N02.FR.04", "N02.FR.09")
def test_a_long_report_comes_in_parts() -> None:
    small = view(**{"DeviceDataCtrlr.ItemsPerMessage.NotifyReport": 1})
    assert reported(small) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.req("N02.FR.07")
def test_more_variables_than_a_request_may_name_are_refused() -> None:
    small = view(**{"DeviceDataCtrlr.ItemsPerMessage.GetReport": 1})
    request = GetMonitoringReportRequest(request_id=9, component_variable=[place("EVSE")] * 2)
    assert isinstance(get_monitoring_report(request, small), Refuse)


# --- events ----------------------------------------------------------------------------------------------

EVENT = VariableEvent(
    event_id=5,
    at=NOW,
    trigger=EventTrigger.ALERTING,
    actual_value="7000.5",
    component=PARTS[1],
    variable=Name("Power"),
    origin=MonitorOrigin.CUSTOM,
    monitor_id=10_000,
)


@pytest.mark.req("N07.FR.02", "N07.FR.06", "N07.FR.07", "N08.FR.04", "TC_N_20_CS")
def test_an_event_names_variable_monitor_and_transaction() -> None:
    cleared = VariableEvent(
        6, NOW, EventTrigger.DELTA, "", PARTS[0], Name("Problem"), MonitorOrigin.HARD_WIRED, 3, True,
        "t-1", "lock_fail", "x" * 600,
    )  # fmt: skip
    call = events_noticed(EventsNoticed(NOW, (EVENT, cleared)), view(), None)
    assert call.action == "NotifyEvent"
    message = decode(encode(call.payload), dict)
    assert (message["seqNo"], message["generatedAt"]) == (0, "2026-01-01T12:00:00Z")
    first, second = message["eventData"]
    assert first == {
        "eventId": 5,
        "timestamp": "2026-01-01T12:00:00Z",
        "trigger": "Alerting",
        "actualValue": "7000.5",
        "component": {"name": "EVSE", "evse": {"id": 1}},
        "variable": {"name": "Power"},
        "eventNotificationType": "CustomMonitor",
        "variableMonitoringId": 10_000,
    }
    assert (second["cleared"], second["transactionId"], second["actualValue"]) == (True, "t-1", "")
    assert (second["techCode"], len(second["techInfo"])) == ("lock_fail", 500)


def test_1_6_has_no_message_for_events() -> None:
    assert v16.FRONT_END.encoders[EventsNoticed](EventsNoticed(NOW, (EVENT,)), view(), None) is None
