"""A station of 2.0.1 written with the PyPI package `ocpp` in the way its documentation shows.

Usage: python -m tests.bench.stations.ocpp_library201 URL
"""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

import websockets
from ocpp.routing import after, on
from ocpp.v201 import ChargePoint, call, call_result
from ocpp.v201.enums import Action

ATTRIBUTE = {"type": "Actual", "value": "1", "mutability": "ReadWrite"}
KIND = {"data_type": "integer", "supports_monitoring": False}
VARIABLES = [
    {
        "component": {"name": f"Component{number // 10}"},
        "variable": {"name": f"Variable{number}"},
        "variable_attribute": [ATTRIBUTE],
        "variable_characteristics": KIND,
    }
    for number in range(180)
]
PART = 20


class Station(ChargePoint):
    @on(Action.trigger_message)
    def on_trigger(self, requested_message: str, **_: object) -> call_result.TriggerMessage:
        return call_result.TriggerMessage(status="Accepted")

    @after(Action.trigger_message)
    async def after_trigger(self, requested_message: str, **_: object) -> None:
        if requested_message == "Heartbeat":
            await self.call(call.Heartbeat())
        else:
            now = datetime.now(UTC).isoformat()
            await self.call(
                call.StatusNotification(
                    timestamp=now, connector_status="Available", evse_id=1, connector_id=1
                )
            )

    @on(Action.data_transfer)
    def on_data(self, vendor_id: str, **_: object) -> call_result.DataTransfer:
        return call_result.DataTransfer(status="Accepted", data="{}")

    @on(Action.get_variables)
    def on_get(self, get_variable_data: list[dict[str, Any]], **_: object) -> call_result.GetVariables:
        results = [
            {**each, "attribute_status": "Accepted", "attribute_value": "1"} for each in get_variable_data
        ]
        return call_result.GetVariables(get_variable_result=results)

    @on(Action.get_base_report)
    def on_report(self, **_: object) -> call_result.GetBaseReport:
        return call_result.GetBaseReport(status="Accepted")

    @after(Action.get_base_report)
    async def after_report(self, request_id: int, **_: object) -> None:
        for number, start in enumerate(range(0, len(VARIABLES), PART)):
            await self.call(
                call.NotifyReport(
                    request_id=request_id,
                    generated_at=datetime.now(UTC).isoformat(),
                    seq_no=number,
                    tbc=start + PART < len(VARIABLES),
                    report_data=VARIABLES[start : start + PART],
                )
            )

    @on(Action.set_charging_profile)
    def on_profile(self, **_: object) -> call_result.SetChargingProfile:
        return call_result.SetChargingProfile(status="Accepted")


async def main(url: str) -> None:
    async with websockets.connect(url, subprotocols=["ocpp2.0.1"], compression=None) as socket:
        station = Station("CP001", socket)
        running = asyncio.create_task(station.start())
        about = {"model": "Bench", "vendor_name": "Library"}
        await station.call(call.BootNotification(charging_station=about, reason="PowerUp"))
        await running


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
