"""CSMS and station of 2.0.1 together: the reusable states of the compliance tool, and the way back to idle.

As for 1.6 a rig lives as long as its test file, and `idle` clears through OCPP what a case left behind. The station has
two EVSEs with one connector each; transactions begin at PowerPathClosed unless a case says otherwise.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.witness.central_system import Answer, CentralSystem, Seen, Wanted, call
from tests.witness.station import Station
from tests.witness.words import WORDS_201, Payload

EVSES = (1, 2)
TAG = "WITNESS-TAG-1"
OTHER_TAG = "WITNESS-TAG-2"
INVALID_TAG = "WITNESS-BAD"
CSMS = """subprotocols = ["ocpp2.0.1"]
"""
SETTINGS = """
"OCPPCommCtrlr.RetryBackOffWaitMinimum" = 1
"OCPPCommCtrlr.RetryBackOffRandomRange" = 0
"OCPPCommCtrlr.RetryBackOffRepeatTimes" = 0
"""


def token(tag: str) -> Payload:
    return {"idToken": tag, "type": "ISO14443"}


def status(evse_id: int, state: str) -> Wanted:
    return call("StatusNotification", evseId=evse_id, connectorStatus=state)


def event(kind: str, **fields: Any) -> Wanted:
    return call("TransactionEvent", eventType=kind, **fields)


def told(**fields: Any) -> Any:
    """A matcher for an object that holds these fields."""
    return lambda each: bool(each) and all(each.get(name) == value for name, value in fields.items())


def path(name: str) -> Payload:
    """`AuthCtrlr.Enabled` or `OCPPCommCtrlr.MessageTimeout.Default` as component and variable."""
    component, variable, *instance = name.split(".")
    named = {"name": variable, **({"instance": instance[0]} if instance else {})}
    return {"component": {"name": component}, "variable": named}


class Rig:
    """`central` and `station`, and what the current case changed."""

    def __init__(self, central: CentralSystem, station: Station) -> None:
        self.central = central
        self.station = station
        self._configured: dict[str, str] = {}
        self._was_touched: set[str] = set()
        self._numbers = count(1)

    # ---- steps -------------------------------------------------------------------------------------------

    async def set_(self, name: str, value: str) -> str:
        answer = await self.central.ask(
            "SetVariables", setVariableData=[{**path(name), "attributeValue": value}]
        )
        assert not answer.error, answer
        return str(answer.payload["setVariableResult"][0]["attributeStatus"])

    async def get(self, name: str) -> str:
        answer = await self.central.ask("GetVariables", getVariableData=[path(name)])
        (result,) = answer.payload["getVariableResult"]
        assert result["attributeStatus"] == "Accepted", result
        return str(result["attributeValue"])

    async def configure(self, values: Mapping[str, Any]) -> None:
        """SetVariables, each Accepted; `idle` puts the old values back."""
        for name, value in values.items():
            if name not in self._configured:
                self._configured[name] = await self.get(name)
            text = str(value).lower() if isinstance(value, bool) else str(value)
            assert await self.set_(name, text) == "Accepted", (name, value)

    async def asked(self, action: str, wanted: str = "Accepted", **payload: Any) -> Answer:
        """A CALL that must be answered with this status."""
        self._was_touched.add(action)
        answer = await self.central.ask(action, **payload)
        assert answer.status == wanted, f"{action} {payload}: {answer}"
        return answer

    async def report(self, action: str, notice: str, field: str, **payload: Any) -> list[Payload]:
        """What `action` promises, from all parts of it; they come in order, and say that there is more to come."""
        number = next(self._numbers)
        since = self.central.number
        self.central.tolerate(call(notice, requestId=number))
        await self.asked(action, requestId=number, **payload)
        await self.central.until(lambda: self._is_complete(notice, number, since))
        parts = self._parts(notice, number, since)
        assert [part["seqNo"] for part in parts] == list(range(len(parts)))
        assert [part.payload.get("tbc", False) for part in parts] == [True] * (len(parts) - 1) + [False]
        return [each for part in parts for each in part.payload.get(field, [])]

    def _parts(self, notice: str, number: int, since: int) -> list[Seen]:
        return [part for part in self.central.calls(notice, since) if part["requestId"] == number]

    def _is_complete(self, notice: str, number: int, since: int) -> bool:
        return any(not part.payload.get("tbc") for part in self._parts(notice, number, since))

    # ---- reusable states ---------------------------------------------------------------------------------

    async def plugged(self, evse_id: int = 1, **ev: Any) -> None:
        await self.station.plug(evse_id, **ev)
        await self.central.expect(status(evse_id, "Occupied"))

    async def authorized(self, evse_id: int = 1, tag: str = TAG) -> None:
        await self.station.tap(tag, evse_id)
        await self.central.expect(call("Authorize", idToken=token(tag)))

    async def charging(self, evse_id: int = 1, tag: str = TAG, **ev: Any) -> str:
        """Cable, card, energy; the transaction's id."""
        await self.plugged(evse_id, **ev)
        await self.station.tap(tag, evse_id)
        self.central.tolerate(call("Authorize", idToken=token(tag)))
        return await self.started(evse_id)

    async def started(self, evse_id: int = 1) -> str:
        """A Started event of this EVSE, and energy; its transaction's id."""
        self.central.tolerate(event("Updated"), status(evse_id, "Occupied"))
        began = await self.central.expect_one(event("Started", evse=told(id=evse_id)))
        transaction_id = str(began["transactionInfo"]["transactionId"])
        await self.central.until(lambda: self.state_of(transaction_id) == "Charging")
        return transaction_id

    async def ended(self, transaction_id: str, **fields: Any) -> Seen:
        """The Ended event of this transaction."""
        self.central.tolerate(event("Updated"))
        wanted = event("Ended", transactionInfo=told(transactionId=transaction_id), **fields)
        return await self.central.expect_one(wanted)

    def events(self, transaction_id: str) -> list[Seen]:
        return [
            seen
            for seen in self.central.calls("TransactionEvent")
            if seen["transactionInfo"]["transactionId"] == transaction_id
        ]

    def state_of(self, transaction_id: str) -> str:
        """The charging state last told."""
        states = [seen["transactionInfo"].get("chargingState") for seen in self.events(transaction_id)]
        return next((state for state in reversed(states) if state), "")

    async def booted(self, within: float = 20.0, **fields: Any) -> dict[int, str]:
        """BootNotification, then the status of each connector; what they were."""
        await self.central.expect_one(call("BootNotification", **fields), within)
        seen = await self.central.expect(*(call("StatusNotification", evseId=evse) for evse in EVSES))
        return {evse: each["connectorStatus"] for evse, each in zip(EVSES, seen, strict=True)}

    async def power_cycle(self) -> None:
        """The power fails without warning and comes back."""
        await self.station.kill()
        await self.central.disconnected()
        await self.station.start()

    # ---- between cases -----------------------------------------------------------------------------------

    async def start(self) -> None:
        await self.station.start()
        await self.central.met(self.station)
        await self.booted()

    def check_numbers(self) -> None:
        """One Started, contiguous numbers from 0, nothing after Ended; a repetition may come right behind."""
        by_id: dict[str, list[Payload]] = {}
        for seen in self.central.calls("TransactionEvent", after=-1):
            by_id.setdefault(seen["transactionInfo"]["transactionId"], []).append(seen.payload)
        for events in by_id.values():
            numbers = list(dict.fromkeys(each["seqNo"] for each in events))
            kinds = [each["eventType"] for each in events if each["eventType"] != "Updated"]
            assert numbers == list(range(len(numbers))), events
            assert list(dict.fromkeys(kinds)) in (["Started"], ["Started", "Ended"]), events

    async def idle(self) -> None:
        """The tool's start state: accepted, nothing plugged in, nothing installed, nothing to say."""
        try:
            await self._clean_up()
        except (AssertionError, TimeoutError):
            await self.replace()
        self.central.begin()

    async def replace(self) -> None:
        """Throw the station away with all that it remembers, and start another."""
        await self.station.wipe()
        self._configured.clear()
        self.central.statuses.clear()
        self.central.begin()
        self.central.go_online()
        await self.station.start()
        await self._until_idle()

    async def _clean_up(self) -> None:
        central = self.central
        central.begin()
        central.go_online()
        if not self.station.is_running:
            await self.station.start()
        await central.connected()
        now = await self.station.until(lambda now: now["registration"] == "Accepted")
        for evse in now["evses"]:
            if evse["transaction"]:
                await central.ask(
                    "RequestStopTransaction", transactionId=evse["transaction"]["transaction_id"]
                )
            if evse["is_plugged"]:
                await self.station.unplug(evse["evse_id"], is_torn_out=True)
        for name, value in self._configured.items():
            assert await self.set_(name, value) == "Accepted", name
        self._configured.clear()
        await self._clear_what_was_installed()
        now = await self.station.until(lambda now: not any(evse["is_plugged"] for evse in now["evses"]))
        for evse in now["evses"]:
            if evse["session"] == "finishing":  # the cable may be kept for its driver
                await central.ask("UnlockConnector", evseId=evse["evse_id"], connectorId=1)
        await self._until_idle()

    async def _clear_what_was_installed(self) -> None:
        central = self.central
        if "ChangeAvailability" in self._was_touched:
            for place in ({}, *({"evse": {"id": evse}} for evse in EVSES)):
                await central.ask("ChangeAvailability", operationalStatus="Operative", **place)
            for evse in EVSES:
                place = {"id": evse, "connectorId": 1}
                await central.ask("ChangeAvailability", operationalStatus="Operative", evse=place)
        if self._was_touched & {"SetChargingProfile", "RequestStartTransaction"}:
            for purpose in ("ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile"):
                criteria = {"chargingProfilePurpose": purpose}
                await central.ask("ClearChargingProfile", chargingProfileCriteria=criteria)
        if "SendLocalList" in self._was_touched:
            await central.ask("SendLocalList", versionNumber=1, updateType="Full")
        self._was_touched.clear()
        await central.ask("ClearCache")

    async def _until_idle(self) -> None:
        def is_idle(now: Any) -> bool:
            quiet = all(
                evse["session"] == "idle"
                and evse["is_operative"]
                and not evse["faults"]
                and not evse["is_locked"]
                for evse in now["evses"]
            )
            is_told = all(self.central.statuses.get(number) == "Available" for number in EVSES)
            return quiet and is_told and now["registration"] == "Accepted" and now["outbox_depth"] == 0

        await self.station.until(is_idle)


@asynccontextmanager
async def built(folder: Path, central: CentralSystem | None = None, **parts: Any) -> AsyncIterator[Rig]:
    """A rig with a running, accepted station; `parts` as for `Station`."""
    texts = {**parts, "csms": CSMS + parts.get("csms", ""), "settings": SETTINGS + parts.get("settings", "")}
    async with central or CentralSystem(words=WORDS_201) as server:
        station = Station(folder, server.url, **texts)
        try:
            rig = Rig(server, station)
            await rig.start()
            yield rig
        finally:
            await station.kill()
