"""OCPP 2.0.1 with real processes: the agent and an independent CSMS library, which checks every payload."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.library_csms201 import LibraryCsms201, call
from tests.helpers.process import AgentProcess

pytestmark = [pytest.mark.system]

EXTRA = """
[settings]
"AlignedDataCtrlr.Measurands" = "Energy.Active.Import.Register,Voltage"
[[vendor.commands]]
vendor_id = "com.example.site"
message_id = "SetFan"
action = "output.set"
fixed = { output = "fan" }
parameters = { on = "on" }
"""


@pytest.fixture
async def csms() -> AsyncIterator[LibraryCsms201]:
    async with LibraryCsms201(interval_s=1) as server:
        yield server


@pytest.fixture
async def agent(tmp_path: Path, csms: LibraryCsms201) -> AsyncIterator[AgentProcess]:
    process = await AgentProcess(tmp_path, csms.url, EXTRA, version="ocpp2.0.1").start()
    await csms.until(lambda seen: seen.of("StatusNotification"))
    yield process
    await process.stop()


async def triggered(csms: LibraryCsms201, message: str, **evse: Any) -> dict[str, Any]:
    """The message that a trigger brings; the answer has come before it."""
    before = len(csms.of(message))
    request = call.TriggerMessage(requested_message=message, **({"evse": evse} if evse else {}))
    assert (await csms.call(request)).status == "Accepted"
    await csms.until(lambda seen: len(seen.of(message)) > before)
    return csms.of(message)[before]


@pytest.mark.req("B01.FR.01", "B01.FR.05", "G01.FR.03", "G02.FR.02", "TC_B_01_CS", "TC_F_20_CS")
async def test_it_boots_tells_its_statuses_and_keeps_in_touch(
    agent: AgentProcess, csms: LibraryCsms201
) -> None:
    assert csms.calls[0][0] == "BootNotification"
    assert csms.of("BootNotification")[0]["charging_station"]["model"] == "Wallbox 22"
    assert csms.of("StatusNotification")[0]["connector_status"] == "Available"
    await csms.until(lambda seen: len(seen.of("Heartbeat")) >= 2)
    await agent.sim("evse/1/plug", {})
    await csms.until(lambda seen: seen.of("StatusNotification")[-1]["connector_status"] == "Occupied")


@pytest.mark.req("C01.FR.02", "C01.FR.04", "C11.FR.03")
async def test_it_asks_for_a_token_and_empties_its_cache(agent: AgentProcess, csms: LibraryCsms201) -> None:
    await agent.sim("tap", {"id_token": "TAG1"})
    await csms.until(lambda seen: seen.of("Authorize"))
    assert csms.of("Authorize")[0] == {"id_token": {"id_token": "TAG1", "type": "ISO14443"}}
    assert (await csms.call(call.ClearCache())).status == "Accepted"


@pytest.mark.req(
    "F06.FR.04", "F06.FR.06", "TC_F_11_CS", "TC_F_12_CS", "TC_F_15_CS", "TC_F_18_CS", "TC_F_20_CS"
)
async def test_it_follows_triggers(agent: AgentProcess, csms: LibraryCsms201) -> None:
    await triggered(csms, "Heartbeat")
    assert (await triggered(csms, "LogStatusNotification"))["status"] == "Idle"
    assert (await triggered(csms, "FirmwareStatusNotification"))["status"] == "Idle"
    status = await triggered(csms, "StatusNotification", id=1, connector_id=1)
    assert (status["evse_id"], status["connector_status"]) == (1, "Available")
    await triggered(csms, "MeterValues")
    await csms.until(lambda seen: len(seen.of("MeterValues")) == 2)
    assert [reading["evse_id"] for reading in csms.of("MeterValues")] == [0, 1]  # the main meter, and EVSE 1
    reading = await triggered(csms, "MeterValues", id=1)
    values = reading["meter_value"][0]["sampled_value"]
    assert reading["evse_id"] == 1
    assert {value["context"] for value in values} == {"Trigger"}
    assert {value["measurand"] for value in values} == {"Energy.Active.Import.Register", "Voltage"}
    refused = await csms.call(call.TriggerMessage(requested_message="BootNotification"))
    assert refused.status == "Rejected"


@pytest.mark.req("P01.FR.05", "P01.FR.06", "TC_P_01_CS")
async def test_vendor_data_of_any_shape_goes_both_ways(agent: AgentProcess, csms: LibraryCsms201) -> None:
    unknown = await csms.call(
        call.DataTransfer(vendor_id="org.openchargealliance.octt", data=[1, {"a": None}])
    )
    assert unknown.status == "UnknownVendorId"
    switched = await csms.call(
        call.DataTransfer(vendor_id="com.example.site", message_id="SetFan", data={"on": True})
    )
    assert switched.status == "Accepted"
    assert (await agent.status())["outputs"]["fan"] is True
    wrong = await csms.call(call.DataTransfer(vendor_id="com.example.site", message_id="Nothing", data=7))
    assert wrong.status == "UnknownMessageId"
    body = {"vendor_id": "com.example", "message_id": "m", "data": {"list": [1, 2]}}
    answer = await agent.ask("POST", "/api/v1/data-transfer", body)
    assert answer["data"] == {"noted": {"list": [1, 2]}}


@pytest.mark.req("G03.FR.04", "F05.FR.04", "D02.FR.02", "TC_F_06_CS")
async def test_it_obeys_the_small_orders(agent: AgentProcess, csms: LibraryCsms201) -> None:
    out = await csms.call(call.ChangeAvailability(operational_status="Inoperative", evse={"id": 1}))
    assert out.status == "Accepted"
    await csms.until(lambda seen: seen.of("StatusNotification")[-1]["connector_status"] == "Unavailable")
    assert (await csms.call(call.UnlockConnector(evse_id=1, connector_id=1))).status == "Unlocked"
    assert (await csms.call(call.GetLocalListVersion())).version_number == 0
    assert (await csms.call(call.Reset(type="OnIdle", evse_id=9))).status == "Rejected"
