"""Core: local charging sessions, how they end, and what keeps them from starting."""

import pytest

from tests.witness.central_system import call, status
from tests.witness.rig import INVALID_TAG, OTHER_TAG, TAG, Rig

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness-core-sessions"),
]


@pytest.mark.req("TC_003_CS")
async def test_plug_in_first(rig: Rig) -> None:
    await rig.plugged()
    await rig.station.tap(TAG)
    await rig.central.expect(call("Authorize", idTag=TAG))
    await rig.started()


@pytest.mark.req("TC_004_1_CS")
async def test_identification_first(rig: Rig) -> None:
    await rig.configure(MeterValueSampleInterval=2)
    await rig.authorized()
    await rig.station.plug()
    await rig.started()


@pytest.mark.req("TC_004_2_CS")
async def test_identification_first_and_nobody_plugs_in(rig: Rig) -> None:
    await rig.configure(ConnectionTimeOut=2)
    await rig.authorized()
    await rig.central.quiet(0.5)
    await rig.central.expect(status(1, "Available"), within=5)


@pytest.mark.req("TC_068_CS")
async def test_another_valid_tag_does_not_stop_and_the_starting_tag_does(rig: Rig) -> None:
    transaction = await rig.charging()
    await rig.charging(connector=2, tag="WITNESS-TAG-3")
    before = rig.central.number
    await rig.station.tap(OTHER_TAG, 1)
    await rig.central.quiet(0.5)
    await rig.station.tap(TAG, 1)
    await rig.stopped(transaction, idTag=TAG)
    assert not rig.central.calls("Authorize", after=before)


@pytest.mark.req("TC_069_CS")
async def test_a_tag_of_the_same_parent_stops(rig: Rig) -> None:
    for tag in (TAG, OTHER_TAG):
        rig.central.tags[tag] = {"status": "Accepted", "parentIdTag": "WITNESS-GROUP"}
    transaction = await rig.charging()
    await rig.station.tap(OTHER_TAG, 1)
    await rig.central.expect(call("Authorize", idTag=OTHER_TAG))
    await rig.stopped(transaction, idTag=OTHER_TAG)


@pytest.mark.req("TC_005_1_CS")
@pytest.mark.parametrize("is_torn_out", [True, False])
async def test_unplugging_at_the_ev_stops_and_unlocks(rig: Rig, is_torn_out: bool) -> None:
    await rig.configure(
        StopTransactionOnEVSideDisconnect=True,
        UnlockConnectorOnEVSideDisconnect=True,
        MinimumStatusDuration=0,
    )
    transaction = await rig.charging()
    await rig.station.unplug(is_torn_out=is_torn_out)
    rig.central.tolerate(status(1, "SuspendedEV"))  # an EV may stop before the plug is pulled
    rig.central.tolerate(status(1, "Available"))  # a status may overtake transaction messages
    await rig.stopped(transaction, reason="EVDisconnected")
    await rig.central.until(lambda: rig.central.statuses[1] == "Available")
    await rig.station.until(lambda now: not now["evses"][0]["is_locked"])


@pytest.mark.req("TC_005_2_CS")
async def test_unplugging_at_the_ev_stops_and_the_cable_stays_locked(rig: Rig) -> None:
    await rig.configure(StopTransactionOnEVSideDisconnect=True, UnlockConnectorOnEVSideDisconnect=False)
    transaction = await rig.charging()
    await rig.station.unplug(is_torn_out=True)
    await rig.stopped(transaction, reason="EVDisconnected")
    assert (await rig.station.evse())["is_locked"]
    rig.central.tolerate(status(1, "Available"))
    await rig.asked("UnlockConnector", "Unlocked", connectorId=1)
    await rig.station.until(lambda now: not now["evses"][0]["is_locked"])


@pytest.mark.req("TC_005_3_CS")
@pytest.mark.parametrize("is_torn_out", [True, False])
async def test_unplugging_at_the_ev_suspends_until_the_remote_stop(rig: Rig, is_torn_out: bool) -> None:
    await rig.configure(StopTransactionOnEVSideDisconnect=False, UnlockConnectorOnEVSideDisconnect=False)
    transaction = await rig.charging()
    await rig.station.unplug(is_torn_out=is_torn_out)
    rig.central.tolerate(status(1, "SuspendedEV", info=None), status(1, "SuspendedEVSE"))
    await rig.central.expect(status(1, "SuspendedEV", errorCode="NoError", info="EV side disconnected"))
    await rig.central.quiet(0.5)
    await rig.asked("RemoteStopTransaction", transactionId=transaction)
    rig.central.tolerate(status(1, "Available"))
    await rig.stopped(transaction, reason="Remote")


@pytest.mark.req("TC_007_CS")
async def test_a_cached_tag_starts_without_authorize(rig: Rig) -> None:
    await rig.configure(
        LocalPreAuthorize=True, AuthorizationCacheEnabled=True, AuthorizeRemoteTxRequests=True
    )
    await rig.authorized()
    await rig.station.tap(TAG)  # the same card again gives up
    await rig.central.expect(status(1, "Available"))
    await rig.plugged()
    await rig.asked("RemoteStartTransaction", idTag=TAG, connectorId=1)
    await rig.started()


@pytest.mark.req("TC_061_CS")
async def test_after_clear_cache_the_central_system_is_asked_again(rig: Rig) -> None:
    await rig.configure(
        LocalPreAuthorize=True,
        LocalAuthListEnabled=False,
        AuthorizationCacheEnabled=True,
        ConnectionTimeOut=1,
    )
    await rig.authorized()
    await rig.central.expect(status(1, "Available"))
    await rig.station.tap(TAG)  # known by now
    await rig.central.expect(status(1, "Preparing"))
    await rig.central.expect(status(1, "Available"))
    await rig.asked("ClearCache")
    await rig.authorized()


@pytest.mark.req("TC_023_CS")
async def test_an_invalid_tag_starts_nothing(rig: Rig) -> None:
    await rig.configure(MinimumStatusDuration=1, LocalPreAuthorize=True)
    rig.central.tags[INVALID_TAG] = {"status": "Invalid"}
    await rig.station.plug()
    await rig.station.tap(INVALID_TAG)
    await rig.central.expect(call("Authorize", idTag=INVALID_TAG), status(1, "Preparing"))
    await rig.central.quiet(1.5)


@pytest.mark.req("TC_024_CS")
async def test_a_plug_that_cannot_be_locked_starts_nothing(rig: Rig) -> None:
    await rig.configure(ConnectionTimeOut=30)
    await rig.central.quiet(0.7)  # the cable of the driver before is out of the socket
    await rig.asked("RemoteStartTransaction", idTag=TAG, connectorId=1)
    rig.central.tolerate(call("Authorize", idTag=TAG))
    await rig.central.expect(status(1, "Preparing"))
    await rig.station.plug(is_half_in=True)
    await rig.central.expect(status(1, "Faulted", errorCode="ConnectorLockFailure"))
    await rig.central.quiet(0.5)


@pytest.mark.req("TC_041_CS")
async def test_a_fault_starts_nothing(rig: Rig) -> None:
    await rig.break_("door_open")
    (faulted,) = await rig.central.expect(status(1, "Faulted"))
    assert faulted["errorCode"] != "NoError"
    rig.central.tolerate(call("Authorize", idTag=TAG))
    await rig.station.plug()
    await rig.station.tap(TAG)
    await rig.central.quiet(1.5)
