"""/api/v1/audit: who did what on the page, the local API and through vendor commands, newest first.

Reads the rows that `gate.py` and the vendor commands write. Called by `server.py`.
"""

from datetime import datetime
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from agent.web.bodies import json_response, read_query
from agent.web.endpoints import Endpoint
from agent.web.ports import ApiPorts
from agent.web.roles import Role


class AuditQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 100


class AuditRow(Struct):
    at: datetime
    source: str
    """Role, means (socket, open, session, token) with name, and address; or the vendor command's source."""
    action: str
    evse_id: int
    """0: the station."""
    outcome: str
    detail: str


class AuditRows(Struct):
    audit: list[AuditRow]


class AuditApi:
    """Handler of /api/v1/audit."""

    def __init__(self, ports: ApiPorts) -> None:
        self._ports = ports

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/api/v1/audit",
                handler=self.show,
                role=Role.INSTALLER,
                summary="Who did what, newest first",
                query=AuditQuery,
                answer=AuditRows,
            )
        ]

    async def show(self, request: web.Request) -> web.Response:
        query = read_query(request, AuditQuery)
        rows = await self._ports.audit(query.limit)
        return json_response(
            AuditRows(
                [
                    AuditRow(row.at, row.source, row.action, row.evse_id, row.outcome, row.detail)
                    for row in rows
                ]
            )
        )
