"""A session with its book, played without a station: work that it asks for is done at once, and told in short."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from agent.charging import actions, events
from agent.charging.facts import TransactionFact, TransactionStarted, TransactionStopped, TransactionUpdated
from agent.charging.ids import ChargingState, IdToken, StopReason, TriggerReason
from agent.charging.session import step
from agent.charging.session_values import Policy, Session
from agent.charging.transactions import Book, Update

TAG = IdToken("TAG1")
BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)

Told = tuple[object, ...]


class Play:
    """`told`: (letter of the step, kind, trigger, charging state, reason) of each fact."""

    def __init__(self, policy: Policy, *, locked: bool | None = None, opens: bool = True) -> None:
        self.policy = policy
        self.session = replace(Session(), locked=locked)
        self.book: Book | None = None
        self.facts: list[TransactionFact] = []
        self.told: list[Told] = []
        self.permitted = False
        self.timers: set[actions.Timer] = set()
        self.opens = opens
        self._step = ""
        self._at = BEGUN

    def hear(self, event: events.Event) -> None:
        self._at += timedelta(seconds=1)
        self.session, done = step(self.session, event, self.policy)
        for action in done:
            self._do(action)

    def _do(self, action: actions.Action) -> None:
        match action:
            case actions.PermitCharging():
                self.permitted = True
            case actions.ForbidCharging():
                self.permitted = False
            case actions.StartTimer(timer):
                self.timers.add(timer)
            case actions.StopTimer(timer):
                self.timers.discard(timer)
            case actions.OpenTransaction():
                self._open(action)
            case actions.UpdateTransaction():
                self._update(action)
            case actions.CloseTransaction():
                self._close(action)

    def _open(self, action: actions.OpenTransaction) -> None:
        assert self.book is None, "one transaction at a time"
        if not self.opens:
            self.hear(events.OpeningFailed("no"))
            return
        started = TransactionStarted(
            transaction_id=f"tx{len(self.facts)}",
            evse_id=1,
            connector_id=action.connector_id,
            at=self._at,
            seq_no=0,
            id_token=action.id_token,
            meter_start_wh=0,
            trigger=action.trigger,
            offline=False,
            charging_state=action.charging_state,
            is_placed=action.is_plugged,
        )
        self.book = Book.begun(started)
        self.facts.append(started)
        self.told.append((self._step, "Started", action.trigger, action.charging_state))
        self.hear(events.TransactionOpened())

    def _update(self, action: actions.UpdateTransaction) -> None:
        if self.book is None:
            return  # of a start that failed
        what = Update(action.is_authorized, action.id_token, connector_id=action.connector_id)
        fact = self.book.updated(self._at, action.trigger, action.charging_state, offline=False, what=what)
        assert isinstance(fact, TransactionUpdated)
        self._keep(fact)
        self.told.append((self._step, "Updated", action.trigger, action.charging_state))

    def _close(self, action: actions.CloseTransaction) -> None:
        assert self.book is not None, "each start has exactly one end"
        fact = self.book.stopped(
            self._at, action.reason, action.trigger, action.id_token, False, (), action.charging_state
        )
        assert isinstance(fact, TransactionStopped)
        self._keep(fact)
        self.told.append((self._step, "Ended", action.trigger, action.charging_state, action.reason))
        self.book = None
        self.hear(events.TransactionClosed())

    def _keep(self, fact: TransactionFact) -> None:
        assert self.book is not None
        self.facts.append(fact)
        self.book = self.book.after(fact)

    # --- what happens at an EVSE -----------------------------------------------------------------------

    def plug(self) -> None:
        self._step = "plug"
        self.hear(events.CableConnected())

    def identify(
        self,
        token: IdToken = TAG,
        trigger: TriggerReason = TriggerReason.AUTHORIZED,
        remote: int | None = None,
    ) -> None:
        self._step = "token"
        self.hear(events.TokenOffered(token, trigger, remote_start_id=remote))
        if token.is_same(self.session.checking):
            self.hear(events.TokenVerified(token, None, trigger, remote_start_id=remote))

    def lock(self) -> None:
        if self.session.locked is not None:
            self.hear(events.LockChanged(True))

    def charge(self) -> None:
        self._step = "energy"
        self.hear(events.PowerWanted(True))
        self.hear(events.PowerPathChanged(True))

    def pause(self) -> None:
        self._step = "pause"
        self.hear(events.PowerWanted(False))
        self.hear(events.PowerPathChanged(False))

    def stop(self, token: IdToken = TAG) -> None:
        self._step = "stop"
        self.hear(events.TokenOffered(token))
        self.open_contactor()

    def stop_remotely(self) -> None:
        self._step = "stop"
        remote = events.StopRequested(StopReason.REMOTE, TriggerReason.REMOTE_STOP, is_final=False)
        self.hear(remote)
        self.open_contactor()

    def open_contactor(self) -> None:
        """As the board does once charging is forbidden."""
        if not self.permitted and self.session.power_path_closed:
            self.hear(events.PowerPathChanged(False))

    def unplug(self) -> None:
        self._step = "unplug"
        self.hear(events.CableDisconnected())
        self.hear(events.PowerWanted(False))
        self.hear(events.PowerPathChanged(False))

    def expire(self, timer: actions.Timer) -> None:
        self._step = str(timer)
        if timer in self.timers:
            self.timers.discard(timer)
            self.hear(events.TimerExpired(timer))

    @property
    def state(self) -> ChargingState:
        return self.session.charging_state
