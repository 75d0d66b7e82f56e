"""Connector statuses of 2.0.1 as a projection, and ChangeAvailability."""

from typing import Any

import pytest

from agent.charging.ids import IdToken
from agent.charging.requests import Answer, ChangeAvailability, Verdict
from agent.charging.snapshot import ActiveFault, EvseSnapshot, SessionState
from agent.ocpp.frontend import ConnectorStatus, StatusNotice
from agent.ocpp.v201.availability import connector_statuses, least_status_s, status_between
from hal.ports import FaultCode
from tests.helpers.fake_station import NOW, FixedView
from tests.helpers.snapshots import FAULTY, T0, charging, evse, plugged, station
from tests.ocpp.v201.asking import answer, asked, told

OUT = frozenset({1})
EV_FAULT = ActiveFault(FaultCode.CP_DIODE, T0)
WARNING = ActiveFault(FaultCode.TEMP_WARN, T0, stops_charging=False)


@pytest.mark.req("G01.FR.01", "G01.FR.03", "G01.FR.04", "G03.FR.09")
@pytest.mark.parametrize(
    ("picture", "status"),
    [
        (evse(), "Available"),
        (evse(session=SessionState.AUTHORIZED, id_token=IdToken("TAG1")), "Available"),
        (evse(faults=(WARNING,)), "Available"),
        (plugged(), "Occupied"),
        (plugged(session=SessionState.FINISHING), "Occupied"),
        (charging(), "Occupied"),
        (charging(inoperative_connectors=OUT), "Occupied"),
        (plugged(faults=(EV_FAULT,)), "Occupied"),
        (plugged(inoperative_connectors=OUT), "Unavailable"),
        (evse(inoperative_connectors=OUT), "Unavailable"),
        (evse(is_known=False), "Unavailable"),
        (evse(reserved_connectors=OUT), "Reserved"),
        (plugged(reserved_connectors=OUT), "Reserved"),
        (evse(faults=(FAULTY,)), "Faulted"),
        (charging(faults=(FAULTY,)), "Faulted"),
        (evse(faults=(EV_FAULT,)), "Faulted"),
        (evse(faults=(FAULTY,), inoperative_connectors=OUT), "Faulted"),
    ],
)
def test_status_of_a_connector(picture: EvseSnapshot, status: str) -> None:
    assert connector_statuses(station(picture)) == {(1, 1): ConnectorStatus(status)}


@pytest.mark.req("G01.FR.08", "H01.FR.23")
def test_the_other_connector_of_an_evse_in_use_stays_as_it_is_and_is_reserved_with_it() -> None:
    used = connector_statuses(station(plugged(connectors=2)))
    assert [used[1, number].status for number in (1, 2)] == ["Occupied", "Available"]
    kept = connector_statuses(station(evse(connectors=2, reserved_connectors=OUT)))
    assert [kept[1, number].status for number in (1, 2)] == ["Reserved", "Reserved"]


def test_the_station_has_no_status_and_every_step_is_told_at_once() -> None:
    assert set(connector_statuses(station(evse(1), evse(2, connectors=2)))) == {(1, 1), (2, 1), (2, 2)}
    available, faulted = ConnectorStatus("Available"), ConnectorStatus("Faulted")
    status_between(available, faulted)
    assert least_status_s(available, faulted) == 0.0


def test_a_status_is_told_with_its_time() -> None:
    view = FixedView(picture=station(evse(1), plugged(2)))
    now = {"timestamp": "2026-01-01T12:00:00Z", "evseId": 2, "connectorId": 1}
    assert told(StatusNotice(2, 1), view) == ("StatusNotification", now | {"connectorStatus": "Occupied"})
    earlier = StatusNotice(2, 1, ConnectorStatus("Faulted"), NOW.replace(hour=1))
    expected = now | {"timestamp": "2026-01-01T01:00:00Z", "connectorStatus": "Faulted"}
    assert told(earlier, view) == ("StatusNotification", expected)


@pytest.mark.req("G03.FR.01", "G04.FR.01")
@pytest.mark.parametrize(
    ("evse_payload", "place"), [(None, (0, 0)), ({"id": 2}, (2, 0)), ({"id": 2, "connectorId": 2}, (2, 2))]
)
def test_availability_of_station_evse_or_connector(evse_payload: Any, place: tuple[int, int]) -> None:
    payload = {"operationalStatus": "Inoperative"} | ({} if evse_payload is None else {"evse": evse_payload})
    view = FixedView(picture=station(evse(1), evse(2, connectors=2)))
    assert asked("ChangeAvailability", payload, view) == ChangeAvailability(*place, operative=False)
    payload["operationalStatus"] = "Operative"
    assert asked("ChangeAvailability", payload, view).operative


@pytest.mark.req("G03.FR.02", "G04.FR.02", "G04.FR.03")
@pytest.mark.parametrize(
    ("verdict", "status"),
    [(Verdict.ACCEPTED, "Accepted"), (Verdict.SCHEDULED, "Scheduled"), (Verdict.REJECTED, "Rejected")],
)
def test_the_answer_is_what_the_station_says(verdict: Verdict, status: str) -> None:
    payload = {"operationalStatus": "Operative"}
    assert answer("ChangeAvailability", payload, None, Answer(verdict, "why"))["status"] == status


@pytest.mark.parametrize(
    ("evse_payload", "code"),
    [
        ({"id": 9}, "UnknownEvse"),
        ({"id": 0}, "UnknownEvse"),
        ({"id": 1, "connectorId": 2}, "UnknownConnectorId"),
    ],
)
def test_a_place_that_is_not_there_is_rejected(evse_payload: Any, code: str) -> None:
    got = answer("ChangeAvailability", {"operationalStatus": "Operative", "evse": evse_payload})
    assert got == {"status": "Rejected", "statusInfo": {"reasonCode": code}}
