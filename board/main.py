"""Entry point on the board: `/main.py` starts the safety tick and serves the host.

One loop and no other task: read the host, tick every 10 ms, collect garbage once a second. If anything raises,
outputs go to the safe side, the traceback goes to the host as text, and the unfed watchdog restarts the board.
`pcb.txt` names the pin map; without a map that can be used no pin is touched: the board says HELLO with no connector
and why, and says it as console text every 3 s. What the installer has set stands in `config.json` (board/config.py).
"""

import asyncio
import gc
import io
import logging
import sys

from board import hw
from board.app import TICK_MS, Board
from board.config import Config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from board.wiring import Wiring

_LATE_MS = 50
_COLLECT_TICKS = 100
_COMPLAIN_TICKS = 300


class _Console:
    """Log lines as text on the host link. A `~` would look like a frame."""

    def __init__(self, port: "hw.UartPort | hw.UsbPort") -> None:
        self._port = port

    def write(self, text: str) -> None:
        self._port.write(text.replace("~", "-").encode())


def find_wiring() -> "Wiring":
    """The pin map that `pcb.txt` names, or an empty one that says what is wrong."""
    from board import pins
    from board.wiring import Wiring

    try:
        with open("pcb.txt") as file:
            name = file.read().strip()
    except (OSError, ValueError):  # none, or no text
        name = ""
    try:
        return pins.load(name)
    except ValueError as error:
        return Wiring("none", None, str(error))


def forget_maps() -> None:
    """The pins are objects now: 8 kB of maps and their checks can go."""
    package = sys.modules["board"]
    for name in list(sys.modules):
        if name == "board.wiring" or name.startswith("board.pins"):
            del sys.modules[name]
    for name in ("wiring", "pins"):
        if hasattr(package, name):
            delattr(package, name)


async def run(reset_cause: int, wiring: "Wiring") -> None:
    """Serve for ever; returns only by an exception, with outputs safe."""
    config = Config(hw.FileStorage("config.json"), wiring.limits)
    board_pins = hw.BoardPins(wiring, config.limits)
    port = hw.open_port(wiring)
    console = _Console(port)
    logging.basicConfig(level=logging.INFO, stream=console, format="%(levelname)s %(name)s %(message)s")
    board = Board(board_pins, port.write, reset_cause, config)
    board_pins.watch_trips(board.on_rcd_interrupt)
    if not wiring.problem:
        hw.refuse_break_in()
        board_pins.start_watchdog()
    del wiring
    forget_maps()
    try:
        await _serve(board, board_pins, port, console)
    except Exception as error:
        trace = io.StringIO()
        sys.print_exception(error, trace)  # type: ignore[attr-defined]
        console.write(trace.getvalue())
        raise
    finally:
        board_pins.make_safe()


async def _serve(
    board: Board, board_pins: "hw.BoardPins", port: "hw.UartPort | hw.UsbPort", console: _Console
) -> None:
    next_ms = board_pins.now_ms()
    until_collect = _COLLECT_TICKS
    until_complaint = 1
    while True:
        chunk = port.read()
        now_ms = board_pins.now_ms()
        if chunk:
            board.receive(chunk, now_ms)
        if now_ms >= next_ms:
            if now_ms - next_ms >= TICK_MS:
                board.late_ticks += 1
            next_ms = next_ms + TICK_MS if now_ms - next_ms < _LATE_MS else now_ms + TICK_MS
            board.tick(now_ms)
            board_pins.after_tick(now_ms)
            until_collect -= 1
            if not until_collect:
                until_collect = _COLLECT_TICKS
                gc.collect()
            if board_pins.problem:
                until_complaint -= 1
                if not until_complaint:
                    until_complaint = _COMPLAIN_TICKS
                    console.write("no connector: %s\r\n" % board_pins.problem)
        await asyncio.sleep_ms(1)  # type: ignore[attr-defined]


if __name__ == "__main__":
    cause = hw.reset_cause()
    # Two seconds in which `mpremote` can break in; then the watchdog runs, and Ctrl-C is a byte like any other.
    asyncio.run(asyncio.sleep(2))
    asyncio.run(run(cause, find_wiring()))
