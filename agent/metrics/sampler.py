"""What has to be looked at now and then: how late the event loop comes, and messages before the journal forgets them.

Begins with the first scrape and goes to sleep when nobody has asked for a while: a station that nobody watches pays
nothing. Belongs to the loop's thread.
"""

import asyncio
from collections.abc import Callable

from agent.durations import Durations
from agent.log import MessageJournal
from agent.metrics.traffic import Head, Traffic

SAMPLE_S = 1.0
WATCHED_S = 600.0
"""So long after a scrape somebody may be expected to ask again."""


class Sampler:
    def __init__(self, messages: MessageJournal, knows: Callable[[str], bool]) -> None:
        """`knows`: the action is one of the OCPP version that is spoken."""
        self.lag = Durations()
        self.traffic = Traffic(knows)
        self._messages = messages
        self._seen = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due_time = 0.0
        self._asked_time = 0.0

    def asked(self) -> None:
        """A scrape: bring everything up to now."""
        loop = asyncio.get_running_loop()
        self._asked_time = loop.time()
        self._digest()
        if self._timer is None:
            self._arm(loop)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_time = loop.time() + SAMPLE_S
        self._timer = loop.call_at(self._due_time, self._sample, loop)

    def _sample(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        self.lag.note(max(0.0, now - self._due_time))
        self._digest()
        if now - self._asked_time < WATCHED_S:
            self._arm(loop)

    def _digest(self) -> None:
        messages = self._messages
        if messages.count == self._seen:
            return
        heads = messages.heads(self._seen)
        self.traffic.missed += messages.count - self._seen - len(heads)
        self._seen = messages.count
        self.traffic.take(
            Head(each.at, each.direction, each.type, each.message_id, each.action) for each in heads
        )
