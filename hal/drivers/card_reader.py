"""What all card readers on serial lines share: whose cards they are, one call per presentation, and who listens.

A card that lies on the reader is read many times a second, and is presented once; it may be presented again after it
was gone for a while. One that lay there when the reader was lost, and lies there when it is back, is the same one
still: a loose cable must not end the charging. The readers themselves are rdm6300_reader.py and pn532_reader.py.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

log = logging.getLogger("hal.reader")

CardListener = Callable[[str, str], None]
OnHealth = Callable[[str | None], None]
"""Called with what is wrong with the reader, or None when it works (again)."""


@dataclass(slots=True)
class CardPresence:
    """Which cards lie on the reader. Pure: the time is told."""

    gone_after_s: float
    """A card that was not read for so long has been taken away."""
    _seen_time: dict[str, float] = field(default_factory=dict)

    def is_new(self, uid: str, now: float) -> bool:
        """The card was read at `now`: is it presented anew?"""
        lying = {known: time for known, time in self._seen_time.items() if now - time <= self.gone_after_s}
        is_new = uid not in lying
        lying[uid] = now
        self._seen_time = lying
        return is_new

    def blind(self, now: float) -> None:
        """Nothing could be read at `now`: whatever lay on the reader may lie there still."""
        for uid, time in self._seen_time.items():
            if now - time <= self.gone_after_s:
                self._seen_time[uid] = now

    def lose(self, now: float) -> None:
        """Nothing can be read from `now` on, until `regain`."""
        self._seen_time = {
            uid: math.inf for uid, time in self._seen_time.items() if now - time <= self.gone_after_s
        }

    def regain(self, now: float) -> None:
        """Cards can be read again: those that lay there at the loss count as just seen."""
        self._seen_time = {uid: min(time, now) for uid, time in self._seen_time.items()}


class CardDesk:
    """The listeners of one reader, and the EVSEs that it serves."""

    def __init__(self, evse_ids: Sequence[int], gone_after_s: float) -> None:
        self.evse_ids = tuple(evse_ids)
        self._presence = CardPresence(gone_after_s)
        self._listeners: list[CardListener] = []

    def subscribe(self, listener: CardListener) -> Callable[[], None]:
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def read(self, uid: str, token_type: str, now: float) -> None:
        """A card was read, perhaps again."""
        if self._presence.is_new(uid, now):
            for listener in tuple(self._listeners):
                listener(uid, token_type)

    def blind(self, now: float) -> None:
        self._presence.blind(now)

    def lose(self, now: float) -> None:
        """The reader is lost or could not be opened, perhaps again."""
        self._presence.lose(now)

    def regain(self, now: float) -> None:
        """The reader works, perhaps for the first time."""
        self._presence.regain(now)
