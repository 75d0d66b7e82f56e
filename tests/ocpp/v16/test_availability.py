"""The connector status as a projection of snapshots, and ChangeAvailability."""

from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.charging.availability import LOCAL_LIST_CONFLICT, RESET_FAULT, STORE_FAULT
from agent.charging.ids import ChargingState, IdToken
from agent.charging.requests import Answer, ChangeAvailability, Verdict
from agent.charging.snapshot import (
    ActiveFault,
    EvseSnapshot,
    SessionState,
    StationSnapshot,
    TransactionSnapshot,
)
from agent.ocpp.frontend import Ask, ConnectorStatus, Reply, StatusNotice
from agent.ocpp.v16.availability import (
    ERROR_CODES,
    TRANSITIONS,
    ChangeAvailabilityRequest,
    ErrorName,
    StatusName,
    StatusNotificationRequest,
    change_availability,
    connector_statuses,
    status_between,
    status_notification,
)
from hal.ports import FAULT_SEVERITY, FaultCode, Severity
from tests.helpers.fake_station import NOW, FixedView
from tests.helpers.snapshots import T0, charging, evse, paused, plugged, station

OFFERING, NOT_OFFERING = 26.7, 100.0


def running(state: ChargingState, **given: Any) -> TransactionSnapshot:
    return TransactionSnapshot("t-1", IdToken("TAG1"), T0, 1000, state, **given)


def status_of(one: EvseSnapshot, connector_id: int = 1, **given: Any) -> ConnectorStatus:
    return connector_statuses(station(one, **given))[one.evse_id, connector_id]


def fault(code: str, **given: Any) -> ActiveFault:
    return ActiveFault(code, T0, **given)


# --- the session -----------------------------------------------------------------------------------------


@pytest.mark.req("R16-064", "R16-067", "R16-068", "R16-069", "R16-071")
@pytest.mark.parametrize(
    ("one", "status"),
    [
        (evse(), "Available"),
        (plugged(), "Preparing"),
        (evse(session=SessionState.AUTHORIZED), "Preparing"),
        (plugged(session=SessionState.AUTHORIZED), "Preparing"),
        (plugged(session=SessionState.AUTHORIZING), "Preparing"),
        (evse(session=SessionState.AUTHORIZING), "Available"),
        (charging(transaction=running(ChargingState.CHARGING)), "Charging"),
        (paused(), "SuspendedEV"),
        (paused(transaction=running(ChargingState.SUSPENDED_EVSE)), "SuspendedEVSE"),
        (paused(transaction=running(ChargingState.EV_CONNECTED)), "Preparing"),
        (paused(transaction=running(ChargingState.IDLE), duty_percent=OFFERING), "SuspendedEV"),
        (paused(transaction=running(ChargingState.IDLE), duty_percent=NOT_OFFERING), "SuspendedEVSE"),
        (plugged(session=SessionState.FINISHING), "Finishing"),
    ],
)
def test_status_of_a_session(one: EvseSnapshot, status: str) -> None:
    assert status_of(one) == ConnectorStatus(status, "NoError")


@pytest.mark.req("R16-063", "R16-064", "R16-068")
@pytest.mark.parametrize("duty", [OFFERING, NOT_OFFERING])
def test_a_resumed_transaction_is_never_preparing_again(duty: float) -> None:
    one = paused(transaction=running(ChargingState.EV_CONNECTED, is_resumed=True), duty_percent=duty)
    assert status_of(one).status == "SuspendedEV"


@pytest.mark.req("R16-081", "TC_005_3_CS")
def test_a_transaction_without_its_ev_is_suspended_by_the_ev_and_says_why() -> None:
    one = paused(transaction=running(ChargingState.IDLE, ev_disconnected=True), remark="EV side disconnected")
    assert status_of(one) == ConnectorStatus("SuspendedEV", "NoError", "", "EV side disconnected")


@pytest.mark.req("R16-082", "TC_005_1_CS")
def test_a_transaction_ended_at_the_ev_finishes_and_says_why() -> None:
    one = plugged(session=SessionState.FINISHING, remark="EV side disconnected")
    assert status_of(one) == ConnectorStatus("Finishing", "NoError", "", "EV side disconnected")


# --- availability ----------------------------------------------------------------------------------------


@pytest.mark.req("R16-062")
def test_the_station_is_independent_of_its_connectors() -> None:
    statuses = connector_statuses(station(evse(1, inoperative_connectors=frozenset({1})), charging(2)))
    assert [status.status for status in statuses.values()] == ["Available", "Unavailable", "SuspendedEV"]


