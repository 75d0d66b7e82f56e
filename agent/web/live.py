"""What all open pages hear: the status when it changed, facts, OCPP messages and how far long operations are.

Everything is built and encoded once for all listeners, and only while there are any. Follows the station; never
keeps it waiting: facts go into bounded queues, a slow listener loses its connection (`stream.py`). Served by
`events_api.py`.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass

import msgspec

from agent.charging.facts import Fact, TransactionStarted, TransactionStopped
from agent.charging.ids import EvseId, ReadingContext
from agent.charging.requests import SampleMeters
from agent.log import MessageEntry
from agent.progress import Progress
from agent.web.page import page_version
from agent.web.ports import ApiPorts
from agent.web.progress_api import progress_json
from agent.web.roles import Role
from agent.web.shown_tokens import sees_tokens, with_shown_tokens
from agent.web.status import Json, status_at_hand, status_now
from agent.web.stream import Publish

log = logging.getLogger(__name__)

LEAST_GAP_S = 0.5
"""Between two statuses."""
LOOK_EVERY_S = 1.0
"""Not everything that changes is a fact: meter, temperature, connection."""
CHARGING_GAP_S = 1.5
"""Between two statuses while a transaction runs, even when nothing changed."""
ALIVE_GAP_S = 5.0
"""Between two words of any kind: silence means that the connection is dead."""
MESSAGES_GAP_S = 0.1
OLD_READING_S = 2.5
"""Of a meter in a transaction: longer than the core's own supervision needs between two."""
READ_TIMEOUT_S = 1.0
SILENT_S = 30.0
FIRST_MESSAGES = 100
"""Of what was said before, for a new listener."""


@dataclass(frozen=True, slots=True)
class _Listener:
    publish: Publish
    sees_tokens: bool
    wants_messages: bool


