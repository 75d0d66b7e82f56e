"""The lock of the socket: when it shall be locked, and that it never opens under power."""

import pytest

from board import wire
from board.limits import Limits
from board.lock import STOP, TO_LOCKED, TO_OPEN, SocketLock
from tests.helpers.board_bench import BoardBench
from tests.helpers.fake_pins import FakePins


def _step(lock: SocketLock, now_ms: int, wants: bool, is_locked: bool, may_open: bool = True) -> int:
    return lock.step(now_ms, wants, may_open, is_locked)


def test_drives_until_the_feedback_comes() -> None:
    lock = SocketLock(Limits())
    _step(lock, 0, True, False)
    assert lock.drive == TO_LOCKED
    _step(lock, 300, True, True)
    assert lock.drive == STOP


def test_three_attempts_then_the_fault_and_no_more() -> None:
    lock = SocketLock(Limits())
    starts = 0
    was = STOP
    for now_ms in range(0, 30_000, 10):
        fault = _step(lock, now_ms, True, False)
        starts += was == STOP and lock.drive != STOP
        was = lock.drive
    assert (starts, fault) == (3, wire.F_LOCK_FAIL)
    lock.retry()
    _step(lock, 30_000, True, False)
    assert lock.drive == TO_LOCKED


def test_a_failed_unlock_is_tried_again_every_5_s() -> None:
    lock = SocketLock(Limits())
    _step(lock, 0, True, True)
    for now_ms in range(10, 5000, 10):
        fault = _step(lock, now_ms, False, True)
    assert fault == wire.F_UNLOCK_FAIL
    driven = set()
    for now_ms in range(5000, 12_000, 10):
        _step(lock, now_ms, False, True)
        driven.add(lock.drive)
    assert TO_OPEN in driven
    assert _step(lock, 12_010, False, False) == 0


def test_never_towards_open_unless_allowed() -> None:
    lock = SocketLock(Limits())
    _step(lock, 0, True, True)
    for now_ms in range(10, 10_000, 10):
        _step(lock, now_ms, False, True, may_open=False)
        assert lock.drive == STOP


def test_auto_locks_with_permission_and_opens_when_it_ends() -> None:
    bench = BoardBench().charge()
    assert bench.pins.is_bolt_locked
    bench.setpoint(allow=False)
    bench.run(1000)
    assert bench.pins.is_bolt_locked, "the EV still draws"
    bench.pins.car("B")
    bench.run(900)
    assert bench.pins.is_bolt_locked, "not before the contactor has been open for 1 s"
    assert not bench.run(1000).pins.is_bolt_locked


def test_hold_keeps_the_cable_without_permission_and_after_the_ev_left() -> None:
    bench = BoardBench().run(1500)
    bench.setpoint(allow=False, lock=wire.LOCK_HOLD)
    bench.pins.car("B")
    assert bench.run(1000).pins.is_bolt_locked
    bench.pins.car("A")
    assert bench.run(5000).pins.is_bolt_locked
    bench.setpoint(allow=False)
    assert not bench.run(1000).pins.is_bolt_locked


def test_release_opens_but_never_under_power() -> None:
    bench = BoardBench().charge()
    bench.setpoint(lock=wire.LOCK_RELEASE)
    assert bench.run(5000).pins.is_bolt_locked
    bench.pins.car("B")
    assert not bench.run(2500).pins.is_bolt_locked


def test_the_cable_is_free_30_s_after_the_host_went_silent() -> None:
    bench = BoardBench().charge()
    bench.setpoint(lease_ms=5000)
    bench.run(34_000)
    assert bench.pins.is_bolt_locked
    assert not bench.run(2500).pins.is_bolt_locked


def test_unlock_is_refused_while_charging() -> None:
    bench = BoardBench().charge()
    assert bench.action("unlock") == {"ok": False, "code": "not_allowed", "data": {}}
    assert bench.run(5000).pins.is_bolt_locked


def test_unlock_is_refused_with_a_welded_contactor() -> None:
    bench = BoardBench().charge()
    bench.pins.is_welded = True
    bench.setpoint(allow=False)
    bench.pins.car("B")
    bench.run(2000)
    assert bench.action("unlock") == {"ok": False, "code": "not_allowed", "data": {}}


def test_unlock_waits_for_the_contactor_and_is_confirmed_by_feedback() -> None:
    bench = BoardBench().charge()
    bench.setpoint(allow=False)
    assert bench.action("unlock") is None
    bench.run(7000)
    assert bench.answer(wire.ACTION) is None, "the contactor opens after 6 s, and rests 1 s"
    bench.run(800)
    assert bench.answer(wire.ACTION) == {"ok": True, "code": "ok", "data": {}}
    assert not bench.pins.is_bolt_locked


def test_unlock_in_b_frees_the_cable_until_the_next_permission() -> None:
    bench = BoardBench().run(1500)
    bench.setpoint()
    bench.pins.car("B")
    bench.run(1000)
    bench.action("unlock")
    bench.run(2000)
    assert not bench.pins.is_bolt_locked
    bench.pins.car("C")
    assert not bench.run(2000).pins.contactor, "a loose cable is never live"
    bench.setpoint(allow=False)
    bench.setpoint()
    assert bench.run(2000).pins.contactor


