"""The doctor: runs the rooms in the order in which an installer would look, and names the first thing to do.

Everything that the agent owns (ports, database, connection) is asked of a running agent; without one it is looked at
here. Nothing is changed: no setpoint, no action, no OCPP message, no file. Called by `agent/cli_doctor.py`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.commissioning.findings import Finding, failures, ok, warnings
from agent.commissioning.machine import Machine
from agent.config import Config

if TYPE_CHECKING:
    from agent.store.inspection import StoreSight


@dataclass(frozen=True, slots=True)
class Report:
    findings: list[Finding]
    is_agent_running: bool

    @property
    def is_fine(self) -> bool:
        return not failures(self.findings)

    @property
    def first(self) -> Finding | None:
        """What to do first: rooms are looked at in the order in which one thing stands on another."""
        return next(iter([*failures(self.findings), *warnings(self.findings)]), None)


@dataclass(frozen=True, slots=True)
class Hands:
    """What touches hardware; tests give others."""

    look_at_board: Callable[..., Any]
    open_meters: Callable[..., Any]
    find_pn532: Callable[..., Any]


def real_hands() -> Hands:
    from hal.commissioning import MeterBench, find_pn532, look_at_board

    return Hands(look_at_board, MeterBench, find_pn532)


async def examine(
    path: Path,
    machine: Machine,
    *,
    offline: bool = False,
    hands: Hands | None = None,
    on_finding: Callable[[Finding], None] = lambda _finding: None,
) -> Report:
    """Look at everything. `offline`: leave the network alone. `on_finding` hears each finding as it is made."""
    from agent.commissioning.clock import check_clock
    from agent.commissioning.config_file import check_config_file
    from agent.commissioning.service import check_service

    gathered = _Gathered(on_finding)
    user = machine.agent_user()
    config, found = await asyncio.to_thread(check_config_file, path, user)
    gathered.add(found)
    if config is None:
        gathered.add(check_clock(machine))
        gathered.add(check_service(None, machine, is_running=False))
        return Report(gathered.findings, is_agent_running=False)
    is_running = await _examine_station(config, machine, gathered, hands or real_hands(), offline)
    gathered.add(check_service(config, machine, is_running=is_running))
    return Report(gathered.findings, is_running is True)


async def _examine_station(
    config: Config, machine: Machine, gathered: "_Gathered", hands: Hands, offline: bool
) -> bool | None:
    """Whether an agent runs; None: that cannot be seen, and what it would own is left alone."""
    from agent.commissioning.agent_word import ask_agent
    from agent.commissioning.board import check_board
    from agent.commissioning.clock import check_clock
    from agent.commissioning.meters import check_meters
    from agent.commissioning.ports import check_ports
    from agent.commissioning.readers import check_readers
    from agent.commissioning.store import check_store

    user = machine.agent_user()
    word, found, is_seen = await asyncio.to_thread(ask_agent, config.socket_path)
    gathered.add(found)
    is_running = is_seen is not False
    store = await asyncio.to_thread(check_store, config, machine, user, word, is_running=is_running)
    gathered.add(store.findings)
    is_running = is_running or store.is_held
    gathered.add(check_clock(machine))
    about_ports, unusable = check_ports(config, machine, user, is_running=is_running)
    gathered.add(about_ports)
    if word is not None or not is_running:
        gathered.add(await check_board(config, word, hands.look_at_board, unusable))
        gathered.add(await check_meters(config, word, hands.open_meters, unusable))
        gathered.add(await check_readers(config, word, hands.find_pn532, unusable))
    await _examine_connection(
        config, machine, gathered, word, store.sight, is_running=is_running, offline=offline
    )
    return None if is_seen is None else is_running


async def _examine_connection(
    config: Config,
    machine: Machine,
    gathered: "_Gathered",
    word: Any,
    sight: "StoreSight | None",
    *,
    is_running: bool,
    offline: bool,
) -> None:
    from agent.clock import PLAUSIBLE_SINCE
    from agent.commissioning.certificates import check_certificates
    from agent.commissioning.connection import is_password_stored, link_config
    from agent.commissioning.csms import check_csms

    now = machine.now()
    stored = sight.settings if sight is not None else {}
    in_force = stored
    if word is not None:  # what the CSMS raised is in the agent's own database
        in_force = {"security_profile": str(word.report["csms"]["security_profile"])}
    link = await link_config(config, in_force, sight.networks if sight is not None else None)
    gathered.add(check_certificates(link, now, is_time_known=now >= PLAUSIBLE_SINCE))
    if offline:
        gathered.add([ok("CSMS", "not tried: --offline")])
        return
    gathered.add(
        await check_csms(link, word, is_running=is_running, is_password_stored=is_password_stored(stored))
    )


@dataclass(slots=True)
class _Gathered:
    """All findings so far, each told as soon as it is there."""

    on_finding: Callable[[Finding], None]
    findings: list[Finding] = field(default_factory=list)

    def add(self, found: Any) -> None:
        for each in found:
            self.findings.append(each)
            self.on_finding(each)
