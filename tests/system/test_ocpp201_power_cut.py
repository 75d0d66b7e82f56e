"""The power goes at every durable step of a transaction of 2.0.1: nothing is lost, and the numbers have no gaps."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms
from tests.helpers.disk import PowerCut, power_cuts
from tests.system.talk201 import RECONNECTS, points

EXTRA = (
    "[settings]\n"
    + RECONNECTS
    + points("EVConnected", "EVConnected")
    + '"SampledDataCtrlr.TxUpdatedInterval" = 10\n"SampledDataCtrlr.TxEndedInterval" = 10\n'
)


async def one_transaction(bench: Bench) -> None:
    await bench.until(lambda: bench.agent.conversation.is_online)
    bench.plug_in()
    await bench.until(lambda: bench.evse().transaction)
    bench.tap("TAG1")
    await bench.until(lambda: bench.evse().offered_current_a)
    await bench.run_for(seconds=25)
    bench.tap("TAG1")
    await bench.run_for(seconds=5)
    bench.unplug()
    await bench.until(lambda: not bench.evse().transaction)
    await bench.run_for(seconds=5)


async def cut_and_restart(cut: PowerCut, csms: Csms, extra: str, *, leaves: bool) -> list[dict[str, Any]]:
    async with Bench(cut.before, extra, csms, version="ocpp2.0.1") as bench:
        cut.watch(bench.agent.database)
        await cut.during(one_transaction(bench))
        csms.drop()
        bench.agent.link.disconnect()
    async with Bench(cut.after, extra, csms, version="ocpp2.0.1") as bench:
        await bench.until(lambda: bench.agent.conversation.is_online)
        if leaves:  # the new world has no car, which ends what goes on
            await bench.until(lambda: not bench.evse().transaction)
        await bench.run_for(seconds=2)
        await bench.agent.conversation.flush(60)
        assert await bench.agent.journal.depth() == 0
        assert not bench.evse().transaction
        return bench.sent("TransactionEvent")


@pytest.mark.req("E01.FR.07", "E04.FR.01", "E06.FR.14", "E11.FR.01", "E12.FR.01")
@pytest.mark.parametrize("resumes", ["false", "true"])
async def test_every_message_arrives_once_at_least_and_numbers_have_no_gaps(
    tmp_path: Path, resumes: str
) -> None:
    extra = EXTRA + f'"TxCtrlr.ResumeAfterPowerLoss" = "{resumes}"\n'
    reasons = set()
    cuts = 0
    for cut in power_cuts(tmp_path):
        async with Csms() as csms:
            told = await cut_and_restart(cut, friendly(csms), extra, leaves=resumes == "true")
        by_number: dict[int, dict[str, Any]] = {}
        for event in told:
            known = by_number.setdefault(event["seqNo"], event)
            assert {**known, "offline": None} == {**event, "offline": None}, (cut.step, "a number told twice")
        assert sorted(by_number) == list(range(len(by_number))), cut.step
        kinds = [by_number[number]["eventType"] for number in sorted(by_number)]
        if kinds:
            assert (kinds[0], kinds[-1]) == ("Started", "Ended"), (cut.step, kinds)
            assert set(kinds[1:-1]) <= {"Updated"}, (cut.step, kinds)
            times = [datetime.fromisoformat(by_number[number]["timestamp"]) for number in sorted(by_number)]
            assert times == sorted(times), (cut.step, "told earlier than what was before it", times)
            reasons.add(by_number[len(kinds) - 1]["transactionInfo"]["stoppedReason"])
        cuts += 1
    assert cuts > 15, "the scenario has fewer durable steps than a transaction needs"
    lost = "PowerLoss" if resumes == "false" else "EVDisconnected"
    assert reasons == {lost, "Local"}
