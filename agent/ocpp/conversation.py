"""One station talking to one CSMS: joins link, rpc, front end, outbox and station.

The reading side never waits: a call of the CSMS is answered in the callback that brought it, whatever of ours is
outstanding; only an `Ask` costs a task. The sending side is `caller.py`, the queue of the outbox `delivery.py`. Nothing
here knows a message of an OCPP version: those are data of the front end that the handshake chose.
Built by `agent/app.py`, driven by `link`'s callbacks. Implements `charging.ports.Authorizer` and `frontend.View`.
OCPP-J 1.6 chapter 4, OCPP 1.6 4.2, 4.6, 4.9.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, assert_never

from agent.charging.facts import (
    EventsNoticed,
    Fact,
    MeterRead,
    MomentaryFact,
    TransactionMetered,
)
from agent.charging.ids import BootReason, EvseId, IdToken, IdTokenInfo, TransactionId
from agent.charging.ports import Clock, Outbox
from agent.charging.requests import ShowTokenPrice, TransferResult
from agent.charging.settings import Settings
from agent.charging.snapshot import StationSnapshot
from agent.errors import AgentError, CallTimeout, LinkClosed, LocalProtocolError, RemoteProtocolError
from agent.log_fields import about_message, handle_message
from agent.ocpp.caller import Caller
from agent.ocpp.codec import Category, decode, encode
from agent.ocpp.delivery import Delivery
from agent.ocpp.frontend import (
    Acknowledged,
    Ask,
    BootNotice,
    Call,
    CertificateStatusTold,
    ClockTold,
    FrontEnd,
    Gate,
    Notice,
    Outcome,
    OwnCalls,
    Refuse,
    Registered,
    Registration,
    Reply,
    Response,
    SigningAnswered,
    SigningNotice,
    StationIdentity,
    StatusNotice,
    TokenJudged,
    TokenQuestion,
    TransactionAcknowledged,
    TransferAnswered,
    TransferNotice,
)
from agent.ocpp.heartbeats import Heartbeats
from agent.ocpp.outbox import Order, OwnCall, order_of_answer
from agent.ocpp.partners import LinkPort, MessageRecord, StationPort
from agent.ocpp.registration import BootSchedule
from agent.ocpp.rpc import CallReceived, ErrorReceived, Event, Ignored, Refused, ResultReceived, Rpc
from agent.ocpp.status import StatusReports
from agent.ocpp.timers import Timers

if TYPE_CHECKING:
    from agent.charging.device_model import DeviceModel

log = logging.getLogger(__name__)

ASK_LIMIT_S = 30.0
"""A request that the station has not finished by then is answered with InternalError: the CSMS waits no longer."""

_CLOSED = Gate(OwnCalls.BOOT_ONLY, answers_calls=False)


class Conversation:
    """Callbacks `on_open`, `on_text` and `on_closed` are the link's; everything else is for the station and the API."""

    def __init__(
        self,
        *,
        front_ends: Mapping[str, FrontEnd],
        link: LinkPort,
        station: StationPort,
        outbox: Outbox,
        clock: Clock,
        journal_of_messages: MessageRecord,
        identity: StationIdentity,
        boot_reason: BootReason = BootReason.POWER_UP,
        max_frame_bytes: int = 1_048_576,
        source: random.Random | None = None,
        on_invalid: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        """`front_ends` by subprotocol. `source` is for the jitter of the boot retries. `on_invalid` hears of frames
        that are no proper messages."""
        self.identity = identity
        self._front_ends = front_ends
        self._link = link
        self._station = station
        self._clock = clock
        self._record = journal_of_messages.record
        self._boot_reason = boot_reason
        self._max_frame_bytes = max_frame_bytes
        self._on_invalid = on_invalid
        self._caller = Caller(station.settings, clock, self._write, self._encode)
        self._delivery = Delivery(
            outbox,
            station.settings,
            station,
            self._caller.submit,
            lambda: self.is_online,
            lambda: self._caller.is_moving,
        )
        self.pulse = self._delivery.pulse
        self._boots = BootSchedule(source or random.Random())
        self._accepted_boot = ""
        self._front_end: FrontEnd | None = None
        self._statuses: StatusReports | None = None
        self._gate = _CLOSED
        self._rpc: Rpc | None = None
        self._offline_since = 0.0
        self._picture: StationSnapshot | None = None
        self._is_in_callback = False
        self._timers = Timers()
        self._heartbeats = Heartbeats(
            station.settings, clock, self._caller, self._timers, lambda: self.is_online, self._absorb
        )
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what others may see ---------------------------------------------------------------------------

    @property
    def registration(self) -> Registration:
        return self._boots.registration

    @property
    def is_online(self) -> bool:
        """Connected and accepted: calls of any kind may go out."""
        return self._rpc is not None and self._boots.registration is Registration.ACCEPTED

    @property
    def has_connection(self) -> bool:
        """It takes part in a connection; False beside a connected link: it missed the opening, or was ended."""
        return self._rpc is not None

    @property
    def settings(self) -> Settings:
        return self._station.settings

    def snapshot(self) -> StationSnapshot:
        """One picture serves a message and what it triggers: within one callback of the link nothing moves."""
        if not self._is_in_callback:
            return self._station.snapshot()
        if self._picture is None:
            self._picture = self._station.snapshot()
        return self._picture

    @property
    def device_model(self) -> "DeviceModel":
        return self._station.device_model_in(self.snapshot())

    def now(self) -> datetime:
        return self._clock.now()

    def find_transaction(self, reference: str) -> TransactionId | None:
        """Also one whose reference has arrived and is just being written to disk."""
        return self._delivery.bindings.get(reference) or self._station.find_transaction(reference)

    async def authorize(self, id_token: IdToken, evse_id: EvseId) -> IdTokenInfo | None:
        """The CSMS's word on a token; None: no answer to be had (offline, timeout, CALLERROR)."""
        if not self.is_online:
            return None
        try:
            outcome = await self._caller.ask(TokenQuestion(id_token, evse_id))
        except AgentError as error:
            log.warning("no answer about a token: %s", error)
            return None
        if not isinstance(outcome, TokenJudged):
            return None
        if outcome.texts or outcome.languages:
            await self._station.execute(ShowTokenPrice(id_token, outcome.texts, outcome.languages))
        return outcome.known

    async def transfer_data(self, vendor_id: str, message_id: str | None, data: object) -> TransferResult:
        """Send a vendor message of ours. `data` is any JSON value, None = absent.

        Raises LinkClosed unless connected and accepted (B-11); CallTimeout; CallRejected, with NotSupported or
        NotImplemented when the CSMS knows no DataTransfer; LocalProtocolError for names that are too long."""
        outcome = await self.ask(TransferNotice(vendor_id, message_id, data))
        if not isinstance(outcome, TransferAnswered):
            raise LocalProtocolError("this OCPP version has no message for vendor data")
        return outcome.result

    async def ask(self, notice: Notice) -> Outcome | None:
        """Raises LinkClosed unless connected and accepted, CallTimeout, CallRejected. None: no such message."""
        if not self.is_online:
            raise LinkClosed("not connected, or not accepted by the CSMS")
        return await self._caller.ask(notice)

    async def ask_to_sign(self, request: str, *, triggered: bool) -> bool:
        """Have a signing request (PEM) signed; whether the CSMS takes it. `triggered`: it asked for it, which it may
        do before it accepts the station (W A00.FR.806). Raises LinkClosed, CallTimeout, CallRejected."""
        if not self.is_online and not (triggered and self._rpc is not None):
            raise LinkClosed("not connected, or not accepted by the CSMS")
        order = Order.TRIGGERED if triggered else Order.QUESTION
        outcome = await self._caller.ask(SigningNotice(request), order)
        return isinstance(outcome, SigningAnswered) and outcome.is_accepted

    async def flush(self, timeout_s: float) -> bool:
        """Wait until every transaction message was delivered, before a reset or the end; False: not in that time."""
        self._delivery.wake()
        try:
            async with asyncio.timeout(timeout_s):
                await self._delivery.wait_until_empty()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Until cancelled: listens to the station and delivers the outbox. After a crash it may be run again."""
        stop_listening = self._station.subscribe(self._on_fact)
        stop_settings = self.settings.subscribe(self._on_setting)
        try:
            self._report_statuses(live=True)
            await self._delivery.run()
        except asyncio.CancelledError:
            self.on_closed("stopped")
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        finally:
            stop_listening()
            stop_settings()

    # --- the link's callbacks --------------------------------------------------------------------------

    def on_open(self, subprotocol: str) -> None:
        """A connection is up. After a mere reconnect there is no BootNotification (R16-007)."""
        front_end = self._front_ends[subprotocol]
        if front_end is not self._front_end:
            self._front_end = front_end
            self._statuses = StatusReports(front_end.status_between, front_end.least_status_s)
            self._boots.start_over()
        elif self._boots.registration is Registration.ACCEPTED and self._is_boot_due_again():
            self._boots.start_over()
        self._rpc = Rpc(self._max_frame_bytes, front_end.error_codes)
        self._caller.open(self._rpc, front_end)
        self._pass_gate(front_end.gates[self._boots.registration])
        self._link.set_ping_interval(self.settings.integer("websocket_ping_interval_s"))
        if self.is_online:
            self._forget_statuses_after(self._clock.time() - self._offline_since)
            self._go_online()
        else:
            self._boots.reconnected(self._clock.time())
            self._schedule_boot()

    def start_over(self) -> None:
        """The next connection leads to another CSMS, which may know nothing of us (2.0.1 B10.FR.10)."""
        self._boots.start_over()

    def on_text(self, text: str) -> None:
        """One frame of the CSMS. Never raises, never waits."""
        rpc = self._rpc
        if rpc is None:
            return
        self._record("in", text)
        self._is_in_callback = True
        try:
            event = rpc.receive(text)
            handle_message(event)
            self._take(rpc, event)
        finally:
            handle_message(None)
            self._is_in_callback = False
            self._picture = None

    def _take(self, rpc: Rpc, event: Event) -> None:
        if isinstance(event, CallReceived):
            self._answer(rpc, event)
        elif isinstance(event, ResultReceived):
            self._caller.take_result(event)
        elif isinstance(event, ErrorReceived):
            self._caller.take_error(event)
        elif isinstance(event, Refused):
            log.warning("refused a message of the CSMS: %s", event.reason)
            self._on_invalid(event.reason)
            if self._gate.answers_calls or self._gate.refusal is not None:
                self._write(event.answer_text)
        elif isinstance(event, Ignored):
            log.warning("ignored a message of the CSMS: %s", event.reason)
            if not event.is_late:
                self._on_invalid(event.reason)
        else:
            assert_never(event)

    def on_closed(self, reason: str) -> None:
        """The connection is gone: nothing that waited is current any more; the outbox keeps what must not be lost."""
        if self._rpc is None:
            return
        was_online = self.is_online
        self._rpc = None
        self._gate = _CLOSED
        self._timers.cancel_all()
        self._caller.close(reason)
        if was_online:
            self._offline_since = self._clock.time()
            self._station.on_online(False)
            self._delivery.interrupted()

    # --- calls of the CSMS -----------------------------------------------------------------------------

    def _answer(self, rpc: Rpc, call: CallReceived) -> None:
        if not self._gate.answers_calls:
            log.info("%s is not carried out: registration %s", call.action[:50], self.registration)
            if self._gate.refusal is None:
                rpc.leave_unanswered(call.message_id)
            else:
                self._reply(rpc, call, Refuse(self._gate.refusal, f"registration {self.registration}"))
            return
        response = self._respond_to(call)
        if isinstance(response, Ask):
            if response.replies_first:
                self._caller.hold()
            self._spawn(self._execute(rpc, call, response))
        else:
            self._reply(rpc, call, response)

    def knows(self, action: str) -> bool:
        """It is an action of the CSMS in the version that is spoken; False before the first connection."""
        front_end = self._front_end
        return front_end is not None and (action in front_end.routes or action in front_end.unsupported)

    def _respond_to(self, call: CallReceived) -> Response:
        """The border where a broken payload becomes a category and a crash InternalError; neither goes further."""
        assert self._front_end is not None
        action = call.action
        route = self._front_end.routes.get(action)
        if route is None:
            why = self._front_end.unsupported.get(action)
            if why is not None:
                return Refuse(Category.NOT_SUPPORTED, why)
            return Refuse(Category.NOT_IMPLEMENTED, "unknown action")
        if route.most_bytes is not None:
            most = self.settings.integer(route.most_bytes)
            if len(call.payload) > most:
                log.warning("%s has %d bytes, %d are allowed", action, len(call.payload), most)
                return Refuse(Category.FORMAT, f"more than {most} bytes")
        try:
            request = decode(call.payload, route.request)
            if action in self._gate.fixed_replies:
                return Reply(self._gate.fixed_replies[action])
            return route.handler(request, self)
        except RemoteProtocolError as error:
            log.warning("%s: %s", action, error)
            return Refuse(Category[error.code], f"{error.path}: {error.description}")
        except Exception:
            log.exception("the handler of %s crashed", action)
            return Refuse(Category.INTERNAL, "internal error")

    async def _execute(self, rpc: Rpc, call: CallReceived, ask: Ask) -> None:
        """Have the station carry out what a handler asked for, and answer."""
        try:
            response: Reply | Refuse
            with about_message(call):
                try:
                    async with asyncio.timeout(ASK_LIMIT_S):
                        response = ask.reply(await self._station.execute(ask.request))
                except Exception:
                    log.exception("the station failed at %s", call.action)
                    response = Refuse(Category.INTERNAL, "internal error")
                self._reply(rpc, call, response)
        finally:
            if ask.replies_first:
                self._caller.release()

    def _reply(self, rpc: Rpc, call: CallReceived, response: Reply | Refuse) -> None:
        if rpc is not self._rpc:
            log.warning("the answer to %s came too late: the connection is gone", call.action)
            return
        if isinstance(response, Refuse):
            self._write(rpc.error(call.message_id, response.category, response.description))
            return
        try:
            text = rpc.result(call.message_id, response.payload)
        except (TypeError, ValueError):
            log.exception("the answer to %s cannot be encoded", call.action)
            self._write(rpc.error(call.message_id, Category.INTERNAL, "internal error"))
            return
        self._write(text)
        if response.then:
            for notice in response.then:
                self._trigger(notice)
            self._caller.pump()

    def _trigger(self, notice: Notice) -> None:
        def on_failure(error: AgentError) -> None:
            # No retry: what was asked for was the state of that moment (A.5).
            log.warning("a triggered %s was dropped: %s", type(notice).__name__, error)

        self._caller.enqueue(OwnCall(notice, order_of_answer(notice), self._absorb, on_failure))

    # --- calls of ours ---------------------------------------------------------------------------------

    def _write(self, text: str) -> None:
        """Write at once. A connection that just ended is told by `on_closed`, which fails what was in flight."""
        try:
            self._link.send(text)
        except LinkClosed:
            log.debug("not sent: the connection is closing")
            return
        self._record("out", text)

    def _encode(self, notice: Notice, reference: str | None) -> Call | None:
        """The message of a notice, built when its turn has come."""
        assert self._front_end is not None
        if isinstance(notice, StatusNotice) and notice.status is None:
            place = (notice.evse_id, notice.connector_id)
            status = self._front_end.connector_statuses(self.snapshot())[place]
            notice = StatusNotice(*place, status, notice.at)
            if self._statuses is not None:
                self._statuses.told(place, status)
        return self._front_end.encoders[type(notice)](notice, self, reference)

    def _absorb(self, outcome: Outcome | None) -> None:
        """What an answer means when nobody in particular waits for it."""
        match outcome:
            case Registered():
                self._boot_answered(outcome)
            case ClockTold(csms_time):
                self._heartbeats.clock_told()
                self._set_clock(csms_time)
            case None | Acknowledged() | TokenJudged() | TransactionAcknowledged():
                pass
            case TransferAnswered() | SigningAnswered() | CertificateStatusTold():
                pass
            case _:
                assert_never(outcome)

    def _set_clock(self, csms_time: datetime | None) -> None:
        """Follow the clock of the CSMS, if it is the best source; what waits for a time of day hears when it was moved.

        2.0.1 B01.FR.06, ClockCtrlr.TimeSource."""
        sources = self.settings.listed("time_sources")
        is_best = sources[:1] == ("Heartbeat",) or not self._clock.is_trusted
        if csms_time is None or "Heartbeat" not in sources or not is_best:
            return
        if by_s := self._clock.synchronize(csms_time):
            self._station.on_clock_set(by_s)

    # --- registration ----------------------------------------------------------------------------------

    def _pass_gate(self, gate: Gate) -> None:
        self._gate = gate
        self._caller.allowed = gate.own_calls

    def _schedule_boot(self) -> None:
        """Send BootNotification when it is due, at once if that is now."""
        due_time = self._boots.due_time
        if due_time is None:
            return
        wait_s = due_time - self._clock.time()
        if wait_s > 0:
            self._timers.set("boot", wait_s, self._schedule_boot)
            return
        self._caller.submit(
            OwnCall(BootNotice(self._boot_reason), Order.BOOT, self._absorb, self._boot_failed)
        )

    def _boot_answered(self, answer: Registered) -> None:
        assert self._front_end is not None
        assert self._statuses is not None
        was_online = self.is_online
        self._boots.answered(answer, self._clock.time())
        self._pass_gate(self._front_end.gates[answer.registration])
        log.info("registration %s, interval %d s", answer.registration, answer.interval_s)
        self._set_clock(answer.csms_time)
        if answer.registration is Registration.ACCEPTED:
            self._accepted_boot = self._boot_text()
            if answer.interval_s > 0:
                self._spawn(self._set_heartbeat_interval(answer.interval_s))
            self._timers.cancel("boot")
            self._statuses.forget_all()
            self._go_online()
            return
        if was_online:  # a triggered BootNotification that changed the CSMS's mind; transactions go on (A.3)
            self._caller.drop_waiting(f"registration {answer.registration}")
            self._station.on_online(False)
        self._schedule_boot()

    async def _set_heartbeat_interval(self, interval_s: int) -> None:
        """The CSMS's interval becomes the setting (R16-044)."""
        answer = await self.settings.change("heartbeat_interval_s", str(interval_s))
        if answer.reason:
            log.warning("heartbeat interval %d s of the CSMS is not used: %s", interval_s, answer.reason)

    def _boot_failed(self, error: AgentError) -> None:
        if isinstance(error, LinkClosed):
            return  # it goes again with the next connection
        log.warning("BootNotification failed: %s", error)
        self._boots.failed(self._clock.time(), is_unanswered=isinstance(error, CallTimeout))
        self._schedule_boot()

    def _is_boot_due_again(self) -> bool:
        """OCPP-J 5.4: not after a mere reconnect, unless what it says has changed or the setting wants it."""
        always = self.settings.flag("boot_notification_on_reconnect")
        return always or self._boot_text() != self._accepted_boot

    def _boot_text(self) -> str:
        """What BootNotification says of us now; a difference after a reconnect is a reason to send it (R16-007)."""
        message = self._encode(BootNotice(self._boot_reason), None)
        return encode(message.payload) if message is not None else ""

    def _go_online(self) -> None:
        """Accepted, now or before this connection: statuses, heartbeat, and whatever is queued."""
        self._station.on_online(True)
        self._report_statuses(live=False)
        self._heartbeats.begin()
        self._delivery.wake()

    # --- what happens at the station -------------------------------------------------------------------

    def _on_fact(self, fact: Fact) -> None:
        self._picture = None
        if isinstance(fact, MomentaryFact) or (isinstance(fact, EventsNoticed) and not fact.is_queued):
            if self.is_online:
                self._report(fact)
            return  # current or nothing
        if not isinstance(fact, TransactionMetered | MeterRead):
            self._report_statuses(live=True)
        self._delivery.wake()

    def _forget_statuses_after(self, offline_s: float) -> None:
        """After a long time offline every status is told again, where the version wants that (2.0.1 B04.FR.01)."""
        name = self._front_end.offline_threshold if self._front_end is not None else None
        if name is not None and offline_s > self.settings.integer(name) and self._statuses is not None:
            self._statuses.forget_all()

    def _on_setting(self, name: str, _value: str) -> None:
        if name == "websocket_ping_interval_s":
            self._link.set_ping_interval(self.settings.integer(name))
        elif name == "heartbeat_interval_s" and self.is_online:
            self._heartbeats.watch()
        elif name == "minimum_status_duration_s":
            self._report_statuses(live=True)

    def _report_statuses(self, *, live: bool) -> None:
        """Note what is, and tell what is due."""
        statuses, front_end = self._statuses, self._front_end
        if statuses is None or front_end is None:
            return
        time = self._clock.time()
        snapshot = self.snapshot()
        # What the board has not said yet is not told: a cable that is in would show as Available for a moment.
        unknown = {evse_id for evse_id, evse in snapshot.evses.items() if not evse.is_known}
        present = front_end.connector_statuses(snapshot).items()
        statuses.observe(
            {place: status for place, status in present if place[0] not in unknown}, time, self.now()
        )
        if not self.is_online:
            return
        minimum_s = self.settings.integer("minimum_status_duration_s")
        for notice in statuses.due(time, minimum_s, live=live):
            self._report(notice)
        next_time = statuses.next_time(minimum_s)
        if next_time is not None:
            self._timers.set("status", max(0.0, next_time - time), lambda: self._report_statuses(live=True))

    def _report(self, notice: Notice) -> None:
        def on_failure(error: AgentError) -> None:
            log.warning("%s was not taken: %s", type(notice).__name__, error)
            if isinstance(error, LinkClosed) and isinstance(notice, StatusNotice) and self._statuses:
                self._statuses.forget((notice.evse_id, notice.connector_id))

        self._caller.submit(OwnCall(notice, Order.REPORT, self._absorb, on_failure))

    # --- tasks -----------------------------------------------------------------------------------------

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of the conversation failed", exc_info=error)
