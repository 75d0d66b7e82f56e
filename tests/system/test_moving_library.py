"""Moving between central systems with real processes: an independent library on both sides, a power cut in between."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.library_csms import LibraryCsms
from tests.helpers.library_csms201 import LibraryCsms201
from tests.helpers.library_csms201 import call as call201
from tests.helpers.process import AgentProcess

pytestmark = [pytest.mark.system]

BOTH = ("ocpp2.0.1", "ocpp1.6")
EXTRA = '[settings]\n"SampledDataCtrlr.TxUpdatedInterval" = 1\n"AuthCtrlr.OfflineTxForUnknownIdEnabled" = "true"\n'


def kinds(csms: LibraryCsms201) -> list[str]:
    return [event["event_type"] for event in csms.of("TransactionEvent")]


async def charge(agent: AgentProcess) -> None:
    await agent.sim("evse/1/plug", {})
    await agent.sim("tap", {"id_token": "TAG1"})
    await agent.status_until(lambda status: status["evses"][0]["transaction"])


@pytest.mark.req("E01.FR.05", "E01.FR.07", "E07.FR.02", "E14.FR.02", "J02.FR.11")
async def test_a_transaction_as_an_independent_central_system_sees_it(tmp_path: Path) -> None:
    async with LibraryCsms201() as csms:
        agent = await AgentProcess(tmp_path, csms.url, EXTRA, version="ocpp2.0.1").start()
        await csms.until(lambda seen: seen.of("StatusNotification"))
        await charge(agent)
        await csms.until(lambda seen: len(kinds(seen)) >= 5)
        transaction_id = csms.of("TransactionEvent")[0]["transaction_info"]["transaction_id"]
        status = await csms.call(call201.GetTransactionStatus(transaction_id=transaction_id))
        assert status.ongoing_indicator is True
        await agent.sim("tap", {"id_token": "TAG1"})
        await csms.until(lambda seen: kinds(seen)[-1] == "Ended")
        events = csms.of("TransactionEvent")
        assert [event["seq_no"] for event in events] == list(range(len(events)))
        assert events[0]["id_token"]["id_token"] == "TAG1"
        assert events[-1]["transaction_info"]["stopped_reason"] == "Local"
        await agent.stop()


@pytest.mark.req("E04.FR.02", "E12.FR.02", "R16-131")
async def test_what_1_6_was_not_told_before_the_power_went_2_0_1_is_told(tmp_path: Path) -> None:
    async with LibraryCsms() as old, LibraryCsms201() as new:
        agent = await AgentProcess(tmp_path, old.url, EXTRA, version=BOTH).start()
        await old.until(lambda seen: seen.of("StatusNotification"))
        await charge(agent)
        await old.until(lambda seen: seen.of("StartTransaction") and seen.of("MeterValues"))
        await agent.kill()
        agent = await AgentProcess(tmp_path, new.url, EXTRA, version=BOTH).start()
        await new.until(lambda seen: "Ended" in kinds(seen))
        assert "Started" not in kinds(new)
        end: Any = new.of("TransactionEvent")[-1]
        assert end["transaction_info"]["stopped_reason"] == "PowerLoss"
        assert end["offline"] is True
        await agent.stop()


@pytest.mark.req("R16-118", "R16-131")
async def test_what_happened_after_2_0_1_was_gone_1_6_is_told(tmp_path: Path) -> None:
    async with LibraryCsms() as old:
        async with LibraryCsms201() as new:
            agent = await AgentProcess(tmp_path, new.url, EXTRA, version=BOTH).start()
            await new.until(lambda seen: seen.of("StatusNotification"))
        await agent.logged("closed")
        await charge(agent)
        await agent.kill()
        agent = await AgentProcess(tmp_path, old.url, EXTRA, version=BOTH).start()
        await old.until(lambda seen: seen.of("StopTransaction"))
        assert [name for name, _ in old.calls if name.endswith("Transaction")] == [
            "StartTransaction",
            "StopTransaction",
        ]
        stop: Any = old.of("StopTransaction")[-1]
        assert (stop["transaction_id"], stop["reason"]) == (1, "PowerLoss")
        await agent.stop()
