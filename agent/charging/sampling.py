"""The metering clock: when which meter is read. Timers only while something is due; nothing is polled.

During a transaction: samples counted from its start, and the register noted on disk; on the grid from midnight:
clock-aligned readings of every meter, with or without a transaction. The readings themselves are jobs of the EVSEs'
queues (`bookkeeping.py`). OCPP 1.6 3.16, 4.7, errata 3.15 (R16-146 to R16-152).
"""

import asyncio
import logging
from datetime import datetime
from functools import partial

from agent.charging.core import StationCore
from agent.charging.evse_runner import EvseRunner
from agent.charging.facts import MeterSampled
from agent.charging.ids import ReadingContext
from agent.charging.measurands import INLET
from agent.charging.metering import (
    CAPPED_NOTE_S,
    REGISTER_NOTE_S,
    next_aligned,
    next_sample_time,
    take_sample,
)
from agent.charging.watched_meter import WatchedMeter

log = logging.getLogger(__name__)

LATE_S = 5.0
"""A reading taken later than this does not stand for its instant on the grid any more."""
_SAMPLE = "sample"
_NOTE = "note"


class Sampling:
    def __init__(self, core: StationCore) -> None:
        self._core = core
        self._grid: asyncio.TimerHandle | None = None
        port = core.hardware.main_meter
        self.main_meter = None if port is None else WatchedMeter(port, lambda: None)
        self._is_begun = False
        self._due: set[tuple[int, str]] = set()
        """Readings that wait in a queue: a slow meter is not asked for the same twice."""

    def start(self) -> None:
        self._is_begun = True
        self.arm_grid()
        for runner in self._core.runners.values():
            if runner.books.book is not None:
                self.begin(runner)

    def stop(self) -> None:
        self._is_begun = False
        if self._grid is not None:
            self._grid.cancel()

    def on_setting(self, name: str) -> None:
        """R16-211: a new interval holds for the running transaction too."""
        if name == "clock_aligned_interval_s":
            self.arm_grid()
        elif name == "sample_interval_s":
            for runner in self._core.runners.values():
                if runner.books.book is not None:
                    self._arm_sample(runner)

    # --- during a transaction --------------------------------------------------------------------------

    def begin(self, runner: EvseRunner) -> None:
        if self._is_begun:
            self._arm_sample(runner)
            self._arm_note(runner)

    def end(self, runner: EvseRunner) -> None:
        runner.stop_timer(_SAMPLE)
        runner.stop_timer(_NOTE)

    def _arm_sample(self, runner: EvseRunner) -> None:
        interval_s = self._core.settings.integer("sample_interval_s")
        if interval_s == 0:
            runner.stop_timer(_SAMPLE)
            return
        now = self._core.clock.time()
        due = next_sample_time(runner.books.begun_time, now, interval_s)
        runner.start_timer(_SAMPLE, due - now, partial(self._on_sample, runner))

    def _on_sample(self, runner: EvseRunner) -> None:
        self._put(runner, ReadingContext.SAMPLE_PERIODIC, None)
        self._arm_sample(runner)

    def _arm_note(self, runner: EvseRunner) -> None:
        period_s = CAPPED_NOTE_S if runner.session.deauthorized else REGISTER_NOTE_S
        runner.start_timer(_NOTE, period_s, partial(self._on_note, runner))

    def _on_note(self, runner: EvseRunner) -> None:
        """A sample that was just taken has put the register on disk already."""
        period_s = CAPPED_NOTE_S if runner.session.deauthorized else REGISTER_NOTE_S
        age_s = self._core.clock.time() - runner.books.kept_time
        if age_s >= period_s / 2:
            runner.put(runner.books.note)
        self._arm_note(runner)

    def watch_energy(self, runner: EvseRunner) -> None:
        """Energy counts against a limit from now on."""
        if runner.books.book is not None:
            self._arm_note(runner)

    def _put(self, runner: EvseRunner, context: ReadingContext, at: datetime | None) -> None:
        key = (runner.evse_id, str(context))
        if key in self._due:
            log.warning("EVSE %d: a reading is skipped, the one before is not done", runner.evse_id)
            return
        self._due.add(key)
        runner.put(partial(self._take, runner, context, at))

    async def _take(self, runner: EvseRunner, context: ReadingContext, at: datetime | None) -> None:
        try:
            if runner.books.book is not None:
                await runner.books.sample(context, at)
            elif context is ReadingContext.SAMPLE_CLOCK and at is not None:
                await self._take_outside(runner, at)
        finally:
            self._due.discard((runner.evse_id, str(context)))

    # --- on the grid -----------------------------------------------------------------------------------

    def arm_grid(self) -> None:
        """Also to be called when the wall clock was set."""
        if self._grid is not None:
            self._grid.cancel()
            self._grid = None
        interval_s = self._core.settings.integer("clock_aligned_interval_s")
        if interval_s == 0 or not self._is_begun:
            return
        now = self._core.clock.now()
        due = next_aligned(now, interval_s)
        wait_s = (due - now).total_seconds()
        self._grid = asyncio.get_running_loop().call_later(wait_s, self._on_grid, due)

    def _on_grid(self, due: datetime) -> None:
        late_s = (self._core.clock.now() - due).total_seconds()
        if not 0 <= late_s <= LATE_S:  # the clock was set meanwhile
            self.arm_grid()
            return
        for runner in self._core.runners.values():
            if runner.meter is not None:
                self._put(runner, ReadingContext.SAMPLE_CLOCK, due)
        if self.main_meter is not None:
            self._core.start_task("main meter", partial(self._take_main, due))
        self.arm_grid()

    async def _take_outside(self, runner: EvseRunner, at: datetime) -> None:
        """R16-151: without a transaction the reading is current or nothing."""
        reading = None if runner.meter is None else await runner.meter.read()
        if reading is None:
            return
        entries = self._core.settings.listed("aligned_measurands")
        sample = take_sample(entries, reading, at, ReadingContext.SAMPLE_CLOCK, runner.offer(reading))
        if sample.values:
            connector_id = runner.session.connector_id
            self._core.publish(MeterSampled(runner.evse_id, connector_id, None, sample))

    async def _take_main(self, at: datetime) -> None:
        reading = None if self.main_meter is None else await self.main_meter.read()
        if reading is None:
            return
        entries = self._core.settings.listed("aligned_measurands")
        sample = take_sample(entries, reading, at, ReadingContext.SAMPLE_CLOCK, None, place=INLET)
        if sample.values:
            self._core.publish(MeterSampled(0, 0, None, sample))
