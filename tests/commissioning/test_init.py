"""`evse-agent init` as it is typed: asked, answered by options, scripted, broken off."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent import cli_init
from agent.cli import main
from agent.commissioning.writing import problems_of
from agent.config import Config, load
from agent.exit_codes import ExitCode
from tests.helpers.authorities import Authority
from tests.helpers.served_devices import IDLE, ServedDevices

SCRIPTED = ("--yes", "--simulated", "--csms-url", "ws://127.0.0.1:9000/ocpp", "--identity", "CP001")
PASSWORD = "correct horse battery"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_init, "is_terminal", lambda: True)


def invoke(file: Path, *options: str, answers: str = "") -> Result:
    return CliRunner(env={"EVSE_AGENT_PASSWORD": None}).invoke(main, ["init", str(file), *options], answers)


def written(file: Path, result: Result) -> Config:
    assert result.exit_code == ExitCode.OK, result.output
    assert problems_of(file.read_text()) == []
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    return load(file)


# --- without a person -------------------------------------------------------------------------------------


def test_a_script_answers_everything_by_options(file: Path) -> None:
    config = written(file, invoke(file, *SCRIPTED))
    assert config.station.identity == "CP001"
    assert config.csms.url == "ws://127.0.0.1:9000/ocpp"
    assert config.csms.security_profile == 0
    assert config.hal.driver == "sim"
    assert config.agent.state_dir == str(file.parent / "state"), "beside the file: no developer owns /var/lib"


def test_without_a_terminal_all_that_is_missing_is_named_at_once(file: Path) -> None:
    result = invoke(file, "--no-detect")
    assert result.exit_code == ExitCode.USAGE
    assert "no terminal to ask on" in result.output
    for option in (
        "--csms-url",
        "--identity",
        "--vendor",
        "--model",
        "--board with --max-current, or --simulated",
    ):
        assert option in result.output
    assert not file.exists()


def test_yes_asks_nothing_even_at_a_terminal(file: Path, at_a_terminal: None) -> None:
    result = invoke(file, *SCRIPTED[:-2])
    assert result.exit_code == ExitCode.USAGE
    assert "--yes asks nothing, and these options are missing: --identity" in result.output


def test_a_board_needs_its_current_from_a_person(file: Path) -> None:
    """Nobody but the installer knows what wires and breaker carry."""
    board = (
        "--yes",
        "--no-detect",
        "--board",
        "/dev/evse/board",
        "--vendor",
        "V",
        "--model",
        "M",
        *SCRIPTED[2:],
    )
    result = invoke(file, *board)
    assert (result.exit_code, "missing: --max-current" in result.output) == (ExitCode.USAGE, True)
    result = invoke(file, *board, "--max-current", "20", "--evses", "2")
    assert (result.exit_code, "missing: --main-fuse" in result.output) == (ExitCode.USAGE, True)
    config = written(file, invoke(file, *board, "--max-current", "20", "--evses", "2", "--main-fuse", "32"))
    assert (config.hal.board.port, config.hal.board.evses) == ("/dev/evse/board", 2)
    assert config.hal.board.max_current_a == 16.0
    assert config.agent.state_dir == "/var/lib/evse-agent"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--csms-url", "https://h/"), "--csms-url: that is an address for browsers; did you mean wss://h/?"),
        (("--identity", "CP 1"), "--identity: must have 1 to 48 characters without spaces"),
        (("--security-profile", "2"), "--security-profile: with an address of ws:// it can be 0, 1"),
        (("--security-profile", "1", "--password", "short"), "--password: it has 5 characters"),
        (("--evses", "9"), "--evses: a number from 1 to 8"),
        (("--max-current", "5"), "--max-current: from 6 A"),
        (("--password-file", "/no/such/file", "--security-profile", "1"), "--password-file: cannot be read"),
        (("--csms-url", "wss://h/", "--ca-file", "/dev"), "--ca-file: /dev: Is a directory"),
        (("--vendor", "ACM\udcc9"), "--vendor: it holds a character that is no UTF-8"),
        (("--state-dir", "/tmp/\udcc9"), "is no UTF-8 text"),
    ],
)
def test_an_option_that_cannot_be_is_named_with_the_reason(
    file: Path, options: tuple[str, ...], said: str
) -> None:
    result = invoke(file, *SCRIPTED, *options)
    assert result.exit_code in (ExitCode.USAGE, ExitCode.BAD_CONFIG), result.output
    assert said in result.output
    assert not file.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--meter", "1=sdm9000,/dev/ttyUSB0,1"), "no meter model 'sdm9000'"),
        (("--meter", "sdm630,/dev/ttyUSB0,1"), "EVSE=MODEL,PORT,ADDRESS is wanted"),
        (("--meter", "2=sdm630,/dev/ttyUSB0,1"), "an EVSE from 0 to 1"),
        (("--reader", "abc,/dev/ttyUSB0"), "rdm6300, pn532"),
        (("--board", "ttyUSB0"), "a port such as /dev/ttyACM0"),
    ],
)
def test_hardware_that_cannot_be_is_named_with_the_reason(
    file: Path, options: tuple[str, ...], said: str
) -> None:
    known = ("--vendor", "V", "--model", "M", "--max-current", "16", "--board", "/dev/ttyACM0")
    result = invoke(file, "--yes", "--no-detect", *SCRIPTED[2:], *known, *options)
    assert result.exit_code == ExitCode.USAGE, result.output
    assert said in result.output


def test_answers_that_do_not_go_together_are_not_written(file: Path) -> None:
    line = [("--meter", f"{evse}=sdm630,/dev/ttyUSB0,1") for evse in (1, 2)]
    result = invoke(
        file,
        *("--yes", "--no-detect", *SCRIPTED[2:], "--vendor", "V", "--model", "M", "--max-current", "16"),
        *("--board", "/dev/ttyACM0", "--evses", "2", "--main-fuse", "0", *line[0], *line[1]),
    )
    assert result.exit_code == ExitCode.BAD_CONFIG
    assert "unit 1 is wanted by meter 1" in result.output
    assert not file.exists()


def test_the_password_can_come_from_the_environment_and_is_never_shown(file: Path) -> None:
    arguments = ["init", str(file), *SCRIPTED, "--csms-url", "wss://h/ocpp"]
    result = CliRunner(env={"EVSE_AGENT_PASSWORD": PASSWORD}).invoke(main, arguments)
    config = written(file, result)
    assert (config.csms.security_profile, config.csms.password) == (2, PASSWORD)
    assert PASSWORD not in result.output


def test_a_password_file_stays_where_it_is(file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD + "\n")
    result = invoke(file, *SCRIPTED, "--security-profile", "1", "--password-file", str(secret))
    config = written(file, result)
    assert "password set" in result.output
    assert config.csms.password_file == str(secret)
    assert config.csms.read_password() == PASSWORD.encode()
    assert PASSWORD not in file.read_text()


@pytest.mark.parametrize(
    ("option", "is_hex"), [((), True), (("--password-is-hex",), True), (("--password-is-text",), False)]
)
def test_hex_digits_are_bytes_unless_said_otherwise(
    file: Path, option: tuple[str, ...], is_hex: bool
) -> None:
    key = "0123456789abcdef0123456789ABCDEF"
    result = invoke(file, *SCRIPTED, "--security-profile", "1", "--password", key, *option)
    config = written(file, result)
    assert "password set" in result.output
    assert key not in result.output
    assert config.csms.read_password() == (bytes.fromhex(key) if is_hex else key.encode())


def test_profile_3_names_certificate_and_key(file: Path, tmp_path: Path) -> None:
    root = Authority.root()
    own = root.issue("0001")
    for name, text in (("ca.pem", root.pem), ("own.pem", own.pem), ("key.pem", own.key_pem)):
        (tmp_path / name).write_text(text)
    wanted = [
        *SCRIPTED,
        "--csms-url",
        "wss://h/",
        "--security-profile",
        "3",
        "--ca-file",
        str(tmp_path / "ca.pem"),
    ]
    result = invoke(file, *wanted)
    assert "missing: --certificate-file" in result.output
    result = invoke(file, *wanted, "--certificate-file", str(tmp_path / "key.pem"))
    assert "key.pem: no PEM certificate" in result.output
    files = (
        "--certificate-file",
        str(tmp_path / "own.pem"),
        "--certificate-key-file",
        str(tmp_path / "key.pem"),
    )
    config = written(file, invoke(file, *wanted, *files))
    assert config.csms.certificate_file == str(tmp_path / "own.pem")
    assert config.csms.ca_file == str(tmp_path / "ca.pem")


# --- the file ---------------------------------------------------------------------------------------------


def test_an_existing_file_is_not_touched_without_force(file: Path) -> None:
    file.write_text("mine")
    result = invoke(file, *SCRIPTED)
    assert result.exit_code == ExitCode.FAILED
    assert "--force replaces it" in result.output
    assert file.read_text() == "mine"


def test_force_replaces_the_file_and_keeps_a_copy(file: Path) -> None:
    file.write_text("mine")
    result = invoke(file, *SCRIPTED, "--force")
    written(file, result)
    assert f"the old one is {file}.bak" in result.output
    assert file.with_name("config.toml.bak").read_text() == "mine"


def test_a_directory_that_is_not_there_is_told_before_any_question(
    tmp_path: Path, at_a_terminal: None
) -> None:
    result = invoke(tmp_path / "missing" / "config.toml")
    assert result.exit_code == ExitCode.FAILED
    assert f"there is no directory {tmp_path}/missing" in result.output
    assert "Address" not in result.output


# --- with a person ----------------------------------------------------------------------------------------

DIALOGUE = {
    "Address of the CSMS": "wss://csms.example.com/ocpp/CP001",
    "Identity": "CP001",
    "Security profile": "",
    "Password": PASSWORD,
    "File with the root": "",
    "Maker": "ACME",
    "Model": "Wall 22",
    "serial number": "4711",
    "Port of the I/O board": "",
    "How many": "",
    "Most current": "",
    "Card reader": None,
    "Write": "",
}


def typed(**changes: str | None) -> str:
    """One line for each question; a change with line ends gives several answers."""
    lines = {**DIALOGUE, **{key.replace("_", " "): text for key, text in changes.items()}}
    return "".join(f"{text}\n" for text in lines.values() if text is not None)


def test_a_person_is_asked_and_what_has_a_default_needs_only_enter(file: Path, at_a_terminal: None) -> None:
    result = invoke(file, "--no-detect", answers=typed())
    config = written(file, result)
    assert config.csms.url == "wss://csms.example.com/ocpp"
    assert "The identity is appended by the agent: wss://csms.example.com/ocpp\n" in result.output
    assert (config.csms.security_profile, config.csms.password) == (2, PASSWORD)
    assert (config.station.vendor, config.station.serial_number) == ("ACME", "4711")
    assert (config.hal.driver, config.hal.sim.max_current_a) == ("sim", 32.0)
    assert PASSWORD not in result.output
    assert "is going to say" in result.output
    assert f"evse-agent doctor --config {file}" in result.output


def test_a_bad_answer_is_asked_again_with_the_reason(file: Path, at_a_terminal: None) -> None:
    answers = typed(Password=f"short\n{PASSWORD}", Identity="CP 1\nCP001", Most_current="lots\n16")
    result = invoke(file, "--no-detect", answers=answers)
    config = written(file, result)
    assert "Not so: it has 5 characters; OCPP wants 16 to 40" in result.output
    assert "Not so: must have 1 to 48 characters without spaces" in result.output
    assert "Not so: a current in ampere" in result.output
    assert result.output.count("Identity of this station") == 2
    assert config.hal.sim.max_current_a == 16.0


def test_hardware_that_does_not_go_together_is_asked_again_at_once(file: Path, at_a_terminal: None) -> None:
    """Not refused after twenty answers: the second meter has the first one's address, the reader its port."""
    board = {"Port of the I/O board": "/dev/ttyACM0", "How many": "2", "Most current": "16\n0"}
    meters = "sdm630,/dev/ttyUSB0,1\nsdm630,/dev/ttyUSB0,1\nsdm630,/dev/ttyUSB0,2"
    reader = "rdm6300,/dev/ttyUSB0\nrdm6300,/dev/ttyUSB1"
    result = invoke(file, "--no-detect", answers=typed(**board, Card_reader=f"{meters}\n{reader}"))
    config = written(file, result)
    assert (
        "Not so: on port /dev/ttyUSB0, unit 1 is wanted by meter 1 (sdm630) and by meter 2" in result.output
    )
    assert "Not so: port /dev/ttyUSB0 is wanted by meter 1 (sdm630) and by a reader" in result.output
    assert [meter.unit for meter in config.hal.meters] == [1, 2]
    assert [each.port for each in config.hal.readers] == ["/dev/ttyUSB1"]


