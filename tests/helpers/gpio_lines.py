"""GPIO chips played by a test: line requests on real descriptors (a pipe each), so that `add_reader` is exercised.

An edge is one byte in the pipe; a chip that is pulled out closes the writing end, and everything after that is ENODEV,
as the kernel does it. Kernel 6.1 does not wake up who waits: `unplug(wakes=False)`.
"""

import errno
import os
from collections.abc import Sequence

from hal.bus.gpio import LinePlan
from hal.errors import DeviceMissing


class FakeChip:
    """One chip: give `chip.request` to the lines under test."""

    def __init__(self) -> None:
        self.levels: dict[str, bool] = {}
        self.is_plugged = True
        self.held: dict[str, FakeLine] = {}
        self.plans: list[LinePlan] = []
        """Every request that was granted."""

    def request(self, plan: LinePlan) -> "FakeLine":
        if not self.is_plugged:
            raise DeviceMissing(f"{plan}: no such chip")
        if plan.line in self.held:
            raise DeviceMissing(f"{plan}: Device or resource busy")
        self.plans.append(plan)
        line = FakeLine(self, plan)
        self.held[plan.line] = line
        if plan.is_output:
            self.levels[plan.line] = False
        return line

    def drive(self, line: str, on: bool) -> None:
        """Somebody presses, opens or pulls: an edge, if the level changes."""
        if self.levels.get(line, False) == on:
            return
        self.levels[line] = on
        if line in self.held:
            self.held[line].tell(on)

    def unplug(self, wakes: bool = True) -> None:
        self.is_plugged = False
        for line in self.held.values():
            line.is_dead = True
            if wakes:
                line.hang_up()

    def plug(self) -> None:
        self.is_plugged = True


class FakeLine:
    """A `LineRequest`."""

    def __init__(self, chip: FakeChip, plan: LinePlan) -> None:
        self._chip = chip
        self._plan = plan
        self._read_end, self._write_end = os.pipe()
        self._is_hung_up = False
        self.is_dead = False

    def tell(self, on: bool) -> None:
        if not self._is_hung_up:
            os.write(self._write_end, b"1" if on else b"0")

    def hang_up(self) -> None:
        if not self._is_hung_up:
            self._is_hung_up = True
            os.close(self._write_end)

    def fileno(self) -> int:
        return self._read_end

    def read_edges(self) -> Sequence[bool]:
        octets = os.read(self._read_end, 100)
        if not octets:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return [octet == ord("1") for octet in octets]

    def get(self) -> bool:
        self._check()
        return self._chip.levels.get(self._plan.line, False)

    def set(self, on: bool) -> None:
        self._check()
        assert self._plan.is_output
        self._chip.levels[self._plan.line] = on

    def release(self) -> None:
        self.hang_up()
        os.close(self._read_end)
        del self._chip.held[self._plan.line]

    def _check(self) -> None:
        if self.is_dead:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
