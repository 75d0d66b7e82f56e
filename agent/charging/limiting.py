"""The shell of smart charging: owns the installed profiles, gives every EVSE its limit, looks again when it changes.

A change is on disk before it holds (R16-268, R16-270); the limits follow at once, and at every second at which a
schedule changes by a timer. The arithmetic is `smart_charging.py` and `schedules.py`, the rules of the collection are
`profiles.py`. Used by `execution.py` (requests), `bookkeeping.py` (the profile of a remote start) and `evse_runner.py`
(the limit). OCPP 1.6 3.13, 5.5, 5.7, 5.16 (R16-178, R16-179, R16-243 to R16-280);
2.0.1 K01 to K13. Limits that do not come from a CSMS: `external_limits.py`.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from agent.charging import reasons
from agent.charging.core import StationCore
from agent.charging.evse_runner import EvseRunner
from agent.charging.external_limits import ExternalLimits, external
from agent.charging.facts import (
    EvseChanged,
    Fact,
    SettingChanged,
    TransactionStarted,
    TransactionStopped,
    TransactionUpdated,
)
from agent.charging.ids import ChargingState, EvseId, IdToken, TransactionId, TriggerReason
from agent.charging.ports import ProfileStore
from agent.charging.profiles import (
    WHOLE_STATION,
    Bounds,
    ChargingProfile,
    Installed,
    InstalledProfile,
    Purpose,
    RateUnit,
    Scope,
    bound_to,
    bounds_of,
    clash_of,
    external_at,
    flaw_for_start,
    flaw_of,
    flaw_of_place,
    ids_of,
    of_csms,
    orphans,
    over,
    replaced_by,
    selected,
    without,
)
from agent.charging.requests import (
    Answer,
    ClearProfiles,
    ComposeSchedule,
    CompositePeriod,
    CompositeSchedule,
    InstallProfile,
    Verdict,
)
from agent.charging.schedules import most_stretches, second_of, time_of
from agent.charging.session_values import Phase
from agent.charging.smart_charging import (
    Draw,
    Outlet,
    Supply,
    compose,
    limits_now,
    local_limit,
    on_one_phase,
    phases_in_use,
)
from agent.charging.snapshot import LimitInForce, SessionState
from agent.errors import StoreError

log = logging.getLogger(__name__)

HORIZON_S = 3600
"""How far a look goes; after it comes the next one."""
UNSET_CLOCK_LOOK_S = 0.9
"""While the clock was never set: the system may set it at any moment, and nobody tells."""
MOST_COMPOSITE_S = 366 * 86_400
MOST_STRETCHES = 50_000
"""Periods that one composite schedule may have to look at; more would hold up everything else for too long."""
_ACCEPTED = Answer(Verdict.ACCEPTED)


@dataclass(frozen=True, slots=True)
class _Expected:
    """A profile that came with a remote start and waits for its transaction."""

    id_token: IdToken
    profile: ChargingProfile


class Limiting:
    def __init__(self, core: StationCore, store: ProfileStore) -> None:
        self._core = core
        self._store = store
        self._installed: Installed = ()
        self._limits: dict[EvseId, LimitInForce] = {}
        """Of the EVSEs that profiles lower."""
        self._expected: dict[EvseId, _Expected] = {}
        self._phases: dict[EvseId, int] = {}
        """The most phases that an EV was seen to use in the running transaction, with all of them connected."""
        self._one_phase: frozenset[EvseId] = frozenset()
        """The EVSEs that a profile wants on one phase, and that can switch."""
        self._sated: set[EvseId] = set()
        """Whose EV took nothing of what was offered to it last."""
        self._locals: dict[EvseId, float] = {}
        self._local_limits: dict[EvseId, tuple[tuple[float, float | None, float], LimitInForce]] = {}
        """What limits each EVSE without profiles, and what follows from it."""
        self._changing = asyncio.Lock()
        """One change of the collection at a time: each is built on the one before."""
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self._is_begun = False
        self.external = ExternalLimits(core, self)
        core.subscribe(self._on_fact)

    # --- life ------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """After open transactions were stopped or resumed: profiles of those that are over go. Raises StoreError."""
        installed = tuple(await self._store.load())
        gone = orphans(installed, self._running().values())
        if gone:
            await self._store.delete(ids_of(gone))
        self._installed = without(installed, gone)
        self.external.recall()
        if self._installed:
            log.info("charging profiles installed: %s", ids_of(self._installed))

    def begin(self) -> None:
        self._is_begun = True
        self.refresh()

    def end(self) -> None:
        self._is_begun = False
        for handle in (self._timer, self._soon):
            if handle is not None:
                handle.cancel()
        self._timer = self._soon = None

    # --- the limits ------------------------------------------------------------------------------------

    def limit_of(self, runner: EvseRunner) -> LimitInForce:
        """What an EVSE may offer now, and why. Profiles are those of the last look; the rest is as of now."""
        local = self._local(runner)
        if local.current_a != self._locals.get(runner.evse_id):
            self._look_soon()
        profiled = self._limits.get(runner.evse_id)
        return profiled if profiled is not None and profiled.current_a < local.current_a else local

    def phases_used(self, runner: EvseRunner) -> int:
        """On how many phases the EV charges: as measured in the running transaction, else as many as it gets."""
        evse = runner.ports.evse
        given = evse.state.phases or evse.capabilities.phases
        return min(given, self._phases.get(runner.evse_id, given))

    def phases_of(self, runner: EvseRunner) -> int:
        """On how many phases an EVSE is to charge by its profiles; without any: on all that it has."""
        return 1 if runner.evse_id in self._one_phase else runner.ports.evse.capabilities.phases

    @property
    def installed(self) -> int:
        """How many charging profiles there are."""
        return len(self._installed)

    @property
    def profiles(self) -> Installed:
        return self._installed

    @property
    def _in_force(self) -> Installed:
        """With smart charging switched off nothing counts of what the CSMS has set; others likewise."""
        settings = self._core.settings
        installed = self._installed if settings.flag("smart_charging_enabled") else external(self._installed)
        return installed if settings.flag("external_limits_enabled") else of_csms(installed)

    def _local(self, runner: EvseRunner) -> LimitInForce:
        evse = runner.ports.evse
        setting_a = float(self._core.settings.integer("current_limit_a"))
        limits_a = evse.capabilities.max_current_a, evse.state.cable_a, setting_a
        known = self._local_limits.get(runner.evse_id)
        if known is None or known[0] != limits_a:  # every picture of the station asks
            known = self._local_limits[runner.evse_id] = limits_a, local_limit(*limits_a)
        return known[1]

    def refresh(self) -> None:
        """Look at the profiles now, give every EVSE its limit, and plan the next look."""
        if not self._is_begun:
            return
        for handle in (self._timer, self._soon):
            if handle is not None:
                handle.cancel()
        self._timer = self._soon = None
        self._drop_unexpected()
        before = self._limits
        outlets = self._outlets()
        self._locals = {outlet.evse_id: outlet.local_a for outlet in outlets}
        if self.external.spent():
            self._core.start_task("external limits that are over", self.external.sweep)
        in_force = self._in_force
        if in_force:
            now = self._core.clock.now()
            self._limits, next_look = limits_now(in_force, outlets, second_of(now), HORIZON_S)
            self._one_phase = on_one_phase(in_force, outlets, second_of(now))
            wait_s = (time_of(next_look) - now).total_seconds()
            if not self._core.clock.is_trusted:
                wait_s = min(wait_s, UNSET_CLOCK_LOOK_S)
            # A millisecond late rather than early: just before the second the old limit still holds.
            self._timer = asyncio.get_running_loop().call_later(max(0.0, wait_s) + 0.001, self.refresh)
        else:
            self._limits, self._one_phase = {}, frozenset()
        for runner in self._core.runners.values():
            runner.refresh_limit()
        for evse_id in before.keys() | self._limits.keys():
            if before.get(evse_id) != self._limits.get(evse_id):
                log.info("EVSE %d: limited by profiles to %s", evse_id, _words(self._limits.get(evse_id)))

    def _look_soon(self) -> None:
        """In the next turn of the loop: whoever calls is in the middle of something."""
        if self._soon is None and self._is_begun and (self._installed or self._expected):
            self._soon = asyncio.get_running_loop().call_soon(self.refresh)

    def _on_fact(self, fact: Fact) -> None:
        match fact:
            case TransactionStarted():
                self._phases.pop(fact.evse_id, None)
                self._sated.discard(fact.evse_id)
                self.refresh()  # before charging is permitted, so that the first offer is the right one
            case TransactionStopped():
                has_some = any(each.profile.transaction_id == fact.transaction_id for each in self._installed)
                if has_some or self._changing.locked():  # one of it may be on its way to the disk
                    forget = partial(self.forget, fact.transaction_id)
                    self._core.start_task("profiles of a transaction", forget)
                self._look_soon()
            case EvseChanged():
                self._look_soon()
            case SettingChanged(
                name="supply_voltage_v" | "smart_charging_enabled" | "external_limits_enabled"
            ):
                self._look_soon()
            case _:
                pass

    def meter_was_read(self, runner: EvseRunner) -> None:
        """How many phases the EV uses decides what a limit in watt means for it."""
        reading = None if runner.meter is None else runner.meter.last
        if reading is None or runner.books.book is None or reading.at_time < runner.books.begun_time:
            return
        evse = runner.ports.evse
        if evse.capabilities.can_switch_phases and evse.state.phases != evse.capabilities.phases:
            return  # it cannot use more than it is given
        used = phases_in_use(reading)
        if used > self._phases.get(runner.evse_id, 0):
            self._phases[runner.evse_id] = used
            self._look_soon()

    # --- what there is to know of the EVSEs ------------------------------------------------------------

    def _outlets(self) -> list[Outlet]:
        """All EVSEs, the oldest transaction first."""
        outlets = [self._outlet(runner) for runner in self._core.runners.values()]
        return sorted(outlets, key=lambda outlet: (outlet.began is None, outlet.began or 0, outlet.evse_id))

    def _outlet(self, runner: EvseRunner) -> Outlet:
        book, session = runner.books.book, runner.session
        supply = Supply(
            float(self._core.settings.integer("supply_voltage_v")),
            runner.ports.evse.capabilities.phases,
            self._phases.get(runner.evse_id),
            runner.ports.evse.capabilities.can_switch_phases,
        )
        local_a = self._local(runner).current_a
        if book is None or session.phase is Phase.CLOSING:
            return Outlet((runner.evse_id, session.connector_id), local_a, supply)
        return Outlet(
            (runner.evse_id, book.started.connector_id),
            local_a,
            supply,
            self._draw(runner),
            book.started.transaction_id,
            second_of(book.started.at),
        )

    def _draw(self, runner: EvseRunner) -> Draw:
        session = runner.session
        if session.power_wanted and session.permitted:
            self._sated.discard(runner.evse_id)
            return Draw.DRAWING
        if session.charging_state is ChargingState.SUSPENDED_EV:
            self._sated.add(runner.evse_id)
        return Draw.SATED if runner.evse_id in self._sated else Draw.WAITING

    def _running(self) -> dict[Scope, TransactionId]:
        """The running transactions by their place."""
        books = (runner.books.book for runner in self._core.runners.values())
        return {
            (book.started.evse_id, book.started.connector_id): book.started.transaction_id
            for book in books
            if book is not None
        }

    def _running_at(self, scope: Scope) -> TransactionId | None:
        """At a connector, or anywhere at an EVSE as a whole."""
        evse_id, connector_id = scope
        for place, transaction_id in self._running().items():
            if place == scope or (connector_id == 0 and place[0] == evse_id):
                return transaction_id
        return None

    @property
    def bounds(self) -> Bounds:
        return bounds_of(self._core.settings)

    # --- requests --------------------------------------------------------------------------------------

    async def install(self, request: InstallProfile) -> Answer:
        """Accepted: on disk and in force. Otherwise nothing was changed."""
        async with self._changing:
            reason = await self._install(request)
        if reason is not None:
            return Answer(Verdict.REJECTED, f"charging profile {request.profile.profile_id}: {reason}")
        self.refresh()
        return _ACCEPTED

    async def _install(self, request: InstallProfile) -> str | None:
        profile, scope = request.profile, (request.evse_id, request.connector_id)
        if not self._is_place(scope):
            return reasons.NO_SUCH_CONNECTOR
        now = self._core.clock.now()
        running = self._running_at(scope)
        reason = flaw_of_place(profile, scope, running) or flaw_of(profile, self.bounds, now)
        if reason is not None:
            return reason
        if profile.purpose is Purpose.TX and running is not None:
            profile = bound_to(profile, running)
        new = InstalledProfile(profile, *scope, now)
        if not request.replaces_slot:
            clash = clash_of(self._installed, new)
            if clash is not None:
                return f"profile {clash.profile.profile_id} has that purpose and level"
        return await self._put(new)

    async def _put(self, new: InstalledProfile) -> str | None:
        """On disk, then in force; why not otherwise. Only while `_changing` is held."""
        replaced = replaced_by(self._installed, new)
        if external(replaced):
            return "profile id: is that of an external limit"  # K01.FR.05
        left = without(self._installed, replaced)
        if len(of_csms(left)) >= self.bounds.max_installed:
            replaced = (*replaced, *over(left, self._core.clock.now()))
            left = without(self._installed, replaced)
        if len(of_csms(left)) >= self.bounds.max_installed:
            return f"{len(of_csms(left))} profiles are installed, no more fit in"
        return await self._exchange(replaced, new)

    async def _exchange(self, replaced: Installed, new: InstalledProfile) -> str | None:
        """On disk, then in force; why not otherwise."""
        left = without(self._installed, replaced)
        try:
            await self._store.replace(ids_of(replaced), new)
        except StoreError as error:
            self._core.store_failed(error)
            return reasons.NOT_STORED
        self._core.store_worked()
        self._installed = (*left, new)
        return None

    async def put_external(self, new: InstalledProfile) -> str | None:
        """It replaces what its origin has set there before; why that could not be stored."""
        async with self._changing:
            replaced = tuple(
                each for each in external_at(self._installed, new.evse_id) if each.origin is new.origin
            )
            reason = await self._exchange(replaced, new)
        if reason is None:
            self.refresh()
        return reason

    async def drop_external(self, gone: Sequence[InstalledProfile]) -> bool:
        """False: the disk does not take it, nothing was changed."""
        async with self._changing:
            is_gone = await self._delete(tuple(each for each in gone if each in self._installed))
        if is_gone:
            self.refresh()
        return is_gone

    async def _delete(self, gone: Installed) -> bool:
        try:
            await self._store.delete(ids_of(gone))
        except StoreError as error:
            self._core.store_failed(error)
            return False
        self._installed = without(self._installed, gone)
        return True

    def _is_place(self, scope: Scope) -> bool:
        if scope == WHOLE_STATION:
            return True
        runner = self._core.runners.get(scope[0])
        return runner is not None and 0 <= scope[1] <= runner.ports.connectors

    async def clear(self, request: ClearProfiles) -> Answer:
        """Unknown: none of those is installed (R16-271). Rejected: the disk does not take it, nothing was changed."""
        async with self._changing:
            gone = selected(of_csms(self._installed), request.selection)
            if not gone:
                return Answer(Verdict.UNKNOWN, "no such charging profile")
            if not await self._delete(gone):
                return Answer(Verdict.REJECTED, reasons.NOT_STORED)
        log.info("charging profiles cleared: %s", ids_of(gone))
        self.refresh()
        return _ACCEPTED

    def compose(self, request: ComposeSchedule) -> CompositeSchedule | Answer:
        """What is to be expected from now on (R16-272 to R16-276)."""
        scope = (request.evse_id, request.connector_id)
        if not self._is_place(scope):
            return Answer(Verdict.REJECTED, reasons.NO_SUCH_CONNECTOR)
        units = self.bounds.units
        unit = request.unit or (RateUnit.AMPERE if RateUnit.AMPERE in units else RateUnit.WATT)
        if unit not in units:
            return Answer(Verdict.REJECTED, f"rate unit: {unit} is not offered")
        if not 1 <= request.duration_s <= MOST_COMPOSITE_S:
            return Answer(Verdict.REJECTED, f"duration: outside 1 to {MOST_COMPOSITE_S} s")
        start = second_of(self._core.clock.now())
        window = (start, start + request.duration_s)
        outlets = self._outlets()
        in_force = self._in_force
        if most_stretches(in_force, window, start) * len(outlets) > MOST_STRETCHES:
            return Answer(Verdict.REJECTED, "duration: too many periods lie in it")
        if scope[0] and not scope[1]:
            scope = (scope[0], self._core.runners[scope[0]].session.connector_id)
        pieces = compose(in_force, outlets, scope, unit, window)
        periods = tuple(CompositePeriod(each.start - start, each.limit, each.phases) for each in pieces)
        return CompositeSchedule(request.evse_id, time_of(start), request.duration_s, unit, periods)

    # --- the profile of a transaction ------------------------------------------------------------------

    def flaw_for_start(self, profile: ChargingProfile) -> str | None:
        """Why a remote start cannot bring this profile (R16-178, R16-265)."""
        bounds, installed = self.bounds, of_csms(self._installed)
        if len(installed) - len(over(installed, self._core.clock.now())) >= bounds.max_installed:
            return f"{len(installed)} profiles are installed, no more fit in"
        if any(each.profile.profile_id == profile.profile_id for each in external(self._installed)):
            return "profile id: is that of an external limit"
        return flaw_for_start(profile, bounds, self._core.clock.now())

    def expect(self, evse_id: EvseId, id_token: IdToken, profile: ChargingProfile | None) -> None:
        """A remote start was accepted; its profile waits for the transaction, the one before it does not any more."""
        self._expected.pop(evse_id, None)
        if profile is not None:
            self._expected[evse_id] = _Expected(id_token, profile)

    async def bind(self, started: TransactionStarted | TransactionUpdated) -> None:
        """Before the start, or the driver of a transaction that runs already, is recorded.

        Its profile is on disk first, so that no power cut parts them (R16-179).

        A disk that does not take it keeps nobody from charging by it now."""
        expected = self._take_expected(started)
        if expected is None:
            return
        profile = bound_to(expected.profile, started.transaction_id)
        new = InstalledProfile(profile, started.evse_id, started.connector_id, started.at)
        async with self._changing:
            reason = await self._put(new)
            if reason is not None:
                log.error("charging profile %d of a remote start: %s", profile.profile_id, reason)
                replaced = replaced_by(self._installed, new)
                if not external(replaced):
                    self._installed = (*without(self._installed, replaced), new)

    def _take_expected(self, started: TransactionStarted | TransactionUpdated) -> _Expected | None:
        """Of this EVSE, or of another one if the driver plugged in here instead."""
        if started.trigger is not TriggerReason.REMOTE_START:
            return None
        for evse_id in (started.evse_id, *self._expected):
            expected = self._expected.get(evse_id)
            if expected is None or not expected.id_token.is_same(started.id_token):
                continue
            if evse_id == started.evse_id or not self._awaits(evse_id, expected.id_token):
                return self._expected.pop(evse_id)
        return None

    def _awaits(self, evse_id: EvseId, id_token: IdToken) -> bool:
        """This token is being checked at the EVSE, or its cable is awaited, or its remote start just being recorded."""
        session = self._core.runners[evse_id].session
        is_waiting = session.stage in (SessionState.AUTHORIZING, SessionState.AUTHORIZED) or (
            session.stage is SessionState.CHARGING and session.remote_start_id is not None
        )
        return is_waiting and id_token.is_same(session.checking or session.id_token)

    def _drop_unexpected(self) -> None:
        """A remote start that came to nothing takes its profile with it."""
        for evse_id, expected in tuple(self._expected.items()):
            if not any(self._awaits(each, expected.id_token) for each in self._core.runners):
                del self._expected[evse_id]

    async def forget(self, transaction_id: TransactionId) -> None:
        """The transaction is over, or never was: its profiles go (R16-248)."""
        async with self._changing:
            gone = tuple(each for each in self._installed if each.profile.transaction_id == transaction_id)
            if not gone:
                return
            self._installed = without(self._installed, gone)
            try:
                await self._store.delete(ids_of(gone))
            except StoreError as error:
                self._core.store_failed(error)  # what is left on disk goes at the next start
        self.refresh()


def _words(limit: LimitInForce | None) -> str:
    return "nothing" if limit is None else f"{limit.current_a:g} A ({limit.source} {limit.profile_id})"
