"""[[hal.meters]], [[hal.readers]] and [[hal.gpio]] in the file: read, refused with key and line, and built."""

import pytest

from agent.app import hal_config, hardware_problems
from agent.config import Config, parse
from agent.errors import ConfigError
from hal.factory import GpioConfig, ReaderConfig

HEAD = '[station]\nidentity = "CP1"\nvendor = "V"\nmodel = "M"\n[csms]\nurl = "ws://127.0.0.1:9/"\n'
READER = '[[hal.readers]]\nmodel = "pn532"\nport = "/dev/ttyAMA1"\n'
LINE = '[[hal.gpio]]\nname = "stop"\nkind = "emergency_stop"\nline = "GPIO17"\n'


def config_of(text: str) -> Config:
    return parse(HEAD + text)


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config_of(text)
    return [str(problem) for problem in caught.value.problems]


def test_readers_and_lines_reach_the_factory_as_they_stand_in_the_file() -> None:
    config = config_of(
        f"[hal.sim]\nevses = 2\n{READER}baud_rate = 9600\nevses = [1, 2]\n"
        f'{LINE}active_low = true\nbias = "pull_up"\ndebounce_ms = 50\nevses = [2]\n'
    )
    built = hal_config(config.hal)
    assert built.readers == [ReaderConfig(model="pn532", port="/dev/ttyAMA1", baud_rate=9600, evses=(1, 2))]
    assert built.gpio == [
        GpioConfig(
            name="stop",
            kind="emergency_stop",
            line="GPIO17",
            active_low=True,
            bias="pull_up",
            debounce_ms=50,
            evses=(2,),
        )
    ]
    assert hardware_problems(config) == []


def test_a_meter_that_signs_reaches_the_factory() -> None:
    config = config_of(
        '[hal]\ndriver = "board"\n[hal.board]\nport = "/dev/ttyACM0"\n[[hal.meters]]\nevse = 1\nmodel = "em580"\n'
        'port = "/dev/ttyUSB0"\nsigns_readings = true\npublic_key = "3059"\nevse_name = "DE*ABC*E1"\n'
    )
    (meter,) = hal_config(config.hal).meters
    assert (meter.signs_readings, meter.public_key, meter.evse_name) == (True, "3059", "DE*ABC*E1")
    assert hardware_problems(config) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            READER.replace("pn532", "pn533"),
            "hal.readers[1].model: is 'pn533', but must be one of rdm6300, pn532",
        ),
        ('[[hal.readers]]\nmodel = "pn532"\n', "hal.readers[1].port: is missing"),
        (READER + "evses = [0]\n", "hal.readers[1].evses[1]: is 0, but must be at least 1"),
        (LINE.replace("stop", "Stop!", 1), "hal.gpio[1].name: must have 1 to 30"),
        (LINE.replace("emergency_stop", "contactor"), "hal.gpio[1].kind: is 'contactor'"),
        (LINE + "debounce_ms = 5000\n", "hal.gpio[1].debounce_ms: is 5000, but must be at most 1000"),
        (LINE + "bounce = 3\n", "hal.gpio[1].bounce: unknown key"),
    ],
)
def test_mistakes_are_told_with_their_key(text: str, problem: str) -> None:
    (told,) = problems_of(text)
    assert problem in told
    assert told.startswith("line ")


def test_what_two_want_is_told_before_anything_is_opened() -> None:
    config = config_of(LINE + LINE.replace('"stop"', '"door"').replace("emergency_stop", "door_open"))
    (problem,) = hardware_problems(config)
    assert "GPIO line GPIO17 is wanted by GPIO stop and by GPIO door" in str(problem)
