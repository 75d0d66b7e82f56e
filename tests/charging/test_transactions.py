"""The book of one transaction: what it bills when a meter is replaced, reset, or reads wrongly for a moment."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.facts import TransactionStarted
from agent.charging.ids import IdToken, TriggerReason
from agent.charging.transactions import Book

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
