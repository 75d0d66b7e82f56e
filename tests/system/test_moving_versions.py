"""One station, two central systems: what happened while one version was spoken is told in the other."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms
from tests.helpers.disk import PowerCut, power_cuts
from tests.system.talk201 import RECONNECTS, back, brief, check_numbers, ended, events, offline, until_told

BOTH = 'subprotocols = ["ocpp2.0.1", "ocpp1.6"]\nbackoff_first_s = 1\nbackoff_max_s = 1'
SETTINGS = RECONNECTS + (
    '"AuthCtrlr.OfflineTxForUnknownIdEnabled" = "true"\n'
    '"SampledDataCtrlr.TxUpdatedInterval" = 30\nStopTxnSampledData = "Energy.Active.Import.Register"\n'
)
OLD, NEW = ("ocpp1.6",), ("ocpp2.0.1",)


def station(tmp_path: Path, csms: Csms, more: str = "", world: str = "") -> Bench:
    return Bench(tmp_path, f"[settings]\n{SETTINGS}{more}{world}", csms, csms_keys=BOTH)


async def connect(bench: Bench, version: tuple[str, ...]) -> None:
    bench.csms.subprotocols = version
    if bench.agent.conversation.is_online:
        await offline(bench)
    await back(bench)
    assert bench.agent.link.subprotocol == version[0]


async def charge(bench: Bench) -> None:
    bench.plug_in()
    bench.tap("TAG1")
    await bench.until(lambda: bench.evse().offered_current_a)
    await bench.run_for(seconds=70)


async def stop(bench: Bench) -> None:
    bench.tap("TAG1")
    await bench.until(lambda: not bench.evse().transaction)
    await bench.run_for(seconds=10)
    bench.unplug()
    await bench.run_for(seconds=5)


def told16(bench: Bench) -> list[tuple[str, dict[str, Any]]]:
    """Without what the main meter says."""
    names = ("StartTransaction", "MeterValues", "StopTransaction")
    return [
        (name, payload)
        for name, payload in bench.calls()
        if name in names and payload.get("connectorId", payload.get("evseId")) != 0
    ]


@pytest.mark.req("E04.FR.02", "E12.FR.02", "E01.FR.07")
async def test_what_happened_under_1_6_is_told_in_2_0_1(tmp_path: Path) -> None:
    async with Csms() as csms, station(tmp_path, friendly(csms)) as bench:
        await connect(bench, OLD)
        await offline(bench)
        await charge(bench)
        await stop(bench)
        await connect(bench, NEW)
        told = events(bench)
        check_numbers(told)
        assert [event["eventType"] for event in told] == ["Started", *["Updated"] * (len(told) - 2), "Ended"]
        assert all(event["offline"] for event in told)
        assert told[0]["idToken"] == {"idToken": "TAG1", "type": "ISO14443"}
        assert told[0]["evse"] == {"id": 1, "connectorId": 1}
        periodic = [event for event in told if event["triggerReason"] == "MeterValuePeriodic"]
        assert len(periodic) == 2
        assert told[-1]["transactionInfo"]["stoppedReason"] == "Local"
        assert told[-1]["meterValue"]
        assert not told16(bench)


@pytest.mark.req("R16-118", "R16-144")
async def test_what_happened_under_2_0_1_is_told_in_1_6(tmp_path: Path) -> None:
    async with Csms() as csms, station(tmp_path, friendly(csms)) as bench:
        await connect(bench, NEW)
        await offline(bench)
        await charge(bench)
        await stop(bench)
        await connect(bench, OLD)
        names = [name for name, _ in told16(bench)]
        assert names == ["StartTransaction", "MeterValues", "MeterValues", "StopTransaction"]
        (_, start), *_, (_, end) = told16(bench)
        assert (start["idTag"], start["connectorId"], start["meterStart"]) == ("TAG1", 1, 0)
        assert end["transactionId"] == 1, "the number that this central system has just given"
        assert end["meterStop"] > 0
        assert end["reason"] == "Local"
        assert not events(bench)


@pytest.mark.req("E01.FR.08")
async def test_a_transaction_that_began_in_1_6_ends_in_2_0_1_with_our_own_id(tmp_path: Path) -> None:
    async with Csms() as csms, station(tmp_path, friendly(csms)) as bench:
        await connect(bench, OLD)
        await charge(bench)
        transaction_id = bench.evse().transaction.transaction_id  # type: ignore[union-attr]
        assert [name for name, _ in told16(bench)].count("StartTransaction") == 1
        await connect(bench, NEW)
        await bench.run_for(seconds=40)
        answer = await csms.call("GetTransactionStatus", {"transactionId": transaction_id})
        assert answer.payload["ongoingIndicator"] is True
        await stop(bench)
        end = await until_told(bench, ended)
        assert {event["transactionInfo"]["transactionId"] for event in events(bench)} == {transaction_id}
        assert "Started" not in [event["eventType"] for event in events(bench)], "1.6 has it"
        numbers = [event["seqNo"] for event in events(bench)]
        assert numbers == sorted(set(numbers))
        assert brief(end) == ("Ended", "StopAuthorized", "EVConnected")


@pytest.mark.req("R16-117")
async def test_a_transaction_that_began_in_2_0_1_has_no_number_in_1_6(tmp_path: Path) -> None:
    async with Csms() as csms, station(tmp_path, friendly(csms)) as bench:
        await connect(bench, NEW)
        await charge(bench)
        await connect(bench, OLD)
        await bench.run_for(seconds=40)
        await stop(bench)
        await bench.until(lambda: bench.sent("StopTransaction"))
        told = told16(bench)
        assert "StartTransaction" not in [name for name, _ in told], (
            "2.0.1 has it; told twice it is billed twice"
        )
        assert {payload["transactionId"] for _, payload in told} == {-1}
        assert told[-1][1]["idTag"] == "TAG1"


@pytest.mark.req("R16-109")
async def test_start_and_stop_points_hold_while_2_0_1_is_spoken(tmp_path: Path) -> None:
    points = '"TxCtrlr.TxStartPoint" = "EVConnected"\n"TxCtrlr.TxStopPoint" = "EVConnected"\n'
    async with Csms() as csms, station(tmp_path, friendly(csms), points) as bench:
        await connect(bench, OLD)
        bench.plug_in()
        await bench.run_for(seconds=10)
        assert not bench.evse().transaction
        bench.unplug()
        await bench.run_for(seconds=2)
        await connect(bench, NEW)
        bench.plug_in()
        await bench.until(lambda: bench.evse().transaction)
        await offline(bench)  # the version spoken last holds without a connection, too
        bench.unplug()
        await bench.run_for(seconds=5)
        bench.plug_in()
        await bench.until(lambda: bench.evse().transaction)
        await connect(bench, OLD)
        bench.tap("TAG1")
        await bench.until(lambda: bench.evse().offered_current_a)
        await stop(bench)
        await bench.until(lambda: bench.sent("StopTransaction"))
        (start,) = bench.sent("StartTransaction")  # 2.0.1 has the one before
        assert start["idTag"] == "NoAuthorization", "nobody had identified then"
        assert bench.sent("StopTransaction")[-1]["idTag"] == "TAG1"


@pytest.mark.req("R16-109", "E01.FR.02")
@pytest.mark.parametrize(("version", "begins"), [(OLD, False), (NEW, True)])
async def test_the_version_spoken_last_is_remembered_over_a_restart(
    tmp_path: Path, version: tuple[str, ...], begins: bool
) -> None:
    points = '"TxCtrlr.TxStartPoint" = "EVConnected"\n'
    async with Csms() as csms:
        friendly(csms)
        async with station(tmp_path, csms, points) as bench:
            await connect(bench, version)
            csms.refuse_status = 503
        async with station(tmp_path, csms, points) as bench:
            await bench.run_for(seconds=5)
            bench.plug_in()
            await bench.run_for(seconds=5)
            assert bool(bench.evse().transaction) is begins


# --- with a power cut in between ---------------------------------------------------------------------------


async def one_transaction(bench: Bench, version: tuple[str, ...]) -> None:
    await connect(bench, version)
    await charge(bench)
    await stop(bench)


async def cut_and_move(
    cut: PowerCut, csms: Csms, first: tuple[str, ...], second: tuple[str, ...]
) -> list[Any]:
    """What both central systems were told, when the power goes and the other version is spoken afterwards."""
    async with station(cut.before, csms) as bench:
        cut.watch(bench.agent.database)
        await cut.during(one_transaction(bench, first))
        csms.refuse_status = 503
        csms.drop()
        bench.agent.link.disconnect()
    csms.subprotocols, csms.refuse_status = second, None
    async with station(cut.after, csms) as bench:
        await bench.until(lambda: bench.agent.conversation.is_online)
        await bench.agent.conversation.flush(60)
        assert await bench.agent.journal.depth() == 0
        assert not bench.evse().transaction
        return bench.calls()


def distinct(messages: list[Any], action: str, kind: str | None = None) -> int:
    """Delivery is at least once, and later rather than sooner it is late."""
    found = set()
    for name, payload in messages:
        if name == action and kind in (None, payload.get("eventType")):
            found.add(str({**payload, "transactionId": None, "offline": None, "transactionInfo": None}))
    return len(found)


@pytest.mark.req("E04.FR.01", "E04.FR.02", "E12.FR.01", "R16-118", "R16-134")
@pytest.mark.parametrize(("first", "second"), [(OLD, NEW), (NEW, OLD)])
async def test_no_start_and_no_end_is_lost_wherever_the_power_goes_before_the_move(
    tmp_path: Path, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    seen = set()
    for cut in power_cuts(tmp_path):
        async with Csms() as csms:
            told = await cut_and_move(cut, friendly(csms), first, second)
        starts = distinct(told, "StartTransaction"), distinct(told, "TransactionEvent", "Started")
        ends = distinct(told, "StopTransaction"), distinct(told, "TransactionEvent", "Ended")
        assert max(starts) <= 1, (cut.step, starts)
        assert max(ends) <= 1, (cut.step, ends)
        assert any(starts) == any(ends), (cut.step, starts, ends)
        seen.add((starts, ends))
    assert {((0, 0), (0, 0)), ((1, 0), (1, 0)), ((0, 1), (0, 1))} & seen
    assert len(seen) > 3, "the power went at every stage of the move"
