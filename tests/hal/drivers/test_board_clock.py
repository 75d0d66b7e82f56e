"""The board's uptime of 32 bits: read without its wraps, and told from a restart."""

from hypothesis import assume, given
from hypothesis import strategies as st

from hal.drivers.board_clock import TOLERANCE_MS, has_restarted, unwrapped

WRAP = 1 << 32
HALF = WRAP // 2
uptimes = st.integers(0, 20 * WRAP)
DAY_MS = 86_400_000


@given(uptimes, st.integers(-HALF + 1, HALF - 1))
def test_an_uptime_is_read_past_its_wraps_by_one_that_is_near(near_ms: int, apart_ms: int) -> None:
    true_ms = near_ms + apart_ms
    assume(true_ms >= 0)
    assert unwrapped(true_ms % WRAP, near_ms) == true_ms


@given(st.integers(0, WRAP - 1))
def test_the_first_uptime_is_taken_as_it_is(uptime_ms: int) -> None:
    assert unwrapped(uptime_ms, None) == uptime_ms


@given(uptimes, st.integers(0, 3 * WRAP), st.integers(-TOLERANCE_MS, TOLERANCE_MS))
def test_a_board_that_goes_on_has_not_restarted_whatever_wraps(
    before_ms: int, away_ms: int, late_ms: int
) -> None:
    after_ms = before_ms + away_ms + late_ms
    assert not has_restarted(before_ms % WRAP, away_ms, after_ms % WRAP)


@given(uptimes, st.integers(0, 40 * DAY_MS), st.floats(0, 1))
def test_a_restart_is_told_also_across_a_wrap(before_ms: int, away_ms: int, part: float) -> None:
    """Unless its uptime happens to be just what the old one would be."""
    before_ms %= WRAP
    after_ms = int(away_ms * part)
    slack_ms = TOLERANCE_MS + away_ms // 1000 + 1
    gap_ms = abs((before_ms + away_ms - after_ms + HALF) % WRAP - HALF)
    assume(gap_ms > slack_ms)
    assert has_restarted(before_ms, away_ms, after_ms)


def test_a_host_that_slept_takes_an_older_board_for_no_new_one() -> None:
    """Its own clock stood still, the board's did not."""
    assert not has_restarted(10 * DAY_MS, 1000, 10 * DAY_MS + 3_600_000)


def test_another_board_that_is_younger_counts_as_a_restart() -> None:
    assert has_restarted(10 * DAY_MS, 1000, 3_600_000)
