"""Messages for the driver: what they are, which may be set, and what stands on the display of an EVSE.

Pure values and rules in the vocabulary of OCPP 2.x. A display shows one page after the other; which pages, follows from
the messages of the CSMS, from what the station itself has to say (`own_pages`) and from the driver's languages.
`screens.py` is the shell. Priorities: AlwaysFront alone, else those InFront in turn, else everything in turn.
OCPP 2.0.1 part 2, O01 to O06, I01 to I06, datatypes 2.31, 3.52, 3.53.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from agent.charging.ids import ChargingState, Component, EvseId, TransactionId
from agent.charging.snapshot import EvseSnapshot
from agent.charging.tariff import CostShown, Text

DISPLAY = "Display"
"""The component that a message may name."""
FALLBACK_LANGUAGE = "en"


class MessagePriority(StrEnum):
    """Values are stored, so they never change."""

    ALWAYS_FRONT = "AlwaysFront"
    IN_FRONT = "InFront"
    NORMAL_CYCLE = "NormalCycle"


class MessageState(StrEnum):
    """Of an EVSE, as a message may name it."""

    CHARGING = "Charging"
    FAULTED = "Faulted"
    IDLE = "Idle"
    UNAVAILABLE = "Unavailable"


class DisplayMessage(Struct, frozen=True):
    message_id: int
    priority: MessagePriority
    text: Text
    state: MessageState | None = None
    """None: in any state."""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    """The first instant at which it is not shown, and not kept, any more."""
    transaction_id: TransactionId | None = None
    """Goes when that one ends."""
    display: Component | None = None
    """None: every display of the station."""

    @property
    def evse_id(self) -> EvseId | None:
        return None if self.display is None else self.display.evse_id


Messages: TypeAlias = tuple[DisplayMessage, ...]
"""In the order in which they were set."""


class MessageVerdict(StrEnum):
    ACCEPTED = "Accepted"
    NOT_SUPPORTED_FORMAT = "NotSupportedMessageFormat"
    NOT_SUPPORTED_PRIORITY = "NotSupportedPriority"
    REJECTED = "Rejected"
    UNKNOWN_TRANSACTION = "UnknownTransaction"


class MessageFlaw(Struct, frozen=True):
    """Why a message is not taken."""

    verdict: MessageVerdict
    reason: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What the station can show."""

    formats: frozenset[str]
    priorities: frozenset[str]
    evse_ids: frozenset[EvseId]
    """Those that have a display."""
    most: int
    """How many messages may be kept."""


# --- the collection ----------------------------------------------------------------------------------------


def flaw_of(
    message: DisplayMessage, offer: Offer, running: Collection[TransactionId], now: datetime
) -> MessageFlaw | None:
    """What is wrong with a message by itself (O01.FR.01, O01.FR.03, O02.FR.01, O02.FR.03, O02.FR.05)."""
    if message.transaction_id is not None and message.transaction_id not in running:
        return MessageFlaw(MessageVerdict.UNKNOWN_TRANSACTION, "no such transaction runs here")
    if message.priority not in offer.priorities:
        return MessageFlaw(MessageVerdict.NOT_SUPPORTED_PRIORITY, f"{message.priority} is not offered")
    if message.text.format not in offer.formats:
        return MessageFlaw(MessageVerdict.NOT_SUPPORTED_FORMAT, f"{message.text.format} is not offered")
    reason = _flaw_of_place(message.display, offer) or _flaw_of_times(message, now)
    if reason is None and message.message_id < 0:
        reason = "id: below 0"
    return None if reason is None else MessageFlaw(MessageVerdict.REJECTED, reason)


def _flaw_of_place(display: Component | None, offer: Offer) -> str | None:
    if display is None:
        return None
    if display.name.casefold() != DISPLAY.casefold() or display.instance or display.connector_id is not None:
        return f"display: there is no {display.name[:50]} like that"
    if display.evse_id not in (None, *offer.evse_ids):
        return f"display: EVSE {display.evse_id} has none"
    return None


def _flaw_of_times(message: DisplayMessage, now: datetime) -> str | None:
    if message.ends_at is None:
        return None
    if message.ends_at <= now:
        return "end: is over"
    if message.starts_at is not None and message.ends_at <= message.starts_at:
        return "end: not after the start"
    return None


def replaced_by(messages: Iterable[DisplayMessage], new: DisplayMessage) -> Messages:
    """What goes when `new` comes: the same id (O06.FR.01), and one in front for ever where both would have to be
    (O01.FR.16, O02.FR.18)."""
    return tuple(
        each
        for each in messages
        if each.message_id == new.message_id
        or (
            each.priority is MessagePriority.ALWAYS_FRONT
            and new.priority is MessagePriority.ALWAYS_FRONT
            and _may_meet(each.evse_id, new.evse_id)
            and _may_meet(each.transaction_id, new.transaction_id)
        )
    )


