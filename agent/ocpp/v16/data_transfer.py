"""DataTransfer of OCPP 1.6, both ways: vendor messages for local hardware, and ours for the CSMS.

`data` is a string here; what is in it is a matter between the vendors. Some central systems write an object there all
the same: `LENIENT_ROUTES` and `LENIENT_RESULTS` take it, and stand in for the strict ones if the configuration says so.
Nothing is executed in this file: the station hands a `TransferData` to the vendor commands. OCPP 1.6 4.3 and 5.6;
decision table B.3 of the trigger and data transfer notes (R16-305 to R16-310).
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from agent.charging.requests import TransferData, TransferResult, TransferStatus
from agent.errors import LocalProtocolError
from agent.ocpp.codec import encode
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
from agent.ocpp.v16.datatypes import CiString50, CiString255

LONGEST_VENDOR_ID = 255
LONGEST_MESSAGE_ID = 50


class DataTransferRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    vendor_id: CiString255
    message_id: CiString50 | UnsetType = UNSET
    data: str | UnsetType = UNSET


class AnyDataTransfer(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """`data` may be any JSON value."""

    vendor_id: CiString255
    message_id: CiString50 | UnsetType = UNSET
    data: Any = UNSET


class DataTransferResponse(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    status: Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"]
    data: str | UnsetType = UNSET


class AnyDataTransferAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """`data` may be any JSON value."""

    status: Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"]
    data: Any = UNSET


def data_transfer(request: DataTransferRequest | AnyDataTransfer, _view: View) -> Ask:
    """Hand the message to the vendor commands; how long they take delays nobody else."""
    message_id = None if request.message_id is UNSET else request.message_id
    data = None if request.data is UNSET else request.data
    return Ask(TransferData(request.vendor_id, message_id, data), _answer, replies_first=False)


def _answer(result: TransferResult) -> Reply:
    status = result.status
    data = None if status is TransferStatus.UNKNOWN_VENDOR_ID else result.data  # R16-305
    return Reply(DataTransferResponse(status=status.value, data=_text(data)))


def _text(data: object) -> str | UnsetType:
    """A string as it is, anything else as JSON text: 1.6 has no other data (B.1)."""
    if data is None:
        return UNSET
    return data if isinstance(data, str) else encode(data)


def data_transfer_call(notice: TransferNotice, _view: View, _reference: str | None) -> Call:
    """Raises LocalProtocolError for names that 1.6 cannot carry."""
    if not 0 < len(notice.vendor_id) <= LONGEST_VENDOR_ID:
        raise LocalProtocolError(f"a vendorId has 1 to {LONGEST_VENDOR_ID} characters")
    if notice.message_id is not None and len(notice.message_id) > LONGEST_MESSAGE_ID:
        raise LocalProtocolError(f"a messageId has at most {LONGEST_MESSAGE_ID} characters")
    return Call(
        "DataTransfer",
        DataTransferRequest(
            vendor_id=notice.vendor_id, message_id=notice.message_id or UNSET, data=_text(notice.data)
        ),
    )


def _read(response: DataTransferResponse | AnyDataTransferAnswer) -> TransferAnswered:
    data = None if response.data is UNSET else response.data
    return TransferAnswered(TransferResult(TransferStatus(response.status), data))


ROUTES = routed(Route("DataTransfer", DataTransferRequest, data_transfer))
ENCODERS: Mapping[type, Encoder] = {TransferNotice: data_transfer_call}
RESULTS: Mapping[str, ResultReader[Any]] = {"DataTransfer": ResultReader(DataTransferResponse, _read)}

LENIENT_ROUTES = routed(Route("DataTransfer", AnyDataTransfer, data_transfer))
LENIENT_RESULTS: Mapping[str, ResultReader[Any]] = {
    "DataTransfer": ResultReader(AnyDataTransferAnswer, _read)
}
