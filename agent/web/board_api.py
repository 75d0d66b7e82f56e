"""/api/v1/board: what the I/O board is and sees, and the limits that are set on it.

For `evse-agent board`. The board decides what may be set and when; every change, refused or not, leaves an audit row.
Contract: docs/local-api.md. Routes are merged by `server.py`.
"""

import logging
from dataclasses import asdict
from typing import Any, NoReturn

from aiohttp import web

from agent.errors import StoreError
from agent.web.bodies import BoardConfigBody, Refusal, json_response, read_body
from agent.web.ports import ApiPorts
from hal.errors import DeviceFault, HalError
from hal.ports import BoardControl, EvseState

log = logging.getLogger(__name__)

ACTION = "board.config"
STATUS_OF = {"not_allowed": 409, "bad_args": 400}


class BoardApi:
    """Handlers of /api/v1/board."""

    def __init__(self, ports: ApiPorts) -> None:
        self._ports = ports

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/board", self.show),
            web.get("/api/v1/board/config", self.read_config),
            web.post("/api/v1/board/config", self.write_config),
            web.delete("/api/v1/board/config", self.reset_config),
        ]

    def _board(self) -> BoardControl:
        if self._ports.board is None:
            raise Refusal(404, "this station has no board")
        return self._ports.board

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
        text = request.query.get("connector", "1")
        if not (text.isascii() and text.isdigit()):
            raise Refusal(400, "must be a whole number", "connector")
        try:
            limits = await self._board().read_config(int(text))
        except HalError as error:
            _refuse(error)
        return json_response(asdict(limits))

    async def write_config(self, request: web.Request) -> web.Response:
        body = await read_body(request, BoardConfigBody)
        board = self._board()
        await self._audited(
            board.write_config({body.connector: body.values}), body.connector, _listed(body.values)
        )
        return json_response({"connector": body.connector})

    async def reset_config(self, _request: web.Request) -> web.Response:
        await self._audited(self._board().reset_config(), 0, "reset")
        return json_response({})

    async def _audited(self, change: Any, connector: int, detail: str) -> None:
        try:
            await change
        except HalError as error:
            code = error.code if isinstance(error, DeviceFault) else "failed"
            await self._note(connector, code, f"{detail} {error}")
            _refuse(error)
        await self._note(connector, "ok", detail)

    async def _note(self, connector: int, outcome: str, detail: str) -> None:
        log.info("board settings of connector %d: %s %s", connector, outcome, detail)
        try:
            await self._ports.note_action(ACTION, connector, outcome, detail)
        except StoreError:
            log.exception("the audit row of %s could not be stored", ACTION)


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
