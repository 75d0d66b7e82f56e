"""The transactions of one EVSE: reads the meter, commits each fact, and only then tells.

Works on the EVSE's queue, one job after the other, so that facts stand in the order in which they happened. A start is
committed before charging is permitted; a stop is committed after the board was told to open, and is tried until the
disk takes it. Samples that a full disk does not take are kept back in memory, bounded, and stored in their order later.
What a reading holds is `readings.py`; the rules are in `transactions.py`. Called by `evse_runner.py`.
OCPP 1.6 3.16, 4.8, 4.10, errata 3.14; design walk D.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from agent.charging import reasons
from agent.charging.actions import CloseTransaction, OpenTransaction, UpdateTransaction
from agent.charging.core import StationCore
from agent.charging.events import EnergyUsed, OpeningFailed, TransactionClosed, TransactionOpened
from agent.charging.facts import Sample, TransactionFact, TransactionStarted, TransactionUpdated
from agent.charging.ids import ChargingState, ReadingContext, StopReason, TransactionId, TriggerReason
from agent.charging.metering import register_wh
from agent.charging.ports import OpenTransaction as FoundTransaction
from agent.charging.readings import KEPT_BACK_LIMIT, Readings, Use
from agent.charging.session_values import Condition, Phase
from agent.charging.signing import is_signed_sample
from agent.charging.transactions import Book, Update
from agent.errors import StoreError
from hal.ports import FaultCode, MeterReading

if TYPE_CHECKING:
    from agent.charging.evse_runner import EvseRunner

log = logging.getLogger(__name__)

OPENING_LIMIT_S = 8.0
"""After charging is forbidden an EV may take this long until the contactor is open; then the register stands still."""
STORE_RETRY_S = (1.0, 2.0, 5.0, 15.0, 60.0)
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
        self.readings = Readings(core, runner)
        self._has_begin_sample = False
        self._kept_back: list[tuple[MakeFact, bool]] = []
        """(fact, whether nothing else says what it says)"""

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
            return reasons.NOT_ACCEPTED_YET
        reading = await self._read_to_start()
        start_wh = register_wh(reading)
        if reading is None or start_wh is None:
            return "the meter is silent"
        begun_time = self._core.clock.time()
        at = self._core.clock.now()
        begin = ReadingContext.TRANSACTION_BEGIN
        is_metered = self._runner.meter is not None
        self.readings.begin(action.id_token)
        is_known = action.is_plugged or not self._runner.may_move_to  # where the EV will be
        sample = None
        if is_known and not self._core.conventions.tells_begin_apart:
            signature = action.needs_signature
            sample = await self.readings.of_start(reading, start_wh, at, needs_signature=signature)
        if action.needs_signature and not is_signed_sample(sample):
            return "the meter did not sign"
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
            charging_state=action.charging_state,
            is_placed=action.is_plugged,
            phases=self._phases() if action.charging_state is ChargingState.CHARGING else None,
            cable_max_a=self._cable_max_a() if action.is_plugged else None,
        )
        await self._core.limiting.bind(started)
        try:
            await self._core.record(started)
        except StoreError:
            await self._core.limiting.forget(started.transaction_id)
            return "the start cannot be stored"
        self.book = Book.begun(started)
        self.begun_time = self.kept_time = begun_time
        self._has_begin_sample = is_known
        if is_metered and is_known:
            self.readings.begin_intervals(reading)
            await self.readings.keep(self.book, self.readings.entries_of_end(), reading, begin, at)
        self._core.publish(started)
        await self._tell_begin(reading, at)
        self._runner.hear(TransactionOpened())
        self._core.sampling.begin(self._runner)
        return None

    async def _tell_begin(self, reading: MeterReading, at: datetime) -> None:
        """The reading that StartTxnSampledData asks for, before any energy flows: where a meter signs, signed."""
        book = self.book
        if book is None or not self._core.conventions.tells_begin_apart:
            return
        sample = await self.readings.of_start(reading, book.register_wh, at)
        if sample is None:
            return
        state, offline = self._runner.session.charging_state, not self._core.is_online
        await self._record(lambda book: book.metered(sample, state, offline))

    def _phases(self) -> int | None:
        return self._core.limiting.phases_used(self._runner)

    def _cable_max_a(self) -> int | None:
        cable_a = self._runner.ports.evse.state.cable_a
        return None if cable_a is None else int(cable_a)

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
        self._has_begin_sample = found.is_placed
        self.begun_time = self.kept_time = self._core.clock.time()
        self.readings.begin(found.started.id_token)

    def bind(self, transaction_id: TransactionId, reference: str) -> None:
        """The CSMS calls the transaction `reference`."""
        if self.book is not None and self.book.started.transaction_id == transaction_id:
            self.book = replace(self.book, reference=reference)

    # --- in between ------------------------------------------------------------------------------------

    async def update(self, action: UpdateTransaction) -> None:
        """Something changed within the transaction."""
        if self.book is None:
            return
        now, offline = self._core.clock.now(), not self._core.is_online
        sample = await self._arrived(now) if action.connector_id is not None else None
        what = Update(
            is_authorized=action.is_authorized,
            id_token=action.id_token,
            remote_start_id=action.remote_start_id,
            reservation_id=self._core.reserving.used_by(action.reservation),
            connector_id=action.connector_id,
        )
        phases, cable_a = self._phases(), self._cable_max_a()

        def make(book: Book) -> TransactionFact:
            return book.updated(
                now,
                action.trigger,
                action.charging_state,
                offline,
                what=what,
                phases=phases,
                cable_a=cable_a,
                sample=sample,
            )

        if action.trigger is TriggerReason.REMOTE_START:
            bound = make(self.book)
            assert isinstance(bound, TransactionUpdated)
            await self._core.limiting.bind(bound)
        is_needed = action.id_token is not None or action.connector_id is not None
        # One that only says where things stand is forgotten if it cannot be stored: the next one says it, too.
        if not await self._record(make) and is_needed:
            self._keep_back(make, is_needed=True)

    async def _arrived(self, at: datetime) -> Sample | None:
        """An EV is connected. Where that was open at the start, the readings of the start are taken now (2.0.1
        E01.FR.17), and what is billed counts from here."""
        if self.book is None or self._has_begin_sample:
            return None
        self._has_begin_sample = True
        reading = await self._read_to_start() if self.book.is_moved else await self._read()
        start_wh = register_wh(reading)
        if self.book is None or reading is None or start_wh is None:
            return None
        if self.book.is_moved:
            self.book = self.book.begun_at_register(start_wh, at)
        if self._runner.meter is None:
            return None
        self.readings.begin_intervals(reading)
        begin, entries = ReadingContext.TRANSACTION_BEGIN, self.readings.entries_of_end()
        await self.readings.keep(self.book, entries, reading, begin, at)
        if self._core.conventions.tells_begin_apart:
            return None
        return await self.readings.of_start(reading, self.book.register_wh, at)

    async def report(self, reading: MeterReading | None) -> None:
        """Where the transaction stands, because somebody asked (2.0.1 F06.FR.07). `reading`: taken for it just now."""
        if self.book is None or self._runner.session.phase is not Phase.OPEN:
            return
        now, offline = self._core.clock.now(), not self._core.is_online
        state, phases = self._runner.session.charging_state, self._phases()
        what = Update(is_authorized=self._runner.session.has(Condition.AUTHORIZED))
        sample: Sample | None = None
        if reading is not None:
            self.enter(reading)
            sample = self.readings.of_request(reading, self.book.register_wh, now)
        trigger = TriggerReason.TRIGGER
        await self._record(
            lambda book: book.updated(now, trigger, state, offline, what=what, phases=phases, sample=sample)
        )

    # --- from one EVSE to another ----------------------------------------------------------------------

    def give_up(self) -> Book | None:
        """The transaction goes on elsewhere."""
        book, self.book = self.book, None
        self.readings.end()
        self._core.sampling.end(self._runner)
        return book

    def take_over(self, book: Book) -> None:
        """A transaction that waited for its cable at another EVSE."""
        self.book = book.brought(self._runner.evse_id)
        self._has_begin_sample = False
        self.begun_time = self.kept_time = self._core.clock.time()
        self.readings.begin(book.started.id_token)
        self._core.sampling.begin(self._runner)

    # --- readings --------------------------------------------------------------------------------------

    async def sample(self, context: ReadingContext, at: datetime | None, uses: frozenset[Use]) -> None:
        """A due reading of the running transaction; `at`: the instant on the grid that it stands for."""
        if self.book is None:
            return
        reading = await self._read()
        book = self.book
        if reading is None or book is None:
            return
        at = at or self._core.clock.now()
        take = (
            self.readings.periodic
            if context is ReadingContext.SAMPLE_PERIODIC
            else self.readings.clock_aligned
        )
        samples = await take(book, reading, at, uses)
        if not samples:
            return
        state, offline, phases = (
            self._runner.session.charging_state,
            not self._core.is_online,
            self._phases(),
        )
        sample, before = samples[-1], samples[0] if len(samples) > 1 else None

        def make(now: Book) -> TransactionFact:
            return now.metered(
                sample, state, offline, at=at, period=before, register_wh=book.register_wh, phases=phases
            )

        if await self._record(make):
            self.kept_time = self._core.clock.time()
            return
        self._keep_back(make)

    def _keep_back(self, make: MakeFact, *, is_needed: bool = False) -> None:
        """In memory, until the disk takes something; of too many readings every other one goes (2.0.1 E11.FR.05)."""
        self._kept_back.append((make, is_needed))
        if len(self._kept_back) > KEPT_BACK_LIMIT:
            between = enumerate(self._kept_back[1:-1])
            kept = [each for position, each in between if each[1] or position % 2]
            self._kept_back = [self._kept_back[0], *kept, self._kept_back[-1]]

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
        for each in (*(kept for kept, _is_needed in self._kept_back), make):
            facts.append(each(book))
            book = book.after(facts[-1])
        return facts

    def _recorded(self, facts: Sequence[TransactionFact]) -> None:
        self._kept_back.clear()
        if self.book is not None:
            self.book = self.book.after(facts[-1])
        for fact in facts:
            self._core.publish(fact)

    def clock_moved(self, by_s: float) -> None:
        """The wall clock was set, by so much."""
        if self.book is not None:
            self.book = self.book.clock_moved(by_s)

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
        offline, samples = not self._core.is_online, await self.readings.at_end(book, reading, at)
        await self._record_until_stored(
            lambda book: book.stopped(
                at=at,
                reason=action.reason,
                trigger=action.trigger,
                id_token=action.id_token,
                offline=offline,
                samples=samples,
                state=action.charging_state,
            )
        )
        self._core.sampling.begin_period(self._runner.evse_id, reading)

    async def close_found(self, found: FoundTransaction) -> None:
        """A transaction that was open when the power went: its end is what the disk knows of it (R16-131, R16-132).

        Raises StoreError."""
        book = Book.found(found)
        stopped = book.stopped(
            at=found.last_seen_at,
            reason=StopReason.POWER_LOSS,
            trigger=TriggerReason.ABNORMAL_CONDITION,
            id_token=found.id_token or found.started.id_token,
            offline=True,
            samples=await self.readings.at_end(book, None, book.register_at),
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
                self.book = None
                self.readings.end()
                self._runner.clear_fault(FaultCode.METER_IMPLAUSIBLE)
                self._recorded(facts)
                return
