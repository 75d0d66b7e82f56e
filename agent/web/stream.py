"""Server-sent events: one bounded queue per listener, ended when the server closes.

A listener that does not read loses its connection, never the agent's memory. Used by `station_api.py`.
"""

import asyncio
from collections.abc import Callable

import msgspec
from aiohttp import web

KEEP_ALIVE_S = 15.0
QUEUE_LENGTH = 1000


class EventStreams:
    """The open streams of one server."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes | None]] = set()

    async def serve(
        self,
        request: web.Request,
        subscribe: Callable[[Callable[[str, int, object], None]], Callable[[], None]],
    ) -> web.StreamResponse:
        """Send what is published to the listener `(event, id, content)` given to `subscribe`, until one side closes."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_LENGTH)

        def publish(event: str, number: int, content: object) -> None:
            text = b"id: %d\nevent: %s\ndata: %s\n\n" % (number, event.encode(), msgspec.json.encode(content))
            try:
                queue.put_nowait(text)
            except asyncio.QueueFull:
                self._cut(queue)

        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        self._queues.add(queue)
        stop = subscribe(publish)
        try:
            await response.prepare(request)
            await response.write(b": connected\n\n")
            while True:
                try:
                    text = await asyncio.wait_for(queue.get(), KEEP_ALIVE_S)
                except TimeoutError:
                    text = b": still here\n\n"
                if text is None:
                    return response
                await response.write(text)
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
