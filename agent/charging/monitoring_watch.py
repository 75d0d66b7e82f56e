"""The monitors at work: variables are looked at when something happens, meters are read for them, events are told.

The shell around `monitoring.py`. A look costs one picture of the station; timers run only while a monitor of the CSMS
needs one. Events that are severe enough are on disk before they are told and so survive anything; others are told now
or never, and while the CSMS is away their monitors wait, so that it hears of what is when it is back (N07, remark).
Owned by `station.py`. OCPP 2.0.1 part 2, N02 to N08.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, assert_never

from agent.charging import reasons, requests
from agent.charging.core import StationCore
from agent.charging.device_model import DeviceModel, Present, Row, Unknown, path
from agent.charging.device_variables import STATION
from agent.charging.facts import EventsNoticed, Fact, MeterSampled, VariableEvent
from agent.charging.ids import EventTrigger, MonitorOrigin
from agent.charging.metering import next_aligned
from agent.charging.monitoring import (
    NO_PROBLEM,
    Signal,
    Watch,
    active,
    fixed_monitors,
    is_comparable,
    is_secret,
    judge,
    look,
    orphaned,
    with_base,
    with_monitor,
    without_monitor,
)
from agent.charging.monitors import (
    LOWEST_SEVERITY,
    Flaw,
    Installed,
    Monitor,
    MonitorAnswer,
    MonitorKind,
    MonitorOrder,
    MonitorVerdict,
)
from agent.charging.ports import MonitorStore
from agent.charging.requests import Answer, MonitorAnswers, MonitoringRequest, Verdict
from agent.errors import StoreError

if TYPE_CHECKING:
    from agent.charging.describing import Description

log = logging.getLogger(__name__)

LOOK_S = 5.0
"""How often is looked at what no fact tells of: meters, temperatures."""
EARLY = timedelta(milliseconds=10)
EVENT_IDS = 1000
"""Event ids that one commit reserves."""
EVENTS_PER_MESSAGE = 50
"""Of more at one time another message is made: no limit is agreed on, and a CSMS may not take any length."""
_NOTHING_BEGUN: Mapping[int, Watch] = {}


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A monitor that has something to say, and what it saw."""

    monitor: Monitor
    row: Row
    actual: str
    signal: Signal


