"""The agent as a process with the firmware in real MicroPython and a foreign Modbus meter; an independent CSMS."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.library_csms import LibraryCsms, call
from tests.helpers.process import AgentProcess
from tests.helpers.pymodbus_meter import PymodbusMeter
from tests.helpers.wasm_board import WasmBoard

pytestmark = [pytest.mark.system, pytest.mark.wasm, pytest.mark.xdist_group("wasm")]

HAL = """
[hal]
driver = "board"
[hal.board]
port = "socket://127.0.0.1:{uart_port}"
outputs = {{ fan = 0 }}
[[hal.meters]]
evse = 1
model = "sdm630"
port = "{meter_url}"
"""
EXTRA = """
[settings]
MeterValuesSampledData = "Energy.Active.Import.Register,Voltage"
[[vendor.commands]]
vendor_id = "com.example.site"
message_id = "SetFan"
action = "output.set"
fixed = { output = "fan" }
parameters = { on = "on" }
"""


class Station:
    """The agent, its board, its meter and its CSMS: four programs on three sockets."""

    def __init__(self, csms: LibraryCsms, board: WasmBoard, meter: PymodbusMeter, folder: Path) -> None:
        self.csms = csms
        self.board = board
        self.meter = meter
        hal = HAL.format(uart_port=board.uart_port, meter_url=meter.url)
        self.agent = AgentProcess(folder, csms.url, EXTRA, hal)

    async def evse_until(self, **wanted: object) -> Any:
        """The EVSE as the local API shows it, as soon as it fits."""

        def fits(status: Any) -> bool:
            return all(status["evses"][0][name] == value for name, value in wanted.items())

        return (await self.agent.status_until(fits))["evses"][0]

    async def contactor_is(self, closed: bool) -> None:
        """Ask the electricity, not the agent."""
        async with asyncio.timeout(10):
            while True:
                if (await self.board.ask())["closed"] is closed:
                    return
                await asyncio.sleep(0.02)

    async def reports(self, status: str, since: int = 0) -> dict[str, Any]:
        """The first StatusNotification of connector 1 with `status` after `since` calls."""
        found: list[dict[str, Any]] = []

        def is_there(seen: LibraryCsms) -> bool:
            found.extend(
                payload
                for name, payload in seen.calls[since:]
                if name == "StatusNotification"
                and (payload["connector_id"], payload["status"]) == (1, status)
            )
            return bool(found)

        await self.csms.until(is_there)
        return found[0]

    async def charge(self) -> None:
        """From plug-in to a closed contactor, by remote start: the board has no card reader."""
        await self.evse_until(board_link=True, faults=[])
        await self.board.ask(set={"car": "B"})
        await self.reports("Preparing")
        answer = await self.csms.call(call.RemoteStartTransaction(id_tag="TAG1", connector_id=1))
        assert answer.status == "Accepted"
        await self.csms.until(lambda seen: seen.of("StartTransaction"))
        await self.board.ask(set={"car": "C"})
        await self.contactor_is(True)
        await self.reports("Charging")

    async def trigger_meter_values(self) -> str:
        request = call.TriggerMessage(requested_message="MeterValues", connector_id=1)
        return str((await self.csms.call(request)).status)

    async def set_fan(self, on: bool) -> Any:
        command = call.DataTransfer("com.example.site", message_id="SetFan", data=json.dumps({"on": on}))
        return await self.csms.call(command)


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[Station]:
    board = WasmBoard()
    try:
        async with LibraryCsms() as csms, PymodbusMeter(energy_wh=47_125.0) as meter:
            await board.start()
            station = Station(csms, board, meter, tmp_path)
            await station.agent.start()
            yield station
            await station.agent.stop()
    finally:
        await board.stop()


@pytest.mark.req("R16-109", "R16-281", "R16-285", "R16-305")
async def test_a_transaction_on_the_real_firmware_and_a_foreign_meter(station: Station) -> None:
    csms, board, meter = station.csms, station.board, station.meter
    await station.reports("Available")
    assert csms.of("BootNotification")[0]["charge_point_model"] == "Wallbox 22"
    await station.charge()
    assert csms.of("StartTransaction")[0]["meter_start"] == 47_125
    assert (await station.evse_until(contactor="closed"))["is_locked"] is True
    assert "the board was reset" not in station.agent.log.read_text()

    meter.energy_wh += 1.0  # more at once would be implausible
    assert await station.trigger_meter_values() == "Accepted"
    await csms.until(lambda seen: seen.of("MeterValues"))
    values = csms.of("MeterValues")[0]
    sampled = {value["measurand"]: value for value in values["meter_value"][0]["sampled_value"]}
    assert values["transaction_id"] == 1
    assert float(sampled["Energy.Active.Import.Register"]["value"]) == 47_126
    assert float(sampled["Voltage"]["value"]) == 231.5
    assert {value["context"] for value in sampled.values()} == {"Trigger"}

    answer = await station.set_fan(True)
    assert (answer.status, json.loads(answer.data)["result"]) == ("Rejected", "not_allowed")

    meter.energy_wh += 1.0
    assert (await csms.call(call.RemoteStopTransaction(transaction_id=1))).status == "Accepted"
    await board.ask(set={"car": "B"})  # the offer ends, the EV lets go
    await csms.until(lambda seen: seen.of("StopTransaction"))
    await station.contactor_is(False)
    stop = csms.of("StopTransaction")[0]
    assert (stop["transaction_id"], stop["reason"], stop["meter_stop"]) == (1, "Remote", 47_127)
    await board.ask(set={"car": "A"})
    await station.evse_until(session="idle", contactor="open")

    await board.ask(log=True)
    for on in (True, False):
        assert (await station.set_fan(on)).status == "Accepted"
        assert (await station.agent.status())["outputs"] == {"fan": on}
    switched = (await board.ask(log=True))["log"]
    assert [level for _, role, level in switched if role == "fan"] == [1, 0]
    assert station.agent.process is not None
    assert await station.agent.stop() == 0


async def test_a_board_that_dies_in_a_transaction_is_a_fault_and_its_return_goes_on(station: Station) -> None:
    csms, board = station.csms, station.board
    await station.charge()
    mark = len(csms.calls)
    await board.stop()
    fault = await station.reports("Faulted", mark)
    assert fault["error_code"] == "InternalError"
    evse = await station.evse_until(board_link=False)
    assert [fault["code"] for fault in evse["faults"]] == ["board_comm"]
    assert evse["offered_current_a"] == 0.0
    assert evse["transaction"] is not None

    mark = len(csms.calls)
    await board.start(car="C")
    await station.evse_until(board_link=True, faults=[])
    await station.contactor_is(True)
    await station.reports("Charging", mark)
    await station.agent.logged(
        "the board was reset: power"
    )  # an event of the board, repeated until acknowledged
    assert (len(csms.of("StartTransaction")), csms.of("StopTransaction")) == (1, [])


@pytest.mark.req("R16-285")
async def test_a_silent_meter_rejects_the_trigger_until_it_answers_again(station: Station) -> None:
    await station.evse_until(board_link=True, faults=[])
    station.meter.is_silent = True
    assert await station.trigger_meter_values() == "Rejected"
    assert station.csms.of("MeterValues") == []
    station.meter.is_silent = False
    status = "Rejected"
    async with asyncio.timeout(15):
        while status == "Rejected":
            status = await station.trigger_meter_values()
    assert status == "Accepted"
    await station.csms.until(lambda seen: seen.of("MeterValues"))
