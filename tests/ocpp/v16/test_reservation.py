"""ReserveNow and CancelReservation as payloads, and the status Reserved."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agent.charging.facts import TransactionStarted
from agent.charging.ids import IdToken, IdTokenType, Reservation, TriggerReason
from agent.charging.requests import (
    Answer,
    CancelReservation,
    Reserve,
    ReserveAnswer,
    ReserveVerdict,
    Verdict,
)
from agent.charging.snapshot import ActiveFault, SessionState
from agent.errors import RemoteProtocolError
from agent.ocpp.codec import decode, encode
from agent.ocpp.frontend import Ask, ConnectorStatus, Reply
from agent.ocpp.v16 import FRONT_END
from agent.ocpp.v16.availability import connector_statuses, status_between
from agent.ocpp.v16.transactions import start_transaction
from tests.helpers.fake_station import FixedView, settings
from tests.helpers.snapshots import T0, evse, plugged, station

WISH = {"connectorId": 1, "expiryDate": "2026-05-01T12:00:00Z", "idTag": "TAG1", "reservationId": 17}
TWO_BY_TWO = FixedView(station(evse(1, connectors=2), evse(2, connectors=2)))


def response(action: str, payload: dict[str, Any], view: FixedView = TWO_BY_TWO) -> Ask | Reply:
    route = FRONT_END.routes[action]
    answer = route.handler(decode(encode(payload), route.request), view)
    assert isinstance(answer, Ask | Reply)
    return answer


def status(answer: Ask | Reply, result: Any = None) -> str:
    reply = answer.reply(result) if isinstance(answer, Ask) else answer
    assert isinstance(reply, Reply)
    told: str = reply.payload.status  # type: ignore[attr-defined]
    return told


def token(text: str) -> IdToken:
    return IdToken(text, IdTokenType.UNTYPED)


@pytest.mark.req("R16-228", "R16-234")
@pytest.mark.parametrize(
    ("number", "evse_id", "connector_id"), [(0, None, None), (1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 2, 2)]
)
def test_a_wish_becomes_a_request_in_our_own_words(
    number: int, evse_id: int | None, connector_id: int | None
) -> None:
    ask = response("ReserveNow", WISH | {"connectorId": number, "parentIdTag": "P"})
    assert isinstance(ask, Ask)
    until = datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert ask.request == Reserve(Reservation(17, token("TAG1"), token("P"), until, evse_id, connector_id))


@pytest.mark.parametrize(
    "text",
    ["2026-05-01T12:00:00", "2026-05-01T12:00:00Z", "2026-05-01T14:00:00+02:00", "2026-05-01T12:00:00.000Z"],
)
@pytest.mark.parametrize("parent", [{}, {"parentIdTag": ""}])
def test_a_time_without_zone_is_utc_and_an_empty_parent_is_none(text: str, parent: dict[str, str]) -> None:
    ask = response("ReserveNow", WISH | {"expiryDate": text} | parent)
    assert isinstance(ask, Ask)
    assert isinstance(ask.request, Reserve)
    assert ask.request.reservation.expires_at == datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert ask.request.reservation.group is None


@pytest.mark.req("R16-230", "R16-231", "R16-232")
@pytest.mark.parametrize("verdict", list(ReserveVerdict))
def test_every_verdict_has_its_status(verdict: ReserveVerdict) -> None:
    assert status(response("ReserveNow", WISH), ReserveAnswer(verdict, "because")) == verdict.value


@pytest.mark.req("R16-242")
@pytest.mark.parametrize("number", [-1, 5, 2**70])
def test_an_unknown_connector_is_rejected(number: int) -> None:
    assert status(response("ReserveNow", WISH | {"connectorId": number})) == "Rejected"


@pytest.mark.req("R16-232", "TC_048_4_CS", "TC_050_4_CS")
@pytest.mark.parametrize("number", [0, 1])
def test_without_the_profile_nothing_can_be_reserved(number: int) -> None:
    view = FixedView(settings=settings(SupportedFeatureProfiles="Core,LocalAuthListManagement"))
    assert status(response("ReserveNow", WISH | {"connectorId": number}, view)) == "Rejected"


@pytest.mark.req("R16-240")
def test_cancelling_is_accepted_or_rejected() -> None:
    ask = response("CancelReservation", {"reservationId": 17})
    assert isinstance(ask, Ask)
    assert ask.request == CancelReservation(17)
    assert status(ask, Answer(Verdict.ACCEPTED)) == "Accepted"
    assert status(ask, Answer(Verdict.REJECTED)) == "Rejected"


@pytest.mark.req("R16-032")
@pytest.mark.parametrize(
    "change",
    [
        {"expiryDate": "soon"},
        {"reservationId": "17"},
        {"reservationId": 2**63},
        {"idTag": "T" * 21},
        {"parentIdTag": None},
        {"more": 1},
    ],
)
def test_what_is_not_as_the_schema_says_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        response("ReserveNow", WISH | change)


@pytest.mark.req("R16-110")
@pytest.mark.parametrize("number", [None, 0, 17])
def test_the_start_carries_the_reservation_that_it_used(number: int | None) -> None:
    fact = TransactionStarted(
        "tx1", 1, 1, T0, 0, token("TAG1"), 1000, TriggerReason.AUTHORIZED, False, reservation_id=number
    )
    call = start_transaction(fact, FixedView(), None)
    assert ("reservationId" in encode(call.payload)) is (number is not None)
    assert number is None or f'"reservationId":{number}' in encode(call.payload)


# --- the status --------------------------------------------------------------------------------------------

RESERVED = frozenset({2})


@pytest.mark.req("R16-228", "R16-234", "R16-237", "R16-238")
@pytest.mark.parametrize("session", [SessionState.IDLE, SessionState.PLUGGED, SessionState.AUTHORIZING])
def test_reserved_until_its_driver_identifies_and_the_other_connector_is_of_no_use(
    session: SessionState,
) -> None:
    is_plugged = session is SessionState.PLUGGED
    kept = evse(connectors=2, session=session, is_plugged=is_plugged, reserved_connectors=RESERVED)
    told = connector_statuses(station(kept))
    assert [told[0, 0].status, told[1, 1].status, told[1, 2].status] == [
        "Available",
        "Unavailable",
        "Reserved",
    ]


@pytest.mark.req("R16-237", "R16-239")
def test_what_lies_over_reserved() -> None:
    for kept, status_name, error in (
        (
            evse(inoperative_connectors=frozenset({1}), reserved_connectors=frozenset({1})),
            "Unavailable",
            "NoError",
        ),
        (
            evse(faults=(ActiveFault("rcd_dc", T0),), reserved_connectors=frozenset({1})),
            "Faulted",
            "GroundFailure",
        ),
        (
            evse(faults=(ActiveFault("temp_warn", T0, "", False),), reserved_connectors=frozenset({1})),
            "Reserved",
            "HighTemperature",
        ),
        (plugged(session=SessionState.AUTHORIZED), "Preparing", "NoError"),
    ):
        shown = connector_statuses(station(kept))[1, 1]
        assert (shown.status, shown.error_code) == (status_name, error)


@pytest.mark.req("R16-063")
@pytest.mark.parametrize(
    "previous", ["Preparing", "Finishing", "Charging", "SuspendedEV", "SuspendedEVSE", "Unavailable"]
)
def test_to_reserved_it_goes_over_available(previous: str) -> None:
    between = status_between(ConnectorStatus(previous), ConnectorStatus("Reserved"))
    assert between == ConnectorStatus("Available", "NoError")


@pytest.mark.req("R16-063")
@pytest.mark.parametrize("following", ["Available", "Preparing", "Unavailable", "Faulted"])
def test_from_reserved_straight_on(following: str) -> None:
    assert status_between(ConnectorStatus("Reserved"), ConnectorStatus(following)) is None
