"""How much work one tick is. An RP2040 does it every 10 ms, so what it costs is counted, never timed.

Counted are the firmware's lines and calls under CPython: about 8 us a line on an RP2040 (estimated, docs/board.md).
Memory is counted in real MicroPython: tests/contract/test_firmware_wasm.py.
"""

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import board
from tests.helpers.board_bench import BoardBench

MOST_LINES = 400
MOST_CALLS = 80
FIRMWARE = str(Path(board.__file__).parent)


class Work:
    def __init__(self) -> None:
        self.lines = 0
        self.calls = 0

    def trace(self, frame: FrameType, event: str, _arg: object) -> Any:
        if not frame.f_code.co_filename.startswith(FIRMWARE):
            return None
        if event == "call":
            self.calls += 1
        elif event == "line":
            self.lines += 1
        return self.trace


def work_of_a_tick(bench: BoardBench) -> Work:
    """The next tick in which nothing is reported; STATUS once a second costs more."""
    while True:
        sent = len(bench.sent)
        bench.now_ms += 10
        bench.pins.move(bench.now_ms)
        work = Work()
        before = sys.gettrace()
        sys.settrace(work.trace)
        try:
            bench.board.tick(bench.now_ms)
        finally:
            sys.settrace(before)
        if len(bench.sent) == sent:
            return work


def test_a_tick_of_a_charging_connector_is_within_its_budget() -> None:
    bench = BoardBench().charge()
    bench.acknowledge_events()
    work = work_of_a_tick(bench)
    assert 100 < work.lines <= MOST_LINES
    assert 20 < work.calls <= MOST_CALLS


def test_a_tick_of_an_idle_connector_is_within_its_budget() -> None:
    bench = BoardBench().run(1500)
    bench.acknowledge_events()
    work = work_of_a_tick(bench)
    assert 100 < work.lines <= MOST_LINES
    assert 20 < work.calls <= MOST_CALLS
