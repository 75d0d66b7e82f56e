"""/api/v1: what the station is, what happens, what was said, and two commands.

Reads snapshots and passes commands on; decides nothing. The contract is docs/local-api.md. Routes are merged
by `server.py`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from aiohttp import web

from agent.charging.facts import Fact
from agent.charging.requests import TransferData, TransferResult
from agent.errors import CallRejected, CallTimeout, LinkClosed, StoreError
from agent.log import MessageEntry
from agent.web.bodies import DataTransferBody, LinkCommand, Refusal, json_response, read_body
from agent.web.ports import ApiPorts
from agent.web.status import status_json
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
            web.post("/api/v1/link", self.link),
            web.post("/api/v1/data-transfer", self.data_transfer),
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
                result = await self._ports.csms.transfer_data(body.vendor_id, body.message_id, body.data)
        except LinkClosed as error:
            raise Refusal(503, f"offline: {error}") from error
        except CallTimeout as error:
            raise Refusal(504, f"the CSMS did not answer: {error}") from error
        except CallRejected as error:
            raise Refusal(502, f"the CSMS answered with an error: {error}") from error
        except RuntimeError as error:
            raise Refusal(500, str(error)) from error
        assert isinstance(result, TransferResult)
        return json_response({"status": result.status, "data": result.data, "reason": result.reason})


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
