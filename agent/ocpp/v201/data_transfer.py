"""DataTransfer of OCPP 2.0.1, both ways: vendor messages for local hardware, and ours for the CSMS.

`data` is any JSON value. Nothing is executed in this file: the station hands a `TransferData` to the vendor commands.
OCPP 2.0.1 part 2, P01, P02; decision table B.3 of the trigger and data transfer notes.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from agent.charging.requests import TransferData, TransferResult, TransferStatus
from agent.errors import LocalProtocolError
from agent.ocpp.frontend import (
    Ask,
    Call,
    Encoder,
    Reply,
    ResultReader,
    Route,
    TransferAnswered,
    TransferNotice,
    View,
    routed,
)
from agent.ocpp.v201.datatypes import Payload, StatusInfo, Text50, Text255, because
from agent.ocpp.values import given


class DataTransferRequest(Payload, frozen=True, kw_only=True):
    vendor_id: Text255
    message_id: Text50 | UnsetType = UNSET
    data: Any = UNSET


class DataTransferResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"]
    status_info: StatusInfo | UnsetType = UNSET
    data: Any = UNSET


class DataTransferReceipt(Struct, frozen=True, kw_only=True, rename="camel"):
    """What has to be known of an answer to DataTransfer, whatever else is in it."""

    status: Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"]
    data: Any = UNSET


LONGEST_VENDOR_ID = 255
LONGEST_MESSAGE_ID = 50


def data_transfer(request: DataTransferRequest, _view: View) -> Ask:
    """Hand the message to the vendor commands; how long they take delays nobody else (P01)."""
    transfer = TransferData(request.vendor_id, given(request.message_id), given(request.data))
    return Ask(transfer, _answer, replies_first=False)


def _answer(result: TransferResult) -> Reply:
    """P01.FR.05 to .07."""
    status = result.status
    has_data = result.data is not None and status is not TransferStatus.UNKNOWN_VENDOR_ID
    return Reply(
        DataTransferResponse(
            status=status.value,
            status_info=UNSET if status is TransferStatus.ACCEPTED else because(result.reason),
            data=result.data if has_data else UNSET,
        )
    )


def data_transfer_call(notice: TransferNotice, _view: View, _reference: str | None) -> Call:
    """P02. Raises LocalProtocolError for names that the message cannot carry."""
    if not 0 < len(notice.vendor_id) <= LONGEST_VENDOR_ID:
        raise LocalProtocolError(f"a vendorId has 1 to {LONGEST_VENDOR_ID} characters")
    if notice.message_id is not None and len(notice.message_id) > LONGEST_MESSAGE_ID:
        raise LocalProtocolError(f"a messageId has at most {LONGEST_MESSAGE_ID} characters")
    data = UNSET if notice.data is None else notice.data
    message_id = notice.message_id or UNSET
    return Call(
        "DataTransfer", DataTransferRequest(vendor_id=notice.vendor_id, message_id=message_id, data=data)
    )


def _read(answer: DataTransferResponse) -> TransferAnswered:
    """P02.FR.06 to .08; what the CSMS says of its reasons is for whoever asked."""
    known = given(answer.status_info)
    reason = "" if known is None else given(known.additional_info) or known.reason_code
    return TransferAnswered(TransferResult(TransferStatus(answer.status), given(answer.data), reason))


def _read_in_part(answer: DataTransferReceipt) -> TransferAnswered:
    return TransferAnswered(TransferResult(TransferStatus(answer.status), given(answer.data)))


ROUTES = routed(Route("DataTransfer", DataTransferRequest, data_transfer))
ENCODERS: Mapping[type, Encoder] = {TransferNotice: data_transfer_call}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "DataTransfer": ResultReader(
        DataTransferResponse, _read, less=ResultReader(DataTransferReceipt, _read_in_part)
    )
}
