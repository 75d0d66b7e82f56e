"""What the EVSE's meter shows of the current, for a board that has no sensors of its own and yet supervises it.

Reads the meter every 2 s while the contactor is closed, and only then; what somebody else has just read is as good. The
board gets the lower one of the last two: one odd reading must not stop a car. It decides nothing: the board compares
with its limit and opens (docs/board.md, `over_current`). Owned by `evse_runner.py`.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from hal.ports import ContactorState, EvseState, MeterReading

if TYPE_CHECKING:
    from agent.charging.evse_runner import EvseRunner

READ_EVERY_S = 2.0
FRESH_S = 5.0
"""An older reading says nothing; the board is told that the current is not known."""
_READ = "read current"
_STALE = "stale current"


class CurrentWatch:
    """`measured_a`: the highest phase current, None while it is not known."""

    def __init__(self, runner: "EvseRunner", on_change: Callable[[], None]) -> None:
        self.measured_a: float | None = None
        self._runner = runner
        self._on_change = on_change
        self._is_watching = False
        self._before: tuple[float, float] | None = None
        """The reading before: its time and its highest current."""

    def follow(self, state: EvseState) -> None:
        """Watch while current may flow, unless the board measures every phase itself."""
        is_closed = state.link_ok and state.contactor is ContactorState.CLOSED
        sensors = sum(current_a is not None for current_a in state.current_a)
        has_sensors = sensors >= (state.phases or len(state.current_a))
        wants = is_closed and not has_sensors and self._runner.meter is not None
        if wants == self._is_watching:
            return
        self._is_watching = wants
        if wants:
            self._runner.put(self._read)
        else:
            self._runner.stop_timer(_READ)
            self._runner.stop_timer(_STALE)
            self._before = None
            self._tell(None)

    async def _read(self) -> None:
        """A silent meter is left to those who count its silence: it would hold up everything else."""
        meter = self._runner.meter
        if meter is None or not self._is_watching:
            return
        if meter.watch.misses == 0 and not self._is_just_read(meter.last):
            await meter.read()
        if self._is_watching:
            self._runner.start_timer(_READ, READ_EVERY_S, self._put_read)

    def _put_read(self) -> None:
        self._runner.put(self._read)

    def _is_just_read(self, reading: MeterReading | None) -> bool:
        now = asyncio.get_running_loop().time()
        return reading is not None and now - reading.at_time < READ_EVERY_S / 2

    def meter_was_read(self) -> None:
        """By whoever: take what it showed."""
        meter = self._runner.meter
        if meter is None or meter.last is None or meter.watch.misses or not self._is_watching:
            return
        before, reading = self._before, meter.last
        currents_a = [current_a for current_a in reading.current_a if current_a is not None]
        if not currents_a:
            return
        self._before = (reading.at_time, max(currents_a))
        self._runner.start_timer(_STALE, FRESH_S, self._forget)
        if before is not None and reading.at_time - before[0] <= FRESH_S:
            self._tell(round(min(before[1], max(currents_a)), 1))

    def _forget(self) -> None:
        self._before = None
        self._tell(None)

    def _tell(self, measured_a: float | None) -> None:
        if measured_a != self.measured_a:
            self.measured_a = measured_a
            self._on_change()
