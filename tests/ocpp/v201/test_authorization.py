"""Authorize and ClearCache of 2.0.1 as payloads."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType
from agent.charging.requests import Answer, ClearCache, Verdict
from agent.charging.tariff import Text
from agent.errors import LocalProtocolError
from agent.ocpp.codec import decode
from agent.ocpp.frontend import TokenJudged, TokenQuestion
from agent.ocpp.v201 import FRONT_END
from tests.ocpp.v201.asking import answer, asked, read, told


@pytest.mark.req("C01.FR.02", "C01.FR.04", "C06.FR.03")
@pytest.mark.parametrize("kind", IdTokenType)
def test_a_question_names_token_and_type(kind: IdTokenType) -> None:
    name = "Central" if kind is IdTokenType.UNTYPED else kind.value  # whose 1.6 never said
    expected = {"idToken": {"idToken": "TAG1", "type": name}}
    assert told(TokenQuestion(IdToken("TAG1", kind), 1)) == ("Authorize", expected)


def test_a_token_that_does_not_fit_is_not_asked_for() -> None:
    with pytest.raises(LocalProtocolError):
        told(TokenQuestion(IdToken("x" * 37), 1))


@pytest.mark.parametrize("status", AuthorizationStatus)
def test_the_answer_is_status_expiry_group_places_and_a_text(status: AuthorizationStatus) -> None:
    info = {
        "status": status.value,
        "cacheExpiryDateTime": "2027-01-01T00:00:00Z",
        "groupIdToken": {"idToken": "FLEET", "type": "Central"},
        "evseId": [2, 3],
        "personalMessage": {"format": "HTML", "content": "hello", "language": "de"},
    }
    expires_at = datetime(2027, 1, 1, tzinfo=UTC)
    group = IdToken("FLEET", IdTokenType.CENTRAL)
    known = IdTokenInfo(status, expires_at, group, frozenset({2, 3}))
    judged = TokenJudged(known, (Text("hello", "de", "HTML"),))
    assert read("Authorize", {"idTokenInfo": info}) == judged


@pytest.mark.parametrize("more", ['"evseId": []', '"language1": null', '"extra": 1'])
def test_a_sloppy_answer_still_says_whether_the_token_is_good(more: str) -> None:
    reader = FRONT_END.results["Authorize"].less
    assert reader is not None
    text = f'{{"idTokenInfo": {{"status": "Blocked", "groupIdToken": {{"idToken": "F"}}, {more}}}}}'
    group = IdToken("F", IdTokenType.CENTRAL)
    assert reader.read(decode(text, reader.payload)) == TokenJudged(
        IdTokenInfo(AuthorizationStatus.BLOCKED, None, group)
    )


@pytest.mark.req("C11.FR.01", "C11.FR.02", "C11.FR.03", "C11.FR.04", "C11.FR.05")
@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (Answer(Verdict.ACCEPTED), {"status": "Accepted"}),
        (
            Answer(Verdict.REJECTED, "not stored"),
            {
                "status": "Rejected",
                "statusInfo": {"reasonCode": "InternalError", "additionalInfo": "not stored"},
            },
        ),
    ],
)
def test_the_cache_is_cleared_by_the_station(result: Answer, expected: Any) -> None:
    assert asked("ClearCache") == ClearCache()
    assert answer("ClearCache", None, None, result) == expected
