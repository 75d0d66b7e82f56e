"""The device model and its monitoring on a whole station that speaks 2.0.1, and what survives a power cut."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.charging.test_device_variables import REQUIRED
from tests.helpers.bench import Bench

EVSE = {"name": "EVSE", "evse": {"id": 1}}
COMM = {"name": "OCPPCommCtrlr"}


async def ask(bench: Bench, action: str, **payload: Any) -> Any:
    answer = await bench.csms.call(action, payload)
    assert answer.error is None, answer
    return answer.payload


async def online(bench: Bench) -> None:
    await bench.until(lambda: bench.sent("StatusNotification"))


async def write(bench: Bench, value: str, variable: str = "OfflineThreshold", component: Any = COMM) -> Any:
    order = {"component": component, "variable": {"name": variable}, "attributeValue": value}
    (result,) = (await ask(bench, "SetVariables", setVariableData=[order]))["setVariableResult"]
    return result


async def read(bench: Bench, variable: str = "OfflineThreshold", component: Any = COMM) -> Any:
    question = {"component": component, "variable": {"name": variable}}
    (result,) = (await ask(bench, "GetVariables", getVariableData=[question]))["getVariableResult"]
    return result.get("attributeValue")


async def reported(bench: Bench, action: str, notice: str, **payload: Any) -> list[dict[str, Any]]:
    """The parts that follow the answer."""
    before = len(bench.sent(notice))
    assert (await ask(bench, action, requestId=7, **payload))["status"] == "Accepted"
    await bench.until(lambda: len(bench.sent(notice)) > before and not bench.sent(notice)[-1].get("tbc"))
    parts = bench.sent(notice)[before:]
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    assert {part["requestId"] for part in parts} == {7}
    return parts


async def monitor(bench: Bench, variable: str, kind: str, value: float, severity: int = 5) -> int:
    order = {
        "component": EVSE,
        "variable": {"name": variable},
        "type": kind,
        "value": value,
        "severity": severity,
    }
    answer = await ask(bench, "SetVariableMonitoring", setMonitoringData=[order])
    (result,) = answer["setMonitoringResult"]
    assert result["status"] == "Accepted", result
    number: int = result["id"]
    return number


def name_of(entry: dict[str, Any]) -> str:
    """As `device_model.path` writes it."""
    evse = entry["component"].get("evse", {})
    place = "".join(mark + str(evse[key]) for mark, key in (("#", "id"), (".", "connectorId")) if key in evse)
    names = (entry["component"]["name"] + place, entry["variable"]["name"], entry["variable"].get("instance"))
    return ".".join(filter(None, names))


def events(bench: Bench) -> list[dict[str, Any]]:
    return [event for message in bench.sent("NotifyEvent") for event in message["eventData"]]


@pytest.mark.req("B05.FR.10", "TC_B_06_CS", "TC_B_09_CS", "TC_B_39_CS")
async def test_a_variable_that_was_written_survives_a_restart(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        assert await read(bench) == "300"
        assert (await write(bench, "299"))["attributeStatus"] == "Accepted"
        assert (await write(bench, "abc"))["attributeStatus"] == "Rejected"
        assert (await write(bench, "1", "VendorName", {"name": "ChargingStation"}))[
            "attributeStatus"
        ] == "Rejected"
        assert await read(bench, "VendorName", {"name": "ChargingStation"}) == "Example"
        assert await read(bench, "Identity", {"name": "SecurityCtrlr"}) == "CP001"
        assert await read(bench, "CertificateEntries", {"name": "SecurityCtrlr"}) == "0"
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        assert await read(bench) == "299"


async def test_the_key_of_1_6_and_the_variable_of_2_0_1_are_one_setting(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        assert (await write(bench, "77", "HeartbeatInterval"))["attributeStatus"] == "Accepted"
    async with Bench(tmp_path) as bench:
        await online(bench)
        answer = await bench.csms.call("GetConfiguration", {"key": ["ResetRetries", "OfflineThreshold"]})
        assert answer.payload["unknownKey"] == ["OfflineThreshold"]
        await bench.csms.call("ChangeConfiguration", {"key": "ResetRetries", "value": "4"})
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        assert await read(bench, "ResetRetries") == "4"


@pytest.mark.req("B07.FR.01", "B07.FR.03", "B07.FR.08", "TC_B_12_CS", "TC_B_13_CS", "TC_B_53_CS")
async def test_the_inventory_follows_the_answer_in_parts(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        parts = await reported(bench, "GetBaseReport", "NotifyReport", reportBase="FullInventory")
        assert len(parts) > 1
        present = {name_of(entry) for part in parts for entry in part["reportData"]}
        missing = {name for name in REQUIRED if name not in present}
        assert missing == set()
        answers = [
            number for number, (_time, text) in enumerate(bench.csms.received) if json.loads(text)[0] == 3
        ]
        first = next(
            number for number, (_time, text) in enumerate(bench.csms.received) if '"NotifyReport"' in text
        )
        assert max(answers) < first


@pytest.mark.req("B02.FR.01")
async def test_a_station_that_is_pending_can_be_read_and_configured(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        bench.csms.always("BootNotification", status="Pending", interval=600)
        await bench.until(lambda: bench.sent("BootNotification"))
        bench.csms.drop()
        await bench.csms.connected()
        await bench.until(lambda: len(bench.sent("BootNotification")) > 1)
        assert (await write(bench, "298"))["attributeStatus"] == "Accepted"
        parts = await reported(bench, "GetBaseReport", "NotifyReport", reportBase="SummaryInventory")
        assert parts


@pytest.mark.req("N07.FR.13", "N07.FR.16", "TC_N_20_CS", "TC_N_53_CS")
async def test_power_above_a_threshold_is_told_with_its_transaction(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        number = await monitor(bench, "Power", "UpperThreshold", 1000.0)
        bench.plug_in()
        bench.tap("TAG1")
        await bench.until(lambda: events(bench))
        (event,) = events(bench)
        assert (event["trigger"], event["variableMonitoringId"]) == ("Alerting", number)
        assert float(event["actualValue"]) > 1000
        assert event["eventNotificationType"] == "CustomMonitor"
        bench.unplug()
        await bench.until(lambda: len(events(bench)) > 1)
        assert events(bench)[1]["cleared"] is True
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        parts = await reported(
            bench,
            "GetMonitoringReport",
            "NotifyMonitoringReport",
            monitoringCriteria=["ThresholdMonitoring"],
        )
        (entry,) = parts[0]["monitor"]
        assert [each["id"] for each in entry["variableMonitoring"]] == [number]


@pytest.mark.req("N07.FR.04", "TC_N_22_CS", "TC_N_23_CS")
async def test_a_severe_event_is_delivered_after_a_power_cut_while_offline(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        await monitor(bench, "AvailabilityState", "Delta", 1.0, severity=3)
        await monitor(bench, "AvailabilityState", "Delta", 1.0, severity=8)
        bench.csms.refuse_status = 503
        bench.csms.drop()
        await bench.run_for(seconds=5)
        bench.plug_in()
        await bench.run_for(seconds=5)
        assert events(bench) == []
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await bench.until(lambda: events(bench))
        await bench.run_for(minutes=1)
        assert ("Occupied", "Delta") in [(each["actualValue"], each["trigger"]) for each in events(bench)]


@pytest.mark.req("N09.FR.05", "N10.FR.03", "TC_N_27_CS", "TC_N_28_CS", "TC_N_30_CS", "TC_N_62_CS")
@pytest.mark.parametrize(
    "who", [{"idToken": {"idToken": "TAG1", "type": "ISO14443"}}, {"customerIdentifier": "tag1"}], ids=list
)
async def test_a_customer_is_told_of_and_forgotten(tmp_path: Path, who: dict[str, Any]) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        bench.tap("TAG1")
        await bench.until(lambda: bench.sent("Authorize"))
        await bench.run_for(minutes=2)
        customer = {**who, "report": True}
        notice = "NotifyCustomerInformation"
        (part,) = await reported(bench, "CustomerInformation", notice, clear=True, **customer)
        assert part["data"].startswith("authorization cache")
        (part,) = await reported(bench, "CustomerInformation", notice, clear=False, **customer)
        assert part["data"] == ""
