"""`evse-agent doctor` as a whole: order, aligned lines, JSON, exit codes, and what it leaves alone."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from agent import cli_doctor
from agent.cli import main
from agent.cli_doctor import closing_words, finding_text
from agent.commissioning.doctor import Report, examine, real_hands
from agent.commissioning.findings import failure, ok, warning
from agent.commissioning.machine import Machine
from agent.exit_codes import ExitCode
from agent.store.db import Database
from tests.helpers.csms import Csms
from tests.helpers.served_devices import IDLE, ServedDevices

CONFIG = """
[station]
identity = "CP001"
vendor = "V"
model = "M"
[csms]
url = "{url}"
[agent]
state_dir = "{folder}/state"
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(url: str = "ws://127.0.0.1:9/", hal: str = "") -> Path:
        path = tmp_path / "config.toml"
        path.write_text(CONFIG.format(url=url, folder=tmp_path) + hal)
        return path

    return write


@pytest.fixture
def invoke(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command on the fixture's machine instead of this one."""
    monkeypatch.setattr("agent.commissioning.machine.Machine", lambda: machine)
    return lambda *options: CliRunner(env={"EVSE_AGENT_CONFIG": None}).invoke(main, ["doctor", *options])


def test_simulated_hardware_offline_is_fine(
    write: Callable[..., Path], invoke: Callable[..., Result]
) -> None:
    result = invoke("--config", str(write()), "--offline")
    assert result.exit_code == ExitCode.OK, result.output
    lines = result.output.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("ok")] == [
        "configuration",
        "state",
        "clock",
        "board",
        "CSMS",
        "service",
    ]
    assert {line.index(line.split(maxsplit=2)[2]) for line in lines[:6]} == {26}, "aligned"
    assert lines[-1] == "All is well."


def test_a_missing_configuration_still_looks_at_clock_and_service(
    tmp_path: Path, invoke: Callable[..., Result]
) -> None:
    result = invoke("--config", str(tmp_path / "none.toml"))
    assert result.exit_code == ExitCode.FAILED
    assert "FAILED   configuration" in result.output
    assert "ok       clock" in result.output
    assert result.output.splitlines()[-3:] == [
        "1 problem. Do this first:",
        f"  configuration: there is no {tmp_path}/none.toml",
        f"  -> write one: evse-agent init {tmp_path}/none.toml",
    ]


def test_json_holds_every_finding(write: Callable[..., Path], invoke: Callable[..., Result]) -> None:
    result = invoke("--config", str(write(hal="[hal.bord]\n")), "--json")
    assert result.exit_code == ExitCode.FAILED
    content = json.loads(result.output)
    assert (content["is_fine"], content["is_agent_running"]) == (False, False)
    first = content["findings"][0]
    assert (first["subject"], first["verdict"]) == ("configuration", "failure")
    assert content["do_first"] == first["advice"]


