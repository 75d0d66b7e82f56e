"""The command line against the real local API: what it prints, what it sends, and its exit codes."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.cli_output import message_line, status_text, table
from agent.exit_codes import ExitCode
from agent.web import client
from agent.web.client import ApiError, NoAgent
from agent.web.server import LocalApi
from agent.web.unix_socket import listen
from tests.helpers.snapshots import FAULTY, charging, evse, station
from tests.test_config import SMALLEST
from tests.web.conftest import WebBench

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[WebBench]:
    bench = WebBench(tmp_path)
    api = LocalApi(bench.ports(), bench.socket_path)
    await api.start()
    yield bench
    await api.close()
    bench.world.close()


def invoke(*arguments: str) -> Result:
    environment = {"EVSE_AGENT_STATE_DIR": None, "EVSE_AGENT_CONFIG": None}
    return CliRunner().invoke(main, arguments, env=environment)


async def call(bench: WebBench, *arguments: str) -> Result:
    """Run a command in a thread, so that the server of this loop can answer it."""
    return await asyncio.to_thread(invoke, *arguments, "--state-dir", str(bench.socket_path.parent))


async def test_status_is_a_table_of_evses(bench: WebBench) -> None:
    reading = bench.world.meter_reading(1)
    bench.station.picture = station(
        charging(1, reading=reading), evse(2, is_operative=False, faults=(FAULTY,))
    )
    result = await call(bench, "status")
    assert result.exit_code == ExitCode.OK
    lines = result.output.splitlines()
    assert lines[0] == "Station  CP001, Example Wallbox 22 (0001), agent 0.1.0"
    assert (
        lines[1] == "CSMS     connected to ws://127.0.0.1:9000/ocpp/CP001 with ocpp1.6, registration Accepted"
    )
    assert lines[2] == "Outbox   3 waiting"
    assert lines[4].split() == [
        "EVSE",
        "Session",
        "Pilot",
        "Contactor",
        "Offered",
        "Power",
        "Meter",
        "Transaction",
        "Energy",
        "Token",
    ]
    charging_row = "1 charging C closed 16.0 A 0.00 kW 0.000 kWh 42 0.000 kWh TAG1"
    assert " ".join(lines[5].split()) == charging_row
    assert " ".join(lines[6].split()) == "2 idle (out of service) A open 0.0 A - - - - -"
    assert lines[7] == "EVSE 2 fault: rcd_dc since 2026-01-01T00:00:00Z, charging is stopped"


async def test_status_offline_and_as_json(bench: WebBench) -> None:
    bench.csms.is_connected, bench.csms.registration = False, None
    assert (
        "CSMS     not connected to ws://127.0.0.1:9000/ocpp/CP001, registration not answered yet"
        in (await call(bench, "status")).output
    )
    assert json.loads((await call(bench, "status", "--json")).output)["outbox_depth"] == 3


async def test_messages_are_lines_with_direction_action_and_payload(bench: WebBench) -> None:
    bench.journal.record("out", '[2,"1","Heartbeat",{}]')
    bench.journal.record("in", '[3,"1",{"currentTime":"2026-01-01T00:00:00Z"}]')
    bench.journal.record("in", '[2,"2","Reset",{"type":"Soft"}]')
    result = await call(bench, "messages", "--action", "heartbeat")
    first, second = result.output.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  -> call      Heartbeat +\{\}", first)
    assert re.fullmatch(r"\S+  <- result    Heartbeat +\{\"currentTime\":\"2026-01-01T00:00:00Z\"\}", second)
    as_json = (await call(bench, "messages", "--limit", "1", "--json")).output
    assert json.loads(as_json)["action"] == "Reset"
    assert "Reset" in (await call(bench, "messages", "--direction", "in", "--text", "soft")).output
    assert (await call(bench, "messages", "--direction", "out", "--text", "soft")).output == ""


async def test_following_shows_old_and_new_messages_until_the_agent_ends(
    bench: WebBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribed = asyncio.Event()
    subscribe = bench.journal.subscribe

    def noted(listener: Callable[[], None]) -> Callable[[], None]:
        subscribed.set()
        return subscribe(listener)

    monkeypatch.setattr(bench.journal, "subscribe", noted)
    path = tmp_path / "other"
    path.mkdir()
    api = LocalApi(bench.ports(), path / "api.sock")
    await api.start()
    bench.journal.record("out", '[2,"1","Heartbeat",{}]')
    following = asyncio.create_task(asyncio.to_thread(invoke, "messages", "-f", "--state-dir", str(path)))
    await subscribed.wait()
    bench.journal.record("in", '[3,"1",{}]')
    await api.close()
    result = await following
    assert [line.split()[1:4] for line in result.output.splitlines()] == [
        ["->", "call", "Heartbeat"],
        ["<-", "result", "Heartbeat"],
    ]


async def test_a_vendor_message_is_sent_and_its_answer_printed(bench: WebBench) -> None:
    result = await call(bench, "data-transfer", "com.example", "Hello", '{"a": 1}')
    assert result.exit_code == ExitCode.OK
    assert result.output.startswith("Accepted\n")
    assert '"thanks": true' in result.output
    await call(bench, "data-transfer", "com.example", "Hello", "plain text")
    await call(bench, "data-transfer", "com.example")
    assert bench.csms.sent == [
        ("com.example", "Hello", {"a": 1}),
        ("com.example", "Hello", "plain text"),
        ("com.example", None, None),
    ]


async def test_a_refused_vendor_command_is_a_failure(bench: WebBench) -> None:
    result = await call(bench, "data-transfer", "--local", "com.example", "Fan", "true")
    assert result.exit_code == ExitCode.FAILED
    assert result.output.startswith("Rejected: try later\n")
    assert bench.csms.sent == []


async def test_the_link_is_commanded(bench: WebBench) -> None:
    assert (await call(bench, "link", "disconnect")).exit_code == ExitCode.OK
    assert not bench.csms.is_connected
    assert (await call(bench, "link", "connect")).exit_code == ExitCode.OK
    assert bench.csms.is_connected


async def test_the_simulated_world_is_driven(bench: WebBench) -> None:
    taps: list[object] = []
    bench.world.subscribe_taps(lambda *tap: taps.append(tap))
    for arguments in (
        ["plug", "2", "--draw-after", "3", "--current", "10", "--phases", "1"],
        ["tap", "TAG1", "--evse", "2"],
        ["fault", "rcd_dc"],
        ["fault", "rcd_ac", "2"],
    ):
        result = await call(bench, "sim", *arguments)
        assert (result.exit_code, result.output) == (ExitCode.OK, "")
    await asyncio.sleep(0.1)
    vehicle = bench.world.evse(2).vehicle
    assert vehicle is not None
    assert (vehicle.plug.draw_after_s, vehicle.plug.current_a, vehicle.plug.phases) == (3, 10, 1)
    assert taps == [("TAG1", "ISO14443", (2,))]
    assert [sorted(one.faults) for one in bench.world.evses.values()] == [["rcd_dc"], ["rcd_ac"]]
    for arguments in (["clear-fault", "rcd_dc"], ["pause", "2"], ["resume", "2"], ["unplug", "2"]):
        assert (await call(bench, "sim", *arguments)).exit_code == ExitCode.OK
    assert bench.world.evse(1).faults == set()


async def test_an_error_of_the_agent_is_told_with_its_field(bench: WebBench) -> None:
    result = await call(bench, "sim", "fault", "nonsense")
    assert result.exit_code == ExitCode.FAILED
    assert result.output.startswith("Error: code: 'nonsense' is none of")


def test_no_agent_is_told_with_what_to_do(tmp_path: Path) -> None:
    result = invoke("status", "--state-dir", str(tmp_path))
    assert result.exit_code == ExitCode.NO_AGENT
    assert result.output.startswith(
        f"Error: no agent runs on {tmp_path}/api.sock: start one with `evse-agent run`"
    )
    assert invoke("status", "--state-dir", str(tmp_path / "missing")).exit_code == ExitCode.NO_AGENT


def test_the_state_directory_is_taken_from_the_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(SMALLEST + f'[agent]\nstate_dir = "{tmp_path}/state"\n')
    assert f"{tmp_path}/state/api.sock" in invoke("status", "--config", str(file)).output


def test_a_good_configuration_is_called_good(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(SMALLEST + "[settings]\nHeartbeatInterval = 300\n")
    result = invoke("check-config", str(file))
    assert (result.exit_code, result.output) == (ExitCode.OK, f"{file}: no problem found\n")


def test_every_problem_of_a_configuration_is_listed(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(SMALLEST + "nonsense = 1\n[hal]\ndriver = 3\n[settings]\nConnectionTimeOut = -1\n")
    result = invoke("check-config", str(file))
    assert result.exit_code == ExitCode.BAD_CONFIG
    assert f"{file} has 3 problems:" in result.output
    assert "line 11: settings.ConnectionTimeOut: must be" in result.output
    assert "line 7: csms.nonsense: unknown key" in result.output
    assert "line 9: hal.driver: must be a text" in result.output


def test_settings_and_vendor_commands_are_checked_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(
        SMALLEST
        + "[settings]\nHeartbeatIntervall = 300\nConnectionTimeOut = -1\n"
        + '[[vendor.commands]]\nvendor_id = "a"\naction = "b"\n'
    )
    result = invoke("check-config", str(file))
    assert result.exit_code == ExitCode.BAD_CONFIG
    assert (
        "line 8: settings.HeartbeatIntervall: is no setting of this station; did you mean HeartbeatInterval?"
        in (result.output)
    )
    assert "line 9: settings.ConnectionTimeOut: must be" in result.output
    assert "line 12: vendor.commands[1].action: there is no action b" in result.output


def test_hardware_that_cannot_be_as_configured_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(SMALLEST + '[[hal.meters]]\nevse = 1\nmodel = "abacus"\nport = "/dev/null"\n')
    result = invoke("check-config", str(file))
    assert result.exit_code == ExitCode.BAD_CONFIG
    assert "abacus" in result.output


@pytest.mark.parametrize("arguments", [["run", "missing.toml"], ["check-config", "missing.toml"]])
def test_a_missing_file_is_a_configuration_error(arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == ExitCode.BAD_CONFIG
    assert "No such file" in result.output


def test_a_wrong_command_line_is_a_usage_error() -> None:
    assert invoke("nonsense").exit_code == ExitCode.USAGE
    assert invoke("sim", "plug", "0").exit_code == ExitCode.USAGE


def test_help_imports_nothing_heavy() -> None:
    import subprocess
    import sys

    script = (
        "import sys; from agent.cli import main; main(['--help'], standalone_mode=False); "
        "print(sorted({'aiohttp', 'asyncio', 'msgspec', 'sqlite3', 'serial', 'ssl'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.endswith("[]\n")


async def test_diagnostics_are_written_into_the_file(bench: WebBench, tmp_path: Path) -> None:
    file = tmp_path / "out" / "all.tar.gz"
    result = await call(bench, "diagnostics", str(file))
    assert (result.exit_code, "cannot be written" in result.output) == (ExitCode.FAILED, True)
    file.parent.mkdir()
    result = await call(bench, "diagnostics", str(file), "--since", "2026-01-01T00:00:00Z")
    assert result.exit_code == ExitCode.OK
    assert result.output == f"{file}: {len(bench.archive)} bytes\n"
    assert bench.periods[0][1] is None
    result = await call(bench, "diagnostics", str(file), "--until", "soon")
    assert result.exit_code == ExitCode.FAILED
    assert [path.name for path in file.parent.iterdir()] == ["all.tar.gz"]


def verbs(group: click.Group, prefix: str = "") -> list[str]:
    found = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            found += verbs(command, f"{prefix}{name} ")
        else:
            found.append(f"{prefix}{name}")
    return found


def test_every_verb_with_its_options_and_every_exit_code_is_in_the_documentation() -> None:
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    documented = {heading.split("`")[1] for heading in re.findall(r"^### .*$", text, re.MULTILINE)}
    assert documented == set(verbs(main))
    for name in verbs(main):
        command: click.Command = main
        for part in name.split():
            assert isinstance(command, click.Group)
            found = command.get_command(click.Context(command), part)
            assert found is not None
            command = found
        section = text.split(f"### `{name}`")[1].split("\n### ")[0]
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.opts[0] not in ("--config", "--state-dir"):
                assert parameter.opts[0] in section, f"{name} takes {parameter.opts[0]}"
    codes = {int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert codes == {int(code) for code in ExitCode}


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table([("a", "b"), ("long", "")]) == ["a     b", "long"]


def test_a_long_message_is_cut_to_the_width_of_the_terminal() -> None:
    entry = {
        "direction": "out",
        "type": "call",
        "action": "",
        "at": "2026-01-01T10:00:00.123456Z",
        "payload": "x" * 100,
    }
    assert len(message_line(entry, 60)) == 60
    assert message_line(entry, 60).endswith("…")
    assert message_line(entry).startswith("10:00:00.123  -> call      ?")


def test_a_station_that_is_out_of_service_reserved_or_crashed_says_so() -> None:
    status = {
        "station": {
            "identity": "CP001",
            "vendor": "V",
            "model": "M",
            "agent_version": "1",
            "is_operative": False,
            "faults": [{"code": "tilt", "detail": "fell", "since": "now", "stops_charging": False}],
        },
        "link": {"is_connected": False, "url": "ws://x"},
        "registration": None,
        "subprotocol": None,
        "outbox_depth": 0,
        "crashed_tasks": {"web": 2},
        "outputs": {"fan": True, "lamp": False},
        "reservations": [
            {
                "reservation_id": 17,
                "id_token": "TAG1",
                "group": "FAMILY",
                "expires_at": "noon",
                "evse_id": 2,
                "connector_id": 1,
            },
            {
                "reservation_id": 18,
                "id_token": "TAG2",
                "group": None,
                "expires_at": "noon",
                "evse_id": None,
                "connector_id": None,
            },
        ],
        "evses": [],
    }
    text = status_text(status)
    assert "the whole station is out of service" in text
    assert "Fault    tilt (fell) since now, charging goes on" in text
    assert "Crashed  web: 2 times" in text
    assert "Outputs  fan on, lamp off" in text
    assert "Reserved EVSE 2 connector 1 for TAG1 or group FAMILY until noon (id 17)" in text
    assert "Reserved any EVSE for TAG2 until noon (id 18)" in text


class Refusing:
    """An ApiClient that fails as it is told."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure

    def get(self, _path: str, **_query: object) -> object:
        raise self.failure


