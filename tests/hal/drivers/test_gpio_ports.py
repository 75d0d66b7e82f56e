"""GPIO lines as ports: sensors, buttons and contacts on real descriptors; a chip that goes away is a fault."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from hal.bus.gpio import GpioLine, LinePlan
from hal.drivers.gpio_ports import FaultContact, GpioButton, GpioSensor
from hal.drivers.guarded_evse import CLEAR_AFTER_S, GuardedEvse, Guards
from hal.errors import DeviceMissing
from hal.ports import FaultCode, PilotState
from tests.helpers.fake_evse import FakeEvse
from tests.helpers.gpio_lines import FakeChip


@contextlib.asynccontextmanager
async def running(line: GpioLine) -> AsyncIterator[None]:
    task = asyncio.create_task(line.run())
    await asyncio.sleep(0.01)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def line_on(chip: FakeChip) -> GpioLine:
    return GpioLine(LinePlan("/dev/gpiochip0", "IN1", debounce_ms=20), chip.request)


async def test_a_sensor_is_read_from_the_line_and_missing_without_it() -> None:
    chip = FakeChip()
    line = line_on(chip)
    sensor = GpioSensor("tamper", line)
    async with running(line):
        assert await sensor.read() == 0.0
        chip.drive("IN1", True)
        assert await sensor.read() == 1.0
        chip.unplug()
        with pytest.raises(DeviceMissing):
            await sensor.read()
    assert chip.plans[0].debounce_ms == 20, "the kernel debounces"


async def test_a_button_that_is_held_down_at_the_start_was_not_pressed() -> None:
    chip = FakeChip()
    chip.levels["IN1"] = True
    line = line_on(chip)
    button = GpioButton(line, "FREE", "Local")
    taps: list[str] = []
    button.subscribe(lambda token, kind: taps.append(token))
    async with running(line):
        assert taps == []
        chip.drive("IN1", False)
        chip.drive("IN1", True)
        await asyncio.sleep(0.01)
        assert taps == ["FREE"]


async def test_a_short_press_is_a_press() -> None:
    chip = FakeChip()
    line = line_on(chip)
    button = GpioButton(line, "FREE", "Local")
    taps: list[str] = []
    button.subscribe(lambda token, kind: taps.append(token))
    async with running(line):
        for on in (True, False, True, False):
            chip.drive("IN1", on)
        await asyncio.sleep(0.01)
        assert taps == ["FREE", "FREE"]


class Contact:
    def __init__(self, code: FaultCode) -> None:
        self.chip = FakeChip()
        self.line = line_on(self.chip)
        self.board = FakeEvse(1, has_lock=True)
        self.evse = GuardedEvse(self.board)
        FaultContact("contact", self.line, code, Guards({1: self.evse}))

    @property
    def faults(self) -> set[str]:
        return set(self.evse.state.faults)


async def test_an_emergency_stop_that_is_pressed_at_the_start_is_a_fault() -> None:
    contact = Contact(FaultCode.EMERGENCY_STOP)
    contact.chip.levels["IN1"] = True
    async with running(contact.line):
        assert contact.faults == {"emergency_stop"}


async def test_a_contact_raises_its_fault_and_ends_it() -> None:
    contact = Contact(FaultCode.TILT)
    async with running(contact.line):
        assert contact.faults == set()
        contact.chip.drive("IN1", True)
        await asyncio.sleep(0.01)
        assert contact.faults == {"tilt"}
        contact.chip.drive("IN1", False)
        await asyncio.sleep(CLEAR_AFTER_S + 0.1)
        assert contact.faults == set()


async def test_a_contact_that_nobody_can_read_counts_as_tripped() -> None:
    contact = Contact(FaultCode.EMERGENCY_STOP)
    assert contact.board.state.pilot is PilotState.A
    async with running(contact.line):
        contact.chip.unplug()
        await asyncio.sleep(0.01)
        assert contact.faults == {"emergency_stop"}
        await asyncio.sleep(60)
        contact.chip.plug()
        await asyncio.sleep(6)
        assert contact.faults == set(), "it is back, released, and no cable is in"


async def test_a_contact_whose_chip_is_missing_at_the_start_is_a_fault() -> None:
    contact = Contact(FaultCode.DOOR_OPEN)
    contact.chip.unplug()
    async with running(contact.line):
        assert contact.faults == {"door_open"}
