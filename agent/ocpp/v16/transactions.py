"""StartTransaction and StopTransaction of OCPP 1.6: facts of the outbox as payloads, built when they are sent.

When a transaction starts and stops is decided in `agent/charging`. The transactionId is whatever the CSMS gave to the
start (R16-116), filled in late (R16-118); -1 when it never gave one (R16-117). OCPP 1.6 3.7, 4.8, 4.10, 7.36.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from agent.charging.facts import TransactionStarted, TransactionStopped, TransactionUpdated
from agent.charging.ids import StopReason
from agent.ocpp.frontend import Call, Encoder, ResultReader, TransactionAcknowledged, View
from agent.ocpp.v16.connectors import number_of
from agent.ocpp.v16.datatypes import CiString20, IdTagInfo, id_tag, token_info
from agent.ocpp.v16.metering import MeterValue, meter_values, transaction_number
from agent.ocpp.values import timestamp

NO_ID_TAG = "NoAuthorization"
"""The idTag of a transaction that nobody identified for: 1.6 demands one, and an empty one counts as missing."""

ReasonName: TypeAlias = Literal[
    "EmergencyStop",
    "EVDisconnected",
    "HardReset",
    "Local",
    "Other",
    "PowerLoss",
    "Reboot",
    "Remote",
    "SoftReset",
    "UnlockCommand",
    "DeAuthorized",
]

REASONS: Mapping[StopReason, ReasonName] = {
    StopReason.DE_AUTHORIZED: "DeAuthorized",
    StopReason.EMERGENCY_STOP: "EmergencyStop",
    StopReason.ENERGY_LIMIT_REACHED: "Other",
    StopReason.EV_DISCONNECTED: "EVDisconnected",
    StopReason.GROUND_FAULT: "Other",
    StopReason.HARD_RESET: "HardReset",
    StopReason.LOCAL: "Local",
    StopReason.MASTER_PASS: "Other",
    StopReason.OTHER: "Other",
    StopReason.OVERCURRENT_FAULT: "Other",
    StopReason.POWER_LOSS: "PowerLoss",
    StopReason.REBOOT: "Reboot",
    StopReason.REMOTE: "Remote",
    StopReason.SOFT_RESET: "SoftReset",
    StopReason.STOPPED_BY_EV: "Other",
    StopReason.TIME_LIMIT_REACHED: "Other",
    StopReason.TIMEOUT: "Other",
    StopReason.UNLOCK_COMMAND: "UnlockCommand",
}
"""OCPP 1.6 7.36 (R16-123): what 1.6 has no word for is Other."""


class StartTransactionRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    connector_id: int
    id_tag: CiString20
    meter_start: int
    timestamp: datetime
    reservation_id: int | UnsetType = UNSET


class StartTransactionResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    id_tag_info: IdTagInfo
    transaction_id: int


class StartTransactionReceipt(Struct, frozen=True, kw_only=True, rename="camel"):
    """What has to be known of an answer to StartTransaction, whatever else is wrong with it."""

    transaction_id: int | Annotated[str, Meta(pattern="^-?[0-9]{1,18}$")]


class StopTransactionRequest(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    transaction_id: int
    meter_stop: int
    timestamp: datetime
    id_tag: CiString20 | UnsetType = UNSET
    reason: ReasonName | UnsetType = UNSET
    transaction_data: list[MeterValue] | UnsetType = UNSET


class StopTransactionResponse(Struct, frozen=True, kw_only=True, rename="camel"):
    id_tag_info: IdTagInfo | None = None


def start_transaction(fact: TransactionStarted, view: View, _reference: str | None) -> Call:
    """R16-109, R16-110; the timestamp is that of the start, however late it is sent (R16-144)."""
    return Call(
        "StartTransaction",
        StartTransactionRequest(
            connector_id=number_of(view.snapshot(), (fact.evse_id, fact.connector_id)),
            id_tag=id_tag(fact.id_token) if fact.id_token is not None else NO_ID_TAG,
            meter_start=fact.meter_start_wh,
            timestamp=timestamp(fact.at),
            reservation_id=UNSET if fact.reservation_id is None else fact.reservation_id,
        ),
    )


def stop_transaction(fact: TransactionStopped, _view: View, reference: str | None) -> Call:
    """R16-120 to R16-123; transactionData only if something is configured for it (R16-130)."""
    samples = meter_values(fact.samples)
    return Call(
        "StopTransaction",
        StopTransactionRequest(
            transaction_id=transaction_number(reference),
            meter_stop=fact.meter_stop_wh,
            timestamp=timestamp(fact.at),
            id_tag=UNSET if fact.id_token is None else id_tag(fact.id_token),
            reason=REASONS[fact.reason],
            transaction_data=samples or UNSET,
        ),
    )


def transaction_updated(_fact: TransactionUpdated, _view: View, _reference: str | None) -> None:
    """1.6 tells changes within a transaction by StatusNotification only."""


def _started(response: StartTransactionResponse) -> TransactionAcknowledged:
    return TransactionAcknowledged(str(response.transaction_id), token_info(response.id_tag_info))


def _received(receipt: StartTransactionReceipt) -> TransactionAcknowledged:
    """Started there: without the id every later message would be lost, and a repetition would start another one."""
    return TransactionAcknowledged(str(int(receipt.transaction_id)))


def _stopped(response: StopTransactionResponse) -> TransactionAcknowledged:
    info = response.id_tag_info
    return TransactionAcknowledged(None, None if info is None else token_info(info))


ENCODERS: Mapping[type, Encoder] = {
    TransactionStarted: start_transaction,
    TransactionStopped: stop_transaction,
    TransactionUpdated: transaction_updated,
}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "StartTransaction": ResultReader(
        StartTransactionResponse, _started, less=ResultReader(StartTransactionReceipt, _received)
    ),
    "StopTransaction": ResultReader(StopTransactionResponse, _stopped, TransactionAcknowledged()),
}
