"""Messages for the driver: which may be set, which goes for another one, what stands on which display and when."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.charging.display import (
    DisplayMessage,
    MessagePriority,
    MessageState,
    MessageVerdict,
    Offer,
    Scene,
    best_language,
    flaw_of,
    next_change,
    over,
    own_pages,
    pages_of,
    replaced_by,
    state_of,
    without,
)
from agent.charging.ids import ChargingState, Component
from agent.charging.snapshot import EvseSnapshot
from agent.charging.tariff import CostShown, Text
from tests.helpers.snapshots import FAULTY, charging, evse, paused

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OFFER = Offer(frozenset({"ASCII", "UTF8"}), frozenset(MessagePriority), frozenset({1, 2}), 10)
FRONT, ALWAYS = MessagePriority.IN_FRONT, MessagePriority.ALWAYS_FRONT
IDLE = Scene(1, MessageState.IDLE)


def message(
    message_id: int = 1,
    content: str = "",
    priority: MessagePriority = MessagePriority.NORMAL_CYCLE,
    **more: Any,
) -> DisplayMessage:
    text = Text(content or f"m{message_id}", more.pop("language", ""), more.pop("format", "UTF8"))
    return DisplayMessage(message_id, priority, text, **more)


def on_display(evse_id: int | None) -> Component:
    return Component("Display", evse_id=evse_id)


def shown(
    *messages: DisplayMessage, scene: Scene = IDLE, own: tuple[str, ...] = (), at: datetime = NOW
) -> list[str]:
    pages = pages_of(messages, scene, at, [Text(each) for each in own])
    return [page.content for page in pages]


# --- which may be set --------------------------------------------------------------------------------------


@pytest.mark.req(
    "O01.FR.01", "O01.FR.03", "O02.FR.01", "O02.FR.03", "O02.FR.05", "TC_O_10_CS", "TC_O_17_CS", "TC_O_19_CS"
)
@pytest.mark.parametrize(
    ("given_message", "verdict", "word"),
    [
        (message(transaction_id="t9"), MessageVerdict.UNKNOWN_TRANSACTION, "transaction"),
        (message(format="HTML"), MessageVerdict.NOT_SUPPORTED_FORMAT, "HTML"),
        (message(priority=FRONT), MessageVerdict.NOT_SUPPORTED_PRIORITY, "InFront"),
        (message(display=on_display(3)), MessageVerdict.REJECTED, "EVSE 3"),
        (message(display=Component("Beacon")), MessageVerdict.REJECTED, "Beacon"),
        (message(display=Component("Display", "upper")), MessageVerdict.REJECTED, "display"),
        (message(ends_at=NOW), MessageVerdict.REJECTED, "over"),
        (message(starts_at=NOW + 2 * MINUTE, ends_at=NOW + MINUTE), MessageVerdict.REJECTED, "start"),
        (message(-1), MessageVerdict.REJECTED, "id"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_its_own_word(
    given_message: DisplayMessage, verdict: MessageVerdict, word: str
) -> None:
    offer = Offer(OFFER.formats, frozenset({"NormalCycle", "AlwaysFront"}), OFFER.evse_ids, 10)
    flaw = flaw_of(given_message, offer, {"t1"}, NOW)
    assert flaw is not None
    assert (flaw.verdict, word in flaw.reason) == (verdict, True), flaw


@pytest.mark.req("O01.FR.04", "O01.FR.05")
@pytest.mark.parametrize(
    "given_message",
    [
        message(0),
        message(transaction_id="t1", ends_at=NOW + MINUTE),
        message(display=on_display(2)),
        message(display=Component("display")),
        message(priority=ALWAYS, format="ASCII", starts_at=NOW - MINUTE),
    ],
)
def test_what_can_be_shown_is_taken(given_message: DisplayMessage) -> None:
    assert flaw_of(given_message, OFFER, {"t1"}, NOW) is None


# --- the collection ----------------------------------------------------------------------------------------


@pytest.mark.req("O06.FR.01", "TC_O_12_CS")
def test_the_same_id_is_replaced() -> None:
    old, other = message(1), message(2)
    assert replaced_by((old, other), message(1, "new", FRONT)) == (old,)


@pytest.mark.req("O01.FR.16", "O02.FR.18", "TC_O_24_CS", "TC_O_32_CS")
def test_a_second_one_always_in_front_replaces_the_first_where_they_would_meet() -> None:
    old = message(1, priority=ALWAYS)
    assert replaced_by((old,), message(2, priority=ALWAYS)) == (old,)
    assert replaced_by((old,), message(2, priority=ALWAYS, transaction_id="t1")) == (old,)
    assert replaced_by((old,), message(2, priority=FRONT)) == ()
    here, there = (
        message(1, priority=ALWAYS, transaction_id="t1"),
        message(2, priority=ALWAYS, transaction_id="t2"),
    )
    assert replaced_by((here,), there) == ()
    left, right = (message(n, priority=ALWAYS, display=on_display(n)) for n in (1, 2))
    assert replaced_by((left,), right) == ()


@pytest.mark.req("O01.FR.07", "O02.FR.02", "O02.FR.07")
def test_a_message_goes_with_its_time_or_its_transaction() -> None:
    timed, bound, plain = message(1, ends_at=NOW + MINUTE), message(2, transaction_id="t1"), message(3)
    every = (timed, bound, plain)
    assert over(every, {"t1"}, NOW) == ()
    assert over(every, {"t1"}, NOW + MINUTE) == (timed,)
    assert over(every, {"t2"}, NOW) == (bound,)
    assert without(every, (bound,)) == (timed, plain)


def test_the_next_look_is_due_when_a_message_comes_or_goes() -> None:
    assert next_change([message()], NOW) is None
    coming = message(starts_at=NOW + 2 * MINUTE, ends_at=NOW + 3 * MINUTE)
    assert next_change([coming, message(2, ends_at=NOW + 5 * MINUTE)], NOW) == NOW + 2 * MINUTE
    assert next_change([coming], NOW + 2 * MINUTE) == NOW + 3 * MINUTE


# --- what is shown -----------------------------------------------------------------------------------------


@pytest.mark.req(
    "O01.FR.12", "O01.FR.13", "O01.FR.14", "O01.FR.15", "O02.FR.14", "O02.FR.15", "O02.FR.16", "O02.FR.17"
)
def test_one_always_in_front_stands_alone_then_those_in_front_then_all_in_turn() -> None:
    normal, first, second = message(1), message(2, priority=FRONT), message(3, priority=FRONT)
    assert shown(normal, own=("price",)) == ["price", "m1"]
    assert shown(normal, first, second, own=("price",)) == ["m2", "m3"]
    assert shown(normal, first, second, message(4, priority=ALWAYS), own=("price",)) == ["m4"]


@pytest.mark.req("O01.FR.06", "O01.FR.07", "O02.FR.06", "TC_O_13_CS", "TC_O_14_CS")
def test_a_message_is_shown_from_its_start_until_its_end() -> None:
    timed = message(starts_at=NOW + MINUTE, ends_at=NOW + 2 * MINUTE)
    second = timedelta(seconds=1)
    for at, is_there in (
        (0 * second, False),
        (59 * second, False),
        (MINUTE, True),
        (2 * MINUTE - second, True),
    ):
        assert bool(shown(timed, at=NOW + at)) is is_there
    assert shown(timed, at=NOW + 2 * MINUTE) == []


@pytest.mark.parametrize("state", MessageState)
def test_a_message_for_a_state_is_shown_in_that_state_only(state: MessageState) -> None:
    in_state = message(state=state)
    for each in MessageState:
        assert bool(shown(in_state, scene=Scene(1, each))) is (each is state)


def test_a_message_for_a_transaction_or_a_display_is_shown_there_only() -> None:
    bound, placed = message(1, transaction_id="t1"), message(2, display=on_display(1))
    everywhere = message(3, display=Component("Display"))
    every = (bound, placed, everywhere)
    assert shown(*every, scene=Scene(1, MessageState.CHARGING, "t1")) == ["m1", "m2", "m3"]
    assert shown(*every, scene=Scene(1, MessageState.CHARGING, "t2")) == ["m2", "m3"]
    assert shown(*every, scene=Scene(2, MessageState.IDLE)) == ["m3"]


@pytest.mark.parametrize(
    ("picture", "state"),
    [
        (evse(), MessageState.IDLE),
        (evse(is_operative=False), MessageState.UNAVAILABLE),
        (evse(faults=(FAULTY,), is_operative=False), MessageState.FAULTED),
        (paused(), MessageState.IDLE),
    ],
)
def test_the_state_of_an_evse(picture: EvseSnapshot, state: MessageState) -> None:
    assert state_of(picture) is state


def test_an_evse_charges_while_energy_flows() -> None:
    busy = charging()
    assert busy.transaction is not None
    flowing = replace(busy, transaction=replace(busy.transaction, charging_state=ChargingState.CHARGING))
    assert state_of(flowing) is MessageState.CHARGING
    assert state_of(replace(flowing, is_operative=False)) is MessageState.CHARGING
    assert state_of(replace(flowing, faults=(FAULTY,))) is MessageState.FAULTED


# --- languages ---------------------------------------------------------------------------------------------


@pytest.mark.req("O01.FR.08", "O01.FR.09", "O01.FR.17", "O02.FR.08", "O02.FR.09", "O02.FR.12", "TC_O_15_CS")
@pytest.mark.req("C01.FR.08", "C01.FR.09")
@pytest.mark.parametrize(
    ("languages", "content"),
    [(("de",), "hallo"), (("de-CH", "fr"), "hallo"), (("fr",), "hello"), (("nl", "de"), "hallo")],
)
def test_of_messages_that_differ_in_language_only_the_best_is_shown(
    languages: tuple[str, ...], content: str
) -> None:
    variants = (message(1, "hello", language="en-US"), message(2, "hallo", language="de"))
    other = message(3, "bonjour", language="fr", state=MessageState.IDLE)
    scene = Scene(1, MessageState.IDLE, None, languages)
    assert shown(*variants, message(4, "neutral"), other, scene=scene) == [content, "neutral", "bonjour"]
    assert shown(*variants) == ["hello", "hallo"]


TAGS = st.lists(st.sampled_from(["de", "de-AT", "en", "en-US", "fr", "nl"]), min_size=1, max_size=5)


@given(TAGS, TAGS)
def test_the_best_language_is_one_of_those_there_are(tags: list[str], wanted: list[str]) -> None:
    best = best_language(tags, wanted)
    assert best in tags
    if wanted[0] in tags:
        assert best == wanted[0]


MESSAGES = st.lists(
    st.builds(
        message,
        st.integers(0, 5),
        priority=st.sampled_from(MessagePriority),
        state=st.sampled_from([None, *MessageState]),
        starts_at=st.sampled_from([None, NOW - MINUTE, NOW + MINUTE]),
        ends_at=st.sampled_from([None, NOW, NOW + MINUTE]),
        transaction_id=st.sampled_from([None, "t1", "t2"]),
        language=st.sampled_from(["", "en", "de"]),
    ),
    max_size=8,
)


@given(MESSAGES, st.sampled_from(MessageState), st.sampled_from([(), ("de",)]))
def test_whatever_was_set_one_at_most_is_always_in_front_and_never_shown_with_others(
    every: list[DisplayMessage], state: MessageState, languages: tuple[str, ...]
) -> None:
    kept: tuple[DisplayMessage, ...] = ()
    for each in every:
        kept = (*without(kept, replaced_by(kept, each)), each)
    assert len({each.message_id for each in kept}) == len(kept)
    scene = Scene(1, state, "t1", languages)
    pages = pages_of(kept, scene, NOW, [Text("own")])
    always = [each for each in kept if each.priority is ALWAYS and pages_of([each], scene, NOW, ())]
    assert len(always) <= 1
    assert pages == (always[0].text,) if always else True


# --- what the station says itself --------------------------------------------------------------------------


@pytest.mark.req("I01.FR.03", "I02.FR.03")
def test_prices_come_in_the_drivers_language_and_costs_with_their_currency() -> None:
    cost = CostShown((Text("30 ct", ""), Text("30 Rp", "de-CH")), amount="12.34")
    assert [page.content for page in own_pages(cost, ("de",), "en", "EUR")] == ["30 Rp", "12.34 EUR"]
    assert [page.content for page in own_pages(cost, (), "en", "EUR")] == ["30 ct", "12.34 EUR"]
    assert own_pages(None, (), "en", "EUR") == ()
    assert own_pages(CostShown(), (), "en", "EUR") == ()
