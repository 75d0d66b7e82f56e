"""Listens to everything a board says, keeps it on the board's own clock, and lets a player wait for what comes.

Times are the board's `uptime_ms` in STATUS and EVENT, so that no latency of USB or of the host counts; only what the
host sends is put there by the smallest delay seen so far. Hosts may come and go meanwhile: it listens on the
stream (`tests/helpers/board_tap.py`), not in the host. Used by the suites; drawn by `page.py`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from board import wire
from hal.bus.byte_stream import ByteStream
from tests.helpers.board_tap import TappedStream

T = TypeVar("T")


@dataclass(slots=True)
class Recording:
    """What one test has heard. Everything carries ms on the board's clock, first seen first."""

    connector: int
    statuses: list[wire.Status] = field(default_factory=list)
    events: list[wire.Event] = field(default_factory=list)
    permitted: list[tuple[float, float]] = field(default_factory=list)
    """(ms, A): what the host asked for; 0 without permission."""
    plateaus: list[tuple[float, int, int]] = field(default_factory=list)
    """(ms, high mV, low mV): asked for between the STATUS messages, which come on change only."""
    drawn: list[tuple[float, float]] = field(default_factory=list)
    """(ms, A per phase): what was measured outside the board."""
    marks: list[tuple[float, str]] = field(default_factory=list)
    """(ms, number of the step that began)."""
    ended_ms: float = 0.0

    @property
    def lasted_s(self) -> float:
        """From the first STATUS to the last, on the board's clock."""
        return (self.statuses[-1].uptime_ms - self.statuses[0].uptime_ms) / 1000 if self.statuses else 0.0


class Recorder:
    """Fills a `Recording` from the stream that `tap` was given."""

    def __init__(self, connector: int, clock: Callable[[], float] | None = None) -> None:
        self.recording = Recording(connector)
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._least_lag_ms: float | None = None
        self._heard = asyncio.Event()
        self.event_seqs: set[int] = set()
        """Sequence numbers of all events, of other connectors, too."""
        self._known_events: set[tuple[int, int]] = set()

    def tap(self, stream: ByteStream) -> ByteStream:
        """The same stream, listened to."""
        return TappedStream(stream, self._on_frame)

    # ---- listening ---------------------------------------------------------------------------------------

    def _on_frame(self, from_board: bool, message_type: int, payload: bytes) -> None:
        try:
            if from_board and message_type == wire.STATUS:
                self._on_status(wire.unpack_status(payload))
            elif from_board and message_type == wire.EVENT:
                self._on_event(wire.unpack_event(payload))
            elif not from_board and message_type == wire.SETPOINT:
                self._on_setpoint(wire.unpack_setpoint(payload))
        except ValueError:
            return  # too short: the host's business, not the listener's
        self._heard.set()

    def _on_status(self, status: wire.Status) -> None:
        lag_ms = self._clock() * 1000 - status.uptime_ms
        statuses = self.recording.statuses
        has_restarted = bool(statuses) and status.uptime_ms < statuses[-1].uptime_ms
        if self._least_lag_ms is None or lag_ms < self._least_lag_ms or has_restarted:
            self._least_lag_ms = lag_ms
        if status.connector == self.recording.connector:
            statuses.append(status)

    def _on_event(self, event: wire.Event) -> None:
        self.event_seqs.add(event.event_seq)
        if event.connector not in (0, self.recording.connector):
            return
        if (event.event_seq, event.uptime_ms) not in self._known_events:  # it is sent until acknowledged
            self._known_events.add((event.event_seq, event.uptime_ms))
            self.recording.events.append(event)

    def _on_setpoint(self, setpoint: wire.Setpoint) -> None:
        if setpoint.connector != self.recording.connector or self.now_ms is None:
            return
        both = wire.AVAILABLE | wire.ALLOW_POWER
        may_charge = setpoint.flags & both == both and setpoint.lease_ms > 0
        self.recording.permitted.append((self.now_ms, setpoint.limit_da / 10 if may_charge else 0.0))

    @property
    def now_ms(self) -> float | None:
        """The board's clock now, as well as the host can know it; None before the first STATUS."""
        return None if self._least_lag_ms is None else self._clock() * 1000 - self._least_lag_ms

    def note_drawn(self, current_a: float) -> None:
        if self.now_ms is not None:
            self.recording.drawn.append((self.now_ms, current_a))

    def note_plateaus(self, at_ms: float, high_mv: int, low_mv: int) -> None:
        self.recording.plateaus.append((at_ms, high_mv, low_mv))

    def note_end(self) -> None:
        self.recording.ended_ms = self.now_ms or 0.0

    def note_step(self, number: str, at_ms: float) -> None:
        self.recording.marks.append((at_ms, number))

    # ---- waiting -----------------------------------------------------------------------------------------

    @property
    def place(self) -> "Place":
        """Here and now, to look for what comes after it."""
        return Place(len(self.recording.statuses), len(self.recording.events))

    async def status(
        self, place: "Place", fits: Callable[[wire.Status], bool], timeout_s: float
    ) -> wire.Status | None:
        """The first STATUS after `place` that fits, waiting for it; None if none came in time."""
        return await self._first(lambda: _find(self.recording.statuses[place.statuses :], fits), timeout_s)

    async def event(
        self, place: "Place", fits: Callable[[wire.Event], bool], timeout_s: float
    ) -> wire.Event | None:
        """The first EVENT after `place` that fits, waiting for it; None if none came in time."""
        return await self._first(lambda: _find(self.recording.events[place.events :], fits), timeout_s)

    async def _first(self, look: Callable[[], T | None], timeout_s: float) -> T | None:
        try:
            async with asyncio.timeout(timeout_s):
                while (found := look()) is None:
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            return None
        return found


def _find(seen: list[T], fits: Callable[[T], bool]) -> T | None:
    return next(filter(fits, seen), None)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a recording: how many of each kind had been heard."""

    statuses: int
    events: int
