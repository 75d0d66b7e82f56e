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
from dataclasses import replace
from typing import Any

from agent.charging.ids import BootReason, ResetKind
from agent.charging.requests import TransferResult
from agent.charging.settings import Settings
from agent.charging.station import Station
from agent.clock import SystemClock
from agent.config import Config, HalSection
from agent.config_check import find_problems
from agent.errors import ConfigError, ConnectFailed, Problem, StoreError
from agent.exit_codes import ExitCode
from agent.log import MessageJournal
from agent.ocpp.backoff import BackOffLimits
from agent.ocpp.conversation import Conversation
from agent.ocpp.frontend import FrontEnd, Registration, StationIdentity
from agent.ocpp.link import Link, LinkConfig, connection_url
from agent.ocpp.v16 import FRONT_END as OCPP16
from agent.store.audit import SqlAudit
from agent.store.availability import SqlAvailability
from agent.store.db import Database
from agent.store.journal import SqlJournal
from agent.store.settings import SqlSettings
from agent.store.tokens import SqlTokens
from agent.supervisor import Restart, Supervisor
from agent.vendor.actions import HardwareActions
from agent.vendor.loading import build_registry
from agent.version import VERSION
from hal import factory
from hal.factory import HalConfig, OpenedHardware, open_hardware

log = logging.getLogger(__name__)

FRONT_ENDS: dict[str, FrontEnd] = {OCPP16.subprotocol: OCPP16}
STORE_FILE = "agent.db"
RESTART_MARK = "EVSE_AGENT_RESTARTED"
"""Environment variable by which a process that replaced itself tells its successor so."""
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
    os.environ[RESTART_MARK] = "1"
    log.info("restarting")
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


async def _run_until_signal(config: Config) -> ExitCode:
    loop = asyncio.get_running_loop()
    agent = await Agent.build(config, loop)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, agent.stop)
    return await agent.run()


