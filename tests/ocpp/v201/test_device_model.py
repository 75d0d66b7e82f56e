"""Reading and writing variables: every status, the limits of a message, and what was written is what is read."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from agent.charging.device_model import DataType, Row, mutability_of, path, values_of
from agent.charging.requests import Answer, Answers, ChangeSettings, Verdict
from agent.charging.setting import Mutability
from agent.charging.settings import Settings
from agent.ocpp.codec import Category
from agent.ocpp.frontend import Ask, Refuse, Reply, Response
from agent.ocpp.v201.datatypes import Component, Evse, Variable
from agent.ocpp.v201.device_model import (
    ROUTES,
    GetVariableData,
    GetVariableResult,
    GetVariablesRequest,
    GetVariablesResponse,
    SetVariableData,
    SetVariableResult,
    SetVariablesRequest,
    SetVariablesResponse,
    get_variables,
    set_variables,
)
from agent.ocpp.v201.names import component_payload, variable_payload
from tests.helpers import snapshots
from tests.helpers.fake_station import NOW, FixedView, settings

COMM = Component(name="OCPPCommCtrlr")
THRESHOLD = Variable(name="OfflineThreshold")


def read(view: FixedView, component: Component, variable: Variable, **more: Any) -> GetVariableResult:
    asked = GetVariableData(component=component, variable=variable, **more)
    response = get_variables(GetVariablesRequest(get_variable_data=[asked]), view)
    assert isinstance(response, Reply)
    assert isinstance(response.payload, GetVariablesResponse)
    (result,) = response.payload.get_variable_result
    assert (result.component, result.variable) == (component, variable)
    return result


def wanted(component: Component, variable: Variable, value: str, **more: Any) -> SetVariableData:
    return SetVariableData(component=component, variable=variable, attribute_value=value, **more)


async def carried_out(response: Response, settings: Settings) -> list[SetVariableResult]:
    """As the station would: one change after the other."""
    if isinstance(response, Ask):
        assert isinstance(response.request, ChangeSettings)
        answers = [await settings.change(each.name, each.value) for each in response.request.changes]
        response = response.reply(Answers(tuple(answers)))
    assert isinstance(response, Reply)
    assert isinstance(response.payload, SetVariablesResponse)
    return response.payload.set_variable_result


async def write(view: FixedView, *data: SetVariableData) -> list[SetVariableResult]:
    request = SetVariablesRequest(set_variable_data=list(data))
    results = await carried_out(set_variables(request, view), view.settings)
    assert [(each.component, each.variable) for each in results] == [
        (each.component, each.variable) for each in data
    ]
    return results


async def status(view: FixedView, component: Component, variable: Variable, value: str, **more: Any) -> str:
    (result,) = await write(view, wanted(component, variable, value, **more))
    return result.attribute_status


# --- reading ---------------------------------------------------------------------------------------------


@pytest.mark.req("B06.FR.01", "B06.FR.03", "B06.FR.04", "B06.FR.10", "B06.FR.11", "TC_B_06_CS")
def test_a_variable_is_read_with_its_attribute_type() -> None:
    for more in ({}, {"attribute_type": "Actual"}):
        result = read(FixedView(), COMM, THRESHOLD, **more)
        assert (result.attribute_status, result.attribute_type) == ("Accepted", "Actual")
        assert result.attribute_value == "300"


@pytest.mark.req("B06.FR.02", "TC_B_07_CS")
def test_results_stand_in_the_order_of_the_questions() -> None:
    questions = [
        GetVariableData(
            component=Component(name="AuthCtrlr"), variable=Variable(name="LocalAuthorizeOffline")
        ),
        GetVariableData(component=Component(name="Nowhere"), variable=THRESHOLD),
        GetVariableData(component=COMM, variable=THRESHOLD),
        GetVariableData(component=COMM, variable=THRESHOLD),
    ]
    response = get_variables(GetVariablesRequest(get_variable_data=questions), FixedView())
    assert isinstance(response, Reply)
    assert isinstance(response.payload, GetVariablesResponse)
    values = [each.attribute_value for each in response.payload.get_variable_result]
    assert (values[0], values[2:]) == ("true", ["300", "300"])


@pytest.mark.req("B06.FR.06", "B06.FR.07", "B06.FR.08", "TC_B_32_CS", "TC_B_33_CS", "TC_B_34_CS")
@pytest.mark.parametrize(
    ("component", "variable", "more", "expected"),
    [
        (Component(name="UnknownComponent"), THRESHOLD, {}, "UnknownComponent"),
        (Component(name="EVSE", evse=Evse(id=7)), Variable(name="Power"), {}, "UnknownComponent"),
        (Component(name="EVSE"), Variable(name="Power"), {}, "UnknownComponent"),
        (COMM, Variable(name="UnknownVariable"), {}, "UnknownVariable"),
        (COMM, THRESHOLD, {"attribute_type": "Target"}, "NotSupportedAttributeType"),
        (COMM, THRESHOLD, {"attribute_type": "MaxSet"}, "NotSupportedAttributeType"),
    ],
)
def test_what_cannot_be_read(component: Component, variable: Variable, more: Any, expected: str) -> None:
    result = read(FixedView(), component, variable, **more)
    assert result.attribute_status == expected
    assert not isinstance(result.attribute_value, str)
    assert result.attribute_type == more.get("attribute_type", "Actual")


@pytest.mark.req("B06.FR.09")
def test_what_can_only_be_written_is_not_read() -> None:
    view = FixedView(settings=settings(AuthorizationKey="00112233445566778899AABBCCDDEEFF"))
    result = read(view, Component(name="SecurityCtrlr"), Variable(name="BasicAuthPassword"))
    assert result.attribute_status == "Rejected"
    assert not isinstance(result.attribute_value, str)


@pytest.mark.req("B06.FR.13")
def test_what_has_no_value_is_read_as_nothing() -> None:
    result = read(FixedView(), Component(name="TariffCostCtrlr"), Variable(name="TariffFallbackMessage"))
    assert (result.attribute_status, result.attribute_value) == ("Accepted", "")


@pytest.mark.req("B06.FR.14", "B06.FR.15")
@pytest.mark.parametrize(
    ("instance", "expected"),
    [
        ({"instance": "GetReport"}, "Accepted"),
        ({"instance": "getreport"}, "Accepted"),
        ({"instance": "Nothing"}, "UnknownVariable"),
        ({"instance": ""}, "UnknownVariable"),
        ({}, "UnknownVariable"),
    ],
)
def test_an_instance_is_named_exactly(instance: dict[str, str], expected: str) -> None:
    variable = Variable(name="ItemsPerMessage", **instance)
    assert read(FixedView(), Component(name="DeviceDataCtrlr"), variable).attribute_status == expected


def test_names_are_the_same_in_any_case() -> None:
    assert (
        read(FixedView(), Component(name="ocppCOMMctrlr"), Variable(name="offlinethreshold")).attribute_value
        == "300"
    )


@pytest.mark.req("B06.FR.16", "B05.FR.11")
def test_more_variables_than_a_message_may_have_are_refused() -> None:
    view = FixedView(settings=settings(**{"DeviceDataCtrlr.ItemsPerMessage.GetVariables": 2}))
    question = GetVariableData(component=COMM, variable=THRESHOLD)
    assert isinstance(get_variables(GetVariablesRequest(get_variable_data=[question] * 2), view), Reply)
    refused = get_variables(GetVariablesRequest(get_variable_data=[question] * 3), view)
    assert isinstance(refused, Refuse)
    assert refused.category is Category.OCCURRENCE
    view = FixedView(settings=settings(**{"DeviceDataCtrlr.ItemsPerMessage.SetVariables": 1}))
    order = wanted(COMM, THRESHOLD, "1")
    refused = set_variables(SetVariablesRequest(set_variable_data=[order] * 2), view)  # type: ignore[assignment]
    assert isinstance(refused, Refuse)


@pytest.mark.req("B06.FR.17")
def test_the_length_of_a_message_is_bounded_by_settings() -> None:
    limits = {action: route.most_bytes for action, route in ROUTES.items()}
    assert limits == {"GetVariables": "get_variables_max_bytes", "SetVariables": "set_variables_max_bytes"}


def test_facts_of_station_evse_and_connector_are_read() -> None:
    view = FixedView(picture=snapshots.station(snapshots.charging()))
    evse = Component(name="EVSE", evse=Evse(id=1))
    connector = Component(name="Connector", evse=Evse(id=1, connector_id=1))
    assert read(view, evse, Variable(name="AvailabilityState")).attribute_value == "Occupied"
    assert read(view, connector, Variable(name="ConnectorType")).attribute_value == "cType2"
    station = Component(name="ChargingStation")
    assert read(view, station, Variable(name="VendorName")).attribute_value == "Example"
    assert (
        read(view, Component(name="Controller"), Variable(name="FirmwareVersion")).attribute_value == "1.2.3"
    )
    clock = read(view, Component(name="ClockCtrlr"), Variable(name="DateTime"))
    assert clock.attribute_value == NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- writing ---------------------------------------------------------------------------------------------


@pytest.mark.req("B05.FR.01", "B05.FR.02", "B05.FR.03", "B05.FR.10", "B05.FR.12", "TC_B_09_CS", "TC_B_10_CS")
async def test_what_was_written_is_read_through_both_protocols() -> None:
    view = FixedView()
    results = await write(
        view,
        wanted(COMM, THRESHOLD, "299"),
        wanted(COMM, Variable(name="HeartbeatInterval"), "77", attribute_type="Actual"),
    )
    assert [(each.attribute_status, each.attribute_type) for each in results] == [("Accepted", "Actual")] * 2
    assert read(view, COMM, THRESHOLD).attribute_value == "299"
    key = view.settings.by_key16("HeartbeatInterval")
    assert key is not None
    assert view.settings.raw(key.name) == "77"


@pytest.mark.req("B05.FR.04", "B05.FR.05", "B05.FR.06", "TC_B_35_CS", "TC_B_36_CS", "TC_B_37_CS")
async def test_what_cannot_be_written() -> None:
    view = FixedView()
    assert await status(view, Component(name="Unknown"), THRESHOLD, "1") == "UnknownComponent"
    assert await status(view, COMM, Variable(name="Unknown"), "1") == "UnknownVariable"
    assert await status(view, COMM, THRESHOLD, "1", attribute_type="Target") == "NotSupportedAttributeType"
    assert view.settings.integer("offline_threshold_s") == 300


@pytest.mark.req("B05.FR.09", "TC_B_39_CS")
@pytest.mark.parametrize(
    ("component", "variable"),
    [
        (COMM, Variable(name="MessageTimeout", instance="Default")),
        (COMM, Variable(name="FileTransferProtocols")),
        (Component(name="SecurityCtrlr"), Variable(name="SecurityProfile")),
        (Component(name="ChargingStation"), Variable(name="AvailabilityState")),
        (Component(name="EVSE", evse=Evse(id=1)), Variable(name="Power")),
    ],
)
async def test_what_is_read_only_is_rejected(component: Component, variable: Variable) -> None:
    view = FixedView()
    (result,) = await write(view, wanted(component, variable, "1"))
    assert result.attribute_status == "Rejected"
    assert result.attribute_status_info.reason_code == "ReadOnly"  # type: ignore[union-attr]


@pytest.mark.req("B05.FR.07", "B05.FR.08", "TC_B_11_CS")
async def test_a_value_has_to_fit_its_type_and_range() -> None:
    view = FixedView()
    values = ("300", "300.1", "true", "TRUE", "2026-01-01T12:00:00Z", "abc", "", " 1", "-1")
    fits = {
        ("OCPPCommCtrlr", "OfflineThreshold"): {"300"},
        ("SmartChargingCtrlr", "LimitChangeSignificance"): set(),
        ("AuthCtrlr", "AuthorizeRemoteStart"): {"true"},
        ("ClockCtrlr", "NextTimeOffsetTransitionDateTime"): {"2026-01-01T12:00:00Z", ""},
    }
    for (component, variable), good in fits.items():
        for value in values:
            told = await write(view, wanted(Component(name=component), Variable(name=variable), value))
            expected = "Accepted" if value in good else "Rejected"
            assert told[0].attribute_status == expected, (variable, value)
            if expected == "Rejected":
                assert told[0].attribute_status_info.reason_code == "InvalidValue"  # type: ignore[union-attr]
    significance = Component(name="SmartChargingCtrlr"), Variable(name="LimitChangeSignificance")
    assert await status(view, *significance, "12.5") == "Accepted"
    assert view.settings.decimal("limit_change_percent") == 12.5


async def test_a_refusal_does_not_keep_the_others() -> None:
    view = FixedView()
    results = await write(
        view,
        wanted(COMM, THRESHOLD, "10"),
        wanted(COMM, Variable(name="HeartbeatInterval"), "never"),
        wanted(COMM, Variable(name="ResetRetries"), "2"),
    )
    assert [each.attribute_status for each in results] == ["Accepted", "Rejected", "Accepted"]
    assert view.settings.integer("reset_retries") == 2


@pytest.mark.req("B05.FR.13")
async def test_a_variable_named_twice_gets_the_first_value() -> None:
    view = FixedView()
    results = await write(view, wanted(COMM, THRESHOLD, "10"), wanted(COMM, THRESHOLD, "20"))
    assert [each.attribute_status for each in results] == ["Accepted", "Rejected"]
    assert view.settings.integer("offline_threshold_s") == 10


async def test_a_change_that_needs_a_restart_says_so() -> None:
    request = SetVariablesRequest(set_variable_data=[wanted(COMM, THRESHOLD, "5")])
    response = set_variables(request, FixedView())
    assert isinstance(response, Ask)
    for verdict, expected in (
        (Verdict.REBOOT_REQUIRED, "RebootRequired"),
        (Verdict.REJECTED, "Rejected"),
        (Verdict.UNKNOWN, "UnknownVariable"),
    ):
        reply = response.reply(Answers((Answer(verdict, "why"),)))
        assert isinstance(reply, Reply)
        assert reply.payload.set_variable_result[0].attribute_status == expected  # type: ignore[attr-defined]


@pytest.mark.req("A00.FR.205", "A00.FR.304", "A01.FR.02")
async def test_the_password_is_written_as_text_and_kept_as_bytes() -> None:
    view = FixedView()
    password = "Grüße-und-mehr:|@0123456"
    place = Component(name="SecurityCtrlr"), Variable(name="BasicAuthPassword")
    assert await status(view, *place, "too short") == "Rejected"
    for wrong in ("x" * 15, "x" * 65, "ü" * 15, "ü" * 65, "€" * 8):
        assert await status(view, *place, wrong) == "Rejected", wrong
    assert await status(view, *place, password) == "Accepted"
    assert bytes.fromhex(view.settings.text("authorization_key")).decode() == password
    for right in ("x" * 16, "x" * 40, "x" * 64, "ü" * 16, "\N{OK HAND SIGN}" * 64):
        assert await status(view, *place, right) == "Accepted", right
        assert bytes.fromhex(view.settings.text("authorization_key")).decode() == right


async def test_phases_of_1_6_are_not_shown_and_not_written() -> None:
    view = FixedView(settings=settings(MeterValuesSampledData="Voltage.L1-N,Voltage.L2-N,Current.Import"))
    place = Component(name="SampledDataCtrlr"), Variable(name="TxUpdatedMeasurands")
    assert read(view, *place).attribute_value == "Voltage,Current.Import"
    assert await status(view, *place, "Voltage.L1-N") == "Rejected"
    assert await status(view, *place, "Voltage, current.import") == "Accepted"
    assert read(view, *place).attribute_value == "Voltage,Current.Import"


def test_units_of_a_schedule_are_spelled_as_in_2_x() -> None:
    result = read(FixedView(), Component(name="SmartChargingCtrlr"), Variable(name="RateUnit"))
    assert result.attribute_value == "A,W"


# --- what was written is what is read, whatever it was ---------------------------------------------------


def writable() -> list[Row]:
    view = FixedView()
    return [
        row
        for row in view.device_model.rows
        if mutability_of(row, view.settings) is Mutability.READ_WRITE and row.setting is not None
    ]


def valid(row: Row) -> st.SearchStrategy[str]:
    """Values that the row's characteristics allow."""
    least, most = int(row.least or 0), int(row.most if row.most is not None else 2**31 - 1)
    choices = values_of(row, settings())
    match row.data_type:
        case DataType.INTEGER:
            return st.integers(least, most).map(str)
        case DataType.DECIMAL:
            return st.integers(least * 10, most * 10).map(lambda tenths: str(tenths / 10))
        case DataType.BOOLEAN:
            return st.sampled_from(("true", "false"))
        case DataType.DATE_TIME:
            return st.just("") | st.datetimes().map(lambda at: at.isoformat() + "Z")
        case DataType.STRING:
            return st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=min(most, 20))
        case DataType.OPTION_LIST:
            return st.sampled_from(choices)
        case DataType.MEMBER_LIST | DataType.SEQUENCE_LIST:
            limit = row.setting.max_items if row.setting else 1
            return st.lists(st.sampled_from(choices), max_size=limit, unique=True).map(",".join)


@examples(deadline=None)
@given(data=st.data())
def test_any_valid_value_is_read_as_it_was_written(data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(writable()), label="row")
    value = data.draw(valid(row), label="value")
    view = FixedView()
    place = component_payload(row.component), variable_payload(row.variable)
    taken = "RebootRequired" if row.setting is not None and row.setting.needs_reboot else "Accepted"
    assert asyncio.run(status(view, *place, value)) == taken, path(row.component, row.variable)
    assert read(view, *place).attribute_value == value


@examples(deadline=None)
@given(row=st.sampled_from(writable()), value=st.text(max_size=30))
def test_anything_written_is_taken_as_it_is_or_changes_nothing(row: Row, value: str) -> None:
    view = FixedView()
    place = component_payload(row.component), variable_payload(row.variable)
    before = read(view, *place).attribute_value
    told = asyncio.run(status(view, *place, value))
    after = read(view, *place).attribute_value
    assert told in ("Accepted", "Rejected", "RebootRequired")
    if told == "Rejected":
        assert after == before
