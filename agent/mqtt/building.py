"""Puts the bridge together from the agent's parts.

Imported only where [mqtt] names a broker; called by `operating.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from agent.charging.facts import Fact
from agent.charging.ports import AuditLog, Clock
from agent.charging.profiles import LimitOrigin
from agent.charging.requests import Request, Result
from agent.charging.snapshot import StationSnapshot
from agent.config_mqtt import MqttConfig
from agent.mqtt.bridge import Bridge, BridgePorts
from agent.mqtt.desk import CommandDesk
from agent.mqtt.discovery import Button


class StationPort(Protocol):
    def snapshot(self) -> StationSnapshot: ...
    def subscribe(self, listener: Callable[[Fact], None]) -> Callable[[], None]: ...
    async def execute(self, request: Request) -> Result: ...


class ActionsPort(Protocol):
    """The catalogue of hardware actions (`agent/action_desk.py`)."""

    def catalogue(self) -> Mapping[str, Any]: ...
    async def run(
        self, name: str, parameters: Mapping[str, Any], *, source: str, is_installer: bool
    ) -> tuple[str, str, Mapping[str, Any]]: ...


def build_bridge(
    config: MqttConfig,
    *,
    about: Mapping[str, str],
    station: StationPort,
    actions: ActionsPort,
    audit: AuditLog,
    clock: Clock,
    is_connected: Callable[[], bool],
    registration: Callable[[], str | None],
    outputs: Callable[[], Mapping[str, bool]],
) -> Bridge:
    desk = CommandDesk(
        station,
        actions,
        audit,
        clock,
        origin=LimitOrigin(config.limit_origin),
        duration_s=config.limit_duration_s,
    )
    ports = BridgePorts(
        config=config,
        about=about,
        station=station,
        clock=clock,
        is_connected=is_connected,
        registration=registration,
        outputs=outputs,
        buttons=buttons_of(actions.catalogue()["actions"]),
        switched_outputs=sorted(outputs()),
    )
    return Bridge(ports, desk)


def buttons_of(catalogue: Iterable[Mapping[str, Any]]) -> list[Button]:
    """The actions that can be pressed, allowed or not: those that need nothing but an EVSE."""
    found = []
    for action in catalogue:
        parameters = action["parameters"]
        if not any(each["is_required"] for each in parameters):
            is_of_evse = any(each["name"] == "evse_id" for each in parameters)
            found.append(Button(action["name"], action["summary"], is_of_evse))
    return found
