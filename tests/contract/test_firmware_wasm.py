"""What only real MicroPython can show of the firmware: its memory, its interrupts, its files, a board without a map."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import board
from board import wire
from hal.bus.serial_port import LineSettings, SerialPort
from tests.helpers.board_client import BoardClient
from tests.helpers.wasm_board import RESET_EXIT_CODE, WasmBoard

pytestmark = [pytest.mark.wasm, pytest.mark.real_time, pytest.mark.xdist_group("wasm")]

HEAP_BYTES = 192 * 1024
"""What an RP2040 has to offer, less than the 244 kB that MicroPython leaves there."""


@pytest.fixture
async def wasm() -> AsyncIterator[WasmBoard]:
    wasm = WasmBoard()
    try:
        yield await wasm.start()
    finally:
        await wasm.stop()


async def _open(wasm: WasmBoard) -> BoardClient:
    client = BoardClient(SerialPort(f"socket://127.0.0.1:{wasm.uart_port}", LineSettings(115200)))
    await client.open()
    return client


STILL_PINS = """
from board.connector import Connector
from board.limits import Limits
from board import wire
import _electricity, gc, micropython

class StillPins:
    has_lock = has_rcd_test = can_wake = True
    def __init__(self):
        self.limits = Limits()
        self.high_mv = self.low_mv = 12000
        self.closed = self.tested = self.locked = False
        self.measured = [160, 160, 160]
    def sample(self): return True
    def set_pilot(self, duty): self.low_mv = self.high_mv if duty == wire.DUTY_OFF else -12000
    def set_contactor(self, closed): self.closed = closed
    def is_closed(self): return self.closed
    def rcd_trips(self): return 1 if self.tested else 0
    def set_rcd_test(self, on): self.tested = on
    def residual(self): return 0
    def proximity_ohm(self): return 220
    def drive_lock(self, direction): self.locked = direction == 1 if direction else self.locked
    def is_locked(self): return self.locked
    def temperature(self): return 250
    def inputs(self): return 0
    def currents(self): return self.measured
    def set_ventilation(self, on): pass
    def set_phases(self, three): pass
    def phases_closed(self): return -1
    def outlet(self): return 1
    def show(self, pattern): pass

pins = StillPins()
connector = Connector(1, pins, 3, lambda *event: None)
now = 0

def run(ticks):
    global now
    # The firmware itself stands still meanwhile: on a busy machine its watchdog would end this.
    _electricity.feed_watchdog()
    while ticks:
        ticks -= 1
        now += 10
        connector.tick(now)

run(300)
connector.apply(now, wire.Setpoint(1, wire.AVAILABLE | wire.ALLOW_POWER, 160, 120000, 0))
pins.high_mv = pins.low_mv = 8980
run(100)
pins.high_mv = 5990
run(100)
charges = pins.closed
gc.disable()
before = gc.mem_alloc()
run(500)
allocated = gc.mem_alloc() - before
gc.enable()
result = [charges, allocated]
import json
result = json.dumps(result)
"""


async def test_the_tick_of_a_charging_connector_allocates_nothing(wasm: WasmBoard) -> None:
    reply = await wasm.ask(python=STILL_PINS, value="result")
    assert reply["value"] == "[true, 0]"


INTERRUPT = """
import micropython
from board.connector import Connector
locked = ""
connector.on_rcd_interrupt(now, 1)
micropython.heap_lock()
try:
    connector.on_rcd_interrupt(now, 1)
except MemoryError as error:
    locked = "it allocates"
micropython.heap_unlock()
result = "%s %s" % (locked, pins.closed)
"""


async def test_the_residual_current_interrupt_allocates_nothing(wasm: WasmBoard) -> None:
    """It runs in the interrupt itself, where a collection may be under way."""
    reply = await wasm.ask(python=STILL_PINS + INTERRUPT, value="result")
    assert reply["value"] == " False"


async def test_the_firmware_starts_from_its_sources_within_the_heap_of_an_rp2040(wasm: WasmBoard) -> None:
    """Compiling takes more than running. The heap of this MicroPython grows when it has to."""
    reply = await wasm.ask(python="import micropython\nmicropython.mem_info()")
    total = int(reply["printed"][1].split("total: ")[1].split(",")[0])
    assert total <= HEAP_BYTES


async def test_the_compiled_plateaus_are_the_plain_ones_in_micropython_too(wasm: WasmBoard) -> None:
    """The RP2040's twin without its decorator: this MicroPython has no compiler to machine code."""
    source = (Path(board.__file__).parent / "hw_rp2.py").read_text()
    begin, end = source.index("@micropython.viper"), source.index("class PilotCapture")
    twin = source[begin:end].split("\n", 1)[1]
    python = f"""
from array import array
from board import analog
_RING, _APART, _NEAR, _FEWEST = 1024, 273, 27, 3
ptr16 = lambda place: place
{twin}
waves = []
for high, low, width in ((3686, 410, 25), (2866, 410, 266), (2457, 2457, 500), (410, 410, 0), (2866, 1230, 480)):
    samples = array("H", [high if index % 500 < width else low for index in range(_RING)])
    for step in (1, 2):
        for first in range(step):
            one, other = array("H", [0, 0]), array("H", [0, 0])
            analog.plateaus(samples, first, step, one)
            plateaus(samples, first, step, other)
            waves.append(list(one) == list(other) == [high if width else low, low])
result = "%d of %d" % (sum(waves), len(waves))
"""
    assert (await wasm.ask(python=python, value="result"))["value"] == "15 of 15"


