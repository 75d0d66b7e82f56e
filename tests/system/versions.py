"""What a story needs of a central system, said in OCPP 1.6 and in 2.0.1: for scenarios that are written once.

A `Tongue` turns orders into calls, and what the station told into `Charge`s and words that both versions have.
Used by `test_both_versions`.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.helpers.bench import Bench
from tests.helpers.csms_calls import Answer
from tests.helpers.official_schemas import assert_official

REGISTER = "Energy.Active.Import.Register"


@dataclass
class Charge:
    """One transaction as the CSMS knows it."""

    evse_id: int
    tag: str
    registers_wh: list[float] = field(default_factory=list)
    """In the order told, that of the start first."""
    reason: str = ""
    """Why it ended; empty while it runs."""
    number: Any = None
    """What the CSMS has to call it."""
    end_wh: float = -1


class Tongue(Protocol):
    version: str
    offline_tokens: str
    """Setting that lets anybody charge offline."""

    def charges(self, bench: Bench) -> list[Charge]: ...
    def states(self, bench: Bench, evse_id: int) -> list[str]:
        """free, busy or out, each as told; the same in a row once."""

    def readings(self, bench: Bench, context: str) -> list[tuple[int, float]]:
        """(EVSE, register) of MeterValues with this context."""

    async def start(self, bench: Bench, tag: str, evse_id: int) -> str: ...
    async def stop(self, bench: Bench, charge: Charge) -> str: ...
    async def trigger(self, bench: Bench, evse_id: int) -> str: ...
    async def limit(self, bench: Bench, evse_id: int, current_a: float) -> str: ...
    async def unlimited(self, bench: Bench) -> str: ...
    async def serve(self, bench: Bench, evse_id: int, *, is_operative: bool) -> str: ...
    async def vendor(self, bench: Bench, vendor_id: str, message_id: str, is_on: bool) -> Answer: ...
    async def reset(self, bench: Bench) -> str: ...
    def refuse(self, bench: Bench, status: str) -> None:
        """Every token from now on."""


async def _status(bench: Bench, action: str, payload: dict[str, Any]) -> str:
    answer = await bench.csms.call(action, payload)
    assert answer.error is None, answer
    return str(answer.payload["status"])


def _state(status: str) -> str:
    return {"Available": "free", "Unavailable": "out", "Faulted": "out"}.get(status, "busy")


def _once(words: list[str]) -> list[str]:
    return [word for number, word in enumerate(words) if number == 0 or words[number - 1] != word]


def _values(reading: dict[str, Any], context: str = "") -> list[float]:
    return [
        float(value["value"])
        for metered in reading.get("meterValue", [])
        for value in metered["sampledValue"]
        if value.get("measurand", REGISTER) == REGISTER
        and context in ("", value.get("context", "Sample.Periodic"))
    ]


class Tongue16:
    version = "ocpp1.6"
    offline_tokens = "AllowOfflineTxForUnknownId = true\n"

    def charges(self, bench: Bench) -> list[Charge]:
        found: list[Charge] = []
        for action, payload in bench.calls():
            match action:
                case "StartTransaction":
                    registers = [float(payload["meterStart"])]
                    number = len(found) + 1
                    found.append(Charge(payload["connectorId"], payload["idTag"], registers, number=number))
                case "MeterValues" if payload.get("transactionId", -1) > 0:
                    found[payload["transactionId"] - 1].registers_wh += _values(payload)
                case "StopTransaction":
                    charge = found[payload["transactionId"] - 1]
                    charge.reason, charge.end_wh = payload.get("reason", "Local"), payload["meterStop"]
        return found

    def states(self, bench: Bench, evse_id: int) -> list[str]:
        return _once([_state(status) for status in bench.statuses(evse_id)])

    def readings(self, bench: Bench, context: str) -> list[tuple[int, float]]:
        told = bench.sent("MeterValues")
        return [(each["connectorId"], value) for each in told for value in _values(each, context)]

    async def start(self, bench: Bench, tag: str, evse_id: int) -> str:
        return await _status(bench, "RemoteStartTransaction", {"idTag": tag, "connectorId": evse_id})

    async def stop(self, bench: Bench, charge: Charge) -> str:
        return await _status(bench, "RemoteStopTransaction", {"transactionId": charge.number})

    async def trigger(self, bench: Bench, evse_id: int) -> str:
        wanted = {"requestedMessage": "MeterValues", "connectorId": evse_id}
        return await _status(bench, "TriggerMessage", wanted)

    async def limit(self, bench: Bench, evse_id: int, current_a: float) -> str:
        profile = {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "startSchedule": "2025-01-01T00:00:00Z",
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": current_a}],
            },
        }
        wanted = {"connectorId": evse_id, "csChargingProfiles": profile}
        return await _status(bench, "SetChargingProfile", wanted)

    async def unlimited(self, bench: Bench) -> str:
        return await _status(bench, "ClearChargingProfile", {"id": 1})

    async def serve(self, bench: Bench, evse_id: int, *, is_operative: bool) -> str:
        kind = "Operative" if is_operative else "Inoperative"
        return await _status(bench, "ChangeAvailability", {"connectorId": evse_id, "type": kind})

    async def vendor(self, bench: Bench, vendor_id: str, message_id: str, is_on: bool) -> Answer:
        data = f'{{"on": {str(is_on).lower()}}}'
        content = {"vendorId": vendor_id, "messageId": message_id, "data": data}
        return await bench.csms.call("DataTransfer", content)

    async def reset(self, bench: Bench) -> str:
        return await _status(bench, "Reset", {"type": "Soft"})

    def refuse(self, bench: Bench, status: str) -> None:
        bench.csms.always("Authorize", idTagInfo={"status": status})


class Tongue201:
    version = "ocpp2.0.1"
    offline_tokens = '"AuthCtrlr.OfflineTxForUnknownIdEnabled" = true\n'

    def charges(self, bench: Bench) -> list[Charge]:
        found: dict[str, Charge] = {}
        for event in bench.sent("TransactionEvent"):
            assert_official("TransactionEventRequest", event)
            about = event["transactionInfo"]
            number = about["transactionId"]
            if event["eventType"] == "Started":
                assert number not in found, "started twice"
                found[number] = Charge(event["evse"]["id"], event["idToken"]["idToken"], number=number)
            charge = found[number]
            charge.registers_wh += _values(event) if event["eventType"] != "Ended" else []
            if event["eventType"] == "Ended":
                charge.reason = {"ImmediateReset": "SoftReset"}.get(
                    about.get("stoppedReason", "Local"), about.get("stoppedReason", "Local")
                )
                charge.end_wh = _values(event)[-1]
        return list(found.values())

    def states(self, bench: Bench, evse_id: int) -> list[str]:
        told = bench.sent("StatusNotification")
        return _once([_state(each["connectorStatus"]) for each in told if each["evseId"] == evse_id])

    def readings(self, bench: Bench, context: str) -> list[tuple[int, float]]:
        told = bench.sent("MeterValues")
        return [(each["evseId"], value) for each in told for value in _values(each, context)]

    async def start(self, bench: Bench, tag: str, evse_id: int) -> str:
        token = {"idToken": tag, "type": "ISO14443"}
        wanted = {"idToken": token, "evseId": evse_id, "remoteStartId": 1}
        return await _status(bench, "RequestStartTransaction", wanted)

    async def stop(self, bench: Bench, charge: Charge) -> str:
        return await _status(bench, "RequestStopTransaction", {"transactionId": charge.number})

    async def trigger(self, bench: Bench, evse_id: int) -> str:
        wanted = {"requestedMessage": "MeterValues", "evse": {"id": evse_id}}
        return await _status(bench, "TriggerMessage", wanted)

    async def limit(self, bench: Bench, evse_id: int, current_a: float) -> str:
        schedule = {
            "id": 1,
            "startSchedule": "2025-01-01T00:00:00Z",
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": current_a}],
        }
        profile = {
            "id": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": [schedule],
        }
        return await _status(bench, "SetChargingProfile", {"evseId": evse_id, "chargingProfile": profile})

    async def unlimited(self, bench: Bench) -> str:
        return await _status(bench, "ClearChargingProfile", {"chargingProfileId": 1})

    async def serve(self, bench: Bench, evse_id: int, *, is_operative: bool) -> str:
        kind = "Operative" if is_operative else "Inoperative"
        wanted = {"operationalStatus": kind, "evse": {"id": evse_id}}
        return await _status(bench, "ChangeAvailability", wanted)

    async def vendor(self, bench: Bench, vendor_id: str, message_id: str, is_on: bool) -> Answer:
        content = {"vendorId": vendor_id, "messageId": message_id, "data": {"on": is_on}}
        return await bench.csms.call("DataTransfer", content)

    async def reset(self, bench: Bench) -> str:
        return await _status(bench, "Reset", {"type": "Immediate"})

    def refuse(self, bench: Bench, status: str) -> None:
        bench.csms.always("Authorize", idTokenInfo={"status": status})


TONGUES: tuple[Tongue, ...] = (Tongue16(), Tongue201())
