"""How a station is asked for its settings, put back into order, and seen to charge: in the words of each version.

A story is told after the fuzzing (`Fuzzer._charge_at_last`): whatever came, the next driver has to be able to charge.
Knows nothing of the agent.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from tests.fuzz.dialects import DIALECT_16, Dialect, Payload
from tests.helpers.csms_calls import Answer

Ask = Callable[[str, Payload | None], Awaitable[Answer]]
Calls = Callable[[], Sequence[tuple[str, Payload]]]
"""What the station told lately."""
TAG = "LASTTAG"
AT_ONCE = 10
"""Variables in one SetVariables."""
KEPT_OUT = frozenset(
    {"authorizationkey", "securityprofile", "basicauthpassword", "networkconfigurationpriority"}
)
"""Settings that decide with whom the station speaks."""
PLACES: tuple[Payload, ...] = (
    {},
    {"evse": {"id": 1}},
    {"evse": {"id": 2}},
    {"evse": {"id": 1, "connectorId": 1}},
    {"evse": {"id": 2, "connectorId": 1}},
)
"""Station, EVSEs, connectors."""


class Story(Protocol):
    async def remember(self, ask: Ask, calls: Calls) -> Sequence[Any]:
        """Note the settings of the station; what of them the fuzzing may aim at."""

    def meet(self, met: Mapping[str, deque[Any]], action: str, payload: Payload) -> None:
        """A call of the station: note what the CSMS may name in its own."""

    def helpful(self, source: random.Random) -> tuple[str, Payload]:
        """A call (action, payload) that brings the station nearer to charging."""

    async def reset(self, ask: Ask) -> None: ...
    async def put_back(self, ask: Ask, reservations: Sequence[int]) -> None: ...
    def is_start(self, action: str, payload: Payload) -> bool: ...
    def is_good_end(self, action: str, payload: Payload) -> bool:
        """Of the transaction of `TAG`, with energy in it."""


class Story16:
    def __init__(self) -> None:
        self._initial: dict[str, str] = {}
        self._meter_start = 0

    async def remember(self, ask: Ask, calls: Calls) -> Sequence[Any]:
        answer = await ask("GetConfiguration", None)
        self._initial = {
            each["key"]: each.get("value", "")
            for each in answer.payload["configurationKey"]
            if not each["readonly"] and each["key"].lower() not in KEPT_OUT
        }
        return ()

    def meet(self, met: Mapping[str, deque[Any]], action: str, payload: Payload) -> None:
        pass  # it numbers its transactions 1, 2, 3 ..., as the pool has them

    def helpful(self, source: random.Random) -> tuple[str, Payload]:
        place = source.choice((0, 1, 2))
        key = source.choice(list(self._initial))
        return source.choice(
            (
                ("ChangeAvailability", {"connectorId": place, "type": "Operative"}),
                ("ChangeConfiguration", {"key": key, "value": self._initial[key]}),
                ("ClearChargingProfile", {}),
                ("CancelReservation", {"reservationId": source.choice((1, 2, 3, 4))}),
                ("RemoteStartTransaction", {"idTag": "TAG1", "connectorId": source.choice((1, 2))}),
            )
        )

    async def reset(self, ask: Ask) -> None:
        await ask("Reset", {"type": "Soft"})

    async def put_back(self, ask: Ask, reservations: Sequence[int]) -> None:
        for key, value in self._initial.items():
            await ask("ChangeConfiguration", {"key": key, "value": value})
        await ask("ClearChargingProfile", None)
        await ask("ClearCache", None)
        await ask("SendLocalList", {"listVersion": 10**6, "updateType": "Full", "localAuthorizationList": []})
        for reservation_id in reservations:
            await ask("CancelReservation", {"reservationId": reservation_id})
        for connector_id in (0, 1, 2):
            await ask("ChangeAvailability", {"connectorId": connector_id, "type": "Operative"})

    def is_start(self, action: str, payload: Payload) -> bool:
        if action != "StartTransaction" or payload["idTag"] != TAG:
            return False
        self._meter_start = payload["meterStart"]
        return True

    def is_good_end(self, action: str, payload: Payload) -> bool:
        is_it = action == "StopTransaction" and payload["idTag"] == TAG
        return is_it and bool(payload["meterStop"] > self._meter_start)


class Story201:
    def __init__(self) -> None:
        self._initial: list[tuple[Payload, Payload, str]] = []

    async def remember(self, ask: Ask, calls: Calls) -> Sequence[Any]:
        await ask("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
        for _ in range(1000):
            parts = [payload for action, payload in calls() if action == "NotifyReport"]
            if parts and not parts[-1].get("tbc"):
                break
            await asyncio.sleep(0.05)
        told = [each for part in parts for each in part["reportData"]]
        for each in told:
            (attribute,) = each["variableAttribute"]
            is_free = attribute.get("mutability", "ReadWrite") == "ReadWrite" and "value" in attribute
            if is_free and each["variable"]["name"].lower() not in KEPT_OUT:
                self._initial.append((each["component"], each["variable"], attribute["value"]))
        assert len(self._initial) > 50, "hardly any settings"
        return [(each["component"], each["variable"]) for each in told if not _is_kept_out(each)]

    def meet(self, met: Mapping[str, deque[Any]], action: str, payload: Payload) -> None:
        if action == "TransactionEvent":
            met["transactionId"].append(payload["transactionInfo"]["transactionId"])

    def helpful(self, source: random.Random) -> tuple[str, Payload]:
        component, variable, value = source.choice(self._initial)
        order = {"component": component, "variable": variable, "attributeValue": value}
        token = {"idToken": "TAG1", "type": "ISO14443"}
        start = {"idToken": token, "evseId": source.choice((1, 2)), "remoteStartId": 1}
        return source.choice(
            (
                ("ChangeAvailability", {"operationalStatus": "Operative", **source.choice(PLACES)}),
                ("SetVariables", {"setVariableData": [order]}),
                ("ClearChargingProfile", {"chargingProfileId": source.choice((1, 2, 3, 4))}),
                ("CancelReservation", {"reservationId": source.choice((1, 2, 3, 4))}),
                ("RequestStartTransaction", start),
            )
        )

    async def reset(self, ask: Ask) -> None:
        await ask("Reset", {"type": "Immediate"})

    async def put_back(self, ask: Ask, reservations: Sequence[int]) -> None:
        for start in range(0, len(self._initial), AT_ONCE):
            orders = [
                {"component": component, "variable": variable, "attributeValue": value}
                for component, variable, value in self._initial[start : start + AT_ONCE]
            ]
            answer = await ask("SetVariables", {"setVariableData": orders})
            assert answer.error is None, answer
        for purpose in ("ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile"):
            await ask(
                "ClearChargingProfile", {"chargingProfileCriteria": {"chargingProfilePurpose": purpose}}
            )
        await ask("ClearCache", None)
        await ask("SendLocalList", {"versionNumber": 10**6, "updateType": "Full"})
        for reservation_id in reservations:
            await ask("CancelReservation", {"reservationId": reservation_id})
        for place in PLACES:
            await ask("ChangeAvailability", {"operationalStatus": "Operative", **place})

    def is_start(self, action: str, payload: Payload) -> bool:
        return action == "TransactionEvent" and payload.get("idToken", {}).get("idToken") == TAG

    def is_good_end(self, action: str, payload: Payload) -> bool:
        if action != "TransactionEvent" or payload["eventType"] != "Ended":
            return False
        registers = [
            value["value"]
            for reading in payload["meterValue"]
            for value in reading["sampledValue"]
            if value.get("measurand", "Energy.Active.Import.Register") == "Energy.Active.Import.Register"
        ]
        return bool(max(registers) > 0)


def story_of(dialect: Dialect) -> Story:
    return Story16() if dialect is DIALECT_16 else Story201()


def _is_kept_out(told: Payload) -> bool:
    return told["variable"]["name"].lower() in KEPT_OUT
