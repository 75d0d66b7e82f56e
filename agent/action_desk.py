"""The hardware actions as the local API shows and runs them: rules and parameters in words a form can be made of.

The rules themselves are `agent/vendor/actions.py`. Roles of the API are mapped to those of the catalogue, and never
exceed what [vendor.roles] gives to "local". Built by `operating.py`.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import NODEFAULT, inspect

from agent.config import VendorConfig
from agent.vendor.actions import ACTIONS, ALWAYS, ActionSpec, HardwareActions, Role
from hal.ports import FaultCode, Hardware

Json = dict[str, Any]
ROLE_WORDS = {Role.OPERATOR: "operator", Role.SERVICE: "installer"}


class ActionDesk:
    """Fills `agent.web.ports.ActionsPort`."""

    def __init__(self, actions: HardwareActions, config: VendorConfig, hardware: Hardware) -> None:
        self._actions = actions
        self._config = config
        self._hardware = hardware

    def names(self) -> frozenset[str]:
        return frozenset(ACTIONS)

    def catalogue(self) -> Json:
        """As `actions_api.Catalogue`."""
        return {
            "actions": [self._action(spec) for spec in ACTIONS.values()],
            "commands": [
                {
                    "vendor_id": each.vendor_id,
                    "message_id": each.message_id,
                    "action": each.action,
                    "sources": list(each.sources),
                }
                for each in self._config.commands
            ],
        }

    async def run(
        self, name: str, parameters: Mapping[str, Any], *, source: str, is_installer: bool
    ) -> tuple[str, str, Mapping[str, Any]]:
        """(result, detail, values); `name` is one of `names()`."""
        roles = {Role.OPERATOR, Role.SERVICE} if is_installer else {Role.OPERATOR}
        held = frozenset(role.value for role in roles) & frozenset(self._config.roles.local)
        result = await self._actions.run(name, parameters, source=source, roles=held)
        return result.code.value, result.detail, result.values

    def _action(self, spec: ActionSpec) -> Json:
        return {
            "name": spec.name,
            "summary": spec.summary,
            "parameters": [self._parameter(field) for field in _fields(spec)],
            "situations": None if spec.situations == ALWAYS else sorted(spec.situations),
            "with_fault": spec.with_fault,
            "role": ROLE_WORDS[spec.role],
            "runs": spec.runs,
            "per_s": spec.per_s,
            "timeout_s": spec.timeout_s,
        }

    def _parameter(self, field: inspect.Field) -> Json:
        kind, least, most = _bounds(field.type)
        return {
            "name": field.name,
            "kind": kind,
            "is_required": field.required,
            "default": None if field.default is NODEFAULT else field.default,
            "least": least,
            "most": most,
            "choices": self._choices(field.name, least),
            "rule": _rule(least, most, kind),
        }

    def _choices(self, name: str, least: float | None) -> list[Any] | None:
        """What this station has to choose from."""
        match name:
            case "output":
                return list(self._hardware.outputs)
            case "evse_id":
                has_main = least == 0 and self._hardware.main_meter is not None
                return [0] * has_main + sorted(self._hardware.evses)
            case "code":
                return sorted(FaultCode)
            case _:
                return None


def _fields(spec: ActionSpec) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(spec.parameters)
    assert isinstance(info, inspect.StructType)
    return info.fields


def _bounds(of: inspect.Type) -> tuple[str, float | None, float | None]:
    """Kind, least and most; of a text no bounds."""
    match of:
        case inspect.BoolType():
            return "boolean", None, None
        case inspect.IntType():
            return "integer", of.ge, of.le
        case inspect.FloatType():
            return "number", of.ge if of.ge is not None else of.gt, of.le
        case inspect.VarTupleType() | inspect.ListType():
            return "list", None, None
        case _:
            return "text", None, None


def _rule(least: float | None, most: float | None, kind: str) -> str:
    if kind == "list":
        return "several, with commas"
    if least is None and most is None:
        return ""
    if most is None:
        return f"{least:g} or more"
    return f"{0 if least is None else least:g} to {most:g}"
