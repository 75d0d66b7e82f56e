"""Puts the vendor registry together: commands declared in the configuration, and vendor code that it enables.

Vendor code is found by entry point (group evse_agent.vendors) and imported only when [vendor] enabled names
it. What it gets is a `VendorContext`: hardware by way of actions, snapshots, and outgoing DataTransfer, and
nothing else. Called by `app.py` and by check-config.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from agent.charging.requests import TransferResult
from agent.charging.snapshot import StationSnapshot
from agent.config import Config, VendorConfig
from agent.errors import ConfigError, Problem
from agent.vendor.actions import ActionResult, HardwareActions
from agent.vendor.registry import DuplicateCommand, Limits, Vendor, VendorCall, VendorRegistry
from agent.vendor.table import build_vendors, check_commands

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

log = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "evse_agent.vendors"

Send = Callable[[str, str | None, object], Awaitable[TransferResult]]
"""vendor id, message id, data -> the CSMS's answer; raises LinkClosed when there is no connection to send it on."""


class VendorContext:
    """What vendor code may use of the agent."""

    def __init__(
        self,
        actions: HardwareActions,
        roles: Mapping[str, frozenset[str]],
        snapshot: Callable[[], StationSnapshot],
        send: Send,
    ) -> None:
        self._actions = actions
        self._roles = roles
        self._snapshot = snapshot
        self._send = send

    async def run_action(self, call: VendorCall, name: str, **parameters: object) -> ActionResult:
        """Run a hardware action with the roles of whoever sent `call`. `name` is a key of `actions.ACTIONS`."""
        held = self._roles.get(call.source, frozenset())
        return await self._actions.run(name, parameters, source=call.source, roles=held)

    def snapshot(self) -> StationSnapshot:
        """The station as it is now."""
        return self._snapshot()

    async def send(self, vendor_id: str, message_id: str | None, content: object) -> TransferResult:
        """Send a DataTransfer to the CSMS; never queued.

        Raises LinkClosed at once when offline, CallTimeout, CallRejected."""
        return await self._send(vendor_id, message_id, content)


BuildVendor = Callable[[VendorContext], Vendor]
"""What an entry point names."""


def check_vendors(config: Config) -> list[Problem]:
    """What is wrong with [vendor] beyond its grammar. Imports no vendor code."""
    problems = check_commands(config.vendor, config.lines)
    known = _installed() if config.vendor.enabled else {}
    for number, name in enumerate(config.vendor.enabled):
        if name not in known:
            installed = ", ".join(sorted(known)) or "none"
            line = config.lines.line_of(("vendor", "enabled"))
            problems.append(
                Problem(
                    f"vendor.enabled[{number + 1}]", f"{name} is not installed (there are: {installed})", line
                )
            )
    return problems


def build_registry(
    config: Config,
    actions: HardwareActions,
    snapshot: Callable[[], StationSnapshot],
    send: Send,
    built_in: Iterable[Vendor] = (),
) -> VendorRegistry:
    """The registry as configured, with the agent's own vendors in `built_in`.

    Raises ConfigError; vendor code that fails to load is logged and left out."""
    problems = check_vendors(config)
    if problems:
        raise ConfigError(problems)
    vendor = config.vendor
    roles = {"csms": frozenset(vendor.roles.csms), "local": frozenset(vendor.roles.local)}
    context = VendorContext(actions, roles, snapshot, send)
    vendors = [*built_in, *build_vendors(vendor, actions, roles), *_load_code(vendor, context)]
    limits = Limits(vendor.max_text_bytes, vendor.max_depth, vendor.timeout_s)
    try:
        return VendorRegistry(vendors, disabled=vendor.disabled, limits=limits)
    except DuplicateCommand as error:
        raise ConfigError([Problem("vendor", str(error), config.lines.line_of(("vendor",)))]) from error


def _load_code(config: VendorConfig, context: VendorContext) -> list[Vendor]:
    points = _installed() if config.enabled else {}
    loaded = (_load_one(points[name], context) for name in config.enabled)
    return [vendor for vendor in loaded if vendor is not None]


def _installed() -> "dict[str, EntryPoint]":
    """By name. Reading the metadata of every installed package takes a while: only when there is need."""
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def _load_one(point: "EntryPoint", context: VendorContext) -> Vendor | None:
    try:
        build: BuildVendor = point.load()
        vendor = build(context)
        if not isinstance(vendor, Vendor):
            raise TypeError(f"{point.value} built {type(vendor).__name__}, not a Vendor")
    except Exception:  # foreign code: charging must not depend on it
        log.exception("vendor %s could not be loaded and is left out", point.name)
        return None
    log.info("vendor %s answers to %s", point.name, vendor.vendor_id)
    return vendor
