"""What the witness has to know of an OCPP version: the package's classes, who says what, and what is usual.

`WORDS_16` and `WORDS_201` are given to `central_system.CentralSystem`. Nothing of the agent is imported.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

from ocpp.v16 import call as call16
from ocpp.v16 import call_result as call_result16
from ocpp.v201 import call as call201
from ocpp.v201 import call_result as call_result201

Payload = dict[str, Any]
Reply = Payload | Exception | Callable[[Payload], Payload]
"""An exception of the package becomes a CALLERROR."""


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Words:
    version: str
    """As the package spells it."""
    subprotocol: str
    call: ModuleType
    call_result: ModuleType
    from_station: tuple[str, ...]
    error_codes: frozenset[str]
    background: frozenset[str]
    """Calls that may come at any time; they are consumed only where they are expected."""
    place: str
    """The field of StatusNotification that says where."""
    status: str
    """And the one that says what."""
    answers: Callable[[str, Payload, Callable[[Payload], Payload]], Payload]
    """(action, payload, what is known of a token) -> the usual answer."""


def _answer16(action: str, payload: Payload, token: Callable[[Payload], Payload]) -> Payload:
    match action:
        case "Authorize" | "StartTransaction":
            return {"idTagInfo": token(payload)}
        case "DataTransfer" | "SignCertificate":
            return {"status": "Accepted"}
    return {}


def _answer201(action: str, payload: Payload, token: Callable[[Payload], Payload]) -> Payload:
    match action:
        case "Authorize":
            return {"idTokenInfo": token(payload)}
        case "TransactionEvent" if "idToken" in payload:
            return {"idTokenInfo": token(payload)}
        case "DataTransfer" | "SignCertificate" | "GetCertificateStatus":
            return {"status": "Accepted"}
    return {}


WORDS_16 = Words(
    version="1.6",
    subprotocol="ocpp1.6",
    call=call16,
    call_result=call_result16,
    from_station=(
        "Authorize", "BootNotification", "DataTransfer", "DiagnosticsStatusNotification", "FirmwareStatusNotification",
        "Heartbeat", "LogStatusNotification", "MeterValues", "SecurityEventNotification", "SignCertificate",
        "SignedFirmwareStatusNotification", "StartTransaction", "StatusNotification", "StopTransaction",
    ),
    error_codes=frozenset(
        {
            "NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError", "FormationViolation",
            "PropertyConstraintViolation", "OccurenceConstraintViolation", "TypeConstraintViolation", "GenericError",
        }
    ),
    background=frozenset({"Heartbeat", "MeterValues", "SecurityEventNotification"}),
    place="connectorId",
    status="status",
    answers=_answer16,
)  # fmt: skip

WORDS_201 = Words(
    version="2.0.1",
    subprotocol="ocpp2.0.1",
    call=call201,
    call_result=call_result201,
    from_station=(
        "Authorize", "BootNotification", "ClearedChargingLimit", "DataTransfer", "FirmwareStatusNotification",
        "GetCertificateStatus", "Heartbeat", "LogStatusNotification", "MeterValues", "NotifyChargingLimit",
        "NotifyCustomerInformation", "NotifyDisplayMessages", "NotifyEvent", "NotifyMonitoringReport", "NotifyReport",
        "ReportChargingProfiles", "ReservationStatusUpdate", "SecurityEventNotification", "SignCertificate",
        "StatusNotification", "TransactionEvent",
    ),
    error_codes=frozenset(
        {
            "FormatViolation", "GenericError", "InternalError", "MessageTypeNotSupported", "NotImplemented",
            "NotSupported", "OccurrenceConstraintViolation", "PropertyConstraintViolation", "ProtocolError",
            "RpcFrameworkError", "SecurityError", "TypeConstraintViolation",
        }
    ),
    background=frozenset({"Heartbeat", "MeterValues", "SecurityEventNotification", "NotifyEvent"}),
    place="evseId",
    status="connectorStatus",
    answers=_answer201,
)  # fmt: skip
