"""The readings of one EVSE's transactions: what is in them, signed where that is wanted, and what their end will tell.

Collects for the end as it goes, on disk, and in memory while the disk takes nothing. It makes no facts, reads no meter
(`bookkeeping.py`) and keeps no time (`sampling.py`). OCPP 1.6 3.16, 7.45 (R16-130, R16-154 to R16-166); 2.0.1 J02.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from agent.charging.core import StationCore
from agent.charging.facts import Sample
from agent.charging.ids import IdToken, ReadingContext
from agent.charging.measurands import DEFAULT_ENTRY, OUTLET
from agent.charging.metering import register_sample, take_sample, thinned, with_register
from agent.charging.signing import Signing
from agent.charging.transactions import Book
from agent.errors import StoreError
from hal.ports import MeterReading

if TYPE_CHECKING:
    from agent.charging.evse_runner import EvseRunner

KEPT_BACK_LIMIT = 200
"""Samples kept in memory while the disk takes nothing; of more, every other one in between is dropped."""


class Use(StrEnum):
    """What a reading is for."""

    SENT = "sent"
    KEPT = "kept"
    """For the end of the transaction."""


class Readings:
    def __init__(self, core: StationCore, runner: "EvseRunner") -> None:
        self._core = core
        self._runner = runner
        self._signing = Signing(core, runner.evse_id, runner.ports.signer)
        self._first: dict[Use, MeterReading] = {}
        self._kept_back: list[Sample] = []

    # --- begin and end ---------------------------------------------------------------------------------

    def begin(self, id_token: IdToken | None) -> None:
        """A transaction begins, or goes on after a restart."""
        self._signing.begin(id_token)
        self._first.clear()

    def begin_intervals(self, reading: MeterReading) -> None:
        """From this reading on interval measurands count (R16-160)."""
        self._first = dict.fromkeys(Use, reading)

    def end(self) -> None:
        self._first.clear()
        self._kept_back.clear()

    @property
    def interval_first(self) -> MeterReading | None:
        """The reading with which the running interval of the sampled readings began."""
        return self._first.get(Use.SENT)

    # --- what is told at once --------------------------------------------------------------------------

    async def of_start(
        self, reading: MeterReading, start_wh: int, at: datetime, *, needs_signature: bool = False
    ) -> Sample | None:
        """An empty list means nothing here, never the register; only a start that waits for a signed one has it."""
        entries = self._core.settings.listed("start_measurands")
        if needs_signature and DEFAULT_ENTRY not in entries:
            entries = (DEFAULT_ENTRY, *entries)
        if not entries or self._runner.meter is None:
            return None
        plain = self._take(entries, reading, start_wh, at, ReadingContext.TRANSACTION_BEGIN, Use.SENT)
        if not plain.values:
            return None
        return await self._signing.signed(plain, at_start=True, is_demanded=needs_signature)

    def of_request(self, reading: MeterReading, register: int, at: datetime) -> Sample | None:
        """Because somebody asked (2.0.1 F06.FR.07)."""
        entries = self._core.measurands_of("sampled_measurands")
        if not entries:
            return None
        plain = self._take(entries, reading, register, at, ReadingContext.TRIGGER, Use.SENT)
        return plain if plain.values else None

    async def periodic(
        self, book: Book, reading: MeterReading, at: datetime, uses: frozenset[Use]
    ) -> tuple[Sample, ...]:
        """What is to be sent of a sampled reading; what is for the end is kept."""
        context, register = ReadingContext.SAMPLE_PERIODIC, book.register_wh
        sent: tuple[Sample, ...] = ()
        entries = self._core.measurands_of("sampled_measurands")
        if Use.SENT in uses and entries:
            plain = self._take(entries, reading, register, at, context, Use.SENT)
            sent = (await self._signing.signed(plain),)
        if Use.KEPT in uses:
            await self.keep(book, self._core.measurands_of("stop_sampled_measurands"), reading, context, at)
        for use in uses:
            self._first[use] = with_register(reading, register)
        return sent

    async def clock_aligned(
        self, book: Book, reading: MeterReading, at: datetime, uses: frozenset[Use]
    ) -> tuple[Sample, ...]:
        """The same of a reading on the grid."""
        offer, billed = self._runner.offer(reading), with_register(reading, book.register_wh)
        periods = self._core.sampling.ended_periods(self._runner.evse_id, billed, offer, OUTLET, at, uses)
        sent: tuple[Sample, ...] = ()
        for use, period in periods.items():
            entries = self._core.measurands_of(
                "aligned_measurands" if use is Use.SENT else "stop_aligned_measurands"
            )
            if not entries:
                continue
            at_start = self._core.conventions.stamps_periods_at_start
            taken = period.samples(entries, billed, at, offer, OUTLET, stamps_start=at_start)
            signed = await self._signed(taken, is_for_end=use is Use.KEPT)
            if use is Use.SENT:
                sent = signed
            else:
                await self._keep_samples(book, *signed)
        return sent

    def _take(
        self,
        entries: Sequence[str],
        reading: MeterReading,
        register: int,
        at: datetime,
        context: ReadingContext,
        use: Use,
    ) -> Sample:
        offer, billed = self._runner.offer(reading), with_register(reading, register)
        return take_sample(entries, billed, at, context, offer, since=self._first.get(use))

    async def _signed(self, samples: Iterable[Sample], *, is_for_end: bool) -> tuple[Sample, ...]:
        return tuple([await self._signing.signed(sample, is_for_end=is_for_end) for sample in samples])

    # --- what the end tells ----------------------------------------------------------------------------

    def entries_of_end(self) -> tuple[str, ...]:
        """What the first and the last reading hold (R16-164, R16-165)."""
        sampled, aligned = (
            self._core.measurands_of(name) for name in ("stop_sampled_measurands", "stop_aligned_measurands")
        )
        both = sampled if self._core.conventions.has_own_end_intervals else sampled + aligned
        return tuple(dict.fromkeys(both))

    async def keep(
        self,
        book: Book,
        entries: Sequence[str],
        reading: MeterReading,
        context: ReadingContext,
        at: datetime,
    ) -> None:
        """Collect what the end will tell; nothing when nothing is asked for."""
        if entries:
            plain = self._take(entries, reading, book.register_wh, at, context, Use.KEPT)
            await self._keep_samples(book, *await self._signed((plain,), is_for_end=True))

    async def _keep_samples(self, book: Book, *samples: Sample) -> None:
        waiting = self._kept_back
        waiting += [sample for sample in samples if sample.values]
        while waiting:
            try:
                await self._core.journal.add_stop_sample(book.started.transaction_id, waiting[0])
            except StoreError as error:
                self._core.store_failed(error)
                break
            waiting.pop(0)
        if len(waiting) > KEPT_BACK_LIMIT:
            waiting[:] = [waiting[0], *waiting[2:-1:2], waiting[-1]]

    async def at_end(self, book: Book, reading: MeterReading | None, at: datetime) -> tuple[Sample, ...]:
        """Begin, what was collected, End (R16-165); nothing unless a list asks for it (R16-130)."""
        entries = self.entries_of_end()
        aligned = self._core.measurands_of("stop_aligned_measurands")
        if not (entries or aligned) or self._runner.meter is None:
            return ()
        try:
            kept = list(await self._core.journal.stop_samples(book.started.transaction_id))
        except StoreError as error:
            self._core.store_failed(error)
            kept = []
        kept += self._kept_back
        if not kept or kept[0].context is not ReadingContext.TRANSACTION_BEGIN:
            start_wh, begin_at = book.started.meter_start_wh, book.started.at
            begin = register_sample(entries, start_wh, begin_at, ReadingContext.TRANSACTION_BEGIN)
            kept[:0] = [begin] if begin is not None else []
        context = ReadingContext.TRANSACTION_END
        if reading is not None and entries:
            if not self._core.conventions.has_own_end_intervals:
                offer, billed = self._runner.offer(reading), with_register(reading, book.register_wh)
                kept += self._core.sampling.partial_period(self._runner.evse_id, aligned, billed, offer, at)
            plain = self._take(entries, reading, book.register_wh, at, context, Use.KEPT)
            end: Sample | None = await self._signing.signed(plain, is_for_end=True)
        else:
            end = register_sample(entries, book.register_wh, at, context)
        if end is not None and end.values:
            kept.append(end)
        return thinned(kept, self._core.settings.integer("stop_max_samples"))
