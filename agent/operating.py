"""Builds what people and programs operate the station by: the local API with its page.

Takes the finished parts of the agent and owns nothing of the station. Imported late, when the first connection
attempt is over: aiohttp's server half is heavy. Called by `app.py`; settings in [web] of the file (`config_web.py`).
"""

import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from agent.action_desk import ActionDesk
from agent.charging.facts import SecurityEventRaised, VendorActionRun
from agent.charging.ids import SecurityEventType
from agent.charging.settings import Settings
from agent.charging.station import Station
from agent.clock import SystemClock
from agent.config import Config
from agent.csms_door import CsmsDoor
from agent.diagnostics.building import Diagnostics
from agent.errors import ConnectFailed, StoreError
from agent.log import MessageJournal
from agent.metrics.exposition import Exposition
from agent.metrics.sources import MetricSources, MqttPicture
from agent.ocpp.conversation import Conversation
from agent.ocpp.link import Link, connection_url
from agent.ocpp.link_history import LinkHistory
from agent.progress import ProgressFeed
from agent.self_description import about
from agent.self_report import SelfReport
from agent.session_recorder import SessionRecorder
from agent.store.audit import SqlAudit
from agent.store.db import Database
from agent.store.journal import SqlJournal
from agent.supervisor import Restart, Supervisor
from agent.vendor.actions import HardwareActions
from agent.web.ports import ApiPorts
from agent.web.server import LocalApi
from hal.factory import OpenedHardware

if TYPE_CHECKING:
    from agent.mqtt.bridge import Bridge


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The agent, as far as it is operated."""

    config: Config
    station: Station
    settings: Settings
    actions: HardwareActions
    opened: OpenedHardware
    link: Link
    link_history: LinkHistory
    database: Database
    conversation: Conversation
    messages: MessageJournal
    journal: SqlJournal
    audit: SqlAudit
    diagnostics: Diagnostics
    recorder: SessionRecorder
    progress: ProgressFeed
    supervisor: Supervisor
    clock: SystemClock
    board_firmware: Callable[[], str]
    mqtt: "list[Bridge]"
    """The bridge to the broker, once it runs: it outlives the local API's crashes."""


async def serve(parts: Parts) -> None:
    """Open the doors and keep them open until cancelled. Raises AlreadyServed, OSError."""
    web = parts.config.web
    bridge = _start_mqtt(parts)
    exposition = Exposition(metric_sources(parts, bridge))
    ports = replace(api_ports(parts), metrics=exposition.scrape)
    api = LocalApi(ports, parts.config.socket_path, web.address, web)
    await api.start()
    # Everything is loaded and stays: the collector need not walk it again and again while messages flow.
    gc.collect()
    gc.freeze()
    try:
        await api.tend()
    finally:
        exposition.close()
        await api.close()


def api_ports(parts: Parts) -> ApiPorts:
    """What the local API talks to."""
    hardware = parts.opened.hardware
    return ApiPorts(
        about=about(parts.config, _url(parts)),
        station=parts.station,
        csms=CsmsDoor(parts.link, parts.conversation),
        messages=parts.messages,
        outbox_depth=parts.journal.depth,
        time=parts.clock.time,
        now=parts.clock.now,
        outputs=lambda: {name: output.is_on for name, output in hardware.outputs.items()},
        crashes=parts.supervisor.crashes,
        simulation=parts.opened.simulation,
        sessions=parts.recorder,
        progress=parts.progress,
        settings=parts.settings,
        actions=ActionDesk(parts.actions, parts.config.vendor, hardware),
        diagnostics=parts.diagnostics.archive,
        board_firmware=parts.board_firmware,
        self_report=SelfReport(
            hardware=hardware,
            snapshot=parts.station.snapshot,
            probe_store=parts.journal.depth,
            last_failure=lambda: parts.link.last_failure,
            security_profile=lambda: parts.link.config.security_profile,
            crashes=parts.supervisor.crashes,
        ),
        board=hardware.board,
        evse_states=lambda: {number: one.evse.state for number, one in hardware.evses.items()},
        note_action=lambda source, action, evse_id, outcome, detail: parts.audit.add(
            VendorActionRun(parts.clock.now(), source, action, evse_id, outcome, detail)
        ),
        audit=parts.audit.latest,
        note_login=partial(_note_login, parts),
    )


async def _note_login(parts: Parts, user: str, origin: str, *, is_accepted: bool) -> None:
    """Into the security log and to the CSMS, with the detail that 2.0.1 appendix 1 recommends."""
    kind = SecurityEventType.MAINTENANCE_LOGIN_ACCEPTED
    if not is_accepted:
        kind = SecurityEventType.MAINTENANCE_LOGIN_FAILED
    detail = f"{{'user': '{user}', 'origin': '{origin}'}}"
    try:
        await parts.station.report(SecurityEventRaised(parts.clock.now(), kind, detail))
    except StoreError as error:
        log.error("%s of %s from %s could not be recorded: %s", kind, user, origin, error)


def metric_sources(parts: Parts, mqtt: MqttPicture | None) -> MetricSources:
    """What metrics are made of."""
    who = about(parts.config, "")
    shown = ("identity", "vendor", "model", "serial_number", "firmware_version", "agent_version")
    return MetricSources(
        about=lambda: {**{name: who[name] for name in shown}, "board_firmware": parts.board_firmware()},
        snapshot=parts.station.snapshot,
        now=parts.clock.now,
        time=parts.clock.time,
        is_connected=lambda: parts.link.is_connected,
        subprotocol=lambda: parts.link.subprotocol,
        registration=lambda: _registration(parts),
        knows_action=parts.conversation.knows,
        link=parts.link_history,
        messages=parts.messages,
        outbox=parts.journal.outbox_state,
        store=parts.database,
        crashes=parts.supervisor.crashes,
        board=parts.opened.hardware.board,
        mqtt=mqtt,
    )


def _registration(parts: Parts) -> str | None:
    return CsmsDoor(parts.link, parts.conversation).registration


def _start_mqtt(parts: Parts) -> "Bridge | None":
    """Under the supervisor, for as long as the process lives; None: none is configured. Starts it once."""
    if not parts.config.mqtt.url:
        return None
    if parts.mqtt:
        return parts.mqtt[0]
    from agent.mqtt.building import build_bridge

    hardware = parts.opened.hardware
    bridge = build_bridge(
        parts.config.mqtt,
        about=about(parts.config, ""),
        station=parts.station,
        actions=ActionDesk(parts.actions, parts.config.vendor, hardware),
        audit=parts.audit,
        clock=parts.clock,
        is_connected=lambda: parts.link.is_connected,
        registration=lambda: _registration(parts),
        outputs=lambda: {name: output.is_on for name, output in hardware.outputs.items()},
    )
    parts.mqtt.append(bridge)
    parts.supervisor.start("MQTT", bridge.run, Restart.ALWAYS)
    return bridge


def _url(parts: Parts) -> str:
    try:
        return connection_url(parts.link.config)
    except ConnectFailed:
        return parts.config.csms.url  # the link says in the log what is wrong with it
