"""The task supervisor: every background task has a name, an owner and a restart policy.

A crash is contained here and logged, the task starts again with a growing pause, and everything else goes on:
protocol, web and vendor code never take the power path down. A task that hangs is a crash, too: it says itself, on its
`Pulse`, when its next step is due. This and the CLI are the only places with `except Exception`. Built by
`agent/app.py`; knows nothing of what the tasks do.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import Enum

log = logging.getLogger(__name__)

TaskBody = Callable[[], Awaitable[None]]


class Restart(Enum):
    ON_CRASH = "on_crash"
    """A crash starts it again; a return is its end."""
    ALWAYS = "always"
    """It must not end: a return is treated as a crash."""
    NEVER = "never"
    """A crash is logged (and told to `on_crash`), and that is the end."""


class Pulse:
    """What a task says of its own next step, so that its supervisor can tell waiting from hanging.

    Between two words of the task nothing is late; a task that rests may rest for ever."""

    def __init__(self) -> None:
        self._due_time: float | None = None
        self._limit_s = 0.0
        self._may_wait: Callable[[], bool] | None = None

    def within(self, limit_s: float, may_wait: Callable[[], bool] | None = None) -> None:
        """The next word comes within `limit_s`; later only as long as `may_wait()` is true then."""
        self._due_time = asyncio.get_running_loop().time() + limit_s
        self._limit_s = limit_s
        self._may_wait = may_wait

    def rest(self) -> None:
        """Waiting for something that may never come."""
        self._due_time = None

    def is_late(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._due_time is None or now < self._due_time:
            return False
        if self._may_wait is not None and self._may_wait():
            self._due_time = now + self._limit_s
            return False
        return True


CHECK_S = 10.0
"""How often a pulse is felt."""
LET_GO_S = 15.0
"""How long a task that hung may take to end."""


class Supervisor:
    """Owns tasks; `close` ends them in reverse order of their start. Times in seconds."""

    def __init__(
        self,
        *,
        first_pause_s: float = 0.5,
        longest_pause_s: float = 60.0,
        steady_s: float = 300.0,
        on_crash: Callable[[str, Exception], None] | None = None,
    ) -> None:
        """`steady_s`: a task that ran this long before it crashed starts with the first pause again."""
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._steady_s = steady_s
        self._on_crash = on_crash
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._crashes: dict[str, int] = {}
        self._stuck: set[str] = set()

    def start(
        self, name: str, body: TaskBody, restart: Restart = Restart.ON_CRASH, pulse: Pulse | None = None
    ) -> asyncio.Task[None]:
        """Run `body` as task `name` until `close`; one that is late on its `pulse` is ended, as if it had crashed.

        Raises ValueError when a task of that name runs already."""
        if name in self._tasks and not self._tasks[name].done():
            raise ValueError(f"a task named {name} runs already")
        if pulse is not None:
            hanging_body, felt = body, pulse
            body = lambda: self._feel(name, hanging_body, felt)  # noqa: E731 - one more layer, same shape
        task = asyncio.get_running_loop().create_task(self._supervise(name, body, restart), name=name)
        self._tasks.pop(name, None)  # so that a restarted name is the latest in the order of ending
        self._tasks[name] = task
        return task

    async def stop(self, name: str) -> None:
        """End one task and wait until it has ended; no task of that name is fine."""
        task = self._tasks.pop(name, None)
        if task is not None:
            await _end(task)

    async def close(self) -> None:
        """End all tasks, the latest first, each only after the one before has ended."""
        while self._tasks:
            _name, task = self._tasks.popitem()
            await _end(task)

    def crashes(self) -> dict[str, int]:
        """How often each task crashed since its start; tasks that never did are not in it."""
        return dict(self._crashes)

    def stuck(self) -> list[str]:
        """Tasks that hang and cannot even be ended: only a new process helps."""
        return sorted(self._stuck)

    async def _feel(self, name: str, body: TaskBody, pulse: Pulse) -> None:
        """Run `body`; raises TimeoutError once it was late and has been ended."""
        pulse.rest()
        task = asyncio.ensure_future(body())
        try:
            while not task.done():
                await asyncio.wait([task], timeout=CHECK_S)
                if not task.done() and pulse.is_late():
                    log.error("%s hangs and is ended", name)
                    await self._let_go(name, task)
                    raise TimeoutError(f"{name} gave no sign of life in time")
        finally:
            if not task.done():
                await _end(task)
        await task

    async def _let_go(self, name: str, task: asyncio.Future[None]) -> None:
        """A second one beside it would use the same things: one that does not end keeps its place."""
        task.cancel()
        await asyncio.wait([task], timeout=LET_GO_S)
        if not task.done():
            log.critical("%s hangs and cannot be ended", name)
            self._stuck.add(name)
            await asyncio.wait([task])
            self._stuck.discard(name)
        if not task.cancelled() and task.exception() is not None:
            log.debug("%s ended with %r", name, task.exception())

    async def _supervise(self, name: str, body: TaskBody, restart: Restart) -> None:
        loop = asyncio.get_running_loop()
        pause_s = self._first_pause_s
        while True:
            started_time = loop.time()
            try:
                await body()
                if restart is not Restart.ALWAYS:
                    return
                log.error("%s ended, which it never should", name)
            except Exception as error:
                self._crashes[name] = self._crashes.get(name, 0) + 1
                log.exception("%s crashed", name)
                if _is_being_ended():
                    return
                if self._on_crash is not None:
                    self._on_crash(name, error)
                if restart is Restart.NEVER:
                    return
            if loop.time() - started_time >= self._steady_s:
                pause_s = self._first_pause_s
            log.warning("%s starts again in %.1f s", name, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, self._longest_pause_s)


async def _end(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _is_being_ended() -> bool:
    """Whether the crash came out of a task that was told to end: then it must not start again."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