@pytest.mark.parametrize(
    ("failure", "code", "told"),
    [
        (PermissionError(13, "denied"), ExitCode.FAILED, "owner and group only"),
        (ApiError(504, "the agent did not answer within 60 s", None), ExitCode.FAILED, "within 60 s"),
        (NoAgent("gone"), ExitCode.NO_AGENT, "no agent runs on"),
    ],
)
def test_each_failure_of_the_socket_has_its_code_and_sentence(
    failure: Exception, code: ExitCode, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ApiClient", lambda _path: Refusing(failure))
    result = invoke("status", "--state-dir", "/somewhere")
    assert result.exit_code == code
    assert told in result.output


def test_ctrl_c_is_the_way_to_end_following(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def stream(self, _path: str, **_query: object) -> object:
            raise KeyboardInterrupt
            yield

    monkeypatch.setattr(client, "ApiClient", lambda _path: Interrupted())
    result = invoke("messages", "--follow", "--state-dir", "/somewhere")
    assert (result.exit_code, result.output) == (ExitCode.OK, "")


async def test_an_agent_that_does_not_answer_in_time_is_an_error(bench: WebBench) -> None:
    silent = listen(bench.socket_path.with_name("silent.sock"))
    asking = client.ApiClient(bench.socket_path.with_name("silent.sock"), timeout_s=0.05)
    try:
        with pytest.raises(ApiError, match="did not answer within"):
            await asyncio.to_thread(asking.get, "/api/v1/status")
    finally:
        silent.close()
