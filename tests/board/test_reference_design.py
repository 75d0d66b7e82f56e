"""docs/board-reference-design.md is what `board/pins/reference.py` says, and its figures are what its parts give.

The page is read as it stands: a net on another pin, or a part of another value, fails here.
"""

import itertools
import math
import re
from pathlib import Path

from board import analog
from board.pilot import classify
from board.pins import load, reference
from board.wire import PILOT_A, PILOT_B, PILOT_C, PILOT_D

PAGE = (Path(__file__).parents[2] / "docs/board-reference-design.md").read_text(encoding="utf-8")
UNUSED = {0, 1, 8}
"""Named as such, or for the other kind of link."""


def _nets() -> dict[str, int]:
    """Net -> number of its pin, from the tables of the page."""
    nets: dict[str, int] = {}
    for row in re.findall(r"^\| (`[^|]*) \| ([^|]*GP[^|]*) \|", PAGE, re.MULTILINE):
        names, pins = re.findall(r"`([^`]+)`", row[0]), [int(pin) for pin in re.findall(r"GP(\d+)", row[1])]
        if names == ["reader"]:
            names = ["reader tx", "reader rx"]
        assert len(names) == len(pins), row
        for name, pin in zip(names, pins, strict=True):
            # The lamp among OUTPUTS and the light of the connector have one name, and a row each.
            nets["status light" if name == "light" and len(names) == 1 else name] = pin
    return nets


def test_the_wiring_table_is_the_pin_map() -> None:
    (roles,) = reference.CONNECTORS
    port = reference.SERIAL[0]
    expected: dict[str, object] = {
        name: pin for name, pin in roles.items() if name not in ("limits", "light")
    }
    expected |= {"status light": roles["light"], "reader tx": port["tx"], "reader rx": port["rx"]}
    expected |= {"EMERGENCY": reference.EMERGENCY, "DOOR": reference.DOOR, "ALIVE": reference.ALIVE}
    assert _nets() == expected | reference.OUTPUTS
    assert not UNUSED & set(_nets().values())
    load("reference")


def _figure(pattern: str) -> float:
    found = re.search(pattern, PAGE)
    assert found, pattern
    return float(found.group(1))


def _read_mv(cp_v: float, up: float, high: float, low: float, reference_v: float = 3.3) -> int:
    """What the firmware reads of a voltage on CP, in mV."""
    at_pin_v = (cp_v / up + reference_v / high) / (1 / up + 1 / high + 1 / low)
    assert -0.05 <= at_pin_v <= reference_v, "within the converter's range"
    return analog.pilot_mv(min(4095, max(0, round(at_pin_v / reference_v * 4096))))


def test_the_divider_of_the_pilot_reads_right_with_the_worst_parts() -> None:
    resistors = (
        _figure(r"([\d.]+) MOhm from CP") * 1e6,
        _figure(r"(\d+) kOhm from ADC_VREF") * 1e3,
        _figure(r"(\d+) kOhm to AGND") * 1e3,
    )
    part = _figure(r"280 kOhm to AGND, all ([\d.]+) %") / 100
    of_reference = _figure(r"series reference of ([\d.]+) %") / 100
    most_mv = _figure(r"read up to ([\d.]+) V off") * 1000
    states = {
        11.4: PILOT_A,
        12: PILOT_A,
        9: PILOT_B,
        6: PILOT_C,
        3: PILOT_D,
        -12: None,
        -12.6: None,
        12.6: PILOT_A,
    }
    for cp_v, state in states.items():
        for signs in itertools.product((-1, 1), repeat=4):
            up, high, low = (ohm * (1 + sign * part) for ohm, sign in zip(resistors, signs[:3], strict=True))
            read_mv = _read_mv(cp_v, up, high, low, 3.3 * (1 + signs[3] * of_reference))
            assert abs(read_mv - cp_v * 1000) <= most_mv + 10, (cp_v, read_mv)
            assert state is None or classify(read_mv) == state, (cp_v, read_mv)


def test_the_reference_can_feed_what_hangs_on_it() -> None:
    """Behind the Pico's own 200 Ohm a plugged-in 32 A cable would move every voltage of the pilot out of its window."""
    pulled_v = 3.3 * 1220 / (1220 + 200)
    assert classify(_read_mv(9, 1e6, 220e3, 280e3, pulled_v)) != PILOT_B
    assert "Not without it" in PAGE


def _pump(in_series_f: float, at_end_f: float, ohm: float, levels: list[int]) -> list[float]:
    """Volts behind the pump after each half wave of 10 ms."""
    diode_v, supply_v = 0.25, 3.3
    across_v = end_v = 0.0
    seen = []
    for level in levels:
        driven_v = supply_v * level
        node_v = driven_v - across_v
        if node_v < -diode_v:
            across_v = driven_v + diode_v
        elif node_v > end_v + diode_v:
            charge = (node_v - end_v - diode_v) / (1 / in_series_f + 1 / at_end_f)
            end_v += charge / at_end_f
            across_v += charge / in_series_f
        seen.append(end_v)
        end_v *= math.exp(-0.01 / (ohm * at_end_f))
        seen.append(end_v)
    return seen


def test_the_alive_pump_holds_while_the_firmware_ticks_and_not_0_4_s_longer() -> None:
    in_series_f = _figure(r"([\d.]+) uF in series, two Schottky") * 1e-6
    at_end_f = _figure(r"BAT54S\), ([\d.]+) uF") * 1e-6
    ohm = _figure(r"uF and (\d+) kOhm to ground") * 1e3
    on_v, off_v = _figure(r"switches by ([\d.]+) V up"), _figure(r"not above ([\d.]+) V down")
    running = [step % 2 for step in range(200)]
    held = _pump(in_series_f, at_end_f, ohm, running)[-40:]
    assert on_v < min(held) < max(held) <= 2.5
    for last in (0, 1):
        stopped = _pump(in_series_f, at_end_f, ohm, [*running, *[last] * 40])
        assert stopped[-1] < off_v, "within 0.4 s, at either level"
    assert max(_pump(in_series_f, at_end_f, ohm, [0, *[1] * 100])) < on_v, "one edge is no life"


def _latch(*steps: tuple[int, int]) -> list[int]:
    """RCD_OK after each (S, contactor), by the two gates of the page."""
    assert "Q = NAND(S, RCD_OK), RCD_OK = NAND(Q, `contactor`)" in PAGE
    q, ok = 0, 1
    seen = []
    for fine, contactor in steps:
        for _ in range(4):  # the gates settle
            q = 1 - (fine & ok)
            ok = 1 - (q & contactor)
        seen.append(ok & contactor)
    return seen


def test_a_trip_cuts_by_itself_and_only_the_firmware_letting_go_ends_that() -> None:
    assert _latch((1, 0), (1, 1)) == [0, 1]
    assert _latch((1, 1), (0, 1), (1, 1), (1, 1)) == [1, 0, 0, 0], "it stays off when the trip is gone"
    assert _latch((1, 1), (0, 1), (1, 1), (1, 0), (1, 1)) == [1, 0, 0, 0, 1]
    assert _latch((0, 0), (0, 1), (1, 1)) == [0, 0, 0], "nor does it close onto a trip"
    assert _latch((1, 0), (0, 0), (1, 0), (1, 1)) == [0, 0, 0, 1], "the self-test leaves it clear"
