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
from hal.sim.card_readers import rdm6300_frame
from hal.sim.modbus_meters import ModbusMeterLine
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
            on_board(readers=[reader(port="board:reader"), reader(model="pn532", port="board:reader")]),
            "port board:reader is wanted by reader 1 (rdm6300) and by reader 2 (pn532)",
        ),
        (on_board(readers=[reader(port="board:")]), "reader 1 (rdm6300): board: is followed by the name"),
        (HalConfig(readers=[reader(port="board:Reader 1")]), "board: is followed by the name"),
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


# ---- readers on the board


def on_the_simulated_board(**changes: Any) -> HalConfig:
    return HalConfig(sim=SimConfig(evses=2), readers=[reader(port="board:reader", **changes)])


def listening(station: OpenedHardware) -> list[tuple[object, ...]]:
    """Taps as (place of the reader, token, type); and from now on the board is supplied with setpoints."""
    taps: list[tuple[object, ...]] = []
    for place, one in enumerate(station.hardware.readers):
        one.subscribe(lambda uid, kind, place=place: taps.append((place, uid, kind)))  # type: ignore[misc]
    for ports in station.hardware.evses.values():
        ports.evse.apply(Setpoint())
    return taps


@pytest.mark.parametrize(
    ("model", "uid", "kind"), [("rdm6300", "0F00A1B2C3", "Local"), ("pn532", "04A1B2C3D4E5F6", "ISO14443")]
)
async def test_a_simulated_tap_goes_through_the_reader_on_the_board(model: str, uid: str, kind: str) -> None:
    async with opened(on_the_simulated_board(model=model)) as station:
        taps = listening(station)
        assert station.simulation is not None
        for _ in range(2):
            station.simulation.tap(uid, kind)
            await asyncio.sleep(5)
        assert taps == [(1, uid, kind)] * 2, "and not past it as well"


async def test_a_simulated_tap_that_the_reader_on_the_board_cannot_read_is_presented_directly() -> None:
    async with opened(on_the_simulated_board(evses=(2,))) as station:
        taps = listening(station)
        assert station.simulation is not None
        station.simulation.tap("TAG1", "Local")
        station.simulation.tap("0F00A1B2C3", "ISO14443")
        station.simulation.tap("0F00A1B2C3", "Local", evses=[1])
        assert [tap[0] for tap in taps] == [0, 0, 0]
        station.simulation.tap("0F00A1B2C3", "Local", evses=[2])
        await asyncio.sleep(5)
        assert taps[3:] == [(1, "0F00A1B2C3", "Local")]


@pytest.mark.parametrize("model", ["rdm6300", "pn532"])
async def test_a_reader_on_the_board_survives_everything_that_happens_to_the_board(model: str) -> None:
    uid, kind = ("04A1B2C3D4E5F6", "ISO14443") if model == "pn532" else ("0F00A1B2C3", "Local")
    async with opened(on_the_simulated_board(model=model, evses=(2,))) as station:
        world, board = station.simulation, station.simulated_board
        assert world is not None
        assert board is not None
        taps = listening(station)
        faults = {evse_id: ports.evse for evse_id, ports in station.hardware.evses.items()}

        async def is_well_again() -> None:
            await asyncio.sleep(20)
            assert {evse_id: evse.state.faults for evse_id, evse in faults.items()} == {1: set(), 2: set()}
            taps.clear()
            world.tap(uid, kind)
            await asyncio.sleep(5)
            assert [tap[1] for tap in taps] == [uid]

        await is_well_again()
        board.line.unplug()
        await asyncio.sleep(1)
        assert FaultCode.READER_FAILURE in faults[2].state.faults
        assert FaultCode.READER_FAILURE not in faults[1].state.faults
        board.line.replug()
        await is_well_again()
        for cause in ("power", "soft", "wdt"):
            board.reset(cause)
            await asyncio.sleep(2)
            await is_well_again()
        board.hang()
        await is_well_again()


@pytest.mark.parametrize("loss", ["pulled out", "cut", "reset"])
async def test_a_card_that_was_read_while_the_link_was_down_is_not_presented_later(loss: str) -> None:
    async with opened(on_the_simulated_board()) as station:
        world, board = station.simulation, station.simulated_board
        assert world is not None
        assert board is not None
        taps = listening(station)
        match loss:
            case "pulled out":
                board.line.unplug()
            case "cut":
                world.set_fault(1, "board_comm")
            case _:
                board.reset()
        for card in ("0F00A1B2C3", "0F00A1B2C4"):
            board.serial["reader"].send(rdm6300_frame(card))
            await asyncio.sleep(0.1)
        await asyncio.sleep(0 if loss == "reset" else 10)
        board.line.replug()
        world.clear_fault(1, "board_comm")
        await asyncio.sleep(20)
        assert taps == []
        board.serial["reader"].send(rdm6300_frame("0F00A1B2C3"))
        await asyncio.sleep(1)
        assert len(taps) == 1


async def test_a_mad_reader_costs_neither_setpoints_nor_status_nor_the_link() -> None:
    async with opened(on_the_simulated_board(model="pn532")) as station:
        world, board = station.simulation, station.simulated_board
        assert world is not None
        assert board is not None
        evse = station.hardware.evses[1].evse
        port = board.serial["reader"]

        async def rave() -> None:
            while True:
                port.send(bytes(range(256)) * 2)  # nearly all that 115200 baud can carry
                await asyncio.sleep(0.05)

        raving = asyncio.create_task(rave())
        evse.apply(Setpoint(allow_power=True, limit_a=16.0))
        world.plug(1)
        await asyncio.sleep(30)
        assert evse.state.contactor is ContactorState.CLOSED
        assert evse.state.link_ok
        evse.apply(Setpoint())
        await asyncio.sleep(6.2)  # six seconds are the EV's
        assert evse.state.contactor is ContactorState.OPEN
        assert evse.state.faults == {FaultCode.READER_FAILURE}
        raving.cancel()
        await asyncio.sleep(20)
        taps = listening(station)
        world.tap("04A1B2C3D4E5F6", "ISO14443")
        await asyncio.sleep(5)
        assert len(taps) == 1
        assert evse.state.faults == set()


async def test_a_port_that_the_board_has_not_is_a_fault_and_the_log_names_those_it_has(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened(on_the_simulated_board()) as station:
        board = station.simulated_board
        assert board is not None
        listening(station)
        board.serial = {"door": board.serial["reader"], "gate": board.serial["reader"]}
        board.reset()
        await asyncio.sleep(20)
        assert station.hardware.evses[1].evse.state.faults == {FaultCode.READER_FAILURE}
        said = [record.getMessage() for record in caplog.records if record.name == "hal.reader"]
        assert sum("no serial port 'reader'; it has: door, gate" in line for line in said) == 1, said


# ---- readers on the host


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
