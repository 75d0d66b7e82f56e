"""A loop whose clock jumps to the next timer, so that an hour of charging passes in a blink.

Real files, sockets on loopback and executor threads still work: while one of them has something to say, or
an executor job is under way, time stands still and the loop waits for it. When every task waits and there
is neither a timer nor real work, the test can never go on: that raises `Deadlock` instead of hanging.
"""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

REAL_WAIT_S = 10.0
"""How long real work (a thread, a socket) may take before the test is called stuck."""


class Deadlock(RuntimeError):
    """Every task waits and nothing can ever wake one."""


class _VirtualSelector(selectors.DefaultSelector):
    """Polls real descriptors; instead of waiting for a timer it moves the loop's clock there."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: VirtualTimeLoop | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        loop = self.loop
        if ready or loop is None or (timeout is not None and timeout <= 0):
            return ready
        if loop.real_jobs > 0 or timeout is None:
            ready = super().select(REAL_WAIT_S)
            if not ready:
                raise Deadlock("every task waits and no timer, thread or socket can wake one")
            return ready
        loop.advance(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on virtual time, starting at 1000 s so that a zero is noticed."""

    def __init__(self) -> None:
        self._virtual_time = 1000.0
        self.real_jobs = 0
        selector = _VirtualSelector()
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        return self._virtual_time

    def advance(self, seconds: float) -> None:
        # A hair more than asked: the loop compares timers with a clock of finite resolution.
        self._virtual_time += seconds + 1e-9

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        self.real_jobs += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _future: asyncio.Future[Any]) -> None:
        self.real_jobs -= 1
