"""Two EVSEs on one board: the agent as a process, the firmware in MicroPython with the map of two fixed cables."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.library_csms import LibraryCsms, call
from tests.helpers.process import AgentProcess
from tests.helpers.wasm_board import WasmBoard

pytestmark = [pytest.mark.system, pytest.mark.wasm, pytest.mark.xdist_group("wasm")]

HAL = """
[hal]
driver = "board"
[hal.board]
port = "socket://127.0.0.1:{uart_port}"
pcb = "duo"
evses = 2
"""


class Station:
    def __init__(self, csms: LibraryCsms, board: WasmBoard, folder: Path) -> None:
        self.csms = csms
        self.board = board
        self.agent = AgentProcess(folder, csms.url, hal=HAL.format(uart_port=board.uart_port))

    async def evse_until(self, evse_id: int, **wanted: object) -> Any:
        def fits(status: Any) -> bool:
            evse = status["evses"][evse_id - 1]
            return all(evse[name] == value for name, value in wanted.items())

        return (await self.agent.status_until(fits))["evses"][evse_id - 1]

    async def start(self, evse_id: int) -> None:
        await self.board.ask(set={"connector": evse_id, "car": "B"})
        await self.evse_until(evse_id, pilot="B")
        request = call.RemoteStartTransaction(id_tag=f"TAG{evse_id}", connector_id=evse_id)
        assert (await self.csms.call(request)).status == "Accepted"
        await self.evse_until(evse_id, offered_current_a=32.0)
        await self.board.ask(set={"connector": evse_id, "car": "C"})
        await self.evse_until(evse_id, contactor="closed")

    async def closed(self) -> list[bool]:
        """Ask the electricity, not the agent."""
        return [connector["closed"] for connector in (await self.board.ask())["connectors"]]


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[Station]:
    board = WasmBoard("duo")
    try:
        async with LibraryCsms() as csms:
            await board.start()
            station = Station(csms, board, tmp_path)
            await station.agent.start()
            yield station
            await station.agent.stop()
    finally:
        await board.stop()


async def test_a_fault_at_one_evse_leaves_the_other_ones_transaction_alone(station: Station) -> None:
    for evse_id in (1, 2):
        await station.evse_until(evse_id, board_link=True, faults=[], is_locked=None)
        await station.start(evse_id)
    await station.csms.until(lambda seen: len(seen.of("StartTransaction")) == 2)
    assert [each["connector_id"] for each in station.csms.of("StartTransaction")] == [1, 2]
    assert await station.closed() == [True, True]

    await station.board.ask(set={"connector": 2, "leak": 1})
    evse = await station.evse_until(2, contactor="open")
    assert [fault["code"] for fault in evse["faults"]] == ["rcd_dc"]
    await asyncio.sleep(1)
    assert await station.closed() == [True, False]
    first = await station.evse_until(1, contactor="closed", faults=[])
    assert first["transaction"] is not None

    status = await station.agent.status()
    assert status["station"]["board_firmware"]
    reported = {
        payload["connector_id"]: (payload["status"], payload["error_code"])
        for name, payload in station.csms.calls
        if name == "StatusNotification"
    }
    assert reported[1] == ("Charging", "NoError")
    assert reported[2] == ("Faulted", "GroundFailure")
