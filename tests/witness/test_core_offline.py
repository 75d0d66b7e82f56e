"""Core: what happens while the central system is away."""

from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.witness.central_system import Seen, call, status
from tests.witness.rig import TAG, Rig

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness-core-offline"),
]


def is_local(reason: str | None) -> bool:
    return reason in ("Local", None)


def is_charging(now: Any) -> bool:
    transaction = now["evses"][0]["transaction"]
    return transaction is not None and transaction["charging_state"] == "Charging"


async def start_offline(rig: Rig) -> None:
    await rig.configure(
        LocalAuthorizeOffline=True,
        AllowOfflineTxForUnknownId=True,
        MaxEnergyOnInvalidId=0,
        MeterValueSampleInterval=0,
    )
    await rig.central.go_offline()
    await rig.station.plug()
    await rig.station.tap(TAG)
    await rig.station.until(is_charging)


@pytest.mark.req("TC_036_CS")
async def test_meter_values_of_an_outage_come_in_order_before_new_ones(rig: Rig) -> None:
    await rig.configure(MeterValueSampleInterval=1)
    transaction = await rig.charging()

    def values(since: int = 0) -> list[Seen]:
        return [seen for seen in rig.central.calls("MeterValues", since) if seen["connectorId"] == 1]

    before = rig.central.number
    await rig.central.until(lambda: values(before))
    await rig.central.go_offline()
    since = rig.central.number
    await rig.central.quiet(3.5)
    rig.central.go_online()
    await rig.central.until(lambda: len(values(since)) >= 5)
    await rig.central.quiet(0)
    assert {seen["transactionId"] for seen in values(before)} == {transaction}
    times = [datetime.fromisoformat(seen["meterValue"][0]["timestamp"]) for seen in values(before)]
    gaps_s = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert all(0.7 < gap_s < 1.3 for gap_s in gaps_s), gaps_s


@pytest.mark.req("TC_037_1_CS")
async def test_a_transaction_that_began_offline_is_told_and_goes_on(rig: Rig) -> None:
    await start_offline(rig)
    rig.central.go_online()
    await rig.started()
    await rig.central.quiet(0.5)


@pytest.mark.req("TC_037_2_CS")
async def test_a_tag_refused_after_an_offline_start_suspends(rig: Rig) -> None:
    await rig.configure(StopTransactionOnInvalidId=False)
    rig.central.tags[TAG] = {"status": "Invalid"}
    await start_offline(rig)
    rig.central.go_online()
    await rig.started()
    await rig.central.expect(status(1, "SuspendedEVSE"))
    await rig.central.quiet(0.5)


@pytest.mark.req("TC_037_3_CS")
async def test_a_tag_refused_after_an_offline_start_ends_it(rig: Rig) -> None:
    await rig.configure(StopTransactionOnInvalidId=True)
    rig.central.tags[TAG] = {"status": "Invalid"}
    await start_offline(rig)
    rig.central.go_online()
    transaction = await rig.started()
    rig.central.tolerate(status(1, "SuspendedEVSE"))
    await rig.stopped(transaction, reason="DeAuthorized")


@pytest.mark.req("TC_038_CS")
async def test_a_transaction_that_ended_offline_is_told(rig: Rig) -> None:
    transaction = await rig.charging()
    await rig.central.go_offline()
    await rig.station.tap(TAG)
    await rig.station.until(lambda now: now["evses"][0]["session"] == "finishing")
    rig.central.go_online()
    await rig.stopped(transaction, reason=is_local)


@pytest.mark.req("TC_039_CS")
async def test_a_whole_transaction_offline_is_told_in_order(rig: Rig) -> None:
    await start_offline(rig)
    await rig.station.tap(TAG)
    await rig.station.until(lambda now: now["evses"][0]["session"] == "finishing")
    await rig.station.unplug()
    await rig.station.until(lambda now: now["evses"][0]["session"] == "idle")
    rig.central.go_online()
    (started,) = await rig.central.expect(call("StartTransaction", connectorId=1, idTag=TAG))
    await rig.central.expect(
        call("StopTransaction", transactionId=rig.transaction_of(started), reason=is_local)
    )
    await rig.central.quiet(0.5)
