"""The metering clock: when which meter is read. Timers only while something is due; nothing is polled.

During a transaction: samples counted from its start, and the register noted on disk; on the grid from midnight:
clock-aligned readings of every meter, with or without a transaction, and readings in between when something has to be
averaged. What is sent and what is kept for the end of a transaction have intervals of their own where the CSMS's
conventions say so. The readings themselves are jobs of the EVSEs' queues (`bookkeeping.py`).
OCPP 1.6 3.7, 3.16, 4.7, 9.1.5, errata 3.15 (R16-133, R16-146 to R16-161); 2.0.1 J01, J02.
"""

import asyncio
import logging
from datetime import datetime, timedelta
from functools import partial

from agent.charging.core import StationCore
from agent.charging.evse_runner import EvseRunner
from agent.charging.facts import MeterRead, MeterSampled, Sample
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
from agent.charging.readings import Use
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
_NOTE = "note"
_SENT_ONLY, _KEPT_ONLY = frozenset({Use.SENT}), frozenset({Use.KEPT})
_BOTH = _SENT_ONLY | _KEPT_ONLY
_SAMPLED = {Use.SENT: "sample_interval_s", Use.KEPT: "stop_sample_interval_s"}
_ALIGNED = {Use.SENT: "clock_aligned_interval_s", Use.KEPT: "stop_aligned_interval_s"}
_OF_SAMPLES = (*_SAMPLED.values(), "sampled_enabled")
_OF_THE_GRID = (
    *_ALIGNED.values(),
    "aligned_enabled",
    "aligned_measurands",
    "stop_aligned_measurands",
)


