"""Legal frames of every action that a CSMS may send, drawn from the official schemas that the package `ocpp` ships.

Types, lengths and enumerations are the schemas'; the values come from small pools, so that what is drawn often means
something to the station: its connectors, running transactions, real keys, real certificates. Addresses are on loopback
with nobody there. Used by `broken` (which damages what is drawn here) and `run`.
"""

import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import ocpp.v16

SCHEMAS = Path(ocpp.v16.__file__).parent / "schemas"
FROM_STATION = frozenset(
    {
        "Authorize", "BootNotification", "DiagnosticsStatusNotification", "FirmwareStatusNotification", "Heartbeat",
        "LogStatusNotification", "MeterValues", "SecurityEventNotification", "SignCertificate",
        "SignedFirmwareStatusNotification", "StartTransaction", "StatusNotification", "StopTransaction",
    }
)  # fmt: skip
ACTIONS = sorted(path.stem for path in SCHEMAS.glob("*.json") if not path.stem.endswith("Response"))
CALLS = [action for action in ACTIONS if action not in FROM_STATION]
"""What a CSMS may ask, DataTransfer included."""

Payload = dict[str, Any]

WORDS = (
    "",
    "a",
    "TAG1",
    "tag1",
    "Example",
    "com.example",
    "com.example.site",
    "Release",
    "é😀",
    "x" * 20,
    "0",
    "true",
)
INTEGERS = (
    0,
    1,
    1,
    1,
    2,
    2,
    3,
    5,
    10,
    60,
    300,
    900,
    86_400,
    -1,
    255,
    65_536,
    2**31 - 1,
    -(2**31),
    2**53,
    10**12,
)
PLACES = (
    "ftp://127.0.0.1:9/x", "http://127.0.0.1:9/firmware.bin", "https://127.0.0.1:9/", "sftp://u:p@127.0.0.1:9/d",
    "dummy://dummy", "file:///etc/hostname", "http://", "", "127.0.0.1", "ftp://[::1]:9/", "http://127.0.0.1:0/x",
)  # fmt: skip
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
POOLS: Mapping[str, Sequence[Any]] = {
    "connectorId": (0, 1, 1, 1, 2, 2, 2, 3, -1, 255),
    "transactionId": (1, 2, 3, 4, 5, 6, 7, 8, 9, 0, -1),
    "idTag": ("TAG1", "tag1", "TAG2", "DEADBEEF", "04A1B2C3D4E5F6", "x" * 20),
    "parentIdTag": ("GROUP1", "group1", "TAG1"),
    "reservationId": (1, 2, 3, 4),
    "listVersion": (0, 1, 2, 3, 4, 5, 6, 7, 100, -1),
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
    "data": ("", "{}", '{"on": true}', "[" * 200, '{"on": ', "\\", "\u0000", "é" * 500, "1e999"),
    "location": PLACES,
    "remoteLocation": PLACES,
    "requestId": (1, 2, 3, 0, -1),
    "retries": (0, 1, 3, -1),
    "retryInterval": (0, 1, 60, -1),
    "serialNumber": ("1", "ABCDEF", "0x1"),
    "value": (
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
    ),
}
"""Property name -> values; anything else is drawn by its type."""


@cache
def schema_of(name: str) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    return schema


class Legal:
    """Draws frames; `keys` are the configuration keys of the station, `texts` more values for long strings (PEM)."""

    def __init__(self, source: random.Random, keys: Sequence[str], texts: Sequence[str]) -> None:
        self._random = source
        self._keys = keys
        self._texts = texts

    def payload(self, action: str) -> Payload:
        drawn = self._draw(schema_of(action), action)
        assert isinstance(drawn, dict)
        if action == "SetChargingProfile" or "chargingProfile" in drawn:
            self._mend_profile(drawn.get("csChargingProfiles") or drawn["chargingProfile"])
        return drawn

    def message_id(self) -> str:
        chance = self._random.random()
        if chance < 0.3:
            return str(self._random.randrange(1000))
        if chance < 0.9:
            return f"{self._random.getrandbits(128):032x}"
        return self._random.choice(("1", "é", "a b", "x" * 36, '"', "\\", "null", "\n", "😀" * 36, " "))

    def answer(self, action: str) -> Payload:
        """A legal answer to a call of the station."""
        drawn = self._draw(schema_of(f"{action}Response"), f"{action}Response")
        assert isinstance(drawn, dict)
        return drawn

    def _draw(self, schema: Mapping[str, Any], name: str) -> Any:
        choose = self._random.choice
        if "enum" in schema:
            return choose(schema["enum"])
        match schema.get("type"):
            case "object":
                required = schema.get("required", ())
                drawn = [
                    key for key in schema.get("properties", {}) if key in required or choose((True, False))
                ]
                return {key: self._draw(schema["properties"][key], key) for key in drawn}
            case "array":
                least = schema.get("minItems", 0)
                return [self._draw(schema["items"], name) for _ in range(least + choose((0, 1, 1, 2, 5)))]
            case "integer":
                return choose(POOLS.get(name, INTEGERS))
            case "number":
                return choose(POOLS.get(name, (0, 0.5, 6, 1e9)))
            case "boolean":
                return choose((True, False))
        return self._draw_text(schema, name)

    def _draw_text(self, schema: Mapping[str, Any], name: str) -> str:
        choose = self._random.choice
        if schema.get("format") == "date-time":
            return self._moment()
        longest = schema.get("maxLength", 100_000)
        if name == "key" and self._keys:
            pool: Sequence[str] = self._keys
        elif longest > 500 and self._texts and name != "data":
            pool = self._texts
        else:
            pool = POOLS.get(name, WORDS)
        return str(choose(pool))[:longest]

    def _moment(self) -> str:
        moment = START + timedelta(
            seconds=self._random.choice((-86_400, -60, 0, 1, 30, 600, 3600, 86_400, 10**8))
        )
        text = moment.isoformat()
        style = self._random.randrange(6)
        if style == 0:
            return text.replace("+00:00", "Z")
        if style == 1:
            return text.replace("+00:00", f".{self._random.randrange(1000):03}Z")
        if style == 2:
            return text.replace("+00:00", ".123456+02:00")
        if style == 3:
            return text.replace("+00:00", "")
        return text

    def _mend_profile(self, profile: Payload) -> None:
        """Most drawn schedules would be refused at once: periods in order from 0, no start of a relative one."""
        schedule = profile["chargingSchedule"]
        periods = schedule["chargingSchedulePeriod"]
        if not periods or self._random.random() < 0.1:
            return
        for number, start in enumerate(
            sorted({0, *(period["startPeriod"] for period in periods)})[: len(periods)]
        ):
            periods[number]["startPeriod"] = start
        del periods[len({period["startPeriod"] for period in periods}) :]
        if profile["chargingProfileKind"] != "Recurring":
            profile.pop("recurrencyKind", None)
