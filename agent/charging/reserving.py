"""Reservations at work: kept in memory and on disk, ended in time, asked by everyone who starts something.

The shell around `reservation.py`. A reservation is on the disk before it counts as made; one that ended is gone at
once, and the disk follows. What happens at the station (faults, availability, sessions) is heard as facts, before
anybody else hears them. Used by `identification.py`, `execution.py` and `evse_runner.py`.
OCPP 1.6 3.11, 5.1, 5.13 (R16-228 to R16-242, R16-110); 2.0.1 H01 to H04.
"""

import asyncio
import logging

from agent.charging import reasons
from agent.charging.availability import STATION
from agent.charging.core import StationCore
from agent.charging.facts import (
    AvailabilityChanged,
    EvseChanged,
    Fact,
    FaultRaised,
    ReservationEnded,
    ReservationLapsed,
    ReservationMade,
    TransactionStarted,
    TransactionUpdated,
)
from agent.charging.ids import ConnectorId, EvseId, IdToken, Reservation, ReservationEnd
from agent.charging.occupancy import connector_type
from agent.charging.ports import ReservationStore
from agent.charging.requests import Answer, ReserveAnswer, ReserveVerdict, Verdict
from agent.charging.reservation import (
    SWITCHED_OFF,
    Driver,
    Fit,
    Scene,
    claim,
    ended,
    fit,
    judge_wish,
    needs_group,
    reserved_connectors,
)
from agent.charging.session_values import Session
from agent.errors import StoreError

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 10.0
"""The clock may be set meanwhile, so an expiry is looked at again at least this often."""
CLOCK_WAIT_S = 60.0
"""After a start nothing expires before the CSMS gave the time, or this long has passed: the clock may be wrong."""
STORE_RETRY_S = (1.0, 5.0, 60.0)
_UNKNOWN_TO_THE_CSMS = frozenset({ReservationEnd.EXPIRED, ReservationEnd.REMOVED})
"""What it cancelled itself, or a transaction used, it knows (2.0.1 H01.FR.16, H01.FR.17, H04.FR.01)."""


