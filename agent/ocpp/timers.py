"""Named one-shot timers of one owner: setting one again moves it, and none outlives `cancel_all`. Times in seconds."""

import asyncio
from collections.abc import Callable


class Timers:
    def __init__(self) -> None:
        self._handles: dict[str, asyncio.TimerHandle] = {}

    def set(self, name: str, after_s: float, act: Callable[[], None]) -> None:
        """Call `act` once, `after_s` from now."""
        self.cancel(name)

        def fire() -> None:
            self._handles.pop(name, None)
            act()

        self._handles[name] = asyncio.get_running_loop().call_later(after_s, fire)

    def cancel(self, name: str) -> None:
        handle = self._handles.pop(name, None)
        if handle is not None:
            handle.cancel()

    def cancel_all(self) -> None:
        for name in list(self._handles):
            self.cancel(name)

    def __contains__(self, name: str) -> bool:
        """Is it set and still to come?"""
        return name in self._handles
