"""/api/v1/events: the one stream that a page lives on.

On connect the whole status, then what changes. Contract: docs/local-api.md. What is told is decided in `live.py`,
how it is sent in `stream.py`. Endpoints are merged by `server.py`.
"""

from collections.abc import Callable

import msgspec
from aiohttp import web

from agent.web.bodies import read_query
from agent.web.endpoints import EVENT_STREAM, Endpoint, caller_of
from agent.web.live import LiveFeed
from agent.web.roles import Role
from agent.web.stream import EventStreams, Publish


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    messages: bool = False
    """OCPP messages, too: the latest, then each as it comes. A viewer gets none: tokens may stand anywhere in them."""


class EventsApi:
    """Handler of /api/v1/events."""

    def __init__(self, feed: LiveFeed, streams: EventStreams) -> None:
        self._feed = feed
        self._streams = streams

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/api/v1/events",
                handler=self.events,
                role=Role.VIEWER,
                summary="The status when it changes, and what happens, as it happens",
                query=EventsQuery,
                content_type=EVENT_STREAM,
                is_open_ended=True,
            ),
        ]

    async def events(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, EventsQuery)

        async def subscribe(publish: Publish) -> Callable[[], None]:
            return await self._feed.join(publish, caller_of(request).role, wants_messages=query.messages)

        return await self._streams.serve(request, subscribe)
