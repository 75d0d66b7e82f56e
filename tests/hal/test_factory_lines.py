"""[[hal.readers]], [[hal.gpio]] and signing meters: claims, what is built, and faults on the EVSEs that are served."""

import asyncio
import contextlib
import os
import pty
import tty
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hal.drivers.em580_signer import Em580Signer
from hal.drivers.wm3m4_signer import Wm3m4Signer
from hal.errors import DeviceMissing, HalError
from hal.factory import (
    BoardConfig,
    GpioConfig,
    HalConfig,
    MeterConfig,
    OpenedHardware,
    ReaderConfig,
    SimConfig,
    open_hardware,
    problems,
)
from hal.ports import ContactorState, FaultCode, Setpoint
from hal.sim.modbus_meters import ModbusMeterLine
from tests.helpers.card_readers import rdm6300_frame
from tests.helpers.gpio_lines import FakeChip

PORT = "/dev/ttyUSB7"


def reader(**changes: Any) -> ReaderConfig:
    return ReaderConfig(**({"model": "rdm6300", "port": PORT} | changes))


def line(name: str, kind: str, **changes: Any) -> GpioConfig:
    return GpioConfig(**({"name": name, "kind": kind, "line": name.upper()} | changes))


def meter(**changes: Any) -> MeterConfig:
    return MeterConfig(**({"evse": 1, "model": "em580", "port": "/dev/ttyUSB1"} | changes))


def on_board(**changes: Any) -> HalConfig:
    given: dict[str, Any] = {"driver": "board", "board": BoardConfig(port="/dev/ttyACM0", evses=2)}
    return HalConfig(**(given | changes))


@contextlib.asynccontextmanager
async def opened(config: HalConfig, chip: FakeChip | None = None) -> AsyncIterator[OpenedHardware]:
    request = chip.request if chip is not None else None
    station = open_hardware(config, asyncio.get_running_loop(), request)
    tasks = [asyncio.create_task(run(), name=name) for name, run in station.tasks]
    await asyncio.sleep(2)
    try:
        yield station
    finally:
        await station.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# ---- claims


def test_a_sound_configuration_has_no_problems() -> None:
    lines = [
        line("fan", "output"),
        line("tamper", "sensor"),
        line("start", "button", id_token="FREE", evses=(2,)),
        line("stop", "emergency_stop"),
    ]
    assert problems(on_board(readers=[reader(), reader(port="/dev/ttyUSB8", evses=(1, 2))], gpio=lines)) == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            on_board(readers=[reader(port="/dev/ttyACM0")]),
            "port /dev/ttyACM0 is wanted by the board and by reader 1",
        ),
        (
            on_board(readers=[reader(), reader(model="pn532")]),
            f"port {PORT} is wanted by reader 1 (rdm6300) and by",
        ),
        (
            on_board(readers=[reader()], meters=[meter(port=PORT)]),
            f"port {PORT} is wanted by meter 1 (em580)",
        ),
        (on_board(readers=[reader(evses=(3,))]), "reader 1 (rdm6300): there is no EVSE 3"),
        (
            on_board(gpio=[line("a", "sensor", line="4"), line("b", "tilt", line="4")]),
            "GPIO line 4 is wanted by GPIO a",
        ),
        (on_board(gpio=[line("a", "sensor", evses=(9,))]), "GPIO a: there is no EVSE 9"),
        (on_board(gpio=[line("start", "button")]), "a button needs the id_token"),
        (HalConfig(gpio=[line("fan", "output")]), "output fan is wanted by the board and by GPIO fan"),
        (on_board(meters=[meter(model="sdm630", signs_readings=True)]), "does not sign readings"),
        (on_board(meters=[meter(evse=0, signs_readings=True)]), "only the meter of an EVSE"),
        (HalConfig(meters=[meter(port="sim", signs_readings=True)]), "hal.sim.signs_readings"),
    ],
)
def test_what_cannot_be_is_said(config: HalConfig, said: str) -> None:
    (problem,) = problems(config)
    assert said in problem


# ---- signing meters


async def test_a_meter_that_signs_is_the_signer_of_its_evse() -> None:
    meters = [
        meter(signs_readings=True, public_key="3059"),
        meter(evse=2, model="wm3m4", port="/dev/ttyUSB2", signs_readings=True),
    ]
    async with opened(on_board(meters=meters)) as station:
        first, second = station.hardware.evses[1].signer, station.hardware.evses[2].signer
        assert isinstance(first, Em580Signer)
        assert isinstance(second, Wm3m4Signer)
        assert (first.public_key, second.public_key) == ("3059", "")
    async with opened(on_board(meters=[meter()])) as station:
        assert station.hardware.evses[1].signer is None, "only who is asked to signs"


# ---- several meters on one line