@pytest.mark.parametrize("waits_ms", range(0, 320, 30))
@pytest.mark.parametrize("jams", [False, True])
def test_a_bolt_on_its_way_out_is_not_taken_for_a_lock(waits_ms: int, jams: bool) -> None:
    """The switch still says locked for as long as the bolt is on its way, or for ever when it is stuck."""
    bench = BoardBench().run(1500)
    bench.setpoint(lease_ms=120_000)
    bench.pins.car("B")
    bench.run(1000)
    bench.pins.bolt_jams = jams
    bench.action("unlock")
    bench.run(waits_ms)
    assert bench.pins.is_bolt_locked
    bench.pins.car("C")
    for _ in range(500):
        assert not bench.run(10).pins.contactor
    bench.pins.bolt_jams = False
    bench.setpoint(allow=False)
    bench.setpoint()
    bench.run(7000)
    assert (bench.pins.contactor, bench.pins.is_bolt_locked) == (True, True)


def test_a_permission_with_the_order_to_release_closes_nothing() -> None:
    bench = BoardBench().run(1500)
    bench.pins.is_bolt_locked = bench.pins.bolt_jams = True
    bench.setpoint(lock=wire.LOCK_RELEASE, lease_ms=120_000)
    bench.pins.car("C")
    for _ in range(500):
        assert not bench.run(10).pins.contactor


@pytest.mark.parametrize("car", ["A", "B"])
def test_a_cable_that_was_let_go_is_locked_again_by_the_next_hold(car: str) -> None:
    bench = BoardBench().run(1500)
    bench.setpoint(allow=False)
    bench.pins.car(car)
    bench.run(500)
    bench.action("unlock")
    bench.run(2000)
    bench.pins.car("B")
    bench.setpoint(allow=False)
    assert not bench.run(2000).pins.is_bolt_locked
    bench.setpoint(allow=False, lock=wire.LOCK_HOLD)
    assert bench.run(2000).pins.is_bolt_locked


def test_unlock_of_a_stuck_bolt_fails_in_time() -> None:
    bench = BoardBench().charge()
    bench.pins.car("B")
    bench.run(1500)
    bench.pins.bolt_jams = True
    bench.setpoint(allow=False)
    bench.run(20)
    bench.action("unlock")
    took_ms = bench.run_until(lambda: bench.answer(wire.ACTION) is not None)
    assert took_ms < wire.ACTIONS["unlock"]
    assert bench.answer(wire.ACTION) == {"ok": False, "code": "failed", "data": {}}


def test_a_bolt_that_slips_out_while_charging_stops_charging() -> None:
    bench = BoardBench().charge()
    bench.pins.bolt_jams = True
    bench.pins.is_bolt_locked = False
    assert bench.run_until(lambda: not bench.pins.contactor) <= 1020, "after one attempt, not after three"
    assert bench.faults == ["lock_fail"]


def test_a_bolt_that_was_there_gets_one_attempt_and_three_again_when_somebody_retries() -> None:
    lock = SocketLock(Limits())
    _step(lock, 0, True, True)
    faults = [_step(lock, now_ms, True, False) for now_ms in range(10, 20_000, 10)]
    assert faults.index(wire.F_LOCK_FAIL) == 100
    assert faults[-1] == wire.F_LOCK_FAIL
    lock.retry()
    faults = [_step(lock, now_ms, True, False) for now_ms in range(20_000, 25_000, 10)]
    assert faults.index(wire.F_LOCK_FAIL) == 400


def test_a_bolt_that_falls_in_by_itself_gets_three_attempts() -> None:
    """Nothing is live; the cable waits."""
    lock = SocketLock(Limits())
    _step(lock, 0, False, False)
    faults = [_step(lock, now_ms, False, True) for now_ms in range(10, 5000, 10)]
    assert faults.index(wire.F_UNLOCK_FAIL) == 400


@pytest.mark.parametrize("state", ["A", "B"])
def test_nothing_is_locked_without_permission(state: str) -> None:
    pins = FakePins()
    bench = BoardBench(pins).run(1500)
    bench.setpoint(allow=False)
    pins.car(state)
    assert not bench.run(5000).pins.is_bolt_locked


def test_the_motor_runs_as_long_as_the_connector_says() -> None:
    lock = SocketLock(Limits({"lock_run_ms": 400}))
    runs = []
    for now_ms in range(0, 3000, 10):
        lock.step(now_ms, True, False, False)
        runs.append(lock.drive != STOP)
    assert runs[:40] == [True] * 40
    assert not runs[40]
    assert sum(runs) == 3 * 40


@pytest.mark.parametrize(("after_s", "opens_s"), [(5, 10), (0, None), (60, 65)])
def test_how_long_the_cable_waits_for_a_lost_host_is_a_limit(after_s: int, opens_s: int | None) -> None:
    pins = FakePins()
    pins.limits.put("lost_host_unlock_s", after_s)
    bench = BoardBench(pins).run(1500)
    bench.setpoint(lease_ms=5000)
    pins.car("B")
    bench.run(1000)
    assert pins.is_bolt_locked
    bench.run((opens_s or 300) * 1000 - 2000)
    assert pins.is_bolt_locked
    bench.run(3000)
    assert pins.is_bolt_locked == (opens_s is None)


def test_a_bolt_whose_feedback_comes_back_in_time_charges_on() -> None:
    bench = BoardBench().charge()
    seen: list[bool] = []
    bench.pins.is_bolt_locked = False
    bench.on_tick = lambda: seen.append(bench.pins.contactor)
    bench.run(3000)
    assert all(seen)
    assert (bench.pins.contactor, bench.pins.is_bolt_locked, bench.faults) == (True, True, [])
