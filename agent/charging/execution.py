"""Requests carried out: what the CSMS, vendor code or the local API asks of the station.

Each request has one method and one result; a legal no is a result. What a request starts in the background (a reset, a
token check) has an owner in the supervisor. Rules are in the rooms; this is the shell around them.
OCPP 1.6 5.1-5.18 (R16-107, R16-170 to R16-198, R16-281 to R16-286, R16-305 to R16-309).
"""

import asyncio
import logging
from datetime import datetime
from functools import partial
from typing import Any, assert_never

from agent.charging import certificates, events, reasons, requests
from agent.charging.availability import RESET_FAULT, Place, change_of
from agent.charging.core import StationCore
from agent.charging.evse_reset import EvseResets
from agent.charging.evse_runner import EvseRunner
from agent.charging.facts import MeterSampled, Sample
from agent.charging.ids import EvseId, ReadingContext, ResetKind, StopReason, TriggerReason
from agent.charging.measurands import INLET
from agent.charging.metering import register_wh, take_sample, with_register
from agent.charging.network import NetworkAnswer, NetworkVerdict, SetNetworkProfile
from agent.charging.requests import (
    Answer,
    Request,
    Result,
    TransferResult,
    TransferStatus,
    UnlockVerdict,
    UpdateAnswer,
    UpdateVerdict,
    UploadAnswer,
    UploadVerdict,
    Verdict,
)
from agent.charging.session_values import Condition
from agent.charging.snapshot import SessionState
from agent.charging.transacting import Transacting
from agent.errors import StoreError
from hal.errors import HalError
from hal.ports import MeterReading

log = logging.getLogger(__name__)

RESPONSE_S = 0.2
"""Time for the answer to a Reset to leave before anything else happens (R16-192)."""
UNLOCK_WAIT_S = 20.0
SOFT_RESET_WAIT_S = 30.0
HARD_RESET_WAIT_S = 5.0
"""How long transactions may take to end. What is not on disk by then is found open after the restart."""
RESET_RETRY_S = 5.0

ACCEPTED = Answer(Verdict.ACCEPTED)


