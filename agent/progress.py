"""How far long operations are: uploads, downloads, installation. Without any OCPP version; for page and terminal.

Whoever works reports as often as it likes; listeners hear of a change of stage at once and of the rest twice a second.
Reporting never waits and never fails the work. Belongs to the event loop's thread. Shown by `agent/web` and
`evse-agent progress`.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from agent.terminal_progress import size_text

log = logging.getLogger(__name__)

GAP_S = 0.5
"""Between two words of one operation at the same stage."""
KEPT_S = 60.0
"""How long an operation that ended is still shown."""

Unit = Literal["B", "files", ""]
Outcome = Literal["running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` at one stage; `total` None: nobody knows, or there is nothing to count."""

    name: str
    """Which operation: "upload of CP001_log.gz"."""
    stage: str
    """What is done now, in a word or two: "uploading"."""
    done: int = 0
    total: int | None = None
    unit: Unit = ""
    outcome: Outcome = "running"
    detail: str = ""
    """Why it failed."""

    @property
    def share(self) -> float | None:
        """0 to 1."""
        return None if not self.total else min(1.0, self.done / self.total)

    @property
    def text(self) -> str:
        """For people: stage, amount and reason."""
        amount = ""
        if self.unit == "B" and (self.done or self.total):
            amount = size_text(self.done) + ("" if self.total is None else f" of {size_text(self.total)}")
        elif self.unit and self.total:
            amount = f"{self.done} of {self.total} {self.unit}"
        return ": ".join(part for part in (" ".join((self.stage, amount)).strip(), self.detail) if part)


Report = Callable[[Progress], None]


def report_nothing(_progress: Progress) -> None:
    """For work that nobody watches."""


class ProgressFeed:
    """All operations under way, and those that have just ended."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now` is monotonic, in seconds."""
        self._now = now
        self._latest: dict[str, tuple[float, Progress]] = {}
        """By name: when it was told, and what."""
        self._listeners: list[Report] = []

    def report(self, progress: Progress) -> None:
        """Take a word of an operation; listeners hear of it unless it is only a little further than the last."""
        now = self._now()
        told = self._latest.get(progress.name)
        is_news = told is None or _kind(told[1]) != _kind(progress) or now - told[0] >= GAP_S
        self._latest[progress.name] = (now if is_news or told is None else told[0], progress)
        if not is_news:
            return
        for listener in tuple(self._listeners):
            try:
                listener(progress)
            except Exception:
                log.exception("a listener failed on the progress of %s", progress.name)

    def end(self, name: str, outcome: Outcome, stage: str, detail: str = "") -> None:
        """The last word on an operation; one that was never heard of has none."""
        told = self._latest.get(name)
        if told is not None:
            self.report(replace(told[1], outcome=outcome, stage=stage, detail=detail))

    def current(self) -> list[Progress]:
        """Oldest first."""
        now = self._now()
        for name, (at, progress) in list(self._latest.items()):
            if progress.outcome != "running" and now - at > KEPT_S:
                del self._latest[name]
        return [progress for _at, progress in self._latest.values()]

    def subscribe(self, listener: Report) -> Callable[[], None]:
        """Returns the way to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


def _kind(progress: Progress) -> tuple[object, ...]:
    """What may not be kept back: another stage, the first amount, all of it done."""
    is_all = bool(progress.total) and progress.done == progress.total
    return progress.stage, progress.outcome, progress.unit, is_all