def test_ctrl_c_ends_it_in_good_order(
    write: Callable[..., Path], invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(*_: object, **__: object) -> Report:
        raise KeyboardInterrupt

    monkeypatch.setattr("agent.commissioning.doctor.examine", interrupted)
    result = invoke("--config", str(write()))
    assert (result.exit_code, result.output) == (ExitCode.FAILED, "Stopped.\n")


@pytest.mark.real_time
async def test_hardware_and_csms_without_an_agent(
    write: Callable[..., Path], machine: Machine, devices: ServedDevices
) -> None:
    """Everything at once, as before the first start: each thing is looked at and nothing is told to the CSMS."""
    board, line = devices.board(evses=2), devices.meters({1: ("sdm630", IDLE)})
    hal = (
        f'[hal]\ndriver = "board"\n[hal.board]\nport = "{board}"\nevses = 2\n'
        f'[[hal.meters]]\nevse = 1\nmodel = "sdm630"\nport = "{line}"\nunit = 1\n'
        f'[[hal.meters]]\nevse = 2\nmodel = "sdm630"\nport = "{line}"\nunit = 2\n'
        f'[[hal.readers]]\nmodel = "pn532"\nport = "{devices.pn532()}"\n'
    )
    async with Csms() as csms:
        report = await examine(write(csms.url, hal), machine)
        assert (csms.received, len(csms.handshakes)) == ([], 1)
    assert not report.is_agent_running
    assert [(each.subject, each.verdict.value) for each in report.findings if each.advice] == [
        ("meter of EVSE 2", "failure")
    ]
    assert report.first is not None
    assert "swap A and B" in report.first.advice


@pytest.mark.real_time
async def test_an_agent_that_starts_or_hangs_keeps_its_connection(
    write: Callable[..., Path], machine: Machine, tmp_path: Path
) -> None:
    """Its socket is not there and its database is in use: a second connection could cost it the first one."""
    database = Database.open(tmp_path / "state/agent.db")
    async with Csms() as csms:
        report = await examine(write(csms.url), machine)
        assert csms.handshakes == []
    database.close()
    assert report.is_agent_running
    assert [each.found for each in report.findings if each.subject == "service"] == [
        "not installed as a service; an agent runs, started by hand"
    ]


@pytest.mark.real_time
async def test_what_an_agent_would_own_is_left_alone_where_nobody_can_see_one(
    write: Callable[..., Path], machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    unseen = failure("agent", "whether an agent runs cannot be seen", "sudo")
    monkeypatch.setattr("agent.commissioning.agent_word.ask_agent", lambda _path: (None, [unseen], None))
    async with Csms() as csms:
        report = await examine(write(csms.url), machine)
        assert csms.handshakes == []
    assert not report.is_agent_running
    assert "board" not in [each.subject for each in report.findings]


async def test_what_stands_on_something_broken_is_named_after_it(
    write: Callable[..., Path], machine: Machine
) -> None:
    """The port first: what hangs on it is not tried, so that nobody is sent to swap wires."""
    hal = (
        '[hal]\ndriver = "board"\n[hal.board]\nport = "/dev/ttyACM0"\n'
        '[[hal.meters]]\nevse = 1\nmodel = "sdm630"\nport = "/dev/ttyUSB0"\n'
    )
    report = await examine(write(hal=hal), machine, offline=True)
    failing = [(each.subject, each.found) for each in report.findings if each.advice]
    assert failing == [
        ("port", "/dev/ttyACM0 (the board) is not there"),
        ("port", "/dev/ttyUSB0 (meter sdm630) is not there"),
    ]


async def test_each_finding_is_told_when_it_is_made(write: Callable[..., Path], machine: Machine) -> None:
    heard: list[str] = []
    report = await examine(write(), machine, offline=True, on_finding=lambda each: heard.append(each.subject))
    assert heard == [each.subject for each in report.findings]


def test_the_real_hands_are_those_of_the_hardware_layer() -> None:
    from hal import commissioning

    hands = real_hands()
    assert (hands.look_at_board, hands.open_meters, hands.find_pn532) == (
        commissioning.look_at_board,
        commissioning.MeterBench,
        commissioning.find_pn532,
    )


# --- words ------------------------------------------------------------------------------------------------


def test_advice_stands_under_what_was_found_and_is_folded_to_the_terminal() -> None:
    text = click.unstyle(finding_text(failure("meter of EVSE 1", "no answer", "swap A and B " * 12), 100))
    lines = text.splitlines()
    assert lines[0] == "FAILED   meter of EVSE 1  no answer"
    assert lines[1].startswith(" " * 26 + "-> swap A and B")
    assert len(lines[2]) - len(lines[2].lstrip()) == 29
    assert max(map(len, lines)) <= 100
    assert len(click.unstyle(finding_text(failure("a", "b", "swap A and B " * 12))).splitlines()) == 2


def test_failures_come_before_warnings_in_what_to_do_first() -> None:
    findings = [ok("a", "fine"), warning("clock", "late", "set it"), failure("board", "silent", "plug it in")]
    report = Report(findings, is_agent_running=False)
    assert (
        closing_words(report) == "\n1 problem and 1 warning. Do this first:\n  board: silent\n  -> plug it in"
    )
    report = replace(report, findings=findings[:2])
    assert report.is_fine
    assert closing_words(report) == "\nNo problem, 1 warning. When you have time:\n  clock: late\n  -> set it"


def test_colours_are_for_terminals_only(write: Callable[..., Path], invoke: Callable[..., Any]) -> None:
    assert "\x1b[" not in invoke("--config", str(write()), "--offline").output
    assert set(cli_doctor.MARKS) == {"ok", "warning", "failure"}
