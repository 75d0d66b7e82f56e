"""/api/v1/actions: the catalogue of hardware actions with their rules, and the way to run one.

The rules are those of the catalogue itself (`agent/vendor/actions.py`, through `ports.actions`): it refuses, and it
writes the audit row of every run. Contract: docs/local-api.md. Endpoints are merged by `server.py`.
"""

from typing import Any

import msgspec
from aiohttp import web

from agent.web.bodies import Refusal, json_response, read_body
from agent.web.endpoints import Endpoint, caller_of
from agent.web.ports import ActionsPort, ApiPorts
from agent.web.roles import Role


class RunBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)


class ActionParameter(msgspec.Struct):
    name: str
    kind: str
    """integer, number, boolean, text or list (of texts)."""
    is_required: bool
    default: Any
    least: float | None
    most: float | None
    choices: list[Any] | None
    """Of this station: its outputs, its EVSEs; None: no such bound."""
    rule: str


class Action(msgspec.Struct):
    name: str
    summary: str
    parameters: list[ActionParameter]
    situations: list[str] | None
    """What an EVSE may be in the middle of; None: anything."""
    with_fault: bool
    role: str
    """The least role that may run it: operator or installer."""
    runs: int
    per_s: float
    """At most `runs` in any `per_s` seconds, per EVSE."""
    timeout_s: float


class VendorCommand(msgspec.Struct):
    vendor_id: str
    message_id: str
    action: str
    sources: list[str]


class Catalogue(msgspec.Struct):
    actions: list[Action]
    commands: list[VendorCommand]
    """Vendor messages that are mapped to actions in the configuration file."""


class ActionOutcome(msgspec.Struct):
    result: str
    """ok, bad_args, not_allowed, busy, rate_limited, timeout or failed."""
    detail: str
    values: dict[str, Any]


class ActionsApi:
    """Handlers of /api/v1/actions."""

    def __init__(self, ports: ApiPorts) -> None:
        self._ports = ports

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/api/v1/actions",
                handler=self.show,
                role=Role.VIEWER,
                summary="Hardware actions with their rules",
                answer=Catalogue,
                errors={404: "this station has no actions"},
            ),
            Endpoint(
                method="POST",
                path="/api/v1/actions/{name}",
                handler=self.run,
                role=Role.OPERATOR,
                summary="Run a hardware action",
                body=RunBody,
                answer=ActionOutcome,
                errors={404: "no such action"},
                is_audited=False,  # the catalogue writes a row itself, with more in it
            ),
        ]

    async def show(self, _request: web.Request) -> web.Response:
        return json_response(self._actions().catalogue())

    async def run(self, request: web.Request) -> web.Response:
        actions = self._actions()
        name = request.match_info["name"]
        if name not in actions.names():
            raise Refusal(404, f"there is no action {name}", "name")
        body = await read_body(request, RunBody)
        caller = caller_of(request)
        result, detail, values = await actions.run(
            name, body.parameters, source=caller.source, is_installer=caller.role >= Role.INSTALLER
        )
        return json_response(ActionOutcome(result, detail, dict(values)))

    def _actions(self) -> ActionsPort:
        if self._ports.actions is None:
            raise Refusal(404, "this station has no actions")
        return self._ports.actions
