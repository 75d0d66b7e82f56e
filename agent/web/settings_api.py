"""/api/v1/settings: every setting with its documentation and its value, and the way to change one.

A change takes the same way as one of the CSMS: checked by the row of the table, on disk before anybody hears of it.
Values that may only be written are never shown. Contract: docs/local-api.md. Endpoints are merged by `server.py`.
"""

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from agent.charging.requests import Answer, ChangeSetting, Verdict
from agent.charging.setting import Mutability, Setting
from agent.charging.settings import Settings
from agent.web.bodies import Refusal, json_response, read_body
from agent.web.endpoints import Endpoint, note
from agent.web.ports import ApiPorts
from agent.web.roles import Role


class SettingBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    value: Annotated[str, Meta(max_length=10_000)]
    """As text, whatever its kind: "true", "16", "2026-01-31T12:00:00Z"."""


class SettingShown(msgspec.Struct):
    """Bounds of a number, or of the length of a text; `choices` empty: no such bound."""

    name: str
    value: str | None
    """None: it may only be written."""
    default: str
    is_default: bool
    kind: str
    unit: str
    doc: str
    least: int | None
    most: int | None
    choices: tuple[str, ...]
    mutability: Mutability
    needs_reboot: bool
    key16: str | None
    """The configuration key of OCPP 1.6."""
    path2: str | None
    """Component.Variable of OCPP 2.x."""


class SettingList(msgspec.Struct):
    settings: list[SettingShown]


class SettingStored(msgspec.Struct):
    setting: SettingShown
    needs_reboot: bool
    """True: it is on disk and in force after a restart."""


class SettingsApi:
    """Handlers of /api/v1/settings."""

    def __init__(self, ports: ApiPorts) -> None:
        self._ports = ports

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                method="GET",
                path="/api/v1/settings",
                handler=self.show,
                role=Role.VIEWER,
                summary="Every setting with its documentation",
                answer=SettingList,
                errors={404: "this station shows no settings"},
            ),
            Endpoint(
                method="PUT",
                path="/api/v1/settings/{name}",
                handler=self.change,
                role=Role.INSTALLER,
                summary="Change a setting",
                body=SettingBody,
                answer=SettingStored,
                errors={404: "no such setting", 409: "read-only, or refused as things are"},
            ),
        ]

    async def show(self, _request: web.Request) -> web.Response:
        settings = self._settings()
        response = json_response(SettingList([shown(settings, row) for row in settings.rows()]))
        response.enable_compression()
        return response

    async def change(self, request: web.Request) -> web.Response:
        settings = self._settings()
        name = request.match_info["name"]
        body = await read_body(request, SettingBody)
        row = next((row for row in settings.rows() if row.name == name), None)
        if row is None:
            raise Refusal(404, f"there is no setting {name}", "name")
        note(request, name if row.mutability is Mutability.WRITE_ONLY else f"{name}={body.value}"[:300])
        answer = await self._ports.station.execute(ChangeSetting(name, body.value))
        assert isinstance(answer, Answer)
        match answer.verdict:
            case Verdict.ACCEPTED | Verdict.REBOOT_REQUIRED:
                return json_response(
                    SettingStored(shown(settings, row), answer.verdict is Verdict.REBOOT_REQUIRED)
                )
            case _:
                raise Refusal(
                    409 if settings.mutability(name) is Mutability.READ_ONLY else 400, answer.reason, "value"
                )

    def _settings(self) -> Settings:
        if self._ports.settings is None:
            raise Refusal(404, "this station shows no settings")
        return self._ports.settings


def shown(settings: Settings, row: Setting) -> SettingShown:
    mutability = settings.mutability(row.name)
    value = None if mutability is Mutability.WRITE_ONLY else settings.raw(row.name)
    return SettingShown(
        name=row.name,
        value=value,
        default=row.default,
        is_default=value == row.default,
        kind=row.kind,
        unit=row.unit,
        doc=row.doc,
        least=row.least,
        most=row.most,
        choices=row.choices,
        mutability=mutability,
        needs_reboot=row.needs_reboot,
        key16=row.key16,
        path2=row.path2,
    )
