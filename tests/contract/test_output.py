"""What every `Output` promises: the board's relays on the simulated firmware, and a GPIO line."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from hal.bus.gpio import GpioLine, LinePlan
from hal.drivers.gpio_ports import GpioOutput
from hal.errors import HalError, OutOfRange
from hal.factory import HalConfig, SimConfig, open_hardware
from hal.ports import Output
from tests.helpers.gpio_lines import FakeChip


class Bench:
    def __init__(self, output: Output, is_driven: Callable[[], bool], lose: Callable[[], None]) -> None:
        self.output = output
        self.is_driven = is_driven
        self.lose = lose


@pytest.fixture(params=["board", "gpio"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    if request.param == "gpio":
        chip = FakeChip()
        line = GpioLine(LinePlan("/dev/gpiochip0", "OUT1", is_output=True), chip.request)
        task = asyncio.create_task(line.run())
        await asyncio.sleep(0.01)
        yield Bench(GpioOutput("fan", line), lambda: chip.levels["OUT1"], chip.unplug)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return
    opened = open_hardware(HalConfig(sim=SimConfig(outputs=("fan",))), asyncio.get_running_loop())
    tasks = [asyncio.create_task(run()) for _, run in opened.tasks]
    await asyncio.sleep(2)
    board = opened.simulated_board
    assert board is not None
    yield Bench(opened.hardware.outputs["fan"], lambda: board.output_states["fan"], board.close)
    await opened.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_output_is_switched_and_says_so(bench: Bench) -> None:
    assert bench.output.name == "fan"
    for on in (False, True, True, False):
        await bench.output.set(on)
        await asyncio.sleep(0.1)
        assert (bench.output.is_on, bench.is_driven()) == (on, on)


async def test_a_pulse_ends_by_itself(bench: Bench) -> None:
    await bench.output.pulse(2.0)
    await asyncio.sleep(1.5)
    assert bench.is_driven()
    await asyncio.sleep(1)
    assert not bench.is_driven()


async def test_a_command_ends_a_pulse(bench: Bench) -> None:
    await bench.output.pulse(1.0)
    await bench.output.set(True)
    await asyncio.sleep(5)
    assert bench.is_driven()


@pytest.mark.parametrize("duration_s", [0.0, 0.04, 5.1, 60.0])
async def test_a_pulse_out_of_range_is_refused(bench: Bench, duration_s: float) -> None:
    with pytest.raises(OutOfRange):
        await bench.output.pulse(duration_s)
    assert not bench.is_driven()


async def test_what_is_gone_is_an_error(bench: Bench) -> None:
    bench.lose()
    await asyncio.sleep(10)
    with pytest.raises(HalError):
        await bench.output.set(True)
