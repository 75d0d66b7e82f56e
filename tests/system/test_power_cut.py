"""The power goes at every durable step of a whole transaction; nothing that matters is lost, nothing is told twice."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms
from tests.helpers.disk import PowerCut, power_cuts

EXTRA = """
[settings]
MeterValueSampleInterval = 10
StopTxnSampledData = "Energy.Active.Import.Register"
[hal.sim]
meter_start_wh = 1000
"""


async def _one_transaction(bench: Bench) -> None:
    await bench.until(lambda: bench.agent.conversation.is_online)
    bench.plug_in()
    bench.tap("TAG1")
    await bench.until(lambda: bench.evse().transaction)
    await bench.run_for(seconds=25)
    bench.tap("TAG1")
    await bench.until(lambda: not bench.evse().transaction)
    await bench.run_for(seconds=5)
    bench.unplug()
    await bench.run_for(seconds=5)


async def _cut_and_restart(cut: PowerCut, csms: Csms) -> list[tuple[str, dict[str, Any]]]:
    async with Bench(cut.before, EXTRA, csms) as bench:
        cut.watch(bench.agent.database)
        await cut.during(_one_transaction(bench))
        csms.drop()
        bench.agent.link.disconnect()
    async with Bench(cut.after, EXTRA, csms) as bench:
        await bench.until(lambda: bench.agent.conversation.is_online)
        await bench.agent.conversation.flush(60)
        assert await bench.agent.journal.depth() == 0
        assert not bench.evse().transaction
        return bench.calls()


def _distinct(calls: list[tuple[str, dict[str, Any]]], action: str) -> list[dict[str, Any]]:
    """Delivery is at least once: the same message may come again with another id of the transaction."""
    found: dict[str, dict[str, Any]] = {}
    for name, payload in calls:
        if name == action:
            found[str({**payload, "transactionId": None})] = payload
    return list(found.values())


@pytest.mark.req("R16-118", "R16-131", "R16-134", "R16-143", "R16-144", "TC_032_2_CS")
async def test_no_transaction_message_is_lost_wherever_the_power_goes(tmp_path: Path) -> None:
    cuts = 0
    for cut in power_cuts(tmp_path):
        async with Csms() as csms:
            calls = await _cut_and_restart(cut, friendly(csms))
        starts, stops = _distinct(calls, "StartTransaction"), _distinct(calls, "StopTransaction")
        assert len(starts) == len(stops) <= 1, (cut.step, starts, stops)
        if starts:
            assert stops[0]["meterStop"] >= starts[0]["meterStart"] == 1000, cut.step
            names = [name for name, _ in calls]
            given = names.count("StartTransaction")
            assert 1 <= stops[0]["transactionId"] <= given, cut.step
            assert names.index("StopTransaction") > names.index("StartTransaction"), cut.step
            begin_and_end = {
                value["context"] for data in stops[0]["transactionData"] for value in data["sampledValue"]
            }
            assert {"Transaction.Begin", "Transaction.End"} <= begin_and_end, cut.step
        cuts += 1
    assert cuts > 8, "the scenario has fewer durable steps than a transaction needs"
