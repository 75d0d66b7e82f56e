"""The composition root: builds drivers, store, station, front end and local API, runs them, and ends them in order.

The only importer of `hal.factory`. Start: store, settings, hardware, station, link; the local API last, because
nothing heavy is imported before BootNotification is on the wire. End: the contactors are opened first, then the link is
closed, then hardware and store. A reset ends the process with its own exit code, or starts it anew (`on_reset`).
"""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from agent.boot_note import BootNote
from agent.charging.facts import DriverLeft, Fact
from agent.charging.ids import BootReason, ResetKind
from agent.charging.requests import PreparePowerLoss, Request, Result, TransferResult
from agent.charging.settings import Settings
from agent.charging.station import Station
from agent.clock import SystemClock
from agent.config import Config, HalSection
from agent.config_check import find_problems
from agent.csms_door import Offline
from agent.diagnostics.building import FOLDER, Diagnostics, build_log_file, secrets_of
from agent.errors import ConfigError, ConnectFailed, Problem, StoreError
from agent.exit_codes import ExitCode
from agent.log import MessageJournal
from agent.network_desk import NetworkDesk
from agent.ocpp.choosing import CONVENTIONS, FrontEnds, LastVersion
from agent.ocpp.conversation import Conversation
from agent.ocpp.frontend import StationIdentity
from agent.ocpp.link import Link
from agent.ocpp.link_history import LinkHistory
from agent.progress import ProgressFeed
from agent.security.certificates import CertificateStore
from agent.security_desk import SecurityDesk
from agent.self_description import about, describe, is_monitored, start_monitoring
from agent.service import Signs, build_service
from agent.session_recorder import SessionRecorder
from agent.store.audit import SqlAudit
from agent.store.availability import SqlAvailability
from agent.store.customers import SqlCustomers
from agent.store.db import Database, open_or_bring_back
from agent.store.display_messages import SqlDisplayMessages
from agent.store.journal import SqlJournal
from agent.store.local_list import SqlLocalList
from agent.store.networks import SqlNetworks
from agent.store.profiles import SqlProfiles
from agent.store.reservations import SqlReservations
from agent.store.security_log import SqlSecurityLog
from agent.store.sessions import SqlSessions
from agent.store.settings import SqlSettings
from agent.store.tokens import SqlTokens
from agent.supervisor import Restart, Supervisor
from agent.update.building import build_updater, was_started_for_update
from agent.vendor.actions import HardwareActions
from agent.vendor.loading import build_registry
from agent.vendor.plug_and_charge import PlugAndCharge
from agent.vendor.registry import Vendor
from agent.version import VERSION
from hal import factory
from hal.factory import HalConfig, OpenedHardware, open_hardware

if TYPE_CHECKING:
    from agent.diagnostics.collecting import Sources
    from agent.mqtt.bridge import Bridge
    from agent.vendor.cost_messages import CostMessages

log = logging.getLogger(__name__)

STORE_FILE = "agent.db"
CERTIFICATES = "certificates"
"""Directory of the installed certificates, within the state directory."""
LAUNCHER = "EVSE_AGENT_LAUNCHER"
"""Environment variable by which the launcher of releases names itself."""
API_WAIT_S = 1.0
"""How long the local API waits for the first connection attempt before it is imported and started."""
FLUSH_S = {ResetKind.SOFT: 10.0, ResetKind.ON_IDLE: 10.0, ResetKind.HARD: 2.0}
"""How long a reset waits for the CSMS to take the transaction messages; what is left is sent after it (R16-193)."""
RESET_CODES = {
    ResetKind.SOFT: ExitCode.RESET_SOFT,
    ResetKind.ON_IDLE: ExitCode.RESET_SOFT,
    ResetKind.HARD: ExitCode.RESET_HARD,
}


def run(config: Config) -> int:
    """Run the agent until a signal or a reset; the exit code (docs/commands.md). Raises ConfigError."""
    problems = [*find_problems(config), *hardware_problems(config)]
    if problems:
        raise ConfigError(problems)
    try:
        code = _run_loop(_run_until_signal(config))
    except StoreError as error:
        log.critical("%s", error)
        return ExitCode.ALREADY_RUNNING if "in use" in str(error) else ExitCode.BAD_STORE
    if code in (ExitCode.RESET_SOFT, ExitCode.RESET_HARD) and config.agent.on_reset == "restart":
        _restart()
    return code


