"""What the fuzzing has to know of an OCPP version: schemas, codes, values that mean something, how a story ends.

The tables of 1.6 stand here, those of 2.0.1 in `dialect201`. Nothing of the agent is imported. Used by all of `fuzz`.
"""

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import ocpp.v16

from tests.helpers.csms_calls import friendly_answer

Payload = dict[str, Any]
Pools = Mapping[str, Sequence[Any]]
Mend = Callable[[str, Payload, random.Random, Sequence[Any]], None]
"""(action, drawn payload, random source, keys of the station): gives the drawn payload a meaning, in place."""

PLACES = (
    "ftp://127.0.0.1:9/x", "http://127.0.0.1:9/firmware.bin", "https://127.0.0.1:9/", "sftp://u:p@127.0.0.1:9/d",
    "dummy://dummy", "file:///etc/hostname", "http://", "", "127.0.0.1", "ftp://[::1]:9/", "http://127.0.0.1:0/x",
)  # fmt: skip
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Dialect:
    subprotocol: str
    folder: Path
    """Of the official schemas."""
    request_suffix: str
    """Of the name of a schema: ResetRequest or Reset."""
    from_station: frozenset[str]
    error_codes: frozenset[str]
    answers_the_nameless: bool
    """A text without a readable message id gets a CALLERROR with the id -1."""
    pools: Pools
    """Property name -> values; anything else is drawn by its type."""
    mend: Mend
    may_disconnect: re.Pattern[str]
    """Frames after which the station may rightly end the connection."""
    friendly: Callable[[str], Payload]
    """What a CSMS says to a call of the station when all is well."""
    is_end: Callable[[str, Payload], bool]
    """This call of the station ends a transaction."""
    reservation_id: str
    """Its name in ReserveNow."""
    most_counts: Mapping[str, int]
    """Action -> how often at most one batch may hold it: what costs the station a long report."""

    @cached_property
    def actions(self) -> list[str]:
        names = [path.stem for path in self.folder.glob("*.json") if not path.stem.endswith("Response")]
        return sorted(name.removesuffix(self.request_suffix) for name in names)

    @cached_property
    def calls(self) -> list[str]:
        """What a CSMS may ask, DataTransfer included."""
        return [action for action in self.actions if action not in self.from_station]

    def request(self, action: str) -> Mapping[str, Any]:
        return _schema(self.folder / f"{action}{self.request_suffix}.json")

    def response(self, action: str) -> Mapping[str, Any]:
        return _schema(self.folder / f"{action}Response.json")


@cache
def _schema(path: Path) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def mend_periods(periods: list[Payload], source: random.Random) -> None:
    """Most drawn schedules would be refused at once: periods in order from 0."""
    if not periods or source.random() < 0.1:
        return
    for number, start in enumerate(
        sorted({0, *(period["startPeriod"] for period in periods)})[: len(periods)]
    ):
        periods[number]["startPeriod"] = start
    del periods[len({period["startPeriod"] for period in periods}) :]


def _mend16(action: str, drawn: Payload, source: random.Random, _keys: Sequence[Any]) -> None:
    if action == "SetChargingProfile" or "chargingProfile" in drawn:
        profile = drawn.get("csChargingProfiles") or drawn["chargingProfile"]
        mend_periods(profile["chargingSchedule"]["chargingSchedulePeriod"], source)
        if profile["chargingProfileKind"] != "Recurring":
            profile.pop("recurrencyKind", None)


POOLS_OF_BOTH: Pools = {
    "connectorId": (0, 1, 1, 1, 2, 2, 2, 3, -1, 255),
    "reservationId": (1, 2, 3, 4),
    "chargingProfileId": (1, 2, 3, 4),
    "stackLevel": (0, 1, 2, 3, 8, 99),
    "numberPhases": (1, 2, 3, 3, 0, 4),
    "limit": (0, 0.1, 5.9, 6, 6.0, 10.5, 16, 32, 11_000, 22_000.0),
    "minChargingRate": (0, 6, 10.1),
    "duration": (0, 1, 60, 350, 400, 86_400, 604_800, 2**31 - 1),
    "startPeriod": (0, 1, 50, 60, 100, 200, 3600, 86_400),
    "vendorId": (
        "com.example.site",
        "example",
        "unknown.vendor",
        "org.openchargealliance.costmsg",
        "x" * 255,
    ),
    "messageId": ("Release", "SetFan", "identify", "RunningCost", "", "x" * 50),
    "location": PLACES,
    "remoteLocation": PLACES,
    "requestId": (1, 2, 3, 0, -1),
    "retries": (0, 1, 3, -1),
    "retryInterval": (0, 1, 60, -1),
    "serialNumber": ("1", "ABCDEF", "0x1"),
}
VALUES = (
    "",
    "0",
    "1",
    "5",
    "60",
    "-1",
    "true",
    "FALSE",
    "abc",
    "Voltage",
    "Energy.Active.Import.Register",
    "1e3",
)

DIALECT_16 = Dialect(
    subprotocol="ocpp1.6",
    folder=Path(ocpp.v16.__file__).parent / "schemas",
    request_suffix="",
    from_station=frozenset(
        {
            "Authorize", "BootNotification", "DiagnosticsStatusNotification", "FirmwareStatusNotification",
            "Heartbeat", "LogStatusNotification", "MeterValues", "SecurityEventNotification", "SignCertificate",
            "SignedFirmwareStatusNotification", "StartTransaction", "StatusNotification", "StopTransaction",
        }
    ),
    error_codes=frozenset(
        {
            "NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError",
            "FormationViolation", "PropertyConstraintViolation", "OccurenceConstraintViolation",
            "TypeConstraintViolation", "GenericError",
        }
    ),
    answers_the_nameless=False,
    pools={
        **POOLS_OF_BOTH,
        "transactionId": (1, 2, 3, 4, 5, 6, 7, 8, 9, 0, -1),
        "idTag": ("TAG1", "tag1", "TAG2", "DEADBEEF", "04A1B2C3D4E5F6", "x" * 20),
        "parentIdTag": ("GROUP1", "group1", "TAG1"),
        "listVersion": (0, 1, 2, 3, 4, 5, 6, 7, 100, -1),
        "data": ("", "{}", '{"on": true}', "[" * 200, '{"on": ', "\\", "\u0000", "é" * 500, "1e999"),
        "value": VALUES,
    },
    mend=_mend16,
    may_disconnect=re.compile(
        r"reset|authorizationkey|securityprofile|certificate|updatefirmware|rootcertificate", re.IGNORECASE
    ),
    friendly=lambda action: friendly_answer(action, 0.0, iter([1])),
    is_end=lambda action, _payload: action == "StopTransaction",
    reservation_id="reservationId",
    most_counts={},
)  # fmt: skip
