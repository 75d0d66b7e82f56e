"""Records every transaction as it runs, and answers what was recorded: running ones from memory, the rest from disk.

Looks at the station's snapshots about once a second while something charges, and sleeps otherwise. Samples go to the
disk in one small commit a minute, so a power cut costs a minute of the curve; who charged how much is the journal's and
lost by nothing here. A disk that fails or is full costs curves, never charging. Owned and run by `agent/app.py` under
the supervisor; asked by the local API.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Protocol

from msgspec.structs import replace

from agent.charging.facts import Fact, TransactionStarted, TransactionStopped
from agent.charging.ids import EvseId, TransactionId
from agent.charging.ports import Clock
from agent.charging.recording import (
    RecordedSession,
    Recording,
    SessionCurve,
    SessionQuery,
)
from agent.charging.snapshot import EvseSnapshot, StationSnapshot, TransactionSnapshot
from agent.errors import StoreError
from agent.store.sessions import SqlSessions, StoredSessions

log = logging.getLogger(__name__)

LOOK_S = 1.0
SAVE_S = 60.0
COST_WAIT_S = 120.0
"""How long after its end a session takes the cost that the CSMS tells last."""
PRUNE_S = 3600.0


class StationPort(Protocol):
    def snapshot(self) -> StationSnapshot: ...
    def subscribe(self, listener: Callable[[Fact], None]) -> Callable[[], None]: ...


class _Kept:
    """A recording and what of its transaction the last look has shown."""

    def __init__(self, recording: Recording, evse_id: EvseId, meter_start_wh: int) -> None:
        self.recording = recording
        self.evse_id = evse_id
        self.meter_start_wh = meter_start_wh
        self.ended_time: float | None = None
        self.has_news = True
        """There is something to write, beside samples."""


class SessionRecorder:
    """`run` under the supervisor; `close` when the station has ended its transactions."""

    def __init__(
        self, station: StationPort, store: SqlSessions, clock: Clock, *, most: int, most_days: int
    ) -> None:
        """The latest `most` curves are kept, for `most_days` (0: for ever)."""
        self._station = station
        self._store = store
        self._stored = StoredSessions(store.path, is_in_use=True)
        self._clock = clock
        self._most = most
        self._most_days = most_days
        self._kept: dict[TransactionId, _Kept] = {}
        self._awake = asyncio.Event()
        self._save_now = False
        self._saved_time = clock.time()
        self._pruned_time = clock.time()  # not at the start, which has more urgent things to ask of the disk
        self._saving = asyncio.Lock()
        self._was_failing = False
        station.subscribe(self._on_fact)

    # --- recording -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled. A crash may run it again."""
        await self._recall()
        while True:
            if not self._kept:
                self._awake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(PRUNE_S):
                        await self._awake.wait()
                await self._prune()
                continue
            self._look()
            if self._save_now or self._clock.time() - self._saved_time >= SAVE_S:
                await self._save()
            self._awake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._awake.wait()

    async def close(self) -> None:
        """Write what is left."""
        if self._kept:
            self._look()
            await self._save()

    async def _recall(self) -> None:
        """Transactions that go on after a restart go on with what was recorded before."""
        for evse in self._station.snapshot().evses.values():
            transaction = evse.transaction
            if transaction is None or transaction.transaction_id in self._kept:
                continue
            recording = Recording(transaction.transaction_id)
            try:
                former = await self._store.load(transaction.transaction_id)
            except StoreError as error:
                log.warning("the beginning of a session cannot be read: %s", error)
                former = None
            if former is not None:
                samples, recording.pace_s, recording.totals = former
                recording.samples = list(samples)
            self._kept[transaction.transaction_id] = _Kept(
                recording, evse.evse_id, transaction.meter_start_wh
            )

    def _on_fact(self, fact: Fact) -> None:
        """On the station's own path: quick, and nothing here can fail it."""
        match fact:
            case TransactionStarted():
                self._keep(fact.transaction_id, fact.evse_id, fact.meter_start_wh)
                self._awake.set()
            case TransactionStopped():
                kept = self._kept.get(fact.transaction_id)
                if kept is not None:
                    kept.recording.end(fact, kept.meter_start_wh, self._clock.time())
                    kept.ended_time = self._clock.time()
                    self._save_now = True
                    self._awake.set()
            case _:
                pass

    def _keep(self, transaction_id: TransactionId, evse_id: EvseId, meter_start_wh: int) -> _Kept:
        kept = self._kept.get(transaction_id)
        if kept is None:
            kept = self._kept[transaction_id] = _Kept(Recording(transaction_id), evse_id, meter_start_wh)
        return kept

    def _look(self) -> None:
        now, time = self._clock.now(), self._clock.time()
        taken: set[EvseId] = set()
        for evse in self._station.snapshot().evses.values():
            transaction = evse.transaction
            if transaction is None:
                continue
            taken.add(evse.evse_id)
            kept = self._keep(transaction.transaction_id, evse.evse_id, transaction.meter_start_wh)
            if kept.ended_time is None:
                kept.evse_id, kept.meter_start_wh = evse.evse_id, transaction.meter_start_wh
                kept.recording.look(evse, transaction, now, time)
        self._take_last_costs(taken)

    def _take_last_costs(self, taken: set[EvseId]) -> None:
        """What the CSMS tells after the end is the cost of the session that has just ended there."""
        ended = [kept for kept in self._kept.values() if kept.ended_time is not None]
        if not ended:
            return
        evses = self._station.snapshot().evses
        for kept in ended:
            evse = evses.get(kept.evse_id)
            if evse is None or kept.evse_id in taken or evse.cost is None or evse.cost.amount is None:
                continue
            if kept.recording.take_cost(evse.cost.amount):
                kept.has_news = self._save_now = True

    async def _save(self) -> None:
        """One commit for all. What cannot be written is tried again a minute later."""
        async with self._saving:
            self._save_now = False
            self._saved_time = self._clock.time()
            due = {
                kept: kept.recording.take_batch(is_last=kept.ended_time is not None)
                for kept in self._kept.values()
                if kept.ended_time is None or kept.has_news
            }
            try:
                if due:
                    await self._store.save(tuple(due.values()))
            except StoreError as error:
                for kept in due:
                    kept.recording.give_back()
                if not self._was_failing:
                    log.warning("the curves of running sessions are not stored: %s", error)
                self._was_failing = True
            else:
                self._was_failing = False
                for kept in due:
                    kept.has_news = kept.ended_time is None
            self._forget_ended()
        await self._prune()

    def _forget_ended(self) -> None:
        now = self._clock.time()
        for transaction_id, kept in list(self._kept.items()):
            if kept.ended_time is not None and now - kept.ended_time >= COST_WAIT_S:
                del self._kept[transaction_id]

    async def _prune(self) -> None:
        now = self._clock.time()
        if now - self._pruned_time < PRUNE_S:
            return
        self._pruned_time = now
        oldest_at = self._clock.now() - timedelta(days=self._most_days) if self._most_days else None
        try:
            if await self._store.prune(self._most, oldest_at):
                self._pruned_time -= PRUNE_S  # there may be more: with the next save
        except StoreError as error:
            log.warning("old sessions stay for now: %s", error)

    # --- answers ---------------------------------------------------------------------------------------

    async def sessions(self, query: SessionQuery) -> list[RecordedSession]:
        """Newest first. Raises StoreError."""
        stored = await asyncio.to_thread(self._stored.sessions, query, self._clock.now())
        running = self._running()
        return [self._as_now(session, running) for session in stored]

    async def session(self, session_id: str) -> SessionCurve | None:
        """None: there is no such session. Raises StoreError."""
        curve = await asyncio.to_thread(self._stored.session, session_id, self._clock.now())
        if curve is None:
            return None
        kept = self._kept.get(session_id)
        session = self._as_now(curve.session, self._running())
        if kept is None:
            return SessionCurve(session, curve.pace_s, curve.samples)
        return SessionCurve(session, kept.recording.pace_s, tuple(kept.recording.samples))

    def _running(self) -> Mapping[TransactionId, tuple[EvseSnapshot, TransactionSnapshot]]:
        evses = self._station.snapshot().evses.values()
        return {
            evse.transaction.transaction_id: (evse, evse.transaction) for evse in evses if evse.transaction
        }

    def _as_now(
        self,
        session: RecordedSession,
        running: Mapping[TransactionId, tuple[EvseSnapshot, TransactionSnapshot]],
    ) -> RecordedSession:
        """The disk is up to a minute behind."""
        kept = self._kept.get(session.session_id)
        if kept is not None:
            session = replace(session, totals=kept.recording.totals)
        shown = running.get(session.session_id)
        if shown is None or not session.is_running:
            return session
        evse, transaction = shown
        register_wh = evse.reading.energy_import_wh if evse.reading is not None else None
        energy_wh = session.energy_wh if register_wh is None else register_wh - transaction.meter_start_wh
        return replace(
            session,
            energy_wh=round(max(0.0, energy_wh), 1),
            id_token=transaction.id_token or session.id_token,
            reference=transaction.reference or session.reference,
        )
