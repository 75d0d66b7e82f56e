"""Which network profile is tried next: the whole order, attempt by attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ocpp.network_plan import FALL_BACK_ATTEMPTS, NetworkPlan


def tried(plan: NetworkPlan, attempts: int, count: int) -> list[int]:
    """The slots of the next `count` attempts, all of which fail."""
    slots = []
    for _ in range(count):
        slots.append(plan.slot)
        plan.failed(attempts)
    return slots


@pytest.mark.req("B10.FR.03", "B10.FR.04", "TC_B_46_CS")
def test_each_slot_has_its_attempts_in_the_order_of_the_setting() -> None:
    assert tried(NetworkPlan([2, 1, 3]), 2, 6) == [2, 2, 1, 1, 3, 3]


@pytest.mark.req("B10.FR.07", "B10.FR.08", "B10.FR.09", "TC_B_49_CS")
def test_when_nothing_works_the_last_good_slot_has_its_turn_although_it_is_not_in_the_list() -> None:
    plan = NetworkPlan([2], last_good=1)
    assert tried(plan, 1, 1 + FALL_BACK_ATTEMPTS) == [2, *[1] * FALL_BACK_ATTEMPTS]
    assert plan.slot == 2, "and then all of them again: it never gives up (B10.FR.08, .09)"


@pytest.mark.req("B10.FR.03")
def test_after_a_loss_the_slot_that_worked_is_the_first_and_the_others_follow() -> None:
    plan = NetworkPlan([1, 2, 3])
    tried(plan, 1, 1)
    plan.worked()
    assert (plan.slot, plan.last_good) == (2, 2)
    assert tried(plan, 2, 6) == [2, 2, 1, 1, 3, 3]
    assert plan.slot == 2


@pytest.mark.req("B10.FR.09")
def test_a_single_slot_is_tried_for_ever() -> None:
    plan = NetworkPlan([1])
    assert not any(plan.failed(3) for _ in range(100))
    assert plan.slot == 1


@pytest.mark.req("A05.FR.06")
def test_an_emptied_slot_is_never_tried_again() -> None:
    plan = NetworkPlan([2, 1], last_good=1)
    plan.worked()
    plan.forget([1])
    assert set(tried(plan, 1, 50)) == {2}


@given(
    slots=st.lists(st.integers(1, 3), min_size=1, max_size=3, unique=True),
    good=st.none() | st.integers(1, 3),
    attempts=st.integers(1, 5),
    works=st.lists(st.booleans(), max_size=60),
)
def test_every_slot_comes_again_whatever_happens(
    slots: list[int], good: int | None, attempts: int, works: list[bool]
) -> None:
    plan = NetworkPlan(slots, good)
    for does_work in works:
        plan.worked() if does_work else plan.failed(attempts)
    rounds = tried(plan, attempts, 2 * (len(slots) * attempts + max(attempts, FALL_BACK_ATTEMPTS)))
    assert set(slots) <= set(rounds)
