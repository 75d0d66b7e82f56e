"""The document by which Home Assistant makes a device of the station, with all its entities. Pure.

Device-based discovery of its MQTT integration (Home Assistant 2024.11 and later): one retained message for the whole
station. Only commands that the configuration allows become switches, numbers and buttons; what it does not allow is
named with nothing but its platform, which removes what an earlier configuration allowed. docs/mqtt.md.
"""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from agent.charging.snapshot import EvseSnapshot
from agent.config_mqtt import CURRENT_LIMIT, ENABLE, STOP
from agent.mqtt.payloads import OFFLINE, ONLINE, STATES
from agent.mqtt.topics import Topics, object_id_of

Json = dict[str, Any]
OUTPUT_SET = "output.set"
DIAGNOSTIC = {"entity_category": "diagnostic"}


@dataclass(frozen=True, slots=True)
class Button:
    """An action that needs no parameters but an EVSE, at most."""

    name: str
    summary: str
    is_of_evse: bool


def discovery_topic(prefix: str, identity: str) -> str:
    return f"{prefix}/device/{device_id(identity)}/config"


def device_id(identity: str) -> str:
    return f"evse_{object_id_of(identity)}"


def discovery_document(
    topics: Topics,
    about: Mapping[str, str],
    evses: Sequence[EvseSnapshot],
    *,
    allowed: Set[str],
    buttons: Sequence[Button] = (),
    outputs: Sequence[str] = (),
) -> Json:
    """`about` as the local API's status shows it; `allowed`: names of commands; `buttons`, `outputs`: of the hardware,
    allowed or not."""
    components: dict[str, Json] = {}
    for evse in evses:
        place = f"EVSE {evse.evse_id} " if len(evses) > 1 else ""
        components |= _sensors(topics, evse, place)
        components |= _controls(topics, evse, place, allowed, buttons)
    components |= _of_station(topics, allowed, buttons, outputs)
    device = device_id(about["identity"])
    for name, component in components.items():
        if component.keys() > {"platform"}:
            component["unique_id"] = f"{device}_{name}"
    return {
        "device": {
            "identifiers": [device],
            "name": f"{about['model']} {about['identity']}",
            "manufacturer": about["vendor"],
            "model": about["model"],
            "sw_version": about["firmware_version"],
            **({"serial_number": about["serial_number"]} if about.get("serial_number") else {}),
        },
        "origin": {"name": "evse-agent", "sw_version": about["agent_version"]},
        "availability_topic": topics.availability,
        "payload_available": ONLINE,
        "payload_not_available": OFFLINE,
        "qos": 1,
        "components": components,
    }


def _sensor(topic: str, name: str, template: str, **more: Any) -> Json:
    value_template = f"{{{{ value_json.{template} }}}}"
    return {
        "platform": "sensor",
        "name": name,
        "state_topic": topic,
        "value_template": value_template,
        **more,
    }


def _is(topic: str, name: str, template: str, **more: Any) -> Json:
    """A binary sensor of a field that is true or false."""
    return {
        "platform": "binary_sensor",
        "name": name,
        "state_topic": topic,
        "value_template": f"{{{{ 'ON' if value_json.{template} else 'OFF' }}}}",
        **more,
    }


def _measured(device_class: str, unit: str, digits: int, state_class: str = "measurement") -> Json:
    return {
        "device_class": device_class,
        "unit_of_measurement": unit,
        "state_class": state_class,
        "suggested_display_precision": digits,
    }


def _sensors(topics: Topics, evse: EvseSnapshot, place: str) -> dict[str, Json]:
    state, meter, number = topics.state(evse.evse_id), topics.meter(evse.evse_id), evse.evse_id
    found = {
        "state": _sensor(
            state, f"{place}state", "state", device_class="enum", options=list(STATES), icon="mdi:ev-station"
        ),
        "plugged": _is(state, f"{place}cable", "is_plugged", device_class="plug"),
        "charging": _is(state, f"{place}charging", "is_charging", device_class="battery_charging"),
        "problem": _is(state, f"{place}problem", "is_faulted", device_class="problem", **DIAGNOSTIC),
        "fault": _sensor(
            state, f"{place}fault", "fault[:255]", icon="mdi:alert-circle-outline", **DIAGNOSTIC
        ),
        "offered": _sensor(
            state, f"{place}offered current", "offered_current_a", **_measured("current", "A", 1)
        ),
        "temperature": _sensor(
            state,
            f"{place}temperature",
            "temperature_c",
            **_measured("temperature", "°C", 1),
            **DIAGNOSTIC,
        ),
    }
    if evse.has_meter:
        found["power"] = _sensor(meter, f"{place}power", "power_w", **_measured("power", "W", 0))
        found["energy"] = _sensor(
            meter, f"{place}energy", "energy_import_wh", **_measured("energy", "Wh", 0, "total_increasing")
        )
        found["session_energy"] = _sensor(
            meter,
            f"{place}session energy",
            "session_energy_wh",
            **_measured("energy", "Wh", 0, "total_increasing"),
        )
        for index in range(1 if evse.capabilities is not None and evse.capabilities.phases == 1 else 3):
            found[f"current_l{index + 1}"] = _sensor(
                meter,
                f"{place}current L{index + 1}",
                f"current_a[{index}]",
                **_measured("current", "A", 1),
            )
            found[f"voltage_l{index + 1}"] = _sensor(
                meter,
                f"{place}voltage L{index + 1}",
                f"voltage_v[{index}]",
                **_measured("voltage", "V", 0),
                **DIAGNOSTIC,
            )
    return {f"{number}_{name}": component for name, component in found.items()}