class Reserving:
    def __init__(self, core: StationCore, store: ReservationStore) -> None:
        self._core = core
        self._store = store
        self._held: dict[int, Reservation] = {}
        """By id, in the order in which they were made."""
        self._timer: asyncio.TimerHandle | None = None
        self._lapsed: tuple[ReservationLapsed, ...] = ()
        """Ends that are not on the disk yet, of which the CSMS is to be told."""
        self._time_is_known_at = 0.0
        """Loop time from which on the clock counts."""
        self._writing = asyncio.Lock()
        self._is_stale = False
        """The disk knows reservations that have ended."""
        self._is_catching_up = False
        core.subscribe(self._on_fact)

    async def load(self) -> None:
        """Before `begin`. Raises StoreError."""
        self._held = {each.reservation_id: each for each in await self._store.load()}

    def begin(self) -> None:
        self._time_is_known_at = self._core.clock.time() + (0.0 if self._core.is_online else CLOCK_WAIT_S)
        self._watch_expiry()

    def on_online(self) -> None:
        """The CSMS gave its time: what expired while the station was off ends before any status is told (R16-241)."""
        self._time_is_known_at = self._core.clock.time()
        self._watch_expiry()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- questions -------------------------------------------------------------------------------------

    @property
    def held(self) -> tuple[Reservation, ...]:
        return tuple(self._held.values())

    def used_by(self, claimed: Reservation | None) -> int | None:
        """The id of a claimed reservation, if it still holds: it may have been cancelled or replaced (R16-110)."""
        if claimed is None or self._held.get(claimed.reservation_id) != claimed:
            return None
        return claimed.reservation_id

    def fit(self, evse_id: EvseId, driver: Driver, connector_id: ConnectorId | None = None) -> Fit:
        return fit(self._scene(), evse_id, driver, connector_id) if self._held else Fit.OPEN

    def claim(
        self,
        evse_id: EvseId,
        driver: Driver,
        connector_id: ConnectorId | None = None,
        leaving: EvseId | None = None,
    ) -> Reservation | None:
        """`leaving`: the EVSE whose session is given up for this start, with what it claimed."""
        return claim(self._scene(leaving), evse_id, driver, connector_id) if self._held else None

    @staticmethod
    def connector_of(claimed: Reservation | None, session: Session) -> ConnectorId | None:
        """The connector that a claim is for, as long as no cable is in; None: any."""
        return None if claimed is None or session.plugged else claimed.connector_id

    def is_open_to(self, evse_id: EvseId, driver: Driver, leaving: EvseId) -> bool:
        """May a driver who identified at `leaving` start at `evse_id` instead?"""
        return not self._held or fit(self._scene(leaving), evse_id, driver) is not Fit.CLOSED

    def needs_group(self, evse_id: EvseId, id_token: IdToken) -> bool:
        return bool(self._held) and needs_group(self._scene(), evse_id, id_token)

    def reserved_connectors(self, evse_id: EvseId, connectors: int) -> frozenset[ConnectorId]:
        return reserved_connectors(self._scene(), evse_id, connectors) if self._held else frozenset()

    def _scene(self, leaving: EvseId | None = None, without: Reservation | None = None) -> Scene:
        core = self._core
        sessions = {evse_id: runner.session for evse_id, runner in core.runners.items()}
        if leaving is not None:
            left = sessions[leaving]
            sessions[leaving] = Session(operative=left.operative, stopping_faults=left.stopping_faults)
        return Scene(
            held=tuple(each for each in self._held.values() if each != without),
            sessions=sessions,
            inoperative=frozenset(
                (evse_id, connector_id)
                for evse_id, runner in core.runners.items()
                for connector_id in range(1, runner.ports.connectors + 1)
                if not core.may_be_used(evse_id, connector_id)
            ),
            types={
                evse_id: frozenset({connector_type(runner.ports.evse.capabilities)})
                for evse_id, runner in core.runners.items()
                if runner.ports.evse.state.link_ok
            },
            is_station_faulted=any(fault.stops_charging for fault in core.faults.values()),
            is_station_operative=core.may_be_used(*STATION),
        )

    # --- requests --------------------------------------------------------------------------------------

    async def reserve(self, wanted: Reservation) -> ReserveAnswer:
        """Accepted: it holds and is on the disk. One that is refused leaves the one of the same id as it was."""
        core = self._core
        if not core.settings.flag("reservation_enabled"):
            return ReserveAnswer(ReserveVerdict.REJECTED, SWITCHED_OFF)  # H01.FR.01
        if wanted.evse_id is None and not core.settings.flag("reserve_any_connector"):
            return ReserveAnswer(
                ReserveVerdict.REJECTED, "a reservation has to name its connector"
            )  # R16-233
        former = self._held.get(wanted.reservation_id)
        answer = judge_wish(self._scene(without=former), wanted, core.clock.now())
        if answer.verdict is not ReserveVerdict.ACCEPTED:
            log.info("reservation %d is refused: %s", wanted.reservation_id, answer.reason)
            return answer
        self._held.pop(wanted.reservation_id, None)
        self._held[wanted.reservation_id] = wanted
        try:
            await self._save()
        except StoreError as error:
            if self._held.get(wanted.reservation_id) is wanted:
                del self._held[wanted.reservation_id]
                if former is not None:
                    self._held[wanted.reservation_id] = former
            core.store_failed(error)
            return ReserveAnswer(ReserveVerdict.REJECTED, reasons.NOT_STORED)
        if self._held.get(wanted.reservation_id) is not wanted:  # something happened while it was written
            return ReserveAnswer(ReserveVerdict.OCCUPIED, "it has ended already")
        core.publish(ReservationMade(wanted, core.clock.now()))
        self._watch_expiry()
        return answer

    async def cancel(self, reservation_id: int) -> Answer:
        """R16-240."""
        reservation = self._held.get(reservation_id)
        if reservation is None:
            return Answer(Verdict.REJECTED, reasons.NO_SUCH_RESERVATION)
        self._drop(reservation, ReservationEnd.CANCELED)
        try:
            await self._save()
        except StoreError as error:
            self._core.store_failed(error)
        return Answer(Verdict.ACCEPTED)

    # --- the end ---------------------------------------------------------------------------------------

    def _on_fact(self, fact: Fact) -> None:
        if not self._held:
            return
        if isinstance(fact, TransactionStarted | TransactionUpdated) and fact.reservation_id in self._held:
            self._drop(self._held[fact.reservation_id], ReservationEnd.USED)
        elif isinstance(fact, EvseChanged | FaultRaised | AvailabilityChanged):
            self._review()

    def _review(self) -> None:
        clock = self._core.clock
        is_time_known = clock.is_trusted and clock.time() >= self._time_is_known_at
        for reservation, end in ended(self._scene(), clock.now() if is_time_known else None):
            self._drop(reservation, end)

    def _drop(self, reservation: Reservation, end: ReservationEnd) -> None:
        """Over from now on. The others hear of it after the fact that ended it, and find it gone already."""
        del self._held[reservation.reservation_id]
        log.info("reservation %d has ended: %s", reservation.reservation_id, end)
        fact = ReservationEnded(reservation, end, self._core.clock.now())
        asyncio.get_running_loop().call_soon(self._core.publish, fact)
        if end in _UNKNOWN_TO_THE_CSMS:
            self._lapsed += (ReservationLapsed(reservation.reservation_id, end, fact.at),)
        self._follow()

    def _watch_expiry(self) -> None:
        """Look now, and again when the next one expires."""
        now = self._core.clock.now()  # before the look: a timer may come a hair early, and time passes
        self.end()
        self._review()
        if not self._held:
            return
        left_s = min((each.expires_at - now).total_seconds() for each in self._held.values())
        wait_s = min(left_s, LONGEST_WAIT_S) if left_s > 0 else LONGEST_WAIT_S
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._watch_expiry)

    # --- the disk --------------------------------------------------------------------------------------

    async def _save(self) -> None:
        """What holds, with what lapsed since; who listens hears of that then. Raises StoreError."""
        async with self._writing:
            self._is_stale = False
            lapsed = self._lapsed
            try:
                await self._store.save(self.held, *lapsed)
            except StoreError:
                self._follow()
                raise
            self._lapsed = self._lapsed[len(lapsed) :]
        self._core.store_worked()
        for fact in lapsed:
            self._core.publish(fact)

    def _follow(self) -> None:
        """See to it that the disk knows what holds, sooner or later."""
        self._is_stale = True
        if not self._is_catching_up:
            self._is_catching_up = True
            self._core.start_task("reservations", self._catch_up)

    async def _catch_up(self) -> None:
        attempt = 0
        try:
            while self._is_stale:
                try:
                    await self._save()
                except StoreError as error:
                    self._core.store_failed(error)
                    await asyncio.sleep(STORE_RETRY_S[min(attempt, len(STORE_RETRY_S) - 1)])
                    attempt += 1
        finally:
            self._is_catching_up = False
