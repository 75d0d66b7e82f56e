"""Our own calls on one connection: one in flight, the next one when its answer or its end has come.

What goes next is decided by `outbox.CallQueue`, the payload is built by the front end at the last moment, the answer is
read by the front end's tables. A call that times out or is refused ends with its own `on_failure`; a peer that is too
busy stops everything for a moment. Part of `agent/ocpp/conversation.py`; runs in the loop's callbacks and never waits.
OCPP-J 1.6 4.1.1 (R16-017 to R16-020).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from agent.charging.ports import Clock
from agent.charging.settings import Settings
from agent.errors import (
    AgentError,
    CallRejected,
    CallTimeout,
    LinkClosed,
    LocalProtocolError,
    RemoteProtocolError,
)
from agent.log_fields import about
from agent.ocpp.codec import decode
from agent.ocpp.frontend import Call, FrontEnd, Notice, Outcome, OwnCalls, ResultReader
from agent.ocpp.outbox import CallQueue, Order, OwnCall, busy_pause_s, is_peer_busy
from agent.ocpp.rpc import ErrorReceived, ResultReceived, Rpc
from agent.ocpp.timers import Timers

log = logging.getLogger(__name__)

BUSY_LIMIT = 3
"""How often a question or a triggered message is repeated for a busy peer; everything else is repeated until taken."""


class Caller:
    """The sending side of a conversation."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        write: Callable[[str], None],
        encode: Callable[[Notice, str | None], Call | None],
    ) -> None:
        self.allowed = OwnCalls.BOOT_ONLY
        """What the registration lets through."""
        self.last_call_time = 0.0
        self._settings = settings
        self._clock = clock
        self._write = write
        self._encode = encode
        self._queue = CallQueue()
        self._timers = Timers()
        self._rpc: Rpc | None = None
        self._front_end: FrontEnd | None = None
        self._in_flight: OwnCall | None = None
        self._held = 0
        self._busy_times = 0

    def open(self, rpc: Rpc, front_end: FrontEnd) -> None:
        """A connection is up; nothing is sent before the next `submit` or `pump`."""
        self._rpc = rpc
        self._front_end = front_end
        self._busy_times = 0

    def close(self, reason: str) -> None:
        """The connection is gone, and with it everything that waited."""
        self._rpc = None
        self._timers.cancel_all()
        in_flight, self._in_flight = self._in_flight, None
        if in_flight is not None:
            in_flight.on_failure(LinkClosed(reason))
        self.drop_waiting(reason)

    def drop_waiting(self, reason: str) -> None:
        """What has not been sent will not be."""
        for call in self._queue.clear():
            call.on_failure(LinkClosed(reason))

    @property
    def is_moving(self) -> bool:
        """What waits will go on by itself: for an answer or a busy peer there is a timer, who holds lets go, and the
        registration lets through or ends what waits for it."""
        has_timer = "answer" in self._timers or "busy" in self._timers
        return has_timer or self._held > 0 or self.allowed is not OwnCalls.ALL

    def hold(self) -> None:
        """An answer is due first: reports and transaction messages wait until `release`."""
        self._held += 1

    def release(self) -> None:
        self._held -= 1
        self.pump()

    def enqueue(self, call: OwnCall) -> None:
        """To be sent at the next `pump`."""
        self._queue.add(call)

    def submit(self, call: OwnCall) -> None:
        """To be sent as soon as it may."""
        self._queue.add(call)
        self.pump()

    async def ask(self, notice: Notice, order: Order = Order.QUESTION) -> Outcome | None:
        """Send it and wait for what the CSMS says. Raises LinkError, CallRejected and the protocol errors."""
        answered: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()

        def on_outcome(outcome: Outcome | None) -> None:
            if not answered.done():
                answered.set_result(outcome)

        def on_failure(error: AgentError) -> None:
            if not answered.done():
                answered.set_exception(error)

        self.submit(OwnCall(notice, order, on_outcome, on_failure))
        return await answered

    def pump(self) -> None:
        """Send what may go next, if nothing is in flight."""
        rpc = self._rpc
        while rpc is not None and rpc is self._rpc and self._in_flight is None and "busy" not in self._timers:
            call = self._queue.take(self.allowed, is_held=self._held > 0)
            if call is None:
                return
            self._transmit(rpc, call)

    def _transmit(self, rpc: Rpc, call: OwnCall) -> None:
        try:
            message = self._encode(call.notice, call.reference)
        except LocalProtocolError as error:
            call.on_failure(error)
            return
        except Exception as error:
            log.exception("%s cannot be encoded", type(call.notice).__name__)
            call.on_failure(LocalProtocolError(f"cannot be encoded: {error!r}"))
            return
        if message is None:
            call.on_outcome(None)
            return
        action = message.action
        message_id, text = rpc.call(action, message.payload)
        self._in_flight = call
        self.last_call_time = self._clock.time()
        timeout_s = self._settings.integer("message_timeout_s")
        self._timers.set("answer", timeout_s, lambda: self._expire(rpc, message_id, action, timeout_s))
        self._write(text)

    def take_result(self, event: ResultReceived) -> None:
        """The answer to the call in flight."""
        call = self._end_flight()
        if call is None or self._front_end is None:
            return
        self._busy_times = 0
        try:
            outcome = _outcome_of(event, self._front_end.results[event.action])
        except RemoteProtocolError as error:
            call.on_failure(error)
        else:
            call.on_outcome(outcome)
        self.pump()

    def take_error(self, event: ErrorReceived) -> None:
        """The CALLERROR to the call in flight."""
        error = CallRejected(event.code, event.description)
        call = self._end_flight()
        if call is None:
            return
        if is_peer_busy(error):
            self._busy_times += 1
            call.busy_times += 1
            pause_s = busy_pause_s(self._busy_times)
            log.info("the CSMS is busy, nothing is sent for %.0f s", pause_s)
            self._timers.set("busy", pause_s, self.pump)
            if call.busy_times <= BUSY_LIMIT or call.order not in (Order.TRIGGERED, Order.QUESTION):
                self._queue.put_back(call)
                return
        else:
            self._busy_times = 0
        call.on_failure(error)
        self.pump()

    def _expire(self, rpc: Rpc, message_id: str, action: str, timeout_s: float) -> None:
        rpc.expire(message_id)
        call = self._end_flight()
        if call is not None:
            with about(message_id=message_id, action=action):
                call.on_failure(CallTimeout(f"no answer within {timeout_s:g} s"))
        self.pump()

    def _end_flight(self) -> OwnCall | None:
        self._timers.cancel("answer")
        call, self._in_flight = self._in_flight, None
        return call


def _outcome_of(event: ResultReceived, reader: ResultReader[Any]) -> Outcome:
    """What an answer means; RemoteProtocolError when it cannot even be read in part."""
    try:
        outcome: Outcome = reader.read(decode(event.payload, reader.payload))
        return outcome
    except RemoteProtocolError as error:
        log.warning("answer to %s: %s", event.action, error)
        if reader.less is not None:
            return _outcome_of(event, reader.less)
        if reader.if_unreadable is None:
            raise
        return reader.if_unreadable
