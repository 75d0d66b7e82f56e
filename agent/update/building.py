"""Builds the updater as the configuration wants it, or none. Called by `agent/app.py`; holds no logic of updates.

What only an update needs is imported here, not at the start of an agent that takes none.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import agent
from agent.charging.ports import Clock
from agent.charging.settings import Settings
from agent.config import Config
from agent.progress import Report, report_nothing
from agent.store.db import Database

if TYPE_CHECKING:
    from agent.update.updater import RootCertificates, StationPort, Updater

FOLDER = "firmware"
"""Within the state directory: the file on its way."""


def running_release() -> Path:
    """The directory from which this process took its code."""
    return Path(agent.__file__).resolve().parents[1]


async def was_started_for_update(config: Config, database: Database) -> bool:
    """This process is the restart that an update asked for. Raises StoreError."""
    if not config.update.root:
        return False
    from agent.charging.firmware import RESTARTS
    from agent.store.updates import SqlUpdates

    update = (await SqlUpdates(database).load()).update
    return update is not None and update.stage in RESTARTS


def build_updater(
    config: Config,
    settings: Settings,
    station: "StationPort",
    database: Database,
    roots: "RootCertificates",
    clock: Clock,
    restart: Callable[[], None],
    report: Report = report_nothing,
) -> "Updater | None":
    """None: [update] names no root, so this station takes no updates."""
    section = config.update
    if not section.root:
        return None
    from agent.store.updates import SqlUpdates
    from agent.transfer.trust import authorities
    from agent.update.release import Here
    from agent.update.slots import SlotInstaller, SlotRules
    from agent.update.updater import Updater, UpdateRules

    def requires_signature() -> bool:
        if section.require_signature is not None:
            return section.require_signature
        return settings.integer("security_profile") > 0

    return Updater(
        station=station,
        store=SqlUpdates(database),
        installer=SlotInstaller(
            Path(section.root),
            running_release(),
            Here(config.station.model),
            SlotRules(section.max_bytes, section.allow_downgrade),
        ),
        roots=roots,
        clock=clock,
        rules=UpdateRules(
            folder=config.state_dir / FOLDER,
            most_bytes=section.max_bytes,
            confirm_within_s=section.confirm_within_s,
            requires_signature=requires_signature,
            protocols=lambda: settings.listed("file_transfer_protocols"),
            trust=lambda: authorities(config.csms.ca_file, roots.trust_anchors()),
            known_hosts=config.known_hosts,
        ),
        restart=restart,
        report=report,
    )
