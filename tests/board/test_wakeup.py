"""A car that sleeps in B2: woken by itself when the board is told so, never more than twice, never one that charged."""

from board import wire
from board.connector import PILOT_OUT_E
from board.limits import Limits
from board.wakeup import WakeUp
from tests.helpers.board_bench import BoardBench
from tests.helpers.fake_pins import FakePins


def _asleep(wake_after_s: int = 30, can_wake: bool = True) -> BoardBench:
    """A car in B2 that is offered current in vain, from now on."""
    pins = FakePins()
    pins.limits.put("wake_after_s", wake_after_s)
    pins.can_wake = can_wake
    bench = BoardBench(pins).run(1500)
    pins.car("B")
    bench.setpoint(lease_ms=120_000)
    return bench.run(50)


def _pulses(bench: BoardBench) -> list[int]:
    return [at for at, what, value in bench.pins.log if what == "duty" and value == PILOT_OUT_E]


def test_a_sleeping_car_is_woken_after_the_set_time_and_twice_at_most() -> None:
    bench = _asleep(wake_after_s=30)
    bench.run(29_000)
    assert _pulses(bench) == []
    bench.run(1000)
    assert len(_pulses(bench)) == 1
    bench.run(4010)
    assert bench.pins.duty not in (PILOT_OUT_E, wire.DUTY_OFF), "and is offered current again"
    for _ in range(5):
        bench.setpoint(lease_ms=120_000)
        bench.run(60_000)
    first, second = _pulses(bench)
    assert 34_000 <= second - first <= 34_100
    assert bench.faults == []


def test_the_next_car_is_woken_again() -> None:
    bench = _asleep(wake_after_s=10).run(60_000)
    assert len(_pulses(bench)) == 2
    bench.pins.car("A")
    bench.run(3000)
    bench.pins.car("B")
    bench.setpoint(lease_ms=120_000)
    assert len(_pulses(bench.run(12_000))) == 3


def test_nobody_is_woken_by_default() -> None:
    bench = _asleep(wake_after_s=0)
    for _ in range(10):
        bench.setpoint(lease_ms=120_000)
        bench.run(60_000)
    assert _pulses(bench) == []


def test_a_board_that_cannot_hold_the_pilot_at_0_v_wakes_nobody() -> None:
    assert _pulses(_asleep(wake_after_s=5, can_wake=False).run(60_000)) == []


def test_a_car_that_has_charged_is_left_in_peace() -> None:
    bench = _asleep(wake_after_s=20)
    bench.pins.car("C")
    bench.run(5000)
    assert bench.pins.contactor
    bench.pins.car("B")
    assert _pulses(bench.run(60_000)) == []


def test_a_car_that_is_offered_nothing_is_left_in_peace() -> None:
    bench = _asleep(wake_after_s=20)
    bench.setpoint(allow=False, lease_ms=120_000)
    assert _pulses(bench.run(100_000)) == []


def test_requests_and_pulses_of_its_own_count_together() -> None:
    wake_up = WakeUp(Limits({"wake_after_s": 10}))
    now_ms = 0
    for _ in range(2):
        wake_up.watch(now_ms, True, False)
        now_ms += 60_000
        assert wake_up.may_start(now_ms)
        wake_up.start(now_ms)
        now_ms += 4000
        assert wake_up.has_ended(now_ms)
    wake_up.watch(now_ms, True, False)
    assert not wake_up.may_start(now_ms + 60_000)
    assert not wake_up.is_due(now_ms + 60_000)
