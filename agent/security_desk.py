"""Where the credentials of the connection come together: settings, certificates, link, and the events about them.

Part of the composition root: it tells the link what to prove itself with, watches what becomes of each attempt, takes
new credentials back that lead nowhere, and turns all that into security events. Rules: `agent/security`; built and
fed by `agent/app.py`. Security white paper edition 3, A00, A01, A05 (R16-311 to R16-335).
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import msgspec

from agent.charging.conventions import Conventions
from agent.charging.facts import DurableFact
from agent.charging.ids import ResetKind, SecurityEventType
from agent.charging.ports import Journal
from agent.charging.settings import Settings
from agent.clock import SystemClock
from agent.config import Config
from agent.errors import ConnectFailed, StoreError
from agent.network_desk import NetworkDesk
from agent.ocpp.backoff import BackOffLimits, Doubling
from agent.ocpp.conversation import Conversation
from agent.ocpp.link import Link, LinkConfig, connection_url
from agent.security.certificates import CertificateStore
from agent.security.credentials import ConfiguredFiles, Material, StationCredentials
from agent.security.trial import NAMES, Trial
from agent.security.watch import SecurityWatch
from agent.supervisor import Restart, Supervisor, TaskBody
from hal.ports import Sensor

log = logging.getLogger(__name__)

ANSWER_S = 0.2
"""The answer to a change of credentials goes out before the connection is closed."""
OCPP16 = "ocpp1.6"
PROVEN_AFTER_S = 10.0
"""A connection that lives this long has proven its credentials; a server may refuse them after the upgrade, too."""


class StationPort(Protocol):
    """What the desk needs of `charging.station.Station`."""

    @property
    def conventions(self) -> Conventions: ...
    async def report(self, fact: DurableFact) -> None: ...


class SecurityDesk:
    """`attach` and `start` before anything else is called."""

    link: Link
    conversation: Conversation

    def __init__(
        self,
        config: Config,
        settings: Settings,
        clock: SystemClock,
        certificates: CertificateStore,
        sensors: Mapping[str, Sensor],
        networks: NetworkDesk,
    ) -> None:
        self._config = config
        self._networks = networks
        self._settings = settings
        self._clock = clock
        self._station: StationPort | None = None
        csms = config.csms
        self.watch = SecurityWatch(self._report, clock, config.state_dir, sensors)
        self.credentials = StationCredentials(
            certificates,
            settings,
            clock,
            self,
            self.watch.raise_event,
            name=config.station.serial_number or config.station.identity,
            files=ConfiguredFiles(csms.ca_file, csms.certificate_file, csms.certificate_key_file),
        )
        self._trial = Trial(settings)
        self._supervisor = Supervisor()
        self._is_closed_by_us = False
        self._subprotocol = csms.subprotocols[0]
        """The one spoken last."""
        self._proof: asyncio.TimerHandle | None = None
        clock.on_correction = self.watch.clock_corrected
        settings.subscribe(self._on_setting)
        settings.guard("security_profile", self._profile_obstacle)
        networks.credentials_obstacle = self._credentials_obstacle
        networks.on_accepted = lambda: self._start("settle network", self._settle_network)

    def attach(self, link: Link, conversation: Conversation, station: StationPort) -> None:
        self.link = link
        self.conversation = conversation
        self._station = station

    def start(self) -> None:
        """Begin to watch and to write; the first event is that of the start itself."""
        self.use_credentials(None)  # which certificate is the best one may depend on the version spoken last
        self.watch.started()
        self._supervisor.start("security events", self.watch.run, Restart.ALWAYS)
        self._supervisor.start("credentials", self.credentials.run, Restart.ALWAYS)

    async def close(self) -> None:
        """Nothing is written any more."""
        if self._proof is not None:
            self._proof.cancel()
        await self._supervisor.close()

    async def note_reset(self, kind: ResetKind, journal: Journal) -> None:
        """On the disk before the reset and told after it (R16-356): nobody is woken to send it now."""
        event = self.watch.resetting(kind)
        may_push = self._settings.flag("push_security_events") or self.conventions.hears_every_alarm
        try:
            await journal.record(msgspec.structs.replace(event, is_pushed=may_push))
        except StoreError as error:
            log.error("the reset is not in the security log: %s", error)

    # --- what the link uses ----------------------------------------------------------------------------

    def link_config(self) -> LinkConfig:
        """Where to connect and as whom: what the CSMS changed since (key, profile, certificates) beats the file."""
        csms, settings = self._config.csms, self._settings
        key = settings.raw("authorization_key")
        profile = self._networks.security_profile
        try:
            material = self.credentials.material(is_migrating=self._networks.is_migrating)
        except OSError as error:
            log.error("the installed certificates cannot be read: %s", error)
            material = Material(ca_file=csms.ca_file)
        try:
            password = bytes.fromhex(key) if key else csms.read_password()
        except OSError as error:
            log.error("the password cannot be read: %s", error)
            password = None
        return LinkConfig(
            url=self._networks.url(profile),
            identity=self._config.station.identity,
            subprotocols=csms.subprotocols,
            security_profile=profile,
            password=password,
            ca_file=material.ca_file,
            roots=material.roots,
            certificate_file=material.certificate_file,
            key_file=material.key_file,
            checks_time=self._clock.is_system_clock_set,
            without_wildcards=frozenset()
            if settings.flag("allow_wildcards")
            else frozenset(csms.subprotocols) - {OCPP16},
            accept_missing_subprotocol=csms.accept_missing_subprotocol,
            compression=csms.compression,
            max_frame_bytes=csms.max_frame_bytes,
            ping_interval_s=settings.integer("websocket_ping_interval_s"),
            connect_timeout_s=csms.connect_timeout_s,
            back_off=self._back_off(),
        )

    def _back_off(self) -> BackOffLimits | Doubling:
        """What 2.x has variables for is theirs as soon as it is spoken, or offered first."""
        csms, settings = self._config.csms, self._settings
        if self._subprotocol == OCPP16:
            return BackOffLimits(first_s=csms.backoff_first_s, limit_s=csms.backoff_max_s)
        return Doubling(
            settings.integer("back_off_wait_s"),
            settings.integer("back_off_random_s"),
            settings.integer("back_off_doublings"),
        )

    def _profile_obstacle(self, wanted: str) -> str | None:
        """Why the security profile cannot be raised to `wanted`, or None (R16-332)."""
        profile = int(wanted)
        config = replace(self.link_config(), security_profile=profile, url=self._networks.url(profile))
        missing = self._credentials_obstacle(profile)
        if missing is None:
            try:
                connection_url(config)
            except ConnectFailed as error:
                return str(error)
        return missing

    def _credentials_obstacle(self, profile: int) -> str | None:
        """What is missing for a security profile, or None."""
        if profile in (1, 2) and not self.link_config().password:
            return "there is no password: set AuthorizationKey first"
        try:
            return self.credentials.profile_obstacle(profile)
        except OSError as error:
            return str(error)

    # --- what becomes of it ----------------------------------------------------------------------------

    def connection_failed(self, failure: ConnectFailed) -> None:
        """The link's `on_failed`."""
        self.watch.connection_failed(failure.kind, str(failure))
        if not self._trial.names:  # new credentials have their chance before another CSMS has its
            self._networks.connection_failed()
        self._count_failure(failure.kind)
        self.link.config = self.link_config()

    @property
    def is_elsewhere(self) -> bool:
        """The connection of now leads to another CSMS than the one that accepted the station."""
        return self._networks.is_elsewhere

    def connection_opened(self, subprotocol: str) -> None:
        self._is_closed_by_us = False
        self._subprotocol = subprotocol
        self._networks.connection_opened()
        self._proof = asyncio.get_running_loop().call_later(PROVEN_AFTER_S, self._proven)

    def connection_closed(self) -> None:
        """One that did not live long enough to prove its credentials counts as an attempt that failed."""
        if self._proof is not None:
            self._proof.cancel()
            self._proof = None
            if not self._is_closed_by_us:
                self._networks.connection_ended_early()
                self._count_failure("REFUSED")
        self.link.config = self.link_config()

    def _count_failure(self, kind: str) -> None:
        if self._trial.failed(kind):
            self._start("undo credentials", self._undo)
        elif self._settings.integer("security_profile") == 3:
            try:
                self.credentials.connection_failed(kind)
            except OSError as error:
                log.error("the installed certificates cannot be read: %s", error)

    def _proven(self) -> None:
        self._proof = None
        self._networks.connection_proven()
        self._start("settle network", self._settle_network)
        self._start("settle credentials", self._settle)

    async def _settle_network(self) -> None:
        raised = await self._networks.settle()
        if raised is not None:
            self.watch.raise_event(_RECONFIGURED, raised)
            self.link.config = self.link_config()

    async def _undo(self) -> None:
        for name in await self._trial.undo():
            self.watch.raise_event(
                _RECONFIGURED, f"{name}: the former value is back, the new one led nowhere"
            )

    async def _settle(self) -> None:
        await self._trial.settle()
        await self.credentials.connection_proven()

    def _start(self, name: str, body: TaskBody) -> None:
        """One at a time of a name; a second one would do the same."""
        with suppress(ValueError):
            self._supervisor.start(name, body, Restart.NEVER)

    # --- `credentials.CsmsPort` ------------------------------------------------------------------------

    @property
    def is_online(self) -> bool:
        return self.conversation.is_online

    @property
    def peer_chain(self) -> tuple[bytes, ...] | None:
        return self.link.peer_chain

    @property
    def conventions(self) -> Conventions:
        return Conventions() if self._station is None else self._station.conventions

    async def ask_to_sign(self, request: str, *, triggered: bool) -> bool:
        return await self.conversation.ask_to_sign(request, triggered=triggered)

    def use_credentials(self, reconnect_because: str | None) -> None:
        self.link.config = self.link_config()
        if reconnect_because is not None:
            self._reconnect(reconnect_because)

    # --- changes ---------------------------------------------------------------------------------------

    def _on_setting(self, name: str, _value: str) -> None:
        """New credentials hold from the next connection on, and that is now (R16-327, R16-333)."""
        self.watch.setting_changed(name)
        if name == "allow_wildcards":
            self.link.config = self.link_config()
        if name not in NAMES:
            return
        self.link.config = self.link_config()
        if name == "security_profile" or self._settings.integer("security_profile") in (1, 2):
            asyncio.get_running_loop().call_later(ANSWER_S, self._reconnect, f"{name} changed")

    def _reconnect(self, reason: str) -> None:
        self._is_closed_by_us = True
        self.link.reconnect(reason)

    async def _report(self, event: DurableFact) -> None:
        assert self._station is not None, "attached before anything is reported"
        await self._station.report(event)


_RECONFIGURED = SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS
