"""/api/v1/sessions: what was charged, when and by whom, and how power, current and offer went.

Answers come from the recorder (`ports.sessions`), running sessions included. Who charged is personal data: a viewer
sees the end of a token only, an operator all of it; a key code is shown to nobody. Contract: docs/sessions.md.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from agent.charging.ids import IdTokenType, StopReason
from agent.charging.recording import RecordedSession, SessionCurve, SessionQuery, SessionSample
from agent.errors import StoreError
from agent.web.bodies import Refusal, read_query
from agent.web.endpoints import Endpoint, caller_of
from agent.web.ports import ApiPorts, SessionsPort
from agent.web.roles import Role
from agent.web.shown_tokens import shown_or_none

LONG = 250
"""Rows from which on a list is a long one: built and sent few at a time, since each takes megabytes."""
LONG_AT_ONCE = 2
LONG_S = 60.0
"""How long a client may take to read a long one while others wait."""

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class SessionsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """ISO 8601; without a zone UTC."""

    since: Time | None = None
    until: Time | None = None
    evse: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 100


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction; times in seconds. A running one has no stop, and the energy of its last reading."""

    session_id: str
    evse_id: int
    connector_id: int
    is_running: bool
    started_at: datetime
    stopped_at: datetime | None
    duration_s: float
    id_token: str | None
    id_token_type: IdTokenType | None
    reference: str | None
    """What the CSMS calls the transaction."""
    energy_wh: float
    meter_start_wh: int
    meter_stop_wh: int | None
    stop_reason: StopReason | None
    charging_s: float
    suspended_ev_s: float
    suspended_evse_s: float
    max_power_w: float | None
    cost: str | None


class SampleShown(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    power_w: float | None
    current_a: tuple[float | None, float | None, float | None]
    offered_a: float
    energy_wh: float | None


class Sessions(msgspec.Struct, frozen=True):
    sessions: list[Session]
    """Newest first."""


class SessionWithSamples(Session, frozen=True, kw_only=True):
    pace_s: int
    """Seconds between two samples, as far as there is no gap."""
    samples: list[SampleShown]


class SessionsApi:
    """Handlers of /api/v1/sessions."""

    def __init__(self, ports: ApiPorts) -> None:
        self._ports = ports
        self._long_ones = asyncio.Semaphore(LONG_AT_ONCE)

    def endpoints(self) -> list[Endpoint]:
        unreadable = "what was recorded cannot be read"
        return [
            Endpoint(
                method="GET",
                path="/api/v1/sessions",
                handler=self.list_sessions,
                role=Role.VIEWER,
                summary="What was charged, newest first",
                query=SessionsQuery,
                answer=Sessions,
                errors={404: "this station records no sessions", 500: unreadable},
            ),
            Endpoint(
                method="GET",
                path="/api/v1/sessions/{session_id}",
                handler=self.show_session,
                role=Role.VIEWER,
                summary="One session with its samples",
                answer=SessionWithSamples,
                errors={404: "no such session", 500: unreadable},
            ),
        ]

    async def list_sessions(self, request: web.Request) -> web.Response:
        query = read_query(request, SessionsQuery)
        wanted = SessionQuery(
            since=_time(query.since, "since"),
            until=_time(query.until, "until"),
            evse_id=query.evse,
            limit=query.limit,
        )
        caller = caller_of(request)
        if query.limit <= LONG or caller.means == "socket":
            return await self._listed(wanted, caller.role)
        async with self._long_ones:
            response = await self._listed(wanted, caller.role)
            try:
                async with asyncio.timeout(LONG_S):
                    await response.prepare(request)
                    await response.write_eof()
            except TimeoutError:
                if request.transport is not None:
                    request.transport.abort()
        return response

    async def _listed(self, wanted: SessionQuery, role: Role) -> web.Response:
        try:
            sessions = await self._recorder().sessions(wanted)
        except StoreError as error:
            raise Refusal(500, str(error)) from error
        return await _response(lambda: {"sessions": [session_json(session, role) for session in sessions]})

    async def show_session(self, request: web.Request) -> web.Response:
        session_id = request.match_info["session_id"]
        try:
            curve = await self._recorder().session(session_id)
        except StoreError as error:
            raise Refusal(500, str(error)) from error
        if curve is None:
            raise Refusal(404, "there is no such session", "session_id")
        role = caller_of(request).role
        response = await _response(lambda: curve_json(curve, role))
        response.enable_compression()  # a long session is more than 100 kB of digits
        return response

    def _recorder(self) -> SessionsPort:
        if self._ports.sessions is None:
            raise Refusal(404, "this station records no sessions")
        return self._ports.sessions


async def _response(build: Callable[[], object]) -> web.Response:
    """Thousands of rows are built and encoded on a thread: the loop has a car to look after."""
    body = await asyncio.to_thread(lambda: msgspec.json.encode(build()) + b"\n")
    return web.Response(body=body, content_type="application/json")


def session_json(session: RecordedSession, role: Role = Role.INSTALLER) -> dict[str, Any]:
    """As `Session`; `role` says how much of the token is shown."""
    totals, token = session.totals, session.id_token
    return {
        "session_id": session.session_id,
        "evse_id": session.evse_id,
        "connector_id": session.connector_id,
        "is_running": session.is_running,
        "started_at": session.started_at,
        "stopped_at": session.stopped_at,
        "duration_s": round(session.duration_s, 1),
        "id_token": shown_or_none(token, role),
        "id_token_type": None if token is None else token.type,
        "reference": session.reference,
        "energy_wh": session.energy_wh,
        "meter_start_wh": session.meter_start_wh,
        "meter_stop_wh": session.meter_stop_wh,
        "stop_reason": session.stop_reason,
        "charging_s": round(totals.charging_s, 1),
        "suspended_ev_s": round(totals.suspended_ev_s, 1),
        "suspended_evse_s": round(totals.suspended_evse_s, 1),
        "max_power_w": totals.max_power_w,
        "cost": totals.cost,
    }


def curve_json(curve: SessionCurve, role: Role = Role.INSTALLER) -> dict[str, Any]:
    """As `SessionWithSamples`."""
    samples = [sample_json(sample) for sample in curve.samples]
    return {**session_json(curve.session, role), "pace_s": curve.pace_s, "samples": samples}


def sample_json(sample: SessionSample) -> dict[str, Any]:
    """As `SampleShown`."""
    return {
        "at": datetime.fromtimestamp(sample.at_ms / 1000, UTC),
        "power_w": sample.power_w,
        "current_a": sample.current_a,
        "offered_a": sample.offered_a,
        "energy_wh": sample.energy_wh,
    }


def _time(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Refusal(400, "must be a time like 2026-01-31T12:00:00Z", name) from error
