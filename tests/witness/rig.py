"""Central system and station together: the reusable states of the compliance tool, and the way back to idle.

A rig lives as long as its test file. Between the cases `idle` clears what a case left behind, through OCPP calls as the
tool does; a station that does not come back is replaced, so that one broken case does not break the next.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.witness.central_system import CentralSystem, Seen, call, status
from tests.witness.station import Station

TAG = "WITNESS-TAG-1"
OTHER_TAG = "WITNESS-TAG-2"
INVALID_TAG = "WITNESS-BAD"
CONNECTORS = (1, 2)


class Rig:
    """`central` and `station`, and what the current case changed."""

    def __init__(self, central: CentralSystem, station: Station) -> None:
        self.central = central
        self.station = station
        self._configured: dict[str, str] = {}
        self._faults: set[tuple[str, int]] = set()
        self._was_touched: set[str] = set()

    # ---- steps -------------------------------------------------------------------------------------------

    async def configure(self, **values: Any) -> None:
        """ChangeConfiguration, each Accepted; `idle` puts the old values back."""
        for key, value in values.items():
            if key not in self._configured:
                self._configured[key] = await self.configuration(key)
            text = str(value).lower() if isinstance(value, bool) else str(value)
            answer = await self.central.ask("ChangeConfiguration", key=key, value=text)
            assert answer.status == "Accepted", f"{key}={text}: {answer}"

    async def configuration(self, key: str) -> str:
        answer = await self.central.ask("GetConfiguration", key=[key])
        assert not answer.payload.get("unknownKey"), f"{key} is unknown"
        return str(answer.payload["configurationKey"][0].get("value", ""))

    async def asked(self, action: str, wanted: str = "Accepted", **payload: Any) -> None:
        """A CALL that must be answered with this status."""
        self._was_touched.add(action)
        answer = await self.central.ask(action, **payload)
        assert answer.status == wanted, f"{action} {payload}: {answer}"

    async def break_(self, code: str, evse_id: int = 1) -> None:
        self._faults.add((code, evse_id))
        await self.station.break_(code, evse_id)

    async def mend(self, code: str, evse_id: int = 1) -> None:
        self._faults.discard((code, evse_id))
        await self.station.mend(code, evse_id)

    # ---- reusable states ---------------------------------------------------------------------------------

    async def plugged(self, connector: int = 1, **ev: Any) -> None:
        await self.station.plug(connector, **ev)
        await self.central.expect(status(connector, "Preparing"))

    async def authorized(self, connector: int = 1, tag: str = TAG) -> None:
        """A card first, no cable."""
        await self.station.tap(tag, connector)
        await self.central.expect(call("Authorize", idTag=tag), status(connector, "Preparing"))

    async def charging(self, connector: int = 1, tag: str = TAG, **ev: Any) -> int:
        """Plug in, card; the transaction's id."""
        await self.plugged(connector, **ev)
        await self.station.tap(tag, connector)
        self.central.tolerate(call("Authorize", idTag=tag))
        return await self.started(connector, tag)

    async def started(self, connector: int = 1, tag: str = TAG, **fields: Any) -> int:
        """StartTransaction and Charging, in either order."""
        started, _charging = await self.central.expect(
            call("StartTransaction", connectorId=connector, idTag=tag, **fields),
            status(connector, "Charging"),
        )
        return self.transaction_of(started)

    def transaction_of(self, started: Seen) -> int:
        found = [
            number for number, payload in self.central.transactions.items() if payload == started.payload
        ]
        return found[-1]

    async def stopped(self, transaction: int, connector: int = 1, **fields: Any) -> Seen:
        """StopTransaction and Finishing, in either order."""
        stopped, _finishing = await self.central.expect(
            call("StopTransaction", transactionId=transaction, **fields), status(connector, "Finishing")
        )
        return stopped

    async def booted(self, within: float = 20.0) -> tuple[Seen, dict[int, str]]:
        """BootNotification, then one status of 0 and of each connector; what they were."""
        boot = await self.central.expect_one(call("BootNotification"), within)
        every = (0, *CONNECTORS)
        told = await self.central.expect(
            *(call("StatusNotification", connectorId=number) for number in every)
        )
        return boot, {number: seen["status"] for number, seen in zip(every, told, strict=True)}

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
        self._faults.clear()
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
        for code, evse_id in tuple(self._faults):
            await self.mend(code, evse_id)
        for evse in (await self.station.until(lambda now: now["registration"] == "Accepted"))["evses"]:
            if evse["transaction"] and evse["transaction"]["reference"]:
                reference = int(evse["transaction"]["reference"])
                await central.ask("RemoteStopTransaction", transactionId=reference)
            if evse["is_plugged"]:
                await self.station.unplug(evse["evse_id"], is_torn_out=True)
        for key, value in self._configured.items():
            await central.ask("ChangeConfiguration", key=key, value=value)
        self._configured.clear()
        await self._clear_what_was_installed()
        now = await self.station.until(lambda now: not any(evse["is_plugged"] for evse in now["evses"]))
        for evse in now["evses"]:
            if evse["session"] == "finishing":  # the cable may be kept for its driver
                await central.ask("UnlockConnector", connectorId=evse["evse_id"])
        await self._until_idle()

    async def _clear_what_was_installed(self) -> None:
        central = self.central
        if "ChangeAvailability" in self._was_touched:
            await central.ask("ChangeAvailability", connectorId=0, type="Operative")
        if self._was_touched & {"SetChargingProfile", "RemoteStartTransaction"}:
            await central.ask("ClearChargingProfile")
        if "SendLocalList" in self._was_touched:
            await central.ask("SendLocalList", listVersion=1, updateType="Full", localAuthorizationList=[])
        if "ReserveNow" in self._was_touched:
            for number in range(1, 10):
                await central.ask("CancelReservation", reservationId=number)
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
            is_told = all(self.central.statuses.get(number) == "Available" for number in (0, *CONNECTORS))
            return quiet and is_told and now["registration"] == "Accepted" and now["outbox_depth"] == 0

        await self.station.until(is_idle)


@asynccontextmanager
async def built(folder: Path, central: CentralSystem | None = None, **parts: Any) -> AsyncIterator[Rig]:
    """A rig with a running, accepted station; `parts` as for `Station`."""
    async with central or CentralSystem() as server:
        station = Station(folder, server.url, **parts)
        try:
            rig = Rig(server, station)
            await rig.start()
            yield rig
        finally:
            await station.kill()
