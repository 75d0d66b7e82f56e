"""Setting a board's limits through its port: what it takes, what it refuses, and that it restarts to obey."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import pytest

from hal.drivers.board_evse import BoardEvse, IoBoard
from hal.drivers.board_link import BoardLink
from hal.drivers.board_settings import read_limits
from hal.errors import DeviceFault, DeviceMissing, DeviceProtocolError
from hal.ports import FaultCode, Setpoint
from hal.sim.firmware import SimulatedBoard
from hal.sim.world import World


class Bench:
    def __init__(self) -> None:
        self.world = World(evses=2)
        self.board = SimulatedBoard(self.world)
        self.link = BoardLink(self.board.line, "1.2.3")
        self.evses = [BoardEvse(self.link, number, 80.0, self.world.loop.time()) for number in (1, 2)]
        self.io = IoBoard(self.link)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    task = asyncio.create_task(bench.link.run())
    for evse in bench.evses:
        evse.apply(Setpoint())
    await asyncio.sleep(5)
    yield bench
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    bench.board.close()
    bench.world.close()


async def test_a_written_limit_holds_after_the_boards_restart(bench: Bench) -> None:
    before = await bench.io.read_config(1)
    assert before.values == before.allowed
    assert bench.evses[0].capabilities.max_current_a == 32.0
    await bench.io.write_config({1: {"max_da": 160, "wake_after_s": 90}})
    await asyncio.sleep(3)
    after = await bench.io.read_config(1)
    assert (after.values["max_da"], after.values["wake_after_s"]) == (160, 90)
    assert after.allowed == before.allowed
    assert after.hash != before.hash
    assert bench.evses[0].capabilities.max_current_a == 16.0, "HELLO was said again"
    assert bench.io.facts is not None
    assert (bench.io.facts.config_hash, bench.io.facts.reset_cause) == (after.hash, "soft")
    assert (await bench.io.read_config(2)).values == before.values


async def test_a_second_change_keeps_the_first(bench: Bench) -> None:
    await bench.io.write_config({1: {"max_da": 160}})
    await asyncio.sleep(3)
    await bench.io.write_config({1: {"wake_after_s": 90}, 2: {"max_da": 100}})
    await asyncio.sleep(3)
    assert (await bench.io.read_config(1)).values["max_da"] == 160
    assert (await bench.io.read_config(2)).values["max_da"] == 100


async def test_reset_is_back_to_the_circuit(bench: Bench) -> None:
    await bench.io.write_config({1: {"max_da": 160}})
    await asyncio.sleep(3)
    await bench.io.reset_config()
    await asyncio.sleep(3)
    limits = await bench.io.read_config(1)
    assert limits.values == limits.allowed


async def test_one_bad_value_leaves_everything_as_it_was(bench: Bench) -> None:
    with pytest.raises(DeviceFault, match="max_da must be 60 to 320") as refusal:
        await bench.io.write_config({1: {"wake_after_s": 90}, 2: {"max_da": 400}})
    assert refusal.value.code == "bad_args"
    await asyncio.sleep(3)
    limits = await bench.io.read_config(1)
    assert limits.values == limits.allowed
    assert bench.board.flash.octets == b""


async def test_nothing_is_written_while_a_car_is_there(bench: Bench) -> None:
    bench.world.plug(2)
    await asyncio.sleep(2)
    with pytest.raises(DeviceFault) as refusal:
        await bench.io.write_config({1: {"max_da": 160}})
    assert refusal.value.code == "not_allowed"
    assert bench.board.flash.octets == b""


async def test_a_connector_that_is_not_there_has_no_limits(bench: Bench) -> None:
    with pytest.raises(DeviceFault) as refusal:
        await bench.io.read_config(3)
    assert refusal.value.code == "bad_args"


async def test_without_a_link_the_device_is_missing(bench: Bench) -> None:
    bench.board.line.unplug()
    await asyncio.sleep(1)
    with pytest.raises(DeviceMissing):
        await bench.io.read_config(1)


@pytest.mark.parametrize("answer", [b"{", b'{"ok":true}', b'{"ok":true,"values":{"a":"b"},"hash":""}'])
async def test_an_answer_that_makes_no_sense_is_the_boards_mistake(answer: bytes) -> None:
    async def ask(_request: bytes) -> bytes:
        return answer

    with pytest.raises(DeviceProtocolError):
        await read_limits(ask, 1)


async def test_damaged_settings_are_in_the_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.board.flash.octets = b"half a fi"
    with caplog.at_level(logging.ERROR, "hal.board"):
        bench.board.reset()
        await asyncio.sleep(3)
    assert "what was set on it is damaged" in caplog.text


async def test_a_board_without_a_map_says_why_in_the_fault(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = "no pin map is named: pcb.txt is missing or empty"
    monkeypatch.setattr(SimulatedBoard, "problem", problem)
    monkeypatch.setattr(bench.world, "evses", {})
    details: list[str] = []
    bench.evses[0].subscribe(
        lambda event: details.append(event.detail) if event.fault is FaultCode.FIRMWARE_INCOMPATIBLE else None
    )
    bench.board.reset()
    await asyncio.sleep(5)
    assert f"the board has 0 connectors, none for EVSE 1: {problem}" in details
