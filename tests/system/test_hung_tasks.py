"""A task of the OCPP side that hangs is restarted by its supervisor, while charging goes on. Agent on virtual time."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hal.ports import ContactorState
from tests.helpers.bench import Bench

SAMPLES = """
[settings]
MeterValueSampleInterval = 10
"""


async def charge(bench: Bench) -> None:
    await bench.until(lambda: bench.agent.conversation.is_online)
    bench.plug_in()
    bench.tap("TAG1")
    await bench.until(lambda: len(bench.sent("MeterValues")) >= 2)


def assert_charging_went_on(bench: Bench, register_wh: float) -> None:
    evse = bench.evse()
    assert evse.hardware.contactor is ContactorState.CLOSED
    assert evse.transaction is not None
    assert evse.reading is not None
    assert evse.reading.energy_import_wh is not None
    assert evse.reading.energy_import_wh > register_wh
    assert bench.sent("StopTransaction") == []
    assert len(bench.sent("StartTransaction")) == 1


def register_of(bench: Bench) -> float:
    reading = bench.evse().reading
    assert reading is not None
    assert reading.energy_import_wh is not None
    return reading.energy_import_wh


async def test_a_hung_pump_is_restarted_and_delivers_what_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Bench(tmp_path, SAMPLES) as bench:
        await charge(bench)
        real_confirm = bench.agent.journal.confirm
        hangs = 0

        async def confirm(*args: Any) -> Any:
            nonlocal hangs
            if hangs == 0:
                hangs += 1
                await asyncio.get_running_loop().create_future()
            return await real_confirm(*args)

        monkeypatch.setattr(bench.agent.journal, "confirm", confirm)
        before_wh, told = register_of(bench), len(bench.sent("MeterValues"))
        await bench.run_for(seconds=60)
        assert hangs == 1
        assert len(bench.sent("MeterValues")) == told + 1  # nothing is delivered behind the row that hangs
        await bench.run_for(seconds=60)
        assert bench.agent.supervisor.crashes() == {"conversation": 1}
        assert_charging_went_on(bench, before_wh)
        await bench.until(lambda: bench.agent.conversation.is_online)
        await bench.run_for(seconds=60)
        assert await bench.agent.journal.depth() <= 1
        assert len(bench.sent("MeterValues")) >= told + 15
        assert_charging_went_on(bench, before_wh)


async def test_a_lost_wake_up_of_the_sender_is_noticed(tmp_path: Path) -> None:
    async with Bench(tmp_path, SAMPLES) as bench:
        await charge(bench)
        before_wh = register_of(bench)
        caller = bench.agent.conversation._caller
        real_pump, caller.pump = caller.pump, lambda: None  # type: ignore[method-assign]
        await bench.until(bench.agent.supervisor.crashes, minutes=2)
        caller.pump = real_pump  # type: ignore[method-assign]
        await bench.run_for(seconds=60)
        assert bench.agent.supervisor.crashes() == {"conversation": 1}
        assert bench.agent.conversation.is_online
        assert_charging_went_on(bench, before_wh)


async def test_a_hung_link_is_restarted_and_connects_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Bench(tmp_path, SAMPLES) as bench:
        await charge(bench)
        link = bench.agent.link
        real_dial = link._dial
        hangs = 0

        async def dial(*args: Any) -> Any:
            nonlocal hangs
            if hangs == 0:
                hangs += 1
                await asyncio.get_running_loop().create_future()
            return await real_dial(*args)

        monkeypatch.setattr(link, "_dial", dial)
        before_wh = register_of(bench)
        link.reconnect("a test")
        await bench.run_for(minutes=3)
        assert hangs == 1
        assert bench.agent.supervisor.crashes() == {"link": 1}
        assert bench.agent.conversation.is_online
        assert await bench.agent.journal.depth() <= 1
        assert_charging_went_on(bench, before_wh)


async def test_hours_of_quiet_and_hours_without_a_csms_are_no_hang(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await bench.until(lambda: bench.agent.conversation.is_online)
        await bench.run_for(minutes=300)
        await bench.csms.stop_listening()
        bench.csms.close()
        await bench.run_for(minutes=300)
        assert bench.agent.supervisor.crashes() == {}