class Sampling:
    def __init__(self, core: StationCore) -> None:
        self._core = core
        self._grids: dict[Use, asyncio.TimerHandle] = {}
        port = core.hardware.main_meter
        self.main_meter = None if port is None else WatchedMeter(port, lambda: None)
        self._is_begun = False
        self._due: set[tuple[object, ...]] = set()
        """Readings that wait in a queue: a slow meter is not asked for the same twice."""
        self._periods: dict[tuple[EvseId, Use], AlignedPeriod] = {}
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
        for timer in (*self._grids.values(), self._poll):
            if timer is not None:
                timer.cancel()
        self._grids.clear()

    def on_setting(self, name: str) -> None:
        """R16-211: a new interval holds for the running transaction too."""
        if name in _OF_THE_GRID:
            self.arm_grid()
        elif name in _OF_SAMPLES:
            self._arm_samples()

    def on_conventions(self) -> None:
        """What is sent and what is kept may have parted, or come together."""
        self.arm_grid()
        self._arm_samples()

    def _arm_samples(self) -> None:
        for runner in self._core.runners.values():
            if runner.books.book is not None:
                self._arm_sample(runner)

    # --- what is due together --------------------------------------------------------------------------

    def _uses(self) -> tuple[frozenset[Use], ...]:
        """What has an interval of its own."""
        if self._core.conventions.has_own_end_intervals:
            return (_SENT_ONLY, _KEPT_ONLY)
        return (_BOTH,)

    def _interval(self, settings: dict[Use, str], uses: frozenset[Use], switch: str) -> int:
        """In s; 0: nothing is due. `settings`: the interval of each use; the one that is sent counts for both."""
        if not self._core.settings.flag(switch):
            return 0
        return self._core.settings.integer(settings[Use.SENT if Use.SENT in uses else Use.KEPT])

    def _sample_interval(self, uses: frozenset[Use]) -> int:
        return self._interval(_SAMPLED, uses, "sampled_enabled")

    def _aligned_interval(self, uses: frozenset[Use]) -> int:
        return self._interval(_ALIGNED, uses, "aligned_enabled")

    # --- during a transaction --------------------------------------------------------------------------

    def begin(self, runner: EvseRunner) -> None:
        self.begin_period(runner.evse_id, runner.books.readings.interval_first)
        if self._is_begun:
            self._arm_sample(runner)
            self._arm_note(runner)

    def end(self, runner: EvseRunner) -> None:
        self._stop_samples(runner)
        runner.stop_timer(_NOTE)

    @staticmethod
    def _stop_samples(runner: EvseRunner) -> None:
        for uses in (_BOTH, _SENT_ONLY, _KEPT_ONLY):
            runner.stop_timer(_timer_of(uses))

    def _arm_sample(self, runner: EvseRunner) -> None:
        self._stop_samples(runner)
        for uses in self._uses():
            self._arm_next_sample(runner, uses)

    def _arm_next_sample(self, runner: EvseRunner, uses: frozenset[Use]) -> None:
        interval_s = self._sample_interval(uses)
        if interval_s:
            now = self._core.clock.time()
            due = next_sample_time(runner.books.begun_time, now, interval_s)
            runner.start_timer(_timer_of(uses), due - now, partial(self._on_sample, runner, uses))

    def _on_sample(self, runner: EvseRunner, uses: frozenset[Use]) -> None:
        self._put(runner, ReadingContext.SAMPLE_PERIODIC, None, uses)
        self._arm_next_sample(runner, uses)
        if self.main_meter is not None and self._core.conventions.samples_main_meter:
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

    def _put(
        self, runner: EvseRunner, context: ReadingContext, at: datetime | None, uses: frozenset[Use]
    ) -> None:
        key = (runner.evse_id, context, uses)
        if key in self._due:
            log.warning("EVSE %d: a reading is skipped, the one before is not done", runner.evse_id)
            return
        self._due.add(key)
        runner.put(partial(self._take, runner, context, at, uses))

    async def _take(
        self, runner: EvseRunner, context: ReadingContext, at: datetime | None, uses: frozenset[Use]
    ) -> None:
        try:
            if runner.books.book is not None:
                await runner.books.sample(context, at, uses)
            elif context is ReadingContext.SAMPLE_CLOCK and at is not None and Use.SENT in uses:
                await self._take_outside(runner, at)
        finally:
            self._due.discard((runner.evse_id, context, uses))

    # --- on the grid -----------------------------------------------------------------------------------

    def arm_grid(self) -> None:
        """For the next instants. Also to be called when the wall clock was set."""
        for timer in self._grids.values():
            timer.cancel()
        self._grids.clear()
        self._arm_poll()
        for uses in self._uses():
            self._arm_one(uses)

    def _arm_one(self, uses: frozenset[Use], after: datetime | None = None) -> None:
        """Not for `after` again."""
        interval_s = self._aligned_interval(uses)
        if interval_s == 0 or not self._is_begun:
            return
        now = self._core.clock.now()
        due = next_aligned(now if after is None else max(now, after), interval_s)
        wait_s = (due - now).total_seconds()
        timer = asyncio.get_running_loop().call_later(wait_s, self._on_grid, due, uses)
        self._grids[min(uses)] = timer

    def _on_grid(self, due: datetime, uses: frozenset[Use]) -> None:
        late_s = (self._core.clock.now() - due).total_seconds()
        if not -EARLY_S <= late_s <= LATE_S:  # the clock was set meanwhile
            self.arm_grid()
            return
        self._arm_one(uses, after=due)
        if Use.SENT in uses and self._rests():
            uses = uses - _SENT_ONLY
        if not uses:
            return
        for runner in self._core.runners.values():
            if runner.meter is not None and (Use.SENT in uses or runner.books.book is not None):
                self._put(runner, ReadingContext.SAMPLE_CLOCK, due, uses)
        if self.main_meter is not None and Use.SENT in uses:
            self._core.start_task("main meter", partial(self._take_main, due))

    def _rests(self) -> bool:
        """SendDuringIdle: only while no transaction runs anywhere (2.0.1 J01.FR.20)."""
        is_wanted = self._core.settings.flag("aligned_when_idle_only")
        return is_wanted and any(runner.session.has_transaction for runner in self._core.runners.values())

    async def _take_outside(self, runner: EvseRunner, at: datetime) -> None:
        """R16-151, R16-152: without a transaction."""
        reading = None if runner.meter is None else await runner.meter.read()
        if reading is None:
            return
        offer = runner.offer(reading)
        samples = self._ended_sample(runner.evse_id, reading, offer, OUTLET, at)
        await self._queue(runner.evse_id, runner.session.connector_id, at, samples)

    def _ended_sample(
        self, evse_id: EvseId, reading: MeterReading, offer: Offer | None, place: str, at: datetime
    ) -> tuple[Sample, ...]:
        """What is sent of a period without a transaction."""
        entries = self._core.measurands_of("aligned_measurands")
        period = self.ended_periods(evse_id, reading, offer, place, at, _SENT_ONLY)[Use.SENT]
        if not entries:
            return ()
        at_start = self._core.conventions.stamps_periods_at_start
        return period.samples(entries, reading, at, offer, place, stamps_start=at_start)

    async def _take_main(self, at: datetime) -> None:
        """R16-155: what comes from the grid, as connector 0 of 1.6 and with location Inlet."""
        reading = None if self.main_meter is None else await self.main_meter.read()
        if reading is None:
            return
        await self._queue(MAIN_METER, 0, at, self._ended_sample(MAIN_METER, reading, None, INLET, at))

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
        at, entries = self._core.clock.now(), self._core.measurands_of("sampled_measurands")
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
        if not self._core.conventions.queues_idle_readings:
            for sample in samples:
                self._core.publish(MeterSampled(evse_id, connector_id, None, sample))
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
        for use in Use:
            self._periods[evse_id, use] = AlignedPeriod(self._core.clock.now(), first)

    def ended_periods(
        self,
        evse_id: EvseId,
        reading: MeterReading,
        offer: Offer | None,
        place: str,
        at: datetime,
        uses: frozenset[Use],
    ) -> dict[Use, AlignedPeriod]:
        """The periods that end at `at` with `reading`, which also begins the next ones."""
        ended = {}
        for use in sorted(uses, reverse=True):
            together = next(each for each in self._uses() if use in each)
            longest = timedelta(seconds=self._aligned_interval(together))
            entries = self._entries_of(use)
            period = self._periods.get((evse_id, use)) or AlignedPeriod(at)
            if not at - longest <= period.begun_at < at:  # the clock was set meanwhile
                period.begun_at = at - longest
            period.add(entries, reading, offer, place)
            self._periods[evse_id, use] = following = AlignedPeriod(at)
            following.add(entries, reading, offer, place)
            ended[use] = period
        return ended

    def partial_period(
        self, evse_id: EvseId, entries: tuple[str, ...], reading: MeterReading, offer: Offer, at: datetime
    ) -> tuple[Sample, ...]:
        """What the period that a transaction breaks off came to, for its stop; without the counters (R16-161)."""
        period = self._periods.get((evse_id, Use.KEPT))
        if period is None or not entries or self._aligned_interval(_BOTH) == 0:
            return ()
        period.add(entries, reading, offer, OUTLET)
        found = period.samples(entries, reading, at, offer, OUTLET)
        return tuple(sample for sample in found if sample.at != at)

    def _entries_of(self, use: Use) -> tuple[str, ...]:
        return self._core.settings.listed(
            "aligned_measurands" if use is Use.SENT else "stop_aligned_measurands"
        )

    def _poll_step(self) -> float | None:
        """How often meters are read in between, so that what is aligned can be averaged; None: never."""
        steps = []
        for uses in self._uses():
            entries = tuple(entry for use in uses for entry in self._entries_of(use))
            steps.append(poll_step_s(entries, self._aligned_interval(uses)))
        return min((step for step in steps if step is not None), default=None)

    def _arm_poll(self) -> None:
        """Read in between only while something is to be averaged: an idle station leaves its meters alone."""
        step_s = self._poll_step() if self._is_begun else None
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
        if (evse_id, Use.SENT) not in self._periods:
            self.begin_period(evse_id, None)
        for use in Use:
            self._periods[evse_id, use].add(self._entries_of(use), reading, offer, place)


def _timer_of(uses: frozenset[Use]) -> str:
    return f"sample {' '.join(sorted(uses))}"
