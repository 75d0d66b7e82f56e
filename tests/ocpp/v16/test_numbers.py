"""Numbers that are too large for what they are used for, in every field of every call of a CSMS."""

import json
from typing import Any

import msgspec
import pytest

from agent.errors import RemoteProtocolError
from agent.ocpp.codec import decode
from agent.ocpp.v16 import FRONT_END

UNBOUNDED = {"connectorId", "RemoteStopTransaction.transactionId"}
"""Only compared with what there is."""


def integers(info: msgspec.inspect.Type, path: str = "") -> list[tuple[str, msgspec.inspect.IntType]]:
    match info:
        case msgspec.inspect.IntType():
            return [(path, info)]
        case msgspec.inspect.ListType(item_type=item):
            return integers(item, f"{path}[]")
        case msgspec.inspect.UnionType(types=types):
            return [found for each in types for found in integers(each, path)]
        case msgspec.inspect.StructType(fields=fields):
            return [found for each in fields for found in integers(each.type, f"{path}.{each.encode_name}")]
    return []


FOUND = [
    (action, path, info)
    for action, route in sorted(FRONT_END.routes.items())
    for path, info in integers(msgspec.inspect.type_info(route.request))
    if not UNBOUNDED & {path.split(".")[-1], action + path}
]


@pytest.mark.req("R16-027")
@pytest.mark.parametrize(
    ("action", "path", "info"), FOUND, ids=lambda each: each if isinstance(each, str) else ""
)
def test_an_integer_that_is_used_has_bounds(action: str, path: str, info: msgspec.inspect.IntType) -> None:
    bits = 31 if path.split(".")[-1].lower().endswith(("retries", "interval", "duration", "period")) else 63
    assert info.ge is not None, (action, path)
    assert info.le is not None, (action, path)
    assert info.ge >= -(2**bits)
    assert info.le <= 2**bits - 1


@pytest.mark.req("R16-027")
@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("GetCompositeSchedule", {"connectorId": 1, "duration": 2**31}),
        ("GetDiagnostics", {"location": "ftp://127.0.0.1/", "retryInterval": 10**400}),
        ("GetLog", {"logType": "SecurityLog", "requestId": 10**40, "log": {"remoteLocation": "x"}}),
    ],
)
def test_a_number_too_large_is_a_property_violation(action: str, payload: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(json.dumps(payload), FRONT_END.routes[action].request)
    assert caught.value.code == "PROPERTY"
