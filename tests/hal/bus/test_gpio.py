"""GPIO lines on real descriptors: edges arrive by `add_reader`, and a chip that goes away is an error, not a crash."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

import pytest

from hal.bus.gpio import CHECK_S, GpioLine, LinePlan, request_with_gpiod
from hal.errors import DeviceMissing
from tests.helpers.gpio_lines import FakeChip

CHIP = "/dev/gpiochip0"


@contextlib.asynccontextmanager
async def running(line: GpioLine) -> AsyncIterator[None]:
    task = asyncio.create_task(line.run())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def watched(chip: FakeChip, **plan: object) -> tuple[GpioLine, list[object]]:
    line = GpioLine(LinePlan(CHIP, "IN1", **plan), chip.request)  # type: ignore[arg-type]
    seen: list[object] = []
    line.on_edge = seen.append
    line.on_health = lambda problem: seen.append(problem and problem.split(": ")[-1])
    return line, seen


async def test_edges_are_told_in_order_and_none_is_lost() -> None:
    chip = FakeChip()
    line, seen = watched(chip)
    async with running(line):
        for on in (True, False, True):
            chip.drive("IN1", on)
        await asyncio.sleep(0.01)
        assert seen == [False, None, True, False, True]
        assert line.read() is True
    assert chip.held == {}


async def test_the_level_is_told_when_the_line_is_there() -> None:
    chip = FakeChip()
    chip.levels["IN1"] = True
    line, seen = watched(chip)
    async with running(line):
        assert seen == [True, None]


@pytest.mark.parametrize("is_output", [False, True])
async def test_a_chip_that_goes_without_a_word_is_noticed_in_a_second(is_output: bool) -> None:
    """As under kernel 6.1, which wakes nobody up."""
    chip = FakeChip()
    line, seen = watched(chip, is_output=is_output)
    async with running(line):
        await asyncio.sleep(10)
        assert seen[-1] is None
        chip.unplug(wakes=False)
        await asyncio.sleep(CHECK_S)
        assert "No such device" in seen
        chip.plug()
        await asyncio.sleep(5)
        assert seen[-1] is None
    assert chip.held == {}


async def test_a_chip_that_is_pulled_out_is_told_of_and_found_again() -> None:
    chip = FakeChip()
    line, seen = watched(chip)
    async with running(line):
        chip.drive("IN1", True)
        chip.unplug()
        await asyncio.sleep(0.05)
        assert seen[-2:] == [True, "No such device"]
        with pytest.raises(DeviceMissing):
            line.read()
        await asyncio.sleep(60)
        chip.levels["IN1"] = False
        chip.plug()
        await asyncio.sleep(5)
        assert seen[-2:] == [False, None]
        chip.drive("IN1", True)
        await asyncio.sleep(0.01)
        assert seen[-1] is True


async def test_a_chip_that_is_missing_at_the_start_is_waited_for() -> None:
    chip = FakeChip()
    chip.unplug()
    line, seen = watched(chip)
    async with running(line):
        assert seen == ["no such chip"]
        chip.plug()
        await asyncio.sleep(5)
        assert line.read() is False


async def test_an_output_is_off_at_the_start_after_a_loss_and_at_the_end() -> None:
    chip = FakeChip()
    chip.levels["OUT1"] = True
    line = GpioLine(LinePlan(CHIP, "OUT1", is_output=True), chip.request)
    with pytest.raises(DeviceMissing):
        line.write(True)
    async with running(line):
        assert chip.levels["OUT1"] is False
        line.write(True)
        assert chip.levels["OUT1"] is True
        chip.unplug()
        await asyncio.sleep(0.01)
        with pytest.raises(DeviceMissing):
            line.write(True)
        chip.plug()
        await asyncio.sleep(5)
        assert chip.levels["OUT1"] is False
        line.write(True)
    assert chip.levels["OUT1"] is False


async def test_the_loss_is_noticed_by_who_switches_before_the_loop_sees_it() -> None:
    chip = FakeChip()
    line = GpioLine(LinePlan(CHIP, "OUT1", is_output=True), chip.request)
    async with running(line):
        chip.unplug()
        with pytest.raises(DeviceMissing, match="No such device"):
            line.write(True)


async def test_a_line_that_another_holds_is_missing_until_it_is_free() -> None:
    chip = FakeChip()
    other = chip.request(LinePlan(CHIP, "IN1"))
    line, seen = watched(chip)
    async with running(line):
        assert seen == ["Device or resource busy"]
        other.release()
        await asyncio.sleep(5)
        assert seen[-2:] == [False, None]


def test_without_gpiod_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    monkeypatch.delitem(sys.modules, "hal.bus.gpiod_line", raising=False)
    with pytest.raises(DeviceMissing, match=r"pip install 'evse-agent\[gpio\]'"):
        request_with_gpiod(LinePlan(CHIP, "GPIO17"))


def test_a_chip_that_is_not_there_is_missing_for_gpiod_too() -> None:
    pytest.importorskip("gpiod")
    with pytest.raises(DeviceMissing, match="no-such-chip"):
        request_with_gpiod(LinePlan("/dev/no-such-chip", "GPIO17", debounce_ms=20, bias="pull_up"))
