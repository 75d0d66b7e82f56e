"""Messages and costs on a running station: on disk first, shown at once and on time, gone with their transaction."""

from datetime import timedelta
from typing import Any

import pytest

from agent.charging.display import DisplayMessage, MessagePriority, MessageState, MessageVerdict
from agent.charging.ids import AuthorizationStatus, Component, IdToken, IdTokenInfo
from agent.charging.requests import (
    ChangeAvailability,
    ChangeSetting,
    RemoveMessage,
    ShowCost,
    ShowMessage,
    ShowTokenPrice,
    Verdict,
)
from agent.charging.screens import TURN_S
from agent.charging.tariff import CostShown, Text
from hal.errors import DeviceTimeout
from tests.charging.rig import TAG, Rig, Stores, running
from tests.charging.test_display import message
from tests.helpers.fake_hardware import FakeDisplay, fake_hardware
from tests.helpers.fake_stores import FULL

FRONT, ALWAYS = MessagePriority.IN_FRONT, MessagePriority.ALWAYS_FRONT


def display(rig: Rig, evse_id: int = 1) -> FakeDisplay:
    found = rig.hardware.evses[evse_id].display
    assert isinstance(found, FakeDisplay)
    return found


async def show(rig: Rig, new: DisplayMessage) -> MessageVerdict:
    answer = await rig.ask(ShowMessage(new))
    await rig.run_for(0.01)
    verdict: MessageVerdict = answer.verdict
    return verdict


def kept(rig: Rig) -> list[int]:
    return [each.message_id for each in rig.station.snapshot().messages]


def with_display(**more: Any) -> Any:
    return fake_hardware(has_display=True, **more)


# --- messages ----------------------------------------------------------------------------------------------


@pytest.mark.req("O01.FR.12", "TC_O_01_CS")
async def test_a_message_stands_on_every_display_until_it_is_removed() -> None:
    async with running(with_display(evses=2)) as rig:
        assert await show(rig, message(1, "hello")) is MessageVerdict.ACCEPTED
        assert (display(rig, 1).content, display(rig, 2).content) == ("hello", "hello")
        assert rig.shown().display == Text("hello")
        assert (
            await show(rig, message(2, "two", ALWAYS, display=Component("Display", evse_id=2))) == "Accepted"
        )
        assert (display(rig, 1).content, display(rig, 2).content) == ("hello", "two")
        assert (await rig.ask(RemoveMessage(1))).verdict is Verdict.ACCEPTED
        await rig.run_for(0.01)
        assert (display(rig, 1).content, display(rig, 2).content) == (None, "two")
        assert rig.shown().display is None


@pytest.mark.req("O01.FR.14", "O02.FR.16", "TC_O_22_CS")
async def test_several_messages_in_front_take_turns() -> None:
    async with running(with_display()) as rig:
        for number in (1, 2, 3):
            await show(rig, message(number, priority=FRONT))
        await show(rig, message(4))
        seen = []
        for _ in range(6):
            await rig.run_for(TURN_S)
            seen.append(display(rig).content)
        assert seen[:3] == seen[3:]
        assert sorted(filter(None, seen[:3])) == ["m1", "m2", "m3"]


async def test_one_page_is_written_once() -> None:
    async with running(with_display()) as rig:
        await show(rig, message(1))
        await rig.run_for(10 * TURN_S)
        assert [page and page.content for page in display(rig).pages] == ["m1"]


@pytest.mark.req("O01.FR.06", "O01.FR.07", "TC_O_13_CS", "TC_O_14_CS")
async def test_a_message_comes_and_goes_by_itself_and_leaves_the_disk() -> None:
    async with running(with_display()) as rig:
        now = rig.clock.now()
        timed = message(1, starts_at=now + timedelta(seconds=60), ends_at=now + timedelta(seconds=120))
        assert await show(rig, timed) is MessageVerdict.ACCEPTED
        await rig.run_for(59.5)
        assert (display(rig).content, kept(rig)) == (None, [1])
        await rig.run_for(1)
        assert display(rig).content == "m1"
        await rig.run_for(60)
        assert (display(rig).content, kept(rig), rig.stores.messages.kept) == (None, [], {})
        assert (await rig.ask(RemoveMessage(1))).verdict is Verdict.UNKNOWN


@pytest.mark.req("O02.FR.01", "O02.FR.02", "TC_O_06_CS", "TC_O_10_CS", "TC_O_30_CS")
async def test_a_message_of_a_transaction_goes_with_it() -> None:
    async with running(with_display(evses=2)) as rig:
        assert await show(rig, message(1, transaction_id="t-9")) is MessageVerdict.UNKNOWN_TRANSACTION
        started = await rig.charge()
        for number in (1, 2):
            bound = message(number, priority=FRONT, transaction_id=started.transaction_id)
            assert await show(rig, bound) is MessageVerdict.ACCEPTED
        assert display(rig, 1).content in ("m1", "m2")
        assert display(rig, 2).content is None
        await rig.tap()
        await rig.run_for(5)
        assert rig.stopped
        assert (display(rig, 1).content, kept(rig), rig.stores.messages.kept) == (None, [], {})


