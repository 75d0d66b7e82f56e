"""Entry point on the board: `/main.py` starts the safety tick and serves the host.

One loop and no other task: read the host, tick every 10 ms, collect garbage once a second. If anything raises,
outputs go to the safe side, the traceback goes to the host as text, and the unfed watchdog restarts the board.
"""

import asyncio
import gc
import io
import logging
import sys

from board import hw
from board.app import TICK_MS, Board

_LATE_MS = 50
_COLLECT_TICKS = 100


class _Console:
    """Log lines as text on the host link. A `~` would look like a frame."""

    def __init__(self, port: "hw.UartPort | hw.UsbPort") -> None:
        self._port = port

    def write(self, text: str) -> None:
        self._port.write(text.replace("~", "-").encode())


async def run() -> None:
    """Serve for ever; returns only by an exception, with outputs safe."""
    board_pins = hw.BoardPins()
    port = hw.open_port()
    console = _Console(port)
    logging.basicConfig(level=logging.INFO, stream=console, format="%(levelname)s %(name)s %(message)s")
    board = Board(board_pins, port.write, hw.reset_cause())
    board_pins.watch_trips(board.on_rcd_interrupt)
    board_pins.start_watchdog()
    try:
        await _serve(board, board_pins, port)
    except Exception as error:
        trace = io.StringIO()
        sys.print_exception(error, trace)  # type: ignore[attr-defined]
        console.write(trace.getvalue())
        raise
    finally:
        board_pins.make_safe()


async def _serve(board: Board, board_pins: "hw.BoardPins", port: "hw.UartPort | hw.UsbPort") -> None:
    next_ms = board_pins.now_ms()
    until_collect = _COLLECT_TICKS
    while True:
        chunk = port.read()
        now_ms = board_pins.now_ms()
        if chunk:
            board.receive(chunk, now_ms)
        if now_ms >= next_ms:
            next_ms = next_ms + TICK_MS if now_ms - next_ms < _LATE_MS else now_ms + TICK_MS
            board.tick(now_ms)
            board_pins.render(now_ms)
            until_collect -= 1
            if not until_collect:
                until_collect = _COLLECT_TICKS
                gc.collect()
        await asyncio.sleep_ms(1)  # type: ignore[attr-defined]


if __name__ == "__main__":
    # Two seconds in which `mpremote` can break in before the watchdog runs.
    asyncio.run(asyncio.sleep(2))
    asyncio.run(run())
