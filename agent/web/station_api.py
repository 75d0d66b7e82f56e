"""/api/v1: what the station is, what happens, what was said, and two commands.

Reads snapshots and passes commands on; decides nothing. The contract is docs/local-api.md. Endpoints are merged
by `server.py`.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from aiohttp import web

from agent.charging.certificates import CertificateHash
from agent.charging.profiles import ChargingSchedule, LimitOrigin, SchedulePeriod
from agent.charging.requests import (
    Answer,
    LiftExternalLimit,
    LimitExternally,
    Request,
    TransferData,
    TransferResult,
    Verdict,
)
from agent.errors import CallRejected, CallTimeout, LinkClosed, LocalProtocolError, StoreError
from agent.log import MessageEntry
from agent.web import answers
from agent.web.bodies import (
    CertificateStatusBody,
    DataTransferBody,
    EvseQuery,
    ExternalLimitBody,
    LimitPeriod,
    LinkCommand,
    MessagesQuery,
    PeriodQuery,
    Refusal,
    json_response,
    read_body,
    read_query,
)
from agent.web.endpoints import Endpoint, caller_of, note
from agent.web.ports import ApiPorts
from agent.web.roles import Role
from agent.web.status import external_limits_json, status_now
from agent.web.stream import EventStreams, Publish

BLOCK_BYTES = 64 * 1024
LOCAL_ORIGINS = [each for each in LimitOrigin if each is not LimitOrigin.CSO]
ONE_OF_LIMIT_AND_PERIODS = {
    "oneOf": [
        {"required": ["limit"], "properties": {"limit": {"type": "number"}, "periods": {"type": "null"}}},
        {"required": ["periods"], "properties": {"limit": {"type": "null"}, "periods": {"type": "array"}}},
    ]
}


class StationApi:
    """Handlers of /api/v1."""

    def __init__(self, ports: ApiPorts, streams: EventStreams) -> None:
        self._ports = ports
        self._streams = streams

    def endpoints(self) -> list[Endpoint]:
        return [*self._shown(), *self._archives(), *self._commands(), *self._external_limits()]

    def _shown(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/api/v1/status",
                handler=self.status,
                role=Role.VIEWER,
                summary="The station now",
                answer=answers.Status,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/messages",
                handler=self.messages,
                role=Role.OPERATOR,  # tokens may stand anywhere in them
                summary="The latest OCPP messages; with follow=true as a stream",
                query=MessagesQuery,
                answer=answers.Messages,
                is_open_ended=True,
            ),
        ]

    def _archives(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/api/v1/diagnostics",
                handler=self.diagnostics,
                role=Role.OPERATOR,
                summary="The archive that GetDiagnostics would upload",
                query=PeriodQuery,
                content_type="application/gzip",
                errors={404: "this station makes no diagnostics", 500: "the archive cannot be made"},
            ),
            Endpoint(
                method="GET",
                path="/api/v1/doctor",
                handler=self.doctor,
                role=Role.OPERATOR,
                summary="How board, meters, store and connection stand; reads every meter",
                answer=answers.Doctor,
                errors={404: "this station reports nothing about itself"},
            ),
        ]

    def _commands(self) -> list[Endpoint]:
        csms = {
            502: "the CSMS answered with an error",
            503: "offline",
            504: "the CSMS did not answer",
        }
        return [
            Endpoint(
                method="POST",
                path="/api/v1/link",
                handler=self.link,
                role=Role.INSTALLER,
                summary="Connect to the CSMS, or stay offline",
                body=LinkCommand,
                answer=answers.Command,
            ),
            Endpoint(
                method="POST",
                path="/api/v1/data-transfer",
                handler=self.data_transfer,
                role=Role.INSTALLER,
                summary="Send a vendor message",
                body=DataTransferBody,
                answer=answers.TransferAnswer,
                errors={500: "the vendor command failed", **csms},
            ),
            Endpoint(
                method="POST",
                path="/api/v1/certificate-status",
                handler=self.certificate_status,
                role=Role.INSTALLER,
                summary="Ask for the status of a certificate",
                body=CertificateStatusBody,
                answer=answers.CertificateStatus,
                errors={501: "not with this OCPP version", **csms},
            ),
        ]

    def _external_limits(self) -> list[Endpoint]:
        path = "/api/v1/external-limits"
        origin = {"origin": {"type": "string", "enum": [each.value for each in LOCAL_ORIGINS]}}
        return [
            Endpoint(
                method="GET",
                path=path,
                handler=self.external_limits,
                role=Role.VIEWER,
                summary="What others than the CSMS have limited the station to",
                answer=answers.ExternalLimits,
            ),
            Endpoint(
                method="PUT",
                path=f"{path}/{{origin}}",
                handler=self.limit_externally,
                role=Role.OPERATOR,
                summary="Set an external limit",
                body=ExternalLimitBody,
                body_rules=ONE_OF_LIMIT_AND_PERIODS,
                path_schemas=origin,
                answer=answers.ExternalLimits,
                errors={404: "no such origin or EVSE", 409: "not possible, with the reason"},
            ),
            Endpoint(
                method="DELETE",
                path=f"{path}/{{origin}}",
                handler=self.lift_external_limit,
                role=Role.OPERATOR,
                summary="Lift an external limit",
                query=EvseQuery,
                path_schemas=origin,
                answer=answers.ExternalLimits,
                errors={404: "there is none", 409: "not possible, with the reason"},
            ),
        ]

    async def status(self, request: web.Request) -> web.Response:
        return json_response(await status_now(self._ports, caller_of(request).role))

    async def messages(self, request: web.Request) -> web.StreamResponse:
        """The latest OCPP messages; with follow=true as a stream that begins with them."""
        query = read_query(request, MessagesQuery)
        find = partial(
            self._ports.messages.entries, action=query.action, direction=query.direction, text=query.text
        )
        journal, limit, after = self._ports.messages, query.limit, query.after
        if not query.follow:
            return json_response({"messages": [asdict(entry) for entry in find(after=after, limit=limit)]})

        async def subscribe(publish: Publish) -> Callable[[], None]:
            shown = after

            def show(entries: list[MessageEntry]) -> None:
                nonlocal shown
                for entry in entries:
                    publish("message", entry.number, asdict(entry))
                shown = journal.count

            show(find(after=after, limit=limit))
            return journal.subscribe(lambda: show(find(after=shown)))

        return await self._streams.serve(request, subscribe)

    async def diagnostics(self, request: web.Request) -> web.StreamResponse:
        """The archive that GetDiagnostics would upload. Query: oldest, latest (ISO 8601; without a zone UTC)."""
        query = read_query(request, PeriodQuery)
        make = self._ports.diagnostics
        if make is None:
            raise Refusal(404, "this station makes no diagnostics")
        try:
            path = await make(_time(query.oldest, "oldest"), _time(query.latest, "latest"))
            # Gone from the directory at once, and from the disk when the last byte is read or the client leaves.
            file = await asyncio.to_thread(_take, path)
        except (OSError, StoreError) as error:
            raise Refusal(500, f"the archive cannot be made: {error}") from error
        with file:
            response = web.StreamResponse(headers={"Content-Type": "application/gzip"})
            response.content_length = await asyncio.to_thread(lambda: os.fstat(file.fileno()).st_size)
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
        order = LimitExternally(origin, schedule, body.is_grid_critical, body.evse_id)
        await self._have(request, order, body.evse_id, origin)
        return await self.external_limits(request)

    async def lift_external_limit(self, request: web.Request) -> web.Response:
        origin = _origin(request)
        evse_id = read_query(request, EvseQuery).evse_id
        await self._have(request, LiftExternalLimit(origin, evse_id), evse_id, origin)
        return await self.external_limits(request)

    async def _have(self, request: web.Request, order: Request, evse_id: int, origin: LimitOrigin) -> None:
        """The station's word, noted for the audit. Raises Refusal for a no."""
        answer = await self._ports.station.execute(order)
        assert isinstance(answer, Answer)
        detail = f"{origin} {answer.reason}".strip()
        note(request, detail, evse_id=evse_id, outcome=answer.verdict)
        if answer.verdict is Verdict.UNKNOWN:
            raise Refusal(404, answer.reason)
        if answer.verdict is not Verdict.ACCEPTED:
            raise Refusal(409, answer.reason)

    async def link(self, request: web.Request) -> web.Response:
        body = await read_body(request, LinkCommand)
        note(request, body.command)
        if body.command == "connect":
            self._ports.csms.connect()
        else:
            self._ports.csms.disconnect()
        return json_response({"command": body.command})

    async def data_transfer(self, request: web.Request) -> web.Response:
        """To the CSMS and back; or, with "to": "station", to the vendor commands of this station."""
        body = await read_body(request, DataTransferBody)
        note(request, f"{body.vendor_id} {body.message_id or ''} to the {body.to}")
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
        note(request, body.serial_number)
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
    known = {each.value.casefold(): each for each in LOCAL_ORIGINS}
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


def _time(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refusal(400, "must be a time like 2026-01-31T12:00:00Z", name) from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
