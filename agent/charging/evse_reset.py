"""The reset of one EVSE: its transaction ends, its pilot goes away for a moment, and it begins anew.

Nothing of it is kept over a restart, which is a reset, too. While it lasts, and while it waits for the end of a
transaction, nobody starts anything there. Used by `execution.py`. OCPP 2.0.1 part 2, B11.FR.08, B12.FR.07, B12.FR.08.
"""

import asyncio
import logging
from functools import partial

from agent.charging import events, reasons
from agent.charging.core import StationCore
from agent.charging.evse_runner import EvseRunner
from agent.charging.facts import EvseChanged
from agent.charging.ids import EvseId, StopReason, TriggerReason
from agent.charging.requests import Answer, Verdict

log = logging.getLogger(__name__)

RESPONSE_S = 0.2
"""Time for the answer to leave before anything else happens."""
STOP_WAIT_S = 30.0
"""How long a transaction may take to end."""
PAUSE_S = 5.0
"""How long the EV sees no pilot: long enough for it to begin anew when the pilot is back."""


class EvseResets:
    def __init__(self, core: StationCore) -> None:
        self._core = core
        self._waiting: dict[EvseId, asyncio.Event] = {}
        """Resets that wait for a transaction; set: do not wait any more."""

    def order(self, evse_id: EvseId, *, waits: bool) -> Answer:
        """`waits`: for the end of the transaction, if one runs."""
        core = self._core
        runner = core.runners.get(evse_id)
        if runner is None:
            return Answer(Verdict.REJECTED, "no such EVSE")
        if evse_id in core.resetting_evses:
            return self._order_again(evse_id, waits=waits)
        is_scheduled = waits and runner.session.has_transaction
        core.resetting_evses.add(evse_id)
        if is_scheduled:
            self._waiting[evse_id] = asyncio.Event()
        core.start_task(f"reset of EVSE {evse_id}", partial(self._run, runner, waits=waits))
        return Answer(Verdict.SCHEDULED, reasons.RUNS) if is_scheduled else Answer(Verdict.ACCEPTED)

    def _order_again(self, evse_id: EvseId, *, waits: bool) -> Answer:
        """While one waits: OnIdle is the same one (B12.FR.01), Immediate is done now (B12.FR.02)."""
        hurry = self._waiting.get(evse_id)
        if hurry is None or hurry.is_set():
            return Answer(Verdict.REJECTED, "a reset of this EVSE is under way")
        if waits:
            return Answer(Verdict.SCHEDULED, reasons.RUNS)
        hurry.set()
        return Answer(Verdict.ACCEPTED)

    async def _wait(self, runner: EvseRunner, hurry: asyncio.Event) -> bool:
        """For the end of the transaction. False: it was told not to."""
        ends = [asyncio.ensure_future(each) for each in (runner.wait_until_closed(None), hurry.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        return not hurry.is_set()

    async def _run(self, runner: EvseRunner, *, waits: bool) -> None:
        core, evse_id = self._core, runner.evse_id
        try:
            await asyncio.sleep(RESPONSE_S)
            hurry = self._waiting.get(evse_id)
            if hurry is not None:
                self._show(runner)
                waits = await self._wait(runner, hurry)
                del self._waiting[evse_id]
            if not waits:
                await asyncio.sleep(RESPONSE_S if hurry is not None else 0.0)
                runner.hear(events.StopRequested(StopReason.SOFT_RESET, TriggerReason.RESET_COMMAND))
                await runner.wait_until_closed(STOP_WAIT_S)
            log.info("EVSE %d is reset", evse_id)
            self._show(runner)
            await asyncio.sleep(PAUSE_S)
        finally:
            self._waiting.pop(evse_id, None)
            core.resetting_evses.discard(evse_id)
            self._show(runner)

    def _show(self, runner: EvseRunner) -> None:
        """In service or not, as it is now, for the board and for everybody who looks."""
        runner.refresh_operative()
        self._core.publish(EvseChanged(runner.evse_id, self._core.clock.now()))