@pytest.mark.req("R16-062", "R16-185")
@pytest.mark.parametrize("one", [evse(), plugged()])
def test_a_connector_out_of_service_is_unavailable_whatever_the_station_is(one: EvseSnapshot) -> None:
    assert status_of(replace(one, inoperative_connectors=frozenset({1}))).status == "Unavailable"
    assert status_of(one, is_operative=False) == status_of(one)


@pytest.mark.req("R16-186")
def test_a_running_transaction_is_shown_until_it_ends() -> None:
    one = charging(transaction=running(ChargingState.CHARGING), inoperative_connectors=frozenset({1}))
    assert status_of(one).status == "Charging"


def test_the_other_connector_of_a_taken_evse_cannot_be_used() -> None:
    assert status_of(charging(connectors=2), connector_id=2).status == "Unavailable"
    assert status_of(evse(connectors=2), connector_id=2).status == "Available"
    asking = evse(connectors=2, session=SessionState.AUTHORIZING)
    assert status_of(asking, connector_id=2).status == "Available", "not before the tag is accepted"
    assert status_of(evse(connectors=2, inoperative_connectors=frozenset({2})), 2).status == "Unavailable"


# --- faults ----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-076", "TC_024_CS", "TC_041_CS")
def test_a_fault_that_stops_charging_is_faulted_whatever_the_session() -> None:
    for one in (evse(), plugged(), charging(), evse(inoperative_connectors=frozenset({1}))):
        assert status_of(replace(one, faults=(fault("lock_fail"),))) == ConnectorStatus(
            "Faulted", "ConnectorLockFailure", "lock_fail"
        )


@pytest.mark.req("R16-076")
def test_any_other_fault_is_a_warning() -> None:
    warm = fault("temp_warn", stops_charging=False, detail="71 C")
    one = charging(transaction=running(ChargingState.CHARGING), faults=(warm,))
    assert status_of(one) == ConnectorStatus("Charging", "HighTemperature", "temp_warn", "71 C")


def test_the_fault_that_stops_goes_before_the_warning() -> None:
    faults = (fault("temp_warn", stops_charging=False), fault("rcd_dc"))
    assert status_of(evse(faults=faults)).error_code == "GroundFailure"


@pytest.mark.req("R16-077")
@pytest.mark.parametrize(
    ("one", "status", "error_code"),
    [
        (plugged(), "Preparing", "EVCommunicationError"),
        (charging(transaction=running(ChargingState.CHARGING)), "SuspendedEVSE", "EVCommunicationError"),
        (plugged(session=SessionState.FINISHING), "Finishing", "EVCommunicationError"),
        (evse(), "Faulted", "OtherError"),
        (evse(inoperative_connectors=frozenset({1})), "Unavailable", "OtherError"),
    ],
)
def test_a_pilot_fault_is_a_warning_where_1_6_has_a_word_for_it(
    one: EvseSnapshot, status: str, error_code: str
) -> None:
    shown = status_of(replace(one, faults=(fault("cp_diode"),)))
    assert shown == ConnectorStatus(status, error_code, "cp_diode")


def test_every_fault_of_the_hardware_has_an_error_code() -> None:
    assert set(ERROR_CODES) == {*FaultCode, STORE_FAULT, RESET_FAULT, LOCAL_LIST_CONFLICT}
    assert set(ERROR_CODES.values()) <= set(get_args(ErrorName))


@pytest.mark.req("R16-078")
def test_a_fault_nobody_knows_is_other_error() -> None:
    assert status_of(evse(faults=(fault("acme_leak"),))) == ConnectorStatus(
        "Faulted", "OtherError", "acme_leak"
    )


def test_faults_of_the_station_show_on_connector_zero() -> None:
    picture = station(faults=(fault("reader_failure", stops_charging=False),))
    assert connector_statuses(picture)[0, 0] == ConnectorStatus(
        "Available", "ReaderFailure", "reader_failure"
    )
    assert connector_statuses(station(faults=(fault("door_open"),)))[0, 0].status == "Faulted"


any_evse = st.builds(
    lambda session, plugged_in, operative, state, has_transaction, codes, connectors: evse(
        session=session,
        is_plugged=plugged_in,
        is_operative=operative,
        connectors=connectors,
        transaction=running(state) if has_transaction else None,
        faults=tuple(
            fault(code, stops_charging=FAULT_SEVERITY[code] in (Severity.STOP, Severity.LATCHED))
            for code in codes
        ),
    ),
    st.sampled_from(SessionState),
    st.booleans(),
    st.booleans(),
    st.sampled_from(ChargingState),
    st.booleans(),
    st.lists(st.sampled_from(FaultCode), max_size=3),
    st.integers(1, 2),
)


