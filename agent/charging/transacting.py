"""What may be asked of transactions: to start, to stop, to say where they stand.

Rules are in `remote_control.py` and `session.py`; this is the shell around them, part of `execution.py`.
OCPP 1.6 5.11, 5.12 (R16-170 to R16-181); 2.0.1 F01 to F03, F06.FR.07, E14.
"""

import asyncio
from functools import partial

from agent.charging import events, reasons, requests
from agent.charging.authorization import UNQUESTIONED
from agent.charging.core import StationCore
from agent.charging.evse_runner import EvseRunner
from agent.charging.identification import RESERVED
from agent.charging.ids import StopReason, TriggerReason
from agent.charging.remote_control import choose_for_start, start_obstacle
from agent.charging.requests import Answer, Verdict
from agent.charging.reservation import Driver, Fit
from agent.charging.session_values import Phase
from agent.errors import StoreError
from hal.ports import MeterReading


class Transacting:
    def __init__(self, core: StationCore) -> None:
        self._core = core

    # --- start and stop --------------------------------------------------------------------------------

    def start(self, request: requests.RequestStart) -> Answer:
        """Accepted: the station will try (R16-170). Authorized like a local token if the setting says so (R16-171)."""
        sessions = {evse_id: runner.session for evse_id, runner in self._core.runners.items()}
        evse_id, driver = request.evse_id, _driver_of(request)
        if self._core.identification.is_master(request.group):
            return Answer(Verdict.REJECTED, f"{reasons.INVALID_TOKEN}: a master pass starts nothing")
        if evse_id is None:
            fits = {each: self._core.reserving.fit(each, driver) for each in sessions}
            evse_id = choose_for_start(sessions, self._core.state, fits)
            if evse_id is None:
                return Answer(Verdict.REJECTED, "no EVSE is free")
        runner = self._core.runners.get(evse_id)
        if runner is None or not 1 <= (request.connector_id or 1) <= runner.ports.connectors:
            return Answer(Verdict.REJECTED, reasons.NO_SUCH_CONNECTOR)
        obstacle = start_obstacle(runner.session, self._core.state)
        obstacle = obstacle or self._connector_obstacle(runner, request.connector_id)
        fit = self._core.reserving.fit(evse_id, driver, request.connector_id)
        is_unknown = fit is Fit.PERHAPS and request.id_token.type in UNQUESTIONED  # and nobody may be asked
        obstacle = obstacle or (RESERVED if fit is Fit.CLOSED or is_unknown else None)
        if obstacle is not None:
            return Answer(Verdict.REJECTED, obstacle)
        flaw = None if request.profile is None else self._core.limiting.flaw_for_start(request.profile)
        if flaw is not None:
            return Answer(Verdict.REJECTED, f"charging profile: {flaw}")
        self._core.limiting.expect(evse_id, request.id_token, request.profile)
        runner.may_move_to = (
            frozenset(self._core.runners) - {evse_id} if request.evse_id is None else frozenset()
        )
        is_asked = self._core.settings.flag("authorize_remote_start") and self._core.identification.is_needed
        if (is_asked or fit is Fit.PERHAPS) and request.id_token.type not in UNQUESTIONED:
            runner.hear(
                events.TokenOffered(
                    request.id_token,
                    TriggerReason.REMOTE_START,
                    request.connector_id,
                    request.remote_start_id,
                    request.group,
                )
            )
        else:
            self._take_unchecked(runner, request)
        book = runner.books.book
        return Answer(Verdict.ACCEPTED, transaction_id=None if book is None else book.started.transaction_id)

    def _take_unchecked(self, runner: EvseRunner, request: requests.RequestStart) -> None:
        reserving, connector_id = self._core.reserving, request.connector_id
        claimed = reserving.claim(runner.evse_id, _driver_of(request), connector_id)
        runner.hear(
            events.TokenVerified(
                request.id_token,
                request.group,
                TriggerReason.REMOTE_START,
                connector_id or reserving.connector_of(claimed, runner.session),
                request.remote_start_id,
                claimed,
            )
        )

    def _connector_obstacle(self, runner: EvseRunner, connector_id: int | None) -> str | None:
        """A cable that is in decides; another connector of the same EVSE cannot be started then."""
        session = runner.session
        if connector_id is None:
            return None
        if session.plugged and session.connector_id != connector_id:
            return f"a cable is in connector {session.connector_id}"
        return None if self._core.may_be_used(runner.evse_id, connector_id) else "inoperative"

    def stop(self, request: requests.RequestStop) -> Answer:
        for runner in self._core.runners.values():
            book = runner.books.book
            if book is not None and book.started.transaction_id == request.transaction_id:
                stop = (
                    events.StopRequested(StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED)
                    if request.is_local
                    else events.StopRequested(StopReason.REMOTE, TriggerReason.REMOTE_STOP, is_final=False)
                )
                runner.hear(stop)
                return Answer(Verdict.ACCEPTED)
        return Answer(Verdict.REJECTED, "no such transaction")

    # --- where they stand ------------------------------------------------------------------------------

    async def tell(self, request: requests.TellTransactions) -> Answer:
        """Have every transaction report, with what its meter says now; a silent meter is refused, not made up."""
        runners = [
            runner
            for evse_id, runner in self._core.runners.items()
            if request.evse_id in (None, evse_id) and runner.session.phase is Phase.OPEN
        ]
        if not runners:
            return Answer(Verdict.REJECTED, "no transaction runs there")
        readings = await asyncio.gather(*(self._read(runner) for runner in runners))
        wants_reading = bool(self._core.measurands_of("sampled_measurands"))
        for runner, reading in zip(runners, readings, strict=True):
            if wants_reading and reading is None and runner.meter is not None:
                return Answer(Verdict.REJECTED, f"the meter of EVSE {runner.evse_id} is silent")
        for runner, reading in zip(runners, readings, strict=True):
            runner.put(partial(runner.books.report, reading))
        return Answer(Verdict.ACCEPTED)

    async def _read(self, runner: EvseRunner) -> MeterReading | None:
        return None if runner.meter is None else await runner.meter.read()

    async def status(self, request: requests.TransactionStatus) -> requests.TransactionStanding:
        """2.0.1 E14. What the store cannot say for the moment counts as waiting: better asked again than lost."""
        try:
            has_messages = await self._core.journal.has_queued(request.transaction_id)
        except StoreError as error:
            self._core.store_failed(error)
            has_messages = True
        books = [runner.books.book for runner in self._core.runners.values()]
        running = {book.started.transaction_id for book in books if book is not None}
        is_ongoing = None if request.transaction_id is None else request.transaction_id in running
        return requests.TransactionStanding(has_messages, is_ongoing)


def _driver_of(request: requests.RequestStart) -> Driver:
    """Who names the group of the token knows it; otherwise it may still turn out right."""
    return Driver(request.id_token, request.group, is_group_known=request.group is not None)
