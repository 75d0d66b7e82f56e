"""TransactionEvent and GetTransactionStatus of OCPP 2.0.1: facts of the outbox as payloads, built when they are sent.

When a transaction starts and stops, and what is news in a fact, is decided in `agent/charging`. The transactionId is
our own id of it, whatever a CSMS of another version called it. OCPP 2.0.1 part 2, E01 to E15 and 1.5 (optional fields).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from agent.charging.facts import (
    Sample,
    TransactionFact,
    TransactionMetered,
    TransactionStarted,
    TransactionStopped,
    TransactionUpdated,
)
from agent.charging.ids import ReadingContext, StopReason, TriggerReason
from agent.charging.requests import TransactionStanding, TransactionStatus
from agent.ocpp.frontend import (
    Ask,
    Call,
    Encoder,
    Reply,
    ResultReader,
    Route,
    TransactionAcknowledged,
    View,
    routed,
)
from agent.ocpp.v201.authorization import TokenReceipt, known_at_least
from agent.ocpp.v201.datatypes import (
    CsmsAnswer,
    Evse,
    IdToken,
    IdTokenInfo,
    MessageContent,
    Payload,
    Text36,
    personal_texts,
    text_of,
    token_info,
    token_payload,
)
from agent.ocpp.v201.metering import MeterValue, meter_values
from agent.ocpp.values import Integer32, Integer64, timestamp

TriggerReasonName: TypeAlias = Literal[
    "Authorized",
    "CablePluggedIn",
    "ChargingRateChanged",
    "ChargingStateChanged",
    "Deauthorized",
    "EnergyLimitReached",
    "EVCommunicationLost",
    "EVConnectTimeout",
    "MeterValueClock",
    "MeterValuePeriodic",
    "TimeLimitReached",
    "Trigger",
    "UnlockCommand",
    "StopAuthorized",
    "EVDeparted",
    "EVDetected",
    "RemoteStop",
    "RemoteStart",
    "AbnormalCondition",
    "SignedDataReceived",
    "ResetCommand",
]
ReasonName: TypeAlias = Literal[
    "DeAuthorized",
    "EmergencyStop",
    "EnergyLimitReached",
    "EVDisconnected",
    "GroundFault",
    "ImmediateReset",
    "Local",
    "LocalOutOfCredit",
    "MasterPass",
    "Other",
    "OvercurrentFault",
    "PowerLoss",
    "PowerQuality",
    "Reboot",
    "Remote",
    "SOCLimitReached",
    "StoppedByEV",
    "TimeLimitReached",
    "Timeout",
]

REASONS: Mapping[StopReason, ReasonName] = {
    StopReason.DE_AUTHORIZED: "DeAuthorized",
    StopReason.EMERGENCY_STOP: "EmergencyStop",
    StopReason.ENERGY_LIMIT_REACHED: "EnergyLimitReached",
    StopReason.EV_DISCONNECTED: "EVDisconnected",
    StopReason.GROUND_FAULT: "GroundFault",
    StopReason.HARD_RESET: "ImmediateReset",
    StopReason.LOCAL: "Local",
    StopReason.MASTER_PASS: "MasterPass",
    StopReason.OTHER: "Other",
    StopReason.OVERCURRENT_FAULT: "OvercurrentFault",
    StopReason.POWER_LOSS: "PowerLoss",
    StopReason.REBOOT: "Reboot",
    StopReason.REMOTE: "Remote",
    StopReason.SOFT_RESET: "ImmediateReset",
    StopReason.STOPPED_BY_EV: "StoppedByEV",
    StopReason.TIME_LIMIT_REACHED: "TimeLimitReached",
    StopReason.TIMEOUT: "Timeout",
    StopReason.UNLOCK_COMMAND: "Other",
}
"""Datatype 3.47. A reset ends transactions only when it is Immediate (B12.FR.04); the other words of 2.0.1 belong to
what this station does not have. An unlock that ends a transaction exists in 1.6 only."""

_METERED: Mapping[ReadingContext, TriggerReason] = {
    ReadingContext.SAMPLE_CLOCK: TriggerReason.METER_VALUE_CLOCK
}
"""What brought a reading within a transaction (J01.FR.22); any other is a periodic one (J02.FR.11)."""


class Transaction(Payload, frozen=True, kw_only=True):
    """Datatype 2.48."""

    transaction_id: Text36
    charging_state: Literal["Charging", "EVConnected", "SuspendedEV", "SuspendedEVSE", "Idle"] | UnsetType = (
        UNSET
    )
    time_spent_charging: Integer32 | UnsetType = UNSET
    stopped_reason: ReasonName | UnsetType = UNSET
    remote_start_id: Integer64 | UnsetType = UNSET


class TransactionEventRequest(Payload, frozen=True, kw_only=True):
    event_type: Literal["Ended", "Started", "Updated"]
    timestamp: datetime
    trigger_reason: TriggerReasonName
    seq_no: Integer32
    transaction_info: Transaction
    meter_value: Annotated[list[MeterValue], Meta(min_length=1)] | UnsetType = UNSET
    offline: bool | UnsetType = UNSET
    number_of_phases_used: Integer32 | UnsetType = UNSET
    cable_max_current: Integer32 | UnsetType = UNSET
    reservation_id: Integer64 | UnsetType = UNSET
    evse: Evse | UnsetType = UNSET
    id_token: IdToken | UnsetType = UNSET


class TransactionEventResponse(CsmsAnswer, frozen=True, kw_only=True):
    total_cost: float | UnsetType = UNSET
    charging_priority: Integer32 | UnsetType = UNSET
    id_token_info: IdTokenInfo | UnsetType = UNSET
    updated_personal_message: MessageContent | UnsetType = UNSET


class GetTransactionStatusRequest(Payload, frozen=True, kw_only=True):
    transaction_id: Text36 | UnsetType = UNSET


class GetTransactionStatusResponse(Payload, frozen=True, kw_only=True):
    messages_in_queue: bool
    ongoing_indicator: bool | UnsetType = UNSET


class TransactionEventReceipt(Struct, frozen=True, kw_only=True, rename="camel"):
    """What has to be known of an answer to TransactionEvent, whatever else is wrong with it."""

    id_token_info: TokenReceipt


# --- facts as messages -------------------------------------------------------------------------------------


def transaction_started(fact: TransactionStarted, _view: View, _reference: str | None) -> Call:
    """E01. Where the EV is connected is told as soon as it is (E01.FR.16), who charges as soon as it is known."""
    return _event(
        "Started",
        fact,
        fact.trigger,
        _info(fact, remote_start_id=fact.remote_start_id),
        _some(fact.sample),
        evse=_place(fact) if fact.is_placed else UNSET,
        id_token=UNSET if fact.id_token is None else token_payload(fact.id_token),
        reservation_id=_given(fact.reservation_id),
        number_of_phases_used=_given(fact.phases),
        cable_max_current=_given(fact.cable_max_a),
    )


def transaction_updated(fact: TransactionUpdated, _view: View, _reference: str | None) -> Call:
    """E02.FR.13, E02.FR.16 to .20."""
    return _event(
        "Updated",
        fact,
        fact.trigger,
        _info(fact, remote_start_id=fact.remote_start_id),
        _some(fact.sample),
        evse=_place(fact) if fact.is_placed else UNSET,
        id_token=UNSET if fact.id_token is None else token_payload(fact.id_token),
        reservation_id=_given(fact.reservation_id),
        number_of_phases_used=_given(fact.phases),
        cable_max_current=_given(fact.cable_max_a),
    )


def transaction_metered(fact: TransactionMetered, _view: View, _reference: str | None) -> Call:
    """J01.FR.22, J02.FR.11. Also without a value that 2.0.1 has a name for: the numbers have no gaps (E01.FR.07)."""
    trigger = _METERED.get(fact.sample.context, TriggerReason.METER_VALUE_PERIODIC)
    samples = (fact.sample,) if fact.period is None else (fact.period, fact.sample)
    return _event("Updated", fact, trigger, _info(fact), samples, number_of_phases_used=_given(fact.phases))


def transaction_stopped(fact: TransactionStopped, _view: View, _reference: str | None) -> Call:
    """E06. Who ended the authorization is named, no one else (E07.FR.02, 1.5)."""
    is_by_token = fact.trigger is TriggerReason.STOP_AUTHORIZED and fact.id_token is not None
    info = _info(fact, stopped_reason=REASONS[fact.reason], time_spent_charging=_given(fact.charged_s))
    return _event(
        "Ended",
        fact,
        fact.trigger,
        info,
        fact.samples,
        id_token=token_payload(fact.id_token) if is_by_token and fact.id_token is not None else UNSET,
    )


def _event(
    event_type: Literal["Ended", "Started", "Updated"],
    fact: TransactionFact,
    trigger: TriggerReason,
    info: Transaction,
    samples: Iterable[Sample],
    **fields: Any,
) -> Call:
    trigger_name: Any = trigger.value
    return Call(
        "TransactionEvent",
        TransactionEventRequest(
            event_type=event_type,
            timestamp=timestamp(fact.at),
            trigger_reason=trigger_name,
            seq_no=fact.seq_no,
            transaction_info=info,
            meter_value=meter_values(samples) or UNSET,
            offline=True if fact.offline else UNSET,
            **fields,
        ),
    )


def _info(fact: TransactionFact, **fields: Any) -> Transaction:
    """The charging state is told each time: it is demanded when it changed (E02.FR.13), and true otherwise."""
    given = {name: value for name, value in fields.items() if value is not None}
    state: Any = UNSET if fact.charging_state is None else fact.charging_state.value
    return Transaction(transaction_id=fact.transaction_id, charging_state=state, **given)


def _place(fact: TransactionStarted | TransactionUpdated) -> Evse:
    return Evse(id=fact.evse_id, connector_id=fact.connector_id)


def _given(value: int | None) -> int | UnsetType:
    return UNSET if value is None else value


def _some(sample: Sample | None) -> tuple[Sample, ...]:
    return () if sample is None else (sample,)


def _answered(response: TransactionEventResponse) -> TransactionAcknowledged:
    """`chargingPriority` means nothing here: this station weighs nobody against another one."""
    info, message = response.id_token_info, response.updated_personal_message
    texts = () if message is UNSET else (text_of(message),)
    return TransactionAcknowledged(
        None,
        None if info is UNSET else token_info(info),
        None if response.total_cost is UNSET else response.total_cost,
        texts or (() if info is UNSET else personal_texts(info)),
    )


def _answered_at_least(receipt: TransactionEventReceipt) -> TransactionAcknowledged:
    return TransactionAcknowledged(None, known_at_least(receipt.id_token_info))


# --- where it stands ---------------------------------------------------------------------------------------


def get_transaction_status(request: GetTransactionStatusRequest, _view: View) -> Ask:
    """E14: of one transaction, or of the queue alone (E14.FR.06)."""
    wanted = None if request.transaction_id is UNSET else request.transaction_id
    return Ask(TransactionStatus(wanted), _standing)


def _standing(found: TransactionStanding) -> Reply:
    ongoing = UNSET if found.is_ongoing is None else found.is_ongoing
    return Reply(
        GetTransactionStatusResponse(messages_in_queue=found.has_messages, ongoing_indicator=ongoing)
    )


ROUTES = routed(Route("GetTransactionStatus", GetTransactionStatusRequest, get_transaction_status))
ENCODERS: Mapping[type, Encoder] = {
    TransactionMetered: transaction_metered,
    TransactionStarted: transaction_started,
    TransactionStopped: transaction_stopped,
    TransactionUpdated: transaction_updated,
}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "TransactionEvent": ResultReader(
        TransactionEventResponse,
        _answered,
        TransactionAcknowledged(),
        less=ResultReader(TransactionEventReceipt, _answered_at_least, TransactionAcknowledged()),
    )
}