@pytest.mark.req("R16-062", "R16-077")
@given(any_evse, st.booleans())
def test_every_picture_gives_a_legal_status(one: EvseSnapshot, is_operative: bool) -> None:
    for (evse_id, _), status in connector_statuses(station(one, is_operative=is_operative)).items():
        assert status.status in get_args(StatusName)
        assert status.error_code in get_args(ErrorName)
        if evse_id == 0:
            assert status.status in ("Available", "Unavailable", "Faulted")
        if status.error_code == "EVCommunicationError":
            assert status.status in ("Preparing", "SuspendedEV", "SuspendedEVSE", "Finishing")
        if status.status == "Faulted":
            assert status.error_code != "NoError"


# --- transitions -----------------------------------------------------------------------------------------


@pytest.mark.req("R16-063")
@given(st.sampled_from(get_args(StatusName)), st.sampled_from(get_args(StatusName)))
def test_every_change_is_told_in_allowed_steps(previous: str, following: str) -> None:
    middle = status_between(ConnectorStatus(previous), ConnectorStatus(following))
    if middle is not None:
        assert middle.status in TRANSITIONS[previous]
        assert following in TRANSITIONS[middle.status]
    elif following != "Reserved":  # reservations come later
        assert previous == following or following in TRANSITIONS[previous]


@pytest.mark.req("R16-063")
def test_a_restart_in_finishing_is_preparing_first() -> None:
    between = status_between(ConnectorStatus("Finishing"), ConnectorStatus("Charging"))
    assert between == ConnectorStatus("Preparing", "NoError")


# --- messages --------------------------------------------------------------------------------------------


def encoded(notice: StatusNotice, picture: StationSnapshot) -> StatusNotificationRequest:
    call = status_notification(notice, FixedView(picture=picture), None)
    assert isinstance(call.payload, StatusNotificationRequest)
    return call.payload


@pytest.mark.req("R16-085", "R16-040")
def test_a_change_carries_its_own_time_and_the_flat_number() -> None:
    picture = station(evse(1, connectors=2), evse(2, connectors=2))
    at = NOW - timedelta(seconds=3, microseconds=1)
    payload = encoded(StatusNotice(2, 1, ConnectorStatus("Preparing", "NoError"), at), picture)
    assert payload == StatusNotificationRequest(
        connector_id=3,
        error_code="NoError",
        status="Preparing",
        timestamp=at.replace(microsecond=999_000),
    )


def test_a_triggered_one_is_as_of_now() -> None:
    payload = encoded(StatusNotice(1, 1), station(plugged()))
    assert (payload.status, payload.timestamp) == ("Preparing", NOW)


@pytest.mark.req("R16-078")
def test_a_fault_names_vendor_and_code_and_fits_its_field() -> None:
    payload = encoded(StatusNotice(1, 1), station(evse(faults=(fault("door_open", detail="x" * 80),))))
    assert (payload.vendor_id, payload.vendor_error_code) == ("Example", "door_open")
    assert payload.info == "x" * 50


@pytest.mark.req("R16-185", "TC_013_CS")
@pytest.mark.parametrize(
    ("number", "request_"),
    [
        (0, ChangeAvailability(0, 0, False)),
        (1, ChangeAvailability(1, 1, False)),
        (2, ChangeAvailability(1, 2, False)),
        (3, ChangeAvailability(2, 1, False)),
    ],
)
def test_change_availability_of_the_station_or_a_connector(number: int, request_: ChangeAvailability) -> None:
    view = FixedView(picture=station(evse(1, connectors=2), evse(2)))
    ask = change_availability(ChangeAvailabilityRequest(connector_id=number, type="Inoperative"), view)
    assert isinstance(ask, Ask)
    assert ask.request == request_
    assert ask.replies_first


@pytest.mark.req("R16-185")
@pytest.mark.parametrize("number", [2, -1])
def test_change_availability_of_an_unknown_connector_is_rejected(number: int) -> None:
    response = change_availability(
        ChangeAvailabilityRequest(connector_id=number, type="Operative"), FixedView()
    )
    assert isinstance(response, Reply)
    assert response.payload.status == "Rejected"  # type: ignore[attr-defined]


@pytest.mark.req("R16-186", "R16-187")
@pytest.mark.parametrize(
    ("verdict", "status"),
    [(Verdict.ACCEPTED, "Accepted"), (Verdict.SCHEDULED, "Scheduled"), (Verdict.REJECTED, "Rejected")],
)
def test_availability_verdicts(verdict: Verdict, status: str) -> None:
    ask = change_availability(ChangeAvailabilityRequest(connector_id=1, type="Operative"), FixedView())
    assert isinstance(ask, Ask)
    reply = ask.reply(Answer(verdict))
    assert isinstance(reply, Reply)
    assert reply.payload.status == status  # type: ignore[attr-defined]
