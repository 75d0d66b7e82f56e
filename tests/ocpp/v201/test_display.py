"""Messages for the driver and costs of 2.0.1 as payloads."""

from typing import Any

import pytest

from agent.charging.display import DisplayMessage, MessagePriority, MessageState, MessageVerdict
from agent.charging.ids import Component
from agent.charging.requests import Answer, MessageAnswer, RemoveMessage, ShowCost, ShowMessage, Verdict
from agent.charging.settings import Settings
from agent.charging.tariff import CostShown, Text
from agent.ocpp.frontend import Reply, TokenJudged
from tests.charging.test_display import message
from tests.helpers.fake_station import NOW, FixedView, MemorySettings
from tests.helpers.snapshots import evse, station
from tests.ocpp.v201.asking import answer, asked, read, respond, shown, told

PLAIN: dict[str, Any] = {"id": 1, "priority": "InFront", "message": {"format": "UTF8", "content": "Grüezi"}}
WHOLE = PLAIN | {
    "message": {"format": "ASCII", "content": "Hello", "language": "en-US"},
    "display": {"name": "Display", "evse": {"id": 1}},
    "state": "Charging",
    "startDateTime": "2026-01-01T12:00:00Z",
    "endDateTime": "2026-01-01T13:00:00Z",
    "transactionId": "t-1",
}
VIEW = FixedView(picture=station(evse(1), has_display=True))


@pytest.mark.req("O01.FR.05", "O01.FR.17", "O02.FR.12", "TC_O_01_CS", "TC_O_06_CS")
def test_a_message_is_handed_to_the_station_and_told_as_it_was_set() -> None:
    wanted = DisplayMessage(
        1,
        MessagePriority.IN_FRONT,
        Text("Hello", "en-US", "ASCII"),
        MessageState.CHARGING,
        NOW,
        NOW.replace(hour=13),
        "t-1",
        Component("Display", evse_id=1),
    )
    assert asked("SetDisplayMessage", {"message": WHOLE}, VIEW) == ShowMessage(wanted)
    view = FixedView(picture=station(evse(1), has_display=True, messages=(wanted,)))
    assert reports({"requestId": 7}, view) == [{"requestId": 7, "messageInfo": [WHOLE]}]


@pytest.mark.req("O01.FR.01", "O01.FR.03", "O01.FR.11", "O02.FR.01")
@pytest.mark.parametrize("verdict", MessageVerdict)
def test_the_status_is_what_the_station_says(verdict: MessageVerdict) -> None:
    got = answer("SetDisplayMessage", {"message": PLAIN}, VIEW, MessageAnswer(verdict, "why not"))
    assert (got["status"], got["statusInfo"]["additionalInfo"]) == (verdict.value, "why not")


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("SetDisplayMessage", {"message": PLAIN}),
        ("GetDisplayMessages", {"requestId": 1}),
        ("ClearDisplayMessage", {"id": 1}),
    ],
)
def test_a_station_without_a_display_supports_no_messages(action: str, payload: Any) -> None:
    assert answer(action, payload) == "NOT_SUPPORTED"


def test_switched_off_no_message_is_taken() -> None:
    off = Settings({"display_enabled": "false"}, MemorySettings())
    got = answer("SetDisplayMessage", {"message": PLAIN}, FixedView(picture=VIEW.picture, settings=off))
    assert (got["status"], got["statusInfo"]["reasonCode"]) == ("Rejected", "NotEnabled")


MESSAGES = (
    message(1, priority=MessagePriority.ALWAYS_FRONT),
    message(2, state=MessageState.IDLE),
    message(3, state=MessageState.FAULTED),
)
THREE = FixedView(picture=station(evse(1), has_display=True, messages=MESSAGES))


def reports(payload: Any, view: FixedView = THREE) -> list[Any]:
    response = respond("GetDisplayMessages", payload, view)
    assert isinstance(response, Reply)
    status = shown("GetDisplayMessages", response)["status"]
    assert status == ("Accepted" if response.then else "Unknown")
    return [told(notice)[1] for notice in response.then]


@pytest.mark.req(
    "O03.FR.01",
    "O03.FR.02",
    "O03.FR.06",
    "O04.FR.01",
    "O04.FR.02",
    "O04.FR.03",
    "O04.FR.07",
    "TC_O_02_CS",
    "TC_O_03_CS",
    "TC_O_07_CS",
    "TC_O_08_CS",
    "TC_O_09_CS",
    "TC_O_11_CS",
    "TC_O_33_CS",
    "TC_O_34_CS",
    "TC_O_35_CS",
)
@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({}, [1, 2, 3]),
        ({"id": [3, 1, 77]}, [1, 3]),
        ({"id": [77]}, []),
        ({"priority": "NormalCycle"}, [2, 3]),
        ({"priority": "InFront"}, []),
        ({"state": "Idle"}, [2]),
        ({"id": [1], "state": "Idle"}, []),
        ({"id": [2], "priority": "AlwaysFront"}, []),
    ],
)
def test_the_messages_that_match_everything_given_are_told(criteria: Any, expected: list[int]) -> None:
    found = reports({"requestId": 7} | criteria)
    assert [each["id"] for report in found for each in report["messageInfo"]] == expected
    assert reports({"requestId": 7} | criteria, VIEW) == []


@pytest.mark.req("O03.FR.03", "O03.FR.04", "O03.FR.05", "O04.FR.04", "O04.FR.05", "O04.FR.06")
def test_a_long_report_is_split_and_all_parts_but_the_last_say_so() -> None:
    few = Settings({"report_max_items": "2"}, MemorySettings())
    found = reports({"requestId": 7}, FixedView(picture=THREE.picture, settings=few))
    assert [(len(each["messageInfo"]), each.get("tbc", False)) for each in found] == [(2, True), (1, False)]
    assert {each["requestId"] for each in found} == {7}


@pytest.mark.req("O05.FR.01", "O05.FR.02", "TC_O_04_CS", "TC_O_05_CS")
@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict.ACCEPTED, {"status": "Accepted"}),
        (Verdict.UNKNOWN, {"status": "Unknown"}),
        (Verdict.REJECTED, "INTERNAL"),
    ],
)
def test_a_message_is_cleared_by_its_id(verdict: Verdict, expected: Any) -> None:
    assert asked("ClearDisplayMessage", {"id": 5}, VIEW) == RemoveMessage(5)
    assert answer("ClearDisplayMessage", {"id": 5}, VIEW, Answer(verdict)) == expected


@pytest.mark.req("I02.FR.02", "TC_I_01_CS")
def test_a_running_cost_is_always_answered() -> None:
    payload = {"totalCost": 1.25, "transactionId": "t-1"}
    assert asked("CostUpdated", payload) == ShowCost("t-1", CostShown(amount="1.250", at=NOW))
    for verdict in (Verdict.ACCEPTED, Verdict.REJECTED):
        assert answer("CostUpdated", payload, result=Answer(verdict)) == {}


@pytest.mark.req("I01.FR.03", "O01.FR.08")
def test_what_the_csms_says_of_a_driver_comes_with_its_languages() -> None:
    info = {
        "status": "Accepted",
        "language1": "de",
        "language2": "en",
        "personalMessage": {"format": "UTF8", "content": "30 Rp", "language": "de"},
    }
    judged = read("Authorize", {"idTokenInfo": info})
    assert isinstance(judged, TokenJudged)
    assert (judged.texts, judged.languages) == ((Text("30 Rp", "de"),), ("de", "en"))