async def test_a_silent_meter_takes_no_other_on_its_line_down(monkeypatch: pytest.MonkeyPatch) -> None:
    silent: set[int] = set()
    write = ModbusMeterLine.write

    def write_unless_silent(self: ModbusMeterLine, octets: bytes) -> None:
        if octets[0] not in silent:
            write(self, octets)

    monkeypatch.setattr(ModbusMeterLine, "write", write_unless_silent)
    meters = [meter(evse=number, model="sdm630", port="sim", unit=number) for number in (1, 2, 3)]
    sim = SimConfig(evses=3, meter_start_wh=5000)
    async with opened(HalConfig(sim=sim, meters=meters)) as station:
        silent.add(2)
        outcomes = []
        for _ in range(5):
            round_of = await asyncio.gather(
                *(ports.meter.read() for ports in station.hardware.evses.values() if ports.meter),
                return_exceptions=True,
            )
            outcomes.append([not isinstance(one, HalError) for one in round_of])
            await asyncio.sleep(1)
        assert outcomes == [[True, False, True]] * 5
        silent.clear()
        await asyncio.sleep(11)
        ports = station.hardware.evses[2]
        assert ports.meter is not None
        assert (await ports.meter.read()).energy_import_wh == 5000


# ---- readers and lines


@pytest.mark.real_time
async def test_a_card_on_a_real_port_reaches_the_evses_that_the_reader_serves() -> None:
    device, inside = pty.openpty()
    tty.setraw(inside)
    config = HalConfig(sim=SimConfig(evses=2), readers=[reader(port=os.ttyname(inside), evses=(2,))])
    async with opened(config) as station:
        simulated, real = station.hardware.readers
        taps: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        real.subscribe(lambda uid, kind: taps.put_nowait((uid, kind)))
        os.write(device, rdm6300_frame("0F00A1B2C3") * 3)
        assert await asyncio.wait_for(taps.get(), 5) == ("0F00A1B2C3", "Local")
        assert (list(simulated.evse_ids), list(real.evse_ids)) == ([], [2])
        assert station.hardware.evses[2].evse.state.faults == set()
    os.close(inside)
    os.close(device)


async def test_a_reader_that_is_not_there_is_a_fault_of_its_evses_and_stops_nothing() -> None:
    config = HalConfig(sim=SimConfig(evses=2), readers=[reader(port="/dev/no-such-reader", evses=(2,))])
    async with opened(config) as station:
        evses = station.hardware.evses
        assert evses[1].evse.state.faults == set()
        assert evses[2].evse.state.faults == {FaultCode.READER_FAILURE}
        evses[2].evse.apply(Setpoint(allow_power=True, limit_a=16.0))
        assert station.simulation is not None
        station.simulation.plug(2)
        await asyncio.sleep(10)
        assert evses[2].evse.state.contactor is ContactorState.CLOSED


async def test_lines_become_ports_by_their_kind() -> None:
    chip = FakeChip()
    lines = [
        line("light", "output", active_low=True),
        line("tamper", "sensor", bias="pull_up", debounce_ms=50),
        line("start", "button", id_token="FREE"),
    ]
    async with opened(HalConfig(gpio=lines), chip) as station:
        hardware = station.hardware
        assert set(hardware.outputs) == {"fan", "light"}
        await hardware.outputs["light"].set(True)
        assert chip.levels["LIGHT"] is True
        chip.drive("TAMPER", True)
        assert await hardware.sensors["tamper"].read() == 1.0
        taps: list[str] = []
        hardware.readers[-1].subscribe(lambda token, kind: taps.append(token))
        chip.drive("START", True)
        await asyncio.sleep(0.1)
        assert taps == ["FREE"]
        plans = {plan.line: plan for plan in chip.plans}
        assert (plans["LIGHT"].is_output, plans["LIGHT"].active_low, plans["LIGHT"].debounce_ms) == (
            True,
            True,
            0,
        )
        assert (plans["TAMPER"].bias, plans["TAMPER"].debounce_ms) == ("pull_up", 50)
    assert chip.levels["LIGHT"] is False, "off when the agent ends"
    assert chip.held == {}


async def test_an_emergency_stop_on_gpio_opens_the_contactor_of_the_simulated_board() -> None:
    chip = FakeChip()
    config = HalConfig(sim=SimConfig(evses=2), gpio=[line("stop", "emergency_stop", evses=(1,))])
    async with opened(config, chip) as station:
        assert station.simulation is not None
        for evse_id, ports in station.hardware.evses.items():
            ports.evse.apply(Setpoint(allow_power=True, limit_a=16.0))
            station.simulation.plug(evse_id)
        await asyncio.sleep(10)
        chip.drive("STOP", True)
        await asyncio.sleep(6)
        states = {evse_id: ports.evse.state for evse_id, ports in station.hardware.evses.items()}
        assert states[1].contactor is ContactorState.OPEN
        assert states[1].faults == {FaultCode.EMERGENCY_STOP}
        assert states[2].contactor is ContactorState.CLOSED
        chip.drive("STOP", False)
        await asyncio.sleep(60)
        assert station.hardware.evses[1].evse.state.contactor is ContactorState.OPEN, (
            "latched until the unplug"
        )
        station.simulation.unplug(1)
        await asyncio.sleep(5)
        assert station.hardware.evses[1].evse.state.faults == set()


async def test_a_chip_that_is_pulled_out_is_an_error_for_who_uses_it_and_charging_goes_on() -> None:
    chip = FakeChip()
    lines = [line("light", "output"), line("tamper", "sensor")]
    async with opened(HalConfig(gpio=lines), chip) as station:
        await station.hardware.outputs["light"].set(True)
        chip.unplug()
        await asyncio.sleep(1)
        assert station.hardware.outputs["light"].is_on is False
        with pytest.raises(DeviceMissing):
            await station.hardware.sensors["tamper"].read()
        assert station.hardware.evses[1].evse.state.link_ok
