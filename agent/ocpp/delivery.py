"""The pump of the outbox: takes the oldest row, has it sent, and confirms, repeats or discards it.

One row at a time, strictly in order; the next one is not even read before the last one is settled on disk, so that a
power cut sends a row again rather than losing it (at least once). The rules are in `agent/ocpp/outbox.py`, the payload
is built by the front end when the row's turn has come. Owned by `agent/ocpp/conversation.py`. OCPP 1.6 3.7.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from msgspec.structs import replace

from agent.charging.facts import (
    DurableFact,
    MeterRead,
    TransactionFact,
    TransactionMetered,
    TransactionStarted,
    TransactionStopped,
    TransactionUpdated,
)
from agent.charging.ids import IdToken, IdTokenInfo, TransactionId, TriggerReason
from agent.charging.ports import Outbox, OutboxRow
from agent.charging.settings import Settings
from agent.charging.tariff import Text
from agent.errors import AgentError, CallRejected, LinkClosed, LocalProtocolError, StoreError
from agent.log_fields import about_fact
from agent.ocpp.frontend import Outcome, TransactionAcknowledged
from agent.ocpp.outbox import GiveUp, Order, OwnCall, Retry, RetryRule, after_failure
from agent.supervisor import Pulse

log = logging.getLogger(__name__)

STORE_RETRY_FIRST_S = 1.0
STORE_RETRY_LONGEST_S = 60.0
STEP_S = 60.0
"""No step of the pump takes longer, unless its wait is explained: for a timer, for a try that is not due yet."""

T = TypeVar("T")


class Bookkeeper(Protocol):
    """Who wants to know what the CSMS said of transactions and tokens: the station."""

    async def token_answered(
        self,
        id_token: IdToken | None,
        answer: IdTokenInfo,
        transaction_id: TransactionId | None,
        from_start: bool,
    ) -> None: ...
    def transaction_bound(self, transaction_id: TransactionId, reference: str) -> None: ...
    def transaction_priced(
        self,
        transaction_id: TransactionId,
        total_cost: float | None,
        texts: tuple[Text, ...],
        *,
        is_final: bool,
    ) -> None: ...


class Delivery:
    """Runs while the agent runs; works while `is_open()` says that transaction messages may go out."""

    def __init__(
        self,
        outbox: Outbox,
        settings: Settings,
        station: Bookkeeper,
        submit: Callable[[OwnCall], None],
        is_open: Callable[[], bool],
        is_moving: Callable[[], bool] = lambda: True,
    ) -> None:
        """`is_moving`: whatever was submitted is still on its way, and there will be word of it."""
        self.pulse = Pulse()
        self._is_moving = is_moving
        self._outbox = outbox
        self._settings = settings
        self._station = station
        self._submit = submit
        self._is_open = is_open
        self._wanted = asyncio.Event()
        self._empty = asyncio.Event()
        self._unknown_there: set[type] = set()
        """Kinds of facts whose message the CSMS does not know; until the next start nobody tries again."""
        self._late_until = 0
        """Rows up to this one were there when the last connection ended, or when this process began."""
        self._is_interrupted = True
        self.bindings: dict[str, TransactionId] = {}
        """References that the CSMS has given and that are just being written to disk."""

    def wake(self) -> None:
        """There may be a row, or the way may be free."""
        self._empty.clear()
        self._wanted.set()

    def interrupted(self) -> None:
        """The connection is gone: what waits now is told late, whenever it happened (2.0.1 E11.FR.07)."""
        self._is_interrupted = True
        self.wake()

    async def wait_until_empty(self) -> None:
        """Every row has been delivered; for ever, while the way is not free."""
        await self._empty.wait()

    async def run(self) -> None:
        """Until cancelled. Starts with a look at the queue: a former run may have ended in the middle of a row."""
        self._wanted.set()
        while True:
            self.pulse.rest()
            await self._wanted.wait()
            self._wanted.clear()
            if self._is_interrupted:
                self._is_interrupted = False
                self._late_until = await self._durably(self._outbox.last_row_id)
            while self._is_open():
                row = await self._durably(self._outbox.first)
                if row is None:
                    if not self._wanted.is_set():
                        self._empty.set()
                    break
                with about_fact(row.fact):
                    await self._deliver(row)

    async def _deliver(self, row: OutboxRow) -> None:
        fact = row.fact
        if isinstance(fact, TransactionFact) and row.row_id <= self._late_until:
            fact = replace(fact, offline=True)
        reference: str | None = None
        if type(fact) in self._unknown_there:
            await self._durably(
                lambda: self._outbox.discard(row.row_id, "the CSMS does not know its message")
            )
            return
        if isinstance(fact, TransactionFact) and not isinstance(fact, TransactionStarted):
            transaction_id = fact.transaction_id
            reference = await self._durably(lambda: self._outbox.reference(transaction_id))
        self.pulse.within(STEP_S, self._is_moving)
        try:
            outcome = await self._send(fact, reference)
        except LinkClosed:
            return  # no attempt (R16-142): the row goes again with the next connection
        except AgentError as error:
            await self._failed(row, error)
        else:
            await self._acknowledged(row, outcome)

    def _send(self, fact: DurableFact, reference: str | None) -> Awaitable[Outcome | None]:
        answered: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()

        def on_outcome(outcome: Outcome | None) -> None:
            if (
                isinstance(outcome, TransactionAcknowledged)
                and outcome.reference is not None
                and isinstance(fact, TransactionStarted)
            ):
                # At once: a RemoteStop may be in the very next frame, before the binding is on disk.
                self.bindings[outcome.reference] = fact.transaction_id
            if not answered.done():
                answered.set_result(outcome)

        def on_failure(error: AgentError) -> None:
            if not answered.done():
                answered.set_exception(error)

        if self._is_open():
            self._submit(OwnCall(fact, Order.TRANSACTION, on_outcome, on_failure, reference))
        else:
            on_failure(LinkClosed("the connection ended before the row's turn"))
        return answered

    async def _acknowledged(self, row: OutboxRow, outcome: Outcome | None) -> None:
        """Row deleted and reference bound in one commit; only then does the station hear of it."""
        fact = row.fact
        answer = outcome if isinstance(outcome, TransactionAcknowledged) else TransactionAcknowledged()
        reference = answer.reference
        await self._durably(lambda: self._outbox.confirm(row.row_id, reference))
        if reference is not None and isinstance(fact, TransactionStarted):
            self._station.transaction_bound(fact.transaction_id, reference)
            self.bindings.pop(reference, None)
        if isinstance(fact, TransactionFact) and (answer.total_cost is not None or answer.texts):
            self._station.transaction_priced(
                fact.transaction_id,
                answer.total_cost,
                answer.texts,
                is_final=isinstance(fact, TransactionStopped),
            )
        if answer.known is not None and isinstance(fact, TransactionFact):
            id_token, judges = _judged(fact)
            try:
                await self._station.token_answered(
                    id_token, answer.known, fact.transaction_id, from_start=judges
                )
            except StoreError as error:
                log.error("what the CSMS said of a token could not be stored: %s", error)

    async def _failed(self, row: OutboxRow, error: AgentError) -> None:
        name = type(row.fact).__name__
        if isinstance(error, LocalProtocolError):  # it will never get better
            await self._durably(lambda: self._outbox.discard(row.row_id, str(error)))
            return
        if isinstance(error, CallRejected) and not isinstance(row.fact, TransactionFact | MeterRead):
            # The CSMS has seen it and does not want it; transactions behind it do not wait for a second no.
            log.warning("%s is not wanted by the CSMS: %s", name, error)
            if error.code in ("NotImplemented", "NotSupported"):
                self._unknown_there.add(type(row.fact))
            await self._durably(lambda: self._outbox.discard(row.row_id, str(error)))
            return
        await self._durably(lambda: self._outbox.count_attempt(row.row_id))
        rule = RetryRule(
            self._settings.integer("transaction_message_attempts"),
            self._settings.integer("transaction_message_retry_interval_s"),
        )
        match after_failure(row.attempts + 1, rule):
            case GiveUp():
                log.error("%s is given up after %d attempts: %s", name, row.attempts + 1, error)
                await self._durably(lambda: self._outbox.discard(row.row_id, str(error)))
            case Retry(after_s):
                log.warning("%s was not taken, again in %.0f s: %s", name, after_s, error)
                self.pulse.within(after_s + STEP_S)
                await asyncio.sleep(after_s)

    async def _durably(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Repeat until the store takes it: a full disk stops the queue, it does not lose or double what is in it."""
        pause_s = STORE_RETRY_FIRST_S
        while True:
            self.pulse.within(pause_s + STEP_S)
            try:
                return await operation()
            except StoreError as error:
                log.error("the outbox waits for the store, next try in %.0f s: %s", pause_s, error)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, STORE_RETRY_LONGEST_S)


def _judged(fact: TransactionFact) -> tuple[IdToken | None, bool]:
    """Of whom the answer to a transaction message speaks (None: of whoever charges), and whether that is for the
    transaction to obey: who has ended it, or its authorization, is judged for the next time only. A start that the
    cable made names nobody, so that its answer, which may come late, judges nobody either."""
    match fact:
        case TransactionStarted():
            return fact.id_token, fact.id_token is not None
        case TransactionUpdated():
            ends = fact.trigger is TriggerReason.STOP_AUTHORIZED
            return fact.id_token, not ends
        case TransactionMetered():
            return None, True
        case TransactionStopped():
            return fact.id_token, False
