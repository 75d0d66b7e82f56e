"""The main job with real processes: the agent, an independent CSMS library, loopback sockets, SIGKILL."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.helpers.library_csms import LibraryCsms, call
from tests.helpers.process import AgentProcess

pytestmark = [pytest.mark.system]

EXTRA = """
[settings]
MeterValueSampleInterval = 1
MeterValuesSampledData = "Energy.Active.Import.Register,Power.Active.Import,Voltage,Current.Import"
[vendor]
enabled = ["example"]
[[vendor.commands]]
vendor_id = "com.example.site"
message_id = "SetFan"
action = "output.set"
fixed = { output = "fan" }
parameters = { on = "on" }
"""


@pytest.fixture
async def csms() -> AsyncIterator[LibraryCsms]:
    async with LibraryCsms() as server:
        yield server


@pytest.fixture
async def agent(tmp_path: Path, csms: LibraryCsms) -> AsyncIterator[AgentProcess]:
    process = await AgentProcess(tmp_path, csms.url, EXTRA).start()
    yield process
    await process.stop()


async def booted(csms: LibraryCsms) -> None:
    await csms.until(lambda seen: len(seen.of("StatusNotification")) >= 2)


async def charging(agent: AgentProcess, csms: LibraryCsms) -> None:
    before = len(csms.of("StartTransaction"))
    await agent.sim("evse/1/plug", {"draw_after_s": 0.1})
    await agent.sim("tap", {"id_token": "TAG1"})
    await csms.until(lambda seen: len(seen.of("StartTransaction")) > before)
    await csms.until(lambda seen: any(s["status"] == "Charging" for s in seen.of("StatusNotification")))


@pytest.mark.req("R16-042", "R16-043", "R16-053", "TC_001_CS")
async def test_boot_then_status_of_the_station_and_of_every_connector(
    agent: AgentProcess, csms: LibraryCsms
) -> None:
    await booted(csms)
    assert [name for name, _ in csms.calls[:3]] == [
        "BootNotification",
        "StatusNotification",
        "StatusNotification",
    ]
    assert csms.of("BootNotification")[0]["charge_point_model"] == "Wallbox 22"
    assert [s["connector_id"] for s in csms.of("StatusNotification")[:2]] == [0, 1]


@pytest.mark.req("R16-109", "R16-120", "R16-146", "TC_003_CS", "TC_068_CS")
async def test_a_transaction_from_plug_in_to_second_tap(agent: AgentProcess, csms: LibraryCsms) -> None:
    await booted(csms)
    await charging(agent, csms)
    await csms.until(lambda seen: len(seen.of("MeterValues")) >= 2)
    await agent.sim("tap", {"id_token": "TAG1"})
    await csms.until(lambda seen: seen.of("StopTransaction"))
    start, stop = csms.of("StartTransaction")[0], csms.of("StopTransaction")[0]
    assert stop["transaction_id"] == 1
    assert stop["meter_stop"] >= start["meter_start"]
    by_connector = {values["connector_id"]: values.get("transaction_id") for values in csms.of("MeterValues")}
    assert by_connector[1] == 1
    assert by_connector.get(0) is None


@pytest.mark.req(
    "R16-281", "R16-282", "R16-283", "R16-284", "R16-285", "R16-286", "R16-289", "TC_054_CS", "TC_055_CS"
)
async def test_every_trigger_is_answered_and_then_sent(agent: AgentProcess, csms: LibraryCsms) -> None:
    await booted(csms)
    for message in (
        "BootNotification",
        "Heartbeat",
        "StatusNotification",
        "MeterValues",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
    ):
        before = len(csms.of(message))
        answer = await csms.call(call.TriggerMessage(requested_message=message, connector_id=1))
        assert answer.status == "Accepted", message
        await csms.until(lambda seen, name=message, count=before: len(seen.of(name)) > count)  # type: ignore[misc]
    values = csms.of("MeterValues")[-1]["meter_value"][0]["sampled_value"]
    assert {value["context"] for value in values} == {"Trigger"}
    assert {"Energy.Active.Import.Register", "Voltage"} <= {value.get("measurand") for value in values}
    assert csms.of("FirmwareStatusNotification")[-1]["status"] == "Idle"
    for message in ("StatusNotification", "MeterValues"):
        answer = await csms.call(call.TriggerMessage(requested_message=message, connector_id=99))
        assert answer.status == "Rejected", message


@pytest.mark.req("R16-305", "R16-306", "R16-307", "TC_062_CS")
async def test_data_transfer_switches_a_relay(agent: AgentProcess, csms: LibraryCsms) -> None:
    await booted(csms)
    # Until the board has spoken the contactor counts as closed, and the relay must not switch.
    await agent.status_until(lambda status: status["evses"][0]["contactor"] == "open")
    answer = await csms.call(call.DataTransfer(vendor_id="org.nowhere"))
    assert answer.status == "UnknownVendorId"
    assert answer.data is None
    answer = await csms.call(call.DataTransfer(vendor_id="COM.example.SITE", message_id="Nothing"))
    assert answer.status == "UnknownMessageId"
    answer = await csms.call(
        call.DataTransfer(vendor_id="com.example.site", message_id="setfan", data=json.dumps({"on": True}))
    )
    assert answer.status == "Accepted", answer
    assert (await agent.status())["outputs"]["fan"] is True
    sent = await agent.ask(
        "POST", "/api/v1/data-transfer", {"vendor_id": "com.example.site", "message_id": "Hello"}
    )
    assert sent["status"] == "Accepted"
    assert csms.of("DataTransfer")[-1]["vendor_id"] == "com.example.site"


@pytest.mark.req("R16-134", "R16-135", "R16-143", "R16-144", "TC_036_CS", "TC_038_CS")
async def test_a_whole_transaction_offline_is_replayed_in_order(
    agent: AgentProcess, csms: LibraryCsms
) -> None:
    await booted(csms)
    await charging(agent, csms)  # the cache learns the token
    await agent.sim("tap", {"id_token": "TAG1"})
    await csms.until(lambda seen: seen.of("StopTransaction"))
    await agent.sim("evse/1/unplug")
    await agent.status_until(lambda status: status["evses"][0]["session"] == "idle")
    await agent.ask("POST", "/api/v1/link", {"command": "disconnect"})
    await agent.status_until(lambda status: not status["link"]["is_connected"])
    mark = len(csms.calls)
    await agent.sim("evse/1/plug", {"draw_after_s": 0.1})
    await agent.sim("tap", {"id_token": "TAG1"})
    await agent.status_until(lambda status: status["evses"][0]["transaction"])
    await agent.sim("tap", {"id_token": "TAG1"})
    await agent.status_until(lambda status: not status["evses"][0]["transaction"])
    assert (await agent.status())["outbox_depth"] >= 2
    await agent.ask("POST", "/api/v1/link", {"command": "connect"})
    await csms.until(lambda seen: len(seen.of("StopTransaction")) == 2)
    replay = [
        name
        for name, _ in csms.calls[mark:]
        if name in ("StartTransaction", "MeterValues", "StopTransaction")
    ]
    assert replay[0] == "StartTransaction"
    assert replay[-1] == "StopTransaction"
    assert csms.of("StopTransaction")[-1]["transaction_id"] == 2
    assert len(csms.of("BootNotification")) == 1, "a mere reconnect is no boot (R16-007)"


@pytest.mark.req("R16-131", "R16-132", "R16-143", "TC_032_2_CS")
async def test_a_power_cut_in_mid_transaction_loses_nothing(agent: AgentProcess, csms: LibraryCsms) -> None:
    await booted(csms)
    await charging(agent, csms)
    await csms.until(lambda seen: len(seen.of("MeterValues")) >= 2)
    await agent.kill()
    await agent.start()
    await csms.until(lambda seen: seen.of("StopTransaction"))
    stop = csms.of("StopTransaction")[0]
    assert stop["reason"] == "PowerLoss"
    assert stop["transaction_id"] == 1
    assert stop["meter_stop"] >= csms.of("StartTransaction")[0]["meter_start"]
    assert [name for name, _ in csms.calls if name == "StartTransaction"] == ["StartTransaction"]
    status = await agent.status_until(lambda now: now["outbox_depth"] == 0)
    assert status["evses"][0]["session"] == "idle"


@pytest.mark.req("R16-072", "R16-191", "R16-192", "R16-194", "R16-209", "TC_014_CS", "TC_021_CS")
async def test_reset_exits_with_its_code_and_state_survives(
    agent: AgentProcess, csms: LibraryCsms, tmp_path: Path
) -> None:
    await booted(csms)
    assert (await csms.call(call.ChangeAvailability(connector_id=1, type="Inoperative"))).status == "Accepted"
    answer = await csms.call(call.ChangeConfiguration(key="MeterValueSampleInterval", value="77"))
    assert answer.status == "Accepted"
    assert (await csms.call(call.Reset(type="Soft"))).status == "Accepted"
    assert agent.process is not None
    assert await agent.process.wait() == 10
    mark = len(csms.calls)
    await agent.start()
    await csms.until(lambda seen: sum(name == "StatusNotification" for name, _ in seen.calls[mark:]) >= 2)
    statuses = {
        p["connector_id"]: p["status"] for name, p in csms.calls[mark:] if name == "StatusNotification"
    }
    assert statuses == {0: "Available", 1: "Unavailable"}
    answer = await csms.call(call.GetConfiguration(key=["metervaluesampleinterval"]))
    assert answer.configuration_key[0]["value"] == "77"


async def test_ctrl_c_stops_in_order(agent: AgentProcess, csms: LibraryCsms) -> None:
    await booted(csms)
    assert await agent.stop() == 0
