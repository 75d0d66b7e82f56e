"""Vendor commands declared in the configuration file and mapped to hardware actions: no code needed.

Each [[vendor.commands]] names vendor, message, action, fixed parameters, and which parameters come from where
in the message's data. Turns them into handlers for `registry.py`; holds no rule of its own: who may do what
when is `actions.py`. Called by `loading.py`; taught in docs/vendor-commands.md.
"""

import difflib
from collections.abc import Iterator, Mapping

import msgspec

from agent.charging.requests import TransferResult
from agent.config import VendorCommandConfig, VendorConfig
from agent.errors import Problem
from agent.toml_lines import KeyLines, KeyPath
from agent.vendor.actions import ACTIONS, ActionCode, ActionResult, HardwareActions
from agent.vendor.registry import Handler, Vendor, VendorCall, accepted, rejected

WHOLE = ("", "$")
"""Paths that mean the whole content of the message."""


def check_commands(config: VendorConfig, lines: KeyLines) -> list[Problem]:
    """What is wrong with the declared commands: unknown actions, unknown, missing or impossible parameters."""
    return [
        Problem(_dotted(path), message, lines.line_of(path))
        for number, command in enumerate(config.commands)
        for path, message in _problems(command, ("vendor", "commands", number))
    ]


def _problems(command: VendorCommandConfig, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    spec = ACTIONS.get(command.action)
    if spec is None:
        close = difflib.get_close_matches(command.action, ACTIONS, 1, cutoff=0.4)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(ACTIONS)}"
        yield (*path, "action"), f"there is no action {command.action}; {hint}"
        return
    known = {field.name: field for field in msgspec.structs.fields(spec.parameters)}
    for section, names in (("fixed", command.fixed), ("parameters", command.parameters)):
        for name in names:
            if name not in known:
                expected = ", ".join(known) or "it has none"
                yield (*path, section, name), f"is no parameter of {command.action} ({expected})"
    for name, value in command.fixed.items():
        if name not in known:
            continue
        try:
            msgspec.convert(value, known[name].type)
        except msgspec.ValidationError as error:
            yield (*path, "fixed", name), str(error)
    for name, field in known.items():
        if field.required and name not in command.fixed and name not in command.parameters:
            yield (*path, "action"), f"{command.action} needs {name}: put it into fixed or parameters"


def build_vendors(
    config: VendorConfig, actions: HardwareActions, roles: Mapping[str, frozenset[str]]
) -> list[Vendor]:
    """One Vendor for each declared command (the registry joins those of one vendorId). Needs checked commands."""
    vendors = []
    for command in config.commands:
        handler = _handler(command, actions, roles)
        if command.message_id:
            vendors.append(Vendor(command.vendor_id, {command.message_id: handler}))
        else:
            vendors.append(Vendor(command.vendor_id, default=handler))
    return vendors


def _handler(
    command: VendorCommandConfig, actions: HardwareActions, roles: Mapping[str, frozenset[str]]
) -> Handler:
    async def run(call: VendorCall) -> TransferResult:
        if call.source not in command.sources:
            return rejected(ActionCode.NOT_ALLOWED.value, f"not open to {call.source}")
        parameters = dict(command.fixed)
        for name, place in command.parameters.items():
            found, value = _look_up(call.content, place)
            if found:
                parameters[name] = value
        held = roles.get(call.source, frozenset())
        return to_transfer(await actions.run(command.action, parameters, source=call.source, roles=held))

    return run


def to_transfer(result: ActionResult) -> TransferResult:
    """An action's result as the answer to a vendor message: ok is Accepted, everything else Rejected with the code."""
    if result.code is ActionCode.OK:
        return accepted({"result": result.code.value, **result.values})
    return rejected(result.code.value, result.detail)


def _look_up(content: object, place: str) -> tuple[bool, object]:
    """Whether `place` is in the content, and what stands there."""
    if place in WHOLE:
        return content is not None, content
    for part in place.removeprefix("$.").split("."):
        if not isinstance(content, dict) or part not in content:
            return False, None
        content = content[part]
    return True, content


def _dotted(path: KeyPath) -> str:
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text