@pytest.mark.parametrize(
    ("pcb", "problem"),
    [
        ("", "no pin map is named: pcb.txt is missing or empty"),
        ("prototype7", "no pin map is called 'prototype7'"),
    ],
)
async def test_a_board_without_a_pin_map_touches_no_pin_and_says_why(pcb: str, problem: str) -> None:
    wasm = WasmBoard(pcb)
    try:
        client = await _open(await wasm.start())
        assert (client.hello["connectors"], client.hello["problem"]) == (0, problem)
        assert client.hello["fw"]
        uart_pins = {0, 1}
        assert set((await wasm.ask())["touched"]) <= uart_pins
        reply_type, reply = await client.exchange(wire.SETPOINT, wire.Setpoint(1).pack())
        assert (reply_type, wire.unpack_nak(reply)[1]) == (wire.NAK, wire.NAK_VALUE)
        for _ in range(0 if pcb else 50):  # said again and again, for whoever looks at the console
            if client.console:
                break
            await asyncio.sleep(0.1)
        assert pcb or problem.encode() in client.console[0]
        assert await client.ask(wire.REBOOT, wire.pack_reboot(wire.REBOOT_RESET)) == b""
        client.close()
        assert await asyncio.wait_for(wasm.wait(), 5) == RESET_EXIT_CODE
    finally:
        await wasm.stop()


async def test_what_is_set_survives_the_restart_and_a_torn_file_does_not(tmp_path: Path) -> None:
    flash = tmp_path / "config.json"
    wasm = WasmBoard(flash=flash)
    try:
        client = await _open(await wasm.start())
        plain_hash = client.hello["cfg_hash"]
        await client.until_tested()
        assert await _configure(client, op="set", c=1, values={"max_da": 160}) == {"ok": True}
        assert await _configure(client, op="commit") == {"ok": True}
        client.close()
        assert await asyncio.wait_for(wasm.wait(), 5) == RESET_EXIT_CODE
        await wasm.stop()

        client = await _open(await wasm.start())
        assert client.hello["caps"]["max_a"] == 16
        assert (await _configure(client, op="get"))["values"]["max_da"] == 160
        assert client.hello["cfg_hash"] != plain_hash
        client.close()
        await wasm.stop()

        flash.write_bytes(flash.read_bytes()[:-3])
        client = await _open(await wasm.start())
        assert client.hello["cfg_hash"] == plain_hash
        await client.until_tested()
        assert any(event.kind == wire.EVENT_CONFIG for event in client.events)
        client.close()
    finally:
        await wasm.stop()


async def _configure(client: BoardClient, **request: Any) -> dict[str, Any]:
    return wire.unpack_json(await client.ask(wire.CONFIG, wire.pack_json(request)))


async def test_the_chips_heat_reaches_the_host(wasm: WasmBoard) -> None:
    client = await _open(wasm)
    await wasm.ask(set={"temperature": 80})
    status = await client.until(lambda status: status.temperature > 780, 5)
    assert abs(status.temperature - 800) <= 10
    assert client.faults == ["temp_warn"]
    client.close()


async def test_a_serial_port_of_the_board_is_carried_both_ways(wasm: WasmBoard) -> None:
    client = await _open(wasm)
    assert client.hello["caps"]["serial"] == ["reader"]
    client.send(wire.SERIAL_OUT, wire.pack_serial(0, b"who are you"))
    await client.ask(wire.PING, wire.pack_ping(1))
    assert bytes((await wasm.ask())["serial_sent"]) == b"who are you"
    client.close()
