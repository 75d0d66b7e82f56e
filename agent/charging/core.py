"""What the parts of the station share: ports, settings, runners, faults of the station, and the way facts go out.

One owner: `station.py` builds it. The parts (`evse_runner.py`, `bookkeeping.py`, `sampling.py`,
`identification.py`, `execution.py`) meet here instead of knowing each other's insides. It decides nothing.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING

from agent.charging.availability import STATION, STORE_FAULT, Place, is_operative
from agent.charging.conventions import Conventions
from agent.charging.facts import (
    AvailabilityChanged,
    DurableFact,
    EvseChanged,
    Fact,
    FaultCleared,
    FaultRaised,
    FirmwareStatusChanged,
    LogUploadChanged,
)
from agent.charging.ids import EvseId, ResetKind
from agent.charging.measurands import DEFAULT_ENTRY
from agent.charging.ports import (
    AuditLog,
    Authorizer,
    AvailabilityStore,
    Clock,
    Credentials,
    CustomerStore,
    FirmwareUpdates,
    Journal,
    LogUploads,
    Networks,
    TokenStore,
    VendorCommands,
)
from agent.charging.remote_control import StationState
from agent.charging.session_values import Policy
from agent.charging.settings import Settings
from agent.charging.snapshot import ActiveFault
from agent.errors import StoreError
from agent.supervisor import Restart, Supervisor
from hal.ports import Hardware

if TYPE_CHECKING:
    from agent.charging.cost_display import CostDisplay
    from agent.charging.evse_runner import EvseRunner
    from agent.charging.identification import Identification
    from agent.charging.limiting import Limiting
    from agent.charging.listing import Listing
    from agent.charging.monitoring_watch import Monitoring
    from agent.charging.reserving import Reserving
    from agent.charging.sampling import Sampling
    from agent.charging.screens import Screens

log = logging.getLogger(__name__)

Listener = Callable[[Fact], None]

_SENT_LISTS = ("sampled_measurands", "aligned_measurands")


class StationCore:
    identification: "Identification"
    sampling: "Sampling"
    limiting: "Limiting"
    listing: "Listing"
    reserving: "Reserving"
    costs: "CostDisplay"
    screens: "Screens"

    def __init__(
        self,
        *,
        hardware: Hardware,
        settings: Settings,
        journal: Journal,
        availability: AvailabilityStore,
        tokens: TokenStore,
        authorizer: Authorizer,
        vendor: VendorCommands | None,
        clock: Clock,
        on_reset: Callable[[ResetKind], None],
        audit: AuditLog,
    ) -> None:
        self.hardware = hardware
        self.settings = settings
        self.journal = journal
        self.availability = availability
        self.tokens = tokens
        self.authorizer = authorizer
        self.vendor = vendor
        self.clock = clock
        self.on_reset = on_reset
        self.audit = audit
        self.conventions = Conventions()
        """Of the partner that the station speaks with, or spoke with last."""
        self.supervisor = Supervisor()
        self.runners: dict[EvseId, EvseRunner] = {}
        self.wanted: dict[Place, bool] = {}
        """Availability as last asked for: what is on disk."""
        self.own_availability: dict[Place, bool] = {}
        """What was said of each very place (`availability.change_of`)."""
        self.in_force: dict[Place, bool] = {}
        """Availability as it is: what waits for a transaction is not in it yet."""
        self.faults: dict[str, ActiveFault] = {}
        self.is_resetting = False
        self.resetting_evses: set[EvseId] = set()
        """EVSEs that are being reset, or wait for the end of their transaction for it."""
        self.is_updating = False
        """New firmware is about to be installed: what runs goes on, nothing new starts (R16-296)."""
        self.firmware_updates: FirmwareUpdates | None = None
        self.log_uploads: LogUploads | None = None
        self.credentials: Credentials | None = None
        self.networks: Networks | None = None
        self.customers: CustomerStore | None = None
        self.monitoring: Monitoring | None = None
        """None: nobody could be told."""
        self.is_online = False
        self.was_accepted = False
        """A CSMS has accepted the station since the start."""
        self.changed_at = clock.now()
        self.firmware: FirmwareStatusChanged | None = None
        self.log_upload: LogUploadChanged | None = None
        self._listeners: list[Listener] = []
        self._policy: Policy | None = None
        self._short_tasks: set[str] = set()
        settings.subscribe(self._on_setting)

    # --- facts -----------------------------------------------------------------------------------------

    def publish(self, fact: Fact) -> None:
        """Tell all listeners, in order. One that raises is logged; the others still hear the fact."""
        if isinstance(fact, FirmwareStatusChanged):
            self.firmware = fact
        elif isinstance(fact, LogUploadChanged):
            self.log_upload = fact
        for listener in tuple(self._listeners):
            try:
                listener(fact)
            except Exception:
                log.exception("a listener failed on %s", type(fact).__name__)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def record(self, *facts: DurableFact) -> None:
        """One commit. Raises StoreError, which is a fault of the station until a commit succeeds again."""
        try:
            await self.journal.record(*facts)
        except StoreError as error:
            self.store_failed(error)
            raise
        self.store_worked()

    def store_failed(self, error: StoreError) -> None:
        self.raise_fault(STORE_FAULT, str(error))

    def store_worked(self) -> None:
        self.clear_fault(STORE_FAULT)

    # --- tasks -----------------------------------------------------------------------------------------

    def start_task(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        """A task that ends by itself; a crash is logged. When one of that name runs already, a second one runs too."""
        numbered = next(each for each in (f"{name} #{n}" for n in count()) if each not in self._short_tasks)

        async def run() -> None:
            try:
                await body()
            finally:
                self._short_tasks.discard(numbered)

        self._short_tasks.add(numbered)
        self.supervisor.start(numbered, run, Restart.NEVER)

    # --- the station as a whole ------------------------------------------------------------------------

    @property
    def state(self) -> StationState:
        return StationState(
            self.is_resetting,
            self.clock.is_trusted,
            is_registered=self.is_registered,
            is_updating=self.is_updating,
        )

    @property
    def is_registered(self) -> bool:
        """May a transaction begin, as far as the CSMS's acceptance goes? (OCPP 1.6 4.2.1, R16-054)"""
        settings = self.settings
        if self.was_accepted:
            return True
        is_known = settings.flag("accepted_once") or settings.flag("tx_never_accepted")
        return is_known and settings.flag("tx_before_accepted")

    @property
    def policy(self) -> Policy:
        if self._policy is None:
            settings = self.settings
            self._policy = Policy(
                connection_timeout_s=settings.integer("connection_timeout_s"),
                stop_on_ev_disconnect=settings.flag("stop_on_ev_side_disconnect"),
                unlock_on_ev_disconnect=settings.flag("unlock_on_ev_side_disconnect"),
                stop_on_invalid_id=settings.flag("stop_on_invalid_id"),
                max_energy_on_invalid_id_wh=settings.integer("max_energy_on_invalid_id_wh"),
                grants_energy_first=self.conventions.grants_energy_first,
                awaits_lost_ev=self.conventions.awaits_lost_ev,
                start_points=self.conventions.start_points or settings.listed("tx_start_point"),
                stop_points=self.conventions.stop_points or settings.listed("tx_stop_point"),
                forgets_plugged=self._has_shared_reader(),
            )
        return self._policy

    def measurands_of(self, name: str) -> tuple[str, ...]:
        """What a list asks for. Empty: nothing, or the register of a list that is sent (OCPP 1.6 9.1)."""
        entries = self.settings.listed(name)
        means_register = self.conventions.empty_list_is_register and name in _SENT_LISTS
        return (DEFAULT_ENTRY,) if means_register and not entries else entries

    def _has_shared_reader(self) -> bool:
        """Could a token at one reader mean more than one EVSE?"""
        return any(len(reader.evse_ids or self.runners) > 1 for reader in self.hardware.readers)

    def forget_policy(self) -> None:
        """The settings may have changed."""
        self._policy = None

    def _on_setting(self, _name: str, _value: str) -> None:
        self.forget_policy()

    def raise_fault(self, code: str, detail: str = "") -> None:
        """A fault of the station itself, not of an EVSE."""
        if code in self.faults:
            return
        at = self._touch()
        log.error("fault %s of the station: %s", code, detail)
        self.faults[code] = ActiveFault(code, at, detail, stops_charging=True)
        self.publish(FaultRaised(0, code, at, detail))

    def warn(self, code: str, detail: str) -> None:
        """A fault of the station that stops nothing; a new detail is told anew."""
        known = self.faults.get(code)
        if known is not None and known.detail == detail:
            return
        at = self._touch()
        log.warning("fault %s of the station", code)
        since = at if known is None else known.since
        self.faults[code] = ActiveFault(code, since, detail, stops_charging=False)
        self.publish(FaultRaised(0, code, at, detail))

    def clear_fault(self, code: str) -> None:
        if self.faults.pop(code, None) is not None:
            self.publish(FaultCleared(0, code, self._touch()))

    def _touch(self) -> datetime:
        self.changed_at = self.clock.now()
        return self.changed_at

    # --- availability ----------------------------------------------------------------------------------

    def may_be_used(self, evse_id: EvseId, connector_id: int) -> bool:
        is_held_back = self.is_updating or evse_id in self.resetting_evses
        return not is_held_back and is_operative(self.in_force, evse_id, connector_id)

    def set_updating(self, is_updating: bool) -> None:
        """Free connectors become Unavailable now, the others when their transaction ends (R16-073, R16-368)."""
        if is_updating == self.is_updating:
            return
        self.is_updating = is_updating
        for evse_id, runner in self.runners.items():
            runner.refresh_operative()
            self.publish(EvseChanged(evse_id, self.clock.now()))

    def put_in_force(self, *places: Place) -> None:
        """What is wanted of these places holds from now on."""
        wanted = {place: self.wanted.get(place, True) for place in places}
        changed = [place for place in wanted if self.in_force.get(place, True) != wanted[place]]
        self.in_force.update({place: wanted[place] for place in changed})
        for place in changed:
            self.publish(AvailabilityChanged(*place, is_operative=wanted[place], at=self.clock.now()))
        if STATION in places:
            self.publish(EvseChanged(0, self._touch()))
        touched = set(self.runners) if STATION in places else {evse_id for evse_id, _ in places}
        for evse_id in sorted(touched & set(self.runners)):
            self.runners[evse_id].refresh_operative()

    def put_waiting_in_force(self, evse_id: EvseId) -> None:
        """The transaction that a change of availability waited for has ended (R16-186)."""
        waiting = [
            place
            for place, wanted in self.wanted.items()
            if place[0] == evse_id and self.in_force.get(place, True) != wanted
        ]
        self.put_in_force(*waiting)
        self.runners[evse_id].refresh_operative()
