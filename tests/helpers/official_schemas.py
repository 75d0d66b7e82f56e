"""The official JSON schemas of OCPP 2.0.1, as the package `ocpp` brings them.

A schema is read and judged once: tests look at every message of a station, again and again.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema

SCHEMAS = files("ocpp.v201") / "schemas"


@cache
def schema_of(name: str) -> dict[str, Any]:
    """`name`: action and Request or Response."""
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    return schema


@cache
def _judge(name: str) -> Any:
    schema = schema_of(name)
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    return validator(schema)


def assert_official(name: str, payload: Any) -> None:
    """Raises jsonschema.ValidationError."""
    _judge(name).validate(payload)
