"""Frames to the socket in order, written at once: the caller need not be a task and never waits.

aiohttp's sends are coroutines that write first and wait afterwards, and only when the socket's buffer is full. So a
send is driven by hand to its end, which costs no task and no turn of the loop; one that has to wait is finished by a
task, and what comes meanwhile queues behind it. A queue drained by a task measures the same (both within a tenth of a
bare aiohttp client on uvloop) but could not tell the caller that the connection is gone. Called by `link`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import aiohttp

from agent.errors import LinkClosed

Send = Coroutine[Any, Any, None]


class _Resumed:
    """The rest of a coroutine that was driven to its first wait, as something to await."""

    def __init__(self, send: Send, waits_for: Any) -> None:
        self._send = send
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._waits_for
        try:
            while True:
                try:
                    woken_with = yield waits_for
                except BaseException as error:  # a cancellation is the coroutine's to handle
                    waits_for = self._send.throw(error)
                else:
                    waits_for = self._send.send(woken_with)
        except StopIteration:
            return


class FrameSender:
    """The sending half of one connection."""

    def __init__(self, on_stuck: Callable[[], None], backlog_limit_bytes: int) -> None:
        self._on_stuck = on_stuck
        self._backlog_limit_bytes = backlog_limit_bytes
        self._backlog: deque[Send] = deque()
        self._backlog_bytes = 0
        self._finisher: asyncio.Task[None] | None = None

    def send(self, send: Send, size: int = 0) -> None:
        """Write one frame; raises LinkClosed if the transport is gone.

        A peer that stops reading costs at most `backlog_limit_bytes` here; then `on_stuck` is called.
        """
        if self._finisher is not None:
            self._backlog.append(send)
            self._backlog_bytes += size
            if self._backlog_bytes > self._backlog_limit_bytes:
                self._on_stuck()
            return
        try:
            waits_for = send.send(None)
        except StopIteration:
            return
        except (aiohttp.ClientError, OSError) as error:
            raise LinkClosed(str(error)) from error
        self._finisher = asyncio.ensure_future(self._finish(_Resumed(send, waits_for)))

    async def close(self) -> None:
        """Drop what could not be written."""
        if self._finisher is not None:
            self._finisher.cancel()
            await asyncio.wait({self._finisher})
        for send in self._backlog:
            send.close()
        self._backlog.clear()

    async def _finish(self, first: _Resumed) -> None:
        try:
            await first
            while self._backlog:
                await self._backlog.popleft()
        except (aiohttp.ClientError, OSError):
            return  # the reading half finds the same loss and reports it
        finally:
            self._backlog_bytes = 0
            self._finisher = None
