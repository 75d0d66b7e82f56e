"""/api/v1/evses/...: what an operator may do at one EVSE, and what it may draw in the next hours.

Each answer says what really came of it, not only that it was asked for. Decides nothing: the station does. Contract:
docs/local-api.md. Endpoints are merged by `server.py`.
"""

import asyncio
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from agent.charging.facts import Fact, TransactionStopped
from agent.charging.ids import TransactionId
from agent.charging.requests import (
    Answer,
    ChangeAvailability,
    ComposeSchedule,
    CompositeSchedule,
    RequestStop,
    UnlockConnector,
    UnlockVerdict,
    Verdict,
)
from agent.charging.snapshot import EvseSnapshot
from agent.web.bodies import Nothing, Refusal, json_response, read_body, read_query
from agent.web.endpoints import Endpoint, note
from agent.web.ports import ApiPorts
from agent.web.roles import Role

DAY_S = 86_400
STOP_WAIT_S = 10.0
"""How long an answer waits for the end of a session."""
WORDS = {
    UnlockVerdict.UNLOCKED: "",
    UnlockVerdict.UNLOCK_FAILED: "the lock did not open",
    UnlockVerdict.NOT_SUPPORTED: "this cable is fixed",
    UnlockVerdict.UNKNOWN_CONNECTOR: "there is no such connector",
    UnlockVerdict.ONGOING_TRANSACTION: "a session runs",
}


class AvailabilityBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    is_operative: bool


class ScheduleQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    duration_s: Annotated[int, Meta(ge=1, le=7 * DAY_S)] = DAY_S


class AvailabilityChanged(msgspec.Struct):
    evse_id: int
    is_operative: bool
    """What was asked for."""
    is_scheduled: bool
    """It holds when the running session has ended."""


class SessionStopped(msgspec.Struct):
    transaction_id: str
    is_ended: bool
    """False: it was told to end and had not within 10 s."""


class CableUnlocked(msgspec.Struct):
    evse_id: int
    is_unlocked: bool
    reason: str


class EvseApi:
    """Handlers of /api/v1/evses."""

    def __init__(self, ports: ApiPorts) -> None:
        self._ports = ports

    def endpoints(self) -> list[Endpoint]:
        evse = "/api/v1/evses/{evse_id}"
        absent = {404: "no such EVSE"}
        return [
            Endpoint(
                method="GET",
                path=f"{evse}/schedule",
                handler=self.schedule,
                role=Role.VIEWER,
                summary="What may be drawn in the next hours, as steps",
                query=ScheduleQuery,
                answer=CompositeSchedule,
                errors={**absent, 409: "it cannot be told, with the reason"},
            ),
            Endpoint(
                method="PUT",
                path=f"{evse}/availability",
                handler=self.change_availability,
                role=Role.OPERATOR,
                summary="Take an EVSE in or out of service",
                body=AvailabilityBody,
                answer=AvailabilityChanged,
                errors={**absent, 409: "it cannot be changed, with the reason"},
            ),
            Endpoint(
                method="POST",
                path=f"{evse}/stop",
                handler=self.stop,
                role=Role.OPERATOR,
                summary="Stop a session",
                body=Nothing,
                answer=SessionStopped,
                errors={**absent, 409: "no session runs there"},
            ),
            Endpoint(
                method="POST",
                path=f"{evse}/unlock",
                handler=self.unlock,
                role=Role.OPERATOR,
                summary="Unlock a cable; a running session ends first",
                body=Nothing,
                answer=CableUnlocked,
                errors=absent,
            ),
        ]

    async def schedule(self, request: web.Request) -> web.Response:
        evse = self._evse(request)
        query = read_query(request, ScheduleQuery)
        found = await self._ports.station.execute(ComposeSchedule(evse.evse_id, 0, query.duration_s))
        if not isinstance(found, CompositeSchedule):
            assert isinstance(found, Answer)
            raise Refusal(409, found.reason)
        return json_response(found)

    async def change_availability(self, request: web.Request) -> web.Response:
        evse = self._evse(request)
        body = await read_body(request, AvailabilityBody)
        note(request, "in service" if body.is_operative else "out of service", evse_id=evse.evse_id)
        answer = await self._ports.station.execute(ChangeAvailability(evse.evse_id, 0, body.is_operative))
        assert isinstance(answer, Answer)
        if answer.verdict not in (Verdict.ACCEPTED, Verdict.SCHEDULED):
            raise Refusal(409, answer.reason)
        return json_response(
            AvailabilityChanged(evse.evse_id, body.is_operative, answer.verdict is Verdict.SCHEDULED)
        )

    async def stop(self, request: web.Request) -> web.Response:
        evse = self._evse(request)
        await read_body(request, Nothing)
        note(request, evse_id=evse.evse_id)
        if evse.transaction is None:
            raise Refusal(409, "no session runs there")
        transaction_id = evse.transaction.transaction_id
        note(request, transaction_id, evse_id=evse.evse_id)
        is_ended = await self._stopped(transaction_id)
        return json_response(SessionStopped(transaction_id, is_ended))

    async def _stopped(self, transaction_id: TransactionId) -> bool:
        """Ask for the end and wait for it. Raises Refusal(409)."""
        ended = asyncio.Event()

        def on_fact(fact: Fact) -> None:
            if isinstance(fact, TransactionStopped) and fact.transaction_id == transaction_id:
                ended.set()

        leave = self._ports.station.subscribe(on_fact)
        try:
            answer = await self._ports.station.execute(RequestStop(transaction_id, is_local=True))
            assert isinstance(answer, Answer)
            if answer.verdict is not Verdict.ACCEPTED:
                raise Refusal(409, answer.reason)
            async with asyncio.timeout(STOP_WAIT_S):
                await ended.wait()
        except TimeoutError:
            return False
        finally:
            leave()
        return True

    async def unlock(self, request: web.Request) -> web.Response:
        evse = self._evse(request)
        await read_body(request, Nothing)
        note(request, evse_id=evse.evse_id)
        verdict = await self._ports.station.execute(
            UnlockConnector(evse.evse_id, evse.connector_id, stop_transaction=True)
        )
        assert isinstance(verdict, UnlockVerdict)
        note(request, evse_id=evse.evse_id, outcome=verdict)
        return json_response(CableUnlocked(evse.evse_id, verdict is UnlockVerdict.UNLOCKED, WORDS[verdict]))

    def _evse(self, request: web.Request) -> EvseSnapshot:
        text = request.match_info["evse_id"]
        known = self._ports.station.snapshot().evses
        if not (text.isascii() and text.isdigit() and len(text) < 7) or int(text) not in known:
            raise Refusal(404, f"there is no EVSE {text}", "evse_id")
        return known[int(text)]
