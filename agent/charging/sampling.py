"""The metering clock: when which meter is read. Timers only while something is due; nothing is polled.

During a transaction: samples counted from its start, and the register noted on disk; on the grid from midnight:
clock-aligned readings of every meter, with or without a transaction, and readings in between when something has to be
averaged. The readings themselves are jobs of the EVSEs' queues (`bookkeeping.py`). Those without a transaction are
queued for the CSMS like all others. OCPP 1.6 3.7, 3.16, 4.7, 9.1.5, errata 3.15 (R16-133, R16-146 to R16-161).
"""

import asyncio
import logging
from datetime import datetime, timedelta
from functools import partial

from agent.charging.core import StationCore
from agent.charging.evse_runner import EvseRunner
from agent.charging.facts import MeterRead, Sample
from agent.charging.ids import ConnectorId, EvseId, ReadingContext
from agent.charging.measurands import INLET, OUTLET, Offer
from agent.charging.metering import (
    CAPPED_NOTE_S,
    REGISTER_NOTE_S,
    AlignedPeriod,
    next_aligned,
    next_sample_time,
    poll_step_s,
    take_sample,
)
from agent.charging.watched_meter import WatchedMeter
from agent.errors import StoreError
from hal.ports import MeterReading

log = logging.getLogger(__name__)

