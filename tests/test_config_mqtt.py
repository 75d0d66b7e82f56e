"""[mqtt]: what may stand there, and that every mistake is told with its key."""

from pathlib import Path

import pytest

from agent.config import parse
from agent.config_check import find_problems
from agent.config_mqtt import MqttConfig
from agent.errors import ConfigError

SMALLEST = """[station]
identity = "CP001"
vendor = "Example"
model = "Wallbox 22"
[csms]
url = "ws://127.0.0.1:9000/ocpp"
[mqtt]
"""


def problems_of(keys: str) -> list[str]:
    try:
        config = parse(SMALLEST + keys)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return [str(problem) for problem in find_problems(config)]


def test_without_a_url_there_is_no_mqtt_and_nothing_is_allowed() -> None:
    mqtt = parse(SMALLEST).mqtt
    assert (mqtt.url, mqtt.commands, mqtt.discovery_prefix) == ("", (), "homeassistant")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("mqtt://broker", ("broker", 1883, False)),
        ("mqtt://10.0.0.1:2000", ("10.0.0.1", 2000, False)),
        ("mqtts://broker.example", ("broker.example", 8883, True)),
        ("mqtt://[::1]:1884/", ("::1", 1884, False)),
    ],
)
def test_where_the_broker_is(url: str, place: tuple[str, int, bool]) -> None:
    mqtt = parse(SMALLEST + f'url = "{url}"').mqtt
    assert (mqtt.host, mqtt.port, mqtt.has_tls) == place


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ('url = "http://broker"', "must look like"),
        ('url = "mqtt://"', "must look like"),
        ('url = "mqtt://broker:99999"', "must look like"),
        ('url = "mqtt://broker/path"', "must look like"),
        ('url = "mqtt://user:secret@broker"', "mqtt.password_file"),
        ('topic_prefix = "a/+/b"', "topic_prefix"),
        ('topic_prefix = ""', "topic_prefix"),
        ('topic_prefix = "/a"', "topic_prefix"),
        ('discovery_prefix = "a#"', "discovery_prefix"),
        ('password = "x"', "mqtt.username: is needed"),
        ('username = "u"\npassword = "x"\npassword_file = "/dev/null"', "only one of them"),
        ('ca_file = "/nowhere.pem"', "cannot be read: /nowhere.pem"),
        ('commands = ["enable", "enable"]', "names one twice"),
        ('commands = ["enabel"]', "did you mean enable?"),
        ('commands = ["cable.lock"]', "did you mean cable.unlock?"),
        ("publish_interval_s = 0.1", "at least 1"),
        ("limit_duration_s = 0", "at least 10"),
        ('limit_origin = "CSO"', "must be one of EMS, Other"),
    ],
)
def test_a_mistake_is_told_with_its_key(keys: str, word: str) -> None:
    (problem,) = problems_of(keys)
    assert word in problem
    assert "secret" not in problem


def test_a_whole_table_is_fine(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("hush\n")
    keys = (
        f'url = "mqtts://broker"\nusername = "u"\npassword_file = "{password}"\ndiscovery_prefix = ""\n'
        'commands = ["enable", "current_limit", "stop", "cable.unlock", "board.reboot"]\nlimit_origin = "EMS"\n'
    )
    assert problems_of(keys) == []
    mqtt = parse(SMALLEST + keys).mqtt
    assert mqtt.read_password() == "hush"
    assert "hush" not in repr(MqttConfig(password="hush"))


def test_a_broker_without_its_package_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.config_check.find_spec", lambda _name: None)
    (problem,) = problems_of('url = "mqtt://broker"')
    assert "evse-agent[mqtt]" in problem
