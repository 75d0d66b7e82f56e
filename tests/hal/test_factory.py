"""[hal] configuration to drivers: claims with both owners, lazy imports, and hardware that works."""

import asyncio
import contextlib
import os
import pty
import subprocess
import sys
import tty
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from board import wire
from hal.errors import DeviceTimeout, OutOfRange
from hal.factory import (
    BoardConfig,
    HalConfig,
    MeterConfig,
    OpenedHardware,
    SimConfig,
    open_hardware,
    problems,
)
from hal.ports import ContactorState, Setpoint


@contextlib.asynccontextmanager
async def opened(config: HalConfig) -> AsyncIterator[OpenedHardware]:
    opened = open_hardware(config, asyncio.get_running_loop())
    tasks = [asyncio.create_task(run(), name=name) for name, run in opened.tasks]
    try:
        yield opened
    finally:
        await opened.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def meter(**changes: object) -> MeterConfig:
    settings: dict[str, object] = {"evse": 1, "model": "sdm630", "port": "/dev/ttyUSB1"}
    return MeterConfig(**(settings | changes))  # type: ignore[arg-type]


def on_board(*meters: MeterConfig, **board: object) -> HalConfig:
    settings: dict[str, object] = {"port": "/dev/ttyACM0", "evses": 4}
    return HalConfig(driver="board", board=BoardConfig(**(settings | board)), meters=meters)  # type: ignore[arg-type]


# ---- claims


def test_a_sound_configuration_has_no_problems() -> None:
    assert problems(HalConfig()) == []
    assert (
        problems(
            on_board(
                meter(),
                meter(evse=2, unit=2),
                meter(evse=3, model="em340", port="socket://127.0.0.1:7000"),
                meter(evse=0, unit=9),
                outputs={"fan": 0, "light": 1},
            )
        )
        == []
    )


@pytest.mark.parametrize(
    ("config", "wanted", "owners"),
    [
        (on_board(meter(), meter(evse=2)), "on port /dev/ttyUSB1, unit 1", ["meter 1", "meter 2"]),
        (on_board(meter(), meter(unit=2)), "meter's place of EVSE 1", ["meter 1", "meter 2"]),
        (on_board(meter(port="/dev/ttyACM0")), "port /dev/ttyACM0", ["the board", "meter 1"]),
        (on_board(outputs={"fan": 3, "light": 3}), "board relay 3", ["output fan", "output light"]),
        (
            on_board(meter(), meter(evse=2, unit=2, baud_rate=19200)),
            "different line settings",
            ["meter 1", "meter 2"],
        ),
        (on_board(meter(), meter(evse=2, unit=2, model="b23")), "line settings", ["meter 1", "meter 2"]),
    ],
)
def test_what_two_want_names_both(config: HalConfig, wanted: str, owners: list[str]) -> None:
    (problem,) = problems(config)
    assert wanted in problem
    for owner in owners:
        assert owner in problem


def test_two_names_of_one_port_are_one_port(tmp_path: Path) -> None:
    (tmp_path / "ttyACM0").touch()
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyACM0")
    config = on_board(meter(port=str(tmp_path / "by-id")), port=str(tmp_path / "ttyACM0"))
    assert "wanted by the board and by meter 1" in problems(config)[0]


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        (on_board(port=""), "the board needs a port"),
        (on_board(meter(evse=5)), "there is no EVSE 5"),
        (on_board(meter(model="sdm9000")), "no meter model 'sdm9000'"),
        (on_board(meter(unit=0)), "unit 0"),
        (on_board(meter(port="sim")), "needs the sim driver"),
    ],
)
def test_what_cannot_be_is_said(config: HalConfig, complaint: str) -> None:
    (problem,) = problems(config)
    assert complaint in problem


def test_only_circuits_with_a_pin_map_can_be_configured() -> None:
    assert problems(on_board(pcb="duo")) == []
    (problem,) = problems(on_board(pcb="breadboard"))
    assert problem == "the board's pcb 'breadboard' is none of duo, reference"


async def test_all_problems_come_in_one_error() -> None:
    with pytest.raises(OutOfRange) as error:
        open_hardware(on_board(meter(evse=9), port=""), asyncio.get_running_loop())
    assert len(str(error.value).split("\n")) == 2
    with pytest.raises(OutOfRange, match=r"\[hal\.sim\] evses"):
        open_hardware(HalConfig(sim=SimConfig(evses=0)), asyncio.get_running_loop())


# ---- what it opens


async def test_the_simulation_charges_through_the_ports() -> None:
    async with opened(HalConfig(sim=SimConfig(evses=2, meter_start_wh=500))) as station:
        assert station.simulation is not None
        assert list(station.hardware.evses) == [1, 2]
        ports = station.hardware.evses[2]
        assert ports.meter is not None
        ports.evse.apply(Setpoint(allow_power=True, limit_a=16.0))
        station.simulation.plug(2)
        await asyncio.sleep(3600)
        assert ports.evse.state.contactor is ContactorState.CLOSED
        reading = await ports.meter.read()
        assert reading.energy_import_wh == pytest.approx(500 + 11_040, rel=0.01)
        assert station.hardware.main_meter is not None
        assert (await station.hardware.main_meter.read()).power_w == pytest.approx(reading.power_w)
        assert set(station.hardware.outputs) == {"fan"}
        await station.hardware.outputs["fan"].set(True)
        assert station.simulated_board is not None
        assert station.simulated_board.output_states == {"fan": True}
        assert await station.hardware.sensors["supply_v"].read() == 12.0


