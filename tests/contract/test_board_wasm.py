"""The board contract on the firmware in real MicroPython, in real time; and what only that can show."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from board import wire
from hal.bus.serial_port import LineSettings, SerialPort
from tests.contract.board_contract import *  # noqa: F403
from tests.helpers.board_client import BoardClient
from tests.helpers.board_rigs import WasmRig
from tests.helpers.wasm_board import WATCHDOG_CAUSE, WasmBoard

pytestmark = [pytest.mark.wasm, pytest.mark.real_time, pytest.mark.xdist_group("wasm")]


@pytest.fixture
async def rig() -> AsyncIterator[WasmRig]:
    rig = WasmRig()
    try:
        await rig.start()
        yield rig
    finally:
        await rig.stop()


HEAP_LIMIT = 112 * 1024


async def live_heap(board: WasmBoard) -> int:
    """What is in use. In this MicroPython a collection waits until no Python runs, so that it takes two requests."""
    await board.ask(python="import gc\ngc.collect()")
    reply = await board.ask(python="import gc\nallocated = gc.mem_alloc()", value="allocated")
    return int(reply["value"])


async def test_heap_stays_in_its_budget_after_1000_cycles(client: BoardClient, rig: WasmRig) -> None:
    """A cycle: setpoint in, the car goes to its next state, status and events out. The board has seen every one."""
    for cycle in range(1000):
        state = "BCBA"[cycle % 4]
        client.permit(6 + cycle % 26, lease_ms=5000)
        await rig.car(state)
        await client.until(lambda status, state=state: wire.PILOT_NAMES[status.pilot] == state)  # type: ignore[misc]
    assert 0 < await live_heap(rig.board) < HEAP_LIMIT
    seen = {event.event_seq for event in client.events if event.kind == wire.EVENT_PILOT}
    assert len(seen) == 1000
    assert client.faults == []


async def test_a_hung_firmware_is_killed_by_the_watchdog(client: BoardClient, rig: WasmRig) -> None:
    with pytest.raises(RuntimeError, match="the board is gone"):
        await rig.board.ask(python="while True: pass")
    assert await rig.board.wait() == -signal.SIGKILL


async def test_an_exception_in_the_firmware_reaches_the_host_as_text_and_opens(
    client: BoardClient, rig: WasmRig
) -> None:
    await rig.board.ask(python="from board.app import Board\nBoard.tick = None")
    await asyncio.wait_for(rig.board.wait(), 5)
    assert any(b"TypeError" in line for line in client.console), client.console


async def test_a_restart_tells_its_cause() -> None:
    board = WasmBoard()
    try:
        await board.start(cause=WATCHDOG_CAUSE)
        stream = SerialPort(f"socket://127.0.0.1:{board.uart_port}", LineSettings(115200))
        client = BoardClient(stream)
        await client.open()
        assert client.hello["reset_cause"] == wire.RESET_WATCHDOG
        client.close()
    finally:
        await board.stop()
