"""SendLocalList and GetLocalListVersion as payloads: what is asked of the station, and every answer."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType
from agent.charging.requests import ListAnswer, ListEntry, ListVerdict, UpdateLocalList
from agent.errors import RemoteProtocolError
from agent.ocpp.codec import decode, encode
from agent.ocpp.frontend import Ask, Reply
from agent.ocpp.v16 import FRONT_END
from tests.helpers.fake_station import FixedView, settings
from tests.helpers.snapshots import station


def response(action: str, payload: dict[str, Any], view: FixedView | None = None) -> Ask | Reply:
    route = FRONT_END.routes[action]
    answer = route.handler(decode(encode(payload), route.request), view or FixedView())
    assert isinstance(answer, Ask | Reply)
    return answer


def token(text: str) -> IdToken:
    return IdToken(text, IdTokenType.UNTYPED)


@pytest.mark.req("R16-216", "R16-218")
def test_an_update_becomes_a_request_in_our_own_words() -> None:
    info = {"status": "ConcurrentTx", "expiryDate": "2026-05-01T12:00:00", "parentIdTag": "P"}
    entries = [{"idTag": "TAG1", "idTagInfo": info}, {"idTag": "TAG2"}]
    payload = {"listVersion": 3, "updateType": "Differential", "localAuthorizationList": entries}
    ask = response("SendLocalList", payload)
    assert isinstance(ask, Ask)
    known = IdTokenInfo(AuthorizationStatus.CONCURRENT_TX, datetime(2026, 5, 1, 12, tzinfo=UTC), token("P"))
    assert ask.request == UpdateLocalList(
        3, False, (ListEntry(token("TAG1"), known), ListEntry(token("TAG2"), None))
    )


@pytest.mark.req("R16-217")
def test_no_list_is_an_empty_list() -> None:
    ask = response("SendLocalList", {"listVersion": 3, "updateType": "Full"})
    assert isinstance(ask, Ask)
    assert ask.request == UpdateLocalList(3, True, ())


@pytest.mark.req("R16-220", "R16-223", "R16-224")
@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (ListVerdict.ACCEPTED, "Accepted"),
        (ListVerdict.FAILED, "Failed"),
        (ListVerdict.VERSION_MISMATCH, "VersionMismatch"),
        (ListVerdict.SWITCHED_OFF, "NotSupported"),
    ],
)
def test_every_verdict_has_its_status(verdict: ListVerdict, status: str) -> None:
    ask = response("SendLocalList", {"listVersion": 3, "updateType": "Full"})
    assert isinstance(ask, Ask)
    reply = ask.reply(ListAnswer(verdict, "because"))
    assert isinstance(reply, Reply)
    assert encode(reply.payload) == f'{{"status":"{status}"}}'


@pytest.mark.req("R16-215", "TC_042_1_CS")
@pytest.mark.parametrize(("version", "told"), [(None, -1), (0, 0), (7, 7)])
def test_the_version_that_is_told(version: int | None, told: int) -> None:
    reply = response("GetLocalListVersion", {}, FixedView(station(local_list_version=version)))
    assert isinstance(reply, Reply)
    assert encode(reply.payload) == f'{{"listVersion":{told}}}'


@pytest.mark.req("R16-215", "R16-224", "TC_042_1_CS", "TC_043_1_CS")
def test_without_the_profile_lists_are_not_supported() -> None:
    view = FixedView(station(local_list_version=7), settings(SupportedFeatureProfiles="Core,Reservation"))
    update = response("SendLocalList", {"listVersion": 3, "updateType": "Full"}, view)
    version = response("GetLocalListVersion", {}, view)
    assert isinstance(update, Reply)
    assert isinstance(version, Reply)
    assert encode(update.payload) == '{"status":"NotSupported"}'
    assert encode(version.payload) == '{"listVersion":-1}'


@pytest.mark.req("R16-032")
@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"listVersion": "3"}, "$.listVersion"),
        ({"listVersion": 2**63}, "$.listVersion"),
        ({"updateType": "Partial"}, "$.updateType"),
        ({"localAuthorizationList": None}, "$.localAuthorizationList"),
        ({"localAuthorizationList": [{"idTag": "T" * 21}]}, "$.localAuthorizationList[0].idTag"),
        ({"localAuthorizationList": [{"idTag": "T", "more": 1}]}, "$.localAuthorizationList[0]"),
        ({"hash": "abc"}, "$"),
    ],
)
def test_what_is_not_as_the_schema_says_is_refused(change: dict[str, Any], path: str) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        response("SendLocalList", {"listVersion": 3, "updateType": "Full"} | change)
    assert refused.value.path.startswith(path)