async def test_a_simulated_meter_may_stand_behind_modbus() -> None:
    meters = (meter(port="sim", model="b23"), meter(port="sim", model="b24", evse=0, unit=2))
    async with opened(HalConfig(sim=SimConfig(meter_start_wh=12_340), meters=meters)) as station:
        ports = station.hardware.evses[1]
        assert ports.meter is not None
        assert ports.meter.name == "ABB B23"
        assert (await ports.meter.read()).energy_import_wh == 12_340
        assert station.hardware.main_meter is not None
        assert (await station.hardware.main_meter.read()).energy_import_wh == 12_340
        assert ports.meter.serial_number == "1001"
        assert station.simulation is not None
        station.simulation.set_fault(1, "meter_comm")
        with pytest.raises(DeviceTimeout):
            await ports.meter.read()


async def test_taps_come_through_the_reader_with_the_evses_that_they_are_for() -> None:
    async with opened(HalConfig(sim=SimConfig(evses=2))) as station:
        (reader,) = station.hardware.readers
        taps: list[tuple[object, ...]] = []
        stop = reader.subscribe(lambda uid, kind: taps.append((uid, kind, *reader.evse_ids)))
        assert station.simulation is not None
        station.simulation.tap("04A1B2C3", "ISO14443")
        station.simulation.tap("04A1B2C3", "ISO14443", evses=[2])
        stop()
        station.simulation.tap("FFFF")
        assert taps == [("04A1B2C3", "ISO14443"), ("04A1B2C3", "ISO14443", 2)]


async def test_a_fixed_cable_has_no_lock_port() -> None:
    async with opened(HalConfig(sim=SimConfig(has_lock=False, connectors_per_evse=2))) as station:
        assert station.hardware.evses[1].lock is None
        assert station.hardware.evses[1].connectors == 2


async def test_closing_takes_the_permission_back_before_anything_is_closed() -> None:
    written = b""
    async with opened(HalConfig()) as station:
        station.hardware.evses[1].evse.apply(Setpoint(allow_power=True, limit_a=16.0))
        await asyncio.sleep(1)
        assert station.simulated_board is not None
        line = station.simulated_board.line
        write = line.write

        def note(octets: bytes) -> None:
            nonlocal written
            written += octets
            write(octets)

        line.write = note  # type: ignore[method-assign]
    frames, _ = wire.Reader().feed(written)
    assert frames
    last = [wire.unpack_setpoint(payload) for kind, _, payload in frames if kind == wire.SETPOINT][-1]
    assert last.flags & (wire.AVAILABLE | wire.ALLOW_POWER) == 0


async def test_a_missing_board_is_no_reason_not_to_start() -> None:
    async with opened(on_board(port="/dev/no-such-board", outputs={"fan": 0}, sensors=("t1",))) as station:
        await asyncio.sleep(6)
        assert list(station.hardware.evses) == [1, 2, 3, 4]
        assert all(not ports.evse.state.link_ok for ports in station.hardware.evses.values())
        assert {fault.value for fault in station.hardware.evses[3].evse.state.faults} == {"board_comm"}
        assert station.hardware.evses[1].meter is None
        assert (set(station.hardware.outputs), set(station.hardware.sensors)) == ({"fan"}, {"t1"})
        assert station.simulation is None


@pytest.mark.real_time
async def test_a_board_on_a_serial_port_is_greeted() -> None:
    device, inside = pty.openpty()
    tty.setraw(inside)
    board = BoardConfig(port=os.ttyname(inside))
    config = HalConfig(driver="board", board=board, host_version="4.5.6")
    async with opened(config):
        reader = wire.Reader()
        frames: list[tuple[int, int, bytes]] = []
        while not frames:
            frames += reader.feed(await asyncio.to_thread(os.read, device, 1000))[0]
    os.close(inside)
    os.close(device)
    assert frames[0][0] == wire.HELLO
    assert wire.unpack_json(frames[0][2])["host"] == "4.5.6"


# ---- what it imports


def modules_after(code: str) -> set[str]:
    program = f"import asyncio, sys\nfrom hal.factory import *\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_only_what_is_configured_is_imported() -> None:
    loop = "loop = asyncio.new_event_loop()\n"
    simulated = modules_after(loop + "open_hardware(HalConfig(), loop)")
    assert not simulated & {"serial", "hal.bus.modbus", "hal.drivers.modbus_meter", "tomllib"}
    assert "hal.sim.firmware" in simulated
    real = modules_after(
        loop + "open_hardware(HalConfig(driver='board', board=BoardConfig(port='/dev/ttyACM0')), loop)"
    )
    assert not {name for name in real if name.startswith(("hal.sim", "serial", "board.app"))}
    assert "hal.bus.modbus" not in real
