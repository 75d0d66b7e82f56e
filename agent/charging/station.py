"""The station: owns its EVSEs, answers requests, gives pictures of itself, publishes facts.

The shell of the charging core: it holds no rules (those are in session.py and the rooms) and knows no OCPP version.
Built and run by `agent/app.py`; asked by front ends, vendor code and the local API through `execute` and snapshots.
Durable facts are committed before anybody hears of them. One runner per EVSE: `evse_runner.py`.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.charging import events, signing
from agent.charging.availability import STATION
from agent.charging.conventions import Conventions
from agent.charging.core import StationCore
from agent.charging.cost_display import CostDisplay
from agent.charging.evse_runner import EvseRunner
from agent.charging.execution import Execution
from agent.charging.facts import (
    DurableFact,
    EvseChanged,
    Fact,
    FirmwareStatusChanged,
    SecurityEventRaised,
    SettingChanged,
    StationBooted,
)
from agent.charging.identification import Identification
from agent.charging.ids import (
    AuthorizationStatus,
    BootReason,
    EvseId,
    IdToken,
    IdTokenInfo,
    ResetKind,
    TransactionId,
)
from agent.charging.limiting import Limiting
from agent.charging.listing import Listing
from agent.charging.measurands import is_supported
from agent.charging.metering import READ_TIMEOUT_S
from agent.charging.ports import (
    AuditLog,
    Authorizer,
    AvailabilityStore,
    Clock,
    Credentials,
    CustomerStore,
    FirmwareUpdates,
    Journal,
    LocalListStore,
    LogUploads,
    MessageStore,
    MonitorStore,
    Networks,
    OpenTransaction,
    ProfileStore,
    ReservationStore,
    TokenStore,
    VendorCommands,
)
from agent.charging.requests import Request, Result
from agent.charging.reserving import Reserving
from agent.charging.sampling import Sampling
from agent.charging.screens import Screens
from agent.charging.security import SecurityEvents
from agent.charging.settings import Mutability, Settings
from agent.charging.snapshot import EvseSnapshot, StationSnapshot
from agent.charging.tariff import Text
from agent.errors import StoreError
from hal.ports import Hardware, MeterReading

if TYPE_CHECKING:
    from agent.charging.describing import Description
    from agent.charging.device_model import DeviceModel

log = logging.getLogger(__name__)

MEASURAND_LISTS = (
    "start_measurands",
    "sampled_measurands",
    "aligned_measurands",
    "stop_sampled_measurands",
    "stop_aligned_measurands",
)


class Station:
    def __init__(
        self,
        *,
        hardware: Hardware,
        settings: Settings,
        journal: Journal,
        availability: AvailabilityStore,
        tokens: TokenStore,
        profiles: ProfileStore,
        authorizer: Authorizer,
        vendor: VendorCommands | None,
        clock: Clock,
        on_reset: Callable[[ResetKind], None],
        boot_reason: BootReason,
        audit: AuditLog,
        local_list: LocalListStore,
        reservations: ReservationStore,
        messages: MessageStore,
    ) -> None:
        """`on_reset` is called once transactions are stopped; OSError or RuntimeError from it means: not possible."""
        self.settings = settings
        self._core = StationCore(
            hardware=hardware,
            settings=settings,
            journal=journal,
            availability=availability,
            tokens=tokens,
            authorizer=authorizer,
            vendor=vendor,
            clock=clock,
            on_reset=on_reset,
            audit=audit,
        )
        self._boot_reason = boot_reason
        self._booted_at = clock.now()
        self._core.runners = {
            evse_id: EvseRunner(self._core, evse_id, ports)
            for evse_id, ports in sorted(hardware.evses.items())
        }
        self._core.reserving = Reserving(self._core, reservations)
        self._core.listing = Listing(self._core, local_list)
        self._core.identification = Identification(self._core)
        self._core.sampling = Sampling(self._core)
        self._core.limiting = Limiting(self._core, profiles)
        self._execution = Execution(self._core)
        self._security_events = SecurityEvents()
        self._core.costs = CostDisplay(self._core, self._execution)
        self._core.screens = Screens(self._core, messages)
        self._is_running = False
        self._description: Description | None = None
        self.on_describe: Callable[[Description], None] = lambda _description: None
        """Called when somebody first asks for the device model: to say what the station itself does not know."""
        self._fit_settings()
        settings.subscribe(self._on_setting)
        self._core.subscribe(self._on_fact)

    @property
    def authorizer(self) -> Authorizer:
        return self._core.authorizer

    @authorizer.setter
    def authorizer(self, authorizer: Authorizer) -> None:
        self._core.authorizer = authorizer

    @property
    def firmware_updates(self) -> FirmwareUpdates | None:
        """None: this station takes no firmware."""
        return self._core.firmware_updates

    @firmware_updates.setter
    def firmware_updates(self, updates: FirmwareUpdates | None) -> None:
        self._core.firmware_updates = updates

    @property
    def log_uploads(self) -> LogUploads | None:
        """None: this station uploads nothing."""
        return self._core.log_uploads

    @log_uploads.setter
    def log_uploads(self, uploads: LogUploads | None) -> None:
        self._core.log_uploads = uploads

    @property
    def customers(self) -> CustomerStore | None:
        """None: this station says nothing of customers."""
        return self._core.customers

    @customers.setter
    def customers(self, customers: CustomerStore | None) -> None:
        self._core.customers = customers

    @property
    def credentials(self) -> Credentials | None:
        """None: this station keeps no certificates."""
        return self._core.credentials

    @credentials.setter
    def credentials(self, credentials: Credentials | None) -> None:
        self._core.credentials = credentials

    @property
    def networks(self) -> Networks | None:
        """None: this station connects where its configuration file says."""
        return self._core.networks

    @networks.setter
    def networks(self, networks: Networks | None) -> None:
        self._core.networks = networks

    # --- life ------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Before `run`: availability, open transactions (stopped or resumed). Needs no CSMS. Raises StoreError."""
        core = self._core
        states, own = await core.availability.load()
        core.wanted, core.own_availability = dict(states), dict(own)
        core.in_force = dict(core.wanted)
        await core.listing.load()
        await core.reserving.load()
        for found in await core.journal.open_transactions():
            core.clock.not_before(found.last_seen_at)
            runner = core.runners.get(found.started.evse_id)
            if runner is not None and self.settings.flag("resume_after_power_loss"):
                await self._resume(runner, found)
            else:
                books = (runner or next(iter(core.runners.values()))).books
                await books.close_found(found)
                log.warning("transaction %s ended with the power", found.started.transaction_id)
        await core.limiting.load()
        await core.screens.load()

    async def _resume(self, runner: EvseRunner, found: OpenTransaction) -> None:
        started, id_token = found.started, found.id_token or found.started.id_token
        runner.books.resume(found)
        is_authorized = found.is_authorized and id_token is not None
        runner.hear(
            events.TransactionRestored(id_token, started.connector_id, is_authorized, found.is_placed)
        )
        if id_token is not None:
            # Whoever shares its group may stop it, as before the power cut (R16-092).
            runner.hear(events.GroupLearned(await self._core.identification.group_of(id_token)))
        log.warning("transaction %s goes on after a restart", started.transaction_id)

    async def run(self) -> None:
        """Until cancelled; owns all background tasks of the station."""
        core = self._core
        try:
            for runner in core.runners.values():
                core.supervisor.start(f"EVSE {runner.evse_id}", runner.work)
                runner.begin()
            core.limiting.begin()
            core.identification.begin()
            core.reserving.begin()
            core.sampling.start()
            core.costs.begin()
            core.screens.begin()
            self._is_running = True
            if core.monitoring is not None:
                core.monitoring.begin()
            core.publish(StationBooted(self._booted_at, self._boot_reason))
            await asyncio.get_running_loop().create_future()
        finally:
            core.identification.end()
            core.reserving.end()
            core.sampling.stop()
            core.limiting.end()
            core.costs.end()
            core.screens.end()
            self._is_running = False
            if core.monitoring is not None:
                core.monitoring.end()
            for runner in core.runners.values():
                runner.shut()
                runner.end()
            await core.supervisor.close()

    async def close(self) -> None:
        """Ordered shutdown: every EVSE is told to open, then the registers are noted. Ends no transaction."""
        runners = self._core.runners.values()
        for runner in runners:
            runner.shut()
        await asyncio.gather(*(self._keep_register(runner) for runner in runners))

    async def _keep_register(self, runner: EvseRunner) -> None:
        if runner.books.book is None:
            return
        if runner.meter is not None:
            runner.books.enter(await runner.meter.read(READ_TIMEOUT_S / 2))
        await runner.books.keep_register()

    @property
    def conventions(self) -> Conventions:
        """What the CSMS takes for granted."""
        return self._core.conventions

    def follow(self, conventions: Conventions) -> None:
        """From now on what the partner at the other end takes for granted holds, also for what runs."""
        if conventions == self._core.conventions:
            return
        self._core.conventions = conventions
        self.settings.prefer(conventions.defaults)
        self._core.forget_policy()
        if self._is_running:
            self._core.sampling.on_conventions()

    # --- settings and hardware -------------------------------------------------------------------------

    def _fit_settings(self) -> None:
        """What the hardware leaves no choice about, and what only it can judge."""
        hardware, settings = self._core.hardware, self.settings
        connectors = sum(ports.connectors for ports in hardware.evses.values())
        settings.fix("number_of_connectors", str(max(1, connectors)))
        if all(ports.lock is None for ports in hardware.evses.values()):
            settings.fix("unlock_on_ev_side_disconnect", "false")  # R16-128
        if all(ports.indicator is None for ports in hardware.evses.values()):
            settings.drop("blink_repeat")
            settings.drop("light_intensity_percent")
        signing.fit_settings(settings, hardware)
        for name in MEASURAND_LISTS:
            settings.guard(name, self._judge_measurands)
        settings.guard("connector_phase_rotation", self._judge_rotation)
        settings.guard("tx_start_point", self._judge_start_points)
        settings.guard("tx_stop_point", _judge_stop_points)
        self._core.forget_policy()

    def _on_fact(self, fact: Fact) -> None:
        """A board says what it can do once it is there."""
        if isinstance(fact, EvseChanged):
            can = [ports.evse.capabilities.can_switch_phases for ports in self._core.hardware.evses.values()]
            self.settings.fix("switch_3_to_1_phase", "true" if all(can) else "false")

    def _judge_measurands(self, value: str) -> str | None:
        """R16-157: what no meter of this station gives is refused. A meter never heard of may give anything."""
        readings = [reading for reading in self._last_readings() if reading is not None]
        if len(readings) < len(self._last_readings()):
            readings = []
        for entry in filter(None, value.split(",")):
            if not is_supported(entry, readings):
                return f"{entry} is not measured here"
        return None

    def _last_readings(self) -> list[MeterReading | None]:
        main_meter = self._core.sampling.main_meter
        meters = [runner.meter for runner in self._core.runners.values()]
        return [meter.last for meter in (*meters, main_meter) if meter is not None]

    def _judge_start_points(self, value: str) -> str | None:
        signs = any(ports.signer is not None for ports in self._core.hardware.evses.values())
        if not value:
            return "a transaction has to start somewhere"
        return "no meter signs here" if "DataSigned" in value.split(",") and not signs else None

    def _judge_rotation(self, value: str) -> str | None:
        most = self.settings.integer("number_of_connectors")
        numbers = [int(item.partition(".")[0]) for item in filter(None, value.split(","))]
        return f"there are {most} connectors" if any(number > most for number in numbers) else None

    def _on_setting(self, name: str, value: str) -> None:
        core = self._core
        core.forget_policy()
        core.sampling.on_setting(name)
        for runner in core.runners.values():
            if name == "current_limit_a":
                runner.refresh_limit()
            elif name == "stop_on_meter_failure":
                runner.refresh_faults()
        is_secret = self.settings.mutability(name) is Mutability.WRITE_ONLY
        core.publish(SettingChanged(name, "" if is_secret else value, core.clock.now()))

    # --- pictures and facts ----------------------------------------------------------------------------

    def snapshot(self) -> StationSnapshot:
        core = self._core
        return StationSnapshot(
            is_operative=core.in_force.get(STATION, True),
            faults=tuple(core.faults.values()),
            evses={evse_id: runner.snapshot() for evse_id, runner in core.runners.items()},
            has_main_meter=core.hardware.main_meter is not None,
            changed_at=core.changed_at,
            booted_at=self._booted_at,
            is_resetting=core.is_resetting,
            firmware=core.firmware,
            log_upload=core.log_upload,
            reservations=core.reserving.held,
            profiles=core.limiting.profiles,
            has_display=core.screens.has_display,
            messages=core.screens.messages,
            local_list_version=core.listing.version,
            monitors=() if core.monitoring is None else core.monitoring.active,
        )

    @property
    def description(self) -> "Description":
        """What the device model is made from; nobody needs it for 1.6."""
        if self._description is None:
            from agent.charging.describing import Description

            self._description = Description(self._core, self.snapshot)
            self.on_describe(self._description)
        return self._description

    async def monitor(self, store: MonitorStore) -> None:
        """From now on variables are watched, as a CSMS of 2.x wants it. Raises StoreError."""
        from agent.charging.monitoring_watch import Monitoring

        monitoring = Monitoring(self._core, self.description, store)
        await monitoring.load()
        self._core.monitoring = monitoring
        if self._is_running:
            monitoring.begin()

    @property
    def device_model(self) -> "DeviceModel":
        """Components and variables of the station, as 2.x sees it."""
        return self.description.model

    def device_model_in(self, picture: StationSnapshot) -> "DeviceModel":
        """The same for who has a `picture` of now already: another one would cost more than the look-up."""
        return self.description.model_in(picture)

    def evse_snapshot(self, evse_id: EvseId) -> EvseSnapshot:
        """Raises KeyError for an unknown EVSE."""
        return self._core.runners[evse_id].snapshot()

    def subscribe(self, listener: Callable[[Fact], None]) -> Callable[[], None]:
        """Call `listener` in order for every fact, durable ones after their commit; returns the way to stop that.

        A listener that raises is logged; the others still hear the fact."""
        return self._core.subscribe(listener)

    async def report(self, fact: DurableFact) -> None:
        """Something happened beside charging (update, upload, security event): on disk, then told to everyone.

        A security event that only repeats another one is dropped. Raises StoreError; nobody heard of it then."""
        admitted = self.admitted(fact)
        if admitted is not None:
            await self._core.record(admitted)
            self._core.publish(admitted)

    def admitted(self, fact: DurableFact) -> DurableFact | None:
        """The fact as it goes on record; None: a security event that only repeats another one."""
        if not isinstance(fact, SecurityEventRaised):
            return fact
        may_push = self.settings.flag("push_security_events") or self._core.conventions.hears_every_alarm
        return self._security_events.admit(fact, self._core.clock.time(), may_push=may_push)

    def announce(self, fact: DurableFact) -> None:
        """Tell everyone of a fact that its owner has put on disk himself, together with something else."""
        self._core.publish(fact)

    # --- firmware updates ------------------------------------------------------------------------------

    def recall_firmware(self, last: FirmwareStatusChanged | None, *, is_updating: bool) -> None:
        """Before `run`: the last status before the restart, of which nobody is told again, and whether it still holds
        the station."""
        self._core.firmware = last
        self._core.is_updating = is_updating

    def set_updating(self, is_updating: bool, *, is_waiting: bool = False) -> None:
        """While True nothing new starts and free connectors are out of service; what runs goes on.

        `is_waiting`: for transactions to end; the operator may let others begin meanwhile (2.0.1 L01.FR.07)."""
        is_open = is_waiting and self.settings.flag("sessions_before_update")
        self._core.set_updating(is_updating and not is_open)

    @property
    def is_idle(self) -> bool:
        """No transaction runs."""
        return not any(runner.session.has_transaction for runner in self._core.runners.values())

    async def wait_until_idle(self) -> None:
        """Until no transaction runs. One can start meanwhile unless `set_updating(True)` forbids it."""
        while not self.is_idle:
            for runner in self._core.runners.values():
                await runner.wait_until_closed(None)

    # --- requests and answers --------------------------------------------------------------------------

    async def execute(self, request: Request) -> Result:
        """Carry out a request. A legal no is a result.

        Raises KeyError for an unknown EVSE in SampleMeters, RuntimeError when a vendor handler crashed."""
        return await self._execution.execute(request)

    def on_online(self, is_online: bool) -> None:
        """The link to the CSMS is up and accepted, or no longer. Its time may have come with it."""
        self._core.is_online = is_online
        if self._core.firmware_updates is not None:
            self._core.firmware_updates.on_online(is_online)
        if self._core.monitoring is not None:
            self._core.monitoring.on_online()
        self._core.limiting.external.on_online(is_online)
        if not is_online:
            return
        if self._core.networks is not None:
            self._core.networks.accepted()
        self.on_clock_set()
        self._core.reserving.on_online()
        self._core.was_accepted = True
        if not self.settings.flag("accepted_once"):
            self._core.start_task("first acceptance", self._keep_acceptance)

    def on_clock_set(self, by_s: float = 0.0) -> None:
        """The wall clock was moved, by `by_s` seconds: whatever waits for a time of day looks at it again."""
        for runner in self._core.runners.values():
            runner.books.clock_moved(by_s)
        self._core.sampling.arm_grid()
        self._core.limiting.refresh()
        self._core.screens.refresh()
        if self._core.monitoring is not None:
            self._core.monitoring.clock_set()

    async def _keep_acceptance(self) -> None:
        try:
            await self.settings.note("accepted_once", "true")
        except StoreError as error:
            self._core.store_failed(error)

    async def token_answered(
        self,
        id_token: IdToken | None,
        answer: IdTokenInfo,
        transaction_id: TransactionId | None,
        from_start: bool,
    ) -> None:
        """The CSMS's word on a token, from any message: cache it; `from_start`: it judges a running transaction.

        Without a token: on the one that the transaction goes on with. R16-101, R16-112 to R16-115; 2.0.1 E05."""
        if from_start and transaction_id is not None:
            for runner in self._core.runners.values():
                book = runner.books.book
                if book is None or book.started.transaction_id != transaction_id:
                    continue
                id_token = id_token or runner.session.id_token
                runner.hear(events.GroupLearned(answer.group))
                if answer.status is not AuthorizationStatus.ACCEPTED:
                    log.warning("the CSMS refused the token of a running transaction: %s", answer.status)
                    runner.hear(events.TokenRevoked(book.used_wh))
                    self._core.sampling.watch_energy(runner)
        if id_token is not None:
            await self._core.identification.remember(id_token, answer)

    def transaction_bound(self, transaction_id: TransactionId, reference: str) -> None:
        """The CSMS said what it calls a transaction (the binding is on disk already)."""
        for runner in self._core.runners.values():
            runner.books.bind(transaction_id, reference)
        self._core.costs.bound(transaction_id, reference)

    def transaction_priced(
        self,
        transaction_id: TransactionId,
        total_cost: float | None,
        texts: tuple[Text, ...],
        *,
        is_final: bool,
    ) -> None:
        """What the CSMS says a transaction costs, and what its driver is to be shown; None, (): nothing new."""
        self._core.costs.priced(transaction_id, total_cost, texts, is_final=is_final)

    def find_transaction(self, reference: str) -> TransactionId | None:
        """The running transaction that the CSMS calls `reference`."""
        for runner in self._core.runners.values():
            book = runner.books.book
            if book is not None and book.reference == reference:
                return book.started.transaction_id
        return None


def _judge_stop_points(value: str) -> str | None:
    return None if value else "a transaction has to stop somewhere"
