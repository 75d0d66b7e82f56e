"""When a Heartbeat is due: after the interval without a call of ours, and at least once a day for the clock.

Part of `agent/ocpp/conversation.py`; it knows no message. OCPP 1.6 4.6 (R16-057 to R16-059), 2.0.1 G02.
"""

import logging
from collections.abc import Callable

from agent.charging.ports import Clock
from agent.charging.settings import Settings
from agent.errors import AgentError
from agent.ocpp.caller import Caller
from agent.ocpp.frontend import HeartbeatNotice, Outcome
from agent.ocpp.outbox import Order, OwnCall
from agent.ocpp.timers import Timers

log = logging.getLogger(__name__)

LONGEST_SILENCE_S = 86_400.0
"""At least one Heartbeat a day, for the clock (R16-059)."""


class Heartbeats:
    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        caller: Caller,
        timers: Timers,
        is_online: Callable[[], bool],
        absorb: Callable[[Outcome | None], None],
    ) -> None:
        """`absorb` takes what the CSMS answers."""
        self._settings = settings
        self._clock = clock
        self._caller = caller
        self._timers = timers
        self._is_online = is_online
        self._absorb = absorb
        self._clock_time = 0.0
        self._is_waiting = False

    def begin(self) -> None:
        """A connection is up and accepted."""
        self.clock_told()
        self._is_waiting = False
        self.watch()

    def clock_told(self) -> None:
        """The CSMS gave its time just now."""
        self._clock_time = self._clock.time()

    def watch(self) -> None:
        """Ask for a Heartbeat if it is due, and look again when the next one may be."""
        now = self._clock.time()
        interval_s = self._settings.integer("heartbeat_interval_s")
        left_s = min(
            self._caller.last_call_time + interval_s - now, self._clock_time + LONGEST_SILENCE_S - now
        )
        if left_s <= 0:
            left_s = min(interval_s, LONGEST_SILENCE_S)
            if self._is_online() and not self._is_waiting:
                self._is_waiting = True
                self._caller.submit(OwnCall(HeartbeatNotice(), Order.QUESTION, self._answered, self._failed))
        self._timers.set("heartbeat", left_s, self.watch)

    def _answered(self, outcome: Outcome | None) -> None:
        self._is_waiting = False
        self._absorb(outcome)

    def _failed(self, error: AgentError) -> None:
        self._is_waiting = False
        log.warning("Heartbeat failed: %s", error)
