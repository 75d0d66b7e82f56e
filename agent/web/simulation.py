"""/sim/v1: the controls of the simulated world; there only when the hardware is simulated.

Every call returns at once; what it sets off shows in the facts. The contract is docs/local-api.md. Endpoints are
merged by `server.py`.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import msgspec
from aiohttp import web

from agent.charging.fault_advice import words_of
from agent.web.answers import CardHeld, EvseNamed, FaultSet, World
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
from agent.web.endpoints import Endpoint, Handler, note
from agent.web.ports import ApiPorts, SimulationPort
from agent.web.roles import Role
from hal.ports import FaultCode


class SimulationApi:
    """Handlers of /sim/v1."""

    def __init__(self, ports: ApiPorts) -> None:
        self._ports = ports

    def endpoints(self) -> list[Endpoint]:
        evse = "/sim/v1/evse/{evse_id}"
        absent = {404: "no such EVSE or connector, or no simulation"}
        conflict = {**absent, 409: "not in this state"}
        codes = {"code": {"type": "string", "enum": sorted(FaultCode)}}

        def post(path: str, handler: Handler, summary: str, body: type[msgspec.Struct]) -> Endpoint:
            return Endpoint(
                method="POST",
                path=path,
                handler=handler,
                role=Role.INSTALLER,
                summary=summary,
                body=body,
                answer=EvseNamed,
                errors=conflict,
            )

        pause = self._plain(lambda world, evse_id: world.pause(evse_id))
        resume = self._plain(lambda world, evse_id: world.resume(evse_id))
        return [
            Endpoint(
                method="GET",
                path="/sim/v1",
                handler=self.show,
                role=Role.VIEWER,
                summary="What can be broken in the simulation",
                answer=World,
                errors={404: "no simulation"},
            ),
            post(f"{evse}/plug", self.plug, "Plug a simulated car in", PlugBody),
            post(f"{evse}/unplug", self.unplug, "Unplug the simulated car", UnplugBody),
            post(f"{evse}/pause", pause, "Let the simulated car pause", Nothing),
            post(f"{evse}/resume", resume, "Let the simulated car go on", Nothing),
            replace(
                post(f"{evse}/fault", self.set_fault, "Break something simulated", FaultBody), answer=FaultSet
            ),
            Endpoint(
                method="DELETE",
                path=f"{evse}/fault/{{code}}",
                handler=self.clear_fault,
                role=Role.INSTALLER,
                summary="Mend what is broken in the simulation",
                path_schemas=codes,
                answer=FaultSet,
                errors=conflict,
            ),
            replace(
                post("/sim/v1/tap", self.tap, "Hold a simulated card to the reader", TapBody), answer=CardHeld
            ),
        ]

    async def show(self, _request: web.Request) -> web.Response:
        codes = sorted(self._world().settable_faults)
        faults = [{"code": code, "meaning": words_of(code).meaning} for code in codes]
        return json_response({"faults": faults})

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
        note(request, body.code, evse_id=evse_id)
        with _naming_the_field(body.code):
            world.set_fault(evse_id, body.code)
        return json_response({"evse_id": evse_id, "code": body.code})

    async def clear_fault(self, request: web.Request) -> web.Response:
        world, evse_id = self._evse(request)
        code = request.match_info["code"]
        if code not in FaultCode._value2member_map_:
            raise Refusal(404, f"no fault is called {code}", "code")
        note(request, code, evse_id=evse_id)
        with _naming_the_field(code):
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
        note(request, evse_id=int(text))
        return world, int(text)


@contextmanager
def _naming_the_field(code: str = "") -> Iterator[None]:
    """The world says "<argument>: <reason>"; an EVSE that is not in the right state is a conflict, not a typo, and so
    is a fault `code` that exists and cannot be simulated."""
    try:
        yield
    except ValueError as error:
        field, _, reason = str(error).partition(": ")
        is_conflict = field == "evse_id" or (field == "code" and code in FaultCode._value2member_map_)
        status = 409 if is_conflict else 404 if field == "connector_id" else 400
        raise Refusal(status, reason or field, field if reason else "") from error