def _may_meet(one: object, other: object) -> bool:
    return one is None or other is None or one == other


def without(messages: Iterable[DisplayMessage], gone: Collection[DisplayMessage]) -> Messages:
    ids = {each.message_id for each in gone}
    return tuple(each for each in messages if each.message_id not in ids)


def over(messages: Iterable[DisplayMessage], running: Collection[TransactionId], now: datetime) -> Messages:
    """What is not kept any more: its time or its transaction has ended (O01.FR.07, O02.FR.02, O02.FR.07)."""
    return tuple(
        each
        for each in messages
        if (each.ends_at is not None and each.ends_at <= now)
        or (each.transaction_id is not None and each.transaction_id not in running)
    )


def next_change(messages: Iterable[DisplayMessage], now: datetime) -> datetime | None:
    """When a message comes or goes by itself next."""
    times = [at for each in messages for at in (each.starts_at, each.ends_at) if at is not None and at > now]
    return min(times, default=None)


# --- what is shown -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scene:
    """What has to be known of an EVSE to tell what its display shows."""

    evse_id: EvseId
    state: MessageState
    transaction_id: TransactionId | None = None
    languages: tuple[str, ...] = ()
    """Of the driver, the preferred one first; none: not known."""


def state_of(evse: EvseSnapshot) -> MessageState:
    if evse.is_faulted:
        return MessageState.FAULTED
    transaction = evse.transaction
    if transaction is not None and transaction.charging_state is ChargingState.CHARGING:
        return MessageState.CHARGING
    if transaction is None and not evse.is_operative:
        return MessageState.UNAVAILABLE
    return MessageState.IDLE


def pages_of(
    messages: Iterable[DisplayMessage], scene: Scene, now: datetime, own: Sequence[Text]
) -> tuple[Text, ...]:
    """What the display shows in turn; `own`: what the station itself has to say (O01.FR.12 to .15)."""
    present = _in_language([each for each in messages if _is_shown(each, scene, now)], scene.languages)
    always = [each.text for each in present if each.priority is MessagePriority.ALWAYS_FRONT]
    if always:
        return (always[-1],)
    in_front = tuple(each.text for each in present if each.priority is MessagePriority.IN_FRONT)
    return in_front or (*own, *(each.text for each in present))


def _is_shown(message: DisplayMessage, scene: Scene, now: datetime) -> bool:
    return (
        (message.starts_at is None or message.starts_at <= now)
        and (message.ends_at is None or now < message.ends_at)
        and message.state in (None, scene.state)
        and message.transaction_id in (None, scene.transaction_id)
        and message.evse_id in (None, scene.evse_id)
    )


def _in_language(messages: Sequence[DisplayMessage], languages: Sequence[str]) -> list[DisplayMessage]:
    """Messages that differ in their language only are one message: the driver sees the best (O01.FR.08, O01.FR.09).

    As long as nobody knows the driver's languages all of them are shown."""
    if not languages:
        return list(messages)
    tags: dict[tuple[object, ...], list[str]] = {}
    for each in messages:
        if each.text.language:
            tags.setdefault(_occasion(each), []).append(each.text.language)
    chosen = {occasion: best_language(found, languages) for occasion, found in tags.items()}
    return [
        each for each in messages if not each.text.language or each.text.language == chosen[_occasion(each)]
    ]


def _occasion(message: DisplayMessage) -> tuple[object, ...]:
    """All of a message but its id and its words."""
    return (
        message.priority,
        message.state,
        message.starts_at,
        message.ends_at,
        message.transaction_id,
        message.display,
    )


def best_language(tags: Sequence[str], wanted: Sequence[str]) -> str:
    """That of `tags` which comes nearest to the driver's: "de" for "de-CH"; else English, else the first."""
    for language in (*wanted, FALLBACK_LANGUAGE):
        for matches in (_is_same_tag, _is_same_language):
            for tag in tags:
                if matches(tag, language):
                    return tag
    return tags[0]


def _is_same_tag(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _is_same_language(one: str, other: str) -> bool:
    """RFC 5646: what comes before the first hyphen."""
    return one.partition("-")[0].casefold() == other.partition("-")[0].casefold()


def own_pages(
    cost: CostShown | None, languages: Sequence[str], own_language: str, currency: str
) -> tuple[Text, ...]:
    """What the CSMS told the station of prices and costs, as pages: a text in the best language, and the amount."""
    if cost is None:
        return ()
    pages: list[Text] = []
    if cost.texts:
        tags = [text.language or own_language for text in cost.texts]
        best = best_language(tags, languages or (own_language,))
        pages.append(cost.texts[tags.index(best)])
    if cost.amount is not None:
        pages.append(Text(f"{cost.amount} {currency}".strip()))
    return tuple(pages)
