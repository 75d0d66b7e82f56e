"""Messages for the driver and costs in a whole station that speaks 2.0.1: what its displays show, and when."""

from pathlib import Path
from typing import Any

import pytest

from agent.charging.screens import TURN_S
from tests.helpers.bench import Bench
from tests.system.test_ocpp201_smart_charging import at, charge, local_api, online


def message(number: int, content: str = "", priority: str = "InFront", **more: Any) -> dict[str, Any]:
    text = {"format": more.pop("format", "UTF8"), "content": content or f"m{number}"}
    return {"id": number, "priority": priority, "message": text} | more


async def put(bench: Bench, new: dict[str, Any]) -> str:
    status: str = (await bench.csms.call("SetDisplayMessage", {"message": new})).payload["status"]
    return status


async def kept(bench: Bench, **criteria: Any) -> list[dict[str, Any]]:
    """What GetDisplayMessages brings."""
    before = len(bench.sent("NotifyDisplayMessages"))
    answer = await bench.csms.call("GetDisplayMessages", {"requestId": 5} | criteria)
    if answer.payload["status"] == "Unknown":
        return []

    def is_whole() -> bool:
        parts = bench.sent("NotifyDisplayMessages")[before:]
        return bool(parts) and not parts[-1].get("tbc", False)

    await bench.until(is_whole)
    parts = bench.sent("NotifyDisplayMessages")[before:]
    assert {part["requestId"] for part in parts} == {5}
    return [each for part in parts for each in part["messageInfo"]]


async def on_display(bench: Bench) -> str | None:
    """As the local API tells the program that drives the screen."""
    await bench.run_for(seconds=0.1)
    _code, status = await local_api(bench, "GET", "status")
    shown = status["evses"][0]["display"]
    return None if shown is None else str(shown["content"])


async def value_of(bench: Bench, component: str, variable: str, instance: str | None = None) -> str:
    asked = {"component": {"name": component}, "variable": {"name": variable}}
    if instance is not None:
        asked["variable"]["instance"] = instance
    answer = await bench.csms.call("GetVariables", {"getVariableData": [asked]})
    value: str = answer.payload["getVariableResult"][0]["attributeValue"]
    return value


@pytest.mark.req(
    "O01.FR.10",
    "O03.FR.01",
    "O05.FR.01",
    "O06.FR.01",
    "TC_O_01_CS",
    "TC_O_02_CS",
    "TC_O_04_CS",
    "TC_O_12_CS",
    "TC_O_20_CS",
)
async def test_messages_are_kept_shown_replaced_and_cleared_over_a_restart(tmp_path: Path) -> None:
    first, second = message(1, "Grüezi"), message(2, priority="NormalCycle", state="Faulted")
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        assert await kept(bench) == []
        assert await put(bench, message(1, "old")) == "Accepted"
        assert await on_display(bench) == "old"
        assert await put(bench, first) == "Accepted"
        assert await put(bench, second) == "Accepted"
        assert await on_display(bench) == "Grüezi"
        assert await value_of(bench, "DisplayMessageCtrlr", "DisplayMessages") == "2"
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        assert await kept(bench) == [first, second]
        assert await on_display(bench) == "Grüezi"
        assert await kept(bench, id=[2], state="Faulted") == [second]
        assert await kept(bench, id=[2], state="Idle") == []
        assert (await bench.csms.call("ClearDisplayMessage", {"id": 1})).payload == {"status": "Accepted"}
        assert (await bench.csms.call("ClearDisplayMessage", {"id": 1})).payload == {"status": "Unknown"}
        assert await on_display(bench) is None


