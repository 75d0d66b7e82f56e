"""/api/v1: what the station is, what happens, what was said, and two commands.

Reads snapshots and passes commands on; decides nothing. The contract is docs/local-api.md. Routes are merged
by `server.py`.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from aiohttp import web

from agent.charging.facts import Fact
from agent.charging.profiles import ChargingSchedule, LimitOrigin, SchedulePeriod
from agent.charging.requests import (
    Answer,
    CertificateHash,
    LiftExternalLimit,
    LimitExternally,
    Request,
    TransferData,
    TransferResult,
    Verdict,
)
from agent.errors import CallRejected, CallTimeout, LinkClosed, LocalProtocolError, StoreError
from agent.log import MessageEntry
from agent.web.bodies import (
    CertificateStatusBody,
    DataTransferBody,
    ExternalLimitBody,
    LimitPeriod,
    LinkCommand,
    Refusal,
    json_response,
    read_body,
)
from agent.web.ports import ApiPorts
from agent.web.status import external_limits_json, status_json
from agent.web.stream import EventStreams

BLOCK_BYTES = 64 * 1024
Publish = Callable[[str, int, object], None]


class StationApi:
    """Handlers of /api/v1."""

    def __init__(self, ports: ApiPorts, streams: EventStreams) -> None:
        self._ports = ports
        self._streams = streams

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/status", self.status),
            web.get("/api/v1/events", self.events),
            web.get("/api/v1/messages", self.messages),
            web.get("/api/v1/diagnostics", self.diagnostics),
            web.get("/api/v1/doctor", self.doctor),
            web.post("/api/v1/link", self.link),
            web.post("/api/v1/data-transfer", self.data_transfer),
            web.post("/api/v1/certificate-status", self.certificate_status),
            web.get("/api/v1/external-limits", self.external_limits),
            web.put("/api/v1/external-limits/{origin}", self.limit_externally),
            web.delete("/api/v1/external-limits/{origin}", self.lift_external_limit),
        ]

    async def status(self, _request: web.Request) -> web.Response:
        ports = self._ports
        return json_response(
            status_json(
                ports.about,
                ports.station.snapshot(),
                ports.csms,
                outbox_depth=await ports.outbox_depth(),
                board_firmware=ports.board_firmware(),
                outputs=ports.outputs(),
                crashes=ports.crashes(),
                now_time=ports.time(),
            )
        )

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Facts as they happen; `event` is the name of the fact."""

        def subscribe(publish: Publish) -> Callable[[], None]:
            count = 0

            def on_fact(fact: Fact) -> None:
                nonlocal count
                count += 1
                name = type(fact).__name__
                publish(name, count, {"fact": name, **msgspec.to_builtins(fact)})

            return self._ports.station.subscribe(on_fact)

        return await self._streams.serve(request, subscribe)

    async def messages(self, request: web.Request) -> web.StreamResponse:
        """The latest OCPP messages; with follow=true as a stream that begins with them."""
        action = request.query.get("action")
        limit = _number(request, "limit")
        after = _number(request, "after") or 0
        journal = self._ports.messages
        if request.query.get("follow") not in ("true", "1"):
            return json_response(
                {
                    "messages": [
                        asdict(entry) for entry in journal.entries(after=after, action=action, limit=limit)
                    ]
                }
            )

        def subscribe(publish: Publish) -> Callable[[], None]:
            shown = after

            def show(entries: list[MessageEntry]) -> None:
                nonlocal shown
                for entry in entries:
                    publish("message", entry.number, asdict(entry))
                shown = journal.count

            show(journal.entries(after=after, action=action, limit=limit))
            return journal.subscribe(lambda: show(journal.entries(after=shown, action=action)))

        return await self._streams.serve(request, subscribe)

    async def diagnostics(self, request: web.Request) -> web.StreamResponse:
        """The archive that GetDiagnostics would upload. Query: oldest, latest (ISO 8601; without a zone UTC)."""
        make = self._ports.diagnostics
        if make is None:
            raise Refusal(404, "this station makes no diagnostics")
        try:
            path = await make(_time(request, "oldest"), _time(request, "latest"))
            # Gone from the directory at once, and from the disk when the last byte is read or the client leaves.
            file = await asyncio.to_thread(_take, path)
        except (OSError, StoreError) as error:
            raise Refusal(500, f"the archive cannot be made: {error}") from error
        with file:
            response = web.StreamResponse(headers={"Content-Type": "application/gzip"})
            response.headers["Content-Disposition"] = f'attachment; filename="{path.name}"'
            await response.prepare(request)
            while block := await asyncio.to_thread(file.read, BLOCK_BYTES):
                await response.write(block)
        return response

    async def doctor(self, _request: web.Request) -> web.Response:
        """How board, meters, store and connection stand, beside the status: for `evse-agent doctor`."""
        report = self._ports.self_report
        if report is None:
            raise Refusal(404, "this station reports nothing about itself")
        return json_response(dict(await report()))

    async def external_limits(self, _request: web.Request) -> web.Response:
        """What others than the CSMS have limited the station to."""
        return json_response({"external_limits": external_limits_json(self._ports.station.snapshot())})

    async def limit_externally(self, request: web.Request) -> web.Response:
        origin = _origin(request)
        body = await read_body(request, ExternalLimitBody)
        schedule = _schedule(body)
        await self._have("external limit", LimitExternally(origin, schedule, body.is_grid_critical), origin)
        return await self.external_limits(request)

    async def lift_external_limit(self, request: web.Request) -> web.Response:
        origin = _origin(request)
        await self._have("external limit lifted", LiftExternalLimit(origin), origin)
        return await self.external_limits(request)

    async def _have(self, action: str, order: Request, origin: LimitOrigin) -> None:
        """The station's word, and an audit row of it. Raises Refusal for a no."""
        answer = await self._ports.station.execute(order)
        assert isinstance(answer, Answer)
        await self._ports.note_action(action, 0, answer.verdict, f"{origin} {answer.reason}".strip())
        if answer.verdict is Verdict.UNKNOWN:
            raise Refusal(404, answer.reason)
        if answer.verdict is not Verdict.ACCEPTED:
            raise Refusal(409, answer.reason)

    async def link(self, request: web.Request) -> web.Response:
        body = await read_body(request, LinkCommand)
        if body.command == "connect":
            self._ports.csms.connect()
        else:
            self._ports.csms.disconnect()
        return json_response({"command": body.command})

    async def data_transfer(self, request: web.Request) -> web.Response:
        """To the CSMS and back; or, with "to": "station", to the vendor commands of this station."""
        body = await read_body(request, DataTransferBody)
        try:
            if body.to == "station":
                result: Any = await self._ports.station.execute(
                    TransferData(body.vendor_id, body.message_id, body.data, source="local")
                )
            else:
                with _asking_the_csms():
                    result = await self._ports.csms.transfer_data(body.vendor_id, body.message_id, body.data)
        except RuntimeError as error:
            raise Refusal(500, str(error)) from error
        assert isinstance(result, TransferResult)
        return json_response({"status": result.status, "data": result.data, "reason": result.reason})

    async def certificate_status(self, request: web.Request) -> web.Response:
        """What the authority of a certificate says of it, by way of the CSMS (2.0.1 M06)."""
        body = await read_body(request, CertificateStatusBody)
        wanted = CertificateHash(
            body.hash_algorithm, body.issuer_name_hash, body.issuer_key_hash, body.serial_number
        )
        with _asking_the_csms():
            response = await self._ports.csms.certificate_status(wanted, body.responder_url)
        return json_response({"status": "Failed" if response is None else "Accepted", "ocsp": response})