class Execution:
    def __init__(self, core: StationCore) -> None:
        self._core = core
        self._transacting = Transacting(core)
        self._evse_resets = EvseResets(core)
        self._hurry: asyncio.Future[ResetKind] | None = None
        """A reset waits for transactions; what is put in here does not wait any more."""

    async def execute(self, request: Request) -> Result:
        result = await self._carry_out(request)
        is_change = isinstance(request, requests.ChangeSetting)
        if isinstance(result, Answer) and result.verdict is Verdict.REJECTED and not is_change:
            log.warning("%s is refused: %s", type(request).__name__, result.reason)
        return result

    async def _change(self, change: requests.ChangeSetting) -> Answer:
        answer = await self._core.settings.change(change.name, change.value)
        if answer.verdict is Verdict.REJECTED:
            log.warning("ChangeSetting %s is refused: %s", change.name, answer.reason)
        return answer

    async def _carry_out(self, request: Request) -> Result:
        match request:
            case requests.RequestStart():
                return self._transacting.start(request)
            case requests.RequestStop():
                return self._transacting.stop(request)
            case requests.TellTransactions():
                return await self._transacting.tell(request)
            case requests.TransactionStatus():
                return await self._transacting.status(request)
            case requests.UnlockConnector():
                return await self._unlock(request)
            case requests.ChangeAvailability():
                return await self._change_availability(request)
            case requests.ResetStation():
                return self._reset(request)
            case requests.PreparePowerLoss():
                return await self._prepare_power_loss()
            case requests.ChangeSetting():
                return await self._change(request)
            case requests.ChangeSettings():
                return requests.Answers(tuple([await self._change(each) for each in request.changes]))
            case (
                requests.SetMonitors()
                | requests.ClearMonitors()
                | requests.SetMonitoringBase()
                | requests.SetMonitoringLevel()
            ):
                return await self._monitoring(request)
            case requests.AboutCustomer():
                return await self._about_customer(request)
            case requests.ClearCache():
                return await self._clear_cache()
            case requests.SampleMeters():
                return await self._sample_meters(request)
            case requests.PresentToken():
                self._core.identification.present(request.id_token, request.evse_ids)
                return ACCEPTED
            case requests.TransferData():
                return await self._transfer(request)
            case requests.UpdateFirmware():
                return await self._update_firmware(request)
            case requests.UploadLog():
                return await self._upload_log(request)
            case requests.ShowTokenPrice():
                return self._core.costs.show_price(request)
            case (
                certificates.InstallCertificate()
                | certificates.DeleteCertificate()
                | certificates.ListCertificates()
                | certificates.ListCertificatesByUse()
                | certificates.RequestOwnCertificate()
                | certificates.TakeOwnCertificate()
            ):
                return await self._certificates(request)
            case requests.ShowMessage():
                return await self._core.screens.show(request)
            case requests.RemoveMessage():
                return await self._core.screens.remove(request)
            case requests.ShowCost():
                return self._core.costs.show_cost(request)
            case requests.InstallProfile():
                return await self._core.limiting.install(request)
            case requests.ClearProfiles():
                return await self._core.limiting.clear(request)
            case requests.LimitExternally():
                return await self._core.limiting.external.set(request)
            case requests.LiftExternalLimit():
                return await self._core.limiting.external.lift(request)
            case requests.ComposeSchedule():
                return self._core.limiting.compose(request)
            case requests.UpdateLocalList():
                return await self._core.listing.update(request)
            case requests.Reserve():
                return await self._core.reserving.reserve(request.reservation)
            case requests.CancelReservation():
                return await self._core.reserving.cancel(request.reservation_id)
            case SetNetworkProfile():
                return await self._set_network_profile(request)
            case _:
                assert_never(request)

    # --- unlock ----------------------------------------------------------------------------------------

    async def _unlock(self, request: requests.UnlockConnector) -> UnlockVerdict:
        """End the transaction first if asked, then unlock the cable (R16-182, R16-183)."""
        runner = self._core.runners.get(request.evse_id)
        if runner is None or not 1 <= request.connector_id <= runner.ports.connectors:
            return UnlockVerdict.UNKNOWN_CONNECTOR
        lock = runner.ports.lock
        if lock is None:
            return UnlockVerdict.NOT_SUPPORTED
        session = runner.session
        is_others = session.connector_id != request.connector_id
        if is_others and (session.plugged or session.has_transaction or session.lock_held):
            log.warning("EVSE %d: the cable is in connector %d", request.evse_id, session.connector_id)
            return UnlockVerdict.UNLOCK_FAILED
        if session.has_transaction and request.stop_transaction:
            runner.hear(events.StopRequested(StopReason.UNLOCK_COMMAND, TriggerReason.UNLOCK_COMMAND))
            await runner.wait_until_closed(UNLOCK_WAIT_S)
        elif session.has_transaction and session.has(Condition.AUTHORIZED):
            return UnlockVerdict.ONGOING_TRANSACTION
        elif (
            session.stage is SessionState.CHARGING
        ):  # it awaits its energy, which shall not come by a loose cable
            runner.hear(events.StopRequested(StopReason.UNLOCK_COMMAND, TriggerReason.UNLOCK_COMMAND))
        else:  # 2.0.1 F05.FR.02: one that nobody is authorized for keeps no cable
            runner.hear(events.TransactionNoted(TriggerReason.UNLOCK_COMMAND))
        runner.hear(events.CableReleased())
        try:
            is_open = await lock.unlock()
        except HalError as error:
            log.warning("EVSE %d: unlock: %s", request.evse_id, error)
            is_open = False
        return UnlockVerdict.UNLOCKED if is_open else UnlockVerdict.UNLOCK_FAILED

    # --- availability and reset ------------------------------------------------------------------------

    async def _change_availability(self, request: requests.ChangeAvailability) -> Answer:
        """On disk at once, in force when no transaction runs there (R16-185 to R16-191)."""
        core = self._core
        connectors = {evse_id: runner.ports.connectors for evse_id, runner in core.runners.items()}
        change = change_of(
            (request.evse_id, request.connector_id),
            request.operative,
            connectors,
            core.own_availability,
            has_layers=core.conventions.availability_has_layers,
        )
        if change is None:
            return Answer(Verdict.REJECTED, reasons.NO_SUCH_CONNECTOR)
        states, own = change.states, change.own
        is_news = any(core.wanted.get(place, True) != state for place, state in states.items())
        if is_news or any(core.own_availability.get(place, True) != word for place, word in own.items()):
            try:
                await core.availability.save(states, own)
            except StoreError as error:
                core.store_failed(error)
                return Answer(Verdict.REJECTED, reasons.NOT_STORED)
            core.wanted.update(states)
            core.own_availability.update(own)
        busy = set() if request.operative else self._places_in_use()
        core.put_in_force(*(place for place in states if place not in busy))
        waits = any(place in busy and core.in_force.get(place, True) for place in states)
        return Answer(Verdict.SCHEDULED, reasons.RUNS) if waits else ACCEPTED

    def _places_in_use(self) -> set[Place]:
        """The connectors with a transaction, and their EVSEs; other connectors of an EVSE need not wait."""
        used = [runner for runner in self._core.runners.values() if runner.session.has_transaction]
        return {(runner.evse_id, each) for runner in used for each in (0, runner.session.connector_id)}

    def _reset(self, request: requests.ResetStation) -> Answer:
        core = self._core
        if core.is_resetting:
            return self._reset_again(request)
        if request.evse_id is not None:
            return self._evse_resets.order(request.evse_id, waits=request.kind is ResetKind.ON_IDLE)
        is_busy = any(runner.session.has_transaction for runner in core.runners.values())
        waits = request.kind is ResetKind.ON_IDLE and is_busy
        core.is_resetting = True
        core.clear_fault(RESET_FAULT)
        has_nothing_to_wait_for = request.kind is ResetKind.ON_IDLE and not is_busy
        kind = ResetKind.SOFT if has_nothing_to_wait_for else request.kind
        self._hurry = asyncio.get_running_loop().create_future() if waits else None
        core.start_task("reset", partial(self._run_reset, kind))
        return Answer(Verdict.SCHEDULED, reasons.RUNS) if waits else ACCEPTED

    def _reset_again(self, request: requests.ResetStation) -> Answer:
        """While one waits: another OnIdle is the same one (2.0.1 B12.FR.01), Immediate is done now (B12.FR.02)."""
        if self._hurry is None or self._hurry.done() or request.evse_id is not None:
            return Answer(Verdict.REJECTED, "a reset is under way")
        if request.kind is ResetKind.ON_IDLE:
            return Answer(Verdict.SCHEDULED, reasons.RUNS)
        self._hurry.set_result(request.kind)
        return ACCEPTED

    async def _wait_for_idle(self, hurry: asyncio.Future[ResetKind]) -> ResetKind:
        """ON_IDLE when no transaction runs any more, or what was ordered meanwhile."""

        async def be_idle() -> None:
            for runner in self._core.runners.values():
                await runner.wait_until(partial(_is_without_transaction, runner), None)

        idle = asyncio.ensure_future(be_idle())
        either: set[asyncio.Future[Any]] = {idle, hurry}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            idle.cancel()
        self._hurry = None
        if not hurry.done():
            return ResetKind.ON_IDLE
        await asyncio.sleep(RESPONSE_S)
        return hurry.result()

    async def _run_reset(self, kind: ResetKind) -> None:
        """Soft: stop gracefully; hard: open at once and keep what can be kept (R16-193 to R16-195)."""
        core = self._core
        await asyncio.sleep(RESPONSE_S)
        if self._hurry is not None:
            kind = await self._wait_for_idle(self._hurry)
        is_hard = kind is ResetKind.HARD
        reason = StopReason.HARD_RESET if is_hard else StopReason.SOFT_RESET
        for runner in core.runners.values():
            if is_hard:
                runner.is_hurried = True
                runner.shut()
            runner.hear(events.StopRequested(reason, TriggerReason.RESET_COMMAND))
        limit_s = HARD_RESET_WAIT_S if is_hard else SOFT_RESET_WAIT_S
        await asyncio.gather(*(runner.wait_until_closed(limit_s) for runner in core.runners.values()))
        await self._call_reset(kind)

    async def _prepare_power_loss(self) -> Answer:
        """R16-131: what a transaction came to is on disk before the power is gone, and nobody starts another one."""
        core = self._core
        if core.is_resetting and self._hurry is None:
            return Answer(Verdict.REJECTED, "a reset is under way")
        core.is_resetting = True
        is_resuming = core.settings.flag("resume_after_power_loss")
        for runner in core.runners.values():
            runner.is_hurried = True
            runner.shut()
            if not is_resuming:
                runner.hear(events.StopRequested(StopReason.POWER_LOSS, TriggerReason.ABNORMAL_CONDITION))
        if not is_resuming:
            waits = [runner.wait_until_closed(HARD_RESET_WAIT_S) for runner in core.runners.values()]
            await asyncio.gather(*waits)
        return ACCEPTED

    async def _call_reset(self, kind: ResetKind) -> None:
        """R16-197: tried again ResetRetries times, then a fault."""
        core = self._core
        for attempt in range(core.settings.integer("reset_retries") + 1):
            if attempt:
                await asyncio.sleep(RESET_RETRY_S)
            try:
                core.on_reset(kind)
            except (OSError, RuntimeError) as error:
                log.error("the reset failed: %s", error)
            else:
                return
        core.is_resetting = False
        for runner in core.runners.values():
            runner.reopen()
        core.raise_fault(RESET_FAULT, "the station could not be reset")

    # --- small things ----------------------------------------------------------------------------------

    async def _clear_cache(self) -> Answer:
        """R16-107; without a cache in use there is nothing to clear."""
        if not self._core.settings.flag("authorization_cache_enabled"):
            return Answer(Verdict.REJECTED, f"{reasons.SWITCHED_OFF}: the authorization cache")
        try:
            await self._core.tokens.clear()
        except StoreError as error:
            self._core.store_failed(error)
            return Answer(Verdict.REJECTED, reasons.NOT_STORED)
        return ACCEPTED

    async def _upload_log(self, request: requests.UploadLog) -> UploadAnswer:
        uploads = self._core.log_uploads
        if uploads is None:
            return UploadAnswer(UploadVerdict.REJECTED, reason="this station uploads nothing")
        return await uploads.order(request)

    async def _certificates(self, request: certificates.CertificateRequest) -> certificates.CertificateResult:
        credentials = self._core.credentials
        if credentials is None:
            return certificates.CertificateAnswer(
                certificates.CertificateVerdict.FAILED, "this station keeps no certificates"
            )
        return await credentials.execute(request)

    async def _about_customer(self, request: requests.AboutCustomer) -> requests.CustomerAnswer:
        """What was known is told also when it is forgotten with the same request."""
        customers = self._core.customers
        if customers is None:
            return requests.CustomerAnswer(Verdict.REJECTED, reason="this station keeps nothing")
        try:
            entries = tuple(await customers.find(request.customer))
            if request.clears:
                await customers.forget(request.customer)
        except StoreError as error:
            self._core.store_failed(error)
            return requests.CustomerAnswer(Verdict.REJECTED, reason="the store cannot be reached")
        return requests.CustomerAnswer(Verdict.ACCEPTED, entries)

    async def _monitoring(self, request: requests.MonitoringRequest) -> Result:
        monitoring = self._core.monitoring
        if monitoring is None:
            return Answer(Verdict.REJECTED, "this station monitors nothing")
        return await monitoring.execute(request)

    async def _set_network_profile(self, request: SetNetworkProfile) -> NetworkAnswer:
        networks = self._core.networks
        if networks is None:
            return NetworkAnswer(NetworkVerdict.FAILED, "this station keeps no network profiles")
        return await networks.order(request)

    async def _transfer(self, request: requests.TransferData) -> TransferResult:
        """To the vendor commands, which bound size, depth and time. Raises RuntimeError when a handler crashed."""
        vendor = self._core.vendor
        if vendor is None:
            return TransferResult(TransferStatus.UNKNOWN_VENDOR_ID)
        return await vendor.execute(request)

    async def _update_firmware(self, request: requests.UpdateFirmware) -> UpdateAnswer:
        updates = self._core.firmware_updates
        if updates is None:
            return UpdateAnswer(UpdateVerdict.NOT_OFFERED, "no installer is configured")
        return await updates.order(request)

    # --- meters ----------------------------------------------------------------------------------------

    async def _sample_meters(self, request: requests.SampleMeters) -> tuple[MeterSampled, ...] | None:
        """Every reading is taken now, all meters at once; one that is silent makes the whole result None (R16-286)."""
        taken = await asyncio.gather(
            *(self._sample(evse_id, request) for evse_id in dict.fromkeys(request.evse_ids))
        )
        sampled = tuple(each for each in taken if each is not None)
        return sampled if len(sampled) == len(taken) else None

    async def _sample(self, evse_id: EvseId, request: requests.SampleMeters) -> MeterSampled | None:
        if evse_id == 0:
            main_meter = self._core.sampling.main_meter
            reading = None if main_meter is None else await main_meter.read(request.timeout_s)
            if reading is None:
                return None
            at = self._core.clock.now()
            values = take_sample(request.measurands, reading, at, request.context, None, INLET)
            return MeterSampled(0, 0, None, values)
        runner = self._core.runners[evse_id]
        reading = None if runner.meter is None else await runner.meter.read(request.timeout_s)
        if reading is None:
            return None
        return self._sample_of(runner, reading, request, self._core.clock.now())

    def _sample_of(
        self, runner: EvseRunner, reading: MeterReading, request: requests.SampleMeters, at: datetime
    ) -> MeterSampled:
        """Of a running transaction it names it, and its register never lies below that of the book (R16-152)."""
        runner.books.enter(reading)
        book = runner.books.book
        register = register_wh(reading) if book is None else book.register_wh
        context: ReadingContext = request.context
        offer, first = runner.offer(reading), runner.books.readings.interval_first
        sample: Sample = take_sample(
            request.measurands, with_register(reading, register), at, context, offer, since=first
        )
        connector_id = runner.session.connector_id
        if book is None:
            return MeterSampled(runner.evse_id, connector_id, None, sample)
        transaction_id = book.started.transaction_id
        return MeterSampled(runner.evse_id, connector_id, transaction_id, sample, book.reference)


def _is_without_transaction(runner: EvseRunner) -> bool:
    return not runner.session.has_transaction
