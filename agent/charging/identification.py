"""Tokens on their way: from a reader to the right EVSE, to what is known of them, to the CSMS and back.

The shell around `authorization.py` (may this token?) and `remote_control.py` (which EVSE does it mean?). Each check is
a task of its own, so that a slow CSMS delays nobody. What the CSMS answers goes into the cache, unless the local list
has the token. Where the driver may start is decided last, when the group is known: reservations depend on it.
OCPP 1.6 3.4, 3.5, 3.10, 4.1, 5.11, 5.13 (R16-088 to R16-107, R16-171 to R16-173, R16-235, R16-236).
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

from agent.charging import events
from agent.charging.actions import CheckToken, Purpose
from agent.charging.authorization import (
    UNKNOWN_OFFLINE,
    UNQUESTIONED,
    Accept,
    Ask,
    Decision,
    Refused,
    Rules,
    decide,
    is_same_driver,
    judge,
    status_at,
)
from agent.charging.core import StationCore
from agent.charging.evse_runner import EvseRunner
from agent.charging.facts import TokenPresented, TokenRefused
from agent.charging.ids import (
    AuthorizationStatus,
    EvseId,
    IdToken,
    IdTokenInfo,
    IdTokenType,
    StopReason,
    TriggerReason,
)
from agent.charging.key_codes import WrongCodes
from agent.charging.remote_control import choose_for_token, start_obstacle
from agent.charging.reservation import Driver, Fit
from agent.charging.session_values import Phase
from agent.charging.snapshot import SessionState
from agent.errors import StoreError
from hal.ports import CardReader

log = logging.getLogger(__name__)

ASK_MARGIN_S = 30.0
"""What a question may wait for its turn on the link, beyond the time for its answer."""
RESERVED = "reserved"
"""Why a token is refused that others keep out."""
ANYBODY = Accept(IdTokenInfo(AuthorizationStatus.ACCEPTED))
ELSEWHERE = "not allowed at this EVSE"
"""Why a token is refused that the CSMS allows at other EVSEs only."""
TOO_MANY_CODES = "too many wrong key codes"
NOT_ASKED = "unknown, and nobody is to be asked"
_WRONG = frozenset(
    {str(AuthorizationStatus.INVALID), str(AuthorizationStatus.UNKNOWN), UNKNOWN_OFFLINE, NOT_ASKED}
)
"""Why a key code is refused that is nobody's; a good one that may not charge is no attempt to find one."""


