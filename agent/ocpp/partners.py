"""Whom a conversation needs, as promises: the link, the station, the record of messages.

Kept by `link.Link`, `charging.station.Station` and `agent.log.MessageJournal`. Nothing runs here.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from agent.charging.facts import Fact
from agent.charging.ids import TransactionId
from agent.charging.requests import Request, Result
from agent.charging.settings import Settings
from agent.charging.snapshot import StationSnapshot
from agent.ocpp.delivery import Bookkeeper

if TYPE_CHECKING:
    from agent.charging.device_model import DeviceModel


class LinkPort(Protocol):
    """What a conversation needs of `link.Link`."""

    @property
    def is_connected(self) -> bool: ...
    def send(self, text: str) -> None: ...
    def set_ping_interval(self, seconds: float) -> None: ...


class StationPort(Bookkeeper, Protocol):
    """What a conversation needs of `charging.station.Station`."""

    settings: Settings

    def device_model_in(self, picture: StationSnapshot) -> "DeviceModel":
        """`picture` is of now."""

    def snapshot(self) -> StationSnapshot: ...
    def subscribe(self, listener: Callable[[Fact], None]) -> Callable[[], None]: ...
    async def execute(self, request: Request) -> Result: ...
    def on_online(self, is_online: bool) -> None: ...
    def on_clock_set(self, by_s: float) -> None: ...
    def find_transaction(self, reference: str) -> TransactionId | None: ...


class MessageRecord(Protocol):
    """Where every message is noted as it stands on the wire (`agent.log.MessageJournal`)."""

    def record(self, direction: Any, text: str) -> None: ...
