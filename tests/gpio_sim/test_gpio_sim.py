"""Our GPIO code on a kernel's own chips (gpio-sim): what no fake line can promise. Run by `make gpio-test`.

Also runs where the machine itself has gpio-sim, as root.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from hal.bus.gpio import GpioLine, LinePlan, request_with_gpiod
from hal.bus.gpiod_line import EVENTS_KEPT
from hal.drivers.gpio_ports import GpioButton, GpioOutput, GpioSensor
from hal.errors import DeviceMissing
from hal.factory import GpioConfig, HalConfig, SimConfig, open_hardware
from hal.ports import FaultCode
from tests.gpio_sim.chips import CONFIGFS, SimChip

pytestmark = [
    pytest.mark.gpiosim,
    pytest.mark.real_time,
    pytest.mark.skipif(
        not CONFIGFS.is_dir(), reason="no gpio-sim in this kernel; make gpio-test boots one that has"
    ),
]

START, DOOR, FAN = 0, 1, 2
PATIENCE_S = 20
_numbers = itertools.count()


@pytest.fixture
def chip() -> Iterator[SimChip]:
    chip = SimChip(f"evse{next(_numbers)}", ("START", "DOOR", "FAN"))
    yield chip
    chip.remove()


class Watched:
    """A line whose edges and health are kept."""

    def __init__(self, chip: SimChip, line: str, **plan: object) -> None:
        self.line = GpioLine(LinePlan(chip.label, line, **plan))  # type: ignore[arg-type]
        self.edges: list[bool] = []
        self.health: list[str | None] = []
        self.line.on_edge = self.edges.append
        self.line.on_health = self.health.append


@contextlib.asynccontextmanager
async def running(*lines: GpioLine) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(line.run()) for line in lines]
    await asyncio.sleep(0.01)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for is in the kernel
            await asyncio.sleep(0.005)


# ---- inputs


async def test_every_edge_is_told_in_order(chip: SimChip) -> None:
    watched = Watched(chip, "START")
    async with running(watched.line):
        for count in range(1, 101):
            chip.pull(START, count % 2 == 1)
            await until(lambda count=count: len(watched.edges) == count + 1)  # type: ignore[misc]
        assert watched.edges == [False] + [True, False] * 50
        assert watched.health == [None]


async def test_edges_that_came_while_the_loop_was_busy_are_not_lost(chip: SimChip) -> None:
    watched = Watched(chip, "START")
    async with running(watched.line):
        for up in (True, False, True):
            chip.pull(START, up)
            time.sleep(0.05)  # noqa: ASYNC251 - the loop is busy
        await until(lambda: len(watched.edges) == 4)
        assert watched.edges == [False, True, False, True]


async def test_the_kernel_keeps_bouncing_to_itself(chip: SimChip) -> None:
    watched = Watched(chip, "DOOR", debounce_ms=200)
    async with running(watched.line):
        for number in range(7):
            chip.pull(DOOR, number % 2 == 0)
        await until(lambda: len(watched.edges) > 1)
        await asyncio.sleep(0.5)
        assert watched.edges == [False, True]


async def test_what_is_shorter_than_the_debounce_time_never_was(chip: SimChip) -> None:
    watched = Watched(chip, "DOOR", debounce_ms=500)
    async with running(watched.line):
        chip.pull(DOOR, True)
        chip.pull(DOOR, False)
        await asyncio.sleep(1)
        assert watched.edges == [False]


async def test_pull_and_active_low_are_the_kernels(chip: SimChip) -> None:
    open_contact = Watched(chip, "START", bias="pull_up")
    inverted = Watched(chip, "DOOR", bias="pull_up", active_low=True)
    async with running(open_contact.line, inverted.line):
        assert (open_contact.line.read(), inverted.line.read()) == (True, False)
        chip.pull(START, False)
        chip.pull(DOOR, False)
        await until(lambda: open_contact.edges == [True, False] and inverted.edges == [False, True])


async def test_of_more_edges_than_the_kernel_keeps_the_last_one_is_told(chip: SimChip) -> None:
    watched = Watched(chip, "START")
    async with running(watched.line):
        for number in range(3 * EVENTS_KEPT + 1):
            chip.pull(START, number % 2 == 0)
        await until(lambda: len(watched.edges) > EVENTS_KEPT)
        await asyncio.sleep(0.5)  # the kernel may still be telling the last ones
        assert watched.edges[-1] is True
        assert watched.line.read() is True


@pytest.mark.parametrize("line", ["DOOR", "1"])
async def test_a_line_is_found_by_name_and_by_number(chip: SimChip, line: str) -> None:
    watched = Watched(chip, line)
    async with running(watched.line):
        chip.pull(DOOR, True)
        assert await GpioSensor("door", watched.line).read() == 1.0


def test_a_line_that_there_is_not_is_missing(chip: SimChip) -> None:
    for line in ("NONE", "99"):
        with pytest.raises(DeviceMissing, match=f"line {line}"):
            request_with_gpiod(LinePlan(chip.path, line))
    with pytest.raises(DeviceMissing, match="gpiochip9999"):
        request_with_gpiod(LinePlan("/dev/gpiochip9999", "0"))


async def test_a_button_presents_its_token_once_a_press(chip: SimChip) -> None:
    line = GpioLine(LinePlan(chip.label, "START", debounce_ms=5))
    button = GpioButton(line, "FREE", "Local", (1,))
    pressed: list[str] = []
    button.subscribe(lambda token, kind: pressed.append(token))
    async with running(line):
        for count in (1, 2):
            chip.pull(START, True)
            await until(lambda count=count: len(pressed) == count)  # type: ignore[misc]
            chip.pull(START, False)
            await asyncio.sleep(0.1)
    assert pressed == ["FREE", "FREE"]


# ---- outputs


async def test_an_output_drives_the_wire_and_is_off_at_both_ends(chip: SimChip) -> None:
    line = GpioLine(LinePlan(chip.label, "FAN", is_output=True))
    fan = GpioOutput("fan", line)
    async with running(line):
        assert chip.level(FAN) is False
        for on in (True, False, True):
            await fan.set(on)
            assert chip.level(FAN) is on
        await fan.pulse(0.05)
        await until(lambda: not chip.level(FAN))
        await fan.set(True)
    assert chip.level(FAN) is False


async def test_an_inverted_output_is_off_when_its_wire_is_high(chip: SimChip) -> None:
    line = GpioLine(LinePlan(chip.path, "FAN", is_output=True, active_low=True))
    async with running(line):
        assert chip.level(FAN) is True
        line.write(True)
        assert chip.level(FAN) is False


# ---- one owner


async def test_a_line_that_another_one_holds_is_busy_until_it_lets_go(chip: SimChip) -> None:
    first, second = Watched(chip, "START"), Watched(chip, "START")
    async with running(second.line):
        async with running(first.line):
            with pytest.raises(DeviceMissing, match="busy"):
                request_with_gpiod(LinePlan(chip.path, "START"))
        await until(lambda: second.health and second.health[-1] is None)
    async with running(first.line, second.line):
        assert second.health[-1] is not None
        assert "busy" in second.health[-1]


# ---- hot removal


async def test_a_chip_that_is_pulled_out_is_told_of_and_found_again(chip: SimChip) -> None:
    watched = Watched(chip, "START")
    async with running(watched.line):
        for _ in range(3):
            chip.pull(START, True)
            await until(lambda: watched.edges and watched.edges[-1])
            chip.unplug()
            await until(lambda: watched.health[-1] is not None)
            with pytest.raises(DeviceMissing):
                watched.line.read()
            chip.plug()
            await until(lambda: watched.health[-1] is None)
            assert watched.edges[-1] is False


async def test_an_output_on_a_chip_that_was_pulled_out_is_an_error_and_comes_back_off(chip: SimChip) -> None:
    line = GpioLine(LinePlan(chip.label, "FAN", is_output=True))
    fan = GpioOutput("fan", line)
    async with running(line):
        await fan.set(True)
        chip.unplug()
        with pytest.raises(DeviceMissing):
            await fan.set(True)
        assert fan.is_on is False
        chip.plug()
        await until(lambda: CONFIGFS.exists() and _is_held(line))
        assert chip.level(FAN) is False
        await fan.set(True)
        assert chip.level(FAN) is True


async def test_an_output_notices_by_itself_that_its_chip_is_gone(chip: SimChip) -> None:
    line = GpioLine(LinePlan(chip.label, "FAN", is_output=True))
    fan = GpioOutput("fan", line)
    async with running(line):
        await fan.set(True)
        chip.unplug()
        await until(lambda: not fan.is_on)


def _is_held(line: GpioLine) -> bool:
    try:
        line.read()
    except DeviceMissing:
        return False
    return True


async def test_an_emergency_stop_whose_chip_is_gone_is_a_fault_and_the_station_goes_on(chip: SimChip) -> None:
    config = HalConfig(
        sim=SimConfig(evses=1),
        gpio=(
            GpioConfig(name="stop", kind="emergency_stop", line="START", chip=chip.label),
            GpioConfig(name="door", kind="door_open", line="DOOR", chip=chip.label),
            GpioConfig(name="blower", kind="output", line="FAN", chip=chip.label),
        ),
    )
    opened = open_hardware(config, asyncio.get_running_loop())
    tasks = [asyncio.create_task(run()) for _, run in opened.tasks]
    evse = opened.hardware.evses[1].evse
    try:
        await until(lambda: evse.state.link_ok)
        assert evse.state.faults == frozenset()
        await opened.hardware.outputs["blower"].set(True)
        chip.unplug()
        await until(lambda: {FaultCode.EMERGENCY_STOP, FaultCode.DOOR_OPEN} <= evse.state.faults)
        with pytest.raises(DeviceMissing):
            await opened.hardware.outputs["blower"].set(True)
        chip.plug()
        await until(lambda: not evse.state.faults)
        assert evse.state.link_ok
        assert not any(task.done() for task in tasks)
    finally:
        await opened.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