class Agent:
    """A whole station in one process. `run` until `stop` or a reset; the parts may be looked at by tests."""

    def __init__(
        self, config: Config, database: Database, settings: Settings, opened: OpenedHardware
    ) -> None:
        self.config = config
        self.database = database
        self.settings = settings
        self.opened = opened
        loop = asyncio.get_running_loop()
        self.supervisor = Supervisor()
        self.messages = MessageJournal(config.agent.message_journal)
        self.clock = SystemClock(loop)
        self.journal = SqlJournal(database)
        self._end: asyncio.Future[ExitCode] = loop.create_future()
        self._attempted = asyncio.Event()
        self.link = Link(
            link_config(config, settings),
            on_open=self._on_open,
            on_text=lambda text: self.conversation.on_text(text),
            on_closed=lambda reason: self.conversation.on_closed(reason),
            on_failed=lambda _failure: self._attempted.set(),
        )
        boot_reason = BootReason.REMOTE_RESET if os.environ.pop(RESTART_MARK, "") else BootReason.POWER_UP
        audit = SqlAudit(database)
        actions = HardwareActions(
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
            authorizer=_Offline(),
            vendor=build_registry(config, actions, lambda: self.station.snapshot(), self._transfer),
            clock=self.clock,
            on_reset=self._on_reset,
            boot_reason=boot_reason,
            audit=audit,
        )
        self.conversation = Conversation(
            front_ends={name: FRONT_ENDS[name] for name in config.csms.subprotocols},
            link=self.link,
            station=self.station,
            outbox=self.journal,
            clock=self.clock,
            journal_of_messages=self.messages,
            identity=station_identity(config, opened),
            boot_reason=boot_reason,
            max_frame_bytes=config.csms.max_frame_bytes,
        )
        self.station.authorizer = self.conversation
        settings.subscribe(self._on_setting)
        settings.guard("security_profile", self._profile_obstacle)

    @classmethod
    async def build(cls, config: Config, loop: asyncio.AbstractEventLoop) -> "Agent":
        """Open everything. Raises StoreError, ConfigError; nothing is left open then."""
        database = Database.open(config.state_dir / STORE_FILE)
        try:
            settings = await Settings.open(SqlSettings(database), config.settings)
            if config.csms.security_profile > settings.integer("security_profile"):
                await settings.change("security_profile", str(config.csms.security_profile))
            agent = cls(config, database, settings, open_hardware(hal_config(config.hal), loop))
        except BaseException:
            database.close()
            raise
        return agent

    async def run(self) -> ExitCode:
        """Until `stop` or a reset; then everything is closed in order."""
        try:
            await self.station.load()
            for name, body in self.opened.tasks:
                self.supervisor.start(name, body, Restart.ALWAYS)
            self.supervisor.start("station", self.station.run, Restart.ALWAYS)
            self.supervisor.start("conversation", self.conversation.run, Restart.ALWAYS)
            self.supervisor.start("link", self.link.run, Restart.ALWAYS)
            self.supervisor.start("local API", self._serve_api, Restart.ALWAYS)
            return await self._end
        finally:
            await self.close()

    def stop(self, code: ExitCode = ExitCode.OK) -> None:
        """End `run` with this code; the first word counts."""
        if not self._end.done():
            self._end.set_result(code)

    async def close(self) -> None:
        """Contactors first, then the protocol, then hardware and store. A part that fails does not keep the others."""
        for name, ending in (
            ("station", self.station.close),
            ("local API", lambda: self.supervisor.stop("local API")),
            ("link", lambda: self.supervisor.stop("link")),
            ("conversation", lambda: self.supervisor.stop("conversation")),
            ("station tasks", lambda: self.supervisor.stop("station")),
            ("hardware", self.opened.close),
            ("tasks", self.supervisor.close),
        ):
            try:
                await ending()
            except Exception:
                log.exception("closing the %s failed", name)
        self.database.close()

    def _on_open(self, subprotocol: str) -> None:
        self.conversation.on_open(subprotocol)
        self._attempted.set()

    def _on_reset(self, kind: ResetKind) -> None:
        self.supervisor.start("reset", lambda: self._reset(kind), Restart.NEVER)

    async def _reset(self, kind: ResetKind) -> None:
        if self.conversation.is_online and not await self.conversation.flush(FLUSH_S[kind]):
            log.warning("transaction messages are still queued; they are sent after the reset")
        self.stop(RESET_CODES[kind])

    async def _transfer(self, vendor_id: str, message_id: str | None, content: object) -> TransferResult:
        return await self.conversation.transfer_data(vendor_id, message_id, content)

    def _on_setting(self, name: str, _value: str) -> None:
        """New credentials hold from the next connection on, and that is now (R16-327, R16-333)."""
        if name in ("authorization_key", "security_profile"):
            self.link.config = link_config(self.config, self.settings)
            # The answer to the change goes out first.
            asyncio.get_running_loop().call_later(0.2, self.link.reconnect, f"{name} changed")

    def _profile_obstacle(self, wanted: str) -> str | None:
        """Why the security profile cannot be raised to `wanted`, or None (R16-332)."""
        config = replace(self.link.config, security_profile=int(wanted))
        if int(wanted) in (1, 2) and not config.password:
            return "there is no password: set AuthorizationKey first"
        try:
            connection_url(config)
        except ConnectFailed as error:
            return str(error)
        return None

    async def _serve_api(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(API_WAIT_S):
                await self._attempted.wait()
        try:
            url = connection_url(self.link.config)
        except ConnectFailed:
            url = self.config.csms.url  # the link says in the log what is wrong with it
        from agent.web.ports import ApiPorts
        from agent.web.server import LocalApi

        ports = ApiPorts(
            about=about(self.config, url),
            station=self.station,
            csms=CsmsDoor(self.link, self.conversation),
            messages=self.messages,
            outbox_depth=self.journal.depth,
            time=self.clock.time,
            outputs=lambda: {name: output.is_on for name, output in self.opened.hardware.outputs.items()},
            crashes=self.supervisor.crashes,
            simulation=self.opened.simulation,
        )
        api = LocalApi(ports, self.config.socket_path, self.config.web.address)
        await api.start()
        # Everything is loaded and stays: the collector need not walk it again and again while messages flow.
        gc.collect()
        gc.freeze()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await api.close()


class CsmsDoor:
    """The connection and the conversation as the local API sees them (`web.ports.CsmsPort`)."""

    def __init__(self, link: Link, conversation: Conversation) -> None:
        self._link = link
        self._conversation = conversation
        self.connect = link.connect
        self.disconnect = link.disconnect
        self.transfer_data = conversation.transfer_data

    @property
    def is_connected(self) -> bool:
        return self._link.is_connected

    @property
    def subprotocol(self) -> str | None:
        return self._link.subprotocol

    @property
    def registration(self) -> str | None:
        registration = self._conversation.registration
        return None if registration is Registration.UNKNOWN else registration.value


class _Offline:
    """The authorizer until the conversation stands: nobody to ask."""

    is_online = False

    async def authorize(self, id_token: object, evse_id: int) -> None:
        return None


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


def about(config: Config, url: str) -> dict[str, str]:
    """The station's own facts for the local API; `url` is the whole one, identity included."""
    return {
        "identity": config.station.identity,
        "vendor": config.station.vendor,
        "model": config.station.model,
        "serial_number": config.station.serial_number,
        "firmware_version": config.station.firmware_version or VERSION,
        "agent_version": VERSION,
        "csms_url": url,
    }


def link_config(config: Config, settings: Settings) -> LinkConfig:
    """Where to connect and as whom: what the CSMS changed since (key, profile) beats the file."""
    csms = config.csms
    key = settings.raw("authorization_key")
    return LinkConfig(
        url=csms.url,
        identity=config.station.identity,
        subprotocols=csms.subprotocols,
        security_profile=settings.integer("security_profile"),
        password=bytes.fromhex(key) if key else csms.read_password(),
        ca_file=csms.ca_file,
        accept_missing_subprotocol=csms.accept_missing_subprotocol,
        compression=csms.compression,
        max_frame_bytes=csms.max_frame_bytes,
        ping_interval_s=settings.integer("websocket_ping_interval_s"),
        connect_timeout_s=csms.connect_timeout_s,
        back_off=BackOffLimits(first_s=csms.backoff_first_s, limit_s=csms.backoff_max_s),
    )


def hal_config(section: HalSection) -> HalConfig:
    """[hal] of the file in the words of `hal.factory`."""
    return HalConfig(
        driver=section.driver,  # type: ignore[arg-type]
        sim=_mirrored(section.sim, factory.SimConfig),
        board=_mirrored(section.board, factory.BoardConfig),
        meters=[_mirrored(meter, factory.MeterConfig) for meter in section.meters],
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