@pytest.mark.req("TC_O_36_CS", "TC_O_37_CS", "TC_O_38_CS", "TC_O_39_CS")
async def test_what_is_shown_follows_the_state_of_the_evse() -> None:
    async with running(with_display()) as rig:
        for number, state in enumerate(MessageState):
            await show(rig, message(number, state.value, FRONT, state=state))
        assert display(rig).content == "Idle"
        await rig.charge()
        await rig.run_for(1)
        assert display(rig).content == "Charging"
        rig.evse().fault("emergency_stop")
        await rig.run_for(5)
        assert display(rig).content == "Faulted"
    async with running(with_display()) as rig:
        await show(rig, message(1, "closed", state=MessageState.UNAVAILABLE))
        await rig.ask(ChangeAvailability(1, 0, operative=False))
        await rig.run_for(0.1)
        assert display(rig).content == "closed"
        await rig.ask(ChangeAvailability(1, 0, operative=True))
        await rig.run_for(0.1)
        assert display(rig).content is None


@pytest.mark.req("O01.FR.11", "O02.FR.11")
async def test_no_more_messages_are_kept_than_the_station_says_and_a_replacement_needs_no_room() -> None:
    given = {"DisplayMessageCtrlr.MaxDisplayMessages": "5"}
    async with running(with_display(), given=given) as rig:
        most = rig.settings.integer("display_messages_max")
        for number in range(most):
            assert await show(rig, message(number)) is MessageVerdict.ACCEPTED
        assert await show(rig, message(most)) is MessageVerdict.REJECTED
        assert await show(rig, message(0, "anew")) is MessageVerdict.ACCEPTED
        assert len(kept(rig)) == most


@pytest.mark.req("O01.FR.10", "O02.FR.10", "TC_O_20_CS")
async def test_messages_survive_a_restart_but_for_those_that_are_over() -> None:
    stores = Stores()
    async with running(with_display(), stores) as rig:
        started = await rig.charge()
        for each in (
            message(1),
            message(2, ends_at=rig.clock.now() + timedelta(seconds=30)),
            message(3, transaction_id=started.transaction_id),
        ):
            assert await show(rig, each) is MessageVerdict.ACCEPTED
    later = rig.clock.now() + timedelta(seconds=60)
    async with running(with_display(), stores, clock_at=later) as rig:
        assert (kept(rig), list(stores.messages.kept)) == ([1], [1])
        assert display(rig).content == "m1"


async def test_a_disk_that_does_not_take_a_message_leaves_everything_as_it_was() -> None:
    async with running(with_display()) as rig:
        await show(rig, message(1))
        rig.stores.messages.failure = FULL
        assert await show(rig, message(1, "new")) is MessageVerdict.REJECTED
        assert (await rig.ask(RemoveMessage(1))).verdict is Verdict.REJECTED
        await rig.run_for(1)
        assert (display(rig).content, kept(rig)) == ("m1", [1])


async def test_without_a_display_there_are_no_messages_and_no_settings_of_them() -> None:
    async with running() as rig:
        assert await show(rig, message(1)) is MessageVerdict.REJECTED
        assert not rig.station.snapshot().has_display
        assert not rig.settings.has("display_formats")
        assert not rig.settings.has("currency")


async def test_switched_off_messages_are_kept_and_neither_shown_nor_taken() -> None:
    async with running(with_display()) as rig:
        await show(rig, message(1))
        await rig.ask(ChangeSetting("display_enabled", "false"))
        await rig.run_for(0.1)
        assert (display(rig).content, kept(rig)) == (None, [1])
        assert await show(rig, message(2)) is MessageVerdict.REJECTED
        await rig.ask(ChangeSetting("display_enabled", "true"))
        await rig.run_for(0.1)
        assert display(rig).content == "m1"


async def test_a_display_that_fails_is_written_again_when_something_changes(caplog: Any) -> None:
    async with running(with_display()) as rig:
        display(rig).failure = DeviceTimeout("no answer")
        await show(rig, message(1))
        assert "no answer" in caplog.text
        assert rig.shown().display is None
        display(rig).failure = None
        await rig.tap("TAG9")
        assert display(rig).content == "m1"


# --- prices and costs --------------------------------------------------------------------------------------


def amounts(rig: Rig) -> tuple[str | None, bool]:
    cost = rig.shown().cost
    return (None, False) if cost is None else (cost.amount, cost.is_final)


@pytest.mark.req("I01.FR.03", "I06.FR.03", "O01.FR.08")
async def test_the_drivers_own_price_is_shown_before_and_while_it_counts() -> None:
    async with running(with_display()) as rig:
        texts = (Text("30 ct", "en"), Text("30 Cent", "de"))
        await rig.ask(ShowTokenPrice(TAG, texts, ("de",)))
        await show(rig, message(1, "hello", language="en"))
        await show(rig, message(2, "hallo", language="de"))
        started = await rig.charge()
        await rig.run_for(1)
        assert rig.shown().cost == CostShown(texts)
        pages = {page.content for page in display(rig).pages[-4:] if page}
        await rig.run_for(3 * TURN_S)
        pages = {page.content for page in display(rig).pages[-4:] if page}
        assert {"30 Cent", "hallo"} == pages
        rig.station.transaction_priced(started.transaction_id, None, (Text("40 ct", "en"),), is_final=False)
        await rig.run_for(3 * TURN_S)
        assert "40 ct" in {page.content for page in display(rig).pages[-3:] if page}


