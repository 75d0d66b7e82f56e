"""Core: boot, reset, power failure."""

import signal
from itertools import pairwise

import pytest

from tests.witness.central_system import call, now, status
from tests.witness.rig import CONNECTORS, TAG, Rig

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness-core-boot"),
]

ALL_AVAILABLE = dict.fromkeys((0, *CONNECTORS), "Available")
STILL_PLUGGED = ("Preparing", "Finishing")


async def heartbeats_every_second(rig: Rig, since: int) -> None:
    await rig.central.until(lambda: len(rig.central.calls("Heartbeat", since)) >= 3)
    beats = rig.central.calls("Heartbeat", since)
    assert all(0.8 < later.at - earlier.at < 1.6 for earlier, later in pairwise(beats)), beats


def answered_first(state: str, interval_s: int) -> dict[str, object]:
    return {"currentTime": now(), "interval": interval_s, "status": state}


@pytest.mark.req("TC_001_CS")
async def test_cold_boot_rejected_first(rig: Rig) -> None:
    rig.central.script("BootNotification", answered_first("Rejected", 1), answered_first("Accepted", 1))
    await rig.station.kill()
    await rig.central.disconnected()
    before = rig.central.number
    await rig.station.start()
    (first,) = await rig.central.expect(call("BootNotification"), within=20)
    second, statuses = await rig.booted()
    assert 0.95 < second.at - first.at < 6
    assert statuses == ALL_AVAILABLE
    assert [
        seen.number for seen in rig.central.calls("Heartbeat", before) if seen.number < second.number
    ] == []
    await heartbeats_every_second(rig, second.number)
    await rig.central.ask("ChangeConfiguration", key="HeartbeatInterval", value="300")


@pytest.mark.req("TC_002_CS")
async def test_cold_boot_pending_first(rig: Rig) -> None:
    rig.central.script("BootNotification", answered_first("Pending", 1), answered_first("Accepted", 1))
    await rig.station.kill()
    await rig.central.disconnected()
    await rig.station.start()
    (first,) = await rig.central.expect(call("BootNotification"), within=20)
    answer = await rig.central.ask("GetConfiguration")
    assert "MeterValueSampleInterval" in {entry["key"] for entry in answer.payload["configurationKey"]}
    await rig.configure(MeterValueSampleInterval=17)
    second, statuses = await rig.booted()
    assert 0.95 < second.at - first.at < 6
    assert statuses == ALL_AVAILABLE
    await heartbeats_every_second(rig, second.number)
    await rig.central.ask("ChangeConfiguration", key="HeartbeatInterval", value="300")


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("Hard", marks=pytest.mark.req("TC_013_CS")),
        pytest.param("Soft", marks=pytest.mark.req("TC_014_CS")),
    ],
)
async def test_an_unavailable_connector_is_so_after_a_reset(rig: Rig, kind: str) -> None:
    await rig.asked("ChangeAvailability", connectorId=1, type="Inoperative")
    await rig.central.expect(status(1, "Unavailable"))
    await rig.asked("Reset", type=kind)
    _boot, statuses = await rig.booted()
    assert statuses == {**ALL_AVAILABLE, 1: "Unavailable"}
    await rig.asked("ChangeAvailability", connectorId=1, type="Operative")
    await rig.central.expect(status(1, "Available"))


@pytest.mark.req("TC_015_CS")
async def test_hard_reset_stops_the_transaction(rig: Rig) -> None:
    transaction = await rig.charging()
    stop = call("StopTransaction", transactionId=transaction, reason="HardReset")
    await rig.asked("Reset", type="Hard")
    rig.central.tolerate(stop, status(1, "Finishing"))
    _boot, statuses = await rig.booted()
    await rig.central.until(lambda: rig.central.calls("StopTransaction"))
    assert [seen for seen in rig.central.calls("StopTransaction") if not stop.matches(seen)] == []
    assert statuses[1] in STILL_PLUGGED
    assert {**statuses, 1: "?"} == {**ALL_AVAILABLE, 1: "?"}


@pytest.mark.req("TC_016_CS")
async def test_soft_reset_stops_the_transaction(rig: Rig) -> None:
    transaction = await rig.charging()
    await rig.asked("Reset", type="Soft")
    await rig.stopped(transaction, reason="SoftReset")
    _boot, statuses = await rig.booted()
    assert statuses[1] in STILL_PLUGGED
    assert {**statuses, 1: "?"} == {**ALL_AVAILABLE, 1: "?"}


@pytest.mark.req("TC_032_1_CS")
async def test_with_a_backup_supply_transactions_end_before_the_power_does(rig: Rig) -> None:
    transaction = await rig.charging()
    await rig.station.send_signal(signal.SIGPWR)
    await rig.stopped(transaction, reason="PowerLoss")
    await rig.central.disconnected()
    await rig.station.start()
    _boot, statuses = await rig.booted()
    assert statuses[1] in STILL_PLUGGED
    assert {**statuses, 1: "?"} == {**ALL_AVAILABLE, 1: "?"}


@pytest.mark.req("TC_032_2_CS")
@pytest.mark.parametrize("resumes", [False, True])
async def test_a_transaction_over_a_power_cut_ends_or_goes_on(rig: Rig, resumes: bool) -> None:
    await rig.configure(ResumeTransactionAfterPowerLoss=resumes)
    transaction = await rig.charging()
    stop = call("StopTransaction", transactionId=transaction)
    await rig.power_cycle()
    rig.central.tolerate(
        stop, *(status(1, state) for state in (*STILL_PLUGGED, "SuspendedEV", "SuspendedEVSE"))
    )
    _boot, statuses = await rig.booted()
    assert statuses[1] in (*STILL_PLUGGED, "Charging", "SuspendedEV", "SuspendedEVSE")
    if resumes:
        await rig.central.until(lambda: rig.central.statuses[1] == "Charging")
        rig.central.tolerate(status(1, "Charging"))
        await rig.station.tap(TAG)
    await rig.central.until(lambda: rig.central.calls("StopTransaction"))
    (stopped,) = rig.central.calls("StopTransaction")
    assert stop.matches(stopped)
    assert stopped.payload.get("reason") in (("Local", None) if resumes else ("PowerLoss",))


@pytest.mark.req("TC_034_CS")
async def test_unavailable_outlasts_a_power_failure(rig: Rig) -> None:
    await rig.asked("ChangeAvailability", connectorId=0, type="Inoperative")
    await rig.central.expect(*(status(number, "Unavailable") for number in (0, *CONNECTORS)))
    await rig.power_cycle()
    _boot, statuses = await rig.booted()
    assert statuses == dict.fromkeys((0, *CONNECTORS), "Unavailable")
