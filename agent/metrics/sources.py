"""What metrics are made of: narrow views of the agent's parts, filled by `operating.py`.

Everything is read at a scrape, nothing is written.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from agent.charging.snapshot import StationSnapshot
from agent.durations import Durations
from agent.log import MessageJournal
from hal.ports import BoardControl


class OutboxPicture(Protocol):
    @property
    def depth(self) -> int: ...
    @property
    def oldest_at(self) -> datetime | None:
        """When its oldest fact happened."""

    @property
    def discarded(self) -> int: ...


class LinkCounts(Protocol):
    """Of the connection to the CSMS, since the start."""

    @property
    def connects(self) -> int: ...
    @property
    def disconnects(self) -> Mapping[str, int]: ...
    @property
    def failures(self) -> Mapping[str, int]: ...


class StorePicture(Protocol):
    """The database."""

    @property
    def path(self) -> Path: ...
    @property
    def commit_times(self) -> Durations: ...
    @property
    def failed_commits(self) -> int: ...


class MqttPicture(Protocol):
    """The connection to the broker."""

    @property
    def is_connected(self) -> bool: ...
    @property
    def connects(self) -> int: ...
    @property
    def waiting(self) -> int:
        """Messages that wait for the broker."""

    @property
    def commands(self) -> Mapping[str, int]:
        """Commands by what came of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSources:
    about: Callable[[], Mapping[str, str]]
    """Labels of `evse_info`."""
    snapshot: Callable[[], StationSnapshot]
    now: Callable[[], datetime]
    time: Callable[[], float]
    """Loop time."""
    is_connected: Callable[[], bool]
    subprotocol: Callable[[], str | None]
    registration: Callable[[], str | None]
    knows_action: Callable[[str], bool]
    """Of the OCPP version that is spoken."""
    link: LinkCounts
    messages: MessageJournal
    outbox: Callable[[], Awaitable[OutboxPicture]]
    """Raises StoreError."""
    store: StorePicture
    crashes: Callable[[], Mapping[str, int]]
    board: BoardControl | None = None
    mqtt: MqttPicture | None = None
