"""Latched faults over a restart of the chip: what is kept, what is rubbish, and what ends them after the restart."""

from hypothesis import given
from hypothesis import strategies as st

from board import wire
from board.latches import CONNECTORS, pack, unpack
from board.residual import AUTO_CLEARS_PER_DAY, TRIP_DC
from tests.helpers.board_bench import BoardBench
from tests.helpers.fake_pins import GAP_MV, FakePins

_LATCHED = [1 << bit for bit in range(len(wire.FAULT_NAMES)) if wire.FAULTS_LATCHED >> bit & 1]
_faults = st.lists(st.sampled_from(_LATCHED), unique=True).map(sum)
_kept = st.lists(
    st.tuples(_faults, st.integers(0, AUTO_CLEARS_PER_DAY)), min_size=CONNECTORS, max_size=CONNECTORS
)
_DAY_MS = 86_400_000


@given(_kept)
def test_what_is_kept_comes_back_and_stays_a_small_integer(kept: list[tuple[int, int]]) -> None:
    word = pack(kept)
    assert unpack(word) == kept
    assert 0 <= word < 1 << 30, "a larger one is an object on the RP2040"


@given(_kept, st.integers(0, 31))
def test_a_word_with_one_wrong_bit_is_none(kept: list[tuple[int, int]], bit: int) -> None:
    assert unpack(pack(kept) ^ 1 << bit) == []


def test_what_stands_in_the_register_after_power_came_is_no_fault() -> None:
    for rubbish in (0, 0xFFFFFFFF, 0xAAAAAAAA, 0x55555555, 0x3FFFF, 0x2D061A7):
        assert unpack(rubbish) == []
        assert BoardBench(kept=rubbish).faults == []


def test_of_one_connector_the_other_half_is_empty() -> None:
    assert unpack(pack([(wire.F_RCD_AC, 2)])) == [(wire.F_RCD_AC, 2), (0, 0)]


def test_faults_that_are_not_latched_are_not_kept() -> None:
    assert unpack(pack([(wire.F_RCD_DC | wire.F_TILT | wire.F_CP_DIODE, 0)]))[0] == (wire.F_RCD_DC, 0)


def restarted(bench: BoardBench, car: str, *, ms: int = 0) -> BoardBench:
    """The same board after a reset of its chip, with a host that permits."""
    pins = FakePins()
    pins.car(car)
    again = BoardBench(pins, kept=bench.kept)
    again.run(ms)
    again.setpoint()
    return again


def _tripped() -> BoardBench:
    bench = BoardBench().charge()
    bench.pins.leak = TRIP_DC
    bench.run(20)
    return bench


def test_a_trip_stands_again_after_a_reset_with_the_car_still_there() -> None:
    bench = restarted(_tripped(), "C")
    assert bench.faults == ["rcd_dc"], "before the first tick"
    for _ in range(1000):
        assert not bench.run(10).pins.contactor
    assert bench.faults == ["rcd_dc"]
    assert bench.status.faults == wire.F_RCD_DC


def test_a_kept_fault_is_told_as_an_event() -> None:
    bench = restarted(_tripped(), "C").run(100)
    events = [wire.unpack_event(payload) for payload in bench.payloads(wire.EVENT)]
    events.sort(key=lambda event: event.event_seq)
    assert [(event.connector, event.kind, event.a) for event in events[:2]] == [
        (0, wire.EVENT_RESET, wire.RESET_POWER),
        (1, wire.EVENT_FAULT, 0),
    ]


def test_a_kept_trip_goes_at_the_unplug_after_a_passed_self_test_and_is_forgotten() -> None:
    bench = restarted(_tripped(), "C", ms=3000)
    bench.pins.car("A")
    assert bench.run(3000).faults == []
    assert unpack(bench.kept)[0] == (0, 1)
    bench = restarted(bench, "C").run(3000)
    assert bench.faults == []
    assert bench.pins.contactor


def test_a_kept_trip_goes_by_the_self_test_at_the_start_when_nothing_is_plugged_in() -> None:
    assert restarted(_tripped(), "A").run(3000).faults == []


def test_a_kept_trip_outlives_a_self_test_while_nobody_knows_the_pilot() -> None:
    """At the start the pilot counts as A, which is not to be taken for an unplug."""
    kept = _tripped().kept
    deaf, between = FakePins(), FakePins()
    deaf.is_fresh = False
    between.level_mv = GAP_MV
    for pins in (deaf, between):
        bench = BoardBench(pins, kept=kept).run(3000)
        assert bench.board.connectors[0].residual.has_passed
        assert "rcd_dc" in bench.faults


def test_a_weld_that_came_loose_outlives_the_reset_until_it_is_cleared() -> None:
    bench = BoardBench().charge()
    bench.pins.is_welded = True
    bench.pins.car("B")
    bench.run(1000)
    bench = restarted(bench, "A").run(5000)
    assert bench.faults == ["contactor_welded"]
    bench.send(wire.CLEAR_FAULT, wire.pack_clear_fault(1, wire.F_CONTACTOR_WELDED))
    assert restarted(bench.run(10), "A").faults == []


def test_a_weld_is_found_again_by_its_feedback_after_a_power_cut() -> None:
    pins = FakePins()
    pins.is_welded = True
    assert BoardBench(pins, kept=0).run(1000).faults == ["contactor_welded"]


def test_the_trips_of_a_day_are_counted_over_a_reset() -> None:
    bench = BoardBench().run(1500)
    for trip in range(4):
        bench.setpoint()
        bench.pins.car("C")
        bench.run(2000)
        assert bench.pins.contactor
        bench.pins.leak = TRIP_DC
        bench.run(500)
        bench.pins.leak = 0
        bench.run(100)
        bench.pins.car("A")
        bench.run(3000)
        assert bench.faults == (["rcd_dc"] if trip == 3 else [])
        bench = restarted(bench, "A", ms=3000)
    assert bench.faults == ["rcd_dc"]


def test_trips_of_yesterday_are_not_counted_any_more() -> None:
    bench = BoardBench(kept=pack([(0, AUTO_CLEARS_PER_DAY)]))
    residual = bench.board.connectors[0].residual
    assert residual.clears_of_the_day(0) == AUTO_CLEARS_PER_DAY
    assert residual.clears_of_the_day(_DAY_MS - 1) == AUTO_CLEARS_PER_DAY
    assert residual.clears_of_the_day(_DAY_MS) == 0
    assert [residual.may_auto_clear(at_ms) for at_ms in (_DAY_MS - 1, _DAY_MS)] == [False, True]


def test_a_fault_is_kept_in_its_own_tick_and_before_the_watchdog_is_fed() -> None:
    bench = BoardBench().charge()
    fed = bench.fed
    order: list[str] = []
    keep, feed = bench.keep_latches, bench.feed_watchdog

    def keep_latches(word: int) -> None:
        order.append("kept")
        keep(word)

    def feed_watchdog() -> None:
        order.append("fed")
        feed()

    bench.keep_latches, bench.feed_watchdog = keep_latches, feed_watchdog  # type: ignore[method-assign]
    bench.pins.leak = TRIP_DC
    bench.run(10)
    assert (order, bench.fed) == (["kept", "fed"], fed + 1)
    assert unpack(bench.kept)[0] == (wire.F_RCD_DC, 0)
    bench.run(1000)
    assert order.count("kept") == 1, "written when something changed only"


def test_a_board_without_faults_writes_nothing() -> None:
    bench = BoardBench().charge()
    assert bench.kept == 0
