"""Server-sent events: one bounded queue per listener, ended when the server closes.

A listener that does not read loses its connection, never the agent's memory. Used by `station_api.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

KEEP_ALIVE_S = 15.0
QUEUE_LENGTH = 1000
WRITE_S = 20.0

Publish = Callable[[str, int, object], None]
"""(event, id, content): bytes are JSON already; an empty event ends the stream. Never waits."""


class EventStreams:
    """The open streams of one server."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes | None]] = set()

    async def serve(
        self,
        request: web.Request,
        subscribe: Callable[[Publish], Awaitable[Callable[[], None]]],
    ) -> web.StreamResponse:
        """Send what is published to the listener given to `subscribe`, until one side closes."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_LENGTH)

        def publish(event: str, number: int, content: object) -> None:
            if not event:
                return self._cut(queue)
            text = content if isinstance(content, bytes) else msgspec.json.encode(content)
            text = b"id: %d\nevent: %s\ndata: %s\n\n" % (number, event.encode(), text)
            try:
                queue.put_nowait(text)
            except asyncio.QueueFull:
                self._cut(queue)

        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        stop = await subscribe(publish)
        self._queues.add(queue)
        try:
            await response.prepare(request)
            await _write(request, response, b": connected\n\n")
            while True:
                try:
                    async with asyncio.timeout(
                        KEEP_ALIVE_S
                    ):  # wait_for of Python 3.11 can lose a cancellation
                        text = await queue.get()
                except TimeoutError:
                    text = b": still here\n\n"
                if text is None:
                    return response
                await _write(request, response, text)
        except ConnectionError:
            return response
        finally:
            stop()
            self._queues.discard(queue)

    def close(self) -> None:
        """End all streams, after what waits in them."""
        for queue in self._queues:
            try:
                queue.put_nowait(None)
            except asyncio.QueueFull:
                self._cut(queue)

    def _cut(self, queue: asyncio.Queue[bytes | None]) -> None:
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)


async def _write(request: web.Request, response: web.StreamResponse, text: bytes) -> None:
    """Raises ConnectionError when the listener does not read."""
    try:
        async with asyncio.timeout(WRITE_S):
            await response.write(text)
    except TimeoutError as error:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionAbortedError("the listener does not read") from error
