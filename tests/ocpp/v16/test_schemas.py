"""Every payload, field by field, against the official JSON schemas that the package `ocpp` ships."""

import importlib
import json
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import ocpp.v16
import pytest

import agent.ocpp.v16
from agent.ocpp.v16 import FRONT_END

SCHEMAS = Path(ocpp.v16.__file__).parent / "schemas"
ACTIONS = sorted(path.stem for path in SCHEMAS.glob("*.json") if not path.stem.endswith("Response"))

NOT_OURS = {
    ("SampledValue", "unit"): {"Celcius", "Hertz"},
    # errata 2.1 and 3.84: slips of the schemas that a charge point never sends
}
LENIENT = {
    ("TriggerMessageRequest", "requestedMessage"),
    ("ExtendedTriggerMessageRequest", "requestedMessage"),
}
"""An unknown name is answered with NotImplemented, not with a CALLERROR (OCPP 1.6 5.17)."""
LEFT_OUT = {("BootNotificationRequest", "chargeBoxSerialNumber")}
"""Deprecated (6.3)."""
DECIMALS = {("ChargingSchedulePeriod", "limit"), ("ChargingSchedule", "minChargingRate")}
"""`multipleOf: 0.1` cannot be checked on binary floats."""


def payload_structs() -> dict[str, type[msgspec.Struct]]:
    found = {}
    for module_entry in pkgutil.iter_modules(agent.ocpp.v16.__path__):
        module = importlib.import_module(f"agent.ocpp.v16.{module_entry.name}")
        for name, value in vars(module).items():
            if (
                isinstance(value, type)
                and issubclass(value, msgspec.Struct)
                and value.__module__ == module.__name__
            ):
                found[name] = value
    return found


STRUCTS = payload_structs()
MESSAGES = sorted(name for name in STRUCTS if name.endswith(("Request", "Response")))


def schema_of(name: str) -> dict[str, Any]:
    stem = name.removesuffix("Request")
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{stem}.json").read_text())
    resolved: dict[str, Any] = without_references(schema, schema.get("definitions", {}))
    return resolved


def without_references(part: Any, definitions: Mapping[str, Any]) -> Any:
    """The schemas of the security extension refer to types of their own."""
    if isinstance(part, list):
        return [without_references(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return without_references(definitions[part["$ref"].rpartition("/")[2]], definitions)
    return {name: without_references(item, definitions) for name, item in part.items()}


@pytest.mark.req("R16-032")
@pytest.mark.parametrize("name", MESSAGES)
def test_payload_is_that_of_the_official_schema(name: str) -> None:
    compare(schema_of(name), msgspec.inspect.type_info(STRUCTS[name]), name)


def compare(schema: Mapping[str, Any], info: msgspec.inspect.Type, path: str) -> None:
    match info:
        case msgspec.inspect.StructType():
            compare_struct(schema, info, path)
        case msgspec.inspect.ListType():
            assert schema["type"] == "array", path
            # StopTransaction forgot the minItems that MeterValues has for the same type (7.33: 1..*)
            assert schema.get("minItems") in (info.min_length, None), path
            compare(schema["items"], info.item_type, path + "[]")
        case msgspec.inspect.LiteralType():
            owner, field = path.split(".")[-2].removesuffix("[]"), path.split(".")[-1]
            assert set(info.values) == set(schema["enum"]) - NOT_OURS.get((owner, field), set()), path
        case msgspec.inspect.DateTimeType():
            assert (schema["type"], schema["format"]) == ("string", "date-time"), path
        case msgspec.inspect.StrType():
            assert schema["type"] == "string", path
            assert schema.get("maxLength") == info.max_length, path
        case msgspec.inspect.IntType():
            assert schema["type"] == "integer", path
        case msgspec.inspect.FloatType():
            assert schema["type"] == "number", path
        case msgspec.inspect.BoolType():
            assert schema["type"] == "boolean", path
        case _:
            pytest.fail(f"{path}: {info}")


def compare_struct(schema: Mapping[str, Any], info: msgspec.inspect.StructType, path: str) -> None:
    name = info.cls.__name__
    assert schema["type"] == "object", path
    properties = schema.get("properties", {})
    fields = {field.encode_name: field for field in info.fields}
    left_out = {field for owner, field in LEFT_OUT if owner == name}
    assert set(fields) == set(properties) - left_out, path
    required = {field for field, entry in fields.items() if entry.required}
    assert required == set(schema.get("required", [])), path
    if not is_answer_of_csms(name):
        assert info.forbid_unknown_fields, path
    for field_name, field in fields.items():
        if (name, field_name) not in LENIENT:
            compare(properties[field_name], given(field.type), f"{name}.{field_name}")


def given(info: msgspec.inspect.Type) -> msgspec.inspect.Type:
    """The type of a field when it is there."""
    if isinstance(info, msgspec.inspect.UnionType):
        kinds = [kind for kind in info.types if not isinstance(kind, msgspec.inspect.NoneType)]
        assert len(kinds) == 1
        return kinds[0]
    return info


def is_answer_of_csms(name: str) -> bool:
    """What the CSMS answers is read with patience: it cannot be refused."""
    return name == "IdTagInfo" or (
        name.endswith("Response")
        and name.removesuffix("Response") in FRONT_END.results
        and name != "DataTransferResponse"
    )


@pytest.mark.req("R16-026")
def test_every_action_of_1_6_is_served_or_listed_with_a_reason() -> None:
    assert len(ACTIONS) == 39
    assert set(FRONT_END.routes) | set(FRONT_END.unsupported) == set(ACTIONS)
    assert not set(FRONT_END.routes) & set(FRONT_END.unsupported)
    assert all(FRONT_END.unsupported.values())


def test_every_route_has_the_request_of_its_action() -> None:
    for action, route in FRONT_END.routes.items():
        assert route.action == action
        assert route.request.__name__ == f"{action}Request"
        assert f"{action}Response" in STRUCTS


def test_every_answer_we_read_is_that_of_its_action() -> None:
    for action, reader in FRONT_END.results.items():
        assert reader.payload.__name__ == f"{action}Response"
        assert f"{action}Request" in STRUCTS
