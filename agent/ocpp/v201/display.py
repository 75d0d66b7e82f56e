"""Messages for the driver and costs in OCPP 2.0.1: set, clear, get, report, show.

What is shown when and where is decided in `agent/charging/display.py`. A station without a display answers
NotSupported. Costs that come with an answer to TransactionEvent: `transactions.py`.
OCPP 2.0.1 part 2, O01 to O06, I02.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from agent.charging import display, ids
from agent.charging.display import DisplayMessage, MessagePriority, MessageState
from agent.charging.requests import Answer, MessageAnswer, RemoveMessage, ShowCost, ShowMessage, Verdict
from agent.charging.tariff import CostShown, Text, amount_text
from agent.ocpp.codec import Category
from agent.ocpp.frontend import (
    Ask,
    Call,
    DisplayReportNotice,
    Encoder,
    Refuse,
    Reply,
    Response,
    ResultReader,
    Route,
    View,
    acknowledged_by,
    routed,
)
from agent.ocpp.v201.datatypes import (
    Component,
    CsmsAnswer,
    MessageContent,
    Payload,
    StatusInfo,
    Text36,
    because,
    text_of,
    time_payload,
    why,
)
from agent.ocpp.v201.names import component_of, component_payload
from agent.ocpp.v201.reports import paged
from agent.ocpp.values import Integer64, aware

MessagePriorityName: TypeAlias = Literal["AlwaysFront", "InFront", "NormalCycle"]
MessageStateName: TypeAlias = Literal["Charging", "Faulted", "Idle", "Unavailable"]
DisplayMessageStatusName: TypeAlias = Literal[
    "Accepted",
    "NotSupportedMessageFormat",
    "Rejected",
    "NotSupportedPriority",
    "NotSupportedState",
    "UnknownTransaction",
]


class MessageInfo(Payload, frozen=True, kw_only=True):
    """Datatype 2.31."""

    id: Integer64
    priority: MessagePriorityName
    message: MessageContent
    display: Component | UnsetType = UNSET
    state: MessageStateName | UnsetType = UNSET
    start_date_time: datetime | UnsetType = UNSET
    end_date_time: datetime | UnsetType = UNSET
    transaction_id: Text36 | UnsetType = UNSET


class SetDisplayMessageRequest(Payload, frozen=True, kw_only=True):
    message: MessageInfo


class SetDisplayMessageResponse(Payload, frozen=True, kw_only=True):
    status: DisplayMessageStatusName
    status_info: StatusInfo | UnsetType = UNSET


class GetDisplayMessagesRequest(Payload, frozen=True, kw_only=True):
    request_id: Integer64
    id: Annotated[list[Integer64], Meta(min_length=1)] | UnsetType = UNSET
    priority: MessagePriorityName | UnsetType = UNSET
    state: MessageStateName | UnsetType = UNSET


class GetDisplayMessagesResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Unknown"]
    status_info: StatusInfo | UnsetType = UNSET


class ClearDisplayMessageRequest(Payload, frozen=True, kw_only=True):
    id: Integer64


class ClearDisplayMessageResponse(Payload, frozen=True, kw_only=True):
    status: Literal["Accepted", "Unknown"]
    status_info: StatusInfo | UnsetType = UNSET


class NotifyDisplayMessagesRequest(Payload, frozen=True, kw_only=True):
    request_id: Integer64
    message_info: Annotated[list[MessageInfo], Meta(min_length=1)] | UnsetType = UNSET
    tbc: bool | UnsetType = UNSET


class NotifyDisplayMessagesResponse(CsmsAnswer, frozen=True, kw_only=True):
    pass


class CostUpdatedRequest(Payload, frozen=True, kw_only=True):
    total_cost: float
    transaction_id: Text36


class CostUpdatedResponse(Payload, frozen=True, kw_only=True):
    pass


# --- messages ----------------------------------------------------------------------------------------------

_NO_DISPLAY = Refuse(Category.NOT_SUPPORTED, "this station has no display")


def set_display_message(request: SetDisplayMessageRequest, view: View) -> Response:
    """O01, O02, O06: Accepted means kept on disk, and shown when its time has come."""
    if not view.snapshot().has_display:
        return _NO_DISPLAY
    if not view.settings.flag("display_enabled"):
        return Reply(SetDisplayMessageResponse(status="Rejected", status_info=why("NotEnabled")))
    return Ask(ShowMessage(_message(request.message)), _was_set)


def _was_set(answer: MessageAnswer) -> Reply:
    return Reply(SetDisplayMessageResponse(status=answer.verdict.value, status_info=because(answer.reason)))


def _message(given: MessageInfo) -> DisplayMessage:
    return DisplayMessage(
        given.id,
        MessagePriority(given.priority),
        text_of(given.message),
        None if given.state is UNSET else MessageState(given.state),
        None if given.start_date_time is UNSET else aware(given.start_date_time),
        None if given.end_date_time is UNSET else aware(given.end_date_time),
        None if given.transaction_id is UNSET else given.transaction_id,
        None if given.display is UNSET else component_of(given.display),
    )


def message_payload(message: DisplayMessage) -> MessageInfo:
    """As it was set."""
    return MessageInfo(
        id=message.message_id,
        priority=message.priority.value,
        message=_content(message.text),
        display=_component(message.display),
        state=UNSET if message.state is None else message.state.value,
        start_date_time=time_payload(message.starts_at),
        end_date_time=time_payload(message.ends_at),
        transaction_id=UNSET if message.transaction_id is None else message.transaction_id,
    )


def _content(text: Text) -> MessageContent:
    return MessageContent(format=text.format, content=text.content, language=text.language or UNSET)  # type: ignore[arg-type]


def _component(component: ids.Component | None) -> Component | UnsetType:
    return UNSET if component is None else component_payload(component)


def get_display_messages(request: GetDisplayMessagesRequest, view: View) -> Response:
    """O03, O04: those that match everything that is given; Unknown if there is none."""
    if not view.snapshot().has_display:
        return _NO_DISPLAY
    found = [each for each in view.snapshot().messages if _is_wanted(each, request)]
    if not found:
        return Reply(GetDisplayMessagesResponse(status="Unknown"))
    pages = paged([message_payload(each) for each in found], view.settings)
    notices = tuple(
        DisplayReportNotice(request.request_id, number == len(pages), page)
        for number, page in enumerate(pages, 1)
    )
    return Reply(GetDisplayMessagesResponse(status="Accepted"), notices)


def _is_wanted(message: display.DisplayMessage, request: GetDisplayMessagesRequest) -> bool:
    return (
        (request.id is UNSET or message.message_id in request.id)
        and (request.priority is UNSET or message.priority == request.priority)
        and (request.state is UNSET or message.state == request.state)
    )


def notify_display_messages(notice: DisplayReportNotice, _view: View, _reference: str | None) -> Call:
    """O03.FR.04, O03.FR.05."""
    return Call(
        "NotifyDisplayMessages",
        NotifyDisplayMessagesRequest(
            request_id=notice.request_id,
            message_info=list(notice.entries),  # type: ignore[arg-type]
            tbc=UNSET if notice.is_last else True,
        ),
    )


def clear_display_message(request: ClearDisplayMessageRequest, view: View) -> Response:
    """O05: Accepted means that it is gone, on disk too."""
    return Ask(RemoveMessage(request.id), _was_cleared) if view.snapshot().has_display else _NO_DISPLAY


def _was_cleared(answer: Answer) -> Reply | Refuse:
    match answer.verdict:
        case Verdict.ACCEPTED:
            return Reply(ClearDisplayMessageResponse(status="Accepted"))
        case Verdict.UNKNOWN:
            return Reply(ClearDisplayMessageResponse(status="Unknown"))
        case _:  # the disk does not take it, and the answer has no word for that
            return Refuse(Category.INTERNAL, answer.reason)


# --- costs -------------------------------------------------------------------------------------------------


def cost_updated(request: CostUpdatedRequest, view: View) -> Ask:
    """I02. The answer has no word for a transaction that does not run here; the log has."""
    amount = amount_text(request.total_cost, view.settings.integer("cost_decimals"))
    shown = CostShown(amount=amount, at=view.now())
    return Ask(ShowCost(request.transaction_id, shown), lambda _: Reply(CostUpdatedResponse()))


ROUTES = routed(
    Route("SetDisplayMessage", SetDisplayMessageRequest, set_display_message),
    Route("GetDisplayMessages", GetDisplayMessagesRequest, get_display_messages),
    Route("ClearDisplayMessage", ClearDisplayMessageRequest, clear_display_message),
    Route("CostUpdated", CostUpdatedRequest, cost_updated),
)
ENCODERS: Mapping[type, Encoder] = {DisplayReportNotice: notify_display_messages}
RESULTS: Mapping[str, ResultReader[Any]] = {
    "NotifyDisplayMessages": acknowledged_by(NotifyDisplayMessagesResponse)
}
