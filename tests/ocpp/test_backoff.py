import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ocpp.backoff import LEAST_WAIT_S, BackOff, BackOffLimits, Doubling

LIMITS = BackOffLimits(first_s=4, refused_first_s=16, limit_s=300, stable_after_s=60)


@pytest.mark.req("R16-005")
def test_waits_double_up_to_the_limit() -> None:
    back_off = BackOff(LIMITS, lambda: 1.0)
    assert [back_off.next_wait_s() for _ in range(9)] == [4, 8, 16, 32, 64, 128, 256, 300, 300]


@pytest.mark.req("R16-005")
def test_refusal_starts_slower() -> None:
    back_off = BackOff(LIMITS, lambda: 1.0)
    assert [back_off.next_wait_s(is_refused=True) for _ in range(6)] == [16, 32, 64, 128, 256, 300]


@pytest.mark.req("R16-006")
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1, exclude_max=True), st.floats(0, 1e6)), max_size=40))
def test_no_wait_is_shorter_than_a_quarter_of_the_first_or_longer_than_the_limit(
    attempts: list[tuple[bool, float, float]],
) -> None:
    draws = iter([draw for _, draw, _ in attempts])
    back_off = BackOff(LIMITS, lambda: next(draws))
    for is_refused, _, at_least_s in attempts:
        wait_s = back_off.next_wait_s(is_refused, at_least_s)
        assert max(1, min(at_least_s, 300)) <= wait_s <= 300


def test_only_a_stable_connection_makes_the_next_wait_short_again() -> None:
    back_off = BackOff(LIMITS, lambda: 1.0)
    for _ in range(5):
        back_off.next_wait_s()
    back_off.note_connection(lasted_s=59.9)
    assert back_off.next_wait_s() == 128
    back_off.note_connection(lasted_s=60)
    assert back_off.next_wait_s() == 4


def test_two_stations_do_not_return_at_the_same_time() -> None:
    first, second = BackOff(LIMITS), BackOff(LIMITS)
    assert [first.next_wait_s() for _ in range(8)] != [second.next_wait_s() for _ in range(8)]


@pytest.mark.req("TC_B_57_CS")
def test_the_back_off_of_2x_doubles_a_few_times_and_adds_chance_to_each_wait() -> None:
    back_off = BackOff(Doubling(10, 5, 3), lambda: 0.4)
    assert [back_off.next_wait_s() for _ in range(5)] == [12, 22, 42, 82, 82]
    back_off.note_connection(lasted_s=0.1)
    assert back_off.next_wait_s(is_refused=True) == 12, "any connection begins anew"
    assert back_off.next_wait_s(at_least_s=100) == 100


def test_waits_that_a_csms_sets_to_nothing_flood_nobody() -> None:
    back_off = BackOff(Doubling(0, 0, 0))
    assert [back_off.next_wait_s() for _ in range(3)] == [LEAST_WAIT_S] * 3
