"""What still has to be published: of each topic the latest state only, and the latest few results. Pure, bounded.

A broker that is slow or away costs the memory of one message a topic, whatever happens meanwhile. `take` says what goes
next and when; used by `bridge.py`.
"""

from collections import deque
from typing import NamedTuple

RESULTS_MOST = 50


class Message(NamedTuple):
    topic: str
    payload: bytes
    is_retained: bool


class Outgoing:
    def __init__(self) -> None:
        self._wanted: dict[str, bytes] = {}
        """Of each topic what the broker shall hold."""
        self._told: dict[str, bytes] = {}
        """What it has confirmed."""
        self._least_s: dict[str, float] = {}
        self._told_time: dict[str, float] = {}
        self._results: deque[Message] = deque(maxlen=RESULTS_MOST)

    def put(self, topic: str, payload: bytes, least_s: float = 0.0) -> None:
        """This is how it is; published again not sooner than `least_s` after the last time."""
        self._wanted[topic] = payload
        self._least_s[topic] = least_s

    def tell(self, topic: str, payload: bytes) -> None:
        """An event: published once, not retained; the oldest go when there are too many."""
        self._results.append(Message(topic, payload, False))

    def start_over(self) -> None:
        """A new connection: nobody knows what this broker holds. Events of before are news of yesterday."""
        self._told.clear()
        self._told_time.clear()
        self._results.clear()

    def take(self, now: float) -> Message | None:
        """The next message; None: none is due. It stays until `confirm`."""
        if self._results:
            return self._results[0]
        for topic, payload in self._wanted.items():
            if self._told.get(topic) != payload and self._due_time(topic) <= now:
                return Message(topic, payload, True)
        return None

    def next_time(self) -> float | None:
        """When the next one is due; None: nothing waits."""
        if self._results:
            return float("-inf")
        times = [
            self._due_time(topic)
            for topic, payload in self._wanted.items()
            if self._told.get(topic) != payload
        ]
        return min(times, default=None)

    def confirm(self, message: Message, now: float) -> None:
        """The broker has it."""
        if message.is_retained:
            self._told[message.topic] = message.payload
            self._told_time[message.topic] = now
        elif self._results and self._results[0] == message:
            self._results.popleft()

    @property
    def waiting(self) -> int:
        late = sum(self._told.get(topic) != payload for topic, payload in self._wanted.items())
        return late + len(self._results)

    def _due_time(self, topic: str) -> float:
        told_time = self._told_time.get(topic)
        return float("-inf") if told_time is None else told_time + self._least_s[topic]
