"""A conversation with everything around it in memory: the test plays the CSMS, frame by frame.

async with Talk() as talk:
    talk.boot()                                   # connected, accepted, statuses answered
    talk.call("Reset", {"type": "Soft"})          # the CSMS calls; answers are in talk.answers
    talk.take("Heartbeat")                        # the station's call in flight; then talk.reply({...})
"""

import asyncio
import json
import random
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from agent.clock import SystemClock
from agent.errors import LinkClosed
from agent.ocpp.choosing import FrontEnds
from agent.ocpp.conversation import Conversation
from tests.helpers.fake_station import IDENTITY, NOW, FakeStation, MemoryOutbox


class FakeLink:
    """Keeps what is sent; `on_send` may look at each text while it is being sent."""

    def __init__(self) -> None:
        self.is_connected = False
        self.sent: list[str] = []
        self.ping_interval_s: float | None = None

    def send(self, text: str) -> None:
        if not self.is_connected:
            raise LinkClosed("not connected")
        self.sent.append(text)

    def set_ping_interval(self, seconds: float) -> None:
        self.ping_interval_s = seconds


class Recorder:
    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    def record(self, direction: str, text: str) -> None:
        self.texts.append((direction, text))


class Talk:
    def __init__(
        self,
        station: FakeStation | None = None,
        outbox: MemoryOutbox | None = None,
        version: str = "ocpp1.6",
    ) -> None:
        self.version = version
        self.station = station or FakeStation()
        self.outbox = outbox or MemoryOutbox()
        self.link = FakeLink()
        self.journal = Recorder()
        self.answers: dict[str, list[Any]] = {}
        """Message id of a call of ours -> the station's answer frame."""
        self.in_flight: list[Any] | None = None
        """The station's last call frame that has not been answered."""
        self._seen = 0
        self._calls = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        start = loop.time()
        self.clock = SystemClock(loop, lambda: NOW + timedelta(seconds=loop.time() - start))
        self.conversation = Conversation(
            front_ends=FrontEnds(["ocpp1.6", "ocpp2.0.1"]),
            link=self.link,
            station=self.station,
            outbox=self.outbox,
            clock=self.clock,
            journal_of_messages=self.journal,
            identity=IDENTITY,
            source=random.Random(1),
        )
        self.run = loop.create_task(self.conversation.run())
        await self.settle()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run.cancel()
        await asyncio.gather(self.run, return_exceptions=True)

    async def settle(self) -> None:
        """Let everything happen that needs no time."""
        for _ in range(20):
            await asyncio.sleep(0)

    # --- the connection ----------------------------------------------------------------------------------

    def open(self) -> None:
        self.link.is_connected = True
        self.in_flight = None
        self.conversation.on_open(self.version)

    def close(self, reason: str = "test") -> None:
        self.link.is_connected = False
        self.conversation.on_closed(reason)

    def boot(self, status: str = "Accepted", interval: int = 300) -> None:
        """Connect and answer BootNotification; once accepted, answer the statuses too."""
        self.open()
        self.take("BootNotification")
        self.reply_to_boot(status, interval)
        if status == "Accepted":
            connectors = sum(evse.connectors for evse in self.station.picture.evses.values())
            for _ in range(connectors + (self.version == "ocpp1.6")):  # there the station has a status, too
                self.take("StatusNotification")
                self.reply()

    def reply_to_boot(self, status: str, interval: int = 300, current_time: str | None = None) -> None:
        at = current_time or self.clock.now().isoformat()
        self.reply({"status": status, "interval": interval, "currentTime": at})

    # --- frames ------------------------------------------------------------------------------------------

    def frames(self) -> list[list[Any]]:
        """What the station sent since the last look; its answers are sorted into `answers` as well."""
        new = [json.loads(text) for text in self.link.sent[self._seen :]]
        self._seen = len(self.link.sent)
        for frame in new:
            if frame[0] == 2:
                assert self.in_flight is None, f"{frame} while {self.in_flight} is in flight"
                self.in_flight = frame
            else:
                assert frame[1] not in self.answers, f"answered twice: {frame}"
                self.answers[frame[1]] = frame
        return new

    def take(self, action: str) -> dict[str, Any]:
        """The payload of the station's call in flight, which must be `action`."""
        self.frames()
        assert self.in_flight is not None, f"no {action} came"
        assert self.in_flight[2] == action, f"expected {action}, got {self.in_flight}"
        payload: dict[str, Any] = self.in_flight[3]
        return payload

    def silent(self) -> bool:
        """Nothing is in flight, and nothing new came."""
        return not self.frames() and self.in_flight is None

    def reply(self, payload: dict[str, Any] | None = None) -> None:
        self._end([3, None, payload or {}])

    def error(self, code: str, description: str = "") -> None:
        self._end([4, None, code, description, {}])

    def _end(self, frame: list[Any]) -> None:
        self.frames()
        assert self.in_flight is not None
        frame[1], self.in_flight = self.in_flight[1], None
        self.conversation.on_text(json.dumps(frame))

    def call(self, action: str, payload: Any = None) -> str:
        """A call of the CSMS; returns its message id. A synchronous answer is there on return."""
        self._calls += 1
        message_id = f"c{self._calls}"
        self.conversation.on_text(json.dumps([2, message_id, action, {} if payload is None else payload]))
        self.frames()
        return message_id

    async def ask(self, action: str, payload: Any = None) -> Any:
        """A call of the CSMS and the payload of its answer (or the code of the CALLERROR)."""
        message_id = self.call(action, payload)
        await self.settle()
        self.frames()
        return self.answers[message_id][2]
