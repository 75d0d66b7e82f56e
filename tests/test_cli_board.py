"""`evse-agent board` without an agent, at a board's port; and its texts. With one: tests/web/test_board_api.py."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.cli_board import limits_text, parse_settings, show_text
from agent.exit_codes import ExitCode
from tests.helpers.served_devices import ServedDevices

pytestmark = pytest.mark.real_time


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, ["board", *words])


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    with ServedDevices() as devices:
        yield devices.board(evses=2)


def test_show_names_the_board_and_what_each_connector_sees(port: str) -> None:
    result = invoke("show", "--port", port)
    assert result.exit_code == 0, result.output
    assert "simulated (simulated), no. SIM, firmware" in result.output
    assert "2 connectors, 32 A, 3 phases, socket with lock" in result.output
    assert "0 of 20 pings lost, 0 damaged lines" in result.output
    first, second = result.output.splitlines()[-2:]
    assert first.split()[:3] == ["1", "A", "12.00"]
    assert second.split()[:3] == ["2", "A", "12.00"]


def test_a_limit_is_set_shown_and_reset(port: str) -> None:
    shown = invoke("config", "show", "--port", port, "--connector", "2")
    assert "max_da" in shown.output
    result = invoke("config", "set", "max_da=160", "--port", port, "--connector", "2")
    assert (result.exit_code, result.output) == (0, "The board has written it and restarts\n")
    lowered = invoke("config", "show", "--port", port, "--connector", "2").output
    row = next(line for line in lowered.splitlines() if line.startswith("max_da"))
    assert row.split() == ["max_da", "160*", "16", "A", "320"]
    assert invoke("config", "reset", "--port", port).exit_code == 0
    assert invoke("config", "show", "--port", port, "--connector", "2").output == shown.output


def test_what_the_board_refuses_is_said_in_its_words(port: str) -> None:
    result = invoke("config", "set", "max_da=9999", "--port", port)
    assert result.exit_code == ExitCode.FAILED
    assert "max_da must be 60 to 320" in result.output


def test_a_device_that_is_no_board_is_named(tmp_path: Path) -> None:
    with ServedDevices() as devices:
        # A prompt answers each line; what came before the port was open may be lost.
        port = devices.speaking(lambda octets: b"\r\n>>> " * octets.count(b"\n"))
        result = invoke("show", "--port", port)
    assert result.exit_code == ExitCode.FAILED
    assert f"no board of ours answers on {port}: prompt" in result.output


def test_without_agent_and_port_there_is_nobody_to_ask(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        '[station]\nidentity = "CP1"\nvendor = "V"\nmodel = "M"\n[csms]\nurl = "ws://localhost/"\n'
        f'[agent]\nstate_dir = "{tmp_path}/state"\n[hal]\ndriver = "sim"\n'
    )
    result = invoke("show", "--config", str(config))
    assert result.exit_code == ExitCode.NO_AGENT, result.output


def test_the_port_of_the_configuration_is_asked_when_no_agent_runs(port: str, tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        '[station]\nidentity = "CP1"\nvendor = "V"\nmodel = "M"\n[csms]\nurl = "ws://localhost/"\n'
        f'[agent]\nstate_dir = "{tmp_path}/state"\n[hal]\ndriver = "board"\n[hal.board]\nport = "{port}"\n'
    )
    assert "max_da" in invoke("config", "show", "--config", str(config)).output


@pytest.mark.parametrize("text", ["max_da", "max_da=", "=160", "max_da=16A"])
def test_a_setting_is_a_name_and_a_number(text: str) -> None:
    with pytest.raises(click.BadParameter):
        parse_settings((text,))


def test_settings_are_numbers_by_name() -> None:
    assert parse_settings(("max_da=160", "wake_after_s=0")) == {"max_da": 160, "wake_after_s": 0}


def test_the_table_of_limits_tells_units_and_what_was_changed() -> None:
    text = limits_text(
        {
            "connector": 1,
            "values": {"max_da": 160, "temp_warn_dc": 700, "wake_after_s": 0, "has_ventilation": 0},
            "allowed": {"max_da": 320, "temp_warn_dc": 700, "wake_after_s": 0, "has_ventilation": 0},
            "hash": "0A0B0C0D",
        }
    )
    rows = [line.split() for line in text.splitlines()]
    assert ["max_da", "160*", "16", "A", "320"] in rows
    assert ["temp_warn_dc", "700", "70", "C", "700"] in rows
    assert ["wake_after_s", "0", "0", "s", "0"] in rows
    assert ["has_ventilation", "0", "no", "0"] in rows
    assert text.endswith("settings 0A0B0C0D")


def test_a_board_without_a_map_shows_its_problem() -> None:
    facts = {
        "hardware": "none",
        "pcb": "none",
        "unique_id": "E660",
        "firmware": "0.1.0",
        "reset_cause": "power",
        "connectors": 0,
        "max_current_a": 0.0,
        "phases": 1,
        "has_lock": False,
        "config_hash": "00000000",
        "problem": "no pin map is named: pcb.txt is missing or empty",
    }
    text = show_text({"is_linked": True, "board": facts, "connectors": []})
    assert "Problem   no pin map is named: pcb.txt is missing or empty" in text