@contextmanager
def _asking_the_csms() -> Iterator[None]:
    """The answers of HTTP for what can go wrong."""
    try:
        yield
    except LinkClosed as error:
        raise Refusal(503, f"offline: {error}") from error
    except CallTimeout as error:
        raise Refusal(504, f"the CSMS did not answer: {error}") from error
    except CallRejected as error:
        raise Refusal(502, f"the CSMS answered with an error: {error}") from error
    except LocalProtocolError as error:
        raise Refusal(501, str(error)) from error


def _origin(request: web.Request) -> LimitOrigin:
    """Of the path; the CSMS sets its limits itself (2.0.1 K11.FR.05)."""
    known = {each.value.casefold(): each for each in LimitOrigin if each is not LimitOrigin.CSO}
    origin = known.get(request.match_info["origin"].casefold())
    if origin is None:
        raise Refusal(404, f"must be one of {', '.join(known.values())}", "origin")
    return origin


def _schedule(body: ExternalLimitBody) -> ChargingSchedule:
    """Raises Refusal(400) unless there is exactly one of limit and periods."""
    if (body.limit is None) is (body.periods is None):
        raise Refusal(400, "either a limit or periods", "limit")
    periods = [LimitPeriod(limit=body.limit)] if body.limit is not None else body.periods or []
    at = body.starts_at
    return ChargingSchedule(
        body.unit,
        tuple(SchedulePeriod(each.start_s, each.limit, each.phases) for each in periods),
        body.duration_s,
        at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at,
        schedule_id=1,
    )


def _take(path: Path) -> BinaryIO:
    file = path.open("rb")
    path.unlink()
    return file


def _time(request: web.Request, name: str) -> datetime | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refusal(400, "must be a time like 2026-01-31T12:00:00Z", name) from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise Refusal(400, "must be a whole number", name)
    return int(text)
