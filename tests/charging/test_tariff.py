"""When a reading is due for the CSMS's costs, and what is shown of them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.charging.tariff import (
    MeterTrigger,
    Moment,
    Seen,
    Text,
    Watch,
    amount_text,
    default_texts,
    offset_at,
    parse_offset,
    texts_of,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def seen(
    *,
    after_s: float = 0,
    energy_wh: float | None = None,
    power_w: float | None = None,
    moment: str = "Charging",
) -> Seen:
    return Seen(NOW + timedelta(seconds=after_s), Moment(moment), energy_wh, power_w)


def fired(trigger: MeterTrigger, *looks: Seen) -> list[bool]:
    watch = Watch(trigger, Moment.CHARGING)
    due = []
    for look in looks:
        watch, is_due = watch.look(look)
        due.append(is_due)
    return due


def test_a_time_fires_once() -> None:
    trigger = MeterTrigger(at=NOW + timedelta(seconds=10))
    assert fired(trigger, seen(), seen(after_s=10), seen(after_s=20)) == [False, True, False]


def test_an_energy_fires_once() -> None:
    trigger = MeterTrigger(energy_wh=5000)
    looks = [seen(energy_wh=wh) for wh in (0, 4999, 5000, 6000)]
    assert fired(trigger, *looks) == [False, False, True, False]


def test_a_power_fires_in_both_directions_and_not_when_it_wavers() -> None:
    trigger = MeterTrigger(power_w=8000)
    looks = [seen(power_w=watts) for watts in (11_000, 7900, 8100, 7500, 8300, 8500)]
    assert fired(trigger, *looks) == [False, False, False, True, False, True]


def test_a_status_fires_when_it_is_entered() -> None:
    trigger = MeterTrigger(moments=frozenset({Moment.SUSPENDED_EV}))
    moments = ("Charging", "SuspendedEV", "SuspendedEV", "Charging", "SuspendedEV")
    assert fired(trigger, *[seen(moment=name) for name in moments]) == [False, True, False, False, True]


def test_a_silent_meter_fires_nothing() -> None:
    assert fired(MeterTrigger(energy_wh=0, power_w=0), seen(), seen()) == [False, False]


@given(st.lists(st.floats(0, 20_000), min_size=2, max_size=30))
def test_a_power_fires_no_more_often_than_it_passes_its_threshold(powers: list[float]) -> None:
    due = fired(MeterTrigger(power_w=8000), *[seen(power_w=watts) for watts in powers])
    passes = sum((one >= 8000) != (other >= 8000) for one, other in pairwise(powers))
    assert sum(due) <= passes


@pytest.mark.parametrize(
    ("amount", "decimals", "text"),
    [(3.31, 2, "3.31"), (0.125, 2, "0.13"), (1.005, 2, "1.01"), (3.0, 0, "3"), (-0.5, 3, "-0.500")],
)
def test_money_is_rounded_half_up(amount: float, decimals: int, text: str) -> None:
    assert amount_text(amount, decimals) == text


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 6))
@example(1e300, 2)
@example(-1.7976931348623157e308, 6)
def test_any_number_of_a_message_can_be_told_as_money(amount: float, decimals: int) -> None:
    """What the CSMS says of a token stands in the same answer: a mad cost must not keep anybody from reading it."""
    text = amount_text(amount, decimals)
    with localcontext(prec=1000):
        assert abs(Decimal(text) - Decimal(str(amount))) <= Decimal(1).scaleb(-decimals) / 2


def test_other_languages_only_where_the_station_may_show_them() -> None:
    dutch = Text("goedkoop", "nl")
    assert texts_of("cheap", [dutch], is_multi_language=False) == (Text("cheap"),)
    assert texts_of("cheap", [dutch], is_multi_language=True) == (Text("cheap"), dutch)


def test_the_offline_text_counts_offline_only() -> None:
    prices = {"priceText": "ask", "priceTextOffline": "0.40 per kWh"}
    assert default_texts(prices, is_online=True) == "ask"
    assert default_texts(prices, is_online=False) == "0.40 per kWh"
    assert default_texts({"priceText": 5}, is_online=True) is None


@pytest.mark.parametrize("text", ["2:00", "+2:00", "+15:00", "+01:60", "Z", ""])
def test_what_is_no_offset(text: str) -> None:
    with pytest.raises(ValueError, match="no offset"):
        parse_offset(text)


def test_summer_time_begins_at_its_date() -> None:
    begin = "2026-06-01T12:00:00Z"
    assert offset_at(NOW - timedelta(seconds=1), "+01:00", "+02:00", begin) == timedelta(hours=1)
    assert offset_at(NOW, "+01:00", "+02:00", begin) == timedelta(hours=2)
    assert offset_at(NOW, "-05:30", "", "") == -timedelta(hours=5, minutes=30)
    assert offset_at(NOW, "x", "+02:00", "2026-06-01T12:00:00") == timedelta()
