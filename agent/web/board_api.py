"""/api/v1/board: what the I/O board is and sees, and the limits that are set on it.

For `evse-agent board`. The board decides what may be set and when; every change, refused or not, leaves an audit row.
Contract: docs/local-api.md. Endpoints are merged by `server.py`.
"""

from collections.abc import Awaitable
from dataclasses import asdict
from typing import Any, NoReturn

from aiohttp import web

from agent.web.answers import Board, ConnectorNamed
from agent.web.bodies import (
    BoardConfigBody,
    ConnectorQuery,
    Nothing,
    Refusal,
    json_response,
    read_body,
    read_query,
)
from agent.web.endpoints import Endpoint, note
from agent.web.ports import ApiPorts
from agent.web.roles import Role
from hal.errors import DeviceFault, HalError
from hal.ports import BoardControl, BoardLimits, EvseState

STATUS_OF = {"not_allowed": 409, "bad_args": 400}


class BoardApi:
    """Handlers of /api/v1/board."""

    def __init__(self, ports: ApiPorts) -> None:
        self._ports = ports

    def endpoints(self) -> list[Endpoint]:
        config = "/api/v1/board/config"
        refused = {
            404: "no board, or no such connector",
            502: "the board refused",
            503: "no link to the board",
        }
        return [
            Endpoint(
                method="GET",
                path="/api/v1/board",
                handler=self.show,
                role=Role.VIEWER,
                summary="What the I/O board is and sees",
                answer=Board,
                errors={404: "this station has no board"},
            ),
            Endpoint(
                method="GET",
                path=config,
                handler=self.read_config,
                role=Role.VIEWER,
                summary="The limits set on the board",
                query=ConnectorQuery,
                answer=BoardLimits,
                errors=refused,
            ),
            Endpoint(
                method="POST",
                path=config,
                handler=self.write_config,
                role=Role.INSTALLER,
                summary="Set limits on the board",
                body=BoardConfigBody,
                answer=ConnectorNamed,
                errors={**refused, 409: "a car is at it"},
            ),
            Endpoint(
                method="DELETE",
                path=config,
                handler=self.reset_config,
                role=Role.INSTALLER,
                summary="Set the board's limits back",
                answer=Nothing,
                errors={**refused, 409: "a car is at it"},
            ),
        ]

    def _board(self) -> BoardControl:
        if self._ports.board is None:
            raise Refusal(404, "this station has no board")
        return self._ports.board

    def _known(self, connector: int) -> None:
        facts = self._board().facts
        if facts is not None and facts.connectors and connector > facts.connectors:
            raise Refusal(404, f"the board has no connector {connector}", "connector")

    async def show(self, _request: web.Request) -> web.Response:
        board = self._board()
        facts = board.facts
        return json_response(
            {
                "is_linked": board.is_linked,
                "board": None if facts is None else asdict(facts),
                "connectors": [
                    connector_json(connector, state) for connector, state in self._ports.evse_states().items()
                ],
            }
        )

    async def read_config(self, request: web.Request) -> web.Response:
        query = read_query(request, ConnectorQuery)
        self._known(query.connector)
        try:
            limits = await self._board().read_config(query.connector)
        except HalError as error:
            _refuse(error)
        return json_response(asdict(limits))

    async def write_config(self, request: web.Request) -> web.Response:
        body = await read_body(request, BoardConfigBody)
        self._known(body.connector)
        change = self._board().write_config({body.connector: body.values})
        await self._have(request, change, body.connector, _listed(body.values))
        return json_response({"connector": body.connector})

    async def reset_config(self, request: web.Request) -> web.Response:
        await read_body(request, Nothing)
        await self._have(request, self._board().reset_config(), 0, "reset")
        return json_response({})

    async def _have(self, request: web.Request, change: Awaitable[None], connector: int, detail: str) -> None:
        try:
            await change
        except HalError as error:
            code = error.code if isinstance(error, DeviceFault) else "failed"
            note(request, f"{detail} {error}", evse_id=connector, outcome=code)
            _refuse(error)
        note(request, detail, evse_id=connector)


def connector_json(connector: int, state: EvseState) -> dict[str, Any]:
    """One connector as the board sees it."""
    return {
        "connector": connector,
        "link_ok": state.link_ok,
        "pilot": state.pilot,
        "pilot_high_v": state.pilot_high_mv / 1000,
        "pilot_low_v": state.pilot_low_mv / 1000,
        "duty_percent": state.duty_percent,
        "contactor": state.contactor,
        "locked": state.locked,
        "cable_a": state.cable_a,
        "residual_ma": state.residual_current_a * 1000,
        "temperature_c": state.temperature_c,
        "faults": sorted(state.faults),
    }


def _listed(values: dict[str, int]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())


def _refuse(error: HalError) -> NoReturn:
    if isinstance(error, DeviceFault):
        raise Refusal(STATUS_OF.get(error.code, 502), error.detail or error.code) from error
    raise Refusal(503, str(error)) from error