class LiveFeed:
    """`join` for each listener; the first one starts the feed, the last one ends it."""

    def __init__(self, ports: ApiPorts) -> None:
        self._ports = ports
        self._listeners: list[_Listener] = []
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._stops: list[Callable[[], None]] = []
        self._count = 0
        self._shown = 0
        """Number of the latest message that was told."""
        self._messages_wait = False
        self._last_key: object = None
        self._last_plan: object = None
        self._status_at = 0.0
        self._silent_until: dict[EvseId, float] = {}
        self._spoken_at = 0.0

    async def join(self, publish: Publish, role: Role, *, wants_messages: bool) -> Callable[[], None]:
        """Publish the status now, and from now on what happens, as far as `role` may see it. Returns the way to stop
        that."""
        wants_messages = wants_messages and sees_tokens(role)
        status = msgspec.json.encode(await status_now(self._ports, role))
        publish("status", self._number(), status)
        for progress in self._ports.progress.current() if self._ports.progress is not None else ():
            publish("progress", self._number(), msgspec.json.encode(progress_json(progress)))
        listener = _Listener(publish, sees_tokens(role), wants_messages)
        if not self._listeners:
            self._begin()
        if wants_messages:
            self._tell_messages()
            for entry in self._ports.messages.entries(limit=FIRST_MESSAGES):
                publish("message", self._number(), encoded_message(entry))
        publish("page", self._number(), {"version": page_version()})
        self._listeners.append(listener)
        return lambda: self._leave(listener)

    async def close(self) -> None:
        """End the feed; listeners are ended by `EventStreams`."""
        self._listeners.clear()
        running = self._end()
        if running is not None:
            with suppress(asyncio.CancelledError):
                await running

    def _on_progress(self, progress: Progress) -> None:
        """How far a long operation is."""
        self._publish("progress", msgspec.json.encode(progress_json(progress)))

    # ---- the life of the feed ----------------------------------------------------------------------------

    def _begin(self) -> None:
        self._shown = self._ports.messages.count
        self._last_key = None
        self._stops = [
            self._ports.station.subscribe(self._on_fact),
            self._ports.messages.subscribe(self._on_message),
        ]
        if self._ports.progress is not None:
            self._stops.append(self._ports.progress.subscribe(self._on_progress))
        self._running = asyncio.create_task(self._run())
        self._running.add_done_callback(self._on_end)

    def _end(self) -> "asyncio.Task[None] | None":
        for stop in self._stops:
            stop()
        self._stops = []
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
        return running

    def _leave(self, listener: _Listener) -> None:
        with suppress(ValueError):
            self._listeners.remove(listener)
        if not self._listeners:
            self._end()

    def _on_end(self, task: asyncio.Task[None]) -> None:
        """A bug here must not look like a quiet station: the listeners are sent away, and come again."""
        if task.cancelled() or task.exception() is None:
            return
        log.error("the feed of the live page crashed", exc_info=task.exception())
        left, self._listeners = self._listeners, []
        if self._running is task:
            self._end()
        for listener in left:
            listener.publish("", 0, None)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            status = await self._tell_status()
            await self._read_old_meters(status)
            await asyncio.sleep(LEAST_GAP_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S - LEAST_GAP_S):
                    await self._changed.wait()

    # ---- what is told ------------------------------------------------------------------------------------

    async def _tell_status(self) -> Json:
        status = await status_now(self._ports, Role.INSTALLER)
        now = self._ports.time()
        key = _without_ages(status)
        is_charging = any(evse["transaction"] for evse in status["evses"])
        if key != self._last_key or (is_charging and now - self._status_at >= CHARGING_GAP_S):
            self._last_key = key
            self._status_at = now
            self._publish_as_seen("status", lambda role: self._status_for(role, status))
        elif now - self._spoken_at >= ALIVE_GAP_S - LOOK_EVERY_S:
            self._publish("alive", b"{}")
        self._watch_plan(status)
        return status

    async def _read_old_meters(self, status: Json) -> None:
        """A page shows the power of a session as it is now, also when nobody else asks the meter: while the contactor
        is open, or because the board has sensors. One that is silent is left alone for a while."""
        now = self._ports.time()
        old = [
            evse["evse_id"]
            for evse in status["evses"]
            if evse["transaction"]
            and evse["meter"] is not None
            and evse["meter"]["age_s"] >= OLD_READING_S
            and self._silent_until.get(evse["evse_id"], 0.0) <= now
        ]
        if old:  # all at once: eight meters that are silent do not keep the status waiting eight times
            await asyncio.gather(*map(self._read_meter, old))

    async def _read_meter(self, evse_id: EvseId) -> None:
        wanted = SampleMeters((evse_id,), ReadingContext.OTHER, (), READ_TIMEOUT_S)
        if await self._ports.station.execute(wanted) is None:
            self._silent_until[evse_id] = self._ports.time() + SILENT_S

    def _watch_plan(self, status: Json) -> None:
        """Tell when what may be drawn in the next hours is another one."""
        plan = (self._ports.station.snapshot().profiles, [evse["limit"] for evse in status["evses"]])
        if plan != self._last_plan:
            if self._last_plan is not None:
                self._publish("schedule", b"{}")
            self._last_plan = plan

    def _status_for(self, role: Role, whole: Json) -> Json:
        return whole if sees_tokens(role) else status_at_hand(self._ports, role, whole["outbox_depth"])

    def _on_fact(self, fact: Fact) -> None:
        name = type(fact).__name__
        self._publish_as_seen(name, lambda role: {"fact": name, **with_shown_tokens(fact, role)})
        if isinstance(fact, TransactionStarted | TransactionStopped):
            self._publish("schedule", b"{}")
        self._changed.set()

    def _on_message(self) -> None:
        """A burst of messages is read once."""
        self._changed.set()  # what waits in the queue may be another number
        if not self._messages_wait and any(each.wants_messages for each in self._listeners):
            self._messages_wait = True
            asyncio.get_running_loop().call_later(MESSAGES_GAP_S, self._tell_messages)

    def _tell_messages(self) -> None:
        self._messages_wait = False
        if not any(each.wants_messages for each in self._listeners):
            self._shown = self._ports.messages.count
            return
        entries = self._ports.messages.entries(after=self._shown)
        self._shown = self._ports.messages.count
        for entry in entries:
            self._publish("message", encoded_message(entry), only_messages=True)

    def _publish(self, event: str, content: bytes, *, only_messages: bool = False) -> None:
        number = self._number()
        self._spoken_at = self._ports.time()
        for listener in tuple(self._listeners):
            if listener.wants_messages or not only_messages:
                listener.publish(event, number, content)

    def _publish_as_seen(self, event: str, seen_by: Callable[[Role], Json]) -> None:
        """What holds tokens: built once for those who may see them and once for those who may not."""
        number = self._number()
        self._spoken_at = self._ports.time()
        listeners = tuple(self._listeners)
        for may_see, role in ((True, Role.INSTALLER), (False, Role.VIEWER)):
            hearing = [each for each in listeners if each.sees_tokens is may_see]
            if hearing:
                content = msgspec.json.encode(seen_by(role))
                for listener in hearing:
                    listener.publish(event, number, content)

    def _number(self) -> int:
        self._count += 1
        return self._count


def encoded_message(entry: MessageEntry) -> bytes:
    return msgspec.json.encode(asdict(entry))


def _without_ages(status: Json) -> Json:
    """What makes a status another one: everything but the time that passes."""
    evses = [
        {**evse, "meter": None if evse["meter"] is None else {**evse["meter"], "age_s": 0.0}}
        for evse in status["evses"]
    ]
    return {**status, "at": None, "evses": evses}
