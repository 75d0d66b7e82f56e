"""The transactions of one EVSE: reads the meter, commits each fact, and only then tells.

Works on the EVSE's queue, one job after the other, so that facts stand in the order in which they happened. A start is
committed before charging is permitted; a stop is committed after the board was told to open, and is tried until the
disk takes it. Samples that a full disk does not take are kept back in memory, bounded, and stored in their order later.
The rules are in `transactions.py` and `metering.py`; called by `evse_runner.py`.
OCPP 1.6 3.16, 4.8, 4.10, errata 3.14; design walk D.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from agent.charging.actions import CloseTransaction, OpenTransaction, UpdateTransaction
from agent.charging.core import StationCore
from agent.charging.events import EnergyUsed, OpeningFailed, TransactionClosed, TransactionOpened
from agent.charging.facts import Sample, TransactionFact, TransactionStarted
from agent.charging.ids import ReadingContext, StopReason, TransactionId, TriggerReason
from agent.charging.measurands import OUTLET
from agent.charging.metering import register_sample, register_wh, take_sample, thinned, with_register
from agent.charging.ports import OpenTransaction as FoundTransaction
from agent.charging.signing import Signing
from agent.charging.transactions import Book
from agent.errors import StoreError
from hal.ports import FaultCode, MeterReading

if TYPE_CHECKING:
    from agent.charging.evse_runner import EvseRunner

log = logging.getLogger(__name__)

OPENING_LIMIT_S = 8.0
"""After charging is forbidden an EV may take this long until the contactor is open; then the register stands still."""
STORE_RETRY_S = (1.0, 2.0, 5.0, 15.0, 60.0)
KEPT_BACK_LIMIT = 200
"""Samples kept in memory while the disk takes nothing; of more, every other one in between is dropped."""
NO_METER = MeterReading(at_time=0.0, energy_import_wh=0.0)
"""Of an EVSE without a meter: nothing is measured, so nothing is billed."""

MakeFact = Callable[[Book], TransactionFact]
"""Gives a fact its place in the book: its number is known only when those before it are on disk."""


class Bookkeeping:
    def __init__(self, core: StationCore, runner: "EvseRunner") -> None:
        self._core = core
        self._runner = runner
        self.book: Book | None = None
        self.begun_time = 0.0
        """Loop time at which the running transaction began."""
        self.kept_time = 0.0
        """Loop time at which the register was last put on disk."""
        self.interval_first: MeterReading | None = None
        """The reading with which the running interval of the sampled readings began (R16-160)."""
        self._signing = Signing(core, runner.evse_id, runner.ports.signer)
        self._kept_back: list[MakeFact] = []
        self._stop_kept_back: list[Sample] = []

    # --- start -----------------------------------------------------------------------------------------

    async def open(self, action: OpenTransaction) -> None:
        failure: str | None = "internal error"
        try:
            failure = await self._open(action)
        finally:
            if failure is not None:
                self._runner.hear(OpeningFailed(failure))

    async def _open(self, action: OpenTransaction) -> str | None:
        """None: it is open. Otherwise why it is not."""
        if self._core.is_resetting:
            return "resetting"
        if not self._core.clock.is_trusted:
            return "no trustworthy time"
        if not self._core.is_registered:
            return "not accepted by the CSMS yet"
        reading = await self._read_to_start()
        start_wh = register_wh(reading)
        if reading is None or start_wh is None:
            return "the meter is silent"
        begun_time = self._core.clock.time()
        at = self._core.clock.now()
        begin = ReadingContext.TRANSACTION_BEGIN
        is_metered = self._runner.meter is not None
        sample = self._sample(reading, begin, "sampled_measurands", start_wh, at) if is_metered else None
        started = TransactionStarted(
            transaction_id=str(uuid.uuid4()),
            evse_id=self._runner.evse_id,
            connector_id=action.connector_id,
            at=at,
            seq_no=0,
            id_token=action.id_token,
            meter_start_wh=start_wh,
            trigger=action.trigger,
            offline=not self._core.is_online,
            reservation_id=self._core.reserving.used_by(action.reservation),
            remote_start_id=action.remote_start_id,
            sample=sample,
        )
        await self._core.limiting.bind(started)
        try:
            await self._core.record(started)
        except StoreError:
            await self._core.limiting.forget(started.transaction_id)
            return "the start cannot be stored"
        self.book = Book.begun(started)
        self.begun_time = self.kept_time = begun_time
        self.interval_first = reading if is_metered else None
        self._signing.begin(started.id_token)
        if is_metered:
            await self._keep_for_stop(self._stop_entries(), reading, begin, at)
        self._core.publish(started)
        await self._tell_begin(reading, at)
        self._runner.hear(TransactionOpened())
        self._core.sampling.begin(self._runner)
        return None

    async def _tell_begin(self, reading: MeterReading, at: datetime) -> None:
        """The reading that StartTxnSampledData asks for, before any energy flows: where a meter signs, signed."""
        book = self.book
        is_wanted = bool(
            self._core.settings.listed("start_measurands")
        )  # empty means nothing, not the register
        if book is None or self._runner.meter is None or not is_wanted:
            return
        begin, start_wh = ReadingContext.TRANSACTION_BEGIN, book.register_wh
        plain = self._sample(reading, begin, "start_measurands", start_wh, at)
        if not plain.values:
            return
        sample = await self._signing.signed(plain, at_start=True)
        state, offline = self._runner.session.charging_state, not self._core.is_online
        await self._record(lambda book: book.metered(sample, state, offline))

    async def _read_to_start(self) -> MeterReading | None:
        meter = self._runner.meter
        if meter is None:
            return NO_METER
        for _attempt in range(2):
            reading = await meter.read()
            if register_wh(reading) is not None:
                return reading
        meter.give_up()
        return None

    def resume(self, found: FoundTransaction) -> None:
        """A transaction that was open when the power went goes on."""
        self.book = Book.found(found)
        self.interval_first = None
        self.begun_time = self.kept_time = self._core.clock.time()
        self._signing.begin(found.started.id_token)

    def bind(self, transaction_id: TransactionId, reference: str) -> None:
        """The CSMS calls the transaction `reference`."""
        if self.book is not None and self.book.started.transaction_id == transaction_id:
            self.book = replace(self.book, reference=reference)

    # --- in between ------------------------------------------------------------------------------------

    async def update(self, action: UpdateTransaction) -> None:
        if self.book is None:
            return
        now = self._core.clock.now()
        trigger, state, offline = action.trigger, action.charging_state, not self._core.is_online
        # One that cannot be stored is forgotten: the next one says where things stand then, and takes its number.
        await self._record(lambda book: book.updated(now, trigger, state, offline))

    async def sample(self, context: ReadingContext, at: datetime | None = None) -> None:
        """A due reading of the running transaction; `at`: the instant on the grid that it stands for."""
        is_periodic = context is ReadingContext.SAMPLE_PERIODIC
        sent, kept = (
            ("sampled_measurands", "stop_sampled_measurands")
            if is_periodic
            else ("aligned_measurands", "stop_aligned_measurands")
        )
        if self.book is None:
            return
        reading = await self._read()
        if reading is None:
            return
        at = at or self._core.clock.now()
        register = self.book.register_wh
        entries, kept_entries = self._core.settings.listed(sent), self._core.settings.listed(kept)
        if is_periodic:
            plain = self._sample(reading, context, sent, register, at)
            samples: tuple[Sample, ...] = (await self._signing.signed(plain),)
            await self._keep_for_stop(kept_entries, reading, context, at)
            self.interval_first = with_register(reading, register)
        else:
            offer, reading = self._runner.offer(reading), with_register(reading, register)
            period = self._core.sampling.ended_period(self._runner.evse_id, reading, offer, OUTLET, at)
            samples = await self._signed(period.samples(entries, reading, at, offer, OUTLET))
            if kept_entries:
                kept_samples = period.samples(kept_entries, reading, at, offer, OUTLET)
                await self._keep_samples(*await self._signed(kept_samples))
        if not samples:
            return
        state, offline = self._runner.session.charging_state, not self._core.is_online
        sample, before = samples[-1], samples[0] if len(samples) > 1 else None

        def make(book: Book) -> TransactionFact:
            return book.metered(sample, state, offline, at=at, period=before, register_wh=register)

        if await self._record(make):
            self.kept_time = self._core.clock.time()
            return
        self._kept_back.append(make)
        if len(self._kept_back) > KEPT_BACK_LIMIT:
            self._kept_back = [self._kept_back[0], *self._kept_back[2:-1:2], self._kept_back[-1]]

    async def _record(self, make: MakeFact) -> bool:
        """Store the fact that `make` gives, after those that were kept back, in one commit. False: not stored."""
        facts = self._numbered(make)
        try:
            await self._core.record(*facts)
        except StoreError:
            return False
        self._recorded(facts)
        return True

    def _numbered(self, make: MakeFact) -> list[TransactionFact]:
        """What was kept back, and then what `make` gives, each with its number."""
        book, facts = self.book, []
        assert book is not None
        for each in (*self._kept_back, make):
            facts.append(each(book))
            book = book.after(facts[-1])
        return facts

    def _recorded(self, facts: Sequence[TransactionFact]) -> None:
        self._kept_back.clear()
        if self.book is not None:
            self.book = self.book.after(facts[-1])
        for fact in facts:
            self._core.publish(fact)

    async def note(self) -> None:
        """Keep the register on disk, so that a power cut costs little."""
        if self.book is None or await self._read() is None:
            return
        await self.keep_register()

    async def keep_register(self) -> None:
        book = self.book
        if book is None:
            return
        try:
            await self._core.journal.note_register(
                book.started.transaction_id, book.register_wh, book.register_at
            )
        except StoreError as error:
            self._core.store_failed(error)
        else:
            self.kept_time = self._core.clock.time()
            self._core.store_worked()

    async def _read(self) -> MeterReading | None:
        """A fresh reading, entered into the book. A register that fell is read twice: a slip, or a new count?"""
        meter = self._runner.meter
        reading = None if meter is None else await meter.read()
        if meter is None or register_wh(reading) is None:
            return None
        self.enter(reading)
        if self.book is not None and self.book.low_wh is not None:
            again = await meter.read()
            if register_wh(again) is not None:
                self.enter(again)
                return again
        return reading

    def enter(self, reading: MeterReading | None) -> None:
        """Put the register into the book. One that goes back is a warning, once (R16-159)."""
        before = self.book
        if before is None:
            return
        register = register_wh(reading)
        self.book = before.read(register, self._core.clock.now())
        if self.book.is_doubtful and not before.is_doubtful:
            detail = f"the register fell from {before.register_wh} to {register} Wh"
            self._runner.raise_fault(FaultCode.METER_IMPLAUSIBLE, detail)
        elif not self.book.is_doubtful:
            self._runner.clear_fault(FaultCode.METER_IMPLAUSIBLE)
        self._runner.hear(EnergyUsed(self.book.used_wh))

    # --- stop ------------------------------------------------------------------------------------------

    async def close(self, action: CloseTransaction) -> None:
        """The board has been told to open; whatever goes wrong from here on, the end is not forgotten."""
        self._core.sampling.end(self._runner)
        is_done = False
        try:
            await self._close(action)
            is_done = True
        finally:
            if not is_done:
                self._runner.put(partial(self.close, action))
        self._runner.hear(TransactionClosed())
        self._core.put_waiting_in_force(self._runner.evse_id)

    async def _close(self, action: CloseTransaction) -> None:
        """Waits until the contactor is open, so that no later reading exceeds the one of the stop."""
        await self._runner.wait_until_open(OPENING_LIMIT_S)
        reading = await self._read()
        book = self.book
        if book is None:
            return
        at = self._core.clock.now()
        offline, samples = not self._core.is_online, await self._samples_of_stop(book, reading, at)
        await self._record_until_stored(
            lambda book: book.stopped(
                at=max(at, book.started.at),
                reason=action.reason,
                trigger=action.trigger,
                id_token=action.id_token,
                offline=offline,
                samples=samples,
            )
        )
        self._core.sampling.begin_period(self._runner.evse_id, reading)

    async def close_found(self, found: FoundTransaction) -> None:
        """A transaction that was open when the power went: its end is what the disk knows of it (R16-131, R16-132).

        Raises StoreError."""
        book = Book.found(found)
        stopped = book.stopped(
            at=max(book.register_at, found.started.at),
            reason=StopReason.POWER_LOSS,
            trigger=TriggerReason.ABNORMAL_CONDITION,
            id_token=found.started.id_token,
            offline=True,
            samples=await self._samples_of_stop(book, None, book.register_at),
        )
        await self._core.record(stopped)
        self._core.publish(stopped)

    async def _record_until_stored(self, make: MakeFact) -> None:
        """The book is closed once the end is on disk, and before anybody hears of it."""
        attempt = 0
        while True:
            facts = self._numbered(make)
            try:
                await self._core.record(*facts)
            except StoreError:
                pause_s = STORE_RETRY_S[min(attempt, len(STORE_RETRY_S) - 1)]
                log.error("the end of a transaction is not stored yet; next attempt in %g s", pause_s)
                await asyncio.sleep(pause_s)
                attempt += 1
            else:
                self.book = self.interval_first = None
                self._stop_kept_back.clear()
                self._runner.clear_fault(FaultCode.METER_IMPLAUSIBLE)
                self._recorded(facts)
                return

    # --- samples ---------------------------------------------------------------------------------------

    def _stop_entries(self) -> tuple[str, ...]:
        settings = self._core.settings
        both = settings.listed("stop_sampled_measurands") + settings.listed("stop_aligned_measurands")
        return tuple(dict.fromkeys(both))

    def _sample(
        self,
        reading: MeterReading,
        context: ReadingContext,
        setting: str,
        register: int,
        at: datetime,
    ) -> Sample:
        entries = self._core.settings.listed(setting)
        offer, billed = self._runner.offer(reading), with_register(reading, register)
        return take_sample(entries, billed, at, context, offer, since=self.interval_first)

    async def _keep_for_stop(
        self, entries: Sequence[str], reading: MeterReading, context: ReadingContext, at: datetime
    ) -> None:
        """Collect what the stop will tell (R16-164, R16-165); nothing when nothing is asked for."""
        if self.book is None or not entries:
            return
        offer, billed = self._runner.offer(reading), with_register(reading, self.book.register_wh)
        sample = take_sample(entries, billed, at, context, offer, since=self.interval_first)
        await self._keep_samples(await self._signing.signed(sample))

    async def _signed(self, samples: Iterable[Sample]) -> tuple[Sample, ...]:
        return tuple([await self._signing.signed(sample) for sample in samples])

    async def _keep_samples(self, *samples: Sample) -> None:
        """Until the stop; in memory while the disk takes nothing."""
        waiting = self._stop_kept_back
        waiting += [sample for sample in samples if sample.values]
        while waiting and self.book is not None:
            try:
                await self._core.journal.add_stop_sample(self.book.started.transaction_id, waiting[0])
            except StoreError as error:
                self._core.store_failed(error)
                break
            waiting.pop(0)
        if len(waiting) > KEPT_BACK_LIMIT:
            waiting[:] = [waiting[0], *waiting[2:-1:2], waiting[-1]]

    async def _samples_of_stop(
        self, book: Book, reading: MeterReading | None, at: datetime
    ) -> tuple[Sample, ...]:
        """Begin, what was collected, End (R16-165); nothing unless a list asks for it (R16-130)."""
        entries = self._stop_entries()
        if not entries or self._runner.meter is None:
            return ()
        try:
            kept = list(await self._core.journal.stop_samples(book.started.transaction_id))
        except StoreError as error:
            self._core.store_failed(error)
            kept = []
        kept += self._stop_kept_back
        if not kept or kept[0].context is not ReadingContext.TRANSACTION_BEGIN:
            start_wh = book.started.meter_start_wh
            begin = register_sample(entries, start_wh, book.started.at, ReadingContext.TRANSACTION_BEGIN)
            kept[:0] = [begin] if begin is not None else []
        context = ReadingContext.TRANSACTION_END
        if reading is not None:
            offer, billed = self._runner.offer(reading), with_register(reading, book.register_wh)
            aligned = self._core.settings.listed("stop_aligned_measurands")
            kept += self._core.sampling.partial_period(self._runner.evse_id, aligned, billed, offer, at)
            plain = take_sample(entries, billed, at, context, offer, since=self.interval_first)
            end: Sample | None = await self._signing.signed(plain)
        else:
            end = register_sample(entries, book.register_wh, at, context)
        if end is not None and end.values:
            kept.append(end)
        return thinned(kept, self._core.settings.integer("stop_max_samples"))
