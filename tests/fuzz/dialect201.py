"""OCPP 2.0.1 as the fuzzing knows it: values that mean something to a station, and whole variables of its own.

Used by `__main__` and `run`; part 4, table 8 for the error codes.
"""

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ocpp.v201

from tests.fuzz.dialects import PLACES, POOLS_OF_BOTH, VALUES, Dialect, Payload, mend_periods
from tests.helpers.csms_calls import friendly_answer

_EVSES = (0, 1, 1, 1, 2, 2, 2, 3, -1, 255)


def _friendly(action: str) -> Payload:
    if action == "Authorize":
        return {"idTokenInfo": {"status": "Accepted"}}
    if action in ("SignCertificate", "GetCertificateStatus"):
        return {"status": "Accepted"}
    return friendly_answer(action, 0.0, iter([1]))


def _is_end(action: str, payload: Payload) -> bool:
    return action == "TransactionEvent" and payload["eventType"] == "Ended"


def _mend(_action: str, drawn: Payload, source: random.Random, keys: Sequence[Any]) -> None:
    for node in _nodes(drawn):
        if "component" in node and keys and source.random() < 0.85:
            component, variable = source.choice(keys)
            node["component"] = component
            if "variable" in node or source.random() < 0.5:
                node["variable"] = variable
        if "attributeType" in node and source.random() < 0.7:
            node["attributeType"] = "Actual"
        if "chargingSchedule" in node:
            _mend_profile(node, source)


def _mend_profile(profile: Payload, source: random.Random) -> None:
    for schedule in profile["chargingSchedule"]:
        mend_periods(schedule["chargingSchedulePeriod"], source)
        schedule.pop("salesTariff", None)  # for ISO 15118; it would fill the frame
    if profile["chargingProfileKind"] != "Recurring":
        profile.pop("recurrencyKind", None)
    if profile["chargingProfilePurpose"] != "TxProfile" and source.random() < 0.9:
        profile.pop("transactionId", None)
    if source.random() < 0.8:
        del profile["chargingSchedule"][1:]


def _nodes(tree: Any) -> Iterator[Payload]:
    left = [tree]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            left += node.values()
            yield node
        elif isinstance(node, list):
            left += node


DIALECT_201 = Dialect(
    subprotocol="ocpp2.0.1",
    folder=Path(ocpp.v201.__file__).parent / "schemas",
    request_suffix="Request",
    from_station=frozenset(
        {
            "Authorize", "BootNotification", "ClearedChargingLimit", "FirmwareStatusNotification",
            "Get15118EVCertificate", "GetCertificateStatus", "Heartbeat", "LogStatusNotification", "MeterValues",
            "NotifyChargingLimit", "NotifyCustomerInformation", "NotifyDisplayMessages", "NotifyEVChargingNeeds",
            "NotifyEVChargingSchedule", "NotifyEvent", "NotifyMonitoringReport", "NotifyReport",
            "PublishFirmwareStatusNotification", "ReportChargingProfiles", "ReservationStatusUpdate",
            "SecurityEventNotification", "SignCertificate", "StatusNotification", "TransactionEvent",
        }
    ),
    error_codes=frozenset(
        {
            "FormatViolation", "GenericError", "InternalError", "MessageTypeNotSupported", "NotImplemented",
            "NotSupported", "OccurrenceConstraintViolation", "PropertyConstraintViolation", "ProtocolError",
            "RpcFrameworkError", "SecurityError", "TypeConstraintViolation",
        }
    ),
    answers_the_nameless=True,
    pools={
        **POOLS_OF_BOTH,
        "evseId": _EVSES,
        "id": (1, 1, 2, 2, 3, 4, 0, -1, 2**31 - 1),
        "transactionId": ("1", "unknown", "x" * 36),
        "remoteStartId": (1, 2, 3, 0, -1, 2**40),
        "idToken": ("TAG1", "tag1", "TAG2", "DEADBEEF", "04A1B2C3D4E5F6", "x" * 36, ""),
        "versionNumber": (0, 1, 2, 3, 4, 5, 6, 7, 100, -1),
        "configurationSlot": (0, 2, 3, 3, 4, -1),
        "ocppCsmsUrl": ("ws://127.0.0.1:9/ocpp", "wss://127.0.0.1:9/", "http://127.0.0.1:9/", "", "ws://", "x"),
        "messageTimeout": (30, 1, 0, -1, 10**6),
        "securityProfile": (0, 1, 2, 3, 4, -1),
        "severity": (0, 3, 5, 9, 10, -1),
        "attributeValue": (
            *VALUES, "EVConnected", "PowerPathClosed", "Authorized,EVConnected", "1,2", "0.1", "x" * 1000,
        ),
        "language": ("en", "de", "nl", "", "xx-YY"),
        "content": ("Hello", "", "é😀", "<b>bold</b>", "http://127.0.0.1/", "x" * 512),
        "totalCost": (0, 1.5, -3, 1e12, 0.333333),
        "responderURL": PLACES,
        "tag": ("main", ""),
    },
    mend=_mend,
    may_disconnect=re.compile(
        r"reset|basicauthpassword|securityprofile|certificate|updatefirmware|networkconfig|identity", re.IGNORECASE
    ),
    friendly=_friendly,
    is_end=_is_end,
    reservation_id="id",
    most_counts={},
)  # fmt: skip
