"""Edges of the safety rules that no other test watches; systematic changes of the firmware found them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board import wire
from board.faults import FaultBook
from board.interlock import FORCED_OPEN_MS, REST_MS, Interlock, Lease
from board.limits import Limits
from board.lock import STOP, TO_LOCKED, TO_OPEN, SocketLock
from board.pilot import UNKNOWN, Pilot, cable_rating_a, classify, duty_of, limit_of

# ---- interlock -------------------------------------------------------------------------------------------


def _interlock(**limits: int) -> Interlock:
    return Interlock(Limits(limits))


def _closed_at(now_ms: int) -> Interlock:
    interlock = _interlock()
    assert interlock.step(now_ms, wire.PILOT_C, False, True, True)
    return interlock


@given(st.integers(-10, 10**9))
def test_a_lease_that_was_never_given_is_over_at_any_time(now_ms: int) -> None:
    assert not Lease().is_valid(now_ms)
    assert Lease().is_over_by(now_ms, 30_000)


def test_a_lease_is_over_exactly_when_it_was_said_to_be() -> None:
    lease = Lease()
    lease.renew(1000, 500)
    assert [lease.is_valid(now_ms) for now_ms in (1499, 1500)] == [True, False]
    assert [lease.is_over_by(now_ms, 300) for now_ms in (1799, 1800)] == [False, True]


@pytest.mark.parametrize("state", [wire.PILOT_A, wire.PILOT_B, wire.PILOT_E, wire.PILOT_F])
def test_with_ventilation_it_still_opens_in_every_state_but_c_and_d(state: int) -> None:
    interlock = _interlock(has_ventilation=1)
    assert interlock.step(0, wire.PILOT_D, False, True, True)
    assert interlock.step(10, wire.PILOT_C, False, True, True)
    assert not interlock.step(20, state, False, True, True)
    assert not interlock.step(5000, state, False, True, True)


def test_it_may_close_again_exactly_when_it_has_rested() -> None:
    interlock = _closed_at(0)
    interlock.step(100, wire.PILOT_B, False, True, True)
    assert not interlock.step(100 + REST_MS - 1, wire.PILOT_C, False, True, True)
    assert interlock.step(100 + REST_MS, wire.PILOT_C, False, True, True)


def test_a_closed_contactor_is_never_at_rest() -> None:
    interlock = _closed_at(0)
    assert not interlock.is_at_rest(60_000)
    interlock.step(60_000, wire.PILOT_B, False, True, True)
    assert [interlock.is_at_rest(60_000 + REST_MS - 1), interlock.is_at_rest(60_000 + REST_MS)] == [
        False,
        True,
    ]


def test_it_opens_under_load_exactly_6_s_after_pwm_stopped() -> None:
    interlock = _closed_at(0)
    assert interlock.step(10, wire.PILOT_C, False, False, True)
    assert interlock.step(10 + FORCED_OPEN_MS - 1, wire.PILOT_C, False, False, True)
    assert not interlock.step(10 + FORCED_OPEN_MS, wire.PILOT_C, False, False, True)


def test_after_a_forced_opening_the_next_stop_gives_6_s_again() -> None:
    interlock = _closed_at(0)
    for now_ms in (10, 10 + FORCED_OPEN_MS):
        interlock.step(now_ms, wire.PILOT_C, False, False, True)
    assert interlock.step(20_000, wire.PILOT_C, False, True, True)
    assert interlock.step(20_010, wire.PILOT_C, False, False, True), (
        "PWM stopped in the tick after the closing"
    )
    assert interlock.step(20_000 + FORCED_OPEN_MS, wire.PILOT_C, False, False, True)


def test_wrong_feedback_is_a_fault_in_its_second_tick_in_a_row() -> None:
    interlock = _interlock()
    assert interlock.check(0, True) == 0
    assert interlock.check(10, False) == 0
    assert interlock.check(20, True) == 0, "the first one in a row"
    assert interlock.check(30, True) == wire.F_CONTACTOR_WELDED
    assert interlock.check(40, True) == wire.F_CONTACTOR_WELDED
    assert interlock.check(50, False) == 0


def test_feedback_counts_from_150_ms_after_switching() -> None:
    interlock = _closed_at(1000)
    assert interlock.check(1149, False) == 0
    assert interlock.check(1150, False) == 0
    assert interlock.check(1151, False) == wire.F_CONTACTOR_NO_CLOSE


def test_an_interrupt_while_open_does_not_hide_a_weld() -> None:
    interlock = _interlock()
    interlock.check(0, True)
    interlock.trip(5)
    assert interlock.check(10, True) == wire.F_CONTACTOR_WELDED


# ---- pilot and cable --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("high_mv", "state"),
    [
        (10101, UNKNOWN),
        (4101, UNKNOWN),
        (1899, UNKNOWN),
        (1101, UNKNOWN),
        (-10901, wire.PILOT_F),
    ],
)
def test_the_other_side_of_each_window(high_mv: int, state: int) -> None:
    assert classify(high_mv) == state


@pytest.mark.parametrize(
    ("ohm", "ampere"),
    [(80, 63), (139, 63), (140, 32), (307, 32), (308, 20), (935, 20), (936, 13), (2459, 13)],
)
def test_both_ends_of_each_cable_rating(ohm: int, ampere: int) -> None:
    assert cable_rating_a(ohm) == ampere


def test_an_ev_reads_80_a_up_to_97_percent() -> None:
    assert [limit_of(9700), limit_of(9701)] == [800, 0]


@given(st.integers(60, 800))
def test_the_duty_itself_never_says_more_than_was_permitted(limit_da: int) -> None:
    duty = duty_of(limit_da)
    assert duty * 3 <= limit_da * 50 if duty <= 8500 else (duty - 6400) <= limit_da * 4


def _pilot(state: int) -> Pilot:
    pilot = Pilot()
    _feed(pilot, *[_MV[state]] * 3)
    assert pilot.state == state
    return pilot


_MV = {
    wire.PILOT_A: 12000,
    wire.PILOT_B: 9000,
    wire.PILOT_C: 6000,
    wire.PILOT_D: 3000,
    wire.PILOT_E: 0,
    wire.PILOT_F: -12000,
}
_GAP = 7500


def _feed(pilot: Pilot, *levels: int, low_mv: int = -12000, has_pwm: bool = True, start_ms: int = 0) -> None:
    for nth, level in enumerate(levels):
        pilot.sample(start_ms + nth * 10, level, low_mv, has_pwm)


def test_a_sample_that_is_not_c_does_not_count_towards_d() -> None:
    pilot = _pilot(wire.PILOT_C)
    _feed(pilot, 12000, 3000, 3000)
    assert pilot.state == wire.PILOT_C
    _feed(pilot, 3000)
    assert pilot.state == wire.PILOT_D


def test_a_sample_of_d_does_not_count_towards_open() -> None:
    pilot = _pilot(wire.PILOT_C)
    _feed(pilot, 3000, 12000)
    assert pilot.state == wire.PILOT_C
    _feed(pilot, 12000)
    assert pilot.state == wire.PILOT_A


@pytest.mark.parametrize("state", [wire.PILOT_A, wire.PILOT_E, wire.PILOT_F])
def test_the_diode_is_forgotten_in_a_e_and_f(state: int) -> None:
    good = _pilot(wire.PILOT_B)
    _feed(good, *[9000] * 20)
    assert good.is_diode_good
    _feed(good, _MV[state])
    assert not good.is_diode_good
    bad = _pilot(wire.PILOT_B)
    _feed(bad, *[9000] * 5, low_mv=-9000)
    assert bad.is_diode_bad
    _feed(bad, _MV[state])
    assert not bad.is_diode_bad


def test_the_diode_is_judged_inside_the_windows_only_and_by_a_series() -> None:
    pilot = _pilot(wire.PILOT_C)
    _feed(pilot, *[_GAP] * 20, low_mv=-9000)
    assert not pilot.is_diode_bad
    _feed(pilot, *[6000] * 4, low_mv=-9999)
    _feed(pilot, 6000, low_mv=-10000)
    _feed(pilot, *[6000] * 4, low_mv=-9999)
    assert not pilot.is_diode_bad
    _feed(pilot, 6000, low_mv=-9999)
    assert pilot.is_diode_bad


def test_an_odd_pilot_is_one_for_1_s_from_the_very_start() -> None:
    pilot = Pilot()
    _feed(pilot, _GAP, _GAP)
    assert [pilot.is_odd(999), pilot.is_odd(1000)] == [False, True]


def test_a_restart_forgets_what_the_board_itself_has_driven() -> None:
    pilot = _pilot(wire.PILOT_B)
    _feed(pilot, *[9000] * 20)
    _feed(pilot, 12000)
    pilot.restart()
    _feed(pilot, 12000)
    assert pilot.state == wire.PILOT_B, "one sample before and one after are not two in a row"
    good = _pilot(wire.PILOT_B)
    _feed(good, *[9000] * 20)
    good.restart()
    assert not good.is_diode_good
    bad = _pilot(wire.PILOT_B)
    _feed(bad, *[9000] * 5, low_mv=-9000)
    _feed(bad, _GAP, start_ms=5000)
    bad.restart()
    assert not bad.is_diode_bad
    assert not bad.is_odd(60_000)


# ---- lock ------------------------------------------------------------------------------------------------


def _lock() -> SocketLock:
    return SocketLock(Limits())


def test_an_attempt_lasts_1_s_and_the_next_one_begins_half_a_second_later() -> None:
    lock = _lock()
    drives = {}
    faults = set()
    for now_ms in range(0, 4000, 10):
        fault = lock.step(now_ms, True, True, False)
        drives[now_ms] = lock.drive
        if now_ms < 4000 - 10:
            faults.add(fault)
    begins = [now_ms for now_ms in drives if drives[now_ms] and not drives.get(now_ms - 10)]
    ends = [now_ms for now_ms in drives if not drives[now_ms] and drives.get(now_ms - 10)]
    assert (begins, ends) == ([0, 1500, 3000], [1000, 2500])
    assert faults == {0}, "no fault before the third attempt is over"
    assert lock.step(4000, True, True, False) == wire.F_LOCK_FAIL


def test_a_failed_unlock_is_tried_again_5_s_later_not_sooner() -> None:
    lock = _lock()
    lock.step(0, True, True, True)
    begins = []
    was = STOP
    for now_ms in range(10, 22_000, 10):
        lock.step(now_ms, False, True, True)
        if was == STOP and lock.drive == TO_OPEN:
            begins.append(now_ms)
        was = lock.drive
    assert begins == [10, 1510, 3010, 9010, 15_010, 21_010]


def test_a_retry_begins_at_once() -> None:
    lock = _lock()
    for now_ms in range(0, 4010, 10):
        lock.step(now_ms, True, True, False)
    lock.retry()
    assert lock.step(4010, True, True, False) == 0
    assert lock.drive == TO_LOCKED


def test_a_motor_that_turns_towards_open_stops_when_it_may_no_longer() -> None:
    lock = _lock()
    lock.step(0, True, True, True)
    lock.step(10, False, True, True)
    assert lock.drive == TO_OPEN
    lock.step(20, False, False, True)
    assert lock.drive == STOP


def test_a_change_of_mind_starts_anew_even_when_the_bolt_arrives_in_the_same_tick() -> None:
    lock = _lock()
    for now_ms in range(0, 4010, 10):
        fault = lock.step(now_ms, True, True, False)
    assert fault == wire.F_LOCK_FAIL
    assert lock.step(4010, False, True, True) == 0, "the fault was the other direction's"
    assert lock.drive == TO_OPEN
    turning = _lock()
    turning.step(0, True, True, False)
    turning.step(10, False, True, True)
    assert turning.drive == TO_OPEN


def test_what_the_lock_says_of_itself() -> None:
    lock = _lock()
    assert [lock.state(False), lock.state(True)] == [wire.LOCK_OPEN, wire.LOCK_LOCKED]
    lock.step(0, True, True, False)
    assert [lock.state(False), lock.state(True)] == [wire.LOCK_MOVING] * 2


# ---- faults ----------------------------------------------------------------------------------------------


def test_a_standing_fault_is_told_once_whatever_else_changes() -> None:
    told: list[tuple[int, bool]] = []
    book = FaultBook(lambda bit, raised: told.append((bit, raised)))
    book.update(0, wire.F_TILT)
    book.update(10, wire.F_TILT | wire.F_DOOR_OPEN)
    book.update(20, wire.F_TILT)
    assert told == [(18, True), (17, True)]