@pytest.mark.req("O01.FR.03", "O01.FR.16", "O02.FR.18", "TC_O_19_CS", "TC_O_24_CS")
async def test_a_second_one_always_in_front_replaces_the_first(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        assert await put(bench, message(1, priority="AlwaysFront")) == "Accepted"
        assert await put(bench, message(2, priority="AlwaysFront")) == "Accepted"
        assert [each["id"] for each in await kept(bench)] == [2]
        assert await put(bench, message(3, format="HTML")) == "NotSupportedMessageFormat"
        assert await put(bench, message(3)) == "Accepted"
        await bench.run_for(seconds=3 * TURN_S)
        assert await on_display(bench) == "m2"


@pytest.mark.req(
    "O02.FR.01",
    "O02.FR.02",
    "O02.FR.06",
    "O02.FR.07",
    "TC_O_06_CS",
    "TC_O_10_CS",
    "TC_O_27_CS",
    "TC_O_28_CS",
    "TC_O_32_CS",
)
async def test_messages_of_a_transaction_go_with_it_or_with_their_time(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        assert await put(bench, message(1, transactionId="UNKNOWN")) == "UnknownTransaction"
        own = {"transactionId": await charge(bench)}
        assert await put(bench, message(1, startDateTime=at(bench, 60), **own)) == "Accepted"
        assert await put(bench, message(2, endDateTime=at(bench, 60), **own)) == "Accepted"
        assert await put(bench, message(3, priority="AlwaysFront", **own)) == "Accepted"
        assert await put(bench, message(4, priority="AlwaysFront", **own)) == "Accepted"
        assert await on_display(bench) == "m4"
        assert (await bench.csms.call("ClearDisplayMessage", {"id": 4})).payload == {"status": "Accepted"}
        assert await on_display(bench) == "m2"
        await bench.run_for(seconds=61)
        assert await on_display(bench) == "m1"
        assert [each["id"] for each in await kept(bench)] == [1]
        bench.tap("TAG1")
        await bench.until(lambda: bench.evse().transaction is None)
        await bench.run_for(seconds=5)
        assert await kept(bench, id=[1]) == []
        assert await on_display(bench) is None


@pytest.mark.req("I01.FR.03", "O01.FR.08", "TC_O_15_CS")
@pytest.mark.req("C01.FR.08")
async def test_a_driver_sees_the_own_tariff_before_charging_in_the_own_language(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        info = {
            "status": "Accepted",
            "language1": "de-CH",
            "personalMessage": {"format": "UTF8", "content": "30 Rp/kWh", "language": "de"},
        }
        bench.csms.always("Authorize", idTokenInfo=info)
        await online(bench)
        bench.tap("TAG1")
        await bench.until(lambda: bench.sent("Authorize"))
        assert await on_display(bench) == "30 Rp/kWh"
        for number, language in enumerate(("en", "de")):
            new = message(number, f"hello {language}", "NormalCycle")
            new["message"]["language"] = language
            assert await put(bench, new) == "Accepted"
        seen = set()
        for _ in range(4):
            seen.add(await on_display(bench))
            await bench.run_for(seconds=TURN_S - 0.1)
        assert seen == {"30 Rp/kWh", "hello de"}


@pytest.mark.req("C10.FR.09")
async def test_a_tariff_is_not_remembered_with_the_token(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        price = {"format": "UTF8", "content": "30 Rp/kWh"}
        bench.csms.always("Authorize", idTokenInfo={"status": "Accepted", "personalMessage": price})
        await online(bench)
        bench.tap("TAG1")
        await bench.until(lambda: bench.evse().display is not None)
        await bench.run_for(seconds=1)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*.db*"))  # noqa: ASYNC240 - when all is over
    assert b"tag1" in written, "the token is in the cache"
    assert b"30 Rp" not in written


@pytest.mark.req("I02.FR.02", "I02.FR.03", "TC_I_01_CS")
async def test_a_running_cost_is_on_the_display(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        transaction_id = await charge(bench)
        cost = {"totalCost": 1.5, "transactionId": transaction_id}
        assert (await bench.csms.call("CostUpdated", cost)).payload == {}
        assert await on_display(bench) == "1.500 EUR"
        assert (await bench.csms.call("CostUpdated", cost | {"transactionId": "UNKNOWN"})).payload == {}
        assert await on_display(bench) == "1.500 EUR"


@pytest.mark.req("I02.FR.04", "I03.FR.01", "I03.FR.03", "I06.FR.03", "TC_I_02_CS", "TC_I_07_CS")
async def test_costs_and_prices_in_answers_to_transaction_events_are_on_the_display(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        update = {"format": "UTF8", "content": "40 ct/kWh"}
        bench.csms.always("TransactionEvent", totalCost=0.5, updatedPersonalMessage=update)
        await charge(bench)
        await bench.run_for(seconds=5)
        seen = set()
        for _ in range(4):
            seen.add(await on_display(bench))
            await bench.run_for(seconds=TURN_S - 0.1)
        assert seen == {"40 ct/kWh", "0.500 EUR"}
        bench.csms.always("TransactionEvent", totalCost=3.25)
        bench.tap("TAG1")
        await bench.until(lambda: bench.sent("TransactionEvent")[-1]["eventType"] == "Ended")
        await bench.run_for(seconds=5)
        assert await on_display(bench) == "3.250 EUR"


@pytest.mark.req("I04.FR.01", "I04.FR.02", "I05.FR.01", "I05.FR.02")
async def test_without_a_word_of_the_csms_the_fallback_texts_are_shown(tmp_path: Path) -> None:
    async with Bench(tmp_path, version="ocpp2.0.1") as bench:
        await online(bench)
        texts = {"TariffFallbackMessage": "50 ct/kWh", "TotalCostFallbackMessage": "See your bill"}
        data = [
            {"attributeValue": text, "component": {"name": "TariffCostCtrlr"}, "variable": {"name": name}}
            for name, text in texts.items()
        ]
        answer = await bench.csms.call("SetVariables", {"setVariableData": data})
        assert {each["attributeStatus"] for each in answer.payload["setVariableResult"]} == {"Accepted"}
        assert await on_display(bench) == "50 ct/kWh"
        await charge(bench)
        bench.csms.refuse_status = 503
        bench.csms.drop()
        await bench.run_for(seconds=5)
        assert await on_display(bench) == "50 ct/kWh"
        bench.tap("TAG1")
        await bench.until(lambda: bench.evse().transaction is None)
        assert await on_display(bench) == "See your bill"


async def test_without_a_screen_messages_are_not_supported(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[hal.sim]\nhas_screen = false\n", version="ocpp2.0.1") as bench:
        await online(bench)
        assert (await bench.csms.call("SetDisplayMessage", {"message": message(1)})).error == "NotSupported"
        asked = {"component": {"name": "DisplayMessageCtrlr"}, "variable": {"name": "Available"}}
        answer = await bench.csms.call("GetVariables", {"getVariableData": [asked]})
        assert answer.payload["getVariableResult"][0]["attributeStatus"] == "UnknownComponent"
