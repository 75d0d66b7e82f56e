"""Which call of ours goes next, and what becomes of one that failed. Pure rules; no loop, no disk.

`CallQueue` orders what waits for the one call in flight (`caller.py`), `after_failure` says whether and when a durable
row is tried again (`delivery.py`). The rows themselves live in the store, behind `charging.ports.Outbox`.
OCPP 1.6 3.7 and 3.7.1 (R16-133 to R16-145); OCPP-J 4.1.1 (one call in flight).
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import IntEnum

from agent.charging.facts import MeterSampled
from agent.errors import AgentError, CallRejected
from agent.ocpp.frontend import (
    BootNotice,
    CustomerReportNotice,
    DisplayReportNotice,
    MonitoringReportNotice,
    Notice,
    Outcome,
    OwnCalls,
    ProfileReportNotice,
    StatusNotice,
)

BUSY_FIRST_S = 1.0
BUSY_LONGEST_S = 60.0


class Order(IntEnum):
    """Who goes first among the calls that wait. Within one order: first come, first served."""

    BOOT = 0
    TRIGGERED = 1
    """Asked for by the CSMS: may go out while Pending, overtakes the transaction queue (R16-137, R16-291)."""
    QUESTION = 2
    """Somebody waits for the answer: Authorize, DataTransfer, Heartbeat; or the CSMS waits for a report (2.0.1)."""
    REPORT = 3
    """StatusNotification, and readings outside a transaction."""
    TRANSACTION = 4
    """A row of the outbox; strictly in the order of the facts (R16-134, R16-136)."""


def order_of_answer(notice: Notice) -> Order:
    """For what follows an answer. Of the reports only those about variables may go out while Pending (B02.FR.02)."""
    match notice:
        case BootNotice():
            return Order.BOOT
        case (
            MonitoringReportNotice() | CustomerReportNotice() | ProfileReportNotice() | DisplayReportNotice()
        ):
            return Order.QUESTION
        case _:
            return Order.TRIGGERED


@dataclass(slots=True)
class OwnCall:
    """One call of ours that waits or is in flight. The payload is built when it is sent."""

    notice: Notice
    order: Order
    on_outcome: Callable[[Outcome | None], None]
    """None: the version has no message for the notice; nothing was sent."""
    on_failure: Callable[[AgentError], None]
    """LinkClosed, CallTimeout, CallRejected or RemoteProtocolError (an answer that nobody can read)."""
    reference: str | None = None
    """What the CSMS calls the notice's transaction."""
    busy_times: int = 0
    """How often the peer was too busy for it."""


class CallQueue:
    """The calls that wait for their turn."""

    def __init__(self) -> None:
        self._waiting: dict[Order, deque[OwnCall]] = {order: deque() for order in Order}

    def add(self, call: OwnCall) -> None:
        """Queue a call; a triggered one takes the place of an identical one that still waits (A-4, R16-287).

        A triggered status queues behind older reports of its place: statuses keep the order of events (R16-084)."""
        is_triggered = call.order in (Order.TRIGGERED, Order.BOOT)
        waiting = self._waiting[call.order]
        if call.order is Order.TRIGGERED and self._has_report_of(call.notice):
            waiting = self._waiting[Order.REPORT]
        if is_triggered:
            key = _identity(call.notice)
            for index, other in enumerate(waiting):
                if _identity(other.notice) == key:
                    waiting[index] = call
                    return
        waiting.append(call)

    def _has_report_of(self, notice: Notice) -> bool:
        if not isinstance(notice, StatusNotice):
            return False
        place = (notice.evse_id, notice.connector_id)
        reports = (call.notice for call in self._waiting[Order.REPORT])
        return any(
            isinstance(each, StatusNotice) and (each.evse_id, each.connector_id) == place for each in reports
        )

    def put_back(self, call: OwnCall) -> None:
        """It is to be sent again, before all others of its order."""
        self._waiting[call.order].appendleft(call)

    def take(self, allowed: OwnCalls, *, is_held: bool) -> OwnCall | None:
        """The next call that may go out. `is_held`: an answer is due first to which reports would be a reaction."""
        for order, waiting in self._waiting.items():
            if waiting and _may_go(order, allowed, is_held):
                return waiting.popleft()
        return None

    def clear(self) -> list[OwnCall]:
        """Drop everything; returns what was dropped."""
        dropped = [call for waiting in self._waiting.values() for call in waiting]
        for waiting in self._waiting.values():
            waiting.clear()
        return dropped

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))


def _may_go(order: Order, allowed: OwnCalls, is_held: bool) -> bool:
    match allowed:
        case OwnCalls.BOOT_ONLY:
            return order is Order.BOOT
        case OwnCalls.TRIGGERED:
            return order <= Order.TRIGGERED
        case OwnCalls.ALL:
            return not (is_held and order >= Order.REPORT)


def _identity(notice: Notice) -> Hashable:
    """What makes two triggered messages the same: message and target; a newer reading replaces an older one."""
    if isinstance(notice, MeterSampled):
        return (MeterSampled, notice.evse_id, notice.connector_id)
    return notice


# --- what failed -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RetryRule:
    """TransactionMessageAttempts and TransactionMessageRetryInterval; fewer than one attempt means one (R16-145)."""

    attempts: int
    interval_s: int


@dataclass(frozen=True, slots=True)
class Retry:
    after_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """All attempts failed: this row is discarded, the next one goes on (R16-141)."""


def after_failure(transmissions: int, rule: RetryRule) -> Retry | GiveUp:
    """What to do with a row that was not processed: CALLERROR, no answer in time, or an unreadable one (R16-138).

    `transmissions`: failed ones, this one included; a lost connection is none (R16-142). With 3 attempts and 60 s:
    send, +60 s, send, +120 s, send (R16-140)."""
    if transmissions >= max(1, rule.attempts):
        return GiveUp()
    return Retry(float(max(0, rule.interval_s) * transmissions))


def is_peer_busy(error: AgentError) -> bool:
    """Is this about the conversation rather than about the message?

    A central system that allows one message in flight per station in both directions answers a crossing call with
    `RpcFrameworkError` "Call already in progress" (field notes 1.2): the very same call may go again later."""
    return isinstance(error, CallRejected) and (
        error.code == "RpcFrameworkError" or "already in progress" in error.description.lower()
    )


def busy_pause_s(busy_times: int) -> float:
    """How long to send nothing when the peer was busy `busy_times` in a row: 1, 2, 4 ... 60 s."""
    return min(BUSY_LONGEST_S, BUSY_FIRST_S * 2.0 ** min(busy_times - 1, 10))
