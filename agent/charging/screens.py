"""The shell of the displays: owns the messages of the CSMS, and keeps on every display what has to stand there.

A change is on disk before it is answered and shown (O01.FR.10). What is shown follows at once from what happens, and by
timers: when a message begins or ends, and when the next page has its turn. Which pages: `display.py`; what the CSMS
says of prices and costs: `cost_display.py`. A station without a display has nothing to do here. Used by `execution.py`.
OCPP 2.0.1 part 2, O01 to O06, I01 to I06.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from agent.charging import display, reasons
from agent.charging.core import StationCore
from agent.charging.display import DisplayMessage, Messages, MessageVerdict, Offer, Scene
from agent.charging.facts import Fact
from agent.charging.ids import EvseId, TransactionId
from agent.charging.ports import MessageStore
from agent.charging.requests import Answer, MessageAnswer, RemoveMessage, ShowMessage, Verdict
from agent.charging.tariff import Text
from agent.errors import StoreError
from hal.errors import HalError
from hal.ports import Display, DisplayPage

log = logging.getLogger(__name__)

TURN_S = 8.0
"""How long a page stands before the next one has its turn."""
_OF_DISPLAY = ("display_enabled", "display_formats", "display_priorities", "display_messages_max")


@dataclass(slots=True)
class _Screen:
    """One display, and what is to stand on it."""

    port: Display
    pages: tuple[Text, ...] = ()
    turn: int = 0
    wanted: DisplayPage | None = None
    written: DisplayPage | None = None
    is_writing: bool = False


class Screens:
    def __init__(self, core: StationCore, store: MessageStore) -> None:
        self._core = core
        self._store = store
        self._messages: Messages = ()
        self._screens = {
            evse_id: _Screen(ports.display)
            for evse_id, ports in core.hardware.evses.items()
            if ports.display is not None
        }
        self._changing = asyncio.Lock()
        """One change of the collection at a time: each is built on the one before."""
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._soon: asyncio.Handle | None = None
        self._is_begun = False
        self._unsubscribe: Callable[[], None] = lambda: None
        if not self._screens:
            for name in _OF_DISPLAY:
                core.settings.drop(name)

    # --- life ------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """After open transactions were stopped or resumed. Raises StoreError."""
        messages = tuple(await self._store.load())
        gone = display.over(messages, self._running(), self._core.clock.now())
        if gone:
            await self._store.delete([each.message_id for each in gone])
        self._messages = display.without(messages, gone)

    def begin(self) -> None:
        if self._screens:
            self._is_begun = True
            self._unsubscribe = self._core.subscribe(self._on_fact)
            self.refresh()

    def end(self) -> None:
        self._is_begun = False
        self._unsubscribe()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    # --- what others may see ---------------------------------------------------------------------------

    @property
    def has_display(self) -> bool:
        return bool(self._screens)

    @property
    def messages(self) -> Messages:
        """Those that are kept, in the order in which they were set."""
        if not self._messages:
            return ()
        gone = display.over(self._messages, self._running(), self._core.clock.now())
        return display.without(self._messages, gone)

    def shown(self, evse_id: EvseId) -> Text | None:
        """What stands on the display now; None: nothing, or there is none."""
        screen = self._screens.get(evse_id)
        if screen is None or screen.written is None:
            return None
        return Text(screen.written.content, screen.written.language, screen.written.format)

    # --- requests --------------------------------------------------------------------------------------

    async def show(self, request: ShowMessage) -> MessageAnswer:
        """Accepted: on disk, and shown when its time has come. Otherwise nothing was changed."""
        new = request.message
        async with self._changing:
            flaw = self._flaw_of(new)
            if flaw is not None:
                return flaw
            replaced = display.replaced_by(self._messages, new)
            left = display.without(self.messages, replaced)
            most = self._core.settings.integer("display_messages_max")
            if len(left) >= most:  # O01.FR.11, O02.FR.11
                return MessageAnswer(MessageVerdict.REJECTED, f"{reasons.NO_ROOM}: {most} messages are kept")
            try:
                await self._store.replace([each.message_id for each in replaced], new)
            except StoreError as error:
                self._core.store_failed(error)
                return MessageAnswer(MessageVerdict.REJECTED, reasons.NOT_STORED)
            self._core.store_worked()
            self._messages = (*display.without(self._messages, replaced), new)
        self.refresh()
        return MessageAnswer(MessageVerdict.ACCEPTED)

    def _flaw_of(self, message: DisplayMessage) -> MessageAnswer | None:
        settings = self._core.settings
        if not self._screens:
            return MessageAnswer(MessageVerdict.REJECTED, "there is no display")
        if not settings.flag("display_enabled"):
            return MessageAnswer(MessageVerdict.REJECTED, f"{reasons.SWITCHED_OFF}: the display of messages")
        offer = Offer(
            frozenset(settings.listed("display_formats")),
            frozenset(settings.listed("display_priorities")),
            frozenset(self._screens),
            settings.integer("display_messages_max"),
        )
        flaw = display.flaw_of(message, offer, self._running(), self._core.clock.now())
        return None if flaw is None else MessageAnswer(flaw.verdict, flaw.reason)

    async def remove(self, request: RemoveMessage) -> Answer:
        """Unknown: there is none with that id. Rejected: the disk does not take it, nothing was changed."""
        async with self._changing:
            gone = tuple(each for each in self.messages if each.message_id == request.message_id)
            if not gone:
                return Answer(Verdict.UNKNOWN, "no such message")
            if not await self._delete(gone):
                return Answer(Verdict.REJECTED, reasons.NOT_STORED)
        self.refresh()
        return Answer(Verdict.ACCEPTED)

    async def _sweep(self) -> None:
        async with self._changing:
            gone = display.over(self._messages, self._running(), self._core.clock.now())
            if gone:
                await self._delete(gone)

    async def _delete(self, gone: Messages) -> bool:
        try:
            await self._store.delete([each.message_id for each in gone])
        except StoreError as error:
            self._core.store_failed(error)
            return False
        self._messages = display.without(self._messages, gone)
        return True

    # --- what is shown ---------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Put on every display what belongs there now, and plan the next look."""
        if not self._is_begun:
            return
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        messages, now = self.messages, self._core.clock.now()
        if len(messages) < len(self._messages):
            self._core.start_task("messages that are over", self._sweep)
        for evse_id, screen in self._screens.items():
            pages = self._pages(evse_id, messages)
            if pages != screen.pages:
                screen.pages, screen.turn = pages, 0
            self._put(evse_id, screen)
        has_turns = any(len(screen.pages) > 1 for screen in self._screens.values())
        if not has_turns:
            self._stop_timer("turn")
        elif "turn" not in self._timers:
            self._start_timer("turn", TURN_S, self._take_turns)
        change_at = display.next_change(messages, now)
        if change_at is None:
            self._stop_timer("change")
        else:
            # A millisecond late rather than early: just before that instant nothing has changed yet.
            self._start_timer("change", (change_at - now).total_seconds() + 0.001, self.refresh)

    def _pages(self, evse_id: EvseId, messages: Messages) -> tuple[Text, ...]:
        core, settings = self._core, self._core.settings
        evse = core.runners[evse_id].snapshot()
        languages = core.costs.languages(evse_id)
        own = display.own_pages(
            core.costs.shown(evse_id),
            languages,
            settings.text("display_language"),
            settings.text("currency"),
        )
        if not settings.flag("display_enabled"):
            return own
        transaction = evse.transaction
        scene = Scene(
            evse_id,
            display.state_of(evse),
            None if transaction is None else transaction.transaction_id,
            languages,
        )
        return display.pages_of(messages, scene, core.clock.now(), own)

    def _take_turns(self) -> None:
        for evse_id, screen in self._screens.items():
            screen.turn += 1
            self._put(evse_id, screen)
        self._start_timer("turn", TURN_S, self._take_turns)

    def _put(self, evse_id: EvseId, screen: _Screen) -> None:
        """Level-triggered: whatever is wanted last is what stands there in the end."""
        text = screen.pages[screen.turn % len(screen.pages)] if screen.pages else None
        screen.wanted = None if text is None else DisplayPage(text.content, text.format, text.language)
        if screen.wanted != screen.written and not screen.is_writing:
            screen.is_writing = True
            self._core.start_task(f"display of EVSE {evse_id}", partial(self._write, evse_id, screen))

    async def _write(self, evse_id: EvseId, screen: _Screen) -> None:
        try:
            while screen.written != screen.wanted:
                page = screen.wanted
                await screen.port.show(page)
                screen.written = page
        except HalError as error:  # tried again when something changes
            log.warning("the display of EVSE %d: %s", evse_id, error)
        finally:
            screen.is_writing = False

    def _on_fact(self, _fact: Fact) -> None:
        """In the next turn of the loop: one look serves everything that happened at once."""
        if self._soon is None and self._is_begun:
            self._soon = asyncio.get_running_loop().call_soon(self.refresh)

    def _running(self) -> set[TransactionId]:
        books = (runner.books.book for runner in self._core.runners.values())
        return {book.started.transaction_id for book in books if book is not None}

    # --- timers ----------------------------------------------------------------------------------------

    def _start_timer(self, name: str, after_s: float, call: Callable[[], None]) -> None:
        self._stop_timer(name)

        def expire() -> None:
            self._timers.pop(name, None)
            call()

        self._timers[name] = asyncio.get_running_loop().call_later(max(0.0, after_s), expire)

    def _stop_timer(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
