"""Short ways for scenarios of 2.0.1: a station online with settings, and its transaction messages in the order told."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.helpers.bench import Bench
from tests.helpers.csms import Csms
from tests.helpers.official_schemas import assert_official

RECONNECTS = '"OCPPCommCtrlr.RetryBackOffWaitMinimum" = 1\n"OCPPCommCtrlr.RetryBackOffRandomRange" = 0\n'
TAG1 = {"idToken": "TAG1", "type": "ISO14443"}


def points(start: str, stop: str) -> str:
    return f'"TxCtrlr.TxStartPoint" = "{start}"\n"TxCtrlr.TxStopPoint" = "{stop}"\n'


@asynccontextmanager
async def online(
    tmp_path: Path, settings: str = "", more: str = "", csms: Csms | None = None, **options: Any
) -> AsyncIterator[Bench]:
    text = f"[settings]\n{RECONNECTS}{settings}{more}"
    async with Bench(tmp_path, text, csms, **({"version": "ocpp2.0.1"} | options)) as bench:
        await bench.until(lambda: bench.agent.conversation.is_online)
        await bench.run_for(seconds=2)
        yield bench


def events(bench: Bench) -> list[dict[str, Any]]:
    """Every TransactionEvent, each as the official schema wants it."""
    told = bench.sent("TransactionEvent")
    for payload in told:
        assert_official("TransactionEventRequest", payload)
    return told


def brief(event: dict[str, Any]) -> tuple[str, str, str]:
    return event["eventType"], event["triggerReason"], event["transactionInfo"].get("chargingState", "")


def briefs(bench: Bench) -> list[tuple[str, str, str]]:
    return [brief(event) for event in events(bench)]


def check_numbers(told: list[dict[str, Any]]) -> None:
    """One Started first, at most one Ended last, no gap in the numbers, who and where once (E01 1.3.2, 1.5)."""
    by_transaction: dict[str, list[dict[str, Any]]] = {}
    for event in told:
        by_transaction.setdefault(event["transactionInfo"]["transactionId"], []).append(event)
    for mine in by_transaction.values():
        assert [event["seqNo"] for event in mine] == list(range(len(mine))), mine
        kinds = [event["eventType"] for event in mine]
        assert kinds[0] == "Started", kinds
        assert set(kinds[1:-1]) <= {"Updated"}, kinds
        assert sum("evse" in event for event in mine) <= 1, mine
        starts = [event for event in mine if event["triggerReason"] != "StopAuthorized"]
        assert sum("idToken" in event for event in starts) <= 1, mine


async def until_told(bench: Bench, is_it: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    await bench.until(lambda: any(map(is_it, bench.sent("TransactionEvent"))))
    return next(event for event in events(bench) if is_it(event))


async def charging(bench: Bench, token: str = "TAG1") -> dict[str, Any]:
    """Cable, driver, energy; the event that says that it flows."""
    bench.plug_in()
    bench.tap(token)
    return await until_told(bench, lambda event: event["transactionInfo"].get("chargingState") == "Charging")


def ended(event: dict[str, Any]) -> bool:
    return bool(event["eventType"] == "Ended")


def contexts(event: dict[str, Any]) -> list[str]:
    return [value["sampledValue"][0]["context"] for value in event.get("meterValue", [])]


async def offline(bench: Bench) -> None:
    bench.csms.refuse_status = 503
    bench.csms.drop()
    await bench.until(lambda: not bench.agent.conversation.is_online)


async def back(bench: Bench) -> None:
    bench.csms.refuse_status = None
    await bench.until(lambda: bench.agent.conversation.is_online)
    await bench.agent.conversation.flush(60)