class Monitoring:
    def __init__(self, core: StationCore, description: "Description", store: MonitorStore) -> None:
        self._core = core
        self._description = description
        self._store = store
        self._installed = Installed()
        self._watches: dict[int, Watch] = {}
        self._due: dict[int, float] = {}
        """Loop time at which a periodic monitor speaks next."""
        self._last_event_id = self._reserved_id = 0
        self._changing = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._soon: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_begun = False
        self._unsubscribe: Callable[[], None] = lambda: None
        self._model: DeviceModel | None = None
        self._fixed: tuple[Monitor, ...] = ()
        description.provide("MonitoringCtrlr.Available", lambda: "true")
        description.provide("MonitoringCtrlr.ActiveMonitoringBase", lambda: self._installed.base.value)
        description.provide("MonitoringCtrlr.ActiveMonitoringLevel", lambda: str(self._installed.level))

    # --- life ------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Before `begin`. Raises StoreError."""
        stored = await self._store.load()
        self._fit_model()
        installed = stored.installed
        for monitor in orphaned(installed, self._description.model):
            log.warning("monitor %d of %s is gone with it", monitor.monitor_id, _name(monitor))
            installed = without_monitor(installed, monitor.monitor_id)
        if installed != stored.installed:
            kept = {each.monitor_id for each in (*self._fixed, *installed.custom)}
            references = {number: text for number, text in stored.references.items() if number in kept}
            await self._store.save(installed, references)
        self._installed = installed
        self._last_event_id = self._reserved_id = stored.last_event_id
        self._watches = {number: Watch(is_exceeded=True) for number in stored.exceeded}
        self._watches |= dict(self._remembered(stored.references))

    def _remembered(self, references: Mapping[int, str]) -> Iterator[tuple[int, Watch]]:
        """What happened while the station was off is a change, too (N07.FR.18, .19)."""
        for number, monitor in self._by_id().items():
            found = self._description.model.find(monitor.component, monitor.variable)
            reference = references.get(number)
            if reference is None or isinstance(found, Unknown) or monitor.kind is not MonitorKind.DELTA:
                continue
            if is_comparable(reference, found.data_type):
                yield number, Watch(reference=reference)

    def begin(self) -> None:
        self._is_begun = True
        self._unsubscribe = self._core.subscribe(self._on_fact)
        self._look_soon()
        self.arm()

    def end(self) -> None:
        self._is_begun = False
        self._unsubscribe()
        for handle in (self._soon, self._timer):
            if handle is not None:
                handle.cancel()
        self._soon = self._timer = None

    @property
    def active(self) -> tuple[Monitor, ...]:
        return tuple(monitor for _number, monitor in sorted(self._by_id().items()))

    def _by_id(self) -> dict[int, Monitor]:
        return active(self._fixed, self._installed)

    def _fit_model(self) -> DeviceModel:
        """The monitors of the manufacturer are those of the parts that are there."""
        model = self._description.model
        if model is not self._model:
            self._model = model
            self._fixed = fixed_monitors(model, self._core.runners)
        return model

    def clock_set(self) -> None:
        """The grid of the day lies elsewhere."""
        for monitor in self._installed.custom:
            if monitor.kind is MonitorKind.PERIODIC_CLOCK_ALIGNED:
                self._due.pop(monitor.monitor_id, None)
        self.arm()

    def on_online(self) -> None:
        """The CSMS is back or away: what waited for it is looked at again."""
        self._look_soon()

    # --- what the CSMS asks for ------------------------------------------------------------------------

    async def execute(self, request: MonitoringRequest) -> Answer | MonitorAnswers:
        async with self._changing:
            match request:
                case requests.SetMonitors(orders):
                    return MonitorAnswers(tuple([await self._set(order) for order in orders]))
                case requests.ClearMonitors(monitor_ids):
                    return MonitorAnswers(tuple([await self._clear(number) for number in monitor_ids]))
                case requests.SetMonitoringBase(base):
                    return await self._change(with_base(self._installed, base))
                case requests.SetMonitoringLevel(level):
                    if not 0 <= level <= LOWEST_SEVERITY:  # N05.FR.02
                        return Answer(Verdict.REJECTED, "the level is out of range")
                    return await self._change(replace(self._installed, level=level))
                case _:
                    assert_never(request)

    async def _set(self, order: MonitorOrder) -> MonitorAnswer:
        settings = self._core.settings
        if not settings.flag("monitoring_enabled"):
            return MonitorAnswer(MonitorVerdict.REJECTED, Flaw.SWITCHED_OFF)
        found = self._description.model.find(order.component, order.variable)
        has_room = len(self._installed.custom) < settings.integer("custom_monitors_max")
        verdict, flaw = judge(order, found, self._by_id(), has_room=has_room)
        if verdict is not MonitorVerdict.ACCEPTED or isinstance(found, Unknown):
            log.warning("a monitor of %s is refused: %s %s", order.variable.name, verdict, flaw)
            return MonitorAnswer(verdict, flaw)
        before = self._by_id().get(order.monitor_id or 0)
        installed, monitor = with_monitor(self._installed, order, found)
        # A threshold that is moved is compared with what was told of the old one (N07.FR.11).
        is_moved = before is not None and before.kind is monitor.kind and monitor.kind.is_threshold
        begun = {} if is_moved else {monitor.monitor_id: self._fresh(monitor, found)}
        answer = await self._change(installed, begun)
        if answer.verdict is not Verdict.ACCEPTED:
            return MonitorAnswer(MonitorVerdict.REJECTED, Flaw.NOT_STORED)
        self._due.pop(monitor.monitor_id, None)
        self.arm()
        return MonitorAnswer(MonitorVerdict.ACCEPTED, Flaw.NONE, monitor.monitor_id)

    def _fresh(self, monitor: Monitor, row: Row) -> Watch:
        """A change is counted from the value at the time that the monitor was set (N07.FR.18)."""
        present = self._description.present()
        if monitor.kind is not MonitorKind.DELTA:
            return Watch()
        watch, _nothing = look(monitor, Watch(), self._value(row, present), row.data_type)
        return watch

    async def _clear(self, monitor_id: int) -> MonitorAnswer:
        """Only what the CSMS has set can be cleared; a threshold that was exceeded says no more (N07.FR.12)."""
        monitor = self._by_id().get(monitor_id)
        if monitor is None:
            return MonitorAnswer(MonitorVerdict.NOT_FOUND, Flaw.NOT_FOUND)
        if monitor.origin is not MonitorOrigin.CUSTOM:
            return MonitorAnswer(MonitorVerdict.REJECTED, Flaw.READ_ONLY)
        answer = await self._change(without_monitor(self._installed, monitor_id))
        if answer.verdict is not Verdict.ACCEPTED:
            return MonitorAnswer(MonitorVerdict.REJECTED, Flaw.NOT_STORED)
        return MonitorAnswer(MonitorVerdict.ACCEPTED, Flaw.NONE)

    async def _change(self, installed: Installed, begun: Mapping[int, Watch] = _NOTHING_BEGUN) -> Answer:
        """On the disk, then in force. `begun`: what monitors that are new know."""
        present = active(self._fixed, installed).keys()
        references = _references({**self._watches, **begun})
        try:
            await self._store.save(installed, {n: text for n, text in references.items() if n in present})
        except StoreError as error:
            self._core.store_failed(error)
            return Answer(Verdict.REJECTED, reasons.NOT_STORED)
        self._installed = installed
        watches = {**self._watches, **begun}
        self._watches = {number: watch for number, watch in watches.items() if number in present}
        self._due = {number: due for number, due in self._due.items() if number in present}
        self._look_soon()
        self.arm()
        return Answer(Verdict.ACCEPTED)

    # --- looking ---------------------------------------------------------------------------------------

    def _on_fact(self, fact: Fact) -> None:
        if not isinstance(fact, EventsNoticed | MeterSampled):
            self._look_soon()

    def _look_soon(self) -> None:
        """Once for whatever happens in this turn of the loop, and after it."""
        if self._is_begun and self._soon is None:
            self._soon = asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._soon = None
        if not self._core.settings.flag("monitoring_enabled"):
            return
        self._fit_model()
        present = self._description.present()
        exceeded = self._exceeded()
        spoken = list(self._signals(present))
        if spoken or exceeded != self._exceeded():
            self._tell(spoken, present)

    def _signals(self, present: Present) -> Iterator[_Spoken]:
        for monitor, row in self._watched(present):
            actual = self._value(row, present)
            before = self._watches.get(monitor.monitor_id) or _untold(monitor)
            watch, signal = look(monitor, before, actual, row.data_type)
            if watch != before:
                self._watches[monitor.monitor_id] = watch
            if signal is not None:
                yield _Spoken(monitor, row, "" if is_secret(row) else actual, signal)

    def _watched(self, present: Present) -> Iterator[tuple[Monitor, Row]]:
        """Who may look now: not while nobody could be told, nor without the transaction that it is for."""
        model = self._description.model
        for monitor in self.active:
            if not (self._core.is_online or self._is_queued(monitor)):
                continue
            if monitor.only_in_transaction and _transaction(monitor, present) is None:
                continue
            if not _is_known(monitor, present):
                continue
            found = model.find(monitor.component, monitor.variable)
            if not isinstance(found, Unknown):
                yield monitor, found

    def _value(self, row: Row, present: Present) -> str:
        """What a monitor compares; of what nobody may read, only that it is another one."""
        if is_secret(row) and row.setting is not None:
            secret = present.settings.raw(row.setting.name) or ""
            return hashlib.sha256(secret.encode()).hexdigest()
        return row.read(present)

    def _is_queued(self, monitor: Monitor) -> bool:
        """N07.FR.04: severe enough to be kept until the CSMS has it."""
        return monitor.severity <= self._core.settings.integer("offline_event_severity")

    def _exceeded(self) -> frozenset[int]:
        return frozenset(number for number, watch in self._watches.items() if watch.is_exceeded)

    # --- timers ----------------------------------------------------------------------------------------

    def arm(self) -> None:
        """Set the timer to when something is due: a period, or the next look at what no fact tells of."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._is_begun:
            return
        now = self._core.clock.time()
        custom = self._installed.custom
        due = [self._due_time(monitor, now) for monitor in custom if monitor.kind.is_periodic]
        if any(not monitor.kind.is_periodic for monitor in custom):
            due.append(now + LOOK_S)
        if due:
            wait_s = max(0.0, min(due) - now)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._on_timer)

    def _due_time(self, monitor: Monitor, now: float) -> float:
        """From when it was set or last spoke (N08.FR.06); clock-aligned, on the grid of the day (N08.FR.07)."""
        wait_s = monitor.value
        if monitor.kind is MonitorKind.PERIODIC_CLOCK_ALIGNED and monitor.monitor_id not in self._due:
            at = self._core.clock.now()
            # A timer may come a hair before its instant: that one is over then.
            wait_s = (next_aligned(at + EARLY, int(monitor.value)) - at).total_seconds()
        return self._due.setdefault(monitor.monitor_id, now + wait_s)

    def _on_timer(self) -> None:
        self._timer = None
        self._core.start_task("monitoring", self._work)

    async def _work(self) -> None:
        """Read the meters that are asked about, look, and let the periodic ones speak."""
        now = self._core.clock.time() + 0.001
        due = [number for number, due_time in self._due.items() if due_time <= now]
        for number in due:
            self._due.pop(number)
        self.arm()
        await self._read_meters()
        if not self._core.settings.flag("monitoring_enabled"):
            return
        present = self._description.present()
        periodic = [
            _Spoken(monitor, row, row.read(present), Signal(EventTrigger.PERIODIC))
            for monitor, row in self._watched(present)
            if monitor.monitor_id in due
        ]
        if periodic:
            self._tell(periodic, present)
        self._look()

    async def _read_meters(self) -> None:
        """A value that is compared with a threshold has to be of now."""
        model = self._description.model
        wanted = set()
        for monitor in self._installed.custom:
            found = model.find(monitor.component, monitor.variable)
            if not isinstance(found, Unknown) and found.is_measured:
                wanted.add(found.component.evse_id)
        meters = [runner.meter for number, runner in self._core.runners.items() if number in wanted]
        await asyncio.gather(*(meter.read() for meter in meters if meter is not None))

    # --- telling ---------------------------------------------------------------------------------------

    def _tell(self, spoken: Iterable[_Spoken], present: Present) -> None:
        """Those that the level lets through (N07.FR.15): the severe ones in one fact, the others in another."""
        loud = [each for each in spoken if each.monitor.severity <= self._installed.level]
        queued = [each for each in loud if self._is_queued(each.monitor)]
        passing = [each for each in loud if not self._is_queued(each.monitor)]
        known = (self._exceeded(), _references(self._watches))
        self._core.start_task("events", partial(self._write, queued, passing, present, known))

    async def _write(
        self,
        queued: Collection[_Spoken],
        passing: Collection[_Spoken],
        present: Present,
        known: tuple[frozenset[int], Mapping[int, str]],
    ) -> None:
        """What is kept and what the monitors know is one commit; then everyone hears of it, in order."""
        async with self._writing:
            try:
                if self._last_event_id + len(queued) + len(passing) > self._reserved_id:
                    last = self._last_event_id + EVENT_IDS + len(queued) + len(passing)
                    await self._store.reserve_event_ids(last)
                    self._reserved_id = last
                kept = self._fact(queued, present, is_queued=True)
                await self._store.note(*known, *kept)
            except StoreError as error:
                self._core.store_failed(error)
                log.error("events are lost: %d", len(queued) + len(passing))
                return
            self._core.store_worked()
            for fact in (*kept, *self._fact(passing, present, is_queued=False)):
                self._core.publish(fact)

    def _fact(
        self, spoken: Collection[_Spoken], present: Present, *, is_queued: bool
    ) -> tuple[EventsNoticed, ...]:
        events = [self._event(each, present) for each in spoken]
        return tuple(
            EventsNoticed(present.at, tuple(events[start : start + EVENTS_PER_MESSAGE]), is_queued)
            for start in range(0, len(events), EVENTS_PER_MESSAGE)
        )

    def _event(self, spoken: _Spoken, present: Present) -> VariableEvent:
        self._last_event_id += 1
        code, detail = _technical(spoken, present)
        monitor = spoken.monitor
        return VariableEvent(
            self._last_event_id,
            present.at,
            spoken.signal.trigger,
            spoken.actual,
            monitor.component,
            monitor.variable,
            monitor.origin,
            monitor.monitor_id,
            spoken.signal.is_cleared,
            _transaction(monitor, present),
            code,
            detail,
        )


def _untold(monitor: Monitor) -> Watch:
    return Watch() if monitor.origin is MonitorOrigin.CUSTOM else NO_PROBLEM


def _references(watches: Mapping[int, Watch]) -> dict[int, str]:
    return {number: watch.reference for number, watch in watches.items() if watch.reference is not None}


def _is_known(monitor: Monitor, present: Present) -> bool:
    """What a board has not said yet since the start is no change: it says so in a moment."""
    evses, component = present.station.evses, monitor.component
    if component.name == STATION.name:
        return all(evse.is_known for evse in evses.values())
    evse = evses.get(component.evse_id or 0)
    return evse is None or evse.is_known


def _transaction(monitor: Monitor, present: Present) -> str | None:
    """The transaction that runs where the monitored component is."""
    evse = present.station.evses.get(monitor.component.evse_id or 0)
    return None if evse is None or evse.transaction is None else evse.transaction.transaction_id


def _technical(spoken: _Spoken, present: Present) -> tuple[str, str]:
    """Which fault it is, when a variable says that there is one."""
    name = spoken.monitor.variable.name
    if name not in ("Problem", "Tripped", "AvailabilityState") or spoken.actual in ("false", ""):
        return "", ""
    evse = present.station.evses.get(spoken.monitor.component.evse_id or 0)
    faults = present.station.faults if evse is None else evse.faults
    return (faults[-1].code, faults[-1].detail) if faults else ("", "")


def _name(monitor: Monitor) -> str:
    return path(monitor.component, monitor.variable)
