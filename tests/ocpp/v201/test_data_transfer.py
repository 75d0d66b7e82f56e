"""DataTransfer of 2.0.1, both ways."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from agent.charging.requests import TransferData, TransferResult, TransferStatus
from agent.errors import LocalProtocolError, RemoteProtocolError
from agent.ocpp import v201
from agent.ocpp.codec import Category
from agent.ocpp.frontend import TransferAnswered, TransferNotice
from agent.ocpp.v201 import FRONT_END
from agent.ocpp.v201.data_transfer import data_transfer_call
from tests.ocpp.json_texts import json_values
from tests.ocpp.v201.asking import answer, asked, read, told

FOLDER = Path(v201.__file__).parent


@pytest.mark.req("P01.FR.03")
@given(json_values())
def test_any_json_reaches_the_vendor_commands_and_comes_back(data: Any) -> None:
    payload = {"vendorId": "com.example", "messageId": "m", "data": data}
    assert asked("DataTransfer", payload) == TransferData("com.example", "m", data)
    got = answer("DataTransfer", payload, None, TransferResult(TransferStatus.ACCEPTED, data))
    assert got == {"status": "Accepted"} | ({} if data is None else {"data": data})


def test_what_is_absent_is_none() -> None:
    assert asked("DataTransfer", {"vendorId": "com.example"}) == TransferData("com.example", None, None)


@pytest.mark.req("P01.FR.05", "P01.FR.06", "P01.FR.07", "TC_P_01_CS")
@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (TransferResult(TransferStatus.UNKNOWN_VENDOR_ID, "x"), {"status": "UnknownVendorId"}),
        (TransferResult(TransferStatus.UNKNOWN_MESSAGE_ID), {"status": "UnknownMessageId"}),
        (
            TransferResult(TransferStatus.REJECTED, [1], "busy"),
            {
                "status": "Rejected",
                "data": [1],
                "statusInfo": {"reasonCode": "Unspecified", "additionalInfo": "busy"},
            },
        ),
    ],
)
def test_a_no_is_a_status_with_its_reason(result: TransferResult, expected: Any) -> None:
    assert answer("DataTransfer", {"vendorId": "x"}, None, result) == expected


@pytest.mark.parametrize("field", [{"vendorId": "x" * 256}, {"vendorId": "x", "messageId": "m" * 51}])
def test_names_beyond_their_length_are_refused(field: Any) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        asked("DataTransfer", field)
    assert refused.value.code == Category.PROPERTY.name


LONG = "x" * 200_000


@pytest.mark.req("P01.FR.04", "P02.FR.05")
def test_how_long_data_is_is_left_to_those_who_agreed_on_it() -> None:
    payload = {"vendorId": "com.example", "data": {"text": LONG}}
    assert asked("DataTransfer", payload).data == {"text": LONG}
    result = TransferResult(TransferStatus.ACCEPTED, LONG)
    assert answer("DataTransfer", payload, None, result)["data"] == LONG
    assert told(TransferNotice("com.example", None, LONG))[1]["data"] == LONG
    assert read("DataTransfer", {"status": "Accepted", "data": LONG}).result.data == LONG


@pytest.mark.req("P01.FR.01", "P02.FR.02")
def test_only_vendor_messages_become_a_data_transfer() -> None:
    """What OCPP has a message for goes by that message."""
    ours = [kind for kind, encoder in FRONT_END.encoders.items() if encoder is data_transfer_call]
    assert ours == [TransferNotice]
    builders = [path.name for path in FOLDER.glob("*.py") if "DataTransferRequest(" in path.read_text()]
    assert builders == ["data_transfer.py"]


@pytest.mark.req("P02.FR.06", "P02.FR.07", "P02.FR.08")
@pytest.mark.parametrize("status", [each.value for each in TransferStatus])
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, ""),
        ({"statusInfo": {"reasonCode": "Busy"}}, "Busy"),
        ({"statusInfo": {"reasonCode": "Busy", "additionalInfo": "come back later"}}, "come back later"),
    ],
)
def test_the_csms_says_yes_or_no_with_data_and_reason(status: str, given: Any, reason: str) -> None:
    got = read("DataTransfer", {"status": status, "data": [1], **given})
    assert got == TransferAnswered(TransferResult(TransferStatus(status), [1], reason))


@pytest.mark.req("P02.FR.04")
@given(json_values())
def test_ours_carry_any_json(data: Any) -> None:
    expected = {"vendorId": "com.example", "messageId": "m"} | ({} if data is None else {"data": data})
    assert told(TransferNotice("com.example", "m", data)) == ("DataTransfer", expected)
    got = read("DataTransfer", {"status": "Accepted", "data": data})
    assert got == TransferAnswered(TransferResult(TransferStatus.ACCEPTED, data))


@pytest.mark.parametrize("notice", [TransferNotice("", None, 1), TransferNotice("x" * 256, None, 1)])
def test_ours_with_names_that_do_not_fit_are_not_sent(notice: TransferNotice) -> None:
    with pytest.raises(LocalProtocolError):
        told(notice)
    with pytest.raises(LocalProtocolError):
        told(TransferNotice("x", "m" * 51, 1))
