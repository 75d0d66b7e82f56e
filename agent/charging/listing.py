"""The local authorization list at work: looked up, updated as a whole, and compared with what the CSMS says.

The shell around `local_list.py`: owns the list through its store; the entries stay on the disk, of which only version
and length are kept here. Only `update` changes it (R16-213). Where it and the CSMS disagree on a token, the station
shows a warning until they agree again. Used by `identification.py` and `execution.py`.
OCPP 1.6 3.5.2, 5.10, 5.15 (R16-086, R16-212 to R16-227).
"""

import asyncio
import logging

from agent.charging import reasons
from agent.charging.availability import LOCAL_LIST_CONFLICT
from agent.charging.core import StationCore
from agent.charging.ids import IdToken, IdTokenInfo
from agent.charging.local_list import Limits, ListChange, Standing, change_by, contradicts, refusal
from agent.charging.ports import LocalListStore
from agent.charging.requests import ListAnswer, ListVerdict, UpdateLocalList
from agent.errors import StoreError

log = logging.getLogger(__name__)

_SWITCH = "local_list_enabled"
_NOTHING = Standing()


class Listing:
    def __init__(self, core: StationCore, store: LocalListStore) -> None:
        self._core = core
        self._store = store
        self._standing = Standing()
        self._conflicts: dict[str, str] = {}
        """Key of a token -> what is said of it here and there; the latest one last."""
        self._writing = asyncio.Lock()
        core.settings.subscribe(self._on_setting)

    async def load(self) -> None:
        """Before anything else is called. Raises StoreError."""
        self._standing = await self._store.standing()

    @property
    def version(self) -> int | None:
        """0 while there is no list; None while it is switched off (R16-215)."""
        return self._shown.version if self._core.settings.flag(_SWITCH) else None

    @property
    def _shown(self) -> Standing:
        """An empty list may have no version, whatever it was emptied with (`Conventions.keeps_list_version`)."""
        has_version = self._standing.length or self._core.conventions.keeps_list_version
        return self._standing if has_version else _NOTHING

    @property
    def length(self) -> int:
        """Entries that it has, whether it is in use or not."""
        return self._standing.length

    async def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """The entry of a token; None: it has none, or the list is switched off. A list that cannot be read has none."""
        if not self._standing.length or not self._core.settings.flag(_SWITCH):
            return None
        try:
            return await self._store.get(id_token)
        except StoreError as error:
            self._core.store_failed(error)
            return None

    async def update(self, update: UpdateLocalList) -> ListAnswer:
        """Accepted: the whole change is on the disk. Anything else: nothing was changed."""
        if not self._core.settings.flag(_SWITCH):
            return ListAnswer(
                ListVerdict.SWITCHED_OFF, f"{reasons.SWITCHED_OFF}: the local authorization list"
            )
        async with self._writing:
            change = await self._apply(update)
        if isinstance(change, ListAnswer):
            log.warning("local authorization list %d is refused: %s", update.version, change.reason)
            return change
        log.info("local authorization list: version %d, %d entries", *_figures(change.standing))
        self._forget_conflicts(update)
        return ListAnswer(ListVerdict.ACCEPTED)

    async def _apply(self, update: UpdateLocalList) -> ListChange | ListAnswer:
        settings = self._core.settings
        limits = Limits(settings.integer("local_list_max_length"), settings.integer("local_list_max_entries"))
        keeps_version = self._core.conventions.keeps_list_version
        refused = refusal(update, self._shown, limits, zero_is_behind=keeps_version)
        if refused is not None:
            return refused
        try:
            keys = [] if update.is_full else [entry.id_token.typed_key for entry in update.entries]
            held = await self._store.held(keys)
            change = change_by(update, self._standing, held, limits, keeps_version=keeps_version)
            if isinstance(change, ListChange):
                await self._store.apply(change)
                self._standing = await self._store.standing()
        except StoreError as error:
            self._core.store_failed(error)
            return ListAnswer(ListVerdict.FAILED, reasons.NOT_STORED)
        return change

    # --- conflicts -------------------------------------------------------------------------------------

    def compare(self, id_token: IdToken, listed: IdTokenInfo, answer: IdTokenInfo) -> None:
        """The CSMS spoke of a listed token. A contradiction is told, each one anew (R16-086)."""
        self._conflicts.pop(id_token.key, None)
        if contradicts(listed, answer, self._core.clock.now()):
            said = f"{id_token.shown}: {listed.status} here, {answer.status} there"
            self._conflicts[id_token.key] = said
        self._show_conflicts()

    def _forget_conflicts(self, update: UpdateLocalList) -> None:
        if update.is_full:
            self._conflicts.clear()
        for entry in update.entries:
            self._conflicts.pop(entry.id_token.key, None)
        self._show_conflicts()

    def _show_conflicts(self) -> None:
        if self._conflicts:
            self._core.warn(LOCAL_LIST_CONFLICT, next(reversed(self._conflicts.values())))
        else:
            self._core.clear_fault(LOCAL_LIST_CONFLICT)

    def _on_setting(self, name: str, _value: str) -> None:
        """A list that nobody looks at contradicts nobody."""
        if name == _SWITCH:
            self._conflicts.clear()
            self._show_conflicts()


def _figures(standing: Standing) -> tuple[int, int]:
    return standing.version, standing.length
