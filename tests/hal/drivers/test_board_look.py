"""A look at a board: what it sees of our firmware and of everything else, and that it moves nothing."""

import asyncio

import pytest

from board import wire
from hal.bus.serial_port import SerialPort
from hal.commissioning import packaged_firmware
from hal.drivers.board_look import Answer, look
from hal.errors import DeviceMissing
from hal.ports import FaultCode
from hal.sim.firmware import SimulatedBoard
from hal.sim.world import World
from tests.helpers.links import MemoryLine
from tests.helpers.wasm_board import WasmBoard
from tests.helpers.wire_board import WireBoard


async def test_our_firmware_says_what_it_is_and_how_each_connector_stands() -> None:
    world = World(evses=2, loop=asyncio.get_running_loop())
    board = SimulatedBoard(world)
    world.set_fault(2, "emergency_stop")
    await asyncio.sleep(3)
    seen = await look(board.line, "1.0")
    board.close()
    world.close()
    assert seen.answer is Answer.FIRMWARE
    assert seen.facts is not None
    assert (seen.facts.firmware, seen.facts.hardware) == (packaged_firmware(), "simulated")
    assert (seen.facts.connectors, seen.facts.reset_cause) == (2, "power")
    assert list(seen.states) == [1, 2]
    assert 11_400 <= seen.states[1].pilot_high_mv <= 12_600
    assert (seen.states[1].faults, seen.states[2].faults) == (frozenset(), {FaultCode.EMERGENCY_STOP})
    assert (seen.untested, seen.pings_lost, seen.bad_lines) == (frozenset(), 0, 0)


async def test_a_look_sends_hello_and_pings_and_nothing_else() -> None:
    board = WireBoard()
    board.answers[wire.PING] = wire.pack_ping_reply(0, 0)
    looking = asyncio.create_task(look(board.line, "1.0"))
    await asyncio.sleep(0.1)
    board.say_event(wire.EVENT_RESET, wire.RESET_WATCHDOG)
    board.say_status(1)
    seen = await looking
    assert {heard.message_type for heard in board.heard} == {wire.HELLO, wire.PING}, (
        "no setpoint, no EVENT_ACK"
    )
    assert not board.line.is_open
    assert list(seen.states) == [1]


async def test_questions_that_get_lost_are_counted() -> None:
    board = WireBoard()
    looking = asyncio.create_task(look(board.line, "1.0"))
    await asyncio.sleep(0.1)
    board.say_status(1, warnings=wire.WARN_SELF_TEST_DUE)
    board.line.send(b"~half a frame\n")
    seen = await looking
    assert (seen.pings_lost, seen.bad_lines, seen.untested) == (20, 1, {1})


async def test_a_connector_that_says_nothing_is_left_out() -> None:
    board = WireBoard(connectors=2)
    board.answers[wire.PING] = wire.pack_ping_reply(0, 0)
    looking = asyncio.create_task(look(board.line, "1.0"))
    await asyncio.sleep(0.1)
    board.say_status(2)
    seen = await looking
    assert seen.facts is not None
    assert (seen.facts.connectors, list(seen.states)) == (2, [2])


async def test_another_protocol_or_a_senseless_hello_is_incompatible() -> None:
    board = WireBoard()
    board.protocol = [wire.PROTOCOL_MAJOR + 1, 0]
    seen = await look(board.line, "1.0")
    assert seen.answer is Answer.INCOMPATIBLE
    assert f"ours is {wire.PROTOCOL_MAJOR}.x" in seen.detail
    board.protocol, board.capabilities = [wire.PROTOCOL_MAJOR, 0], "none"
    assert (await look(board.line, "1.0")).answer is Answer.INCOMPATIBLE


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"", Answer.SILENCE),
        (b"\r\n>>> ", Answer.PROMPT),
        (b"\x01\x83\x02\xc0\xf1", Answer.NOISE),
        (b"\n", Answer.SILENCE),
    ],
)
async def test_what_is_no_board_of_ours_is_told_apart(said: bytes, answer: Answer) -> None:
    line = MemoryLine(lambda octets: None)
    line.device = lambda octets: line.send(said)
    assert (await look(line, "1.0")).answer is answer


async def test_a_plug_that_is_pulled_out_is_missing() -> None:
    world = World(evses=1, loop=asyncio.get_running_loop())
    board = SimulatedBoard(world)
    looking = asyncio.create_task(look(board.line, "1.0"))
    await asyncio.sleep(0)
    board.line.unplug()
    with pytest.raises(DeviceMissing):
        await looking
    with pytest.raises(DeviceMissing):
        await look(board.line, "1.0")
    board.close()
    world.close()


@pytest.mark.wasm
async def test_the_firmware_in_real_micropython() -> None:
    board = WasmBoard()
    await board.start()
    try:
        seen = await look(SerialPort(f"socket://127.0.0.1:{board.uart_port}"), "1.0")
    finally:
        await board.stop()
    assert seen.answer is Answer.FIRMWARE
    assert seen.facts is not None
    assert seen.facts.firmware == packaged_firmware()
    assert (len(seen.states), seen.pings_lost) == (seen.facts.connectors, 0)
