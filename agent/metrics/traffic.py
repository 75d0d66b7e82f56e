"""How long calls take, told from the message journal after the fact: the way of a message is not touched for it.

Reads the heads of what came since the last look and joins answers with their calls. Labels are bounded: our own
actions are those we send, actions of the CSMS those we know; whatever else it calls is "other". Pure.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from agent.durations import Durations

OTHER = "other"
WAITING_MOST = 64
"""Calls of one direction that an answer is awaited for; more than the protocol allows at once."""


class Head(NamedTuple):
    """One message as far as it counts. `at` in seconds of any clock that is the same for all."""

    at: float
    direction: Literal["in", "out"]
    kind: Literal["call", "result", "error", "malformed"]
    message_id: str
    action: str
    """Of a call."""


class Traffic:
    """Counts since the first look."""

    def __init__(self, knows: Callable[[str], bool]) -> None:
        """`knows`: an action of the CSMS is one of the OCPP version that we speak."""
        self._knows = knows
        self.calls: dict[str, Durations] = {}
        """Our calls that were answered with a result, by action."""
        self.failures: Counter[tuple[str, str]] = Counter()
        """Our calls by action that were answered with an error, or not at all."""
        self.requests: dict[str, Durations] = {}
        """Calls of the CSMS that we answered, by action."""
        self.refusals: Counter[str] = Counter()
        """Those that we answered with an error."""
        self.messages: Counter[str] = Counter({"in": 0, "out": 0})
        self.missed = 0
        """Messages that were gone before they were looked at."""
        self.heard_at: float | None = None
        """When the latest message of the CSMS came."""
        self._ours: dict[str, Head] = {}
        self._theirs: dict[str, Head] = {}

    def take(self, heads: Iterable[Head]) -> None:
        """In the order of the messages."""
        for head in heads:
            self.messages[head.direction] += 1
            if head.direction == "in":
                self.heard_at = head.at
            if head.kind == "call":
                self._call(head)
            elif head.kind in ("result", "error"):
                self._answer(head)

    def _call(self, head: Head) -> None:
        if head.direction == "out":
            for former in self._ours.values():  # one at a time: the former one was given up
                self.failures[former.action, "unanswered"] += 1
            self._ours.clear()
            self._ours[head.message_id] = head
            return
        self._theirs[head.message_id] = head
        while len(self._theirs) > WAITING_MOST:
            del self._theirs[next(iter(self._theirs))]

    def _answer(self, head: Head) -> None:
        waiting = self._ours if head.direction == "in" else self._theirs
        call = waiting.pop(head.message_id, None)
        if call is None:
            return
        duration_s = max(0.0, head.at - call.at)
        if head.direction == "in":
            if head.kind == "error":
                self.failures[call.action, "error"] += 1
            else:
                self.calls.setdefault(call.action, Durations()).note(duration_s)
            return
        # Told by the name, not by our answer: a broken frame is refused before anybody looks at its action.
        action = call.action if self._knows(call.action) else OTHER
        self.requests.setdefault(action, Durations()).note(duration_s)
        if head.kind == "error":
            self.refusals[action] += 1
