"""The configuration file: what it may say, and that every mistake is told with its key and line."""

import re
from pathlib import Path

import pytest

from agent.config import CsmsConfig, all_keys, load, parse, setting_line
from agent.errors import ConfigError

SMALLEST = """[station]
identity = "CP001"
vendor = "Example"
model = "Wallbox 22"
[csms]
url = "ws://127.0.0.1:9000/ocpp"
"""
ISSUE_EXAMPLE = """[station]
identity = "CP001"
vendor = "Example"
model = "Wallbox 22"
serial_number = "0001"
[csms]
url = "ws://127.0.0.1:9000/ocpp"
subprotocols = ["ocpp1.6"]
security_profile = 0
password = ""
ca_file = ""
[agent]
state_dir = "/var/lib/evse-agent"
on_reset = "exit"
[web]
listen = "127.0.0.1:8080"
[hal]
driver = "sim"
[hal.sim]
evses = 1
connectors_per_evse = 1
has_lock = true
meter_start_wh = 0
meter_resets_on_plug_in = false
phases = 3
[settings]
HeartbeatInterval = 300
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return [str(problem) for problem in caught.value.problems]


def test_a_file_with_every_section_is_read() -> None:
    config = parse(ISSUE_EXAMPLE)
    assert config.station.serial_number == "0001"
    assert config.csms.subprotocols == ("ocpp1.6",)
    assert config.web.address == ("127.0.0.1", 8080)
    assert config.hal.sim.has_lock is True
    assert config.settings == {"HeartbeatInterval": "300"}
    assert setting_line(config.lines, "HeartbeatInterval") == 27
    assert config.socket_path == Path("/var/lib/evse-agent/api.sock")


def test_everything_but_identity_vendor_model_and_url_has_a_default() -> None:
    config = parse(SMALLEST)
    assert config.hal.driver == "sim"
    assert config.web.address is None
    assert config.csms.read_password() is None


def test_an_empty_file_names_every_missing_key() -> None:
    assert problems_of("") == [
        "station.identity: is missing",
        "station.vendor: is missing",
        "station.model: is missing",
        "csms.url: is missing",
    ]


def test_all_problems_are_listed_at_once_in_the_order_of_their_lines() -> None:
    text = (
        SMALLEST.replace('"Example"', "7")
        + 'security_profile = 9\n[web]\nlisten = "charger.local:80"\n[hal]\ndriver = "simm"\n'
    )
    assert problems_of(text) == [
        "line 3: station.vendor: must be a text, not a whole number",
        "line 7: csms.security_profile: is 9, but must be at most 3",
        "line 9: web.listen: charger.local is no IP address; "
        'all addresses of this machine are "0.0.0.0" or "[::]"',
        "line 11: hal.driver: is 'simm', but must be one of sim, board; did you mean sim?",
    ]


def test_an_unknown_key_is_an_error_that_suggests_the_nearest() -> None:
    assert problems_of(SMALLEST + "securty_profile = 1\n") == [
        "line 7: csms.securty_profile: unknown key; did you mean security_profile?"
    ]
    assert problems_of(SMALLEST + "[sattion]\nx = 1\n") == [
        "line 7: sattion: unknown key; did you mean station?"
    ]


def test_broken_toml_is_a_problem_with_its_line() -> None:
    (problem,) = problems_of("[station]\nidentity = \n")
    assert problem.startswith("line 2: TOML:")


def test_a_whole_number_is_fine_where_a_fraction_is_and_true_is_no_number() -> None:
    assert parse(SMALLEST + "backoff_first_s = 3\n").csms.backoff_first_s == 3.0
    (problem,) = problems_of(SMALLEST + "backoff_first_s = true\n")
    assert "must be a number, not true or false" in problem


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("localhost:8080", ("localhost", 8080)),
        ("[::1]:80", ("::1", 80)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::]:80", ("::", 80)),
        ("192.168.1.4:80", ("192.168.1.4", 80)),
        ("", None),
    ],
)
def test_addresses_of_both_families(listen: str, address: tuple[str, int] | None) -> None:
    assert parse(SMALLEST + f'[web]\nlisten = "{listen}"\n').web.address == address


def test_a_certificate_needs_its_key() -> None:
    assert problems_of(SMALLEST + '[web]\ncertificate_file = "c.pem"\n') == [
        "line 7: web.key_file: is needed with certificate_file"
    ]
    assert problems_of(SMALLEST + '[web]\nkey_file = "k.pem"\n') == [
        "line 7: web.certificate_file: is needed with key_file"
    ]


@pytest.mark.parametrize("listen", ["8080", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:99999"])
def test_an_address_without_host_or_port_is_refused(listen: str) -> None:
    (problem,) = problems_of(SMALLEST + f'[web]\nlisten = "{listen}"\n')
    assert "must look like" in problem


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("security_profile = 1\n", "csms.password: is needed in security profile 1"),
        ('security_profile = 2\npassword = "x"\n', "csms.url: must begin with wss://"),
        ('secure_url = "ws://h/"\n', "csms.secure_url: must look like wss://host/path"),
        ('certificate_file = "/no/such"\n', "csms.certificate_file: cannot be read: /no/such"),
        (
            'certificate_key_file = "/etc/hostname"\n',
            "csms.certificate_key_file: is the key of no certificate",
        ),
        ('password = "x"\npassword_hex = "00"\n', "csms.password_hex: is set beside password"),
        ('password_hex = "0"\n', "csms.password_hex: must have up to 20 bytes in hex"),
        ('ca_file = "/no/such/file"\n', "csms.ca_file: cannot be read: /no/such/file"),
        ('subprotocols = ["ocpp1.5"]\n', "csms.subprotocols[1]: is 'ocpp1.5'"),
        ("subprotocols = []\n", "csms.subprotocols: must name at least one"),
        ('subprotocols = ["ocpp2.0.1", "ocpp2.0.1"]\n', "csms.subprotocols: names one twice"),
        ("backoff_first_s = 500\n", "csms.backoff_first_s: is longer than backoff_max_s"),
    ],
)
def test_the_connection_is_checked_as_a_whole(extra: str, expected: str) -> None:
    assert any(expected in problem for problem in problems_of(SMALLEST + extra))


@pytest.mark.parametrize(
    "url", ["http://host/x", "ws://", "127.0.0.1:9000", "ws://host:port/", "ws://u:p@host/"]
)
def test_an_address_that_is_no_websocket_url_is_refused(url: str) -> None:
    assert any(
        "csms.url" in problem for problem in problems_of(SMALLEST.replace("ws://127.0.0.1:9000/ocpp", url))
    )


def test_an_identity_with_a_colon_cannot_be_a_user_name() -> None:
    text = SMALLEST.replace("CP001", "CP:1") + 'password = "x"\n'
    assert parse(text).station.identity == "CP:1"
    (problem,) = problems_of(text + "security_profile = 1\n")
    assert problem.startswith("line 2: station.identity: cannot be a user name")


def test_the_password_is_bytes_from_text_hex_or_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_bytes(b"\xffsecret\n")
    assert CsmsConfig(url="", password="caf\u00e9").read_password() == "café".encode()
    assert CsmsConfig(url="", password_hex="00FFa1").read_password() == b"\x00\xff\xa1"
    assert CsmsConfig(url="", password_file=str(secret)).read_password() == b"\xffsecret"


def test_no_password_is_in_the_printed_form() -> None:
    assert "hunter2" not in repr(CsmsConfig(url="", password="hunter2"))
    assert "cafe" not in repr(CsmsConfig(url="", password_hex="cafe"))


def test_settings_take_every_simple_value_and_variables_without_quotes() -> None:
    config = parse(
        SMALLEST
        + "[settings]\nHeartbeatInterval = 5\nLocalAuthorizeOffline = true\n"
        + 'MeterValuesSampledData = ["Voltage", "Power.Active.Import"]\nOCPPCommCtrlr.HeartbeatInterval = 6\n'
    )
    assert config.settings == {
        "HeartbeatInterval": "5",
        "LocalAuthorizeOffline": "true",
        "MeterValuesSampledData": "Voltage,Power.Active.Import",
        "OCPPCommCtrlr.HeartbeatInterval": "6",
    }
    assert setting_line(config.lines, "OCPPCommCtrlr.HeartbeatInterval") == 11


def test_a_setting_that_is_a_date_is_refused() -> None:
    assert problems_of(SMALLEST + "[settings]\nX = 2024-01-01\n")[0].startswith("line 8: settings.X: must be")


def test_meters_and_vendor_commands_are_lists_of_tables() -> None:
    config = parse(
        SMALLEST
        + '[hal]\ndriver = "board"\nboard.port = "/dev/ttyACM0"\n[hal.board.outputs]\nfan = 0\n'
        + '[[hal.meters]]\nevse = 1\nmodel = "sdm630"\nport = "/dev/ttyUSB0"\nparity = "even"\n'
        + '[[vendor.commands]]\nvendor_id = "com.example"\nmessage_id = "Fan"\naction = "output.set"\n'
        + 'fixed = { output = "fan" }\nparameters = { on = "state.on" }\n'
    )
    assert config.hal.board.outputs == {"fan": 0}
    assert config.hal.meters[0].parity == "even"
    assert config.vendor.commands[0].fixed == {"output": "fan"}
    assert config.vendor.commands[0].parameters == {"on": "state.on"}


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ('[hal]\ndriver = "board"\n', "hal.board.port: is needed"),
        ("[hal.board.outputs]\nfan = 9\n", "hal.board.outputs.fan: is 9"),
        (
            '[[hal.meters]]\nevse = 1\nmodel = "a"\nport = "b"\n[[hal.meters]]\nevse = 1\nmodel = "a"\nport = "b"\n',
            "line 12: hal.meters[2].evse: EVSE 1 has meter 1 already",
        ),
        (
            '[[vendor.commands]]\nvendor_id = "a"\naction = "x"\n[[vendor.commands]]\nvendor_id = "A"\naction = "y"\n',
            "line 10: vendor.commands[2].message_id: command 1 has the same",
        ),
        (
            '[[vendor.commands]]\nvendor_id = "a"\naction = "x"\nfixed = { on = true }\nparameters = { on = "" }\n',
            "vendor.commands[1].parameters.on: is fixed as well",
        ),
        ("[hal]\nmeters = 3\n", "hal.meters: must be a list, not a whole number"),
        ("[hal]\nsim = 3\n", "hal.sim: must be a table, not a whole number"),
        ("[hal.board]\noutputs = 3\n", "hal.board.outputs: must be a table"),
    ],
)
def test_tables_are_checked_as_a_whole(extra: str, expected: str) -> None:
    assert any(expected in problem for problem in problems_of(SMALLEST + extra))


def test_updates_need_a_prepared_root_and_a_version_that_can_change(tmp_path: Path) -> None:
    (tmp_path / "current").mkdir()
    prepared = parse(SMALLEST + f'[update]\nroot = "{tmp_path}"\nrequire_signature = false\n')
    assert prepared.update.require_signature is False
    unprepared = problems_of(SMALLEST + f'[update]\nroot = "{tmp_path / "none"}"\nknown_hosts = "/none"\n')
    assert any("update.root: holds no release" in problem for problem in unprepared)
    assert any("update.known_hosts: cannot be read" in problem for problem in unprepared)
    fixed = SMALLEST.replace("[station]\n", '[station]\nfirmware_version = "7"\n')
    (problem,) = problems_of(fixed + f'[update]\nroot = "{tmp_path}"\n')
    assert "station.firmware_version: must be empty" in problem


def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes(b'x = "\xe9"')
    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path / "latin.toml")


def test_every_key_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))
    assert documented == set(all_keys())


def test_the_example_of_the_documentation_is_a_valid_file() -> None:
    text = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
    examples = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert parse(examples[0]).station.identity