EARLY_S = 0.01
"""Timers tick in whole milliseconds, and may so come a hair before their instant."""
LATE_S = 5.0
"""A reading taken later than this does not stand for its instant on the grid any more."""
QUEUE_LIMIT = 50_000
"""Messages in the outbox, beyond which a reading without a transaction is not queued any more."""
MAIN_METER: EvseId = 0
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
        self._periods: dict[EvseId, AlignedPeriod] = {}
        self._poll: asyncio.TimerHandle | None = None
        self._main_first: MeterReading | None = None
        """The main meter's reading with which the running interval of the sampled readings began."""
        self._main_sampled_time = float("-inf")

    def start(self) -> None:
        self._is_begun = True
        for evse_id in (MAIN_METER, *self._core.runners):
            self.begin_period(evse_id, None)
        self.arm_grid()
        for runner in self._core.runners.values():
            if runner.books.book is not None:
                self.begin(runner)

    def stop(self) -> None:
        self._is_begun = False
        for timer in (self._grid, self._poll):
            if timer is not None:
                timer.cancel()

    def on_setting(self, name: str) -> None:
        """R16-211: a new interval holds for the running transaction too."""
        if name in ("clock_aligned_interval_s", "aligned_measurands", "stop_aligned_measurands"):
            self.arm_grid()
        elif name == "sample_interval_s":
            for runner in self._core.runners.values():
                if runner.books.book is not None:
                    self._arm_sample(runner)

    # --- during a transaction --------------------------------------------------------------------------

    def begin(self, runner: EvseRunner) -> None:
        self.begin_period(runner.evse_id, runner.books.interval_first)
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
        if self.main_meter is not None:
            self._core.start_task("main meter", self._sample_main)

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

    def arm_grid(self, after: datetime | None = None) -> None:
        """For the next instant, and not for `after` again. Also to be called when the wall clock was set."""
        if self._grid is not None:
            self._grid.cancel()
            self._grid = None
        self._arm_poll()
        interval_s = self._core.settings.integer("clock_aligned_interval_s")
        if interval_s == 0 or not self._is_begun:
            return
        now = self._core.clock.now()
        due = next_aligned(now if after is None else max(now, after), interval_s)
        wait_s = (due - now).total_seconds()
        self._grid = asyncio.get_running_loop().call_later(wait_s, self._on_grid, due)

    def _on_grid(self, due: datetime) -> None:
        late_s = (self._core.clock.now() - due).total_seconds()
        if not -EARLY_S <= late_s <= LATE_S:  # the clock was set meanwhile
            self.arm_grid()
            return
        for runner in self._core.runners.values():
            if runner.meter is not None:
                self._put(runner, ReadingContext.SAMPLE_CLOCK, due)
        if self.main_meter is not None:
            self._core.start_task("main meter", partial(self._take_main, due))
        self.arm_grid(after=due)

    async def _take_outside(self, runner: EvseRunner, at: datetime) -> None:
        """R16-151, R16-152: without a transaction."""
        reading = None if runner.meter is None else await runner.meter.read()
        if reading is None:
            return
        offer = runner.offer(reading)
        period = self.ended_period(runner.evse_id, reading, offer, OUTLET, at)
        entries = self._core.settings.listed("aligned_measurands")
        samples = period.samples(entries, reading, at, offer, OUTLET)
        await self._queue(runner.evse_id, runner.session.connector_id, at, samples)

    async def _take_main(self, at: datetime) -> None:
        """R16-155: what comes from the grid, as connector 0 of 1.6 and with location Inlet."""
        reading = None if self.main_meter is None else await self.main_meter.read()
        if reading is None:
            return
        period = self.ended_period(MAIN_METER, reading, None, INLET, at)
        entries = self._core.settings.listed("aligned_measurands")
        await self._queue(MAIN_METER, 0, at, period.samples(entries, reading, at, None, INLET))

    async def _sample_main(self) -> None:
        """With the samples of a transaction (OCPP 1.6 3.16.3); once per interval, however many transactions run."""
        now = self._core.clock.time()
        passed_s, interval_s = now - self._main_sampled_time, self._core.settings.integer("sample_interval_s")
        if passed_s < interval_s / 2:
            return
        self._main_sampled_time = now
        if passed_s > interval_s * 1.5:  # nothing was sampled for a while: no interval ends here
            self._main_first = None
        reading = None if self.main_meter is None else await self.main_meter.read()
        if reading is None:
            return
        at, entries = self._core.clock.now(), self._core.settings.listed("sampled_measurands")
        context = ReadingContext.SAMPLE_PERIODIC
        sample = take_sample(entries, reading, at, context, None, INLET, self._main_first)
        self._main_first = reading
        await self._queue(MAIN_METER, 0, at, (sample,) if sample.values else ())

    async def _queue(
        self, evse_id: EvseId, connector_id: ConnectorId, at: datetime, samples: tuple[Sample, ...]
    ) -> None:
        """For the CSMS, in order with everything else; lost when the disk takes nothing or the queue is too long."""
        if not samples:
            return
        try:
            if not self._core.is_online and await self._core.journal.depth() >= QUEUE_LIMIT:
                log.warning("a reading of meter %d is lost: %d messages wait", evse_id, QUEUE_LIMIT)
                return
            fact = MeterRead(evse_id, connector_id, at, samples[-1], samples[0] if len(samples) > 1 else None)
            await self._core.record(fact)
        except StoreError:
            return  # a fault of the station already
        self._core.publish(fact)

    # --- periods of the grid ---------------------------------------------------------------------------

    def begin_period(self, evse_id: EvseId, first: MeterReading | None) -> None:
        """A part of a period begins: the station, a transaction or the time after it."""
        self._periods[evse_id] = AlignedPeriod(self._core.clock.now(), first)

    def ended_period(
        self, evse_id: EvseId, reading: MeterReading, offer: Offer | None, place: str, at: datetime
    ) -> AlignedPeriod:
        """The period that ends at `at` with `reading`, which also begins the next one."""
        entries = self._aligned_entries()
        period = self._periods.get(evse_id) or AlignedPeriod(at)
        longest = timedelta(seconds=self._core.settings.integer("clock_aligned_interval_s"))
        if not at - longest <= period.begun_at < at:  # the clock was set meanwhile
            period.begun_at = at - longest
        period.add(entries, reading, offer, place)
        self._periods[evse_id] = following = AlignedPeriod(at)
        following.add(entries, reading, offer, place)
        return period

    def partial_period(
        self, evse_id: EvseId, entries: tuple[str, ...], reading: MeterReading, offer: Offer, at: datetime
    ) -> tuple[Sample, ...]:
        """What the period that a transaction breaks off came to, for its stop; without the counters (R16-161)."""
        period = self._periods.get(evse_id)
        if period is None or not entries or self._core.settings.integer("clock_aligned_interval_s") == 0:
            return ()
        period.add(entries, reading, offer, OUTLET)
        found = period.samples(entries, reading, at, offer, OUTLET)
        return tuple(sample for sample in found if sample.at != at)

    def _aligned_entries(self) -> tuple[str, ...]:
        settings = self._core.settings
        return settings.listed("aligned_measurands") + settings.listed("stop_aligned_measurands")

    def _arm_poll(self) -> None:
        """Read in between only while something is to be averaged: an idle station leaves its meters alone."""
        interval_s = self._core.settings.integer("clock_aligned_interval_s")
        step_s = poll_step_s(self._aligned_entries(), interval_s) if self._is_begun else None
        if step_s is None:
            if self._poll is not None:
                self._poll.cancel()
                self._poll = None
        elif self._poll is None:
            self._poll = asyncio.get_running_loop().call_later(step_s, self._on_poll)

    def _on_poll(self) -> None:
        self._poll = None
        for runner in self._core.runners.values():
            key = (runner.evse_id, "poll")
            if runner.meter is not None and key not in self._due:
                self._due.add(key)
                runner.put(partial(self._poll_evse, runner))
        if self.main_meter is not None:
            self._core.start_task("main meter", self._poll_main)
        self._arm_poll()

    async def _poll_evse(self, runner: EvseRunner) -> None:
        self._due.discard((runner.evse_id, "poll"))
        reading = None if runner.meter is None else await runner.meter.read()
        if reading is not None:
            self._add(runner.evse_id, reading, runner.offer(reading), OUTLET)

    async def _poll_main(self) -> None:
        reading = None if self.main_meter is None else await self.main_meter.read()
        if reading is not None:
            self._add(MAIN_METER, reading, None, INLET)

    def _add(self, evse_id: EvseId, reading: MeterReading, offer: Offer | None, place: str) -> None:
        if evse_id not in self._periods:
            self.begin_period(evse_id, None)
        self._periods[evse_id].add(self._aligned_entries(), reading, offer, place)
