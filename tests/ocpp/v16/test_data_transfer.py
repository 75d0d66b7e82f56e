"""DataTransfer, both ways, and the actions that are known and not offered."""

import json
from typing import Any

import pytest
from hypothesis import given

from agent.charging.requests import TransferData, TransferResult, TransferStatus
from agent.errors import LocalProtocolError, RemoteProtocolError
from agent.ocpp.choosing import FrontEnds
from agent.ocpp.codec import decode, encode
from agent.ocpp.frontend import Ask, Reply, TransferAnswered, TransferNotice
from agent.ocpp.v16 import FRONT_END, WITH_JSON_IN_DATA_TRANSFER
from agent.ocpp.v16.data_transfer import (
    DataTransferRequest,
    DataTransferResponse,
    data_transfer,
    data_transfer_call,
)
from tests.helpers.fake_station import FixedView, settings
from tests.ocpp.json_texts import json_values


def incoming(payload: dict[str, Any]) -> TransferData:
    ask = data_transfer(decode(encode(payload), DataTransferRequest), FixedView())
    assert not ask.replies_first
    assert isinstance(ask.request, TransferData)
    return ask.request


def answered(result: TransferResult) -> DataTransferResponse:
    reply = data_transfer(DataTransferRequest(vendor_id="v"), FixedView()).reply(result)
    assert isinstance(reply, Reply)
    assert isinstance(reply.payload, DataTransferResponse)
    return reply.payload


def test_the_vendor_commands_get_it_as_it_came() -> None:
    assert incoming({"vendorId": "org.Example", "messageId": "Fan", "data": '{"on":true}'}) == TransferData(
        "org.Example", "Fan", '{"on":true}'
    )
    assert incoming({"vendorId": "org.example"}) == TransferData("org.example", None, None)
    assert incoming({"vendorId": "v", "messageId": "", "data": ""}) == TransferData("v", "", "")


@pytest.mark.parametrize("data", [{"on": True}, 5, None, ["x"], True])
def test_data_that_is_no_string_is_a_type_violation(data: Any) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        incoming({"vendorId": "v", "data": data})
    assert (caught.value.code, caught.value.path) == ("TYPE", "$.data")


@pytest.mark.parametrize(("field", "most"), [("vendorId", 255), ("messageId", 50)])
def test_lengths_are_checked(field: str, most: int) -> None:
    incoming({"vendorId": "v", field: "x" * most})
    with pytest.raises(RemoteProtocolError) as caught:
        incoming({"vendorId": "v", field: "x" * (most + 1)})
    assert caught.value.code == "PROPERTY"


@pytest.mark.req("R16-307")
@pytest.mark.parametrize(
    "status", [TransferStatus.ACCEPTED, TransferStatus.REJECTED, TransferStatus.UNKNOWN_MESSAGE_ID]
)
def test_status_and_data_of_the_vendor_command_go_back(status: TransferStatus) -> None:
    assert answered(TransferResult(status, "as it is")) == DataTransferResponse(
        status=status.value, data="as it is"
    )
    assert answered(TransferResult(status, {"rpm": 900})).data == '{"rpm":900}'
    assert encode(answered(TransferResult(status))) == f'{{"status":"{status.value}"}}'


@pytest.mark.req("R16-305", "TC_062_CS")
def test_an_unknown_vendor_gets_no_data() -> None:
    result = TransferResult(TransferStatus.UNKNOWN_VENDOR_ID, "never")
    assert encode(answered(result)) == '{"status":"UnknownVendorId"}'


# --- ours ------------------------------------------------------------------------------------------------


@pytest.mark.req("R16-308", "R16-309")
@given(json_values())
def test_any_data_of_ours_is_sent_as_a_string(data: object) -> None:
    call = data_transfer_call(TransferNotice("org.example", None, data), FixedView(), None)
    payload = decode(encode(call.payload), dict)
    if data is None:
        assert payload == {"vendorId": "org.example"}
    elif isinstance(data, str):
        assert payload["data"] == data
    else:
        assert decode(payload["data"], object) == decode(encode(data), object)


@pytest.mark.parametrize(("vendor_id", "message_id"), [("", None), ("x" * 256, None), ("v", "x" * 51)])
def test_names_of_ours_that_do_not_fit_are_an_error_of_ours(vendor_id: str, message_id: str | None) -> None:
    with pytest.raises(LocalProtocolError):
        data_transfer_call(TransferNotice(vendor_id, message_id, None), FixedView(), None)


@pytest.mark.parametrize("status", list(TransferStatus))
def test_what_the_csms_answers(status: TransferStatus) -> None:
    reader = FRONT_END.results["DataTransfer"]
    outcome = reader.read(decode(f'{{"status":"{status.value}","data":"x"}}', reader.payload))
    assert outcome == TransferAnswered(TransferResult(status, "x"))


# --- known and not offered -------------------------------------------------------------------------------


@pytest.mark.req("R16-215", "R16-224", "R16-232", "TC_042_1_CS", "TC_043_1_CS", "TC_048_4_CS")
def test_where_the_answer_has_a_word_for_it_that_is_said() -> None:
    view = FixedView(settings=settings(SupportedFeatureProfiles="Core,RemoteTrigger"))
    requests: list[tuple[str, dict[str, Any], str]] = [
        ("SendLocalList", {"listVersion": 1, "updateType": "Full"}, '{"status":"NotSupported"}'),
        ("GetLocalListVersion", {}, '{"listVersion":-1}'),
        (
            "ReserveNow",
            {"connectorId": 1, "expiryDate": "2026-01-01T12:00:00Z", "idTag": "T", "reservationId": 1},
            '{"status":"Rejected"}',
        ),
    ]
    for action, payload, expected in requests:
        route = FRONT_END.routes[action]
        response = route.handler(decode(encode(payload), route.request), view)
        assert isinstance(response, Reply)
        assert encode(response.payload) == expected


# --- central systems that write objects ------------------------------------------------------------------


@pytest.mark.parametrize("data", [{"on": True}, [1, 2], 5, "text", None])
def test_any_json_is_taken_where_the_configuration_says_so(data: Any) -> None:
    route = WITH_JSON_IN_DATA_TRANSFER.routes["DataTransfer"]
    message = json.dumps({"vendorId": "v", "messageId": "m", "data": data})
    response = route.handler(decode(message, route.request), FixedView())
    assert isinstance(response, Ask)
    assert response.request == TransferData("v", "m", data)
    reader = WITH_JSON_IN_DATA_TRANSFER.results["DataTransfer"]
    answer = reader.read(decode(json.dumps({"status": "Accepted", "data": data}), reader.payload))
    assert answer == TransferAnswered(TransferResult(TransferStatus.ACCEPTED, data))


def test_only_data_transfer_differs_where_any_json_is_taken() -> None:
    assert FrontEnds(["ocpp1.6"])["ocpp1.6"] is FRONT_END
    lenient = FrontEnds(["ocpp1.6"], json_in_data_transfer=True)["ocpp1.6"]
    assert lenient is WITH_JSON_IN_DATA_TRANSFER
    others = [action for action in FRONT_END.routes if action != "DataTransfer"]
    assert all(lenient.routes[action] is FRONT_END.routes[action] for action in others)
