"""/sim/v1: the controls of the simulated world; there only when the hardware is simulated.

Every call returns at once; what it sets off shows in the facts. The contract is docs/local-api.md. Routes are
merged by `server.py`.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import msgspec
from aiohttp import web

from agent.web.bodies import (
    FaultBody,
    Nothing,
    PlugBody,
    Refusal,
    TapBody,
    UnplugBody,
    json_response,
    read_body,
)
from agent.web.ports import ApiPorts, SimulationPort
from hal.ports import FaultCode


class SimulationApi:
    """Handlers of /sim/v1."""

    def __init__(self, ports: ApiPorts) -> None:
        self._ports = ports

    def routes(self) -> list[web.RouteDef]:
        evse = "/sim/v1/evse/{evse_id}"
        return [
            web.post(f"{evse}/plug", self.plug),
            web.post(f"{evse}/unplug", self.unplug),
            web.post(f"{evse}/pause", self._plain(lambda world, evse_id: world.pause(evse_id))),
            web.post(f"{evse}/resume", self._plain(lambda world, evse_id: world.resume(evse_id))),
            web.post(f"{evse}/fault", self.set_fault),
            web.delete(f"{evse}/fault/{{code}}", self.clear_fault),
            web.post("/sim/v1/tap", self.tap),
        ]

    async def plug(self, request: web.Request) -> web.Response:
        world, evse_id = self._evse(request)
        body = await read_body(request, PlugBody)
        with _naming_the_field():
            world.plug(evse_id, **msgspec.to_builtins(body))
        return json_response({"evse_id": evse_id})

    async def unplug(self, request: web.Request) -> web.Response:
        world, evse_id = self._evse(request)
        body = await read_body(request, UnplugBody)
        with _naming_the_field():
            world.unplug(evse_id, body.is_torn_out)
        return json_response({"evse_id": evse_id})

    async def set_fault(self, request: web.Request) -> web.Response:
        world, evse_id = self._evse(request)
        body = await read_body(request, FaultBody)
        with _naming_the_field():
            world.set_fault(evse_id, body.code)
        return json_response({"evse_id": evse_id, "code": body.code})

    async def clear_fault(self, request: web.Request) -> web.Response:
        world, evse_id = self._evse(request)
        code = request.match_info["code"]
        if code not in FaultCode._value2member_map_:
            raise Refusal(404, f"no fault is called {code}", "code")
        with _naming_the_field():
            world.clear_fault(evse_id, code)
        return json_response({"evse_id": evse_id, "code": code})

    async def tap(self, request: web.Request) -> web.Response:
        world = self._world()
        body = await read_body(request, TapBody)
        known = self._ports.station.snapshot().evses
        for evse_id in body.evses:
            if evse_id not in known:
                raise Refusal(404, f"there is no EVSE {evse_id}", "evses")
        with _naming_the_field():
            world.tap(body.id_token, body.type, body.evses)
        return json_response({"id_token": body.id_token, "evses": body.evses})

    def _plain(
        self, act: Callable[[SimulationPort, int], None]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            world, evse_id = self._evse(request)
            await read_body(request, Nothing)
            with _naming_the_field():
                act(world, evse_id)
            return json_response({"evse_id": evse_id})

        return handler

    def _world(self) -> SimulationPort:
        if self._ports.simulation is None:
            raise Refusal(404, "the hardware of this station is not simulated")
        return self._ports.simulation

    def _evse(self, request: web.Request) -> tuple[SimulationPort, int]:
        world = self._world()
        text = request.match_info["evse_id"]
        known = self._ports.station.snapshot().evses
        if not (text.isascii() and text.isdigit()) or int(text) not in known:
            raise Refusal(404, f"there is no EVSE {text}", "evse_id")
        return world, int(text)


@contextmanager
def _naming_the_field() -> Iterator[None]:
    """The world says "<argument>: <reason>"; an EVSE that is not in the right state is a conflict, not a typo."""
    try:
        yield
    except ValueError as error:
        field, _, reason = str(error).partition(": ")
        raise Refusal(409 if field == "evse_id" else 400, reason or field, field if reason else "") from error
