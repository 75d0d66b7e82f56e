"""Vendor code: found by entry point, loaded only when enabled, and unable to keep the station from starting."""

import importlib.metadata
from importlib.metadata import EntryPoint

import pytest

from agent.charging.requests import TransferData, TransferResult, TransferStatus
from agent.config import parse
from agent.errors import ConfigError
from agent.vendor import loading
from agent.vendor.loading import build_registry, check_vendors
from agent.vendor.registry import VendorRegistry
from tests.test_config import SMALLEST
from tests.vendor.conftest import ActionBench

ENABLED = SMALLEST + '[vendor]\nenabled = ["example"]\n'


async def no_csms(_vendor_id: str, _message_id: str | None, _content: object) -> TransferResult:
    raise AssertionError("nothing is sent here")


def build(bench: ActionBench, text: str) -> VendorRegistry:
    return build_registry(parse(text), bench.actions, lambda: bench.station, no_csms)


async def test_vendor_code_answers_only_when_it_is_enabled(bench: ActionBench) -> None:
    call = TransferData("org.example.evse", "ReadMeter", None)
    assert (await build(bench, SMALLEST).execute(call)).status is TransferStatus.UNKNOWN_VENDOR_ID
    assert (await build(bench, ENABLED).execute(call)).status is TransferStatus.ACCEPTED


def test_a_vendor_that_is_not_installed_is_a_problem_with_its_line() -> None:
    config = parse(SMALLEST + '[vendor]\nenabled = ["nobody"]\n')
    assert [str(problem) for problem in check_vendors(config)] == [
        "line 8: vendor.enabled[1]: nobody is not installed (there are: example)"
    ]


def test_wrong_commands_keep_the_agent_from_starting(bench: ActionBench) -> None:
    with pytest.raises(ConfigError, match="there is no action"):
        build(bench, SMALLEST + '[[vendor.commands]]\nvendor_id = "a"\naction = "b"\n')


def test_a_command_that_vendor_code_has_already_is_a_problem(bench: ActionBench) -> None:
    with pytest.raises(ConfigError, match="identify is registered twice"):
        build(
            bench,
            ENABLED
            + '[[vendor.commands]]\nvendor_id = "ORG.example.evse"\nmessage_id = "identify"\naction = "cable.unlock"\n',
        )


def not_a_vendor(_context: object) -> object:
    return "something else"


@pytest.mark.parametrize(
    "target", ["no_such_module:build", f"{__name__}:missing", f"{__name__}:not_a_vendor"]
)
async def test_vendor_code_that_fails_to_load_is_left_out(
    bench: ActionBench, target: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    points = [
        EntryPoint("broken", target, loading.ENTRY_POINT_GROUP),
        EntryPoint("example", "agent.vendor.example:build", loading.ENTRY_POINT_GROUP),
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    registry = build(bench, SMALLEST + '[vendor]\nenabled = ["broken", "example"]\n')
    assert registry.vendor_ids == ("org.example.evse",)
    assert "vendor broken could not be loaded" in caplog.text
