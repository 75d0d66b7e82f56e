"""The loop of the board on a pretended `hw`: what comes before the first tick, and what when something raises."""

import asyncio
import importlib
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from board.limits import Limits
from tests.helpers.board_bench import BoardBench


class _Stop(Exception):
    """Ends the loop of the firmware."""


class _Pins(BoardBench):
    """`hw.BoardPins` on the bench's pins: one millisecond passes at each look at the clock."""

    def __init__(self, *, fails_at_ms: int, late_at_ms: int = -1) -> None:
        super().__init__(is_linked=False)
        self.problem = ""
        self.happened: list[str] = []
        self.tick_at: list[int] = []
        self._fails_at_ms = fails_at_ms
        self._late_at_ms = late_at_ms
        self.pins.limits = Limits()

    def now_ms_of_the_clock(self) -> int:
        self.now_ms += 1
        if self.now_ms == self._late_at_ms:
            self.now_ms += 200
        self.pins.move(self.now_ms)
        return self.now_ms

    def watch_trips(self, on_trip: object) -> None:
        self.happened.append("watch_trips")

    def start_watchdog(self) -> None:
        self.happened.append("start_watchdog")

    def after_tick(self, now_ms: int) -> None:
        self.happened.append("tick")
        self.tick_at.append(now_ms)
        if now_ms >= self._fails_at_ms:
            raise _Stop("~ the reason")

    def make_safe(self) -> None:
        self.happened.append("make_safe")


class _Port:
    def __init__(self) -> None:
        self.written = b""

    def read(self) -> bytes:
        return b""

    def write(self, octets: bytes) -> None:
        self.written += octets


class _Storage:
    def read(self) -> bytes:
        return b""

    def write(self, octets: bytes) -> None:
        raise AssertionError("nobody asked for that")


async def _no_time(_ms: int) -> None:
    return None


@contextmanager
def _main(pins: _Pins, port: _Port) -> Iterator[Any]:
    hw = types.ModuleType("board.hw")

    class BoardPins:
        """The bench's methods under the names of `hw.BoardPins`; its clock is a method there."""

        def __new__(cls, *_: object) -> Any:
            fake = mock.Mock(wraps=pins)
            fake.configure_mock(
                now_ms=pins.now_ms_of_the_clock,
                connectors=pins.connectors,
                problem=pins.problem,
                model="bench",
                unique_id="0",
                phases=3,
                outputs=pins.outputs,
                sensors=pins.sensors,
                serial_ports=[],
            )
            return fake

    vars(hw).update(
        BoardPins=BoardPins,
        open_port=lambda wiring: port,
        FileStorage=lambda name: _Storage(),
        reset_cause=lambda: 1,
        refuse_break_in=lambda: pins.happened.append("refuse_break_in"),
    )
    saved = {name: sys.modules.pop(name, None) for name in ("board.hw", "board.main")}
    sys.modules["board.hw"] = hw
    try:
        with (
            mock.patch.object(asyncio, "sleep_ms", _no_time, create=True),
            mock.patch.object(
                sys, "print_exception", lambda error, file: file.write(f"Traceback {error}"), create=True
            ),
            mock.patch("logging.basicConfig"),
        ):
            yield importlib.import_module("board.main")
    finally:
        for name, module in saved.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def _run(pins: _Pins, port: _Port, problem: str = "") -> BaseException | None:
    """The loop, until it raises; nothing in it ever waits."""
    wiring = types.SimpleNamespace(problem=problem, limits=[Limits()])
    pins.problem = problem
    with _main(pins, port) as main, mock.patch.object(main, "forget_maps"):
        try:
            main.run(1, wiring).send(None)
        except (_Stop, StopIteration) as error:
            return error
    return None


def test_whatever_raises_outputs_go_safe_and_the_host_reads_why() -> None:
    pins, port = _Pins(fails_at_ms=100), _Port()
    assert isinstance(_run(pins, port), _Stop), "the loop must not go on, or the watchdog would be fed"
    assert pins.happened[-1] == "make_safe"
    assert pins.happened.count("tick") == 11
    assert port.written == b"Traceback - the reason", "a `~` would look like a frame"


def test_interrupt_and_watchdog_are_set_before_the_first_tick() -> None:
    pins, port = _Pins(fails_at_ms=0), _Port()
    _run(pins, port)
    assert pins.happened == ["watch_trips", "refuse_break_in", "start_watchdog", "tick", "make_safe"]


def test_a_board_without_a_usable_map_says_so_and_starts_no_watchdog() -> None:
    pins, port = _Pins(fails_at_ms=5500), _Port()
    _run(pins, port, "no such map")
    assert "start_watchdog" not in pins.happened
    assert "refuse_break_in" not in pins.happened, "nothing is at stake, and somebody has to copy a map"
    assert port.written.count(b"no connector: no such map\r\n") == 2, "at once, and every 5 s"


def test_ticks_stand_on_a_grid_and_a_long_pause_is_not_made_up_for() -> None:
    pins, port = _Pins(fails_at_ms=400, late_at_ms=55), _Port()
    _run(pins, port)
    gaps = [after - before for before, after in zip(pins.tick_at, pins.tick_at[1:], strict=False)]
    late = [gap for gap in gaps if gap > 200]
    assert len(late) == 1
    assert {gap for gap in gaps[1:] if gap not in late} == {10}


@pytest.mark.parametrize("octets", [None, b"", b"\xff\xfe\x80", b"  \n"])
def test_a_pcb_txt_that_is_missing_or_no_text_names_no_map(
    octets: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if octets is not None:
        Path("pcb.txt").write_bytes(octets)
    with _main(_Pins(fails_at_ms=-1), _Port()) as main:
        wiring = main.find_wiring()
    assert wiring.problem == "no pin map is named: pcb.txt is missing or empty"
    assert wiring.connectors == ()
