"""The discovery document: what Home Assistant makes a device of. Its rules are those of Home Assistant's MQTT docs."""

import json
import re
from typing import Any

import pytest

from agent.charging.profiles import LimitOrigin
from agent.mqtt.building import buttons_of
from agent.mqtt.discovery import discovery_document, discovery_topic
from agent.mqtt.payloads import encode, evse_json, meter_json, station_json
from agent.mqtt.topics import Topics
from hal.ports import MeterReading
from tests.helpers import snapshots

ABOUT = {
    "identity": "CP/001+",
    "vendor": "Example",
    "model": "Wallbox 22",
    "serial_number": "",
    "firmware_version": "1.2",
    "agent_version": "0.1",
}
TOPICS = Topics("evse-agent", ABOUT["identity"])
READING = MeterReading(1000.0, 5.0, 0.0, 11_000.0, (230.0, 230.0, 230.0), (16.0, 16.0, 16.0))
PLATFORMS = {
    "sensor": {"state_topic", "value_template"},
    "binary_sensor": {"state_topic", "value_template"},
    "switch": {"state_topic", "command_topic", "value_template"},
    "number": {"state_topic", "command_topic", "min", "max"},
    "button": {"command_topic", "payload_press"},
}


def document(allowed: frozenset[str] = frozenset(), evses: int = 1, **more: Any) -> dict[str, Any]:
    pictures = [snapshots.evse(number, reading=READING) for number in range(1, evses + 1)]
    return discovery_document(TOPICS, ABOUT, pictures, allowed=allowed, **more)


def platforms(found: dict[str, Any]) -> dict[str, str]:
    """Of what is there."""
    return {name: each["platform"] for name, each in found["components"].items() if len(each) > 1}


def removed(found: dict[str, Any]) -> dict[str, str]:
    """A component with nothing but its platform is taken away, if it was there."""
    return {name: each["platform"] for name, each in found["components"].items() if len(each) == 1}


def test_its_topic_and_ids_have_only_characters_that_home_assistant_takes() -> None:
    assert re.fullmatch(
        r"homeassistant/device/[A-Za-z0-9_-]+/config", discovery_topic("homeassistant", "CP/001+")
    )
    found = document(frozenset({"enable"}))
    for name in platforms(found):
        assert re.fullmatch(r"[A-Za-z0-9_-]+", name)
        assert re.fullmatch(r"[A-Za-z0-9_-]+", found["components"][name]["unique_id"])


def test_every_component_has_what_its_platform_needs_and_a_name_of_its_own() -> None:
    found = document(frozenset({"enable", "current_limit", "stop"}), evses=2, outputs=["fan"])
    present = [found["components"][name] for name in platforms(found)]
    names = [each["name"] for each in present]
    assert len(names) == len(set(names))
    assert found["origin"]["name"] == "evse-agent"
    assert found["device"]["identifiers"]
    for component in present:
        assert PLATFORMS[component["platform"]] <= component.keys()


def test_energy_may_be_used_on_the_energy_dashboard() -> None:
    energy = document()["components"]["1_energy"]
    assert (energy["device_class"], energy["state_class"], energy["unit_of_measurement"]) == (
        "energy",
        "total_increasing",
        "Wh",
    )


def test_without_allowed_commands_there_is_nothing_to_press() -> None:
    assert set(platforms(document()).values()) == {"sensor", "binary_sensor"}


def test_what_is_allowed_becomes_a_control() -> None:
    catalogue: list[dict[str, Any]] = [
        {"name": "cable.unlock", "summary": "release the cable", "parameters": [_parameter("evse_id")]},
        {"name": "output.set", "summary": "switch", "parameters": [_parameter("output", is_required=True)]},
        {"name": "board.reboot", "summary": "restart", "parameters": []},
        {"name": "rcd.self_test", "summary": "test", "parameters": [_parameter("evse_id")]},
    ]
    allowed = frozenset({"enable", "current_limit", "stop", "cable.unlock", "output.set", "board.reboot"})
    found = platforms(document(allowed, buttons=buttons_of(catalogue), outputs=["it's"]))
    controls = {name: platform for name, platform in found.items() if "sensor" not in platform}
    assert controls.pop("output_it_s_" + next(name for name in found if "it_s" in name)[-6:]) == "switch"
    assert controls == {
        "1_enable": "switch",
        "1_current_limit": "number",
        "1_stop": "button",
        next(name for name in found if name.startswith("1_cable_unlock")): "button",
        next(name for name in found if name.startswith("board_reboot")): "button",
    }


def test_what_is_not_allowed_any_more_is_taken_away_and_nothing_else_is() -> None:
    catalogue: list[dict[str, Any]] = [
        {"name": "unlock", "summary": "release the cable", "parameters": [_parameter("evse_id")]},
        {"name": "reboot", "summary": "restart", "parameters": []},
    ]
    every = frozenset({"enable", "current_limit", "stop", "unlock", "reboot", "output.set"})
    more: dict[str, Any] = {"buttons": buttons_of(catalogue), "outputs": ["fan"], "evses": 2}
    full, bare = document(every, **more), document(frozenset(), **more)
    assert removed(full) == {"1_operative": "binary_sensor", "2_operative": "binary_sensor"}
    controls = {name: each for name, each in platforms(full).items() if "sensor" not in each}
    assert removed(bare) == controls
    assert len(controls) == 10
    assert set(full["components"]) == set(bare["components"])


def test_the_slider_never_gets_a_value_beyond_its_end() -> None:
    slider = document(frozenset({"current_limit"}))["components"]["1_current_limit"]
    assert f"{slider['max']:g}] | min" in slider["value_template"]


def _parameter(name: str, is_required: bool = False) -> dict[str, Any]:
    return {"name": name, "is_required": is_required}


@pytest.mark.parametrize("reading", [READING, None])
def test_every_template_finds_its_field(reading: MeterReading | None) -> None:
    """The field after value_json is one of what is published on that topic."""
    evse = snapshots.evse(1, reading=reading)
    station = snapshots.station(evse)
    published = {
        TOPICS.state(1): evse_json(evse, station, LimitOrigin.OTHER),
        TOPICS.station: station_json(station, is_connected=True, registration=None, outputs={"fan": True}),
        TOPICS.meter(1): meter_json(evse, 1000.0) or meter_json(snapshots.evse(1, reading=READING), 1000.0),
    }
    found = document(frozenset({"enable", "current_limit"}), outputs=["fan"])
    for component in found["components"].values():
        if "value_template" in component:
            content = json.loads(encode(published[component["state_topic"]] or {}))
            for field in re.findall(r"value_json\.(\w+)", component["value_template"]):
                assert field in content, component
