"""Named one-shot timers of one owner: setting one again moves it, and none outlives `cancel_all`. Times in seconds.

A message timeout is set and cancelled with every call, but hardly ever comes due. So a timer of the loop is kept
when it is cancelled or moved later, and looks at its deadline when it fires: that spares two loop timers a message.
"""

import asyncio
from collections.abc import Callable


class _Timer:
    __slots__ = ("act", "due_time", "handle")

    def __init__(self) -> None:
        self.due_time = 0.0
        self.act: Callable[[], None] | None = None
        self.handle: asyncio.TimerHandle | None = None


class Timers:
    def __init__(self) -> None:
        self._timers: dict[str, _Timer] = {}

    def set(self, name: str, after_s: float, act: Callable[[], None]) -> None:
        """Call `act` once, `after_s` from now."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(name)
        if timer is None:
            timer = self._timers[name] = _Timer()
        timer.act = act
        timer.due_time = loop.time() + after_s
        if timer.handle is not None:
            if timer.handle.when() <= timer.due_time:
                return
            timer.handle.cancel()
        timer.handle = loop.call_at(timer.due_time, self._fire, timer)

    def _fire(self, timer: _Timer) -> None:
        act, timer.handle = timer.act, None
        if act is None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < timer.due_time:
            timer.handle = loop.call_at(timer.due_time, self._fire, timer)
            return
        timer.act = None
        act()

    def cancel(self, name: str) -> None:
        timer = self._timers.get(name)
        if timer is not None:
            timer.act = None

    def cancel_all(self) -> None:
        for timer in self._timers.values():
            if timer.handle is not None:
                timer.handle.cancel()
        self._timers.clear()

    def __contains__(self, name: str) -> bool:
        """Is it set and still to come?"""
        timer = self._timers.get(name)
        return timer is not None and timer.act is not None
