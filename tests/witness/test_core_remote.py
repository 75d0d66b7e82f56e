"""Core: remote start, remote stop, unlock."""

import pytest

from tests.witness.central_system import call, status
from tests.witness.rig import OTHER_TAG, TAG, Rig

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("witness-core-remote"),
]


@pytest.mark.req("TC_010_CS")
async def test_remote_start_with_the_cable_in(rig: Rig) -> None:
    await rig.plugged()
    await rig.asked("RemoteStartTransaction", idTag=TAG, connectorId=1)
    rig.central.tolerate(call("Authorize", idTag=TAG))
    await rig.started()


@pytest.mark.req("TC_011_1_CS")
@pytest.mark.parametrize("asks_first", [True, False])
async def test_remote_start_before_the_cable(rig: Rig, asks_first: bool) -> None:
    await rig.configure(AuthorizeRemoteTxRequests=asks_first)
    assert await rig.configuration("AuthorizeRemoteTxRequests") == str(asks_first).lower()
    await rig.asked("RemoteStartTransaction", idTag=TAG, connectorId=1)
    wanted = [call("Authorize", idTag=TAG)] if asks_first else []
    await rig.central.expect(*wanted, status(1, "Preparing"))
    await rig.station.plug()
    await rig.started()


@pytest.mark.req("TC_011_2_CS")
async def test_remote_start_and_nobody_plugs_in(rig: Rig) -> None:
    await rig.configure(ConnectionTimeOut=2)
    await rig.asked("RemoteStartTransaction", idTag=TAG, connectorId=1)
    rig.central.tolerate(call("Authorize", idTag=TAG))
    (preparing,) = await rig.central.expect(status(1, "Preparing"))
    (available,) = await rig.central.expect(status(1, "Available"))
    assert available.at - preparing.at > 1.5


@pytest.mark.req("TC_012_CS")
async def test_remote_stop(rig: Rig) -> None:
    transaction = await rig.charging()
    await rig.asked("RemoteStopTransaction", transactionId=transaction)
    await rig.stopped(transaction, reason="Remote")


@pytest.mark.req("TC_017_1_CS")
async def test_unlock_without_a_session(rig: Rig) -> None:
    await rig.asked("UnlockConnector", "Unlocked", connectorId=1)


@pytest.mark.req("TC_018_1_CS")
async def test_unlock_ends_the_session(rig: Rig) -> None:
    transaction = await rig.charging()
    await rig.asked("UnlockConnector", "Unlocked", connectorId=1)
    await rig.stopped(transaction, reason="UnlockCommand")
    await rig.station.unplug()
    await rig.central.expect(status(1, "Available"))


@pytest.mark.req("TC_026_CS")
async def test_remote_start_on_a_busy_connector_is_rejected(rig: Rig) -> None:
    await rig.configure(LocalPreAuthorize=False)
    await rig.charging()
    await rig.asked("RemoteStartTransaction", "Rejected", idTag=OTHER_TAG, connectorId=1)
    await rig.central.quiet(0.5)


@pytest.mark.req("TC_027_CS")
async def test_remote_start_on_connector_0_is_refused(rig: Rig) -> None:
    answer = await rig.central.ask("RemoteStartTransaction", idTag=TAG, connectorId=0)
    assert answer.status in ("Rejected", "error:PropertyConstraintViolation")
    await rig.central.quiet(0.5)


@pytest.mark.req("TC_028_CS")
async def test_remote_stop_of_an_unknown_transaction_is_rejected(rig: Rig) -> None:
    transaction = await rig.charging()
    await rig.asked("RemoteStopTransaction", "Rejected", transactionId=transaction + 5000)
    await rig.central.quiet(0.5)


@pytest.mark.req("TC_030_CS")
async def test_an_unlock_that_fails_is_told(rig: Rig) -> None:
    transaction = await rig.charging()
    await rig.break_("unlock_fail")
    rig.central.tolerate(status(1, "Faulted", errorCode="ConnectorLockFailure"))
    await rig.asked("UnlockConnector", "UnlockFailed", connectorId=1)
    await rig.stopped(transaction, reason="UnlockCommand")
    assert (await rig.station.evse())["is_locked"]
    await rig.mend("unlock_fail")
    await rig.asked("UnlockConnector", "Unlocked", connectorId=1)


@pytest.mark.req("TC_031_CS")
async def test_unlock_of_an_unknown_connector_is_not_supported(rig: Rig) -> None:
    await rig.asked("UnlockConnector", "NotSupported", connectorId=3)
