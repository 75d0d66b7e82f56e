"""Vendor commands declared in TOML: checked with key and line, and mapped to actions."""

import re
from pathlib import Path

import pytest

from agent.charging.requests import TransferData, TransferResult, TransferStatus
from agent.config import Config, parse
from agent.vendor.loading import build_registry, check_vendors
from tests.test_config import SMALLEST
from tests.vendor.conftest import ActionBench

COMMANDS = """
[[vendor.commands]]
vendor_id = "com.example.site"
message_id = "SetFan"
action = "output.set"
fixed = { output = "fan" }
parameters = { on = "state.on" }

[[vendor.commands]]
vendor_id = "com.example.site"
message_id = "Fan"
action = "output.set"
sources = ["local"]
fixed = { output = "fan" }
parameters = { on = "$" }

[[vendor.commands]]
vendor_id = "com.example.site"
action = "indicator.show"
parameters = { pattern = "pattern", duration_s = "$.seconds" }

[[vendor.commands]]
vendor_id = "com.example.site"
message_id = "Registers"
action = "meter.read_registers"
fixed = { address = 52, count = 2 }
"""


def config(commands: str = COMMANDS) -> Config:
    return parse(SMALLEST + commands)


async def no_csms(_vendor_id: str, _message_id: str | None, _content: object) -> TransferResult:
    raise AssertionError("nothing is sent here")


async def answer(
    bench: ActionBench, message_id: str | None, data: object, source: str = "csms"
) -> TransferResult:
    registry = build_registry(config(), bench.actions, lambda: bench.station, no_csms)
    return await registry.execute(TransferData("com.example.site", message_id, data, source))


async def test_parameters_come_from_their_place_in_the_message(bench: ActionBench) -> None:
    result = await answer(bench, "SetFan", '{"state": {"on": true}}')
    assert result == TransferResult(TransferStatus.ACCEPTED, {"result": "ok", "output": "fan", "on": True})
    assert bench.device.done == [("set", True)]


@pytest.mark.parametrize("data", [True, "true", 1, "1"])
async def test_the_whole_data_may_be_a_parameter(bench: ActionBench, data: object) -> None:
    assert (await answer(bench, "Fan", data, source="local")).status is TransferStatus.ACCEPTED
    assert bench.device.done == [("set", True)]


@pytest.mark.parametrize("data", [None, "{}", '{"state": true}', '{"state": {"on": "maybe"}}', "text"])
async def test_a_missing_or_wrong_parameter_is_rejected_with_the_reason(
    bench: ActionBench, data: object
) -> None:
    result = await answer(bench, "SetFan", data)
    assert result.status is TransferStatus.REJECTED
    assert isinstance(result.data, dict)
    assert result.data["result"] == "bad_args"
    assert bench.device.done == []


async def test_the_sender_cannot_change_a_fixed_parameter(bench: ActionBench) -> None:
    await answer(bench, "SetFan", '{"state": {"on": true}, "output": "lamp"}')
    assert bench.device.done == [("set", True)]


async def test_a_command_is_open_to_its_sources_only(bench: ActionBench) -> None:
    result = await answer(bench, "Fan", True)
    assert (result.status, result.reason) == (TransferStatus.REJECTED, "not open to csms")


async def test_the_csms_is_no_service_technician_unless_the_file_says_so(bench: ActionBench) -> None:
    result = await answer(bench, "Registers", None)
    assert result.reason == "meter.read_registers needs the role service"
    result = await answer(bench, "Registers", None, source="local")
    assert result.data == {"result": "ok", "registers": [0, 1]}


async def test_a_command_without_message_id_takes_the_messages_without_one(bench: ActionBench) -> None:
    assert (await answer(bench, None, '{"pattern": "blink", "seconds": 3}')).status is TransferStatus.ACCEPTED
    assert bench.device.done == [("show", "blink", 3.0)]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            'action = "output.sett"',
            "line 9: vendor.commands[1].action: there is no action output.sett; did you mean output.set?",
        ),
        ('action = "zzz"', "vendor.commands[1].action: there is no action zzz; known: output.set"),
        (
            'action = "output.set"\nfixed = { output = "fan" }',
            "output.set needs on: put it into fixed or parameters",
        ),
        (
            'action = "cable.unlock"\nfixed = { evse = 1 }',
            "line 10: vendor.commands[1].fixed.evse: is no parameter of cable.unlock (evse_id)",
        ),
        (
            'action = "board.reboot"\nparameters = { now = "" }',
            "parameters.now: is no parameter of board.reboot (it has none)",
        ),
        ('action = "cable.unlock"\nfixed = { evse_id = "one" }', "fixed.evse_id: Expected `int`, got `str`"),
        ('action = "cable.unlock"\nfixed = { evse_id = 0 }', "fixed.evse_id: Expected `int` >= 1"),
    ],
)
def test_a_wrong_command_is_a_problem_of_the_configuration(command: str, expected: str) -> None:
    text = f'[[vendor.commands]]\nvendor_id = "a"\n{command}\n'
    (problem,) = check_vendors(config(text))
    assert expected in str(problem)


def test_the_command_of_the_documentation_works() -> None:
    text = (Path(__file__).parents[2] / "docs" / "vendor-commands.md").read_text(encoding="utf-8")
    example = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0]
    documented = config(example)
    assert check_vendors(documented) == []
    assert documented.vendor.commands[0].action == "output.set"
