"""Every payload, field by field, against the official JSON schemas that the package `ocpp` ships."""

import importlib
import json
import pkgutil
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

import agent.ocpp.v201
from agent.errors import RemoteProtocolError
from agent.ocpp.codec import Category, decode
from agent.ocpp.v201 import FRONT_END
from agent.ocpp.v201.data_transfer import DataTransferRequest
from agent.ocpp.v201.datatypes import CsmsAnswer, CustomData
from agent.ocpp.v201.remote_control import RequestStartTransactionRequest
from tests.helpers.official_schemas import SCHEMAS, schema_of

MESSAGES = sorted(path.name.removesuffix(".json") for path in SCHEMAS.iterdir())
ACTIONS = sorted(name.removesuffix("Request") for name in MESSAGES if name.endswith("Request"))

LENIENT = {
    ("GetBaseReportRequest", "reportBase"),
    ("GetMonitoringReportRequest", "monitoringCriteria"),
    ("GetReportRequest", "componentCriteria"),
    ("SetMonitoringBaseRequest", "monitoringBase"),
    ("TriggerMessageRequest", "requestedMessage"),
}
"""An unknown name is answered with NotImplemented or NotSupported, not with a CALLERROR (F06.FR.08, B07.FR.02,
B08.FR.02, N02.FR.02, N03.FR.02)."""
MAY_BE_EMPTY = {"SendLocalListRequest.localAuthorizationList"}
"""An empty list means the same as none (D01.FR.05)."""


def payload_structs() -> dict[str, type[msgspec.Struct]]:
    found: dict[str, type[msgspec.Struct]] = {}
    for module_entry in pkgutil.iter_modules(agent.ocpp.v201.__path__):
        module = importlib.import_module(f"agent.ocpp.v201.{module_entry.name}")
        for name, value in vars(module).items():
            is_struct = isinstance(value, type) and issubclass(value, msgspec.Struct)
            if is_struct and value.__module__ == module.__name__:
                assert name not in found, f"{name} stands in two rooms"
                found[name] = value
    return found


STRUCTS = payload_structs()


@pytest.mark.req("FR.02", "FR.03")
@pytest.mark.parametrize("name", MESSAGES)
def test_payload_is_that_of_the_official_schema(name: str) -> None:
    schema = schema_of(name)
    compare(schema, msgspec.inspect.type_info(STRUCTS[name]), name, schema["definitions"])


def compare(
    schema: Mapping[str, Any], info: msgspec.inspect.Type, path: str, definitions: Mapping[str, Any]
) -> None:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    match info:
        case msgspec.inspect.StructType(cls=cls) if cls is CustomData:
            compare_custom_data(schema, info, path)
        case msgspec.inspect.StructType():
            compare_struct(schema, info, path, definitions)
        case msgspec.inspect.ListType():
            assert schema["type"] == "array", path
            if path not in MAY_BE_EMPTY:
                assert schema.get("minItems") == info.min_length, path
            assert schema.get("maxItems") == info.max_length, path
            compare(schema["items"], info.item_type, path + "[]", definitions)
        case msgspec.inspect.LiteralType():
            assert set(info.values) == set(schema["enum"]), path
        case msgspec.inspect.DateTimeType():
            assert (schema["type"], schema["format"]) == ("string", "date-time"), path
        case msgspec.inspect.StrType():
            assert schema["type"] == "string", path
            assert "enum" not in schema, path
            assert schema.get("maxLength") == info.max_length, path
        case msgspec.inspect.IntType():
            assert schema["type"] == "integer", path
            if "minimum" in schema:
                assert (schema["minimum"], schema.get("maximum")) == (info.ge, info.le), path
        case msgspec.inspect.FloatType():
            assert schema["type"] == "number", path
        case msgspec.inspect.BoolType():
            assert schema["type"] == "boolean", path
        case msgspec.inspect.AnyType():
            assert "type" not in schema, path
        case _:
            pytest.fail(f"{path}: {info}")


