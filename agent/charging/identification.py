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
from functools import partial

from agent.charging import events
from agent.charging.actions import CheckToken, Purpose
from agent.charging.authorization import Accept, Ask, Decision, Refused, Rules, decide, is_same_driver, judge
from agent.charging.core import StationCore
from agent.charging.evse_runner import EvseRunner
from agent.charging.facts import TokenPresented, TokenRefused
from agent.charging.ids import EvseId, IdToken, IdTokenInfo, IdTokenType
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


class Identification:
    def __init__(self, core: StationCore) -> None:
        self._core = core
        self._unsubscribe: list[Callable[[], None]] = []

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

    def move_here(self, runner: EvseRunner) -> None:
        """A cable was plugged in at `runner`; a driver who identified at a shared reader meant this EVSE then."""
        if start_obstacle(runner.session, self._core.state) is not None:
            return
        for other in self._core.runners.values():
            session = other.session
            is_waiting = session.stage is SessionState.AUTHORIZED and session.phase is Phase.NONE
            if runner.evse_id in other.may_move_to and is_waiting and not session.plugged:
                if session.id_token is None:
                    continue
                driver = Driver(session.id_token, session.group, is_group_known=True)
                if not self._core.reserving.is_open_to(runner.evse_id, driver, leaving=other.evse_id):
                    continue
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

    # --- may it ----------------------------------------------------------------------------------------

    def check(self, runner: EvseRunner, action: CheckToken) -> None:
        self._core.start_task(f"token check of EVSE {runner.evse_id}", partial(self._check, runner, action))

    async def _check(self, runner: EvseRunner, action: CheckToken) -> None:
        verdict: Accept | Refused = Refused("internal error")
        try:
            if self._is_pointless(runner, action):
                verdict = Refused("in use")
            else:
                verdict = await self._verify(action, runner.evse_id)
        finally:
            match verdict:
                case Accept(known):
                    self._accepted(runner, action, known)
                case Refused(reason):
                    runner.hear(events.TokenRejected(action.id_token, reason))

    def _accepted(self, runner: EvseRunner, action: CheckToken, known: IdTokenInfo) -> None:
        driver = Driver(action.id_token, known.group, is_group_known=True)
        target = self._target(runner, action, driver)
        if target is None:
            runner.hear(events.TokenRejected(action.id_token, RESERVED))
            return
        connector_id = action.connector_id if target is runner else None
        reservation = None
        if action.purpose is Purpose.START:
            reservation = self._core.reserving.claim(target.evse_id, driver, connector_id)
        connector_id = connector_id or self._core.reserving.connector_of(reservation, target.session)
        if target is not runner:
            runner.hear(events.AuthorizationDropped())
        target.hear(
            events.TokenVerified(
                action.id_token,
                known.group,
                action.trigger,
                connector_id,
                action.remote_start_id,
                reservation,
            )
        )

    def _target(self, runner: EvseRunner, action: CheckToken, driver: Driver) -> EvseRunner | None:
        """By now it may be clear that another EVSE of the same reader is meant. None: reserved for others (R16-235)."""
        others = self._others(runner)
        if action.purpose is Purpose.START:
            return self._target_of_start(runner, others, action, driver)
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
        holders = (runner, *self._others(runner))
        return action.purpose is not Purpose.START and all(holder.session.group is None for holder in holders)

    def _target_of_start(
        self, runner: EvseRunner, others: list[EvseRunner], action: CheckToken, driver: Driver
    ) -> EvseRunner | None:
        """The EVSE reserved for the driver, else where a cable waits, else where the token was checked, else any."""
        reserving = self._core.reserving
        found = []
        fit = reserving.fit(runner.evse_id, driver, action.connector_id)
        if fit is not Fit.CLOSED:
            found.append((fit is not Fit.OWN, not runner.session.plugged, False, runner.evse_id))
        for other in others:
            if start_obstacle(other.session, self._core.state) is None:
                fit = reserving.fit(other.evse_id, driver)
                is_plugged = other.session.stage is SessionState.PLUGGED
                if fit is not Fit.CLOSED:
                    found.append((fit is not Fit.OWN, not is_plugged, True, other.evse_id))
        return self._core.runners[min(found)[-1]] if found else None

    async def _verify(self, action: CheckToken, evse_id: EvseId) -> Accept | Refused:
        id_token = action.id_token
        listed = await self._core.listing.find(id_token)
        cached = await self._cached(id_token) if listed is None else None
        first = self._decide(listed, cached, self._core.authorizer.is_online)
        if not isinstance(first, Ask) and not self._lacks_group(action, first, evse_id):
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

    def _lacks_group(self, action: CheckToken, decision: Decision, evse_id: EvseId) -> bool:
        """A token that may start, but nobody here knows whether it is of the group of a reservation (R16-236)."""
        if not isinstance(decision, Accept) or decision.known.group is not None:
            return False
        is_start = action.purpose is Purpose.START and self._core.authorizer.is_online
        return is_start and self._core.reserving.needs_group(evse_id, action.id_token)

    def _decide(self, listed: IdTokenInfo | None, cached: IdTokenInfo | None, is_online: bool) -> Decision:
        settings = self._core.settings
        rules = Rules(
            local_pre_authorize=settings.flag("local_pre_authorize"),
            local_authorize_offline=settings.flag("local_authorize_offline"),
            allow_unknown_offline=settings.flag("allow_offline_tx_for_unknown_id"),
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
        try:
            return await self._core.tokens.get(id_token)
        except StoreError as error:
            self._core.store_failed(error)
            return None

    async def group_of(self, id_token: IdToken) -> IdToken | None:
        """The group of a token, as far as it is known here."""
        known = await self._core.listing.find(id_token) or await self._cached(id_token)
        return None if known is None else known.group

    async def remember(self, id_token: IdToken, answer: IdTokenInfo) -> None:
        """The CSMS's last word on a token, good or bad (R16-100, R16-101); not of one that is listed (R16-099)."""
        listed = await self._core.listing.find(id_token)
        if listed is not None:
            self._core.listing.compare(id_token, listed, answer)
            return
        if not self._core.settings.flag("authorization_cache_enabled"):
            return
        try:
            await self._core.tokens.put(id_token, answer, self._core.clock.now())
        except StoreError as error:
            self._core.store_failed(error)
