"""What every request passes before and after its handler: who asks and may they, the query, the audit row.

Makes aiohttp routes of `Endpoint`s, so that no request can be served without. Decides nothing about people: that is
`access.py`. Called by `server.py`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from agent.errors import StoreError
from agent.log_fields import about
from agent.web.attempts import origin_of
from agent.web.bodies import NoQuery, Refusal, read_query
from agent.web.endpoints import CALLER, NOTE, AuditNote, Endpoint, Handler
from agent.web.roles import Caller, Role

log = logging.getLogger(__name__)

STREAMS_MOST = 100
STREAMS_PER_CLIENT = 40
DETAIL_LONGEST = 300
ROWS_AT_ONCE = 30
ROW_EVERY_S = 60.0
NoteAction = Callable[[str, str, int, str, str], Awaitable[None]]


class Gate:
    """`who` tells the caller of a request; it raises Refusal for one that is not let in at all."""

    def __init__(self, who: Callable[[web.Request, Endpoint], Caller], note_action: NoteAction) -> None:
        self._who = who
        self._note_action = note_action
        self._streams: dict[int, tuple[web.Request, Endpoint, Caller]] = {}
        self._rows = _RowsOfOutsiders()

    def routes(self, endpoints: Sequence[Endpoint]) -> list[web.RouteDef]:
        return [web.route(each.method, each.path, self._guarded(each)) for each in endpoints]

    def _guarded(self, endpoint: Endpoint) -> Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            caller = request[CALLER] = self._who(request, endpoint)
            if caller.role < endpoint.role:
                await self._refuse(endpoint, request, caller)
            if endpoint.query is None:
                read_query(request, NoQuery)
            if endpoint.is_open_ended:
                return await self._streamed(endpoint, request, caller)
            if not endpoint.is_action:
                return await endpoint.handler(request)
            return await self._audited(endpoint, request, caller)

        return serve

    async def _streamed(self, endpoint: Endpoint, request: web.Request, caller: Caller) -> web.StreamResponse:
        """A stream holds memory for as long as its client likes: nobody gets them all."""
        client = origin_of(caller.address)
        own = sum(origin_of(each.address) == client for _, _, each in self._streams.values())
        if own >= STREAMS_PER_CLIENT or len(self._streams) >= STREAMS_MOST:
            raise Refusal(429, "too many streams are open", headers={"Retry-After": "10"})
        self._streams[id(request)] = request, endpoint, caller
        try:
            return await endpoint.handler(request)
        finally:
            del self._streams[id(request)]

    def end_stale_streams(self) -> None:
        """Cut those whose session, token or password is no longer good; a session with an open stream is in use."""
        for request, endpoint, _ in list(self._streams.values()):
            try:
                may_stay = self._who(request, endpoint).role >= endpoint.role
            except Refusal:
                may_stay = False
            if not may_stay and request.transport is not None:
                request.transport.abort()

    async def _refuse(self, endpoint: Endpoint, request: web.Request, caller: Caller) -> None:
        if caller.role is Role.NOBODY:
            raise Refusal(401, "log in, or give a token", headers={"WWW-Authenticate": "Bearer"})
        needed = f"needs the role {endpoint.role.word}, this is a {caller.role.word}"
        if endpoint.method != "GET":
            await self._note(endpoint, caller, AuditNote(detail=request.path), needed)
        raise Refusal(403, needed)

    async def _audited(self, endpoint: Endpoint, request: web.Request, caller: Caller) -> web.StreamResponse:
        """A row for what was done, and for what was understood (`endpoints.note`) and refused."""
        try:
            response = await endpoint.handler(request)
        except Exception as error:
            noted = request.get(NOTE)
            if noted is not None:
                await self._note(endpoint, caller, noted, noted.outcome or f"refused: {error}")
            raise
        noted = request.get(NOTE)
        if noted is None:
            if caller.role is Role.NOBODY:  # who logs out without being in has done nothing
                return response
            noted = AuditNote()
        await self._note(endpoint, caller, noted, noted.outcome or "ok")
        return response

    async def _note(self, endpoint: Endpoint, caller: Caller, noted: AuditNote, outcome: str) -> None:
        if caller.role < Role.OPERATOR and not noted.is_kept:
            left_out = self._rows.take(asyncio.get_running_loop().time())
            if left_out is None:
                return
            outcome += f" ({left_out} more were not written)" if left_out else ""
        detail, outcome = _one_line(noted.detail), _one_line(outcome)
        what = f"{endpoint.summary} {detail}".rstrip()
        with about(evse_id=noted.evse_id or None):
            log.info("%s: %s: %s", caller.source, what, outcome)
        try:
            await self._note_action(caller.source, endpoint.summary, noted.evse_id, outcome, detail)
        except StoreError:
            log.exception("the audit row of %s could not be stored", endpoint.summary)


class _RowsOfOutsiders:
    """How many audit rows those who may only look can cause: some at once, then one a minute. A row is a commit on the
    disk that charging uses, and the oldest rows make room for new ones: neither is for them to use up."""

    def __init__(self) -> None:
        self._left = float(ROWS_AT_ONCE)
        self._time: float | None = None
        self._left_out = 0

    def take(self, now_time: float) -> int | None:
        """How many were left out before this row; None: this one is left out, too."""
        if self._time is not None:
            self._left = min(ROWS_AT_ONCE, self._left + (now_time - self._time) / ROW_EVERY_S)
        self._time = now_time
        if self._left < 1:
            self._left_out += 1
            return None
        self._left -= 1
        left_out, self._left_out = self._left_out, 0
        return left_out


def _one_line(text: str) -> str:
    """Clients choose parts of it: no line of theirs may look like one of the log, nor fill the table."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:DETAIL_LONGEST])