def test_an_option_is_not_asked_again(file: Path, at_a_terminal: None) -> None:
    answers = typed(**{"Address of the CSMS": None, "Identity": None})
    result = invoke(file, "--no-detect", "--csms-url", "wss://h/x", "--identity", "CP7", answers=answers)
    assert written(file, result).station.identity == "CP7"
    assert "Address of the CSMS" not in result.output


def test_no_to_the_summary_writes_nothing(file: Path, at_a_terminal: None) -> None:
    result = invoke(file, "--no-detect", answers=typed(Write="n"))
    assert result.exit_code == ExitCode.FAILED
    assert "nothing was written" in result.output
    assert list(file.parent.iterdir()) == []


@pytest.mark.parametrize("after", [0, 3, 8, 11])
def test_breaking_off_leaves_nothing_behind(file: Path, at_a_terminal: None, after: int) -> None:
    """The input ends: as Ctrl-C, an Abort for click."""
    answers = "".join(typed().splitlines(keepends=True)[:after])
    result = invoke(file, "--no-detect", answers=answers)
    assert result.exit_code == ExitCode.FAILED
    assert "Aborted" in result.output
    assert list(file.parent.iterdir()) == []


def test_ctrl_c_while_ports_are_looked_at_leaves_nothing_behind(
    file: Path, at_a_terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_init, "_detect", interrupt)
    result = invoke(file)
    assert (result.exit_code, list(file.parent.iterdir())) == (ExitCode.FAILED, [])


