"""A charge point written with the PyPI package `ocpp` in the way its documentation shows.

Usage: python -m tests.bench.stations.ocpp_library URL
"""

import asyncio
import sys
from datetime import UTC, datetime

import websockets
from ocpp.routing import after, on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import (
    Action,
    ChargePointErrorCode,
    ChargePointStatus,
    ChargingProfileStatus,
    ConfigurationStatus,
    DataTransferStatus,
    TriggerMessageStatus,
)

KEYS = [{"key": f"Key{number}", "readonly": False, "value": str(number)} for number in range(45)]


class Station(ChargePoint):
    @on(Action.trigger_message)
    def on_trigger(self, requested_message: str, **_: object) -> call_result.TriggerMessage:
        return call_result.TriggerMessage(status=TriggerMessageStatus.accepted)

    @after(Action.trigger_message)
    async def after_trigger(self, requested_message: str, connector_id: int = 1, **_: object) -> None:
        if requested_message == "Heartbeat":
            await self.call(call.Heartbeat())
        else:
            await self.call(
                call.StatusNotification(
                    connector_id=connector_id,
                    error_code=ChargePointErrorCode.no_error,
                    status=ChargePointStatus.available,
                    timestamp=datetime.now(UTC).isoformat(),
                )
            )

    @on(Action.data_transfer)
    def on_data(self, vendor_id: str, **_: object) -> call_result.DataTransfer:
        return call_result.DataTransfer(status=DataTransferStatus.accepted, data="{}")

    @on(Action.get_configuration)
    def on_get(self, **_: object) -> call_result.GetConfiguration:
        return call_result.GetConfiguration(configuration_key=KEYS, unknown_key=[])

    @on(Action.set_charging_profile)
    def on_profile(self, **_: object) -> call_result.SetChargingProfile:
        return call_result.SetChargingProfile(status=ChargingProfileStatus.accepted)

    @on(Action.change_configuration)
    def on_change(self, **_: object) -> call_result.ChangeConfiguration:
        return call_result.ChangeConfiguration(status=ConfigurationStatus.accepted)


async def main(url: str) -> None:
    async with websockets.connect(url, subprotocols=["ocpp1.6"], compression=None) as socket:
        station = Station("CP001", socket)
        running = asyncio.create_task(station.start())
        await station.call(call.BootNotification(charge_point_model="Bench", charge_point_vendor="Library"))
        await running


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