@pytest.mark.req("I02.FR.03", "I02.FR.04", "I03.FR.03", "TC_I_01_CS", "TC_I_02_CS", "TC_I_07_CS")
async def test_running_and_total_cost_are_shown_with_the_currency() -> None:
    async with running(with_display(), given={"TariffCostCtrlr.Currency": "CHF"}) as rig:
        started = await rig.charge()
        assert (
            await rig.ask(ShowCost(started.transaction_id, CostShown(amount="1.50")))
        ).verdict == "Accepted"
        await rig.run_for(0.1)
        assert (display(rig).content, amounts(rig)) == ("1.50 CHF", ("1.50", False))
        rig.station.transaction_priced(started.transaction_id, 2.5, (), is_final=False)
        await rig.run_for(0.1)
        assert (display(rig).content, amounts(rig)) == ("2.500 CHF", ("2.500", False))
        await rig.tap()
        price = (Text("40 ct/kWh", "en"),)
        rig.station.transaction_priced(started.transaction_id, None, price, is_final=False)
        rig.station.transaction_priced(started.transaction_id, 3.0, (), is_final=True)
        await rig.run_for(0.1)
        assert (display(rig).content, amounts(rig)) == ("3.000 CHF", ("3.000", True))
        rig.evse().unplug()
        await rig.run_for(60)
        assert display(rig).content == "3.000 CHF"
        await rig.run_for(300)
        assert display(rig).content is None


async def test_a_cost_of_nobody_here_is_shown_to_nobody() -> None:
    async with running(with_display()) as rig:
        await rig.charge()
        assert (await rig.ask(ShowCost("t-9", CostShown(amount="1.50")))).verdict is Verdict.REJECTED
        rig.station.transaction_priced("t-9", 2.5, (Text("x"),), is_final=False)
        await rig.run_for(0.1)
        assert (display(rig).content, rig.shown().cost) == (None, None)


@pytest.mark.req("I04.FR.01")
async def test_without_a_price_of_ones_own_the_fallback_is_shown() -> None:
    async with running(with_display(), given={"TariffCostCtrlr.TariffFallbackMessage": "50 ct/kWh"}) as rig:
        assert display(rig).content == "50 ct/kWh"
        started = await rig.charge()
        assert display(rig).content == "50 ct/kWh"
        rig.station.transaction_priced(started.transaction_id, 1.0, (), is_final=False)
        await rig.run_for(2 * TURN_S)
        assert {page.content for page in display(rig).pages[-2:] if page} == {"50 ct/kWh", "1.000 EUR"}
        rig.station.transaction_priced(started.transaction_id, None, (Text("30 ct/kWh"),), is_final=False)
        await rig.run_for(2 * TURN_S)
        assert {page.content for page in display(rig).pages[-2:] if page} == {"30 ct/kWh", "1.000 EUR"}


@pytest.mark.req("I05.FR.02")
async def test_a_transaction_that_ends_offline_shows_the_fallback_for_its_cost() -> None:
    given = {"TariffCostCtrlr.TotalCostFallbackMessage": "See your bill"}
    async with running(with_display(), given=given) as rig:
        await rig.charge()
        await rig.tap()
        await rig.run_for(1)
        assert rig.stopped
        assert display(rig).content is None
    async with running(with_display(), given=given) as rig:
        await rig.charge()
        rig.station.on_online(False)
        rig.authorizer.is_online = False
        await rig.tap()
        await rig.run_for(1)
        assert rig.stopped
        assert (display(rig).content, amounts(rig)) == ("See your bill", (None, True))


@pytest.mark.parametrize(
    ("name", "expected"), [("tariff_enabled", ["2.000 EUR"]), ("cost_enabled", ["price"])]
)
async def test_prices_and_costs_can_be_switched_off_each(name: str, expected: list[str]) -> None:
    async with running(with_display()) as rig:
        await rig.ask(ChangeSetting(name, "false"))
        await rig.ask(ShowTokenPrice(TAG, (Text("price"),)))
        started = await rig.charge()
        rig.station.transaction_priced(started.transaction_id, 2.0, (), is_final=False)
        await rig.run_for(TURN_S)
        assert [page.content for page in display(rig).pages if page] == expected


async def test_a_price_is_gone_with_the_driver_who_never_came() -> None:
    async with running(with_display()) as rig:
        rig.authorizer.answers["TAG1"] = IdTokenInfo(AuthorizationStatus.BLOCKED)
        rig.reader.tap("TAG1")
        await rig.run_for(0.01)
        await rig.ask(ShowTokenPrice(IdToken("TAG1"), (Text("30 ct"),), ("de",)))
        await rig.run_for(0.01)
        assert display(rig).content == "30 ct"
        await rig.run_for(5)
        assert display(rig).content is None