class Identification:
    def __init__(self, core: StationCore) -> None:
        self._core = core
        self._unsubscribe: list[Callable[[], None]] = []
        self._wrong_codes = WrongCodes()

    def begin(self) -> None:
        for reader in self._core.hardware.readers:
            self._unsubscribe.append(reader.subscribe(partial(self._on_card, reader)))

    def end(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe.clear()

    # --- which EVSE is meant ---------------------------------------------------------------------------

    def _on_card(self, reader: CardReader, uid: str, token_type: str) -> None:
        """Each call is one presentation: what a card that stays on the reader means is the driver's business."""
        known_type = token_type in IdTokenType.__members__.values()
        kind = IdTokenType(token_type) if known_type else IdTokenType.LOCAL
        self.present(IdToken(uid, kind), tuple(reader.evse_ids))

    def present(self, id_token: IdToken, evse_ids: tuple[EvseId, ...]) -> None:
        """A token at a reader that serves `evse_ids` (empty = all)."""
        served = {
            evse_id: runner
            for evse_id, runner in self._core.runners.items()
            if not evse_ids or evse_id in evse_ids
        }
        self._core.publish(TokenPresented(id_token, tuple(served), self._core.clock.now()))
        if self._is_paused(id_token):
            self._core.publish(TokenRefused(id_token, TOO_MANY_CODES, self._core.clock.now()))
            return
        sessions = {evse_id: runner.session for evse_id, runner in served.items()}
        driver = Driver(id_token)
        fits = {evse_id: self._core.reserving.fit(evse_id, driver) for evse_id in served}
        chosen = choose_for_token(id_token, sessions, self._core.state, fits)
        if chosen is None:
            obstacles = {start_obstacle(each, self._core.state) or RESERVED for each in sessions.values()}
            reason = ", ".join(sorted(obstacles)) or "no EVSE"
            self._core.publish(TokenRefused(id_token, reason, self._core.clock.now()))
            return
        runner = served[chosen]
        if runner.session.stage is not SessionState.AUTHORIZING:
            runner.may_move_to = frozenset(served) - {chosen}
        runner.hear(events.TokenOffered(id_token))

    def _is_paused(self, id_token: IdToken) -> bool:
        """Too many wrong key codes came before this one (2.0.1 C04.FR.06). Who charges may stop all the same."""
        if id_token.type is not IdTokenType.KEY_CODE or not self._wrong_codes.is_paused(
            self._core.clock.time()
        ):
            return False
        return not any(id_token.is_same(runner.session.id_token) for runner in self._core.runners.values())

    def _count_codes(self, action: CheckToken, verdict: Accept | Refused) -> None:
        if action.id_token.type is not IdTokenType.KEY_CODE or action.trigger is TriggerReason.REMOTE_START:
            return
        match verdict:
            case Accept():
                self._wrong_codes = WrongCodes()
            case Refused(reason) if reason in _WRONG:
                self._wrong_codes = self._wrong_codes.one_more(self._core.clock.time())

    def move_here(self, runner: EvseRunner) -> None:
        """A cable was plugged in at `runner`; a driver who identified at a shared reader meant this EVSE then."""
        if start_obstacle(runner.session, self._core.state) is not None:
            return
        for other in self._core.runners.values():
            session = other.session
            is_waiting = session.stage is SessionState.AUTHORIZED and session.phase in (
                Phase.NONE,
                Phase.OPEN,
            )
            if runner.evse_id in other.may_move_to and is_waiting and not session.plugged:
                if session.id_token is None:
                    continue
                driver = Driver(session.id_token, session.group, is_group_known=True)
                if not self._core.reserving.is_open_to(runner.evse_id, driver, leaving=other.evse_id):
                    continue
                if session.phase is Phase.OPEN:
                    self._move_transaction(other, runner)
                    return
                verified = events.TokenVerified(
                    session.id_token,
                    session.group,
                    session.trigger,
                    remote_start_id=session.remote_start_id,
                    reservation=self._core.reserving.claim(runner.evse_id, driver, leaving=other.evse_id),
                )
                other.hear(events.AuthorizationDropped())
                runner.hear(verified)
                return

    def _move_transaction(self, source: EvseRunner, target: EvseRunner) -> None:
        """The transaction that began with the driver's identification goes on where the cable is (2.0.1 E03).

        While something of it is just being written it stays, and ends there when its time is up."""
        session = source.session
        is_free = target.session.stage is SessionState.IDLE and target.session.phase is Phase.NONE
        if session.id_token is None or not (is_free and source.is_idle):
            return
        book = source.books.give_up()
        if book is None:
            return
        target.books.take_over(book)
        source.hear(events.TransactionTaken())
        target.hear(events.TransactionBrought(session.id_token, session.group, session.trigger))

    # --- may it ----------------------------------------------------------------------------------------

    def check(self, runner: EvseRunner, action: CheckToken) -> None:
        self._core.start_task(f"token check of EVSE {runner.evse_id}", partial(self._check, runner, action))

    async def _check(self, runner: EvseRunner, action: CheckToken) -> None:
        verdict: Accept | Refused = Refused("internal error")
        try:
            if self._is_pointless(runner, action) and not self._core.conventions.asks_for_other_tokens:
                verdict = Refused("in use")
            else:
                verdict = await self._verify(runner, action)
        finally:
            self._count_codes(action, verdict)
            match verdict:
                case Accept(known):
                    self._accepted(runner, action, known)
                case Refused(reason):
                    runner.hear(events.TokenRejected(action.id_token, reason))

    def is_master(self, group: IdToken | None) -> bool:
        """The group whose tokens may stop everything and start nothing (2.0.1 C16)."""
        master = self._core.settings.text("master_pass_group")
        return bool(master) and group is not None and group.key == master.casefold()

    def _stop_all(self, runner: EvseRunner, action: CheckToken) -> None:
        """2.0.1 C16.FR.02: there is nothing to choose with, so every transaction stops as by its own driver."""
        log.warning("a master pass stops every transaction")
        runner.hear(events.TokenRejected(action.id_token, "master pass"))
        for each in self._core.runners.values():
            if each.session.has_transaction:
                each.hear(
                    events.StopRequested(
                        StopReason.MASTER_PASS,
                        TriggerReason.STOP_AUTHORIZED,
                        action.id_token,
                        is_final=False,
                    )
                )

    def _accepted(self, runner: EvseRunner, action: CheckToken, known: IdTokenInfo) -> None:
        if self.is_master(known.group):
            self._stop_all(runner, action)
            return
        group = known.group or action.group  # an answer without a group takes back nothing (2.0.1 F01.FR.22)
        driver = Driver(action.id_token, group, is_group_known=True)
        target = self._target(runner, action, driver, known.evse_ids)
        if target is None:
            is_elsewhere = known.evse_ids and runner.evse_id not in known.evse_ids
            reason = ELSEWHERE if is_elsewhere else RESERVED
            runner.hear(events.TokenRejected(action.id_token, reason))
            return
        connector_id = action.connector_id if target is runner else None
        reservation = None
        if action.purpose is Purpose.START:
            reservation = self._core.reserving.claim(target.evse_id, driver, connector_id)
        connector_id = connector_id or self._core.reserving.connector_of(reservation, target.session)
        if target is not runner:
            runner.hear(events.AuthorizationDropped())
        if known.evse_ids:
            target.may_move_to &= known.evse_ids
        target.hear(
            events.TokenVerified(
                action.id_token,
                group,
                action.trigger,
                connector_id,
                action.remote_start_id,
                reservation,
            )
        )

    def _target(
        self, runner: EvseRunner, action: CheckToken, driver: Driver, allowed: frozenset[EvseId]
    ) -> EvseRunner | None:
        """By now it may be clear that another EVSE of the same reader is meant. None: reserved for others (R16-235), or
        the token is good for other EVSEs only. `allowed`: where it may start; empty = everywhere (2.0.1 C01.FR.21)."""
        others = self._others(runner)
        if action.purpose is Purpose.START:
            return self._target_of_start(runner, others, action, driver, allowed)
        for other in (runner, *others):
            session = other.session
            is_held = session.phase is Phase.OPEN or session.lock_held
            if is_held and is_same_driver(session.id_token, session.group, driver.id_token, driver.group):
                return other
        return runner

    def _others(self, runner: EvseRunner) -> list[EvseRunner]:
        """Of the same reader."""
        return [other for evse_id, other in self._core.runners.items() if evse_id in runner.may_move_to]

    def _is_pointless(self, runner: EvseRunner, action: CheckToken) -> bool:
        """Who started belongs to no group, so that no other token may stop, whatever the CSMS says of it (R16-092)."""
        if self._core.settings.text("master_pass_group"):
            return False
        holders = (runner, *self._others(runner))
        return action.purpose is not Purpose.START and all(holder.session.group is None for holder in holders)

    def _target_of_start(
        self,
        runner: EvseRunner,
        others: list[EvseRunner],
        action: CheckToken,
        driver: Driver,
        allowed: frozenset[EvseId],
    ) -> EvseRunner | None:
        """The EVSE reserved for the driver, else where a cable waits, else where the token was checked, else any."""
        reserving = self._core.reserving
        found = []
        fit = reserving.fit(runner.evse_id, driver, action.connector_id)
        if fit is not Fit.CLOSED and (not allowed or runner.evse_id in allowed):
            found.append((fit is not Fit.OWN, not runner.session.plugged, False, runner.evse_id))
        for other in others:
            is_allowed = not allowed or other.evse_id in allowed
            if is_allowed and start_obstacle(other.session, self._core.state) is None:
                fit = reserving.fit(other.evse_id, driver)
                is_plugged = other.session.stage is SessionState.PLUGGED
                if fit is not Fit.CLOSED:
                    found.append((fit is not Fit.OWN, not is_plugged, True, other.evse_id))
        return self._core.runners[min(found)[-1]] if found else None

    async def _verify(self, runner: EvseRunner, action: CheckToken) -> Accept | Refused:
        id_token, evse_id = action.id_token, runner.evse_id
        if id_token.type is IdTokenType.NO_AUTHORIZATION or not self.is_needed:
            return ANYBODY
        listed = await self._core.listing.find(id_token)
        cached = await self._cached(id_token) if listed is None else None
        if action.purpose is not Purpose.START and self._is_known_companion(runner, listed or cached):
            return Accept(listed or cached or ANYBODY.known)
        if self._core.settings.flag("nobody_is_asked"):
            return self._known_only(listed or cached)
        first = self._decide(listed, cached, self._core.authorizer.is_online)
        if not isinstance(first, Ask) and not self._lacks_group(action, first, evse_id):
            if cached is not None and isinstance(first, Accept):
                await self._note_use(id_token)
            return first
        answer = await self._ask(id_token, evse_id)
        if answer is not None:
            await self.remember(id_token, answer)
            if answer.group is None and listed is not None:
                answer = replace(answer, group=listed.group)
            return judge(answer, self._core.clock.now())
        if not isinstance(first, Ask):
            return first
        decision = self._decide(listed, cached, is_online=False)
        return Refused("no answer") if isinstance(decision, Ask) else decision

    def _known_only(self, known: IdTokenInfo | None) -> Accept | Refused:
        """2.0.1 AuthCtrlr.DisableRemoteAuthorization (2.3.8)."""
        return Refused(NOT_ASKED) if known is None else judge(known, self._core.clock.now())

    def _is_known_companion(self, runner: EvseRunner, known: IdTokenInfo | None) -> bool:
        """A valid token of the group of who is charging, known here: nobody is asked (2.0.1 C01.FR.03, C09.FR.07)."""
        if not self._core.conventions.asks_for_other_tokens or known is None or known.group is None:
            return False
        is_good = status_at(known, self._core.clock.now()) is AuthorizationStatus.ACCEPTED
        groups = [holder.session.group for holder in (runner, *self._others(runner))]
        return is_good and any(group is not None and group.key == known.group.key for group in groups)

    @property
    def is_needed(self) -> bool:
        """Whether anybody has to identify at all (2.0.1 AuthCtrlr.Enabled)."""
        return self._core.settings.flag("authorization_enabled")

    def plugged_in(self, runner: EvseRunner) -> None:
        """A cable is in. Where nobody has to identify that is all it takes (2.0.1 C01.FR.01)."""
        if self.is_needed or start_obstacle(runner.session, self._core.state) is not None:
            return
        nobody = IdToken("", IdTokenType.NO_AUTHORIZATION)
        if self._core.reserving.fit(runner.evse_id, Driver(nobody, is_group_known=True)) is Fit.OPEN:
            runner.hear(events.TokenVerified(nobody, None, TriggerReason.AUTHORIZED))

    def _lacks_group(self, action: CheckToken, decision: Decision, evse_id: EvseId) -> bool:
        """A token that may start, but nobody here knows whether it is of the group of a reservation (R16-236)."""
        if not isinstance(decision, Accept) or (decision.known.group or action.group) is not None:
            return False
        is_start = action.purpose is Purpose.START and self._core.authorizer.is_online
        return is_start and self._core.reserving.needs_group(evse_id, action.id_token)

    def _decide(self, listed: IdTokenInfo | None, cached: IdTokenInfo | None, is_online: bool) -> Decision:
        settings = self._core.settings
        rules = Rules(
            local_pre_authorize=settings.flag("local_pre_authorize"),
            local_authorize_offline=settings.flag("local_authorize_offline"),
            allow_unknown_offline=settings.flag("allow_offline_tx_for_unknown_id"),
            recheck_listed=not settings.flag("listed_stay_refused"),
            recheck_cached=not settings.flag("cached_stay_refused"),
            in_use_is_valid=self._core.conventions.in_use_is_valid,
        )
        return decide(listed, cached, rules, is_online=is_online, now=self._core.clock.now())

    async def _ask(self, id_token: IdToken, evse_id: EvseId) -> IdTokenInfo | None:
        limit_s = self._core.settings.integer("message_timeout_s") + ASK_MARGIN_S
        try:
            async with asyncio.timeout(limit_s):
                return await self._core.authorizer.authorize(id_token, evse_id)
        except TimeoutError:
            log.warning("no answer on a token within %g s", limit_s)
            return None

    # --- the cache -------------------------------------------------------------------------------------

    async def _cached(self, id_token: IdToken) -> IdTokenInfo | None:
        """R16-106: switched off it is not consulted. A cache that cannot be read knows nobody."""
        if not self._core.settings.flag("authorization_cache_enabled"):
            return None
        tokens = self._core.tokens
        try:
            known = await tokens.get(id_token)
            if known is None or known.expires_at is not None or self._life_time is None:
                return known
            used_at = await tokens.used_at(id_token)  # 2.0.1 C10.FR.08
        except StoreError as error:
            self._core.store_failed(error)
            return None
        now = self._core.clock.now()
        return replace(known, expires_at=now if used_at is None else used_at + self._life_time)

    @property
    def _life_time(self) -> timedelta | None:
        """How long a token that nobody uses is known; None: for ever."""
        return timedelta(seconds=self._core.settings.integer("cache_life_time_s")) or None

    async def _note_use(self, id_token: IdToken) -> None:
        """What is cached of it was good enough: its time begins anew."""
        if self._life_time is None:
            return
        try:
            await self._core.tokens.use(id_token, self._core.clock.now())
        except StoreError as error:
            self._core.store_failed(error)

    async def group_of(self, id_token: IdToken) -> IdToken | None:
        """The group of a token, as far as it is known here."""
        known = await self._core.listing.find(id_token) or await self._cached(id_token)
        return None if known is None else known.group

    async def remember(self, id_token: IdToken, answer: IdTokenInfo) -> None:
        """The CSMS's last word on a token, good or bad (R16-100, R16-101); not of one that is listed (R16-099)."""
        if id_token.type in UNQUESTIONED:
            return
        listed = await self._core.listing.find(id_token)
        if listed is not None:
            self._core.listing.compare(id_token, listed, answer)
            return
        if not self._core.settings.flag("authorization_cache_enabled"):
            return
        now = self._core.clock.now()
        try:
            await self._core.tokens.put(id_token, answer, now)
        except StoreError as error:
            self._core.store_failed(error)
