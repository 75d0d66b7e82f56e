"""OCPP-J framing: both ends are `Rpc`, or one end is whatever a peer may send."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import LocalProtocolError
from agent.ocpp.codec import Category
from agent.ocpp.rpc import (
    ERROR_CODES_16,
    ERROR_CODES_201,
    MAX_UNANSWERED,
    CallReceived,
    ErrorReceived,
    Ignored,
    Refused,
    ResultReceived,
    Rpc,
)
from tests.ocpp.json_texts import json_values, message_like_texts

TABLE_7 = {
    "NotImplemented",
    "NotSupported",
    "InternalError",
    "ProtocolError",
    "SecurityError",
    "FormationViolation",
    "PropertyConstraintViolation",
    "OccurenceConstraintViolation",
    "TypeConstraintViolation",
    "GenericError",
}
"""OCPP-J 1.6 4.2.3, with the two spellings that its errata keep (5.1, 5.2)."""


def content(payload: msgspec.Raw) -> object:
    return json.loads(bytes(payload))


def refusal(event: object) -> list[Any]:
    assert isinstance(event, Refused)
    answer: list[Any] = json.loads(event.answer_text)
    kind, _message_id, code, description, details = answer
    assert kind == 4
    assert code in TABLE_7
    assert isinstance(description, str)
    assert details == {}
    return answer


# --- our calls -------------------------------------------------------------------------------------------


@pytest.mark.req("R16-014", "R16-022")
def test_a_call_is_an_array_of_four() -> None:
    message_id, text = Rpc().call("Heartbeat", {})
    assert json.loads(text) == [2, message_id, "Heartbeat", {}]


@pytest.mark.req("R16-017", "FIELD-18", "FR.01")
def test_second_call_has_to_wait_for_the_answer_of_the_first() -> None:
    rpc = Rpc()
    message_id, _ = rpc.call("Heartbeat", {})
    assert rpc.in_flight == message_id
    with pytest.raises(LocalProtocolError, match="Authorize while Heartbeat"):
        rpc.call("Authorize", {})
    rpc.receive(f'[3,"{message_id}",{{}}]')
    assert rpc.in_flight is None
    rpc.call("Authorize", {})


@pytest.mark.req("R16-016", "FIELD-17")
def test_message_ids_are_short_and_never_repeated_on_any_connection() -> None:
    seen = set()
    for _ in range(20):
        rpc = Rpc()
        for _ in range(50):
            message_id, _ = rpc.call("Heartbeat", {})
            rpc.expire(message_id)
            assert 0 < len(message_id) <= 36
            seen.add(message_id)
    assert len(seen) == 1000


def test_a_payload_that_cannot_be_encoded_leaves_nothing_in_flight() -> None:
    rpc = Rpc()
    with pytest.raises(TypeError):
        rpc.call("Heartbeat", {"x": object()})
    assert rpc.in_flight is None


# --- answers to our calls --------------------------------------------------------------------------------


@pytest.mark.req("R16-016")
def test_result_carries_the_action_of_its_call() -> None:
    rpc = Rpc()
    message_id, _ = rpc.call("Heartbeat", {})
    event = rpc.receive(f' [ 3 , "{message_id}" , {{"currentTime":"now"}} ] ')
    assert isinstance(event, ResultReceived)
    assert (event.message_id, event.action) == (message_id, "Heartbeat")
    assert content(event.payload) == {"currentTime": "now"}


@pytest.mark.req("R16-029")
@pytest.mark.parametrize(
    ("code", "category"),
    [
        *[
            (code, category)
            for category, code in ERROR_CODES_16.items()
            if category is not Category.RPC_FRAMEWORK
        ],
        ("FormatViolation", Category.FORMAT),
        ("OccurrenceConstraintViolation", Category.OCCURRENCE),
        ("RpcFrameworkError", Category.RPC_FRAMEWORK),
        ("MessageTypeNotSupported", Category.MESSAGE_TYPE_NOT_SUPPORTED),
        ("Oops", Category.GENERIC),
    ],
)
def test_error_codes_are_understood_in_every_spelling(code: str, category: Category) -> None:
    rpc = Rpc()
    message_id, _ = rpc.call("Heartbeat", {})
    event = rpc.receive(json.dumps([4, message_id, code, "why", {"a": 1}]))
    assert event == ErrorReceived(message_id, "Heartbeat", code, "why")
    assert isinstance(event, ErrorReceived)
    assert event.category is category
    assert rpc.in_flight is None


@pytest.mark.req("R16-020")
def test_late_answer_is_ignored_and_does_not_settle_the_next_call() -> None:
    rpc = Rpc()
    late, _ = rpc.call("Heartbeat", {})
    rpc.expire(late)
    current, _ = rpc.call("Authorize", {})
    for text in (f'[3,"{late}",{{}}]', f'[4,"{late}","GenericError","",{{}}]'):
        event = rpc.receive(text)
        assert isinstance(event, Ignored)
        assert late in event.reason
    assert rpc.in_flight == current


@pytest.mark.req("R16-019")
def test_expiring_an_answered_call_does_not_touch_the_next_one() -> None:
    rpc = Rpc()
    first, _ = rpc.call("Heartbeat", {})
    rpc.receive(f'[3,"{first}",{{}}]')
    second, _ = rpc.call("Heartbeat", {})
    rpc.expire(first)
    assert rpc.in_flight == second


@pytest.mark.parametrize("text", ['[3,"foreign",{}]', '[4,"-1","GenericError","",{}]', '[3,"",{}]'])
def test_answer_to_a_call_that_was_never_made_is_ignored(text: str) -> None:
    assert isinstance(Rpc().receive(text), Ignored)


@pytest.mark.req("R16-022")
@pytest.mark.parametrize("rest", ["", ",null", ", null ", ",{},7", ",{}"])
def test_sloppy_result_still_answers_its_call(rest: str) -> None:
    rpc = Rpc()
    message_id, _ = rpc.call("StatusNotification", {})
    event = rpc.receive(f'[3,"{message_id}"{rest}]')
    assert isinstance(event, ResultReceived)
    assert content(event.payload) == {}
    assert rpc.in_flight is None


@pytest.mark.req("R16-025")
@pytest.mark.parametrize(
    "rest", ["", ',"GenericError"', ',"GenericError",""', ',"GenericError",null,null', ",7,8"]
)
def test_sloppy_error_still_answers_its_call(rest: str) -> None:
    rpc = Rpc()
    message_id, _ = rpc.call("StatusNotification", {})
    event = rpc.receive(f'[4,"{message_id}"{rest}]')
    assert isinstance(event, ErrorReceived)
    assert event.category is Category.GENERIC
    assert event.description == ""


# --- calls of the peer -----------------------------------------------------------------------------------


@pytest.mark.req("R16-018")
def test_call_that_crosses_ours_is_received_and_answered() -> None:
    rpc = Rpc()
    ours, _ = rpc.call("BootNotification", {})
    event = rpc.receive('[2,"19223201","Reset",{"type":"Soft"}]')
    assert isinstance(event, CallReceived)
    assert rpc.result(event.message_id, {"status": "Accepted"}) == '[3,"19223201",{"status":"Accepted"}]'
    assert rpc.in_flight == ours


@pytest.mark.req("R16-022", "R16-023")
@pytest.mark.parametrize(
    ("text", "payload"),
    [
        ('[2,"1","reset",{"a":[1]}]', {"a": [1]}),
        ('[2,"1","reset",{}]', {}),
        ('[2,"1","reset",null]', {}),
        ('\n[ 2, "1" , "reset" , { "a" : [ 1 ] }\r\n ]\n', {"a": [1]}),
    ],
)
def test_call_is_received_with_its_action_as_written(text: str, payload: object) -> None:
    event = Rpc().receive(text)
    assert isinstance(event, CallReceived)
    assert (event.message_id, event.action) == ("1", "reset")
    assert content(event.payload) == payload


@pytest.mark.req("R16-027")
@pytest.mark.parametrize("payload", ["[]", "7", '"{}"', "true", '[{"a":1}]', "[{}]"])
def test_payload_that_is_no_object_is_a_formation_violation(payload: str) -> None:
    assert refusal(Rpc().receive(f'[2,"7","Reset",{payload}]'))[1:3] == ["7", "FormationViolation"]


@pytest.mark.parametrize(
    "rest",
    ['"Reset"', '"Reset",{},{}', "", "7,{}", "null,{}", '{"a":1},{}', "[],{}", '"Reset",{},null,{"x":1}'],
)
def test_call_of_another_shape_is_refused_with_its_id(rest: str) -> None:
    text = f'[2,"7",{rest}]' if rest else '[2,"7"]'
    assert refusal(Rpc().receive(text))[1:3] == ["7", "FormationViolation"]


@pytest.mark.req("R16-031")
@pytest.mark.parametrize("message_id", ["", "x" * 37, "ü" * 40])
def test_id_that_is_empty_or_too_long_is_refused(message_id: str) -> None:
    answer = refusal(Rpc().receive(json.dumps([2, message_id, "Reset", {}])))
    assert answer[1] == message_id


def test_id_of_36_characters_is_fine() -> None:
    assert isinstance(Rpc().receive(json.dumps([2, "ü" * 36, "Reset", {}])), CallReceived)


@pytest.mark.req("R16-031")
def test_id_of_a_call_that_is_being_handled_is_refused_until_it_is_answered() -> None:
    rpc = Rpc()
    assert isinstance(rpc.receive('[2,"7","Reset",{}]'), CallReceived)
    assert refusal(rpc.receive('[2,"7","Reset",{}]'))[1] == "7"
    rpc.result("7", {})
    assert isinstance(rpc.receive('[2,"7","Reset",{}]'), CallReceived)
    rpc.error("7", Category.INTERNAL)
    assert isinstance(rpc.receive('[2,"7","Reset",{}]'), CallReceived)
    rpc.leave_unanswered("7")
    assert isinstance(rpc.receive('[2,"7","Reset",{}]'), CallReceived)


def test_calls_that_nobody_answers_are_bounded() -> None:
    rpc = Rpc()
    for number in range(MAX_UNANSWERED):
        assert isinstance(rpc.receive(f'[2,"{number}","Reset",{{}}]'), CallReceived)
    assert refusal(rpc.receive('[2,"more","Reset",{}]'))[2] == "GenericError"


def test_a_call_is_answered_once() -> None:
    rpc = Rpc()
    rpc.receive('[2,"7","Reset",{}]')
    rpc.result("7", {})
    with pytest.raises(LocalProtocolError):
        rpc.result("7", {})
    with pytest.raises(LocalProtocolError):
        rpc.error("7", Category.INTERNAL)


def test_result_that_cannot_be_encoded_leaves_the_call_open_for_an_error() -> None:
    rpc = Rpc()
    rpc.receive('[2,"7","Reset",{}]')
    with pytest.raises(TypeError):
        rpc.result("7", {"x": object()})
    assert json.loads(rpc.error("7", Category.INTERNAL, "bug"))[2] == "InternalError"


@pytest.mark.req("R16-024", "R16-025", "R16-028", "R16-029")
@pytest.mark.parametrize("category", sorted(Category, key=lambda category: category.name))
def test_every_category_has_a_code_of_table_7(category: Category) -> None:
    rpc = Rpc()
    rpc.receive('[2,"7","Reset",{}]')
    answer = json.loads(rpc.error("7", category, 'say "why"', {"field": "x"}))
    assert answer == [4, "7", answer[2], 'say "why"', {"field": "x"}]
    assert answer[2] in TABLE_7


def test_description_is_cut_to_what_later_versions_allow() -> None:
    rpc = Rpc()
    rpc.receive('[2,"7","Reset",{}]')
    assert len(json.loads(rpc.error("7", Category.GENERIC, "x" * 1000))[3]) == 255


# --- what is no message ----------------------------------------------------------------------------------


@pytest.mark.req("R16-021")
@pytest.mark.parametrize("text", ['[5,"7",{}]', '[6,"7","Notify",{}]', '[0,"7"]', '[-1,"7",{}]', '[99,"7"]'])
def test_unknown_message_type_is_ignored_in_1_6(text: str) -> None:
    event = Rpc().receive(text)
    assert isinstance(event, Ignored)
    assert "unknown message type" in event.reason


def test_unknown_message_type_is_answered_by_versions_that_have_a_code_for_it() -> None:
    codes: Mapping[Category, str] = {
        **ERROR_CODES_16,
        Category.MESSAGE_TYPE_NOT_SUPPORTED: "MessageTypeNotSupported",
    }
    event = Rpc(error_codes=codes).receive('[9,"7",{}]')
    assert isinstance(event, Refused)
    assert json.loads(event.answer_text)[:3] == [4, "7", "MessageTypeNotSupported"]


@pytest.mark.req("R16-034")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "{}",
        "[]",
        "null",
        "[2]",
        '["2","7","Reset",{}]',
        '[2,7,"Reset",{}]',
        '[2,null,"Reset",{}]',
        '[2,"7","Reset",{]',
        '[2,"7","Reset",{}',
        '[2,"7","Reset",{"transactionId":,}]',
        '[2,"7","Reset",{}] x',
        "\ud800",
        '[2,"\\ud800","Reset",{}]',
        '\ufeff[2,"7","Reset",{}]',
    ],
)
def test_text_without_a_readable_id_is_ignored(text: str) -> None:
    assert isinstance(Rpc().receive(text), Ignored)


def test_reason_quotes_no_payload() -> None:
    for text in (
        '[2,7,"ChangeConfiguration",{"value":"hunter2"}]',
        '[2,"7","X",{"value":"hunter2"}',
        '["hunter2"]',
    ):
        event = Rpc().receive(text)
        assert isinstance(event, Ignored)
        assert "hunter2" not in event.reason


def test_frame_over_the_limit_is_refused_by_its_head_and_the_next_one_is_served() -> None:
    rpc = Rpc(max_frame_bytes=1000)
    answer = refusal(rpc.receive('[2, "7", "SendLocalList", {"x":"' + "y" * 1000 + '"}]'))
    assert answer[1] == "7"
    assert "1000 bytes" in answer[3]
    for text in (
        "x" * 1001,
        '[2,"\ud800","Reset",{"x":"' + "y" * 1000 + '"}]',
        '[3,"7",{"x":"' + "y" * 1000 + '"}]',
        '[2,"' + "7" * 1000 + '","Reset",{}]',
    ):
        assert isinstance(rpc.receive(text), Ignored)
    assert isinstance(rpc.receive('[2,"7","Reset",{}]'), CallReceived)


def test_the_limit_counts_bytes_not_characters() -> None:
    rpc = Rpc(max_frame_bytes=100)
    assert refusal(rpc.receive('[2,"7","Reset",{"x":"' + "ü" * 50 + '"}]'))[1] == "7"


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deep_nesting_is_refused_by_its_head(opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    depth = 100_000
    nested = opening * depth + "1" + closing * depth
    assert refusal(Rpc().receive(f'[2,"7","Reset",{{"x":{nested}}}]'))[1] == "7"
    assert isinstance(Rpc().receive(nested), Ignored)


@given(message_like_texts())
def test_no_text_raises_and_every_refusal_is_a_proper_error(text: str) -> None:
    rpc = Rpc(max_frame_bytes=200)
    message_id, _ = rpc.call("Heartbeat", {})
    event = rpc.receive(text)
    if isinstance(event, Refused):
        refusal(event)
    if isinstance(event, CallReceived):
        assert isinstance(content(event.payload), dict)
        assert 0 < len(event.message_id) <= 36
    if not isinstance(event, ResultReceived | ErrorReceived):
        assert rpc.in_flight == message_id


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from(["result", "error", "silence"]), json_values()), max_size=20
    )
)
def test_both_ends_agree_on_every_exchange(exchanges: list[tuple[bool, str, object]]) -> None:
    station, csms = Rpc(), Rpc()
    for is_ours, answer, value in exchanges:
        caller, callee = (station, csms) if is_ours else (csms, station)
        payload = {"value": value}
        message_id, text = caller.call("DataTransfer", payload)
        call = callee.receive(text)
        assert isinstance(call, CallReceived)
        assert (call.message_id, call.action) == (message_id, "DataTransfer")
        assert json.loads(bytes(call.payload)) == json.loads(json.dumps(payload))
        match answer:
            case "result":
                event = caller.receive(callee.result(message_id, payload))
                assert isinstance(event, ResultReceived)
                assert bytes(event.payload) == bytes(call.payload)
            case "error":
                event = caller.receive(callee.error(message_id, Category.SECURITY, "no"))
                assert event == ErrorReceived(message_id, "DataTransfer", "SecurityError", "no")
            case _:
                callee.leave_unanswered(message_id)
                caller.expire(message_id)
        assert caller.in_flight is None


# --- 2.0.1 -------------------------------------------------------------------------------------------------


def test_every_category_has_a_code_of_part_4_table_8() -> None:
    assert set(ERROR_CODES_201) == set(Category)
    assert set(ERROR_CODES_201.values()) == {
        "FormatViolation",
        "GenericError",
        "InternalError",
        "MessageTypeNotSupported",
        "NotImplemented",
        "NotSupported",
        "OccurrenceConstraintViolation",
        "PropertyConstraintViolation",
        "ProtocolError",
        "RpcFrameworkError",
        "SecurityError",
        "TypeConstraintViolation",
    }


@pytest.mark.req("FR.03")
@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", "null", "[2]", '[2,7,"Heartbeat",{}]', "[5]", '[2,"1","Heartbeat",{}', "2"],
)
def test_a_text_without_a_readable_id_is_answered_to_nobody_in_particular(text: str) -> None:
    refused = Rpc(error_codes=ERROR_CODES_201).receive(text)
    assert isinstance(refused, Refused)
    assert json.loads(refused.answer_text)[:3] == [4, "-1", "RpcFrameworkError"]


@pytest.mark.parametrize("text", ["[3]", "[4", " [ 3 , 7]", '[4,null,"x"]', "[3,{}]"])
def test_what_looks_like_an_answer_is_never_answered(text: str) -> None:
    assert isinstance(Rpc(error_codes=ERROR_CODES_201).receive(text), Ignored)


def test_an_oversized_text_is_refused_by_its_head_or_to_nobody() -> None:
    rpc = Rpc(max_frame_bytes=64, error_codes=ERROR_CODES_201)
    named = rpc.receive('[2,"7","DataTransfer",{"data":"' + "x" * 99 + '"}]')
    nameless = rpc.receive("x" * 99)
    assert isinstance(named, Refused)
    assert isinstance(nameless, Refused)
    assert json.loads(named.answer_text)[1] == "7"
    assert json.loads(nameless.answer_text)[1] == "-1"


def test_an_unknown_message_type_is_not_supported() -> None:
    refused = Rpc(error_codes=ERROR_CODES_201).receive('[6,"7","Heartbeat",{}]')
    assert isinstance(refused, Refused)
    assert json.loads(refused.answer_text)[:3] == [4, "7", "MessageTypeNotSupported"]


@given(message_like_texts())
def test_no_text_of_2_0_1_raises_and_every_refusal_is_a_proper_error(text: str) -> None:
    event = Rpc(error_codes=ERROR_CODES_201).receive(text)
    if isinstance(event, Refused):
        kind, message_id, code, description, details = json.loads(event.answer_text)
        assert (kind, details) == (4, {})
        assert isinstance(message_id, str)
        assert code in ERROR_CODES_201.values()
        assert len(description) <= 255
