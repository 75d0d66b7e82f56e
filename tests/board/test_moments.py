"""The residual current interrupt between any two steps of a tick: it is never lost, and what it opened stays open.

A hard interrupt comes between two bytecodes. These tests let it come before each one of the lines of the firmware that
handle it, one at a time. A trip in the second after opening is left out (docs/board.md), so time is chosen with care.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import board
from board.residual import TRIP_DC
from tests.helpers.board_bench import BoardBench

FIRMWARE = str(Path(board.__file__).parent)
REST_TICKS = 100


def _charging() -> BoardBench:
    return BoardBench().charge()


def _about_to_close() -> BoardBench:
    """The car is in C again after a flutter: the next tick is the first one in which the contactor has rested."""
    bench = _charging()
    bench.pins.car("B")
    bench.run_until(lambda: not bench.pins.contactor)
    bench.pins.car("C")
    bench.run(10 * (REST_TICKS - 1))
    assert not bench.pins.contactor
    return bench


def _tick(bench: BoardBench, function: str, at: int) -> bool:
    """One tick with the interrupt before the bytecode number `at` of `function`; False: it has fewer."""
    seen = -1

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal seen
        if event == "call":
            code = frame.f_code
            is_it = code.co_filename.startswith(FIRMWARE) and code.co_qualname == function
            frame.f_trace_opcodes = is_it
            return trace if is_it else None
        if event == "opcode":
            seen += 1
            if seen == at:
                bench.board.on_rcd_interrupt(bench.now_ms, 0, TRIP_DC)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        bench.run(10)
    finally:
        sys.settrace(before)
    return seen >= at


@pytest.mark.parametrize(
    ("prepare", "function"),
    [
        (_charging, "ResidualCurrent.step"),
        (_about_to_close, "ResidualCurrent.step"),
        (_about_to_close, "Connector._drive_contactor"),
        (_about_to_close, "Interlock.step"),
        (_about_to_close, "Interlock._switch"),
    ],
)
def test_a_trip_between_any_two_bytecodes_is_kept_and_opens(
    prepare: Callable[[], BoardBench], function: str
) -> None:
    at = 0
    while True:
        bench = prepare()
        if not _tick(bench, function, at):
            break
        bench.run(200)
        assert not bench.pins.contactor, f"{function}: closed after a trip before bytecode {at}"
        assert "rcd_dc" in bench.faults, f"{function}: forgot a trip before bytecode {at}"
        at += 1
    assert at > 10, "the function was traced"


def test_without_a_trip_it_closes_in_the_tick_that_is_looked_at() -> None:
    assert _about_to_close().run(10).pins.contactor
