"""Runs one EVSE: feeds what the hardware says to its session, and carries out the session's actions on the ports.

Events are stepped at once, so that charging is forbidden without waiting for anything; what touches meter or disk goes
into the EVSE's queue, one job after the other. Any HalError on the power path forbids charging first and is reported
later. It holds no rule (`session.py`) and no book (`bookkeeping.py`). Owned by `station.py`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import assert_never

from agent.charging import actions, events
from agent.charging.availability import stop_reason_of, stops_charging
from agent.charging.bookkeeping import Bookkeeping
from agent.charging.core import StationCore
from agent.charging.current_watch import CurrentWatch
from agent.charging.facts import (
    CablePlugged,
    CableUnplugged,
    EvseChanged,
    FaultCleared,
    FaultRaised,
    TokenRefused,
)
from agent.charging.ids import EvseId, TriggerReason
from agent.charging.measurands import Offer
from agent.charging.session import step
from agent.charging.session_values import LEAST_OFFER_A, Phase, Session
from agent.charging.signal_light import SignalLight
from agent.charging.smart_charging import is_significant, offer_of
from agent.charging.snapshot import ActiveFault, EvseSnapshot, TransactionSnapshot
from agent.charging.watched_meter import WatchedMeter
from agent.log_fields import about
from hal.errors import HalError
from hal.ports import (
    ContactorState,
    EvseEvent,
    EvsePorts,
    EvseState,
    FaultCode,
    LockCommand,
    MeterReading,
    PilotState,
    Setpoint,
)

log = logging.getLogger(__name__)

Job = Callable[[], Awaitable[None]]

_PLUGGED = frozenset({PilotState.B, PilotState.C, PilotState.D})
_WANTS_POWER = frozenset({PilotState.C, PilotState.D})
_METER_RETRY = "meter_retry"
_FIRST_WORD = "first_word"
FIRST_WORD_S = 0.3
"""How long a board that has just started may take to see its pilot."""


class EvseRunner:
    def __init__(self, core: StationCore, evse_id: EvseId, ports: EvsePorts) -> None:
        self.evse_id = evse_id
        self.ports = ports
        self.session = Session()
        self.meter = None if ports.meter is None else WatchedMeter(ports.meter, self._on_meter_read)
        self.current_watch = CurrentWatch(self, self._apply)
        self.books = Bookkeeping(core, self)
        self.may_move_to: frozenset[EvseId] = frozenset()
        """Where else the authorization that waits for a cable may be used: the EVSEs of its reader."""
        self.is_hurried = False
        """A hard reset is under way: nothing waits for the contactor."""
        self._core = core
        self._light = SignalLight(core, evse_id, ports.indicator)
        self._faults: dict[str, ActiveFault] = {}
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._changed_at = core.clock.now()
        self._setpoint: Setpoint | None = None
        self._told_limit_a = self.session.limit_a
        """What the CSMS knows of, as far as a transaction runs."""
        self._is_shut = False
        self._is_working = False
        self._is_synchronized = False
        self._is_believed = False
        self._unsubscribe: Callable[[], None] = lambda: None

    # --- life ------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Listen to the hardware and take over what it says now."""
        self._is_shut = False
        self._unsubscribe = self.ports.evse.subscribe(self._on_hardware)
        self.refresh_operative()
        self.refresh_limit()
        self._take(self.ports.evse.state)
        self._apply()
        self.put(self._read_first)

    async def work(self) -> None:
        """The queue of this EVSE, for as long as the station runs."""
        while True:
            job = await self._jobs.get()
            self._is_working = True
            try:
                with about(evse_id=self.evse_id, transaction_id=self._transaction_id):
                    await job()
            finally:
                self._is_working = False

    @property
    def is_idle(self) -> bool:
        """Nothing of this EVSE waits for its turn, or is under way."""
        return self._jobs.empty() and not self._is_working

    def shut(self) -> None:
        """The board is told to open, now and for good."""
        self._is_shut = True
        self._apply()

    def reopen(self) -> None:
        """The reset for which this EVSE was shut did not come; the next driver may charge."""
        self.is_hurried = self._is_shut = False
        self._apply()

    def end(self) -> None:
        self._unsubscribe()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def put(self, job: Job) -> None:
        self._jobs.put_nowait(job)

    async def _read_first(self) -> None:
        """What the meter gives decides which measurands a CSMS may ask for."""
        if self.meter is not None and self.meter.last is None:
            await self.meter.read()

    # --- the session -----------------------------------------------------------------------------------

    def hear(self, event: events.Event) -> None:
        """Step the session and carry out what follows, in order."""
        self.session, todo = step(self.session, event, self._core.policy)
        for action in todo:
            self._run(action)
        self._wake_waiting()

    def _run(self, action: actions.Action) -> None:
        match action:
            case (
                actions.PermitCharging()
                | actions.ForbidCharging()
                | actions.OfferCurrent()
                | actions.HoldLock()
                | actions.FreeLock()
            ):
                self._apply()
            case actions.StartTimer(timer, after_s):
                self.start_timer(timer, after_s, partial(self.hear, events.TimerExpired(timer)))
            case actions.StopTimer(timer):
                self.stop_timer(timer)
            case actions.CheckToken():
                self._core.identification.check(self, action)
            case actions.SignalAccepted():
                self._light.accepted()
            case actions.Refuse(id_token, reason):
                self._light.refused()
                self._core.publish(TokenRefused(id_token, reason, self._core.clock.now()))
            case actions.Announce(detail):
                self._changed_at = self._core.clock.now()
                self._core.publish(EvseChanged(self.evse_id, self._changed_at, detail))
            case actions.OpenTransaction():
                self.put(partial(self.books.open, action))
            case actions.UpdateTransaction():
                self.put(partial(self.books.update, action))
            case actions.CloseTransaction():
                self.put(partial(self.books.close, action))
            case _:
                assert_never(action)

    def start_timer(self, name: str, after_s: float, call: Callable[[], None]) -> None:
        """Call `call` once, after `after_s`; a timer of that name that runs already is replaced."""
        self.stop_timer(name)

        def expire() -> None:
            self._timers.pop(name, None)
            call()

        self._timers[name] = asyncio.get_running_loop().call_later(after_s, expire)

    def stop_timer(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def has_timer(self, name: str) -> bool:
        return name in self._timers

    # --- hardware --------------------------------------------------------------------------------------

    def _on_hardware(self, event: EvseEvent) -> None:
        with about(evse_id=self.evse_id, transaction_id=self._transaction_id):
            if event.kind == "board_reset":
                log.warning("EVSE %d: the board was reset: %s", self.evse_id, event.detail)
            self._take(event.state, event.detail if event.kind == "fault" else "")

    def _take(self, state: EvseState, detail: str = "") -> None:
        """Level-triggered: whatever was missed in between, this is what is.

        New faults first: they open. Those that are gone last: what shows behind them is to be up to date."""
        for code in sorted(state.faults - self._faults.keys()):
            self.raise_fault(code, detail)
        if state.link_ok:  # otherwise what it says of pilot and contactor is old
            self._take_signals(state)
        self.current_watch.follow(state)
        gone = [code for code in self._faults if self._is_of_board(code) and code not in state.faults]
        for code in map(FaultCode, gone):
            self.clear_fault(code)
        self._apply()
        self._wake_waiting()

    def _believes(self, state: EvseState) -> bool:
        """A board that started with us says "no cable" until its pilot has settled; a cable is believed at once.

        To believe too early would end a transaction that is to go on, and show Available for a moment."""
        if self._is_believed or state.pilot is not PilotState.A:
            self.stop_timer(_FIRST_WORD)
            return True
        if not self.has_timer(_FIRST_WORD):
            self.start_timer(_FIRST_WORD, FIRST_WORD_S, self._believe)
        return False

    def _believe(self) -> None:
        self._is_believed = True
        self._take(self.ports.evse.state)
        self._core.publish(EvseChanged(self.evse_id, self._changed_at))

    def _take_signals(self, state: EvseState) -> None:
        self.refresh_limit()
        if state.locked is not self.session.locked:
            self.hear(events.LockChanged(state.locked))
        if self._believes(state):
            self._take_cable(state)
            if not self._is_believed:
                self._is_believed = True
                self._core.publish(EvseChanged(self.evse_id, self._changed_at))
        wants_power = state.pilot in _WANTS_POWER
        is_closed = state.contactor is ContactorState.CLOSED
        if is_closed != self.session.power_path_closed:
            self.hear(events.PowerPathChanged(is_closed))
        if wants_power != self.session.power_wanted:
            self.hear(events.PowerWanted(wants_power))

    def _take_cable(self, state: EvseState) -> None:
        """States E and F say nothing about the cable; what was known stays."""
        if state.pilot in _PLUGGED:
            is_plugged = True
        elif state.pilot is PilotState.A:
            is_plugged = False
        else:
            return
        is_news = is_plugged != self.session.plugged or not self._is_synchronized
        self._is_synchronized = True
        if not is_news:
            return
        at = self._core.clock.now()
        if is_plugged:
            self.session = replace(self.session, connector_id=state.connector_id)
            self._core.publish(CablePlugged(self.evse_id, state.connector_id, at))
            self._core.identification.move_here(self)
            self.hear(events.CableConnected())
            self._core.identification.plugged_in(self)
        else:
            was_plugged = self.session.plugged
            self.hear(events.CableDisconnected())
            if was_plugged:
                self._core.publish(CableUnplugged(self.evse_id, self.session.connector_id, at))
        self.refresh_operative()

    def _apply(self) -> None:
        """Tell the board what holds now. If that fails, forbid, and report afterwards."""
        wanted = self._wanted_setpoint()
        if wanted == self._setpoint:
            return
        self._setpoint = wanted
        try:
            self.ports.evse.apply(wanted)
        except HalError as error:
            self._setpoint = None
            self._is_shut = True
            try:
                self.ports.evse.apply(self._wanted_setpoint())
            except HalError:
                log.error("EVSE %d: the board takes no setpoint; its lease will open it", self.evse_id)
            self._is_shut = False
            self.raise_fault(FaultCode.BOARD_COMM, str(error))

    def _wanted_setpoint(self) -> Setpoint:
        session = self.session
        allow = session.permitted and not self._is_shut
        return Setpoint(
            available=session.operative,
            allow_power=allow,
            limit_a=session.limit_a if allow and session.limit_a >= LEAST_OFFER_A else 0.0,
            lock=LockCommand.HOLD if session.holds_lock else LockCommand.AUTO,
            phases=self._core.limiting.phases_of(self),
            measured_a=self.current_watch.measured_a,
        )

    def refresh_limit(self) -> None:
        """Hardware, cable, a setting or a charging profile may have changed what can be offered."""
        limit_a = self._core.limiting.limit_of(self).current_a
        if limit_a != self.session.limit_a:
            self.hear(events.LimitChanged(limit_a))
            self._note_rate(limit_a)
        if self._setpoint is not None and self._setpoint.phases != self._core.limiting.phases_of(self):
            self._apply()

    def _note_rate(self, limit_a: float) -> None:
        """A change that matters is told of the transaction that it concerns (2.0.1 K11.FR.04, K13.FR.03)."""
        is_charging = self.session.phase is Phase.OPEN and self.session.permitted
        percent = self._core.settings.decimal("limit_change_percent")
        if is_charging and is_significant(self._told_limit_a, limit_a, percent):
            self.hear(events.TransactionNoted(TriggerReason.CHARGING_RATE_CHANGED))
        elif is_charging:
            return
        self._told_limit_a = limit_a

    def refresh_operative(self) -> None:
        """Availability may have changed; a running transaction goes on (R16-186)."""
        if self.session.has_transaction:
            return
        connectors = (
            (self.session.connector_id,) if self.session.plugged else range(1, self.ports.connectors + 1)
        )
        is_operative = any(self._core.may_be_used(self.evse_id, connector) for connector in connectors)
        if is_operative != self.session.operative:
            self.hear(events.OperativeChanged(is_operative))
            self._apply()

    # --- faults ----------------------------------------------------------------------------------------

    @staticmethod
    def _is_of_board(code: str) -> bool:
        return code not in (FaultCode.METER_COMM, FaultCode.METER_IMPLAUSIBLE)

    def raise_fault(self, code: FaultCode, detail: str = "") -> None:
        """Stop charging first, report later."""
        if code in self._faults:
            return
        at = self._core.clock.now()
        stops = stops_charging(code, self._core.settings.flag("stop_on_meter_failure"))
        self._faults[code] = ActiveFault(code, at, detail, stops)
        self.hear(events.FaultStarted(code, stops, stop_reason_of(code)))
        log.warning("EVSE %d: fault %s %s", self.evse_id, code, detail)
        self._core.publish(FaultRaised(self.evse_id, code, at, detail))

    def clear_fault(self, code: FaultCode) -> None:
        if self._faults.pop(code, None) is None:
            return
        self.hear(events.FaultEnded(code))
        self._core.publish(FaultCleared(self.evse_id, code, self._core.clock.now()))

    def refresh_faults(self) -> None:
        """What the silence of a meter means may have changed."""
        fault = self._faults.get(FaultCode.METER_COMM)
        if fault is not None:
            self.clear_fault(FaultCode.METER_COMM)
            self.raise_fault(FaultCode.METER_COMM, fault.detail)

    def _on_meter_read(self) -> None:
        meter = self.meter
        if meter is None:
            return
        self._core.limiting.meter_was_read(self)
        self.current_watch.meter_was_read()
        if meter.watch.is_silent:
            self.raise_fault(FaultCode.METER_COMM, meter.failure)
        elif meter.watch.misses == 0:
            self.clear_fault(FaultCode.METER_COMM)
        retry_s = meter.watch.retry_s(is_needed=self.session.has_transaction)
        if retry_s is None:
            self.stop_timer(_METER_RETRY)
        elif not self._is_shut:
            self.start_timer(_METER_RETRY, retry_s, partial(self.put, self._read_again))

    async def _read_again(self) -> None:
        if self.books.book is not None:
            await self.books.note()
        elif self.meter is not None:
            await self.meter.read()

    # --- waiting ---------------------------------------------------------------------------------------

    async def wait_until(self, condition: Callable[[], bool], timeout_s: float | None) -> bool:
        """True as soon as `condition` holds, False if not within `timeout_s`. Looked at on every event."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    future = asyncio.get_running_loop().create_future()
                    self._waiting.append(future)
                    await future
        except TimeoutError:
            return False
        return True

    async def wait_until_open(self, timeout_s: float) -> bool:
        """The contactor is open, by feedback. False: it is not, or nobody knows."""
        if self.is_hurried:
            timeout_s = min(timeout_s, 0.5)

        def is_settled() -> bool:
            state = self.ports.evse.state
            return state.contactor is not ContactorState.CLOSED or not state.link_ok

        return await self.wait_until(is_settled, timeout_s)

    async def wait_until_closed(self, timeout_s: float | None) -> bool:
        """No transaction runs here any more."""
        return await self.wait_until(lambda: not self.session.has_transaction, timeout_s)

    def _wake_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    # --- pictures --------------------------------------------------------------------------------------

    def offer(self, reading: MeterReading) -> Offer:
        evse = self.ports.evse
        nominal_v = float(self._core.settings.integer("supply_voltage_v"))
        phases = evse.state.phases or evse.capabilities.phases
        return offer_of(evse.state, self.session.limit_a, phases, reading, nominal_v)

    def snapshot(self) -> EvseSnapshot:
        session = self.session
        places = range(1, self.ports.connectors + 1)
        inoperative = frozenset(
            connector for connector in places if not self._core.may_be_used(self.evse_id, connector)
        )
        return EvseSnapshot(
            evse_id=self.evse_id,
            connectors=self.ports.connectors,
            connector_id=session.connector_id,
            session=session.stage,
            changed_at=self._changed_at,
            is_operative=len(inoperative) < self.ports.connectors,
            inoperative_connectors=inoperative,
            is_plugged=session.plugged,
            transaction=self._transaction(),
            id_token=session.id_token or session.checking,
            faults=tuple(self._faults.values()),
            offered_current_a=session.limit_a if session.is_offering else 0.0,
            hardware=self.ports.evse.state,
            has_meter=self.meter is not None,
            reading=None if self.meter is None else self.meter.last,
            remark=session.remark,
            is_known=self._is_believed or bool(self._faults),
            cost=self._core.costs.shown(self.evse_id),
            display=self._core.screens.shown(self.evse_id),
            reserved_connectors=self._core.reserving.reserved_connectors(self.evse_id, self.ports.connectors),
            limit=self._core.limiting.limit_of(self),
            capabilities=self.ports.evse.capabilities,
        )

    def _transaction_id(self) -> str | None:
        """For log lines."""
        book = self.books.book
        return None if book is None else book.started.transaction_id

    def _transaction(self) -> TransactionSnapshot | None:
        book = self.books.book
        if book is None or self.session.phase is Phase.NONE:
            return None
        return TransactionSnapshot(
            transaction_id=book.started.transaction_id,
            id_token=book.started.id_token or self.session.id_token,
            started_at=book.started.at,
            meter_start_wh=book.started.meter_start_wh,
            charging_state=self.session.charging_state,
            reference=book.reference,
            deauthorized=self.session.deauthorized,
            ev_disconnected=self.session.ev_disconnected,
            is_resumed=self.session.resumed,
        )
