"""The local list of 2.0.1 as payloads (D01, D02)."""

from typing import Any

import pytest

from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType
from agent.charging.requests import ListAnswer, ListEntry, ListVerdict, UpdateLocalList
from agent.ocpp.v201 import FRONT_END
from tests.helpers import snapshots
from tests.helpers.fake_station import FixedView
from tests.ocpp.v201.asking import answer, asked

ENTRY = {"idToken": {"idToken": "TAG1", "type": "ISO15693"}, "idTokenInfo": {"status": "Accepted"}}
TOKEN = IdToken("TAG1", IdTokenType.ISO15693)


def update(kind: str, *entries: dict[str, Any], version: int = 5) -> dict[str, Any]:
    more = {"localAuthorizationList": list(entries)} if entries else {}
    return {"versionNumber": version, "updateType": kind, **more}


@pytest.mark.req("D01.FR.04", "D01.FR.15", "D01.FR.16", "D01.FR.17")
@pytest.mark.req("D01.FR.01")
def test_an_update_is_handed_on_as_it_is() -> None:
    known = IdTokenInfo(AuthorizationStatus.ACCEPTED)
    assert asked("SendLocalList", update("Full", ENTRY)) == (
        UpdateLocalList(5, True, (ListEntry(TOKEN, known),))
    )
    gone = {"idToken": ENTRY["idToken"]}
    assert asked("SendLocalList", update("Differential", gone)) == (
        UpdateLocalList(5, False, (ListEntry(TOKEN, None),))
    )
    assert asked("SendLocalList", update("Full")) == UpdateLocalList(5, True, ())


@pytest.mark.req("D01.FR.04", "D01.FR.05")
@pytest.mark.parametrize("kind", ["Full", "Differential"])
def test_an_empty_list_is_the_same_as_none(kind: str) -> None:
    empty = {**update(kind), "localAuthorizationList": []}
    assert asked("SendLocalList", empty) == asked("SendLocalList", update(kind))


@pytest.mark.req("D01.FR.11")
def test_a_message_is_as_long_as_the_device_model_says() -> None:
    """Longer ones are refused undecoded (test_report_conversation.py)."""
    assert FRONT_END.routes["SendLocalList"].most_bytes == "local_list_max_bytes"


@pytest.mark.req("D01.FR.02", "D01.FR.19", "D01.FR.13")
@pytest.mark.parametrize(
    ("verdict", "status", "code"),
    [
        (ListVerdict.ACCEPTED, "Accepted", None),
        (ListVerdict.FAILED, "Failed", "Unspecified"),
        (ListVerdict.VERSION_MISMATCH, "VersionMismatch", "Unspecified"),
        (ListVerdict.SWITCHED_OFF, "Failed", "NotEnabled"),
    ],
)
def test_the_answer_is_what_the_station_says(verdict: ListVerdict, status: str, code: str | None) -> None:
    said = answer("SendLocalList", update("Full"), None, ListAnswer(verdict, "why" if code else ""))
    assert (said["status"], said.get("statusInfo", {}).get("reasonCode")) == (status, code)


@pytest.mark.req("D02.FR.01", "D02.FR.02", "D02.FR.03")
@pytest.mark.parametrize(("version", "told"), [(7, 7), (0, 0), (None, 0)])
def test_the_version_is_0_without_a_list_and_while_it_is_switched_off(version: int | None, told: int) -> None:
    view = FixedView(picture=snapshots.station(local_list_version=version))
    assert answer("GetLocalListVersion", {}, view) == {"versionNumber": told}
