"""Prices and costs over DataTransfer, in the whole station on virtual time."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench

SETTINGS = """
[settings]
CustomDisplayCostAndPrice = true
CustomMultiLanguageMessages = true
CustomIdleFeeAfterStop = true
SupportedLanguages = "en,nl"
NumberOfDecimalsForCostValues = 2
"""
VENDOR = "org.openchargealliance.costmsg"


async def transfer(bench: Bench, message_id: str, data: Any) -> str:
    text = data if isinstance(data, str) else json.dumps(data)
    answer = await bench.csms.call(
        "DataTransfer", {"vendorId": VENDOR, "messageId": message_id, "data": text}
    )
    return str(answer.payload["status"])


async def change(bench: Bench, key: str, value: str) -> str:
    answer = await bench.csms.call("ChangeConfiguration", {"key": key, "value": value})
    return str(answer.payload["status"])


async def charge(bench: Bench) -> None:
    await bench.until(lambda: bench.sent("StatusNotification"))
    bench.plug_in()
    bench.tap("TAG1")
    await bench.until(lambda: "Charging" in bench.statuses(1))
    await bench.run_for(seconds=1)


def running(**fields: Any) -> dict[str, Any]:
    return {
        "transactionId": 1,
        "timestamp": datetime.now(UTC).isoformat(),
        "meterValue": 1000,
        "cost": 1.234,
        "state": "Charging",
        "chargingPrice": {"kWhPrice": 0.4},
        **fields,
    }


def readings(bench: Bench) -> list[dict[str, Any]]:
    """MeterValues that no interval asked for."""
    return [
        sent
        for sent in bench.sent("MeterValues")
        if sent["meterValue"][0]["sampledValue"][0]["context"] == "Other"
    ]


async def test_costs_are_shown_from_price_to_bill(tmp_path: Path) -> None:
    async with Bench(tmp_path, SETTINGS) as bench:
        await bench.until(lambda: bench.sent("StatusNotification"))
        extra = [{"format": "UTF8", "language": "nl", "content": "0,40 per kWh"}]
        price = {"idToken": "TAG1", "priceText": "0.40 per kWh", "priceTextExtra": extra}
        assert await transfer(bench, "SetUserPrice", price) == "Accepted"
        await charge(bench)
        shown = bench.evse().cost
        assert shown is not None
        assert [(text.language, text.content) for text in shown.texts] == [
            ("", "0.40 per kWh"),
            ("nl", "0,40 per kWh"),
        ]
        assert await transfer(bench, "RunningCost", running()) == "Accepted"
        shown = bench.evse().cost
        assert shown is not None
        assert (shown.amount, shown.is_final, len(shown.texts)) == ("1.23", False, 2)
        bench.tap("TAG1")
        await bench.until(lambda: bench.sent("StopTransaction"))
        await bench.run_for(seconds=1)
        bill = {"transactionId": 1, "cost": 3.305, "priceText": "TOTAL 3.31", "qrCodeText": "https://x/1"}
        assert await transfer(bench, "FinalCost", bill) == "Accepted"
        shown = bench.evse().cost
        assert shown is not None
        assert (shown.amount, shown.is_final, shown.qr_code) == ("3.31", True, "https://x/1")
        bench.unplug()
        await bench.until(lambda: bench.sent("DataTransfer"))
        sent = bench.sent("DataTransfer")[0]
        assert (sent["vendorId"], sent["messageId"]) == (VENDOR, "ConnectorUnplugged")
        assert json.loads(sent["data"])["transactionId"] == 1
        await bench.run_for(minutes=6)
        assert bench.evse().cost is None


@pytest.mark.req("P02.FR.02")
async def test_in_2_0_1_the_messages_of_the_transaction_say_that_the_driver_left(tmp_path: Path) -> None:
    async with Bench(tmp_path, SETTINGS, version="ocpp2.0.1") as bench:
        await bench.until(lambda: bench.sent("StatusNotification"))
        bench.plug_in()
        bench.tap("TAG1")
        await bench.until(lambda: bench.evse().transaction is not None)
        await bench.run_for(seconds=5)
        transaction_id = bench.sent("TransactionEvent")[0]["transactionInfo"]["transactionId"]
        await bench.csms.call("CostUpdated", {"totalCost": 1.5, "transactionId": transaction_id})
        bench.tap("TAG1")
        await bench.until(lambda: bench.sent("TransactionEvent")[-1]["eventType"] == "Ended")
        bench.unplug()
        await bench.until(lambda: bench.sent("StatusNotification")[-1]["connectorStatus"] == "Available")
        await bench.run_for(seconds=5)
        assert bench.sent("DataTransfer") == []


async def test_a_bill_goes_after_a_while_when_the_unplugging_ended_the_transaction(tmp_path: Path) -> None:
    async with Bench(tmp_path, SETTINGS) as bench:
        await charge(bench)
        bench.unplug()
        await bench.until(lambda: bench.sent("StopTransaction"))
        await bench.run_for(seconds=1)
        assert await transfer(bench, "FinalCost", {"transactionId": 1, "cost": 3}) == "Accepted"
        assert bench.evse().cost is not None
        await bench.run_for(minutes=6)
        assert bench.evse().cost is None
        assert bench.sent("DataTransfer") == []  # nobody waited after the end


async def test_the_next_driver_sees_nothing_of_the_bill_before(tmp_path: Path) -> None:
    async with Bench(tmp_path, SETTINGS) as bench:
        await charge(bench)
        bench.tap("TAG1")
        await bench.until(lambda: bench.sent("StopTransaction"))
        await bench.run_for(seconds=1)
        await transfer(bench, "FinalCost", {"transactionId": 1, "cost": 3, "qrCodeText": "https://x/1"})
        bench.unplug()
        await bench.run_for(seconds=20)
        bench.tap("TAG2")
        await bench.run_for(seconds=2)
        price = {"idToken": "TAG2", "priceText": "0.50 per kWh"}
        assert await transfer(bench, "SetUserPrice", price) == "Accepted"
        shown = bench.evse().cost
        assert shown is not None
        assert (shown.texts[0].content, shown.amount, shown.is_final, shown.qr_code) == (
            "0.50 per kWh",
            None,
            False,
            "",
        )
        bench.plug_in()
        await bench.until(lambda: len(bench.sent("StartTransaction")) == 2)
        shown = bench.evse().cost
        assert shown is not None
        assert shown.texts[0].content == "0.50 per kWh"


async def test_the_price_of_a_driver_who_never_plugged_in_goes_with_him(tmp_path: Path) -> None:
    async with Bench(tmp_path, SETTINGS) as bench:
        await bench.until(lambda: bench.sent("StatusNotification"))
        bench.tap("TAG1")
        await bench.run_for(seconds=2)
        await transfer(bench, "SetUserPrice", {"idToken": "TAG1", "priceText": "0.40 per kWh"})
        assert bench.evse().cost is not None
        await bench.run_for(minutes=10)
        assert bench.evse().cost is None


async def test_every_status_of_1_6_may_stand_in_a_trigger_and_a_fault_fires_it(tmp_path: Path) -> None:
    async with Bench(tmp_path, SETTINGS) as bench:
        await charge(bench)
        trigger = {"atCPStatus": ["Available", "Reserved", "Unavailable", "Faulted"]}
        assert await transfer(bench, "RunningCost", running(triggerMeterValue=trigger)) == "Accepted"
        await bench.run_for(seconds=10)
        assert readings(bench) == []
        bench.world.set_fault(1, "rcd_dc")
        await bench.until(lambda: readings(bench))


async def test_a_running_cost_asks_for_readings(tmp_path: Path) -> None:
    async with Bench(tmp_path, SETTINGS) as bench:
        await charge(bench)
        at = (bench.agent.clock.now() + timedelta(minutes=1)).isoformat()
        trigger = {"atTime": at, "atEnergykWh": 1.0, "atCPStatus": ["SuspendedEV", "Finishing"]}
        assert await transfer(bench, "RunningCost", running(triggerMeterValue=trigger)) == "Accepted"
        await bench.run_for(seconds=50)
        assert readings(bench) == []
        await bench.run_for(seconds=20)
        assert len(readings(bench)) == 1
        assert readings(bench)[0]["transactionId"] == 1
        await bench.run_for(minutes=30)
        assert len(readings(bench)) == 2
        bench.tap("TAG1")
        await bench.until(lambda: len(readings(bench)) == 3)


async def test_a_new_running_cost_replaces_the_trigger(tmp_path: Path) -> None:
    async with Bench(tmp_path, SETTINGS) as bench:
        await charge(bench)
        at = (bench.agent.clock.now() + timedelta(minutes=1)).isoformat()
        await transfer(bench, "RunningCost", running(triggerMeterValue={"atTime": at}))
        await transfer(bench, "RunningCost", running(cost=2))
        await bench.run_for(minutes=3)
        assert readings(bench) == []


async def test_costs_of_a_transaction_that_is_not_here_are_rejected(tmp_path: Path) -> None:
    async with Bench(tmp_path, SETTINGS) as bench:
        await charge(bench)
        assert await transfer(bench, "RunningCost", running(transactionId=77)) == "Rejected"
        assert bench.evse().cost is None


@pytest.mark.parametrize(
    ("message_id", "data"),
    [
        ("RunningCost", running(state="Sleeping")),
        ("RunningCost", "not json"),
        ("RunningCost", running(triggerMeterValue={"atCPStatus": ["Nowhere"]})),
        ("RunningCost", running(triggerMeterValue={"atPowerkW": "inf"})),
        ("RunningCost", running(meterValue="nan")),
        ("FinalCost", {"transactionId": "x", "cost": 1}),
        ("SetUserPrice", {"priceText": "free"}),
    ],
)
async def test_a_malformed_message_is_rejected_and_shows_nothing(
    tmp_path: Path, message_id: str, data: Any
) -> None:
    async with Bench(tmp_path, SETTINGS) as bench:
        await charge(bench)
        assert await transfer(bench, message_id, data) == "Rejected"
        assert bench.evse().cost is None


async def test_times_are_those_of_the_clock_on_the_wall(tmp_path: Path) -> None:
    async with Bench(tmp_path, SETTINGS) as bench:
        await charge(bench)
        following = {"atTime": "2026-06-01T12:00:00Z", "chargingPrice": {"kWhPrice": 0.5}}
        assert await transfer(bench, "RunningCost", running(nextPeriod=following)) == "Accepted"

        def shown() -> str:
            cost = bench.evse().cost
            assert cost is not None
            assert cost.next_price is not None
            assert cost.next_price.at == datetime(2026, 6, 1, 12, tzinfo=UTC)
            return cost.next_price.at.isoformat()

        assert shown() == "2026-06-01T12:00:00+00:00"
        assert await change(bench, "TimeOffset", "-01:30") == "Accepted"
        assert shown() == "2026-06-01T10:30:00-01:30"
        assert await change(bench, "TimeOffsetNextTransition", "+02:00") == "Accepted"
        assert await change(bench, "NextTimeOffsetTransitionDateTime", "2099-01-01T00:00:00Z") == "Accepted"
        assert shown() == "2026-06-01T10:30:00-01:30"
        assert await change(bench, "NextTimeOffsetTransitionDateTime", "2001-01-01T00:00:00Z") == "Accepted"
        assert shown() == "2026-06-01T14:00:00+02:00"


async def test_the_default_price_is_a_setting(tmp_path: Path) -> None:
    async with Bench(tmp_path, SETTINGS) as bench:
        await bench.until(lambda: bench.sent("StatusNotification"))
        assert await change(bench, "DefaultPrice", '{"priceText":"0.50 per kWh"}') == "Accepted"
        assert await change(bench, "DefaultPriceText,nl", '{"priceText":"0,50 per kWh"}') == "Accepted"
        assert await change(bench, "DefaultPrice", "[1]") == "Rejected"
        assert await change(bench, "DefaultPriceText,fr", "{}") == "NotSupported"
        assert await change(bench, "Language", "fr") == "Rejected"
        assert await change(bench, "TimeOffset", "2 hours") == "Rejected"
        shown = bench.evse().cost
        assert shown is not None
        assert [text.content for text in shown.texts] == ["0.50 per kWh", "0,50 per kWh"]
    async with Bench(tmp_path) as bench:
        await bench.until(lambda: bench.sent("StatusNotification"))
        shown = bench.evse().cost
        assert shown is not None
        assert len(shown.texts) == 2


async def test_without_the_setting_the_vendor_is_unknown(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await bench.until(lambda: bench.sent("StatusNotification"))
        assert await transfer(bench, "SetUserPrice", {}) == "UnknownVendorId"
        answer = await bench.csms.call("GetConfiguration", {"key": ["DefaultPrice"]})
        assert answer.payload["unknownKey"] == ["DefaultPrice"]
