"""The task supervisor: every background task has a name, an owner and a restart policy.

A crash is contained here and logged, the task starts again with a growing pause, and everything else goes on:
protocol, web and vendor code never take the power path down. This and the CLI are the only places with
`except Exception`. Built by `agent/app.py`; knows nothing of what the tasks do.
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

    def start(self, name: str, body: TaskBody, restart: Restart = Restart.ON_CRASH) -> asyncio.Task[None]:
        """Run `body` as task `name` until `close`. Raises ValueError when a task of that name runs already."""
        if name in self._tasks and not self._tasks[name].done():
            raise ValueError(f"a task named {name} runs already")
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


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _is_being_ended() -> bool:
    """Whether the crash came out of a task that was told to end: then it must not start again."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