# --- with hardware ----------------------------------------------------------------------------------------


@pytest.mark.real_time
def test_what_is_found_becomes_the_default(file: Path, at_a_terminal: None, devices: ServedDevices) -> None:
    board, reader = devices.board(evses=2), devices.pn532()
    line = devices.meters({1: ("sdm630", IDLE), 2: ("sdm630", IDLE)})
    ports = [word for port in (board, line, reader) for word in ("--look-at", port)]
    connection = ["wss://csms.example.com/ocpp", "CP001", "", PASSWORD, "", "ACME", "", "4711"]
    # Port, EVSEs (one too many first), current, main fuse, meters the other way round, reader, write.
    hardware = ["", "3", "2", "32", "50", "2", "1", "", ""]
    result = invoke(file, *ports, answers="\n".join([*connection, *hardware]) + "\n")
    config = written(file, result)
    assert f"{board}: I/O board simulated, firmware" in result.output
    assert f"{reader}: a card reader PN532, firmware 1.6" in result.output
    assert "Not so: a number from 1 to 2: the board has no more connectors" in result.output
    assert (config.hal.board.port, config.hal.board.evses) == (board, 2)
    assert config.hal.board.max_current_a == 25.0, "half of the main fuse"
    assert [(meter.evse, meter.model, meter.port, meter.unit) for meter in config.hal.meters] == [
        (1, "sdm630", line, 2),
        (2, "sdm630", line, 1),
    ]
    assert [(each.model, each.port) for each in config.hal.readers] == [("pn532", reader)]


@pytest.mark.real_time
def test_a_script_takes_the_meter_that_answers_if_there_is_no_doubt(
    file: Path, devices: ServedDevices
) -> None:
    board, line = devices.board(), devices.meters({1: ("sdm630", IDLE)})
    known = ("--yes", *SCRIPTED[2:], "--vendor", "V", "--max-current", "16")
    looked = ("--look-at", board, "--look-at", line)
    config = written(file, invoke(file, *known, *looked))
    assert [(meter.evse, meter.port) for meter in config.hal.meters] == [(1, line)]
    assert config.station.model == "simulated", "as the board calls its circuit"


@pytest.mark.real_time
def test_a_script_must_say_whose_meter_is_whose(file: Path, devices: ServedDevices) -> None:
    board, line = devices.board(), devices.meters({1: ("sdm630", IDLE), 2: ("sdm630", IDLE)})
    known = (
        "--yes",
        *SCRIPTED[2:],
        "--vendor",
        "V",
        "--max-current",
        "16",
        "--look-at",
        board,
        "--look-at",
        line,
    )
    result = invoke(file, *known)
    assert (result.exit_code, "--meter or --no-meters" in result.output) == (ExitCode.USAGE, True)