def _run_loop(main: Coroutine[Any, Any, ExitCode]) -> ExitCode:
    """uvloop where it has wheels (it halves the latency of a message), plain asyncio elsewhere."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return ExitCode(uvloop.run(main))


def _restart() -> None:
    """Become a fresh process with the same arguments; returns only by an exception."""
    log.info("restarting")
    sys.stderr.flush()
    launcher = os.environ.get(LAUNCHER)
    if launcher:  # it decides which release is started (docs/firmware.md)
        os.execv(launcher, [launcher, *sys.argv[1:]])
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


async def _run_until_signal(config: Config) -> ExitCode:
    loop = asyncio.get_running_loop()
    agent = await Agent.build(config, loop)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, agent.stop)
    if sys.platform == "linux":
        loop.add_signal_handler(signal.SIGPWR, agent.power_fails)
    return await agent.run()


class Agent:
    """A whole station in one process. `run` until `stop` or a reset; the parts may be looked at by tests."""

    def __init__(
        self,
        config: Config,
        database: Database,
        settings: Settings,
        opened: OpenedHardware,
        *,
        networks: NetworkDesk,
        boot_reason: BootReason = BootReason.POWER_UP,
    ) -> None:
        self.config = config
        self.database = database
        self.settings = settings
        self.opened = opened
        loop = asyncio.get_running_loop()
        self.supervisor = Supervisor()
        self.progress = ProgressFeed()
        self.clock = SystemClock(loop)
        self.messages = MessageJournal(
            config.agent.message_journal,
            self.clock.timestamp,
            config.agent.message_journal_bytes,
        )
        self.log_file = build_log_file(config, self.clock)
        self.journal = SqlJournal(database)
        self._end: asyncio.Future[ExitCode] = loop.create_future()
        self._is_power_failing = False
        self._attempted = asyncio.Event()
        self._costs: CostMessages | None = None
        self._mqtt: list[Bridge] = []
        certificates = CertificateStore(config.state_dir / CERTIFICATES)
        self.security = SecurityDesk(
            config, settings, self.clock, certificates, opened.hardware.sensors, networks
        )
        self.link_history = LinkHistory()
        self.link = Link(
            self.security.link_config(),
            on_open=self._on_open,
            on_text=lambda text: self.conversation.on_text(text),
            on_closed=self._on_closed,
            on_failed=self._on_failed,
        )
        audit = self.audit = SqlAudit(database)
        self.actions = HardwareActions(
            opened.hardware,
            lambda: self.station.snapshot(),
            audit,
            self.clock,
            safe_while_charging=frozenset(config.vendor.safe_while_charging),
            actions_per_minute=config.vendor.actions_per_minute,
        )
        self.station = Station(
            hardware=opened.hardware,
            settings=settings,
            journal=self.journal,
            availability=SqlAvailability(database),
            tokens=SqlTokens(database),
            profiles=SqlProfiles(database),
            authorizer=Offline(),
            vendor=build_registry(
                config, self.actions, lambda: self.station.snapshot(), self._transfer, self._own_vendors()
            ),
            clock=self.clock,
            on_reset=self._on_reset,
            boot_reason=boot_reason,
            audit=audit,
            local_list=SqlLocalList(database),
            reservations=SqlReservations(database),
            messages=SqlDisplayMessages(database),
        )
        self.conversation = Conversation(
            front_ends=FrontEnds(
                config.csms.subprotocols, json_in_data_transfer=config.csms.json_in_data_transfer
            ),
            link=self.link,
            station=self.station,
            outbox=self.journal,
            clock=self.clock,
            journal_of_messages=self.messages,
            identity=station_identity(config, opened),
            boot_reason=boot_reason,
            max_frame_bytes=config.csms.max_frame_bytes,
            on_invalid=self.security.watch.message_invalid,
        )
        self.station.authorizer = self.conversation
        self._last_version = LastVersion(SqlSettings(database), config.csms.subprotocols)
        self.station.on_describe = partial(
            describe, config, self.conversation.identity, certificates, lambda: networks.slot
        )
        self.station.networks = networks
        self.updater = build_updater(
            config,
            settings,
            self.station,
            database,
            certificates,
            self.clock,
            self._restart_for_update,
            self.progress.report,
        )
        self.station.firmware_updates = self.updater
        self.diagnostics = Diagnostics(
            self.station,
            lambda: self._sources(audit),
            certificates.trust_anchors,
            self.progress.report,
            folder=config.state_dir / FOLDER,
        )
        self.station.log_uploads = self.diagnostics
        self.station.subscribe(self._on_fact)
        self.recorder = SessionRecorder(
            self.station,
            SqlSessions(database),
            self.clock,
            most=config.agent.sessions_kept,
            most_days=config.agent.session_days,
        )
        self.station.credentials = self.security.credentials
        self.station.customers = SqlCustomers(database)
        self.security.attach(self.link, self.conversation, self.station)
        self._is_up = False
        self.service = build_service(self._signs())

    @classmethod
    async def build(cls, config: Config, loop: asyncio.AbstractEventLoop) -> "Agent":
        """Open everything. Raises StoreError, ConfigError; nothing is left open then."""
        database = open_or_bring_back(config.state_dir / STORE_FILE)
        try:
            settings = await Settings.open(SqlSettings(database), config.settings)
            if config.csms.security_profile > settings.integer("security_profile"):
                await settings.change("security_profile", str(config.csms.security_profile))
            boot_reason = await BootNote(SqlSettings(database)).take()
            if await was_started_for_update(config, database):
                boot_reason = BootReason.FIRMWARE_UPDATE
            hardware = open_hardware(hal_config(config.hal), loop)
            networks = await NetworkDesk.open(config, settings, SqlNetworks(database))
            agent = cls(config, database, settings, hardware, networks=networks, boot_reason=boot_reason)
        except BaseException:
            database.close()
            raise
        return agent

    async def run(self) -> ExitCode:
        """Until `stop` or a reset; then everything is closed in order."""
        if self.log_file is not None:
            logging.getLogger().addHandler(self.log_file)
        try:
            self.station.follow(CONVENTIONS[await self._last_version.load()])
            await self.station.load()
            if self.updater is not None:
                await self.updater.load()
            for name, body in self.opened.tasks:
                self.supervisor.start(name, body, Restart.ALWAYS)
            self.security.start()
            self.supervisor.start("station", self.station.run, Restart.ALWAYS)
            self.supervisor.start("session recorder", self.recorder.run, Restart.ALWAYS)
            self.supervisor.start("conversation", self._converse, Restart.ALWAYS, self.conversation.pulse)
            self.supervisor.start("link", self.link.run, Restart.ALWAYS, self.link.pulse)
            if self.updater is not None:
                self.supervisor.start("firmware update", self.updater.run, Restart.ALWAYS)
            self.supervisor.start(
                "log uploads", lambda: self.diagnostics.run(self._first_attempt), Restart.ALWAYS
            )
            if is_monitored(self.config):
                self.supervisor.start("monitoring", self._monitor, Restart.NEVER)
            self.supervisor.start("local API", self._serve_api, Restart.ALWAYS)
            self._is_up = True
            if self.service is not None:
                self.supervisor.start("service", self.service.run, Restart.ALWAYS)
            return await self._end
        finally:
            await self.close()

    def stop(self, code: ExitCode = ExitCode.OK) -> None:
        """End `run` with this code; the first word counts."""
        if not self._end.done():
            self._end.set_result(code)

    async def close(self) -> None:
        """Contactors first, then the protocol, then hardware and store. A part that fails does not keep the others."""
        if self.service is not None:
            self.service.stop()
        for name, ending in (
            ("station", self.station.close),
            ("local API", lambda: self.supervisor.stop("local API")),
            ("link", lambda: self.supervisor.stop("link")),
            ("security", self.security.close),
            ("conversation", lambda: self.supervisor.stop("conversation")),
            ("station tasks", lambda: self.supervisor.stop("station")),
            ("hardware", self.opened.close),
            ("messages", self.diagnostics.keep_messages),
            ("session recorder", lambda: self.supervisor.stop("session recorder")),
            ("sessions", self.recorder.close),
            ("tasks", self.supervisor.close),
        ):
            try:
                await ending()
            except Exception:
                log.exception("closing the %s failed", name)
        self.database.close()
        if self.service is not None:
            self.service.close()
        if self.log_file is not None:
            logging.getLogger().removeHandler(self.log_file)
            await asyncio.to_thread(self.log_file.close)

    def _on_open(self, subprotocol: str) -> None:
        self.link_history.opened()
        self.station.follow(CONVENTIONS[subprotocol])
        if self._last_version.is_news(subprotocol):
            with suppress(ValueError):  # it is being noted
                self.supervisor.start("version", partial(self._note_version, subprotocol), Restart.NEVER)
        if self.security.is_elsewhere:
            self.conversation.start_over()
        self.conversation.on_open(subprotocol)
        self.security.connection_opened(subprotocol)
        self._attempted.set()

    async def _note_version(self, subprotocol: str) -> None:
        try:
            await self._last_version.note(subprotocol)
        except StoreError as error:
            log.warning("the version that is spoken is not noted: %s", error)

    def _on_closed(self, reason: str) -> None:
        self.link_history.closed(reason)
        self.conversation.on_closed(reason)
        self.security.connection_closed()

    def _on_failed(self, failure: ConnectFailed) -> None:
        self.link_history.failed(failure)
        self.security.connection_failed(failure)
        self._attempted.set()

    def _on_reset(self, kind: ResetKind, reason: BootReason | None = None) -> None:
        """`reason`: what the next BootNotification says. Raises RuntimeError as long as the process could not start
        anew: better to stay than not to come back."""
        if self.config.agent.on_reset == "restart" and not os.access(sys.executable, os.X_OK):
            raise RuntimeError(f"{sys.executable} cannot be started")
        was_scheduled = kind is ResetKind.ON_IDLE
        reason = reason or (BootReason.SCHEDULED_RESET if was_scheduled else BootReason.REMOTE_RESET)
        self.supervisor.start("reset", lambda: self._reset(kind, reason), Restart.NEVER)

    def power_fails(self) -> None:
        """The backup supply gives a few seconds (R16-131); the end is that of `stop`. Again: nothing more."""
        if not self._is_power_failing:
            self._is_power_failing = True
            self.supervisor.start("power failure", self._end_for_power_loss, Restart.NEVER)

    async def _end_for_power_loss(self) -> None:
        log.warning("the power fails: transactions end")
        await self.station.execute(PreparePowerLoss())
        if self.conversation.is_online and not await self.conversation.flush(FLUSH_S[ResetKind.HARD]):
            log.warning("transaction messages are still queued; they are sent when the power is back")
        self.stop()

    def _restart_for_update(self) -> None:
        try:
            self._on_reset(ResetKind.SOFT, BootReason.FIRMWARE_UPDATE)
        except (RuntimeError, ValueError) as error:  # ValueError: the station is being reset already
            log.warning("no restart for the firmware update: %s", error)

    async def _reset(self, kind: ResetKind, reason: BootReason) -> None:
        if self.conversation.is_online and not await self.conversation.flush(FLUSH_S[kind]):
            log.warning("transaction messages are still queued; they are sent after the reset")
        await self.security.note_reset(kind, self.journal)
        try:
            await BootNote(SqlSettings(self.database)).leave(reason)
        except StoreError as error:
            log.error("the next start will not know why it happens: %s", error)
        self.stop(RESET_CODES[kind])

    def _own_vendors(self) -> list[Vendor]:
        """The vendor messages that are part of the agent, as the settings want them."""

        async def execute(request: Request) -> Result:
            return await self.station.execute(request)

        vendors = [PlugAndCharge(execute).vendor]
        if self.settings.flag("price_display"):
            from agent.vendor.cost_messages import CostMessages

            self._costs = CostMessages(self.settings, execute, self._transfer)
            vendors.append(self._costs.vendor)
        return vendors

    def _on_fact(self, fact: Fact) -> None:
        """What a part of the agent has to hear of and the station does not know."""
        if isinstance(fact, DriverLeft) and self._costs is not None:
            costs = self._costs
            self.supervisor.start(
                f"ConnectorUnplugged {fact.reference}", lambda: costs.driver_left(fact), Restart.NEVER
            )

    async def _monitor(self) -> None:
        await self._first_attempt()
        await start_monitoring(self.station, self.database)

    def _sources(self, audit: SqlAudit) -> "Sources":
        """What diagnostics are made of."""
        from agent.diagnostics.collecting import Sources

        board = self.opened.hardware.board
        return Sources(
            config=self.config,
            about=lambda: {
                **about(self.config, self.config.csms.url),
                "board_firmware": "" if board is None else board.firmware_version,
            },
            settings=self.settings,
            snapshot=lambda: self.station.snapshot(),
            journal=self.journal,
            messages=self.messages,
            audit=audit,
            security_log=SqlSecurityLog(self.database),
            crashes=self.supervisor.crashes,
            link=lambda: {
                "is_connected": self.link.is_connected,
                "subprotocol": self.link.subprotocol,
                "registration": self.conversation.registration,
                "security_profile": self.link.config.security_profile,
            },
            log_file=self.log_file,
            clock=self.clock,
            secrets=secrets_of(self.config, self.settings),
        )

    async def _transfer(self, vendor_id: str, message_id: str | None, content: object) -> TransferResult:
        return await self.conversation.transfer_data(vendor_id, message_id, content)

    async def _first_attempt(self) -> None:
        """Until the first connection attempt is over, or `API_WAIT_S`: the turn of what can wait has come."""
        with suppress(TimeoutError):
            async with asyncio.timeout(API_WAIT_S):
                await self._attempted.wait()

    async def _converse(self) -> None:
        """After it hung and was ended, the conversation needs a connection from its beginning."""
        if self.link.is_connected and not self.conversation.has_connection:
            self.link.reconnect("the conversation starts again")
        await self.conversation.run()

    def _signs(self) -> Signs:
        """What tells systemd that this station is alive (`service.py`)."""
        evses = self.opened.hardware.evses.values()
        return Signs(
            boards=lambda: [ports.evse.state for ports in evses],
            is_charging=lambda: any(evse.transaction for evse in self.station.snapshot().evses.values()),
            probe_store=self.journal.depth,
            stuck_tasks=self.supervisor.stuck,
            is_station_up=lambda: self._is_up,
            status=self._status_line,
            socket_path=self.config.socket_path,
        )

    def _board_firmware(self) -> str:
        board = self.opened.hardware.board
        return board.firmware_version if board is not None and board.is_linked else ""

    def _status_line(self) -> str:
        evses = self.station.snapshot().evses.values()
        csms = "connected" if self.link.is_connected else "offline"
        charging = sum(evse.transaction is not None for evse in evses)
        faulted = sum(evse.is_faulted for evse in evses)
        return f"CSMS {csms}; {len(evses)} EVSEs, {charging} charging, {faulted} faulted"

    async def _serve_api(self) -> None:
        await self._first_attempt()
        gc.enable()  # the start did without (`agent/cli.py`)
        from agent.operating import Parts, serve

        await serve(
            Parts(
                config=self.config,
                station=self.station,
                settings=self.settings,
                actions=self.actions,
                opened=self.opened,
                link=self.link,
                link_history=self.link_history,
                database=self.database,
                conversation=self.conversation,
                messages=self.messages,
                journal=self.journal,
                audit=self.audit,
                diagnostics=self.diagnostics,
                recorder=self.recorder,
                progress=self.progress,
                supervisor=self.supervisor,
                clock=self.clock,
                board_firmware=self._board_firmware,
                mqtt=self._mqtt,
            )
        )


def station_identity(config: Config, opened: OpenedHardware) -> StationIdentity:
    """What BootNotification says; the meter is that of EVSE 1, or the main meter."""
    hardware = opened.hardware
    meter = next(
        (ports.meter for _id, ports in sorted(hardware.evses.items()) if ports.meter), hardware.main_meter
    )
    return StationIdentity(
        vendor=config.station.vendor,
        model=config.station.model,
        serial_number=config.station.serial_number or None,
        firmware_version=config.station.firmware_version or VERSION,
        meter_type=meter.name if meter is not None else None,
        meter_serial_number=meter.serial_number if meter is not None else None,
    )


def hal_config(section: HalSection) -> HalConfig:
    """[hal] of the file in the words of `hal.factory`."""
    return HalConfig(
        driver=section.driver,  # type: ignore[arg-type]
        sim=_mirrored(section.sim, factory.SimConfig),
        board=_mirrored(section.board, factory.BoardConfig),
        meters=[_mirrored(meter, factory.MeterConfig) for meter in section.meters],
        readers=[_mirrored(reader, factory.ReaderConfig) for reader in section.readers],
        gpio=[_mirrored(line, factory.GpioConfig) for line in section.gpio],
        host_version=VERSION,
    )


def _mirrored(section: Any, cls: type[Any]) -> Any:
    """`cls` with the fields that both dataclasses have."""
    return cls(
        **{name: getattr(section, name) for name in cls.__dataclass_fields__ if hasattr(section, name)}
    )


def hardware_problems(config: Config) -> list[Problem]:
    """Pins, ports, addresses and meter models that cannot be as configured. Opens nothing."""
    line = config.lines.line_of(("hal",))
    return [Problem("hal", text, line) for text in factory.problems(hal_config(config.hal))]