def compare_custom_data(schema: Mapping[str, Any], info: msgspec.inspect.StructType, path: str) -> None:
    assert list(schema["properties"]) == schema["required"] == ["vendorId"], path
    assert "additionalProperties" not in schema, path
    assert not info.forbid_unknown_fields, path
    (field,) = info.fields
    assert field.required, path
    compare(schema["properties"]["vendorId"], field.type, path, {})


def compare_struct(
    schema: Mapping[str, Any],
    info: msgspec.inspect.StructType,
    path: str,
    definitions: Mapping[str, Any],
) -> None:
    name = info.cls.__name__
    assert schema["type"] == "object", path
    assert schema["additionalProperties"] is False, path
    properties = schema.get("properties", {})
    fields = {field.encode_name: field for field in info.fields}
    assert set(fields) == set(properties), path
    assert "customData" in fields, path
    required = {field for field, entry in fields.items() if entry.required}
    assert required == set(schema.get("required", [])), path
    if not issubclass(info.cls, CsmsAnswer):
        assert info.forbid_unknown_fields, path
    for field_name, field in fields.items():
        if (name, field_name) not in LENIENT:
            given = type_when_given(field.type)
            compare(properties[field_name], given, f"{name}.{field_name}", definitions)


def type_when_given(info: msgspec.inspect.Type) -> msgspec.inspect.Type:
    if isinstance(info, msgspec.inspect.UnionType):
        assert len(info.types) == 1
        return info.types[0]
    return info


def test_only_what_a_csms_answers_to_calls_of_ours_may_have_unknown_fields() -> None:
    answers = {f"{action}Response" for action, why in FRONT_END.unsupported.items() if why.startswith("sent")}
    patient = {name for name, struct in STRUCTS.items() if issubclass(struct, CsmsAnswer)} - {"CsmsAnswer"}
    assert patient == answers


def test_every_action_of_2_0_1_is_served_or_listed_with_a_reason() -> None:
    assert len(ACTIONS) == 64
    assert set(FRONT_END.routes) | set(FRONT_END.unsupported) == set(ACTIONS)
    assert not set(FRONT_END.routes) & set(FRONT_END.unsupported)
    assert all(FRONT_END.unsupported.values())


def test_every_route_has_the_request_of_its_action() -> None:
    for action, route in FRONT_END.routes.items():
        assert route.action == action
        assert route.request is STRUCTS[f"{action}Request"]


def test_every_answer_we_read_is_that_of_its_action() -> None:
    for action, reader in FRONT_END.results.items():
        assert reader.payload is STRUCTS[f"{action}Response"]


# --- customData and any JSON -----------------------------------------------------------------------------

TOKEN = '{"idToken": "TAG1", "type": "Central", "customData": {"vendorId": "x", "more": [1, {"a": null}]}}'


@pytest.mark.req("TC_P_03_CS")
def test_custom_data_is_taken_at_every_level_whatever_is_in_it() -> None:
    text = f'{{"idToken": {TOKEN}, "remoteStartId": 7, "customData": {{"vendorId": "y"}}}}'
    request = decode(text, RequestStartTransactionRequest)
    assert request.id_token.id_token == "TAG1"
    assert request.custom_data == CustomData(vendor_id="y")


@pytest.mark.parametrize(
    ("custom_data", "category"),
    [("{}", Category.PROTOCOL), ('{"vendorId": 1}', Category.TYPE), ("null", Category.TYPE)],
)
def test_custom_data_has_to_name_its_vendor(custom_data: str, category: Category) -> None:
    text = f'{{"idToken": {TOKEN}, "remoteStartId": 7, "customData": {custom_data}}}'
    with pytest.raises(RemoteProtocolError) as refused:
        decode(text, RequestStartTransactionRequest)
    assert refused.value.code == category.name


@pytest.mark.parametrize("data", ["1", '"text"', "[]", '{"a": {"b": [true, null]}}', "false", "null"])
def test_data_transfer_carries_any_json(data: str) -> None:
    request = decode(f'{{"vendorId": "x", "data": {data}}}', DataTransferRequest)
    assert request.data == json.loads(data)
