"""The book of one transaction: what it bills when a meter is replaced, reset, or reads wrongly for a moment."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.facts import TransactionStarted
from agent.charging.ids import ChargingState, IdToken, StopReason, TriggerReason
from agent.charging.transactions import Book, Update

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def book_of(*registers: int, step_s: float = 60) -> Book:
    """A transaction that began at the first register and read the others since."""
    first, *others = registers
    book = Book.begun(
        TransactionStarted("t", 1, 1, NOW, 0, IdToken("TAG"), first, TriggerReason.AUTHORIZED, offline=False)
    )
    for number, register in enumerate(others, start=1):
        book = book.read(register, NOW + timedelta(seconds=number * step_s))
    return book


@pytest.mark.req("R16-159")
def test_a_register_that_falls_once_is_not_believed() -> None:
    book = book_of(5000, 5100, 40)
    assert (book.register_wh, book.is_doubtful) == (5100, True)
    assert (book.used_wh, book.offset_wh) == (100, 0)


@pytest.mark.req("R16-159", "FIELD-41")
def test_a_slip_of_one_reading_leaves_no_trace() -> None:
    book = book_of(5000, 5100, 40, 5150)
    assert (book.register_wh, book.is_doubtful) == (5150, False)


@pytest.mark.req("R16-159", "FIELD-41")
def test_a_meter_that_starts_again_is_billed_on_from_its_new_base() -> None:
    book = book_of(5000, 5100, 40, 45, 140)
    assert book.register_wh == 5100 + (140 - 40)
    assert book.is_doubtful


@pytest.mark.req("R16-159")
def test_a_meter_may_start_again_more_than_once() -> None:
    assert book_of(5000, 5100, 0, 0, 50, 10, 10, 30).register_wh == 5100 + 50 + 20


@pytest.mark.req("R16-159")
def test_a_meter_that_returns_to_its_former_count_is_billed_by_it_again() -> None:
    book = book_of(5000, 5100, 40, 41, 5160)
    assert (book.register_wh, book.is_doubtful) == (5160, False)


@pytest.mark.req("R16-159")
def test_a_new_meter_that_comes_to_the_count_of_the_old_one_stays_the_new_one() -> None:
    book = book_of(5000, 5100, 4900, 4900, 5200)
    assert book.register_wh == 5100 + 300


@pytest.mark.req("R16-159", "FIELD-40")
@given(st.lists(st.integers(0, 20_000), max_size=40))
def test_whatever_the_meter_says_the_register_never_falls(registers: list[int]) -> None:
    book = book_of(10_000)
    for number, register in enumerate(registers):
        after = book.read(register, NOW + timedelta(seconds=number))
        assert after.register_wh >= book.register_wh >= 10_000
        book = after


# --- what is told once -------------------------------------------------------------------------------------


def told(book: Book, state: ChargingState = ChargingState.CHARGING, after_s: float = 0, **more: Any) -> Any:
    at = NOW + timedelta(seconds=after_s)
    return book.updated(at, TriggerReason.CHARGING_STATE_CHANGED, state, offline=False, **more)


@pytest.mark.req("E02.FR.18", "E02.FR.19", "E03.FR.13", "E03.FR.14")
def test_the_number_of_phases_is_told_when_energy_flows_and_when_it_changes() -> None:
    book = book_of(1000)
    assert told(book, ChargingState.EV_CONNECTED, phases=3).phases is None
    assert told(book, phases=3).phases == 3
    book = book.after(told(book, phases=3))
    assert told(book, phases=3).phases is None
    assert told(book, phases=1).phases == 1
    assert told(book, phases=None).phases is None


@pytest.mark.req("E01.FR.16")
def test_where_the_ev_is_connected_is_told_once_and_again_for_another_connector() -> None:
    book = replace(book_of(1000), is_placed=False)
    plugged = told(book, what=Update(connector_id=1))
    assert plugged.is_placed
    book = book.after(plugged)
    assert not told(book, what=Update(connector_id=1)).is_placed
    elsewhere = told(book, what=Update(connector_id=2))
    assert elsewhere.is_placed
    assert told(book.after(elsewhere)).connector_id == 2


def test_the_cable_is_told_once() -> None:
    book = book_of(1000)
    first = told(book, cable_a=32.0)
    assert first.cable_max_a == 32
    assert told(book.after(first), cable_a=32.0).cable_max_a is None


def test_only_the_time_in_which_energy_flowed_counts() -> None:
    book = book_of(1000)
    for state, after_s in (
        (ChargingState.CHARGING, 10),
        (ChargingState.SUSPENDED_EV, 40),
        (ChargingState.CHARGING, 100),
        (ChargingState.CHARGING, 90),  # the clock was set back
    ):
        book = book.after(told(book, state, after_s))
    end = book.stopped(
        NOW + timedelta(seconds=120), StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED, None, False, ()
    )
    assert end.charged_s == 30 + 30


@pytest.mark.parametrize("by_s", [86_400.0, -3_600.0])
def test_a_clock_that_is_set_while_energy_flows_neither_gives_nor_takes_time(by_s: float) -> None:
    book = book_of(1000)
    book = book.after(told(book, ChargingState.CHARGING, 10)).clock_moved(by_s)
    end = book.stopped(
        NOW + timedelta(seconds=40 + by_s), StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED, None, False, ()
    )
    assert end.charged_s == 30


def test_a_transaction_that_moved_counts_from_its_new_meter() -> None:
    book = replace(book_of(1000, 1005), is_placed=False).brought(2).begun_at_register(77, NOW)
    placed = told(book, what=Update(connector_id=1))
    assert (placed.evse_id, placed.meter_start_wh) == (2, 77)
    book = book.after(placed).read(100, NOW)
    assert book.used_wh == 23
    assert told(book, what=Update(connector_id=1)).meter_start_wh is None