def _controls(
    topics: Topics, evse: EvseSnapshot, place: str, allowed: Set[str], buttons: Sequence[Button]
) -> dict[str, Json]:
    state, number = topics.state(evse.evse_id), evse.evse_id
    found: dict[str, Json] = {}
    if ENABLE in allowed:
        found["enable"] = {
            **_is(state, f"{place}in service", "is_operative"),
            "platform": "switch",
            "command_topic": topics.command(ENABLE, number),
            "icon": "mdi:power",
        }
        found["operative"] = _removed("binary_sensor")
    else:
        found["enable"] = _removed("switch")
        found["operative"] = _is(state, f"{place}in service", "is_operative", **DIAGNOSTIC)
    found |= {"current_limit": _removed("number"), "stop": _removed("button")}
    if CURRENT_LIMIT in allowed:
        most_a = 32.0 if evse.capabilities is None else evse.capabilities.max_current_a or 80.0
        found["current_limit"] = {
            "platform": "number",
            "name": f"{place}current limit",
            "state_topic": state,
            # A limit above what the EVSE can is none, and Home Assistant refuses a value beyond the slider's end.
            "value_template": "{{ [value_json.commanded_limit_a, "
            f"{most_a:g}] | min if value_json.commanded_limit_a is not none else {most_a:g} }}}}",
            "command_topic": topics.command(CURRENT_LIMIT, number),
            "min": 0,
            "max": most_a,
            "step": 1,
            "mode": "slider",
            "device_class": "current",
            "unit_of_measurement": "A",
        }
    if STOP in allowed:
        found["stop"] = _button(topics, STOP, f"{place}stop charging", number)
    for each in buttons:
        if each.is_of_evse:
            is_allowed = each.name in allowed
            found[object_id_of(each.name)] = (
                _button(topics, each.name, f"{place}{each.summary}", number)
                if is_allowed
                else _removed("button")
            )
    return {f"{number}_{name}": component for name, component in found.items()}


def _removed(platform: str) -> Json:
    """Home Assistant takes away a component that has a platform and nothing else, and knows of no other way."""
    return {"platform": platform}


def _button(topics: Topics, command: str, name: str, evse_id: int = 0) -> Json:
    return {
        "platform": "button",
        "name": name,
        "command_topic": topics.command(command, evse_id),
        "payload_press": "PRESS",
    }


def _of_station(
    topics: Topics, allowed: Set[str], buttons: Sequence[Button], outputs: Sequence[str]
) -> dict[str, Json]:
    found = {
        "csms": _is(topics.station, "CSMS", "is_csms_connected", device_class="connectivity", **DIAGNOSTIC),
        "registration": _sensor(topics.station, "registration", "registration", **DIAGNOSTIC),
    }
    for each in buttons:
        if not each.is_of_evse:
            found[object_id_of(each.name)] = (
                _button(topics, each.name, each.summary) if each.name in allowed else _removed("button")
            )
    for output in outputs:
        if OUTPUT_SET not in allowed:
            found[f"output_{object_id_of(output)}"] = _removed("switch")
            continue
        found[f"output_{object_id_of(output)}"] = {
            **_is(topics.station, f"output {output}", f"outputs[{_quoted(output)}]"),
            "platform": "switch",
            "command_topic": topics.command("output.set"),
            "payload_on": f'{{"output": {_json_text(output)}, "on": true}}',
            "payload_off": f'{{"output": {_json_text(output)}, "on": false}}',
            "state_on": "ON",
            "state_off": "OFF",
        }
    return found


def _json_text(text: str) -> str:
    return json.dumps(text)


def _quoted(text: str) -> str:
    """As a text of a template."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
