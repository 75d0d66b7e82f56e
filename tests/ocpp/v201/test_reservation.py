"""Reservations of 2.0.1 as payloads: by EVSE, by connector type, for any EVSE; and how one ended."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agent.charging.facts import ReservationLapsed
from agent.charging.ids import IdToken, IdTokenType, Reservation, ReservationEnd
from agent.charging.requests import Answer, CancelReservation, Reserve, ReserveAnswer, ReserveVerdict, Verdict
from agent.charging.reservation import NO_SUCH_TYPE, SWITCHED_OFF
from agent.ocpp.frontend import Acknowledged
from tests.ocpp.v201.asking import answer, asked, read, told

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLAIN: dict[str, Any] = {
    "id": 7,
    "expiryDateTime": "2026-01-01T12:00:00Z",
    "idToken": {"idToken": "TAG1", "type": "ISO14443"},
}
HELD = Reservation(7, IdToken("TAG1"), None, NOON)


@pytest.mark.req("H01.FR.03", "H01.FR.04", "H01.FR.06", "H03.FR.04")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, HELD),
        ({"evseId": 1}, Reservation(7, IdToken("TAG1"), None, NOON, 1)),
        (
            {"connectorType": "sType2"},
            Reservation(7, IdToken("TAG1"), None, NOON, connector_type="sType2"),
        ),
        (
            {"groupIdToken": {"idToken": "FLEET", "type": "Central"}},
            Reservation(7, IdToken("TAG1"), IdToken("FLEET", IdTokenType.CENTRAL), NOON),
        ),
    ],
)
def test_what_is_reserved_is_as_the_csms_says(change: dict[str, Any], expected: Reservation) -> None:
    assert asked("ReserveNow", {**PLAIN, **change}) == Reserve(expected)


@pytest.mark.req("H01.FR.01", "H01.FR.11", "H01.FR.12", "H01.FR.14", "H01.FR.19")
@pytest.mark.parametrize(
    ("result", "status", "code"),
    [
        (ReserveAnswer(ReserveVerdict.ACCEPTED), "Accepted", None),
        (ReserveAnswer(ReserveVerdict.FAULTED, "rcd"), "Faulted", "Unspecified"),
        (ReserveAnswer(ReserveVerdict.OCCUPIED, "in use"), "Occupied", "Unspecified"),
        (ReserveAnswer(ReserveVerdict.UNAVAILABLE, "out"), "Unavailable", "Unspecified"),
        (ReserveAnswer(ReserveVerdict.REJECTED, "over"), "Rejected", "Unspecified"),
        (ReserveAnswer(ReserveVerdict.REJECTED, NO_SUCH_TYPE), "Rejected", "UnknownConnectorType"),
        (ReserveAnswer(ReserveVerdict.REJECTED, SWITCHED_OFF), "Rejected", "NotEnabled"),
    ],
)
def test_the_answer_says_what_is_in_the_way(result: ReserveAnswer, status: str, code: str | None) -> None:
    said = answer("ReserveNow", PLAIN, None, result)
    assert (said["status"], said.get("statusInfo", {}).get("reasonCode")) == (status, code)


def test_an_evse_that_is_not_there_cannot_be_reserved() -> None:
    refused = answer("ReserveNow", {**PLAIN, "evseId": 9})
    assert (refused["status"], refused["statusInfo"]["reasonCode"]) == ("Rejected", "UnknownEvse")


@pytest.mark.req("H02.FR.01", "H02.FR.02", "TC_H_18_CS")
def test_cancelling() -> None:
    assert asked("CancelReservation", {"reservationId": 7}) == CancelReservation(7)
    assert answer("CancelReservation", {"reservationId": 7}, None, Answer(Verdict.ACCEPTED)) == {
        "status": "Accepted"
    }
    refused = answer("CancelReservation", {"reservationId": 7}, None, Answer(Verdict.REJECTED, "no such"))
    assert refused["status"] == "Rejected"


@pytest.mark.req("H01.FR.16", "H01.FR.17", "H04.FR.01")
@pytest.mark.parametrize("end", [ReservationEnd.EXPIRED, ReservationEnd.REMOVED])
def test_an_end_that_the_csms_cannot_know_is_told(end: ReservationEnd) -> None:
    assert told(ReservationLapsed(7, end, NOON)) == (
        "ReservationStatusUpdate",
        {"reservationId": 7, "reservationUpdateStatus": end.value},
    )


def test_the_answer_to_an_end_says_nothing() -> None:
    assert read("ReservationStatusUpdate", {}) == Acknowledged()
