"""UnlockConnector in every state of a connector: the answer, the lock, and what becomes of a transaction."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.helpers.bench import Bench

TWO_CONNECTORS = "[hal.sim]\nconnectors_per_evse = 2\n"
Prepare = Callable[[Bench], Awaitable[None]]


async def online(bench: Bench) -> None:
    await bench.until(lambda: bench.agent.conversation.is_online)
    await bench.run_for(seconds=2)


async def unlock(bench: Bench, connector_id: int = 1) -> str:
    answer = await bench.csms.call("UnlockConnector", {"connectorId": connector_id})
    await bench.run_for(seconds=5)
    status: str = answer.payload["status"]
    return status


async def idle(bench: Bench) -> None:
    """Nobody is there."""


async def plugged(bench: Bench) -> None:
    bench.plug_in()


async def authorized(bench: Bench) -> None:
    bench.tap("TAG1")


async def charging(bench: Bench) -> None:
    bench.plug_in()
    bench.tap("TAG1")


async def paused(bench: Bench) -> None:
    await charging(bench)
    await bench.run_for(seconds=20)
    bench.world.pause(1)


async def finishing(bench: Bench) -> None:
    await charging(bench)
    await bench.run_for(seconds=20)
    bench.tap("TAG1")


async def kept(bench: Bench) -> None:
    """The token was refused after the start: the cable stays until its driver identifies."""
    bench.csms.always("StartTransaction", idTagInfo={"status": "Invalid"})
    await charging(bench)


async def inoperative(bench: Bench) -> None:
    bench.plug_in()
    await bench.csms.call("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})


async def faulted(bench: Bench) -> None:
    bench.plug_in()
    bench.world.set_fault(1, "temp_stop")


@pytest.mark.req("R16-182", "R16-183", "R16-184", "TC_017_1_CS", "TC_018_1_CS")
@pytest.mark.parametrize(
    ("prepare", "ends_transaction"),
    [
        (idle, False),
        (plugged, False),
        (authorized, False),
        (charging, True),
        (paused, True),
        (finishing, False),
        (kept, False),
        (inoperative, False),
        (faulted, False),
    ],
)
async def test_a_lock_that_works_opens_in_every_state(
    tmp_path: Path, prepare: Prepare, ends_transaction: bool
) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await prepare(bench)
        await bench.run_for(seconds=20)
        assert (bench.evse().transaction is not None) is ends_transaction
        assert await unlock(bench) == "Unlocked"
        assert bench.evse().hardware.locked is False
        assert bench.evse().transaction is None
        reasons = [stop["reason"] for stop in bench.sent("StopTransaction")]
        assert ("UnlockCommand" in reasons) is ends_transaction
        assert not [name for name, _ in bench.calls() if name == "DataTransfer"]


@pytest.mark.req("R16-183", "TC_017_2_CS", "TC_018_2_CS")
@pytest.mark.parametrize("prepare", [paused, charging])
async def test_a_lock_that_jams_is_unlock_failed_and_the_transaction_is_over_all_the_same(
    tmp_path: Path, prepare: Prepare
) -> None:
    async with Bench(tmp_path) as bench:
        await online(bench)
        await prepare(bench)
        await bench.run_for(seconds=20)
        bench.world.set_fault(1, "unlock_fail")
        assert await unlock(bench) == "UnlockFailed"
        assert bench.evse().transaction is None


@pytest.mark.req("R16-183", "TC_030_CS", "TC_031_CS")
async def test_no_lock_and_no_such_connector_are_not_supported(tmp_path: Path) -> None:
    async with Bench(tmp_path, "[hal.sim]\nhas_lock = false\n") as bench:
        await online(bench)
        await charging(bench)
        await bench.run_for(seconds=20)
        for number in (1, 0, 2, -1):
            assert await unlock(bench, number) == "NotSupported"
        assert bench.evse().transaction is not None
        assert not bench.sent("StopTransaction")


@pytest.mark.req("R16-183", "R16-111")
@pytest.mark.parametrize("prepare", [plugged, paused, kept])
async def test_the_connector_beside_the_cable_does_not_free_it(tmp_path: Path, prepare: Prepare) -> None:
    async with Bench(tmp_path, TWO_CONNECTORS) as bench:
        await online(bench)
        await prepare(bench)
        await bench.run_for(seconds=20)
        before = (bench.evse().hardware.locked, bench.evse().transaction)
        assert await unlock(bench, 2) == "UnlockFailed"
        assert (bench.evse().hardware.locked, bench.evse().transaction) == before
        assert await unlock(bench, 1) == "Unlocked"
